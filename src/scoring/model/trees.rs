//! A sum of decision trees as it is served: heap-ordered blocks of four-byte nodes over ranks. It grows no tree.
//!
//! A node asks `value < threshold`, as `linfa-trees` does when it predicts. All thresholds of a feature are sorted
//! once; a row's value becomes its rank, the number of thresholds at or below it, so that `value < threshold` is
//! `rank <= place of the threshold`, bit for bit. A node then is a feature and a place in 32 bits, every tree is padded
//! to a full one of depth 4, 6 or 8, and a walk is a fixed number of steps without a branch: many trees are in flight
//! at once. Leaves are whole units of log-odds, so that no order of adding changes a sum.

use super::FEATURES_MAX;

/// The deepest tree that is served: a step more would double a block.
pub const DEPTH_MAX: usize = 8;

/// A node of a tree in preorder: the left child follows its parent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TreeNode {
    /// Which feature is asked; of no meaning in a leaf.
    pub feature: u8,
    /// Values below go left, others right; of no meaning in a leaf.
    pub threshold: f64,
    /// Where the right child is; 0 in a leaf.
    pub right: u32,
    /// The mean of the leaves below over the training rows, in units of log-odds; in a leaf, what it answers.
    pub value: i32,
}

/// A tree as its file holds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TreePlain {
    /// In preorder, the root first.
    pub nodes: Vec<TreeNode>,
}

/// A sum of trees as its file holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct EnsemblePlain {
    /// Log-odds added to every sum, in units.
    pub base: i64,
    /// The trees.
    pub trees: Vec<TreePlain>,
}

impl TreePlain {
    /// The leaf that a row of values without gaps ends in, walked as it is written: the twin of the compiled form.
    pub fn leaf(&self, row: &[f64]) -> usize {
        let mut at = 0;
        while let Some(node) = self.nodes.get(at).filter(|node| node.right != 0) {
            let left = row.get(usize::from(node.feature)).is_some_and(|value| *value < node.threshold);
            at = if left { at + 1 } else { node.right as usize };
        }
        at
    }

    /// The depth of the deepest leaf; `None` unless the nodes are one tree in preorder, no deeper than `DEPTH_MAX`.
    pub fn depth(&self) -> Option<usize> {
        let mut deepest = 0;
        // Subtrees still to come: where each must begin, and its depth.
        let mut open = vec![(0, 0)];
        for (at, node) in self.nodes.iter().enumerate() {
            let (expected, depth) = open.pop()?;
            if expected != at || depth > DEPTH_MAX {
                return None;
            }
            deepest = deepest.max(depth);
            if node.right != 0 {
                open.push((node.right as usize, depth + 1));
                open.push((at + 1, depth + 1));
            }
        }
        open.is_empty().then_some(deepest)
    }
}

/// A node: the feature in bits 16 to 23, the place of its threshold below.
type Packed = u32;

/// In padding: no rank is above this place, so a walk goes left.
const PLACE_PADDING: u16 = u16::MAX;

/// Thresholds of one feature: ranks must stay below `PLACE_PADDING`.
const THRESHOLDS_MAX: usize = PLACE_PADDING as usize - 1;

/// How many trees are walked at once: enough to hide the latency of a step, few enough to stay in registers.
const IN_FLIGHT: usize = 8;

/// Trees of one size: `N` leaves, nodes at 1 to N − 1 in heap order.
struct Forest<const N: usize> {
    nodes: Vec<[Packed; N]>,
    leaves: Vec<[i32; N]>,
    /// What going from a node's parent to the node adds, for the contributions: nodes below the root, then leaves.
    steps: Vec<[[i32; N]; 2]>,
}

/// A sum of trees ready to serve.
pub(super) struct Ensemble {
    base: i64,
    /// What a missing value counts as, by feature.
    fills: Vec<f64>,
    /// Sorted thresholds, by feature.
    thresholds: Vec<Vec<f64>>,
    shallow: Forest<16>,
    middle: Forest<64>,
    deep: Forest<256>,
}

