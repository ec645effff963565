//! One service replaces another under load: every request gets one answer, and counts once.

mod support;

use std::{collections::BTreeMap, process::Command, time::Duration};

use futures_util::StreamExt as _;
use support::{Broker, Gavel, wait_for};

fn configuration(first: &Gavel) -> String {
    format!("[durability]\ndir = \"{}\"\n", first.folder().join("state").display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_request_is_left_unanswered() {
    let broker = Broker::start();
    let mut first = Gavel::start(&broker);
    let client = broker.client().await;
    let mut copies = client.subscribe("fraud.v1.verdict.>").await.expect("subscribed");
    client.flush().await.expect("the broker is there");
    let load = Command::new(env!("CARGO_BIN_EXE_gavel"))
        .args(["load", "--nats", broker.url(), "--model", "none", "--json", "--seconds", "6", "--rate", "1500"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    wait_for("load", || (first.metric("gavel_verdicts_total", "") > 1_000.0).then_some(()));
    let second = Gavel::start_with(broker.url(), &configuration(&first), &["--take-over"]);
    second.wait_ready();
    assert!(first.wait_exit().success(), "{}", first.log());
    first.wait_log("another process has taken over");

    let output = load.wait_with_output().expect("it ends");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    let count = |key: &str| report[key].as_u64().expect("a count");
    assert_eq!((count("unanswered"), count("refused")), (0, 0), "{report} {}", second.log());
    assert_eq!(count("sent"), count("answered"), "{report}");
    // Both have answered some of it, and each transaction once.
    assert!(second.metric("gavel_verdicts_total", "") > 100.0, "{}", second.log());
    let mut published: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    while let Ok(Some(copy)) = tokio::time::timeout(Duration::from_millis(500), copies.next()).await {
        *published.entry(copy.payload.to_vec()).or_default() += 1;
    }
    assert_eq!(published.values().filter(|copies| **copies > 1).count(), 0, "some were published twice");
    assert_eq!(published.len() as u64, count("answered"));
    eprintln!("{report}\n{}", second.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_serves_it_is_an_ordinary_start() {
    let broker = Broker::start();
    let alone = Gavel::start_with(broker.url(), "", &["--take-over"]);
    alone.wait_ready();
    let mut first = Gavel::start(&broker);
    let same = configuration(&first);
    // Without the flag a folder in use is refused, and whoever has it goes on.
    let mut refused = Gavel::start_with(broker.url(), &same, &[]);
    assert_eq!(refused.wait_exit().code(), Some(2));
    first.kill();
    let second = Gavel::start_with(broker.url(), &same, &["--take-over"]);
    second.wait_ready();
}
