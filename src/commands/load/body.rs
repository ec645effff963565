//! A checked transaction back to the JSON that a processor sends. It checks nothing.

use std::io::Write as _;

use crate::scoring::{
    field::{AttributeSchema, Field, Value},
    transaction::Transaction,
};

/// Appends every field but `id` and `time`, each with a comma before it, and the closing brace.
pub(in crate::commands) fn push_rest(out: &mut Vec<u8>, transaction: &Transaction<'_>, schema: &AttributeSchema) {
    for field in Field::FIXED {
        match field {
            // Where it came from is told by the subject.
            Field::Id | Field::Time | Field::Processor => {}
            Field::Amount => push(out, "amount", Value::Integer(transaction.amount_minor)),
            field => {
                if let Some(value) = transaction.value(*field, None) {
                    push(out, &field.name(schema), value);
                }
            }
        }
    }
    let mut is_first = true;
    for field in schema.fields() {
        let Some(value) = transaction.value(field, None) else { continue };
        out.extend_from_slice(if is_first { b",\"attributes\":{\"" } else { b",\"" });
        is_first = false;
        let name = field.name(schema);
        out.extend_from_slice(name.strip_prefix("attributes.").unwrap_or(&name).as_bytes());
        out.extend_from_slice(b"\":");
        push_value(out, value);
    }
    out.extend_from_slice(if is_first { b"}" } else { b"}}" });
}

fn push(out: &mut Vec<u8>, name: &str, value: Value<'_>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    push_value(out, value);
}

// Writing to memory cannot fail.
fn push_value(out: &mut Vec<u8>, value: Value<'_>) {
    let _ = match value {
        Value::Text(text) => serde_json::to_writer(&mut *out, text).map_err(Into::into),
        Value::Integer(number) => write!(out, "{number}"),
        Value::Millionths(number) => {
            let sign = if number < 0 { "-" } else { "" };
            write!(out, "{sign}{}.{:06}", number.unsigned_abs() / 1_000_000, number.unsigned_abs() % 1_000_000)
        }
        Value::Real(number) => serde_json::to_writer(&mut *out, &number).map_err(Into::into),
        Value::Boolean(truth) => write!(out, "{truth}"),
        Value::Country(country) => write!(out, "\"{}\"", country.code()),
        Value::Currency(currency) => write!(out, "\"{}\"", currency.code()),
        Value::Mcc(code) => write!(out, "\"{code:04}\""),
        Value::Time(time) => write!(out, "\"{time}\""),
        Value::Ip(address) => write!(out, "\"{address}\""),
    };
}
