//! Random choices from a seed: the same seed gives the same ones.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The stream of a numbered part of the work, independent of who does the other parts and when.
pub(super) fn stream(seed: u64, part: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(part);
    random
}

/// A whole number below `limit`, every one as likely as the others up to a part in 2^64.
pub(super) fn below(limit: usize, random: &mut impl Rng) -> usize {
    ((u128::from(random.next_u64()) * limit as u128) >> 64) as usize
}

/// A number in `[0, 1)`.
pub(super) fn unit(random: &mut impl Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// `count` of the items, each at most once, in the order of the items.
pub(super) fn choose<T: Copy>(items: &[T], count: usize, random: &mut impl Rng) -> Vec<T> {
    let mut wanted = count.min(items.len());
    let mut chosen = Vec::with_capacity(wanted);
    for (index, item) in items.iter().enumerate() {
        if wanted == items.len() - index || below(items.len() - index, random) < wanted {
            chosen.push(*item);
            wanted -= 1;
        }
        if wanted == 0 {
            break;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_fair_and_repeat() {
        let items = [0, 1, 2, 3, 4];
        let mut counts = [0; 5];
        for part in 0..2_000 {
            let chosen = choose(&items, 2, &mut stream(1, part));
            assert_eq!(chosen.len(), 2);
            assert_eq!(chosen, choose(&items, 2, &mut stream(1, part)));
            for item in chosen {
                counts[item] += 1;
            }
        }
        assert!(counts.iter().all(|count| (700..900).contains(count)), "{counts:?}");
        assert_eq!(choose(&items, 9, &mut stream(1, 0)), items);
    }
}
