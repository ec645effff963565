//! What labels say of what was decided, and how far scores and features have moved from those of training. All of it is
//! in event time; it reads no clock, decides nothing, and no answer depends on it.

mod psi;
mod drift;
mod notes;
mod report;
mod labelled;
mod watch;

pub use self::notes::{Answered, LineUp, ModelLine, Notes};
pub use self::report::{DriftReport, Report, SubjectReport, Volume};
pub use self::watch::Watch;

use crate::scoring::time::{DAY_MS, HOUR_MS};

/// Windows slide by this much: what is labelled is counted by the hour of its event time.
pub const BUCKET_MS: i64 = HOUR_MS;
/// How many windows there may be: each has its own series of metrics.
pub const WINDOWS_MAX: usize = 4;

/// How live quality is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualitySettings {
    /// The sliding windows of labelled transactions, in whole buckets, increasing.
    pub windows_ms: Vec<i64>,
    /// The sliding window of scores and features.
    pub drift_window_ms: i64,
    /// Transactions remembered until their label comes; beyond it the oldest day is forgotten.
    pub transactions_max: usize,
}

impl Default for QualitySettings {
    fn default() -> Self {
        Self { windows_ms: vec![DAY_MS, 7 * DAY_MS, 30 * DAY_MS], drift_window_ms: DAY_MS, transactions_max: 4_000_000 }
    }
}

#[cfg(test)]
mod tests;
