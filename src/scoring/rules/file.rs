//! A rule file's text, and the strings that stand in it. It reads no files.

use std::{ops::Range, sync::Arc};

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// What people know it by, such as `rules/velocity.toml`.
    pub name: Arc<str>,
    /// What it holds.
    pub text: String,
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
