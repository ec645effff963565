//! What is done with made-up bytes: by the fuzzer, and by the gate with the committed corpus and with changes to it. It
//! judges nothing but that none of it panics or runs away.

#![allow(dead_code, reason = "each fuzz target uses one of them")]

use std::{collections::BTreeMap, io, num::NonZero};

use gavel::{
    commands::check::check,
    durability::{
        replay::{self, Replayed},
        segment::{Framing, push_header},
        snapshot,
        storage::Storage,
    },
    scoring::{
        expression::{CodedFields, Compiler, ConditionId, Environment, FeatureId, Scope, explain},
        field::{AttributeSchema, FieldType},
        lists::Lists,
        model::Model,
        money::Currency,
        plan::AggregateValue,
        registry::Registry,
        release::{Models, Release},
        rules::{RuleSources, SourceFile, find_code, parse},
        scorer::{Input, Output, Scorer},
        settings::Settings,
        time::Timestamp,
        transaction::Transaction,
        verdict::Tier,
        windows::Windows,
        wire::{Route, decode_transaction},
    },
};

pub(crate) fn settings() -> Settings {
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
            codes: CodedFields::of(&transaction),
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
    sources.files.push(SourceFile::new("rules/made-up.toml", text.to_owned()));
    for diagnostic in check(sources, &settings()).diagnostics {
        assert!(find_code(diagnostic.code).is_some(), "{} is in the registry", diagnostic.code);
        assert!(!diagnostic.render(false).is_empty());
    }
}

/// A transaction from its bytes to a verdict.
pub(crate) fn transaction(bytes: &[u8]) {
    let settings = settings();
    let route = Route { processor: "p1", card: None };
    match decode_transaction(bytes, route, &settings.schema) {
        Ok(transaction) => {
            let mut scorer = scorer();
            match scorer.apply(Input::Transaction { transaction: &transaction, tier: Tier::Full }) {
                Output::Verdict { body, .. } => {
                    serde_json::from_slice::<serde_json::Value>(body).expect("a verdict is JSON");
                }
                _ => panic!("what was decoded is scored"),
            }
        }
        Err(refusal) => assert!(!refusal.code.is_empty() && !refusal.message.is_empty(), "a refusal says why"),
    }
}

/// A model file from its bytes to a probability: as they are, and with the lengths and the hash that fit them.
pub(crate) fn model(bytes: &[u8]) {
    score(bytes);
    score(&sealed_model(bytes));
}

fn score(bytes: &[u8]) {
    let Ok(model) = Model::read(bytes) else { return };
    let mut contributions = Vec::new();
    for value in [None, Some(0.0), Some(-1e300), Some(f64::MAX), Some(0.5)] {
        let features = vec![value; model.features().len()];
        let probability = model.probability(&features);
        assert!((0.0..=1.0).contains(&probability), "{probability} is a probability");
        let explained = model.explain(&features, &mut contributions);
        assert!(probability.to_bits() == explained.to_bits(), "{probability} is {explained} with reasons");
    }
}

/// The first line and the last made again for whatever stands between them.
fn sealed_model(bytes: &[u8]) -> Vec<u8> {
    const HASH_LINE: usize = "\nblake3 \n".len() + 64;
    let start = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let body = bytes.get(start..bytes.len().saturating_sub(HASH_LINE)).unwrap_or_default();
    // The header is JSON of several lines, the last of which is its closing brace alone.
    let header = body.windows(3).position(|bytes| bytes == b"\n}\n").map_or(0, |place| place + 2);
    let mut sealed = format!("gavel-model 1 {header} {}\n", body.len().saturating_sub(header + 1)).into_bytes();
    sealed.extend_from_slice(body);
    let hash = blake3::hash(&sealed).to_hex();
    sealed.extend_from_slice(format!("\nblake3 {hash}\n").as_bytes());
    sealed
}

