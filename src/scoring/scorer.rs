//! The one door: inputs in one order to outputs. No clock, no I/O.
