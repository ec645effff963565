//! The documentation against the program: commands, metrics, error codes and alerts. It checks no prose.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

const README: &str = include_str!("../README.md");
const OPERATIONS: &str = include_str!("../docs/operations.md");
const PROTOCOL: &str = include_str!("../docs/protocol.md");

/// The text of every source file that is not only for tests.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the folder stays readable").path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let file = fs::read_to_string(&path).expect("the source is readable");
            text += file.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        }
    }
    text
}

fn source() -> String {
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// The quoted words of a text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The first column of the tables of a page, out of its backquotes.
fn first_column(page: &str) -> BTreeSet<&str> {
    page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

#[test]
fn every_metric_is_documented_with_its_help() {
    let metrics = include_str!("../src/service/metrics.rs");
    let metrics = metrics.split("#[cfg(test)]").next().unwrap_or_default();
    let parts = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/service/metrics"));
    let (stream, quality) =
        (include_str!("../src/service/stream_metrics.rs"), include_str!("../src/service/quality.rs"));
    let metrics = &format!("{metrics}{parts}{stream}{quality}");
    let names: BTreeSet<&str> = quoted(metrics).filter(|word| is_name(word) && word.starts_with("gavel_")).collect();
    let documented: BTreeSet<&str> =
        first_column(OPERATIONS).into_iter().filter(|name| name.starts_with("gavel_")).collect();
    assert_eq!(documented, names);
    for line in OPERATIONS.lines().filter(|line| line.starts_with("| `gavel_")) {
        let help = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim();
        assert!(metrics.contains(&format!("\"{help}\"")), "no metric has this help: {help}");
    }
}

#[test]
fn every_command_is_in_the_readme() {
    let help = Command::new(env!("CARGO_BIN_EXE_gavel")).arg("--help").output().expect("gavel runs");
    let help = String::from_utf8(help.stdout).expect("help is text");
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: BTreeSet<&str> =
        listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    let documented: BTreeSet<&str> =
        first_column(README).into_iter().filter_map(|name| name.strip_prefix("gavel ")).collect();
    assert_eq!(documented, commands);
}

#[test]
fn every_error_code_is_in_the_protocol() {
    let source = source();
    let mut codes: BTreeSet<&str> = BTreeSet::new();
    for made in source.split("Refusal::of(").skip(1) {
        codes.extend(quoted(made).next().filter(|word| is_name(word)));
    }
    assert!(codes.contains("id_conflict") && codes.contains("invalid_json"), "{codes:?}");
    for code in codes {
        assert!(PROTOCOL.contains(&format!("| `{code}` |")), "{code} is in no table");
    }
}

/// An alert that joins series must join some.
const MISSED_FRAUDS: &str = r#"
rule_files: [alerts.yml]
tests:
  - interval: 1m
    input_series:
      - { series: 'gavel_quality_recall{kind="verdict",at="review",window="7d"}', values: '0.1x200' }
      - { series: 'gavel_quality_recall{kind="verdict",at="review",window="30d"}', values: '0.9x200' }
      - { series: 'gavel_quality_transactions{kind="verdict",at="review",window="7d",what="caught"}', values: '90x200' }
    alert_rule_test:
      - eval_time: 2h
        alertname: GavelMissesMore
        exp_alerts:
          - exp_labels: { kind: verdict, at: review }
            exp_annotations:
              summary: Of the week's known frauds, far fewer were stopped than of the month's.
"#;

#[test]
fn the_alerts_are_rules_of_prometheus_over_metrics_that_exist() {
    let begin = OPERATIONS.find("```yaml\n").expect("the page has a YAML block") + "```yaml\n".len();
    let length = OPERATIONS[begin..].find("```").expect("the block ends");
    let alerts = &OPERATIONS[begin..begin + length];

    let names = first_column(OPERATIONS);
    for word in alerts.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
        if let Some(name) = word.starts_with("gavel_").then(|| word.trim_end_matches("_bucket")) {
            assert!(names.contains(name), "{name} is no metric");
        }
    }

    let folder = tempfile::tempdir().expect("a folder for the rules");
    let file = folder.path().join("alerts.yml");
    fs::write(&file, alerts).expect("the rules are written");
    fs::write(folder.path().join("test.yml"), MISSED_FRAUDS).expect("the test is written");
    for (what, file) in [("check", file), ("test", folder.path().join("test.yml"))] {
        match Command::new("promtool").arg(what).arg("rules").arg(&file).output() {
            Ok(told) => {
                let text = [told.stdout, told.stderr].concat();
                assert!(told.status.success(), "{what}: {}", String::from_utf8_lossy(&text));
            }
            Err(error) => eprintln!("NOT CHECKED: promtool is not here ({error}), so the alerts were not parsed"),
        }
    }
}

#[test]
fn every_page_is_in_the_readme() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let name = entry.expect("the folder stays readable").file_name().into_string().expect("names are UTF-8");
        let is_page = Path::new(&name).extension().is_some_and(|ending| ending == "md");
        assert!(!is_page || README.contains(&format!("(docs/{name})")), "docs/{name} is not linked");
    }
}
