//! How long each tier takes, as measured, and which one the time that is left has room for; how long the queue takes
//! while there is one. It reads no clock.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::scoring::verdict::Tier;

/// How much a new measure counts against those before.
const WEIGHT: f64 = 0.05;
/// The same for a turn of the thread, which is many messages.
const TURN_WEIGHT: f64 = 0.2;
/// The same for the time to leave, of which every turn is a measure: a pause that comes once in a second is not
/// forgotten.
const LONGEST_WEIGHT: f64 = 0.01;
/// How many deviations above the mean are reckoned with.
const DEVIATIONS: f64 = 4.0;

/// A tier for which there was no time so often is tried once: what was measured may have been a cold start or a stall, and
/// nothing measures a tier that is never given. Each time that it takes no less, it is tried half as often.
const PATIENCE_MIN: u32 = 128;
/// As rarely as that it is always tried.
const PATIENCE_MAX: u32 = 1 << 16;

/// What was measured of each tier.
#[derive(Default)]
pub struct Pace {
    tiers: [Option<Measured>; Tier::ALL.len()],
}

#[derive(Clone, Copy)]
struct Measured {
    mean_s: f64,
    deviation_s: f64,
    /// How often there was no time for it since it was last tried, and how often there may be none.
    denied: u32,
    patience: u32,
    /// It is being tried, and is to be measured.
    is_tried: bool,
}

impl Measured {
    fn first(took_s: f64) -> Self {
        Self { mean_s: took_s, deviation_s: took_s / 2.0, denied: 0, patience: PATIENCE_MIN, is_tried: false }
    }

    /// How long it takes at worst, together with others. They may take what they usually do.
    fn needs_s(&self, answers: usize) -> f64 {
        self.mean_s * answers as f64 + DEVIATIONS * self.deviation_s
    }
}

impl Pace {
    /// Takes in how long an answer of a tier took.
    pub fn measure(&mut self, tier: Tier, took: Duration) {
        let took_s = took.as_secs_f64();
        let measured = &mut self.tiers[tier as usize];
        let Some(known) = measured else {
            *measured = Some(Measured::first(took_s));
            return;
        };
        if std::mem::take(&mut known.is_tried) {
            let now = Measured::first(took_s);
            if now.needs_s(1) < known.needs_s(1) {
                *known = now;
                return;
            }
            known.patience = known.patience.saturating_mul(2).min(PATIENCE_MAX);
        }
        known.deviation_s += WEIGHT * ((took_s - known.mean_s).abs() - known.deviation_s);
        known.mean_s += WEIGHT * (took_s - known.mean_s);
    }

    /// Whether a tier is being tried, so that it is to be measured.
    pub fn is_tried(&self, tier: Tier) -> bool {
        self.tiers[tier as usize].is_some_and(|measured| measured.is_tried)
    }

    /// Whether there is time for any tier.
    pub fn fits(&self, left: Duration, answers: usize) -> bool {
        let fits =
            |measured: &Option<Measured>| measured.is_none_or(|known| known.needs_s(answers) <= left.as_secs_f64());
        self.tiers.iter().any(fits)
    }

    /// The fullest tier for which there is time, when an answer leaves together with others; `None` for none. What was
    /// never measured is tried, and what there was no time for is tried again now and then.
    pub fn tier(&mut self, left: Duration, answers: usize) -> Option<Tier> {
        let left_s = left.as_secs_f64();
        Tier::ALL.into_iter().find(|tier| {
            let Some(measured) = &mut self.tiers[*tier as usize] else { return true };
            if measured.needs_s(answers) <= left_s {
                return true;
            }
            measured.denied += 1;
            if measured.denied < measured.patience {
                return false;
            }
            (measured.denied, measured.is_tried) = (0, true);
            true
        })
    }
}

/// How fast the queue is worked off, with all that is done beside answering. Of a queue that was empty a moment ago
/// nothing is known.
#[derive(Default)]
pub struct Throughput {
    message_s: Option<f64>,
}

impl Throughput {
    /// Takes in how long a turn took in which so many were answered, and more were waiting at its end.
    pub fn measure(&mut self, took: Duration, answered: usize) {
        if answered > 0 {
            let took_s = took.as_secs_f64() / answered as f64;
            let before_s = self.message_s.unwrap_or(took_s);
            self.message_s = Some(before_s + TURN_WEIGHT * (took_s - before_s));
        }
    }

