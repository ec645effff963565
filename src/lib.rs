//! Gavel: a real-time card-fraud scorer.

pub mod scoring;
