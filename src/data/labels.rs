//! Labels that wait for their time. They come out by `label_time`, of equal times in the order of their rows.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use crate::scoring::{
    time::Timestamp,
    transaction::{Label, LabelKind, Transaction},
};

/// The labels of rows that have been read and whose time has not come.
#[derive(Default)]
pub struct LabelQueue {
    /// A run of labels that came in order, as all do where the delay is the same for every row.
    in_order: VecDeque<PendingLabel>,
    /// The labels that came before the end of the run.
    out_of_order: BinaryHeap<Reverse<PendingLabel>>,
    pushed: u64,
}

/// A label and the transaction it is about.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct PendingLabel {
    // The order of the fields is the order in which labels act.
    time: Timestamp,
    place: u64,
    is_fraud: bool,
    processor_length: u32,
    card_length: u32,
    /// Processor, card and id, one after the other.
    text: Box<str>,
}

impl LabelQueue {
    /// Keeps the label of a transaction until `time`.
    pub fn push(&mut self, transaction: &Transaction<'_>, is_fraud: bool, time: Timestamp) {
        let Transaction { processor, card, id, .. } = transaction;
        let label = PendingLabel {
            time,
            place: self.pushed,
            is_fraud,
            processor_length: processor.len() as u32,
            card_length: card.len() as u32,
            text: [processor.as_ref(), card, id].concat().into_boxed_str(),
        };
        self.pushed += 1;
        if self.in_order.back().is_none_or(|newest| newest.time <= time) {
            self.in_order.push_back(label);
        } else {
            self.out_of_order.push(Reverse(label));
        }
    }

    /// The next label whose time is at most `time`. All of them are taken before a row of that time is applied.
    pub fn pop_due(&mut self, time: Timestamp) -> Option<PendingLabel> {
        let first = self.in_order.front();
        let other = self.out_of_order.peek().map(|Reverse(label)| label);
        let run_is_next = match (first, other) {
            (Some(first), Some(other)) => first < other,
            (first, _) => first.is_some(),
        };
        let next = if run_is_next { first } else { other };
        next.filter(|label| label.time <= time)?;
        if run_is_next { self.in_order.pop_front() } else { self.out_of_order.pop().map(|Reverse(label)| label) }
    }

    /// How many labels wait.
    pub fn len(&self) -> usize {
        self.in_order.len() + self.out_of_order.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PendingLabel {
    /// The label as an input of the scorer.
    pub fn label(&self) -> Label<'_> {
        let (processor, rest) = self.text.split_at(self.processor_length as usize);
        let (card, id) = rest.split_at(self.card_length as usize);
        Label {
            processor: processor.into(),
            card: card.into(),
            id: id.into(),
            time: self.time,
            kind: if self.is_fraud { LabelKind::Fraud } else { LabelKind::Legit },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::money::Currency;

    /// Rows as `id label_time`, then the time up to which labels are taken; the ids that come out.
    fn check(rows: &[(&str, i64)], until_ms: i64, expected: &[&str]) {
        let at = |ms| Timestamp::from_unix_ms(ms).expect("a moment near the epoch");
        let mut queue = LabelQueue::default();
        for (id, label_ms) in rows {
            let currency = Currency::from_code("EUR").expect("EUR is a currency");
            queue.push(&Transaction::plain(id, at(0), "c", 1, currency), true, at(*label_ms));
        }
        let mut found = Vec::new();
        while let Some(label) = queue.pop_due(at(until_ms)) {
            let label = label.label();
            assert_eq!((label.processor.as_ref(), label.card.as_ref()), ("file", "c"));
            found.push(label.id.into_owned());
        }
        assert_eq!(found, expected);
        assert_eq!(queue.len(), rows.len() - expected.len());
    }

    #[test]
    fn labels_come_by_time_then_by_row() {
        check(&[], 9, &[]);
        check(&[("a", 1), ("b", 2), ("c", 3)], 2, &["a", "b"]);
        check(&[("a", 3), ("b", 1), ("c", 2)], 3, &["b", "c", "a"]);
        check(&[("a", 1), ("b", 1), ("c", 1)], 1, &["a", "b", "c"]);
        check(&[("a", 2), ("b", 1), ("c", 2), ("d", 1), ("e", 2)], 2, &["b", "d", "a", "c", "e"]);
        check(&[("a", 5)], 4, &[]);
    }
}
