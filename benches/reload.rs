//! What a reload of a thousand rules costs: reading and compiling aside, and the swap, for which answers wait, over a past
//! of a million cards.
//!
//! `cargo bench --bench reload`, or with another number of cards behind `--`.

#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

#[path = "common/allocator.rs"]
mod allocator;
mod realistic;

use std::time::{Duration, Instant};

use gavel::scoring::{
    field::CHANNELS,
    money::{Country, Currency},
    release::{Models, Release},
    rules::{Data, KnownLists, RuleSources, SourceFile, parse_knowing},
    scorer::{Input, Scorer},
    settings::Settings,
    time::Timestamp,
    transaction::{Code, Transaction},
    trial::{Known, Trial},
    verdict::Tier,
};

/// Rules of every set.
const RULES: usize = 1_000;
/// Cards of the past unless another number is given.
const CARDS: u64 = 1_000_000;
/// 2018-07-25T00:00:00Z.
const START_MS: i64 = 1_532_476_800_000;
/// Swaps of each kind; the table gives the longest.
const SWAPS: usize = 5;

fn main() {
    let cards = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(CARDS);
    let rules = realistic::rules(RULES);
    let (first, cold) = timed(|| compile(&rules, &KnownLists::default()));
    let known = first.lists.files();
    let (second, warm) = timed(|| compile(&rules, &known));
    println!(
        "{RULES} rules, {} aggregates over {} keys, {cards} cards",
        second.plan.aggregates.len(),
        second.plan.keys.len()
    );
    println!();
    println!("| aside | ms |\n|---|---|");
    println!("| compile, lists of a million entries in all read | {:.1} |", cold * 1e3);
    println!("| compile, lists known | {:.1} |", warm * 1e3);

    let mut scorer = Scorer::new(first);
    let ((), past) = timed(|| {
        for number in 0..cards {
            score(&mut scorer, number);
        }
    });
    println!("| the guard, a transaction | {:.4} |", try_on(&second, &mut scorer, cards) * 1e3);
    println!();
    println!("a past of {cards} cards made in {past:.0} s, {} rows\n", scorer.windows().stats().rows);
    println!("| swap | answers wait, ms | to free what was replaced, aside, ms |\n|---|---|---|");
    let with = |more: &[&str]| {
        let more = more.iter().map(|rule| (*rule).to_owned());
        rules.iter().cloned().chain(more).collect::<Vec<_>>()
    };
    let kinds: [(&str, Vec<String>); 6] = [
        ("the same rules", rules.clone()),
        ("one rule more over a window that is kept", with(&["count(card, 1h) > 77"])),
        ("one rule more over a new window of the card", with(&["count(card, 3h) > 77"])),
        ("one rule more over a new key", with(&["count((card, merchant), 1h) > 77"])),
        ("one rule more that asks what was last", with(&["last(merchant, card) == merchant and age(card) < 1h"])),
        ("no rule over cards", rules.iter().filter(|rule| !rule.contains("card")).cloned().collect()),
    ];
    for (name, rules) in kinds {
        let (mut swaps, mut frees) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..SWAPS {
            for set in [&rules, &with(&[])] {
                let release = Box::new(compile(set, &known));
                let start = Instant::now();
                scorer.apply(Input::Reload(release));
                let swapped = start.elapsed();
                let retired = scorer.take_retired();
                let start = Instant::now();
                drop(retired);
                // There and back again: both count.
                (swaps, frees) = (swaps.max(swapped), frees.max(start.elapsed()));
            }
            score(&mut scorer, cards / 2);
        }
        println!("| {name} | {:.2} | {:.1} |", swaps.as_secs_f64() * 1e3, frees.as_secs_f64() * 1e3);
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let made = work();
    (made, start.elapsed().as_secs_f64())
}

fn compile(rules: &[String], known: &KnownLists) -> Release {
    let settings = Settings::default_for(Currency::from_code("EUR").expect("EUR"));
    let mut sources = RuleSources::default();
    sources.files.push(SourceFile::new("rules.toml", realistic::rule_file(rules)));
    for list in 0..realistic::LISTS {
        sources.data.insert(format!("lists/watched-{list}.csv"), Ok(Data::read(realistic::entries().into_bytes())));
    }
    let (files, found) = parse_knowing(sources, &settings, known);
    match Release::compile(settings, files, Models::default(), found) {
        Ok((release, _)) => release,
        Err(problems) => panic!("{}", problems.diagnostics.iter().map(|found| found.render(false)).collect::<String>()),
    }
}

fn transaction(number: u64) -> Transaction<'static> {
    let time = Timestamp::from_unix_ms(START_MS + number as i64 * 50).expect("a time");
    let card = format!("c_{number}");
    Transaction {
        card: card.clone().into(),
        merchant: Some(format!("m_{}", number % 10_000).into()),
        terminal: Some(format!("t_{}", number % 20_000).into()),
        mcc: Some(5732),
        country: Country::from_code("FR"),
        issuer_country: Country::from_code("DE"),
        channel: Code::find(CHANNELS, "ecom"),
        device: Some(format!("d_{}", number / 2).into()),
        ip: Some(std::net::Ipv4Addr::from_bits(0x0a00_0000 + (number as u32) * 64).into()),
        bin: Some("411111".into()),
        ..Transaction::plain("t", time, "c", 4599, Currency::from_code("EUR").expect("EUR"))
    }
}

fn score(scorer: &mut Scorer, number: u64) {
    let (id, transaction) = (format!("t-{number}"), transaction(number));
    let transaction = Transaction { id: id.into(), ..transaction };
    scorer.apply(Input::Transaction { transaction: &transaction, tier: Tier::Full });
}

/// Seconds that the guard takes for a transaction whose aggregates are known.
fn try_on(release: &Release, scorer: &mut Scorer, cards: u64) -> f64 {
    let mut answers = Vec::new();
    score(scorer, cards);
    scorer.exchange_answers(&mut answers);
    let mut trial = Trial::new(release, false);
    let transaction = transaction(cards);
    let rounds = 10_000;
    let ((), took) = timed(|| {
        for _ in 0..rounds {
            trial.decide(&transaction, Tier::Full, Known::All(&answers));
        }
    });
    took / f64::from(rounds)
}
