//! One key of the plan: every entity seen under it, its rows, and the order in which entities were last seen. It
//! never looks at a clock: an entity expires when the highest event time has left it behind.

mod stored;

use std::{hash::BuildHasherDefault, sync::Arc};

use dashmap::DashMap;
use smallvec::SmallVec;

use crate::scoring::{
    plan::{Key, KeyPart},
    tag_index::TagIndex,
};

use super::{
    key::{KeyPrint, Parts, PlainHasher},
    layout::{Column, Layout},
    recency::Recency,
    rows::Rows,
    trail::Trail,
};

/// The index from keys to slots for other threads: written by the scoring side when a key comes or goes, read by
/// anyone, never iterated for an answer. The scoring side looks keys up in a table of its own, which takes no lock.
pub(super) type Index = DashMap<KeyPrint, u32, BuildHasherDefault<PlainHasher>>;

/// Entities of a chunk of the slab: it grows by chunks, so that nothing is moved and no growth is a pause.
const CHUNK: usize = 4_096;
/// Shards of an index: many, so that one that grows moves few keys.
const SHARDS: usize = 64;
/// Expired entities dropped for each transaction: more than one, so that they go faster than they come.
const EXPIRED_MAX: usize = 2;
/// One key of the plan.
pub(super) struct Log {
    /// Never used again once the log is gone.
    pub(super) number: u32,
    pub(super) key: Key,
    /// The parts of the key, and by column the part it holds a hash of, if it does.
    pub(super) key_parts: SmallVec<[usize; 4]>,
    pub(super) hash_parts: Vec<usize>,
    pub(super) layout: Layout,
    /// Layouts that entities not seen since may still have, by version, and what of them the current one keeps.
    olds: Vec<Old>,
    index: Arc<Index>,
    /// Which slot a key has, by shard of its fingerprint.
    table: TagIndex,
    chunks: Vec<Vec<Entity>>,
    /// By slot, if the plan asks of the past.
    pasts: Vec<Past>,
    /// By slot, if the plan asks what the newest events held.
    trails: Vec<Option<Box<Trail>>>,
    free: Vec<u32>,
    slots: u32,
    recency: Recency,
    /// The least recently seen entity has something left at least until the highest time is this.
    pub(super) expires_ms: i64,
    /// What was read ahead: it means nothing.
    warmed: u32,
    /// The highest event time when an entity was last evicted.
    pub(super) evicted_at_ms: Option<i64>,
    pub(super) rows: u64,
    pub(super) row_bytes: u64,
    pub(super) expirations: u64,
}

/// An entity: less than a line of the cache beside its rows.
struct Entity {
    print: KeyPrint,
    generation: u32,
    rows: Rows,
    version: u16,
}

const _: () = assert!(size_of::<Entity>() <= 64, "a line of the cache");

/// What is known of a key beyond its rows.
#[derive(Clone, Copy)]
pub(super) struct Past {
    /// When it was first seen, since it was last forgotten; `i64::MAX` for never.
    pub(super) first_ms: i64,
    /// When the newest event was seen that has left the rows; `i64::MIN` for never.
    pub(super) left_ms: i64,
}

struct Old {
    layout: Layout,
    lanes: Vec<Option<usize>>,
    columns: Vec<Option<usize>>,
    lasts: Vec<Option<usize>>,
}

impl Past {
    /// Nothing.
    pub(super) const NONE: Self = Self { first_ms: i64::MAX, left_ms: i64::MIN };
}

impl Log {
    /// A log without entities.
    pub(super) fn new(number: u32, key: Key, layout: Layout) -> Self {
        Self {
            number,
            key,
            key_parts: SmallVec::new(),
            hash_parts: Vec::new(),
            layout,
            olds: Vec::new(),
            index: Arc::new(Index::with_hasher_and_shard_amount(BuildHasherDefault::default(), SHARDS)),
            table: TagIndex::new(SHARDS),
            chunks: Vec::new(),
            pasts: Vec::new(),
            trails: Vec::new(),
            free: Vec::new(),
            slots: 0,
            recency: Recency::default(),
            expires_ms: i64::MIN,
            warmed: 0,
            evicted_at_ms: None,
            rows: 0,
            row_bytes: 0,
            expirations: 0,
        }
    }

