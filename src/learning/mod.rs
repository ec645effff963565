//! Training with linfa: data sets, learners, calibration, evaluation. It serves nothing.

pub mod matrix;
mod sample;
mod parallel;
mod bins;
pub mod additive;
mod grow;
pub mod boost;
pub mod metrics;
