//! `gavel explain` as an analyst runs it.

use std::{fs, path::Path, process::Command};

const RULES: &str = r#"
[[rule]]
id = "third-today"
description = "The third purchase of a day"
when = "count(card, 24h) >= 3 and amount > 5 EUR"
then = "review"

[[rule]]
id = "large"
description = "A large one"
when = "amount > 80 EUR"
then = "deny"
mode = "shadow"
"#;

const ROWS: &str = "id,time,card,amount,currency,processor
a,1000,c1,9000,EUR,p
b,2000,c1,9000,EUR,p
same,3000,c1,9000,EUR,p
same,4000,c2,100,EUR,p
same,5000,c1,100,EUR,q
same,3000,c1,9000,EUR,p
";

/// A folder with the rules and the rows.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("rules/rules.toml"), RULES).unwrap();
    fs::write(folder.path().join("rows.csv"), ROWS).unwrap();
    folder
}

fn explain(folder: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gavel"))
        .args(["explain", "--in", "rows.csv"])
        .args(if more.contains(&"--model") { &[][..] } else { &["--model", "none"] })
        .args(more)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_transaction_is_shown_as_the_rules_saw_it() {
    let folder = prepared();

    let (code, told, said) = explain(folder.path(), &["--id", "same"]);
    assert_eq!(code, Some(0), "{said}");
    for expected in ["third-today", "fired and decided", "count(card, 24h) >= 3", "large", "fired in shadow"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let note = "note: this is of processor p and card c1; the id is also one of processor p and card c2, and 1 more: \
                choose with --processor and --card";
    assert!(said.contains(note), "{said}");

    let (_, told, said) = explain(folder.path(), &["--id", "same", "--processor", "p", "--card", "c2", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["verdict"]["verdict"], said.contains("note")), (&"approve".into(), false), "{said}");
    let (_, told, _) = explain(folder.path(), &["--id", "same", "--processor", "q"]);
    assert!(told.contains("did not fire"), "{told}");
    let (code, _, said) = explain(folder.path(), &["--id", "same", "--card", "c3"]);
    assert_eq!(code, Some(1), "{said}");
}

/// Where no rule decides it says what does.
#[test]
fn what_decided_is_told() {
    let folder = prepared();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/gavel.model");
    let decision = |configuration: &str, id: &str, model: &str| {
        fs::write(folder.path().join("gavel.toml"), configuration).unwrap();
        let (_, told, said) = explain(folder.path(), &["--id", id, "--json", "--model", model]);
        let told: serde_json::Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{said}"));
        told["decision"].as_str().unwrap().to_owned()
    };
    let model = model.to_str().unwrap();
    let cost = "[[policy.segments]]\nname = \"large\"\nwhen = \"amount > 50 EUR\"\nreview_cost = \"3 EUR\"\n\
                false_positive_cost = \"20 EUR\"\n";
    // (configuration, id, model, what the decision begins with, and what it ends with)
    let cases = [
        ("", "same", "none", "the rules decide: third-today", ""),
        ("", "a", "none", "no rule decides and no model answers", "[policy] without_score does"),
        ("", "a", model, "no rule decides, so the score of 0.", "does: review from 0.5 on, deny from 0.9 on"),
        (cost, "a", model, "no rule decides, so the score of 0.", " EUR"),
        (
            "[policy]\nmode = \"monitor\"\n",
            "same",
            "none",
            "the rules decide",
            "in monitor mode it is approved all the same",
        ),
        ("[policy]\nmode = \"monitor\"\n", "a", "none", "no rule decides", "[policy] without_score does"),
    ];
    for (configuration, id, model, start, end) in cases {
        let told = decision(configuration, id, model);
        assert!(told.starts_with(start) && told.ends_with(end), "{told}");
    }
    let told = decision(cost, "a", model);
    assert!(
        told.contains(r#"segment "large": to approve costs "#) && told.contains("to review 3 EUR, to deny 1"),
        "{told}"
    );
}
