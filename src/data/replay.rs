//! Drives the scorer over rows in their order, with every label at its time. It reads and writes no file.

use super::{labels::LabelQueue, row::Row};
use crate::scoring::{
    scorer::{Input, Output, Scorer},
    time::Timestamp,
    transaction::Transaction,
    verdict::Tier,
};

/// A scorer and the labels that wait for their time.
pub struct Replay {
    scorer: Scorer,
    labels: LabelQueue,
    time: Option<Timestamp>,
    without_rate: u64,
}

impl Replay {
    /// A replay into a scorer, from its past on.
    pub fn new(scorer: Scorer) -> Self {
        Self { scorer, labels: LabelQueue::default(), time: None, without_rate: 0 }
    }

    /// What the scorer makes of the next row, after every label that is known by then. A row that could not be read is
    /// refused with its own refusal and changes nothing.
    pub fn apply(&mut self, row: &Row<'_>) -> Output<'_> {
        self.time = row.time.or(self.time);
        let transaction = match &row.transaction {
            Ok(transaction) => transaction,
            Err(refusal) => return Output::Refused(refusal.clone()),
        };
        self.apply_labels(transaction.time);
        let Self { scorer, labels, without_rate, .. } = self;
        let rates = &scorer.release().settings.rates;
        *without_rate += u64::from(rates.to_base_minor(transaction.amount_minor, transaction.currency).is_none());
        let output = scorer.apply(Input::Transaction { transaction, tier: Tier::Full });
        if !matches!(output, Output::Refused(_)) {
            keep_label(labels, transaction, row);
        }
        output
    }

    /// Applies every label whose time is at most `time`, in their order.
    fn apply_labels(&mut self, time: Timestamp) {
        while let Some(label) = self.labels.pop_due(time) {
            // A label that comes when its transaction is no longer remembered changes nothing, as in the service.
            let _ = self.scorer.apply(Input::Label(&label.label()));
        }
    }

    /// The event time of the row applied last; of one without a readable time that of the row before it.
    pub fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// How many rows had a currency without a rate.
    pub fn without_rate(&self) -> u64 {
        self.without_rate
    }

    /// The scorer, for what it knows of the row applied last.
    pub fn scorer(&self) -> &Scorer {
        &self.scorer
    }
}

fn keep_label(labels: &mut LabelQueue, transaction: &Transaction<'_>, row: &Row<'_>) {
    // A label without a time is never shown to the windows.
    if let (Some(is_fraud), Some(time)) = (row.label, row.label_time) {
        labels.push(transaction, is_fraud, time);
    }
}
