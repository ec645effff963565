//! The rows of a busy key: blocks in parts, with running totals before each, so that a window costs two look-ups
//! whatever lies inside. It never scans more than the blocks at a window's edges.

use std::hash::BuildHasherDefault;

use hashbrown::HashMap;

use super::{
    block::{Block, Row, Shape},
    key::PlainHasher,
    layout::{Lane, LaneKind, Layout},
    moments::{Moments, Squares},
    panes::Panes,
    table::{Change, Extremes, Table, Totals},
};

/// Blocks of a part. A late row touches the totals of one part and those of the parts.
const BLOCKS_MAX: usize = 64;
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
    panes: Option<Box<Panes>>,
}

pub(super) type Latest = HashMap<u64, i64, BuildHasherDefault<PlainHasher>>;

struct Part {
    blocks: Vec<Block>,
    firsts: Vec<i64>,
    before: Table,
    extremes: Vec<Extremes>,
}

impl Part {
    fn new(layout: &Layout) -> Self {
        Self { blocks: Vec::new(), firsts: Vec::new(), before: Table::new(layout), extremes: Vec::new() }
    }

    /// Puts an empty block before the one at `at`. The caller puts a row into it at once.
    fn insert_block(&mut self, layout: &Layout, at: usize, first_ms: i64) {
        if at == self.blocks.len() {
            self.before.push();
        } else {
            self.before.split(at, &Totals::zero(layout));
        }
        self.blocks.insert(at, Block::empty());
        self.firsts.insert(at, first_ms);
        let extremes = layout.extremes.len();
        self.extremes.splice(at * extremes..at * extremes, std::iter::repeat_n(None, extremes));
    }

    fn split_block(&mut self, layout: &Layout, at: usize) {
        let shape = layout.shape(true);
        let half = self.blocks[at].len() / 2;
        self.before.split(at, &block_totals(layout, &self.blocks[at], 0, half));
        let mut tail = self.blocks[at].split_off(shape, half);
        tail.shrink(shape);
        self.firsts.insert(at + 1, tail.first_ms(shape).unwrap_or_default());
        self.blocks.insert(at + 1, tail);
        let extremes = layout.extremes.len();
        self.extremes.splice(at * extremes..at * extremes, std::iter::repeat_n(None, extremes));
        self.note_extremes(layout, at);
        self.note_extremes(layout, at + 1);
    }

    fn note_extremes(&mut self, layout: &Layout, at: usize) {
        for (term, lane) in layout.extremes.iter().enumerate() {
            let block = &self.blocks[at];
            self.extremes[at * layout.extremes.len() + term] = block_extremes(layout, block, *lane, 0, block.len());
        }
    }

    fn all_extremes(&self, layout: &Layout, term: usize) -> Extremes {
        self.extremes.iter().skip(term).step_by(layout.extremes.len().max(1)).fold(None, |all, one| wider(all, *one))
    }
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

