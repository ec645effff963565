//! What the generator sends: the rows of a file as wire messages, made once before the run, and again with other ids and
//! later times when the file ends. It sends nothing.

use std::{io::Write as _, ops::Range, path::Path};

use async_nats::Subject;
use bytes::Bytes;

use super::body::push_rest;
use crate::{
    data::{DataError, Rows},
    scoring::{
        field::AttributeSchema,
        time::{DAY_MS, Timestamp},
        transaction::Transaction,
    },
    simulation::{Simulation, SimulationSettings},
};

/// Rows that are simulated where no file is given: enough that cards have a past.
const SIMULATED_ROWS: usize = 200_000;
/// Simulated rows begin on 2018-01-01, so that many laps fit before now.
const SIMULATED_START_MS: i64 = 1_514_764_800_000;
/// An id may have 64 characters, and a lap adds up to six.
const ID_MAX_BYTES: usize = 58;

/// The messages of one lap, in order.
pub(super) struct Messages {
    rows: Vec<Message>,
    text: Bytes,
    first_ms: i64,
    last_ms: i64,
    /// Rows that no service would score.
    pub(super) refused: u64,
}

struct Message {
    time_ms: i64,
    subject: Range<u32>,
    id: Range<u32>,
    rest: Range<u32>,
}

/// Fills `Messages`.
struct Making<'m> {
    root: &'m str,
    schema: &'m AttributeSchema,
    text: Vec<u8>,
    rows: Vec<Message>,
    refused: u64,
}

impl Messages {
    /// The rows of a file, or simulated ones, to be sent below a root of subjects; at most `rows_max` of them.
    pub(super) fn read(
        file: Option<&Path>,
        root: &str,
        schema: &AttributeSchema,
        rows_max: usize,
    ) -> Result<Self, DataError> {
        let mut making = Making { root, schema, text: Vec::new(), rows: Vec::new(), refused: 0 };
        if let Some(file) = file {
            let mut rows = Rows::open(file, schema)?;
            while making.rows.len() < rows_max
                && let Some(row) = rows.next_row()?
            {
                match row.transaction {
                    Ok(transaction) => making.add(&transaction),
                    Err(_) => making.refused += 1,
                }
            }
        } else {
            making.simulate(SIMULATED_ROWS.min(rows_max));
        }
        let times = || making.rows.iter().map(|row| row.time_ms);
        let (first_ms, last_ms) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        Ok(Self { first_ms, last_ms, refused: making.refused, rows: making.rows, text: making.text.into() })
    }

    /// Whether there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The subject and the body of the message of a number. Past the end of the file its rows come again under other
    /// ids, and later, so that no answer is a repeated one.
    pub(super) fn message(&self, number: u64, scratch: &mut Vec<u8>) -> (Subject, Bytes) {
        scratch.clear();
        let subject = self.push(number, scratch);
        (Subject::from(subject.to_owned()), Bytes::copy_from_slice(scratch))
    }

    /// So many messages from a number on as one batch, sent below its own root on behalf of the first one's processor.
    pub(super) fn batch(&self, root: &str, first: u64, count: u64, scratch: &mut Vec<u8>) -> (Subject, Bytes) {
        scratch.clear();
        let mut processor = "";
        for number in first..first + count {
            scratch.push(if number == first { b'[' } else { b',' });
            let subject = self.push(number, scratch);
            if number == first {
                processor = subject.rsplit('.').nth(1).unwrap_or_default();
            }
        }
        scratch.push(b']');
        (Subject::from(format!("{root}.{processor}")), Bytes::copy_from_slice(scratch))
    }

    /// Appends the body of the message of a number, and gives its subject.
    fn push(&self, number: u64, scratch: &mut Vec<u8>) -> &str {
        let count = self.rows.len() as u64;
        let (lap, place) = (number / count, (number % count) as usize);
        let row = &self.rows[place];
        let lap_ms = self.last_ms - self.first_ms + DAY_MS;
        scratch.extend_from_slice(b"{\"id\":\"");
        scratch.extend_from_slice(self.part(&row.id));
        // Writing to memory cannot fail.
        let _ = match lap {
            0 => Ok(()),
            lap => write!(scratch, "~{lap}"),
        };
        let time_ms = row.time_ms.saturating_add(lap_ms.saturating_mul(i64::try_from(lap).unwrap_or(i64::MAX)));
        let _ = write!(scratch, "\",\"time\":{time_ms}");
        scratch.extend_from_slice(self.part(&row.rest));
        // Roots, processors and cards are ASCII.
        std::str::from_utf8(self.part(&row.subject)).unwrap_or_default()
    }

