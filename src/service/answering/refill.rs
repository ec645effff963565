//! A past that was built aside takes the place of the one that was gathered across reloads, between two messages. It
//! builds none.

use std::time::Instant;

use super::Answering;
use crate::{
    scoring::scorer::Input,
    service::handover::{Refill, Refilled},
};

/// What is replayed at the swap, while answers wait: some hundred records, one or two milliseconds.
const TAIL_BYTES_MAX: usize = 64 << 10;

impl Answering {
    /// What was written to the journal since the last time; from the first time on it is kept for that.
    pub fn tail(&mut self) -> Option<Vec<u8>> {
        self.keeper.tail()
    }

    /// Lets a past that was built aside catch up, and take over.
    pub fn refill(&mut self, mut refill: Box<Refill>) -> Refilled {
        let start = Instant::now();
        if refill.scorer.identity() != self.scorer.identity() {
            self.keeper.refill(false);
            return Refilled::Refused(refill);
        }
        let Some(tail) = self.keeper.last_tail(TAIL_BYTES_MAX) else { return Refilled::Behind(refill) };
        refill.rebuild.frames(&tail, &mut refill.scorer);
        let is_level = refill.rebuild.sequence() + 1 == self.keeper.next_sequence();
        if !is_level || refill.rebuild.missing() > 0 {
            self.keeper.refill(false);
            return Refilled::Refused(refill);
        }
        let (mut past, release) = refill.scorer.into_past();
        self.scorer.apply(Input::Refill(&mut past));
        self.keeper.refill(true);
        self.tally.applied(&self.metrics, "refill");
        Refilled::Done(Box::new((past, release)), start.elapsed())
    }
}
