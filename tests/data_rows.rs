//! What rows of data files become, file by file: readable, refused or an error before the first row.

use std::io::Write as _;

use gavel::{
    data::{DataError, FileFormat, Rows, Source},
    scoring::field::{AttributeSchema, FieldType},
};

fn schema() -> AttributeSchema {
    AttributeSchema::new([
        ("category".to_owned(), FieldType::Text),
        ("weight".to_owned(), FieldType::Number),
        ("gift".to_owned(), FieldType::Boolean),
    ])
}

/// Every row as `line id flags | label label_time`, or `line code`.
fn read(mut rows: Rows) -> Vec<String> {
    let schema = schema();
    let mut found = Vec::new();
    while let Some(row) = rows.next_row().expect("the file can be read on") {
        found.push(match row.transaction {
            Err(refusal) => format!("{} {}", row.line, refusal.code),
            Ok(transaction) => {
                let flags = transaction.flags.iter().map(|flag| flag.text(&schema));
                let label = row.label.map(|label| format!("| {}", i32::from(label)));
                let time = row.label_time.map(|time| time.unix_ms().to_string());
                let words: Vec<String> = [row.line.to_string(), transaction.id.into_owned()]
                    .into_iter()
                    .chain(flags)
                    .chain(label)
                    .chain(time)
                    .collect();
                words.join(" ")
            }
        });
    }
    found
}

fn open(format: FileFormat, text: &[u8]) -> Result<Rows, DataError> {
    Rows::new(Source::from_reader("test", std::io::Cursor::new(text.to_vec()), format)?, &schema())
}

fn check_csv(text: impl AsRef<[u8]>, expected: &[&str]) {
    let text = text.as_ref();
    let found = open(FileFormat::Csv, text).map_or_else(|error| vec![error.to_string()], read);
    assert_eq!(found, expected, "{}", String::from_utf8_lossy(text));
}

fn check_json(text: impl AsRef<[u8]>, expected: &[&str]) {
    let text = text.as_ref();
    let found = open(FileFormat::JsonLines, text).map_or_else(|error| vec![error.to_string()], read);
    assert_eq!(found, expected, "{}", String::from_utf8_lossy(text));
}

const HEAD: &str = "id,time,card,amount,currency";

#[test]
fn csv_rows() {
    check_csv(format!("{HEAD}\n"), &[]);
    check_csv(format!("{HEAD}\na,0,c,1,EUR\nb,2018-07-25T10:15:30Z,c,1,EUR"), &["2 a", "3 b"]);
    check_csv(format!("\u{feff}{HEAD}\r\na,0,c,1,EUR\r\n\r\nb,0,c,1,EUR\r\n"), &["2 a", "4 b"]);
    check_csv("currency , id,amount,card,time\nEUR,a,1,c,0\n", &["2 a"]);
    check_csv(
        format!("{HEAD},label,label_time\na,0,c,1,EUR,1,7\nb,0,c,1,EUR,0,\nc,0,c,1,EUR,,\nd,0,c,1,EUR,yes,soon\n"),
        &["2 a | 1 7", "3 b | 0", "4 c", "5 d"],
    );
    check_csv(
        format!("{HEAD},processor\na,0,c,1,EUR,p-1\nb,0,c,1,EUR,\nc,0,c,1,EUR,p 1\n"),
        &["2 a", "3 b", "4 invalid_processor"],
    );
    check_csv(
        format!(
            "{HEAD},mcc,attributes.category,attributes.weight,attributes.unknown,pattern\na,0,c,1,EUR,0742,x,0.5,y,z\nb,0,c,1,EUR,742,,1.1234567,,\n"
        ),
        &["2 a", "3 b invalid:mcc invalid:attributes.weight"],
    );
}

