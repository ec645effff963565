//! A row of JSON lines as its fields came: a transaction's body with `processor`, `label` and `label_time` beside it.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::scoring::{
    field::Field,
    wire::{Raw, RawObject, RawTransaction},
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

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a key")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(match name {
                    "processor" => Key::Processor,
                    "label" => Key::Label,
                    "label_time" => Key::LabelTime,
                    "attributes" => Key::Attributes,
                    _ => match (Field::from_name(name), name.strip_prefix("attributes.")) {
                        (Some(field), _) => Key::Field(field),
                        (None, Some(key)) => Key::Attribute(key.to_owned()),
                        (None, None) => Key::Unknown,
                    },
                })
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
                let mut row = RawRow {
                    transaction: RawTransaction::new(),
                    processor: Raw::Absent,
                    label: Raw::Absent,
                    label_time: Raw::Absent,
                };
                let mut attributes_seen = false;
                while let Some(key) = entries.next_key()? {
                    match key {
                        Key::Field(field) => row.transaction.set(field, entries.next_value()?),
                        Key::Attributes => {
                            let again = std::mem::replace(&mut attributes_seen, true);
                            match entries.next_value()? {
                                RawObject::Fields(attributes) if !again => {
                                    for (name, value) in attributes {
                                        row.transaction.set_attribute(name, value);
                                    }
                                }
                                RawObject::Null if !again => {}
                                _ => row.transaction.attributes_malformed = true,
                            }
                        }
                        Key::Attribute(name) => {
                            row.transaction.set_attribute(Cow::Owned(name), entries.next_value()?);
                        }
                        Key::Processor => row.processor = entries.next_value()?,
                        Key::Label => row.label = entries.next_value()?,
                        Key::LabelTime => row.label_time = entries.next_value()?,
                        Key::Unknown => {
                            entries.next_value::<IgnoredAny>()?;
                            row.transaction.unknown_fields += 1;
                        }
                    }
                }
                Ok(row)
            }
        }
        deserializer.deserialize_map(RowVisitor)
    }
}
