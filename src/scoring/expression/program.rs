//! The compiled program of a release: conditions, features and filters over shared nodes. It cannot fail, and it
//! allocates nothing while it evaluates.

use std::collections::BTreeMap;

use super::{
    atoms::{self, Atom, Part},
    describe::{Told, ToldFeature},
    index::{ConditionId, Index},
    lower::Filter,
    memo::Memo,
    node::{BoolId, IntegerId, Nodes, RealId},
    run::Run,
    scope::Scope,
};
use crate::scoring::{
    money::Currency,
    plan::{FilterBits, FilterId, OutcomeState, SettledBits},
    verdict::Decision,
};

/// A feature by its place: the first added is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureId(pub u32);

/// A filter's table where it passes whatever the outcome.
const ALL_STATES: u8 = (1 << OutcomeState::ALL.len()) - 1;

/// Every condition, feature and filter of a release.
pub struct Program {
    /// The currency of amounts.
    pub(super) base: Currency,
    pub(super) nodes: Nodes,
    pub(super) conditions: Vec<BoolId>,
    pub(super) features: Vec<Feature>,
    /// How conditions and features are told, and their parts, by their places.
    pub(super) told: Vec<Told>,
    pub(super) told_features: Vec<ToldFeature>,
    pub(super) parts: Vec<Vec<Part>>,
    pub(super) feature_parts: Vec<Vec<Part>>,
    pub(super) filters: Vec<Filter>,
    /// The test of each filter, one spelling for equal tests.
    pub(super) filter_texts: Vec<String>,
    /// The filters that ask a list or a table: what they say of a transaction may be something else later.
    pub(super) looking_up: Vec<FilterId>,
    pub(super) looking_up_hashes: Vec<u64>,
    pub(super) index: Index,
    pub(super) bool_slots: usize,
    pub(super) integer_slots: usize,
    pub(super) real_slots: usize,
}

/// A feature's value: a node, and what it is divided by.
#[derive(Clone, Copy)]
pub(super) struct Feature {
    pub(super) source: FeatureSource,
    pub(super) divisor: f64,
}

/// The node of a feature.
#[derive(Clone, Copy)]
pub(super) enum FeatureSource {
    Integer(IntegerId),
    Real(RealId),
}

impl Program {
    /// A program of nothing.
    pub(super) fn new(base: Currency) -> Self {
        Self {
            base,
            nodes: Nodes::default(),
            conditions: Vec::new(),
            features: Vec::new(),
            told: Vec::new(),
            told_features: Vec::new(),
            parts: Vec::new(),
            feature_parts: Vec::new(),
            filters: Vec::new(),
            filter_texts: Vec::new(),
            looking_up: Vec::new(),
            looking_up_hashes: Vec::new(),
            index: Index::default(),
            bool_slots: 0,
            integer_slots: 0,
            real_slots: 0,
        }
    }

    /// A memo with room for this program's shared nodes.
    pub fn memo(&self) -> Memo {
        Memo::with_slots(self.bool_slots, self.integer_slots, self.real_slots)
    }

    /// How many conditions there are.
    pub fn conditions_len(&self) -> usize {
        self.conditions.len()
    }

    /// How many features there are.
    pub fn features_len(&self) -> usize {
        self.features.len()
    }

    /// Evaluates the filters that test nothing but a transaction's own fields. `bits` is cleared first.
    pub fn filters(&self, scope: &Scope<'_>, memo: &mut Memo, bits: &mut FilterBits) {
        bits.clear(self.filters.len());
        let mut run = self.run(scope, memo);
        for (filter, id) in self.filters.iter().zip(0..) {
            if !filter.settles_later && run.bool(filter.test) {
                bits.set(FilterId(id), true);
            }
        }
    }

    /// Evaluates the filters on verdict or outcome, for each state the outcome may come to. `bits` is cleared first.
    pub fn settle(&self, scope: &Scope<'_>, verdict: Decision, memo: &mut Memo, bits: &mut SettledBits) {
        bits.clear(self.filters.len());
        let mut run = self.run(scope, memo);
        run.verdict = Some(verdict);
        for (filter, id) in self.filters.iter().zip(0..).filter(|(filter, _)| filter.settles_later) {
            let mut passes = false;
            for state in OutcomeState::ALL {
                if filter.reads_outcome || state == OutcomeState::Unknown {
                    run.outcome = state;
                    passes = run.bool(filter.test);
                }
                bits.set(FilterId(id), state, passes);
            }
        }
    }

    /// Replaces `out` by what those filters said, a bit by outcome state.
    pub fn list_answers(&self, bits: &FilterBits, settled: &SettledBits, out: &mut Vec<u8>) {
        out.clear();
        out.extend(self.looking_up.iter().map(|id| if bits.get(*id) { ALL_STATES } else { settled.table(*id) }));
    }

