//! A compact map from text to an optional word of 64 bits: ten million entries side by side. Entries never leave it.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// The set bit of a record's length that says a word follows the text.
const HAS_WORD: u16 = 1 << 15;
const HEADER_BYTES: usize = 2;
const WORD_BYTES: usize = 8;

/// Text to an optional word. Each text is kept whole, so a look-up never mistakes one for another.
///
/// A record is the length of its text in two bytes, the text, and eight bytes more if it has a word; the index holds
/// where each record begins.
pub(super) struct Store {
    records: Vec<u8>,
    index: HashTable<u32>,
    /// No record begins behind this byte.
    start_max: u32,
}

/// What is held of a text.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Entry {
    pub(super) word: Option<u64>,
}

/// The records would take more than four gibibytes, or than the store was given.
pub(super) struct Full;

impl Default for Store {
    fn default() -> Self {
        Self::with_capacity(0, 0)
    }
}

impl Store {
    /// Room for about this many entries of this many bytes in all.
    pub(super) fn with_capacity(entries: usize, bytes: usize) -> Self {
        let (records, index) = (Vec::with_capacity(bytes), HashTable::with_capacity(entries));
        Self { records, index, start_max: u32::MAX }
    }

    /// The same, full once a record would begin behind this byte: a test need not fill four gibibytes.
    #[cfg(test)]
    pub(super) fn full_behind(self, start_max: u32) -> Self {
        Self { start_max, ..self }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// The memory it takes.
    pub(super) fn size_bytes(&self) -> usize {
        self.records.capacity() + self.index.allocation_size()
    }

    /// What is held of a text, if it is there.
    pub(super) fn get(&self, text: &str) -> Option<Entry> {
        let found = self.index.find(hash(text.as_bytes()), |at| record_text(&self.records, *at) == text.as_bytes())?;
        Some(Entry { word: record_word(&self.records, *found) })
    }

    /// Sets the word of a text.
    pub(super) fn set(&mut self, text: &str, word: Option<u64>) -> Result<(), Full> {
        let at = u32::try_from(self.records.len()).ok().filter(|at| *at <= self.start_max).ok_or(Full)?;
        let length = u16::try_from(text.len()).ok().filter(|length| *length < HAS_WORD).ok_or(Full)?;
        let header = length | if word.is_some() { HAS_WORD } else { 0 };
        self.records.extend_from_slice(&header.to_le_bytes());
        self.records.extend_from_slice(text.as_bytes());
        if let Some(word) = word {
            self.records.extend_from_slice(&word.to_le_bytes());
        }
        let records = &self.records;
        let same = |known: &u32| record_text(records, *known) == text.as_bytes();
        match self.index.find_mut(hash(text.as_bytes()), same) {
            // The old record stays behind as a gap: the same text twice in one file is rare.
            Some(known) => *known = at,
            None => {
                self.index.insert_unique(hash(text.as_bytes()), at, |known| hash(record_text(records, *known)));
            }
        }
        Ok(())
    }

    /// Gives back what was reserved and not needed.
    pub(super) fn shrink(&mut self) {
        self.records.shrink_to_fit();
        let records = &self.records;
        self.index.shrink_to_fit(|known| hash(record_text(records, *known)));
    }
}

fn hash(text: &[u8]) -> u64 {
    xxh3_64(text)
}

fn record_header(records: &[u8], at: u32) -> u16 {
    let at = at as usize;
    match records.get(at..at + HEADER_BYTES) {
        Some(&[low, high]) => u16::from_le_bytes([low, high]),
        _ => 0,
    }
}

fn record_text(records: &[u8], at: u32) -> &[u8] {
    let start = at as usize + HEADER_BYTES;
    let length = usize::from(record_header(records, at) & !HAS_WORD);
    records.get(start..start + length).unwrap_or_default()
}

fn record_word(records: &[u8], at: u32) -> Option<u64> {
    let header = record_header(records, at);
    if header & HAS_WORD == 0 {
        return None;
    }
    let start = at as usize + HEADER_BYTES + usize::from(header & !HAS_WORD);
    records.get(start..start + WORD_BYTES)?.try_into().ok().map(u64::from_le_bytes)
}
