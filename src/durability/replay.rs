//! Journal files back into a scorer, in their order. It never hides what is missing: damage and gaps are part of what it
//! found.

use std::io;

use super::{
    position::StreamMark,
    record::{Answered, Reading, Record, ReleaseNote, origin},
    segment::{FORMAT_VERSION, Frame, Header, Part, parts, read_header},
    storage::Storage,
};
use crate::scoring::{
    field::AttributeSchema,
    refusal::Refusal,
    scorer::{Input, Output, Scorer},
};

/// What the names of journal files begin with.
const PREFIX: &str = "journal-";
/// What they end with.
const SUFFIX: &str = ".gjl";

/// The name of a file. Names sort in the order of the records; `attempt` tells files apart that begin with the same one.
pub fn file_name(first_sequence: u64, attempt: u32) -> String {
    format!("{PREFIX}{first_sequence:020}-{attempt:03}{SUFFIX}")
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its name.
    pub name: String,
    /// The number of its first record.
    pub first_sequence: u64,
    /// Its length.
    pub bytes: u64,
    /// The newest event time of the transactions up to its end; `i64::MIN` where it adds nothing.
    pub newest_ms: i64,
}

/// A place where a file is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// Where.
    pub at: usize,
    /// How many bytes.
    pub bytes: usize,
}

/// What reading found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The files, oldest first.
    pub files: Vec<FileInfo>,
    /// The number of the next record.
    pub next_sequence: u64,
    /// Records that were given on.
    pub records: u64,
    /// Records that were there twice, and given on once.
    pub repeated: u64,
    /// Records that are missing before others that are there.
    pub lost: u64,
    /// Records under a good checksum that cannot be understood.
    pub unreadable: u64,
    /// Damaged places, but for what cut-off writes leave at the end of a file.
    pub damage: Vec<Damage>,
    /// Bytes that cut-off writes left behind.
    pub torn_bytes: u64,
    /// The release of the last records.
    pub release: Option<ReleaseNote>,
    /// How far the stream had been worked off.
    pub stream: StreamMark,
}

impl Found {
    /// Whether anything that had been written is missing.
    pub fn is_whole(&self) -> bool {
        self.lost == 0 && self.unreadable == 0 && self.damage.is_empty()
    }
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The disk does not give it.
    #[error("the journal cannot be read: {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// It was written by another version.
    #[error(
        "{file} is a journal of format {version}, expected {FORMAT_VERSION}: it was written by another version of gavel"
    )]
    Version {
        /// The file.
        file: String,
        /// Its format.
        version: u32,
    },
}

