//! A sum of trees while it is being learnt: real numbers in preorder. Serving has its own form, in whole units.

use super::matrix::Matrix;
use crate::scoring::model::{EnsemblePlain, TreeNode, TreePlain, units_of};

/// A node in preorder: its left child follows it; `right` is 0 in a leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// Which feature is asked.
    pub feature: usize,
    /// Values below go left.
    pub threshold: f64,
    /// Where the right child is; 0 in a leaf.
    pub right: usize,
    /// Of a leaf, its answer in log-odds; of another node, the mean of the leaves below by weight.
    pub value: f64,
    /// The weight of the training rows that came here.
    pub weight: f64,
}

/// A tree, its root first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    /// In preorder.
    pub nodes: Vec<Node>,
}

/// A sum of trees over rows whose missing values have been filled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Additive {
    /// What every sum begins with, in log-odds.
    pub base: f64,
    /// What a missing value counts as, by feature.
    pub fills: Vec<f64>,
    /// The trees.
    pub trees: Vec<Tree>,
}

impl Tree {
    /// The leaf of a row.
    pub fn leaf(&self, row: &[f64], fills: &[f64]) -> usize {
        let mut at = 0;
        while self.nodes[at].right != 0 {
            let node = &self.nodes[at];
            let value = row[node.feature];
            let value = if value.is_finite() { value } else { fills[node.feature] };
            at = if value < node.threshold { at + 1 } else { node.right };
        }
        at
    }

    /// Makes the value of every inner node the mean of its children's by weight. Children come after their parent.
    pub fn settle(&mut self) {
        for at in (0..self.nodes.len()).rev() {
            let node = self.nodes[at];
            if node.right != 0 {
                let (left, right) = (self.nodes[at + 1], self.nodes[node.right]);
                let weight = left.weight + right.weight;
                let share = if weight > 0.0 { left.weight / weight } else { 0.5 };
                self.nodes[at].weight = weight;
                self.nodes[at].value = left.value * share + right.value * (1.0 - share);
            }
        }
    }
}

impl Additive {
    /// A row's log-odds.
    pub fn margin(&self, row: &[f64]) -> f64 {
        let answer = |tree: &Tree| tree.nodes[tree.leaf(row, &self.fills)].value;
        self.base + self.trees.iter().map(answer).sum::<f64>()
    }

    /// Every row's log-odds.
    pub fn margins(&self, matrix: &Matrix) -> Vec<f64> {
        (0..matrix.rows()).map(|row| self.margin(matrix.row(row))).collect()
    }

    /// The form that is served, of `slope · margin + intercept`.
    pub fn plain(&self, slope: f64, intercept: f64) -> EnsemblePlain {
        let node = |node: &Node| TreeNode {
            feature: if node.right == 0 { 0 } else { node.feature as u8 },
            threshold: if node.right == 0 { 0.0 } else { node.threshold },
            right: node.right as u32,
            // A tree's answer is far inside ±36, so its units fit.
            value: units_of(node.value * slope) as i32,
        };
        EnsemblePlain {
            base: units_of(self.base * slope + intercept),
            trees: self.trees.iter().map(|tree| TreePlain { nodes: tree.nodes.iter().map(node).collect() }).collect(),
        }
    }
}
