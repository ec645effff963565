//! Trees of few leaves, answered without walking them: by feature and rank, which leaves of each tree are still possible.
//! It knows nothing of contributions.
//!
//! What one feature's value leaves of the leaves of a tree is a set of bits; the leaf that a row ends in is what is in
//! the sets of all its features. The sets of many trees stand side by side, so that a row costs as many steps as there
//! are features, whatever the trees' depth. `QuickScorer` (Lucchese et al., SIGIR 2015) takes a set for each node that a
//! row fails; here those of a feature are joined beforehand, for every place that its value may have.

use super::{
    FEATURES_MAX,
    paths::{IN_FLIGHT, Paths},
    plain::TreePlain,
    ranks::Ladder,
};

/// Leaves of a tree, at most: a bit each.
pub(super) const LEAVES_MAX: usize = u16::BITS as usize;

/// Trees whose sets are joined in one step.
const TOGETHER: usize = 4 * IN_FLIGHT;

/// Bytes of sets, at most: beyond it they would push everything else out of the cache.
const BYTES_MAX: usize = 2 << 20;

/// A set for each of some trees, aligned so that they are joined straight from memory.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Sets([u16; TOGETHER]);

/// Trees of few leaves, ready to serve.
#[derive(Default)]
pub(super) struct LeafSets {
    /// The features that are asked, and where the sets of their lowest rank begin; those of the next ranks follow.
    asked: Vec<(usize, Ladder, usize)>,
    /// By feature, rank and group of trees.
    sets: Vec<Sets>,
    /// Groups of trees.
    groups: usize,
    /// By tree and leaf: what it answers, less the mean of its tree.
    values: Vec<[i32; LEAVES_MAX]>,
    /// By tree: the place of its first leaf among the paths; those of the others follow.
    places: Vec<u32>,
}

/// Where the sets of a row's values begin.
struct Standing {
    sets: [u32; FEATURES_MAX],
    len: usize,
}

/// A node, and as sets the leaves below its left child and those below its right one.
struct Split {
    feature: usize,
    threshold: f64,
    left: u16,
    right: u16,
}

impl LeafSets {
    /// Whether these trees can be told by sets: `thresholds` are theirs, by feature, without repeats.
    pub(super) fn fits(trees: usize, thresholds: &[Vec<f64>]) -> bool {
        let ranks: usize = thresholds.iter().filter(|of_feature| !of_feature.is_empty()).map(|all| all.len() + 1).sum();
        ranks.saturating_mul(trees.div_ceil(TOGETHER) * size_of::<Sets>()) <= BYTES_MAX
    }

    /// Trees that fit, with their thresholds sorted by feature and what stands for a missing value.
    pub(super) fn new(trees: &[&TreePlain], thresholds: &[Vec<f64>], fills: &[f64], paths: &mut Paths) -> Self {
        let groups = trees.len().div_ceil(TOGETHER);
        let mut compiled = Self { groups, ..Self::default() };
        let mut ranks = 0;
        for (feature, (of_feature, fill)) in thresholds.iter().zip(fills).enumerate() {
            if !of_feature.is_empty() {
                compiled.asked.push((feature, Ladder::new(of_feature, *fill, 0), ranks * groups));
                ranks += of_feature.len() + 1;
            }
        }
        compiled.sets = vec![Sets([u16::MAX; TOGETHER]); ranks * groups];
        for (number, tree) in trees.iter().enumerate() {
            let mut values = [0; LEAVES_MAX];
            let mut leaf = 0;
            let mut first = None;
            tree.each_leaf(|value, way| {
                values[leaf] = value - tree.mean();
                let place = paths.push(way);
                first.get_or_insert(place);
                leaf += 1;
            });
            let mut splits = Vec::new();
            leaves_below(tree, 0, &mut 0, &mut splits);
            for split in &splits {
                compiled.take(number, split);
            }
            compiled.values.push(values);
            compiled.places.push(first.unwrap_or_default());
        }
        compiled.values.resize(groups * TOGETHER, [0; LEAVES_MAX]);
        // Of what fills the last group up, the one leaf is the row that says nothing.
        compiled.places.resize(groups * TOGETHER, 0);
        compiled
    }

    /// Takes the leaves on the other side out of the sets of every rank.
    fn take(&mut self, tree: usize, split: &Split) {
        let Some((_, ladder, first)) = self.asked.iter().find(|(feature, ..)| *feature == split.feature) else {
            return;
        };
        let place = ladder.position(split.threshold);
        for rank in 0..=ladder.len() {
            let gone = if rank > place { split.left } else { split.right };
            self.sets[first + rank * self.groups + tree / TOGETHER].0[tree % TOGETHER] &= !gone;
        }
    }

    /// The sum of what the trees answer.
    pub(super) fn sum(&self, features: &[Option<f64>]) -> i64 {
        let standing = self.standing(features);
        let mut sum = 0;
        for (group, values) in self.values.as_chunks::<TOGETHER>().0.iter().enumerate() {
            for (set, values) in self.left(&standing, group).0.iter().zip(values) {
                sum += i64::from(values[leaf_of(*set)]);
            }
        }
        sum
    }

    /// Tells the places of the leaves that a row ends in, some trees at a time.
    pub(super) fn each_places(&self, features: &[Option<f64>], mut tell: impl FnMut(&[[u32; IN_FLIGHT]])) {
        let standing = self.standing(features);
        let mut found = [[0; IN_FLIGHT]; TOGETHER / IN_FLIGHT];
        for (group, places) in self.places.as_chunks::<TOGETHER>().0.iter().enumerate() {
            let left = self.left(&standing, group).0;
            for ((found, set), first) in found.as_flattened_mut().iter_mut().zip(left).zip(places) {
                *found = first + leaf_of(set) as u32;
            }
            tell(&found);
        }
    }

    fn standing(&self, features: &[Option<f64>]) -> Standing {
        let mut standing = Standing { sets: [0; FEATURES_MAX], len: self.asked.len() };
        for (begins, (feature, ladder, first)) in standing.sets.iter_mut().zip(&self.asked) {
            let rank = ladder.rank(features.get(*feature).copied().flatten());
            *begins = (first + rank * self.groups) as u32;
        }
        standing
    }

    /// What is left of the leaves of a group of trees: one of each.
    #[inline]
    fn left(&self, standing: &Standing, group: usize) -> Sets {
        let mut left = Sets([u16::MAX; TOGETHER]);
        for begins in standing.sets.iter().take(standing.len) {
            let Some(sets) = self.sets.get(*begins as usize + group) else { continue };
            left = Sets(std::array::from_fn(|tree| left.0[tree] & sets.0[tree]));
        }
        left
    }
}

/// The one leaf of a set. The mask changes nothing and spares the check of the bounds.
#[inline]
fn leaf_of(set: u16) -> usize {
    set.trailing_zeros() as usize & (LEAVES_MAX - 1)
}

/// The leaves at and below a node, which are numbered from `next` on from left to right; notes the splits among them.
fn leaves_below(tree: &TreePlain, at: usize, next: &mut u32, splits: &mut Vec<Split>) -> u16 {
    let Some(node) = tree.nodes.get(at) else { return 0 };
    if node.right == 0 {
        *next += 1;
        return 1 << (*next - 1);
    }
    let left = leaves_below(tree, at + 1, next, splits);
    let right = leaves_below(tree, node.right as usize, next, splits);
    splits.push(Split { feature: usize::from(node.feature), threshold: node.threshold, left, right });
    left | right
}
