//! Rows of a data file: a checked transaction or its refusal, with its label. A bad row never ends the reading.

use std::{borrow::Cow, path::Path};

use super::{
    columns::{Column, FieldTexts, RecordRead, Records},
    error::DataError,
    json::RawRow,
    lines::{LINE_MAX_BYTES, LineRead, Lines},
    source::{FileFormat, Position, Source},
};
use crate::scoring::{
    field::{AttributeSchema, Field},
    refusal::{Refusal, RefusalClass},
    time::Timestamp,
    transaction::Transaction,
    wire::{Raw, RawTransaction, Route, check_transaction, is_card_number, is_token},
};

/// The processor of a row that names none.
pub const DEFAULT_PROCESSOR: &str = "file";

/// A row of a data file. Its text is borrowed from the reader until the next row.
pub struct Row<'r> {
    /// The number of the line it starts on, from 1.
    pub line: u64,
    /// The transaction, or why there is none.
    pub transaction: Result<Transaction<'r>, Refusal>,
    /// Its event time, which one that is refused may have too.
    pub time: Option<Timestamp>,
    /// Whether it is fraud, where that is told.
    pub label: Option<bool>,
    /// When the label became known; without it, it is never shown to the windows.
    pub label_time: Option<Timestamp>,
}

/// What was found beside the rows, to be said once at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Columns that no field or declared attribute is named after.
    pub unknown_columns: Vec<String>,
    /// Fields of JSON rows that are ignored.
    pub unknown_fields: u64,
    /// Labels that are neither 1 nor 0; they count as missing.
    pub unreadable_labels: u64,
    /// Label times that are no times; they count as missing.
    pub unreadable_label_times: u64,
}

impl Notes {
    /// The same in words.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.unknown_columns.is_empty() {
            let names: Vec<String> = self.unknown_columns.iter().map(|name| format!("`{name}`")).collect();
            lines.push(format!("ignored columns that no field or declared attribute has: {}", names.join(", ")));
        }
        let counts = [
            (self.unknown_fields, "ignored fields that are unknown"),
            (self.unreadable_labels, "ignored labels other than 1, 0 and nothing"),
            (self.unreadable_label_times, "ignored label times that are no times"),
        ];
        lines.extend(counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what}: {count}")));
        lines
    }
}

/// Reads the rows of a file one by one, holding one at a time.
pub struct Rows {
    name: String,
    reader: Reader,
    schema: AttributeSchema,
    position: Position,
    notes: Notes,
}

enum Reader {
    Csv(Box<Records>),
    JsonLines { lines: Lines, line: Vec<u8> },
}

impl Rows {
    /// Opens a file, or standard input as `-`.
    pub fn open(path: &Path, schema: &AttributeSchema) -> Result<Self, DataError> {
        Self::new(Source::open(path)?, schema)
    }

    /// The rows of an open source.
    pub fn new(source: Source, schema: &AttributeSchema) -> Result<Self, DataError> {
        let lines = Lines::new(source.reader);
        let mut notes = Notes::default();
        let reader = match source.format {
            FileFormat::Csv => {
                let records = Records::open(&source.name, lines, schema)?;
                notes.unknown_columns.clone_from(&records.unknown);
                Reader::Csv(Box::new(records))
            }
            FileFormat::JsonLines => Reader::JsonLines { lines, line: Vec::new() },
        };
        Ok(Self { name: source.name, reader, schema: schema.clone(), position: source.position, notes })
    }

    /// The next row; `None` at the end of the file.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, DataError> {
        let Self { name, reader, schema, notes, .. } = self;
        match reader {
            Reader::Csv(records) => next_record(records, schema, notes),
            Reader::JsonLines { lines, line } => next_object(lines, line, schema, notes),
        }
        .map_err(|cause| DataError::Read { name: name.clone(), cause })
    }

    /// What was found beside the rows so far.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// How far the file has been read; it can be watched while the rows are read.
    pub fn position(&self) -> Position {
        self.position.clone()
    }
}

fn next_record<'r>(
    records: &'r mut Records,
    schema: &AttributeSchema,
    notes: &mut Notes,
) -> std::io::Result<Option<Row<'r>>> {
    let (line, read) = records.read()?;
    let row = match read {
        RecordRead::Fields(fields) => from_columns(line, &fields, schema, notes),
        RecordRead::Bad(problem) => refused(line, bad_row(problem)),
        RecordRead::TooLong => refused(line, too_long()),
        RecordRead::End => return Ok(None),
    };
    Ok(Some(row))
}

fn next_object<'r>(
    lines: &mut Lines,
    text: &'r mut Vec<u8>,
    schema: &AttributeSchema,
    notes: &mut Notes,
) -> std::io::Result<Option<Row<'r>>> {
    let read = loop {
        text.clear();
        match lines.read(text)? {
            LineRead::Line if text.iter().all(u8::is_ascii_whitespace) => {}
            read => break read,
        }
    };
    let line = lines.number;
    let row = match read {
        LineRead::Line => from_json(line, text, schema, notes),
        LineRead::TooLong => refused(line, too_long()),
        LineRead::End => return Ok(None),
    };
    Ok(Some(row))
}

