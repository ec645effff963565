//! Training with linfa: data sets, learners, calibration, evaluation. It serves nothing.
