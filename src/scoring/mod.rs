//! The scoring core: transaction → windows → features → rules → model → verdict. Pure: no I/O, no async, no clock, no
//! randomness. A module uses only what is declared above it.

pub mod time;
pub mod money;
pub mod field;
pub mod refusal;
pub mod verdict;
pub mod transaction;
pub mod plan;
