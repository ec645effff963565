//! What the rows of a small key answer: all of them stand in one block. It changes nothing.

use super::{
    bits::low_bits,
    block::{Block, Shape},
    layout::Layout,
    moments::Moments,
    table::Extremes,
    timeline::Timeline,
};

/// The rows of a small key.
pub(super) struct Few<'r> {
    layout: &'r Layout,
    block: &'r Block,
    shape: Shape,
    /// By lane: which rows are members, where one word holds them all.
    words: &'r [u32],
}

/// How many rows lie at or before a time.
#[derive(Clone, Copy)]
pub(super) struct FewEdge {
    time_ms: i64,
    row: usize,
}

impl<'r> Few<'r> {
    pub(super) fn new(layout: &'r Layout, block: &'r Block) -> Self {
        Self { layout, block, shape: layout.shape(false), words: block.member_words(layout.lanes.len()) }
    }

    /// The column whose values a lane's members have.
    fn column(&self, lane: usize) -> Option<usize> {
        self.layout.lanes[lane].column.filter(|_| !self.block.is_empty())
    }
}

impl Timeline for Few<'_> {
    type Edge = FewEdge;

    fn edge(&self, bound_ms: i64) -> FewEdge {
        FewEdge { time_ms: bound_ms, row: self.block.rank(self.shape, bound_ms) }
    }

    fn bound_ms(edge: &FewEdge) -> i64 {
        edge.time_ms
    }

    fn count(&self, lane: usize, from: &FewEdge, to: &FewEdge) -> u64 {
        match self.words.get(lane) {
            Some(members) => u64::from((members & low_bits(to.row) & !low_bits(from.row)).count_ones()),
            None if self.block.is_empty() => 0,
            None => self.block.count(lane, from.row, to.row),
        }
    }

    fn sum(&self, lane: usize, from: &FewEdge, to: &FewEdge) -> i128 {
        let Some(column) = self.column(lane) else { return 0 };
        self.block.sum(self.shape, lane, column, from.row, to.row)
    }

    fn moments(&self, lane: usize, from: &FewEdge, to: &FewEdge) -> Moments {
        let Some(column) = self.column(lane) else { return Moments::default() };
        Moments {
            count: self.count(lane, from, to),
            sum: self.block.sum(self.shape, lane, column, from.row, to.row),
            squares: self.block.squares(self.shape, lane, column, from.row, to.row),
        }
    }

    fn extremes(&self, lane: usize, from: &FewEdge, to: &FewEdge) -> Extremes {
        self.block.extremes(self.shape, lane, self.column(lane)?, from.row, to.row)
    }

    fn distinct(&self, members: usize, latest: usize, from: &FewEdge, to: &FewEdge) -> u64 {
        let Some(column) = self.column(members) else { return 0 };
        let (block, shape) = (self.block, self.shape);
        // Values that were seen again after the window's end are not marked as latest inside it.
        let seen_again = |row: &usize| {
            let value = block.value(shape, column, *row);
            block.find(shape, members, column, value, to.row, *row).is_none()
                && block.find(shape, members, column, value, from.row, to.row).is_some()
        };
        let again = block.members(members, to.row, block.len()).filter(seen_again).count() as u64;
        self.count(latest, from, to) + again
    }

    fn seen_before(&self, members: usize, value: u64, edge: &FewEdge) -> Option<i64> {
        let row = self.block.find_last(self.shape, members, self.column(members)?, value, 0, edge.row)?;
        Some(self.block.time_ms(self.shape, row))
    }

    fn newest(&self, lane: usize, edge: &FewEdge) -> Option<i64> {
        let row = match self.words.get(lane) {
            Some(members) => (members & low_bits(edge.row)).checked_ilog2()? as usize,
            None if self.block.is_empty() => return None,
            None => self.block.newest(lane, edge.row)?,
        };
        Some(self.block.time_ms(self.shape, row))
    }

    fn is_approximate(&self, _from: &FewEdge, _to: &FewEdge, _distinct: Option<usize>) -> bool {
        false
    }

    fn is_folded_at(&self, _bound_ms: i64) -> bool {
        false
    }
}
