//! A block of rows: one key's events in time order, column by column in one allocation. It knows nothing of windows.

mod stored;

use super::{
    bits::{WORD_BITS, insert_bit, low_bits, ones, shift_bits, words_of},
    lanes::Lanes,
    moments::Squares,
};

/// How the rows of a log are laid out: how many bitmaps and how many value columns a block has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// One bit per row and lane.
    pub(super) lanes: usize,
    /// One value per row and column.
    pub(super) columns: usize,
}

/// What a block is given of a new row.
#[derive(Clone, Copy)]
pub(super) struct Row<'r> {
    /// Event time.
    pub(super) time_ms: i64,
    /// The lanes that it is a member of.
    pub(super) members: &'r Lanes,
    /// By column; shorter than the shape where the last are zero.
    pub(super) values: &'r [u64],
}

/// Columns past this one always have both planes, so that the widths of the others fit in 32 bits.
const NARROW_COLUMNS_MAX: usize = 32;
/// Words of a line of the cache, and how many are read ahead at most.
const LINE_WORDS: usize = 16;
const WARMED_WORDS_MAX: usize = 256;
/// So many members of a word are looked for; where there are more, all of its rows are gone through, whole vectors at
/// a time.
const SUMMED_ONE_BY_ONE_MAX: u32 = 8;

/// Rows in time order, equal times in order of arrival.
///
/// Words: a bitmap per lane, then the times as offsets from `base_ms`, then per column a plane of low halves and, if
/// one of the values needs it, a plane of high halves. Every plane is `capacity` long.
pub(super) struct Block {
    words: Box<[u32]>,
    // Invariant: no row is older, and none is newer by more than 32 bits of milliseconds.
    base_ms: i64,
    len: u16,
    capacity: u16,
    // A bit per column: it has a plane of high halves.
    wide: u32,
}

impl Block {
    /// A block without rows or memory.
    pub(super) fn empty() -> Self {
        Self { words: Box::default(), base_ms: 0, len: 0, capacity: 0, wide: 0 }
    }

    /// Reads a word of every line of the cache, in a large block only where it begins.
    pub(super) fn warm(&self) -> u32 {
        self.words.iter().take(WARMED_WORDS_MAX).step_by(LINE_WORDS).fold(0, |all, word| all.wrapping_add(*word))
    }

    /// How many rows it holds.
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether it holds none.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a row more needs more memory.
    pub(super) fn is_full(&self) -> bool {
        self.len == self.capacity
    }

    /// Bytes of its allocation.
    pub(super) fn bytes(&self) -> usize {
        self.words.len() * size_of::<u32>()
    }

    /// The time of a row.
    pub(super) fn time_ms(&self, shape: Shape, row: usize) -> i64 {
        self.base_ms + i64::from(self.times(shape)[row])
    }

    /// The time of the oldest row.
    pub(super) fn first_ms(&self, shape: Shape) -> Option<i64> {
        self.times(shape).first().map(|offset| self.base_ms + i64::from(*offset))
    }

    /// The time of the newest row.
    pub(super) fn last_ms(&self, shape: Shape) -> Option<i64> {
        let last = self.len().checked_sub(1)?;
        Some(self.base_ms + i64::from(self.words[self.times_at(shape) + last]))
    }

    /// How many rows have a time up to and including `bound_ms`.
    pub(super) fn rank(&self, shape: Shape, bound_ms: i64) -> usize {
        let Some(offset) = bound_ms.checked_sub(self.base_ms) else { return 0 };
        if offset < 0 {
            return 0;
        }
        let Ok(offset) = u32::try_from(offset) else { return self.len() };
        let times = self.times(shape);
        if times.last().is_none_or(|last| *last <= offset) {
            return times.len();
        }
        // Counting runs over whole vectors and beats a search where there is little to search.
        if times.len() <= 64 {
            times.iter().map(|time| u32::from(*time <= offset)).sum::<u32>() as usize
        } else {
            times.partition_point(|time| *time <= offset)
        }
    }

    /// Where a row of a time goes, behind those of the same time, and how many of these there are.
    pub(super) fn place_of(&self, shape: Shape, time_ms: i64) -> (usize, usize) {
        if self.last_ms(shape).is_none_or(|last| last < time_ms) {
            return (self.len(), 0);
        }
        let at = self.rank(shape, time_ms);
        let older = time_ms.checked_sub(1).map_or(0, |bound_ms| self.rank(shape, bound_ms));
        (at, at - older)
    }

