//! The plain twin of the windows over what a journal accepted: a vector of everything and a filter. It scores nothing.

use gavel::{
    durability::record::Answered,
    scoring::{
        money::Rates,
        plan::AggregateValue,
        release::Release,
        transaction::{Label, Outcome},
        verdict::Decision,
    },
};

use crate::twin::Twin;

/// The twin, and what the rules of the simulation test in their windows.
pub(crate) struct Plain {
    twin: Twin,
    rates: Rates,
}

impl Plain {
    pub(crate) fn new(release: &Release) -> Self {
        let settings = &release.settings;
        assert_eq!(
            release.plan.filters.len(),
            3,
            "that the outcome is declined, the verdict was deny, the card was listed"
        );
        let twin = Twin::new(&release.plan, &settings.schema, &settings.windows);
        Self { twin, rates: settings.rates.clone() }
    }

    /// What every aggregate says of a transaction, which is taken in.
    pub(crate) fn take(&mut self, answered: &Answered<'_>) -> Vec<AggregateValue> {
        let transaction = answered.transaction.clone().into_owned();
        let base = self.rates.to_base_minor(transaction.amount_minor, transaction.currency);
        let is_listed = answered.list_answers == [0b1111];
        let passes = [[false, false, true, false], [answered.decision == Decision::Deny; 4], [is_listed; 4]];
        let answers = self.twin.answers(&transaction, base, &passes);
        self.twin.take(&transaction, base, &passes, &answered.body);
        answers
    }

    pub(crate) fn outcome(&mut self, outcome: &Outcome<'_>) {
        self.twin.outcome(outcome, &self.rates);
    }

    pub(crate) fn label(&mut self, label: &Label<'_>) {
        self.twin.label(label);
    }
}
