//! A broker that loses what it had acknowledged, as a power cut takes it: its folder is put back to what it was before.
//! Numbers are given out a second time, and nothing that comes under them is skipped.

mod support;

use std::{fs, path::Path};

use async_nats::jetstream;
use support::{
    Broker, Gavel,
    streams::{STREAM, header, next, nothing_more, put, transaction},
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
    let mut verdicts = client.subscribe("fraud.v1.verdict.>").await.unwrap();
    client.flush().await.unwrap();
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
    nothing_more(&mut verdicts).await;
    gavel.wait_log("the stream is not the one of before");
    assert!(gavel.metric("gavel_stream_forgotten_total", "") > 0.5);
    // None counts twice.
    gavel.wait_metric("gavel_verdicts_total", "", 7.0);
}
