//! Answers of shared nodes, remembered for one transaction. It holds no text of the transaction.

/// The answers of nodes that several conditions or features share, for one transaction.
#[derive(Default)]
pub struct Memo {
    /// Entries of another stamp are of an earlier transaction.
    stamp: u32,
    /// The stamp and the answer in one word.
    bools: Vec<u64>,
    integers: Vec<(u32, Option<i64>)>,
    reals: Vec<(u32, Option<f64>)>,
}

/// What is remembered of a node.
pub(super) enum Kept<T> {
    Nothing,
    Answer(Option<T>),
}

impl Memo {
    pub(super) fn with_slots(bools: usize, integers: usize, reals: usize) -> Self {
        Self { stamp: 1, bools: vec![0; bools], integers: vec![(0, None); integers], reals: vec![(0, None); reals] }
    }

    /// Forgets every answer: the next evaluation is of another transaction.
    pub fn begin(&mut self) {
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            // Entries of 2^32 transactions ago must not come back.
            self.bools.fill(0);
            self.integers.fill((0, None));
            self.reals.fill((0, None));
            self.stamp = 1;
        }
    }

    pub(super) fn bool(&self, slot: u32) -> Option<bool> {
        let entry = *self.bools.get(slot as usize)?;
        (entry >> 1 == u64::from(self.stamp)).then_some(entry & 1 == 1)
    }

    pub(super) fn keep_bool(&mut self, slot: u32, answer: bool) {
        if let Some(entry) = self.bools.get_mut(slot as usize) {
            *entry = u64::from(self.stamp) << 1 | u64::from(answer);
        }
    }

    pub(super) fn integer(&self, slot: u32) -> Kept<i64> {
        match self.integers.get(slot as usize) {
            Some((stamp, answer)) if *stamp == self.stamp => Kept::Answer(*answer),
            _ => Kept::Nothing,
        }
    }

    pub(super) fn keep_integer(&mut self, slot: u32, answer: Option<i64>) {
        if let Some(entry) = self.integers.get_mut(slot as usize) {
            *entry = (self.stamp, answer);
        }
    }

    pub(super) fn real(&self, slot: u32) -> Kept<f64> {
        match self.reals.get(slot as usize) {
            Some((stamp, answer)) if *stamp == self.stamp => Kept::Answer(*answer),
            _ => Kept::Nothing,
        }
    }

    pub(super) fn keep_real(&mut self, slot: u32, answer: Option<f64>) {
        if let Some(entry) = self.reals.get_mut(slot as usize) {
            *entry = (self.stamp, answer);
        }
    }
}