    /// Bytes of its allocations.
    pub(super) fn bytes(&self) -> usize {
        let latest = self.latest.iter().map(hashbrown::HashMap::allocation_size).sum::<usize>();
        let parts = self.parts.iter().map(|part| {
            part.blocks.iter().map(Block::bytes).sum::<usize>()
                + part.blocks.capacity() * size_of::<Block>()
                + part.firsts.capacity() * size_of::<i64>()
                + part.before.bytes()
                + part.extremes.capacity() * size_of::<Extremes>()
        });
        parts.sum::<usize>()
            + self.parts.capacity() * size_of::<Part>()
            + self.firsts.capacity() * size_of::<i64>()
            + self.before.bytes()
            + self.extremes.capacity() * size_of::<Extremes>()
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

    /// The edge of a window at a time.
    pub(super) fn edge(&self, layout: &Layout, bound_ms: i64) -> Edge {
        let at = self.position(layout, bound_ms);
        let (pane, is_cut) = self.panes.as_ref().map_or((0, false), |panes| panes.edge(bound_ms));
        Edge { time_ms: bound_ms, at, pane, is_cut }
    }

    /// How many members of a lane lie between two edges.
    pub(super) fn count(&self, lane: usize, from: &Edge, to: &Edge) -> u64 {
        let folded = self.panes.as_ref().map_or(0, |panes| panes.count(lane, from.pane, to.pane));
        folded.wrapping_add(self.count_before(lane, to.at)).wrapping_sub(self.count_before(lane, from.at))
    }

    /// The sum over the members of a lane between two edges.
    pub(super) fn sum(&self, layout: &Layout, lane: usize, from: &Edge, to: &Edge) -> i128 {
        let folded = self.panes.as_ref().map_or(0, |panes| panes.sum(layout, lane, from.pane, to.pane));
        folded.wrapping_add(self.sum_before(layout, lane, to.at)).wrapping_sub(self.sum_before(layout, lane, from.at))
    }

    /// Count, sum and squares over the members of a lane between two edges.
    pub(super) fn moments(&self, layout: &Layout, lane: usize, from: &Edge, to: &Edge) -> Moments {
        let folded =
            self.panes.as_ref().map_or(Squares::default(), |panes| panes.squares(layout, lane, from.pane, to.pane));
        Moments {
            count: self.count(lane, from, to),
            sum: self.sum(layout, lane, from, to),
            squares: folded
                .plus(self.squares_before(layout, lane, to.at))
                .minus(self.squares_before(layout, lane, from.at)),
        }
    }

    /// The least and the largest value of the members of a lane between two edges.
    pub(super) fn extremes(&self, layout: &Layout, lane: usize, from: &Edge, to: &Edge) -> Extremes {
        let folded = self.panes.as_ref().and_then(|panes| panes.extremes(layout, lane, from.pane, to.pane));
        wider(folded, self.row_extremes(layout, lane, from.at, to.at))
    }

    /// How many values the members of a lane between two edges hold.
    pub(super) fn distinct(&self, layout: &Layout, members: usize, latest: usize, from: &Edge, to: &Edge) -> u64 {
        let newest_here = self
            .count_before(latest, to.at)
            .wrapping_sub(self.count_before(latest, from.at))
            .wrapping_add(self.panes.as_ref().map_or(0, |panes| panes.distinct(layout, members, from.pane, to.pane)));
        // Values that were seen again after the window's end are not marked as latest inside it. The first time they
        // were seen again tells when they were seen before.
        let Some(place) = layout.lanes[members].distinct else { return newest_here };
        let (shape, column) = (layout.shape(true), layout.columns.len() + place);
        let seen_again = |block: &Block, row: usize| {
            let since = block.value(shape, column, row);
            let before_ms = block.time_ms(shape, row).wrapping_add(1).wrapping_sub(since.cast_signed());
            u64::from(since != 0 && before_ms > from.time_ms && before_ms <= to.time_ms)
        };
        let mut again = 0;
        let mut start = to.at.row;
        for (part, block) in self.places_from(to.at) {
            let block = &self.parts[part].blocks[block];
            again += block.members(members, start, block.len()).map(|row| seen_again(block, row)).sum::<u64>();
            start = 0;
        }
        newest_here + again
    }

    /// When a value was last seen among the members of a lane up to an edge.
    pub(super) fn seen_before(&self, layout: &Layout, members: usize, value: u64, edge: &Edge) -> Option<i64> {
        let place = layout.lanes[members].distinct?;
        let Some(latest) = self.latest[place].get(&value).copied() else {
            return self.panes.as_ref().and_then(|panes| panes.seen(place, value));
        };
        if latest <= edge.time_ms {
            return Some(latest);
        }
        let next = self.find_from(layout, members, value, edge.at)?;
        self.seen_before_row(layout, place, next)
    }

    /// The time of the newest member of a lane before a place.
    pub(super) fn newest(&self, layout: &Layout, lane: usize, before: Position) -> Option<i64> {
        let shape = layout.shape(true);
        for part in (0..=before.part.min(self.parts.len() - 1)).rev() {
            let Part { blocks, before: totals, .. } = &self.parts[part];
            let last = if part == before.part { before.block.min(blocks.len() - 1) } else { blocks.len() - 1 };
            for index in (0..=last).rev() {
                let block = &blocks[index];
                let is_edge = part == before.part && index == before.block;
                if !is_edge && totals.count(index, lane) == totals.count(index + 1, lane) {
                    continue;
                }
                let to = if is_edge { before.row } else { block.len() };
                if let Some(row) = block.newest(lane, to) {
                    return Some(block.time_ms(shape, row));
                }
            }
        }
        None
    }

    /// Puts a row in its place, behind those of the same time, and says where that is.
    pub(super) fn insert(&mut self, layout: &Layout, row: Row<'_>) -> Position {
        let shape = layout.shape(true);
        let at = self.make_room(layout, row.time_ms);
        let part = &mut self.parts[at.part];
        part.blocks[at.block].insert(shape, at.row, row);
        if at.row == 0 {
            part.firsts[at.block] = row.time_ms;
            if at.block == 0 {
                self.firsts[at.part] = row.time_ms;
            }
        }
        self.rows += 1;
        for (lane, member) in row.members.iter().enumerate() {
            if *member {
                self.count_change(layout, at, lane, true);
            }
        }
        for members in &layout.members {
            if row.members[*members] {
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
        block.set_value(shape, column, at.row, value.cast_unsigned());
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
            let has_more = self.parts.len() > 1 || self.parts[0].blocks.len() > 1;
            let front = &self.parts[0].blocks[0];
            if !has_more || front.last_ms(layout.shape(true)).is_none_or(|last| last > cutoff_ms) {
                break;
            }
            newest = newest.max(newest_of(layout, front, seen));
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

    fn count_before(&self, lane: usize, at: Position) -> u64 {
        let part = &self.parts[at.part];
        let inside = part.blocks[at.block].count(lane, 0, at.row);
        self.before.count(at.part, lane).wrapping_add(part.before.count(at.block, lane)).wrapping_add(inside)
    }

    fn sum_before(&self, layout: &Layout, lane: usize, at: Position) -> i128 {
        let Lane { sum: Some(term), column: Some(column), .. } = layout.lanes[lane] else { return 0 };
        let part = &self.parts[at.part];
        let inside = part.blocks[at.block].sum(layout.shape(true), lane, column, 0, at.row);
        self.before.sum(at.part, term).wrapping_add(part.before.sum(at.block, term)).wrapping_add(inside)
    }

    fn squares_before(&self, layout: &Layout, lane: usize, at: Position) -> Squares {
        let Lane { squares: Some(term), column: Some(column), .. } = layout.lanes[lane] else {
            return Squares::default();
        };
        let part = &self.parts[at.part];
        let inside = part.blocks[at.block].squares(layout.shape(true), lane, column, 0, at.row);
        self.before.squares(at.part, term).plus(part.before.squares(at.block, term)).plus(inside)
    }

    fn row_extremes(&self, layout: &Layout, lane: usize, from: Position, to: Position) -> Extremes {
        let term = layout.lanes[lane].extremes?;
        let width = layout.extremes.len();
        if (from.part, from.block) == (to.part, to.block) {
            return block_extremes(layout, self.block(from), lane, from.row, to.row);
        }
        if from > to {
            return None;
        }
        let head = block_extremes(layout, self.block(from), lane, from.row, self.block(from).len());
        let mut all = wider(head, block_extremes(layout, self.block(to), lane, 0, to.row));
        let of_blocks = |part: usize, blocks: std::ops::Range<usize>| {
            blocks.fold(None, |all, block| wider(all, self.parts[part].extremes[block * width + term]))
        };
        if from.part == to.part {
            return wider(all, of_blocks(from.part, from.block + 1..to.block));
        }
        all = wider(all, of_blocks(from.part, from.block + 1..self.parts[from.part].blocks.len()));
        all = wider(all, of_blocks(to.part, 0..to.block));
        (from.part + 1..to.part).fold(all, |all, part| wider(all, self.extremes[part * width + term]))
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
            self.parts[at.part].split_block(layout, at.block);
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

    /// Notes a new member of a lane whose values are counted once.
    fn link(&mut self, layout: &Layout, members: usize, at: Position) {
        let shape = layout.shape(true);
        let Lane { latest: Some(latest), column: Some(column), distinct: Some(place), .. } = layout.lanes[members]
        else {
            return;
        };
        let since = layout.columns.len() + place;
        let time_ms = self.time_ms(layout, at);
        let value = self.block(at).value(shape, column, at.row);
        match self.latest[place].get(&value).copied() {
            Some(newer) if newer > time_ms || newer == time_ms && self.is_behind(layout, latest, value, at) => {
                let next = Position { row: at.row + 1, ..at };
                let Some(next) = self.find_from(layout, members, value, next) else { return };
                let before = self.seen_before_row(layout, place, next);
                let next_ms = self.time_ms(layout, next);
                self.set_since(shape, since, at, before.map(|before| time_ms - before));
                self.set_since(shape, since, next, Some(next_ms - time_ms));
                return;
            }
            Some(older) => {
                if let Some(old) = self.find_back(layout, latest, value, older, None) {
                    self.set_latest(latest, old, false);
                }
                self.set_since(shape, since, at, Some(time_ms - older));
            }
            None => {
                self.set_since(shape, since, at, None);
                if let Some(panes) = &mut self.panes {
                    panes.seen_again(place, value);
                }
            }
        }
        self.set_latest(latest, at, true);
        self.latest[place].insert(value, time_ms);
    }

    /// Forgets a member of a lane whose values are counted once.
    fn unlink(&mut self, layout: &Layout, members: usize, at: Position) {
        let shape = layout.shape(true);
        let Lane { latest: Some(latest), column: Some(column), distinct: Some(place), .. } = layout.lanes[members]
        else {
            return;
        };
        let since = layout.columns.len() + place;
        let value = self.block(at).value(shape, column, at.row);
        let before = self.seen_before_row(layout, place, at);
        if !self.bit(latest, at) {
            let next = Position { row: at.row + 1, ..at };
            if let Some(next) = self.find_from(layout, members, value, next) {
                let next_ms = self.time_ms(layout, next);
                self.set_since(shape, since, next, before.map(|before| next_ms - before));
            }
            return;
        }
        self.set_latest(latest, at, false);
        let old = before.and_then(|before| self.find_back(layout, members, value, before, Some(at)));
        match (old, before) {
            (Some(old), Some(before)) => {
                self.set_latest(latest, old, true);
                self.latest[place].insert(value, before);
            }
            _ => drop(self.latest[place].remove(&value)),
        }
    }

    /// Whether the latest row of a value, which has the time of a row, stands behind it.
    fn is_behind(&self, layout: &Layout, latest: usize, value: u64, at: Position) -> bool {
        let time_ms = self.time_ms(layout, at);
        self.find_back(layout, latest, value, time_ms, None).is_some_and(|latest| latest > at)
    }

    fn set_latest(&mut self, latest: usize, at: Position, is_latest: bool) {
        let part = &mut self.parts[at.part];
        part.blocks[at.block].set_bit(latest, at.row, is_latest);
        part.before.change_count_from(at.block + 1, latest, is_latest);
        self.before.change_count_from(at.part + 1, latest, is_latest);
    }

    // A row's time since its value was last seen is kept plus one, so that zero says never.
    fn set_since(&mut self, shape: Shape, column: usize, at: Position, since_ms: Option<i64>) {
        let value = since_ms.map_or(0, |since_ms| since_ms.cast_unsigned() + 1);
        self.parts[at.part].blocks[at.block].set_value(shape, column, at.row, value);
    }

    fn seen_before_row(&self, layout: &Layout, place: usize, at: Position) -> Option<i64> {
        let shape = layout.shape(true);
        let since = self.block(at).value(shape, layout.columns.len() + place, at.row);
        (since != 0).then(|| self.time_ms(layout, at) - (since - 1).cast_signed())
    }

    /// The oldest member of a lane with a value from a place on.
    fn find_from(&self, layout: &Layout, lane: usize, value: u64, from: Position) -> Option<Position> {
        let (shape, column) = (layout.shape(true), layout.lanes[lane].column?);
        let mut start = from.row;
        for (part, block) in self.places_from(from) {
            let here = &self.parts[part].blocks[block];
            if let Some(row) = here.find(shape, lane, column, value, start, here.len()) {
                return Some(Position { part, block, row });
            }
            start = 0;
        }
        None
    }

    /// The newest member of a lane with a value among the rows of a time, before a place.
    fn find_back(
        &self,
        layout: &Layout,
        lane: usize,
        value: u64,
        time_ms: i64,
        before: Option<Position>,
    ) -> Option<Position> {
        let (shape, column) = (layout.shape(true), layout.lanes[lane].column?);
        let end = self.position(layout, time_ms);
        let end = before.map_or(end, |before| before.min(end));
        let mut to = end.row;
        for (part, block) in self.places_back(end) {
            let here = &self.parts[part].blocks[block];
            let to_here = to.min(here.len());
            let from = time_ms.checked_sub(1).map_or(0, |bound| here.rank(shape, bound));
            if let Some(row) = here.find_last(shape, lane, column, value, from.min(to_here), to_here) {
                return Some(Position { part, block, row });
            }
            if from > 0 {
                return None;
            }
            to = usize::MAX;
        }
        None
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

/// Hands over every row of a small key's block, oldest first.
pub(super) fn each_row(layout: &Layout, block: &Block, row: impl FnMut(Row<'_>)) {
    rows_of(layout, block, false, row);
}

/// Hands over every row of a block, oldest first; the columns of trees alone are left out, and so are the latest marks.
pub(super) fn rows_of(layout: &Layout, block: &Block, in_tree: bool, mut hand_over: impl FnMut(Row<'_>)) {
    let shape = layout.shape(in_tree);
    let (mut members, mut values) = (Vec::new(), Vec::new());
    for row in 0..block.len() {
        members.clear();
        members.extend(
            layout
                .lanes
                .iter()
                .enumerate()
                .map(|(lane, made)| block.bit(lane, row) && !matches!(made.kind, LaneKind::Latest(_))),
        );
        values.clear();
        values.extend((0..layout.columns.len()).map(|column| block.value(shape, column, row)));
        hand_over(Row { time_ms: block.time_ms(shape, row), members: &members, values: &values });
    }
}

/// Both ranges as one.
pub(super) fn wider(left: Extremes, right: Extremes) -> Extremes {
    match (left, right) {
        (Some((least, largest)), Some((lesser, larger))) => Some((least.min(lesser), largest.max(larger))),
        (one, other) => one.or(other),
    }
}

/// The totals of some rows of a block of a tree.
pub(super) fn block_totals(layout: &Layout, block: &Block, from: usize, to: usize) -> Totals {
    let shape = layout.shape(true);
    let mut totals = Totals::zero(layout);
    for (lane, count) in totals.counts.iter_mut().enumerate() {
        *count = block.count(lane, from, to);
    }
    for (term, lane) in layout.sums.iter().enumerate() {
        let Some(column) = layout.lanes[*lane].column else { continue };
        totals.sums[term] = block.sum(shape, *lane, column, from, to);
    }
    for (term, lane) in layout.squares.iter().enumerate() {
        let Some(column) = layout.lanes[*lane].column else { continue };
        totals.squares[term] = block.squares(shape, *lane, column, from, to);
    }
    totals
}

/// The extremes of a lane among some rows of a block of a tree.
pub(super) fn block_extremes(layout: &Layout, block: &Block, lane: usize, from: usize, to: usize) -> Extremes {
    let column = layout.lanes[lane].column?;
    block.extremes(layout.shape(true), lane, column, from, to)
}

fn newest_of(layout: &Layout, block: &Block, seen: Option<usize>) -> Option<i64> {
    let row = block.newest(seen?, block.len())?;
    Some(block.time_ms(layout.shape(true), row))
}
