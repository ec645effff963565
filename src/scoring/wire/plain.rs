//! The usual JSON of a transaction in one pass: texts without escapes, short numbers, flat attributes. Whatever is unusual
//! or wrong makes it give up, and never refuses: then the general way reads the whole body anew.

use std::borrow::Cow;

use super::raw::{Raw, RawTransaction, field_of_body};
use crate::scoring::quoted::plain_length;

/// Digits that always fit in 64 bits.
const DIGITS_MAX: usize = 18;
/// The longest number that is read here.
const NUMBER_MAX_BYTES: usize = 24;

/// Fills a transaction without any field. `None` when the body is not of the usual shape; what was filled in by then is of
/// no use.
pub(super) fn read_plain<'a>(body: &'a [u8], raw: &mut RawTransaction<'a>) -> Option<()> {
    let mut scan = Scan { text: std::str::from_utf8(body).ok()?, at: 0 };
    let mut has_attributes = false;
    scan.object(|scan, name| {
        match field_of_body(name) {
            Some(field) => raw.set(field, scan.value()?),
            None if name == "attributes" => {
                if std::mem::replace(&mut has_attributes, true) {
                    return None;
                }
                scan.object(|scan, key| {
                    raw.set_attribute(Cow::Borrowed(key), scan.value()?);
                    Some(())
                })?;
            }
            _ => {
                scan.value()?;
                raw.unknown_fields += 1;
            }
        }
        Some(())
    })?;
    scan.skip_blanks();
    (scan.at == body.len()).then_some(())
}

/// A body, read up to a place.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    /// An object, whose values are left to `each`.
    fn object(&mut self, mut each: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        loop {
            let name = self.quoted()?;
            self.expect(b':')?;
            each(self, name)?;
            self.skip_blanks();
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    fn value(&mut self) -> Option<Raw<'a>> {
        self.skip_blanks();
        match self.peek()? {
            b'"' => self.quoted().map(|text| Raw::Text(Cow::Borrowed(text))),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", Raw::Boolean(true)),
            b'f' => self.word("false", Raw::Boolean(false)),
            b'n' => self.word("null", Raw::Null),
            _ => None,
        }
    }

    /// A text without escapes, in quotes.
    fn quoted(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        let length = plain_length(self.rest());
        self.at = start + length;
        let text = self.text.get(start..self.at);
        // Not so at an escape or a control character.
        if self.next()? == b'"' { text } else { None }
    }

    /// A whole number of few digits, or a short decimal without an exponent.
    fn number(&mut self) -> Option<Raw<'a>> {
        let start = self.at;
        let is_negative = self.peek()? == b'-';
        if is_negative {
            self.next()?;
        }
        let first = self.at;
        let whole = self.digits();
        let digits = self.at - first;
        let leads_with_zero = self.text.as_bytes().get(first) == Some(&b'0');
        if digits == 0 || digits > DIGITS_MAX || (digits > 1 && leads_with_zero) {
            return None;
        }
        match self.peek()? {
            b'.' => {
                self.next()?;
                let decimals = self.at;
                self.digits();
                if self.at == decimals || matches!(self.peek()?, b'e' | b'E') {
                    return None;
                }
                let number = self.text.get(start..self.at).filter(|number| number.len() <= NUMBER_MAX_BYTES)?;
                number.parse().ok().map(Raw::Real)
            }
            b'e' | b'E' => None,
            // A double to JSON's readers.
            _ if is_negative && whole == 0 => None,
            _ => Some(Raw::Integer(if is_negative { -whole } else { whole })),
        }
    }

    /// The number of the digits that come, if they are not too many.
    fn digits(&mut self) -> i64 {
        let mut number = 0_i64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        number
    }

    fn word(&mut self, word: &str, value: Raw<'a>) -> Option<Raw<'a>> {
        let is_it = self.rest().starts_with(word.as_bytes());
        self.at += word.len();
        is_it.then_some(value)
    }

    /// A byte that has to come, after blanks.
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_blanks();
        (self.next()? == byte).then_some(())
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }
}
