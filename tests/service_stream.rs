//! The stream path against a real broker with JetStream: one order, each verdict once, whoever is killed meanwhile.

mod support;

use std::{collections::BTreeMap, path::Path, time::Duration};

use async_nats::{
    Client,
    jetstream::{self, stream},
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use support::{
    Broker, Gavel,
    old::old_broker,
    purchases::{Purchase, purchases, uninterrupted},
    streams::{STREAM, header, next, nothing_more, put, stored, transaction, until_acknowledged, verdicts},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_the_stream_gets_its_verdict_on_the_verdict_subject_once() {
    let store = tempfile::tempdir().unwrap();
    let broker = Broker::start_jetstream(store.path(), "", 0);
    let rules = r#"
        [[rule]]
        id = "declined-before"
        description = "The issuer declines"
        when = "count(card, 5m, where outcome == declined) >= 1"
        then = "review"
    "#;
    let gavel = Gavel::prepared(broker.url(), STREAM, &[("rules/rules.toml", rules)]);
    gavel.wait_ready();
    gavel.wait_metric("gavel_stream_reading", "", 1.0);
    let client = broker.client().await;
    let context = jetstream::new(client.clone());
    let mut verdicts = client.subscribe("fraud.v1.verdict.>").await.unwrap();
    let mut refusals = client.subscribe("fraud.v1.refused.>").await.unwrap();
    let mut terminated = client.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.FRAUD-TXN.gavel").await.unwrap();
    client.flush().await.unwrap();

    put(&context, "fraud.v1.txn.p1.c_1", transaction("t-1", 4_599)).await;
    let first = next(&mut verdicts).await;
    assert_eq!(first.subject.as_str(), "fraud.v1.verdict.p1.approve");
    for (name, expected) in [
        ("Fraud-Card", "c_1"),
        ("Fraud-Time", "2018-07-25T10:15:30.123Z"),
        ("Fraud-Amount", "4599"),
        ("Fraud-Currency", "EUR"),
        ("Fraud-Merchant", "m"),
        ("Nats-Msg-Id", "p1/c_1/t-1"),
    ] {
        assert_eq!(header(first.headers.as_ref(), name), expected, "{name}");
    }
    let text = String::from_utf8_lossy(&first.payload).into_owned();
    assert!(text.contains(r#""tier":"rules_only""#), "{text}");

    // A request for the same one gets the same bytes; it counts once and is not published again.
    let asked = client.request("fraud.v1.score.p1.c_1", transaction("t-1", 4_599).into()).await.unwrap();
    assert_eq!((asked.payload, header(asked.headers.as_ref(), "Fraud-Duplicate")), (first.payload, "true"));
    client.request("fraud.v1.score.p1.c_1", transaction("t-2", 1).into()).await.unwrap();
    assert_eq!(header(next(&mut verdicts).await.headers.as_ref(), "Nats-Msg-Id"), "p1/c_1/t-2");
    put(&context, "fraud.v1.txn.p1.c_1", transaction("t-2", 1)).await;

    // An outcome before the transaction that it matters to, in the order of the stream.
    let outcome = r#"{"id":"t-2","card":"c_1","time":1532513730200,"outcome":"declined"}"#;
    put(&context, "fraud.v1.txn.p1.c_1.outcome", outcome.into()).await;
    let label = r#"{"id":"t-2","card":"c_1","time":1532513730200,"label":"fraud"}"#;
    put(&context, "fraud.v1.txn.p1.c_1.label", label.into()).await;
    put(&context, "fraud.v1.txn.p1.c_1", transaction("t-3", 2)).await;
    assert_eq!(next(&mut verdicts).await.subject.as_str(), "fraud.v1.verdict.p1.review");

    // What cannot be scored is told and not delivered again.
    for (subject, body, code) in [
        ("p1.c_1", transaction("t-3", 3), "id_conflict"),
        ("p1.c_2", transaction("t-4", 3), "card_mismatch"),
        ("p1.c_1", "{".into(), "invalid_json"),
        ("p1.c_1.outcome", r#"{"id":"t-9","card":"c_1","time":1,"outcome":"approved"}"#.into(), "unknown_transaction"),
        ("p1.c_1.other", transaction("t-4", 3), "invalid_subject"),
    ] {
        let sequence = put(&context, &format!("fraud.v1.txn.{subject}"), body).await;
        let told = next(&mut refusals).await;
        let text = String::from_utf8_lossy(&told.payload).into_owned();
        assert_eq!(told.subject.as_str(), "fraud.v1.refused.p1");
        assert!(text.starts_with(&format!(r#"{{"error":{{"code":"{code}""#)), "{text}");
        assert_eq!(header(told.headers.as_ref(), "Fraud-Stream-Sequence"), sequence.to_string());
        let status = if code == "id_conflict" { "409" } else { "400" };
        assert_eq!(header(told.headers.as_ref(), "Nats-Service-Error-Code"), status);
        let said: serde_json::Value = serde_json::from_slice(&next(&mut terminated).await.payload).unwrap();
        assert_eq!(said["stream_seq"], sequence);
    }
    nothing_more(&mut verdicts).await;
    nothing_more(&mut refusals).await;

    // What was refused is kept beside the verdicts.
    let kept = stored(&client, "FRAUD-VERDICTS").await;
    let (refused, given): (Vec<_>, Vec<_>) = kept.iter().partition(|(subject, ..)| subject == "fraud.v1.refused.p1");
    let ids: Vec<_> = given.iter().map(|(_, id, _)| id.as_str()).collect();
    assert_eq!((ids, refused.len()), (vec!["p1/c_1/t-1", "p1/c_1/t-2", "p1/c_1/t-3"], 5));
    gavel.wait_metric("gavel_verdicts_total", "", 3.0);
    gavel.wait_metric("gavel_duplicates_total", "", 2.0);
    gavel.wait_metric("gavel_refusals_total", "", 5.0);
    gavel.wait_metric("gavel_stream_messages_total", "", 10.0);
    gavel.wait_metric("gavel_stream_in_flight_messages", "", 0.0);
    gavel.wait_metric("gavel_stream_sequence", "", 10.0);
    // Everything is acknowledged.
    let stream = context.get_stream("FRAUD-TXN").await.unwrap();
    until_acknowledged(&stream, 10).await;
    let info = stream.consumer_info("gavel").await.unwrap();
    assert_eq!((info.num_pending, info.num_redelivered), (0, 0));
}

/// Publishes everything, each once it is known to be stored; what a broker that dies does not confirm is sent again.
async fn publish_all(client: Client, purchases: Vec<Purchase>) {
    let context = jetstream::new(client);
    // In order: an id that is stored twice is a duplicate, and one that is late would change answers after it.
    for Purchase { card, body } in purchases {
        loop {
            let sent = context.publish(format!("fraud.v1.txn.p1.{card}"), body.clone().into()).await;
            if let Ok(stored) = sent
                && stored.await.is_ok()
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// One verdict for each transaction in the stream of verdicts, with the bytes of an uninterrupted run.
async fn check_verdicts(client: &Client, purchases: &[Purchase], expected: &[Vec<u8>]) {
    let stream = || async {
        let stream = jetstream::new(client.clone()).get_stream("FRAUD-VERDICTS").await;
        stream.map_or(0, |stream| stream.cached_info().state.messages)
    };
    let start = std::time::Instant::now();
    while stream().await < purchases.len() as u64 && start.elapsed() < Duration::from_secs(40) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // What would be stored twice has time to be.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (_, id, body) in stored(client, "FRAUD-VERDICTS").await {
        assert!(found.insert(id.clone(), body).is_none(), "{id} is stored twice");
    }
    assert_eq!(found.len(), purchases.len(), "verdicts stored");
    for (number, (purchase, expected)) in purchases.iter().zip(expected).enumerate() {
        let body = found.get(&format!("p1/{}/t-{number}", purchase.card)).map(Vec::as_slice).unwrap_or_default();
        let text = String::from_utf8_lossy;
        assert_eq!(text(body), text(expected), "transaction {number}");
    }
}

fn shipped() -> [String; 4] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = |name: &str| root.join(name).display().to_string();
    ["--rules".into(), path("rules"), "--model".into(), path("models/gavel.model")]
}

/// The service is killed in the middle, again and again, as is the broker: every transaction has one verdict in the
/// stream of verdicts, and its bytes are those of an uninterrupted run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_each_verdict_is_stored_once() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let kills = setting("CRASHES").unwrap_or(4);
    let seed = setting("CRASH_SEED").unwrap_or(3);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let arguments = shipped();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let purchases = || purchases(800 * (kills as usize + 1), seed);
    let expected = uninterrupted(&purchases(), &arguments);

    let store = tempfile::tempdir().unwrap();
    let mut broker = Some(Broker::start_jetstream(store.path(), "", 0));
    let (url, port) = broker.as_ref().map(|broker| (broker.url().to_owned(), broker.port())).unwrap();
    let configuration = format!("{STREAM}[durability]\nfile_max = \"1MiB\"\n");
    let mut gavel = Gavel::start_as(&url, &configuration, &arguments);
    gavel.wait_ready();
    gavel.wait_metric("gavel_stream_reading", "", 1.0);
    let client = async_nats::connect(&url).await.unwrap();
    let publishing = tokio::spawn(publish_all(client.clone(), purchases()));
    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(random.random_range(100..900))).await;
        if kill % 2 == 0 {
            gavel.kill();
            gavel.start_again();
            gavel.wait_ready();
            assert!(gavel.metric("gavel_journal_lost_total", "") < 0.5, "{}", gavel.log());
        } else {
            broker.take().unwrap().kill();
            tokio::time::sleep(Duration::from_millis(random.random_range(0..500))).await;
            broker = Some(Broker::start_jetstream(store.path(), "", port));
        }
    }
    publishing.await.unwrap();
    let purchases = purchases();
    check_verdicts(&client, &purchases, &expected).await;
    gavel.wait_metric("gavel_stream_in_flight_messages", "", 0.0);

    // After an orderly end nothing is published again, and nothing is read again.
    gavel.terminate();
    assert!(gavel.wait_exit().success());
    gavel.start_again();
    gavel.wait_ready();
    gavel.wait_metric("gavel_stream_reading", "", 1.0);
    assert!(gavel.metric("gavel_stream_republished_total", "") < 0.5, "{}", gavel.log());
    assert!(gavel.metric("gavel_stream_messages_total", "") < 0.5, "{}", gavel.log());
    check_verdicts(&client, &purchases, &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_as_configured_is_told_and_requests_are_served() {
    let store = tempfile::tempdir().unwrap();
    let broker = Broker::start_jetstream(store.path(), "", 0);
    let client = broker.client().await;
    let context = jetstream::new(client.clone());
    let wrong = stream::Config {
        name: "FRAUD-TXN".into(),
        subjects: vec!["fraud.v1.txn.>".into(), "fraud.v1.label.>".into()],
        max_messages_per_subject: 1,
        storage: stream::StorageType::Memory,
        ..stream::Config::default()
    };
    context.create_stream(wrong.clone()).await.unwrap();
    let gavel = Gavel::start_with(broker.url(), STREAM, &[]);
    gavel.wait_ready();
    let line = gavel.wait_log("is not as configured");
    for expected in [
        "stream FRAUD-TXN is not as configured",
        "subjects is fraud.v1.label.>, fraud.v1.txn.>, expected fraud.v1.txn.>",
        "storage is Memory, expected File",
        "max_age is no bound, expected 604800s",
        "max_msgs_per_subject is 1, expected no bound",
    ] {
        assert!(line.contains(expected), "{expected}: {line}");
    }
    let asked = client.request("fraud.v1.score.p1.c_1", transaction("t-1", 1).into()).await.unwrap();
    assert!(asked.payload.starts_with(b"{\"id\":\"t-1\""));
    assert!(gavel.metric("gavel_stream_reading", "") < 0.5);

    // Once it is mended, reading begins without a restart.
    context.delete_stream("FRAUD-TXN").await.unwrap();
    gavel.wait_metric("gavel_stream_reading", "", 1.0);

    // A stream over what requests go to is told as well.
    let capturing =
        stream::Config { name: "ALL".into(), subjects: vec!["fraud.v1.score.>".into()], ..stream::Config::default() };
    context.create_stream(capturing).await.unwrap();
    let other = Gavel::start_with(broker.url(), "[stream]\nenabled = true\nconsumer = \"other\"\n", &[]);
    other.wait_ready();
    let line = other.wait_log("a stream captures requests");
    assert!(line.contains("fraud.v1.score.*.* by ALL"), "{line}");
    other.wait_metric("gavel_stream_captures_requests", "", 1.0);
    // One that was connected before notices too, and that it is gone.
    gavel.wait_metric("gavel_stream_captures_requests", "", 1.0);
    context.delete_stream("ALL").await.unwrap();
    gavel.wait_metric("gavel_stream_captures_requests", "", 0.0);
}

/// Without a word of configuration: who sees that the service is ready may fill the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_broker_has_jetstream_the_stream_is_made_and_read() {
    let store = tempfile::tempdir().unwrap();
    let broker = Broker::start_jetstream(store.path(), "", 0);
    let client = broker.client().await;
    let mut verdicts = verdicts(&client).await;
    let mut gavel = Gavel::start_with(broker.url(), "", &[]);
    // Whoever is answered before the stream is found has an identity there, too.
    let first = loop {
        match client.request("fraud.v1.score.p1.c_1", transaction("t-0", 1).into()).await {
            Ok(answer) => break answer,
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    };
    let verdict = next(&mut verdicts).await;
    assert_eq!((header(verdict.headers.as_ref(), "Nats-Msg-Id"), verdict.payload), ("p1/c_1/t-0", first.payload));
    gavel.wait_ready();
    put(&jetstream::new(client.clone()), "fraud.v1.txn.p1.c_1", transaction("t-1", 4_599)).await;
    let verdict = next(&mut verdicts).await;
    assert_eq!(header(verdict.headers.as_ref(), "Nats-Msg-Id"), "p1/c_1/t-1");
    let asked = client.request("fraud.v1.score.p1.c_1", transaction("t-2", 1).into()).await.unwrap();
    let verdict = next(&mut verdicts).await;
    assert_eq!((header(verdict.headers.as_ref(), "Nats-Msg-Id"), verdict.payload), ("p1/c_1/t-2", asked.payload));
    gavel.terminate();
    assert!(gavel.wait_exit().success());
    let stored = stored(&client, "FRAUD-VERDICTS").await;
    let ids: Vec<&str> = stored.iter().map(|(_, id, _)| id.as_str()).collect();
    assert!(ids.ends_with(&["p1/c_1/t-1", "p1/c_1/t-2"]) && ids.len() <= 3, "{ids:?}");
}

/// A broker without streams is nothing to complain of; once it has some, they are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_gets_jetstream_later_is_read_from_then_on() {
    let broker = Broker::start();
    let port = broker.port();
    let mut gavel = Gavel::start_with(broker.url(), "", &[]);
    gavel.wait_ready();
    let line = gavel.wait_log("there is no stream to read; requests are served");
    assert!(line.contains("the broker has no JetStream") && line.contains("INFO"), "{line}");
    let client = broker.client().await;
    let asked = client.request("fraud.v1.score.p1.c_1", transaction("t-1", 1).into()).await.unwrap();
    assert!(asked.payload.starts_with(b"{\"id\":\"t-1\""));
    assert!(gavel.metric("gavel_stream_reading", "") < 0.5 && gavel.metric("gavel_stream_restarts_total", "") < 0.5);

    broker.kill();
    let store = tempfile::tempdir().unwrap();
    let broker = Broker::start_jetstream(store.path(), "", port);
    gavel.wait_metric("gavel_stream_reading", "", 1.0);
    gavel.wait_ready();
    let client = broker.client().await;
    let mut verdicts = verdicts(&client).await;
    client.request("fraud.v1.score.p1.c_1", transaction("t-2", 1).into()).await.unwrap();
    put(&jetstream::new(client.clone()), "fraud.v1.txn.p1.c_1", transaction("t-3", 1)).await;
    for expected in ["p1/c_1/t-2", "p1/c_1/t-3"] {
        assert_eq!(header(next(&mut verdicts).await.headers.as_ref(), "Nats-Msg-Id"), expected);
    }
    gavel.terminate();
    assert!(gavel.wait_exit().success());
    assert_eq!(stored(&client, "FRAUD-VERDICTS").await.len(), 2);
    assert!(!gavel.log().contains("ERROR"), "{}", gavel.log());
}

/// A stream that somebody has made is read whatever it is called, with settings that break no promise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_another_name_is_read() {
    let store = tempfile::tempdir().unwrap();
    let broker = Broker::start_jetstream(store.path(), "", 0);
    let client = broker.client().await;
    let context = jetstream::new(client.clone());
    for (name, subject) in [("PAYMENTS", "fraud.v1.txn.>"), ("ANSWERS", "fraud.v1.verdict.>")] {
        let plain = stream::Config { name: name.into(), subjects: vec![subject.into()], ..stream::Config::default() };
        context.create_stream(plain).await.unwrap();
    }
    put(&context, "fraud.v1.txn.p1.c_1", transaction("t-1", 1)).await;
    let gavel = Gavel::start_with(broker.url(), "", &[]);
    gavel.wait_ready();
    let line = gavel.wait_log("stream PAYMENTS is not as configured, and is used as it is");
    assert!(line.contains("max_age is no bound, expected 604800s") && !line.contains("discard"), "{line}");
    put(&context, "fraud.v1.txn.p1.c_1", transaction("t-2", 1)).await;
    until_acknowledged(&context.get_stream("PAYMENTS").await.unwrap(), 2).await;
    let identities: Vec<_> = stored(&client, "ANSWERS").await.into_iter().map(|(_, identity, _)| identity).collect();
    assert_eq!(identities, ["p1/c_1/t-1", "p1/c_1/t-2"]);
    assert!(context.get_stream("FRAUD-TXN").await.is_err() && context.get_stream("FRAUD-VERDICTS").await.is_err());
}

/// One scorer for each partition, told apart by the root of its subjects alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_have_streams_of_their_own() {
    let store = tempfile::tempdir().unwrap();
    let broker = Broker::start_jetstream(store.path(), "", 0);
    let client = broker.client().await;
    let context = jetstream::new(client.clone());
    let gavels =
        [1, 2].map(|number| Gavel::start_with(broker.url(), &format!("[nats]\nroot = \"fraud.p.{number}\"\n"), &[]));
    for (number, gavel) in (1..).zip(&gavels) {
        gavel.wait_ready();
        gavel.wait_metric("gavel_stream_reading", "", 1.0);
        put(&context, &format!("fraud.p.{number}.txn.p1.c_1"), transaction(&format!("t-{number}"), 1)).await;
        until_acknowledged(&context.get_stream(&format!("FRAUD-P-{number}-TXN")).await.unwrap(), 1).await;
        let kept = stored(&client, &format!("FRAUD-P-{number}-VERDICTS")).await;
        assert_eq!(kept[0].1, format!("p1/c_1/t-{number}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_jetstream_requests_are_served() {
    let broker = Broker::start();
    let mut gavel = Gavel::start_with(broker.url(), STREAM, &[]);
    gavel.wait_ready();
    let line = gavel.wait_log("the stream is not read; requests are served");
    assert!(line.contains("the broker has no JetStream"), "{line}");
    let client = broker.client().await;
    let asked = client.request("fraud.v1.score.p1.c_1", transaction("t-1", 1).into()).await.unwrap();
    assert!(asked.payload.starts_with(b"{\"id\":\"t-1\""));
    assert!(gavel.metric("gavel_stream_reading", "") < 0.5);
    gavel.terminate();
    assert!(gavel.wait_exit().success());
}

/// Streams ask for a recent broker. One that is too old for them still carries requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_broker_is_refused_for_the_stream_and_serves_requests() {
    let store = tempfile::tempdir().unwrap();
    let broker = Broker::start_jetstream(store.path(), "", 0);
    let url = old_broker(broker.url());
    let mut gavel = Gavel::start_with(&url, STREAM, &[]);
    gavel.wait_ready();
    let line = gavel.wait_log("the stream is not read; requests are served");
    assert!(line.contains("the broker is nats-server 2.9.10, expected 2.12.1 or newer for the stream"), "{line}");
    let client = async_nats::connect(&url).await.unwrap();
    let asked = client.request("fraud.v1.score.p1.c_1", transaction("t-1", 1).into()).await.unwrap();
    assert!(asked.payload.starts_with(b"{\"id\":\"t-1\""));
    assert!(gavel.metric("gavel_stream_reading", "") < 0.5);
    // It has made no stream there.
    assert!(jetstream::new(broker.client().await).get_stream("FRAUD-TXN").await.is_err());
    gavel.terminate();
    assert!(gavel.wait_exit().success());

    // The same broker without the old face is read.
    let recent = Gavel::start_with(broker.url(), STREAM, &[]);
    recent.wait_ready();
    recent.wait_metric("gavel_stream_reading", "", 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_missing_is_not_made_where_that_is_forbidden() {
    let store = tempfile::tempdir().unwrap();
    let broker = Broker::start_jetstream(store.path(), "", 0);
    let gavel = Gavel::start_with(broker.url(), "[stream]\nenabled = true\ncreate = false\n", &[]);
    gavel.wait_ready();
    let line = gavel.wait_log("is not there");
    assert!(line.contains("stream FRAUD-TXN is not there, expected one that captures fraud.v1.txn.>"), "{line}");
}

/// Without a journal a restart goes on where the consumer was acknowledged; verdicts may be stored nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_journal_the_consumer_says_where_to_go_on() {
    let store = tempfile::tempdir().unwrap();
    let broker = Broker::start_jetstream(store.path(), "", 0);
    let configuration = format!("{STREAM}verdicts = \"none\"\n[durability]\ndir = \"none\"\n");
    let mut gavel = Gavel::start_with(broker.url(), &configuration, &[]);
    gavel.wait_ready();
    gavel.wait_metric("gavel_stream_reading", "", 1.0);
    let client = broker.client().await;
    let context = jetstream::new(client.clone());
    let mut verdicts = verdicts(&client).await;
    put(&context, "fraud.v1.txn.p1.c_1", transaction("t-1", 1)).await;
    next(&mut verdicts).await;
    let stream = context.get_stream("FRAUD-TXN").await.unwrap();
    until_acknowledged(&stream, 1).await;
    gavel.kill();
    put(&context, "fraud.v1.txn.p1.c_1", transaction("t-2", 1)).await;
    gavel.start_again();
    gavel.wait_ready();
    let verdict = next(&mut verdicts).await;
    assert_eq!(header(verdict.headers.as_ref(), "Nats-Msg-Id"), "p1/c_1/t-2");
    nothing_more(&mut verdicts).await;
}

/// A power cut may take from a broker what it had acknowledged. What it stores after that is scored, whatever its number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_has_forgotten_goes_on() {
    let store = tempfile::tempdir().unwrap();
    let broker = Broker::start_jetstream(store.path(), "", 0);
    let mut gavel = Gavel::start_with(broker.url(), STREAM, &[]);
    gavel.wait_ready();
    gavel.wait_metric("gavel_stream_reading", "", 1.0);
    let client = broker.client().await;
    let context = jetstream::new(client.clone());
    let mut verdicts = verdicts(&client).await;
    for number in 1..=5 {
        put(&context, "fraud.v1.txn.p1.c_1", transaction(&format!("t-{number}"), 1)).await;
        next(&mut verdicts).await;
    }
    gavel.wait_metric("gavel_stream_in_flight_messages", "", 0.0);
    gavel.terminate();
    assert!(gavel.wait_exit().success());
    // It comes back without its streams, and with one that a processor has filled anew: one old, two new.
    context.delete_stream("FRAUD-TXN").await.unwrap();
    let anew = stream::Config {
        name: "FRAUD-TXN".into(),
        subjects: vec!["fraud.v1.txn.>".into()],
        discard: stream::DiscardPolicy::New,
        max_age: Duration::from_secs(7 * 24 * 3_600),
        ..stream::Config::default()
    };
    context.create_stream(anew).await.unwrap();
    for number in 5..=7 {
        put(&context, "fraud.v1.txn.p1.c_1", transaction(&format!("t-{number}"), 1)).await;
    }
    gavel.start_again();
    gavel.wait_ready();
    for number in 6..=7 {
        let verdict = next(&mut verdicts).await;
        assert_eq!(header(verdict.headers.as_ref(), "Nats-Msg-Id"), format!("p1/c_1/t-{number}"));
    }
    nothing_more(&mut verdicts).await;
    gavel.wait_log("the stream is not the one of before");
    gavel.wait_metric("gavel_duplicates_total", "", 1.0);
}
