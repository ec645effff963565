//! The time of a slice of messages. It waits for nothing.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::service::answering::Moment;

/// The wall clock, asked once a slice, and carried on by the monotonic one.
pub(super) struct Clock {
    start: Instant,
    start_unix_ms: i64,
    now: Instant,
}

impl Clock {
    pub(super) fn read() -> Self {
        let start = Instant::now();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start, start_unix_ms: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX), now: start }
    }

    pub(super) fn moment(&self) -> Moment {
        let passed_ms = i64::try_from((self.now - self.start).as_millis()).unwrap_or(i64::MAX);
        Moment { instant: self.now, unix_ms: self.start_unix_ms.saturating_add(passed_ms) }
    }

    /// Milliseconds since 1970 by the wall clock.
    pub(super) fn unix_ms() -> i64 {
        Self::read().start_unix_ms
    }

    pub(super) fn advance(&mut self, now: Instant) {
        self.now = now;
    }
}
