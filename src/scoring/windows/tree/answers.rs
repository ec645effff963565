//! What a busy key's rows answer between two edges. It changes nothing.

use super::{
    super::{
        block::Block,
        layout::{Lane, Layout},
        moments::{Moments, Squares},
        summary::{block_extremes, wider},
        table::Extremes,
        timeline::Timeline,
    },
    Edge, Position, Tree,
    part::Part,
};

/// The rows of a busy key.
pub(in super::super) struct Many<'r> {
    layout: &'r Layout,
    tree: &'r Tree,
}

impl<'r> Many<'r> {
    pub(in super::super) fn new(layout: &'r Layout, tree: &'r Tree) -> Self {
        Self { layout, tree }
    }
}

impl Timeline for Many<'_> {
    type Edge = Edge;

    fn edge(&self, bound_ms: i64) -> Edge {
        let at = self.tree.position(self.layout, bound_ms);
        let (pane, is_cut) = self.tree.panes.as_ref().map_or((0, false), |panes| panes.edge(bound_ms));
        Edge { time_ms: bound_ms, at, pane, is_cut }
    }

    fn bound_ms(edge: &Edge) -> i64 {
        edge.time_ms
    }

    fn count(&self, lane: usize, from: &Edge, to: &Edge) -> u64 {
        let folded = self.tree.panes.as_ref().map_or(0, |panes| panes.count(lane, from.pane, to.pane));
        folded.wrapping_add(self.tree.count_before(lane, to.at)).wrapping_sub(self.tree.count_before(lane, from.at))
    }

    fn sum(&self, lane: usize, from: &Edge, to: &Edge) -> i128 {
        let folded = self.tree.panes.as_ref().map_or(0, |panes| panes.sum(self.layout, lane, from.pane, to.pane));
        folded.wrapping_add(self.tree.sum_before(self.layout, lane, to.at)).wrapping_sub(self.tree.sum_before(
            self.layout,
            lane,
            from.at,
        ))
    }

    fn moments(&self, lane: usize, from: &Edge, to: &Edge) -> Moments {
        let folded = self
            .tree
            .panes
            .as_ref()
            .map_or(Squares::default(), |panes| panes.squares(self.layout, lane, from.pane, to.pane));
        Moments {
            count: self.count(lane, from, to),
            sum: self.sum(lane, from, to),
            squares: folded.plus(self.tree.squares_before(self.layout, lane, to.at)).minus(self.tree.squares_before(
                self.layout,
                lane,
                from.at,
            )),
        }
    }

    fn extremes(&self, lane: usize, from: &Edge, to: &Edge) -> Extremes {
        let folded = self.tree.panes.as_ref().and_then(|panes| panes.extremes(self.layout, lane, from.pane, to.pane));
        wider(folded, self.tree.row_extremes(self.layout, lane, from.at, to.at))
    }

    fn distinct(&self, members: usize, latest: usize, from: &Edge, to: &Edge) -> u64 {
        let newest_here =
            self.tree.count_before(latest, to.at).wrapping_sub(self.tree.count_before(latest, from.at)).wrapping_add(
                self.tree.panes.as_ref().map_or(0, |panes| panes.distinct(self.layout, members, from.pane, to.pane)),
            );
        // Values that were seen again after the window's end are not marked as latest inside it. The first time they
        // were seen again tells when they were seen before.
        let Some(place) = self.layout.lanes[members].distinct else { return newest_here };
        let (shape, column) = (self.layout.shape(true), self.layout.columns.len() + place);
        let seen_again = |block: &Block, row: usize| {
            let since = block.value(shape, column, row);
            let before_ms = block.time_ms(shape, row).wrapping_add(1).wrapping_sub(since.cast_signed());
            u64::from(since != 0 && before_ms > from.time_ms && before_ms <= to.time_ms)
        };
        let mut again = 0;
        let mut start = to.at.row;
        for (part, block) in self.tree.places_from(to.at) {
            let block = &self.tree.parts[part].blocks[block];
            again += block.members(members, start, block.len()).map(|row| seen_again(block, row)).sum::<u64>();
            start = 0;
        }
        newest_here + again
    }

    fn seen_before(&self, members: usize, value: u64, edge: &Edge) -> Option<i64> {
        let place = self.layout.lanes[members].distinct?;
        let seen = match self.tree.latest[place].get(&value).copied() {
            None => self.tree.panes.as_ref().and_then(|panes| panes.seen(place, value)),
            Some(latest) if latest <= edge.time_ms => Some(latest),
            Some(_) => {
                let next = self.tree.find_from(self.layout, members, value, edge.at)?;
                self.tree.seen_before_row(self.layout, place, next)
            }
        };
        // A transaction that is older than all that is kept may find what was dropped since.
        seen.filter(|seen| *seen <= edge.time_ms)
    }

    fn newest(&self, lane: usize, edge: &Edge) -> Option<i64> {
        let before = edge.at;
        let shape = self.layout.shape(true);
        for part in (0..=before.part.min(self.tree.parts.len() - 1)).rev() {
            let Part { blocks, before: totals, .. } = &self.tree.parts[part];
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

    fn is_approximate(&self, from: &Edge, to: &Edge, distinct: Option<usize>) -> bool {
        let Some(panes) = self.tree.panes() else { return false };
        // Of values that were seen again among folded rows it is not known when they were seen before.
        let is_sampled = || {
            let ends_folded = to.pane < panes.len();
            distinct.is_some_and(|place| ends_folded || panes.is_sampled(place) && from.pane < to.pane)
        };
        from.is_cut || to.is_cut || panes.is_unsure_after(from.time_ms) || is_sampled()
    }

    fn is_folded_at(&self, bound_ms: i64) -> bool {
        self.tree.panes().is_some_and(|panes| panes.edge.0 >= bound_ms)
    }
}

impl Tree {
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
