//! The whole path in one process: JSON bytes in, verdict bytes out, with starter rules, shipped model and simulated
//! traffic, on one thread, in the time that the thread was on a core. Beside it, in the same run, JSON decode plus encode
//! alone.
//!
//! `cargo bench --bench pipeline`; with `-- --short` a fiftieth of it, for tools that count instructions.

#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::{hint::black_box, path::PathBuf, time::Instant};

use gavel::{
    config::{Config, Flags, ModelChoice},
    loading::load_release,
    scoring::{
        money::{Currency, Decimal},
        scorer::{Input, Output, Scorer},
        verdict::{Tier, Verdict, Versions},
        wire::{Route, decode_transaction},
    },
    simulation::{RATES, Simulation, SimulationSettings},
};
use hdrhistogram::Histogram;

#[path = "common/allocator.rs"]
mod allocator;
#[path = "common/clock.rs"]
mod clock;

use clock::Clock;

/// Cards of the simulated stream.
const CARDS: u32 = 20_000;
/// The same where instructions are counted: so few that nearly every key has been seen before.
const CARDS_SHORT: u32 = 500;
/// Transactions that fill the windows before anything is timed, and those of one round.
const ROUND: usize = 200_000;
/// The same where instructions are counted.
const ROUND_SHORT: usize = 4_000;
/// Rounds; the table gives their median.
const ROUNDS: usize = 5;

struct Message {
    processor: &'static str,
    card: String,
    body: Vec<u8>,
}

fn main() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let is_short = std::env::args().any(|argument| argument == "--short");
    let of_round = if is_short { ROUND_SHORT } else { ROUND };
    let with_model = scorer(&root, &ModelChoice::Shipped);
    let cards = if is_short { CARDS_SHORT } else { CARDS };
    let settings = SimulationSettings { cards, days: 400, ..SimulationSettings::new(7) };
    let messages: Vec<Message> = Simulation::new(settings)
        .expect("the settings make a stream")
        .take((1 + ROUNDS) * of_round)
        .map(|row| {
            let mut body = Vec::new();
            row.write_body(&mut body);
            Message { processor: row.processor(), card: row.card(), body }
        })
        .collect();
    let bytes: usize = messages.iter().map(|message| message.body.len()).sum();
    println!("{} transactions of {} bytes on average, {cards} cards", messages.len(), bytes / messages.len());

    let (whole, latency, verdict_bytes) = whole_path(with_model, &messages, of_round);
    let (without_model, ..) = whole_path(scorer(&root, &ModelChoice::None), &messages, of_round);
    let json = json_alone(&scorer(&root, &ModelChoice::None), &messages[of_round..], of_round);
    println!("verdicts of {verdict_bytes} bytes on average");
    println!();
    println!("| one thread, median of {ROUNDS} rounds of {of_round} | µs each | a second |");
    println!("|---|---|---|");
    for (name, us) in [
        ("whole path, rules and model", whole),
        ("whole path, rules alone", without_model),
        ("JSON decode and encode alone", json),
    ] {
        println!("| {name} | {us:.2} | {:.0} |", 1e6 / us);
    }
    println!();
    println!("whole path over JSON alone: {:.2}", whole / json);
    let quantile = |q| latency.value_at_quantile(q) as f64 / 1e3;
    println!(
        "one at a time: p50 {:.1} µs, p90 {:.1} µs, p99 {:.1} µs, p99.9 {:.1} µs, max {:.1} µs",
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        quantile(0.999),
        latency.max() as f64 / 1e3
    );
}

fn scorer(root: &std::path::Path, model: &ModelChoice) -> Scorer {
    let flags = Flags { rules: Some(root.join("rules")), ..Flags::default() };
    let mut config = Config::load(&flags).map_err(|errors| errors.render(false)).expect("the configuration is good");
    config.model = model.clone();
    for (code, rate) in RATES {
        let currency = Currency::from_code(code).expect("the simulation's currencies are known");
        config.settings.rates.set(currency, Decimal::parse(rate).expect("and their rates are decimals"));
    }
    Scorer::new(load_release(&config).map_err(|error| error.render(false)).expect("the release compiles").release)
}

/// Median microseconds a transaction, the latency of each, and the mean size of a verdict.
fn whole_path(mut scorer: Scorer, messages: &[Message], of_round: usize) -> (f64, Histogram<u64>, usize) {
    let schema = scorer.release().settings.schema.clone();
    let mut bytes = 0;
    let mut answer = |message: &Message| {
        let route = Route { processor: message.processor, card: Some(&message.card) };
        let transaction = decode_transaction(&message.body, route, &schema).expect("the simulation is valid");
        match scorer.apply(Input::Transaction { transaction: &transaction, tier: Tier::Full }) {
            Output::Verdict { body, .. } => bytes += black_box(body).len(),
            _ => panic!("a transaction was not scored"),
        }
    };
    let (warm_up, timed) = messages.split_at(of_round);
    warm_up.iter().for_each(&mut answer);
    let mut latency = Histogram::new_with_max(1_000_000_000, 3).expect("three digits");
    let mut rounds = Vec::new();
    for (round, messages) in timed.chunks(of_round).enumerate() {
        if round + 1 < ROUNDS {
            let clock = Clock::start();
            messages.iter().for_each(&mut answer);
            rounds.push(clock.elapsed_ns() / messages.len() as f64 / 1e3);
        } else {
            // The last round asks the clock around each transaction, so it is not part of the throughput.
            for message in messages {
                let start = Instant::now();
                answer(message);
                latency.saturating_record(start.elapsed().as_nanos() as u64);
            }
        }
    }
    (median(rounds), latency, bytes / messages.len())
}

/// Median microseconds to decode and check a transaction and to encode a verdict of the usual size.
fn json_alone(scorer: &Scorer, messages: &[Message], of_round: usize) -> f64 {
    let release = scorer.release();
    let versions = Versions { model: Some("0f9e8d7c6b5a".to_owned()), ..release.versions.clone() };
    let verdict = Verdict { score: Some(0.012_345_678_9), ..Verdict::default() };
    let mut out = Vec::new();
    let rounds = messages.chunks(of_round).map(|messages| {
        let clock = Clock::start();
        for message in messages {
            let route = Route { processor: message.processor, card: Some(&message.card) };
            let transaction =
                decode_transaction(&message.body, route, &release.settings.schema).expect("the simulation is valid");
            out.clear();
            verdict.encode(&transaction.id, &versions, &release.settings.schema, &mut out);
            black_box(&out);
        }
        clock.elapsed_ns() / messages.len() as f64 / 1e3
    });
    median(rounds.collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
