//! Rule files as data: what they say, and what is wrong with them.

use std::{collections::BTreeMap, sync::Arc};

use super::*;
use crate::scoring::{
    lists::TableType, money::Currency, settings::Settings, time::Timestamp, transaction::TransactionType,
    verdict::Decision,
};

pub(super) fn settings() -> Settings {
    Settings::default_for(Currency::from_code("EUR").expect("EUR"))
}

pub(super) fn sources(files: &[(&str, &str)]) -> RuleSources {
    let (tables, data): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| name.strip_suffix(".toml").is_some());
    let file = |(name, text): &(&str, &str)| SourceFile::new(format!("rules/{name}"), (*text).into());
    RuleSources {
        files: tables.into_iter().map(file).collect(),
        unreadable: BTreeMap::new(),
        data: data
            .into_iter()
            .map(|(name, text)| ((*name).to_owned(), Ok(Data::read(text.as_bytes().to_vec()))))
            .collect(),
    }
}

const WHOLE: &str = r#"
[define]
risky_mcc = 'mcc in ["7995", "6051", "4829"]'

[[rule]]
id = "card-testing"
description = "Many small authorisations on one card"
when = "amount < 5 EUR and count(card, 10m) > 8"
then = "deny"
types = ["authorization", "refund", "authorization"]
tags = ["b", "a", "b"]
mode = "shadow"
rollout = 5
override = true

[[rule.example]]
transactions = [
  "9 x card=A amount=1.00EUR every 30s",
]
last = "deny"

[[rule.example]]
transactions = ["card=A", "card=B"]
fires = [2, 1]
lists = { blocked-bins = ["400000"] }

[[list]]
id = "blocked-bins"
file = "lists/bins.csv"

[[table]]
id = "limits"
file = "limits.csv"
type = "money"
"#;

#[test]
fn a_file_is_read_whole() {
    let files = [("a.toml", WHOLE), ("lists/bins.csv", "411111\n"), ("limits.csv", "m_1,500 EUR\n")];
    let sources = sources(&files);
    let named = [("limits.csv".to_owned(), true), ("lists/bins.csv".to_owned(), false)];
    assert_eq!(data_files(&sources.files), named.into());
    let (files, diagnostics) = parse(sources, &settings());
    assert_eq!(diagnostics, []);
    let [rule] = files.rules() else { panic!("one rule") };
    assert_eq!((&*rule.id, rule.then, rule.mode, rule.rollout), ("card-testing", Decision::Deny, RuleMode::Shadow, 5));
    assert!(rule.overrides && rule.types.contains(TransactionType::Refund));
    assert!(!rule.types.contains(TransactionType::Verification));
    assert_eq!(rule.tags, [Arc::from("a"), Arc::from("b")]);
    let [first, second] = &rule.examples[..] else { panic!("two examples") };
    let last = first.last.as_ref().map(|(last, place)| (*last, place.line));
    assert_eq!((first.events.len(), last), (9, Some((LastVerdict::Decision(Decision::Deny), 20))));
    let fires = second.fires.as_ref().map(|(fires, _)| fires.as_slice());
    assert_eq!((fires, second.lists["blocked-bins"].len()), (Some(&[1, 2][..]), 1));
    let id = files.lists().find("blocked-bins").expect("a list");
    assert!(files.lists().contains(id, "411111", Timestamp::from_unix_ms(0).expect("a time")));
    assert_eq!(files.lists().find_table("limits").expect("a table").1, TableType::Money);
}

#[test]
fn an_empty_directory_is_an_empty_set() {
    let (files, diagnostics) = parse(RuleSources::default(), &settings());
    assert!(files.rules().is_empty() && diagnostics.is_empty());
}

