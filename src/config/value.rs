//! A value of a configuration file, owned, with the places of what it holds. It is not interpreted here.

use toml::de::{DeTable, DeValue};

use super::problem::Place;

/// A TOML value.
#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    /// A whole number beyond 64 bits, outside every range that a key may have.
    Huge,
    Number(f64),
    Boolean(bool),
    Moment,
    List(Vec<(Value, Place)>),
    Table(Vec<Entry>),
}

/// A key of a table and its value.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) value: Value,
    pub(super) value_place: Place,
}

/// The keys of a table, in its order.
pub(super) fn entries_of(table: DeTable<'_>) -> Vec<Entry> {
    let entry = |(key, value): (toml::Spanned<_>, toml::Spanned<_>)| Entry {
        key_place: Place::of_span(key.span()),
        value_place: Place::of_span(value.span()),
        key: String::from(key.into_inner()),
        value: Value::of(value.into_inner()),
    };
    table.into_iter().map(entry).collect()
}

impl Value {
    /// The value that the parser read.
    fn of(value: DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.into_owned()),
            DeValue::Integer(digits) => {
                i64::from_str_radix(digits.as_str(), digits.radix()).map_or(Self::Huge, Self::Integer)
            }
            DeValue::Float(digits) => Self::Number(digits.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(truth) => Self::Boolean(truth),
            DeValue::Datetime(_) => Self::Moment,
            DeValue::Array(items) => Self::List(
                items.into_iter().map(|item| (Self::of(item.get_ref().clone()), Place::of_span(item.span()))).collect(),
            ),
            DeValue::Table(table) => Self::Table(entries_of(table)),
        }
    }

    /// The value that TOML reads in a text; the text itself where it reads none.
    pub(super) fn of_text(text: &str) -> Self {
        match DeValue::parse(text) {
            Ok(value) => Self::of(value.into_inner()),
            Err(_) => Self::Text(text.to_owned()),
        }
    }

    /// The value for messages: text in quotes, numbers as they are, the rest by its kind.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Integer(integer) => integer.to_string(),
            Self::Huge => "a number beyond 64 bits".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Boolean(truth) => truth.to_string(),
            Self::Moment => "a moment".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}
