//! What the demo's processor sends: purchases with what is known about them, and labels at their time. It sends nothing.

use std::path::Path;

use crate::{
    commands::load::push_rest,
    config::SubjectRoots,
    data::{DataError, LabelQueue, Rows},
    scoring::{
        field::AttributeSchema,
        money::Money,
        time::Timestamp,
        transaction::{LabelKind, Transaction},
    },
    simulation::{Simulation, SimulationSettings},
};

/// Frauds per million in the demo's own stream: more than there are in life, so that there is something to see.
const FRAUDS_PER_MILLION: u32 = 20_000;
/// Cards of the demo's own stream: few enough that each has a past soon.
const CARDS: u32 = 2_000;
/// The demo's own stream begins on 2026-01-01 and is always the same.
const SEED: u64 = 7;

/// A message to send.
pub(super) enum Sending {
    Purchase(Purchase),
    Label { subject: String, body: String },
}

/// A transaction as its processor sends it, and what is printed of it.
pub(super) struct Purchase {
    pub(super) subject: String,
    pub(super) body: Vec<u8>,
    pub(super) is_fraud: bool,
    pub(super) time: Timestamp,
    pub(super) amount: String,
    pub(super) card: String,
    pub(super) merchant: String,
}

/// Makes messages of rows.
struct Making<'m> {
    subjects: &'m SubjectRoots,
    schema: &'m AttributeSchema,
    labels: LabelQueue,
    sendings: Vec<Sending>,
    purchases: usize,
}

/// The messages of a file or of the demo's own stream, up to so many purchases.
pub(super) fn read(
    file: Option<&Path>,
    subjects: &SubjectRoots,
    schema: &AttributeSchema,
    purchases_max: usize,
) -> Result<Vec<Sending>, DataError> {
    let labels = LabelQueue::default();
    let mut making = Making { subjects, schema, labels, sendings: Vec::new(), purchases: 0 };
    if let Some(file) = file {
        let mut rows = Rows::open(file, schema)?;
        while making.purchases < purchases_max
            && let Some(row) = rows.next_row()?
        {
            if let Ok(transaction) = &row.transaction {
                making.add(transaction, row.label, row.label_time);
            }
        }
    } else {
        let settings = SimulationSettings {
            cards: CARDS,
            days: 365,
            frauds_per_million: FRAUDS_PER_MILLION,
            ..SimulationSettings::new(SEED)
        };
        for row in Simulation::new(settings).into_iter().flatten().take(purchases_max) {
            if let Ok(transaction) = row.transaction() {
                making.add(&transaction, Some(row.is_fraud()), Some(row.label_time()));
            }
        }
    }
    Ok(making.sendings)
}

impl Making<'_> {
    fn add(&mut self, transaction: &Transaction<'_>, label: Option<bool>, label_time: Option<Timestamp>) {
        while let Some(due) = self.labels.pop_due(transaction.time) {
            let label = due.label();
            let kind = if label.kind == LabelKind::Fraud { "fraud" } else { "legit" };
            let id = serde_json::to_string(&label.id).unwrap_or_default();
            let body = format!(
                r#"{{"id":{id},"card":"{}","time":{},"label":"{kind}","source":"issuer"}}"#,
                label.card,
                label.time.unix_ms()
            );
            let subject = format!("{}.{}.{}", self.subjects.label, label.processor, label.card);
            self.sendings.push(Sending::Label { subject, body });
        }
        if let (Some(is_fraud), Some(time)) = (label, label_time) {
            self.labels.push(transaction, is_fraud, time);
        }
        let id = serde_json::to_string(&transaction.id).unwrap_or_default();
        let mut body = format!(r#"{{"id":{id},"time":{}"#, transaction.time.unix_ms()).into_bytes();
        push_rest(&mut body, transaction, self.schema);
        let merchant = transaction.merchant.as_deref().or(transaction.terminal.as_deref()).unwrap_or("-");
        self.sendings.push(Sending::Purchase(Purchase {
            subject: format!("{}.{}.{}", self.subjects.score, transaction.processor, transaction.card),
            body,
            is_fraud: label == Some(true),
            time: transaction.time,
            amount: Money { minor: transaction.amount_minor, currency: transaction.currency }.to_string(),
            card: transaction.card.clone().into_owned(),
            merchant: merchant.to_owned(),
        }));
        self.purchases += 1;
    }
}
