//! What each leaf says of each feature, in rows of whole numbers that are added up. It walks no tree.

use super::{FEATURES_MAX, plain::TreePlain};

/// How many trees are walked at once: enough to hide the latency of a step, few enough to stay in registers.
pub(super) const IN_FLIGHT: usize = 8;

/// Features in one step of adding: what two registers hold.
pub(super) const LANE: usize = 8;

/// Lanes of the widest row: with more features, walking back up a tree is as fast.
const LANES_MAX: usize = 8;

/// Leaves times features, at most: beyond it the rows would push everything else out of the cache.
const NUMBERS_MAX: usize = 4 << 20;

/// Each feature's sum.
pub(super) type Sums = [Lane; LANES_MAX];

/// Numbers of adjacent features, aligned so that they are added straight from memory.
#[derive(Clone, Copy, Default)]
#[repr(align(32))]
pub(super) struct Lane([i32; LANE]);

/// A row for each leaf: its answer less the mean of its tree, as each feature's share along the path from the root.
pub(super) struct Paths {
    lanes: usize,
    rows: Vec<Lane>,
}

impl Paths {
    /// Room for the leaves of trees; `None` where it would be too much, or where a sum could leave 32 bits.
    pub(super) fn new(trees: &[TreePlain], features: usize) -> Option<Self> {
        let lanes = features.div_ceil(LANE);
        let leaves = trees.iter().flat_map(|tree| &tree.nodes).filter(|node| node.right == 0).count();
        let fits = (1..=LANES_MAX).contains(&lanes) && leaves.saturating_mul(lanes * LANE) <= NUMBERS_MAX;
        // Row 0 says nothing: empty trees end there.
        let is_exact = || largest_sums(trees).into_iter().all(|sum| i32::try_from(sum).is_ok());
        (fits && is_exact()).then(|| Self { lanes, rows: vec![Lane::default(); lanes] })
    }

    /// Takes in a leaf: features and what each adds on the way down; the leaf's place.
    pub(super) fn push(&mut self, way: &[(u8, i64)]) -> u32 {
        let place = self.rows.len() / self.lanes;
        let start = self.rows.len();
        self.rows.resize(start + self.lanes, Lane::default());
        let numbers = self.rows[start..].iter_mut().flat_map(|lane| &mut lane.0);
        for (number, share) in numbers.zip(shares(way)) {
            *number = share as i32;
        }
        place as u32
    }

    /// Adds the rows of leaves to the sums.
    pub(super) fn add(&self, places: &[[u32; IN_FLIGHT]], sums: &mut Sums) {
        match self.lanes {
            1 => self.add_lanes::<1>(places, sums),
            2 => self.add_lanes::<2>(places, sums),
            3 => self.add_lanes::<3>(places, sums),
            4 => self.add_lanes::<4>(places, sums),
            5 => self.add_lanes::<5>(places, sums),
            6 => self.add_lanes::<6>(places, sums),
            7 => self.add_lanes::<7>(places, sums),
            _ => self.add_lanes::<LANES_MAX>(places, sums),
        }
    }

    /// With the number of lanes known, the sums stay in registers.
    fn add_lanes<const LANES: usize>(&self, places: &[[u32; IN_FLIGHT]], sums: &mut Sums) {
        let (rows, _) = self.rows.as_chunks::<LANES>();
        let mut held = [Lane::default(); LANES];
        for place in places.as_flattened() {
            let Some(row) = rows.get(*place as usize) else { continue };
            held = std::array::from_fn(|lane| held[lane].plus(row[lane]));
        }
        for (sum, part) in sums.iter_mut().zip(held) {
            *sum = sum.plus(part);
        }
    }
}

impl Lane {
    /// Its numbers.
    pub(super) fn numbers(&self) -> &[i32; LANE] {
        &self.0
    }

    #[inline]
    fn plus(self, other: Self) -> Self {
        Self(std::array::from_fn(|place| self.0[place] + other.0[place]))
    }
}

/// By feature, no sum over any of the trees is further from zero: the largest share of each tree, added up.
fn largest_sums(trees: &[TreePlain]) -> [i64; FEATURES_MAX + 1] {
    let mut sums = [0_i64; FEATURES_MAX + 1];
    for tree in trees {
        let mut largest = [0_i64; FEATURES_MAX + 1];
        tree.each_leaf(|_, way| {
            for (largest, share) in largest.iter_mut().zip(shares(way)) {
                *largest = share.abs().max(*largest);
            }
        });
        for (sum, largest) in sums.iter_mut().zip(largest) {
            *sum += largest;
        }
    }
    sums
}

/// What a way to a leaf adds, by feature.
fn shares(way: &[(u8, i64)]) -> [i64; FEATURES_MAX + 1] {
    let mut shares = [0; FEATURES_MAX + 1];
    for (feature, step) in way {
        shares[usize::from(*feature)] += step;
    }
    shares
}
