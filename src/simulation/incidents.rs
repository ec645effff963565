//! How often each pattern of fraud happens: as often as keeps its share of the stream. It plays none itself.

use super::{
    draw::{Draw, Purpose},
    habits::Day,
    patterns::{Skimmer, play},
    row::{Pattern, SimulatedRow},
    world::World,
};

/// The share of each pattern in the fraudulent rows, in percent, in the order of `Pattern::ALL`.
const SHARES_PERCENT: [i64; 6] = [23, 18, 16, 18, 14, 11];
/// About how many rows an incident of each pattern leaves, in the same order.
const TYPICAL_ROWS: [i64; 6] = [24, 26, 7, 20, 5, 4];
const _: () = assert!(SHARES_PERCENT[0] + SHARES_PERCENT[1] + SHARES_PERCENT[2] + SHARES_PERCENT[3] == 75);

/// Budgets count millionths of rows, so that a day of a small stream earns a part of a row.
const ROW: i64 = 1_000_000;

/// Decides when incidents begin. What a pattern has not yet had of its share adds up until it is worth an incident.
pub(super) struct Incidents {
    frauds_per_million: i64,
    budgets: [i64; 6],
    begun: u32,
    skimmers: Vec<Skimmer>,
}

impl Incidents {
    pub(super) fn new(seed: u64, frauds_per_million: u32) -> Self {
        let mut draw = Draw::new(seed, Purpose::Schedule, 0, 1 << 40);
        // Some patterns are nearer to their first incident than others.
        let budgets = if frauds_per_million == 0 {
            [0; 6]
        } else {
            TYPICAL_ROWS.map(|rows| rows * ROW * draw.between(0, 500) / 1_000)
        };
        Self { frauds_per_million: frauds_per_million.into(), budgets, begun: 0, skimmers: Vec::new() }
    }

    /// Begins the incidents of a day on which so many legitimate rows are planned.
    pub(super) fn begin_day(
        &mut self,
        world: &World,
        day: &Day,
        legitimate_rows: usize,
        later: &mut impl FnMut(SimulatedRow),
    ) {
        let mut draw = Draw::new(world.seed, Purpose::Schedule, day.index.into(), 1 << 41);
        self.skimmers.retain(|skimmer| skimmer.until_ms > day.start_ms && skimmer.left > 0);
        for (place, pattern) in Pattern::ALL.into_iter().enumerate() {
            // Some days are worse than others.
            let earned = legitimate_rows as i64 * self.frauds_per_million * SHARES_PERCENT[place] / 100;
            self.budgets[place] += earned / 100 * draw.between(30, 170);
            let enough = TYPICAL_ROWS[place] * ROW / 2;
            if pattern == Pattern::CompromisedTerminal {
                // Its rows are counted when they are made, which is days after the terminal was fitted.
                let promised: i64 = self.skimmers.iter().map(|skimmer| i64::from(skimmer.left) * ROW / 2).sum();
                let mut owed = self.budgets[place] - promised;
                while owed >= enough {
                    self.begun += 1;
                    let skimmer = Skimmer::fit(world, day, self.begun);
                    owed -= i64::from(skimmer.left) * ROW / 2;
                    self.skimmers.push(skimmer);
                }
                continue;
            }
            while self.budgets[place] >= enough {
                self.begun += 1;
                let rows = play(world, day, pattern, self.begun);
                // An incident that found no victim is paid for as well, or the search would never end.
                self.budgets[place] -= rows.len().max(1) as i64 * ROW;
                rows.into_iter().for_each(&mut *later);
            }
        }
    }

    /// Lets skimmers see a legitimate row.
    pub(super) fn visit(&mut self, world: &World, day: &Day, row: &SimulatedRow, later: &mut impl FnMut(SimulatedRow)) {
        for skimmer in self.skimmers.iter_mut().filter(|skimmer| skimmer.merchant.key == row.merchant.key) {
            for fraud in skimmer.visited(world, row, day) {
                self.budgets[Pattern::CompromisedTerminal as usize] -= ROW;
                later(fraud);
            }
        }
    }
}
