//! Windows and registry against their plain twin, with blocks so small that every split and join happens. What is in
//! `tests/windows_twin.rs` does the same at full size.

use crate::scoring;

#[path = "streams.rs"]
mod streams;
#[path = "twin.rs"]
mod twin;
#[path = "past_failures.rs"]
mod past_failures;

use proptest::prelude::*;

use crate::scoring::{plan::FilterId, registry::Registry, settings::WindowSettings, windows::Windows};
use streams::{Pair, Step, Stream};

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
        run_stored(&stream, &streams::settings(stream.is_ordered))?;
    }

    #[test]
    fn stored_state_goes_on_as_it_was_where_room_is_short(stream in streams::streams(120, false)) {
        let stream = Stream { reload: Some((stream.steps[0].who, stream.steps[0].target)), ..stream };
        run_stored(&stream, &tight_settings(&stream))?;
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

#[test]
fn late_rows_among_folded_ones_are_not_missed_in_silence() {
    let cases = [
        (vec![(213, 35, 6, 6), (98, 217, 101, 66)], &past_failures::A_VALUE_AMONG_ROWS_AND_FOLDED[..]),
        (vec![(124, 49, 0, 0), (95, 175, 20, 6)], &past_failures::SEEN_AMONG_FOLDED[..]),
    ];
    for (aggregates, steps) in cases {
        let step = |&(what, time, who, fields, amount, target)| Step { what, time, who, fields, amount, target };
        let steps = steps.iter().map(step).collect();
        let stream = Stream { aggregates, is_ordered: false, few_keys: true, steps, reload: None };
        streams::run_folds(&stream, 10).expect("what may be wrong is flagged");
    }
}

/// Runs a stream on two sides, one of which is written and read back in the middle: from there on they say the same to
/// every step, and hold the same to the byte in the end.
fn run_stored(stream: &Stream, settings: &WindowSettings) -> Result<(), TestCaseError> {
    let (schema, second) = (
        streams::schema(),
        streams::plan(&stream.aggregates[..stream.aggregates.len().div_ceil(2)], &streams::schema()),
    );
    let mut pairs = [Pair::new(stream, settings), Pair::new(stream, settings)];
    let (reload, stored) = stream.reload.unwrap_or((0, 0));
    let place_of = |byte: u8| usize::from(byte) % stream.steps.len();
    for (place, step) in stream.steps.iter().enumerate() {
        if stream.reload.is_some() && place == place_of(reload) {
            let same: Vec<_> = (0..streams::FILTERS.len()).map(|filter| Some(FilterId(filter as u16))).collect();
            for pair in &mut pairs {
                pair.windows.adopt(&second, &schema, settings, &same);
                pair.twin.adopt(&second);
            }
        }
        if place == place_of(stored) {
            let [_, pair] = &mut pairs;
            let mut bytes = Vec::new();
            pair.windows.save(&mut bytes);
            let plan = pair.twin.plan.clone();
            pair.windows = Windows::load(&plan, &schema, settings, &bytes).expect("what was saved is whole");
            let shorter = Windows::load(&plan, &schema, settings, &bytes[..usize::from(step.time) % bytes.len()]);
            prop_assert!(shorter.is_err());
            bytes.clear();
            pair.registry.save(&mut bytes);
            pair.registry = Registry::load(settings, &bytes).expect("what was saved is whole");
            prop_assert!(Registry::load(settings, &bytes[..usize::from(step.time) % bytes.len()]).is_err());
        }
        let [left, right] = &mut pairs;
        let (left, right) = (left.step(step)?, right.step(step)?);
        let said = |seen: Option<streams::Seen>| {
            seen.map(|seen| {
                let flags = [seen.is_repeated, seen.late, seen.approximate, seen.evicted, seen.filling];
                (flags, format!("{:?}", seen.values))
            })
        };
        prop_assert_eq!(said(left), said(right));
    }
    let [left, right] = pairs.map(|pair| {
        let (mut windows, mut registry) = (Vec::new(), Vec::new());
        pair.windows.save(&mut windows);
        pair.registry.save(&mut registry);
        (windows, registry)
    });
    prop_assert!(left.0 == right.0, "the windows differ");
    prop_assert!(left.1 == right.1, "the registries differ");
    Ok(())
}

/// Settings with so little room that everything is evicted, folded and forgotten.
fn tight_settings(stream: &Stream) -> WindowSettings {
    WindowSettings {
        events_per_key_max: 10,
        keys_max: stream.steps.len() / 4,
        transactions_max: 20,
        answers_max_bytes: 600,
        ..streams::settings(stream.is_ordered)
    }
}
