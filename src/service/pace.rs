//! How long each tier takes, as measured, and which one the time that is left has room for. It reads no clock.

use std::time::Duration;

use crate::scoring::verdict::Tier;

/// How much a new measure counts against those before.
const WEIGHT: f64 = 0.05;
/// How many deviations above the mean are reckoned with.
const DEVIATIONS: f64 = 4.0;

/// What was measured of each tier.
#[derive(Default)]
pub struct Pace {
    tiers: [Option<Measured>; Tier::ALL.len()],
}

#[derive(Clone, Copy)]
struct Measured {
    mean_s: f64,
    deviation_s: f64,
}

impl Pace {
    /// Takes in how long an answer of a tier took.
    pub fn measure(&mut self, tier: Tier, took: Duration) {
        let took_s = took.as_secs_f64();
        let measured = &mut self.tiers[tier as usize];
        let Some(Measured { mean_s, deviation_s }) = measured else {
            *measured = Some(Measured { mean_s: took_s, deviation_s: took_s / 2.0 });
            return;
        };
        *deviation_s += WEIGHT * ((took_s - *mean_s).abs() - *deviation_s);
        *mean_s += WEIGHT * (took_s - *mean_s);
    }

    /// The fullest tier for which there is time, when an answer leaves together with others; `None` for none. What was
    /// never measured is tried.
    pub fn tier(&self, left: Duration, answers: usize) -> Option<Tier> {
        let left_s = left.as_secs_f64();
        Tier::ALL.into_iter().find(|tier| {
            self.tiers[*tier as usize].is_none_or(|Measured { mean_s, deviation_s }| {
                // The others may take what they usually do; this one what it does at worst.
                mean_s * answers as f64 + DEVIATIONS * deviation_s <= left_s
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        }
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
