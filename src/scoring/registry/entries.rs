//! The transactions themselves, in order of arrival, found by fingerprint. They are dropped from the oldest on.

use std::collections::VecDeque;

use crate::scoring::{
    money::Currency,
    plan::OutcomeState,
    stored::{HAND_ON_BYTES, HandOn, Reader, Stored, StoredError, Word, write_currency},
    tag_index::TagIndex,
    transaction::{LabelKind, TransactionType},
};

use super::{Fingerprint, bytes::Address};

/// What is remembered of a transaction.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) fingerprint: Fingerprint,
    pub(super) time_ms: i64,
    /// The highest event time there was when it had arrived: horizons are counted from here, so that what came too late
    /// for the windows is remembered as long as everything else.
    pub(super) arrived_ms: i64,
    pub(super) amount_minor: i64,
    /// In minor units of the base currency.
    pub(super) amount_base: BaseAmount,
    /// When its label became known; older labels do not count.
    pub(super) labelled_ms: i64,
    pub(super) answer: Address,
    /// Where it stands in the windows.
    pub(super) places: Address,
    pub(super) currency: Currency,
    pub(super) kind: TransactionType,
    pub(super) label: LabelKind,
    pub(super) outcome: OutcomeState,
    /// More is known of its amount than its outcome: see `Registry::amounts`.
    pub(super) has_amounts: bool,
}

/// An amount where there was a rate, in half the room of an option.
#[derive(Clone, Copy)]
pub(super) struct BaseAmount(i64);

/// Entries of a chunk: they are allocated and given back together, and nothing is moved when there are more.
const CHUNK: usize = 1_024;
/// Shards of the index: many, so that one that grows moves few entries.
const SHARDS: usize = 1_024;

/// Transactions by number, the order of their arrival.
pub(super) struct Entries {
    chunks: VecDeque<Vec<Entry>>,
    /// The number of the first entry of the first chunk.
    base: u64,
    /// The oldest that is still remembered.
    first: u64,
    next: u64,
    // The lowest 32 bits of numbers; fewer than 2^32 are remembered at a time.
    index: TagIndex,
}

impl Entries {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { chunks: VecDeque::new(), base: 0, first: 0, next: 0, index: TagIndex::new(SHARDS) }
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        (self.next - self.first) as usize
    }

    /// The number of the oldest that is remembered, if there is one.
    pub(super) fn oldest(&self) -> Option<u64> {
        (self.first < self.next).then_some(self.first)
    }

    /// Bytes of the allocations.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Entry>() + self.index.bytes()
    }

    /// The number of a transaction.
    pub(super) fn find(&self, fingerprint: Fingerprint) -> Option<u64> {
        let is_it = |low| self.get(self.number(low)).fingerprint == fingerprint;
        self.index.find(fingerprint.hash(), fingerprint.tag(), is_it).map(|low| self.number(low))
    }

    /// The transaction of a number that is remembered.
    pub(super) fn get(&self, number: u64) -> &Entry {
        let place = (number - self.base) as usize;
        &self.chunks[place / CHUNK][place % CHUNK]
    }

    /// The transaction of a number that is remembered, to change it.
    pub(super) fn get_mut(&mut self, number: u64) -> &mut Entry {
        let place = (number - self.base) as usize;
        &mut self.chunks[place / CHUNK][place % CHUNK]
    }

    /// Remembers a transaction; `known` is what `find` gives for its fingerprint, and is no longer found.
    pub(super) fn push(&mut self, entry: Entry, known: Option<u64>) -> u64 {
        let number = self.next;
        let fingerprint = entry.fingerprint;
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push_back(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.push(entry);
        }
        self.next += 1;
        let (hash, tag) = (fingerprint.hash(), fingerprint.tag());
        match known {
            Some(known) => self.index.replace(hash, tag, known as u32, number as u32),
            None => self.index.insert(hash, tag, number as u32),
        }
        number
    }

    /// Forgets the oldest.
    pub(super) fn pop(&mut self) {
        let number = self.first;
        let fingerprint = self.get(number).fingerprint;
        self.index.remove(fingerprint.hash(), fingerprint.tag(), number as u32);
        self.first += 1;
        if (self.first - self.base) as usize == CHUNK {
            self.chunks.pop_front();
            self.base += CHUNK as u64;
        }
    }

    /// Appends them to stored state.
    pub(super) fn save(&self, out: &mut Vec<u8>, hand_on: HandOn<'_>) {
        self.first.write(out);
        (self.len() as u64).write(out);
        self.oldest().map(|oldest| self.get(oldest).arrived_ms).write(out);
        for number in self.first..self.next {
            self.get(number).save(out);
            if out.len() >= HAND_ON_BYTES {
                hand_on(out);
            }
        }
    }

    /// Reads them back; where `layout` is the first one, without knowing when the oldest had arrived.
    pub(super) fn load(layout: u32, stored: &mut Reader<'_>) -> Stored<Self> {
        let mut entries = Self::new();
        let first: u64 = stored.word()?;
        let count = stored.count(ENTRY_BYTES)?;
        // Every transaction that raises the highest event time is remembered, so the first of them tells the others.
        let mut arrived_ms = if layout == FIRST_LAYOUT { None } else { stored.word::<Option<i64>>()? };
        Reader::check(first < u64::MAX / 2)?;
        entries.base = first - first % CHUNK as u64;
        (entries.first, entries.next) = (first, first);
        // What was forgotten of the first chunk keeps its place.
        let forgotten = (first - entries.base) as usize;
        if forgotten > 0 {
            let mut chunk = Vec::with_capacity(CHUNK);
            chunk.resize(forgotten, Entry::forgotten()?);
            entries.chunks.push_back(chunk);
        }
        for _ in 0..count {
            let mut entry = Entry::load(stored)?;
            entry.arrived_ms = arrived_ms.map_or(entry.time_ms, |arrived_ms| arrived_ms.max(entry.time_ms));
            arrived_ms = Some(entry.arrived_ms);
            let known = entries.find(entry.fingerprint);
            entries.push(entry, known);
        }
        Ok(entries)
    }

    fn number(&self, low: u32) -> u64 {
        number_of(self.first, low)
    }
}

