//! Rule files that are wrong, each with what must be told of it: `tests/bad_rules/*.toml` begin with one comment for
//! each line of it. It runs no service.

use std::{collections::BTreeSet, fs, path::Path};

use gavel::{
    commands::check::check,
    files::read_rules,
    scoring::{
        expression,
        field::{AttributeSchema, FieldType},
        money::Currency,
        rules::{CODES, Diagnostic, FILE_MAX_BYTES, RuleSources, SourceFile},
        settings::Settings,
    },
};

const EXPECTED: &str = "#: ";

fn settings() -> Settings {
    let mut settings = Settings::default_for(Currency::from_code("EUR").expect("EUR"));
    settings.schema = AttributeSchema::new([("category".to_owned(), FieldType::Text)]);
    settings
}

fn line(diagnostic: &Diagnostic) -> String {
    let Diagnostic { code, message, place, .. } = diagnostic;
    let file = place.file.rsplit('/').next().unwrap_or_default();
    let is_list = file.strip_suffix(".csv").is_some();
    let of_list = if is_list { format!("{file}:") } else { String::new() };
    let hint = diagnostic.hint.as_ref().map_or_else(String::new, |hint| format!(" | {hint}"));
    format!("{of_list}{}:{}-{}:{} {code} {message}{hint}", place.line, place.column, place.end_line, place.end_column)
}

#[test]
fn each_is_told_exactly() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_rules");
    let sources = read_rules(&folder).expect("the folder is there");
    assert!(sources.files.len() >= 15);
    let mut wrong = Vec::new();
    for file in &sources.files {
        let expected: Vec<&str> = file.text.lines().filter_map(|line| line.strip_prefix(EXPECTED)).collect();
        let alone = RuleSources { files: vec![file.clone()], ..sources.clone() };
        let told: Vec<String> = check(alone, &settings()).diagnostics.iter().map(line).collect();
        if told == expected {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            rewrite(&folder, &file.name, &file.text, &told);
        }
        wrong.push(format!("{}\n{}", file.name, lines(told.iter().cloned())));
    }
    assert!(wrong.is_empty(), "these are told otherwise; UPDATE_EXPECTED=1 writes it down\n{}", wrong.join("\n"));
}

/// Each code of the registry stands in a snapshot: above, or beside the source; or here where no file of a sensible size
/// would do.
#[test]
fn every_code_has_a_case() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_rules");
    let sources = read_rules(&folder).expect("the folder is there");
    let expected =
        sources.files.iter().flat_map(|file| file.text.lines()).filter_map(|line| line.strip_prefix(EXPECTED));
    let mut shown = lines(expected.map(str::to_owned));
    add_snapshots(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut shown);

    let mut aside = RuleSources::default();
    let text = "#".repeat(FILE_MAX_BYTES + 1);
    aside.files.push(SourceFile::new("rules/large.toml", text));
    aside.unreadable.insert("rules/unreadable.toml".to_owned(), "line 2 is not UTF-8".to_owned());
    let told: Vec<String> = check(aside, &settings()).diagnostics.iter().map(line).collect();
    let expected = [
        "1:1-1:1 E308 the file has 16777217 bytes, at most 16777216 are possible",
        "1:0-1:0 E309 the rule file cannot be read: line 2 is not UTF-8",
    ];
    assert_eq!(told, expected);
    shown.extend(expected);

    let words: BTreeSet<&str> = shown.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
    for code in expression::codes::CODES.iter().chain(CODES) {
        assert!(words.contains(code.code), "{} is in no snapshot", code.code);
        assert!(!code.title.is_empty() && !code.explanation.is_empty(), "{}", code.code);
    }
}

/// The text of every snapshot under a folder, without the sources that it was made of.
fn add_snapshots(folder: &Path, shown: &mut String) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it stays readable").path();
        if path.is_dir() {
            add_snapshots(&path, shown);
        } else if path.extension().is_some_and(|extension| extension == "snap") {
            let text = fs::read_to_string(&path).expect("it stays readable");
            shown.push_str(text.splitn(3, "---\n").last().unwrap_or_default());
        }
    }
}

/// What is told, as a file has it.
fn lines(told: impl Iterator<Item = String>) -> String {
    told.fold(String::new(), |lines, line| format!("{lines}{EXPECTED}{line}\n"))
}

/// Puts what is told before the file, which moves every line of it.
fn rewrite(folder: &Path, name: &str, text: &str, told: &[String]) {
    let was = text.lines().filter(|line| line.starts_with(EXPECTED)).count();
    let rest: Vec<&str> = text.lines().filter(|line| !line.starts_with(EXPECTED)).collect();
    let moved = |line: &String| {
        let mut parts = line.splitn(2, ' ');
        let (place, message) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if place.contains(".csv:") {
            return line.clone();
        }
        let ends = place.split('-').map(|end| {
            let (line, column) = end.split_once(':').unwrap_or((end, ""));
            let line = line.parse::<usize>().unwrap_or_default() + told.len() - was;
            format!("{line}:{column}")
        });
        format!("{} {message}", ends.collect::<Vec<_>>().join("-"))
    };
    let head = lines(told.iter().map(moved));
    let file = folder.join(Path::new(name).file_name().expect("a file"));
    fs::write(file, format!("{head}{}\n", rest.join("\n"))).expect("the file can be written");
}
