//! Answers of shared nodes, remembered for one transaction. It holds no text of the transaction.

/// The answers of nodes that several conditions or features share, for one transaction.
#[derive(Default)]
pub struct Memo {
    stamp: u32,
}

impl Memo {
    /// Forgets every answer: the next evaluation is of another transaction.
    pub fn begin(&mut self) {
        self.stamp = self.stamp.wrapping_add(1);
    }
}
