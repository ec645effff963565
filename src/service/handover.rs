//! What the scoring thread and the thread that reloads hand each other. It decides nothing.

use std::{collections::VecDeque, mem, time::Duration};

use async_nats::Subject;

use crate::durability::rebuild::Rebuild;
use crate::scoring::{
    plan::AggregateValue,
    release::Release,
    scorer::{Past, Retired, Scorer},
    transaction::ListChange,
    verdict::{Decision, Tier},
};

/// A transaction that was judged, with what was seen of it. It has no `Debug`: it holds card data.
#[derive(Clone)]
pub struct Kept {
    /// The message.
    pub payload: Vec<u8>,
    /// Who sent it.
    pub processor: String,
    /// What the aggregates answered, in the order of the plan of its release.
    pub answers: Vec<AggregateValue>,
    /// How much of the pipeline there was time for.
    pub tier: Tier,
    /// What was decided, enforced or not.
    pub decision: Decision,
    /// Which release judged it: the first is 0.
    pub release: u64,
}

/// The latest transactions, the newest last. Their memory is used again and again.
#[derive(Clone, Default)]
pub struct Latest {
    kept: VecDeque<Kept>,
    spare: Vec<Kept>,
    kept_max: usize,
}

/// What the scoring thread hands on. It has no `Debug`: it holds card data.
pub enum Notice {
    /// A reload is asked for.
    Ask(Ask),
    /// A list has changed.
    Listed(ListChange<'static>),
}

/// Somebody's wish that a reload be tried now.
pub struct Ask {
    /// Past the guard.
    pub force: bool,
    /// Where to answer to.
    pub reply: Option<Subject>,
}

/// A past that was built aside for the release that serves, some records behind.
pub struct Refill {
    /// The scorer that holds it.
    pub scorer: Scorer,
    /// How far it has come.
    pub rebuild: Rebuild,
}

/// What came of a refill.
pub enum Refilled {
    /// It serves. What was there before is to be freed, and the scoring thread did nothing else for so long.
    Done(Box<(Past, Release)>, Duration),
    /// It is too far behind, and may try again.
    Behind(Box<Refill>),
    /// It is of no use: something else serves by now, or it lacks something.
    Refused(Box<Refill>),
}

/// What came of a swap.
pub struct Swapped {
    /// What served before, to be freed.
    pub retired: Option<Retired>,
    /// How long the scoring thread did nothing else.
    pub took: Duration,
    /// The number of the release that serves now.
    pub release: u64,
}

impl Latest {
    /// Room for so many.
    pub fn new(kept_max: usize) -> Self {
        Self { kept_max, ..Self::default() }
    }

    /// Keeps the transaction scored last, in the place of the oldest where there is no more room.
    pub fn keep(&mut self, payload: &[u8], processor: &str, release: u64, scorer: &mut Scorer) {
        if self.kept_max == 0 {
            return;
        }
        let oldest = if self.kept.len() < self.kept_max { self.spare.pop() } else { self.kept.pop_front() };
        let verdict = scorer.verdict();
        let (decision, tier) = (verdict.would_be(), verdict.tier);
        let mut kept = match oldest {
            Some(kept) => Kept { tier, decision, release, ..kept },
            None => {
                Kept { payload: Vec::new(), processor: String::new(), answers: Vec::new(), tier, decision, release }
            }
        };
        kept.payload.clear();
        kept.payload.extend_from_slice(payload);
        kept.processor.clear();
        kept.processor.push_str(processor);
        // Swapped and not copied: a hundred answers are more bytes than the message.
        scorer.exchange_answers(&mut kept.answers);
        self.kept.push_back(kept);
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// What is kept, the newest last.
    pub fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.kept.iter()
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Kept> {
        self.kept.iter_mut()
    }

    /// Takes in what is newer; the memory of what is too much is handed out by `spare`.
    pub fn append(&mut self, mut newer: Self) {
        self.kept.append(&mut newer.kept);
        self.spare.append(&mut newer.spare);
        while self.kept.len() > self.kept_max {
            self.spare.extend(self.kept.pop_front());
        }
    }

    /// Another one, empty, with the memory that this one does not need.
    #[must_use]
    pub fn spare(&mut self) -> Self {
        Self { kept: VecDeque::new(), spare: mem::take(&mut self.spare), kept_max: self.kept_max }
    }
}
