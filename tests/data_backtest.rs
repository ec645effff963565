//! `gavel backtest` on a history small enough to count by hand.

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

const HISTORY: &str = "\
id,time,card,amount,currency,type,parent,label,label_time
a,0,c1,1000,EUR,,,0,
b,1000,c1,90000,EUR,,,1,
c,2000,c2,90000,EUR,,,0,
d,3000,c3,20000,EUR,,,1,
e,4000,c4,500,EUR,,,,
f,5000,c1,90000,EUR,reversal,b,0,
g,6000,c5,-1,EUR,,,1,
a,7000,c1,1000,EUR,,,0,
h,8000,c6,700,USD,,,1,
";

const RULES: &str = r#"
[[rule]]
id = "high"
description = "A large amount"
when = "amount >= 500 EUR"
then = "deny"

[[rule]]
id = "tried"
description = "A middling amount"
when = "amount >= 200 EUR"
then = "review"
mode = "shadow"

[[rule]]
id = "idle"
description = "Never"
when = "amount > 900000 EUR"
then = "review"
"#;

fn run(flags: &[&str]) -> (TempDir, Output) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("the folder can be written");
        fs::write(path, text).expect("the folder can be written");
    };
    write("in.csv", HISTORY);
    write("rules/rules.toml", RULES);
    write("next/rules.toml", &RULES.replace("mode = \"shadow\"", "").replace(">= 500 EUR", ">= 5000 EUR"));
    let output = Command::new(env!("CARGO_BIN_EXE_gavel"))
        .current_dir(folder.path())
        .args(["backtest", "--in", "in.csv", "--model", "none"])
        .args(flags)
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (folder, output)
}

fn volume(transactions: u64, amount_minor: i64) -> Value {
    json!({"transactions": transactions, "amount_minor": amount_minor})
}

fn check(report: &Value, pointer: &str, expected: &Value) {
    assert_eq!(report.pointer(pointer), Some(expected), "{pointer}");
}

#[test]
fn labels_judge_what_a_rule_set_decides() {
    let (_folder, output) = run(&["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    check(&report, "/all/fraud", &volume(3, 110_000));
    check(&report, "/all/legitimate", &volume(2, 91_000));
    check(&report, "/all/unlabelled", &volume(1, 500));
    check(&report, "/without_rate", &json!(1));
    check(&report, "/duplicates", &json!(1));
    check(&report, "/refused", &json!(1));
    check(&report, "/flips", &json!([]));
    check(&report, "/rule_sets/0/denied/fraud", &volume(1, 90_000));
    check(&report, "/rule_sets/0/denied/legitimate", &volume(1, 90_000));
    check(&report, "/rule_sets/0/approved/fraud", &volume(2, 20_000));
    check(&report, "/rule_sets/0/rules/high/precision", &json!(0.5));
    check(&report, "/rule_sets/0/rules/high/recall", &json!(1.0 / 3.0));
    check(&report, "/rule_sets/0/rules/tried/is_shadow", &json!(true));
    check(&report, "/rule_sets/0/rules/tried/hits/fraud", &volume(2, 110_000));
    check(&report, "/rule_sets/0/rules/idle/hits/fraud", &volume(0, 0));
    check(&report, "/rule_sets/0/rules/idle/precision", &Value::Null);
}

#[test]
fn a_candidate_is_compared_row_by_row() {
    let (folder, output) = run(&["--candidate", "next", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    check(&report, "/all/fraud", &volume(3, 110_000));
    check(&report, "/rule_sets/1/reviewed/fraud", &volume(2, 110_000));
    check(&report, "/rule_sets/1/denied/fraud", &volume(0, 0));
    let flips: Vec<(String, u64)> = report["flips"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|flip| {
            let counts =
                ["fraud", "legitimate", "unlabelled"].map(|label| flip["volumes"][label]["transactions"].as_u64());
            let name = format!("{} {}", flip["from"].as_str().unwrap_or(""), flip["to"].as_str().unwrap_or(""));
            (name, counts.into_iter().flatten().sum())
        })
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(flips, [("approve review".to_owned(), 1), ("deny review".to_owned(), 2)]);
    drop(folder);

    let (folder, output) = run(&["--candidate", "next", "--html", "report.html"]);
    let text = String::from_utf8(output.stdout).expect("it is text");
    let page = fs::read_to_string(folder.path().join("report.html")).expect("the page was written");
    for expected in ["6 transactions: 3 frauds", "1 (33.3 %)", "900 EUR", "deny → review", "idle", "tried"] {
        assert!(text.contains(expected), "{expected}:\n{text}");
        assert!(page.contains(expected), "{expected} in the page");
    }
    assert!(!page.contains("<script") && !page.contains("href") && !page.contains("src="));
}

#[test]
fn a_period_limits_what_is_judged() {
    let (_folder, output) = run(&["--json", "--from", "1970-01-01T00:00:02Z", "--to", "1970-01-01T00:00:04Z"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    check(&report, "/all/fraud", &volume(1, 20_000));
    check(&report, "/all/legitimate", &volume(1, 90_000));
    check(&report, "/refused", &json!(0));
}
