//! The journal as an operator meets it: a folder in use, a disk that is full, a folder that cannot be made, and no card
//! number in anything that is written.

mod support;

use std::{fs, process::Command, time::Duration};

use async_nats::{Client, HeaderMap, Message};
use futures_util::StreamExt as _;
use support::{Broker, Gavel, wait_for};

fn transaction(id: u64) -> String {
    format!(r#"{{"id":"t-{id}","time":{},"card":"c_1","amount":4599,"currency":"EUR"}}"#, 1_532_513_730_123 + id)
}

async fn ask(client: &Client, subject: &str, body: String) -> Message {
    client.request(subject.to_owned(), body.into()).await.unwrap()
}

fn status(answer: &Message) -> Option<&str> {
    Some(answer.headers.as_ref()?.get("Nats-Service-Error-Code")?.as_str())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_folder_belongs_to_one_service() {
    let broker = Broker::start();
    let first = Gavel::start(&broker);
    let dir = first.folder().join("state");
    let same = format!("[durability]\ndir = {dir:?}\n");
    let mut second = Gavel::start_with(broker.url(), &same, &[]);
    assert_eq!(second.wait_exit().code(), Some(2));
    second.wait_log("is in use by another process");

    let none = Gavel::start_with(broker.url(), "[durability]\ndir = \"none\"\n", &[]);
    none.wait_ready();
    assert!(!none.folder().join("state").exists());
}

/// Nobody can make a folder below a file, not even the one who may do everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_folder_that_cannot_be_made_is_told() {
    let broker = Broker::start();
    let dir = "dir = \"gavel.toml/state\"\n";
    let mut refusing = Gavel::start_with(broker.url(), &format!("[durability]\n{dir}"), &[]);
    assert_eq!(refusing.wait_exit().code(), Some(2));
    refusing.wait_log("cannot be used for the journal");

    let continuing = Gavel::start_with(broker.url(), &format!("[durability]\non_failure = \"continue\"\n{dir}"), &[]);
    continuing.wait_ready();
    continuing.wait_log("going on without durability");
    let answer = ask(&broker.client().await, "fraud.v1.score.p1.c_1", transaction(1)).await;
    assert_eq!(status(&answer), None);
    assert!((continuing.metric("gavel_journal_failing", "") - 1.0).abs() < 0.5);
}

/// A limit on the size of files stands for a disk that is full: it can be lifted while the service runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_it_refuses_until_there_is_room() {
    let limit = |pid: u32, bytes: &str| {
        let pid = pid.to_string();
        Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]).status()
    };
    if limit(std::process::id(), "unlimited").is_err() {
        eprintln!("NOT CHECKED: prlimit is not here, so no disk was full");
        return;
    }
    let broker = Broker::start();
    let mut gavel = Gavel::start(&broker);
    assert!(limit(gavel.pid(), "20000").unwrap().success());
    let client = broker.client().await;
    let subject = "fraud.v1.score.p1.c_1";
    let mut verdicts = 0;
    // The one whose record did not fit is held back, and the next is refused.
    let refused = loop {
        let asked =
            tokio::time::timeout(Duration::from_millis(700), ask(&client, subject, transaction(verdicts))).await;
        match asked {
            Ok(answer) if status(&answer).is_none() => verdicts += 1,
            Ok(answer) => break answer,
            Err(_) => {}
        }
    };
    assert_eq!(status(&refused), Some("503"));
    assert!(String::from_utf8_lossy(&refused.payload).contains("not_durable"));
    assert!(verdicts > 10, "{verdicts} verdicts");
    gavel.wait_log("the journal cannot be written");
    gavel.wait_metric("gavel_journal_failing", "", 1.0);
    // Who balances load sends it elsewhere.
    gavel.wait_metric("gavel_journal_refusing", "", 1.0);
    assert_eq!(gavel.get("/readyz").map(|(status, _)| status), Some(503));
    assert!(gavel.metric("gavel_ready", "") < 0.5);
    let outcome = r#"{"id":"t-0","card":"c_1","time":1532513731000,"outcome":"declined"}"#.to_owned();
    assert_eq!(status(&ask(&client, "fraud.v1.outcome.p1.c_1", outcome).await), Some("503"));

    assert!(limit(gavel.pid(), "unlimited").unwrap().success());
    gavel.wait_log("the journal can be written again");
    gavel.wait_ready();
    let (held, after) = (transaction(verdicts), transaction(verdicts + 1));
    let held = ask(&client, subject, held).await;
    let repeated = held.headers.as_ref().and_then(|headers| headers.get("Fraud-Duplicate"));
    assert_eq!(repeated.map(async_nats::HeaderValue::as_str), Some("true"));
    let after = ask(&client, subject, after).await;
    assert_eq!(status(&after), None);

    gavel.kill();
    gavel.start_again();
    gavel.wait_ready();
    gavel.wait_metric("gavel_journal_replayed_total", "", verdicts as f64 + 2.0);
    assert!(gavel.metric("gavel_journal_lost_total", "") < 0.5);
    let again = ask(&client, subject, transaction(verdicts)).await;
    assert_eq!(again.payload, held.payload);
}

