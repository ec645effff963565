//! `gavel score` as a user runs it: one line a row, refused ones too, labels at their time, exit codes.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

const HEAD: &str = "id,time,card,amount,currency";

const RULES: &str = r#"
[[rule]]
id = "known-fraud"
description = "The card had a fraud that is known by now"
when = "frauds(card, 30d, delay 1s) >= 1"
then = "deny"

[[rule]]
id = "second-today"
description = "The second purchase of a day"
when = "count(card, 24h) == 2"
then = "review"
"#;

/// A folder with rules, an input of the given name and text, and nothing else.
struct Case {
    folder: TempDir,
}

impl Case {
    fn new(name: &str, input: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        fs::create_dir(folder.path().join("rules")).expect("the folder can be written");
        fs::write(folder.path().join("rules/rules.toml"), RULES).expect("the folder can be written");
        fs::write(folder.path().join(name), input).expect("the folder can be written");
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, flags: &[&str]) -> Output {
        self.command(flags).output().expect("the binary runs")
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gavel"));
        command.current_dir(self.path()).args(["score", "--model", "none"]).args(flags).stdin(Stdio::null());
        command
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Each line as `id verdict` or the refusal's code.
fn brief(verdicts: &[u8]) -> Vec<String> {
    let line = |line: &str| {
        let body: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
        let text = |pointer: &str| body.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
        match text("/error/code") {
            "" => format!("{} {}", text("/id"), text("/verdict")),
            code => code.to_owned(),
        }
    };
    String::from_utf8_lossy(verdicts).lines().map(line).collect()
}

fn check(rows: &str, flags: &[&str], expected: &[&str]) {
    let case = Case::new("in.csv", format!("{HEAD},label,label_time\n{rows}").as_bytes());
    let output = case.run(&[&["--in", "in.csv", "--out", "-"], flags].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(brief(&output.stdout), expected, "{rows}");
}

#[test]
fn every_row_has_its_line() {
    check("", &[], &[]);
    check(
        "a,1970-01-01T00:00:00Z,c,100,EUR,,\nb,1970-01-01T00:00:00Z,c,-1,EUR,,\nc,1970-01-01T00:01:00Z,c,100,EUR,,\nd,soon\n",
        &[],
        &["a approve", "invalid_amount", "c review", "invalid_row"],
    );
    // A repeated id gets the first answer again and counts once; with another amount it is refused.
    check(
        "a,0,c,100,EUR,,\na,1000,c,100,EUR,,\na,2000,c,101,EUR,,\nb,3000,c,100,EUR,,\n",
        &[],
        &["a approve", "a approve", "id_conflict", "b review"],
    );
}

#[test]
fn labels_act_at_their_time() {
    // The label becomes known at 10 s: the row of that moment sees it, the one before does not.
    let rows = "a,0,c,100,EUR,1,10000\nb,2000,c,100,EUR,,\nc,9999,c,100,EUR,,\nd,10000,c,100,EUR,,\n";
    check(rows, &[], &["a approve", "b review", "c approve", "d deny"]);
    // Without a time, and for a row that was refused, it is never shown.
    check("a,0,c,100,EUR,1,\nb,90000000,c,100,EUR,,\n", &[], &["a approve", "b approve"]);
    check("a,0,c,100,EURO,1,10\nb,90000000,c,100,EUR,,\n", &[], &["invalid_currency", "b approve"]);
    // A legitimate label is none of fraud.
    check("a,0,c,100,EUR,0,10\nb,90000000,c,100,EUR,,\n", &[], &["a approve", "b approve"]);
}

#[test]
fn a_period_limits_what_is_written_and_nothing_else() {
    let rows = "a,2018-08-07T23:59:59.999Z,c,100,EUR,,\nb,2018-08-08T00:00:00Z,c,100,EUR,,\nx,bad,c,1,EUR,,\n\
        c,2018-08-09T00:00:00Z,c,100,EUR,,\ny,bad,c,1,EUR,,\n";
    check(rows, &["--from", "2018-08-08"], &["b review", "invalid_time", "c approve", "invalid_time"]);
    check(rows, &["--from", "2018-08-08", "--to", "2018-08-09"], &["b review", "invalid_time"]);
    check(rows, &["--to", "2018-08-08T00:00:00Z"], &["a approve"]);
    check(rows, &["--from", "2019-01-01"], &[]);
    // A row that is refused stands where its own time is, if it has one, and so does what follows without.
    let rows = "a,2018-08-07T00:00:00Z,c,100,EUR,,\nx,2018-08-08T00:00:00Z,c,-1,EUR,,\ny,bad,c,1,EUR,,\n\
        z,2018-08-10T00:00:00Z,c,1,EURO,,\nb,2018-08-08T12:00:00Z,c,100,EUR,,\n";
    let written = ["invalid_amount", "invalid_time", "b approve"];
    check(rows, &["--from", "2018-08-08", "--to", "2018-08-09"], &written);
}

#[test]
fn the_same_rows_give_the_same_bytes_in_every_form() {
    let csv = format!("{HEAD}\na,0,c,100,EUR\nb,1000,c,100,EUR\n");
    let json = "{\"id\":\"a\",\"time\":0,\"card\":\"c\",\"amount\":100,\"currency\":\"EUR\"}\n\
        {\"id\":\"b\",\"time\":\"1970-01-01T00:00:01Z\",\"card\":\"c\",\"amount\":100,\"currency\":\"EUR\"}\n";
    let packed = |text: &str| zstd::encode_all(text.as_bytes(), 3).expect("memory does not fail");
    let inputs = [
        ("in.csv", csv.clone().into_bytes()),
        ("in.csv.zst", packed(&csv)),
        ("in.jsonl", json.as_bytes().to_vec()),
        ("in.ndjson.zst", packed(json)),
    ];
    let mut seen = Vec::new();
    for (name, bytes) in inputs {
        let case = Case::new(name, &bytes);
        assert!(case.run(&["--in", name, "--out", "out.jsonl"]).status.success());
        let verdicts = fs::read(case.path().join("out.jsonl")).expect("the file was written");
        assert!(case.run(&["--in", name, "--out", "out.jsonl.zst"]).status.success());
        let unpacked = fs::File::open(case.path().join("out.jsonl.zst")).expect("the file was written");
        assert_eq!(zstd::decode_all(unpacked).expect("it is zstd"), verdicts);
        let mut piped = case.command(&["--in", "-", "--out", "-"]);
        let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary runs");
        child.stdin.take().expect("a pipe").write_all(&bytes).expect("the pipe takes it");
        assert_eq!(child.wait_with_output().expect("it ends").stdout, verdicts, "{name}");
        let mut left: Vec<_> = fs::read_dir(case.path())
            .expect("the folder can be read")
            .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, [name, "out.jsonl", "out.jsonl.zst", "rules"], "nothing else is left behind");
        seen.push(verdicts);
    }
    assert!(seen.iter().all(|verdicts| *verdicts == seen[0] && !verdicts.is_empty()));
}

#[test]
fn what_was_ignored_or_refused_is_said() {
    let case = Case::new("in.csv", format!("{HEAD},pattern,label\na,0,c,1,EUR,x,yes\nb,0,c,1.5,EUR,x,1\n").as_bytes());
    let output = case.run(&["--in", "in.csv", "--out", "out.jsonl"]);
    let said = stderr(&output);
    for expected in ["`pattern`", "other than 1, 0 and nothing: 1", "2 rows", "approve 1", "refused 1"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn wrong_usage_ends_with_two_and_leaves_no_file() {
    let case = Case::new("in.csv", format!("{HEAD}\na,0,c,1,EUR\n").as_bytes());
    fs::write(case.path().join("headless.csv"), "id,time,card,currency\n").expect("the folder can be written");
    fs::write(case.path().join("broken.csv.zst"), "plain").expect("the folder can be written");
    let cases: &[(&[&str], &str)] = &[
        (&["--in", "absent.csv", "--out", "out"], "absent.csv: cannot be opened"),
        (&["--in", "rules", "--out", "out"], "rules: cannot be opened"),
        (&["--in", "in.txt", "--out", "out"], "its name tells no format"),
        (&["--in", "headless.csv", "--out", "out"], "no column `amount`"),
        (&["--in", "broken.csv.zst", "--out", "out"], "cannot be read on"),
        (&["--in", "in.csv", "--out", "absent/out"], "cannot be written"),
        (&["--in", "in.csv", "--out", "out", "--rules", "absent"], "absent"),
        (&["--in", "in.csv", "--out", "out", "--from", "soon"], "expected a day"),
        (&["--in", "in.csv"], "--out"),
    ];
    for (flags, expected) in cases {
        let output = case.run(flags);
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(stderr(&output).contains(expected), "{flags:?}: {}", stderr(&output));
        assert!(!case.path().join("out").exists(), "{flags:?}");
    }
}

#[test]
fn simulated_rows_are_all_scored() {
    let case = Case::new("unused.csv", b"");
    let simulated = Command::new(env!("CARGO_BIN_EXE_gavel"))
        .current_dir(case.path())
        .args(["simulate", "--out", "in.csv.zst", "--seed", "2", "--cards", "200", "--days", "10", "--json"])
        .output()
        .expect("the binary runs");
    assert!(simulated.status.success(), "{}", stderr(&simulated));
    let summary: serde_json::Value = serde_json::from_slice(&simulated.stdout).expect("the summary is JSON");
    let output = case.run(&["--in", "in.csv.zst", "--out", "-"]);
    assert!(stderr(&output).contains("refused 0"), "{}", stderr(&output));
    assert_eq!(summary["rows"].as_u64(), Some(brief(&output.stdout).len() as u64));
}

/// Rules that name reversals fire and are told; a reversal is approved all the same.
#[test]
fn a_reversal_is_approved_whatever_fires() {
    let rules = r#"
[[rule]]
id = "large-reversal"
description = "A large one"
when = "amount > 50 EUR"
then = "deny"
types = ["reversal"]

[[rule]]
id = "reversal-in-shadow"
description = "Any"
when = "has(card)"
then = "review"
mode = "shadow"
types = ["reversal"]

[[rule]]
id = "reversal-that-is-fine"
description = "Not so large a one"
when = "amount > 60 EUR"
then = "approve"
types = ["reversal"]
tags = ["fine"]
"#;
    let input = "id,time,card,amount,currency,type,parent\n\
                 a,1000,c1,9000,EUR,,\nb,2000,c1,5500,EUR,reversal,a\nc,3000,c1,9000,EUR,reversal,a\n";
    let case = Case::new("in.csv", input.as_bytes());
    fs::write(case.path().join("rules/rules.toml"), rules).unwrap();
    let output = case.run(&["--in", "in.csv", "--out", "-"]);
    let told: Vec<serde_json::Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |place: usize, name: &str| told[place][name].to_string();
    assert_eq!((of(0, "fired"), of(0, "flags")), ("[]".to_owned(), "[]".to_owned()));
    assert_eq!((of(1, "verdict"), of(1, "fired")), (r#""approve""#.to_owned(), r#"["large-reversal"]"#.to_owned()));
    assert_eq!((of(1, "reasons"), of(1, "flags")), ("[]".to_owned(), r#"["shadow:reversal-in-shadow"]"#.to_owned()));
    assert_eq!(of(2, "fired"), r#"["large-reversal","reversal-that-is-fine"]"#);
    assert_eq!((of(2, "score"), of(2, "tags")), ("null".to_owned(), r#"["fine"]"#.to_owned()));
    assert_eq!(told[2]["reasons"][0]["code"], "reversal-that-is-fine");
}

#[test]
fn what_is_read_is_not_written_over() {
    let input = format!("{HEAD}\na,1000,c1,9000,EUR\n");
    let case = Case::new("in.csv", input.as_bytes());
    std::os::unix::fs::symlink("in.csv", case.path().join("link.csv")).unwrap();
    fs::create_dir_all(case.path().join("rules")).unwrap();
    fs::write(case.path().join("rules/a.toml"), "").unwrap();
    let output = case.run(&["--in", "in.csv", "--out", "rules/a.toml"]);
    assert!(
        output.status.code() == Some(2) && stderr(&output).contains("is a file that is read"),
        "{}",
        stderr(&output)
    );
    for out in ["in.csv", "./in.csv", "link.csv"] {
        let output = case.run(&["--in", "in.csv", "--out", out]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("is a file that is read"), "{}", stderr(&output));
        assert_eq!(fs::read(case.path().join("in.csv")).unwrap(), input.as_bytes());
    }
}

#[test]
fn a_period_has_a_length() {
    let case = Case::new("in.csv", format!("{HEAD}\na,1000,c1,9000,EUR\n").as_bytes());
    for (from, to, code) in
        [("2026-01-02", "2026-01-01", 2), ("2026-01-01", "2026-01-01", 2), ("1970-01-01", "2026-01-01", 0)]
    {
        let output = case.run(&["--in", "in.csv", "--out", "-", "--from", from, "--to", to]);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    }
}

/// A model counts money in the currency that it was learnt in.
#[test]
fn a_model_of_another_currency_scores_nothing() {
    let case = Case::new("in.csv", format!("{HEAD}\na,1000,c1,9000,JPY\n").as_bytes());
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/gavel.model");
    let run = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gavel"));
        command.current_dir(case.path()).env("GAVEL_BASE_CURRENCY", "JPY");
        command.args(["score", "--in", "in.csv", "--out", "-"]).args(flags).stdin(Stdio::null()).output().unwrap()
    };
    let output = run(&["--model", shipped.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("counts money in EUR, and the base currency is JPY"), "{}", stderr(&output));
    // One that nobody has named is left out.
    fs::create_dir(case.path().join("models")).unwrap();
    fs::copy(&shipped, case.path().join("models/gavel.model")).unwrap();
    let output = run(&[]);
    assert!(output.status.success() && stderr(&output).contains("it is left out"), "{}", stderr(&output));
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&verdict["score"], &verdict["tier"]), (&serde_json::Value::Null, &"rules_only".into()));
}

/// However late a transaction comes, its horizon begins when it does.
#[test]
fn one_that_comes_days_late_is_remembered_too() {
    const DAY_MS: i64 = 86_400_000;
    let (last, again) = (3 * DAY_MS, 3 * DAY_MS + DAY_MS / 2);
    let input = format!(
        "{HEAD}\na,{last},c1,9000,EUR\nlate,1000,c2,500,EUR\nlate,1000,c2,500,EUR\nb,{again},c1,9000,EUR\n\
         late,1000,c2,500,EUR\nlate,1000,c2,501,EUR\nc,{},c1,9000,EUR\nlate,1000,c2,501,EUR\n",
        again + DAY_MS
    );
    let case = Case::new("in.csv", input.as_bytes());
    let output = case.run(&["--in", "in.csv", "--out", "-"]);
    let lines: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    assert!(lines[1].contains(r#""flags":["late"]"#), "{}", lines[1]);
    assert_eq!((lines[2], lines[4]), (lines[1], lines[1]));
    assert!(lines[5].contains("id_conflict"), "{}", lines[5]);
    // A day and a half after it came it is forgotten.
    assert!(lines[7].contains(r#""id":"late","verdict""#), "{}", lines[7]);
    assert!(stderr(&output).contains("duplicates 2, refused 1"), "{}", stderr(&output));
}