impl BaseAmount {
    /// No amount is as low as that.
    const NONE: i64 = i64::MIN;

    /// Keeps an amount.
    pub(super) fn of(minor: Option<i64>) -> Self {
        Self(minor.unwrap_or(Self::NONE))
    }

    /// The amount that is kept.
    pub(super) fn get(self) -> Option<i64> {
        (self.0 != Self::NONE).then_some(self.0)
    }
}

/// The layout of a stored registry that does not say when its oldest transaction had arrived.
pub(super) const FIRST_LAYOUT: u32 = 1;
/// Bytes of a stored entry.
const ENTRY_BYTES: usize = 76;
const _: () = assert!(size_of::<Entry>() == 80);
const LABELS: [LabelKind; 3] = [LabelKind::Fraud, LabelKind::Legit, LabelKind::Unknown];

impl Entry {
    fn save(&self, out: &mut Vec<u8>) {
        let place = |place: Option<usize>| place.unwrap_or_default() as u8;
        self.fingerprint.0.write(out);
        self.time_ms.write(out);
        self.amount_minor.write(out);
        self.amount_base.get().write(out);
        self.labelled_ms.write(out);
        self.answer.0.write(out);
        self.places.0.write(out);
        write_currency(self.currency, out);
        out.extend([
            self.kind as u8,
            place(LABELS.iter().position(|label| *label == self.label)),
            self.outcome as u8,
            u8::from(self.has_amounts),
        ]);
    }

    fn load(stored: &mut Reader<'_>) -> Stored<Self> {
        fn pick<T: Copy>(items: &[T], stored: &mut Reader<'_>) -> Stored<T> {
            items.get(usize::from(stored.word::<u8>()?)).copied().ok_or(StoredError::Damaged)
        }
        Ok(Self {
            fingerprint: Fingerprint(stored.word()?),
            time_ms: stored.word()?,
            arrived_ms: i64::MIN,
            amount_minor: stored.word()?,
            amount_base: BaseAmount::of(stored.word()?),
            labelled_ms: stored.word()?,
            answer: Address(stored.word()?),
            places: Address(stored.word()?),
            currency: stored.currency()?,
            kind: pick(&TransactionType::ALL, stored)?,
            label: pick(&LABELS, stored)?,
            outcome: pick(&OutcomeState::ALL, stored)?,
            has_amounts: pick(&[false, true], stored)?,
        })
    }

    /// One that nothing asks for any more.
    fn forgotten() -> Stored<Self> {
        Ok(Self {
            fingerprint: Fingerprint(0),
            time_ms: i64::MIN,
            arrived_ms: i64::MIN,
            amount_minor: 0,
            amount_base: BaseAmount::of(None),
            labelled_ms: i64::MIN,
            answer: Address::NONE,
            places: Address::NONE,
            currency: Currency::from_code("EUR").ok_or(StoredError::Damaged)?,
            kind: TransactionType::Authorization,
            label: LabelKind::Unknown,
            outcome: OutcomeState::Unknown,
            has_amounts: false,
        })
    }
}

fn number_of(first: u64, low: u32) -> u64 {
    first + u64::from(low.wrapping_sub(first as u32))
}
