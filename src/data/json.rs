//! A row of JSON lines as its fields came: a transaction's body with `processor`, `label` and `label_time` beside it.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::scoring::{
    field::Field,
    wire::{Raw, RawTransaction, read_entries},
};

/// A row before any check.
pub(super) struct RawRow<'a> {
    pub(super) transaction: RawTransaction<'a>,
    pub(super) processor: Raw<'a>,
    pub(super) label: Raw<'a>,
    pub(super) label_time: Raw<'a>,
}

/// What a key of a row stands for.
enum Key {
    Field(Field),
    Attributes,
    Attribute(String),
    Processor,
    Label,
    LabelTime,
    Unknown,
}

impl Key {
    fn of(name: &str) -> Self {
        match name {
            "processor" => Self::Processor,
            "label" => Self::Label,
            "label_time" => Self::LabelTime,
            "attributes" => Self::Attributes,
            _ => match (Field::from_name(name), name.strip_prefix("attributes.")) {
                (Some(field), _) => Self::Field(field),
                (None, Some(key)) => Self::Attribute(key.to_owned()),
                (None, None) => Self::Unknown,
            },
        }
    }
}

impl<'a> RawRow<'a> {
    fn new() -> Self {
        Self { transaction: RawTransaction::new(), processor: Raw::Absent, label: Raw::Absent, label_time: Raw::Absent }
    }

    /// A row of good JSON with a text or a number that nothing can hold, which spoils one field. `None` if it is not
    /// JSON, or no object.
    pub(super) fn read_leniently(text: &'a [u8]) -> Option<Self> {
        let mut row = Self::new();
        for (name, value) in read_entries(text)? {
            match Key::of(&name) {
                Key::Attributes => row.transaction.set_attributes(value.object()),
                key => row.set(key, value.raw()),
            }
        }
        Some(row)
    }

    /// Sets anything but all attributes.
    fn set(&mut self, key: Key, value: Raw<'a>) {
        match key {
            Key::Field(field) => self.transaction.set(field, value),
            Key::Attribute(name) => self.transaction.set_attribute(Cow::Owned(name), value),
            Key::Processor => self.processor = value,
            Key::Label => self.label = value,
            Key::LabelTime => self.label_time = value,
            Key::Attributes | Key::Unknown => self.transaction.unknown_fields += 1,
        }
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a key")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(Key::of(name))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

impl<'de> Deserialize<'de> for RawRow<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowVisitor;
        impl<'de> Visitor<'de> for RowVisitor {
            type Value = RawRow<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut row = RawRow::new();
                while let Some(key) = entries.next_key()? {
                    match key {
                        Key::Attributes => row.transaction.set_attributes(entries.next_value()?),
                        Key::Unknown => {
                            entries.next_value::<IgnoredAny>()?;
                            row.transaction.unknown_fields += 1;
                        }
                        key => row.set(key, entries.next_value()?),
                    }
                }
                Ok(row)
            }
        }
        deserializer.deserialize_map(RowVisitor)
    }
}
