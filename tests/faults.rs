//! Deterministic simulation: the real answering and journal against a broker and a disk that fail, seed after seed, until
//! the time is over. A seed repeats its failure: `SIMULATION_SEED=123 cargo nextest run --test faults`.

#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/rebuilt.rs"]
mod rebuilt;
#[path = "faults/stream.rs"]
mod stream;
#[path = "faults/world.rs"]
mod world;

use std::time::{Duration, Instant};

use world::{Summary, World};

/// Seeds that are run however slow the machine is.
const SEEDS_MIN: u64 = 20;

#[test]
fn one_verdict_per_transaction_whatever_fails() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = setting("SIMULATION_SEED") {
        World::new(seed).run();
        return;
    }
    let box_of_time = Duration::from_secs(setting("SIMULATION_SECONDS").unwrap_or(20));
    let start = Instant::now();
    let (mut seeds, mut all) = (0, Summary::default());
    while seeds < SEEDS_MIN || start.elapsed() < box_of_time {
        let Summary { records, crashes, power_cuts, refused, refills, snapshots, fallbacks } = World::new(seeds).run();
        all.records += records;
        all.crashes += crashes;
        all.power_cuts += power_cuts;
        all.refused += refused;
        all.refills += refills;
        all.snapshots += snapshots;
        all.fallbacks += fallbacks;
        seeds += 1;
    }
    eprintln!(
        "{seeds} seeds: {} records, {} crashes, {} power cuts, {} refused for want of a disk, {} refills, {} snapshots, {} of no use",
        all.records, all.crashes, all.power_cuts, all.refused, all.refills, all.snapshots, all.fallbacks
    );
}
