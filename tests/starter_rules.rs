//! The rules that come with Gavel: they load without a warning, and every one is shown to fire and to leave alone. It
//! judges no real traffic.

use std::path::Path;

use gavel::{
    commands::check::check,
    files::read_rules,
    scoring::{
        money::Currency,
        rules::{Example, LastVerdict, RuleSource, parse},
        settings::Settings,
        verdict::Decision,
    },
};

fn settings() -> Settings {
    Settings::default_for(Currency::from_code("EUR").expect("EUR"))
}

fn fires(rule: &RuleSource, example: &Example) -> bool {
    let last = match example.last {
        Some((LastVerdict::Decision(decision), _)) => decision == rule.then,
        Some((LastVerdict::None, _)) | None => false,
    };
    last || example.fires.as_ref().is_some_and(|(fires, _)| !fires.is_empty())
}

/// Whether an example has a transaction that the rule must leave alone.
fn leaves_alone(rule: &RuleSource, example: &Example) -> bool {
    let last = match example.last {
        Some((LastVerdict::Decision(Decision::Approve), _)) => rule.then != Decision::Approve,
        Some((LastVerdict::None, _)) => true,
        _ => false,
    };
    last || example.fires.as_ref().is_some_and(|(fires, _)| fires.len() < example.events.len())
}

#[test]
fn they_load_without_a_warning_and_their_examples_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let report = check(read_rules(&folder).expect("the folder is there"), &settings());
    let told: Vec<String> = report.diagnostics.iter().map(|diagnostic| diagnostic.render(false)).collect();
    assert!(told.is_empty(), "{}", told.join("\n\n"));
}

#[test]
fn each_has_examples_of_both_kinds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let (files, _) = parse(read_rules(&folder).expect("the folder is there"), &settings());
    assert!(files.rules().len() >= 12);
    for rule in files.rules() {
        assert!(!rule.description.is_empty(), "{} does not say what it is for", rule.id);
        assert!(rule.examples.iter().any(|example| fires(rule, example)), "{} is never shown to fire", rule.id);
        assert!(
            rule.examples.iter().any(|example| leaves_alone(rule, example)),
            "{} is shown to spare nothing",
            rule.id
        );
    }
}