    /// Whether a row of this time fits beside the others in 32 bits of milliseconds.
    pub(super) fn spans(&self, shape: Shape, time_ms: i64) -> bool {
        let (Some(first), Some(last)) = (self.first_ms(shape), self.last_ms(shape)) else { return true };
        let span = last.max(time_ms).checked_sub(first.min(time_ms));
        span.is_some_and(|span| u32::try_from(span).is_ok())
    }

    /// Puts a row before the one at `at`. The caller has seen to it that it `spans` the time.
    pub(super) fn insert(&mut self, shape: Shape, at: usize, row: Row<'_>) {
        let len = self.len();
        let mut wide = self.wide;
        for (column, value) in row.values.iter().enumerate().take(NARROW_COLUMNS_MAX) {
            wide |= u32::from(*value > u64::from(u32::MAX)) << column;
        }
        if self.is_full() || wide != self.wide {
            let capacity = if self.is_full() { grown(len) } else { usize::from(self.capacity) };
            self.lay_out(shape, capacity, wide);
        }
        if len == 0 {
            self.base_ms = row.time_ms;
        } else if row.time_ms < self.base_ms || row.time_ms - self.base_ms > i64::from(u32::MAX) {
            self.rebase(shape, row.time_ms);
        }
        let mask_words = self.mask_words();
        if at == len {
            // Bits past the last row are off.
            let (word, bit) = (at / WORD_BITS, 1 << (at % WORD_BITS));
            for lane in row.members.iter() {
                self.words[lane * mask_words + word] |= bit;
            }
        } else {
            for lane in 0..shape.lanes {
                insert_bit(self.mask_mut(lane), at, row.members.contains(lane));
            }
        }
        let offset = (row.time_ms - self.base_ms) as u32;
        let capacity = usize::from(self.capacity);
        let mut planes = self.words[shape.lanes * mask_words..].chunks_exact_mut(capacity);
        let mut put = |word| {
            if let Some(plane) = planes.next() {
                insert_word(plane, at, len, word);
            }
        };
        put(offset);
        for column in 0..shape.columns {
            let value = row.values.get(column).copied().unwrap_or_default();
            put(value as u32);
            if column >= NARROW_COLUMNS_MAX || wide >> column & 1 == 1 {
                put((value >> 32) as u32);
            }
        }
        self.len += 1;
    }

    /// Drops the oldest rows. Memory is given back where less than half of it is used.
    pub(super) fn remove_front(&mut self, shape: Shape, rows: usize) {
        self.keep(shape, rows, self.len());
        if usize::from(self.capacity) > 2 * grown(self.len()) {
            self.lay_out(shape, grown(self.len()), self.wide);
        }
    }

    /// Takes the rows from `at` on into a block of their own.
    pub(super) fn split_off(&mut self, shape: Shape, at: usize) -> Self {
        let mut tail = Self {
            words: self.words.clone(),
            base_ms: self.base_ms,
            len: self.len,
            capacity: self.capacity,
            wide: self.wide,
        };
        tail.keep(shape, at, self.len());
        if let Some(first) = tail.first_ms(shape) {
            tail.rebase(shape, first);
        }
        self.len = at as u16;
        self.clear_bits_past_end(shape);
        tail
    }

    /// Gives back memory that no row uses.
    pub(super) fn shrink(&mut self, shape: Shape) {
        if usize::from(self.capacity) > self.len().next_multiple_of(GROWTH) {
            self.lay_out(shape, self.len().next_multiple_of(GROWTH), self.wide);
        }
    }

    /// Whether a row is a member of a lane.
    pub(super) fn bit(&self, lane: usize, row: usize) -> bool {
        self.mask(lane)[row / WORD_BITS] >> (row % WORD_BITS) & 1 == 1
    }

    /// Makes a row a member of a lane, or not.
    pub(super) fn set_bit(&mut self, lane: usize, row: usize, member: bool) {
        let word = &mut self.mask_mut(lane)[row / WORD_BITS];
        *word = *word & !(1 << (row % WORD_BITS)) | u32::from(member) << (row % WORD_BITS);
    }

    /// The value of a row in a column.
    pub(super) fn value(&self, shape: Shape, column: usize, row: usize) -> u64 {
        let (low, high) = self.planes(shape, column);
        u64::from(low[row]) | high.map_or(0, |high| u64::from(high[row]) << 32)
    }

