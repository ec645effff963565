//! The rows of a busy key: blocks in parts, with running totals before each, so that a window costs two look-ups
//! whatever lies inside. It never scans more than the blocks at a window's edges.

mod part;
mod answers;
mod seen;
mod stored;

use super::{
    block::{Block, Row},
    layout::{Lane, Layout},
    panes::{Latest, Panes},
    summary::{block_extremes, each_row, newest_of, wider},
    table::{Change, Extremes, Table},
};

pub(super) use answers::Many;
use part::Part;

/// Blocks of a part. A late row touches the totals of one part and those of the parts.
const BLOCKS_MAX: usize = if cfg!(test) { 4 } else { 64 };
/// Expired blocks dropped at a time, so that a key that comes back after a pause causes none.
const TRIMMED_MAX: usize = 4;

/// A place between rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) part: usize,
    pub(super) block: usize,
    pub(super) row: usize,
}

/// An edge of a window: what lies before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Edge {
    /// Its event time, included in what lies before.
    pub(super) time_ms: i64,
    /// Among the rows.
    pub(super) at: Position,
    /// Among the panes.
    pub(super) pane: usize,
    /// It lies inside a pane, which has been put on one of its sides.
    pub(super) is_cut: bool,
}

/// The rows of a busy key.
pub(super) struct Tree {
    // Invariant: there is a part, and each part has a block with a row.
    parts: Vec<Part>,
    /// By part: the time of its oldest row.
    firsts: Vec<i64>,
    before: Table,
    /// By part and lane with extremes.
    extremes: Vec<Extremes>,
    /// By lane of members: the time of the newest row of each value.
    latest: Vec<Latest>,
    rows: usize,
    /// Bytes of the allocations of all blocks.
    block_bytes: usize,
    panes: Option<Box<Panes>>,
}

impl Tree {
    /// A tree of the rows of a block of a small key.
    pub(super) fn from_block(layout: &Layout, block: &Block) -> Self {
        let mut tree = Self {
            parts: Vec::new(),
            firsts: Vec::new(),
            before: Table::new(layout),
            extremes: Vec::new(),
            latest: layout.members.iter().map(|_| Latest::default()).collect(),
            rows: 0,
            block_bytes: 0,
            panes: None,
        };
        each_row(layout, block, |row| {
            tree.insert(layout, row);
        });
        tree
    }

    /// Takes the panes of a tree of another layout.
    pub(super) fn set_panes(&mut self, panes: Option<Box<Panes>>) {
        self.panes = panes;
    }

    /// The panes, if something was folded.
    pub(super) fn panes(&self) -> Option<&Panes> {
        self.panes.as_deref()
    }

    /// The panes, to change them.
    pub(super) fn panes_mut(&mut self) -> Option<&mut Panes> {
        self.panes.as_deref_mut()
    }

    /// Reads ahead where rows come in and where the longest window leaves them: see `Log::warm`.
    pub(super) fn warm(&self) -> u32 {
        let newest = self.parts.last().and_then(|part| part.blocks.last());
        let oldest = self.parts.first().and_then(|part| part.blocks.first());
        newest.map_or(0, Block::warm).wrapping_add(oldest.map_or(0, Block::warm))
    }

    /// How many rows it holds.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// The only block, if there is but one and nothing was folded.
    pub(super) fn only_block(&self) -> Option<&Block> {
        match &self.parts[..] {
            [part] if self.panes.is_none() => match &part.blocks[..] {
                [block] => Some(block),
                _ => None,
            },
            _ => None,
        }
    }

