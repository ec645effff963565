//! The values of a TOML table by type, each with its place; what is wrong becomes a diagnostic. It knows no rule.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{
    diagnostic::{Diagnostic, Place},
    file::{SourceFile, Text},
    wording::{did_you_mean, shortened, words},
};

/// Reads the tables of one file.
pub(super) struct Reader<'f> {
    pub(super) file: &'f SourceFile,
    pub(super) file_index: usize,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// A table of the file: what it is called in messages, where its head stands, and its entries.
#[derive(Clone, Copy)]
pub(super) struct Section<'t, 'd> {
    pub(super) name: &'static str,
    pub(super) head: (usize, usize),
    pub(super) table: &'t DeTable<'d>,
}

impl<'t, 'd> Section<'t, 'd> {
    pub(super) fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'d>>> {
        self.table.get(key)
    }

    fn head(&self) -> Range<usize> {
        self.head.0..self.head.1
    }
}

impl Reader<'_> {
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        Place::of(self.file, span)
    }

    pub(super) fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let place = self.place(span);
        self.push(Diagnostic::error(code, place, message))
    }

    fn push(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        self.diagnostics.push(diagnostic);
        let last = self.diagnostics.len() - 1;
        &mut self.diagnostics[last]
    }

    /// Tells of every key that is not one of the known.
    pub(super) fn check_keys(&mut self, section: Section<'_, '_>, known: &[&str]) {
        for key in section.table.keys() {
            let word: &str = key.get_ref();
            if known.contains(&word) {
                continue;
            }
            let message = format!("`{word}` is no key of {}", section.name);
            let hint = did_you_mean(word, known.iter().copied())
                .unwrap_or_else(|| format!("expected one of {}", words(known.iter().copied())));
            self.error("E301", key.span(), message).hint = Some(hint);
        }
    }

    pub(super) fn missing(&mut self, section: Section<'_, '_>, key: &str, expected: &str) {
        let message = format!("{} has no `{key}`, expected {expected}", section.name);
        self.error("E302", section.head(), message);
    }

    /// A value of the wrong type.
    pub(super) fn unlike(&mut self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> &mut Diagnostic {
        let message = format!("`{key}` is {}, expected {expected}", found(value.get_ref()));
        self.error("E303", value.span(), message)
    }

    /// The entries of `[[name]]`, one section each.
    pub(super) fn sections<'t, 'd>(
        &mut self,
        value: Option<&'t Spanned<DeValue<'d>>>,
        key: &str,
        name: &'static str,
    ) -> Vec<Section<'t, 'd>> {
        let Some(value) = value else { return Vec::new() };
        let entries: &DeArray<'d> = match value.get_ref() {
            DeValue::Array(entries) => entries,
            DeValue::Table(_) => {
                self.unlike(key, value, "an array of tables").hint = Some(format!("write {name} with two brackets"));
                return Vec::new();
            }
            _ => {
                self.unlike(key, value, "an array of tables").hint = Some(format!("write each as a table {name}"));
                return Vec::new();
            }
        };
        let mut sections = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry.get_ref() {
                DeValue::Table(table) => {
                    let span = entry.span();
                    sections.push(Section { name, head: (span.start, span.end), table });
                }
                _ => drop(self.unlike(key, entry, &format!("a table {name}"))),
            }
        }
        sections
    }

    /// A string that must be there.
    pub(super) fn required_text(&mut self, section: Section<'_, '_>, key: &str, expected: &str) -> Option<Text> {
        if section.get(key).is_none() {
            self.missing(section, key, expected);
        }
        self.text(section, key, expected)
    }

    /// A string that may be there.
    pub(super) fn text(&mut self, section: Section<'_, '_>, key: &str, expected: &str) -> Option<Text> {
        let value = section.get(key)?;
        let text = self.as_text(value);
        if text.is_none() {
            self.unlike(key, value, expected);
        }
        text
    }

    pub(super) fn as_text(&self, value: &Spanned<DeValue<'_>>) -> Option<Text> {
        let text = value.get_ref().as_str()?;
        Some(Text { value: text.to_owned(), file: self.file_index, token: value.span() })
    }

    pub(super) fn boolean(&mut self, section: Section<'_, '_>, key: &str) -> Option<(bool, Range<usize>)> {
        let value = section.get(key)?;
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.unlike(key, value, "true or false");
        }
        boolean.map(|boolean| (boolean, value.span()))
    }

    pub(super) fn integer(
        &mut self,
        section: Section<'_, '_>,
        key: &str,
        expected: &str,
    ) -> Option<(i64, Range<usize>)> {
        let value = section.get(key)?;
        let integer = value.get_ref().as_integer().and_then(as_i64);
        if integer.is_none() {
            self.unlike(key, value, expected);
        }
        integer.map(|integer| (integer, value.span()))
    }

    /// An array of strings.
    pub(super) fn texts(&mut self, section: Section<'_, '_>, key: &str, expected: &str) -> Option<Vec<Text>> {
        let value = section.get(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            self.unlike(key, value, expected);
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match self.as_text(item) {
                Some(text) => texts.push(text),
                None => drop(self.unlike(key, item, expected)),
            }
        }
        Some(texts)
    }

    /// One of some words.
    pub(super) fn word<T>(&mut self, key: &str, text: &Text, known: &[(&str, T)]) -> Option<T>
    where
        T: Copy,
    {
        if let Some((_, value)) = known.iter().find(|(word, _)| *word == text.value) {
            return Some(*value);
        }
        let names = || known.iter().map(|(word, _)| *word);
        let message = format!("`{key}` is \"{}\", expected {}", shortened(&text.value), words(names()));
        let hint = did_you_mean(&text.value, names());
        self.error("E304", text.token.clone(), message).hint = hint;
        None
    }
}

pub(super) fn as_i64(integer: &toml::de::DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// What a value is, for messages.
pub(super) fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