    /// Replaces the value of a row in a column.
    pub(super) fn set_value(&mut self, shape: Shape, column: usize, row: usize, value: u64) {
        if value > u64::from(u32::MAX) && column < NARROW_COLUMNS_MAX && self.wide >> column & 1 == 0 {
            self.lay_out(shape, usize::from(self.capacity), self.wide | 1 << column);
        }
        let (plane, has_high) = self.plane(shape, column);
        self.words[plane + row] = value as u32;
        if has_high {
            self.words[plane + usize::from(self.capacity) + row] = (value >> 32) as u32;
        }
    }

    /// By lane which rows are members, where one word a lane holds them all; nothing where it does not.
    pub(super) fn member_words(&self, lanes: usize) -> &[u32] {
        if self.mask_words() == 1 { &self.words[..lanes] } else { &[] }
    }

    /// How many rows of `from..to` are members of a lane.
    pub(super) fn count(&self, lane: usize, from: usize, to: usize) -> u64 {
        let mask = self.mask(lane);
        words_of(from, to).map(|(word, cut)| u64::from((mask[word] & cut).count_ones())).sum()
    }

    /// The sum of a column over the members of a lane in `from..to`.
    pub(super) fn sum(&self, shape: Shape, lane: usize, column: usize, from: usize, to: usize) -> i128 {
        let (low, high) = self.planes(shape, column);
        let mask = self.mask(lane);
        let mut sum = 0;
        for (word, cut) in words_of(from, to) {
            let bits = mask[word] & cut;
            let start = word * WORD_BITS;
            match high {
                None if bits.count_ones() <= SUMMED_ONE_BY_ONE_MAX => {
                    let narrow: u64 = ones(bits).map(|bit| u64::from(low[start + bit])).sum();
                    sum += i128::from(narrow);
                }
                // At most 32 values of 32 bits.
                None => {
                    let mut narrow = 0_u64;
                    let rows = &low[start..low.len().min(start + WORD_BITS)];
                    for (row, value) in rows.iter().enumerate() {
                        narrow += u64::from(*value) & 0_u64.wrapping_sub(u64::from(bits >> row & 1));
                    }
                    sum += i128::from(narrow);
                }
                Some(high) => {
                    for row in ones(bits).map(|bit| start + bit) {
                        sum += i128::from((u64::from(low[row]) | u64::from(high[row]) << 32).cast_signed());
                    }
                }
            }
        }
        sum
    }

    /// The squares of a column over the members of a lane in `from..to`.
    pub(super) fn squares(&self, shape: Shape, lane: usize, column: usize, from: usize, to: usize) -> Squares {
        let mut squares = Squares::default();
        for row in self.members(lane, from, to) {
            squares.add(self.value(shape, column, row).cast_signed());
        }
        squares
    }

    /// The least and the largest value of a column over the members of a lane in `from..to`.
    pub(super) fn extremes(
        &self,
        shape: Shape,
        lane: usize,
        column: usize,
        from: usize,
        to: usize,
    ) -> Option<(i64, i64)> {
        let values = self.members(lane, from, to).map(|row| self.value(shape, column, row).cast_signed());
        values.fold(None, |extremes, value| match extremes {
            None => Some((value, value)),
            Some((least, largest)) => Some((value.min(least), value.max(largest))),
        })
    }

    /// The members of a lane in `from..to`, oldest first.
    pub(super) fn members(&self, lane: usize, from: usize, to: usize) -> impl Iterator<Item = usize> {
        let mask = self.mask(lane);
        words_of(from, to).flat_map(|(word, cut)| ones(mask[word] & cut).map(move |bit| word * WORD_BITS + bit))
    }

    /// The newest member of a lane before row `to`.
    pub(super) fn newest(&self, lane: usize, to: usize) -> Option<usize> {
        let mask = self.mask(lane);
        for word in (0..to.div_ceil(WORD_BITS)).rev() {
            let cut = low_bits(to - word * WORD_BITS);
            let bits = mask[word] & cut;
            if bits != 0 {
                return Some(word * WORD_BITS + (WORD_BITS - 1) - bits.leading_zeros() as usize);
            }
        }
        None
    }

    /// The oldest member of a lane in `from..to` that holds a value.
    pub(super) fn find(
        &self,
        shape: Shape,
        lane: usize,
        column: usize,
        value: u64,
        from: usize,
        to: usize,
    ) -> Option<usize> {
        let (low, high) = self.planes(shape, column);
        let holds = |row: usize| {
            u64::from(low[row]) | high.map_or(0, |high| u64::from(high[row]) << 32) == value && self.bit(lane, row)
        };
        (from..to).find(|row| low[*row] == value as u32 && holds(*row))
    }

