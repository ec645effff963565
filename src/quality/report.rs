//! What was found, as metrics show it. It counts nothing by itself.

use std::sync::Arc;

use crate::scoring::verdict::Decision;

/// How many transactions, and how much money in minor units of the base currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Transactions.
    pub transactions: u64,
    /// Their amounts; one without a rate counts as nothing.
    pub amount_minor: i128,
}

/// How good a rule, a model or the verdicts were on the labelled transactions of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct SubjectReport {
    /// `verdict`, `rule` or `model`.
    pub kind: &'static str,
    /// `all`, the rule's id, or the model's version.
    pub name: Arc<str>,
    /// From which verdict on a transaction counts as stopped: `deny`, `review` (which holds `deny`), or `fired`.
    pub at: &'static str,
    /// The window.
    pub window_ms: i64,
    /// Frauds that it stopped.
    pub caught: Volume,
    /// Frauds that it let pass.
    pub missed: Volume,
    /// Legitimate transactions that it stopped.
    pub wrongly_stopped: Volume,
}

/// How far scores or a feature have moved.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftReport {
    /// The model's version.
    pub model: Arc<str>,
    /// `score`, or the feature's name behind `feature:`.
    pub of: Arc<str>,
    /// The population stability index.
    pub psi: f64,
    /// One index in a thousand is larger by chance, with so many rows.
    pub critical: f64,
    /// Transactions behind it.
    pub rows: u64,
}

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// By kind, name and window.
    pub subjects: Vec<SubjectReport>,
    /// By model and value.
    pub drift: Vec<DriftReport>,
    /// Transactions remembered until their label comes.
    pub remembered: u64,
    /// How far back in event time a label finds its transaction.
    pub horizon_ms: i64,
    /// Labels about transactions that are not remembered.
    pub unmatched: u64,
    /// Transactions forgotten early because there were too many.
    pub forgotten: u64,
}

impl Volume {
    pub(super) fn add(&mut self, other: Self) {
        self.transactions += other.transactions;
        self.amount_minor += other.amount_minor;
    }

    /// Without a part of it.
    pub(super) fn less(self, part: Self) -> Self {
        let transactions = self.transactions - part.transactions;
        Self { transactions, amount_minor: self.amount_minor - part.amount_minor }
    }
}

impl SubjectReport {
    pub(super) fn new(kind: &'static str, name: &Arc<str>, at: &'static str, window_ms: i64) -> Self {
        let (caught, missed, wrongly_stopped) = Default::default();
        Self { kind, name: name.clone(), at, window_ms, caught, missed, wrongly_stopped }
    }

    /// Of the labelled transactions that it stopped, the share that is fraud; `None` of none.
    pub fn precision(&self) -> Option<f64> {
        share(self.caught.transactions, self.wrongly_stopped.transactions)
    }

    /// Of the frauds, the share that it stopped; `None` of none.
    pub fn recall(&self) -> Option<f64> {
        share(self.caught.transactions, self.missed.transactions)
    }
}

fn share(part: u64, rest: u64) -> Option<f64> {
    (part + rest > 0).then(|| part as f64 / (part + rest) as f64)
}

/// Whether a decision stops a transaction from a verdict on.
pub(super) fn stops(decision: Decision, at: &str) -> bool {
    match decision {
        Decision::Approve => false,
        Decision::Review => at == "review",
        Decision::Deny => true,
    }
}
