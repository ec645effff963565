//! A data file as rows of features: replayed through the serving windows, with each label visible from its time on. It
//! learns nothing.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use super::matrix::Matrix;
use crate::{
    data::{DataError, Notes, Progress, Replay, Rows},
    scoring::{
        scorer::{Output, Scorer},
        time::{DAY_MS, Timestamp},
        transaction::TransactionType,
        verdict::Decision,
    },
};

/// What a file said, row by row.
pub struct Extraction {
    /// Every row that may be learnt from or scored; its labels are still to be asked for.
    pub matrix: Matrix,
    /// What the file tells of each.
    pub told: Vec<Told>,
    /// By card, the frauds of the whole file: when each happened, and when it became known.
    frauds: BTreeMap<u32, Vec<(i64, i64)>>,
    /// Event time of the newest row.
    pub last_ms: i64,
    /// How many rows were read.
    pub read: u64,
    /// How many of them were refused.
    pub refused: u64,
    /// How many had a currency without a rate.
    pub without_rate: u64,
    /// What was found beside the rows.
    pub notes: Notes,
}

/// What a file tells of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether it is fraud.
    pub label: Option<bool>,
    /// When that became known; a label without a time is known from the start.
    pub label_ms: Option<i64>,
    /// Whether the rules denied it.
    pub denied: bool,
}

/// Replays a whole file through a scorer whose release has the features; rows for which `wanted` is true are kept.
pub fn extract(
    input: &Path,
    scorer: Scorer,
    names: Vec<String>,
    wanted: impl Fn(Timestamp) -> bool,
) -> Result<Extraction, DataError> {
    let mut rows = Rows::open(input, &scorer.release().settings.schema)?;
    let mut progress = Progress::of_reading(rows.position());
    let mut replay = Replay::new(scorer);
    let mut cards: HashMap<String, u32> = HashMap::new();
    let mut extraction = Extraction {
        matrix: Matrix::new(names),
        told: Vec::new(),
        frauds: BTreeMap::new(),
        last_ms: i64::MIN,
        read: 0,
        refused: 0,
        without_rate: 0,
        notes: Notes::default(),
    };
    while let Some(row) = rows.next_row()? {
        extraction.read += 1;
        progress.row();
        let denied = match replay.apply(&row) {
            Output::Verdict { verdict, .. } => verdict.would_be() == Decision::Deny,
            Output::Refused(_) => {
                extraction.refused += 1;
                continue;
            }
            // Its first appearance has been counted.
            Output::Duplicate { .. } | Output::Applied => continue,
        };
        let Ok(transaction) = &row.transaction else { continue };
        let time_ms = transaction.time.unix_ms();
        extraction.last_ms = extraction.last_ms.max(time_ms);
        // Money that goes back is not a payment that could be fraud.
        if matches!(transaction.kind, TransactionType::Refund | TransactionType::Reversal) {
            continue;
        }
        let card = cards.get(transaction.card.as_ref()).copied().unwrap_or_else(|| {
            let next = cards.len() as u32;
            cards.insert(transaction.card.clone().into_owned(), next);
            next
        });
        let label_ms = row.label_time.map(Timestamp::unix_ms);
        if row.label == Some(true) {
            extraction.frauds.entry(card).or_default().push((time_ms, label_ms.unwrap_or(time_ms)));
        }
        if wanted(transaction.time) {
            extraction.matrix.push(replay.scorer().features().iter().copied(), false, time_ms, card);
            extraction.told.push(Told { label: row.label, label_ms, denied });
        }
    }
    extraction.without_rate = replay.without_rate();
    extraction.notes = rows.notes().clone();
    Ok(extraction)
}

impl Told {
    /// Whether a row of `time_ms` is fraud as far as is known at `moment_ms`: an empty label, or one that comes later,
    /// counts as legitimate once `maturity_ms` has passed, unless the transaction was denied, for then nobody would have
    /// complained.
    pub fn known_at(self, moment_ms: i64, time_ms: i64, maturity_ms: i64) -> Option<bool> {
        let label = self.label.filter(|_| self.label_ms.is_none_or(|label_ms| label_ms <= moment_ms));
        let matured = moment_ms.saturating_sub(time_ms) >= maturity_ms;
        label.or_else(|| (matured && !self.denied).then_some(false))
    }

    /// Whether a row turned out to be fraud, as far as the whole file tells.
    pub fn at_last(self, last_ms: i64, time_ms: i64, maturity_ms: i64) -> Option<bool> {
        let matured = last_ms.saturating_sub(time_ms) >= maturity_ms;
        self.label.or_else(|| (matured && !self.denied).then_some(false))
    }
}

impl Extraction {
    /// The rows of a period with what was known of them at `moment_ms`.
    pub fn known_at(&self, moment_ms: i64, maturity_ms: i64, inside: impl Fn(i64) -> bool) -> Matrix {
        self.matrix.labelled(|row| {
            let time_ms = self.matrix.times_ms[row];
            self.told[row].known_at(moment_ms, time_ms, maturity_ms).filter(|_| inside(time_ms))
        })
    }

    /// The rows of a period with what they turned out to be.
    pub fn at_last(&self, maturity_ms: i64, inside: impl Fn(i64) -> bool) -> Matrix {
        self.matrix.labelled(|row| {
            let time_ms = self.matrix.times_ms[row];
            self.told[row].at_last(self.last_ms, time_ms, maturity_ms).filter(|_| inside(time_ms))
        })
    }

    /// Whether, before the day of `time_ms` began, it was known that the card had a fraud at `since_ms` or later.
    pub fn compromised(&self, card: u32, time_ms: i64, since_ms: i64) -> bool {
        let day_ms = time_ms - time_ms.rem_euclid(DAY_MS);
        let frauds = self.frauds.get(&card).map_or(&[][..], Vec::as_slice);
        frauds.iter().any(|(fraud_ms, known_ms)| *fraud_ms >= since_ms && *known_ms < day_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_count_from_the_moment_they_are_known() {
        let told = |label, label_ms, denied| Told { label, label_ms, denied };
        // What is told of a row of time 100, with a maturity of 30: known at 110, at 130 and at 500.
        let cases = [
            (told(Some(true), Some(120), false), [None, Some(true), Some(true)]),
            (told(Some(true), Some(200), false), [None, Some(false), Some(true)]),
            (told(Some(false), Some(105), false), [Some(false); 3]),
            (told(Some(true), None, true), [Some(true); 3]),
            (told(None, None, false), [None, Some(false), Some(false)]),
            (told(None, None, true), [None, None, None]),
        ];
        for (told, expected) in cases {
            let known = [110, 130, 500].map(|moment_ms| told.known_at(moment_ms, 100, 30));
            assert_eq!(known, expected, "{told:?}");
            assert_eq!(told.at_last(500, 100, 30), expected[2], "{told:?}");
        }
    }
}
