//! What is left of the oldest rows of a key that has too many: totals of short spans of time, and a sample of its
//! values. It holds no row, and an answer that cuts one of its panes is approximate.
//!
//! The bound: a pane spans at most 1/64 of its distance from the key's newest event, and a window takes it whole or
//! not at all. So an answer is the exact one of a window whose edge is moved by at most 1/64 of its distance from now.
//! Distinct values are sampled once there are more than `SAMPLES_MAX` of them in panes: each halving of the sample
//! doubles what a value counts for, and the standard error stays below 2.5 percent.

use std::hash::BuildHasherDefault;

use hashbrown::HashMap;

use crate::scoring::stored::{Reader, Stored, Word, write_words};

use super::{
    block::{Block, Row},
    key::PlainHasher,
    layout::{Lane, Layout},
    moments::Squares,
    summary::{block_extremes, block_totals, wider},
    table::{Change, Extremes, Table, Totals},
};

/// By value: the time of its newest event.
pub(super) type Latest = HashMap<u64, i64, BuildHasherDefault<PlainHasher>>;

/// A pane spans at most this share of its distance from now.
const SPAN_SHARE: i64 = 64;
/// How many values of a lane are sampled: 1/√2048 is 2.2 percent, and the sample holds at least half of it.
const SAMPLES_MAX: usize = 4_096;
/// Blocks folded between two passes over all panes that join what may be joined.
const FOLDS_PER_PASS: u32 = 16;

/// The folded past of a key.
pub(super) struct Panes {
    /// The times of the oldest and the newest row of each pane.
    spans: Vec<(i64, i64)>,
    before: Table,
    /// By pane and lane with extremes.
    extremes: Vec<Extremes>,
    /// By lane of members.
    samples: Vec<Sample>,
    folds: u32,
    /// How many rows of the newest folded time were folded.
    pub(super) edge: (i64, usize),
    /// The newest time at which folded rows changed in a way that panes cannot follow.
    unsure_ms: i64,
}

/// A sample of the values whose newest event is folded.
struct Sample {
    /// A value is in the sample if this many low bits of it are zero.
    level: u32,
    latest: Latest,
    /// By pane: how many of the sample are newest in it.
    counts: Vec<u32>,
}

impl Sample {
    fn takes(&self, value: u64) -> bool {
        // The high bits of a value place it in the table, so the sample is drawn by the low ones.
        value.trailing_zeros() >= self.level
    }
}

impl Panes {
    /// No panes yet.
    pub(super) fn new(layout: &Layout) -> Self {
        let sample = || Sample { level: 0, latest: Latest::default(), counts: Vec::new() };
        Self {
            spans: Vec::new(),
            before: Table::new(layout),
            extremes: Vec::new(),
            samples: layout.members.iter().map(|_| sample()).collect(),
            folds: 0,
            edge: (i64::MIN, 0),
            unsure_ms: i64::MIN,
        }
    }

