//! What a key's newest events held: the values of `last` and the positions of `speed_kmh`. It keeps what a late
//! transaction may still ask for and nothing older.

use std::net::IpAddr;

use smallvec::SmallVec;

use crate::scoring::{
    field::{Field, Value},
    plan::AggregateValue,
    stored::{Reader, Stored, StoredError, Word, write_country, write_currency, write_words},
    transaction::Transaction,
};

use super::layout::Layout;

/// The earth's mean radius of the contract.
const EARTH_RADIUS_KM: f64 = 6_371.008_8;
const MS_PER_HOUR: f64 = 3_600_000.0;

/// Located events that stand beside the trail itself: two are asked for, and a third comes in before one goes.
const LOCATED_INLINE: usize = 3;

/// A located card-present event.
#[derive(Clone, Copy)]
pub(super) struct Located {
    time_ms: i64,
    lat: f64,
    lon: f64,
}

/// The newest events of a key, as far as a plan asks for what they held.
#[derive(Clone, Default)]
pub(super) struct Trail {
    /// By field of `last`: the times and values of the newest events that had it, oldest first.
    fields: Vec<Vec<(i64, AggregateValue)>>,
    located: SmallVec<[Located; LOCATED_INLINE]>,
}

impl Trail {
    /// Reads where the newest events stand: see `Log::warm`.
    pub(super) fn warm(&self) -> u32 {
        let fields = self.fields.iter().filter_map(|events| events.last()).map(|(time_ms, _)| *time_ms as u32);
        let located = self.located.last().map_or(0, |event| event.time_ms as u32);
        fields.fold(located, u32::wrapping_add)
    }

    /// The newest value of a field of `last` with time up to `time_ms`, and its time.
    pub(super) fn last(&self, field: usize, time_ms: i64) -> Option<(&AggregateValue, i64)> {
        let events = self.fields.get(field)?;
        let newer = events.partition_point(|(time, _)| *time <= time_ms);
        let (time_ms, value) = events.get(newer.checked_sub(1)?)?;
        Some((value, *time_ms))
    }

    /// The speed between the last two located events, the current one included if it is located, and the time of the
    /// earlier.
    pub(super) fn speed_kmh(&self, time_ms: i64, current: Option<Located>) -> Option<(f64, i64)> {
        let newer = self.located.partition_point(|event| event.time_ms <= time_ms);
        let mut newest = self.located[..newer].iter().rev().copied();
        let later = match current {
            Some(current) => current,
            None => newest.next()?,
        };
        let earlier = newest.next()?;
        let elapsed_ms = later.time_ms - earlier.time_ms;
        if elapsed_ms <= 0 {
            return None;
        }
        let speed_kmh = distance_km(earlier, later) / (elapsed_ms as f64 / MS_PER_HOUR);
        Some((speed_kmh, earlier.time_ms))
    }

    /// Takes an event in. What no transaction newer than `settled_ms` can ask for is dropped, and so is the oldest
    /// beyond `events_max`.
    pub(super) fn insert(
        &mut self,
        layout: &Layout,
        transaction: &Transaction<'_>,
        amount_base_minor: Option<i64>,
        settled_ms: i64,
        events_max: usize,
    ) {
        let time_ms = transaction.time.unix_ms();
        self.fields.resize_with(layout.lasts.len(), Vec::new);
        for (field, events) in layout.lasts.iter().zip(&mut self.fields) {
            let Some(value) = transaction.value(*field, amount_base_minor) else { continue };
            let at = events.partition_point(|(time, _)| *time <= time_ms);
            events.insert(at, (time_ms, kept(value)));
            let settled = events.partition_point(|(time, _)| *time <= settled_ms);
            let surplus = settled.saturating_sub(1).max(events.len().saturating_sub(events_max.max(1)));
            events.drain(..droppable(events.len(), surplus));
        }
        let Some(located) = Located::of(transaction).filter(|_| layout.located) else { return };
        let at = self.located.partition_point(|event| event.time_ms <= time_ms);
        self.located.insert(at, located);
        let settled = self.located.partition_point(|event| event.time_ms <= settled_ms);
        let surplus = settled.saturating_sub(2).max(self.located.len().saturating_sub(events_max.max(2)));
        self.located.drain(..droppable(self.located.len(), surplus));
    }

    /// The same trail for another layout's fields; `fields` says where each stood in the old one.
    pub(super) fn converted(self, fields: &[Option<usize>]) -> Self {
        let mut old: Vec<_> = self.fields.into_iter().map(Some).collect();
        let mut take = |place: Option<usize>| old.get_mut(place?).and_then(Option::take);
        Self { fields: fields.iter().map(|place| take(*place).unwrap_or_default()).collect(), located: self.located }
    }

