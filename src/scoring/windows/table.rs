//! Running totals over a row of parts: what lies before each part, by lane. Only differences between them mean
//! anything, so parts can be dropped at the front without touching the rest.

use crate::scoring::stored::{Reader, Stored, Word, write_words};

use super::{layout::Layout, moments::Squares};

/// What is added up over rows, by lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// By lane.
    pub(super) counts: Vec<u64>,
    /// By lane summed.
    pub(super) sums: Vec<i128>,
    /// By lane squared.
    pub(super) squares: Vec<Squares>,
}

/// The least and the largest value of a lane, if it has any.
pub(super) type Extremes = Option<(i64, i64)>;

/// What lies before each of a row of parts; one entry more than there are parts.
pub(super) struct Table {
    counts: Vec<u64>,
    sums: Vec<i128>,
    squares: Vec<Squares>,
    widths: [usize; 3],
    entries: usize,
}

impl Totals {
    /// Nothing yet.
    pub(super) fn zero(layout: &Layout) -> Self {
        Self {
            counts: vec![0; layout.lanes.len()],
            sums: vec![0; layout.sums.len()],
            squares: vec![Squares::default(); layout.squares.len()],
        }
    }

    /// Takes others away.
    pub(super) fn subtract(&mut self, other: &Self) {
        for (total, less) in self.counts.iter_mut().zip(&other.counts) {
            *total = total.wrapping_sub(*less);
        }
        for (total, less) in self.sums.iter_mut().zip(&other.sums) {
            *total = total.wrapping_sub(*less);
        }
        for (total, less) in self.squares.iter_mut().zip(&other.squares) {
            *total = total.minus(*less);
        }
    }
}

impl Table {
    /// A table without parts.
    pub(super) fn new(layout: &Layout) -> Self {
        let widths = [layout.lanes.len(), layout.sums.len(), layout.squares.len()];
        Self {
            counts: vec![0; widths[0]],
            sums: vec![0; widths[1]],
            squares: vec![Squares::default(); widths[2]],
            widths,
            entries: 1,
        }
    }

