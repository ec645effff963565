//! A value's place among a feature's thresholds, in bytes. It knows nothing of trees.

/// Thresholds that one byte tells apart: ranks 0 to 255 among 255 thresholds.
pub(super) const PLACES: usize = 255;

/// Thresholds that are compared at once.
const BLOCK: usize = 16;

/// A row's ranks, by scale.
pub(super) type Scales<const S: usize> = [u8; S];

/// The thresholds of one feature, in blocks over blocks: each step compares a value with a whole block, which takes no
/// branch and as many looks at memory as there are levels.
pub(super) struct Ladder {
    /// The lowest level holds every threshold, the one above the last of each block, and so on; the top is one block.
    levels: Vec<Vec<[f64; BLOCK]>>,
    /// All of them, for compiling.
    thresholds: Vec<f64>,
    /// What a missing value counts as.
    fill: f64,
    /// The first of the feature's scales.
    first: usize,
    scales: usize,
}

impl Ladder {
    /// Of sorted, finite thresholds without repeats.
    pub(super) fn new(thresholds: &[f64], fill: f64, first: usize) -> Self {
        let mut levels = Vec::new();
        let mut level = thresholds.to_vec();
        while !level.is_empty() {
            // What is past the end is above every value.
            let blocks = level.chunks(BLOCK).map(|part| {
                let mut block = [f64::INFINITY; BLOCK];
                block.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
                block
            });
            let blocks: Vec<[f64; BLOCK]> = blocks.collect();
            level = if blocks.len() > 1 { blocks.iter().map(|block| block[BLOCK - 1]).collect() } else { Vec::new() };
            levels.push(blocks);
        }
        levels.reverse();
        let scales = thresholds.len().div_ceil(PLACES);
        Self { levels, thresholds: thresholds.to_vec(), fill, first, scales }
    }

    /// How many scales its ranks take.
    pub(super) fn scales(&self) -> usize {
        self.scales
    }

    /// How many thresholds there are.
    pub(super) fn len(&self) -> usize {
        self.thresholds.len()
    }

    /// The place of a threshold.
    pub(super) fn position(&self, threshold: f64) -> usize {
        self.thresholds.partition_point(|known| *known < threshold)
    }

    /// The scale and the place of a threshold.
    pub(super) fn place(&self, threshold: f64) -> (usize, u8) {
        let place = self.position(threshold);
        (self.first + place / PLACES, (place % PLACES) as u8)
    }

    /// A value's rank: how many thresholds are at or below it.
    #[inline]
    pub(super) fn rank(&self, value: Option<f64>) -> usize {
        let value = value.filter(|value| value.is_finite()).unwrap_or(self.fill);
        let mut at = 0;
        for level in &self.levels {
            let below =
                |block: &[f64; BLOCK]| block.iter().map(|threshold| u64::from(*threshold <= value)).sum::<u64>();
            at = at * BLOCK + level.get(at).map_or(0, below) as usize;
        }
        at
    }

    /// Writes a value's ranks: on each scale, how many of its thresholds are at or below the value.
    #[inline]
    pub(super) fn write_ranks<const S: usize>(&self, value: Option<f64>, ranks: &mut Scales<S>) {
        let at = self.rank(value);
        for (scale, rank) in ranks.iter_mut().skip(self.first).take(self.scales).enumerate() {
            *rank = at.saturating_sub(scale * PLACES).min(PLACES) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_number_of_thresholds_at_or_below() {
        for count in [0, 1, 2, 15, 16, 17, 254, 255, 256, 257, 511, 1_000, 4_096, 4_097, 5_000] {
            let thresholds: Vec<f64> = (0..count).map(|place| f64::from(place) * 0.5 - 100.0).collect();
            let ladder = Ladder::new(&thresholds, -1e9, 3);
            assert_eq!(ladder.scales(), thresholds.len().div_ceil(PLACES));
            let mut values = vec![f64::MIN, -1e9, 0.1, f64::MAX];
            values.extend(thresholds.iter().flat_map(|at| [at.next_down(), *at, at.next_up()]));
            for value in values {
                let mut ranks = [0; 64];
                ladder.write_ranks(Some(value), &mut ranks);
                let expected = thresholds.partition_point(|threshold| *threshold <= value);
                let told: usize = ranks.iter().map(|rank| usize::from(*rank)).sum();
                assert_eq!((told, ladder.rank(Some(value))), (expected, expected), "{value} among {count}");
                for threshold in &thresholds {
                    let (scale, place) = ladder.place(*threshold);
                    assert_eq!(ranks[scale] > place, *threshold <= value, "{value} at {threshold} among {count}");
                }
            }
            let (mut missing, mut filled) = ([0; 64], [0; 64]);
            ladder.write_ranks(None, &mut missing);
            ladder.write_ranks(Some(-1e9), &mut filled);
            assert_eq!(missing, filled);
        }
    }
}
