//! What keeps a data file from being read or written as a whole. A bad row is no error: it is a refusal on its line.

use std::{io, path::Path};

/// Why a data file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It is not there, or may not be read.
    #[error("{name}: cannot be opened: {cause}")]
    Open {
        /// The file.
        name: String,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// Reading broke off.
    #[error("{name}: cannot be read on: {cause}")]
    Read {
        /// The file.
        name: String,
        /// What the system or the decompressor said.
        #[source]
        cause: io::Error,
    },
    /// Writing broke off.
    #[error("{name}: cannot be written: {cause}")]
    Write {
        /// The file.
        name: String,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The name does not tell the format.
    #[error(
        "{name}: its name tells no format, expected one that ends in .csv, .jsonl or .ndjson, or in one of these and .zst"
    )]
    Format {
        /// The file.
        name: String,
    },
    /// A CSV file has no header.
    #[error("{name}: it is empty, expected a header with the columns id, time, card, amount and currency")]
    NoHeader {
        /// The file.
        name: String,
    },
    /// The header of a CSV file cannot be read.
    #[error("{name}:1: the header is not readable, expected column names in UTF-8")]
    Header {
        /// The file.
        name: String,
    },
    /// The header of a CSV file lacks required columns.
    #[error("{name}:1: the header has no column {columns}, expected id, time, card, amount and currency")]
    MissingColumns {
        /// The file.
        name: String,
        /// Those that are missing.
        columns: String,
    },
    /// The header of a CSV file names a column twice.
    #[error("{name}:1: the header names the column `{column}` twice, expected each name once")]
    RepeatedColumn {
        /// The file.
        name: String,
        /// The name.
        column: String,
    },
}

impl DataError {
    /// Whether the reader of our output went away, as `head` does: an end, not a fault.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write { cause, .. } if cause.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// A file's name as messages show it.
pub(super) fn shown(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() }
}
