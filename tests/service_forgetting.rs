//! A broker that loses what it had acknowledged, as a power cut takes it: its folder is put back to what it was before.
//! Numbers are given out a second time, and nothing that comes under them is skipped.

mod support;

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use async_nats::{
    Client,
    jetstream::{self, stream},
};
use support::{
    Broker, Gavel,
    streams::{STREAM, header, next, put, stored, transaction, verdicts},
};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Waits until a stream of verdicts holds these, each once.
async fn until_stored(client: &Client, expected: &BTreeSet<String>) {
    let mut found = Vec::new();
    for _ in 0..200 {
        found = stored(client, "FRAUD-VERDICTS").await.into_iter().map(|(_, id, _)| id).collect();
        if found.iter().cloned().collect::<BTreeSet<_>>() == *expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), *expected);
    assert_eq!(found.len(), expected.len(), "some are stored twice");
}

/// Asks for verdicts one after the other.
async fn ask(client: &Client, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let body = transaction(&format!("r-{number}"), 1);
        client.request("fraud.v1.score.p1.c_1", body.into()).await.expect("answered");
    }
}

/// It serves all the while: the reader's own memory of where it was is what tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_is_given_out_again_is_not_skipped() {
    let (store, before) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let broker = Broker::start_jetstream(store.path(), "", 0);
    let (url, port) = (broker.url().to_owned(), broker.port());
    let gavel = Gavel::start_with(&url, STREAM, &[]);
    gavel.wait_ready();
    gavel.wait_metric("gavel_stream_reading", "", 1.0);
    let client = broker.client().await;
    let context = jetstream::new(client.clone());
    let mut verdicts = verdicts(&client).await;
    let subject = "fraud.v1.txn.p1.c_1";
    for number in 1..=2 {
        put(&context, subject, transaction(&format!("t-{number}"), 1)).await;
        next(&mut verdicts).await;
    }
    gavel.wait_metric("gavel_stream_in_flight_messages", "", 0.0);
    broker.kill();
    copy(store.path(), before.path());
    let broker = Broker::start_jetstream(store.path(), "", port);
    gavel.wait_metric("gavel_stream_reading", "", 1.0);
    for number in 3..=5 {
        put(&context, subject, transaction(&format!("t-{number}"), 1)).await;
        next(&mut verdicts).await;
    }
    gavel.wait_metric("gavel_stream_in_flight_messages", "", 0.0);

    // Three transactions are gone from the one stream, and their verdicts from the other.
    broker.kill();
    let _broker = Broker::start_jetstream(before.path(), "", port);
    // Two are new, under numbers that were taken; one the processor sends again.
    for number in [6, 4, 7] {
        let sequence = put(&context, subject, transaction(&format!("t-{number}"), 1)).await;
        assert!(sequence <= 5, "{sequence} was taken before");
    }
    for number in [6, 7] {
        let identity = format!("p1/c_1/t-{number}");
        while header(next(&mut verdicts).await.headers.as_ref(), "Nats-Msg-Id") != identity {}
    }
    gavel.wait_log("the stream is not the one of before");
    assert!(gavel.metric("gavel_stream_forgotten_total", "") > 0.5);
    // None counts twice.
    gavel.wait_metric("gavel_verdicts_total", "", 7.0);
    let expected = (1..=7).map(|number| format!("p1/c_1/t-{number}")).collect();
    until_stored(&client, &expected).await;
    gavel.wait_metric("gavel_stream_verdicts_forgotten_total", "", 1.0);
}

/// Both are gone at once, as in a power cut of everything: the journal knows what the stream of verdicts had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_that_are_forgotten_meanwhile_are_published_at_the_start() {
    let (store, before) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let broker = Broker::start_jetstream(store.path(), "", 0);
    let (url, port) = (broker.url().to_owned(), broker.port());
    let mut gavel = Gavel::start_with(&url, STREAM, &[]);
    gavel.wait_ready();
    gavel.wait_metric("gavel_stream_reading", "", 1.0);
    let context = jetstream::new(broker.client().await);
    let subject = "fraud.v1.txn.p1.c_1";
    put(&context, subject, transaction("t-1", 1)).await;
    gavel.wait_metric("gavel_stream_in_flight_messages", "", 0.0);
    broker.kill();
    copy(store.path(), before.path());
    let broker = Broker::start_jetstream(store.path(), "", port);
    gavel.wait_metric("gavel_stream_reading", "", 1.0);
    let context = jetstream::new(broker.client().await);
    for number in 2..=40 {
        put(&context, subject, transaction(&format!("t-{number}"), 1)).await;
    }
    gavel.wait_metric("gavel_stream_sequence", "", 40.0);
    gavel.wait_metric("gavel_stream_in_flight_messages", "", 0.0);
    gavel.terminate();
    assert!(gavel.wait_exit().success());
    broker.kill();

    let broker = Broker::start_jetstream(before.path(), "", port);
    gavel.start_again();
    gavel.wait_ready();
    gavel.wait_log("the stream of verdicts has forgotten what it had stored");
    let client = broker.client().await;
    until_stored(&client, &(1..=40).map(|number| format!("p1/c_1/t-{number}")).collect()).await;
    // Once is enough.
    gavel.terminate();
    assert!(gavel.wait_exit().success());
    gavel.start_again();
    gavel.wait_ready();
    gavel.wait_metric("gavel_stream_reading", "", 1.0);
    assert!(gavel.metric("gavel_stream_recalled_total", "") < 0.5, "{}", gavel.log());
}

/// Copies of verdicts on requests are published without waiting for anybody. Those that a stream without a leader does not
/// store are published again from the journal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_that_were_not_stored_are_published_again() {
    let store = tempfile::tempdir().unwrap();
    let broker = Broker::start_jetstream(store.path(), "", 0);
    let gavel = Gavel::start_with(broker.url(), STREAM, &[]);
    gavel.wait_ready();
    gavel.wait_metric("gavel_stream_reading", "", 1.0);
    let client = broker.client().await;
    ask(&client, 0..50).await;
    // For a while nothing takes them.
    let context = jetstream::new(client.clone());
    let taking = context.get_stream("FRAUD-VERDICTS").await.unwrap().cached_info().config.clone();
    let deaf = stream::Config { subjects: vec!["nobody.says.this".into()], ..taking.clone() };
    context.update_stream(deaf).await.unwrap();
    ask(&client, 50..150).await;
    context.update_stream(taking).await.unwrap();
    ask(&client, 150..200).await;
    until_stored(&client, &(0..200).map(|number| format!("p1/c_1/r-{number}")).collect()).await;
    gavel.wait_metric("gavel_stream_recalled_total", "", 100.0);

    // The whole stream is gone, and is made anew.
    context.delete_stream("FRAUD-VERDICTS").await.unwrap();
    gavel.wait_metric("gavel_stream_verdicts_forgotten_total", "", 1.0);
    until_stored(&client, &(0..200).map(|number| format!("p1/c_1/r-{number}")).collect()).await;
}
