//! Rule sets: from file texts to decisions. It reads no files and computes no aggregate.
//!
//! `parse` turns files into `RuleFiles` and tells everything that is wrong with them; `RuleSet::compile` turns those
//! into conditions of a release's program; `RuleSet::evaluate` fills `Hits`, which decide.

mod wording;
mod place;
mod file;
mod diagnostic;
mod example_line;
mod notation;
mod source;
mod reader;
mod tokens;
mod entries;
mod parse;
mod lint;
mod set;
mod codes;
mod schema;
#[cfg(test)]
mod tests;

pub use codes::{CODES, find_code};
pub use diagnostic::{Diagnostic, Place, to_json};
pub use file::{SourceFile, Text};
pub use notation::ExampleEvent;
pub use parse::{FILE_MAX_BYTES, KnownLists, RULES_MAX, data_files, parse, parse_knowing};
pub use schema::schema;
pub use set::{Hits, Rule, RuleSet};
pub use source::{Data, Example, LastVerdict, RuleFiles, RuleMode, RuleSource, RuleSources, TypeSet};
