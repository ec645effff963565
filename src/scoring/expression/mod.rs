//! The one typed language of rules and features: text to checked program. A program cannot fail once compiled.
//!
//! The phases: `token` cuts text, `parser` builds the tree of `syntax`, `check` finds types and makes the tree of
//! `typed`, `lint` warns, `lower` turns it into the nodes of `node` and the plan, where tests of codes become the masks of
//! `coded`, `share` puts memos before what is used twice, `run` evaluates.

pub mod codes;
pub mod environment;
pub mod finding;
mod token;
mod syntax;
mod parser;
mod typed;
mod defines;
mod check;
mod print;
mod lint;
pub mod coded;
mod node;
mod build;
mod lower;
pub mod memo;
pub mod scope;
mod run;
mod describe;
pub mod atoms;
mod index;
pub mod program;
mod share;
mod order;
pub mod compiler;

pub use atoms::Atom;
pub use coded::CodedFields;
pub use codes::explain;
pub use compiler::Compiler;
pub use environment::{Define, Environment};
pub use finding::{Finding, Severity, Within};
pub use index::ConditionId;
pub use memo::Memo;
pub use print::{aggregate_text, key_text};
pub use program::{FeatureId, Program};
pub use scope::Scope;

#[cfg(test)]
mod twin;
#[cfg(test)]
mod tests;
