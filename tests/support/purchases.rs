//! A stream of purchases from a seed, and what an uninterrupted run makes of it.

use std::{fs, process::Command};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A transaction as a processor sends it.
pub struct Purchase {
    /// Its card.
    pub card: String,
    /// Its JSON.
    pub body: String,
}

/// Cards with habits, and devices and shops that they share, so that every verdict depends on many before it.
pub fn purchases(count: usize, seed: u64) -> Vec<Purchase> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let start_ms = 1_532_513_730_000_u64;
    let purchase = |number: usize| {
        let card = format!("c_{}", random.random_range(0..200));
        let device = random.random_range(0..80);
        let shop = random.random_range(0..40);
        let amount = random.random_range(50..90_000);
        let country = ["FR", "DE", "US", "BR"][random.random_range(0..4)];
        let (channel, mcc) = [("ecom", "5732"), ("pos", "5411"), ("atm", "6011")][random.random_range(0..3)];
        // Some come a little late, and all within the horizon of duplicates.
        let time = start_ms + number as u64 * 1_000 - random.random_range(0..3_000);
        let body = format!(
            concat!(
                r#"{{"id":"t-{}","time":{},"processor":"p1","card":"{}","amount":{},"currency":"EUR","merchant":"m_{}","#,
                r#""device":"d_{}","country":"{}","issuer_country":"FR","channel":"{}","mcc":"{}","#,
                r#""ip":"203.0.113.{}","bin":"4571{:02}"}}"#
            ),
            number, time, card, amount, shop, device, country, channel, mcc, device, shop
        );
        Purchase { card, body }
    };
    (0..count).map(purchase).collect()
}

/// What an uninterrupted run answers, line by line.
pub fn uninterrupted(purchases: &[Purchase], arguments: &[&str]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let lines: Vec<&str> = purchases.iter().map(|purchase| purchase.body.as_str()).collect();
    fs::write(file("in.jsonl"), lines.join("\n")).expect("written");
    let scored = Command::new(env!("CARGO_BIN_EXE_gavel"))
        .args(["score", "--in", "in.jsonl", "--out", "out.jsonl"])
        .args(arguments)
        .current_dir(folder.path())
        .status()
        .expect("gavel runs");
    assert!(scored.success());
    let out = fs::read(file("out.jsonl")).expect("it was written");
    out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}
