//! Trees of one size, padded and laid out for walking eight at once. It computes no ranks.

use super::{
    FEATURES_MAX,
    paths::{IN_FLIGHT, Paths},
    plain::TreePlain,
    ranks::{Ladder, PLACES, Scales},
};

/// A node: the scale it asks for, and the place of its threshold there.
pub(super) trait Packed: Copy {
    /// No rank is above this place, so a walk goes left.
    const PADDING: Self;
    fn pack(scale: usize, place: u8) -> Self;
    fn scale(self) -> usize;
    fn place(self) -> u8;
}

impl Packed for u16 {
    const PADDING: Self = PLACES as Self;

    fn pack(scale: usize, place: u8) -> Self {
        (scale as Self) << 8 | Self::from(place)
    }

    #[inline]
    fn scale(self) -> usize {
        usize::from(self >> 8)
    }

    #[inline]
    fn place(self) -> u8 {
        self as u8
    }
}

impl Packed for u32 {
    const PADDING: Self = PLACES as Self;

    fn pack(scale: usize, place: u8) -> Self {
        (scale as Self) << 8 | Self::from(place)
    }

    #[inline]
    fn scale(self) -> usize {
        (self >> 8) as usize
    }

    #[inline]
    fn place(self) -> u8 {
        self as u8
    }
}

/// Trees of one size: `N` leaves, nodes at 1 to N − 1 in heap order.
pub(super) struct Forest<P, const N: usize> {
    nodes: Vec<[P; N]>,
    leaves: Vec<[i32; N]>,
    /// What each leaf says of the features: its place among the paths. Empty without paths.
    places: Vec<[u32; N]>,
    /// What going from a node's parent to the node adds: nodes below the root, then leaves. Empty with paths.
    steps: Vec<[[i32; N]; 2]>,
}

impl<P: Packed, const N: usize> Forest<P, N> {
    pub(super) fn new() -> Self {
        Self { nodes: Vec::new(), leaves: Vec::new(), places: Vec::new(), steps: Vec::new() }
    }

    /// Lays a tree out, padded to full depth: below a leaf every step goes left and adds nothing.
    pub(super) fn push(&mut self, tree: &TreePlain, features: &[Ladder], mut paths: Option<&mut Paths>) {
        let mut nodes = [P::PADDING; N];
        let (mut leaves, mut places) = ([0; N], [0; N]);
        let mut steps = [[0; N]; 2];
        // A feature and what it adds, for the nodes above the one looked at.
        let mut way: Vec<(u8, i64)> = Vec::new();
        let root = tree.mean();
        // Where in the heap, where in the preorder, which feature led here, the value at the parent.
        let mut open = vec![(1_usize, 0, 0, root)];
        while let Some((heap, at, asked, above)) = open.pop() {
            let Some(node) = tree.nodes.get(at) else { continue };
            let step = node.value - above;
            way.truncate(heap.ilog2() as usize);
            way.push((asked, i64::from(step)));
            if let Some(to) = steps.as_flattened_mut().get_mut(heap) {
                *to = step;
            }
            if heap >= N {
                leaves[heap - N] = node.value - root;
                if let Some(paths) = paths.as_deref_mut() {
                    places[heap - N] = paths.push(&way);
                }
            } else if node.right == 0 {
                // Pads: the walk goes on to the left and finds the same leaf at the bottom.
                open.push((2 * heap, at, 0, node.value));
            } else {
                if let Some(ladder) = features.get(usize::from(node.feature)) {
                    let (scale, place) = ladder.place(node.threshold);
                    nodes[heap] = P::pack(scale, place);
                }
                open.push((2 * heap, at + 1, node.feature, node.value));
                open.push((2 * heap + 1, node.right as usize, node.feature, node.value));
            }
        }
        self.nodes.push(nodes);
        self.leaves.push(leaves);
        if paths.is_some() {
            self.places.push(places);
        } else {
            self.steps.push(steps);
        }
    }

    /// Adds empty trees until the number is a multiple of those walked at once.
    pub(super) fn complete(&mut self) {
        while !self.nodes.len().is_multiple_of(IN_FLIGHT) {
            self.nodes.push([P::PADDING; N]);
            self.leaves.push([0; N]);
            if !self.places.is_empty() {
                self.places.push([0; N]);
            }
            if !self.steps.is_empty() {
                self.steps.push([[0; N]; 2]);
            }
        }
    }

    /// Walks one group of trees to their leaves: heap places from N to 2N − 1.
    #[inline]
    fn walk<const DEPTH: usize, const S: usize>(group: &[[P; N]; IN_FLIGHT], ranks: &Scales<S>) -> [usize; IN_FLIGHT] {
        const { assert!(1 << DEPTH == N && S.is_power_of_two()) };
        let mut at = [1_usize; IN_FLIGHT];
        for _ in 0..DEPTH {
            for (at, nodes) in at.iter_mut().zip(group) {
                // The masks change nothing and spare the checks of the bounds.
                let node = nodes[*at & (N - 1)];
                let rank = ranks[node.scale() & (S - 1)];
                *at = 2 * *at + usize::from(rank > node.place());
            }
        }
        at
    }

    #[inline]
    pub(super) fn sum<const DEPTH: usize, const S: usize>(&self, ranks: &Scales<S>) -> i64 {
        let mut sum = 0;
        let (groups, _) = self.nodes.as_chunks::<IN_FLIGHT>();
        let (leaf_groups, _) = self.leaves.as_chunks::<IN_FLIGHT>();
        for (group, leaves) in groups.iter().zip(leaf_groups) {
            for (at, leaves) in Self::walk::<DEPTH, S>(group, ranks).into_iter().zip(leaves) {
                sum += i64::from(leaves[at & (N - 1)]);
            }
        }
        sum
    }

    /// The places of the leaves that a row ends in, of the groups from `first` on for which there is room; how many
    /// groups those are.
    pub(super) fn places<const DEPTH: usize, const S: usize>(
        &self,
        first: usize,
        ranks: &Scales<S>,
        found: &mut [[u32; IN_FLIGHT]],
    ) -> usize {
        let (groups, _) = self.nodes.as_chunks::<IN_FLIGHT>();
        let (place_groups, _) = self.places.as_chunks::<IN_FLIGHT>();
        let mut visited = 0;
        for ((group, places), found) in groups.iter().zip(place_groups).skip(first).zip(found) {
            let leaves = Self::walk::<DEPTH, S>(group, ranks);
            for ((found, at), places) in found.iter_mut().zip(leaves).zip(places) {
                *found = places[at & (N - 1)];
            }
            visited += 1;
        }
        visited
    }

    /// Walks to the leaves, and back up to add what each step did.
    pub(super) fn explain<const DEPTH: usize, const S: usize>(
        &self,
        ranks: &Scales<S>,
        owners: &[u8],
        contributions: &mut [i64; FEATURES_MAX + 1],
    ) {
        let (groups, _) = self.nodes.as_chunks::<IN_FLIGHT>();
        let (step_groups, _) = self.steps.as_chunks::<IN_FLIGHT>();
        for (group, steps) in groups.iter().zip(step_groups) {
            let leaves = Self::walk::<DEPTH, S>(group, ranks);
            for ((leaf, nodes), steps) in leaves.into_iter().zip(group).zip(steps) {
                for up in 0..DEPTH {
                    let child = leaf >> up;
                    let scale = nodes[(child >> 1) & (N - 1)].scale();
                    let feature = owners.get(scale).copied().unwrap_or_default();
                    contributions[usize::from(feature)] += i64::from(steps[(child / N) & 1][child & (N - 1)]);
                }
            }
        }
    }
}
