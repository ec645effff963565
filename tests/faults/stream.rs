//! How far a stream has been worked off, as the journal keeps it: from input to input, over files that are gone, and in
//! journals that knew no streams.

use gavel::{
    config::OnFailure,
    durability::{
        journal::{Journal, JournalSettings},
        position::{StreamMark, StreamPosition},
        replay::{self, Found},
        storage::Storage as _,
    },
    scoring::{
        field::AttributeSchema,
        release::{Models, Release},
        rules::{RuleSources, parse},
        settings::Settings,
        time::Timestamp,
        transaction::{Label, LabelKind},
    },
};

use super::disk::Disk;

fn release() -> Release {
    let settings = Settings::default_for(gavel::scoring::money::Currency::from_code("EUR").expect("EUR"));
    let (files, found) = parse(RuleSources::default(), &settings);
    let compiled = Release::compile(settings, files, Models::default(), found);
    compiled.map_or_else(|_| panic!("no rules are good rules"), |(release, _)| release)
}

fn settings() -> JournalSettings {
    JournalSettings { sync_interval_ms: 0, file_max_bytes: 1, total_max_bytes: u64::MAX, on_failure: OnFailure::Refuse }
}

fn label(id: &str) -> Label<'_> {
    let time = Timestamp::from_unix_ms(1_532_513_730_000).expect("in range");
    Label { processor: "p".into(), card: "c".into(), id: id.into(), time, kind: LabelKind::Fraud }
}

fn found(disk: &Disk) -> Found {
    let read = replay::read(&mut disk.copy(), &AttributeSchema::default(), 0, |_, _, _| true);
    read.unwrap_or_else(|error| panic!("{error}"))
}

#[expect(clippy::unnecessary_wraps, reason = "a mark holds an option")]
fn at(sequence: u64) -> Option<StreamPosition> {
    Some(StreamPosition { sequence, stored_ms: 1_000 + sequence as i64 })
}

#[test]
fn the_place_on_the_stream_comes_back() {
    let (mut disk, release) = (Disk::new(1), release());
    let empty = found(&disk);
    let mut journal = Journal::new(disk.clone(), settings(), empty, &release, 0);

    journal.label(&label("a request"));
    assert!(journal.commit(0, &release));
    assert_eq!(found(&disk).stream, StreamMark::default());

    journal.come_from(at(5));
    journal.label(&label("from the stream"));
    journal.come_from(None);
    journal.label(&label("a request"));
    assert!(journal.commit(1, &release));
    assert_eq!(found(&disk).stream, StreamMark { taken: at(5), confirmed_record: 0 });

    // What came was refused, so nothing is added but its place; the verdicts before it are out.
    journal.come_from(at(6));
    journal.confirm(3);
    assert!(journal.tick(2, &release));
    let expected = StreamMark { taken: at(6), confirmed_record: 3 };
    assert_eq!(found(&disk).stream, expected);

    // Each commit began a file, and each file can do without those before it.
    let names = disk.names().expect("it works");
    for name in &names[..names.len() - 1] {
        disk.remove(name).expect("it works");
    }
    assert_eq!(found(&disk).stream, expected);
    let found = found(&disk);
    assert_eq!(Journal::new(disk, settings(), found, &release, 3).mark(), expected);
}
