//! A forest bagged over `linfa-trees` on balanced samples, its leaves refitted on all rows. The same data and seed
//! give the same trees.
//!
//! linfa grows the trees; three of its ways are worked around. It walks a hash map where two classes weigh the same,
//! so every row gets a weight that no sum of others equals. It merges leaves that vote for the same class, which
//! would lose their probabilities, so each tree balances the classes differently and they merge in different places.
//! Its ensembles vote and drop weights, so the bagging is done here. What a leaf answers is fitted on all rows: the
//! log-odds of the leaf against those of the whole, drawn to zero where there are few rows.

use std::fmt::Debug;

use linfa::{DatasetBase, Label, dataset::AsSingleTargets, prelude::ParamGuard, traits::Fit};
use linfa_trees::{DecisionTree, SplitQuality, TreeNode};
use ndarray::{Array1, Array2, ArrayBase, Data, Ix2};
use rand_chacha::ChaCha8Rng;

use super::{
    additive::{Additive, Node, Tree},
    bins::below_all,
    parallel::in_parallel,
    sample::{choose, stream, unit},
};
use crate::scoring::model::{DEPTH_MAX, FEATURES_MAX};

/// The settings of the forest.
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    /// How many trees.
    pub trees: usize,
    /// Splits from root to leaf, at most.
    pub depth: usize,
    /// The share of features that a tree may use.
    pub features: f64,
    /// The share of frauds that a tree is grown on.
    pub frauds: f64,
    /// Frauds that a tree is grown on, at most: linfa's trees read every row at every node.
    pub frauds_max: usize,
    /// Legitimate rows for each fraud.
    pub legits: f64,
    /// Weight of a leaf's rows while growing, at least.
    pub leaf_weight: f64,
    /// Rows at the base rate that are added to every leaf.
    pub prior: f64,
    /// What everything random is drawn from.
    pub seed: u64,
}

impl Default for Forest {
    fn default() -> Self {
        Self {
            trees: 100,
            depth: 8,
            features: 0.6,
            frauds: 0.7,
            frauds_max: 2_000,
            legits: 4.0,
            leaf_weight: 2.0,
            prior: 10.0,
            seed: 1,
        }
    }
}

impl Forest {
    fn check(&self, features: usize, frauds: usize, rows: usize) -> Result<(), linfa::Error> {
        let refuse = |what: &str| Err(linfa::Error::Parameters(what.to_owned()));
        if self.trees == 0 || self.depth == 0 || self.depth > DEPTH_MAX {
            return refuse("trees and depth are at least 1, and depth is at most 8");
        }
        let share = |share: f64| share > 0.0 && share <= 1.0;
        if !share(self.features) || !share(self.frauds) || self.frauds_max == 0 {
            return refuse("shares of features and frauds are above 0 and at most 1");
        }
        if self.legits <= 0.0 || self.leaf_weight <= 0.0 || self.prior <= 0.0 {
            return refuse("legits, leaf_weight and prior are positive");
        }
        if features == 0 || features > FEATURES_MAX || frauds == 0 || frauds == rows {
            return refuse("1 to 255 features, and rows of both classes");
        }
        Ok(())
    }

    /// Grows one tree on a sample of its own.
    fn tree(&self, part: usize, rows: &Array2<f64>, frauds: &[u32], legits: &[u32]) -> Result<Grown, linfa::Error> {
        let mut random = stream(self.seed, part as u64);
        let all: Vec<usize> = (0..rows.ncols()).collect();
        let features = choose(&all, ((all.len() as f64 * self.features).ceil() as usize).max(1), &mut random);
        let of_frauds = ((frauds.len() as f64 * self.frauds).ceil() as usize).min(self.frauds_max);
        let of_legits = (of_frauds as f64 * self.legits).ceil() as usize;
        let mut sample = choose(frauds, of_frauds, &mut random);
        let fraud_count = sample.len();
        sample.extend(choose(legits, of_legits, &mut random));
        // From a third to three times as much weight on frauds as on the others.
        let balance = libm::pow(3.0, 2.0 * unit(&mut random) - 1.0);
        let fraud_weight = balance * (sample.len() - fraud_count) as f64 / fraud_count as f64;
        let weight = |at: usize| jitter(if at < fraud_count { fraud_weight } else { 1.0 }, &mut random);
        let weights: Array1<f32> = (0..sample.len()).map(weight).collect();
        let records = Array2::from_shape_fn((sample.len(), features.len()), |(row, at)| {
            rows[(sample[row] as usize, features[at])]
        });
        let targets = Array1::from_shape_fn(sample.len(), |row| row < fraud_count);
        let dataset = DatasetBase::new(records, targets).with_weights(weights);
        let params = DecisionTree::<f64, bool>::params()
            .split_quality(SplitQuality::Entropy)
            .max_depth(Some(self.depth))
            .min_weight_leaf(self.leaf_weight as f32)
            .min_impurity_decrease(1e-6);
        let tree = params.check()?.fit(&dataset)?;
        Ok(Grown { tree, features })
    }
}