    /// Lets those filters say what they said before, as far as that is known.
    pub fn recall(&self, answers: &[Option<u8>], bits: &mut FilterBits) {
        for (id, answer) in self.looking_up.iter().zip(answers) {
            let settles_later = self.filters.get(usize::from(id.0)).is_none_or(|filter| filter.settles_later);
            if let Some(answer) = answer.filter(|_| !settles_later) {
                bits.set(*id, answer == ALL_STATES);
            }
        }
    }

    /// The same for the filters on verdict or outcome.
    pub fn recall_settled(&self, answers: &[Option<u8>], bits: &mut SettledBits) {
        for (id, answer) in self.looking_up.iter().zip(answers) {
            if let Some(answer) = answer {
                bits.set_table(*id, *answer);
            }
        }
    }

    /// Whether a condition holds.
    pub fn condition(&self, id: ConditionId, scope: &Scope<'_>, memo: &mut Memo) -> bool {
        self.conditions.get(id.0 as usize).is_some_and(|root| self.run(scope, memo).bool(*root))
    }

    /// The value of a feature.
    pub fn feature(&self, id: FeatureId, scope: &Scope<'_>, memo: &mut Memo) -> Option<f64> {
        let feature = self.features.get(id.0 as usize)?;
        let mut run = self.run(scope, memo);
        let value = match feature.source {
            FeatureSource::Integer(id) => run.integer(id)? as f64,
            FeatureSource::Real(id) => run.real(id)?,
        };
        Some(value / feature.divisor)
    }

    /// Replaces `out` by the conditions that hold, ascending. Those that an index reaches cost nothing unless their field
    /// has the value they ask for.
    pub fn candidates(&self, scope: &Scope<'_>, memo: &mut Memo, out: &mut Vec<ConditionId>) {
        self.index.holding(&self.conditions, &mut self.run(scope, memo), out);
    }

    /// Appends the comparisons that made a condition answer as it did, each with its value and its limit, joined by `; `.
    pub fn describe(&self, id: ConditionId, scope: &Scope<'_>, memo: &mut Memo, out: &mut String) {
        let (Some(told), Some(root)) = (self.told.get(id.0 as usize), self.conditions.get(id.0 as usize)) else {
            return;
        };
        let mut run = self.run(scope, memo);
        let truth = run.bool(*root);
        told.write(truth, self.base, &mut run, out.len(), out);
    }

    /// Appends what a feature found, such as `amount is 6.2 times the card's mean of 7d`.
    pub fn describe_feature(&self, id: FeatureId, scope: &Scope<'_>, memo: &mut Memo, out: &mut String) {
        if let Some(told) = self.told_features.get(id.0 as usize) {
            told.write(self.base, &mut self.run(scope, memo), out);
        }
    }

    /// Every part of a condition with its value, in the order of its text.
    pub fn atoms(&self, id: ConditionId, scope: &Scope<'_>) -> Vec<Atom> {
        let parts = self.parts.get(id.0 as usize);
        self.read(parts, scope)
    }

    /// Every part of a feature with its value, in the order of its text.
    pub fn feature_atoms(&self, id: FeatureId, scope: &Scope<'_>) -> Vec<Atom> {
        let parts = self.feature_parts.get(id.0 as usize);
        self.read(parts, scope)
    }

    fn read(&self, parts: Option<&Vec<Part>>, scope: &Scope<'_>) -> Vec<Atom> {
        let mut memo = self.memo();
        parts.map_or_else(Vec::new, |parts| atoms::read(parts, self.base, &mut self.run(scope, &mut memo)))
    }

    /// For each of this program's filters, the filter of another program that is the same test, if there is one.
    pub fn same_filters(&self, other: &Self) -> Vec<Option<FilterId>> {
        let places: BTreeMap<&str, u16> = other.filter_texts.iter().map(String::as_str).zip(0..).collect();
        self.filter_texts.iter().map(|text| places.get(text.as_str()).map(|place| FilterId(*place))).collect()
    }

    /// The test of a filter; one text for equal tests.
    pub fn filter_text(&self, filter: FilterId) -> &str {
        self.filter_texts.get(usize::from(filter.0)).map_or("", String::as_str)
    }

    /// The hashes of the texts of the filters that ask a list or a table, in their order.
    pub fn looking_up_hashes(&self) -> &[u64] {
        &self.looking_up_hashes
    }

    pub(super) fn run<'r>(&'r self, scope: &'r Scope<'r>, memo: &'r mut Memo) -> Run<'r> {
        Run { nodes: &self.nodes, scope, memo, verdict: None, outcome: OutcomeState::Unknown }
    }
}
