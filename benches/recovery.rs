//! What durability costs: a record of the journal, its replay, a snapshot, and a restart from one, over 1,000,000 cards
//! with 20 live transactions each. It asserts nothing.
//!
//! `cargo bench --bench recovery` runs it in a folder below `target`, which it empties; arguments are cards and
//! transactions a card: `cargo bench --bench recovery -- 100000 20`.

#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::{collections::BTreeMap, num::NonZero, path::Path, time::Instant};

use gavel::{
    config::OnFailure,
    durability::{
        folder::Folder,
        journal::{Journal, JournalSettings},
        rebuild::{Rebuild, take},
        replay::Found,
        storage::Storage,
    },
    scoring::{
        money::Currency,
        release::{Models, Release},
        rules::{RuleSources, SourceFile, parse},
        scorer::Scorer,
        settings::Settings,
        time::DAY_MS,
        verdict::{Decision, Tier, Verdict},
    },
};

#[path = "common/allocator.rs"]
mod allocator;
mod common;

use common::{Event, MERCHANTS, START_MS, Texts, resident_bytes};

const CARDS: u64 = 1_000_000;
const EVENTS_PER_CARD: u64 = 20;
/// Records that are written in one go: as many as a busy service answers in one turn.
const TOGETHER: u64 = 64;
/// A step through the cards that meets each once a round, in an order without neighbours.
const STRIDE: u64 = 618_033;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let number = |place: usize| arguments.get(place).and_then(|text| text.parse::<u64>().ok());
    let (cards, events) = (number(0).unwrap_or(CARDS), number(1).unwrap_or(EVENTS_PER_CARD));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/recovery");
    // Of an earlier run.
    let _ = std::fs::remove_dir_all(&path);
    println!("{cards} cards with {events} live transactions each, a device a card, {MERCHANTS} merchants");
    write_journal(&path, cards, cards * events);
    take_snapshot(&path, "replayed from the journal alone");
    take_snapshot(&path, "nothing new");
    restart(&path);
    let _ = std::fs::remove_dir_all(&path);
}

/// The whole plan of the other benches, as rules.
fn release() -> Release {
    let mut conditions = Vec::new();
    for window in ["1m", "10m", "1h", "1d", "7d"] {
        conditions.push(format!("count(card, {window}) > 1000000"));
        conditions.push(format!("sum(amount, card, {window}) > 100000000 EUR"));
    }
    conditions.push("distinct(merchant, card, 1d) > 1000000".into());
    conditions.push("since_last(card) > 400d".into());
    for key in ["device", "ip", "merchant"] {
        conditions.push(format!("count({key}, 1h) > 100000000"));
        conditions.push(format!("count({key}, 1d) > 100000000"));
    }
    let text = format!(
        "[[rule]]\nid = \"never\"\ndescription = \"Nothing\"\nwhen = \"{}\"\nthen = \"review\"\n",
        conditions.join(" or ")
    );
    let settings = Settings::default_for(Currency::from_code("EUR").expect("EUR"));
    let files = vec![SourceFile::new("rules/rules.toml", text)];
    let (files, found) = parse(RuleSources { files, data: BTreeMap::new(), ..RuleSources::default() }, &settings);
    match Release::compile(settings, files, Models::default(), found) {
        Ok((release, _)) => release,
        Err(problems) => panic!("the rules are good: {:?}", problems.diagnostics),
    }
}

