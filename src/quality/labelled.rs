//! Transactions that wait for their label, and the labelled ones counted by the hour of their event time. A label that
//! changes takes back exactly what the one before it added.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasherDefault,
};

use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHasher};

use super::{BUCKET_MS, notes::Mark, report::Volume};
use crate::scoring::{time::DAY_MS, transaction::LabelKind};

/// Hours of a day.
const HOURS: i64 = DAY_MS / BUCKET_MS;
/// Bits of a transaction's number of its mark; the rest of the word is the hour.
const MARK_BITS: u32 = 24;
/// No amount in the base currency: amounts are not negative.
const NO_AMOUNT: i64 = -1;

/// A transaction that waits for its label: 20 bytes, because there are millions.
#[derive(Clone, Copy)]
struct Waiting([u32; 5]);

/// What is known of a labelled transaction.
#[derive(Clone, Copy)]
struct Known {
    kind: LabelKind,
    /// Since when; older labels do not count.
    time_ms: i64,
}

/// Labelled transactions of one kind: how many, and how much money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) frauds: Volume,
    pub(super) legits: Volume,
}

/// A day of event time.
#[derive(Default)]
struct Day {
    waiting: HashTable<Waiting>,
    known: HashMap<u64, Known, FxBuildHasher>,
    /// By hour and mark.
    cells: HashMap<(u8, u32), Cell, FxBuildHasher>,
}

/// Every transaction that may still get a label, with those that have one counted.
#[derive(Default)]
pub(super) struct Labelled {
    days: BTreeMap<i64, Day>,
    marks: Vec<Option<Mark>>,
    /// How many transactions have each mark.
    used: Vec<u64>,
    free: Vec<u32>,
    numbers: HashMap<Mark, u32, BuildHasherDefault<FxHasher>>,
    waiting: usize,
    /// Labels about transactions that are not remembered.
    pub(super) unmatched: u64,
    /// Transactions forgotten early because there were too many.
    pub(super) forgotten: u64,
}

impl Cell {
    pub(super) fn add(&mut self, other: Self) {
        self.frauds.add(other.frauds);
        self.legits.add(other.legits);
    }

    /// Without a part of it.
    pub(super) fn less(self, part: Self) -> Self {
        Self { frauds: self.frauds.less(part.frauds), legits: self.legits.less(part.legits) }
    }
}

impl Waiting {
    fn new(print: u64, amount_minor: Option<i64>, hour: u8, mark: u32) -> Self {
        let amount = amount_minor.unwrap_or(NO_AMOUNT).cast_unsigned();
        let parts = [print as u32, (print >> 32) as u32, amount as u32, (amount >> 32) as u32];
        Self([parts[0], parts[1], parts[2], parts[3], u32::from(hour) << MARK_BITS | mark])
    }

    fn print(self) -> u64 {
        u64::from(self.0[0]) | u64::from(self.0[1]) << 32
    }

    fn amount_minor(self) -> i64 {
        let amount = (u64::from(self.0[2]) | u64::from(self.0[3]) << 32).cast_signed();
        amount.max(0)
    }

    fn place(self) -> (u8, u32) {
        ((self.0[4] >> MARK_BITS) as u8, self.0[4] & ((1 << MARK_BITS) - 1))
    }
}

impl Labelled {
    /// Remembers a transaction that was judged.
    pub(super) fn judged(&mut self, print: u64, time_ms: i64, amount_minor: Option<i64>, mark: &Mark) {
        let Some(number) = self.number(mark) else {
            self.forgotten += 1;
            return;
        };
        let (day, hour) = (time_ms.div_euclid(DAY_MS), time_ms.div_euclid(BUCKET_MS).rem_euclid(HOURS) as u8);
        let day = self.days.entry(day).or_default();
        let waiting = Waiting::new(print, amount_minor, hour, number);
        self.used[number as usize] += 1;
        self.waiting += 1;
        let before = day.waiting.find_mut(print, |waiting| waiting.print() == print);
        if let Some(before) = before {
            // An id that is used again: its labels are about the newer one from now on.
            let old = std::mem::replace(before, waiting);
            if let Some(known) = day.known.remove(&print) {
                count(&mut day.cells, old, known.kind, false);
            }
            self.waiting -= 1;
            self.release(old.place().1, 1);
        } else {
            day.waiting.insert_unique(print, waiting, |waiting| waiting.print());
        }
    }