/// Gives every record on in its order, with its number; a list change that was in force when a file began has none.
///
/// `each` says whether to go on.
pub fn read<S: Storage>(
    storage: &mut S,
    schema: &AttributeSchema,
    after_sequence: u64,
    mut each: impl FnMut(Option<u64>, Record<'_>, Option<&Reading>) -> bool,
) -> Result<Found, ReplayError> {
    let mut names = storage.names().map_err(|source| ReplayError::Read { file: "the folder".into(), source })?;
    names.retain(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
    names.sort_unstable();
    let highest_ms = i64::MIN;
    let mut reader =
        Reader { schema, reading: None, expected: None, after_sequence, highest_ms, found: Found::default() };
    for name in names {
        let bytes = match storage.read(&name) {
            Ok(bytes) => bytes,
            Err(source) => return Err(ReplayError::Read { file: name, source }),
        };
        if let Header::Version(version) = read_header(&bytes) {
            return Err(ReplayError::Version { file: name, version });
        }
        if !reader.file(&name, &bytes, &mut each) {
            break;
        }
    }
    let Reader { reading, expected, mut found, .. } = reader;
    found.next_sequence = expected.unwrap_or(1).max(after_sequence.saturating_add(1));
    found.release = reading.map(|reading| reading.note().clone());
    Ok(found)
}

struct Reader<'s> {
    schema: &'s AttributeSchema,
    reading: Option<Reading>,
    /// The number of the next record; `None` before the first.
    expected: Option<u64>,
    after_sequence: u64,
    highest_ms: i64,
    found: Found,
}

impl Reader<'_> {
    fn file(
        &mut self,
        name: &str,
        bytes: &[u8],
        each: &mut impl FnMut(Option<u64>, Record<'_>, Option<&Reading>) -> bool,
    ) -> bool {
        let first_sequence = match read_header(bytes) {
            Header::Good { first_sequence } => first_sequence,
            // The name says it too.
            _ => name.get(PREFIX.len()..PREFIX.len() + 20).and_then(|digits| digits.parse().ok()).unwrap_or_default(),
        };
        self.found.files.push(FileInfo {
            name: name.to_owned(),
            first_sequence,
            bytes: bytes.len() as u64,
            newest_ms: i64::MIN,
        });
        for part in parts(bytes) {
            let goes_on = match part {
                Part::Frame(frame) => self.frame(&frame, each),
                Part::Damage { at, bytes } => {
                    self.found.damage.push(Damage { file: name.to_owned(), at, bytes });
                    true
                }
                Part::Torn { bytes, .. } => {
                    self.found.torn_bytes += bytes as u64;
                    true
                }
            };
            if !goes_on {
                return false;
            }
        }
        true
    }

    fn frame(
        &mut self,
        frame: &Frame<'_>,
        each: &mut impl FnMut(Option<u64>, Record<'_>, Option<&Reading>) -> bool,
    ) -> bool {
        let is_preamble = frame.records == 0;
        // What is older than the first file has been removed, and need not be there.
        let wanted = if self.after_sequence == 0 { u64::MAX } else { self.after_sequence.saturating_add(1) };
        let expected = *self.expected.get_or_insert(frame.first_sequence.min(wanted));
        if frame.first_sequence > expected {
            let missing_from = expected.max(self.after_sequence.saturating_add(1));
            self.found.lost += frame.first_sequence.saturating_sub(missing_from);
        }
        self.expected = Some(expected.max(frame.first_sequence + u64::from(frame.records)));
        for (place, bytes) in (0_u64..).zip(frame.iter()) {
            let sequence = frame.first_sequence + place;
            if (is_preamble || sequence >= expected)
                && let Some(position) = origin(bytes)
            {
                self.found.stream.taken = Some(position);
            }
            if !is_preamble && (sequence < expected || sequence <= self.after_sequence) {
                self.found.repeated += u64::from(sequence > self.after_sequence);
                // What later records build on is still to be known.
                match Record::read(bytes, self.reading.as_ref()) {
                    Some(Record::Release(note)) => self.reading = Some(Reading::new(note, self.schema)),
                    Some(Record::Mark(mark)) if sequence >= expected => self.found.stream = mark,
                    _ => {}
                }
                continue;
            }
            let Some(record) = Record::read(bytes, self.reading.as_ref()) else {
                self.found.unreadable += 1;
                continue;
            };
            if let Record::Transaction(answered) = &record {
                self.highest_ms = self.highest_ms.max(answered.transaction.time.unix_ms());
            }
            if !is_preamble && let Some(file) = self.found.files.last_mut() {
                file.newest_ms = file.newest_ms.max(self.highest_ms);
            }
            match &record {
                Record::Release(note) => self.reading = Some(Reading::new(note.clone(), self.schema)),
                Record::Mark(mark) => self.found.stream = *mark,
                _ => {}
            }
            self.found.records += u64::from(!is_preamble);
            let number = (!is_preamble).then_some(sequence);
            if !each(number, record, self.reading.as_ref()) {
                return false;
            }
        }
        true
    }
}

/// What replaying did with the records.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Transactions that are in the windows again, with their answers.
    pub transactions: u64,
    /// Outcomes, labels and list changes that took effect again.
    pub applied: u64,
    /// Those that did not, because what they were about is missing.
    pub refused: u64,
}

/// Lets a record take effect again, with the answer and the verdict of then; nothing is decided anew.
pub fn restore(scorer: &mut Scorer, record: &Record<'_>, reading: Option<&Reading>, replayed: &mut Replayed) {
    let input = match record {
        Record::Transaction(answered) => {
            let Answered { transaction, decision, amount_base_minor, body, .. } = &**answered;
            let rates = &scorer.release().settings.rates;
            // Sums are in the base currency of now; where it is another one, so are the rates.
            let is_same_base = reading.is_some_and(|reading| reading.note().base == rates.base());
            let converted = rates.to_base_minor(transaction.amount_minor, transaction.currency);
            let amount_base_minor = if is_same_base { *amount_base_minor } else { converted };
            Input::Answered { transaction, amount_base_minor, decision: *decision, body }
        }
        Record::Outcome(outcome) => Input::Outcome(outcome),
        Record::Label(label) => Input::Label(label),
        Record::ListChange(change) => Input::ListChange(change),
        Record::Release(_) | Record::Mark(_) => return,
    };
    match (scorer.apply(input), record) {
        (Output::Refused(Refusal { .. }), _) => replayed.refused += 1,
        (_, Record::Transaction(_)) => replayed.transactions += 1,
        _ => replayed.applied += 1,
    }
}
