//! The files of lists and tables, line by line. What is wrong with a line is told without repeating what stands in it.

use csv::{ByteRecord, ReaderBuilder, Trim};
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::{
    ListFile, Store, TableFile, TableType, for_each_spelling, note_prefix,
    store::{Entry, Full},
};
use crate::scoring::{
    money::{Country, Currency, Money, NotMoney, Rates},
    time::{Timestamp, parse_span_ms},
    wire::is_card_number,
};

/// The longest value or key, in characters: the longest text a transaction may hold.
const VALUE_MAX_CHARACTERS: usize = 128;
/// After this many problems in one file the rest is not told.
const PROBLEMS_MAX: usize = 20;
/// How many bytes of a line are guessed to be value, to reserve room once.
const LINE_BYTES_GUESS: usize = 16;

/// What is wrong with a line of a list or a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineProblem {
    /// Counted from 1.
    pub line: u64,
    /// A stable code, explained by `gavel check --explain`.
    pub code: &'static str,
    /// What was found and what was expected.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

pub(super) fn parse_list(bytes: &[u8], problems: &mut Vec<LineProblem>) -> ListFile {
    parse_list_into(Store::with_capacity(bytes.len() / LINE_BYTES_GUESS, bytes.len()), bytes, problems)
}

pub(super) fn parse_list_into(mut entries: Store, bytes: &[u8], problems: &mut Vec<LineProblem>) -> ListFile {
    let mut prefixes = Vec::new();
    read_lines(bytes, problems, |fields| {
        let value = checked_text("value", fields.first().copied())?;
        let expires = match fields.get(1).copied().filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(expiry(text).ok_or_else(|| {
                Trouble::new("E402", "the second column is no date, expected the entry's expiry")
                    .hint("write `2026-12-31`, or `value,,comment` for a comment without an expiry")
            })?),
        };
        if fields.len() > 3 {
            return Err(Trouble::new(
                "E401",
                format!("{} columns, expected `value[,expires][,comment]`", fields.len()),
            )
            .hint("put a comment that holds commas between double quotes"));
        }
        let mut result = Ok(());
        for_each_spelling(value, |spelling, prefix| {
            note_prefix(&mut prefixes, prefix);
            // Of two lines with the same value the one that stays longest counts, so that their order does not matter.
            let expires_ms = match (entries.get(spelling), expires) {
                (None, expires) => expires.map(|expires| expires.unix_ms() as u64),
                (Some(Entry { word: None }), _) | (Some(_), None) => None,
                (Some(Entry { word: Some(known) }), Some(expires)) => {
                    Some((known as i64).max(expires.unix_ms()) as u64)
                }
            };
            if entries.get(spelling) != Some(Entry { word: expires_ms })
                && let Err(full) = entries.set(spelling, expires_ms)
            {
                result = Err(full.into());
            }
        });
        result
    });
    entries.shrink();
    ListFile { entries, prefixes, hash: *blake3::hash(bytes).as_bytes() }
}

pub(super) fn parse_table(bytes: &[u8], kind: TableType, rates: &Rates, problems: &mut Vec<LineProblem>) -> TableFile {
    let mut texts = Texts::default();
    let mut entries = Store::with_capacity(bytes.len() / LINE_BYTES_GUESS, bytes.len());
    read_lines(bytes, problems, |fields| {
        let &[key, value] = fields else {
            let columns = if fields.len() == 1 { "one column".to_owned() } else { format!("{} columns", fields.len()) };
            return Err(Trouble::new("E403", format!("{columns}, expected `key,value`")));
        };
        let key = checked_text("key", Some(key))?;
        let word = table_word(value, kind, rates, &mut texts)?;
        if entries.get(key).is_some_and(|known| known.word != Some(word)) {
            return Err(Trouble::new("E405", "this key stands on an earlier line with another value")
                .hint("keep one of the two lines"));
        }
        entries.set(key, Some(word)).map_err(Trouble::from)
    });
    entries.shrink();
    TableFile { kind, entries, texts: texts.all, hash: *blake3::hash(bytes).as_bytes() }
}

