//! Which entity was seen least recently, in exact order, for one short write in sequence per transaction. It drops
//! nothing by itself and never reads an entity.
//!
//! Every time an entity is seen a record is written behind the others; the records that an entity left before are
//! stale and are skipped, for `seen` holds the time of the newest. Lists that are relinked would touch two neighbours
//! somewhere in memory each time.

use std::collections::VecDeque;

use crate::scoring::stored::{Reader, Stored, Word};

/// Records of a chunk: they are allocated and given back together, and nothing is moved when there are more.
const CHUNK: usize = 2_048;
/// Beyond so many records per entity stale ones are dropped, a few whenever one is written.
const RECORDS_PER_ENTITY: usize = 3;
/// Records dropped or kept for each one written: more than one, so that there is an end to it.
const COMPACTED_MAX: usize = 3;
/// No transaction has this number.
pub(super) const NEVER: u32 = 0;

/// When entities were last seen, in transactions cut to 32 bits.
#[derive(Default)]
pub(super) struct Recency {
    /// By slot: when it was last seen.
    seen: Vec<u32>,
    /// Records that were looked through already, all older than the others.
    kept: Records,
    written: Records,
}

#[derive(Clone, Copy)]
struct Record {
    slot: u32,
    seen: u32,
}

/// Records in order, in chunks.
#[derive(Default)]
struct Records {
    chunks: VecDeque<Vec<Record>>,
    /// How many of the first chunk are gone.
    taken: usize,
    len: usize,
}

impl Recency {
    /// Makes room for one slot more.
    pub(super) fn push_slot(&mut self) {
        self.seen.push(NEVER);
    }

    /// Bytes of the allocations.
    pub(super) fn bytes(&self) -> usize {
        let chunks = self.kept.chunks.len() + self.written.chunks.len();
        self.seen.capacity() * size_of::<u32>() + chunks * CHUNK * size_of::<Record>()
    }

    /// An entity is seen. `held` is how many entities there are.
    pub(super) fn touch(&mut self, slot: u32, seen: u32, held: usize) {
        self.seen[slot as usize] = seen;
        self.written.push(Record { slot, seen });
        if self.kept.len + self.written.len <= RECORDS_PER_ENTITY * held + CHUNK {
            return;
        }
        for _ in 0..COMPACTED_MAX {
            if self.written.len == 0 {
                std::mem::swap(&mut self.kept, &mut self.written);
            }
            let Some(record) = self.written.pop() else { return };
            if self.is_current(record) {
                self.kept.push(record);
            }
        }
    }

    /// An entity is gone.
    pub(super) fn forget(&mut self, slot: u32) {
        self.seen[slot as usize] = NEVER;
    }

    /// The least recently seen entity and when it was seen.
    pub(super) fn oldest(&mut self) -> Option<(u32, u32)> {
        loop {
            let from_kept = self.kept.len > 0;
            let records = if from_kept { &mut self.kept } else { &mut self.written };
            let record = records.first()?;
            if self.seen[record.slot as usize] == record.seen {
                return Some((record.slot, record.seen));
            }
            records.pop();
        }
    }

    /// Appends it to stored state: who is held, the least recently seen first.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        let records = self.kept.iter().chain(self.written.iter()).filter(|record| self.is_current(*record));
        let records: Vec<_> = records.collect();
        (records.len() as u64).write(out);
        for record in records {
            record.slot.write(out);
            record.seen.write(out);
        }
    }

    /// Reads it back, for so many slots.
    pub(super) fn load(slots: usize, stored: &mut Reader<'_>) -> Stored<Self> {
        let mut recency = Self { seen: vec![NEVER; slots], ..Self::default() };
        for _ in 0..stored.count(2 * size_of::<u32>())? {
            let record = Record { slot: stored.word()?, seen: stored.word()? };
            Reader::check((record.slot as usize) < slots)?;
            recency.seen[record.slot as usize] = record.seen;
            recency.kept.push(record);
        }
        Ok(recency)
    }

    /// Whether a slot has an entity.
    pub(super) fn is_held(&self, slot: u32) -> bool {
        self.seen.get(slot as usize).is_some_and(|seen| *seen != NEVER)
    }

    fn is_current(&self, record: Record) -> bool {
        self.seen[record.slot as usize] == record.seen
    }
}

impl Records {
    fn push(&mut self, record: Record) {
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push_back(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.push(record);
            self.len += 1;
        }
    }

    fn iter(&self) -> impl Iterator<Item = Record> {
        self.chunks.iter().flatten().copied().skip(self.taken)
    }

    fn first(&self) -> Option<Record> {
        self.chunks.front()?.get(self.taken).copied()
    }

    fn pop(&mut self) -> Option<Record> {
        let record = self.first()?;
        self.taken += 1;
        self.len -= 1;
        if self.taken == CHUNK || self.len == 0 {
            self.chunks.pop_front();
            self.taken = 0;
        }
        Some(record)
    }
}