    /// Takes in what a transaction turned out to be.
    pub(super) fn label(&mut self, print: u64, time_ms: i64, kind: LabelKind) {
        // Of equal ids the newer transaction.
        let found = self.days.values_mut().rev().find_map(|day| {
            let waiting = *day.waiting.find(print, |waiting| waiting.print() == print)?;
            Some((day, waiting))
        });
        let Some((day, waiting)) = found else {
            self.unmatched += 1;
            return;
        };
        let before = day.known.get(&print).copied();
        if before.is_some_and(|before| before.time_ms > time_ms) {
            return;
        }
        if let Some(before) = before {
            count(&mut day.cells, waiting, before.kind, false);
        }
        count(&mut day.cells, waiting, kind, true);
        day.known.insert(print, Known { kind, time_ms });
    }

    /// Forgets what no window reaches, and the oldest days where there are too many transactions.
    pub(super) fn forget(&mut self, reach_ms: i64, transactions_max: usize) {
        while let Some(oldest) = self.days.first_entry() {
            let end_ms = (oldest.key() + 1) * DAY_MS;
            let is_over = end_ms <= reach_ms;
            if !is_over && self.waiting <= transactions_max {
                break;
            }
            let day = oldest.remove();
            if !is_over {
                self.forgotten += day.waiting.len() as u64;
            }
            self.waiting -= day.waiting.len();
            for waiting in &day.waiting {
                self.release(waiting.place().1, 1);
            }
        }
    }

    /// How many transactions are remembered.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// The first moment of the oldest day that is remembered.
    pub(super) fn since_ms(&self) -> Option<i64> {
        self.days.keys().next().map(|day| day * DAY_MS)
    }

    /// The marks of all that are remembered.
    pub(super) fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.marks.iter().flatten()
    }

    /// What is counted: the hour of event time as a bucket's number, the mark, how much.
    pub(super) fn cells(&self) -> impl Iterator<Item = (i64, &Mark, Cell)> {
        self.days.iter().flat_map(move |(day, held)| {
            held.cells.iter().filter_map(move |((hour, mark), cell)| {
                let mark = self.marks.get(*mark as usize)?.as_ref()?;
                Some((day * HOURS + i64::from(*hour), mark, *cell))
            })
        })
    }

    /// The number of a mark; `None` where no more can be told apart.
    fn number(&mut self, mark: &Mark) -> Option<u32> {
        if let Some(number) = self.numbers.get(mark) {
            return Some(*number);
        }
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.marks.len() < 1 << MARK_BITS => {
                self.marks.push(None);
                self.used.push(0);
                (self.marks.len() - 1) as u32
            }
            None => return None,
        };
        self.marks[number as usize] = Some(mark.clone());
        self.numbers.insert(mark.clone(), number);
        Some(number)
    }

    fn release(&mut self, number: u32, transactions: u64) {
        let used = &mut self.used[number as usize];
        *used -= transactions;
        if *used == 0
            && let Some(mark) = self.marks[number as usize].take()
        {
            self.numbers.remove(&mark);
            self.free.push(number);
        }
    }
}

/// Adds a label to its hour, or takes it out again.
fn count(cells: &mut HashMap<(u8, u32), Cell, FxBuildHasher>, waiting: Waiting, kind: LabelKind, adds: bool) {
    if kind == LabelKind::Unknown {
        return;
    }
    let cell = cells.entry(waiting.place()).or_default();
    let volume = if kind == LabelKind::Fraud { &mut cell.frauds } else { &mut cell.legits };
    let sign = if adds { 1 } else { -1 };
    volume.transactions = volume.transactions.wrapping_add_signed(sign);
    volume.amount_minor += i128::from(sign * waiting.amount_minor());
    if *cell == Cell::default() {
        cells.remove(&waiting.place());
    }
}
