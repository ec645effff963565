//! A block as bytes and back, word by word: no row is looked at.

use crate::scoring::stored::{Reader, Stored, Word, write_words};

use super::{Block, Shape, words_for};

impl Block {
    /// Appends it to stored state.
    pub(in super::super) fn save(&self, out: &mut Vec<u8>) {
        self.base_ms.write(out);
        self.len.write(out);
        self.capacity.write(out);
        self.wide.write(out);
        write_words(&self.words, out);
    }

    /// Reads it back.
    pub(in super::super) fn load(shape: Shape, stored: &mut Reader<'_>) -> Stored<Self> {
        let (base_ms, len, capacity, wide) = (stored.word()?, stored.word()?, stored.word()?, stored.word()?);
        let words = stored.words_of(words_for(shape, usize::from(capacity), wide))?.into_boxed_slice();
        Reader::check(len <= capacity && wide >> shape.columns.min(31) <= u32::from(shape.columns > 31))?;
        Ok(Self { words, base_ms, len, capacity, wide })
    }
}
