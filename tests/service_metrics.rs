//! What Prometheus makes of the service's metrics: its linter finds nothing, and a real server scrapes them.

mod support;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use support::{Broker, Gavel, http_get, wait_for};

const MISSING: &str = "is not there: install Debian's package `prometheus`, which has promtool too";

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn scored(broker: &Broker, count: u32) {
    let client = broker.client().await;
    for id in 0..count {
        let body = format!(r#"{{"id":"t-{id}","time":1532513730123,"card":"c_1","amount":4599,"currency":"EUR"}}"#);
        client.request("fraud.v1.score.p1.c_1", body.into()).await.unwrap();
    }
    client.request("fraud.v1.score.p1.c_1", "{".into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_linter_finds_nothing() {
    let broker = Broker::start();
    let gavel = Gavel::start(&broker);
    scored(&broker, 3).await;
    gavel.wait_metric("gavel_verdicts_total", "", 3.0);
    let (status, text) = gavel.get("/metrics").unwrap();
    assert_eq!(status, 200);
    let mut linter = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool {MISSING}: {error}"));
    linter.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = linter.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn keys_are_counted_by_what_they_are() {
    let broker = Broker::start();
    let rule = "[[rule]]\nid = \"busy\"\nwhen = \"count(card, 1h) + count((card, ip), 1h) > 99\"\nthen = \"deny\"\n";
    let gavel = Gavel::prepared(broker.url(), "", &[("rules/busy.toml", rule)]);
    gavel.wait_ready();
    scored(&broker, 3).await;
    gavel.wait_metric("gavel_window_keys", "key=\"card\"", 1.0);
    gavel.wait_metric("gavel_window_keys", "key=\"(card, ip)\"", 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_real_prometheus_scrapes_them() {
    let broker = Broker::start();
    let gavel = Gavel::start(&broker);
    scored(&broker, 7).await;
    gavel.wait_metric("gavel_verdicts_total", "", 7.0);

    let folder = tempfile::tempdir().unwrap();
    let target = gavel.http().unwrap().trim_start_matches("http://").to_owned();
    let file = folder.path().join("prometheus.yml");
    let configuration = format!(
        "scrape_configs:\n- job_name: gavel\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\n  \
         static_configs:\n  - targets: ['{target}']\n"
    );
    fs::write(&file, configuration).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let _prometheus = Ended(
        Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("prometheus {MISSING}: {error}")),
    );
    for (query, expected) in [
        ("sum(gavel_verdicts_total)", "7"),
        ("sum(gavel_refusals_total)", "1"),
        ("gavel_latency_seconds_count", "7"),
        ("gavel_nats_connected", "1"),
    ] {
        wait_for(query, || {
            // Prometheus sends short answers whole, so the value stands in one piece.
            let (_, text) = http_get(&address, &format!("/api/v1/query?query={query}"))?;
            text.contains(&format!("\"{expected}\"]")).then_some(())
        });
    }
}

/// Whoever holds connections open must not keep others out for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn connections_that_ask_nothing_are_closed() {
    let broker = Broker::start();
    let gavel = Gavel::start(&broker);
    let address = gavel.http().expect("it has said where").trim_start_matches("http://").to_owned();
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(&address).expect("the port is open");
        stream.write_all(b"GET /metr").expect("written");
        silent.push(stream);
    }
    let files = fs::read_dir(format!("/proc/{}/fd", gavel.pid())).expect("Linux").count();
    assert!(files < 64 + 40, "{files} files are open");
    assert_eq!(gavel.get("/healthz").map(|(status, _)| status), Some(200));
    // One goes on saying a little.
    let mut is_closed = false;
    for _ in 0..15 {
        std::thread::sleep(std::time::Duration::from_secs(1));
        is_closed = silent[1].write_all(b"i").is_err();
        if is_closed {
            break;
        }
    }
    assert!(is_closed);
    let mut byte = [0];
    silent[0].set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("set");
    assert_eq!(silent[0].read(&mut byte).ok(), Some(0), "it is closed");
}
