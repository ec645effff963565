//! Commands as somebody at a terminal or a script runs them: what they refuse to write over, where their output goes,
//! and what they say of a configuration that goes with the rules.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use gavel::simulation::{Simulation, SimulationSettings};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gavel")).current_dir(folder).args(arguments).output().expect("gavel runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn write<T: AsRef<[u8]>>(folder: &Path, files: &[(&str, T)]) {
    fs::create_dir_all(folder.join("rules")).expect("a folder");
    for (name, text) in files {
        fs::write(folder.join(name), text).expect(name);
    }
}

/// Some days of simulated purchases with their labels, as JSON lines.
fn history() -> String {
    let mut text = Vec::new();
    let settings = SimulationSettings { cards: 200, days: 25, ..SimulationSettings::new(4) };
    for row in Simulation::new(settings).expect("the settings make a stream") {
        row.write_json(&mut text);
        text.push(b'\n');
    }
    String::from_utf8(text).expect("text")
}

#[test]
fn segments_are_checked_and_what_they_use_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let segment =
        |when: &str| format!("[[policy.segments]]\nname = \"s\"\nwhen = '{when}'\nreview_at = 0.1\ndeny_at = 0.2\n");
    let rules = "[define]\nrisky = 'mcc == \"7995\"'\n[[list]]\nid = \"vip\"\nfile = \"vip.csv\"\n";
    let files = [("rules/a.toml", rules), ("rules/vip.csv", "c_1\n")];
    // (condition, exit code, what is said)
    let cases = [
        ("risky and card in list(\"vip\")", 0, ""),
        ("risky", 0, "nothing uses the list `vip`"),
        ("card in list(\"vip\")", 0, "nothing uses the name `risky`"),
        ("amount > 100", 2, "error[E103]: segment `s`"),
        ("card in list(\"vips\")", 2, "error[E121]: segment `s`"),
    ];
    for (when, code, expected) in cases {
        write(folder.path(), &files);
        write(folder.path(), &[("gavel.toml", segment(when))]);
        let output = run(folder.path(), &["check"]);
        assert_eq!(output.status.code(), Some(code), "{when}: {}", said(&output));
        assert!(said(&output).contains(expected), "{when}: {}", said(&output));
        assert!(!expected.is_empty() || said(&output).is_empty(), "{when}: {}", said(&output));
        let listed = run(folder.path(), &["check", "--json"]);
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
        let listed: Vec<_> = listed.as_array().unwrap().iter().filter(|entry| entry["severity"] == "error").collect();
        assert_eq!(listed.len(), usize::from(code == 2), "{listed:?}");
        assert!(listed.iter().all(|entry| entry["file"] == "gavel.toml"), "{listed:?}");
    }
    // What is wrong with a rule may be all that is wrong.
    let rules = "[define]\nrisky = 'amount > 5'\n".to_owned();
    write(folder.path(), &[("rules/a.toml", rules), ("gavel.toml", segment("risky"))]);
    let output = run(folder.path(), &["check"]);
    assert!(output.status.code() == Some(1) && !said(&output).contains("segment"), "{}", said(&output));
}

