//! The bare responder that a service is measured against: it answers at once with a message of a verdict's headers and
//! size, and sends one copy for each transaction. It reads no transaction and decides nothing.

use std::{
    process::{ExitCode, Stdio},
    time::Duration,
};

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{config::NatsConfig, service::client};

/// What the responder says once it listens.
const READY: &str = "listening";
/// How long it may take to say so.
const PATIENCE: Duration = Duration::from_secs(15);

/// Starts a responder as a process of its own; it ends with the value.
pub(super) async fn start(arguments: &[std::ffi::OsString], root: &str, reply_bytes: usize) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| format!("this program does not find itself: {error}"))?;
    let mut child = Command::new(program)
        .arg("load")
        .args(arguments)
        .args(["--echo-responder", root, "--echo-bytes", &reply_bytes.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("the responder does not start: {error}"))?;
    let Some(output) = child.stdout.take() else { return Err("the responder has no output".into()) };
    let mut lines = BufReader::new(output).lines();
    match timeout(PATIENCE, lines.next_line()).await {
        Ok(Ok(Some(line))) if line == READY => Ok(child),
        Ok(Ok(_)) => Err("the responder ended before it listened".into()),
        Ok(Err(error)) => Err(format!("the responder cannot be heard: {error}")),
        Err(_) => Err(format!("the responder did not listen within {} s", PATIENCE.as_secs())),
    }
}

/// Answers below a root until the process is ended.
pub(super) async fn respond(nats: &NatsConfig, root: &str, reply_bytes: usize, batch: Option<u64>) -> ExitCode {
    let client = match client::connect(nats, "gavel-echo").await {
        Ok(client) => client,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let subject = if batch.is_some() { format!("{root}.batch.*") } else { format!("{root}.score.*.*") };
    let Ok(mut requests) = client.subscribe(subject).await else { return ExitCode::FAILURE };
    let transactions = batch.unwrap_or(1) as usize;
    if client.flush().await.is_err() {
        return ExitCode::FAILURE;
    }
    anstream::println!("{READY}");
    let body = Bytes::from(vec![b'x'; reply_bytes]);
    let answer = Bytes::from(vec![b'x'; reply_bytes * transactions]);
    let verdict = Subject::from(format!("{root}.verdict.p1.approve"));
    while let Some(request) = requests.next().await {
        if let Some(reply) = request.reply {
            let mut headers = HeaderMap::new();
            headers.insert("Fraud-Latency-Us", "12");
            let _ = client.publish_with_headers(reply, headers, answer.clone()).await;
        }
        for _ in 0..transactions {
            let mut headers = HeaderMap::new();
            headers.insert("Fraud-Card", request.subject.rsplit('.').next().unwrap_or_default());
            headers.insert("Fraud-Time", "2018-07-25T10:15:30.123Z");
            headers.insert("Fraud-Amount", "4599");
            headers.insert("Fraud-Currency", "EUR");
            headers.insert("Fraud-Merchant", "m_17");
            let _ = client.publish_with_headers(verdict.clone(), headers, body.clone()).await;
        }
    }
    ExitCode::SUCCESS
}
