//! One service replaces another under load: every request gets one answer, and counts once.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    time::Duration,
};

use async_nats::jetstream;
use futures_util::StreamExt as _;
use support::{
    Broker, Gavel,
    streams::{STREAM, put, stored, transaction},
    wait_for,
};

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

/// Both paths at once: what the stream brings is read by the one process up to a message and by the other from there on.
async fn store_some(context: jetstream::Context, numbers: std::ops::Range<u32>) {
    for number in numbers {
        put(&context, "fraud.v1.txn.p1.c_1", transaction(&format!("t-{number}"), 1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_is_read_on_where_the_other_process_stopped() {
    let store = tempfile::tempdir().expect("a folder");
    let broker = Broker::start_jetstream(store.path(), "", 0);
    // The next transaction is the 3,001st: one that is lost, or counted twice, shows.
    let rules = r#"
        [[rule]]
        id = "all-of-them"
        description = "As many as were stored"
        when = "count(card, 30d) > 3000"
        then = "review"

        [[rule]]
        id = "too-many"
        description = "More than were stored"
        when = "count(card, 30d) > 3001"
        then = "deny"
    "#;
    let mut first = Gavel::prepared(broker.url(), STREAM, &[("rules/rules.toml", rules)]);
    first.wait_ready();
    first.wait_metric("gavel_stream_reading", "", 1.0);
    let client = broker.client().await;
    let context = jetstream::new(client.clone());
    let load = Command::new(env!("CARGO_BIN_EXE_gavel"))
        .args(["load", "--nats", broker.url(), "--model", "none", "--json", "--seconds", "6", "--rate", "500"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    let storing = tokio::spawn(store_some(context.clone(), 0..2_500));
    wait_for("both paths", || {
        let is_under_way = first.metric("gavel_stream_messages_total", "") > 300.0;
        (is_under_way && first.metric("gavel_verdicts_total", "") > 800.0).then_some(())
    });
    let same = format!("{STREAM}{}", configuration(&first));
    let folder = Gavel::prepare(&same, &[("rules/rules.toml", rules)]);
    let second = Gavel::start_in(folder, broker.url(), &["--take-over"]);
    second.wait_ready();
    assert!(first.wait_exit().success(), "{}", first.log());
    storing.await.expect("all are stored");
    // However fast the others were, some are left for this one.
    store_some(context, 2_500..3_000).await;

    let output = load.wait_with_output().expect("it ends");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    let count = |key: &str| report[key].as_u64().expect("a count");
    assert_eq!((count("unanswered"), count("refused")), (0, 0), "{report} {}", second.log());
    let all = 3_000 + count("answered");
    wait_for("every verdict", || {
        let is_read = second.metric("gavel_stream_pending_messages", "") < 0.5;
        (is_read && second.metric("gavel_stream_in_flight_messages", "") < 0.5).then_some(())
    });
    // Both have read a part of the stream.
    assert!(second.metric("gavel_stream_messages_total", "") > 100.0, "{}", second.log());
    let verdicts = stored(&client, "FRAUD-VERDICTS").await;
    let ids: BTreeSet<&str> = verdicts.iter().map(|(_, id, _)| id.as_str()).collect();
    assert_eq!(ids.len(), verdicts.len(), "some are stored twice");
    for number in 0..3_000 {
        assert!(ids.contains(&*format!("p1/c_1/t-{number}")), "the verdict of {number} is not stored");
    }
    assert_eq!(ids.len() as u64, all, "{report}");
    let next = client.request("fraud.v1.score.p1.c_1", transaction("t-3000", 1).into()).await.expect("answered");
    let next = String::from_utf8_lossy(&next.payload).into_owned();
    assert!(next.contains(r#""verdict":"review""#), "{next}");
    eprintln!("{report}\n{}", second.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_other_dies_before_it_notices_it_is_an_ordinary_start() {
    let broker = Broker::start();
    let mut first = Gavel::start(&broker);
    first.wait_ready();
    let stopped = Command::new("kill").args(["-STOP", &first.pid().to_string()]).status().expect("kill runs");
    assert!(stopped.success());
    let second = Gavel::start_with(broker.url(), &configuration(&first), &["--take-over"]);
    wait_for("its asking", || first.folder().join("state/take-over").exists().then_some(()));
    first.kill();
    second.wait_ready();

    let nothing = "[durability]\ndir = \"none\"\n";
    let mut without = Gavel::start_with(broker.url(), nothing, &["--take-over"]);
    assert_eq!(without.wait_exit().code(), Some(2));
    without.wait_log("[durability] dir is none");
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