    /// The newest member of a lane in `from..to` that holds a value.
    pub(super) fn find_last(
        &self,
        shape: Shape,
        lane: usize,
        column: usize,
        value: u64,
        from: usize,
        to: usize,
    ) -> Option<usize> {
        let (low, high) = self.planes(shape, column);
        let holds = |row: usize| {
            u64::from(low[row]) | high.map_or(0, |high| u64::from(high[row]) << 32) == value && self.bit(lane, row)
        };
        (from..to).rev().find(|row| low[*row] == value as u32 && holds(*row))
    }

    fn mask_words(&self) -> usize {
        usize::from(self.capacity).div_ceil(WORD_BITS)
    }

    fn mask(&self, lane: usize) -> &[u32] {
        let words = self.mask_words();
        &self.words[lane * words..(lane + 1) * words]
    }

    fn mask_mut(&mut self, lane: usize) -> &mut [u32] {
        let words = self.mask_words();
        &mut self.words[lane * words..(lane + 1) * words]
    }

    fn times_at(&self, shape: Shape) -> usize {
        shape.lanes * self.mask_words()
    }

    fn times(&self, shape: Shape) -> &[u32] {
        let at = self.times_at(shape);
        &self.words[at..at + self.len()]
    }

    /// Where a column's low halves begin, and whether its high halves follow them.
    fn plane(&self, shape: Shape, column: usize) -> (usize, bool) {
        let capacity = usize::from(self.capacity);
        let (wide_before, is_wide) = if column < NARROW_COLUMNS_MAX {
            ((self.wide & low_bits(column)).count_ones() as usize, self.wide >> column & 1 == 1)
        } else {
            (self.wide.count_ones() as usize + column - NARROW_COLUMNS_MAX, true)
        };
        (self.times_at(shape) + capacity * (1 + column + wide_before), is_wide)
    }

    fn planes(&self, shape: Shape, column: usize) -> (&[u32], Option<&[u32]>) {
        let (plane, has_high) = self.plane(shape, column);
        let (len, capacity) = (self.len(), usize::from(self.capacity));
        let low = &self.words[plane..plane + len];
        (low, has_high.then(|| &self.words[plane + capacity..plane + capacity + len]))
    }

    /// Moves everything into an allocation of another capacity, with wider columns where `wide` asks for it.
    fn lay_out(&mut self, shape: Shape, capacity: usize, wide: u32) {
        let mut laid = Self {
            words: vec![0; words_for(shape, capacity, wide)].into_boxed_slice(),
            base_ms: self.base_ms,
            len: self.len,
            capacity: capacity as u16,
            wide,
        };
        let len = self.len();
        if len > 0 {
            let used = len.div_ceil(WORD_BITS);
            for lane in 0..shape.lanes {
                laid.mask_mut(lane)[..used].copy_from_slice(&self.mask(lane)[..used]);
            }
            let (to, from) = (laid.times_at(shape), self.times_at(shape));
            laid.words[to..to + len].copy_from_slice(&self.words[from..from + len]);
            for column in 0..shape.columns {
                let (to, _) = laid.plane(shape, column);
                let (low, high) = self.planes(shape, column);
                laid.words[to..to + len].copy_from_slice(low);
                if let Some(high) = high {
                    laid.words[to + capacity..to + capacity + len].copy_from_slice(high);
                }
            }
        }
        *self = laid;
    }

    /// Makes the oldest of the rows and `time_ms` the base of the offsets.
    fn rebase(&mut self, shape: Shape, time_ms: i64) {
        let base = self.first_ms(shape).map_or(time_ms, |first| first.min(time_ms));
        let shift = self.base_ms.wrapping_sub(base) as u32;
        let (at, len) = (self.times_at(shape), self.len());
        for time in &mut self.words[at..at + len] {
            *time = time.wrapping_add(shift);
        }
        self.base_ms = base;
    }

    /// Keeps the rows `from..to` alone.
    fn keep(&mut self, shape: Shape, from: usize, to: usize) {
        for lane in 0..shape.lanes {
            shift_bits(self.mask_mut(lane), from);
        }
        let capacity = usize::from(self.capacity);
        let planes_at = self.times_at(shape);
        for plane in self.words[planes_at..].chunks_exact_mut(capacity.max(1)) {
            plane.copy_within(from..to, 0);
        }
        self.len = (to - from) as u16;
        self.clear_bits_past_end(shape);
    }

