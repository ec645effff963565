//! Fields of a few codes as bits of one word: whether some of them have one of some codes is a single test. It knows no
//! other field.

use crate::scoring::{
    field::{CHANNELS, CHECK_RESULTS, ENTRY_MODES, Field, TYPES},
    transaction::{Code, Transaction},
};

/// The bits of a field: one for each code, and the highest for a value that is missing.
const FIELD_BITS: usize = 8;
const MISSING: usize = FIELD_BITS - 1;
const FIELD_MASK: u64 = (1 << FIELD_BITS) - 1;

/// The coded fields by their place in the word.
const FIELDS: [(Field, &[&str]); 6] = [
    (Field::Type, TYPES),
    (Field::Channel, CHANNELS),
    (Field::EntryMode, ENTRY_MODES),
    (Field::Avs, CHECK_RESULTS),
    (Field::Cvv, CHECK_RESULTS),
    (Field::ThreeDs, CHECK_RESULTS),
];
const _: () = {
    assert!(FIELDS.len() * FIELD_BITS <= u64::BITS as usize);
    let mut place = 0;
    while place < FIELDS.len() {
        assert!(FIELDS[place].1.len() <= MISSING);
        place += 1;
    }
};

/// Which code each coded field of a transaction has, or that it is missing: one bit of every field's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodedFields(u64);

/// Codes of coded fields, of which a transaction must have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct AnyCode(u64);

impl CodedFields {
    /// Those of a transaction.
    pub fn of(transaction: &Transaction<'_>) -> Self {
        let Transaction { kind, channel, entry_mode, avs, cvv, three_ds, .. } = transaction;
        let of = |code: &Option<Code>| code.map_or(MISSING, |code| code.place().into());
        let codes = [*kind as usize, of(channel), of(entry_mode), of(avs), of(cvv), of(three_ds)];
        Self(codes.into_iter().zip(0..).fold(0, |bits, (code, place)| bits | 1 << (place * FIELD_BITS + code)))
    }

    /// Whether one of some codes is among them.
    #[inline]
    pub(super) fn have(self, codes: AnyCode) -> bool {
        self.0 & codes.0 != 0
    }
}

impl AnyCode {
    /// The codes of a field that pass, by their places; `None` if it is no coded field.
    pub(super) fn among(field: Field, passes: impl Fn(i64) -> bool) -> Option<Self> {
        let place = FIELDS.iter().position(|(known, _)| *known == field)?;
        let passing = (0..FIELDS[place].1.len()).filter(|code| passes(*code as i64));
        Some(Self(passing.fold(0, |bits, code| bits | 1 << (place * FIELD_BITS + code))))
    }

    /// The other codes of the same field, if all are of one: what is missing is another.
    pub(super) fn others(self) -> Option<Self> {
        let (place, codes) = self.field()?;
        let all = ((1 << codes) - 1) | 1 << MISSING;
        Some(Self(!self.0 & all << (place * FIELD_BITS)))
    }

    /// The codes of either.
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The codes of both, if all are of one field.
    pub(super) fn and(self, other: Self) -> Option<Self> {
        (self.field()?.0 == other.field()?.0).then_some(Self(self.0 & other.0))
    }

    /// Whether no transaction has one of them.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    pub(super) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The one field of all of them by its place, and how many codes it has.
    fn field(self) -> Option<(usize, usize)> {
        let place = self.0.trailing_zeros() as usize / FIELD_BITS;
        let (_, codes) = FIELDS.get(place)?;
        (self.0 & !(FIELD_MASK << (place * FIELD_BITS)) == 0).then_some((place, codes.len()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scoring::{field::Value, money::Currency, time::Timestamp, transaction::TransactionType};

    /// The place of a field's code, by its text.
    fn place(transaction: &Transaction<'_>, field: usize) -> Option<usize> {
        let (field, codes) = FIELDS[field];
        match transaction.value(field, None) {
            Some(Value::Text(word)) => codes.iter().position(|code| *code == word),
            _ => None,
        }
    }

    proptest! {
        #[test]
        fn bits_say_what_the_fields_hold(
            drawn in any::<[u8; 6]>(),
            (one, other) in (0..FIELDS.len(), 0..FIELDS.len()),
            (some, more) in any::<(u8, u8)>(),
        ) {
            // A place behind the last code is none: the field is missing.
            let code = |field: usize| {
                let codes: &'static [&str] = FIELDS[field].1;
                codes.get(usize::from(drawn[field]) % (codes.len() + 1)).and_then(|word| Code::find(codes, word))
            };
            let (time, euro) = (Timestamp::from_unix_ms(0).expect("time"), Currency::from_code("EUR").expect("EUR"));
            let transaction = Transaction {
                kind: TransactionType::ALL[usize::from(drawn[0]) % TransactionType::ALL.len()],
                channel: code(1),
                entry_mode: code(2),
                avs: code(3),
                cvv: code(4),
                three_ds: code(5),
                ..Transaction::plain("t", time, "c", 1, euro)
            };
            let is_in = |field, set: u8| place(&transaction, field).is_some_and(|place| set >> place & 1 == 1);
            let among = |field: usize, set: u8| {
                AnyCode::among(FIELDS[field].0, |place| set >> place & 1 == 1).expect("a coded field")
            };
            let fields = CodedFields::of(&transaction);
            let (left, right) = (among(one, some), among(other, more));
            prop_assert_eq!(fields.have(left), is_in(one, some));
            prop_assert_eq!(fields.have(left.or(right)), is_in(one, some) || is_in(other, more));
            if let Some(others) = left.others() {
                prop_assert_eq!(fields.have(others), !is_in(one, some));
            }
            match left.and(right) {
                Some(both) => prop_assert_eq!(fields.have(both), is_in(one, some) && is_in(other, more)),
                None => prop_assert!(one != other || left.is_empty() || right.is_empty()),
            }
        }
    }
}
