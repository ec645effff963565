//! A release tried on transactions that another one has judged already. It changes nothing that serves, and remembers no
//! transaction.

use super::{
    expression::{CodedFields, Memo, Scope},
    plan::{AggregateValue, FilterBits, SettledBits},
    release::Release,
    rules::Hits,
    transaction::{Transaction, TransactionType},
    verdict::{Decision, Tier},
    windows::Windows,
};

/// A release on trial, with windows of its own where it asks for what nobody has kept.
pub struct Trial<'r> {
    release: &'r Release,
    windows: Option<Windows>,
    answers: Vec<AggregateValue>,
    filters: FilterBits,
    settled: SettledBits,
    memo: Memo,
    features: Vec<Option<f64>>,
    hits: Hits,
}

/// Which answers of its aggregates are known.
#[derive(Clone, Copy)]
pub enum Known<'k> {
    /// All, in the order of its plan.
    All(&'k [AggregateValue]),
    /// Some, in another order.
    Some {
        /// The answers.
        answers: &'k [AggregateValue],
        /// By aggregate of its plan: where the answer stands.
        places: &'k [Option<usize>],
    },
}

impl<'r> Trial<'r> {
    /// A trial of a release. With windows, aggregates whose answers are not known are those of the transactions tried.
    pub fn new(release: &'r Release, has_windows: bool) -> Self {
        let Release { plan, settings, program, .. } = release;
        Self {
            windows: has_windows.then(|| Windows::new(plan, &settings.schema, &settings.windows)),
            answers: Vec::new(),
            filters: FilterBits::default(),
            settled: SettledBits::default(),
            memo: program.memo(),
            features: Vec::new(),
            hits: Hits::default(),
            release,
        }
    }

    /// What the release decides about a transaction, enforced or not.
    pub fn decide(&mut self, transaction: &Transaction<'_>, tier: Tier, known: Known<'_>) -> Decision {
        let release = self.release;
        let amount_base_minor = release.settings.rates.to_base_minor(transaction.amount_minor, transaction.currency);
        let codes = CodedFields::of(transaction);
        self.memo.begin();
        self.hits.clear();
        self.answers.clear();
        let mut observed = None;
        if let Some(windows) = &mut self.windows {
            let scope =
                Scope { transaction, codes, amount_base_minor, aggregates: &[], score: None, lists: &release.lists };
            release.program.filters(&scope, &mut self.memo, &mut self.filters);
            observed = Some(windows.observe(transaction, amount_base_minor, &self.filters, &mut self.answers));
        }
        let aggregates = match known {
            Known::All(answers) => answers,
            Known::Some { answers, places } => {
                self.answers.resize(release.plan.aggregates.len(), AggregateValue::Missing);
                for (answer, place) in self.answers.iter_mut().zip(places) {
                    if let Some(known) = place.and_then(|place| answers.get(place)) {
                        answer.clone_from(known);
                    }
                }
                &self.answers
            }
        };
        let mut scope = Scope { transaction, codes, amount_base_minor, aggregates, score: None, lists: &release.lists };
        if transaction.kind == TransactionType::Reversal {
            return Decision::Approve;
        }
        if let Some(model) = release.model.as_deref().filter(|_| tier == Tier::Full) {
            self.features.clear();
            for feature in &release.features {
                self.features.push(release.program.feature(feature.id, &scope, &mut self.memo));
            }
            scope.score = Some(model.probability(&self.features));
        }
        if tier != Tier::StandIn {
            release.rules.evaluate(&release.program, &scope, &mut self.memo, &mut self.hits);
        }
        let policy = &release.settings.policy;
        let decision = {
            let measure = release.measure(&scope, &mut self.memo);
            policy.decide(tier, self.hits.decision(), scope.score, amount_base_minor, measure)
        };
        if let (Some(windows), Some(observed)) = (&mut self.windows, &mut observed) {
            scope.score = None;
            release.program.settle(&scope, decision, &mut self.memo, &mut self.settled);
            windows.settle(&mut observed.places, &self.settled);
        }
        decision
    }

    /// The rules that made the last decision; none where the model or the policy did.
    pub fn deciding(&self) -> impl Iterator<Item = &'r str> {
        self.release.rules.deciding(&self.hits).map(|rule| &*rule.id)
    }

    /// What the aggregates answered for the transaction tried last, where not all of it was known.
    pub fn answers(&self) -> &[AggregateValue] {
        &self.answers
    }
}
