//! One key of the plan as bytes and back: slots, rows and order are the same afterwards, the tables that only find them
//! are made again.

use crate::scoring::stored::{HAND_ON_BYTES, HandOn, Reader, Stored, Word, write_words};

use super::{
    super::{key::KeyPrint, recency::Recency, rows::Rows, trail::Trail},
    CHUNK, Entity, Log, Past,
};

impl Log {
    /// Appends it to stored state, in the current layout.
    pub(in super::super) fn save(&self, out: &mut Vec<u8>, hand_on: HandOn<'_>) {
        self.number.write(out);
        self.evicted_at_ms.write(out);
        self.expires_ms.write(out);
        self.expirations.write(out);
        self.layout.lanes.iter().for_each(|lane| lane.complete_after_ms.write(out));
        self.layout.questions.iter().for_each(|question| question.complete_after_ms.write(out));
        u64::from(self.slots).write(out);
        for slot in 0..self.slots {
            let entity = self.entity(slot);
            entity.print.words().into_iter().for_each(|word| word.write(out));
            entity.generation.write(out);
            match self.olds.get(usize::from(entity.version)) {
                None => entity.rows.save(out),
                Some(old) => entity.rows.converted(&old.layout, &self.layout, &old.lanes, &old.columns).save(out),
            }
            if out.len() >= HAND_ON_BYTES {
                hand_on(out);
            }
        }
        let pasts: Vec<_> = self.pasts.iter().map(|past| (past.first_ms, past.left_ms)).collect();
        write_words(&pasts, out);
        (self.trails.len() as u64).write(out);
        for (slot, trail) in self.trails.iter().enumerate() {
            u8::from(trail.is_some()).write(out);
            let Some(trail) = trail else { continue };
            match self.olds.get(usize::from(self.entity(slot as u32).version)) {
                None => trail.save(out),
                Some(old) => trail.as_ref().clone().converted(&old.lasts).save(out),
            }
        }
        write_words(&self.free, out);
        self.recency.save(out);
    }

    /// Reads it back into a log that has no entities yet.
    pub(in super::super) fn load(&mut self, stored: &mut Reader<'_>) -> Stored<()> {
        self.number = stored.word()?;
        self.evicted_at_ms = stored.word()?;
        self.expires_ms = stored.word()?;
        self.expirations = stored.word()?;
        for lane in &mut self.layout.lanes {
            lane.complete_after_ms = stored.word()?;
        }
        for question in &mut self.layout.questions {
            question.complete_after_ms = stored.word()?;
        }
        let slots = stored.count(size_of::<[u32; 4]>() + 1)?;
        for _ in 0..slots {
            let print = KeyPrint::from_words([stored.word()?, stored.word()?, stored.word()?]);
            let generation = stored.word()?;
            let rows = Rows::load(&self.layout, stored)?;
            self.rows += rows.len() as u64;
            self.row_bytes += rows.bytes() as u64;
            if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
                self.chunks.push(Vec::with_capacity(CHUNK));
            }
            if let Some(chunk) = self.chunks.last_mut() {
                chunk.push(Entity { print, generation, rows, version: 0 });
            }
        }
        self.slots = u32::try_from(slots).map_err(|_| crate::scoring::stored::StoredError::Damaged)?;
        let pasts: Vec<(i64, i64)> = stored.words_of(if self.layout.past.is_some() { slots } else { 0 })?;
        self.pasts = pasts.into_iter().map(|(first_ms, left_ms)| Past { first_ms, left_ms }).collect();
        let trails = stored.count(1)?;
        Reader::check(trails == if self.layout.asks_trail() { slots } else { 0 })?;
        for _ in 0..trails {
            let trail = if stored.word::<u8>()? == 0 { None } else { Some(Box::new(Trail::load(stored)?)) };
            self.row_bytes += trail.as_ref().map_or(0, |trail| trail.bytes() as u64);
            self.trails.push(trail);
        }
        self.free = stored.words()?;
        Reader::check(self.free.len() <= slots && self.free.iter().all(|slot| *slot < self.slots))?;
        self.recency = Recency::load(slots, stored)?;
        self.index_again()
    }

    fn index_again(&mut self) -> Stored<()> {
        let mut held = 0;
        for slot in (0..self.slots).filter(|slot| self.recency.is_held(*slot)) {
            let print = self.entity(slot).print;
            self.table.insert(print.hash(), print.tag(), slot);
            self.index.insert(print, slot);
            held += 1;
        }
        Reader::check(held == self.len() && self.free.iter().all(|slot| !self.recency.is_held(*slot)))
    }
}
