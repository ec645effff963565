//! The language tested by data: an expression, and what it answers.

mod diagnostics;
mod generate;
mod meaning;
mod random;
mod wording;
mod world;
