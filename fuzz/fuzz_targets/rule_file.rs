//! Whatever libFuzzer makes up, through `rule_file`.

#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::rule_file(bytes));
