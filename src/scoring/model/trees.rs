//! A sum of decision trees as it is served: sets of leaves for small trees, heap-ordered blocks of two-byte nodes over
//! ranks for others. It grows no tree.
//!
//! A node asks `value < threshold`, as `linfa-trees` does when it predicts. All thresholds of a feature are sorted
//! once; a row's value becomes its rank, the number of thresholds at or below it, so that `value < threshold` is
//! `rank <= place of the threshold`, bit for bit. Trees of at most 16 leaves are not walked: see `sets.rs`. Of the others
//! ranks are cut into bytes, a scale for each 255 thresholds of a feature, so that a node is a scale and a place in 16
//! bits and the nodes of a hundred trees fit beside the core. Every such tree is padded to a full one of depth 6 or 8, and a
//! walk is a fixed number of steps without a branch: many trees are in flight at once. Leaves are whole units of
//! log-odds, so that no order of adding changes a sum.

use super::{
    FEATURES_MAX,
    forest::{Forest, Packed},
    paths::{IN_FLIGHT, LANE, Paths, Sums},
    plain::{EnsemblePlain, TreePlain},
    ranks::{Ladder, PLACES, Scales},
    sets::{LEAVES_MAX, LeafSets},
};

/// Scales of a model whose nodes have two bytes.
const SCALES: usize = 256;

/// Scales of any model that can be read: 4,096 full trees have fewer thresholds than 255 times as many.
const SCALES_MAX: usize = 8_192;

/// Groups of trees whose leaves are found before their rows are added.
const GROUPS: usize = 32;

/// A sum of trees ready to serve.
pub(super) struct Ensemble {
    base: i64,
    features: usize,
    small: LeafSets,
    large: Option<Walked>,
    /// What each leaf says of each feature; `None` where that would take too much room, and then every tree is walked.
    paths: Option<Paths>,
}

/// Trees that are walked, with the thresholds of their nodes by feature.
struct Walked {
    features: Vec<Ladder>,
    trees: Trees,
}

/// The trees, by the bytes that a node needs.
enum Trees {
    Narrow(Box<Sizes<u16, SCALES>>),
    Wide(Box<Sizes<u32, SCALES_MAX>>),
}

/// The trees by their size.
struct Sizes<P, const S: usize> {
    middle: Forest<P, 64>,
    deep: Forest<P, 256>,
    /// The feature of each scale.
    owners: Vec<u8>,
}

impl Ensemble {
    /// Compiles trees whose nodes name only features below `fills.len()`, with finite thresholds; an error says how
    /// they contradict each other.
    pub(super) fn compile(plain: &EnsemblePlain, fills: &[f64]) -> Result<Self, String> {
        if plain.trees.iter().any(|tree| tree.depth().is_none()) {
            return Err("the nodes of a tree are not one tree".into());
        }
        let base = plain.base + plain.trees.iter().map(|tree| i64::from(tree.mean())).sum::<i64>();
        let mut paths = Paths::new(&plain.trees, fills.len());
        let is_small = |tree: &&TreePlain| tree.nodes.len() < 2 * LEAVES_MAX;
        let (few, many): (Vec<_>, Vec<_>) = plain.trees.iter().partition(is_small);
        let of_few = thresholds(&few, fills)?;
        let (small, many) = match &mut paths {
            Some(paths) if LeafSets::fits(few.len(), &of_few) => (LeafSets::new(&few, &of_few, fills, paths), many),
            _ => (LeafSets::default(), plain.trees.iter().collect()),
        };
        let large = if many.is_empty() { None } else { Some(Walked::new(&many, fills, paths.as_mut())?) };
        Ok(Self { base, features: fills.len(), small, large, paths })
    }

    /// The sum before any feature has contributed: the mean of every tree over its training rows.
    pub(super) fn base(&self) -> i64 {
        self.base
    }

    pub(super) fn sum(&self, features: &[Option<f64>]) -> i64 {
        self.base + self.small.sum(features) + self.large.as_ref().map_or(0, |large| large.sum(features))
    }

    pub(super) fn explain(&self, features: &[Option<f64>], contributions: &mut [i64; FEATURES_MAX + 1]) -> i64 {
        if let Some(paths) = &self.paths {
            let mut sums = Sums::default();
            self.small.each_places(features, |places| paths.add(places, &mut sums));
            if let Some(large) = &self.large {
                large.each_places(features, |places| paths.add(places, &mut sums));
            }
            for (contributions, sums) in contributions.chunks_mut(LANE).zip(&sums).take(self.features.div_ceil(LANE)) {
                contributions
                    .iter_mut()
                    .zip(sums.numbers())
                    .for_each(|(contribution, sum)| *contribution = (*sum).into());
            }
        } else if let Some(large) = &self.large {
            large.walk_back(features, contributions);
        }
        self.base + contributions.iter().take(self.features).sum::<i64>()
    }
}

