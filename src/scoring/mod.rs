//! The scoring core: transaction → windows → features → rules → model → verdict. Pure: no I/O, no async, no clock, no
//! randomness. A module uses only what is declared above it.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

mod quoted;
pub mod time;
pub mod money;
pub mod field;
pub mod refusal;
pub mod verdict;
pub mod transaction;
pub mod wire;
mod network;
pub mod plan;
pub mod settings;
pub mod lists;
pub mod expression;
pub mod stored;
mod tag_index;
pub mod windows;
pub mod registry;
pub mod model;
pub mod rules;
pub mod release;
pub mod scorer;
pub mod trial;
pub mod examples;