    /// Appends it to stored state.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        (self.fields.len() as u64).write(out);
        for events in &self.fields {
            (events.len() as u64).write(out);
            for (time_ms, value) in events {
                time_ms.write(out);
                save_value(value, out);
            }
        }
        (self.located.len() as u64).write(out);
        for event in &self.located {
            event.time_ms.write(out);
            event.lat.to_bits().write(out);
            event.lon.to_bits().write(out);
        }
    }

    /// Reads it back.
    pub(super) fn load(stored: &mut Reader<'_>) -> Stored<Self> {
        let mut trail = Self::default();
        for _ in 0..stored.count(size_of::<u64>())? {
            let mut events = Vec::new();
            for _ in 0..stored.count(size_of::<i64>() + 1)? {
                events.push((stored.word()?, load_value(stored)?));
            }
            trail.fields.push(events);
        }
        for _ in 0..stored.count(3 * size_of::<i64>())? {
            let time_ms = stored.word()?;
            let (lat, lon) = (f64::from_bits(stored.word()?), f64::from_bits(stored.word()?));
            trail.located.push(Located { time_ms, lat, lon });
        }
        Ok(trail)
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let events = self.fields.iter().map(|events| events.capacity() * size_of::<(i64, AggregateValue)>());
        size_of::<Self>()
            + self.fields.capacity() * size_of::<Vec<(i64, AggregateValue)>>()
            + events.sum::<usize>()
            + if self.located.spilled() { self.located.capacity() * size_of::<Located>() } else { 0 }
    }
}

impl Located {
    /// Where a transaction was, if it is located and the card was present.
    pub(super) fn of(transaction: &Transaction<'_>) -> Option<Self> {
        let Value::Text(channel) = transaction.value(Field::Channel, None)? else { return None };
        let (lat, lon) = transaction.position.filter(|_| matches!(channel, "pos" | "atm"))?;
        Some(Self { time_ms: transaction.time.unix_ms(), lat, lon })
    }
}

/// How many of the oldest events go now: where there are many only once half of them can, so that each is moved but once.
fn droppable(len: usize, surplus: usize) -> usize {
    if len <= 8 || surplus > len / 2 { surplus } else { 0 }
}

/// The great-circle distance, by the haversine formula, which is exact enough for near points too.
fn distance_km(from: Located, to: Located) -> f64 {
    // The same terminal, most of the time.
    if (from.lat, from.lon) == (to.lat, to.lon) {
        return 0.0;
    }
    let half_sine = |left: f64, right: f64| {
        let sine = libm::sin((right - left).to_radians() / 2.0);
        sine * sine
    };
    let parallel = libm::cos(from.lat.to_radians()) * libm::cos(to.lat.to_radians());
    let share = half_sine(from.lat, to.lat) + parallel * half_sine(from.lon, to.lon);
    2.0 * EARTH_RADIUS_KM * libm::asin(share.clamp(0.0, 1.0).sqrt())
}

fn kept(value: Value<'_>) -> AggregateValue {
    match value {
        Value::Text(text) => AggregateValue::Text(text.into()),
        Value::Integer(number) => AggregateValue::Integer(number),
        Value::Millionths(number) => AggregateValue::Real(number as f64 / 1_000_000.0),
        Value::Real(number) => AggregateValue::Real(number),
        Value::Boolean(truth) => AggregateValue::Boolean(truth),
        Value::Country(country) => AggregateValue::Country(country),
        Value::Currency(currency) => AggregateValue::Currency(currency),
        Value::Mcc(code) => AggregateValue::Mcc(code),
        Value::Time(time) => AggregateValue::Integer(time.unix_ms()),
        Value::Ip(address) => AggregateValue::Ip(address),
    }
}

fn save_value(value: &AggregateValue, out: &mut Vec<u8>) {
    match value {
        AggregateValue::Missing => out.push(0),
        AggregateValue::Integer(number) => {
            out.push(1);
            number.write(out);
        }
        AggregateValue::Real(number) => {
            out.push(2);
            number.to_bits().write(out);
        }
        AggregateValue::Boolean(truth) => out.extend([3, u8::from(*truth)]),
        AggregateValue::Text(text) => {
            out.push(4);
            write_words(text.as_bytes(), out);
        }
        AggregateValue::Country(country) => {
            out.push(5);
            write_country(*country, out);
        }
        AggregateValue::Currency(currency) => {
            out.push(6);
            write_currency(*currency, out);
        }
        AggregateValue::Mcc(code) => {
            out.push(7);
            code.write(out);
        }
        AggregateValue::Ip(IpAddr::V4(address)) => {
            out.push(8);
            address.to_bits().write(out);
        }
        AggregateValue::Ip(IpAddr::V6(address)) => {
            out.push(9);
            address.to_bits().write(out);
        }
    }
}

fn load_value(stored: &mut Reader<'_>) -> Stored<AggregateValue> {
    Ok(match stored.word::<u8>()? {
        0 => AggregateValue::Missing,
        1 => AggregateValue::Integer(stored.word()?),
        2 => AggregateValue::Real(f64::from_bits(stored.word()?)),
        3 => AggregateValue::Boolean(stored.word::<u8>()? == 1),
        4 => {
            let count = stored.count(1)?;
            let text = std::str::from_utf8(stored.bytes(count)?).map_err(|_| StoredError::Damaged)?;
            AggregateValue::Text(text.into())
        }
        5 => AggregateValue::Country(stored.country()?),
        6 => AggregateValue::Currency(stored.currency()?),
        7 => AggregateValue::Mcc(stored.word()?),
        8 => AggregateValue::Ip(IpAddr::V4(stored.word::<u32>()?.into())),
        9 => AggregateValue::Ip(IpAddr::V6(stored.word::<u128>()?.into())),
        _ => return Err(StoredError::Damaged),
    })
}
