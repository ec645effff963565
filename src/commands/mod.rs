//! One file per command of the binary: arguments in, exit code out.

pub mod common;
pub mod check;
pub mod backtest;
pub mod score;
pub mod simulate;
pub mod serve;
pub mod reload;
mod learning;
pub mod features;
pub mod train;
pub mod evaluate;
pub mod explain;
pub mod load;
pub mod demo;
