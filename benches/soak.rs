//! A soak: transactions that try to make memory grow, and the process's resident size as they go by. Bounds are small
//! enough that every one of them is met; it asserts nothing.
//!
//! `cargo bench --bench soak` runs 50 million transactions, `cargo bench --bench soak -- 5` five.
//!
//! Of ten transactions three are of a card, device and address never seen before, two of one hammered card, two are
//! of any card at one merchant, and three are ordinary. One in ten comes late, one in a hundred too late.

#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::{net::Ipv4Addr, time::Instant};

use gavel::scoring::{
    field::Field,
    plan::{FilterBits, Function},
    registry::{Fingerprint, Registry, Repeat},
    settings::WindowSettings,
    time::{HOUR_MS, MINUTE_MS, Timestamp},
    transaction::Transaction,
};

#[path = "common/allocator.rs"]
mod allocator;
mod common;

use common::{Bench, MERCHANTS, Numbers, START_MS, ask, resident_bytes, whole_plan};

const MILLION: u64 = 1_000_000;
/// Ordinary cards.
const CARDS: u64 = 200_000;
/// Lines of the curve.
const LINES: u64 = 50;
/// Of event time: 50 million take two weeks, so that the longest window is full after half of them.
const TRANSACTIONS_PER_S: u64 = 40;

fn main() {
    // Cargo calls benches of a test run with `--test`: there is nothing to check here.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let millions: u64 = arguments.first().and_then(|millions| millions.parse().ok()).unwrap_or(50);
    let settings = WindowSettings {
        events_per_key_max: 16_384,
        keys_max: 2_000_000,
        transactions_max: 2_000_000,
        answers_max_bytes: 64 << 20,
        ..WindowSettings::default()
    };
    let mut plan = whole_plan();
    ask(&mut plan, Function::Age, Field::Card, 0);
    let mut bench = Bench::new(&plan, &settings);
    let mut registry = Registry::new(&settings);
    let mut numbers = Numbers(1);
    let (mut body, filters) = (Vec::new(), FilterBits::default());
    let begun = Instant::now();
    let mut slowest_ns = 0;
    println!("{settings:?}");
    println!("| million | resident MiB | keys | rows | evictions | folds | transactions remembered | slowest µs |");
    println!("|---|---|---|---|---|---|---|---|");
    for number in 1..=millions * MILLION {
        let draw = numbers.next();
        let (fresh, of_merchants) = (1_000_000_000 + number, draw >> 8);
        let (card, merchant) = match draw % 10 {
            0..=2 => (fresh, of_merchants % MERCHANTS),
            3 | 4 => (0, of_merchants % MERCHANTS),
            5 | 6 => (draw >> 24 & 0xf_ffff, 0),
            _ => ((draw >> 24) % CARDS, of_merchants % MERCHANTS),
        };
        let late_ms = match draw >> 40 & 0xff {
            0 | 1 => HOUR_MS,
            2..=25 => (draw >> 48) as i64 % (4 * MINUTE_MS),
            _ => 0,
        };
        let time_ms = START_MS + (number * 1_000 / TRANSACTIONS_PER_S) as i64 - late_ms;
        let Some(time) = Timestamp::from_unix_ms(time_ms) else { break };
        let (id, card_text) = (format!("t-{number}"), format!("card_{card}"));
        let amount_minor = 100 + (draw >> 50) as i64;
        let mut transaction = Transaction::plain(&id, time, &card_text, amount_minor, bench.euro);
        let (merchant_text, device_text) = (format!("merchant_{merchant}"), format!("device_{card}"));
        transaction.merchant = Some(merchant_text.into());
        transaction.device = Some(device_text.into());
        transaction.ip = Some(Ipv4Addr::from_bits(card as u32).into());

        let start = Instant::now();
        let fingerprint = Fingerprint::of(&transaction.processor, &transaction.card, &transaction.id);
        let known = registry.known(fingerprint);
        body.clear();
        if registry.repeated(known, &transaction, &bench.windows, &mut body) != Repeat::New {
            continue;
        }
        let observed = bench.windows.observe(&transaction, Some(amount_minor), &filters, &mut bench.values);
        body.extend_from_slice(b"{\"id\":\"");
        body.extend_from_slice(id.as_bytes());
        body.extend_from_slice(b"\",\"verdict\":\"approve\",\"score\":0.0");
        body.extend_from_slice(number.to_string().as_bytes());
        body.extend_from_slice(
            b",\"reasons\":[],\"fired\":[],\"tags\":[],\"tier\":\"full\",\"flags\":[],\"versions\":{}}",
        );
        registry.remember(known, &transaction, Some(amount_minor), &observed, &bench.windows, &body);
        slowest_ns = slowest_ns.max(start.elapsed().as_nanos());

        if number % (millions * MILLION / LINES) == 0 {
            let (windows, remembered) = (bench.windows.stats(), registry.stats());
            println!(
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                number / MILLION,
                resident_bytes() >> 20,
                windows.keys.iter().sum::<u64>(),
                windows.rows,
                windows.evictions,
                windows.folds,
                remembered.transactions,
                slowest_ns / 1_000,
            );
            slowest_ns = 0;
        }
    }
    println!("{} million in {:.0} s, making them included", millions, begun.elapsed().as_secs_f64());
}
