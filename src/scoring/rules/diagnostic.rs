//! What is wrong with a rule file, where, and what to write instead. It never repeats a line of a list.

use std::{cmp::Ordering, ops::Range, sync::Arc};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, renderer::DecorStyle};
use serde::Serialize;

use super::{
    file::{SourceFile, Text},
    place::span_in_token,
};
use crate::scoring::{expression::Severity, wire::is_card_number};

/// An excerpt has at most this many lines: a place may span a whole file, a reader looks at its beginning.
const EXCERPT_LINES_MAX: usize = 12;

/// One thing found in a rule set. It holds the lines it speaks of, so it can be shown after the files are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable code of the registry, such as `E103` or `W201`.
    pub code: &'static str,
    /// Whether it keeps the rule set from loading.
    pub severity: Severity,
    /// What was found and what was expected, in one sentence.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// More for people, in lines of its own; may be empty.
    pub details: String,
    /// Where.
    pub place: Place,
    /// Other places that it speaks of, such as the first of two equal ids.
    pub related: Vec<Place>,
}

/// A stretch of a file, in lines and columns counted from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named when it was read.
    pub file: Arc<str>,
    /// The line it begins on.
    pub line: usize,
    /// The column it begins at; 0 where a whole line is meant.
    pub column: usize,
    /// The line it ends on.
    pub end_line: usize,
    /// The column after its last character; 0 where a whole line is meant.
    pub end_column: usize,
    /// A few words to stand under it; may be empty.
    pub label: String,
    excerpt: Option<Excerpt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    text: String,
    span: Range<usize>,
}

impl Place {
    /// The place of some bytes of a file.
    pub fn of(file: &SourceFile, span: Range<usize>) -> Self {
        let text = file.text.as_str();
        let start = floor_to_character(text, span.start);
        let end = floor_to_character(text, span.end).max(start);
        let (line, column) = file.line_and_column(start);
        let (end_line, end_column) = file.line_and_column(end);
        let excerpt_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let newline_after = |from: usize| text[from..].find('\n').map_or(text.len(), |newline| from + newline);
        let mut excerpt_end = newline_after(start);
        for _ in 1..EXCERPT_LINES_MAX {
            if excerpt_end >= end {
                break;
            }
            excerpt_end = newline_after(excerpt_end + 1);
        }
        let span = start - excerpt_start..end.min(excerpt_end) - excerpt_start;
        let excerpt = Excerpt { text: masked(&text[excerpt_start..excerpt_end]), span };
        Self {
            file: Arc::clone(&file.name),
            line,
            column,
            end_line,
            end_column,
            label: String::new(),
            excerpt: Some(excerpt),
        }
    }

    /// The place of some bytes of a string's value.
    pub fn within(files: &[SourceFile], text: &Text, value: Range<usize>) -> Self {
        let Some(file) = files.get(text.file) else { return Self::of_line("", 1) };
        let token = file.text.get(text.token.clone()).unwrap_or_default();
        let span = span_in_token(token, value);
        Self::of(file, text.token.start + span.start..text.token.start + span.end)
    }

    /// A whole line, which is not shown: lines of lists hold what no message may repeat.
    pub fn of_line(file: &str, line: usize) -> Self {
        Self { file: file.into(), line, column: 0, end_line: line, end_column: 0, label: String::new(), excerpt: None }
    }