/// A file of a journal from its bytes to the windows it fills: as it is, and its parts as records under good checksums,
/// each with its length in two bytes before it.
pub(crate) fn journal(bytes: &[u8]) {
    restore(bytes.to_vec());
    let mut framing = Framing::default();
    let mut rest = bytes;
    for sequence in 1.. {
        let Some((length, after)) = rest.split_first_chunk::<2>() else { break };
        let (record, after) = after.split_at(after.len().min(usize::from(u16::from_le_bytes(*length))));
        framing.add(sequence, true, |out| out.extend_from_slice(record));
        rest = after;
    }
    framing.close();
    let mut file = Vec::new();
    push_header(&mut file, 1);
    file.extend_from_slice(framing.bytes());
    restore(file);
}

fn restore(file: Vec<u8>) {
    let mut scorer = scorer();
    let schema = scorer.release().settings.schema.clone();
    let mut replayed = Replayed::default();
    let mut storage = OneFile { name: replay::file_name(1, 0), file };
    // Damage is told; a file of another version is an error.
    let _ = replay::read(&mut storage, &schema, 0, |_, record, reading| {
        replay::restore(&mut scorer, &record, reading, &mut replayed);
        true
    });
}

/// A snapshot from its bytes to a scorer's past: as it is, and what follows the first byte as windows or as the
/// transactions that are remembered, which no checksum guards.
pub(crate) fn snapshot(bytes: &[u8]) {
    let mut scorer = scorer();
    // Damage is told, and leaves the scorer as it was.
    let _ = snapshot::load(&mut scorer, bytes, NonZero::<usize>::MIN);
    let Some((kind, rest)) = bytes.split_first() else { return };
    let release = scorer.release();
    let (settings, mut again) = (&release.settings, Vec::new());
    if kind % 2 == 0 {
        if let Ok(registry) = Registry::load(&settings.windows, rest) {
            registry.save(&mut again);
        }
    } else if let Ok(windows) = Windows::load(&release.plan, &settings.schema, &settings.windows, rest) {
        windows.save(&mut again);
    }
}

/// A scorer whose few rules ask something of every kind.
pub(crate) fn scorer() -> Scorer {
    const RULES: &str = r#"
[[rule]]
id = "windows"
when = """
count(card, 1h) > 2 or distinct(merchant, (card, device), 1d) > 1 or mean(amount, ip, 7d, prior) > 5 EUR
or stddev(amount, card, 90d) > 5 EUR or frauds(terminal, 7d, delay 1d) > 0 or speed_kmh(card) > 900
or last(country, card) != country or age(email) > 1d or count(card, 1h, where outcome == declined) > 1
or sum(amount, subnet(ip, 24), 1s) > 10 EUR or max(amount, attributes.category, 1d) > 10 EUR
"""
then = "review"
"#;
    let mut sources = RuleSources::default();
    sources.files.push(SourceFile::new("rules/fuzz.toml", RULES.to_owned()));
    let (files, found) = parse(sources, &settings());
    let Ok((release, _)) = Release::compile(settings(), files, Models::default(), found) else {
        panic!("the rules compile");
    };
    Scorer::new(release)
}

/// A disk with one file, which is only read.
struct OneFile {
    name: String,
    file: Vec<u8>,
}

impl Storage for OneFile {
    fn names(&mut self) -> io::Result<Vec<String>> {
        Ok(vec![self.name.clone()])
    }

    fn read(&mut self, _: &str) -> io::Result<Vec<u8>> {
        Ok(self.file.clone())
    }

    fn read_from(&mut self, _: &str, at: u64) -> io::Result<Vec<u8>> {
        Ok(self.file.get(usize::try_from(at).unwrap_or(usize::MAX)..).unwrap_or_default().to_vec())
    }

    fn rename(&mut self, _: &str, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn create(&mut self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn append(&mut self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn cut(&mut self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn begin_sync(&mut self) {}

    fn sync_file(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn poll_sync(&mut self) -> Option<io::Result<()>> {
        None
    }

    fn wait_sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}