    /// Says which values of a transaction are read.
    pub(super) fn place_parts(&mut self, parts: &mut Parts) {
        self.key_parts = self.key.0.iter().map(|part| parts.place(*part)).collect();
        let hashed = self.layout.columns.iter().map(|column| match column {
            Column::Hash(field) => parts.place(KeyPart::Field(*field)),
            Column::Net | Column::Value(_) => 0,
        });
        self.hash_parts = hashed.collect();
    }

    /// How many entities are held.
    pub(super) fn len(&self) -> usize {
        self.slots as usize - self.free.len()
    }

    /// The index, for others to read.
    pub(super) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Bytes held: entities, rows and an estimate of the index.
    pub(super) fn bytes(&self) -> u64 {
        let entities = self.chunks.len() * CHUNK * size_of::<Entity>();
        let pasts = self.pasts.capacity() * size_of::<Past>();
        let trails = self.trails.capacity() * size_of::<Option<Box<Trail>>>();
        // The index of the others is between 7/16 and 7/8 full, with a byte of control beside each entry.
        let index = self.len() * (size_of::<(KeyPrint, u32)>() + 1) * 3 / 2;
        (entities + pasts + trails + self.table.bytes() + index + self.recency.bytes()) as u64 + self.row_bytes
    }

    /// The slot of a key. `None` if it is not held.
    pub(super) fn find(&self, print: KeyPrint) -> Option<u32> {
        self.table.find(print.hash(), print.tag(), |slot| self.entity(slot).print == print)
    }

    /// An entity counts as seen.
    pub(super) fn touch(&mut self, slot: u32, seen: u32) {
        self.recency.touch(slot, seen, self.len());
    }

    /// Reads a word of every line of an entity's rows, so that they are on their way when they are needed. What it
    /// returns means nothing, but must be used, or else nothing is read.
    pub(super) fn warm(&self, slot: u32) -> u32 {
        let past = self.pasts.get(slot as usize).map_or(0, |past| past.first_ms as u32);
        let trail = self.trail(slot).map_or(0, Trail::warm);
        self.entity(slot).rows.warm().wrapping_add(past).wrapping_add(trail)
    }

