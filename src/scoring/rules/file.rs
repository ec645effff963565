//! A rule file's text, and the strings that stand in it. It reads no files.

use std::{ops::Range, sync::Arc};

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// What people know it by, such as `rules/velocity.toml`.
    pub name: Arc<str>,
    /// What it holds.
    pub text: String,
    /// Where its lines begin: a large set asks for ten thousands of places in a file of megabytes.
    lines: Vec<usize>,
}

impl SourceFile {
    /// A file of a name with what it holds.
    pub fn new(name: impl Into<Arc<str>>, text: String) -> Self {
        let behind = memchr::memchr_iter(b'\n', text.as_bytes()).map(|newline| newline + 1);
        let lines = std::iter::once(0).chain(behind).collect();
        Self { name: name.into(), text, lines }
    }

    /// The line and the column of a byte, counted from 1; columns count characters.
    pub(super) fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset);
        (line, self.text[self.lines[line - 1]..offset].chars().count() + 1)
    }
}

/// A TOML string's value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its value.
    pub value: String,
    pub(super) file: usize,
    /// The bytes of the file that it takes, quotes included.
    pub(super) token: Range<usize>,
}
