//! Gradient boosting with logistic loss behind linfa's `Fit`: bags of boosters, averaged. The same data and seed give
//! the same trees, on any number of threads.

use linfa::{DatasetBase, dataset::AsSingleTargets, traits::Fit};
use ndarray::{ArrayBase, Data, Ix2};

use super::{
    additive::{Additive, Node, Tree},
    bins::{Cuts, balanced},
    grow::{Codes, Grown, Limits, Pull, grow},
    parallel::in_parallel,
    sample::{choose, stream, unit},
};
use crate::scoring::model::{DEPTH_MAX, FEATURES_MAX};

/// The settings of the booster.
#[derive(Clone, Debug, PartialEq)]
pub struct Boost {
    /// Boosters that are averaged, each on samples of its own.
    pub bags: usize,
    /// Trees of each.
    pub rounds: usize,
    /// How much of a tree's step is taken.
    pub rate: f64,
    /// Splits from root to leaf, at most.
    pub depth: usize,
    /// Leaves of a tree, at most.
    pub leaves: usize,
    /// Weight of a leaf's rows, at least.
    pub leaf_weight: f64,
    /// Pulls leaves to zero.
    pub l2: f64,
    /// The share of rows that a tree sees.
    pub row_share: f64,
    /// The share of features that a tree may use.
    pub tree_features: f64,
    /// Of those, the share that a node chooses from.
    pub node_features: f64,
    /// Bins of a feature, at most.
    pub bins: usize,
    /// What everything random is drawn from.
    pub seed: u64,
}

impl Default for Boost {
    fn default() -> Self {
        Self {
            bags: 2,
            rounds: 100,
            rate: 0.05,
            depth: 6,
            leaves: 16,
            leaf_weight: 20.0,
            l2: 1.0,
            row_share: 0.6,
            tree_features: 1.0,
            node_features: 0.4,
            bins: 1_024,
            seed: 1,
        }
    }
}

impl Boost {
    fn check(&self, rows: usize, features: usize) -> Result<(), linfa::Error> {
        let refuse = |what: &str| Err(linfa::Error::Parameters(what.to_owned()));
        let share = |share: f64| share > 0.0 && share <= 1.0;
        if self.bags == 0 || self.rounds == 0 || self.leaves < 2 || self.depth == 0 || self.depth > DEPTH_MAX {
            return refuse("bags, rounds and depth are at least 1, leaves 2, and depth is at most 8");
        }
        if !share(self.row_share) || !share(self.tree_features) || !share(self.node_features) {
            return refuse("shares of rows and features are above 0 and at most 1");
        }
        if !(2..=usize::from(u16::MAX) - 1).contains(&self.bins) {
            return refuse("bins are 2 to 65534");
        }
        if self.l2 <= 0.0 || self.leaf_weight <= 0.0 || self.rate <= 0.0 {
            return refuse("l2, leaf_weight and rate are positive");
        }
        if rows == 0 || features == 0 || features > FEATURES_MAX {
            return refuse("at least one row, and 1 to 255 features");
        }
        Ok(())
    }

    fn bag(&self, bag: usize, codes: &Codes, frauds: &[bool], weights: &[f64], base: f64) -> Vec<Grown> {
        let mut random = stream(self.seed, bag as u64);
        let mut margins = vec![base; frauds.len()];
        let mut pulls = vec![Pull::default(); frauds.len()];
        let all: Vec<usize> = (0..codes.cuts.len()).collect();
        let of_tree = share_of(all.len(), self.tree_features);
        let limits = Limits {
            depth: self.depth,
            leaves: self.leaves,
            leaf_weight: self.leaf_weight,
            l2: self.l2,
            features: share_of(of_tree, self.node_features),
        };
        let mut trees = Vec::with_capacity(self.rounds);
        for _ in 0..self.rounds {
            for (((pull, margin), fraud), weight) in pulls.iter_mut().zip(&margins).zip(frauds).zip(weights) {
                let probability = 1.0 / (1.0 + libm::exp(-margin));
                *pull = Pull {
                    slope: weight * (probability - f64::from(u8::from(*fraud))),
                    curvature: weight * probability * (1.0 - probability),
                    weight: *weight,
                };
            }
            let rows = (0..frauds.len() as u32).filter(|_| unit(&mut random) < self.row_share).collect();
            let features = choose(&all, of_tree, &mut random);
            let mut tree = grow(codes, &pulls, rows, &features, limits, &mut random);
            for node in &mut tree.nodes {
                node.value *= self.rate;
            }
            for (row, margin) in margins.iter_mut().enumerate() {
                *margin += tree.nodes[codes.leaf(&tree, row)].value;
            }
            trees.push(tree);
        }
        trees
    }
}

fn share_of(count: usize, share: f64) -> usize {
    ((count as f64 * share).round() as usize).clamp(1, count)
}

impl<D: Data<Elem = f64> + Sync, T: AsSingleTargets<Elem = bool>> Fit<ArrayBase<D, Ix2>, T, linfa::Error> for Boost {
    type Object = Additive;

    /// Learns from rows of features, where no number is a missing value, and whether each is fraud.
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<Additive, linfa::Error> {
        let (rows, features) = dataset.records.dim();
        self.check(rows, features)?;
        let frauds: Vec<bool> = dataset.as_single_targets().iter().copied().collect();
        let weights: Vec<f64> = (0..rows).map(|row| f64::from(dataset.weight_for(row))).collect();
        let balance = balanced(&frauds);
        let records = &dataset.records;
        let cut = |feature: usize| {
            let values = records.column(feature).to_vec();
            let cuts = Cuts::of(&values, &balance, self.bins);
            let column = values.iter().map(|value| cuts.code(*value)).collect();
            (cuts, column)
        };
        let (cuts, columns): (Vec<Cuts>, Vec<Vec<u16>>) = in_parallel(features, cut).into_iter().unzip();
        let codes = Codes::new(cuts, columns);
        let fraud_weight: f64 =
            frauds.iter().zip(&weights).filter(|(fraud, _)| **fraud).map(|(_, weight)| weight).sum();
        let legit_weight = weights.iter().sum::<f64>() - fraud_weight;
        let base = libm::log((fraud_weight + 0.5) / (legit_weight + 0.5));
        let grown = in_parallel(self.bags, |bag| self.bag(bag, &codes, &frauds, &weights, base));
        let share = 1.0 / self.bags as f64;
        let trees = grown.iter().flatten().map(|tree| flatten(tree, &codes, share)).collect();
        Ok(Additive { base, fills: codes.cuts.iter().map(|cuts| cuts.fill).collect(), trees })
    }
}

/// The tree in preorder, with thresholds for codes and a share of its steps.
fn flatten(tree: &Grown, codes: &Codes, share: f64) -> Tree {
    let mut nodes: Vec<Node> = Vec::with_capacity(tree.nodes.len());
    // What is still to come, and whose right child it is.
    let mut open: Vec<(usize, Option<usize>)> = vec![(0, None)];
    while let Some((at, parent)) = open.pop() {
        let place = nodes.len();
        if let Some(parent) = parent {
            nodes[parent].right = place;
        }
        let node = &tree.nodes[at];
        let mut flat = Node { feature: 0, threshold: 0.0, right: 0, value: node.value * share, weight: node.weight };
        if let Some((left, right)) = node.children {
            flat.feature = node.feature;
            // Codes up to this one are the values below the next edge.
            flat.threshold = codes.cuts[node.feature].edges[usize::from(node.code)];
            open.push((right, Some(place)));
            open.push((left, None));
        }
        nodes.push(flat);
    }
    let mut tree = Tree { nodes };
    tree.settle();
    tree
}
