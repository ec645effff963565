//! A transaction's fields as they came, before any check: from one pass over JSON, or from columns.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

use crate::scoring::field::Field;

/// A value as it came.
#[derive(Clone, Default)]
pub enum Raw<'a> {
    /// The message does not have it.
    #[default]
    Absent,
    /// It is `null`.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number that fits in 64 bits.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// An array.
    Array,
    /// An object.
    Object,
    /// The message has it twice.
    Repeated,
    /// A text with half a surrogate pair, a number beyond all doubles, or arrays in arrays without end.
    Unreadable,
}

impl Raw<'_> {
    /// What was found, without the value itself.
    pub fn found(&self) -> &'static str {
        match self {
            Self::Absent => "missing",
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Real(_) => "a number that is not an integer of 64 bits",
            Self::Text(text) if text.is_empty() => "an empty text",
            Self::Text(_) => "a text",
            Self::Array => "an array",
            Self::Object => "an object",
            Self::Repeated => "there twice",
            Self::Unreadable => "a value that no text and no number can hold",
        }
    }

    /// Whether there is nothing to check: absent or `null`.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }

    fn put(&mut self, value: Self) {
        *self = if matches!(self, Self::Absent) { value } else { Self::Repeated };
    }
}

/// Fields by name as they came, in their order, each name once.
pub type RawFields<'a> = SmallVec<[(Cow<'a, str>, Raw<'a>); 4]>;

pub(super) fn put<'a>(fields: &mut RawFields<'a>, name: Cow<'a, str>, value: Raw<'a>) {
    match fields.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) => known.put(value),
        None => fields.push((name, value)),
    }
}

/// The field that a name stands for in a body. The processor is part of the subject; a body cannot name another.
pub(super) fn field_of_body(name: &str) -> Option<Field> {
    Field::from_name(name).filter(|field| *field != Field::Processor)
}

const FIELDS: usize = Field::FIXED.len();

/// The fields of a transaction as they came.
pub struct RawTransaction<'a> {
    fields: [Raw<'a>; FIELDS],
    /// The keys of `attributes` as they came, in their order.
    pub attributes: RawFields<'a>,
    /// Whether `attributes` was there and was no object.
    pub attributes_malformed: bool,
    attributes_seen: bool,
    /// How many fields no contract names.
    pub unknown_fields: u32,
    /// Whether numbers and booleans may stand as text, as they do in columns.
    pub from_columns: bool,
}

impl<'a> RawTransaction<'a> {
    /// A transaction without any field, to be filled from JSON.
    pub fn new() -> Self {
        Self {
            fields: [const { Raw::Absent }; FIELDS],
            attributes: SmallVec::new(),
            attributes_malformed: false,
            attributes_seen: false,
            unknown_fields: 0,
            from_columns: false,
        }
    }

    /// A transaction without any field, to be filled from columns: an empty column is an absent field.
    pub fn from_columns() -> Self {
        Self { from_columns: true, ..Self::new() }
    }

    /// What a fixed field holds.
    pub fn field(&self, field: Field) -> &Raw<'a> {
        &self.fields[field.index()]
    }

    /// Takes what a fixed field holds.
    pub fn take(&mut self, field: Field) -> Raw<'a> {
        std::mem::take(&mut self.fields[field.index()])
    }

    /// Sets a fixed field; a second value makes it `Repeated`.
    pub fn set(&mut self, field: Field, value: Raw<'a>) {
        self.fields[field.index()].put(value);
    }

    /// Sets all attributes, beside those that were set one by one; a second time makes them malformed.
    pub fn set_attributes(&mut self, attributes: RawObject<'a>) {
        let again = std::mem::replace(&mut self.attributes_seen, true);
        match attributes {
            RawObject::Fields(attributes) if !again && self.attributes.is_empty() => self.attributes = attributes,
            RawObject::Fields(attributes) if !again => {
                attributes.into_iter().for_each(|(name, value)| self.set_attribute(name, value));
            }
            RawObject::Null if !again => {}
            _ => self.attributes_malformed = true,
        }
    }

    /// Sets an attribute; a second value makes it `Repeated`.
    pub fn set_attribute(&mut self, key: Cow<'a, str>, value: Raw<'a>) {
        put(&mut self.attributes, key, value);
    }
}

impl Default for RawTransaction<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw<'de>, E> {
        Ok(Raw::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw<'de>, E> {
        Ok(Raw::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw<'de>, E> {
        Ok(i64::try_from(value).map_or(Raw::Real(value as f64), Raw::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw<'de>, E> {
        Ok(Raw::Real(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Raw<'de>, E> {
        Ok(Raw::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw<'de>, E> {
        Ok(Raw::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Raw<'de>, E> {
        Ok(Raw::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Raw::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw<'de>, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Raw::Object)
    }
}

/// A key, borrowed where JSON has no escapes in it.
pub(super) struct Name<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(value.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// Fills a transaction in place: it is too large to be handed up from call to call.
impl<'de> DeserializeSeed<'de> for &mut RawTransaction<'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut RawTransaction<'de> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = entries.next_key()? {
            match field_of_body(&name) {
                Some(field) => self.set(field, entries.next_value()?),
                None if name == "attributes" => self.set_attributes(entries.next_value()?),
                None => {
                    entries.next_value::<IgnoredAny>()?;
                    self.unknown_fields += 1;
                }
            }
        }
        Ok(())
    }
}

/// A flat object as it came.
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for the length of one decode")]
pub enum RawObject<'a> {
    /// An object.
    Fields(RawFields<'a>),
    /// `null`.
    Null,
    /// Anything else.
    Other,
}

impl<'a> RawObject<'a> {
    /// Takes a field of an object.
    pub fn take(&mut self, name: &str) -> Raw<'a> {
        let Self::Fields(fields) = self else { return Raw::Absent };
        fields.iter_mut().find(|(known, _)| known == name).map_or(Raw::Absent, |(_, value)| std::mem::take(value))
    }
}

impl<'de> Deserialize<'de> for RawObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = RawObject<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("any value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut fields = RawFields::new();
                while let Some(Name(name)) = entries.next_key()? {
                    put(&mut fields, name, entries.next_value()?);
                }
                Ok(RawObject::Fields(fields))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(RawObject::Null)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(RawObject::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(RawObject::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(RawObject::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(RawObject::Other)
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(RawObject::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(RawObject::Other)
            }
        }
        deserializer.deserialize_any(ObjectVisitor)
    }
}
