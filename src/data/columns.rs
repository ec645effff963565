//! CSV: the columns that a header names, and rows as their fields. It checks no value.

use std::io;

use csv_core::{ReadRecordResult, ReaderBuilder, Terminator};

use super::{
    error::DataError,
    lines::{LINE_MAX_BYTES, LineRead, Lines},
};
use crate::scoring::field::{AttributeSchema, Field};

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Field(Field),
    Attribute(String),
    Processor,
    Label,
    LabelTime,
    Ignored,
}

const REQUIRED: [(Field, &str); 5] = [
    (Field::Id, "id"),
    (Field::Time, "time"),
    (Field::Card, "card"),
    (Field::Amount, "amount"),
    (Field::Currency, "currency"),
];

impl Column {
    /// The column of a name.
    pub(super) fn of_name(name: &str, schema: &AttributeSchema) -> Self {
        match name {
            "processor" => Self::Processor,
            "label" => Self::Label,
            "label_time" => Self::LabelTime,
            _ => match (Field::from_name(name), name.strip_prefix("attributes.")) {
                (Some(field), _) => Self::Field(field),
                (None, Some(key)) if schema.find(key).is_some() => Self::Attribute(key.to_owned()),
                _ => Self::Ignored,
            },
        }
    }
}

/// Rows of a CSV file as text fields. Quoted fields may hold line breaks.
pub(super) struct Records {
    pub(super) lines: Lines,
    pub(super) columns: Vec<Column>,
    /// The names of the columns that are ignored.
    pub(super) unknown: Vec<String>,
    parser: csv_core::Reader,
    /// The lines of the row as they came.
    raw: Vec<u8>,
    fields: Fields,
}

/// The fields of one row: text and where each field of it ends.
#[derive(Default)]
struct Fields {
    text: Vec<u8>,
    ends: Vec<usize>,
    /// How much of `text` and `ends` the parser has filled.
    text_length: usize,
    ends_length: usize,
}

/// What there was to read.
pub(super) enum RecordRead<'r> {
    /// As many fields as columns.
    Fields(FieldTexts<'r>),
    /// A row that is none, and why.
    Bad(&'static str),
    /// A row longer than a message may be.
    TooLong,
    /// No more rows.
    End,
}

/// The fields of a row with their columns, in the order of the header.
pub(super) struct FieldTexts<'r> {
    columns: &'r [Column],
    text: &'r str,
    ends: &'r [usize],
    /// What stands between two fields: a comma in a line as it came, nothing after unquoting.
    gap: usize,
}

impl<'r> FieldTexts<'r> {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'r Column, &'r str)> {
        self.columns.iter().zip(self.texts())
    }

    fn texts(&self) -> impl Iterator<Item = &'r str> + use<'r> {
        let (text, gap) = (self.text, self.gap);
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let field = text.get(start..end).unwrap_or_default();
            start = end + gap;
            field
        })
    }
}

impl Records {
    /// Reads the header and finds its columns.
    pub(super) fn open(name: &str, mut lines: Lines, schema: &AttributeSchema) -> Result<Self, DataError> {
        let failed = |cause| DataError::Read { name: name.to_owned(), cause };
        let bad_header = || DataError::Header { name: name.to_owned() };
        let mut raw = Vec::new();
        while raw.trim_ascii().is_empty() {
            raw.clear();
            match lines.read(&mut raw).map_err(failed)? {
                LineRead::Line => {}
                LineRead::TooLong => return Err(bad_header()),
                LineRead::End => return Err(DataError::NoHeader { name: name.to_owned() }),
            }
        }
        let mut records = Self {
            lines,
            columns: Vec::new(),
            unknown: Vec::new(),
            parser: ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build(),
            raw,
            fields: Fields::default(),
        };
        if std::str::from_utf8(&records.raw).is_err() || !records.parse_quoted(0) {
            return Err(bad_header());
        }
        let names: Vec<String> = records.quoted().texts().map(|name| name.trim().to_owned()).collect();
        records.columns = names.iter().map(|name| Column::of_name(name, schema)).collect();
        for (index, (column, column_name)) in records.columns.iter().zip(&names).enumerate() {
            if *column == Column::Ignored {
                records.unknown.push(column_name.clone());
            } else if records.columns[..index].contains(column) {
                return Err(DataError::RepeatedColumn { name: name.to_owned(), column: column_name.clone() });
            }
        }
        let missing: Vec<String> = REQUIRED
            .iter()
            .filter(|(field, _)| !records.columns.contains(&Column::Field(*field)))
            .map(|(_, required)| format!("`{required}`"))
            .collect();
        if !missing.is_empty() {
            return Err(DataError::MissingColumns { name: name.to_owned(), columns: missing.join(", ") });
        }
        Ok(records)
    }

    /// The next row that is not blank, and the number of the line it starts on.
    pub(super) fn read(&mut self) -> io::Result<(u64, RecordRead<'_>)> {
        let read = loop {
            self.raw.clear();
            match self.lines.read(&mut self.raw)? {
                LineRead::Line if self.raw.is_empty() => {}
                read => break read,
            }
        };
        let line = self.lines.number;
        let record = match read {
            LineRead::Line if memchr::memchr(b'"', &self.raw).is_some() => self.read_quoted()?,
            LineRead::Line => self.read_plain(),
            LineRead::TooLong => RecordRead::TooLong,
            LineRead::End => RecordRead::End,
        };
        Ok((line, record))
    }

