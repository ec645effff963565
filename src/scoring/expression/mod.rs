//! The one typed language of rules and features: text to checked program. A program cannot fail once compiled.
//!
//! The phases: `token` cuts text, `parser` builds the tree of `syntax`, `check` finds types and makes the tree of
//! `typed`, `compiler` puts every condition and feature of a release into one `Program` and one `Plan`.

pub mod finding;
pub mod memo;
pub mod program;
pub mod compiler;

pub use compiler::{Compiler, Define, Environment};
pub use finding::{Finding, Severity, Within, explain};
pub use memo::Memo;
pub use program::{Atom, ConditionId, FeatureId, Program, Scope};