    /// Its blocks, oldest first.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.parts.iter().flat_map(|part| &part.blocks)
    }

    /// Bytes of its allocations; of the parts' tables what they take when full, so that no part is looked at.
    pub(super) fn bytes(&self) -> usize {
        let latest = self.latest.iter().map(hashbrown::HashMap::allocation_size).sum::<usize>();
        let extremes = self.extremes.capacity() / self.parts.len().max(1) * size_of::<Extremes>();
        let block = size_of::<Block>() + size_of::<i64>() + self.before.entry_bytes() + extremes;
        self.parts.len() * (size_of::<Part>() + BLOCKS_MAX * block)
            + self.block_bytes
            + self.firsts.capacity() * size_of::<i64>()
            + self.before.bytes()
            + self.panes.as_ref().map_or(0, |panes| panes.bytes())
            + latest
            + size_of::<Self>()
    }

    /// The time of the newest row.
    pub(super) fn last_ms(&self, layout: &Layout) -> Option<i64> {
        self.parts.last()?.blocks.last()?.last_ms(layout.shape(true))
    }

    /// The time of the oldest row.
    pub(super) fn first_ms(&self) -> Option<i64> {
        self.firsts.first().copied()
    }

    /// The place behind every row of a time up to and including `bound_ms`.
    pub(super) fn position(&self, layout: &Layout, bound_ms: i64) -> Position {
        // Most edges lie in the newest part.
        let part = match self.firsts.last() {
            Some(first) if *first <= bound_ms => self.firsts.len(),
            _ => self.firsts.partition_point(|first| *first <= bound_ms),
        };
        let Some(part) = part.checked_sub(1) else { return Position::default() };
        let Part { firsts, blocks, .. } = &self.parts[part];
        let block = firsts.partition_point(|first| *first <= bound_ms).saturating_sub(1);
        Position { part, block, row: blocks[block].rank(layout.shape(true), bound_ms) }
    }

    /// Puts a row in its place, behind those of the same time, and says where that is.
    pub(super) fn insert(&mut self, layout: &Layout, row: Row<'_>) -> Position {
        let shape = layout.shape(true);
        let at = self.make_room(layout, row.time_ms);
        let part = &mut self.parts[at.part];
        let block = &mut part.blocks[at.block];
        let bytes = block.bytes();
        block.insert(shape, at.row, row);
        self.block_bytes = self.block_bytes + block.bytes() - bytes;
        if at.row == 0 {
            part.firsts[at.block] = row.time_ms;
            if at.block == 0 {
                self.firsts[at.part] = row.time_ms;
            }
        }
        self.rows += 1;
        for lane in row.members.iter() {
            self.count_change(layout, at, lane, true);
        }
        for members in &layout.members {
            if row.members.contains(*members) {
                self.link(layout, *members, at);
            }
        }
        at
    }

    /// How many rows of the same time lie before a row.
    pub(super) fn equals_before(&self, layout: &Layout, at: Position) -> usize {
        let shape = layout.shape(true);
        let time_ms = self.time_ms(layout, at);
        let (mut equals, mut to) = (0, at.row);
        for (part, block) in self.places_back(at) {
            let block = &self.parts[part].blocks[block];
            let to_here = to.min(block.len());
            let older = time_ms.checked_sub(1).map_or(0, |bound| block.rank(shape, bound).min(to_here));
            equals += to_here - older;
            if older > 0 {
                break;
            }
            to = usize::MAX;
        }
        equals
    }

    /// The row of a time that has `rank` others of that time before it.
    pub(super) fn locate(&self, layout: &Layout, time_ms: i64, mut rank: usize) -> Option<Position> {
        let shape = layout.shape(true);
        let start = self.position(layout, time_ms.checked_sub(1)?);
        let mut row = start.row;
        for (part, block) in self.places_from(start) {
            let here = &self.parts[part].blocks[block];
            if row + rank < here.len() {
                let row = row + rank;
                return (here.time_ms(shape, row) == time_ms).then_some(Position { part, block, row });
            }
            rank -= here.len() - row;
            row = 0;
        }
        None
    }

    /// The time of a row.
    pub(super) fn time_ms(&self, layout: &Layout, at: Position) -> i64 {
        self.block(at).time_ms(layout.shape(true), at.row)
    }

    /// Whether a row is a member of a lane.
    pub(super) fn bit(&self, lane: usize, at: Position) -> bool {
        self.block(at).bit(lane, at.row)
    }

    /// Makes a row a member of a lane, or not.
    pub(super) fn set_member(&mut self, layout: &Layout, lane: usize, at: Position, member: bool) {
        if self.bit(lane, at) == member {
            return;
        }
        if !member && layout.lanes[lane].distinct.is_some() {
            self.unlink(layout, lane, at);
        }
        self.parts[at.part].blocks[at.block].set_bit(lane, at.row, member);
        self.count_change(layout, at, lane, member);
        if member && layout.lanes[lane].distinct.is_some() {
            self.link(layout, lane, at);
        }
    }

    /// Replaces a row's value in a column that is only summed.
    pub(super) fn set_value(&mut self, layout: &Layout, column: usize, at: Position, value: i64) {
        let shape = layout.shape(true);
        let block = &mut self.parts[at.part].blocks[at.block];
        let old = block.value(shape, column, at.row).cast_signed();
        let bytes = block.bytes();
        block.set_value(shape, column, at.row, value.cast_unsigned());
        self.block_bytes = self.block_bytes + block.bytes() - bytes;
        let difference = i128::from(value) - i128::from(old);
        for (term, lane) in layout.sums.iter().enumerate() {
            if layout.lanes[*lane].column == Some(column) && self.bit(*lane, at) {
                self.parts[at.part].before.change_sum_from(at.block + 1, term, difference);
                self.before.change_sum_from(at.part + 1, term, difference);
            }
        }
    }

    /// Drops blocks of which every row is at or before `cutoff_ms`, a few at a time. Says when the newest dropped
    /// member of `seen` was.
    pub(super) fn trim(&mut self, layout: &Layout, cutoff_ms: i64, seen: Option<usize>) -> Option<i64> {
        if let Some(panes) = &mut self.panes {
            panes.trim(layout, cutoff_ms);
            if panes.is_empty() {
                self.panes = None;
            }
        }
        let mut newest = None;
        for _ in 0..TRIMMED_MAX {
            // The next block tells, which is warmer than the front one.
            let next_ms = self.parts[0].firsts.get(1).or_else(|| self.firsts.get(1));
            if next_ms.is_none_or(|next| *next > cutoff_ms) {
                break;
            }
            newest = newest.max(newest_of(layout, &self.parts[0].blocks[0], seen));
            self.drop_front(layout);
        }
        newest
    }

    /// Folds the oldest block into panes. Says when the newest member of `seen` in it was.
    pub(super) fn fold(&mut self, layout: &Layout, seen: Option<usize>) -> Option<i64> {
        let now_ms = self.last_ms(layout)?;
        let front = &self.parts[0].blocks[0];
        let newest = newest_of(layout, front, seen);
        let panes = self.panes.get_or_insert_with(|| Box::new(Panes::new(layout)));
        panes.fold(layout, front, now_ms);
        self.drop_front(layout);
        newest
    }

    /// Enters a row that is older than every row kept into the panes. `false` if there are none.
    pub(super) fn insert_folded(&mut self, layout: &Layout, row: Row<'_>) -> bool {
        let is_older = self.first_ms().is_some_and(|first| row.time_ms < first);
        let (Some(panes), true) = (&mut self.panes, is_older) else { return false };
        panes.insert(layout, row, &self.latest);
        true
    }

    fn block(&self, at: Position) -> &Block {
        &self.parts[at.part].blocks[at.block]
    }

    /// The totals and extremes follow a row that joined or left a lane.
    fn count_change(&mut self, layout: &Layout, at: Position, lane: usize, joins: bool) {
        let Lane { column, extremes, .. } = layout.lanes[lane];
        let shape = layout.shape(true);
        let part = &mut self.parts[at.part];
        let block = &part.blocks[at.block];
        let value = column.map_or(0, |column| block.value(shape, column, at.row).cast_signed());
        let change = Change { joins, value };
        part.before.change_member_from(at.block + 1, layout, lane, change);
        self.before.change_member_from(at.part + 1, layout, lane, change);
        let Some(term) = extremes else { return };
        let (in_part, width) = (at.block * layout.extremes.len() + term, layout.extremes.len());
        if joins {
            part.extremes[in_part] = wider(part.extremes[in_part], Some((value, value)));
            let all = &mut self.extremes[at.part * width + term];
            *all = wider(*all, Some((value, value)));
        } else {
            part.extremes[in_part] = block_extremes(layout, block, lane, 0, block.len());
            self.extremes[at.part * width + term] = part.all_extremes(layout, term);
        }
    }

    /// Finds the place for a row of a time, in a block that can take it.
    fn make_room(&mut self, layout: &Layout, time_ms: i64) -> Position {
        let shape = layout.shape(true);
        loop {
            if self.parts.is_empty() {
                self.push_part(layout, time_ms);
                return Position::default();
            }
            let mut at = self.position(layout, time_ms);
            let last_part = at.part + 1 == self.parts.len();
            let blocks = &self.parts[at.part].blocks;
            let (block, count) = (&blocks[at.block], blocks.len());
            let (is_full, spans) = (block.len() >= layout.rows_max, block.spans(shape, time_ms));
            if !is_full && spans {
                return at;
            }
            let at_end = at.row == block.len();
            let is_last = last_part && at.block + 1 == count;
            if at_end && !is_last && spans {
                // The front of the next block will do, if it has room: else every late row here made a block.
                if let Some(next) = blocks.get(at.block + 1)
                    && next.len() < layout.rows_max
                    && next.spans(shape, time_ms)
                {
                    return Position { block: at.block + 1, row: 0, ..at };
                }
            }
            if at_end && is_last && count >= BLOCKS_MAX {
                self.push_part(layout, time_ms);
                return Position { part: at.part + 1, block: 0, row: 0 };
            }
            if count >= BLOCKS_MAX {
                self.split_part(layout, at.part);
                continue;
            }
            if (at_end && is_last) || !spans {
                at.block += usize::from(at_end);
                self.parts[at.part].insert_block(layout, at.block, time_ms);
                return Position { row: 0, ..at };
            }
            let part = &mut self.parts[at.part];
            let bytes = part.blocks[at.block].bytes();
            part.split_block(layout, at.block);
            let halves = part.blocks[at.block].bytes() + part.blocks[at.block + 1].bytes();
            self.block_bytes = self.block_bytes + halves - bytes;
        }
    }

    fn push_part(&mut self, layout: &Layout, first_ms: i64) {
        let mut part = Part::new(layout);
        part.insert_block(layout, 0, first_ms);
        self.parts.push(part);
        self.firsts.push(first_ms);
        self.before.push();
        self.extremes.extend(std::iter::repeat_n(None, layout.extremes.len()));
    }

    fn split_part(&mut self, layout: &Layout, at: usize) {
        let width = layout.extremes.len();
        let part = &mut self.parts[at];
        let half = part.blocks.len() / 2;
        let tail = Part {
            blocks: part.blocks.split_off(half),
            firsts: part.firsts.split_off(half),
            before: part.before.split_off(half),
            extremes: part.extremes.split_off(half * width),
        };
        // What was dropped at the part's front still counts there, so its own last entry is what lies before the tail.
        self.before.split(at, &part.before.entry(half));
        let of_tail: Vec<_> = (0..width).map(|term| tail.all_extremes(layout, term)).collect();
        for term in 0..width {
            self.extremes[at * width + term] = part.all_extremes(layout, term);
        }
        self.extremes.splice((at + 1) * width..(at + 1) * width, of_tail);
        self.firsts.insert(at + 1, tail.firsts[0]);
        self.parts.insert(at + 1, tail);
    }

    fn drop_front(&mut self, layout: &Layout) {
        let shape = layout.shape(true);
        let width = layout.extremes.len();
        let part = &mut self.parts[0];
        let block = part.blocks.remove(0);
        part.firsts.remove(0);
        part.before.pop_front();
        part.extremes.drain(..width);
        self.rows -= block.len();
        self.block_bytes -= block.bytes();
        for (place, members) in layout.members.iter().enumerate() {
            let Lane { latest: Some(latest), column: Some(column), .. } = layout.lanes[*members] else { continue };
            for row in block.members(latest, 0, block.len()) {
                self.latest[place].remove(&block.value(shape, column, row));
            }
        }
        if self.parts[0].blocks.is_empty() {
            self.parts.remove(0);
            self.firsts.remove(0);
            self.before.pop_front();
            self.extremes.drain(..width);
        } else {
            self.firsts[0] = self.parts[0].firsts[0];
            for term in 0..width {
                self.extremes[term] = self.parts[0].all_extremes(layout, term);
            }
        }
    }

    /// The blocks from a place on.
    fn places_from(&self, from: Position) -> impl Iterator<Item = (usize, usize)> {
        let first = from.block..self.parts.get(from.part).map_or(0, |part| part.blocks.len());
        let rest = (from.part + 1..self.parts.len())
            .flat_map(|part| (0..self.parts[part].blocks.len()).map(move |block| (part, block)));
        first.map(move |block| (from.part, block)).chain(rest)
    }

    /// The blocks from a place back.
    fn places_back(&self, from: Position) -> impl Iterator<Item = (usize, usize)> {
        let rest = (0..from.part)
            .rev()
            .flat_map(|part| (0..self.parts[part].blocks.len()).rev().map(move |block| (part, block)));
        (0..=from.block).rev().map(move |block| (from.part, block)).chain(rest)
    }
}
