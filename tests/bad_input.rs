//! What the checks make of malformed messages and files: each with its exact answer. Nothing is scored here.

mod tables;

use gavel::{
    data::{DataError, Notes, Rows},
    scoring::{
        refusal::Refusal,
        wire::{decode_label, decode_list_change, decode_outcome, decode_transaction},
    },
};

use tables::{Case, GOOD_LABEL, GOOD_LIST_CHANGE, GOOD_OUTCOME, GOOD_TRANSACTION, ROUTE, body, cases, schema};

fn refused(refusal: &Refusal) -> String {
    let Refusal { class, code, field, message } = refusal;
    format!("\n  -> {} {code} {}\n  -> {message}", class.status(), field.as_deref().unwrap_or("-"))
}

/// Compares a table with what `answer` gives for each body.
fn check(table: &str, good: &[(&str, &str)], answer: impl Fn(&str) -> String) {
    let cases = cases(table);
    let mut differing = Vec::new();
    for Case { written, expected } in &cases {
        let found = answer(&body(written, good));
        if found != *expected {
            differing.push(format!("{written}{found}"));
        }
    }
    assert!(differing.is_empty(), "these answers differ from the table:\n{}\n", differing.join("\n"));
}

#[test]
fn transactions() {
    let schema = schema();
    check(include_str!("bad_input/transactions.txt"), GOOD_TRANSACTION, |body| {
        match decode_transaction(body.as_bytes(), ROUTE, &schema) {
            Err(refusal) => refused(&refusal),
            Ok(transaction) => {
                let mut flags: Vec<String> = transaction.flags.iter().map(|flag| flag.text(&schema)).collect();
                flags.sort();
                if transaction.unknown_fields > 0 {
                    flags.push(format!("({} ignored)", transaction.unknown_fields));
                }
                format!("\n  -> ok {}", flags.join(" ")).trim_end().to_owned()
            }
        }
    });
}

#[test]
fn bodies_that_are_no_text_or_too_large() {
    let good = body("", GOOD_TRANSACTION);
    let large = format!("{good}{}", " ".repeat(64 * 1024));
    let largest = format!("{good}{}", " ".repeat(64 * 1024 - good.len()));
    let nested = format!("{}{}", "[".repeat(60_000 / 2), "]".repeat(60_000 / 2));
    let deep = body(&format!("unheard_of={nested}; merchant=[[1]]"), GOOD_TRANSACTION);
    let latin: Vec<u8> = good.replace("c_4f2", "c_4\u{e9}").chars().map(|letter| letter as u8).collect();
    let cases: [(&[u8], &str); 6] = [
        (large.as_bytes(), "413 too_large - the body has 65629 bytes, expected at most 65536"),
        (largest.as_bytes(), "ok"),
        (&latin, "400 invalid_json - the body is not readable as JSON in UTF-8, from line 1 column 59"),
        (b"\xef\xbb\xbf{}", "400 invalid_json - the body is not readable as JSON in UTF-8, from line 1 column 1"),
        (&[0; 100], "400 invalid_json - the body is not readable as JSON in UTF-8, from line 1 column 1"),
        (deep.as_bytes(), "ok"),
    ];
    let schema = schema();
    for (bytes, expected) in cases {
        let found = match decode_transaction(bytes, ROUTE, &schema) {
            Ok(_) => "ok".to_owned(),
            Err(refusal) => refused(&refusal).replace("\n  -> ", " ").trim_start().to_owned(),
        };
        assert_eq!(found, expected);
    }
}

/// `ok`, or the refusal.
fn accepted<T>(decoded: Result<T, Refusal>) -> String {
    decoded.map_or_else(|refusal| refused(&refusal), |_| "\n  -> ok".to_owned())
}

#[test]
fn outcomes() {
    check(include_str!("bad_input/outcomes.txt"), GOOD_OUTCOME, |body| {
        accepted(decode_outcome(body.as_bytes(), ROUTE))
    });
}

#[test]
fn labels() {
    check(include_str!("bad_input/labels.txt"), GOOD_LABEL, |body| accepted(decode_label(body.as_bytes(), ROUTE)));
}

#[test]
fn list_changes() {
    check(include_str!("bad_input/list_changes.txt"), GOOD_LIST_CHANGE, |body| {
        accepted(decode_list_change(body.as_bytes(), "blocked-cards"))
    });
}

/// What the reader makes of a file: a line for each row, or for what is wrong with it as a whole.
fn read_file(name: &str, text: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder for the file");
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("the file is written");
    let whole = |error: DataError| format!("\n  -> {}", error.to_string().replace(&path.display().to_string(), name));
    let schema = schema();
    let mut rows = match Rows::open(&path, &schema) {
        Ok(rows) => rows,
        Err(error) => return whole(error),
    };
    let mut found = String::new();
    loop {
        let row = match rows.next_row() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(error) => return found + &whole(error),
        };
        let what = match &row.transaction {
            Err(refusal) => refused(refusal).replace("\n  -> ", " "),
            Ok(transaction) => {
                let flags = transaction.flags.iter().map(|flag| flag.text(&schema));
                let label = row.label.map(|label| format!("label {}", u8::from(label)));
                let known = row.label_time.map(|time| format!("known {time}"));
                let processor = format!("from {}", transaction.processor);
                let parts: Vec<String> = flags.chain(label).chain(known).chain([processor]).collect();
                format!(" ok {}", parts.join(" "))
            }
        };
        found += &["\n  -> line ", &row.line.to_string(), ":", &what].concat();
    }
    let Notes { unknown_columns, unknown_fields, unreadable_labels, unreadable_label_times } = rows.notes();
    let notes = format!(
        "\n  -> ignored: columns {unknown_columns:?}, {unknown_fields} fields, {unreadable_labels} labels, \
         {unreadable_label_times} label times"
    );
    if *rows.notes() == Notes::default() { found } else { found + &notes }
}

#[test]
fn data_files() {
    // A case is a name and its lines, so the table is put together here, one line a case.
    let table = include_str!("bad_input/files.txt").replace("\n|", "\u{1}");
    let mut differing = Vec::new();
    for Case { written, expected } in cases(&table) {
        let (name, lines) = written.split_once('\u{1}').unwrap_or((&written, ""));
        let lines: Vec<&str> = lines.split('\u{1}').map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        let found = read_file(name, &lines.join("\n"));
        if found != expected {
            differing.push(written.replace('\u{1}', "\n|") + &found);
        }
    }
    assert!(differing.is_empty(), "these answers differ from the table:\n{}\n", differing.join("\n"));
}