fn from_columns<'r>(line: u64, fields: &FieldTexts<'r>, schema: &AttributeSchema, notes: &mut Notes) -> Row<'r> {
    let mut raw = RawTransaction::from_columns();
    let (mut processor, mut label, mut label_time) = (Raw::Absent, Raw::Absent, Raw::Absent);
    for (column, text) in fields.iter() {
        if text.is_empty() {
            continue;
        }
        let value = Raw::Text(Cow::Borrowed(text));
        match column {
            Column::Field(field) => raw.set(*field, value),
            Column::Attribute(key) => raw.set_attribute(Cow::Owned(key.clone()), value),
            Column::Processor => processor = value,
            Column::Label => label = value,
            Column::LabelTime => label_time = value,
            Column::Ignored => {}
        }
    }
    checked(line, RawRow { transaction: raw, processor, label, label_time }, schema, notes)
}

fn from_json<'r>(line: u64, text: &'r [u8], schema: &AttributeSchema, notes: &mut Notes) -> Row<'r> {
    let read = serde_json::from_slice::<RawRow<'r>>(text);
    match read.or_else(|error| RawRow::read_leniently(text).ok_or(error)) {
        Ok(raw) => {
            let of_no_contract = raw.transaction.unknown_fields;
            let row = checked(line, raw, schema, notes);
            // Checking finds the attributes that are not declared; a refused row is told by its refusal.
            let ignored = row.transaction.as_ref().map_or(of_no_contract, |transaction| transaction.unknown_fields);
            notes.unknown_fields += u64::from(ignored);
            row
        }
        Err(error) => refused(line, unreadable_json(&error)),
    }
}

fn checked<'r>(line: u64, raw: RawRow<'r>, schema: &AttributeSchema, notes: &mut Notes) -> Row<'r> {
    let RawRow { transaction, processor, label, label_time } = raw;
    let label = read_label(&label).unwrap_or_else(|()| {
        notes.unreadable_labels += 1;
        None
    });
    let label_time = read_time(&label_time).unwrap_or_else(|()| {
        notes.unreadable_label_times += 1;
        None
    });
    let time = read_time(transaction.field(Field::Time)).ok().flatten();
    let transaction = read_processor(processor).and_then(|processor| {
        let route = Route { processor: DEFAULT_PROCESSOR, card: None };
        let mut transaction = check_transaction(transaction, route, schema)?;
        if let Some(processor) = processor {
            transaction.processor = processor;
        }
        Ok(transaction)
    });
    Row { line, transaction, time, label, label_time }
}

fn read_label(raw: &Raw<'_>) -> Result<Option<bool>, ()> {
    match raw {
        Raw::Absent | Raw::Null => Ok(None),
        Raw::Text(text) if text.is_empty() => Ok(None),
        Raw::Integer(1) => Ok(Some(true)),
        Raw::Integer(0) => Ok(Some(false)),
        Raw::Text(text) if text == "1" => Ok(Some(true)),
        Raw::Text(text) if text == "0" => Ok(Some(false)),
        _ => Err(()),
    }
}

fn read_time(raw: &Raw<'_>) -> Result<Option<Timestamp>, ()> {
    let time = match raw {
        Raw::Absent | Raw::Null => return Ok(None),
        Raw::Text(text) if text.is_empty() => return Ok(None),
        Raw::Integer(ms) => Timestamp::from_unix_ms(*ms),
        Raw::Text(text) => match text.parse() {
            Ok(ms) => Timestamp::from_unix_ms(ms),
            Err(_) => Timestamp::parse_rfc3339(text),
        },
        _ => None,
    };
    time.map(Some).ok_or(())
}

fn read_processor(raw: Raw<'_>) -> Result<Option<Cow<'_, str>>, Refusal> {
    match raw {
        Raw::Absent | Raw::Null => Ok(None),
        Raw::Text(text) if text.is_empty() => Ok(None),
        Raw::Text(text) if is_card_number(&text) => {
            Err(Refusal::invalid("processor", "processor is a raw card number, expected a name"))
        }
        Raw::Text(text) if is_token(&text) => Ok(Some(text)),
        other => {
            let found = if matches!(other, Raw::Text(_)) { "a text with other characters" } else { other.found() };
            let expected = "expected a token of 1 to 64 letters, digits, _ or -";
            Err(Refusal::invalid("processor", format!("processor is {found}, {expected}")))
        }
    }
}

fn refused<'r>(line: u64, refusal: Refusal) -> Row<'r> {
    Row { line, transaction: Err(refusal), time: None, label: None, label_time: None }
}

fn bad_row(problem: &'static str) -> Refusal {
    Refusal::of(RefusalClass::BadInput, "invalid_row", problem)
}

fn too_long() -> Refusal {
    let message = format!("the row has more than {LINE_MAX_BYTES} bytes");
    Refusal::of(RefusalClass::TooLarge, "too_large", message)
}

/// The parser's own message may repeat a value, so only the position is told.
fn unreadable_json(error: &serde_json::Error) -> Refusal {
    let message = match error.classify() {
        serde_json::error::Category::Data => "the row is JSON but not an object".to_owned(),
        serde_json::error::Category::Eof => format!("the JSON ends too early, at column {}", error.column()),
        _ => format!("the row is not readable as JSON in UTF-8, from column {}", error.column()),
    };
    Refusal::of(RefusalClass::BadInput, "invalid_json", message)
}
