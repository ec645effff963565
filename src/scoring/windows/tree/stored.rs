//! A busy key's rows as bytes and back. It checks that every table has the size of what it counts.

use crate::scoring::stored::{Reader, Stored, Word, write_words};

use super::{
    super::{
        block::Block,
        layout::Layout,
        panes::{Panes, load_latest, save_latest},
        table::Table,
    },
    Tree,
    part::Part,
};

impl Tree {
    /// Appends it to stored state.
    pub(in super::super) fn save(&self, out: &mut Vec<u8>) {
        (self.parts.len() as u64).write(out);
        for part in &self.parts {
            (part.blocks.len() as u64).write(out);
            part.blocks.iter().for_each(|block| block.save(out));
            write_words(&part.firsts, out);
            part.before.save(out);
            write_words(&part.extremes, out);
        }
        write_words(&self.firsts, out);
        self.before.save(out);
        write_words(&self.extremes, out);
        self.latest.iter().for_each(|latest| save_latest(latest, out));
        u8::from(self.panes.is_some()).write(out);
        if let Some(panes) = &self.panes {
            panes.save(out);
        }
    }

    /// Reads it back.
    pub(in super::super) fn load(layout: &Layout, stored: &mut Reader<'_>) -> Stored<Self> {
        let shape = layout.shape(true);
        let mut parts = Vec::new();
        let (mut rows, mut block_bytes) = (0, 0);
        for _ in 0..stored.count(1)? {
            let count = stored.count(1)?;
            let mut blocks = Vec::new();
            for _ in 0..count {
                let block = Block::load(shape, stored)?;
                Reader::check(!block.is_empty())?;
                rows += block.len();
                block_bytes += block.bytes();
                blocks.push(block);
            }
            Reader::check(count > 0)?;
            let firsts = stored.words_of(count)?;
            let before = Table::load(layout, count, stored)?;
            let extremes = stored.words_of(count * layout.extremes.len())?;
            parts.push(Part { blocks, firsts, before, extremes });
        }
        Reader::check(!parts.is_empty())?;
        let firsts = stored.words_of(parts.len())?;
        let before = Table::load(layout, parts.len(), stored)?;
        let extremes = stored.words_of(parts.len() * layout.extremes.len())?;
        let mut latest = Vec::new();
        for _ in &layout.members {
            latest.push(load_latest(stored)?);
        }
        let panes = match stored.word::<u8>()? {
            0 => None,
            _ => Some(Box::new(Panes::load(layout, stored)?)),
        };
        Ok(Self { parts, firsts, before, extremes, latest, rows, block_bytes, panes })
    }
}
