//! The windows as bytes and back. After that every answer is what it would have been: rows, panes, the order of
//! eviction and what is reported as filling are the same.

use xxhash_rust::xxh3::xxh3_128;

use crate::scoring::{
    field::AttributeSchema,
    plan::Plan,
    settings::WindowSettings,
    stored::{HandOn, Reader, Stored, StoredError, Word},
};

use super::{Windows, log::Log};

/// The layout of the bytes: another number for every change of what is written.
const LAYOUT: u32 = 1;
/// How values become keys: another number where the same value becomes another key, for then what is stored is of no use.
const KEYS: u32 = 2;

/// One key's part of windows that are being read back; they share nothing.
pub struct LogSection<'w>(&'w mut Log);

impl LogSection<'_> {
    /// Reads it back.
    pub fn load(self, bytes: &[u8]) -> Stored<()> {
        let mut stored = Reader::new(bytes);
        self.0.load(&mut stored)?;
        stored.end()
    }
}

impl Windows {
    /// Appends everything held to some bytes.
    pub fn save(&self, out: &mut Vec<u8>) {
        (0..self.sections()).for_each(|section| self.save_section(section, out, &mut |_| {}));
    }

    /// How many sections they are saved in: what all keys share, then each key.
    pub fn sections(&self) -> usize {
        1 + self.logs.len()
    }

    /// Appends one section, and hands on whenever there is much of it.
    pub fn save_section(&self, section: usize, out: &mut Vec<u8>, hand_on: HandOn<'_>) {
        match section.checked_sub(1) {
            None => self.save_head(out),
            Some(place) => {
                if let Some(log) = self.logs.get(place) {
                    log.save(out, hand_on);
                }
            }
        }
    }

    /// Windows of a plan as they were saved: schema and settings are those they were saved with.
    pub fn load(plan: &Plan, schema: &AttributeSchema, settings: &WindowSettings, bytes: &[u8]) -> Stored<Self> {
        let mut windows = Self::new(plan, schema, settings);
        let mut stored = Reader::new(bytes);
        windows.load_head(&mut stored)?;
        for log in &mut windows.logs {
            log.load(&mut stored)?;
        }
        stored.end()?;
        Ok(windows)
    }

    /// Windows of a plan from their first section; the others must be loaded before they are used.
    pub fn begin_load(plan: &Plan, schema: &AttributeSchema, settings: &WindowSettings, head: &[u8]) -> Stored<Self> {
        let mut windows = Self::new(plan, schema, settings);
        let mut stored = Reader::new(head);
        windows.load_head(&mut stored)?;
        stored.end()?;
        Ok(windows)
    }

    /// The sections after the first, in their order.
    pub fn sections_to_load(&mut self) -> impl Iterator<Item = LogSection<'_>> {
        self.logs.iter_mut().map(LogSection)
    }

    /// What plan, schema and settings make of what is held: state of another identity is of no use.
    pub fn identity(&self) -> u128 {
        self.identity
    }

    fn save_head(&self, out: &mut Vec<u8>) {
        LAYOUT.write(out);
        self.identity.write(out);
        self.logs_made.write(out);
        self.highest_ms.write(out);
        self.lowest_ms.write(out);
        self.observed.write(out);
        self.evictions.write(out);
        self.folds.write(out);
        (self.epochs.len() as u64).write(out);
        for epoch in &self.epochs {
            (epoch.len() as u64).write(out);
            // A place plus one, so that zero says none.
            for place in epoch {
                place.map_or(0, |place| place as u32 + 1).write(out);
            }
        }
    }

    fn load_head(&mut self, stored: &mut Reader<'_>) -> Stored<()> {
        let found = stored.word()?;
        if found != LAYOUT {
            return Err(StoredError::Layout { found, expected: LAYOUT });
        }
        if stored.word::<u128>()? != self.identity {
            return Err(StoredError::Other);
        }
        self.logs_made = stored.word()?;
        self.highest_ms = stored.word()?;
        self.lowest_ms = stored.word()?;
        self.observed = stored.word()?;
        self.evictions = stored.word()?;
        self.folds = stored.word()?;
        let epochs = stored.count(size_of::<u64>())?;
        Reader::check((1..=usize::from(u16::MAX)).contains(&epochs))?;
        self.epochs.clear();
        for _ in 0..epochs {
            let places: Vec<u32> = stored.words()?;
            self.epochs
                .push(places.into_iter().map(|place| place.checked_sub(1).map(|place| place as usize)).collect());
        }
        Ok(())
    }
}

/// What plan, schema and settings make of the bytes.
pub(super) fn identity_of(plan: &Plan, schema: &AttributeSchema, settings: &WindowSettings) -> u128 {
    let fields: Vec<_> = schema.fields().map(|field| (field.name(schema), field.field_type(schema))).collect();
    xxh3_128(format!("{KEYS} {plan:?} {fields:?} {settings:?}").as_bytes())
}
