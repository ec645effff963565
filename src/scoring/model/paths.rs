//! What each leaf says of each feature, in rows of whole numbers that are added up. It walks no tree.

use super::plain::{DEPTH_MAX, TreePlain};

/// How many trees are walked at once: enough to hide the latency of a step, few enough to stay in registers.
pub(super) const IN_FLIGHT: usize = 8;

/// Features in one step of adding: what two registers hold.
const LANE: usize = 8;

/// Lanes of the widest row: with more features, walking back up a tree is as fast.
const LANES_MAX: usize = 8;

/// Leaves times features, at most: beyond it the rows would push everything else out of the cache.
const NUMBERS_MAX: usize = 4 << 20;

/// Each feature's sum.
pub(super) type Sums = [[i32; LANE]; LANES_MAX];

/// A row for each leaf: its answer less the mean of its tree, as each feature's share along the path from the root.
pub(super) struct Paths {
    lanes: usize,
    rows: Vec<[i32; LANE]>,
}

impl Paths {
    /// Room for the leaves of trees; `None` where it would be too much, or where a sum could leave 32 bits.
    pub(super) fn new(trees: &[TreePlain], features: usize) -> Option<Self> {
        let lanes = features.div_ceil(LANE);
        let leaves = trees.iter().flat_map(|tree| &tree.nodes).filter(|node| node.right == 0).count();
        // No share is larger than what lies between the least and the largest mean of a tree, times its depth.
        let most = |tree: &TreePlain| {
            let values = || tree.nodes.iter().map(|node| i64::from(node.value));
            let spread = values().max().unwrap_or_default() - values().min().unwrap_or_default();
            spread * DEPTH_MAX as i64
        };
        let most = trees.iter().map(most).fold(0, i64::saturating_add);
        let fits = (1..=LANES_MAX).contains(&lanes)
            && leaves.saturating_mul(lanes * LANE) <= NUMBERS_MAX
            && most <= i64::from(i32::MAX);
        // Row 0 says nothing: empty trees end there.
        fits.then(|| Self { lanes, rows: vec![[0; LANE]; lanes] })
    }

    /// Takes in a leaf: features and what each adds on the way down; the leaf's place.
    pub(super) fn push(&mut self, steps: impl Iterator<Item = (u8, i32)>) -> u32 {
        let place = self.rows.len() / self.lanes;
        let start = self.rows.len();
        self.rows.resize(start + self.lanes, [0; LANE]);
        for (feature, step) in steps {
            self.rows[start..].as_flattened_mut()[usize::from(feature)] += step;
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
        let mut held = [[0_i32; LANE]; LANES];
        for place in places.as_flattened() {
            let Some(row) = rows.get(*place as usize) else { continue };
            for (sum, part) in held.as_flattened_mut().iter_mut().zip(row.as_flattened()) {
                *sum += part;
            }
        }
        for (sum, part) in sums.as_flattened_mut().iter_mut().zip(held.as_flattened()) {
            *sum += part;
        }
    }
}
