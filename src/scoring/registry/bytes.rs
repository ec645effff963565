//! Bytes in order of arrival, in chunks that are given back from the oldest on. It knows nothing of their meaning.

use std::collections::VecDeque;

use crate::scoring::stored::{HAND_ON_BYTES, HandOn, Reader, Stored, Word};

/// Where a run of bytes begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Address(pub(super) u64);

impl Address {
    /// Nowhere.
    pub(super) const NONE: Self = Self(u64::MAX);
}

/// Runs of bytes.
pub(super) struct Bytes {
    chunks: VecDeque<Chunk>,
    /// The number of the first chunk.
    first: u32,
    chunk_size: usize,
    held: usize,
}

struct Chunk {
    bytes: Vec<u8>,
    runs: u64,
    /// Its last run is of this entry or an earlier one.
    last_entry: u64,
    newest_ms: i64,
}

impl Bytes {
    /// None yet; chunks are a fraction of `bytes_max`, so that dropping one stays close to the bound.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { chunks: VecDeque::new(), first: 0, chunk_size: chunk_size(bytes_max), held: 0 }
    }

    /// Takes over another bound for chunks to come.
    pub(super) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.chunk_size = chunk_size(bytes_max);
    }

    /// Appends them to stored state.
    pub(super) fn save(&self, out: &mut Vec<u8>, hand_on: HandOn<'_>) {
        self.first.write(out);
        (self.chunks.len() as u64).write(out);
        for chunk in &self.chunks {
            (chunk.bytes.capacity() as u64).write(out);
            chunk.runs.write(out);
            chunk.last_entry.write(out);
            chunk.newest_ms.write(out);
            out.reserve(chunk.bytes.len());
            (chunk.bytes.len() as u64).write(out);
            out.extend_from_slice(&chunk.bytes);
            if out.len() >= HAND_ON_BYTES {
                hand_on(out);
            }
        }
    }

    /// Reads them back, for chunks to come of the size that `bytes_max` gives.
    pub(super) fn load(bytes_max: usize, stored: &mut Reader<'_>) -> Stored<Self> {
        let mut all = Self::new(bytes_max);
        all.first = stored.word()?;
        for _ in 0..stored.count(5 * size_of::<u64>())? {
            let capacity = stored.word::<u64>()?;
            let (runs, last_entry, newest_ms) = (stored.word()?, stored.word()?, stored.word()?);
            let count = stored.count(1)?;
            let run = stored.bytes(count)?;
            // No chunk is larger but for one run that needs it.
            let capacity_max = CHUNK_BYTES_MAX.max(count) as u64;
            Reader::check(capacity <= capacity_max && count as u64 <= capacity)?;
            let mut bytes = Vec::with_capacity(capacity as usize);
            bytes.extend_from_slice(run);
            all.held += bytes.capacity();
            all.chunks.push_back(Chunk { bytes, runs, last_entry, newest_ms });
        }
        Ok(all)
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// How many runs are held.
    pub(super) fn runs(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.runs).sum()
    }

    /// The last entry of which no run is held any more, if that is known.
    pub(super) fn oldest_chunk_last_entry(&self) -> Option<u64> {
        self.chunks.front().map(|chunk| chunk.last_entry)
    }

    /// Adds a run for an entry.
    pub(super) fn push(&mut self, run: &[u8], entry: u64, time_ms: i64) -> Address {
        let needed = number_length(run.len() as u64) + run.len();
        if self.chunks.back().is_none_or(|chunk| chunk.bytes.capacity() - chunk.bytes.len() < needed) {
            let bytes = Vec::with_capacity(self.chunk_size.max(needed));
            self.held += bytes.capacity();
            self.chunks.push_back(Chunk { bytes, runs: 0, last_entry: entry, newest_ms: time_ms });
        }
        let number = u64::from(self.first.wrapping_add((self.chunks.len() - 1) as u32));
        let Some(chunk) = self.chunks.back_mut() else { return Address::NONE };
        let at = chunk.bytes.len() as u64;
        push_number(&mut chunk.bytes, run.len() as u64);
        chunk.bytes.extend_from_slice(run);
        chunk.runs += 1;
        chunk.last_entry = entry;
        chunk.newest_ms = chunk.newest_ms.max(time_ms);
        Address(number << 32 | at)
    }

    /// A run, if it is still held.
    pub(super) fn get(&self, address: Address) -> Option<&[u8]> {
        if address == Address::NONE {
            return None;
        }
        let chunk = ((address.0 >> 32) as u32).wrapping_sub(self.first) as usize;
        let mut bytes = self.chunks.get(chunk)?.bytes.get(address.0 as u32 as usize..)?;
        let length = take_number(&mut bytes)?;
        bytes.get(..usize::try_from(length).ok()?)
    }

    /// Drops chunks of which every run is of an entry before `first_entry`.
    pub(super) fn drop_before_entry(&mut self, first_entry: u64) {
        while self.chunks.front().is_some_and(|chunk| chunk.last_entry < first_entry) {
            self.drop_front();
        }
    }

    /// Drops chunks of which every run is older than a time.
    pub(super) fn drop_before_time(&mut self, time_ms: i64) {
        while self.chunks.front().is_some_and(|chunk| chunk.newest_ms < time_ms) {
            self.drop_front();
        }
    }

    /// Drops the oldest chunks until at most `bytes_max` bytes are held.
    pub(super) fn drop_beyond(&mut self, bytes_max: usize) {
        while self.held > bytes_max && self.chunks.len() > 1 {
            self.drop_front();
        }
    }

    fn drop_front(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            self.held -= chunk.bytes.capacity();
            self.first = self.first.wrapping_add(1);
        }
    }
}

const CHUNK_BYTES_MIN: usize = 1 << 10;
const CHUNK_BYTES_MAX: usize = 1 << 20;

fn chunk_size(bytes_max: usize) -> usize {
    (bytes_max / 64).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX)
}

/// Appends a number in seven bits a byte, the lowest first.
pub(super) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// How many bytes that appends.
const fn number_length(number: u64) -> usize {
    (u64::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize
}

/// Takes such a number off the front.
pub(super) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