    /// A slot for a new key.
    pub(super) fn create(&mut self, print: KeyPrint, seen: u32) -> u32 {
        let version = self.version();
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => self.push_slot(),
        };
        let entity = self.entity_mut(slot);
        entity.print = print;
        entity.version = version;
        self.touch(slot, seen);
        self.table.insert(print.hash(), print.tag(), slot);
        self.index.insert(print, slot);
        slot
    }

    /// Forgets what an entity held, as if it had been dropped and had come back.
    pub(super) fn reset(&mut self, slot: u32) {
        let version = self.version();
        let (len, bytes) = {
            let entity = self.entity_mut(slot);
            let held = (entity.rows.len() as u64, entity.rows.bytes() as u64);
            entity.rows = Rows::empty();
            entity.generation = entity.generation.wrapping_add(1);
            entity.version = version;
            held
        };
        self.rows -= len;
        self.row_bytes -= bytes;
        if let Some(past) = self.pasts.get_mut(slot as usize) {
            *past = Past::NONE;
        }
        if let Some(trail) = self.trails.get_mut(slot as usize).and_then(Option::take) {
            self.row_bytes -= trail.bytes() as u64;
        }
    }

    /// Drops an entity.
    pub(super) fn remove(&mut self, slot: u32) {
        self.reset(slot);
        let print = self.entity(slot).print;
        self.index.remove(&print);
        self.table.remove(print.hash(), print.tag(), slot);
        self.recency.forget(slot);
        self.free.push(slot);
    }

    /// The least recently seen entity and when it was seen.
    pub(super) fn least_recent(&mut self) -> Option<(u32, u32)> {
        self.recency.oldest()
    }

    /// Drops entities that nothing is left of, a few of the least recently seen, but none that the transaction `seen`
    /// has looked up: it is about to use it.
    pub(super) fn expire(&mut self, highest_ms: i64, seen: u32) {
        if highest_ms < self.expires_ms {
            return;
        }
        for _ in 0..EXPIRED_MAX {
            let Some((slot, seen_last)) = self.least_recent() else { return };
            if seen_last == seen {
                return;
            }
            if !self.is_expired(slot, highest_ms) {
                // It may be seen again until then, and so may have more left: this is when to look again.
                let newest_ms = self.newest_ms(slot).unwrap_or(i64::MIN);
                self.expires_ms = newest_ms.saturating_add(self.layout.memory_ms).saturating_add(1);
                return;
            }
            self.remove(slot);
            self.expirations += 1;
        }
        // Where keys expire all the time the next to go is on its way when it is looked at.
        let next = self.least_recent().map_or(0, |(slot, _)| self.warm(slot));
        self.warmed = self.warmed.wrapping_add(next);
    }

    /// Whether nothing is left of an entity.
    pub(super) fn is_expired(&self, slot: u32, highest_ms: i64) -> bool {
        let newest = self.newest_ms(slot);
        newest.is_none_or(|newest| newest < highest_ms.saturating_sub(self.layout.memory_ms))
    }

    /// The generation of a slot: places of an earlier one are gone.
    pub(super) fn generation(&self, slot: u32) -> u32 {
        self.entity(slot).generation
    }

    /// Whether a slot still holds the entity of a generation.
    pub(super) fn holds(&self, slot: u32, generation: u32) -> bool {
        slot < self.slots && self.entity(slot).generation == generation
    }

    /// The rows of an entity, in the current layout.
    pub(super) fn rows(&mut self, slot: u32) -> (&Layout, &mut Rows) {
        self.update(slot);
        self.rows_mut(slot)
    }

    /// The rows of an entity that is in the current layout, to change them.
    pub(super) fn rows_mut(&mut self, slot: u32) -> (&Layout, &mut Rows) {
        let entity = &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK];
        (&self.layout, &mut entity.rows)
    }

    /// The rows of an entity that is in the current layout.
    pub(super) fn rows_of(&self, slot: u32) -> &Rows {
        &self.entity(slot).rows
    }

    /// When an entity was last seen, if anything asks of the past.
    pub(super) fn newest_seen(&self, slot: u32) -> Option<i64> {
        let (layout, rows) = (&self.layout, &self.entity(slot).rows);
        let left_ms = self.past(slot).left_ms;
        rows.newest(layout, layout.past?).max((left_ms != i64::MIN).then_some(left_ms))
    }

    /// What is known of an entity beyond its rows.
    pub(super) fn past(&self, slot: u32) -> Past {
        self.pasts.get(slot as usize).copied().unwrap_or(Past::NONE)
    }

    /// What is known of an entity beyond its rows, to change it; `None` if nothing asks for it.
    pub(super) fn past_mut(&mut self, slot: u32) -> Option<&mut Past> {
        self.pasts.get_mut(slot as usize)
    }

    /// What an entity's newest events held.
    pub(super) fn trail(&self, slot: u32) -> Option<&Trail> {
        self.trails.get(slot as usize)?.as_deref()
    }

    /// Forgets what an entity's newest events held.
    pub(super) fn clear_trail(&mut self, slot: u32) {
        if let Some(trail) = self.trails.get_mut(slot as usize).and_then(Option::take) {
            self.row_bytes -= trail.bytes() as u64;
        }
    }

    /// Changes what an entity's newest events held.
    pub(super) fn change_trail(&mut self, slot: u32, change: impl FnOnce(&Layout, &mut Trail)) {
        self.update(slot);
        let Some(trail) = self.trails.get_mut(slot as usize) else { return };
        let before = trail.as_ref().map_or(0, |trail| trail.bytes() as u64);
        let trail = trail.get_or_insert_default();
        change(&self.layout, trail);
        self.row_bytes = self.row_bytes + trail.bytes() as u64 - before;
    }

    /// Takes over another layout. `same` says which lane of the current one holds what a lane of the new one holds.
    pub(super) fn adopt(&mut self, layout: Layout, same: &[Option<usize>]) {
        let slots = self.slots as usize;
        self.expires_ms = i64::MIN;
        self.pasts.resize(if layout.past.is_some() { slots } else { 0 }, Past::NONE);
        self.trails.resize_with(if layout.asks_trail() { slots } else { 0 }, || None);
        let is_same = layout.lays_out_as(&self.layout, same);
        let old = std::mem::replace(&mut self.layout, layout);
        if is_same || self.olds.len() >= usize::from(u16::MAX) - 1 {
            return;
        }
        let columns: Vec<_> =
            self.layout.columns.iter().map(|column| old.columns.iter().position(|known| known == column)).collect();
        let lasts: Vec<_> =
            self.layout.lasts.iter().map(|field| old.lasts.iter().position(|known| known == field)).collect();
        for older in &mut self.olds {
            let through = |places: &[Option<usize>], map: &[Option<usize>]| -> Vec<Option<usize>> {
                map.iter().map(|place| places.get((*place)?).copied().flatten()).collect()
            };
            older.lanes = through(&older.lanes, same);
            older.columns = through(&older.columns, &columns);
            older.lasts = through(&older.lasts, &lasts);
        }
        self.olds.push(Old { layout: old, lanes: same.to_vec(), columns, lasts });
    }

    /// Brings an entity to the current layout.
    pub(super) fn update(&mut self, slot: u32) {
        if self.entity(slot).version != self.version() {
            self.convert(slot);
        }
    }

    #[cold]
    fn convert(&mut self, slot: u32) {
        let version = self.version();
        let entity = &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK];
        let Some(old) = self.olds.get(usize::from(entity.version)) else { return };
        let bytes = entity.rows.bytes() as u64;
        entity.rows = entity.rows.converted(&old.layout, &self.layout, &old.lanes, &old.columns);
        entity.version = version;
        self.row_bytes = self.row_bytes + entity.rows.bytes() as u64 - bytes;
        if let Some(Some(trail)) = self.trails.get_mut(slot as usize) {
            let bytes = trail.bytes() as u64;
            **trail = std::mem::take(&mut **trail).converted(&old.lasts);
            self.row_bytes = self.row_bytes + trail.bytes() as u64 - bytes;
        }
    }

    fn newest_ms(&self, slot: u32) -> Option<i64> {
        let entity = self.entity(slot);
        let layout = self.olds.get(usize::from(entity.version)).map_or(&self.layout, |old| &old.layout);
        let left_ms = self.past(slot).left_ms;
        entity.rows.last_ms(layout).max((left_ms != i64::MIN).then_some(left_ms))
    }

    fn version(&self) -> u16 {
        self.olds.len() as u16
    }

    fn push_slot(&mut self) -> u32 {
        let slot = self.slots;
        self.slots += 1;
        if slot as usize / CHUNK == self.chunks.len() {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(Entity { print: KeyPrint::default(), generation: 0, rows: Rows::empty(), version: 0 });
        }
        self.recency.push_slot();
        if self.layout.past.is_some() {
            self.pasts.push(Past::NONE);
        }
        if self.layout.asks_trail() {
            self.trails.push(None);
        }
        slot
    }

    fn entity(&self, slot: u32) -> &Entity {
        &self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    fn entity_mut(&mut self, slot: u32) -> &mut Entity {
        &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }
}
