//! The JSON Schema of rule files, so that editors complete keys and values. It checks nothing.

use serde_json::{Value, json};

use super::source::RuleMode;
use crate::scoring::{field::TYPES, lists::TableType, verdict::Decision};

const KEBAB_CASE: &str = "^[a-z0-9]+(-[a-z0-9]+)*$";

/// The JSON Schema of a rule file.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Gavel rule file",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "define": {
                "type": "object",
                "propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"},
                "additionalProperties": {"type": "string"},
                "description": "Names for expressions, usable in any file.",
            },
            "rule": {"type": "array", "items": rule()},
            "list": {"type": "array", "items": list()},
            "table": {"type": "array", "items": table()},
        },
    })
}

fn id(description: &str) -> Value {
    json!({"type": "string", "pattern": KEBAB_CASE, "maxLength": 64, "description": description})
}

fn file() -> Value {
    json!({"type": "string", "description": "A path relative to the rule file."})
}

fn list() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["id", "file"],
        "properties": {"id": id("Unique over all rule files."), "file": file()},
    })
}

fn table() -> Value {
    let types = TableType::ALL.map(|(name, _)| name);
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["id", "file", "type"],
        "properties": {
            "id": id("Unique over all rule files."),
            "file": file(),
            "type": {"enum": types, "description": "The type of its values."},
        },
    })
}

fn example() -> Value {
    let last: Vec<&str> = Decision::ALL.map(Decision::name).into_iter().chain(["none"]).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["transactions"],
        "anyOf": [{"required": ["last"]}, {"required": ["fires"]}],
        "properties": {
            "transactions": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string"},
                "description": "One line each, such as `9 x card=A amount=1.00EUR every 30s`.",
            },
            "last": {
                "enum": last,
                "description": "What this rule alone must decide of the last transaction; `none` if it must not fire.",
            },
            "fires": {
                "type": "array",
                "items": {"type": "integer", "minimum": 1},
                "description": "The numbers of the transactions at which this rule must fire, counted from 1.",
            },
            "lists": {
                "type": "object",
                "additionalProperties": {"type": "array", "items": {"type": "string"}},
                "description": "Lists that hold other entries than their files in this example.",
            },
        },
    })
}

fn rule() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["id", "when", "then"],
        "properties": {
            "id": id("Unique over all rule files."),
            "description": {"type": "string", "description": "For people."},
            "when": {"type": "string", "description": "The condition, in the rule language."},
            "then": {"enum": Decision::ALL.map(Decision::name), "description": "What the rule decides where it fires."},
            "types": {
                "type": "array",
                "minItems": 1,
                "items": {"enum": TYPES},
                "default": ["authorization", "verification", "incremental"],
                "description": "The transactions that the rule looks at.",
            },
            "tags": {
                "type": "array",
                "items": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,64}$"},
                "default": [],
                "description": "Echoed in the verdict where the rule decides.",
            },
            "mode": {
                "enum": RuleMode::ALL.map(RuleMode::name),
                "default": "live",
                "description": "`shadow` is evaluated and flagged and never decides; `off` is only checked.",
            },
            "rollout": {
                "type": "integer",
                "minimum": 0,
                "maximum": 100,
                "default": 100,
                "description": "Percent of cards, by a stable hash of the card and the rule.",
            },
            "override": {
                "type": "boolean",
                "default": false,
                "description": "For rules that deny: no approve rule lifts the denial.",
            },
            "example": {"type": "array", "items": example(), "description": "Run by `gavel check`."},
        },
    })
}