    fn part(&self, range: &Range<u32>) -> &[u8] {
        &self.text[range.start as usize..range.end as usize]
    }
}

impl Making<'_> {
    fn simulate(&mut self, rows_max: usize) {
        let standard = SimulationSettings::new(1);
        let start = Timestamp::from_unix_ms(SIMULATED_START_MS).unwrap_or(standard.start);
        let settings = SimulationSettings { cards: 5_000, days: 365, start, ..standard };
        let rows = Simulation::new(settings).into_iter().flatten();
        for transaction in rows.take(rows_max).filter_map(|row| row.transaction().ok()) {
            self.add(&transaction);
        }
    }

    fn add(&mut self, transaction: &Transaction<'_>) {
        // An id that JSON would escape or that a lap would make too long stands for no row worth a special case.
        let plain = transaction.id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        // Four gibibytes of text are addressed by 32 bits.
        let is_full = self.text.len() > (u32::MAX - 1024 * 1024) as usize;
        if !plain || transaction.id.len() > ID_MAX_BYTES || is_full {
            self.refused += 1;
            return;
        }
        let start = self.text.len() as u32;
        let _ = write!(self.text, "{}.{}.{}", self.root, transaction.processor, transaction.card);
        let subject = start..self.text.len() as u32;
        self.text.extend_from_slice(transaction.id.as_bytes());
        let id = subject.end..self.text.len() as u32;
        push_rest(&mut self.text, transaction, self.schema);
        let rest = id.end..self.text.len() as u32;
        self.rows.push(Message { time_ms: transaction.time.unix_ms(), subject, id, rest });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::wire::{Route, decode_transaction};

    #[test]
    fn messages_say_what_the_rows_say() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("rows.jsonl");
        let rows = concat!(
            r#"{"id":"t-1","time":"2018-07-25T10:15:30.123Z","card":"c_1","amount":4599,"currency":"EUR","mcc":"0742","merchant":"a \"b\"","lat":1.5,"lon":-2,"ip":"::1","attributes":{"n":-0.25}}"#,
            "\n",
            r#"{"id":"t-2","time":"2018-07-26T10:15:30.123Z","card":"c_2","amount":-1,"currency":"EUR"}"#,
            "\n",
        );
        std::fs::write(&file, rows).expect("written");
        let schema = AttributeSchema::new([("n".to_owned(), crate::scoring::field::FieldType::Number)]);
        let messages = Messages::read(Some(&file), "a.score", &schema, 10).expect("a good file");
        assert_eq!((messages.rows.len(), messages.refused), (1, 1));
        for (number, expected) in [
            (
                0,
                r#"{"id":"t-1","time":1532513730123,"card":"c_1","amount":4599,"currency":"EUR","type":"authorization","merchant":"a \"b\"","mcc":"0742","ip":"::1","lat":1.5,"lon":-2.0,"attributes":{"n":-0.250000}}"#,
            ),
            (
                2,
                r#"{"id":"t-1~2","time":1532686530123,"card":"c_1","amount":4599,"currency":"EUR","type":"authorization","merchant":"a \"b\"","mcc":"0742","ip":"::1","lat":1.5,"lon":-2.0,"attributes":{"n":-0.250000}}"#,
            ),
        ] {
            let (subject, body) = messages.message(number, &mut Vec::new());
            assert_eq!((subject.as_str(), std::str::from_utf8(&body)), ("a.score.file.c_1", Ok(expected)));
            let route = Route { processor: "file", card: Some("c_1") };
            assert!(decode_transaction(&body, route, &schema).is_ok_and(|transaction| transaction.flags.is_empty()));
        }
        let (subject, body) = messages.batch("a.batch", 1, 2, &mut Vec::new());
        let bodies =
            [1, 2].map(|number| String::from_utf8_lossy(&messages.message(number, &mut Vec::new()).1).into_owned());
        assert_eq!((subject.as_str(), &*body), ("a.batch.file", format!("[{}]", bodies.join(",")).as_bytes()));
    }
}
