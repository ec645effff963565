//! The `[stream]` section: what JetStream keeps of what comes in and goes out. It asks no broker.

use super::{
    StreamConfig, StreamPath, StreamStorage,
    reader::{Given, Reader},
    value::Value,
};
use crate::scoring::time::{DAY_MS, HOUR_MS};

/// The longest name of a stream or a consumer: they are parts of file names on the broker.
const NAME_MAX: usize = 64;

pub(super) fn read(reader: &mut Reader) -> StreamConfig {
    const AGE_MAX_MS: i64 = 3_650 * DAY_MS;
    let storage = [("file", StreamStorage::File), ("memory", StreamStorage::Memory)];
    StreamConfig {
        path: path(reader, "stream.enabled"),
        may_create: truth(reader, "stream.create", true),
        name: name(reader, "stream.name", "FRAUD-TXN"),
        consumer: name(reader, "stream.consumer", "gavel"),
        verdicts: Some(name(reader, "stream.verdicts", "FRAUD-VERDICTS")).filter(|name| name != "none"),
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
