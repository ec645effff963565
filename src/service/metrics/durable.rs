//! Metrics of what is kept beside the journal. It reads no file.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::{Builder, STAGE_SECONDS};

/// Bounds in seconds of work that goes on beside the scoring.
const WORK_SECONDS: &[f64] = &[0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];

/// Snapshots.
pub struct Durable {
    age: IntGauge,
    /// When the newest was taken, in Unix milliseconds; 0 for never.
    taken_unix_ms: AtomicI64,
    /// Its length.
    pub snapshot_bytes: IntGauge,
    /// The number of the last input that it holds.
    pub snapshot_record: IntGauge,
    /// How long it took.
    pub snapshot_seconds: Histogram,
    /// Those that were taken.
    pub snapshots: IntCounter,
    /// Attempts that failed.
    pub snapshot_failures: IntCounter,
    /// Those that could not be used, by why.
    pub snapshot_fallbacks: IntCounterVec,
    /// Refills, by what came of them.
    pub refills: IntCounterVec,
    /// How long they took beside the scoring.
    pub refill_seconds: Histogram,
    /// How long answers waited for the swap.
    pub refill_swaps: Histogram,
    /// Whether one is under way.
    pub refilling: IntGauge,
    /// Messages that the process before had answered.
    pub handed_over: IntCounter,
}

impl Durable {
    /// All at zero.
    pub(super) fn new(made: &Builder<'_>) -> prometheus::Result<Self> {
        let durable = Self {
            age: made.gauge(
                "gavel_snapshot_age_seconds",
                "Age of the newest snapshot; without one, the time since this process started.",
            )?,
            taken_unix_ms: AtomicI64::new(0),
            snapshot_bytes: made.gauge("gavel_snapshot_bytes", "Length of the newest snapshot.")?,
            snapshot_record: made
                .gauge("gavel_snapshot_record", "Number of the last input that the newest snapshot holds.")?,
            snapshot_seconds: made.histogram(
                "gavel_snapshot_seconds",
                "How long taking a snapshot took.",
                WORK_SECONDS,
            )?,
            snapshots: made.counter("gavel_snapshots_total", "Snapshots taken.")?,
            snapshot_failures: made.counter("gavel_snapshot_failures_total", "Snapshots that could not be taken.")?,
            snapshot_fallbacks: made.counters(
                "gavel_snapshot_fallbacks_total",
                "Snapshots that could not be used, so that an older one or the journal alone was, by why.",
                &["reason"],
            )?,
            refills: made.counters(
                "gavel_refills_total",
                "Times that windows were rebuilt from the journal after a reload, by what came of it.",
                &["result"],
            )?,
            refill_seconds: made.histogram(
                "gavel_refill_seconds",
                "How long rebuilding windows took, beside the scoring.",
                WORK_SECONDS,
            )?,
            refill_swaps: made.histogram(
                "gavel_refill_swap_seconds",
                "How long answers waited for rebuilt windows to take over.",
                STAGE_SECONDS,
            )?,
            refilling: made.gauge("gavel_refilling", "Whether windows are being rebuilt from the journal.")?,
            handed_over: made.counter(
                "gavel_handed_over_total",
                "Messages that were heard here too while another process answered them, before this one took over.",
            )?,
        };
        // A series that appears only with its first event hides that event from `increase`.
        for reason in ["damaged", "plan", "unreadable", "version"] {
            durable.snapshot_fallbacks.with_label_values(&[reason]);
        }
        for result in ["applied", "failed", "incomplete"] {
            durable.refills.with_label_values(&[result]);
        }
        Ok(durable)
    }

    /// Tells of the newest snapshot when it was taken, in Unix milliseconds.
    pub fn taken(&self, unix_ms: i64) {
        self.taken_unix_ms.store(unix_ms, Ordering::Relaxed);
    }

    /// Tells how old the newest snapshot is.
    pub(super) fn age(&self, started: Instant) {
        let taken_ms = self.taken_unix_ms.load(Ordering::Relaxed);
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        let age_s = match taken_ms {
            0 => i64::try_from(started.elapsed().as_secs()).unwrap_or(i64::MAX),
            taken_ms => now_ms.saturating_sub(taken_ms).max(0) / 1_000,
        };
        self.age.set(age_s);
    }
}
