//! Trees as a model file holds them, and the plain walk that the compiled form is told from. It is not what is served.

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

    /// The mean of all leaves over the training rows.
    pub(super) fn mean(&self) -> i32 {
        self.nodes.first().map_or(0, |root| root.value)
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

    /// Tells every leaf from left to right: its value, and the features asked on the way to it with what each step adds to
    /// the mean. The nodes must be one tree.
    pub(super) fn each_leaf(&self, mut tell: impl FnMut(i32, &[(u8, i64)])) {
        let mut way = Vec::new();
        // Nodes still to come: where, how deep, the feature asked above and the value there.
        let mut open: Vec<_> = self.nodes.first().map(|root| (0, 0, 0, root.value)).into_iter().collect();
        while let Some((at, depth, asked, above)) = open.pop() {
            let Some(node) = self.nodes.get(at) else { continue };
            way.truncate(depth);
            way.push((asked, i64::from(node.value) - i64::from(above)));
            if node.right == 0 {
                tell(node.value, &way);
            } else {
                open.push((node.right as usize, depth + 1, node.feature, node.value));
                open.push((at + 1, depth + 1, node.feature, node.value));
            }
        }
    }
}
