//! A set of lanes as bits: what a row is a member of. It knows nothing of what a lane marks.

const WORD_BITS: usize = u64::BITS as usize;

/// Some of a log's lanes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lanes(Vec<u64>);

impl Lanes {
    /// Takes a lane in.
    pub(super) fn insert(&mut self, lane: usize) {
        if self.0.len() <= lane / WORD_BITS {
            self.0.resize(lane / WORD_BITS + 1, 0);
        }
        self.0[lane / WORD_BITS] |= 1 << (lane % WORD_BITS);
    }

    /// Whether a lane is among them.
    pub(super) fn contains(&self, lane: usize) -> bool {
        self.0.get(lane / WORD_BITS).is_some_and(|word| word >> (lane % WORD_BITS) & 1 == 1)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Becomes what another set is, in the memory it has.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.0.clear();
        self.0.extend_from_slice(&other.0);
    }

    /// Leaves out what another set holds.
    pub(super) fn remove_all(&mut self, others: &Self) {
        for (word, other) in self.0.iter_mut().zip(&others.0) {
            *word &= !other;
        }
    }

    /// The lanes, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().zip((0..).step_by(WORD_BITS)).flat_map(|(word, first)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(first + bit)
            })
        })
    }
}

impl FromIterator<usize> for Lanes {
    fn from_iter<I: IntoIterator<Item = usize>>(lanes: I) -> Self {
        let mut set = Self::default();
        lanes.into_iter().for_each(|lane| set.insert(lane));
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_set_of_lanes(lanes in prop::collection::btree_set(0..200_usize, 0..40), gone in prop::collection::btree_set(0..200_usize, 0..40)) {
            let mut set: Lanes = lanes.iter().copied().collect();
            set.remove_all(&gone.iter().copied().collect());
            let left: BTreeSet<usize> = lanes.difference(&gone).copied().collect();
            prop_assert_eq!(set.iter().collect::<BTreeSet<_>>(), left.clone());
            prop_assert!((0..200).all(|lane| set.contains(lane) == left.contains(&lane)));
            prop_assert_eq!(set.is_empty(), left.is_empty());
        }
    }
}
