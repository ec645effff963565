//! The rows of one key: a single block while there are few, a tree beyond. It does not know which key it is.

use crate::scoring::stored::{Reader, Stored, StoredError};

use super::{
    block::{Block, Row},
    few::Few,
    layout::Layout,
    panes::Amendment,
    summary::{each_row, rows_of},
    table::Change,
    timeline::Timeline as _,
    tree::{Many, Position, Tree},
};

/// Of the rows of a full block so many must have expired before they are dropped.
const EXPIRED_PART: usize = if cfg!(test) { 2 } else { 8 };

/// The rows of one key.
pub(super) enum Rows {
    /// So few that one block holds them all.
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
            Self::Many(tree) => tree.warm(),
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

    /// The time of the newest member of a lane.
    pub(super) fn newest(&self, layout: &Layout, lane: usize) -> Option<i64> {
        match self {
            Self::Few(block) => {
                let few = Few::new(layout, block);
                few.newest(lane, &few.edge(i64::MAX))
            }
            Self::Many(tree) => {
                let many = Many::new(layout, tree);
                many.newest(lane, &many.edge(i64::MAX))
            }
        }
    }

    /// Puts a row in its place. Rows at or before `cutoff_ms` may be dropped, and beyond `rows_max` the oldest are
    /// folded.
    pub(super) fn insert(&mut self, layout: &Layout, row: Row<'_>, cutoff_ms: i64, rows_max: usize) -> Inserted {
        let mut left = Left::default();
        if let Self::Few(block) = self {
            let shape = layout.shape(false);
            let few_max = layout.few_max.min(rows_max.max(layout.rows_max));
            let spans = block.spans(shape, row.time_ms);
            if block.is_full() || !spans {
                // To drop one for each that comes would move all the others each time.
                let least = if spans { (block.len() / EXPIRED_PART).max(1) } else { 1 };
                left.seen_ms = trim_block(layout, block, cutoff_ms, least);
            }
            let live = |block: &Block| block.len() - block.rank(shape, cutoff_ms);
            if (block.len() < few_max || live(block) < few_max) && block.spans(shape, row.time_ms) {
                let (at, rank) = block.place_of(shape, row.time_ms);
                block.insert(shape, at, row);
                for members in layout.members.iter().filter(|members| row.members.contains(**members)) {
                    mark_latest(layout, block, *members, at);
                }
                return Inserted { rank, left };
            }
            let tree = Tree::from_block(layout, block);
            *self = Self::Many(Box::new(tree));
        }
        let Self::Many(tree) = self else { return Inserted { rank: 0, left } };
        if tree.insert_folded(layout, row) {
            let rank = tree.panes().map_or(0, |panes| if panes.edge.0 == row.time_ms { panes.edge.1 - 1 } else { 0 });
            // It leaves the rows as it comes.
            left.seen_ms = layout.past.filter(|seen| row.members.contains(*seen)).map(|_| row.time_ms);
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
        let mut values = Vec::new();
        let mut take = |row: Row<'_>| {
            let is_member = |lane: &usize| lanes[*lane].is_some_and(|same| row.members.contains(same));
            let members = (0..lanes.len()).filter(is_member).collect();
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

/// Drops the rows at or before `cutoff_ms`, if there are as many as `least`. Says when the key was last seen among them.
fn trim_block(layout: &Layout, block: &mut Block, cutoff_ms: i64, least: usize) -> Option<i64> {
    let shape = layout.shape(false);
    let expired = block.rank(shape, cutoff_ms);
    if expired < least {
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
        for members in layout.members.iter().filter(|members| row.members.contains(**members)) {
            mark_latest(layout, &mut small, *members, at);
        }
    });
    small
}

/// A row joins or leaves a lane of folded rows.
pub(super) fn member_change(joins: bool, value: i64) -> Amendment {
    Amendment::Member(Change { joins, value })
}
