//! How long to wait before the next attempt to connect. It asks no clock.

use std::time::Duration;

use rand::RngExt as _;

/// The first pause.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause: a broker that comes back is found within this.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Pauses that double, each with jitter so that many services do not come back at once.
#[derive(Debug, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The next pause: between half of it and all of it.
    pub fn next_pause(&mut self) -> Duration {
        let doubled = PAUSE_MIN.saturating_mul(1 << self.attempts.min(16));
        self.attempts = self.attempts.saturating_add(1);
        doubled.min(PAUSE_MAX).mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// How many pauses there were since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// It worked: the next pause is short again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let mut backoff = Backoff::default();
        for expected_ms in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let pause = backoff.next_pause().as_millis();
            assert!((expected_ms / 2..=expected_ms).contains(&pause), "{pause} of {expected_ms}");
        }
        backoff.reset();
        assert!(backoff.next_pause() <= PAUSE_MIN);
    }
}
