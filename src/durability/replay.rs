//! Journal files back into a scorer, in their order. It never hides what is missing: damage and gaps are part of what it
//! found.

use std::{collections::BTreeMap, io};

use super::{
    position::StreamMark,
    record::{Answered, Reading, Record, ReleaseNote, is_release, origin},
    segment::{FORMAT_VERSION, Frame, HEADER_BYTES, Header, Part, parts, read_header},
    storage::Storage,
};
use crate::scoring::{
    field::AttributeSchema,
    plan::Aggregate,
    refusal::Refusal,
    release::Release,
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
    /// Whether a release took over since the past was last built for one.
    pub is_mixed: bool,
    /// The time of the first transaction that was read.
    pub first_ms: Option<i64>,
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

/// Whoever is given the records, in their order and with their numbers; a list change that was in force when a file
/// began has none. It says whether to go on.
pub trait Each: FnMut(Option<u64>, Record<'_>, Option<&Reading>) -> bool {}

impl<F: FnMut(Option<u64>, Record<'_>, Option<&Reading>) -> bool> Each for F {}

/// Gives every record on that comes after one.
pub fn read<S: Storage>(
    storage: &mut S,
    schema: &AttributeSchema,
    after_sequence: u64,
    mut each: impl Each,
) -> Result<Found, ReplayError> {
    let mut reader = Reader::new(schema);
    reader.after_sequence = after_sequence;
    reader.follow(storage, &mut each)?;
    Ok(reader.end())
}

/// The same for whoever needs no more than the records themselves: files that lie before are not even read.
pub fn read_late<S: Storage>(
    storage: &mut S,
    schema: &AttributeSchema,
    after_sequence: u64,
    mut each: impl Each,
) -> Result<(), ReplayError> {
    let mut reader = Reader::new(schema);
    (reader.after_sequence, reader.is_late) = (after_sequence, true);
    reader.follow(storage, &mut each)?;
    Ok(())
}

/// The number in a file's name, if it is one of the journal.
fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX).filter(|_| name.ends_with(SUFFIX))?.get(..20)?.parse().ok()
}

/// What somebody knows who holds a part of a journal already.
#[derive(Clone, Copy)]
pub struct Known<'k> {
    /// The files up to there.
    pub files: &'k [FileInfo],
    /// How far a stream had been worked off.
    pub stream: StreamMark,
    /// The last record that came from a stream.
    pub streamed_record: u64,
    /// Whether a release took over since the past was last built for one.
    pub is_mixed: bool,
}

/// A journal on its way into a scorer. It can be followed while it grows.
pub struct Reader {
    schema: AttributeSchema,
    reading: Option<Reading>,
    /// The number of the next record; `None` before the first.
    expected: Option<u64>,
    /// The record that the oldest file begins with, by its name.
    oldest: Option<u64>,
    after_sequence: u64,
    highest_ms: i64,
    found: Found,
    /// What is known of files that need not be read, by name.
    known: BTreeMap<String, FileInfo>,
    /// The file that is read, and where what was not read yet begins.
    current: Option<(String, usize)>,
    /// Whether a numbered record of it was read.
    is_begun: bool,
    /// Bytes at its end that are no frame, or none yet.
    torn_bytes: u64,
    /// The last record that came from a stream.
    streamed_record: u64,
    /// Whether files that lie before what is asked for are passed over.
    is_late: bool,
}

impl Reader {
    /// From the beginning on.
    pub fn new(schema: &AttributeSchema) -> Self {
        Self {
            schema: schema.clone(),
            reading: None,
            expected: None,
            oldest: None,
            after_sequence: 0,
            highest_ms: i64::MIN,
            found: Found::default(),
            known: BTreeMap::new(),
            current: None,
            is_begun: false,
            torn_bytes: 0,
            streamed_record: 0,
            is_late: false,
        }
    }

    /// Behind what somebody holds already, with what is known of the files up to there and of a stream.
    pub fn after(schema: &AttributeSchema, sequence: u64, highest_ms: i64, known: &Known<'_>) -> Self {
        let Known { files, stream, streamed_record, is_mixed } = *known;
        let known = files.iter().map(|file| (file.name.clone(), file.clone())).collect();
        let found = Found { stream, is_mixed, ..Found::default() };
        Self { after_sequence: sequence, highest_ms, known, found, streamed_record, ..Self::new(schema) }
    }

