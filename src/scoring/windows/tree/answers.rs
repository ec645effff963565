//! What a busy key's rows answer between two edges. It changes nothing.

use super::{
    super::{
        block::Block,
        layout::{Lane, Layout},
        moments::{Moments, Squares},
        summary::{block_extremes, wider},
        table::Extremes,
    },
    Edge, Position, Tree,
    part::Part,
};

impl Tree {
    /// How many members of a lane lie between two edges.
    pub(in super::super) fn count(&self, lane: usize, from: &Edge, to: &Edge) -> u64 {
        let folded = self.panes.as_ref().map_or(0, |panes| panes.count(lane, from.pane, to.pane));
        folded.wrapping_add(self.count_before(lane, to.at)).wrapping_sub(self.count_before(lane, from.at))
    }

    /// The sum over the members of a lane between two edges.
    pub(in super::super) fn sum(&self, layout: &Layout, lane: usize, from: &Edge, to: &Edge) -> i128 {
        let folded = self.panes.as_ref().map_or(0, |panes| panes.sum(layout, lane, from.pane, to.pane));
        folded.wrapping_add(self.sum_before(layout, lane, to.at)).wrapping_sub(self.sum_before(layout, lane, from.at))
    }

    /// Count, sum and squares over the members of a lane between two edges.
    pub(in super::super) fn moments(&self, layout: &Layout, lane: usize, from: &Edge, to: &Edge) -> Moments {
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
    pub(in super::super) fn extremes(&self, layout: &Layout, lane: usize, from: &Edge, to: &Edge) -> Extremes {
        let folded = self.panes.as_ref().and_then(|panes| panes.extremes(layout, lane, from.pane, to.pane));
        wider(folded, self.row_extremes(layout, lane, from.at, to.at))
    }

    /// How many values the members of a lane between two edges hold.
    pub(in super::super) fn distinct(
        &self,
        layout: &Layout,
        members: usize,
        latest: usize,
        from: &Edge,
        to: &Edge,
    ) -> u64 {
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
    pub(in super::super) fn seen_before(
        &self,
        layout: &Layout,
        members: usize,
        value: u64,
        edge: &Edge,
    ) -> Option<i64> {
        let place = layout.lanes[members].distinct?;
        let seen = match self.latest[place].get(&value).copied() {
            None => self.panes.as_ref().and_then(|panes| panes.seen(place, value)),
            Some(latest) if latest <= edge.time_ms => Some(latest),
            Some(_) => {
                let next = self.find_from(layout, members, value, edge.at)?;
                self.seen_before_row(layout, place, next)
            }
        };
        // A transaction that is older than all that is kept may find what was dropped since.
        seen.filter(|seen| *seen <= edge.time_ms)
    }

    /// The time of the newest member of a lane before a place.
    pub(in super::super) fn newest(&self, layout: &Layout, lane: usize, before: Position) -> Option<i64> {
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
}
