//! How many keys of each kind are held, counted while the scoring thread goes on: it writes an index, and whoever asks for
//! metrics reads it. No key is told.

use std::sync::{Mutex, PoisonError};

use prometheus::IntGaugeVec;

use crate::scoring::{expression::key_text, scorer::Scorer, windows::KeyIndex};

/// The indexes of the windows that answer now.
pub(super) struct HeldKeys {
    gauge: IntGaugeVec,
    indexes: Mutex<Vec<(String, KeyIndex)>>,
}

impl HeldKeys {
    /// Follows nothing yet. The gauge has the key as its label.
    pub(super) fn new(gauge: IntGaugeVec) -> Self {
        Self { gauge, indexes: Mutex::default() }
    }

    /// Follows the windows of a scorer, if they are not followed already.
    pub(super) fn follow(&self, scorer: &Scorer) {
        // Somebody counts just now: there is another time for this in a moment.
        let Ok(mut followed) = self.indexes.try_lock() else { return };
        let held = || scorer.windows().key_indexes();
        let is_same = followed.len() == held().count()
            && followed.iter().zip(held()).all(|((_, known), (_, index))| known.is_same(&index));
        if !is_same {
            let schema = &scorer.release().settings.schema;
            *followed = held().map(|(key, index)| (key_text(key, schema), index)).collect();
        }
    }

    /// Counts what is held at this moment.
    pub(super) fn count(&self) {
        let followed = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        self.gauge.reset();
        for (key, index) in &*followed {
            self.gauge.with_label_values(&[key]).set(i64::try_from(index.len()).unwrap_or(i64::MAX));
        }
    }
}
