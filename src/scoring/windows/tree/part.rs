//! A part of a busy key's rows: up to 64 blocks, with running totals before each. It does not know what lies beside it.

use super::super::{
    block::Block,
    layout::Layout,
    summary::{block_extremes, block_totals, wider},
    table::{Extremes, Table, Totals},
};

/// Blocks in time order.
pub(super) struct Part {
    pub(super) blocks: Vec<Block>,
    pub(super) firsts: Vec<i64>,
    pub(super) before: Table,
    pub(super) extremes: Vec<Extremes>,
}

impl Part {
    pub(super) fn new(layout: &Layout) -> Self {
        Self { blocks: Vec::new(), firsts: Vec::new(), before: Table::new(layout), extremes: Vec::new() }
    }

    /// Puts an empty block before the one at `at`. The caller puts a row into it at once.
    pub(super) fn insert_block(&mut self, layout: &Layout, at: usize, first_ms: i64) {
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

    pub(super) fn split_block(&mut self, layout: &Layout, at: usize) {
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

    pub(super) fn note_extremes(&mut self, layout: &Layout, at: usize) {
        for (term, lane) in layout.extremes.iter().enumerate() {
            let block = &self.blocks[at];
            self.extremes[at * layout.extremes.len() + term] = block_extremes(layout, block, *lane, 0, block.len());
        }
    }

    pub(super) fn all_extremes(&self, layout: &Layout, term: usize) -> Extremes {
        self.extremes.iter().skip(term).step_by(layout.extremes.len().max(1)).fold(None, |all, one| wider(all, *one))
    }
}
