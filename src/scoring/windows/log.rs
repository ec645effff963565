//! One key of the plan: every entity seen under it, its rows, and the order in which entities were last seen. It
//! never looks at a clock: an entity expires when the highest event time has left it behind.

use std::{hash::BuildHasherDefault, sync::Arc};

use dashmap::DashMap;

use crate::scoring::plan::Key;

use super::{
    key::{KeyPrint, PlainHasher},
    layout::Layout,
    rows::Rows,
    trail::Trail,
};

/// The index from keys to slots: written by the scoring side, read by anyone, never iterated for an answer.
pub(super) type Index = DashMap<KeyPrint, u32, BuildHasherDefault<PlainHasher>>;

/// Entities of a chunk of the slab: it grows by chunks, so that nothing is moved and no growth is a pause.
const CHUNK: usize = 4_096;
/// Shards of an index: many, so that one that grows moves few keys.
const SHARDS: usize = 256;
/// Expired entities dropped for each transaction: more than one, so that they go faster than they come.
const EXPIRED_MAX: usize = 2;
/// No slot.
const NONE: u32 = u32::MAX;

/// One key of the plan.
pub(super) struct Log {
    /// Never used again once the log is gone.
    pub(super) number: u32,
    pub(super) key: Key,
    pub(super) layout: Layout,
    /// Layouts that entities not seen since may still have, by version, and what of them the current one keeps.
    olds: Vec<Old>,
    index: Arc<Index>,
    chunks: Vec<Vec<Entity>>,
    /// By slot, if the plan asks of the past.
    pasts: Vec<Past>,
    /// By slot, if the plan asks what the newest events held.
    trails: Vec<Option<Box<Trail>>>,
    free: Vec<u32>,
    slots: u32,
    newest: u32,
    oldest: u32,
    /// The highest event time when an entity was last evicted.
    pub(super) evicted_at_ms: Option<i64>,
    pub(super) rows: u64,
    pub(super) row_bytes: u64,
    pub(super) expirations: u64,
}

/// An entity: 64 bytes beside its rows.
struct Entity {
    print: KeyPrint,
    generation: u32,
    rows: Rows,
    /// The next more recently seen.
    newer: u32,
    /// The next less recently seen.
    older: u32,
    /// When it was last seen, in transactions, cut to 32 bits: it tells which log's oldest entity is the older one.
    seen: u32,
    version: u16,
}

const _: () = assert!(size_of::<Entity>() == 64, "a line of the cache");

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
            layout,
            olds: Vec::new(),
            index: Arc::new(Index::with_hasher_and_shard_amount(BuildHasherDefault::default(), SHARDS)),
            chunks: Vec::new(),
            pasts: Vec::new(),
            trails: Vec::new(),
            free: Vec::new(),
            slots: 0,
            newest: NONE,
            oldest: NONE,
            evicted_at_ms: None,
            rows: 0,
            row_bytes: 0,
            expirations: 0,
        }
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
        // A table is between 7/16 and 7/8 full, with a byte of control beside each entry.
        let index = self.len() * (size_of::<(KeyPrint, u32)>() + 1) * 3 / 2;
        (entities + pasts + trails + index) as u64 + self.row_bytes
    }

    /// The slot of a key, which counts as seen. `None` if it is not held.
    pub(super) fn find(&mut self, print: KeyPrint, seen: u32) -> Option<u32> {
        let slot = *self.index.get(&print)?;
        if self.newest != slot {
            self.unlink(slot);
            self.link_newest(slot);
        }
        self.entity_mut(slot).seen = seen;
        Some(slot)
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
        entity.seen = seen;
        entity.version = version;
        self.link_newest(slot);
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
        self.unlink(slot);
        self.free.push(slot);
    }

    /// The least recently seen entity and when it was seen.
    pub(super) fn least_recent(&self) -> Option<(u32, u32)> {
        (self.oldest != NONE).then(|| (self.oldest, self.entity(self.oldest).seen))
    }

    /// Drops entities that nothing is left of, a few of the least recently seen.
    pub(super) fn expire(&mut self, highest_ms: i64) {
        for _ in 0..EXPIRED_MAX {
            let Some((slot, _)) = self.least_recent() else { return };
            if !self.is_expired(slot, highest_ms) {
                return;
            }
            self.remove(slot);
            self.expirations += 1;
        }
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
        let entity = &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK];
        (&self.layout, &mut entity.rows)
    }

    /// An entity that is in the current layout: its rows, or `nothing`, and what its newest events held.
    pub(super) fn held<'l>(
        &'l self,
        slot: Option<u32>,
        nothing: &'l Rows,
    ) -> (&'l Layout, &'l Rows, Option<&'l Trail>) {
        match slot {
            Some(slot) => (&self.layout, &self.entity(slot).rows, self.trail(slot)),
            None => (&self.layout, nothing, None),
        }
    }

    /// When an entity was last seen, if anything asks of the past.
    pub(super) fn newest_seen(&self, slot: u32) -> Option<i64> {
        let (layout, rows) = (&self.layout, &self.entity(slot).rows);
        let end = rows.edge(layout, i64::MAX);
        let left_ms = self.past(slot).left_ms;
        rows.newest(layout, layout.past?, &end).max((left_ms != i64::MIN).then_some(left_ms))
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
    fn trail(&self, slot: u32) -> Option<&Trail> {
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
        let version = self.version();
        let entity = &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK];
        if entity.version == version {
            return;
        }
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
            chunk.push(Entity {
                print: KeyPrint::default(),
                generation: 0,
                rows: Rows::empty(),
                newer: NONE,
                older: NONE,
                seen: 0,
                version: 0,
            });
        }
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

    fn unlink(&mut self, slot: u32) {
        let (newer, older) = (self.entity(slot).newer, self.entity(slot).older);
        match newer {
            NONE => self.newest = older,
            newer => self.entity_mut(newer).older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.entity_mut(older).newer = newer,
        }
    }

    fn link_newest(&mut self, slot: u32) {
        let second = self.newest;
        let entity = self.entity_mut(slot);
        (entity.newer, entity.older) = (NONE, second);
        match second {
            NONE => self.oldest = slot,
            second => self.entity_mut(second).newer = slot,
        }
        self.newest = slot;
    }
}
