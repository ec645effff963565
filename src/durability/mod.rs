//! What outlives the process: a journal of every input that took effect, and snapshots of what they made. State machines
//! over a small storage; they are given the time and score nothing.

mod encoding;
pub mod position;
pub mod record;
pub mod segment;
pub mod storage;
pub mod folder;
pub mod replay;
pub mod snapshot;
pub mod snapshots;
pub mod rebuild;
pub mod journal;