/// What linfa grew, and which features it was shown.
struct Grown {
    tree: DecisionTree<f64, bool>,
    features: Vec<usize>,
}

/// A weight off by up to a thousandth: no two sums of such weights are equal, so no tie is left to a hash map's order.
fn jitter(weight: f64, random: &mut ChaCha8Rng) -> f32 {
    (weight * (1.0 + 1e-3 * unit(random))) as f32
}

impl<D: Data<Elem = f64>, T: AsSingleTargets<Elem = bool>> Fit<ArrayBase<D, Ix2>, T, linfa::Error> for Forest {
    type Object = Additive;

    /// Learns from rows of features, where no number is a missing value, and whether each is fraud.
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<Additive, linfa::Error> {
        let targets: Vec<bool> = dataset.as_single_targets().iter().copied().collect();
        let of_class = |fraud: bool| (0..targets.len() as u32).filter(|row| targets[*row as usize] == fraud).collect();
        let (frauds, legits): (Vec<u32>, Vec<u32>) = (of_class(true), of_class(false));
        self.check(dataset.records.ncols(), frauds.len(), targets.len())?;
        let lowest = |column: ndarray::ArrayView1<'_, f64>| {
            let least = column.iter().copied().filter(|value| value.is_finite()).fold(f64::INFINITY, f64::min);
            if least.is_finite() { below_all(least) } else { 0.0 }
        };
        let fills: Vec<f64> = dataset.records.columns().into_iter().map(lowest).collect();
        let mut rows = dataset.records.to_owned();
        for ((_, feature), value) in rows.indexed_iter_mut() {
            if !value.is_finite() {
                *value = fills[feature];
            }
        }
        let base = libm::log(frauds.len() as f64 / legits.len() as f64);
        let grown = in_parallel(self.trees, |part| {
            let grown = self.tree(part, &rows, &frauds, &legits)?;
            let mut tree = Tree { nodes: flatten(&grown.tree, &grown.features) };
            refit(&mut tree, &rows, &targets, &fills, base, self.prior);
            Ok(tree)
        });
        let mut trees = grown.into_iter().collect::<Result<Vec<Tree>, linfa::Error>>()?;
        for node in trees.iter_mut().flat_map(|tree| &mut tree.nodes) {
            node.value /= self.trees as f64;
        }
        Ok(Additive { base, fills, trees })
    }
}

/// linfa's tree in preorder.
pub(super) fn flatten<L: Label + Debug>(tree: &DecisionTree<f64, L>, features: &[usize]) -> Vec<Node> {
    fn push<L: Label + Debug>(node: &TreeNode<f64, L>, features: &[usize], nodes: &mut Vec<Node>) {
        let at = nodes.len();
        nodes.push(Node { feature: 0, threshold: 0.0, right: 0, value: 0.0, weight: 0.0 });
        let children = node.children();
        let [Some(left), Some(right)] = children.as_slice() else { return };
        if node.is_leaf() {
            return;
        }
        let (feature, threshold, _) = node.split();
        push(left, features, nodes);
        nodes[at] = Node { feature: features[feature], threshold, right: nodes.len(), ..nodes[at] };
        push(right, features, nodes);
    }
    let mut nodes = Vec::new();
    push(tree.root_node(), features, &mut nodes);
    nodes
}

/// What each leaf answers: its log-odds over all rows against those of the whole.
fn refit(tree: &mut Tree, rows: &Array2<f64>, targets: &[bool], fills: &[f64], base: f64, prior: f64) {
    let mut counts = vec![[0.0, 0.0]; tree.nodes.len()];
    let mut row_values = vec![0.0; rows.ncols()];
    for (row, fraud) in rows.rows().into_iter().zip(targets) {
        row_values.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
        counts[tree.leaf(&row_values, fills)][usize::from(*fraud)] += 1.0;
    }
    let rate = 1.0 / (1.0 + libm::exp(-base));
    for (node, [legits, frauds]) in tree.nodes.iter_mut().zip(counts).filter(|(node, _)| node.right == 0) {
        node.weight = legits + frauds;
        node.value = libm::log((frauds + prior * rate) / (legits + prior * (1.0 - rate))) - base;
    }
    tree.settle();
}
