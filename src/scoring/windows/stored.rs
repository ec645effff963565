//! The windows as bytes and back. After that every answer is what it would have been: rows, panes, the order of
//! eviction and what is reported as filling are the same.

use xxhash_rust::xxh3::xxh3_128;

use crate::scoring::{
    field::AttributeSchema,
    plan::Plan,
    settings::WindowSettings,
    stored::{Reader, Stored, StoredError, Word},
};

use super::Windows;

/// The layout of the bytes: another number for every change of what is written.
const LAYOUT: u32 = 1;

impl Windows {
    /// Appends everything held to some bytes.
    pub fn save(&self, out: &mut Vec<u8>) {
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
        self.logs.iter().for_each(|log| log.save(out));
    }

    /// Windows of a plan as they were saved: schema and settings are those they were saved with.
    pub fn load(plan: &Plan, schema: &AttributeSchema, settings: &WindowSettings, bytes: &[u8]) -> Stored<Self> {
        let mut windows = Self::new(plan, schema, settings);
        let mut stored = Reader::new(bytes);
        let found = stored.word()?;
        if found != LAYOUT {
            return Err(StoredError::Layout { found, expected: LAYOUT });
        }
        if stored.word::<u128>()? != windows.identity {
            return Err(StoredError::Other);
        }
        windows.logs_made = stored.word()?;
        windows.highest_ms = stored.word()?;
        windows.lowest_ms = stored.word()?;
        windows.observed = stored.word()?;
        windows.evictions = stored.word()?;
        windows.folds = stored.word()?;
        let epochs = stored.count(size_of::<u64>())?;
        Reader::check((1..=usize::from(u16::MAX)).contains(&epochs))?;
        windows.epochs.clear();
        for _ in 0..epochs {
            let places: Vec<u32> = stored.words()?;
            windows
                .epochs
                .push(places.into_iter().map(|place| place.checked_sub(1).map(|place| place as usize)).collect());
        }
        for log in &mut windows.logs {
            log.load(&mut stored)?;
        }
        stored.end()?;
        Ok(windows)
    }
}

/// What plan, schema and settings make of the bytes.
pub(super) fn identity_of(plan: &Plan, schema: &AttributeSchema, settings: &WindowSettings) -> u128 {
    let fields: Vec<_> = schema.fields().map(|field| (field.name(schema), field.field_type(schema))).collect();
    xxh3_128(format!("{plan:?} {fields:?} {settings:?}").as_bytes())
}
