//! The rows of a block, handed over or added up. It keeps nothing.

use super::{
    block::{Block, Row},
    layout::{LaneKind, Layout},
    table::{Extremes, Totals},
};

/// Hands over every row of a small key's block, oldest first.
pub(super) fn each_row(layout: &Layout, block: &Block, row: impl FnMut(Row<'_>)) {
    rows_of(layout, block, false, row);
}

/// Hands over every row of a block, oldest first; the columns of trees alone are left out, and so are the latest marks.
pub(super) fn rows_of(layout: &Layout, block: &Block, in_tree: bool, mut hand_over: impl FnMut(Row<'_>)) {
    let shape = layout.shape(in_tree);
    let is_handed_over = |lane: &usize| !matches!(layout.lanes[*lane].kind, LaneKind::Latest(_));
    let lanes: Vec<usize> = (0..layout.lanes.len()).filter(is_handed_over).collect();
    let mut values = Vec::new();
    for row in 0..block.len() {
        let members = lanes.iter().copied().filter(|lane| block.bit(*lane, row)).collect();
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

/// The time of the newest member of a lane in a block of a tree.
pub(super) fn newest_of(layout: &Layout, block: &Block, seen: Option<usize>) -> Option<i64> {
    let row = block.newest(seen?, block.len())?;
    Some(block.time_ms(layout.shape(true), row))
}
