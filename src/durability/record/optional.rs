//! The optional fields of a transaction, to bytes and back: which are there, then these. It reads no others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    super::encoding::{Taking, push_bytes, push_signed, push_text},
    take_country,
};
use crate::scoring::{
    field::{CHANNELS, CHECK_RESULTS, ENTRY_MODES},
    transaction::{Code, Transaction},
};

pub(super) fn push_optional(out: &mut Vec<u8>, transaction: &Transaction<'_>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut mask = 0_u32;
    let texts = texts(transaction);
    for (place, text) in texts.iter().enumerate() {
        if let Some(text) = text {
            mask |= 1 << place;
            push_text(out, text);
        }
    }
    let mut place = texts.len();
    let mut present = |is_there: bool| {
        mask |= u32::from(is_there) << place;
        place += 1;
    };
    present(transaction.mcc.is_some());
    if let Some(mcc) = transaction.mcc {
        out.extend_from_slice(&mcc.to_le_bytes());
    }
    for country in
        [&transaction.country, &transaction.issuer_country, &transaction.billing_country, &transaction.shipping_country]
    {
        present(country.is_some());
        if let Some(country) = country {
            out.extend_from_slice(country.code().as_bytes());
        }
    }
    for code in [transaction.channel, transaction.entry_mode, transaction.avs, transaction.cvv, transaction.three_ds] {
        present(code.is_some());
        out.extend(code.map(Code::place));
    }
    present(transaction.ip.is_some());
    match transaction.ip {
        Some(IpAddr::V4(ip)) => push_bytes(out, &ip.octets()),
        Some(IpAddr::V6(ip)) => push_bytes(out, &ip.octets()),
        None => {}
    }
    present(transaction.position.is_some());
    if let Some((lat, lon)) = transaction.position {
        out.extend_from_slice(&lat.to_bits().to_le_bytes());
        out.extend_from_slice(&lon.to_bits().to_le_bytes());
    }
    present(transaction.utc_offset_minutes.is_some());
    if let Some(minutes) = transaction.utc_offset_minutes {
        push_signed(out, minutes.into());
    }
    out[start..start + 4].copy_from_slice(&mask.to_le_bytes());
}

fn texts<'t>(transaction: &'t Transaction<'_>) -> [Option<&'t str>; 9] {
    [
        transaction.parent.as_deref(),
        transaction.merchant.as_deref(),
        transaction.terminal.as_deref(),
        transaction.customer.as_deref(),
        transaction.device.as_deref(),
        transaction.email.as_deref(),
        transaction.email_domain.as_deref(),
        transaction.bin.as_deref(),
        transaction.wallet.as_deref(),
    ]
}

pub(super) fn take_optional<'a>(taking: &mut Taking<'a>, transaction: &mut Transaction<'a>) -> Option<()> {
    let mask = u32::from_le_bytes(taking.array()?);
    let mut place = 0;
    let mut is_there = || {
        place += 1;
        mask & (1 << (place - 1)) != 0
    };
    for text in [
        &mut transaction.parent,
        &mut transaction.merchant,
        &mut transaction.terminal,
        &mut transaction.customer,
        &mut transaction.device,
        &mut transaction.email,
        &mut transaction.email_domain,
        &mut transaction.bin,
        &mut transaction.wallet,
    ] {
        if is_there() {
            *text = Some(taking.borrowed()?);
        }
    }
    if is_there() {
        transaction.mcc = Some(u16::from_le_bytes(taking.array()?)).filter(|mcc| *mcc <= 9_999);
    }
    for country in [
        &mut transaction.country,
        &mut transaction.issuer_country,
        &mut transaction.billing_country,
        &mut transaction.shipping_country,
    ] {
        if is_there() {
            *country = Some(take_country(taking)?);
        }
    }
    for (code, set) in [
        (&mut transaction.channel, CHANNELS),
        (&mut transaction.entry_mode, ENTRY_MODES),
        (&mut transaction.avs, CHECK_RESULTS),
        (&mut transaction.cvv, CHECK_RESULTS),
        (&mut transaction.three_ds, CHECK_RESULTS),
    ] {
        if is_there() {
            *code = Some(Code::find(set, set.get(usize::from(taking.byte()?))?)?);
        }
    }
    if is_there() {
        let octets = taking.bytes()?;
        let v4 = <[u8; 4]>::try_from(octets).map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
        let v6 = <[u8; 16]>::try_from(octets).map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
        transaction.ip = Some(v4.or(v6).ok()?);
    }
    if is_there() {
        let (lat, lon) = (u64::from_le_bytes(taking.array()?), u64::from_le_bytes(taking.array()?));
        transaction.position = Some((f64::from_bits(lat), f64::from_bits(lon)));
    }
    if is_there() {
        transaction.utc_offset_minutes = Some(i16::try_from(taking.signed()?).ok()?);
    }
    (mask >> place == 0).then_some(())
}
