//! Exact sliding aggregates per key over event time. There is no clock here.

use smallvec::SmallVec;

use super::{
    field::AttributeSchema,
    plan::{AggregateValue, FilterBits, FilterId, OutcomeState, Plan, SettledBits},
    settings::WindowSettings,
    time::Timestamp,
    transaction::Transaction,
};

/// The windows of one scorer: every aggregate of its plan, for every key it has seen.
pub struct Windows {
    highest: Option<Timestamp>,
    aggregates: usize,
}

/// What a transaction found in the windows, besides the values of its aggregates.
#[derive(Default)]
pub struct Observed {
    /// It is older than the highest accepted time, less the lateness.
    pub late: bool,
    /// One of its answers touches a folded window.
    pub approximate: bool,
    /// One of its keys has no state, and may have had some that was evicted.
    pub evicted: bool,
    /// One of its windows reaches further back than what is kept.
    pub filling: bool,
    /// Where it stands in the logs that may have to be changed later.
    pub places: Places,
}

/// Where a transaction stands in the logs that a reversal, an outcome or a label may change later.
#[derive(Clone, Default)]
pub struct Places {
    #[expect(dead_code, reason = "read once the logs are in place")]
    items: SmallVec<[Place; 4]>,
}

/// Where a transaction stands in one log.
#[derive(Clone, Copy)]
#[expect(dead_code, reason = "read once the logs are in place")]
struct Place {
    log: u32,
    slot: u32,
    generation: u32,
    rank: u32,
}

/// What may change about a transaction after its windows have taken it in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RowState {
    /// Its amount in sums, in minor units of the base currency; `None` without a rate.
    pub net_minor: Option<i64>,
    /// Nothing is left of it: it has left sums, means, extrema and deviations for good.
    pub reversed: bool,
    /// It is known to be fraud.
    pub fraud: bool,
    /// What the issuer did.
    pub outcome: OutcomeState,
}

/// How much the windows hold, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowStats {
    /// How many keys are held, by the plan's keys.
    pub keys: Vec<u64>,
    /// Transactions held one by one, over all keys.
    pub rows: u64,
    /// Bytes held, as far as they can be counted from inside.
    pub bytes: u64,
    /// Keys evicted because there were too many.
    pub evictions: u64,
    /// Keys dropped because nothing was left of them.
    pub expirations: u64,
    /// Blocks of rows that were folded to bound memory.
    pub folds: u64,
}

impl Windows {
    /// Empty windows for a plan.
    pub fn new(plan: &Plan, _schema: &AttributeSchema, _settings: &WindowSettings) -> Self {
        Self { highest: None, aggregates: plan.aggregates.len() }
    }

    /// Takes over another plan, keeping what both ask for. `same_filters` says for each filter of the new plan which
    /// filter of the old one is the same test, if any. What is new fills from now on and is reported as filling.
    pub fn adopt(
        &mut self,
        plan: &Plan,
        _schema: &AttributeSchema,
        _settings: &WindowSettings,
        _same_filters: &[Option<FilterId>],
    ) {
        self.aggregates = plan.aggregates.len();
    }

    /// The highest event time accepted so far.
    pub fn highest(&self) -> Option<Timestamp> {
        self.highest
    }

    /// How far behind the highest time a transaction may still be changed by a reversal, an outcome or a label.
    pub fn changeable_ms(&self) -> i64 {
        0
    }

    /// Answers every aggregate of the plan for a transaction, in the plan's order, and takes the transaction in.
    pub fn observe(
        &mut self,
        transaction: &Transaction<'_>,
        _amount_base_minor: Option<i64>,
        _filters: &FilterBits,
        values: &mut Vec<AggregateValue>,
    ) -> Observed {
        self.highest = self.highest.max(Some(transaction.time));
        values.clear();
        values.resize(self.aggregates, AggregateValue::Missing);
        Observed::default()
    }

    /// Enters a transaction into the aggregates that test its verdict or outcome, once its verdict is known.
    pub fn settle(&mut self, _places: &Places, _settled: &SettledBits) {}

    /// Changes a transaction wherever it stands. `settled` are the bits it was settled with.
    pub fn amend(&mut self, _places: &Places, _settled: &SettledBits, _before: &RowState, _after: &RowState) {}

    /// How much is held.
    pub fn stats(&self) -> WindowStats {
        WindowStats::default()
    }
}
