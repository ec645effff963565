//! The registry as bytes and back. Whatever is asked of it afterwards is answered as it would have been.

use xxhash_rust::xxh3::xxh3_128;

use crate::scoring::{
    settings::WindowSettings,
    stored::{HandOn, Reader, Stored, StoredError, Word},
};

use super::{
    Registry,
    amounts::Amounts,
    answers::Endings,
    bytes::Bytes,
    entries::{Entries, FIRST_LAYOUT},
};

/// The layout of the bytes: another number for every change of what is written.
const LAYOUT: u32 = 2;

impl Registry {
    /// Appends everything held to some bytes.
    pub fn save(&self, out: &mut Vec<u8>) {
        self.save_section(out, &mut |_| {});
    }

    /// Appends everything held, and hands on whenever there is much of it.
    pub fn save_section(&self, out: &mut Vec<u8>, hand_on: HandOn<'_>) {
        LAYOUT.write(out);
        identity_of(&self.settings).write(out);
        self.entries.save(out, hand_on);
        self.answers.save(out, hand_on);
        self.places.save(out, hand_on);
        self.endings.save(out);
        let mut amounts: Vec<_> = self.amounts.iter().collect();
        amounts.sort_unstable_by_key(|(number, _)| **number);
        (amounts.len() as u64).write(out);
        for (number, amounts) in amounts {
            number.write(out);
            amounts.save(out);
        }
        self.forgotten.write(out);
        self.answers_dropped_entry.write(out);
        self.highest_ms.write(out);
        self.keep_ms.write(out);
    }

    /// A registry as it was saved, with the settings it was saved with.
    pub fn load(settings: &WindowSettings, bytes: &[u8]) -> Stored<Self> {
        let mut registry = Self::new(settings);
        let mut stored = Reader::new(bytes);
        let found = stored.word()?;
        if ![FIRST_LAYOUT, LAYOUT].contains(&found) {
            return Err(StoredError::Layout { found, expected: LAYOUT });
        }
        if stored.word::<u128>()? != identity_of(settings) {
            return Err(StoredError::Other);
        }
        registry.entries = Entries::load(found, &mut stored)?;
        registry.answers = Bytes::load(settings.answers_max_bytes, &mut stored)?;
        registry.places = Bytes::load(usize::MAX, &mut stored)?;
        registry.endings = Endings::load(&mut stored)?;
        for _ in 0..stored.count(size_of::<u64>())? {
            let number = stored.word()?;
            registry.amounts.insert(number, Amounts::load(&mut stored)?);
        }
        registry.forgotten = stored.word()?;
        registry.answers_dropped_entry = stored.word()?;
        registry.highest_ms = stored.word()?;
        registry.keep_ms = stored.word()?;
        stored.end()?;
        Ok(registry)
    }
}

fn identity_of(settings: &WindowSettings) -> u128 {
    xxh3_128(format!("{settings:?}").as_bytes())
}