/// Every field that may hold text gets a card number of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_card_number_is_written_anywhere() {
    let broker = Broker::start();
    let mut gavel = Gavel::start_with(
        broker.url(),
        "[log]\nfilter = \"debug,async_nats=info\"\n[attributes]\nnote = \"text\"\n[durability]\nsync_interval = \"0s\"\n",
        &[],
    );
    gavel.wait_ready();
    let client = broker.client().await;
    let mut copies = client.subscribe("fraud.v1.verdict.>").await.unwrap();
    let numbers = [
        "4111111111111111",
        "5500005555555559",
        "378282246310005",
        "6011000990139424",
        "4111 1111 1111 1111",
        "5500-0055-5555-5559",
    ];
    let fields = [
        "merchant",
        "terminal",
        "customer",
        "device",
        "email",
        "email_domain",
        "wallet",
        "parent",
        "bin",
        "mcc",
        "country",
        "channel",
        "ip",
        "unknown",
    ];
    let mut written = String::new();
    let mut id = 0;
    for number in numbers {
        for field in fields {
            id += 1;
            let body = transaction(id).replace('}', &format!(r#","{field}":"{number}"}}"#));
            written += &String::from_utf8_lossy(&ask(&client, "fraud.v1.score.p1.c_1", body).await.payload);
        }
        id += 1;
        let attributes = transaction(id).replace('}', &format!(r#","attributes":{{"note":"{number}"}}}}"#));
        let card = transaction(id).replace("c_1", number);
        let broken = format!("{{\"card\":\"{number}\"");
        let listed = format!(r#"{{"value":"{number}","action":"add","by":"{number}"}}"#);
        for (subject, body) in
            [("score.p1.c_1", attributes), ("score.p1.c_1", card), ("score.p1.c_1", broken), ("list.blocked", listed)]
        {
            written += &String::from_utf8_lossy(&ask(&client, &format!("fraud.v1.{subject}"), body).await.payload);
        }
    }
    while let Ok(Some(copy)) = tokio::time::timeout(Duration::from_millis(300), copies.next()).await {
        written += &copy.headers.map(|headers| format!("{headers:?}")).unwrap_or_default();
        written += &String::from_utf8_lossy(&copy.payload);
    }
    written += &wait_for("metrics", || gavel.get("/metrics")).1;
    gavel.terminate();
    assert!(gavel.wait_exit().success());
    written += &gavel.log();
    let mut files = 0;
    for entry in fs::read_dir(gavel.folder().join("state")).unwrap() {
        written += &String::from_utf8_lossy(&fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 2 && written.contains("t-1"), "{files} files");
    for number in numbers {
        assert!(!written.contains(number), "{number} was written");
    }
}

/// A burst with a deadline that not all of it can keep: each gets one answer, and both sides count the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_answered_or_refused_by_its_deadline() {
    let broker = Broker::start();
    let gavel = Gavel::start(&broker);
    let client = broker.client().await;
    let mut answers = client.subscribe("answers").await.unwrap();
    let sent = 20_000;
    for id in 0..sent {
        let mut headers = HeaderMap::new();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        headers.insert("Fraud-Deadline", (now.as_millis() + 5).to_string());
        let body = transaction(id).into();
        client.publish_with_reply_and_headers("fraud.v1.score.p1.c_1", "answers", headers, body).await.unwrap();
    }
    let (mut verdicts, mut refused) = (0, 0);
    while verdicts + refused < sent {
        let answer = tokio::time::timeout(Duration::from_secs(20), answers.next()).await.unwrap().unwrap();
        match status(&answer) {
            None => verdicts += 1,
            Some("503" | "504") => refused += 1,
            Some(other) => panic!("{other}: {}", String::from_utf8_lossy(&answer.payload)),
        }
    }
    gavel.wait_metric("gavel_verdicts_total", "", verdicts as f64);
    gavel.wait_metric("gavel_refusals_total", "", refused as f64);
    gavel.wait_metric("gavel_messages_total", "score", sent as f64);
}
