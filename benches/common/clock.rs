//! The time that a bench's thread was at work. It measures nothing by itself.

use std::time::Instant;

/// The time that this thread was on a core, where Linux tells it: on a quiet machine that is the time that passes, and
/// on a busy one not that of others. Elsewhere the time that passes.
pub(crate) struct Clock {
    on_core_ns: Option<f64>,
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { on_core_ns: Self::on_core_ns(), start: Instant::now() }
    }

    pub(crate) fn elapsed_ns(&self) -> f64 {
        match (self.on_core_ns, Self::on_core_ns()) {
            (Some(then), Some(now)) => now - then,
            _ => self.start.elapsed().as_nanos() as f64,
        }
    }

    fn on_core_ns() -> Option<f64> {
        std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
    }
}