    /// The same place with a few words under it.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = masked(&label.into());
        self
    }
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        let message = masked(&message.into());
        Self {
            code,
            severity: Severity::Error,
            message,
            hint: None,
            details: String::new(),
            place,
            related: Vec::new(),
        }
    }

    /// A warning at a place.
    pub fn warning(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// The same with what to write instead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(masked(&hint.into()));
        self
    }

    /// The same with another place that it speaks of.
    #[must_use]
    pub fn related(mut self, place: Place) -> Self {
        self.related.push(place);
        self
    }

    /// The same with more for people.
    #[must_use]
    pub fn details(mut self, details: impl Into<String>) -> Self {
        self.details = masked(&details.into());
        self
    }

    /// Whether it keeps the rule set from loading.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// By place, so that a report does not depend on the order in which files were read.
    pub fn order(left: &Self, right: &Self) -> Ordering {
        let key = |diagnostic: &Self| {
            let place = &diagnostic.place;
            (Arc::clone(&place.file), place.line, place.column, diagnostic.code)
        };
        key(left).cmp(&key(right)).then_with(|| left.message.cmp(&right.message))
    }

    /// For people: the lines in question with a caret under the place; with colours for a terminal.
    pub fn render(&self, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str()).id(self.code);
        let mut group = with_place(Group::with_title(title), &self.place, AnnotationKind::Primary);
        for place in &self.related {
            group = with_place(group, place, AnnotationKind::Context);
        }
        let mut report = vec![group];
        if let Some(hint) = &self.hint {
            report.push(Group::with_title(Level::HELP.secondary_title(hint.as_str())));
        }
        let mut rendered = renderer.decor_style(DecorStyle::Ascii).render(&report);
        if !self.details.is_empty() {
            rendered.push('\n');
            rendered.push_str(self.details.trim_end());
        }
        rendered
    }
}

/// Puts a place into what is being rendered.
fn with_place<'p>(group: Group<'p>, place: &'p Place, kind: AnnotationKind) -> Group<'p> {
    let Some(excerpt) = &place.excerpt else {
        return group.element(Origin::path(&*place.file).line(place.line).char_column(place.column.max(1)));
    };
    let label = (!place.label.is_empty()).then_some(place.label.as_str());
    let annotation = kind.span(excerpt.span.clone()).label(label);
    let snippet = Snippet::source(excerpt.text.as_str()).line_start(place.line).path(&*place.file);
    group.element(snippet.annotation(annotation))
}

/// All of a report as a JSON array, for editors.
pub fn to_json(diagnostics: &[Diagnostic]) -> String {
    #[derive(Serialize)]
    struct Entry<'d> {
        file: &'d str,
        line: usize,
        column: usize,
        end_line: usize,
        end_column: usize,
        code: &'d str,
        severity: &'d str,
        message: &'d str,
        hint: Option<&'d str>,
    }
    let entries: Vec<Entry<'_>> = diagnostics
        .iter()
        .map(|diagnostic| Entry {
            file: &diagnostic.place.file,
            line: diagnostic.place.line,
            // Editors mark the line from its first column where no column is known.
            column: diagnostic.place.column.max(1),
            end_line: diagnostic.place.end_line,
            end_column: diagnostic.place.end_column.max(1),
            code: diagnostic.code,
            severity: if diagnostic.is_error() { "error" } else { "warning" },
            message: &diagnostic.message,
            hint: diagnostic.hint.as_deref(),
        })
        .collect();
    // Plain strings and numbers always have a JSON form.
    serde_json::to_string_pretty(&entries).unwrap_or_default()
}

/// A text with every card number in it made unreadable, at the same length: people paste what they should not.
fn masked(text: &str) -> String {
    const DIGITS_MIN: usize = 12;
    let mut masked = text.to_owned();
    let part_of_number = |letter: char| letter.is_ascii_digit() || letter == ' ' || letter == '-';
    for is_part in [part_of_number, |letter: char| letter.is_ascii_digit()] {
        let mut at = 0;
        while let Some(start) = masked[at..].find(is_part).map(|start| at + start) {
            let end = masked[start..].find(|letter| !is_part(letter)).map_or(masked.len(), |length| start + length);
            let digits = masked[start..end].bytes().filter(u8::is_ascii_digit).count();
            if digits >= DIGITS_MIN && is_card_number(masked[start..end].trim()) {
                masked.replace_range(start..end, &"*".repeat(end - start));
            }
            at = end;
        }
    }
    masked
}

fn floor_to_character(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|offset| text.is_char_boundary(*offset)).unwrap_or(0)
}