type Ranks = [u16; FEATURES_MAX + 1];

impl Ensemble {
    /// Compiles trees whose nodes name only features below `fills.len()`, with finite thresholds; an error says how
    /// they contradict each other.
    pub(super) fn compile(plain: &EnsemblePlain, fills: &[f64]) -> Result<Self, String> {
        let mut thresholds = vec![Vec::new(); fills.len()];
        for node in plain.trees.iter().flat_map(|tree| &tree.nodes).filter(|node| node.right != 0) {
            let Some(of_feature) = thresholds.get_mut(usize::from(node.feature)) else {
                return Err("a tree asks for a feature that the header does not name".into());
            };
            // Zero has two signs that compare equal; one of them is enough.
            of_feature.push(node.threshold + 0.0);
        }
        for of_feature in &mut thresholds {
            of_feature.sort_by(f64::total_cmp);
            of_feature.dedup();
            if of_feature.len() > THRESHOLDS_MAX {
                return Err(format!(
                    "a feature has {} thresholds, at most {THRESHOLDS_MAX} are served",
                    of_feature.len()
                ));
            }
        }
        let mut ensemble = Self {
            base: plain.base,
            fills: fills.to_vec(),
            thresholds,
            shallow: Forest::default(),
            middle: Forest::default(),
            deep: Forest::default(),
        };
        for tree in &plain.trees {
            match tree.depth() {
                None => return Err("the nodes of a tree are not one tree".into()),
                Some(0..=4) => ensemble.shallow.push(tree, &ensemble.thresholds),
                Some(5..=6) => ensemble.middle.push(tree, &ensemble.thresholds),
                Some(_) => ensemble.deep.push(tree, &ensemble.thresholds),
            }
            ensemble.base += tree.nodes.first().map_or(0, |root| i64::from(root.value));
        }
        // The root's value is in the base; what is left of a leaf is what the steps down to it add.
        ensemble.shallow.complete();
        ensemble.middle.complete();
        ensemble.deep.complete();
        Ok(ensemble)
    }

    pub(super) fn base(&self) -> i64 {
        self.base
    }

    pub(super) fn sum(&self, features: &[Option<f64>]) -> i64 {
        let ranks = self.ranks(features);
        self.base + self.shallow.sum::<4>(&ranks) + self.middle.sum::<6>(&ranks) + self.deep.sum::<8>(&ranks)
    }

    pub(super) fn explain(&self, features: &[Option<f64>], contributions: &mut [i64; FEATURES_MAX + 1]) -> i64 {
        let ranks = self.ranks(features);
        self.shallow.explain::<4>(&ranks, contributions);
        self.middle.explain::<6>(&ranks, contributions);
        self.deep.explain::<8>(&ranks, contributions);
        self.base + contributions.iter().sum::<i64>()
    }

    fn ranks(&self, features: &[Option<f64>]) -> Ranks {
        let mut ranks = [0; FEATURES_MAX + 1];
        let values = features.iter().copied().chain(std::iter::repeat(None));
        for (((rank, thresholds), fill), value) in ranks.iter_mut().zip(&self.thresholds).zip(&self.fills).zip(values) {
            let value = value.filter(|value| value.is_finite()).unwrap_or(*fill);
            *rank = thresholds.partition_point(|threshold| *threshold <= value) as u16;
        }
        ranks
    }
}

impl<const N: usize> Default for Forest<N> {
    fn default() -> Self {
        Self { nodes: Vec::new(), leaves: Vec::new(), steps: Vec::new() }
    }
}

