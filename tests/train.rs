//! `gavel train` as its users run it.

use std::{fmt::Write as _, fs, path::Path, process::Command};

/// Purchases in order, a minute apart: every tenth is a fraud that is known at once, every fifth is at a merchant that the
/// rules block, and of what is neither nobody has said anything.
fn history(count: u32) -> String {
    let mut text = String::from("id,time,card,amount,currency,merchant,label,label_time\n");
    for number in 0..count {
        let ms = 1_532_513_730_000 + i64::from(number) * 60_000;
        let (amount, label) = if number % 10 == 0 { (90_000 + number % 70, "1") } else { (1_000 + number % 90, "") };
        let merchant = if number % 5 == 0 { "blocked" } else { "m" };
        let label_time = if label.is_empty() { String::new() } else { ms.to_string() };
        let card = number % 40;
        writeln!(text, "t-{number},{ms},c_{card},{amount},EUR,{merchant},{label},{label_time}").unwrap();
    }
    text
}

const RULES: &str = r#"
[[rule]]
id = "blocked"
description = "A merchant that is blocked"
when = 'merchant == "blocked"'
then = "deny"
"#;

/// How many rows it says it has learnt from, how many of them were fraud, and what it said on standard error.
fn train(folder: &Path, more: &[&str]) -> (u64, u64, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gavel"))
        .args(["train", "--in", "history.csv", "--out", "new.model", "--features", "features.toml", "--json"])
        .args([
            "--learner",
            "logistic",
            "--maturity",
            "1h",
            "--from",
            "2018-07-25T10:15:30Z",
            "--to",
            "2018-07-26T02:55:30Z",
        ])
        .args(more)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |name: &str| told["training"][name].as_u64().unwrap();
    (number("rows"), number("frauds"), said)
}

#[test]
fn what_the_rules_would_have_denied_is_learnt_from_only_with_a_label() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("history.csv"), history(1_200)).unwrap();
    fs::write(folder.path().join("features.toml"), "[features]\namount = \"amount\"\n").unwrap();
    // The thousandth is the first that is not inside.
    let (rows, frauds, said) = train(folder.path(), &[]);
    assert_eq!((rows, frauds), (1_000, 100), "{said}");
    assert!(said.contains("there is no folder rules"), "{said}");

    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("rules/rules.toml"), RULES).unwrap();
    // Of the two hundred that are blocked half has a label.
    let (rows, frauds, said) = train(folder.path(), &[]);
    assert_eq!((rows, frauds), (900, 100), "{said}");
    let (rows, frauds, _) = train(folder.path(), &["--rules", "none"]);
    assert_eq!((rows, frauds), (1_000, 100));

    fs::rename(folder.path().join("rules"), folder.path().join("others")).unwrap();
    let (rows, frauds, _) = train(folder.path(), &["--rules", "others"]);
    assert_eq!((rows, frauds), (900, 100));
}
