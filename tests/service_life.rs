//! How the service starts, loses its broker, finds it again, and stops: nothing received goes unanswered.

mod support;

use std::time::Duration;

use futures_util::StreamExt as _;
use support::{Broker, Gavel, wait_for};

fn transaction(id: u64) -> String {
    format!(r#"{{"id":"t-{id}","time":1532513730123,"card":"c_1","amount":4599,"currency":"EUR"}}"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_for_its_broker_and_finds_it_again() {
    // A free port that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut gavel = Gavel::start_with(&format!("nats://127.0.0.1:{port}"), "", &[]);
    let line = gavel.wait_log("no broker");
    assert!(line.contains(&format!("127.0.0.1:{port} cannot be reached")), "{line}");
    assert_eq!(wait_for("health", || gavel.get("/healthz")).0, 200);
    assert_eq!(wait_for("readiness", || gavel.get("/readyz")).0, 503);

    let broker = Broker::start_with("", port);
    gavel.wait_ready();
    broker.kill();
    wait_for("the loss", || gavel.get("/readyz").filter(|(status, _)| *status == 503));

    let broker = Broker::start_with("", port);
    gavel.wait_ready();
    let client = broker.client().await;
    let answer = client.request("fraud.v1.score.p1.c_1", transaction(1).into()).await.unwrap();
    assert!(answer.payload.starts_with(b"{\"id\":\"t-1\""));
    gavel.wait_metric("gavel_nats_reconnects_total", "", 1.0);

    gavel.terminate();
    assert!(gavel.wait_exit().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_without_a_broker_too() {
    let mut gavel = Gavel::start_with("nats://127.0.0.1:1", "", &[]);
    gavel.wait_log("no broker");
    gavel.terminate();
    assert!(gavel.wait_exit().success());
}

/// Requests keep coming while the service is told to stop. Each is answered, or told at once that nobody listens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_received_goes_unanswered() {
    let broker = Broker::start();
    let mut gavel = Gavel::start(&broker);
    let client = broker.client().await;
    let mut answers = client.subscribe("answers.*").await.unwrap();
    client.flush().await.unwrap();

    let sender = tokio::spawn({
        let client = client.clone();
        async move {
            let mut sent = 0_u64;
            // Long enough to go on well after the service is gone.
            for _ in 0..400 {
                for _ in 0..25 {
                    let reply = format!("answers.{sent}");
                    client.publish_with_reply("fraud.v1.score.p1.c_1", reply, transaction(sent).into()).await.unwrap();
                    sent += 1;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            client.flush().await.unwrap();
            sent
        }
    });
    let (mut verdicts, mut nobody) = (0_u64, 0_u64);
    let mut sent = None;
    while sent.is_none_or(|sent| verdicts + nobody < sent) {
        let next = tokio::time::timeout(Duration::from_secs(5), answers.next()).await;
        let Ok(Some(answer)) = next else { break };
        if answer.status.is_some_and(|status| status.as_u16() == 503) {
            nobody += 1;
        } else {
            assert!(answer.payload.starts_with(b"{\"id\":"));
            verdicts += 1;
            // Once: a second signal ends the service where it stands.
            if verdicts == 2_000 {
                gavel.terminate();
            }
        }
        if sender.is_finished() && sent.is_none() {
            sent = Some(10_000);
        }
    }
    assert_eq!(sender.await.unwrap(), verdicts + nobody, "{verdicts} verdicts, {nobody} without a service");
    assert!(verdicts >= 2_000 && nobody > 0, "{verdicts} verdicts, {nobody} without a service");
    assert!(gavel.wait_exit().success());
}

/// A broker says that it is about to stop, and there is another. Requests keep coming by that one: each is answered, and
/// once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_listens_at_another_broker_before_it_leaves_one() {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let routes = [free(), free()];
    let [leaving, staying] = [0, 1].map(|own: usize| {
        Broker::start_with(
            &format!(
                "server_name: n{own}\nlame_duck_duration: \"30s\"\nlame_duck_grace_period: \"10s\"\n\
                 cluster {{ name: c, listen: 127.0.0.1:{}, routes: [nats://127.0.0.1:{}] }}\n",
                routes[own],
                routes[1 - own]
            ),
            0,
        )
    });
    let client = staying.client().await;
    let mut hello = leaving.client().await.subscribe("hello").await.unwrap();
    // Until the servers have found each other: a client learns of other servers as it connects.
    while tokio::time::timeout(Duration::from_millis(20), hello.next()).await.is_err() {
        client.publish("hello", "".into()).await.unwrap();
    }
    let gavel = Gavel::start_with(leaving.url(), "", &[]);
    gavel.wait_ready();
    while client.request("fraud.v1.score.p1.c_1", transaction(0).into()).await.is_err() {}
    let mut answers = client.subscribe("answers.*").await.unwrap();
    client.flush().await.unwrap();
    let mut answered = vec![0_u32; 10_001];
    let mut sent = 0;
    while sent < 10_000 {
        for _ in 0..25 {
            sent += 1;
            let (reply, body) = (format!("answers.{sent}"), transaction(sent));
            client.publish_with_reply("fraud.v1.score.p1.c_1", reply, body.into()).await.unwrap();
        }
        if sent == 2_000 {
            let pid = leaving.pid().to_string();
            assert!(std::process::Command::new("kill").args(["-USR2", &pid]).status().unwrap().success());
        }
        // It goes on until the service has gone over, however long that takes.
        if sent == 9_000 && !gavel.log().contains("the broker that stops is left") {
            sent -= 25;
        }
        while let Ok(Some(answer)) = tokio::time::timeout(Duration::from_millis(1), answers.next()).await {
            assert!(answer.status.is_none(), "nobody listens");
            let number: usize = answer.subject.rsplit('.').next().unwrap().parse().unwrap();
            answered[number] += 1;
        }
    }
    gavel.wait_metric("gavel_nats_reconnects_total", "", 1.0);
    leaving.kill();
    while let Ok(Some(answer)) = tokio::time::timeout(Duration::from_secs(1), answers.next()).await {
        let number: usize = answer.subject.rsplit('.').next().unwrap().parse().unwrap();
        answered[number] += 1;
    }
    let unanswered = (1..=10_000).filter(|number| answered[*number] == 0).count();
    assert_eq!(unanswered, 0);
    // What was sent again is answered again; everything else once.
    let twice = (1..=8_975).filter(|number| answered[*number] > 1).count();
    assert_eq!(twice, 0);
    assert_eq!(wait_for("readiness", || gavel.get("/readyz")).0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wrong_password_or_a_missing_permission_is_told_at_once() {
    let broker = Broker::start_with(
        r#"authorization { users = [
            { user: full, password: "right" }
            { user: narrow, password: "right", permissions: { subscribe: ["$SRV.>"] } }
        ] }"#,
        0,
    );
    for (user, password, expected) in
        [("full", "wrong", "refuses this client"), ("narrow", "right", "does not permit it")]
    {
        let configuration = format!("[nats]\nuser = \"{user}\"\npassword = \"{password}\"\n");
        let mut gavel = Gavel::start_with(broker.url(), &configuration, &[]);
        assert_eq!(gavel.wait_exit().code(), Some(2));
        gavel.wait_log(expected);
        assert!(!gavel.log().contains("wrong"), "{}", gavel.log());
    }
    let gavel = Gavel::start_with(broker.url(), "[nats]\nuser = \"full\"\npassword = \"right\"\n", &[]);
    gavel.wait_ready();
    // The address may hold both, and no log repeats it.
    let address = broker.url().replace("nats://", "nats://full:ri%67ht@");
    let gavel = Gavel::start_with(&address, "", &[]);
    gavel.wait_ready();
    assert!(!gavel.log().contains("ri%67ht") && !gavel.log().contains("right"), "{}", gavel.log());
}

/// More comes than there is room for: what does not fit is refused at once, and every request gets one answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_the_queue_is_refused() {
    let broker = Broker::start();
    let gavel = Gavel::start_with(broker.url(), "[nats]\nqueue_max = 1\n", &[]);
    gavel.wait_ready();
    let client = broker.client().await;
    let mut answers = client.subscribe("answers").await.unwrap();
    let sent = 5_000;
    for id in 0..sent {
        client.publish_with_reply("fraud.v1.score.p1.c_1", "answers", transaction(id).into()).await.unwrap();
    }
    let (mut verdicts, mut refused) = (0_u64, 0_u64);
    while verdicts + refused < sent {
        let answer = tokio::time::timeout(Duration::from_secs(10), answers.next()).await.unwrap().unwrap();
        match answer.headers.as_ref().and_then(|headers| headers.get("Nats-Service-Error-Code")) {
            None => verdicts += 1,
            Some(code) => {
                assert_eq!(code.as_str(), "503");
                refused += 1;
            }
        }
    }
    assert!(verdicts > 0 && refused > 0, "{verdicts} verdicts, {refused} refused");
    gavel.wait_metric("gavel_verdicts_total", "", verdicts as f64);
    gavel.wait_metric("gavel_refusals_total", "overloaded", refused as f64);
}