/// Each line of what is told: `file:line:column code message`, then the hint.
fn told(files: &[(&str, &str)]) -> Vec<String> {
    let (_, diagnostics) = parse(sources(files), &settings());
    let line = |diagnostic: &Diagnostic| {
        let place = &diagnostic.place;
        let hint = diagnostic.hint.as_ref().map_or_else(String::new, |hint| format!(" | {hint}"));
        format!("{}:{}:{} {} {}{hint}", place.file, place.line, place.column, diagnostic.code, diagnostic.message)
    };
    diagnostics.iter().map(line).collect()
}

#[test]
fn every_error_of_every_file_is_told_at_once() {
    let told = told(&[
        ("b.toml", "[[rule]]\nid = \"twice\"\nwhen = \"true\"\nthen = \"dney\"\n"),
        ("a.toml", "[[rule]]\nid = \"twice\"\nwhen = \"true\"\nthen = \"deny\"\nmod = \"live\"\n"),
        ("c.toml", "[[list]]\nid = \"l\"\nfile = \"l.csv\"\n[[rule]\nid = 3\n"),
        ("l.csv", "ok\nc_1,someday\n"),
    ]);
    assert_eq!(
        told,
        [
            "rules/a.toml:5:1 E301 `mod` is no key of [[rule]] | did you mean `mode`?",
            "rules/b.toml:2:6 E306 the rule `twice` is there twice",
            "rules/b.toml:4:8 E304 `then` is \"dney\", expected `approve`, `deny` or `review` | did you mean `deny`?",
            "rules/c.toml:4:8 E300 unclosed array table, expected `]`",
            "rules/l.csv:2:0 E402 the second column is no date, expected the entry's expiry | write `2026-12-31`, or \
             `value,,comment` for a comment without an expiry",
        ]
    );
}

#[test]
fn the_order_of_files_changes_nothing_that_is_told() {
    let rule = |then: &str| format!("[[rule]]\nid = \"twice\"\nwhen = \"true\"\nthen = \"{then}\"\n");
    let (a, b) = (rule("deny"), rule("nothing"));
    let forward = told(&[("a.toml", &a), ("b.toml", &b)]);
    assert_eq!(forward, told(&[("b.toml", &b), ("a.toml", &a)]));
    assert_eq!(forward.len(), 2);
}

#[test]
fn shown_with_a_caret_and_without_card_numbers() {
    let text = "[[rule]]\nid = \"a\"\nwhen = \"true\"\nthen = \"deny\"\n[[rule.example]]\nlast = \"deny\"\n\
                transactions = [\n  \"card=A\",\n  \"é merchant=m device=4111111111111111\",\n]\n";
    let (_, diagnostics) = parse(sources(&[("a.toml", text)]), &settings());
    insta::assert_snapshot!(diagnostics[0].render(false), @r#"
    error[E501]: `é` is no `field=value`
     --> rules/a.toml:9:4
      |
    9 |   "é merchant=m device=****************",
      |    ^
    "#);
    let text = text.replace("é ", "");
    let (_, diagnostics) = parse(sources(&[("a.toml", &text)]), &settings());
    insta::assert_snapshot!(diagnostics[0].render(false), @r#"
    error[E501]: `device` is a raw card number
     --> rules/a.toml:9:15
      |
    9 |   "merchant=m device=****************",
      |               ^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    assert!(!to_json(&diagnostics).contains("4111"));
}

#[test]
fn the_registry_is_in_order_and_has_no_code_twice() {
    assert!(CODES.is_sorted_by(|left, right| left.code < right.code));
    assert!(find_code("E300").is_some() && find_code("E103").is_some() && find_code("E999").is_none());
    let sources = BTreeMap::from([
        ("parse", include_str!("parse.rs")),
        ("reader", include_str!("reader.rs")),
        ("lint", include_str!("lint.rs")),
        ("lists", include_str!("../lists/file.rs")),
    ]);
    for (name, source) in sources {
        for quoted in source.split('"').filter(|text| text.len() == 4 && text.starts_with(['E', 'W'])) {
            let is_code = quoted[1..].bytes().all(|byte| byte.is_ascii_digit());
            assert!(!is_code || find_code(quoted).is_some(), "{quoted} in {name} has no explanation");
        }
    }
}
