//! What outlives the process: a journal of every input that took effect. State machines over a small storage; they are
//! given the time, start no thread and score nothing.

mod encoding;
pub mod position;
pub mod record;
pub mod segment;
pub mod storage;
pub mod folder;
pub mod replay;
pub mod journal;