fn write_journal(path: &Path, cards: u64, events: u64) {
    let release = release();
    let folder = Folder::open(path).unwrap_or_else(|error| panic!("{error}"));
    let settings = JournalSettings {
        sync_interval_ms: 200,
        file_max_bytes: 64 << 20,
        total_max_bytes: u64::MAX,
        on_failure: OnFailure::Refuse,
    };
    let found = Found { next_sequence: 1, ..Found::default() };
    let mut journal = Journal::new(folder, settings, found, &release, 0);
    let began = Instant::now();
    let euro = Currency::from_code("EUR").expect("EUR");
    let (mut texts, mut body, mut spent_ns) = (Texts::default(), Vec::new(), 0);
    let verdict = Verdict::default();
    // All of them within seven days, so that all are live.
    let spacing_us = 6 * DAY_MS as u64 * 1_000 / events;
    for number in 0..events {
        let event = Event {
            time_ms: START_MS + (number * spacing_us / 1_000) as i64,
            card: number % cards * STRIDE % cards,
            merchant: (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % MERCHANTS,
            amount_minor: 100 + (number % 50_000) as i64,
        };
        texts.write(&event);
        let mut transaction = texts.transaction(&event, euro);
        transaction.id = format!("t-{number}").into();
        transaction.processor = "acme".into();
        body.clear();
        verdict.encode(&transaction.id, &release.versions, &release.settings.schema, &mut body);
        let since = Instant::now();
        journal.transaction(&transaction, (Tier::RulesOnly, Decision::Approve), (&body, &[]), &release);
        if number % TOGETHER == TOGETHER - 1 {
            let now_ms = began.elapsed().as_millis() as i64;
            journal.tick(now_ms, &release);
        }
        spent_ns += since.elapsed().as_nanos();
    }
    journal.finish(began.elapsed().as_millis() as i64, &release);
    let stats = journal.stats();
    println!(
        "journal: {} ns a record, {TOGETHER} written together; {} bytes a record, {} MB",
        spent_ns / u128::from(events),
        stats.bytes / stats.records,
        stats.bytes / 1_000_000
    );
}

fn take_snapshot(path: &Path, what: &str) {
    let mut folder = Folder::beside(path).unwrap_or_else(|error| panic!("{error}"));
    let release = release();
    let since = Instant::now();
    let taken = take(&mut folder, release, 3, 0, &|| true).unwrap_or_else(|error| panic!("{error}"));
    let took = since.elapsed();
    let bytes = taken.bytes.unwrap_or_default();
    println!(
        "snapshot, {what}: {:.1} s in one thread, {} records replayed, {} MB",
        took.as_secs_f64(),
        taken.found.records,
        bytes / 1_000_000
    );
}

fn restart(path: &Path) {
    let mut folder = Folder::beside(path).unwrap_or_else(|error| panic!("{error}"));
    for name in folder.names().unwrap_or_default().iter().filter(|name| name.starts_with("snapshot-")) {
        // As a machine that has just started would not have it; what is read is in memory then.
        println!("{name}: {} MB read", folder.read(name).map_or(0, |bytes| bytes.len()) / 1_000_000);
    }
    let threads = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
    for threads in [threads, NonZero::<usize>::MIN] {
        let before = resident_bytes();
        let since = Instant::now();
        let mut scorer = Scorer::new(release());
        let mut rebuild = Rebuild::begin(&mut folder, &mut scorer, threads);
        let loaded = since.elapsed();
        let read = rebuild.follow(&mut folder, &mut scorer, |_, _| true);
        assert!(matches!(read, Ok(true)), "it is read");
        let all = since.elapsed();
        let (windows, registry) = (scorer.windows().stats(), scorer.registry().stats());
        println!(
            "restart with {threads} threads: {:.2} s, {:.2} s of it the snapshot; {} keys, {} rows, {} transactions, {} \
             answers; resident size grew by {} MB",
            all.as_secs_f64(),
            loaded.as_secs_f64(),
            windows.keys.iter().sum::<u64>(),
            windows.rows,
            registry.transactions,
            registry.answers,
            resident_bytes().saturating_sub(before) / 1_000_000
        );
    }
    let since = Instant::now();
    let mut scorer = Scorer::new(release());
    let mut names = folder.names().unwrap_or_default();
    names.retain(|name| name.starts_with("snapshot-"));
    for name in &names {
        folder.remove(name).unwrap_or_else(|error| panic!("{error}"));
    }
    let mut rebuild = Rebuild::begin(&mut folder, &mut scorer, NonZero::<usize>::MIN);
    let read = rebuild.follow(&mut folder, &mut scorer, |_, _| true);
    assert!(matches!(read, Ok(true)), "it is read");
    let took = since.elapsed();
    let records = rebuild.found().records;
    println!("replay of the whole journal: {records} records, {:.0} a second", records as f64 / took.as_secs_f64());
}