    /// A row without quotes is its line, cut at the commas.
    fn read_plain(&mut self) -> RecordRead<'_> {
        let Ok(text) = std::str::from_utf8(&self.raw) else { return RecordRead::Bad(NOT_UTF8) };
        let ends = &mut self.fields.ends;
        ends.clear();
        ends.extend(memchr::memchr_iter(b',', &self.raw));
        ends.push(text.len());
        if ends.len() != self.columns.len() {
            return RecordRead::Bad(WRONG_COUNT);
        }
        RecordRead::Fields(FieldTexts { columns: &self.columns, text, ends, gap: 1 })
    }

    /// A row with quotes, which may go on over the next lines. Where it does not come to a good end there, the first
    /// line alone is refused: one stray quote must not swallow the rows after it.
    fn read_quoted(&mut self) -> io::Result<RecordRead<'_>> {
        let first_line_length = self.raw.len();
        let mut more_lines = 0;
        let mut at = 0;
        let is_whole = loop {
            if self.parse_quoted(at) {
                break true;
            }
            at = self.raw.len() + 1;
            self.raw.push(b'\n');
            let before = self.raw.len();
            let read = self.lines.read(&mut self.raw)?;
            if read == LineRead::Line {
                more_lines += 1;
            }
            if read != LineRead::Line || self.raw.len() > LINE_MAX_BYTES {
                // A line that is too long is lost with the row that ran into it.
                self.raw.truncate(if read == LineRead::Line { self.raw.len() } else { before - 1 });
                break false;
            }
        };
        let problem = if !is_whole || (more_lines > 0 && !is_well_quoted(&self.raw)) {
            Some(OPEN_QUOTE)
        } else if self.fields.ends_length != self.columns.len() {
            Some(WRONG_COUNT)
        } else if std::str::from_utf8(&self.raw).is_err() {
            Some(NOT_UTF8)
        } else {
            None
        };
        if let Some(problem) = problem {
            if more_lines > 0 {
                self.lines.take_back(&self.raw[first_line_length + 1..], more_lines);
            }
            return Ok(RecordRead::Bad(problem));
        }
        Ok(RecordRead::Fields(self.quoted()))
    }

    /// Feeds the parser with the raw text from `at` on; whether the row has come to its end. From 0 on it starts anew.
    fn parse_quoted(&mut self, at: usize) -> bool {
        let Self { parser, raw, fields, columns, .. } = self;
        if at == 0 {
            parser.reset();
            (fields.text_length, fields.ends_length) = (0, 0);
        }
        // Unquoted text is never longer than what came, and its line feed.
        fields.text.resize(raw.len() + 1, 0);
        // The header has no columns to compare with yet.
        fields.ends.resize(if columns.is_empty() { raw.len() + 1 } else { columns.len() + 1 }, 0);
        for mut input in [&raw[at..], b"\n"] {
            // To the parser, an empty input is the end of the file.
            while !input.is_empty() {
                let (read, used, text_more, ends_more) = parser.read_record(
                    input,
                    &mut fields.text[fields.text_length..],
                    &mut fields.ends[fields.ends_length..],
                );
                fields.text_length += text_more;
                fields.ends_length += ends_more;
                input = &input[used..];
                match read {
                    // Full ends mean more columns than the header has: however many, the count is wrong.
                    ReadRecordResult::Record
                    | ReadRecordResult::End
                    | ReadRecordResult::OutputEndsFull
                    | ReadRecordResult::OutputFull => return true,
                    ReadRecordResult::InputEmpty => {}
                }
            }
        }
        false
    }

    fn quoted(&self) -> FieldTexts<'_> {
        let Fields { text, ends, text_length, ends_length } = &self.fields;
        // Unquoting takes ASCII away from text that was UTF-8, so it still is.
        let text = std::str::from_utf8(&text[..*text_length]).unwrap_or_default();
        FieldTexts { columns: &self.columns, text, ends: &ends[..*ends_length], gap: 0 }
    }
}

/// Whether every quote that opens a field is closed right before a comma or the end. The parser is more generous, but
/// over several lines a closing quote elsewhere is most likely the opening one of a later row.
fn is_well_quoted(row: &[u8]) -> bool {
    let mut rest = row;
    loop {
        if let Some(mut quoted) = rest.strip_prefix(b"\"") {
            loop {
                let Some(end) = memchr::memchr(b'"', quoted) else { return false };
                quoted = &quoted[end + 1..];
                match quoted.strip_prefix(b"\"") {
                    Some(after) => quoted = after,
                    None => break,
                }
            }
            rest = quoted;
            if !rest.is_empty() && rest[0] != b',' {
                return false;
            }
        }
        match memchr::memchr(b',', rest) {
            Some(comma) => rest = &rest[comma + 1..],
            None => return true,
        }
    }
}

const NOT_UTF8: &str = "the row is not UTF-8";
const WRONG_COUNT: &str = "the row has another number of columns than the header";
const OPEN_QUOTE: &str = "the row opens a quote that is not closed";
