//! The rows of one key: a single block while there are few, a tree beyond. It does not know which key it is.

use crate::scoring::stored::{Reader, Stored, StoredError};

use super::{
    block::{Block, Row},
    layout::Layout,
    moments::Moments,
    panes::Amendment,
    summary::{each_row, rows_of},
    table::{Change, Extremes},
    tree::{Edge, Position, Tree},
};

/// The rows of one key.
pub(super) enum Rows {
    /// At most a block of them.
    Few(Block),
    /// More than that.
    Many(Box<Tree>),
}

impl Rows {
    /// None yet.
    pub(super) fn empty() -> Self {
        Self::Few(Block::empty())
    }

    /// Reads a word of every line of a block: see `Log::warm`.
    pub(super) fn warm(&self) -> u32 {
        match self {
            Self::Few(block) => block.warm(),
            Self::Many(tree) => tree.len() as u32,
        }
    }

    /// How many rows are held one by one.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(block) => block.len(),
            Self::Many(tree) => tree.len(),
        }
    }

    /// Bytes of its allocations.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Few(block) => block.bytes(),
            Self::Many(tree) => tree.bytes(),
        }
    }

    /// The time of the newest row.
    pub(super) fn last_ms(&self, layout: &Layout) -> Option<i64> {
        match self {
            Self::Few(block) => block.last_ms(layout.shape(false)),
            Self::Many(tree) => tree.last_ms(layout),
        }
    }

    /// The edge of a window: what lies at or before a time.
    pub(super) fn edge(&self, layout: &Layout, bound_ms: i64) -> Edge {
        match self {
            Self::Few(block) => {
                let at = Position { part: 0, block: 0, row: block.rank(layout.shape(false), bound_ms) };
                Edge { time_ms: bound_ms, at, pane: 0, is_cut: false }
            }
            Self::Many(tree) => tree.edge(layout, bound_ms),
        }
    }

    /// How many members of a lane lie between two edges.
    pub(super) fn count(&self, lane: usize, from: &Edge, to: &Edge) -> u64 {
        match self {
            Self::Few(block) if block.is_empty() => 0,
            Self::Few(block) => block.count(lane, from.at.row, to.at.row),
            Self::Many(tree) => tree.count(lane, from, to),
        }
    }

    /// The sum over the members of a lane between two edges.
    pub(super) fn sum(&self, layout: &Layout, lane: usize, from: &Edge, to: &Edge) -> i128 {
        match (self, layout.lanes[lane].column) {
            (Self::Few(block), Some(column)) if !block.is_empty() => {
                block.sum(layout.shape(false), lane, column, from.at.row, to.at.row)
            }
            (Self::Few(_), _) => 0,
            (Self::Many(tree), _) => tree.sum(layout, lane, from, to),
        }
    }

    /// Count, sum and, where they are asked for, squares over the members of a lane between two edges.
    pub(super) fn moments(&self, layout: &Layout, lane: usize, from: &Edge, to: &Edge) -> Moments {
        match (self, layout.lanes[lane].column) {
            (Self::Few(block), Some(column)) if !block.is_empty() => Moments {
                count: block.count(lane, from.at.row, to.at.row),
                sum: block.sum(layout.shape(false), lane, column, from.at.row, to.at.row),
                squares: block.squares(layout.shape(false), lane, column, from.at.row, to.at.row),
            },
            (Self::Few(_), _) => Moments::default(),
            (Self::Many(tree), _) => tree.moments(layout, lane, from, to),
        }
    }

    /// The least and the largest value of the members of a lane between two edges.
    pub(super) fn extremes(&self, layout: &Layout, lane: usize, from: &Edge, to: &Edge) -> Extremes {
        match (self, layout.lanes[lane].column) {
            (Self::Few(block), Some(column)) if !block.is_empty() => {
                block.extremes(layout.shape(false), lane, column, from.at.row, to.at.row)
            }
            (Self::Few(_), _) => None,
            (Self::Many(tree), _) => tree.extremes(layout, lane, from, to),
        }
    }

    /// How many values the members of a lane between two edges hold.
    pub(super) fn distinct(&self, layout: &Layout, members: usize, latest: usize, from: &Edge, to: &Edge) -> u64 {
        match (self, layout.lanes[members].column) {
            (Self::Few(block), Some(column)) if !block.is_empty() => {
                let shape = layout.shape(false);
                let (from, to) = (from.at.row, to.at.row);
                // Values that were seen again after the window's end are not marked as latest inside it.
                let seen_again = |row: &usize| {
                    let value = block.value(shape, column, *row);
                    block.find(shape, members, column, value, to, *row).is_none()
                        && block.find(shape, members, column, value, from, to).is_some()
                };
                let again = block.members(members, to, block.len()).filter(seen_again).count() as u64;
                block.count(latest, from, to) + again
            }
            (Self::Few(_), _) => 0,
            (Self::Many(tree), _) => tree.distinct(layout, members, latest, from, to),
        }
    }

    /// When a value was last seen among the members of a lane up to an edge.
    pub(super) fn seen_before(&self, layout: &Layout, members: usize, value: u64, edge: &Edge) -> Option<i64> {
        match self {
            Self::Few(block) if block.is_empty() => None,
            Self::Few(block) => {
                let (shape, column) = (layout.shape(false), layout.lanes[members].column?);
                let row = block.find_last(shape, members, column, value, 0, edge.at.row)?;
                Some(block.time_ms(shape, row))
            }
            Self::Many(tree) => tree.seen_before(layout, members, value, edge),
        }
    }

    /// The time of the newest member of a lane before an edge.
    pub(super) fn newest(&self, layout: &Layout, lane: usize, edge: &Edge) -> Option<i64> {
        match self {
            Self::Few(block) if block.is_empty() => None,
            Self::Few(block) => Some(block.time_ms(layout.shape(false), block.newest(lane, edge.at.row)?)),
            Self::Many(tree) => tree.newest(layout, lane, edge.at),
        }
    }

    /// Whether an answer between two edges may differ from what the folded rows would give.
    pub(super) fn is_approximate(&self, from: &Edge, to: &Edge, distinct: Option<usize>) -> bool {
        let Self::Many(tree) = self else { return false };
        let Some(panes) = tree.panes() else { return false };
        // Of values that were seen again among folded rows it is not known when they were seen before.
        let is_sampled = || {
            let ends_folded = to.pane < panes.len();
            distinct.is_some_and(|place| ends_folded || panes.is_sampled(place) && from.pane < to.pane)
        };
        from.is_cut || to.is_cut || panes.is_unsure_after(from.time_ms) || is_sampled()
    }

    /// Whether something was folded at or after a time.
    pub(super) fn is_folded_at(&self, bound_ms: i64) -> bool {
        let Self::Many(tree) = self else { return false };
        tree.panes().is_some_and(|panes| panes.edge.0 >= bound_ms)
    }

    /// Puts a row in its place. Rows at or before `cutoff_ms` may be dropped, and beyond `rows_max` the oldest are
    /// folded.
    pub(super) fn insert(&mut self, layout: &Layout, row: Row<'_>, cutoff_ms: i64, rows_max: usize) -> Inserted {
        let mut left = Left::default();
        if let Self::Few(block) = self {
            let shape = layout.shape(false);
            if block.is_full() || block.len() >= layout.rows_max {
                left.seen_ms = trim_block(layout, block, cutoff_ms);
            }
            if block.len() < layout.rows_max && block.spans(shape, row.time_ms) {
                let at = block.rank(shape, row.time_ms);
                block.insert(shape, at, row);
                for members in layout.members.iter().filter(|members| row.members[**members]) {
                    mark_latest(layout, block, *members, at);
                }
                let older = row.time_ms.checked_sub(1).map_or(0, |bound| block.rank(shape, bound));
                return Inserted { rank: at - older, left };
            }
            let tree = Tree::from_block(layout, block);
            *self = Self::Many(Box::new(tree));
        }
        let Self::Many(tree) = self else { return Inserted { rank: 0, left } };
        if tree.insert_folded(layout, row) {
            let rank = tree.panes().map_or(0, |panes| if panes.edge.0 == row.time_ms { panes.edge.1 - 1 } else { 0 });
            return Inserted { rank, left };
        }
        let at = tree.insert(layout, row);
        let folded = tree.panes().map_or(0, |panes| if panes.edge.0 == row.time_ms { panes.edge.1 } else { 0 });
        let rank = tree.equals_before(layout, at) + folded;
        left.seen_ms = left.seen_ms.max(tree.trim(layout, cutoff_ms, layout.past));
        if tree.len() > rows_max.max(layout.rows_max) {
            left.seen_ms = left.seen_ms.max(tree.fold(layout, layout.past));
            left.folds += 1;
        }
        if let Some(block) = tree.only_block().filter(|block| block.len() <= layout.rows_max / 2) {
            *self = Self::Few(small_block(layout, block));
        }
        Inserted { rank, left }
    }

    /// The row of a time that was inserted with a rank among its equals.
    pub(super) fn locate(&self, layout: &Layout, time_ms: i64, rank: usize) -> Found {
        match self {
            Self::Few(block) => {
                let shape = layout.shape(false);
                let row = time_ms.checked_sub(1).map_or(0, |bound| block.rank(shape, bound)) + rank;
                let is_there = row < block.len() && block.time_ms(shape, row) == time_ms;
                if is_there { Found::Row(Position { part: 0, block: 0, row }) } else { Found::Nowhere }
            }
            Self::Many(tree) => {
                let edge = tree.panes().map_or((i64::MIN, 0), |panes| panes.edge);
                let folded = if edge.0 == time_ms { edge.1 } else { 0 };
                if time_ms < edge.0 || rank < folded {
                    return Found::Folded;
                }
                tree.locate(layout, time_ms, rank - folded).map_or(Found::Nowhere, Found::Row)
            }
        }
    }

    /// Whether a row is a member of a lane.
    pub(super) fn bit(&self, lane: usize, at: Position) -> bool {
        match self {
            Self::Few(block) => block.bit(lane, at.row),
            Self::Many(tree) => tree.bit(lane, at),
        }
    }

    /// Makes a row a member of a lane, or not.
    pub(super) fn set_member(&mut self, layout: &Layout, lane: usize, at: Position, member: bool) {
        match self {
            Self::Few(block) => {
                if block.bit(lane, at.row) == member {
                    return;
                }
                let counts_once = layout.lanes[lane].distinct.is_some();
                if counts_once && !member {
                    unmark_latest(layout, block, lane, at.row);
                }
                block.set_bit(lane, at.row, member);
                if counts_once && member {
                    mark_latest(layout, block, lane, at.row);
                }
            }
            Self::Many(tree) => tree.set_member(layout, lane, at, member),
        }
    }

    /// Replaces a row's value in a column that is only summed.
    pub(super) fn set_value(&mut self, layout: &Layout, column: usize, at: Position, value: i64) {
        match self {
            Self::Few(block) => block.set_value(layout.shape(false), column, at.row, value.cast_unsigned()),
            Self::Many(tree) => tree.set_value(layout, column, at, value),
        }
    }

    /// Changes what a folded row left behind.
    pub(super) fn amend_folded(
        &mut self,
        layout: &Layout,
        time_ms: i64,
        changes: impl Iterator<Item = (usize, Amendment)>,
    ) {
        if let Self::Many(tree) = self
            && let Some(panes) = tree.panes_mut()
        {
            panes.amend(time_ms, layout, changes);
        }
    }

    /// Appends them to stored state.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        match self {
            Self::Few(block) => {
                out.push(0);
                block.save(out);
            }
            Self::Many(tree) => {
                out.push(1);
                tree.save(out);
            }
        }
    }

    /// Reads them back.
    pub(super) fn load(layout: &Layout, stored: &mut Reader<'_>) -> Stored<Self> {
        match stored.word::<u8>()? {
            0 => Block::load(layout.shape(false), stored).map(Self::Few),
            1 => Ok(Self::Many(Box::new(Tree::load(layout, stored)?))),
            _ => Err(StoredError::Damaged),
        }
    }

    /// The same rows for another layout. `lanes` and `columns` are those of the old one that hold the same.
    pub(super) fn converted(
        &self,
        old: &Layout,
        new: &Layout,
        lanes: &[Option<usize>],
        columns: &[Option<usize>],
    ) -> Self {
        let mut made = Self::empty();
        let (mut members, mut values) = (Vec::new(), Vec::new());
        let mut take = |row: Row<'_>| {
            members.clear();
            members.extend(lanes.iter().map(|same| same.is_some_and(|same| row.members[same])));
            values.clear();
            values.extend(columns.iter().map(|same| same.map_or(0, |same| row.values[same])));
            let row = Row { time_ms: row.time_ms, members: &members, values: &values };
            made.insert(new, row, i64::MIN, usize::MAX);
        };
        match self {
            Self::Few(block) => each_row(old, block, take),
            Self::Many(tree) => tree.blocks().for_each(|block| rows_of(old, block, true, &mut take)),
        }
        let Self::Many(tree) = self else { return made };
        let Some(panes) = tree.panes() else { return made };
        if let Self::Few(block) = &made {
            made = Self::Many(Box::new(Tree::from_block(new, block)));
        }
        if let Self::Many(tree) = &mut made {
            tree.set_panes(Some(Box::new(panes.converted(old, new, lanes))));
        }
        made
    }
}

