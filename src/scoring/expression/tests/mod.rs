//! The language tested by data: an expression, and what it answers.

mod meaning;
mod world;
