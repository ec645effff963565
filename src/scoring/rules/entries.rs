//! Entries of lists that can be no value of the field they are tested with: they never match. It keeps nothing from
//! loading.

use std::{collections::BTreeSet, net::IpAddr};

use super::tokens::tokens;
use crate::scoring::{
    field::{AttributeSchema, Field, FieldType},
    lists::{LineProblem, unlike_lines},
    money::{Country, Currency},
    transaction::Code,
};

/// The fields that an expression tests against a list by its name.
pub(super) fn tested_fields(expression: &str, list: &str) -> BTreeSet<Field> {
    let words = tokens(expression);
    let name = format!("\"{list}\"");
    let is_test = |after: &[&str]| matches!(after, ["in", "list", "(", tested, ..] if *tested == name);
    let fields = words.iter().enumerate().filter(|(at, _)| {
        let after = &words[at + 1..];
        is_test(after.strip_prefix(&["not"]).unwrap_or(after))
    });
    // Of `attributes.category` only the key stands before `in`, and attributes are text or checked by nobody.
    let fixed = fields.filter(|(at, _)| *at == 0 || words[at - 1] != ".");
    fixed.filter_map(|(_, word)| Field::from_name(word)).collect()
}

/// The lines of a list's file whose value the field cannot have.
pub(super) fn never_equal(bytes: &[u8], field: Field) -> Vec<LineProblem> {
    let schema = AttributeSchema::default();
    let name = field.name(&schema);
    let (is_alike, what): (fn(FieldType, &str) -> bool, _) = match field.field_type(&schema) {
        FieldType::Country => (|_, value| Country::from_code(value).is_some(), "no country of ISO 3166-1 alpha-2"),
        FieldType::Currency => (|_, value| Currency::from_code(value).is_some(), "no currency of ISO 4217"),
        FieldType::Mcc => (|_, value| value.len() == 4 && is_digits(value), "no MCC, which has four digits"),
        FieldType::Ip => (|_, value| is_network(value), "no IP address and no network"),
        FieldType::Code(_) => (is_code, "none of its codes"),
        _ if field == Field::Bin => {
            (|_, value| (6..=8).contains(&value.len()) && is_digits(value), "no BIN, which has six to eight digits")
        }
        _ => return Vec::new(),
    };
    let kind = field.field_type(&schema);
    unlike_lines(bytes, |value| {
        let meant = match kind {
            FieldType::Country => Country::meant_by(value),
            FieldType::Currency => Currency::meant_by(value),
            _ => None,
        };
        let hint = meant.map(|meant| format!("did you mean `{meant}`?"));
        (!is_alike(kind, value)).then(|| (format!("the value is {what}, and a rule tests `{name}`"), hint))
    })
}

fn is_digits(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_code(kind: FieldType, value: &str) -> bool {
    matches!(kind, FieldType::Code(codes) if Code::find(codes, value).is_some())
}

fn is_network(value: &str) -> bool {
    let (address, prefix) = value.split_once('/').map_or((value, None), |(address, prefix)| (address, Some(prefix)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| is_digits(prefix) && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= bits_max))
}