    /// Appends it to stored state.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        (self.entries as u64).write(out);
        write_words(&self.counts, out);
        write_words(&self.sums, out);
        write_words(&self.squares, out);
    }

    /// Reads it back, for so many parts.
    pub(super) fn load(layout: &Layout, parts: usize, stored: &mut Reader<'_>) -> Stored<Self> {
        let mut table = Self::new(layout);
        table.entries = parts + 1;
        Reader::check(stored.word::<u64>()? == table.entries as u64)?;
        table.counts = stored.words_of(table.entries * table.widths[0])?;
        table.sums = stored.words_of(table.entries * table.widths[1])?;
        table.squares = stored.words_of(table.entries * table.widths[2])?;
        Ok(table)
    }

    /// Bytes of its allocations.
    pub(super) fn bytes(&self) -> usize {
        self.counts.capacity() * size_of::<u64>()
            + self.sums.capacity() * size_of::<i128>()
            + self.squares.capacity() * size_of::<Squares>()
    }

    /// Bytes of an entry.
    pub(super) fn entry_bytes(&self) -> usize {
        let [counts, sums, squares] = self.widths;
        counts * size_of::<u64>() + sums * size_of::<i128>() + squares * size_of::<Squares>()
    }

    /// How many members of a lane lie before a part.
    pub(super) fn count(&self, part: usize, lane: usize) -> u64 {
        self.counts[part * self.widths[0] + lane]
    }

    /// The sum before a part, by the lane's place among those summed.
    pub(super) fn sum(&self, part: usize, term: usize) -> i128 {
        self.sums[part * self.widths[1] + term]
    }

    /// The squares before a part, by the lane's place among those squared.
    pub(super) fn squares(&self, part: usize, term: usize) -> Squares {
        self.squares[part * self.widths[2] + term]
    }

    /// Adds a part at the end, without rows yet.
    pub(super) fn push(&mut self) {
        let [counts, sums, squares] = self.widths;
        self.counts.extend_from_within((self.entries - 1) * counts..);
        self.sums.extend_from_within((self.entries - 1) * sums..);
        self.squares.extend_from_within((self.entries - 1) * squares..);
        self.entries += 1;
    }

    /// Adds a part at the end.
    pub(super) fn push_totals(&mut self, totals: &Totals) {
        self.push();
        self.change_from(self.entries - 1, totals);
    }

    /// Adds totals to what lies before each part from `part` on.
    pub(super) fn change_from(&mut self, part: usize, totals: &Totals) {
        for entry in part..self.entries {
            self.change(entry, totals);
        }
    }

    /// Cuts a part in two: `totals` are those of its first half.
    pub(super) fn split(&mut self, part: usize, totals: &Totals) {
        self.insert_after(part);
        self.change(part + 1, totals);
    }

    /// Makes one part of a part and the next.
    pub(super) fn join(&mut self, part: usize) {
        self.remove(part + 1);
    }

    /// Forgets the first part.
    pub(super) fn pop_front(&mut self) {
        self.remove(0);
    }

    /// Takes the parts from `part` on into a table of their own, which begins at zero.
    pub(super) fn split_off(&mut self, part: usize) -> Self {
        let [counts, sums, squares] = self.widths;
        let mut tail = Self {
            counts: self.counts[part * counts..].to_vec(),
            sums: self.sums[part * sums..].to_vec(),
            squares: self.squares[part * squares..].to_vec(),
            widths: self.widths,
            entries: self.entries - part,
        };
        self.counts.truncate((part + 1) * counts);
        self.sums.truncate((part + 1) * sums);
        self.squares.truncate((part + 1) * squares);
        self.entries = part + 1;
        let first = tail.entry(0);
        for entry in 0..tail.entries {
            tail.change_back(entry, &first);
        }
        tail
    }

    /// What lies before a part.
    pub(super) fn entry(&self, part: usize) -> Totals {
        let [counts, sums, squares] = self.widths;
        Totals {
            counts: self.counts[part * counts..(part + 1) * counts].to_vec(),
            sums: self.sums[part * sums..(part + 1) * sums].to_vec(),
            squares: self.squares[part * squares..(part + 1) * squares].to_vec(),
        }
    }

    /// The totals of the parts `from..to`.
    pub(super) fn between(&self, from: usize, to: usize) -> Totals {
        let mut totals = self.entry(to);
        totals.subtract(&self.entry(from));
        totals
    }

    /// One member more or less of a lane, with its value, before each part from `part` on.
    pub(super) fn change_member_from(&mut self, part: usize, layout: &Layout, lane: usize, change: Change) {
        let lane_counted = &layout.lanes[lane];
        let [counts, sums, squares] = self.widths;
        let step = if change.joins { 1 } else { u64::MAX };
        for count in self.counts.iter_mut().skip(part * counts + lane).step_by(counts) {
            *count = count.wrapping_add(step);
        }
        if let Some(term) = lane_counted.sum {
            let value = if change.joins { i128::from(change.value) } else { -i128::from(change.value) };
            for sum in self.sums.iter_mut().skip(part * sums + term).step_by(sums) {
                *sum = sum.wrapping_add(value);
            }
        }
        if let Some(term) = lane_counted.squares {
            let mut square = Squares::default();
            square.add(change.value);
            for sum in self.squares.iter_mut().skip(part * squares + term).step_by(squares) {
                *sum = if change.joins { sum.plus(square) } else { sum.minus(square) };
            }
        }
    }

    /// A member's value changes by `difference`: the sums before each part from `part` on follow.
    pub(super) fn change_sum_from(&mut self, part: usize, term: usize, difference: i128) {
        let width = self.widths[1];
        for sum in self.sums.iter_mut().skip(part * width + term).step_by(width) {
            *sum = sum.wrapping_add(difference);
        }
    }

    /// The lane's count before each part from `part` on follows a member that joins or leaves.
    pub(super) fn change_count_from(&mut self, part: usize, lane: usize, joins: bool) {
        let width = self.widths[0];
        let step = if joins { 1 } else { u64::MAX };
        for count in self.counts.iter_mut().skip(part * width + lane).step_by(width) {
            *count = count.wrapping_add(step);
        }
    }

    fn change(&mut self, entry: usize, totals: &Totals) {
        let [counts, sums, squares] = self.widths;
        for (total, more) in self.counts[entry * counts..].iter_mut().zip(&totals.counts) {
            *total = total.wrapping_add(*more);
        }
        for (total, more) in self.sums[entry * sums..].iter_mut().zip(&totals.sums) {
            *total = total.wrapping_add(*more);
        }
        for (total, more) in self.squares[entry * squares..].iter_mut().zip(&totals.squares) {
            *total = total.plus(*more);
        }
    }

    fn change_back(&mut self, entry: usize, totals: &Totals) {
        let [counts, sums, squares] = self.widths;
        for (total, less) in self.counts[entry * counts..].iter_mut().zip(&totals.counts) {
            *total = total.wrapping_sub(*less);
        }
        for (total, less) in self.sums[entry * sums..].iter_mut().zip(&totals.sums) {
            *total = total.wrapping_sub(*less);
        }
        for (total, less) in self.squares[entry * squares..].iter_mut().zip(&totals.squares) {
            *total = total.minus(*less);
        }
    }

    fn insert_after(&mut self, entry: usize) {
        fn double<T: Copy>(items: &mut Vec<T>, entry: usize, width: usize) {
            let copy: smallvec::SmallVec<[T; 8]> = items[entry * width..(entry + 1) * width].iter().copied().collect();
            items.splice((entry + 1) * width..(entry + 1) * width, copy);
        }
        let [counts, sums, squares] = self.widths;
        double(&mut self.counts, entry, counts);
        double(&mut self.sums, entry, sums);
        double(&mut self.squares, entry, squares);
        self.entries += 1;
    }

    fn remove(&mut self, entry: usize) {
        let [counts, sums, squares] = self.widths;
        self.counts.drain(entry * counts..(entry + 1) * counts);
        self.sums.drain(entry * sums..(entry + 1) * sums);
        self.squares.drain(entry * squares..(entry + 1) * squares);
        self.entries -= 1;
    }
}

/// A row that becomes a member of a lane, or no longer is.
#[derive(Clone, Copy)]
pub(super) struct Change {
    pub(super) joins: bool,
    /// Its value in the lane's column.
    pub(super) value: i64,
}
