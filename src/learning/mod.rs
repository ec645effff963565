//! Training with linfa: data sets, learners, calibration, evaluation. It serves nothing.

pub mod features;
pub mod matrix;
pub mod extract;
mod sample;
mod parallel;
mod bins;
pub mod additive;
mod grow;
pub mod boost;
pub mod forest;
pub mod metrics;
pub mod logistic;
pub mod calibrate;
pub mod learner;
pub mod train;
pub mod report;

#[cfg(test)]
mod tests;
