//! The simulated stream: day by day, row by row, by event time. It holds one day's plan and what is still to follow,
//! never the stream.

use std::collections::BTreeMap;

use super::{
    habits::{Day, Planned, plan},
    incidents::Incidents,
    purchase::carry_out,
    row::SimulatedRow,
    world::{CARDS_MAX, World},
};
use crate::scoring::time::{DAY_MS, Timestamp};

/// The most days: their numbers are part of the ids.
const DAYS_MAX: u32 = 36_500;

/// What a stream is made from. The same settings make the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulationSettings {
    /// Where all chance comes from.
    pub seed: u64,
    /// How many cards there are.
    pub cards: u32,
    /// How many days it lasts.
    pub days: u32,
    /// The day it begins on; the time of day is dropped.
    pub start: Timestamp,
    /// How many frauds there are for a million legitimate rows, about.
    pub frauds_per_million: u32,
}

impl SimulationSettings {
    /// Frauds for a million legitimate rows where nothing else is asked for: one in two hundred.
    pub const FRAUDS_PER_MILLION: u32 = 5_000;

    /// 1,000 cards for 30 days from 2026-01-01.
    pub fn new(seed: u64) -> Self {
        let start = Timestamp::from_unix_ms(1_767_225_600_000).expect("2026-01-01 is a moment");
        Self { seed, cards: 1_000, days: 30, start, frauds_per_million: Self::FRAUDS_PER_MILLION }
    }
}

/// Settings that make no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// No cards, or too many.
    #[error("there are {0} cards, expected 1 to {CARDS_MAX}")]
    Cards(u32),
    /// No days, or too many.
    #[error("there are {0} days, expected 1 to {DAYS_MAX}")]
    Days(u32),
    /// The stream would leave the years that can be written.
    #[error("the stream begins in a year outside 1 to 9800")]
    Start,
    /// More frauds than the patterns are made for.
    #[error("there are {0} frauds per million, expected at most 200000")]
    Frauds(u32),
}

/// An endless supply of rows that ends after the last day.
pub struct Simulation {
    world: World,
    incidents: Incidents,
    start_ms: i64,
    days: u32,
    day: Day,
    /// What the cards do on this day, by time, and how much of it has been done.
    planned: Vec<Planned>,
    done: usize,
    /// What follows from rows that have been made: refunds, reversals, frauds.
    later: BTreeMap<(i64, u64), SimulatedRow>,
}

impl Simulation {
    /// A stream from its settings.
    pub fn new(settings: SimulationSettings) -> Result<Self, SimulationError> {
        let SimulationSettings { seed, cards, days, start, frauds_per_million } = settings;
        if !(1..=CARDS_MAX).contains(&cards) {
            return Err(SimulationError::Cards(cards));
        }
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(SimulationError::Days(days));
        }
        if frauds_per_million > 200_000 {
            return Err(SimulationError::Frauds(frauds_per_million));
        }
        let start_ms = start.unix_ms().div_euclid(DAY_MS) * DAY_MS;
        // Between the years 1 and 9800 the longest stream and its labels stay within four-digit years.
        if !(-62_135_596_800_000..247_091_644_800_000).contains(&start_ms) {
            return Err(SimulationError::Start);
        }
        let mut simulation = Self {
            world: World::new(seed, cards),
            incidents: Incidents::new(seed, frauds_per_million),
            start_ms,
            days,
            day: Day::new(0, start_ms),
            planned: Vec::new(),
            done: 0,
            later: BTreeMap::new(),
        };
        simulation.begin_day(0);
        Ok(simulation)
    }

    /// How many days are over.
    pub fn days_done(&self) -> u32 {
        self.day.index
    }

    fn begin_day(&mut self, index: u32) {
        let Self { world, incidents, day, planned, later, .. } = self;
        *day = Day::new(index, self.start_ms);
        planned.clear();
        self.done = 0;
        for card in 0..world.cards {
            plan(world, day, card, planned);
        }
        planned.sort_unstable_by_key(|errand| (errand.time_ms, errand.card, errand.slot));
        incidents.begin_day(world, day, planned.len(), &mut |row| put_off(later, row));
    }
}

fn put_off(later: &mut BTreeMap<(i64, u64), SimulatedRow>, row: SimulatedRow) {
    let replaced = later.insert((row.time_ms, row.key), row);
    debug_assert!(replaced.is_none(), "two rows have one key");
}

impl Iterator for Simulation {
    type Item = SimulatedRow;

    fn next(&mut self) -> Option<SimulatedRow> {
        loop {
            let Self { world, incidents, day, planned, later, .. } = self;
            let due_ms = later.first_key_value().map(|((time_ms, _), _)| *time_ms);
            if let Some(errand) = planned.get(self.done)
                && due_ms.is_none_or(|due_ms| errand.time_ms <= due_ms)
            {
                self.done += 1;
                let row = carry_out(world, day, errand, &mut |row| put_off(later, row));
                incidents.visit(world, day, &row, &mut |row| put_off(later, row));
                return Some(row);
            }
            if due_ms.is_some_and(|due_ms| due_ms < day.start_ms + DAY_MS) {
                return later.pop_first().map(|(_, row)| row);
            }
            let next = day.index + 1;
            if next >= self.days {
                return None;
            }
            self.begin_day(next);
        }
    }
}