    /// Appends them to stored state.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        write_words(&self.spans, out);
        self.before.save(out);
        write_words(&self.extremes, out);
        for sample in &self.samples {
            sample.level.write(out);
            save_latest(&sample.latest, out);
            write_words(&sample.counts, out);
        }
        self.folds.write(out);
        self.edge.0.write(out);
        (self.edge.1 as u64).write(out);
        self.unsure_ms.write(out);
    }

    /// Reads them back.
    pub(super) fn load(layout: &Layout, stored: &mut Reader<'_>) -> Stored<Self> {
        let mut panes = Self::new(layout);
        panes.spans = stored.words()?;
        panes.before = Table::load(layout, panes.spans.len(), stored)?;
        panes.extremes = stored.words_of(panes.spans.len() * layout.extremes.len())?;
        for sample in &mut panes.samples {
            sample.level = stored.word()?;
            Reader::check(sample.level < u64::BITS)?;
            sample.latest = load_latest(stored)?;
            sample.counts = stored.words_of(panes.spans.len())?;
        }
        panes.folds = stored.word()?;
        panes.edge = (stored.word()?, stored.word::<u64>()? as usize);
        panes.unsure_ms = stored.word()?;
        Ok(panes)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether none is left.
    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of its allocations.
    pub(super) fn bytes(&self) -> usize {
        let samples = self.samples.iter().map(|sample| {
            sample.latest.allocation_size() + sample.counts.capacity() * size_of::<u32>() + size_of::<Sample>()
        });
        self.spans.capacity() * size_of::<(i64, i64)>()
            + self.before.bytes()
            + self.extremes.capacity() * size_of::<Extremes>()
            + samples.sum::<usize>()
            + size_of::<Self>()
    }

    /// How many panes lie before a time, and whether one of them is cut by it.
    pub(super) fn edge(&self, bound_ms: i64) -> (usize, bool) {
        let pane = self.spans.partition_point(|(_, end)| *end <= bound_ms);
        match self.spans.get(pane) {
            Some((start, end)) if *start <= bound_ms => {
                // Taken whole or not at all, by where its middle lies.
                let is_before = bound_ms - start >= end - bound_ms;
                (pane + usize::from(is_before), true)
            }
            _ => (pane, false),
        }
    }

    /// Whether something folded after a time is not what its rows would be.
    pub(super) fn is_unsure_after(&self, bound_ms: i64) -> bool {
        self.unsure_ms > bound_ms
    }

    /// Whether the distinct values of a lane are estimated.
    pub(super) fn is_sampled(&self, place: usize) -> bool {
        self.samples.get(place).is_some_and(|sample| sample.level > 0)
    }

    pub(super) fn count(&self, lane: usize, from: usize, to: usize) -> u64 {
        self.before.count(to, lane).wrapping_sub(self.before.count(from, lane))
    }

    pub(super) fn sum(&self, layout: &Layout, lane: usize, from: usize, to: usize) -> i128 {
        let Some(term) = layout.lanes[lane].sum else { return 0 };
        self.before.sum(to, term).wrapping_sub(self.before.sum(from, term))
    }

    pub(super) fn squares(&self, layout: &Layout, lane: usize, from: usize, to: usize) -> Squares {
        let Some(term) = layout.lanes[lane].squares else { return Squares::default() };
        self.before.squares(to, term).minus(self.before.squares(from, term))
    }

    pub(super) fn extremes(&self, layout: &Layout, lane: usize, from: usize, to: usize) -> Extremes {
        let (term, width) = (layout.lanes[lane].extremes?, layout.extremes.len());
        (from..to).fold(None, |all, pane| wider(all, self.extremes[pane * width + term]))
    }

    /// How many values have their newest event in the panes `from..to`, as far as the sample tells.
    pub(super) fn distinct(&self, layout: &Layout, members: usize, from: usize, to: usize) -> u64 {
        let Some(sample) = layout.lanes[members].distinct.and_then(|place| self.samples.get(place)) else { return 0 };
        let Some(counts) = sample.counts.get(from..to) else { return 0 };
        counts.iter().map(|count| u64::from(*count)).sum::<u64>() << sample.level
    }

    /// When a value was last seen, if it is in the sample.
    pub(super) fn seen(&self, place: usize, value: u64) -> Option<i64> {
        let time_ms = self.samples.get(place)?.latest.get(&value).copied()?;
        (self.spans.first()?.0 <= time_ms).then_some(time_ms)
    }

    /// A value of the sample was seen again among the rows. Says when it was seen before.
    pub(super) fn seen_again(&mut self, place: usize, value: u64) -> Option<i64> {
        let sample = self.samples.get_mut(place)?;
        let time_ms = sample.latest.remove(&value)?;
        let pane = pane_of(&self.spans, time_ms)?;
        sample.counts[pane] -= 1;
        Some(time_ms)
    }

    /// Takes the rows of the oldest block in. `now_ms` is the key's newest event.
    pub(super) fn fold(&mut self, layout: &Layout, block: &Block, now_ms: i64) {
        let shape = layout.shape(true);
        let mut from = 0;
        while from < block.len() {
            let start_ms = block.time_ms(shape, from);
            let fits = |row: &usize| {
                block.time_ms(shape, *row) - start_ms <= (now_ms - block.time_ms(shape, *row)) / SPAN_SHARE
            };
            let to = (from + 1..block.len()).take_while(fits).last().map_or(from + 1, |row| row + 1);
            self.push(layout, block, from, to);
            from = to;
        }
        let Some(last_ms) = block.last_ms(shape) else { return };
        let older = last_ms.checked_sub(1).map_or(0, |bound| block.rank(shape, bound));
        let equals = block.len() - older;
        self.edge = (last_ms, equals + if self.edge.0 == last_ms { self.edge.1 } else { 0 });
        self.folds = self.folds.wrapping_add(1);
        if self.folds.is_multiple_of(FOLDS_PER_PASS) {
            self.join_all(layout, now_ms);
        }
    }

    /// Takes in a row that is older than all rows kept. `latest` are the values seen among the rows.
    pub(super) fn insert(&mut self, layout: &Layout, row: Row<'_>, latest: &[Latest]) {
        let pane = self.spans.partition_point(|(_, end)| *end < row.time_ms);
        let width = layout.extremes.len();
        match self.spans.get(pane) {
            Some((start, _)) if *start <= row.time_ms => {}
            _ => {
                self.spans.insert(pane, (row.time_ms, row.time_ms));
                if pane + 1 == self.spans.len() {
                    self.before.push();
                } else {
                    self.before.split(pane, &Totals::zero(layout));
                }
                self.extremes.splice(pane * width..pane * width, std::iter::repeat_n(None, width));
                for sample in &mut self.samples {
                    sample.counts.insert(pane, 0);
                }
            }
        }
        for lane in row.members.iter() {
            let column = layout.lanes[lane].column;
            let value = column.and_then(|column| row.values.get(column)).map_or(0, |value| value.cast_signed());
            self.before.change_member_from(pane + 1, layout, lane, Change { joins: true, value });
            if let Some(term) = layout.lanes[lane].extremes {
                let extremes = &mut self.extremes[pane * width + term];
                *extremes = wider(*extremes, Some((value, value)));
            }
        }
        self.edge = match self.edge {
            (time_ms, equals) if time_ms == row.time_ms => (time_ms, equals + 1),
            (time_ms, _) if time_ms < row.time_ms => (row.time_ms, 1),
            newer => newer,
        };
        for (place, members) in layout.members.iter().enumerate() {
            let column = layout.lanes[*members].column.and_then(|column| row.values.get(column));
            let Some(value) = column.copied().filter(|_| row.members.contains(*members)) else { continue };
            let known = self.samples[place].latest.get(&value).is_some_and(|known| *known >= row.time_ms);
            if latest[place].contains_key(&value) {
                // The row that has it next does not know of this one: whoever asks from in between would miss it.
                self.unsure_ms = self.unsure_ms.max(row.time_ms);
            } else if !known {
                self.seen_again(place, value);
                self.sample(place, value, row.time_ms);
            }
        }
    }

    /// A folded row changes: what panes can follow they do, the rest is reported as approximate.
    pub(super) fn amend(&mut self, time_ms: i64, layout: &Layout, changes: impl Iterator<Item = (usize, Amendment)>) {
        self.unsure_ms = self.unsure_ms.max(time_ms);
        let Some(pane) = pane_of(&self.spans, time_ms) else { return };
        for (lane, change) in changes {
            match change {
                Amendment::Member(change) => self.before.change_member_from(pane + 1, layout, lane, change),
                Amendment::Sum(difference) => {
                    if let Some(term) = layout.lanes[lane].sum {
                        self.before.change_sum_from(pane + 1, term, difference);
                    }
                }
            }
        }
    }

    /// Drops panes that no window reaches any more.
    pub(super) fn trim(&mut self, layout: &Layout, cutoff_ms: i64) {
        let dropped = self.spans.partition_point(|(_, end)| *end <= cutoff_ms);
        for _ in 0..dropped {
            self.before.pop_front();
        }
        self.spans.drain(..dropped);
        self.extremes.drain(..dropped * layout.extremes.len());
        for sample in &mut self.samples {
            sample.counts.drain(..dropped);
        }
    }

    /// The same panes for another layout: `lanes` are those of the old one that hold the same.
    pub(super) fn converted(&self, old: &Layout, new: &Layout, lanes: &[Option<usize>]) -> Self {
        let mut made = Self::new(new);
        made.spans.clone_from(&self.spans);
        (made.edge, made.folds, made.unsure_ms) = (self.edge, self.folds, self.unsure_ms);
        let (width, old_width) = (new.extremes.len(), old.extremes.len());
        made.extremes = vec![None; self.spans.len() * width];
        for pane in 0..self.spans.len() {
            let totals = self.before.between(pane, pane + 1);
            let mut kept = Totals::zero(new);
            for (lane, same) in lanes.iter().enumerate() {
                let Some(same) = *same else { continue };
                kept.counts[lane] = totals.counts[same];
                let (lane, same_lane) = (&new.lanes[lane], &old.lanes[same]);
                if let (Some(to), Some(from)) = (lane.sum, same_lane.sum) {
                    kept.sums[to] = totals.sums[from];
                }
                if let (Some(to), Some(from)) = (lane.squares, same_lane.squares) {
                    kept.squares[to] = totals.squares[from];
                }
                if let (Some(to), Some(from)) = (lane.extremes, same_lane.extremes) {
                    made.extremes[pane * width + to] = self.extremes[pane * old_width + from];
                }
            }
            made.before.push_totals(&kept);
        }
        for (place, members) in new.members.iter().enumerate() {
            let same = lanes[*members].and_then(|same| old.lanes[same].distinct);
            let sample = &mut made.samples[place];
            sample.counts = vec![0; self.spans.len()];
            if let Some(old_sample) = same.and_then(|place| self.samples.get(place)) {
                sample.level = old_sample.level;
                sample.latest.clone_from(&old_sample.latest);
                sample.counts.clone_from(&old_sample.counts);
            }
        }
        made
    }

    fn push(&mut self, layout: &Layout, block: &Block, from: usize, to: usize) {
        let shape = layout.shape(true);
        self.before.push_totals(&block_totals(layout, block, from, to));
        self.spans.push((block.time_ms(shape, from), block.time_ms(shape, to - 1)));
        for lane in &layout.extremes {
            self.extremes.push(block_extremes(layout, block, *lane, from, to));
        }
        for (place, members) in layout.members.iter().enumerate() {
            self.samples[place].counts.push(0);
            let Lane { latest: Some(latest), column: Some(column), .. } = layout.lanes[*members] else { continue };
            for row in block.members(latest, from, to) {
                self.sample(place, block.value(shape, column, row), block.time_ms(shape, row));
            }
        }
    }

    fn sample(&mut self, place: usize, value: u64, time_ms: i64) {
        let sample = &mut self.samples[place];
        if !sample.takes(value) {
            return;
        }
        let Some(pane) = pane_of(&self.spans, time_ms) else { return };
        sample.counts[pane] += 1;
        if let Some(known) = sample.latest.insert(value, time_ms).and_then(|known| pane_of(&self.spans, known)) {
            sample.counts[known] -= 1;
        }
        if sample.latest.len() <= SAMPLES_MAX {
            return;
        }
        // Values whose pane is gone make room first; if that is not enough the sample is halved.
        let oldest_ms = self.spans.first().map_or(i64::MAX, |(start, _)| *start);
        sample.latest.retain(|_, time_ms| *time_ms >= oldest_ms);
        while sample.latest.len() > SAMPLES_MAX {
            sample.level += 1;
            let level = sample.level;
            let (spans, counts) = (&self.spans, &mut sample.counts);
            sample.latest.retain(|value, time_ms| {
                let stays = value.trailing_zeros() >= level;
                if let (false, Some(pane)) = (stays, pane_of(spans, *time_ms)) {
                    counts[pane] -= 1;
                }
                stays
            });
        }
    }

    fn join_all(&mut self, layout: &Layout, now_ms: i64) {
        let width = layout.extremes.len();
        let mut pane = 0;
        while pane + 1 < self.spans.len() {
            let ((start, _), (_, end)) = (self.spans[pane], self.spans[pane + 1]);
            if end - start > (now_ms - end) / SPAN_SHARE {
                pane += 1;
                continue;
            }
            self.spans[pane] = (start, end);
            self.spans.remove(pane + 1);
            self.before.join(pane);
            for term in 0..width {
                let both = wider(self.extremes[pane * width + term], self.extremes[(pane + 1) * width + term]);
                self.extremes[pane * width + term] = both;
            }
            self.extremes.drain((pane + 1) * width..(pane + 2) * width);
            for sample in &mut self.samples {
                let next = sample.counts.remove(pane + 1);
                sample.counts[pane] += next;
            }
        }
    }
}

/// Appends when values were last seen, in the order of the values.
pub(super) fn save_latest(latest: &Latest, out: &mut Vec<u8>) {
    let mut seen: Vec<(u64, i64)> = latest.iter().map(|(value, time_ms)| (*value, *time_ms)).collect();
    seen.sort_unstable();
    let words: Vec<_> = seen.into_iter().map(|(value, time_ms)| (value.cast_signed(), time_ms)).collect();
    write_words(&words, out);
}

/// Reads that back.
pub(super) fn load_latest(stored: &mut Reader<'_>) -> Stored<Latest> {
    let words: Vec<(i64, i64)> = stored.words()?;
    Ok(words.into_iter().map(|(value, time_ms)| (value.cast_unsigned(), time_ms)).collect())
}

/// How a folded row changes a lane's totals.
#[derive(Clone, Copy)]
pub(super) enum Amendment {
    /// It joins or leaves.
    Member(Change),
    /// Its value in sums changes by this much.
    Sum(i128),
}

fn pane_of(spans: &[(i64, i64)], time_ms: i64) -> Option<usize> {
    let pane = spans.partition_point(|(_, end)| *end < time_ms);
    spans.get(pane).is_some_and(|(start, _)| *start <= time_ms).then_some(pane)
}