/// The thresholds of some trees, by feature, in order and without repeats.
fn thresholds(trees: &[&TreePlain], fills: &[f64]) -> Result<Vec<Vec<f64>>, String> {
    let mut thresholds = vec![Vec::new(); fills.len()];
    for node in trees.iter().flat_map(|tree| &tree.nodes).filter(|node| node.right != 0) {
        let Some(of_feature) = thresholds.get_mut(usize::from(node.feature)) else {
            return Err("a tree asks for a feature that the header does not name".into());
        };
        // Zero has two signs that compare equal; one of them is enough.
        of_feature.push(node.threshold + 0.0);
    }
    for of_feature in &mut thresholds {
        of_feature.sort_by(f64::total_cmp);
        of_feature.dedup();
    }
    Ok(thresholds)
}

impl Walked {
    fn new(plain: &[&TreePlain], fills: &[f64], paths: Option<&mut Paths>) -> Result<Self, String> {
        let mut scales = 0;
        let mut features = Vec::new();
        for (of_feature, fill) in thresholds(plain, fills)?.iter().zip(fills) {
            let ladder = Ladder::new(of_feature, *fill, scales);
            scales += ladder.scales();
            features.push(ladder);
        }
        let trees = match scales {
            0..=SCALES => Trees::Narrow(Box::new(Sizes::new(plain, &features, paths))),
            _ if scales <= SCALES_MAX => Trees::Wide(Box::new(Sizes::new(plain, &features, paths))),
            _ => return Err(format!("the trees ask for more than {SCALES_MAX} times {PLACES} different thresholds")),
        };
        Ok(Self { features, trees })
    }

    fn sum(&self, features: &[Option<f64>]) -> i64 {
        match &self.trees {
            Trees::Narrow(trees) => trees.sum(&self.ranks(features)),
            Trees::Wide(trees) => trees.sum(&self.ranks(features)),
        }
    }

    fn each_places(&self, features: &[Option<f64>], tell: impl FnMut(&[[u32; IN_FLIGHT]])) {
        match &self.trees {
            Trees::Narrow(trees) => trees.each_places(&self.ranks(features), tell),
            Trees::Wide(trees) => trees.each_places(&self.ranks(features), tell),
        }
    }

    fn walk_back(&self, features: &[Option<f64>], contributions: &mut [i64; FEATURES_MAX + 1]) {
        match &self.trees {
            Trees::Narrow(trees) => trees.walk_back(&self.ranks(features), contributions),
            Trees::Wide(trees) => trees.walk_back(&self.ranks(features), contributions),
        }
    }

    fn ranks<const S: usize>(&self, features: &[Option<f64>]) -> Scales<S> {
        let mut ranks = [0; S];
        let values = features.iter().copied().chain(std::iter::repeat(None));
        for (ladder, value) in self.features.iter().zip(values) {
            ladder.write_ranks(value, &mut ranks);
        }
        ranks
    }
}

impl<P: Packed, const S: usize> Sizes<P, S> {
    fn new(plain: &[&TreePlain], features: &[Ladder], mut paths: Option<&mut Paths>) -> Self {
        let mut owners = Vec::new();
        for (feature, ladder) in features.iter().enumerate() {
            owners.resize(owners.len() + ladder.scales(), feature as u8);
        }
        owners.resize(S, 0);
        let mut sizes = Self { middle: Forest::new(), deep: Forest::new(), owners };
        for tree in plain {
            let paths = paths.as_deref_mut();
            match tree.depth() {
                None | Some(0..=6) => sizes.middle.push(tree, features, paths),
                Some(_) => sizes.deep.push(tree, features, paths),
            }
        }
        sizes.middle.complete();
        sizes.deep.complete();
        sizes
    }

    fn sum(&self, ranks: &Scales<S>) -> i64 {
        self.middle.sum::<6, S>(ranks) + self.deep.sum::<8, S>(ranks)
    }

    fn each_places(&self, ranks: &Scales<S>, mut tell: impl FnMut(&[[u32; IN_FLIGHT]])) {
        each_group(&mut tell, |first, found| self.middle.places::<6, S>(first, ranks, found));
        each_group(&mut tell, |first, found| self.deep.places::<8, S>(first, ranks, found));
    }

    fn walk_back(&self, ranks: &Scales<S>, contributions: &mut [i64; FEATURES_MAX + 1]) {
        self.middle.explain::<6, S>(ranks, &self.owners, contributions);
        self.deep.explain::<8, S>(ranks, &self.owners, contributions);
    }
}

/// Tells the places of all leaves that a walk finds, some groups at a time.
#[inline]
fn each_group(
    tell: &mut impl FnMut(&[[u32; IN_FLIGHT]]),
    mut walk: impl FnMut(usize, &mut [[u32; IN_FLIGHT]]) -> usize,
) {
    let mut found = [[0; IN_FLIGHT]; GROUPS];
    let mut first = 0;
    loop {
        let groups = walk(first, &mut found);
        tell(&found[..groups]);
        first += groups;
        if groups < GROUPS {
            return;
        }
    }
}
