//! The compiled program of a release: conditions, features and filters over shared nodes. It cannot fail, and it
//! allocates nothing while it evaluates.

use super::memo::Memo;
use crate::scoring::{
    lists::Lists,
    plan::{AggregateValue, FilterBits, FilterId, SettledBits},
    transaction::Transaction,
    verdict::Decision,
};

/// A condition by its place: the first added is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConditionId(pub u32);

/// A feature by its place: the first added is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureId(pub u32);

/// What an expression sees of one transaction.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The transaction.
    pub transaction: &'a Transaction<'a>,
    /// Its amount in minor units of the base currency; missing without a rate.
    pub amount_base_minor: Option<i64>,
    /// The answers of the plan's aggregates, in the plan's order.
    pub aggregates: &'a [AggregateValue],
    /// The model's probability; missing without a model.
    pub score: Option<f64>,
    /// The lists and tables the program was compiled with, with their changes since.
    pub lists: &'a Lists,
}

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
pub struct Program {}

impl Program {
    /// A memo with room for this program's shared nodes.
    pub fn memo(&self) -> Memo {
        Memo::default()
    }

    /// Evaluates the filters that test nothing but a transaction's own fields. `bits` is cleared first.
    pub fn filters(&self, _scope: &Scope<'_>, _memo: &mut Memo, bits: &mut FilterBits) {
        bits.clear(0);
    }

    /// Evaluates the filters on verdict or outcome, for each state the outcome may come to. `bits` is cleared first.
    pub fn settle(&self, _scope: &Scope<'_>, _verdict: Decision, _memo: &mut Memo, bits: &mut SettledBits) {
        bits.clear(0);
    }

    /// Whether a condition holds.
    pub fn condition(&self, _id: ConditionId, _scope: &Scope<'_>, _memo: &mut Memo) -> bool {
        false
    }

    /// The value of a feature.
    pub fn feature(&self, _id: FeatureId, _scope: &Scope<'_>, _memo: &mut Memo) -> Option<f64> {
        None
    }

    /// Replaces `out` by the conditions that could hold, ascending: those the index cannot rule out.
    pub fn candidates(&self, _scope: &Scope<'_>, _memo: &mut Memo, out: &mut Vec<ConditionId>) {
        out.clear();
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

    /// For each of this program's filters, the filter of another program that is the same test, if there is one.
    pub fn same_filters(&self, _other: &Self) -> Vec<Option<FilterId>> {
        Vec::new()
    }
}
