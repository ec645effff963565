//! The compiled program of a release: conditions, features and filters over shared nodes. It cannot fail, and it
//! allocates nothing while it evaluates.

use std::collections::BTreeMap;

use super::{
    lower::Filter,
    memo::Memo,
    node::{BoolId, IntegerId, Nodes, RealId},
    run::Run,
    scope::Scope,
};
use crate::scoring::{
    plan::{FilterBits, FilterId, OutcomeState, SettledBits},
    verdict::Decision,
};

/// A condition by its place: the first added is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConditionId(pub u32);

/// A feature by its place: the first added is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureId(pub u32);

/// A part of a condition with its value, for `gavel explain` and failing examples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atom {
    /// The part as the language writes it.
    pub text: String,
    /// Its value; `missing` where there is none. Values that identify a person or card are not shown.
    pub value: String,
    /// How deep it is inside the condition: 0 for the condition itself.
    pub depth: usize,
    /// For a part that is true or false, whether it holds.
    pub holds: Option<bool>,
}

/// Every condition, feature and filter of a release.
#[derive(Default)]
pub struct Program {
    pub(super) nodes: Nodes,
    pub(super) conditions: Vec<BoolId>,
    pub(super) features: Vec<Feature>,
    pub(super) filters: Vec<Filter>,
    /// The test of each filter, one spelling for equal tests.
    pub(super) filter_texts: Vec<String>,
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

    /// Replaces `out` by the conditions that could hold, ascending: those the index cannot rule out.
    pub fn candidates(&self, _scope: &Scope<'_>, _memo: &mut Memo, out: &mut Vec<ConditionId>) {
        out.clear();
        out.extend((0..self.conditions.len()).map(|index| ConditionId(index as u32)));
    }

    /// Appends the comparisons that made a condition true, each with its value and its limit, joined by `; `.
    pub fn describe(&self, _id: ConditionId, _scope: &Scope<'_>, _memo: &mut Memo, _out: &mut String) {}

    /// Appends what a feature found, such as `amount is 6.2 times the card's mean of 7d`.
    pub fn describe_feature(&self, _id: FeatureId, _scope: &Scope<'_>, _memo: &mut Memo, _out: &mut String) {}

    /// Every part of a condition with its value, in the order of its text.
    pub fn atoms(&self, _id: ConditionId, _scope: &Scope<'_>) -> Vec<Atom> {
        Vec::new()
    }

    /// Every part of a feature with its value, in the order of its text.
    pub fn feature_atoms(&self, _id: FeatureId, _scope: &Scope<'_>) -> Vec<Atom> {
        Vec::new()
    }

    pub(super) fn run<'r>(&'r self, scope: &'r Scope<'r>, memo: &'r mut Memo) -> Run<'r> {
        Run { nodes: &self.nodes, scope, memo, verdict: None, outcome: OutcomeState::Unknown }
    }

    /// For each of this program's filters, the filter of another program that is the same test, if there is one.
    pub fn same_filters(&self, other: &Self) -> Vec<Option<FilterId>> {
        let places: BTreeMap<&str, u16> = other.filter_texts.iter().map(String::as_str).zip(0..).collect();
        self.filter_texts.iter().map(|text| places.get(text.as_str()).map(|place| FilterId(*place))).collect()
    }
}
