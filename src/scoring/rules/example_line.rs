//! One line of an example, taken apart: how often, when, and which fields. It knows nothing of the lines before it.

use std::{borrow::Cow, ops::Range};

use super::wording::{did_you_mean, shortened};
use crate::scoring::{
    field::{AttributeSchema, Field},
    money::{Currency, Money},
    time::{HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp, parse_span_ms},
    transaction::{LabelKind, OutcomeKind},
};

/// An example has at most this many transactions, so that checking never takes long.
pub(super) const TRANSACTIONS_MAX: usize = 10_000;
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// What is wrong with a line, in bytes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// A line, taken apart.
#[derive(Default)]
pub(super) struct Line<'l> {
    pub(super) repeat: usize,
    pub(super) every_ms: Option<i64>,
    pub(super) when: Option<When>,
    pub(super) fields: Vec<Assignment<'l>>,
}

/// `field=value`, each with its place in the line.
pub(super) struct Assignment<'l> {
    pub(super) name: &'l str,
    pub(super) value: &'l str,
    pub(super) span: Range<usize>,
}

/// When the first transaction of a line happens.
pub(super) enum When {
    /// This long after the transaction before.
    After(i64),
    /// This long after the example's beginning.
    Since(i64),
    At(Timestamp),
    /// The next time a clock shows this, in milliseconds of the day, on that day of the week if one is named.
    Clock {
        weekday: Option<i64>,
        day_ms: i64,
    },
}

pub(super) fn field_names() -> impl Iterator<Item = &'static str> {
    let schema = AttributeSchema::default();
    let fixed = Field::FIXED.iter().filter_map(move |field| match field.name(&schema) {
        Cow::Borrowed(name) => Some(name),
        Cow::Owned(_) => None,
    });
    fixed.chain(["outcome", "label", "score", "every", "after"])
}

pub(super) fn parse_line(text: &str) -> Result<Line<'_>, Trouble> {
    let mut line = Line { repeat: 1, ..Line::default() };
    let mut words = split_words(text)?.into_iter().peekable();
    if let Some(first) = words.peek().cloned()
        && let Some(number) = first.text.strip_suffix('x').or(Some(first.text)).filter(|number| is_number(number))
    {
        words.next();
        let attached = number.len() < first.text.len();
        let followed = !attached && words.next_if(|word| word.text == "x").is_some();
        let repeat = number.parse().ok().filter(|repeat| (1..=TRANSACTIONS_MAX).contains(repeat));
        match repeat {
            Some(repeat) if attached || followed => line.repeat = repeat,
            Some(_) => {
                return Err(first.trouble("a number stands alone").hint(format!("write `{number} x` to repeat")));
            }
            None => {
                let message = format!("a transaction repeats 1 to {TRANSACTIONS_MAX} times");
                return Err(first.trouble(message));
            }
        }
    }
    while let Some(word) = words.next() {
        match word.text {
            "every" | "after" => {
                let span = words.next();
                let ms = span.as_ref().and_then(|span| parse_span_ms(span.text));
                let Some(ms) = ms else {
                    let at = span.unwrap_or(word.clone());
                    let message = format!("`{}` is followed by no length of time", word.text);
                    return Err(at.trouble(message).hint(format!("write `{} 30s`", word.text)));
                };
                match word.text {
                    "every" if line.every_ms.is_none() => line.every_ms = Some(ms),
                    "after" if line.when.is_none() => line.when = Some(When::After(ms)),
                    _ => return Err(word.trouble("the time is there twice")),
                }
            }
            "at" => {
                let first = words.next();
                let weekday = first.as_ref().and_then(|word| parse_weekday(word.text));
                let clock = if weekday.is_some() { words.next() } else { first };
                let when = clock.as_ref().and_then(|clock| parse_when(clock.text, weekday));
                let Some(when) = when else {
                    let at = clock.unwrap_or(word.clone());
                    let hint = "write `at +1h`, `at 03:00`, `at sat 23:30` or `at 2026-01-05T03:00:00Z`";
                    return Err(at.trouble("`at` is followed by no time").hint(hint));
                };
                if line.when.replace(when).is_some() {
                    return Err(word.trouble("the time is there twice"));
                }
            }
            assignment => {
                let Some((name, value)) = assignment.split_once('=') else {
                    let mut trouble = word.trouble(format!("`{}` is no `field=value`", shortened(assignment)));
                    trouble.hint = match Field::from_name(assignment) {
                        Some(_) => Some(format!("write its value behind it: `{assignment}=…`")),
                        None => did_you_mean(assignment, field_names()),
                    };
                    return Err(trouble);
                };
                let unquoted = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).unwrap_or(value);
                if unquoted.is_empty() {
                    return Err(word
                        .trouble(format!("`{}` has no value", shortened(name)))
                        .hint("leave the field out if it is missing"));
                }
                line.fields.push(Assignment { name, value: unquoted, span: word.span.clone() });
            }
        }
    }
    if line.every_ms.is_some() && line.repeat == 1 {
        let message = "`every` without a repetition".to_owned();
        return Err(Trouble { span: 0..text.len(), message, hint: Some("begin with how often: `9 x`".to_owned()) });
    }
    Ok(line)
}

