//! What the load generator counts adds up, against the service and against the bare responder.

mod support;

use std::process::Command;

use support::{Broker, Gavel};

fn load(broker: &Broker, arguments: &[&str]) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_gavel"))
        .args(["load", "--nats", broker.url(), "--model", "none", "--json", "--seconds", "1"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text} {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn counts_add_up() {
    let broker = Broker::start();
    let gavel = Gavel::start(&broker);
    let mut given = 0.0;
    // (arguments, whether the service answers, least number of answers)
    let cases: [(&[&str], bool, u64); 6] = [
        (&["--rate", "500"], true, 500),
        (&["--rate", "max", "--connections", "3"], true, 500),
        (&["--rate", "500", "--echo"], false, 500),
        (&["--rate", "max", "--echo"], false, 500),
        (&["--rate", "2000", "--batch", "50"], true, 2_000),
        (&["--rate", "max", "--batch", "50", "--echo"], false, 500),
    ];
    for (arguments, is_service, least) in cases {
        let report = load(&broker, arguments);
        let count = |key: &str| report[key].as_u64().expect("a count");
        assert_eq!(count("sent"), count("answered"), "{arguments:?} {report}");
        assert_eq!((count("refused"), count("unanswered")), (0, 0), "{arguments:?} {report}");
        assert!(count("answered") >= least, "{arguments:?} {report}");
        let latency = |key: &str| report["latency_us"][key].as_f64().expect("a latency");
        assert!(latency("p50") > 0.0 && latency("p50") <= latency("p99") && latency("p99") <= latency("max"));
        if is_service {
            // The later runs send the first rows of the first again: these get their first answers.
            given += count("answered") as f64;
            let answered = || gavel.metric("gavel_verdicts_total", "") + gavel.metric("gavel_duplicates_total", "");
            support::wait_for("every answer to be counted", || ((answered() - given).abs() < 0.5).then_some(()));
        }
    }
}

#[test]
fn histograms_hold_every_answer() {
    let broker = Broker::start();
    let _gavel = Gavel::start(&broker);
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (log, json) = (path("latency.hlog"), path("latency.json"));
    let mut arguments = vec!["--rate", "1500", "--ramp-from", "500", "--arrivals", "poisson"];
    arguments.extend(["--hdr", &log, "--histogram", &json]);
    let answered = load(&broker, &arguments)["answered"].as_u64().expect("a count");
    // A thousand on average: the mean of both ends, for a second.
    assert!((800..1_200).contains(&answered), "{answered}");

    let text = std::fs::read_to_string(&json).expect("it is written");
    let histogram: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(histogram["total"].as_u64(), Some(answered));

    let bytes = std::fs::read(&log).expect("it is written");
    let mut deserializer = hdrhistogram::serialization::Deserializer::new();
    let mut total = 0;
    for entry in hdrhistogram::serialization::interval_log::IntervalLogIterator::new(&bytes) {
        if let hdrhistogram::serialization::interval_log::LogEntry::Interval(interval) = entry.expect("it is a log") {
            let encoded = base64(interval.encoded_histogram());
            let histogram: hdrhistogram::Histogram<u64> =
                deserializer.deserialize(&mut encoded.as_slice()).expect("it is a histogram");
            total += histogram.len();
        }
    }
    assert_eq!(total, answered);
}

/// The bytes of a text in base 64.
fn base64(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => u32::from(letter - b'A'),
        b'a'..=b'z' => u32::from(letter - b'a') + 26,
        b'0'..=b'9' => u32::from(letter - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u32> = text.bytes().filter(|letter| *letter != b'=').map(value).collect();
    let bits = letters.chunks(4).flat_map(|letters| {
        let whole = letters.iter().fold(0, |whole, letter| whole << 6 | letter) << (6 * (4 - letters.len()));
        whole.to_be_bytes().into_iter().skip(1).take(letters.len() - 1)
    });
    bits.collect()
}
