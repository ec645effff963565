//! The rules of the simulation, and what a restart would make of a disk. It changes nothing on it.

use std::collections::BTreeMap;

use gavel::{
    durability::{
        rebuild::Rebuild,
        record::{Reading, Record},
        replay::{self, Replayed},
        snapshot::SnapshotError,
    },
    scoring::{
        money::Currency,
        release::{Models, Release},
        rules::{Data, RuleSources, SourceFile, parse},
        scorer::{Past, Scorer},
        settings::Settings,
    },
};

use super::disk::Disk;

/// Rules whose verdicts depend on all that came before: counts, sums, verdicts, outcomes, labels, lists.
fn rules(limit: u32) -> String {
    // Other limits ask for other windows as well.
    let window = if limit.is_multiple_of(2) { "1m" } else { "2m" };
    format!(
        r#"
[[list]]
id = "blocked"
file = "blocked.csv"

[[rule]]
id = "burst"
description = "Many on one card"
when = "count(card, {window}) > {limit}"
then = "review"

[[rule]]
id = "spender"
description = "Much on one device"
when = "sum(amount, device, 5m) > 900 EUR"
then = "deny"

[[rule]]
id = "denied-before"
description = "It was denied a moment ago"
when = "count(card, 30s, where verdict == deny) >= 2"
then = "deny"

[[rule]]
id = "declined-before"
description = "The issuer declines"
when = "count(card, 5m, where outcome == declined) >= 1 and amount > 40 EUR"
then = "review"

[[rule]]
id = "known-fraud"
description = "A device with frauds"
when = "frauds(device, 1h, delay 1s) >= 1 and distinct(card, device, 10m) >= 2"
then = "deny"

[[rule]]
id = "of-blocked-cards"
description = "Cards that were on the list when they came"
when = 'count(device, 5m, where card in list("blocked")) >= 3'
then = "review"

[[rule]]
id = "blocked-card"
description = "On the list"
when = 'card in list("blocked")'
then = "deny"
"#
    )
}

/// A release of these rules.
pub(crate) fn release(limit: u32) -> Release {
    let settings = Settings::default_for(Currency::from_code("EUR").expect("EUR"));
    let files = vec![SourceFile::new("rules/rules.toml", rules(limit))];
    let data = BTreeMap::from([("blocked.csv".to_owned(), Ok(Data::read(Vec::new())))]);
    let (files, found) = parse(RuleSources { files, data, ..RuleSources::default() }, &settings);
    let compiled = Release::compile(settings, files, Models::default(), found);
    compiled.map_or_else(|_| panic!("the rules are good"), |(release, _)| release)
}

/// What a restart would have.
pub(crate) struct Rebuilt {
    /// Windows and registry, as bytes, and what was changed of lists.
    pub(crate) state: (Vec<u8>, String),
    /// The number of the next record.
    pub(crate) next: u64,
    /// Records that are told to be missing.
    pub(crate) missing: u64,
    /// Why snapshots were not used.
    pub(crate) refused: Vec<SnapshotError>,
}

/// Reads everything there is.
pub(crate) fn rebuilt(mut disk: Disk, limit: u32) -> Rebuilt {
    let mut scorer = Scorer::new(release(limit));
    let mut rebuild = Rebuild::begin(&mut disk, &mut scorer, std::num::NonZero::<usize>::MIN);
    let read = rebuild.follow(&mut disk, &mut scorer, |_, _| true);
    assert!(matches!(read, Ok(true)), "it is read");
    let refused = std::mem::take(&mut rebuild.refused).into_iter().map(|refused| refused.error).collect();
    let missing = rebuild.missing();
    Rebuilt { state: state_of(&scorer), next: rebuild.end().next_sequence, missing, refused }
}

/// The past that a release would have at one record of a journal, had it always been there.
pub(crate) fn past_before(mut disk: Disk, release: Release, number: u64) -> Past {
    let mut scorer = Scorer::new(release);
    let schema = scorer.release().settings.schema.clone();
    let read =
        replay::read(&mut disk, &schema, 0, |place: Option<u64>, record: Record<'_>, reading: Option<&Reading>| {
            let is_before = place.is_none_or(|place| place < number);
            if is_before {
                replay::restore(&mut scorer, &record, reading, &mut Replayed::default());
            }
            is_before
        });
    assert!(read.is_ok(), "it is read");
    scorer.into_past().0
}

/// Everything that a scorer holds.
pub(crate) fn state_of(scorer: &Scorer) -> (Vec<u8>, String) {
    let mut state = Vec::new();
    scorer.windows().save(&mut state);
    scorer.registry().save(&mut state);
    let changes = scorer.release().lists.changes();
    let changes = changes.iter().map(|change| format!("{}/{}/{} ", change.list, change.value, change.add));
    (state, changes.collect())
}
