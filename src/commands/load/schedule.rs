//! When each request is meant to be sent: evenly or at random, at a steady or growing rate. It is decided beforehand, so
//! nothing that happens during a run moves it.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Arrivals {
    /// At even distances.
    Steady,
    /// At random, independently of each other.
    Poisson,
}

/// The rate of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    /// Requests a second at the beginning.
    pub(super) from: f64,
    /// Requests a second at the end.
    pub(super) to: f64,
    /// How long the run is.
    pub(super) duration: Duration,
}

/// One connection's moments.
pub(super) struct Schedule {
    ramp: Ramp,
    /// How many requests are due before the next, over all connections.
    due: f64,
    connections: f64,
    random: Option<ChaCha8Rng>,
}

impl Ramp {
    /// When so many requests are due: the inverse of the number that is due by then.
    fn moment(&self, due: f64) -> Duration {
        let seconds = self.duration.as_secs_f64();
        let growth = (self.to - self.from) / seconds;
        // The smaller root of from · t + growth · t² / 2 = due, in the form that loses no digits to a small growth.
        let root = (self.from * self.from + 2.0 * growth * due).max(0.0).sqrt();
        let at = if due > 0.0 { 2.0 * due / (self.from + root) } else { 0.0 };
        Duration::try_from_secs_f64(at).unwrap_or(Duration::MAX)
    }
}

impl Schedule {
    /// The moments of a connection, the first of which is 0.
    pub(super) fn new(ramp: Ramp, arrivals: Arrivals, connection: u64, connections: u64) -> Self {
        let random = (arrivals == Arrivals::Poisson).then(|| ChaCha8Rng::seed_from_u64(connection));
        let mut schedule = Self { ramp, due: connection as f64, connections: connections as f64, random };
        if schedule.random.is_some() {
            schedule.due = schedule.gap();
        }
        schedule
    }

    /// How many requests of all connections lie between two of this one.
    fn gap(&mut self) -> f64 {
        let Some(random) = &mut self.random else { return self.connections };
        // The distance between two events of a Poisson process is exponential.
        -self.connections * (1.0 - random.random::<f64>()).ln()
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let moment = self.ramp.moment(self.due);
        self.due += self.gap();
        (moment < self.ramp.duration).then_some(moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(from: f64, to: f64, arrivals: Arrivals, connections: u64) -> Vec<Duration> {
        let ramp = Ramp { from, to, duration: Duration::from_secs(10) };
        let mut all: Vec<Duration> =
            (0..connections).flat_map(|connection| Schedule::new(ramp, arrivals, connection, connections)).collect();
        all.sort();
        all
    }

    #[test]
    fn steady_requests_are_at_even_distances() {
        let all = moments(100.0, 100.0, Arrivals::Steady, 3);
        assert_eq!(all.len(), 1_000);
        assert!(all.windows(2).all(|pair| pair[1].abs_diff(pair[0]).as_micros().abs_diff(10_000) <= 1));
    }

    #[test]
    fn a_ramp_sends_the_mean_of_its_ends_and_more_towards_its_end() {
        for (from, to) in [(0.0, 200.0), (50.0, 150.0), (200.0, 0.0)] {
            let all = moments(from, to, Arrivals::Steady, 2);
            assert!(all.len().abs_diff(1_000) <= 1, "{} of {from} to {to}", all.len());
            let early = all.iter().filter(|moment| moment.as_secs_f64() < 5.0).count();
            assert!(early.abs_diff((from * 3.75 + to * 1.25) as usize) <= 1, "{early} of {from} to {to}");
        }
    }

    #[test]
    fn random_arrivals_vary_as_a_poisson_process_does() {
        let all = moments(1_000.0, 1_000.0, Arrivals::Poisson, 4);
        // Four standard deviations of a count of 10,000.
        assert!(all.len().abs_diff(10_000) <= 400, "{}", all.len());
        let gaps: Vec<f64> = all.windows(2).map(|pair| pair[1].abs_diff(pair[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Exponential distances deviate by their mean; even ones not at all.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.1);
    }
}
