//! Windows and registry against their plain twin, with blocks so small that every split and join happens. What is in
//! `tests/windows_twin.rs` does the same at full size.

use crate::scoring;

#[path = "streams.rs"]
mod streams;
#[path = "twin.rs"]
mod twin;

use proptest::prelude::*;

/// How many times the usual number of cases are run: `GAVEL_TWIN_TIMES=100 cargo test --lib windows::tests`.
fn cases(count: u32) -> ProptestConfig {
    let times = std::env::var("GAVEL_TWIN_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(count * times) }
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn agrees_with_the_twin(stream in streams::streams(60, false)) {
        streams::run(&stream)?;
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn agrees_with_the_twin_over_long_streams(stream in streams::streams(400, false)) {
        streams::run(&stream)?;
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn a_reload_keeps_what_both_plans_ask_for(stream in streams::streams(80, true)) {
        streams::run_reload(&stream)?;
    }

    #[test]
    fn stored_state_goes_on_as_it_was(stream in streams::streams(120, true)) {
        streams::run_stored(&stream, &streams::settings(stream.is_ordered))?;
    }

    #[test]
    fn stored_state_goes_on_as_it_was_where_room_is_short(stream in streams::streams(120, false)) {
        let stream = streams::Stream { reload: Some((stream.steps[0].who, stream.steps[0].target)), ..stream };
        streams::run_stored(&stream, &streams::tight_settings(&stream))?;
    }

    #[test]
    fn an_evicted_key_is_flagged(stream in streams::streams(60, false)) {
        streams::run_evictions(&stream)?;
    }

    #[test]
    fn folded_windows_keep_their_bound(stream in streams::streams(120, false)) {
        streams::run_folds(&stream, 10)?;
    }
}
