//! Windows and registry against their plain twin, at full size: keys of one block and, where there are few of them,
//! trees of blocks of 64 rows.

use gavel::scoring;

#[path = "../src/scoring/windows/streams.rs"]
#[allow(dead_code, reason = "what is not run here is run beside the source")]
mod streams;
#[path = "../src/scoring/windows/twin.rs"]
#[allow(dead_code, reason = "what is not run here is run beside the source")]
mod twin;

use proptest::prelude::*;

/// How many times the usual number of cases are run: `GAVEL_TWIN_TIMES=100 cargo test --test windows_twin`.
fn cases(count: u32) -> ProptestConfig {
    let times = std::env::var("GAVEL_TWIN_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(count * times) }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn agrees_with_the_twin_at_full_size(stream in streams::streams(1_200, false)) {
        streams::run(&stream)?;
    }

    #[test]
    fn folded_windows_keep_their_bound_at_full_size(stream in streams::streams(1_200, false)) {
        streams::run_folds(&stream, 300)?;
    }

    /// So few that a key is folded before it would have needed a tree.
    #[test]
    fn windows_folded_early_keep_their_bound_at_full_size(stream in streams::streams(1_200, false)) {
        streams::run_folds(&stream, 100)?;
    }
}