    /// How long what comes now waits behind so many.
    pub fn wait(&self, waiting: usize) -> Duration {
        Duration::from_secs_f64(self.message_s.unwrap_or_default() * waiting as f64)
    }
}

/// What takes longest of late, forgotten slowly.
pub struct Longest {
    took_s: f64,
    weight: f64,
}

impl Longest {
    /// Nothing was measured yet. `weight` says how much a shorter measure counts against those before.
    pub const fn new(weight: f64) -> Self {
        Self { took_s: 0.0, weight }
    }

    /// It took so long.
    pub fn look(&mut self, took: Duration) {
        let took_s = took.as_secs_f64();
        self.took_s = (self.took_s + self.weight * (took_s - self.took_s)).max(took_s);
    }

    /// It takes so long already.
    pub fn at_least(&mut self, took: Duration) {
        self.took_s = self.took_s.max(took.as_secs_f64());
    }

    /// How long it takes.
    pub fn takes(&self) -> Duration {
        Duration::from_secs_f64(self.took_s)
    }
}

/// How long it takes from the beginning of a turn until the client writes what was said in it: the turn itself, the
/// journal, and the queue to the broker. One turn at a time is watched.
pub struct Leaving {
    watched: Option<(u64, Instant)>,
    longest: Longest,
}

impl Default for Leaving {
    fn default() -> Self {
        Self { watched: None, longest: Longest::new(LONGEST_WEIGHT) }
    }
}

impl Leaving {
    /// So many messages have been handed over, the last of them by a turn that began then, and so many of them written.
    pub fn look(&mut self, handed: u64, written: u64, began: Instant, now: Instant) {
        let Some((number, since)) = self.watched else {
            if handed > written {
                self.watched = Some((handed, began));
                self.longest.at_least(now - began);
            }
            return;
        };
        if written >= number {
            self.watched = None;
            self.longest.look(now - since);
        } else {
            self.longest.at_least(now - since);
        }
    }

    /// How long it took of late.
    pub fn takes(&self) -> Duration {
        self.longest.takes()
    }
}

/// Deadlines of answers on their way to the broker.
#[derive(Default)]
pub struct Promises(VecDeque<(u64, i64)>);

impl Promises {
    /// Answers have been handed over as the messages up to a number, with these deadlines.
    pub fn make(&mut self, handed: u64, deadlines_ms: Vec<i64>) {
        self.0.extend(deadlines_ms.into_iter().map(|deadline_ms| (handed, deadline_ms)));
    }

