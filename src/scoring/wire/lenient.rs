//! JSON that is good, with texts or numbers that nothing can hold: half a surrogate pair, a number beyond all doubles. What
//! is of no use is one field's value, and not the message. It is slower than the strict pass, and runs only after it.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::raw::{Name, Raw, RawFields, RawObject, RawTransaction, field_of_body, put};

/// Fills a transaction. `None` if it is not JSON, or no object.
pub(super) fn read_leniently<'a>(body: &'a [u8], raw: &mut RawTransaction<'a>) -> Option<()> {
    for (name, value) in read_entries(body)? {
        match field_of_body(&name) {
            Some(field) => raw.set(field, value.raw()),
            None if name == "attributes" => raw.set_attributes(value.object()),
            None => raw.unknown_fields += 1,
        }
    }
    Some(())
}

/// The entries of an object; a key that cannot be read is empty. `None` if it is not JSON, or no object.
pub fn read_entries(body: &[u8]) -> Option<Vec<(Cow<'_, str>, Written<'_>)>> {
    let Entries(entries) = serde_json::from_slice(body).ok()?;
    let named = |(key, value)| (name_of(key).map(|Name(name)| name).unwrap_or_default(), Written(value));
    Some(entries.into_iter().map(named).collect())
}

/// A value as it is written.
#[derive(Clone, Copy)]
pub struct Written<'a>(&'a RawValue);

impl<'a> Written<'a> {
    /// As what a field holds.
    pub fn raw(self) -> Raw<'a> {
        value_of(self.0)
    }

    /// As what `attributes` holds.
    pub fn object(self) -> RawObject<'a> {
        object_of(self.0)
    }
}

/// An object's keys and values, each as it is written.
struct Entries<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    all.push(entry);
                }
                Ok(Entries(all))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

fn name_of(key: &RawValue) -> Option<Name<'_>> {
    serde_json::from_str(key.get()).ok()
}

fn value_of(value: &RawValue) -> Raw<'_> {
    serde_json::from_str(value.get()).unwrap_or(Raw::Unreadable)
}

fn object_of(value: &RawValue) -> RawObject<'_> {
    let Ok(Entries(entries)) = serde_json::from_str(value.get()) else {
        return serde_json::from_str(value.get()).unwrap_or(RawObject::Other);
    };
    let mut fields = RawFields::new();
    for (key, value) in entries {
        // Nothing declares an attribute whose name cannot be read.
        if let Some(Name(name)) = name_of(key) {
            put(&mut fields, name, value_of(value));
        }
    }
    RawObject::Fields(fields)
}
