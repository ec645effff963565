//! Chance from a seed: the same draws on every platform. It uses integers, exact floating-point operations and `libm`
//! alone.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// What a run of draws is for; draws for different purposes never depend on each other.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    CardDay = 1,
    Purchase = 2,
    Incident = 3,
    Schedule = 4,
    Visit = 5,
}

/// A run of draws for one purpose and one subject, such as one card on one day.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    /// The run of a seed, a purpose and a subject.
    pub(super) fn new(seed: u64, purpose: Purpose, subject: u64, part: u64) -> Self {
        let mut key = [0; 32];
        for (place, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, subject, part]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A whole number from 0 to below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        scale(self.bits(), bound)
    }

    /// A whole number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(low.abs_diff(high) + 1) as i64
    }

    /// True so many times in a thousand.
    pub(super) fn per_mille(&mut self, times: u64) -> bool {
        self.below(1_000) < times
    }

    /// True so many times in a million.
    pub(super) fn per_million(&mut self, times: u64) -> bool {
        self.below(1_000_000) < times
    }

    /// A number above 0 and at most 1.
    pub(super) fn unit(&mut self) -> f64 {
        unit(self.bits())
    }

    /// A number of the standard normal distribution.
    pub(super) fn normal(&mut self) -> f64 {
        normal(self.bits(), self.bits())
    }

    /// A number of a log-normal distribution.
    pub(super) fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * libm::exp(sigma * self.normal())
    }

    /// How often something happens that happens `mean` times on average; at most `most`.
    pub(super) fn poisson(&mut self, mean: f64, most: u32) -> u32 {
        let floor = libm::exp(-mean);
        let mut product = self.unit();
        let mut count = 0;
        while product > floor && count < most {
            product *= self.unit();
            count += 1;
        }
        count
    }

    /// A place in a list of weights, each as often as its weight says.
    pub(super) fn weighted<W: Copy + Into<u64>>(&mut self, weights: &[W]) -> usize {
        weighted(self.bits(), weights)
    }

    /// One of a list that is not empty.
    pub(super) fn pick<'i, T>(&mut self, items: &'i [T]) -> &'i T {
        &items[self.below(items.len() as u64) as usize]
    }
}

/// A fixed fact about a subject: 64 bits that look like chance.
pub(super) fn fact(seed: u64, subject: u64, aspect: u64) -> u64 {
    mix64(mix64(seed ^ aspect.wrapping_mul(0x9e37_79b9_7f4a_7c15)) ^ subject)
}

/// Scales 64 bits to a whole number below `bound`.
pub(super) fn scale(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

/// Scales 64 bits to a number above 0 and at most 1.
pub(super) fn unit(bits: u64) -> f64 {
    // 53 bits fit a double exactly, and so does their quotient by a power of two.
    ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

/// A number of the standard normal distribution from two times 64 bits.
pub(super) fn normal(bits: u64, more_bits: u64) -> f64 {
    let radius = (-2.0 * libm::log(unit(bits))).sqrt();
    radius * libm::cos(std::f64::consts::TAU * unit(more_bits))
}

/// A place in a list of weights from 64 bits.
pub(super) fn weighted<W: Copy + Into<u64>>(bits: u64, weights: &[W]) -> usize {
    let total: u64 = weights.iter().map(|&weight| weight.into()).sum();
    let mut rest = scale(bits, total);
    for (place, &weight) in weights.iter().enumerate() {
        let weight = weight.into();
        if rest < weight {
            return place;
        }
        rest -= weight;
    }
    0
}

/// A rank from 0 to below `count` from 64 bits: rank `r` about as often as `1 / (r + 1)`, as with Zipf.
pub(super) fn zipf(bits: u64, count: u64) -> u64 {
    let rank = libm::exp(unit(bits) * libm::log((count + 1) as f64)) - 1.0;
    (rank as u64).min(count.saturating_sub(1))
}

/// Mixes 64 bits; different numbers stay different.
pub(super) fn mix64(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Mixes 32 bits; different numbers stay different.
pub(super) fn mix32(number: u32) -> u32 {
    let mut mixed = number;
    mixed = (mixed ^ mixed >> 16).wrapping_mul(0x7feb_352d);
    mixed = (mixed ^ mixed >> 15).wrapping_mul(0x846c_a68b);
    mixed ^ mixed >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_stated_moments() {
        let mut draw = Draw::new(1, Purpose::CardDay, 2, 3);
        let rounds = 200_000;
        let mean = |sum: f64| sum / f64::from(rounds);
        let normals: Vec<f64> = (0..rounds).map(|_| draw.normal()).collect();
        let squares: f64 = normals.iter().map(|number| number * number).sum();
        assert!(mean(normals.iter().sum()).abs() < 0.01);
        assert!((mean(squares) - 1.0).abs() < 0.02);
        let counts: f64 = (0..rounds).map(|_| f64::from(draw.poisson(1.3, 40))).sum();
        assert!((mean(counts) - 1.3).abs() < 0.02);
        let firsts = (0..rounds).filter(|_| zipf(draw.bits(), 1_000) == 0).count();
        assert!((mean(firsts as f64) - 0.1).abs() < 0.01, "the first of a thousand has a tenth: {firsts}");
        let seconds = (0..rounds).filter(|_| draw.weighted(&[1_u32, 2, 1]) == 1).count();
        assert!((mean(seconds as f64) - 0.5).abs() < 0.01);
    }

    #[test]
    fn draws_stay_in_their_bounds() {
        for bits in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(unit(bits) > 0.0 && unit(bits) <= 1.0);
            assert!(scale(bits, 7) < 7);
            for count in [1, 2, 1_000] {
                assert!(zipf(bits, count) < count, "{bits} {count}");
            }
        }
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let mut draw = Draw::new(7, Purpose::Incident, 8, 9);
        let drawn = [draw.bits(), draw.below(1_000), draw.between(-5, 5) as u64];
        let mut again = Draw::new(7, Purpose::Incident, 8, 9);
        assert_eq!(drawn, [again.bits(), again.below(1_000), again.between(-5, 5) as u64]);
    }
}
