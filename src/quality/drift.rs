//! How often a value has been in each bucket of its reference, over a sliding window of event time. It measures no
//! distance.

use crate::scoring::model::Reference;

use super::psi::{Psi, psi};

/// The window slides by its length over this.
const SLOTS: i64 = 24;

/// A value's buckets over the window.
pub(super) struct Drift {
    reference: Reference,
    reference_rows: u64,
    /// Buckets of values, then one of what is missing; as many for each slot.
    counts: Vec<u32>,
    /// Which stretch of time is in each slot.
    held: [i64; SLOTS as usize],
}

impl Drift {
    pub(super) fn new(reference: &Reference, reference_rows: u64) -> Self {
        let buckets = reference.shares.len() + 1;
        Self {
            reference: reference.clone(),
            reference_rows,
            counts: vec![0; buckets * SLOTS as usize],
            held: [i64::MIN; SLOTS as usize],
        }
    }

    /// Counts a value; what is older than the window is left out.
    pub(super) fn count(&mut self, stretch: i64, value: Option<f64>) {
        let slot = stretch.rem_euclid(SLOTS) as usize;
        let buckets = self.reference.shares.len() + 1;
        let counts = &mut self.counts[slot * buckets..(slot + 1) * buckets];
        if self.held[slot] < stretch {
            counts.fill(0);
            self.held[slot] = stretch;
        }
        if self.held[slot] == stretch {
            let bucket =
                value.filter(|value| value.is_finite()).map_or(buckets - 1, |value| self.reference.bucket(value));
            counts[bucket] = counts[bucket].saturating_add(1);
        }
    }

    /// The index of the window that ends with a stretch.
    pub(super) fn psi(&self, newest: i64) -> Option<Psi> {
        let buckets = self.reference.shares.len() + 1;
        let mut sums = vec![0_u64; buckets];
        for (held, counts) in self.held.iter().zip(self.counts.chunks(buckets)) {
            if *held > newest - SLOTS {
                sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += u64::from(*count));
            }
        }
        let mut shares = self.reference.shares.clone();
        shares.push(self.reference.missing);
        psi(&sums, &shares, self.reference_rows)
    }
}

/// Which stretch of a window's time a moment is in.
pub(super) fn stretch_of(time_ms: i64, window_ms: i64) -> i64 {
    time_ms.div_euclid((window_ms / SLOTS).max(1))
}