impl<const N: usize> Forest<N> {
    /// Lays a tree out, padded to full depth: below a leaf every step goes left and adds nothing.
    fn push(&mut self, tree: &TreePlain, thresholds: &[Vec<f64>]) {
        let mut nodes = [Packed::from(PLACE_PADDING); N];
        let mut leaves = [0; N];
        let mut steps = [[0; N]; 2];
        let root = tree.nodes.first().map_or(0, |root| root.value);
        // Where in the heap, where in the preorder, the value at the parent.
        let mut open = vec![(1, 0, root)];
        while let Some((heap, at, above)) = open.pop() {
            let Some(node) = tree.nodes.get(at) else { continue };
            let is_leaf = node.right == 0;
            if let Some(step) = steps.as_flattened_mut().get_mut(heap) {
                *step = node.value - above;
            }
            if heap >= N {
                leaves[heap - N] = node.value - root;
            } else if is_leaf {
                // Pads: the walk goes on to the left and finds the same leaf at the bottom.
                open.push((2 * heap, at, node.value));
            } else {
                let of_feature = thresholds.get(usize::from(node.feature)).map_or(&[][..], Vec::as_slice);
                let place = of_feature.partition_point(|threshold| *threshold < node.threshold) as u16;
                nodes[heap] = u32::from(node.feature) << 16 | u32::from(place);
                open.push((2 * heap, at + 1, node.value));
                open.push((2 * heap + 1, node.right as usize, node.value));
            }
        }
        self.nodes.push(nodes);
        self.leaves.push(leaves);
        self.steps.push(steps);
    }

    /// Adds empty trees until the number is a multiple of those walked at once.
    fn complete(&mut self) {
        while !self.nodes.len().is_multiple_of(IN_FLIGHT) {
            self.nodes.push([Packed::from(PLACE_PADDING); N]);
            self.leaves.push([0; N]);
            self.steps.push([[0; N]; 2]);
        }
    }

    /// Walks one group of trees to their leaves: heap places from N to 2N − 1.
    #[inline]
    fn walk<const DEPTH: usize>(group: &[[Packed; N]; IN_FLIGHT], ranks: &Ranks) -> [usize; IN_FLIGHT] {
        const { assert!(1 << DEPTH == N) };
        let mut at = [1_usize; IN_FLIGHT];
        for _ in 0..DEPTH {
            for (at, nodes) in at.iter_mut().zip(group) {
                // The mask changes nothing and spares the check of the bound.
                let node = nodes[*at & (N - 1)];
                let rank = ranks[usize::from((node >> 16) as u8)];
                *at = 2 * *at + usize::from(rank > node as u16);
            }
        }
        at
    }

    fn sum<const DEPTH: usize>(&self, ranks: &Ranks) -> i64 {
        let mut sum = 0;
        let (groups, _) = self.nodes.as_chunks::<IN_FLIGHT>();
        let (leaf_groups, _) = self.leaves.as_chunks::<IN_FLIGHT>();
        for (group, leaves) in groups.iter().zip(leaf_groups) {
            for (at, leaves) in Self::walk::<DEPTH>(group, ranks).into_iter().zip(leaves) {
                sum += i64::from(leaves[at & (N - 1)]);
            }
        }
        sum
    }

    fn explain<const DEPTH: usize>(&self, ranks: &Ranks, contributions: &mut [i64; FEATURES_MAX + 1]) {
        let (groups, _) = self.nodes.as_chunks::<IN_FLIGHT>();
        let (step_groups, _) = self.steps.as_chunks::<IN_FLIGHT>();
        for (group, steps) in groups.iter().zip(step_groups) {
            let leaves = Self::walk::<DEPTH>(group, ranks);
            for ((leaf, nodes), steps) in leaves.into_iter().zip(group).zip(steps) {
                for up in 0..DEPTH {
                    let child = leaf >> up;
                    let feature = usize::from((nodes[(child >> 1) & (N - 1)] >> 16) as u8);
                    contributions[feature] += i64::from(steps[(child / N) & 1][child & (N - 1)]);
                }
            }
        }
    }
}