#[test]
fn no_report_replaces_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let model = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/gavel.model")).expect("the shipped model");
    let features = "[features]\na = \"amount\"\n";
    let history = history();
    let files = [
        ("in.jsonl", history.as_bytes()),
        ("m.model", &model),
        ("f.toml", features.as_bytes()),
        ("gavel.toml", b"[rates]\nUSD = \"0.9\"\n"),
        ("rules/a.toml", b"[[list]]\nid = \"vip\"\nfile = \"vip.csv\"\n"),
        ("rules/vip.csv", b"c_1\n"),
        ("other/b.toml", b""),
    ];
    fs::create_dir(folder.path().join("other")).unwrap();
    write(folder.path(), &files);
    let cases: &[&[&str]] = &[
        &["backtest", "--model", "none", "--html", "in.jsonl"],
        &["backtest", "--model", "none", "--html", "rules/a.toml"],
        &["backtest", "--model", "none", "--candidate", "other", "--html", "other/b.toml"],
        &["train", "--features", "f.toml", "--out", "rules/a.toml"],
        &["score", "--model", "none", "--out", "rules/vip.csv"],
        &["evaluate", "--model", "m.model", "--html", "in.jsonl"],
        &["evaluate", "--model", "m.model", "--html", "./m.model"],
        &["features", "--features", "f.toml", "--out", "f.toml"],
        &["features", "--model", "m.model", "--out", "m.model"],
        &["train", "--features", "f.toml", "--out", "f.toml"],
        &["train", "--features", "f.toml", "--out", "in.jsonl"],
        &["score", "--model", "m.model", "--out", "m.model"],
        &["score", "--model", "m.model", "--out", "gavel.toml"],
    ];
    for case in cases {
        let output = run(folder.path(), &[case, &["--in", "in.jsonl"][..]].concat());
        assert_eq!(output.status.code(), Some(2), "{case:?}: {}", said(&output));
        assert!(said(&output).contains("a file that is read"), "{case:?}: {}", said(&output));
    }
    for (name, text) in files {
        assert!(fs::read(folder.path().join(name)).unwrap() == text, "{name}");
    }
    // What merely lies beside them may be replaced.
    for _ in 0..2 {
        let output = run(folder.path(), &["score", "--model", "none", "--in", "in.jsonl", "--out", "rules/out.jsonl"]);
        assert!(output.status.success(), "{}", said(&output));
    }
    let output = run(folder.path(), &["load", "--in", "in.jsonl", "--hdr", "in.jsonl", "--seconds", "1"]);
    assert!(output.status.code() == Some(2) && said(&output).contains("a file that is read"), "{}", said(&output));
    let output = run(folder.path(), &["backtest", "--model", "none", "--in", "in.jsonl", "--html", "-"]);
    assert!(output.status.code() == Some(2) && !folder.path().join("-").exists(), "{}", said(&output));
}

#[test]
fn a_model_on_standard_output_is_nothing_but_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let features = "[features]\na = \"amount\"\nb = \"hour(time)\"\n";
    write(folder.path(), &[("in.jsonl", history().as_str()), ("f.toml", features)]);
    let train = |out| {
        run(
            folder.path(),
            &["train", "--in", "in.jsonl", "--features", "f.toml", "--maturity", "1d", "--name", "m", "--out", out],
        )
    };
    let (piped, written) = (train("-"), train("m.model"));
    assert!(piped.status.success() && written.status.success(), "{}", said(&piped));
    assert_eq!(piped.stdout, fs::read(folder.path().join("m.model")).unwrap());
    assert!(said(&piped).contains("learnt by boost from") && !said(&written).contains("learnt by boost from"));
    // The currencies of the stream have no rate here.
    assert!(said(&written).contains("rows in a currency without a rate"), "{}", said(&written));
}

#[test]
fn every_line_of_a_json_log_is_json() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("rules/a.toml", "[define]\nunused = 'amount > 5 EUR'\n")]);
    let mut serving = Command::new(env!("CARGO_BIN_EXE_gavel"))
        .current_dir(folder.path())
        .args(["serve", "--nats", "nats://127.0.0.1:1", "--http", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("gavel runs");
    let lines = BufReader::new(serving.stderr.take().expect("it is piped")).lines();
    let mut told = Vec::new();
    for line in lines {
        let line = line.expect("text");
        let parsed = serde_json::from_str::<serde_json::Value>(&line);
        told.push(parsed.as_ref().map_or(line.clone(), |line| line["message"].as_str().unwrap_or_default().to_owned()));
        if parsed.is_err() || line.contains("no broker") {
            break;
        }
    }
    serving.kill().and_then(|()| serving.wait()).expect("it ends");
    assert!(told.last().is_some_and(|line| line.contains("no broker")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("W311")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("there is no model in models/")), "{told:?}");
}

#[test]
fn the_demo_tells_what_came_of_it_as_json() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("rules/a.toml", "")]);
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/nats-server");
    let mut path = std::env::join_paths([server.parent().expect("a folder")]).expect("a path");
    if let Some(others) = std::env::var_os("PATH") {
        path.push(":");
        path.push(others);
    }
    let output = Command::new(env!("CARGO_BIN_EXE_gavel"))
        .current_dir(folder.path())
        .env("PATH", path)
        .args(["demo", "--json", "--rate", "50", "--seconds", "1", "--warm-up", "10", "--model", "none"])
        .output()
        .expect("gavel runs");
    assert!(output.status.success(), "{}", said(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!((&told["sent"], &told["answered"], &told["verdicts"]["approve"]), (&50.into(), &50.into(), &50.into()));
    assert!(
        told["latency_us"]["p99"].as_f64() > Some(0.0)
            && told["metrics"].as_str().is_some_and(|url| url.ends_with("/metrics"))
    );
    assert!(said(&output).contains("replaying 50 a second"));
}
