//! Keys and values as fingerprints. No text is kept, and none comes back out.

use std::{
    hash::{Hash, Hasher},
    net::IpAddr,
};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

use crate::scoring::{
    field::{Field, Value},
    network::subnet,
    plan::{KEY_PARTS_MAX, KeyPart},
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

/// Bytes of a value's fingerprint.
const PRINT_BYTES: usize = size_of::<u128>();

/// The values of a transaction that keys and columns are made of, each as 128 bits; `None` where it is missing.
pub(super) type Prints = Vec<Option<u128>>;

/// Which values those are, each once.
#[derive(Default)]
pub(super) struct Parts(Vec<KeyPart>);

impl Parts {
    /// The place of a part, which is added if it is new.
    pub(super) fn place(&mut self, part: KeyPart) -> usize {
        let known = self.0.iter().position(|known| *known == part);
        known.unwrap_or_else(|| {
            self.0.push(part);
            self.0.len() - 1
        })
    }

    /// The parts of a transaction.
    pub(super) fn read(&self, transaction: &Transaction<'_>, amount_base_minor: Option<i64>, prints: &mut Prints) {
        // What is each processor's own is kept apart by the processor's name.
        let scope = xxh3_64(transaction.processor.as_bytes());
        prints.clear();
        prints.extend(self.0.iter().map(|part| match *part {
            KeyPart::Field(field) => {
                let seed = if field.is_shared_by_processors() { 0 } else { scope };
                Some(print_of(transaction.value(field, amount_base_minor)?, seed))
            }
            KeyPart::Subnet(bits) => Some(print_of(Value::Ip(subnet(transaction.ip?, bits)), 0)),
        }));
    }
}

impl KeyPrint {
    /// The fingerprint of a key of these parts; `None` if one of them is missing.
    pub(super) fn of(places: &[usize], prints: &[Option<u128>]) -> Option<Self> {
        let print = match places {
            [place] => prints[*place]?,
            places => {
                let mut bytes = [0; KEY_PARTS_MAX * PRINT_BYTES];
                for (place, room) in places.iter().zip(bytes.chunks_exact_mut(PRINT_BYTES)) {
                    room.copy_from_slice(&prints[*place]?.to_le_bytes());
                }
                xxh3_128(&bytes[..places.len() * PRINT_BYTES])
            }
        };
        Some(Self([print as u32, (print >> 32) as u32, (print >> 64) as u32]))
    }

    /// As words, for stored state.
    pub(super) const fn words(self) -> [u32; 3] {
        self.0
    }

    /// Of such words.
    pub(super) const fn from_words(words: [u32; 3]) -> Self {
        Self(words)
    }

    /// What chooses the shard of an index.
    pub(super) const fn hash(self) -> u32 {
        self.0[1]
    }

    /// What an index keeps of it.
    pub(super) const fn tag(self) -> u32 {
        self.0[0]
    }
}

/// The numeric value of a field: numbers with decimals as millionths. `None` where it is missing or no number.
pub(super) fn numeric(field: Field, transaction: &Transaction<'_>, amount_base_minor: Option<i64>) -> Option<i64> {
    if field == Field::Amount {
        return amount_base_minor;
    }
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

/// The type of a field's values is one and the same, so values of one type alone must not give the same bytes.
fn print_of(value: Value<'_>, seed: u64) -> u128 {
    let hash = |bytes: &[u8]| xxh3_128_with_seed(bytes, seed);
    match value {
        Value::Text(text) => hash(text.as_bytes()),
        Value::Integer(number) | Value::Millionths(number) => hash(&number.to_le_bytes()),
        // Minus zero is zero.
        Value::Real(number) => hash(&(number + 0.0).to_bits().to_le_bytes()),
        Value::Boolean(truth) => hash(&[truth.into()]),
        Value::Country(country) => hash(country.code().as_bytes()),
        Value::Currency(currency) => hash(&[currency.index() as u8]),
        Value::Mcc(code) => hash(&code.to_le_bytes()),
        Value::Time(time) => hash(&time.unix_ms().to_le_bytes()),
        // Four bytes or sixteen.
        Value::Ip(IpAddr::V4(address)) => hash(&address.octets()),
        Value::Ip(IpAddr::V6(address)) => hash(&address.octets()),
    }
}