#[test]
fn bad_csv_rows_do_not_stop_the_run() {
    check_csv(format!("{HEAD}\na,0,c,1\nb,0,c,1,EUR,6\nc,0,c,1,EUR\n"), &["2 invalid_row", "3 invalid_row", "4 c"]);
    check_csv([HEAD.as_bytes(), b"\n\xff,0,c,1,EUR\nb,0,c,1,EUR\n"].concat(), &["2 invalid_row", "3 b"]);
    check_csv(
        [HEAD.as_bytes(), b"\na\xc3,\xa90,c,1,EUR\n\"b\xc3\",\xa90,c,1,EUR\nc,0,c,1,EUR\n"].concat(),
        &["2 invalid_row", "3 invalid_row", "4 c"],
    );
    check_csv(
        format!("{HEAD}\na,0,c,-1,EUR\nb,0,c,1.5,EUR\nc,0,c,1,\n,0,c,1,EUR\ne,0,4111111111111111,1,EUR\n"),
        &["2 invalid_amount", "3 invalid_amount", "4 invalid_currency", "5 invalid_id", "6 invalid_card"],
    );
    let long = "x".repeat(70_000);
    check_csv(format!("{HEAD}\n{long},0,c,1,EUR\nb,0,c,1,EUR\n"), &["2 too_large", "3 b"]);
}

#[test]
fn quotes_follow_rfc_4180_and_stray_ones_cost_one_row() {
    check_csv(
        format!("{HEAD},merchant\n\"a,1\",\"0\",c,1,EUR,\"Smith \"\"& Sons\"\"\"\nb,0,c,1,EUR,Kuhn\n"),
        &["2 a,1", "3 b"],
    );
    check_csv(format!("{HEAD},note\na,0,c,1,EUR,\"two\nlines\"\nb,0,c,1,EUR,\n"), &["2 a", "4 b"]);
    check_csv(format!("{HEAD},note\na,0,c,1,EUR,\"a\r\n\r\nb\"\nb,0,c,1,EUR,\n"), &["2 a", "5 b"]);
    // An open quote ends with its line, wherever the next quote is.
    check_csv(format!("{HEAD}\n\"a,0,c,1,EUR\nb,0,c,1,EUR\nc,0,c,1,EUR"), &["2 invalid_row", "3 b", "4 c"]);
    check_csv(format!("{HEAD}\n\"a,0,c,1,EUR\nb,0,c,1,EUR\n\"c\",0,c,1,EUR\n"), &["2 invalid_row", "3 b", "4 c"]);
    check_csv(
        format!("{HEAD}\n\"a,0,c,1,EUR\n\"b,0,c,1,EUR\nc,0,c,1,EUR\n"),
        &["2 invalid_row", "3 invalid_row", "4 c"],
    );
    let rows: Vec<String> = (0..2_000).map(|row| format!("r{row},0,c,1,EUR\n")).collect();
    let expected: Vec<String> = std::iter::once("2 invalid_row".to_owned())
        .chain((0..2_000).map(|row| format!("{} r{row}", row + 3)))
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check_csv(format!("{HEAD}\n\"a,0,c,1,EUR\n{}", rows.concat()), &expected);
}

#[test]
fn a_header_must_be_whole() {
    let columns = "expected id, time, card, amount and currency";
    check_csv("", &["test: it is empty, expected a header with the columns id, time, card, amount and currency"]);
    check_csv(format!("\n \r\n{HEAD}\na,0,c,1,EUR\n"), &["4 a"]);
    check_csv("\n\n", &["test: it is empty, expected a header with the columns id, time, card, amount and currency"]);
    check_csv("id,time,card,currency\n", &[&format!("test:1: the header has no column `amount`, {columns}")]);
    check_csv(
        "a,b\n",
        &[&format!("test:1: the header has no column `id`, `time`, `card`, `amount`, `currency`, {columns}")],
    );
    check_csv(
        format!("{HEAD},mcc,mcc\n"),
        &["test:1: the header names the column `mcc` twice, expected each name once"],
    );
    check_csv(
        format!("{HEAD},label,label\n"),
        &["test:1: the header names the column `label` twice, expected each name once"],
    );
    check_csv(b"id,\xff\n", &["test:1: the header is not readable, expected column names in UTF-8"]);
    check_csv("\"id,time\n", &["test:1: the header is not readable, expected column names in UTF-8"]);
    let mut rows = open(
        FileFormat::JsonLines,
        br#"{"id":"a","time":0,"card":"c","amount":1,"currency":"EUR","attributes":{"x":1,"y":2,"weight":3},"z":4}"#,
    )
    .expect("it can be read");
    assert!(rows.next_row().is_ok_and(|row| row.is_some()));
    assert_eq!(rows.notes().unknown_fields, 3);
    let rows = open(FileFormat::Csv, format!("{HEAD},pattern,attributes.other,processor\n").as_bytes());
    assert_eq!(rows.expect("the header is whole").notes().unknown_columns, ["pattern", "attributes.other"]);
}

