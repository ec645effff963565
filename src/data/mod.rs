//! Data files: rows in, rows out, labels in their order. It scores nothing and keeps no row.

mod error;
mod period;
mod source;
mod sink;
mod lines;
mod columns;
mod json;
mod row;
mod labels;
mod replay;
mod progress;

pub use error::DataError;
pub use labels::{LabelQueue, PendingLabel};
pub use period::{Period, parse_moment};
pub use progress::Progress;
pub use replay::Replay;
pub use row::{DEFAULT_PROCESSOR, Notes, Row, Rows};
pub use sink::Sink;
pub use source::{FileFormat, Position, Source};
