//! The fuzz targets as plain tests: the committed corpus, then changes to it from one seed. A panic is a failure with its
//! input; what hangs is ended by the runner.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::{
    fs, panic,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Inputs that are made of the corpus by each run.
const ROUNDS: usize = 10_000;
/// On a slow machine there are fewer.
const PATIENCE: Duration = Duration::from_secs(5);
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

/// Runs a target over its corpus and over what changes make of it.
fn run(target: fn(&[u8]), corpus: &[Vec<u8>], length_max: usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(20_260_101);
    let start = Instant::now();
    for bytes in corpus {
        try_one(target, bytes);
    }
    for _ in 0..ROUNDS {
        if start.elapsed() > PATIENCE {
            break;
        }
        let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
        for _ in 0..rng.random_range(1..=CHANGES_MAX) {
            change(&mut bytes, corpus, &mut rng);
        }
        bytes.truncate(length_max);
        try_one(target, &bytes);
    }
}

fn try_one(target: fn(&[u8]), bytes: &[u8]) {
    if let Err(panic) = panic::catch_unwind(|| target(bytes)) {
        eprintln!("the input was {:?}", String::from_utf8_lossy(bytes));
        panic::resume_unwind(panic);
    }
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut ChaCha8Rng) {
    let start = rng.random_range(0..=bytes.len());
    let end = rng.random_range(start..=bytes.len().min(start + 40));
    match rng.random_range(0..5) {
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
    run(targets::expression, &files("fuzz/corpus/expression", ""), 10_000);
}

#[test]
fn rule_files_neither_panic_nor_run_away() {
    let mut corpus = files("fuzz/corpus/rule_file", ".toml");
    corpus.extend(files("tests/bad_rules", ".toml"));
    corpus.extend(files("rules", ".toml"));
    run(targets::rule_file, &corpus, 20_000);
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
        sources.files.push(gavel::scoring::rules::SourceFile { name: "deep.toml".into(), text });
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
