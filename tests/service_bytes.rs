//! A file scored without a broker and the same stream sent to the service give the same verdicts, byte for byte.

mod support;

use std::{path::Path, process::Command};

use futures_util::StreamExt as _;
use support::{Broker, Gavel};

fn gavel(arguments: &[&str], folder: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_gavel")).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The rows of a file as messages of one processor, without labels, so that both sides have the same inputs.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_service_says_what_the_file_says() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let rules = rules.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    gavel(&["simulate", "--out", "all.jsonl", "--seed", "3", "--cards", "60", "--days", "12"], folder.path());
    let all = std::fs::read_to_string(folder.path().join("all.jsonl")).unwrap();
    let mut rows: Vec<serde_json::Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let known = ["label", "label_time", "pattern"];
    rows.iter_mut()
        .filter_map(serde_json::Value::as_object_mut)
        .for_each(|row| row.retain(|key, _| !known.contains(&key.as_str())));
    assert!(rows.len() > 500, "{} rows", rows.len());
    let text: String = rows.iter().flat_map(|row| [row.to_string(), "\n".to_owned()]).collect();
    std::fs::write(folder.path().join("rows.jsonl"), text).unwrap();
    let scored = ["score", "--in", "rows.jsonl", "--out", "out.jsonl", "--model", "none", "--rules", rules];
    gavel(&scored, folder.path());
    let expected = std::fs::read_to_string(folder.path().join("out.jsonl")).unwrap();

    let broker = Broker::start();
    let service = Gavel::start_with(broker.url(), "", &["--rules", rules]);
    service.wait_ready();
    let client = broker.client().await;
    let mut answers = client.subscribe("answers").await.unwrap();
    for mut row in rows {
        let field = |name: &str| row[name].as_str().unwrap_or("file").to_owned();
        let subject = format!("fraud.v1.score.{}.{}", field("processor"), field("card"));
        row.as_object_mut().unwrap().remove("processor");
        client.publish_with_reply(subject, "answers", row.to_string().into()).await.unwrap();
    }
    let mut decided = std::collections::BTreeSet::new();
    for (number, expected) in (1..).zip(expected.lines()) {
        let answer = answers.next().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer.payload), expected, "row {number}");
        let verdict: serde_json::Value = serde_json::from_str(expected).unwrap();
        decided.insert(verdict["verdict"].as_str().unwrap_or("refused").to_owned());
    }
    assert!(decided.len() > 1, "a stream that gets one answer shows little: {decided:?}");
}