/// The lines of a list whose value is unlike what it is tested with, as `judge` tells with a hint. Lines that are wrong
/// by themselves are not among them.
pub fn unlike_lines(bytes: &[u8], judge: impl Fn(&str) -> Option<(String, Option<String>)>) -> Vec<LineProblem> {
    const UNLIKE: &str = "W317";
    let mut problems = Vec::new();
    read_lines(bytes, &mut problems, |fields| {
        let Some((message, hint)) = fields.first().and_then(|value| judge(value)) else { return Ok(()) };
        Err(Trouble { code: UNLIKE, message, hint })
    });
    problems.retain(|problem| problem.code == UNLIKE);
    problems
}

/// What is wrong, before its line is known.
struct Trouble {
    code: &'static str,
    message: String,
    hint: Option<String>,
}

impl Trouble {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Full> for Trouble {
    fn from(_: Full) -> Self {
        Self::new("E406", "the entries take more than 4 GiB, which is the most a list can hold")
    }
}

fn read_lines(bytes: &[u8], problems: &mut Vec<LineProblem>, mut each: impl FnMut(&[&str]) -> Result<(), Trouble>) {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(bytes);
    let mut record = ByteRecord::new();
    let mut untold: u64 = 0;
    let mut last_line = 1;
    // Reading from memory into records of any length cannot fail.
    while let Ok(true) = reader.read_byte_record(&mut record) {
        let offset = record.position().map_or(0, |position| position.byte() as usize);
        let raw = bytes.get(offset..reader.position().byte() as usize).unwrap_or_default();
        // The reader leaves the second half of a line's end, and blank lines, to the next record.
        let blank = raw.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let Err(trouble) = read_record(&record, &raw[blank..], &mut each) else { continue };
        let line = memchr::memchr_iter(b'\n', &bytes[..offset + blank]).count() as u64 + 1;
        last_line = line;
        if problems.len() < PROBLEMS_MAX {
            problems.push(LineProblem { line, code: trouble.code, message: trouble.message, hint: trouble.hint });
        } else {
            untold += 1;
        }
    }
    if untold > 0 {
        let message = format!("{untold} more lines are wrong, this is the last");
        problems.push(LineProblem { line: last_line, code: "E401", message, hint: None });
    }
}

fn read_record(
    record: &ByteRecord,
    raw: &[u8],
    each: &mut impl FnMut(&[&str]) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    /// One more than a list has columns, so that too many are seen.
    const COLUMNS_MAX: usize = 4;
    if raw.first() == Some(&b'#') {
        return Err(Trouble::new("E401", "a line that begins with `#`, expected an entry")
            .hint("there are no comment lines: put the comment in a column, or the value between double quotes"));
    }
    let mut fields = [""; COLUMNS_MAX];
    for (field, bytes) in fields.iter_mut().zip(record) {
        *field = std::str::from_utf8(bytes).map_err(|_| Trouble::new("E401", "the line is not UTF-8"))?;
    }
    // What an open quote has swallowed are entries.
    if is_quote_open(raw) || record.iter().any(|bytes| bytes.contains(&b'\n') || bytes.contains(&b'\r')) {
        return Err(
            Trouble::new("E401", "a value or a comment goes over several lines").hint("a double quote is not closed")
        );
    }
    if record.iter().all(<[u8]>::is_empty) {
        return if record.len() <= 1 { Ok(()) } else { Err(Trouble::new("E401", "the line has no value")) };
    }
    each(&fields[..record.len().min(COLUMNS_MAX)])
}

/// Whether a record ends inside a quoted field, which it only can where the file does.
fn is_quote_open(raw: &[u8]) -> bool {
    let (mut is_open, mut begins, mut bytes) = (false, true, raw.iter().peekable());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if is_open => is_open = bytes.next_if_eq(&&b'"').is_some(),
            b'"' if begins => is_open = true,
            _ => {}
        }
        begins = !is_open && matches!(byte, b',' | b'\n' | b'\r');
    }
    is_open
}

