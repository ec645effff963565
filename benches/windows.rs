//! How long a transaction takes in the windows alone, on one thread, against the project's targets. It asserts nothing:
//! `cargo bench --bench windows` prints a table.
//!
//! Transactions are made in batches outside the measured time, as small as a decoder would leave them in the cache.

#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::time::{Duration, Instant};

use gavel::scoring::{
    field::Field,
    plan::{Function, Plan},
    settings::WindowSettings,
    time::{DAY_MS, MINUTE_MS, SECOND_MS},
    transaction::Transaction,
};

#[path = "common/allocator.rs"]
mod allocator;
mod common;

use common::{Bench, Event, MERCHANTS, Numbers, START_MS, Texts, ask, whole_plan};

/// Transactions made at a time.
const BATCH: usize = 128;

fn main() {
    // Cargo calls benches of a test run with `--test`: there is nothing to check here.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|asked| name.contains(asked.as_str()));
    println!("{:<64} {:>9}  target", "windows alone, one thread, mean per transaction", "ns");
    if is_asked("cards-ten-thousand") {
        row("whole plan, 10,000 cards", cards(10_000, 2_000_000), "1,000");
    }
    if is_asked("cards-million") {
        row("whole plan, 1,000,000 cards", cards(1_000_000, 2_000_000), "2,000");
    }
    if is_asked("length") {
        for (what, distinct) in [("count and sum", false), ("count, sum and distinct", true)] {
            let short = length(MINUTE_MS, 2, 1_000, distinct);
            let long = length(30 * DAY_MS, 2_000, 1_000, distinct);
            let short_and_many = length(MINUTE_MS, 2, 1_000_000, distinct);
            let of = |short: Duration| format!("{:.0} (1.5 times)", 1.5 * nanos(short));
            row(&format!("{what}: one minute, 2 events a card, 1,000 cards"), short, "");
            row(&format!("{what}: 30 days, 2,000 events a card, 1,000 cards"), long, &of(short));
            row(&format!("{what}: one minute, 2 events a card, 1,000,000 cards"), short_and_many, "");
            row(&format!("{what}: the 30 days again, beside as many events in all"), long, &of(short_and_many));
        }
    }
    if is_asked("disorder") {
        for events_per_key_max in [WindowSettings::default().events_per_key_max, 1 << 20] {
            let ordered = merchant(0, events_per_key_max);
            let late = merchant(SECOND_MS, events_per_key_max);
            let cap = format!("cap {events_per_key_max} rows");
            row(&format!("one merchant at 100,000/s in order, {cap}"), ordered, "");
            let target = format!("{:.0} (twice)", 2.0 * nanos(ordered));
            row(&format!("one merchant at 100,000/s, a second of disorder, {cap}"), late, &target);
        }
    }
}

fn nanos(mean: Duration) -> f64 {
    mean.as_nanos() as f64
}

fn row(what: &str, mean: Duration, target: &str) {
    println!("{what:<64} {:>9.0}  {target}", nanos(mean));
}

/// Random cards that have 20 events each in seven days, once the windows are full.
fn cards(cards: u64, measured: u64) -> Duration {
    let mut numbers = Numbers(cards);
    let mut number = 0;
    let filling = cards * 20;
    let spacing_us = 7 * DAY_MS * 1_000 / filling as i64;
    let mut next = move || {
        number += 1;
        let draw = numbers.next();
        Event {
            time_ms: START_MS + number * spacing_us / 1_000,
            card: draw % cards,
            merchant: (draw >> 32) % MERCHANTS,
            amount_minor: 100 + (draw >> 48) as i64,
        }
    };
    measure(&whole_plan(), &WindowSettings::default(), filling, measured, &mut next)
}

/// Cards with so many events each in a window of this length.
fn length(window_ms: i64, live: i64, cards: i64, distinct: bool) -> Duration {
    let mut plan = Plan::default();
    ask(&mut plan, Function::Count, Field::Card, window_ms);
    ask(&mut plan, Function::Sum(Field::Amount), Field::Card, window_ms);
    if distinct {
        ask(&mut plan, Function::Distinct(Field::Merchant), Field::Card, window_ms);
    }
    let mut numbers = Numbers(7);
    let mut number = 0;
    let mut next = move || {
        number += 1;
        let draw = numbers.next();
        Event {
            time_ms: START_MS + number * window_ms / (live * cards),
            card: draw % cards as u64,
            merchant: (draw >> 32) % MERCHANTS,
            amount_minor: 100 + (draw >> 48) as i64,
        }
    };
    measure(&plan, &WindowSettings::default(), (live * cards) as u64 * 3 / 2 + 100_000, 1_000_000, &mut next)
}

/// One merchant with 100,000 transactions a second, each late by up to so much.
fn merchant(disorder_ms: i64, events_per_key_max: usize) -> Duration {
    let mut plan = Plan::default();
    ask(&mut plan, Function::Count, Field::Merchant, 60 * MINUTE_MS);
    ask(&mut plan, Function::Count, Field::Merchant, DAY_MS);
    let mut numbers = Numbers(11);
    let mut number = 0;
    let mut next = move || {
        number += 1;
        let draw = numbers.next();
        let late_ms = if disorder_ms == 0 { 0 } else { (draw >> 20) as i64 % disorder_ms };
        Event { time_ms: START_MS + number / 100 - late_ms, card: draw % 10_000, merchant: 0, amount_minor: 100 }
    };
    let settings = WindowSettings { events_per_key_max, ..WindowSettings::default() };
    measure(&plan, &settings, 3_000_000, 2_000_000, &mut next)
}

/// The mean time of `measured` transactions after `filling` others.
fn measure(
    plan: &Plan,
    settings: &WindowSettings,
    filling: u64,
    measured: u64,
    next: &mut impl FnMut() -> Event,
) -> Duration {
    let mut bench = Bench::new(plan, settings);
    for _ in 0..filling {
        bench.observe(&next());
    }
    let mut texts: Vec<Texts> = Vec::new();
    texts.resize_with(BATCH, Texts::default);
    let mut elapsed = Duration::ZERO;
    let batches = measured / BATCH as u64;
    for _ in 0..batches {
        let events: Vec<Event> = (0..BATCH).map(|_| next()).collect();
        texts.iter_mut().zip(&events).for_each(|(texts, event)| texts.write(event));
        let transactions: Vec<Transaction<'_>> =
            texts.iter().zip(&events).map(|(texts, event)| texts.transaction(event, bench.euro)).collect();
        let start = Instant::now();
        for (transaction, event) in transactions.iter().zip(&events) {
            bench.windows.observe(transaction, Some(event.amount_minor), &bench.filters, &mut bench.values);
        }
        elapsed += start.elapsed();
    }
    std::hint::black_box(&bench.values);
    elapsed / (batches * BATCH as u64) as u32
}
