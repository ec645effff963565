//! One regression tree on gradients, grown best split first over histograms. The order of every sum is fixed, so the
//! same rows give the same tree.

use rand_chacha::ChaCha8Rng;

use super::{bins::Cuts, sample::choose};

/// Every feature of every row as the code of its bin.
pub(super) struct Codes {
    pub(super) cuts: Vec<Cuts>,
    /// By feature, then by row.
    columns: Vec<Vec<u16>>,
}

/// What a tree may become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    pub(super) depth: usize,
    pub(super) leaves: usize,
    /// Weight of the rows in a leaf, at least.
    pub(super) leaf_weight: f64,
    /// Added to the curvature: pulls leaves to zero.
    pub(super) l2: f64,
    /// Features that a node chooses from.
    pub(super) features: usize,
}

/// What the loss says about each row: slope, curvature and weight.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pull {
    pub(super) slope: f64,
    pub(super) curvature: f64,
    pub(super) weight: f64,
}

/// A node: a leaf where `children` is `None`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GrownNode {
    pub(super) feature: usize,
    /// Codes up to this one go left.
    pub(super) code: u16,
    pub(super) children: Option<(usize, usize)>,
    /// The step that the rows of this node ask for.
    pub(super) value: f64,
    pub(super) weight: f64,
}

/// A tree; the root is the first node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grown {
    pub(super) nodes: Vec<GrownNode>,
}

struct Split {
    gain: f64,
    feature: usize,
    code: u16,
}

/// A leaf that may yet be split: its rows are a range of the shared order.
struct Open {
    node: usize,
    depth: usize,
    rows: std::ops::Range<usize>,
    sums: Vec<Pull>,
    split: Option<Split>,
}

impl std::ops::AddAssign for Pull {
    fn add_assign(&mut self, other: Self) {
        self.slope += other.slope;
        self.curvature += other.curvature;
        self.weight += other.weight;
    }
}

impl std::ops::Sub for Pull {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self {
            slope: self.slope - other.slope,
            curvature: self.curvature - other.curvature,
            weight: self.weight - other.weight,
        }
    }
}

impl Pull {
    fn score(self, l2: f64) -> f64 {
        self.slope * self.slope / (self.curvature + l2)
    }

    fn step(self, l2: f64) -> f64 {
        -self.slope / (self.curvature + l2)
    }
}

impl Codes {
    pub(super) fn new(cuts: Vec<Cuts>, columns: Vec<Vec<u16>>) -> Self {
        Self { cuts, columns }
    }

    /// Where each feature's bins begin in a histogram of all of them.
    fn offsets(&self) -> Vec<usize> {
        let mut offset = 0;
        self.cuts
            .iter()
            .map(|cuts| {
                offset += cuts.edges.len() + 1;
                offset - cuts.edges.len() - 1
            })
            .collect()
    }

    /// The leaf of a row.
    pub(super) fn leaf(&self, tree: &Grown, row: usize) -> usize {
        let mut at = 0;
        while let Some((left, right)) = tree.nodes[at].children {
            let node = &tree.nodes[at];
            at = if self.columns[node.feature][row] <= node.code { left } else { right };
        }
        at
    }
}