fn checked_text<'t>(what: &str, text: Option<&'t str>) -> Result<&'t str, Trouble> {
    let text = text.unwrap_or_default();
    if text.is_empty() {
        return Err(Trouble::new("E401", format!("the line has no {what}")));
    }
    if is_card_number(text) {
        return Err(Trouble::new("E408", format!("the {what} is a raw card number"))
            .hint("transactions carry a token of it: list that"));
    }
    let length = text.chars().count();
    if length > VALUE_MAX_CHARACTERS {
        let message = format!("the {what} has {length} characters, at most {VALUE_MAX_CHARACTERS} are possible");
        return Err(Trouble::new("E401", message));
    }
    Ok(text)
}

/// A date stands for its first moment, in UTC.
fn expiry(text: &str) -> Option<Timestamp> {
    Timestamp::parse_date(text).or_else(|| Timestamp::parse_rfc3339(text))
}

fn table_word(value: &str, kind: TableType, rates: &Rates, texts: &mut Texts) -> Result<u64, Trouble> {
    let unlike = |example: &str| {
        let article = if kind == TableType::Integer { "an" } else { "a" };
        Trouble::new("E404", format!("the value is not {article} {}", kind.name()))
            .hint(format!("expected a value such as `{example}`"))
    };
    match kind {
        TableType::Money => Ok(money_base_minor(value, rates)? as u64),
        TableType::Number => {
            let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
            // Words such as `inf` and `NaN` are numbers to Rust and not to people.
            let plain = value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-'));
            number.filter(|_| plain).map(f64::to_bits).ok_or_else(|| unlike("0.25"))
        }
        TableType::Integer => value.parse::<i64>().map(|integer| integer as u64).map_err(|_| unlike("42")),
        TableType::Text => Ok(texts.place(checked_text("value", Some(value))?)),
        TableType::Country => {
            let meant = |trouble: Trouble| match Country::meant_by(value) {
                Some(code) => trouble.hint(format!("did you mean `{code}`?")),
                None => trouble,
            };
            let country = Country::from_code(value).ok_or_else(|| meant(unlike("FR")))?;
            Ok(country.code().bytes().fold(0, |word, byte| word << 8 | u64::from(byte)))
        }
        TableType::Duration => parse_span_ms(value).map(|ms| ms as u64).ok_or_else(|| unlike("24h")),
        TableType::Boolean => match value {
            "true" => Ok(1),
            "false" => Ok(0),
            _ => Err(unlike("true")),
        },
    }
}

fn money_base_minor(text: &str, rates: &Rates) -> Result<i64, Trouble> {
    let Money { minor, currency } = Money::parse(text).map_err(|problem| match problem {
        NotMoney::Shape | NotMoney::Currency => {
            let meant = text.split_once(' ').and_then(|(number, code)| Some((number, Currency::meant_by(code)?)));
            let hint = match meant.filter(|_| problem == NotMoney::Currency) {
                Some((number, code)) => format!("did you mean `{number} {code}`?"),
                None => "expected a value such as `500 EUR`".to_owned(),
            };
            Trouble::new("E404", "the value is not money").hint(hint)
        }
        NotMoney::Decimals { found, currency } => {
            let (code, exponent) = (currency.code(), currency.exponent());
            Trouble::new("E404", format!("the value has {found} decimals, {code} has {exponent}"))
        }
        NotMoney::Large => {
            Trouble::new("E404", "the value has more than 15 digits, counted in the currency's minor unit")
        }
    })?;
    rates.to_base_minor(minor, currency).ok_or_else(|| {
        Trouble::new("E404", format!("{} has no rate to {}", currency.code(), rates.base().code()))
            .hint(format!("add `{} = \"…\"` to [rates] in the configuration", currency.code()))
    })
}

/// The texts of a table's values, each kept once.
#[derive(Default)]
struct Texts {
    all: Vec<Box<str>>,
    places: HashMap<Box<str>, u64, FxBuildHasher>,
}

impl Texts {
    fn place(&mut self, text: &str) -> u64 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = self.all.len() as u64;
        self.all.push(text.into());
        self.places.insert(text.into(), place);
        place
    }
}