#[derive(Clone)]
struct Word<'l> {
    text: &'l str,
    span: Range<usize>,
}

impl Word<'_> {
    fn trouble(&self, message: impl Into<String>) -> Trouble {
        Trouble { span: self.span.clone(), message: message.into(), hint: None }
    }
}

impl Trouble {
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Words are parted by blanks; between single quotes a blank belongs to the word.
fn split_words(text: &str) -> Result<Vec<Word<'_>>, Trouble> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    for (at, letter) in text.char_indices() {
        match letter {
            '\'' if quote.is_some() => quote = None,
            '\'' => {
                quote = Some(at);
                start.get_or_insert(at);
            }
            letter if letter.is_whitespace() && quote.is_none() => {
                if let Some(start) = start.take() {
                    words.push(Word { text: &text[start..at], span: start..at });
                }
            }
            _ => {
                start.get_or_insert(at);
            }
        }
    }
    if let Some(at) = quote {
        return Err(Trouble { span: at..text.len(), message: "a single quote is not closed".to_owned(), hint: None });
    }
    if let Some(start) = start {
        words.push(Word { text: &text[start..], span: start..text.len() });
    }
    Ok(words)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_weekday(text: &str) -> Option<i64> {
    WEEKDAYS.iter().position(|day| *day == text).map(|index| index as i64 + 1)
}

fn parse_when(text: &str, weekday: Option<i64>) -> Option<When> {
    if let Some(day_ms) = parse_clock(text) {
        return Some(When::Clock { weekday, day_ms });
    }
    if weekday.is_some() {
        return None;
    }
    match text.strip_prefix('+') {
        Some(span) => parse_span_ms(span).map(When::Since),
        None => Timestamp::parse_rfc3339(text).map(When::At),
    }
}

/// `03:00` or `03:00:30`, in milliseconds of the day.
fn parse_clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let mut part = |limit: i64| {
        let part = parts.next()?;
        (part.len() == 2 && is_number(part)).then(|| part.parse::<i64>().ok()).flatten().filter(|part| *part < limit)
    };
    let (hours, minutes) = (part(24)?, part(60)?);
    let seconds = if text.len() > "03:00".len() { part(60)? } else { 0 };
    parts.next().is_none().then_some(hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS)
}

/// `4.99EUR`, in minor units.
pub(super) fn parse_money(text: &str) -> Option<(i64, Currency)> {
    let letters = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, code) = text.split_at(letters);
    let currency = Currency::from_code(code)?;
    Money::minor_of(number, currency).ok().map(|minor| (minor, currency))
}

pub(super) fn parse_outcome(text: &str) -> Result<(OutcomeKind, Option<Currency>), &'static str> {
    match text.split_once(':') {
        None if text == "approved" => Ok((OutcomeKind::Approved, None)),
        None if text == "declined" => Ok((OutcomeKind::Declined, None)),
        Some(("partial", money)) => match parse_money(money) {
            Some((amount_minor, currency)) => Ok((OutcomeKind::Partial { amount_minor }, Some(currency))),
            None => Err("`outcome` is `partial` of no money, expected `partial:4.99EUR`"),
        },
        _ => Err("`outcome` is another word, expected `approved`, `declined` or `partial:4.99EUR`"),
    }
}

pub(super) fn parse_label(text: &str) -> Option<LabelKind> {
    match text {
        "fraud" => Some(LabelKind::Fraud),
        "legit" => Some(LabelKind::Legit),
        "unknown" => Some(LabelKind::Unknown),
        _ => None,
    }
}
