//! Keys and values as fingerprints. No text is kept, and none comes back out.

use std::{
    hash::{Hash, Hasher},
    net::IpAddr,
};

use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::scoring::{
    field::{Field, Value},
    plan::{Key, KeyPart},
    transaction::Transaction,
};

/// A key's values as 96 bits: among 50 million keys two are alike with a chance of 2^-46.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct KeyPrint([u32; 3]);

impl Hash for KeyPrint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.0[0]) | u64::from(self.0[1]) << 32);
    }
}

/// Takes 64 bits that are a hash already.
#[derive(Clone, Copy, Default)]
pub(super) struct PlainHasher(u64);

impl Hasher for PlainHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, _bytes: &[u8]) {
        // Only fingerprints and hashed values are keys of these tables, and both write one 64-bit word.
        debug_assert!(false, "not a hash");
    }
}

type Bytes = SmallVec<[u8; 128]>;

impl KeyPrint {
    /// The fingerprint of a transaction's key; `None` if a part of it is missing.
    pub(super) fn of(key: &Key, transaction: &Transaction<'_>, amount_base_minor: Option<i64>) -> Option<Self> {
        let mut bytes = Bytes::new();
        for part in &key.0 {
            match *part {
                KeyPart::Field(field) => {
                    let value = transaction.value(field, amount_base_minor)?;
                    push_scope(&mut bytes, field, transaction);
                    push_value(&mut bytes, value);
                }
                KeyPart::Subnet(bits) => {
                    let address = transaction.ip?;
                    push_value(&mut bytes, Value::Ip(network(address, bits)));
                }
            }
        }
        let print = xxh3_128(&bytes);
        Some(Self([print as u32, (print >> 32) as u32, (print >> 64) as u32]))
    }
}

/// The hash of a transaction's value of a field.
pub(super) fn value_hash(field: Field, transaction: &Transaction<'_>, amount_base_minor: Option<i64>) -> Option<u64> {
    let value = transaction.value(field, amount_base_minor)?;
    let mut bytes = Bytes::new();
    push_scope(&mut bytes, field, transaction);
    push_value(&mut bytes, value);
    Some(xxh3_64(&bytes))
}

/// The numeric value of a field: numbers with decimals as millionths. `None` where it is missing or no number.
pub(super) fn numeric(field: Field, transaction: &Transaction<'_>, amount_base_minor: Option<i64>) -> Option<i64> {
    match transaction.value(field, amount_base_minor)? {
        Value::Integer(number) | Value::Millionths(number) => Some(number),
        // Degrees are at most 360, so millionths of them are exact enough for 64 bits.
        Value::Real(degrees) => Some((degrees * 1_000_000.0).round() as i64),
        Value::Time(time) => Some(time.unix_ms()),
        Value::Mcc(_) | Value::Text(_) | Value::Boolean(_) | Value::Country(_) | Value::Currency(_) | Value::Ip(_) => {
            None
        }
    }
}

/// The network of an address, cut to its leading bits.
fn network(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let bits = u32::from(bits.min(32));
            IpAddr::V4((address.to_bits() & u32::MAX.checked_shl(32 - bits).unwrap_or(0)).into())
        }
        IpAddr::V6(address) => {
            let bits = if bits <= 32 { u32::from(bits) * 4 } else { u32::from(bits.min(128)) };
            IpAddr::V6((address.to_bits() & u128::MAX.checked_shl(128 - bits).unwrap_or(0)).into())
        }
    }
}

/// What is each processor's own is kept apart by the processor's name.
fn push_scope(bytes: &mut Bytes, field: Field, transaction: &Transaction<'_>) {
    if !field.is_shared_by_processors() {
        push_text(bytes, &transaction.processor);
    }
}

// Each value ends where its length says, so that no two tuples give the same bytes.
fn push_text(bytes: &mut Bytes, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn push_value(bytes: &mut Bytes, value: Value<'_>) {
    match value {
        Value::Text(text) => push_text(bytes, text),
        Value::Integer(number) | Value::Millionths(number) => bytes.extend_from_slice(&number.to_le_bytes()),
        // Minus zero is zero.
        Value::Real(number) => bytes.extend_from_slice(&(number + 0.0).to_bits().to_le_bytes()),
        Value::Boolean(truth) => bytes.push(truth.into()),
        Value::Country(country) => bytes.extend_from_slice(country.code().as_bytes()),
        Value::Currency(currency) => bytes.push(currency.index() as u8),
        Value::Mcc(code) => bytes.extend_from_slice(&code.to_le_bytes()),
        Value::Time(time) => bytes.extend_from_slice(&time.unix_ms().to_le_bytes()),
        Value::Ip(IpAddr::V4(address)) => {
            bytes.push(4);
            bytes.extend_from_slice(&address.octets());
        }
        Value::Ip(IpAddr::V6(address)) => {
            bytes.push(6);
            bytes.extend_from_slice(&address.octets());
        }
    }
}
