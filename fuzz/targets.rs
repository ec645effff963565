//! What is done with made-up bytes: by the fuzzer, and by the gate with the committed corpus and with changes to it. It
//! judges nothing but that none of it panics or runs away.

#![allow(dead_code, reason = "each fuzz target uses one of them")]

use std::collections::BTreeMap;

use gavel::{
    commands::check::check,
    scoring::{
        expression::{Compiler, ConditionId, Environment, FeatureId, Scope, explain},
        field::{AttributeSchema, FieldType},
        lists::Lists,
        money::Currency,
        plan::AggregateValue,
        rules::{RuleSources, SourceFile, find_code},
        settings::Settings,
        time::Timestamp,
        transaction::Transaction,
    },
};

fn settings() -> Settings {
    let mut settings = Settings::default_for(euro());
    settings.schema = AttributeSchema::new([("category".to_owned(), FieldType::Text)]);
    settings
}

fn euro() -> Currency {
    Currency::from_code("EUR").expect("EUR is in the standard")
}

/// An expression from its text to an answer and the words of a reason.
pub(crate) fn expression(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    let settings = settings();
    let (lists, defines) = (Lists::default(), BTreeMap::new());
    let environment =
        Environment { schema: &settings.schema, rates: &settings.rates, lists: &lists, defines: &defines };
    let mut compiler = Compiler::new(environment);
    let mut findings = Vec::new();
    let condition = compiler.condition(source, &mut findings);
    assert!(condition.is_some() || !findings.is_empty(), "what is refused is told");
    let feature = compiler.feature(source, &mut findings);
    for finding in &findings {
        assert!(source.get(finding.span.clone()).is_some(), "a place is in the text: {:?}", finding.span);
        assert!(explain(finding.code).is_some(), "{} is in the registry", finding.code);
    }
    let (program, plan) = compiler.finish();
    let Some(time) = Timestamp::from_unix_ms(1_532_513_730_123) else { return };
    let transaction = Transaction::plain("t", time, "c", 4_599, euro());
    let mut text = String::new();
    for answer in [AggregateValue::Missing, AggregateValue::Integer(i64::MAX), AggregateValue::Real(-1e308)] {
        let aggregates = vec![answer; plan.aggregates.len()];
        let scope = Scope {
            transaction: &transaction,
            amount_base_minor: Some(4_599),
            aggregates: &aggregates,
            score: None,
            lists: &lists,
        };
        let mut memo = program.memo();
        if condition.is_some() {
            program.condition(ConditionId(0), &scope, &mut memo);
            program.describe(ConditionId(0), &scope, &mut memo, &mut text);
        }
        if feature.is_some() {
            let value = program.feature(FeatureId(0), &scope, &mut memo);
            assert!(value.is_none_or(f64::is_finite), "a feature is finite or missing");
            program.describe_feature(FeatureId(0), &scope, &mut memo, &mut text);
        }
    }
}

/// A rule file from its text to what is told of it.
pub(crate) fn rule_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut sources = RuleSources::default();
    sources.files.push(SourceFile { name: "rules/made-up.toml".into(), text: text.to_owned() });
    for diagnostic in check(sources, &settings()).diagnostics {
        assert!(find_code(diagnostic.code).is_some(), "{} is in the registry", diagnostic.code);
        assert!(!diagnostic.render(false).is_empty());
    }
}
