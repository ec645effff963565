//! The fuzz targets as plain tests: the committed corpus, then changes to it from one seed. A panic is a failure with its
//! input; what hangs is ended by the runner.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::{
    fmt::Write as _,
    fs, panic,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use gavel::{
    durability::{
        position::StreamMark,
        record::{self, ReleaseNote},
        segment::{Framing, push_header},
        snapshot::{self, Head},
    },
    scoring::{
        field::FieldType,
        model::{self, EnsemblePlain, Header, LinearPlain, LinearTerm, Model, Plain, TreeNode, TreePlain},
        money::Currency,
        scorer::Input,
        transaction::{Label, LabelKind, ListChange, Outcome, OutcomeKind},
        verdict::{Decision, Tier},
        wire::{Route, decode_transaction},
    },
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// How long inputs are made of each corpus, in seconds, unless `FUZZ_SECONDS` says otherwise.
const SECONDS: u64 = 30;
/// Changes to one input.
const CHANGES_MAX: usize = 4;
/// What the language and its files are made of.
const WORDS: [&str; 48] = [
    "(",
    ")",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "\\",
    "\n",
    " and ",
    " or ",
    "not ",
    " in ",
    " not in ",
    " starts_with ",
    "==",
    "!=",
    "<",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "amount",
    "count(card, 1h)",
    "where ",
    "prior",
    "delay 7d",
    "score",
    "EUR",
    "5 EUR",
    "9223372036854775807",
    "1e308",
    "0",
    "90d",
    "\"FR\"",
    "list(\"x\")",
    "has(",
    "last(country, card)",
    "attributes.category",
    "[[rule]]\n",
    "[[rule.example]]\n",
    "[define]\n",
    "when = ",
    "then = \"deny\"\n",
    "id = ",
    "\u{e9}",
    "\u{0}",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files(name: &str, ending: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it stays readable").path()).collect();
    paths.retain(|path| path.is_file() && path.to_string_lossy().ends_with(ending));
    paths.sort();
    assert!(!paths.is_empty(), "{name} has a corpus");
    paths.iter().map(|path| fs::read(path).expect("it stays readable")).collect()
}

/// A small model with the header of the shipped one, of every kind of node.
fn small_model() -> Vec<u8> {
    let leaf = |value| TreeNode { feature: 0, threshold: 0.0, right: 0, value };
    let tree = |feature, threshold| TreePlain {
        nodes: vec![
            TreeNode { feature, threshold, right: 2, value: 10 },
            leaf(-1_000_000),
            TreeNode { feature: 0, threshold: -0.5, right: 4, value: 300 },
            leaf(5),
            leaf(2_000_000),
        ],
    };
    let trees = vec![tree(3, 1.5), tree(1, 1e300), TreePlain { nodes: vec![leaf(7)] }];
    model::write(&shipped_header(), &Plain::Ensemble(EnsemblePlain { base: -5_000_000, trees }))
}

fn linear_model() -> Vec<u8> {
    let header = shipped_header();
    let term = LinearTerm { low: -1.0, high: 1e6, mean: 0.5, scale: 2.0, weight: -0.25 };
    let terms = vec![term; header.features.len()];
    model::write(&header, &Plain::Linear(LinearPlain { base: -5_000_000, terms }))
}

fn shipped_header() -> Header {
    let bytes = fs::read(folder("models/gavel.model")).expect("the shipped model");
    Model::read(&bytes).expect("it is good").header().clone()
}

/// A record of every kind.
fn records() -> Vec<Vec<u8>> {
    let note = ReleaseNote {
        engine: "0.1.0".into(),
        rules: "a1b2c3d4e5f6".into(),
        model: None,
        config: "77aa01c2d3e4".into(),
        base: Currency::from_code("EUR").expect("EUR"),
        attributes: vec![("category".into(), FieldType::Text)],
        ending: br#"],"versions":{}}"#.to_vec(),
        looking_up: vec![0x0123_4567_89ab_cdef],
    };
    let (schema, body) = (targets::settings().schema, files("fuzz/corpus/transaction", "full.json").remove(0));
    let route = Route { processor: "p1", card: None };
    let transaction = decode_transaction(&body, route, &schema).unwrap_or_else(|_| panic!("the corpus is good"));
    let names = || ("p1".into(), "c_4f2".into(), "t-91".into());
    let mut all = Vec::new();
    let mut add = |push: &dyn Fn(&mut Vec<u8>)| {
        let mut record = Vec::new();
        push(&mut record);
        all.push(record);
    };
    add(&|out| record::push_release(out, &note));
    add(&|out| {
        let answer = br#"{"id":"t-91","verdict":"deny","flags":[],"versions":{}}"#;
        let decided = (Tier::Full, Decision::Deny);
        record::push_transaction(out, &transaction, decided, Some(4_599), (answer, &note.ending), &[15], &schema);
    });
    add(&|out| {
        let ((processor, card, id), time) = (names(), transaction.time);
        let kind = OutcomeKind::Partial { amount_minor: 1_000 };
        record::push_outcome(out, &Outcome { processor, card, id, time, kind });
    });
    add(&|out| {
        let ((processor, card, id), time) = (names(), transaction.time);
        record::push_label(out, &Label { processor, card, id, time, kind: LabelKind::Fraud });
    });
    add(&|out| {
        let (list, value) = ("blocked".into(), "c_4f2".into());
        let change = ListChange {
            list,
            value,
            add: true,
            expires: Some(transaction.time),
            comment: None,
            by: Some("me".into()),
        };
        record::push_list_change(out, &change);
    });
    all
}

/// As the target takes them: each with its length in two bytes before it.
fn journal_records() -> Vec<u8> {
    let with_length = |record: Vec<u8>| [&(record.len() as u16).to_le_bytes()[..], &record].concat();
    records().into_iter().flat_map(with_length).collect()
}

fn journal_file() -> Vec<u8> {
    let mut framing = Framing::default();
    for (record, sequence) in records().iter().zip(1..) {
        framing.add(sequence, true, |out| out.extend_from_slice(record));
    }
    framing.close();
    let mut file = Vec::new();
    push_header(&mut file, 1);
    file.extend_from_slice(framing.bytes());
    file
}

/// A scorer with some past, as a snapshot, as its windows and as what it remembers.
fn snapshots() -> Vec<Vec<u8>> {
    let mut scorer = targets::scorer();
    let (schema, body) = (targets::settings().schema, files("fuzz/corpus/transaction", "full.json").remove(0));
    let route = Route { processor: "p1", card: None };
    for number in 0..12 {
        let body = String::from_utf8_lossy(&body)
            .replace("t-91", &format!("t-{number}"))
            .replace(":30.", &format!(":{number:02}."));
        let transaction = decode_transaction(body.as_bytes(), route, &schema);
        let transaction = transaction.unwrap_or_else(|_| panic!("the corpus is good"));
        scorer.apply(Input::Transaction { transaction: &transaction, tier: Tier::Full });
    }
    let head = Head {
        sequence: 12,
        taken_unix_ms: 0,
        missing: 0,
        highest_ms: 0,
        stream: StreamMark::default(),
        streamed_record: 0,
        identity: scorer.identity(),
        is_mixed: false,
        files: Vec::new(),
    };
    let (mut whole, mut registry, mut windows) = (Vec::new(), vec![0], vec![1]);
    let mut append = |bytes: &[u8]| {
        whole.extend_from_slice(bytes);
        Ok(())
    };
    snapshot::write(&scorer, &head, &mut append).expect("memory takes it");
    scorer.registry().save(&mut registry);
    scorer.windows().save(&mut windows);
    vec![whole, registry, windows]
}

/// Runs a target over its corpus and over what changes make of it. With `FUZZ_SEEDS` it only writes what it would begin
/// with into a folder of the target's name there, for another fuzzer to begin with.
fn run(name: &str, target: fn(&[u8]), made: Vec<Vec<u8>>, length_max: usize) {
    let committed = folder("fuzz/corpus").join(name).is_dir().then(|| files(&format!("fuzz/corpus/{name}"), ""));
    let corpus = &[made, committed.unwrap_or_default()].concat();
    if let Some(seeds) = std::env::var_os("FUZZ_SEEDS") {
        write_seeds(Path::new(&seeds), name, corpus);
        return;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(20_260_101);
    let seconds = std::env::var("FUZZ_SECONDS").map_or(SECONDS, |text| text.parse().expect("FUZZ_SECONDS is a number"));
    for bytes in corpus {
        try_one(target, bytes);
    }
    let (start, mut inputs) = (Instant::now(), 0_u64);
    while start.elapsed() < Duration::from_secs(seconds) {
        inputs += 1;
        let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
        for _ in 0..rng.random_range(1..=CHANGES_MAX) {
            change(&mut bytes, corpus, &mut rng);
        }
        bytes.truncate(length_max);
        try_one(target, &bytes);
    }
    eprintln!("{inputs} inputs in {seconds} s");
}

fn write_seeds(seeds: &Path, name: &str, corpus: &[Vec<u8>]) {
    fs::create_dir_all(seeds.join(name)).expect("the folder can be made");
    for (number, bytes) in corpus.iter().enumerate() {
        fs::write(seeds.join(name).join(format!("seed-{number:03}")), bytes).expect("a seed can be written");
    }
    let mut words = String::new();
    for word in WORDS {
        words.push('"');
        for byte in word.bytes() {
            write!(words, "\\x{byte:02x}").expect("a string takes it");
        }
        words.push_str("\"\n");
    }
    fs::write(seeds.join("words.dict"), words).expect("the words can be written");
}

fn try_one(target: fn(&[u8]), bytes: &[u8]) {
    if let Err(panic) = panic::catch_unwind(|| target(bytes)) {
        eprintln!("the input was {:?}, as bytes {bytes:?}", String::from_utf8_lossy(bytes));
        panic::resume_unwind(panic);
    }
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut ChaCha8Rng) {
    let start = rng.random_range(0..=bytes.len());
    let end = rng.random_range(start..=bytes.len().min(start + 40));
    match rng.random_range(0..6) {
        0 => drop(bytes.drain(start..end)),
        1 => {
            let word = WORDS[rng.random_range(0..WORDS.len())].as_bytes();
            bytes.splice(start..end, word.iter().copied());
        }
        2 => {
            let word = WORDS[rng.random_range(0..WORDS.len())].as_bytes();
            bytes.splice(start..start, word.iter().copied());
        }
        3 => {
            let again = bytes[start..end].to_vec();
            let times = rng.random_range(1..4);
            bytes.splice(start..start, again.repeat(times));
        }
        4 if start < bytes.len() => {
            let bit: u8 = rng.random_range(0..8);
            bytes[start] ^= 1 << bit;
        }
        _ => {
            let other = &corpus[rng.random_range(0..corpus.len())];
            let from = rng.random_range(0..=other.len());
            let to = rng.random_range(from..=other.len().min(from + 40));
            bytes.splice(start..end, other[from..to].iter().copied());
        }
    }
}

#[test]
fn expressions_neither_panic_nor_run_away() {
    run("expression", targets::expression, Vec::new(), 10_000);
}

#[test]
fn rule_files_neither_panic_nor_run_away() {
    let made = [files("tests/bad_rules", ".toml"), files("rules", ".toml")].concat();
    run("rule_file", targets::rule_file, made, 20_000);
}

#[test]
fn transactions_neither_panic_nor_run_away() {
    run("transaction", targets::transaction, Vec::new(), 70_000);
}

#[test]
fn model_files_neither_panic_nor_run_away() {
    run("model", targets::model, vec![small_model(), linear_model()], 20_000);
}

#[test]
fn journals_neither_panic_nor_run_away() {
    run("journal", targets::journal, vec![journal_records(), journal_file()], 20_000);
}

#[test]
fn snapshots_neither_panic_nor_run_away() {
    run("snapshot", targets::snapshot, snapshots(), 20_000);
}

/// Limits are told as such, in a file of one rule and in one of many brackets.
#[test]
fn what_is_too_deep_too_long_or_too_large_is_told() {
    let nested =
        |open: &str, close: &str, depth: usize| format!("{}night(time){}", open.repeat(depth), close.repeat(depth));
    let doubled: Vec<String> = (1..=13).map(|level| format!("d{level} = \"d{0} or not d{0}\"", level - 1)).collect();
    let rule = |when: &str| format!("[[rule]]\nid = \"r\"\nwhen = '{when}'\nthen = \"deny\"\n");
    let cases = [
        (rule(&nested("(", ")", 3_000)), "E127"),
        (rule(&nested("not ", "", 1_500)), "E127"),
        (rule(&format!("amount > {}1 EUR", "1 EUR + ".repeat(200))), "E127"),
        (rule(&format!("night(time){}", " or night(time)".repeat(600))), "E126"),
        (format!("[define]\nd0 = \"night(time)\"\n{}\n{}", doubled.join("\n"), rule("d13")), "E128"),
        (format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000)), "E300"),
        (format!("x = {}", "{a=".repeat(50_000)), "E300"),
    ];
    for (text, expected) in cases {
        let mut sources = gavel::scoring::rules::RuleSources::default();
        let start: String = text.chars().take(60).collect();
        sources.files.push(gavel::scoring::rules::SourceFile::new("deep.toml", text));
        let euro = gavel::scoring::money::Currency::from_code("EUR").expect("EUR");
        let settings = gavel::scoring::settings::Settings::default_for(euro);
        let told = gavel::commands::check::check(sources, &settings).diagnostics;
        assert!(
            told.iter().any(|found| found.code == expected),
            "{start}…: expected {expected}, told {:?}",
            told.iter().map(|found| found.code).collect::<Vec<_>>()
        );
        assert!(told.len() < 50, "{start}…: {} diagnostics", told.len());
    }
}
