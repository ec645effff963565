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
    let cases: [(&[&str], bool, u64); 4] = [
        (&["--rate", "500"], true, 500),
        (&["--rate", "max", "--connections", "3"], true, 500),
        (&["--rate", "500", "--echo"], false, 500),
        (&["--rate", "max", "--echo"], false, 500),
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
            // The second run sends the first rows of the first again: they get their first answers.
            given += count("answered") as f64;
            let answered = || gavel.metric("gavel_verdicts_total", "") + gavel.metric("gavel_duplicates_total", "");
            support::wait_for("every answer to be counted", || ((answered() - given).abs() < 0.5).then_some(()));
        }
    }
}
