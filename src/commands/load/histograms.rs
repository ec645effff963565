//! Latencies by second of the run, written as an HDR interval log and as JSON. It measures nothing.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
    time::{Duration, SystemTime},
};

use hdrhistogram::{
    Histogram,
    serialization::{V2DeflateSerializer, interval_log::IntervalLogWriterBuilder},
};
use serde_json::json;

/// Latencies are recorded in nanoseconds up to a minute, to three digits.
const LATENCY_MAX_NS: u64 = 60_000_000_000;
/// A histogram that nothing is in yet has room for a millisecond, and grows.
const INTERVAL_FIRST_NS: u64 = 1_000_000;
/// What an interval of the log is long.
const INTERVAL: Duration = Duration::from_secs(1);
/// The log tells its greatest values in milliseconds, as its readers expect.
const LOG_DIVISOR: f64 = 1e6;

/// The latencies of a run, all together and by second.
pub(super) struct Latencies {
    pub(super) all_ns: Histogram<u64>,
    intervals_ns: Option<Vec<Histogram<u64>>>,
}

impl Latencies {
    /// None yet; by second only where somebody wants to know.
    pub(super) fn new(by_second: bool) -> Self {
        // The bounds are constants that the histogram takes.
        let all_ns = Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).expect("good bounds");
        Self { all_ns, intervals_ns: by_second.then(Vec::new) }
    }

    /// Records the latency of a request that was meant to be sent at `meant_ns` of the run.
    pub(super) fn record(&mut self, meant_ns: u64, latency_ns: u64) {
        self.all_ns.saturating_record(latency_ns);
        let Some(intervals) = &mut self.intervals_ns else { return };
        let interval = (meant_ns / INTERVAL.as_nanos() as u64) as usize;
        while intervals.len() <= interval {
            let mut empty = Histogram::new_with_bounds(1, INTERVAL_FIRST_NS, 3).expect("good bounds");
            empty.auto(true);
            intervals.push(empty);
        }
        // It grows with its values, so it refuses none.
        let _ = intervals[interval].record(latency_ns.min(LATENCY_MAX_NS));
    }

    /// Adds another connection's latencies.
    pub(super) fn add(&mut self, other: &Self) {
        // Both have the same bounds, so they add up.
        let _ = self.all_ns.add(&other.all_ns);
        let (Some(intervals), Some(others)) = (&mut self.intervals_ns, &other.intervals_ns) else { return };
        for (place, other) in others.iter().enumerate() {
            match intervals.get_mut(place) {
                Some(interval) => drop(interval.add(other)),
                None => intervals.push(other.clone()),
            }
        }
    }

    /// Writes an HDR interval log: a histogram of nanoseconds for each second of intended sending.
    pub(super) fn write_log(&self, path: &Path, began: SystemTime) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut serializer = V2DeflateSerializer::new();
        let mut log = IntervalLogWriterBuilder::new();
        log.add_comment("[Latency in nanoseconds from the intended send time, by second of intended sending]");
        log.with_start_time(began).with_base_time(began).with_max_value_divisor(LOG_DIVISOR);
        let mut log = log.begin_log_with(&mut file, &mut serializer)?;
        for (second, interval) in self.intervals_ns.iter().flatten().enumerate() {
            let start = INTERVAL * u32::try_from(second).unwrap_or(u32::MAX);
            log.write_histogram(interval, start, INTERVAL, None)
                .map_err(|error| io::Error::other(format!("{error:?}")))?;
        }
        file.flush()
    }

    /// Writes JSON: how many latencies there were up to each value that occurred, in microseconds.
    pub(super) fn write_json(&self, path: &Path) -> io::Result<()> {
        let mut up_to = 0;
        let values: Vec<_> = self
            .all_ns
            .iter_recorded()
            .map(|value| {
                up_to += value.count_at_value();
                let latency_us = value.value_iterated_to() as f64 / 1e3;
                json!({ "latency_us": latency_us, "count": value.count_at_value(), "up_to": up_to })
            })
            .collect();
        let text = json!({ "unit": "us", "measured_from": "intended send time", "total": up_to, "values": values });
        std::fs::write(path, format!("{text}\n"))
    }
}