/// Where a row went, and what made room for it.
pub(super) struct Inserted {
    /// How many rows of the same time came before it.
    pub(super) rank: usize,
    pub(super) left: Left,
}

/// What left the rows.
#[derive(Default)]
pub(super) struct Left {
    /// The newest time at which the key was seen, among what left.
    pub(super) seen_ms: Option<i64>,
    /// Blocks that were folded.
    pub(super) folds: u64,
}

/// Where a row is.
pub(super) enum Found {
    /// Here.
    Row(Position),
    /// In a pane.
    Folded,
    /// No longer kept.
    Nowhere,
}

fn trim_block(layout: &Layout, block: &mut Block, cutoff_ms: i64) -> Option<i64> {
    let shape = layout.shape(false);
    let expired = block.rank(shape, cutoff_ms);
    if expired == 0 {
        return None;
    }
    let seen = layout.past.and_then(|seen| block.newest(seen, expired)).map(|row| block.time_ms(shape, row));
    block.remove_front(shape, expired);
    seen
}

fn mark_latest(layout: &Layout, block: &mut Block, members: usize, row: usize) {
    let shape = layout.shape(false);
    let (Some(latest), Some(column)) = (layout.lanes[members].latest, layout.lanes[members].column) else { return };
    let value = block.value(shape, column, row);
    match block.find_last(shape, latest, column, value, 0, block.len()) {
        Some(newer) if newer > row => return,
        Some(older) => block.set_bit(latest, older, false),
        None => {}
    }
    block.set_bit(latest, row, true);
}

fn unmark_latest(layout: &Layout, block: &mut Block, members: usize, row: usize) {
    let shape = layout.shape(false);
    let (Some(latest), Some(column)) = (layout.lanes[members].latest, layout.lanes[members].column) else { return };
    if !block.bit(latest, row) {
        return;
    }
    block.set_bit(latest, row, false);
    let value = block.value(shape, column, row);
    if let Some(older) = block.find_last(shape, members, column, value, 0, row) {
        block.set_bit(latest, older, true);
    }
}

fn small_block(layout: &Layout, block: &Block) -> Block {
    let shape = layout.shape(false);
    let mut small = Block::empty();
    rows_of(layout, block, true, |row| {
        let at = small.len();
        small.insert(shape, at, row);
        for members in layout.members.iter().filter(|members| row.members[**members]) {
            mark_latest(layout, &mut small, *members, at);
        }
    });
    small
}

/// A row joins or leaves a lane of folded rows.
pub(super) fn member_change(joins: bool, value: i64) -> Amendment {
    Amendment::Member(Change { joins, value })
}