    /// Reads everything that has come since the last time. `false` where it was told not to go on.
    pub fn follow<S: Storage>(&mut self, storage: &mut S, each: &mut impl Each) -> Result<bool, ReplayError> {
        let mut names = storage.names().map_err(|source| ReplayError::Read { file: "the folder".into(), source })?;
        names.retain(|name| number_of(name).is_some());
        names.sort_unstable();
        for (place, name) in names.iter().enumerate() {
            let at = match &self.current {
                Some((current, _)) if name < current => continue,
                Some((current, at)) if name == current => *at,
                _ => {
                    let next = names.get(place + 1).and_then(|next| number_of(next));
                    self.begin(name);
                    let is_before = next.is_some_and(|next| next <= self.after_sequence.saturating_add(1));
                    if self.is_late && is_before {
                        self.current = Some((name.clone(), usize::MAX));
                        continue;
                    }
                    if is_before
                        && let Some(known) = self.known.get(name)
                        && is_as_long(storage, known)
                    {
                        // Everything in it is held already.
                        self.found.files.push(known.clone());
                        self.current = Some((name.clone(), usize::MAX));
                        continue;
                    }
                    0
                }
            };
            if at == usize::MAX {
                continue;
            }
            let bytes = match storage.read_from(name, at as u64) {
                Ok(bytes) => bytes,
                // Its owner has removed it since the names were read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(ReplayError::Read { file: name.clone(), source }),
            };
            let is_last = place + 1 == names.len();
            if at == 0 {
                if let Header::Version(version) = read_header(&bytes) {
                    return Err(ReplayError::Version { file: name.clone(), version });
                }
                if self.found.files.last().is_none_or(|file| file.name != *name) {
                    let first_sequence = match read_header(&bytes) {
                        Header::Good { first_sequence } => first_sequence,
                        // The name says it too.
                        _ => number_of(name).unwrap_or_default(),
                    };
                    // What is held already counts for the file as well.
                    let newest_ms = self.known.get(name).map_or(i64::MIN, |known| known.newest_ms);
                    self.found.files.push(FileInfo { name: name.clone(), first_sequence, bytes: 0, newest_ms });
                }
            }
            if let Some(file) = self.found.files.last_mut() {
                file.bytes = (at + bytes.len()) as u64;
            }
            if !self.file(name, at, &bytes, is_last, each) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives frames on that nobody had to read.
    pub fn frames(&mut self, bytes: &[u8], each: &mut impl Each) -> bool {
        parts(bytes, false).all(|part| match part {
            Part::Frame(frame) => self.frame(&frame, each),
            Part::Damage { .. } | Part::Torn { .. } => true,
        })
    }

    /// The number of the next record.
    pub fn next_sequence(&self) -> u64 {
        self.expected.unwrap_or(1).max(self.after_sequence.saturating_add(1))
    }

    /// The newest event time so far.
    pub fn highest_ms(&self) -> i64 {
        self.highest_ms
    }

    /// The number of the last record that came from a stream; 0 for none.
    pub fn streamed_record(&self) -> u64 {
        self.streamed_record
    }

    /// What was found so far.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// What was found.
    pub fn end(mut self) -> Found {
        self.found.torn_bytes += std::mem::take(&mut self.torn_bytes);
        self.found.next_sequence = self.next_sequence();
        self.found.release = self.reading.map(|reading| reading.note().clone());
        self.found
    }

    /// Goes on to another file. What stands at the end of the one before is not going to be completed.
    fn begin(&mut self, name: &str) {
        self.found.torn_bytes += std::mem::take(&mut self.torn_bytes);
        self.current = Some((name.to_owned(), 0));
        self.is_begun = false;
        self.oldest = self.oldest.or(number_of(name));
    }

    fn file(&mut self, name: &str, start: usize, bytes: &[u8], is_last: bool, each: &mut impl Each) -> bool {
        let mut read = start;
        self.torn_bytes = 0;
        if start == 0 {
            self.found.damage.retain(|damage| damage.file != name);
        }
        if start == 0 && !matches!(read_header(bytes), Header::Damaged) {
            read = HEADER_BYTES;
        }
        for part in parts(bytes, start == 0) {
            let goes_on = match part {
                Part::Frame(frame) => {
                    self.is_begun |= frame.records > 0;
                    read += frame.bytes();
                    self.frame(&frame, each)
                }
                Part::Damage { at, bytes } => {
                    read += bytes;
                    self.found.damage.push(Damage { file: name.to_owned(), at: start + at, bytes });
                    true
                }
                // It may be complete the next time.
                Part::Torn { bytes, .. } => {
                    self.torn_bytes = bytes as u64;
                    true
                }
            };
            if !goes_on {
                return false;
            }
        }
        // One that has no record yet may be made anew under the same name.
        let read = if is_last && !self.is_begun { 0 } else { read };
        self.current = Some((name.to_owned(), read));
        true
    }

    fn frame(&mut self, frame: &Frame<'_>, each: &mut impl Each) -> bool {
        let is_preamble = frame.records == 0;
        // What is older than the first file has been removed, and need not be there.
        let wanted = if self.after_sequence == 0 {
            self.oldest.unwrap_or(u64::MAX)
        } else {
            self.after_sequence.saturating_add(1)
        };
        let expected = *self.expected.get_or_insert(frame.first_sequence.min(wanted));
        if frame.first_sequence > expected {
            let missing_from = expected.max(self.after_sequence.saturating_add(1));
            self.found.lost += frame.first_sequence.saturating_sub(missing_from);
        }
        self.expected = Some(expected.max(frame.first_sequence + u64::from(frame.records)));
        for (place, bytes) in (0_u64..).zip(frame.iter()) {
            let sequence = frame.first_sequence + place;
            if (is_preamble || sequence >= expected)
                && sequence > self.after_sequence
                && let Some(position) = origin(bytes)
            {
                self.found.stream.taken = Some(position);
                self.streamed_record = sequence;
            }
            if !is_preamble && (sequence < expected || sequence <= self.after_sequence) {
                self.found.repeated += u64::from(sequence > self.after_sequence);
                // What later records build on is still to be known; how far a stream was worked off is held already.
                if is_release(bytes) || sequence > self.after_sequence {
                    match Record::read(bytes, self.reading.as_ref()) {
                        Some(Record::Release(note)) => self.reading = Some(Reading::new(note, &self.schema)),
                        Some(Record::Mark(mark)) if sequence >= expected => self.found.stream = mark,
                        _ => {}
                    }
                }
                continue;
            }
            // Later changes to the same lists are held already.
            if is_preamble && frame.first_sequence <= self.after_sequence && !is_release(bytes) {
                continue;
            }
            let Some(record) = Record::read(bytes, self.reading.as_ref()) else {
                self.found.unreadable += 1;
                continue;
            };
            if let Record::Transaction(answered) = &record {
                let time_ms = answered.transaction.time.unix_ms();
                self.highest_ms = self.highest_ms.max(time_ms);
                self.found.first_ms.get_or_insert(time_ms);
            }
            if !is_preamble && let Some(file) = self.found.files.last_mut() {
                file.newest_ms = file.newest_ms.max(self.highest_ms);
            }
            match &record {
                Record::Release(note) => self.reading = Some(Reading::new(note.clone(), &self.schema)),
                Record::Mark(mark) => self.found.stream = *mark,
                Record::Refill => self.found.is_mixed = false,
                _ => {}
            }
            self.found.is_mixed |= !is_preamble && matches!(record, Record::Release(_));
            self.found.records += u64::from(!is_preamble);
            let number = (!is_preamble).then_some(sequence);
            if !each(number, record, self.reading.as_ref()) {
                return false;
            }
        }
        true
    }
}

/// Whether a file is as long as it was. One that has grown may hold more, whatever number the next one has: a power cut
/// can leave the name of a file whose records never were, and what is written afterwards passes that number.
fn is_as_long<S: Storage>(storage: &mut S, known: &FileInfo) -> bool {
    let last = known.bytes.saturating_sub(1);
    storage.read_from(&known.name, last).is_ok_and(|rest| last + rest.len() as u64 == known.bytes)
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
    let known;
    let input = match record {
        Record::Transaction(answered) => {
            let Answered { transaction, decision, amount_base_minor, body, list_answers, .. } = &**answered;
            let rates = &scorer.release().settings.rates;
            // Sums are in the base currency of now; where it is another one, so are the rates.
            let is_same_base = reading.is_some_and(|reading| reading.note().base == rates.base());
            let converted = rates.to_base_minor(transaction.amount_minor, transaction.currency);
            let amount_base_minor = if is_same_base { *amount_base_minor } else { converted };
            let program = &scorer.release().program;
            known = reading.map(|reading| reading.list_answers(list_answers, program)).unwrap_or_default();
            Input::Answered { transaction, amount_base_minor, decision: *decision, body, list_answers: &known }
        }
        Record::Outcome(outcome) => Input::Outcome(outcome),
        Record::Label(label) => Input::Label(label),
        Record::ListChange(change) => Input::ListChanged(change),
        // What is replayed is what a refill makes.
        Record::Release(_) | Record::Mark(_) | Record::Refill => return,
    };
    match (scorer.apply(input), record) {
        (Output::Refused(Refusal { .. }), _) => replayed.refused += 1,
        (_, Record::Transaction(_)) => replayed.transactions += 1,
        _ => replayed.applied += 1,
    }
}

/// How long before the highest event time a transaction may still matter: to a window, to what is remembered of a key,
/// to an answer given again.
pub fn retention_ms(release: &Release) -> i64 {
    let windows = &release.settings.windows;
    let reach = |aggregate: &Aggregate| aggregate.window_ms.saturating_add(aggregate.delay_ms);
    let longest_ms = release.plan.aggregates.iter().map(reach).max().unwrap_or_default();
    longest_ms.max(windows.horizon_ms).max(windows.duplicates_ms).saturating_add(windows.lateness_ms)
}