/// Grows a tree on some of the rows, from some of the features.
pub(super) fn grow(
    codes: &Codes,
    pulls: &[Pull],
    mut rows: Vec<u32>,
    features: &[usize],
    limits: Limits,
    random: &mut ChaCha8Rng,
) -> Grown {
    let offsets = codes.offsets();
    let bins = codes.cuts.iter().map(|cuts| cuts.edges.len() + 1).sum();
    let histogram = |rows: &[u32]| {
        let mut sums = vec![Pull::default(); bins];
        for feature in features {
            let sums = &mut sums[offsets[*feature]..];
            let column = &codes.columns[*feature];
            for row in rows {
                sums[usize::from(column[*row as usize])] += pulls[*row as usize];
            }
        }
        sums
    };
    let total = |rows: &[u32]| {
        let mut total = Pull::default();
        for row in rows {
            total += pulls[*row as usize];
        }
        total
    };
    let node = |pull: Pull| GrownNode {
        feature: 0,
        code: 0,
        children: None,
        value: pull.step(limits.l2),
        weight: pull.weight,
    };
    let whole = total(&rows);
    let mut nodes = vec![node(whole)];
    let mut pulls_of = vec![whole];
    let sums = histogram(&rows);
    let split = best_split(codes, &offsets, &sums, whole, features, limits, random);
    let mut open = vec![Open { node: 0, depth: 0, rows: 0..rows.len(), sums, split }];
    let mut leaves = 1;
    while leaves < limits.leaves {
        let gain = |open: &Open| open.split.as_ref().map_or(f64::NEG_INFINITY, |split| split.gain);
        let Some(best) = (0..open.len()).max_by(|a, b| gain(&open[*a]).total_cmp(&gain(&open[*b])).then(b.cmp(a)))
        else {
            break;
        };
        let Some(Split { feature, code, .. }) = open[best].split.take() else { break };
        let parent = open.swap_remove(best);
        let middle = parent.rows.start + partition(&mut rows[parent.rows.clone()], &codes.columns[feature], code);
        let (left, right) = (parent.rows.start..middle, middle..parent.rows.end);
        let left_total = total(&rows[left.clone()]);
        let right_total = pulls_of[parent.node] - left_total;
        let children = (nodes.len(), nodes.len() + 1);
        nodes[parent.node] = GrownNode { feature, code, children: Some(children), ..nodes[parent.node].clone() };
        for pull in [left_total, right_total] {
            nodes.push(node(pull));
            pulls_of.push(pull);
        }
        leaves += 1;
        if parent.depth + 1 >= limits.depth {
            continue;
        }
        // The larger side's histogram is what the smaller one leaves of the parent's.
        let left_is_smaller = left.len() <= right.len();
        let smaller = histogram(&rows[if left_is_smaller { left.clone() } else { right.clone() }]);
        let larger: Vec<Pull> = parent.sums.iter().zip(&smaller).map(|(whole, part)| *whole - *part).collect();
        let (left_sums, right_sums) = if left_is_smaller { (smaller, larger) } else { (larger, smaller) };
        for (node, rows, sums) in [(children.0, left, left_sums), (children.1, right, right_sums)] {
            let split = best_split(codes, &offsets, &sums, pulls_of[node], features, limits, random);
            open.push(Open { node, depth: parent.depth + 1, rows, sums, split });
        }
    }
    Grown { nodes }
}

/// The split with the largest gain, of equal ones the first.
fn best_split(
    codes: &Codes,
    offsets: &[usize],
    sums: &[Pull],
    whole: Pull,
    features: &[usize],
    limits: Limits,
    random: &mut ChaCha8Rng,
) -> Option<Split> {
    let mut best: Option<Split> = None;
    for feature in choose(features, limits.features, random) {
        let mut left = Pull::default();
        for (code, pull) in sums[offsets[feature]..][..codes.cuts[feature].edges.len()].iter().enumerate() {
            left += *pull;
            let right = whole - left;
            if left.weight < limits.leaf_weight || right.weight < limits.leaf_weight {
                continue;
            }
            let gain = left.score(limits.l2) + right.score(limits.l2) - whole.score(limits.l2);
            if gain > best.as_ref().map_or(GAIN_MIN, |best| best.gain) {
                best = Some(Split { gain, feature, code: code as u16 });
            }
        }
    }
    best
}

/// Less is rounding, not gain.
const GAIN_MIN: f64 = 1e-7;

/// Moves the rows that go left to the front, keeping the order on both sides; how many they are.
fn partition(rows: &mut [u32], column: &[u16], code: u16) -> usize {
    let mut right = Vec::with_capacity(rows.len());
    let mut left = 0;
    for at in 0..rows.len() {
        let row = rows[at];
        if column[row as usize] <= code {
            rows[left] = row;
            left += 1;
        } else {
            right.push(row);
        }
    }
    rows[left..].copy_from_slice(&right);
    left
}
