//! What the windows take of memory, as the process's resident size: 1,000,000 cards with 20 live events each. It
//! measures no time and asserts nothing.
//!
//! `cargo bench --bench memory` prints both plans, each from a process of its own; `benches/memory_versus_redis.py`
//! runs it and puts Redis beside it.

#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::process::Command;

use gavel::scoring::{plan::Plan, settings::WindowSettings, time::DAY_MS};

#[path = "common/allocator.rs"]
mod allocator;
mod common;

use common::{Bench, CARDS_PER_IP, Event, MERCHANTS, START_MS, card_plan, resident_bytes, whole_plan};

const CARDS: u64 = 1_000_000;
const EVENTS_PER_CARD: u64 = 20;
/// A step through the cards that meets each once a round, in an order without neighbours: it shares no factor with
/// their number.
const STRIDE: u64 = 618_033;

fn main() {
    // Cargo calls benches of a test run with `--test`: there is nothing to check here.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some("--test") => {}
        Some("card") => measure("card windows of the plan alone", &card_plan()),
        Some("whole") => measure("the whole plan", &whole_plan()),
        _ => {
            println!(
                "{CARDS} cards with {EVENTS_PER_CARD} live events each, a device a card, an address for {CARDS_PER_IP} \
                 cards, {MERCHANTS} merchants"
            );
            for plan in ["card", "whole"] {
                let myself = std::env::current_exe().expect("this bench is a file");
                let status = Command::new(myself).arg(plan).status().expect("this bench runs");
                assert!(status.success(), "the process that measures ended early");
            }
        }
    }
}

fn measure(what: &str, plan: &Plan) {
    let mut bench = Bench::new(plan, &WindowSettings::default());
    let before = resident_bytes();
    let events = CARDS * EVENTS_PER_CARD;
    // All of them within seven days, so that all are live.
    let spacing_us = 6 * DAY_MS as u64 * 1_000 / events;
    for number in 0..events {
        let card = number % CARDS * STRIDE % CARDS;
        bench.observe(&Event {
            time_ms: START_MS + (number * spacing_us / 1_000) as i64,
            card,
            merchant: (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % MERCHANTS,
            amount_minor: 100 + (number % 50_000) as i64,
        });
    }
    let held = resident_bytes() - before;
    let stats = bench.windows.stats();
    println!(
        "{what}: {} bytes a card resident ({} as counted from inside; {} keys, {} rows)",
        held / CARDS,
        stats.bytes / CARDS,
        stats.keys.iter().sum::<u64>(),
        stats.rows
    );
}