    // Invariant: bits past the last row are off, so that a row appended there finds them so.
    fn clear_bits_past_end(&mut self, shape: Shape) {
        let len = self.len();
        for lane in 0..shape.lanes {
            for (word, bits) in self.mask_mut(lane).iter_mut().enumerate() {
                *bits &= low_bits(len.saturating_sub(word * WORD_BITS));
            }
        }
    }
}

/// How many words a block of a capacity takes.
fn words_for(shape: Shape, capacity: usize, wide: u32) -> usize {
    let always_wide = shape.columns.saturating_sub(NARROW_COLUMNS_MAX);
    let planes = 1 + shape.columns + wide.count_ones() as usize + always_wide;
    shape.lanes * capacity.div_ceil(WORD_BITS) + planes * capacity
}

/// Rows are added in steps: small ones where most keys are, so that little is left unused.
const GROWTH: usize = 4;

fn grown(len: usize) -> usize {
    (len + GROWTH.max(len / 8)).next_multiple_of(GROWTH)
}

fn insert_word(plane: &mut [u32], at: usize, len: usize, word: u32) {
    if at < len {
        plane.copy_within(at..len, at + 1);
    }
    plane[at] = word;
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    /// The same as plain rows.
    type Plain = Vec<(i64, Vec<bool>, Vec<u64>)>;

    fn same(block: &Block, shape: Shape, plain: &Plain) {
        assert_eq!(block.len(), plain.len());
        for (row, (time, members, values)) in plain.iter().enumerate() {
            assert_eq!(block.time_ms(shape, row), *time);
            for (lane, member) in members.iter().enumerate() {
                assert_eq!(block.bit(lane, row), *member, "lane {lane} row {row}");
            }
            for (column, value) in values.iter().enumerate() {
                assert_eq!(block.value(shape, column, row), *value, "column {column} row {row}");
            }
        }
        let middle = plain.len() / 2;
        for lane in 0..shape.lanes {
            let inside = |range: std::ops::Range<usize>| range.filter(|row| plain[*row].1[lane]).count() as u64;
            assert_eq!(block.count(lane, middle, plain.len()), inside(middle..plain.len()));
            assert_eq!(block.count(lane, 0, middle), inside(0..middle));
            let newest = (0..middle).rev().find(|row| plain[*row].1[lane]);
            assert_eq!(block.newest(lane, middle), newest);
            for column in 0..shape.columns {
                let rows = || plain[middle..].iter().filter(|row| row.1[lane]).map(|row| row.2[column].cast_signed());
                let sum: i128 = rows().map(i128::from).sum();
                assert_eq!(block.sum(shape, lane, column, middle, plain.len()), sum);
                let extremes = rows().min().zip(rows().max());
                assert_eq!(block.extremes(shape, lane, column, middle, plain.len()), extremes);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn behaves_as_plain_rows(steps in prop::collection::vec((0..8_u8, any::<u32>(), any::<u64>()), 1..120)) {
            let shape = Shape { lanes: 3, columns: 2 };
            let (mut block, mut plain): (Block, Plain) = (Block::empty(), Vec::new());
            for (step, number, value) in steps {
                match step {
                    0 => {
                        let rows = number as usize % (plain.len() + 1);
                        block.remove_front(shape, rows);
                        plain.drain(..rows);
                    }
                    1 => {
                        let at = number as usize % (plain.len() + 1);
                        let mut tail = block.split_off(shape, at);
                        same(&tail, shape, &plain.split_off(at));
                        tail.shrink(shape);
                        block.shrink(shape);
                    }
                    2 if !plain.is_empty() => {
                        let row = number as usize % plain.len();
                        block.set_value(shape, 1, row, value);
                        block.set_bit(2, row, value % 2 == 0);
                        plain[row].2[1] = value;
                        plain[row].1[2] = value % 2 == 0;
                    }
                    _ => {
                        let time = i64::from(number % 1_000) * 4_000_000;
                        let values = [value >> (value % 64), u64::from(number)];
                        let members = [number % 2 == 0, number % 3 == 0, true];
                        let at = plain.iter().filter(|row| row.0 <= time).count();
                        if plain.len() < 250 && block.spans(shape, time) {
                            prop_assert_eq!(block.rank(shape, time), at);
                            let lanes = (0..3).filter(|lane| members[*lane]).collect();
                            block.insert(shape, at, Row { time_ms: time, members: &lanes, values: &values });
                            plain.insert(at, (time, members.to_vec(), values.to_vec()));
                        }
                    }
                }
                same(&block, shape, &plain);
            }
        }
    }
}