#[test]
fn json_rows() {
    let body = r#""time":0,"card":"c","amount":1,"currency":"EUR""#;
    check_json("", &[]);
    check_json(format!("{{\"id\":\"a\",{body}}}\n\n {{\"id\":\"b\",{body}}} \r\n"), &["1 a", "3 b"]);
    let cases = [
        (r#"{"id":"a",BODY,"label":1,"label_time":7}"#, "1 a | 1 7"),
        (r#"{"id":"a",BODY,"label":0,"label_time":"1970-01-01T00:00:01Z"}"#, "1 a | 0 1000"),
        (r#"{"id":"a",BODY,"label":true}"#, "1 a"),
        (r#"{"id":"a",BODY,"label":null,"label_time":null,"processor":null}"#, "1 a"),
        (r#"{"id":"a",BODY,"label":"fraud","label_time":"soon"}"#, "1 a"),
        (r#"{"id":"a",BODY,"processor":"p\u0031"}"#, "1 a"),
        (r#"{"id":"a",BODY,"processor":7}"#, "1 invalid_processor"),
        (r#"{"id":"a",BODY,"attributes":{"weight":0.5},"attributes.category":"x"}"#, "1 a"),
        (r#"{"id":"a",BODY,"attributes":{"weight":0.5},"attributes.weight":1}"#, "1 a invalid:attributes.weight"),
        (r#"{"id":"a",BODY,"attributes":[],"pattern":{"a":[1]}}"#, "1 a invalid:attributes"),
        (r#"{"id":"a",BODY,"merchant":"\ud800","label":1}"#, "1 a invalid:merchant | 1"),
        (r#"{"id":"a",BODY,"attributes":{"weight":1e999},"attributes.category":"x"}"#, "1 a invalid:attributes.weight"),
        (r#"{"id":"\ud800",BODY}"#, "1 invalid_id"),
        (r#"{"id":"a",BODY,"label":1"#, "1 invalid_json"),
        (r"[]", "1 invalid_json"),
        (r#"{"id":"a","time":0,"card":"c","amount":1.0,"currency":"EUR"}"#, "1 invalid_amount"),
    ];
    for (row, expected) in cases {
        check_json(row.replace("BODY", body), &[expected]);
    }
    check_json([b"{\"id\":\"\xff\",", body.as_bytes(), b"}\n{}"].concat(), &["1 invalid_json", "2 invalid_id"]);
    check_json(format!("{{\"id\":\"{}\"}}\n{{}}", "x".repeat(70_000)), &["1 too_large", "2 invalid_id"]);
}

#[test]
fn names_and_first_bytes_tell_the_format() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let csv = format!("{HEAD}\na,0,c,1,EUR\n").into_bytes();
    let json = br#"{"id":"a","time":0,"card":"c","amount":1,"currency":"EUR"}"#.to_vec();
    let packed = |text: &[u8]| zstd::encode_all(text, 1).expect("memory does not fail");
    let cases = [
        ("a.csv", csv.clone(), "1"),
        ("a.csv.zst", packed(&csv), "1"),
        ("a.jsonl", json.clone(), "1"),
        ("a.NDJSON.ZST", packed(&json), "1"),
        ("pipe1", csv.clone(), "1"),
        ("pipe2", packed(&csv), "1"),
        ("pipe3", json.clone(), "1"),
        ("pipe4", packed(&json), "1"),
        ("a.json", json, "its name tells no format"),
        ("b.csv.zst", csv, "cannot be read on"),
        ("c.csv.zst", packed(b"id,time")[..6].to_vec(), "cannot be read on"),
    ];
    for (name, bytes, expected) in cases {
        let path = folder.path().join(name);
        let mut file = std::fs::File::create(&path).expect("the folder can be written");
        file.write_all(&bytes).expect("the folder can be written");
        let found = match Rows::open(&path, &schema()) {
            Ok(rows) => read(rows).len().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{name}: {found}");
    }
    let absent = Rows::open(&folder.path().join("absent.csv"), &schema()).err().expect("no such file");
    assert!(absent.to_string().contains("absent.csv: cannot be opened"), "{absent}");
}
