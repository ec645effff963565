//! What an ordinary NATS client gets from a running service, message by message.

mod support;

use async_nats::{Client, HeaderMap, Message};
use futures_util::StreamExt as _;
use support::{Broker, Gavel};

async fn ask(client: &Client, subject: &str, body: &str) -> Message {
    let answer = client.request(subject.to_owned(), body.to_owned().into()).await;
    answer.unwrap_or_else(|error| panic!("{subject}: {error}"))
}

fn header<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

fn transaction(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","time":"2018-07-25T10:15:30.123Z","card":"c_1","amount":4599,"currency":"EUR","merchant":"Caf\u00e9\r\nX: y"}}"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_transaction_gets_a_verdict_and_its_copy_goes_out() {
    let broker = Broker::start();
    let gavel = Gavel::start(&broker);
    let client = broker.client().await;
    let mut copies = client.subscribe("fraud.v1.verdict.*.*").await.unwrap();
    client.flush().await.unwrap();

    let answer = ask(&client, "fraud.v1.score.p1.c_1", &transaction("t-1")).await;
    assert!(text(&answer).starts_with(r#"{"id":"t-1","verdict":"approve","score":null,"#), "{}", text(&answer));
    assert!(header(&answer, "Fraud-Latency-Us").is_some_and(|value| value.parse::<u64>().is_ok()));
    assert_eq!(header(&answer, "Fraud-Duplicate"), None);

    let copy = copies.next().await.unwrap();
    assert_eq!(copy.subject.as_str(), "fraud.v1.verdict.p1.approve");
    assert_eq!(copy.payload, answer.payload);
    let expected = [
        ("Fraud-Card", "c_1"),
        ("Fraud-Time", "2018-07-25T10:15:30.123Z"),
        ("Fraud-Amount", "4599"),
        ("Fraud-Currency", "EUR"),
        ("Fraud-Merchant", "Caf\u{e9}  X: y"),
    ];
    for (name, value) in expected {
        assert_eq!(header(&copy, name), Some(value), "{name}");
    }

    // Nobody asks for an answer: the copy goes out all the same.
    client.publish("fraud.v1.score.p1.c_1", transaction("t-2").into()).await.unwrap();
    assert!(text(&copies.next().await.unwrap()).starts_with(r#"{"id":"t-2""#));
    gavel.wait_metric("gavel_verdicts_total", "verdict=\"approve\"", 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cannot_be_scored_gets_its_error() {
    let broker = Broker::start();
    let gavel = Gavel::start(&broker);
    let client = broker.client().await;
    let far = r#"{"id":"t","time":"2999-01-01T00:00:00Z","card":"c_1","amount":1,"currency":"EUR"}"#;
    let far_label = r#"{"id":"t","time":"2999-01-01T00:00:00Z","card":"c_1","label":"fraud"}"#;
    let far_outcome = r#"{"id":"t","time":"2999-01-01T00:00:00Z","card":"c_1","outcome":"declined"}"#;
    let large = format!(r#"{{"id":"{}"}}"#, "x".repeat(70_000));
    // (subject, body, status, code, field)
    let cases = [
        ("fraud.v1.score.p1.c_1", "{", "400", "invalid_json", "null"),
        ("fraud.v1.score.p1.c_1", "[]", "400", "invalid_json", "null"),
        ("fraud.v1.score.p1.c_1", "{}", "400", "invalid_id", "\"id\""),
        ("fraud.v1.score.p1.c_2", &transaction("t"), "400", "card_mismatch", "\"card\""),
        ("fraud.v1.score.p$.c_1", &transaction("t"), "400", "invalid_processor", "\"processor\""),
        ("fraud.v1.score.p1.c_1", far, "400", "invalid_time", "\"time\""),
        ("fraud.v1.score.p1.c_1", &large, "413", "too_large", "null"),
        ("fraud.v1.batch.p1", "{}", "400", "invalid_json", "null"),
        ("fraud.v1.batch.p1", &format!("[{},]", transaction("t")), "400", "invalid_json", "null"),
        ("fraud.v1.outcome.p1.c_1", "{}", "400", "invalid_id", "\"id\""),
        ("fraud.v1.label.p1.c_1", "x", "400", "invalid_json", "null"),
        ("fraud.v1.label.p1.c_1", far_label, "400", "invalid_time", "\"time\""),
        ("fraud.v1.outcome.p1.c_1", far_outcome, "400", "invalid_time", "\"time\""),
    ];
    for (subject, body, status, code, field) in cases {
        let answer = ask(&client, subject, body).await;
        let start = format!(r#"{{"error":{{"code":"{code}","field":{field},"message":""#);
        assert!(text(&answer).starts_with(&start), "{subject} {}", text(&answer));
        assert_eq!(header(&answer, "Nats-Service-Error-Code"), Some(status), "{subject}");
        assert!(header(&answer, "Nats-Service-Error").is_some_and(|message| !message.is_empty()));
    }
    gavel.wait_metric("gavel_refusals_total", "", 13.0);
    assert!(gavel.metric("gavel_verdicts_total", "") < 0.5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn however_much_is_logged_no_message_is() {
    let broker = Broker::start();
    let gavel = Gavel::start_with(broker.url(), "[log]\nfilter = \"trace\"\n", &[]);
    gavel.wait_ready();
    let client = broker.client().await;
    let body = r#"{"id":"t","time":0,"card":"5105105105105100","amount":1,"currency":"EUR"}"#;
    let answer = ask(&client, "fraud.v1.score.p1.5105105105105100", body).await;
    assert_eq!(header(&answer, "Nats-Service-Error-Code"), Some("400"));
    assert!(gavel.log().contains("\"level\":\"INFO\""), "it logs");
    assert!(!gavel.log().contains("5105105105105100"), "{}", gavel.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_deadline_is_kept_or_said_to_be_past() {
    let broker = Broker::start();
    let gavel = Gavel::start(&broker);
    let client = broker.client().await;
    for (deadline, expected) in [("1", Some("504")), ("99999999999999", None), ("soon", None)] {
        let mut headers = HeaderMap::new();
        headers.insert("Fraud-Deadline", deadline);
        let subject = "fraud.v1.score.p1.c_1";
        let answer = client.request_with_headers(subject, headers, transaction(deadline).into()).await.unwrap();
        assert_eq!(header(&answer, "Nats-Service-Error-Code"), expected, "{deadline}");
    }
    gavel.wait_metric("gavel_refusals_total", "past_deadline", 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_gets_its_answers_in_order() {
    let broker = Broker::start();
    let _gavel = Gavel::start(&broker);
    let client = broker.client().await;
    let body = format!("[{},{{}},{}]", transaction("t-1"), transaction("t-2"));
    let answer = ask(&client, "fraud.v1.batch.p1", &body).await;
    let answers: Vec<serde_json::Value> = serde_json::from_slice(&answer.payload).unwrap();
    let read = |answer: &serde_json::Value| match answer["error"]["code"].as_str() {
        Some(code) => code.to_owned(),
        None => format!("{} {}", answer["id"].as_str().unwrap(), answer["verdict"].as_str().unwrap()),
    };
    assert_eq!(answers.iter().map(read).collect::<Vec<_>>(), ["t-1 approve", "invalid_id", "t-2 approve"]);
    assert_eq!(text(&ask(&client, "fraud.v1.batch.p1", "[]").await), "[]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_is_answered_before_its_verdicts_are_published() {
    let broker = Broker::start();
    let _gavel = Gavel::start(&broker);
    let client = broker.client().await;
    let heard = client.subscribe(">").await.unwrap();
    let elements: Vec<String> = (0..20).map(|id| transaction(&format!("t-{id}"))).collect();
    let body = format!("[{}]", elements.join(","));
    client.publish_with_reply("fraud.v1.batch.p1", "answers", body.into()).await.unwrap();
    let heard: Vec<String> = heard
        .map(|message| message.subject.to_string())
        .filter(|subject| std::future::ready(subject == "answers" || subject.starts_with("fraud.v1.verdict.")))
        .take(21)
        .collect()
        .await;
    assert_eq!(heard.iter().position(|subject| subject == "answers"), Some(0), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_batch_has_no_time_for_is_refused_in_its_place_and_counts_once() {
    let broker = Broker::start();
    let gavel = Gavel::start(&broker);
    let client = broker.client().await;
    let elements: Vec<String> = (0..1_000).map(|id| transaction(&format!("t-{id}"))).collect();
    let body = format!("[{}]", elements.join(","));
    let answers = async |left_ms: Option<u64>| {
        let mut headers = HeaderMap::new();
        if let Some(left_ms) = left_ms {
            let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap();
            headers.insert("Fraud-Deadline", (since_epoch.as_millis() as u64 + left_ms).to_string().as_str());
        }
        let answer = client.request_with_headers("fraud.v1.batch.p1", headers, body.clone().into()).await.unwrap();
        serde_json::from_slice::<Vec<serde_json::Value>>(&answer.payload).ok()
    };
    let mut scored = std::collections::BTreeSet::new();
    for left_ms in [2, 5, 10, 20, 5, 10] {
        // Where there is no time for any of them the batch itself is refused.
        let Some(answers) = answers(Some(left_ms)).await else { continue };
        assert_eq!(answers.len(), elements.len());
        for (place, answer) in answers.iter().enumerate() {
            if answer["error"].is_null() {
                assert_eq!(answer["id"], format!("t-{place}"));
                scored.insert(place);
            } else {
                let code = answer["error"]["code"].as_str().unwrap();
                assert!(["past_deadline", "no_time"].contains(&code), "{code}");
            }
        }
        gavel.wait_metric("gavel_verdicts_total", "approve", scored.len() as f64);
    }
    let answers = answers(None).await.expect("answers");
    assert!(answers.iter().all(|answer| answer["verdict"] == "approve"));
    gavel.wait_metric("gavel_verdicts_total", "approve", elements.len() as f64);
}

/// Who asks may not be permitted to publish where the service is.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_answer_goes_where_the_service_itself_speaks() {
    let broker = Broker::start();
    let gavel = Gavel::start(&broker);
    let client = broker.client().await;
    let mut all = client.subscribe("fraud.v1.*.p1.>").await.unwrap();
    let mut others = client.subscribe("$elsewhere.>").await.unwrap();
    ask(&client, "fraud.v1.score.p1.c_1", &transaction("t-1")).await;
    let replies = ["fraud.v1.verdict.p1.deny", "fraud.v1.label.p1.c_1", "fraud.v1.reload", "$elsewhere.x"];
    for (subject, body) in [("fraud.v1.score.p1.c_1", transaction("t-2")), ("fraud.v1.list.x", "{}".to_owned())] {
        for reply in replies {
            client.publish_with_reply(subject, reply, body.clone().into()).await.unwrap();
        }
    }
    gavel.wait_metric("gavel_refusals_total", "invalid_reply", 8.0);
    // The same id is a new one afterwards.
    let answer = ask(&client, "fraud.v1.score.p1.c_1", &transaction("t-2")).await;
    assert_eq!(header(&answer, "Fraud-Duplicate"), None);
    // A subject that only begins like one of the service's is nobody's.
    let answered = client.subscribe("fraud.v1.verdicts").await.unwrap();
    client.publish_with_reply("fraud.v1.score.p1.c_1", "fraud.v1.verdicts", transaction("t-3").into()).await.unwrap();
    assert!(answered.take(1).next().await.is_some());
    let mut heard = Vec::new();
    while let Ok(Some(message)) = tokio::time::timeout(std::time::Duration::from_millis(200), all.next()).await {
        heard.push(message.subject.to_string());
    }
    heard.retain(|subject| !subject.contains("score"));
    assert_eq!(heard, vec!["fraud.v1.verdict.p1.approve"; 3]);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(100), others.next()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_batch_has_no_room_for_is_refused_in_its_place_and_counts_once() {
    let broker = Broker::start_with("max_payload: 8192\n", 0);
    let gavel = Gavel::start(&broker);
    let client = broker.client().await;
    let batch = |ids: &[usize]| {
        let elements: Vec<String> = ids.iter().map(|id| transaction(&format!("t-{id}"))).collect();
        format!("[{}]", elements.join(","))
    };
    let mut wanted: Vec<usize> = (0..40).collect();
    let mut told = Vec::new();
    while !wanted.is_empty() {
        let answer = ask(&client, "fraud.v1.batch.p1", &batch(&wanted)).await;
        let answers: Vec<serde_json::Value> = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(answers.len(), wanted.len());
        let (verdicts, refusals): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer["error"].is_null());
        assert!(!verdicts.is_empty() && answers.starts_with(&verdicts.iter().copied().cloned().collect::<Vec<_>>()));
        assert!(refusals.iter().all(|answer| answer["error"]["code"] == "answer_too_large"));
        let read = |answer: &&serde_json::Value| answer["id"].as_str().unwrap().to_owned();
        told.extend(verdicts.iter().map(read));
        wanted.drain(..verdicts.len());
        // The first without room was scored; those behind it were not.
        let scored = told.len() + usize::from(!wanted.is_empty());
        gavel.wait_metric("gavel_verdicts_total", "approve", scored as f64);
    }
    assert_eq!(told, (0..40).map(|id| format!("t-{id}")).collect::<Vec<_>>());
    // Where not even forty refusals fit the whole batch is refused and counts for nothing.
    let empty = format!("[{}]", vec!["{}"; 60].join(","));
    let answer = ask(&client, "fraud.v1.batch.p1", &empty).await;
    assert_eq!(header(&answer, "Nats-Service-Error-Code"), Some("413"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn tools_find_the_service() {
    let broker = Broker::start();
    let _gavel = Gavel::start(&broker);
    let client = broker.client().await;
    ask(&client, "fraud.v1.score.p1.c_1", &transaction("t-1")).await;
    let ping: serde_json::Value = serde_json::from_slice(&ask(&client, "$SRV.PING", "").await.payload).unwrap();
    assert_eq!(ping["type"], "io.nats.micro.v1.ping_response");
    assert_eq!(ping["name"], "gavel");
    let id = ping["id"].as_str().unwrap();
    let info = ask(&client, "$SRV.INFO.gavel", "").await;
    let info: serde_json::Value = serde_json::from_slice(&info.payload).unwrap();
    assert_eq!(info["type"], "io.nats.micro.v1.info_response");
    assert_eq!(info["endpoints"][0]["subject"], "fraud.v1.score.*.*");
    let stats = ask(&client, &format!("$SRV.STATS.gavel.{id}"), "").await;
    let stats: serde_json::Value = serde_json::from_slice(&stats.payload).unwrap();
    assert_eq!(stats["type"], "io.nats.micro.v1.stats_response");
    assert_eq!(stats["endpoints"][0]["num_requests"], 1);
}
