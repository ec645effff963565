//! The `[stream]` section: what JetStream keeps of what comes in and goes out. It asks no broker.

use super::{
    StreamConfig, StreamPath, StreamStorage, SubjectRoots,
    reader::{Given, Reader},
    value::Value,
};
use crate::scoring::time::{DAY_MS, HOUR_MS};

/// The longest name of a stream or a consumer: they are parts of file names on the broker.
const NAME_MAX: usize = 64;

pub(super) fn read(reader: &mut Reader, subjects: &SubjectRoots) -> StreamConfig {
    const AGE_MAX_MS: i64 = 3_650 * DAY_MS;
    let storage = [("file", StreamStorage::File), ("memory", StreamStorage::Memory)];
    StreamConfig {
        path: path(reader, "stream.enabled"),
        may_create: truth(reader, "stream.create", true),
        name: name(reader, "stream.name", &named_after(&subjects.txn, ".txn", "TXN")),
        consumer: name(reader, "stream.consumer", "gavel"),
        verdicts: Some(name(reader, "stream.verdicts", &named_after(&subjects.verdict, ".verdict", "VERDICTS")))
            .filter(|name| name != "none"),
        storage: reader.word("stream.storage", StreamStorage::File, &storage),
        replicas: reader.count("stream.replicas", 1, 1..=5),
        max_age_ms: reader.duration_ms("stream.max_age", 7 * DAY_MS, HOUR_MS..=AGE_MAX_MS),
        max_bytes: reader.bytes("stream.max_bytes", 0, 0..=1 << 50),
        verdicts_max_age_ms: reader.duration_ms("stream.verdicts_max_age", 30 * DAY_MS, HOUR_MS..=AGE_MAX_MS),
        verdicts_max_bytes: reader.bytes("stream.verdicts_max_bytes", 0, 0..=1 << 50),
    }
}

fn path(reader: &mut Reader, path: &str) -> StreamPath {
    reader.parsed(path, StreamPath::Sought, "`true`, `false` or \"auto\"", |given| match given.typed() {
        Value::Boolean(true) => Some(StreamPath::On),
        Value::Boolean(false) => Some(StreamPath::Off),
        _ => given.text().filter(|text| *text == "auto").map(|_| StreamPath::Sought),
    })
}

/// The name of the stream of a root, so that partitions do not share one: `fraud.p.3.txn` is kept by `FRAUD-P-3-TXN`, and
/// `fraud.v1.txn`, which is the first of its kind, by `FRAUD-TXN`.
fn named_after(root: &str, kind: &str, word: &str) -> String {
    let root = root.strip_suffix(kind).unwrap_or(root);
    let root = root.strip_suffix(".v1").unwrap_or(root).replace('.', "-").to_ascii_uppercase();
    let room = NAME_MAX - word.len() - 1;
    format!("{}-{word}", root.get(..room).unwrap_or(&root))
}

fn truth(reader: &mut Reader, path: &str, default: bool) -> bool {
    reader.parsed(path, default, "`true` or `false`", |given| match given.typed() {
        Value::Boolean(truth) => Some(truth),
        _ => None,
    })
}

fn name(reader: &mut Reader, path: &str, default: &str) -> String {
    let expected = format!("letters, digits, `_` and `-`, at most {NAME_MAX}");
    reader.parsed(path, default.to_owned(), expected, |given: &Given| {
        let text = given.text().filter(|text| (1..=NAME_MAX).contains(&text.len()))?;
        let is_sound = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        is_sound.then(|| text.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_named_after_what_they_keep() {
        let cases = [
            ("fraud.v1.txn", "FRAUD-TXN".to_owned()),
            ("fraud.p.3.txn", "FRAUD-P-3-TXN".to_owned()),
            ("cards", "CARDS-TXN".to_owned()),
            ("v1.txn", "V1-TXN".to_owned()),
            (&"a".repeat(100), format!("{}-TXN", "A".repeat(60))),
        ];
        for (root, expected) in cases {
            assert_eq!(named_after(root, ".txn", "TXN"), expected, "{root}");
        }
    }
}
