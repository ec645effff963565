//! What live quality says of a stream is what `gavel backtest` and `gavel evaluate` say of the same rows. It starts no
//! service.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use gavel::{
    config::{Config, Flags},
    data::Rows,
    loading::load_release,
    quality::{LineUp, Notes, QualitySettings, Report, SubjectReport, Watch},
    scoring::{
        scorer::{Input, Output, Scorer},
        time::DAY_MS,
        transaction::{Label, LabelKind, TransactionType},
        verdict::Tier,
    },
    simulation::{Simulation, SimulationSettings},
};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a command prints as JSON about a file.
fn told(folder: &Path, arguments: &[&str]) -> Value {
    let config = root().join("models/recipe.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_gavel"))
        .current_dir(folder)
        .args(arguments)
        .args(["--in", "in.jsonl", "--json", "--config"])
        .arg(config)
        .arg("--model")
        .arg(root().join("models/gavel.model"))
        .output()
        .expect("gavel runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The same rows with their labels as a service meets them.
fn live(file: &Path) -> Report {
    let flags = Flags {
        config: Some(root().join("models/recipe.toml")),
        rules: Some(root().join("rules")),
        model: Some(root().join("models/gavel.model")),
        ..Flags::default()
    };
    let config = Config::load(&flags).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    let release = load_release(&config).unwrap_or_else(|error| panic!("{}", error.render(false))).release;
    let mut rows = Rows::open(file, &release.settings.schema).expect("it opens");
    let mut watch = Watch::new(QualitySettings { windows_ms: vec![90 * DAY_MS], ..QualitySettings::default() });
    let mut notes = Notes::default();
    notes.line_up(Arc::new(LineUp::of(&release)));
    let mut scorer = Scorer::new(release);
    let mut pending: Vec<Label<'static>> = Vec::new();
    while let Some(row) = rows.next_row().expect("it reads") {
        let Ok(transaction) = &row.transaction else { continue };
        // A label acts at its time, as the commands let it.
        pending.sort_by_key(|label| label.time);
        let due = pending.partition_point(|label| label.time <= transaction.time);
        for label in pending.drain(..due) {
            scorer.apply(Input::Label(&label));
            notes.label(&label);
        }
        let tier = Tier::Full;
        if matches!(scorer.apply(Input::Transaction { transaction, tier }), Output::Verdict { .. }) {
            notes.judged(&mut scorer, transaction, tier);
            let kind = if row.label == Some(true) { LabelKind::Fraud } else { LabelKind::Legit };
            let (time, whole) = (row.label_time.expect("the simulation says"), transaction.clone().into_owned());
            pending.push(Label { processor: whole.processor, card: whole.card, id: whole.id, time, kind });
            // In the end legitimate refunds are only refunds.
            assert!(transaction.kind != TransactionType::Refund || row.label == Some(false));
        }
        watch.take(&notes);
        notes.clear();
    }
    for label in &pending {
        notes.label(label);
    }
    watch.take(&notes);
    watch.report()
}

/// Compares a subject with what a command says: frauds and others that it stopped, frauds that it did not.
fn check(subject: &SubjectReport, found: [(&Value, &Value); 3]) {
    let SubjectReport { kind, name, at, caught, missed, wrongly_stopped, .. } = subject;
    for ((transactions, amount), volume) in found.into_iter().zip([caught, missed, wrongly_stopped]) {
        assert_eq!(transactions.as_u64(), Some(volume.transactions), "{kind} {name} {at}");
        if !amount.is_null() {
            assert_eq!(amount.as_i64().map(i128::from), Some(volume.amount_minor), "{kind} {name} {at}");
        }
    }
}

fn close(found: Option<f64>, told: &Value, what: &str) {
    match (found, told.as_f64()) {
        (Some(found), Some(told)) => assert!((found - told).abs() < 1e-12, "{what}: {found}, {told}"),
        (found, told) => assert_eq!(found, told, "{what}"),
    }
}

#[test]
fn live_quality_is_that_of_backtest_and_evaluate() {
    let folder = tempfile::tempdir().expect("a folder");
    let file: PathBuf = folder.path().join("in.jsonl");
    let settings = SimulationSettings { cards: 400, days: 30, ..SimulationSettings::new(11) };
    let mut text = Vec::new();
    for row in Simulation::new(settings).expect("the settings make a stream") {
        row.write_json(&mut text);
        text.push(b'\n');
    }
    fs::write(&file, text).expect("written");
    let report = live(&file);
    let subject = |kind: &str, name: &str, at: &str| -> &SubjectReport {
        let is_it = |subject: &&SubjectReport| subject.kind == kind && &*subject.name == name && subject.at == at;
        report.subjects.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name} {at}"))
    };

    let rules = root().join("rules").display().to_string();
    let backtest = told(folder.path(), &["backtest", "--rules", &rules]);
    let (set, all) = (&backtest["rule_sets"][0], &backtest["all"]["fraud"]);
    let both = |part: &Value, class: &str| (part[class]["transactions"].clone(), part[class]["amount_minor"].clone());
    let pair = |(transactions, amount): &(Value, Value)| (transactions.clone(), amount.clone());
    let denied = (both(&set["denied"], "fraud"), both(&set["denied"], "legitimate"));
    let rest = |part: &(Value, Value)| {
        let less = |all: &Value, part: &Value| Value::from(all.as_i64().unwrap_or(-1) - part.as_i64().unwrap_or(-1));
        (less(&all["transactions"], &part.0), less(&all["amount_minor"], &part.1))
    };
    let missed = rest(&denied.0);
    let found = [pair(&denied.0), missed, pair(&denied.1)];
    check(subject("verdict", "all", "deny"), found.each_ref().map(|(transactions, amount)| (transactions, amount)));
    let mut fired = 0;
    for (rule, told) in set["rules"].as_object().expect("rules") {
        let (caught, wrongly) = (both(&told["hits"], "fraud"), both(&told["hits"], "legitimate"));
        let found = [caught.clone(), rest(&caught), wrongly];
        let live = subject("rule", rule, "fired");
        check(live, found.each_ref().map(|(transactions, amount)| (transactions, amount)));
        close(live.precision(), &told["precision"], rule);
        close(live.recall(), &told["recall"], rule);
        fired += u64::from(live.caught.transactions > 0);
    }
    assert!(fired > 3, "{fired} rules caught something");

    let evaluate = told(folder.path(), &["evaluate", "--resamples", "0"]);
    let version = evaluate["model"]["version"].as_str().expect("a version");
    for told in evaluate["at_thresholds"].as_array().expect("thresholds") {
        let live = subject("model", version, told["verdict"].as_str().expect("a verdict"));
        let nothing = Value::Null;
        check(live, ["caught", "missed", "wrongly_stopped"].map(|what| (&told[what], &nothing)));
        close(live.precision(), &told["precision"], "precision");
        close(live.recall(), &told["recall"], "recall");
        assert!(live.caught.transactions > 10, "{live:?}");
    }
}
