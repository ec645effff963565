//! Windows and registry against their plain twin, with blocks so small that every split and join happens. What is in
//! `tests/windows_twin.rs` does the same at full size.

use crate::scoring;

#[path = "streams.rs"]
mod streams;
#[path = "twin.rs"]
mod twin;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn agrees_with_the_twin(stream in streams::streams(60, false)) {
        streams::run(&stream)?;
    }
}
