//! Tables of messages: how a case is written, and the body it stands for.

use gavel::scoring::{
    field::{AttributeSchema, FieldType},
    wire::Route,
};

/// Where the messages come from, by their subject.
pub(crate) const ROUTE: Route<'_> = Route { processor: "p1", card: Some("c_4f2") };

pub(crate) fn schema() -> AttributeSchema {
    let kinds = [
        ("basket_size", FieldType::Integer),
        ("category", FieldType::Text),
        ("gift", FieldType::Boolean),
        ("origin", FieldType::Country),
        ("since", FieldType::Time),
        ("weight", FieldType::Number),
    ];
    AttributeSchema::new(kinds.map(|(key, kind)| (key.to_owned(), kind)))
}

/// A case of a table: how it is written, and what is expected of it.
pub(crate) struct Case {
    pub(crate) written: String,
    pub(crate) expected: String,
}

/// The cases of a table: a line each, and what is expected behind `->` on the next lines.
pub(crate) fn cases(table: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix("  -> ") {
            Some(expected) => {
                let case = cases.last_mut().expect("a case comes before what is expected of it");
                case.expected.extend(["\n  -> ", expected]);
            }
            None => cases.push(Case { written: line.to_owned(), expected: String::new() }),
        }
    }
    cases
}

/// The body that a case stands for: a good one with fields changed, or a body as it is.
pub(crate) fn body(written: &str, good: &[(&str, &str)]) -> String {
    if let Some(raw) = written.strip_prefix("raw") {
        return raw.trim_start().to_owned();
    }
    let mut fields: Vec<(String, String)> =
        good.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned())).collect();
    for change in written.split("; ").filter(|change| !change.is_empty()) {
        if let Some(name) = change.strip_prefix('-') {
            fields.retain(|(known, _)| known != name);
            continue;
        }
        let (name, json) = change.split_once('=').expect("a change is `field=json`");
        match fields.iter_mut().find(|(known, _)| known == name) {
            Some((_, value)) => json.clone_into(value),
            None => fields.push((name.to_owned(), json.to_owned())),
        }
    }
    let fields: Vec<String> = fields.iter().map(|(name, json)| format!("\"{name}\":{json}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// A good one, by field.
pub(crate) const GOOD_TRANSACTION: &[(&str, &str)] = &[
    ("id", "\"t-91\""),
    ("time", "\"2018-07-25T10:15:30.123Z\""),
    ("card", "\"c_4f2\""),
    ("amount", "4599"),
    ("currency", "\"EUR\""),
];

/// A good one, by field.
pub(crate) const GOOD_OUTCOME: &[(&str, &str)] = &[
    ("id", "\"t-91\""),
    ("card", "\"c_4f2\""),
    ("time", "\"2018-07-25T10:15:31Z\""),
    ("outcome", "\"approved\""),
    ("amount", "4599"),
    ("response_code", "\"00\""),
];

/// A good one, by field.
pub(crate) const GOOD_LABEL: &[(&str, &str)] = &[
    ("id", "\"t-91\""),
    ("card", "\"c_4f2\""),
    ("time", "\"2018-08-01T00:00:00Z\""),
    ("label", "\"fraud\""),
    ("source", "\"chargeback\""),
];

/// A good one, by field.
pub(crate) const GOOD_LIST_CHANGE: &[(&str, &str)] = &[
    ("value", "\"c_4f2\""),
    ("action", "\"add\""),
    ("expires", "\"2018-08-01T00:00:00Z\""),
    ("comment", "\"spree\""),
    ("by", "\"ada\""),
];