    /// Whether none is on its way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// So many messages are written by now. How many deadlines these did not keep.
    pub fn look(&mut self, written: u64, now_unix_ms: i64) -> u64 {
        let mut late = 0;
        while let Some((_, deadline_ms)) = self.0.front().copied().filter(|(number, _)| *number <= written) {
            self.0.pop_front();
            late += u64::from(now_unix_ms > deadline_ms);
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_takes_as_long_as_it_took() {
        let (mut leaving, start) = (Leaving::default(), Instant::now());
        let at = |at_ms| start + Duration::from_millis(at_ms);
        let mut look = |handed, written, began_ms, at_ms| {
            leaving.look(handed, written, at(began_ms), at(at_ms));
            leaving.takes().as_millis()
        };
        // (handed over, written, when the turn began, when it is looked at, what it takes then)
        let cases = [
            (0, 0, 0, 0, 0),
            (10, 0, 0, 2, 2),
            (20, 9, 20, 30, 30),
            (20, 10, 30, 40, 40),
            (20, 20, 40, 50, 40),
            (30, 20, 55, 60, 40),
            (30, 30, 60, 60, 39),
        ];
        for (handed, written, began_ms, at_ms, expected_ms) in cases {
            assert_eq!(look(handed, written, began_ms, at_ms), expected_ms, "{handed} {written} {at_ms}");
        }
    }

    #[test]
    fn what_is_written_late_is_counted_once() {
        let mut promises = Promises::default();
        promises.make(10, vec![5, 7]);
        promises.make(20, vec![6]);
        // (written, when, how many of these were late)
        for (written, now_ms, expected) in [(9, 9, 0), (10, 6, 1), (19, 9, 0), (20, 7, 1), (20, 9, 0)] {
            assert_eq!(promises.look(written, now_ms), expected, "{written} {now_ms}");
        }
        assert!(promises.is_empty());
    }

    #[test]
    fn a_queue_takes_as_long_as_it_took() {
        let mut throughput = Throughput::default();
        assert_eq!(throughput.wait(1_000), Duration::ZERO, "nothing is known yet");
        throughput.measure(Duration::from_millis(4), 0);
        assert_eq!(throughput.wait(1_000), Duration::ZERO, "nothing was answered");
        throughput.measure(Duration::from_millis(1), 100);
        assert_eq!(throughput.wait(1_000), Duration::from_millis(10));
        for _ in 0..100 {
            throughput.measure(Duration::from_millis(4), 100);
        }
        assert_eq!(throughput.wait(1_000).as_millis(), 40);
    }

    #[test]
    fn the_fullest_tier_that_fits_is_chosen() {
        let micros = Duration::from_micros;
        let mut pace = Pace::default();
        assert_eq!(pace.tier(Duration::ZERO, 64), Some(Tier::Full), "nothing is known yet");
        for _ in 0..500 {
            pace.measure(Tier::Full, micros(20));
        }
        assert_eq!(pace.tier(micros(10), 1), Some(Tier::RulesOnly), "rules were never measured");
        for _ in 0..500 {
            pace.measure(Tier::RulesOnly, micros(8));
            pace.measure(Tier::StandIn, micros(2));
        }
        // (microseconds left, answers that leave together, the tier)
        let cases = [
            (1_000, 1, Some(Tier::Full)),
            (21, 1, Some(Tier::Full)),
            (19, 1, Some(Tier::RulesOnly)),
            (7, 1, Some(Tier::StandIn)),
            (1, 1, None),
            (1_300, 64, Some(Tier::Full)),
            (1_000, 64, Some(Tier::RulesOnly)),
            (200, 64, Some(Tier::StandIn)),
            (100, 64, None),
        ];
        for (left, answers, expected) in cases {
            assert_eq!(pace.tier(micros(left), answers), expected, "{left} µs for {answers}");
            assert_eq!(pace.fits(micros(left), answers), expected.is_some(), "{left} µs for {answers}");
        }
    }

    /// How many of some requests with so much time left get the full tier, which takes as long as that.
    fn full_of(pace: &mut Pace, requests: u32, left: Duration, takes: Duration) -> usize {
        let full = (0..requests).filter(|_| {
            let is_full = pace.tier(left, 1) == Some(Tier::Full);
            if is_full {
                pace.measure(Tier::Full, takes);
            }
            is_full
        });
        full.count()
    }

    #[test]
    fn a_cold_start_and_a_stall_are_forgotten() {
        let (micros, millis) = (Duration::from_micros, Duration::from_millis);
        let mut pace = Pace::default();
        for tier in [Tier::RulesOnly, Tier::StandIn] {
            pace.measure(tier, micros(8));
        }
        pace.measure(Tier::Full, millis(5));
        assert_eq!(full_of(&mut pace, 1_000, millis(2), micros(20)), 1_000 - 127);
        pace.measure(Tier::Full, millis(250));
        assert_eq!(full_of(&mut pace, 1_000, millis(10), micros(20)), 1_000 - 127);
        // What takes too long is tried more and more rarely.
        let mut pace = Pace::default();
        for tier in [Tier::Full, Tier::RulesOnly] {
            pace.measure(tier, millis(3));
        }
        assert_eq!(full_of(&mut pace, 10_000, millis(2), millis(3)), 6);
    }

    #[test]
    fn what_varies_is_given_more_time() {
        let mut pace = Pace::default();
        for step in 0..1_000 {
            pace.measure(Tier::Full, Duration::from_micros(if step % 2 == 0 { 10 } else { 30 }));
        }
        assert_ne!(pace.tier(Duration::from_micros(40), 1), Some(Tier::Full));
        assert_eq!(pace.tier(Duration::from_micros(100), 1), Some(Tier::Full));
    }
}
