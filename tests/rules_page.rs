//! The page on rules, checked: every rule file, list, condition and feature on it, as one rule set. It judges no prose.

use std::{collections::BTreeMap, fs, path::Path};

use gavel::{
    commands::check::check,
    scoring::{
        expression::{Compiler, Finding},
        field::{AttributeSchema, FieldType},
        money::Currency,
        rules::{Data, Diagnostic, RuleSources, SourceFile, data_files, parse},
        settings::Settings,
    },
};

/// The snippets of a page: what the fence says of each, the line it begins on, and its text.
fn snippets(page: &str) -> Vec<(&str, usize, String)> {
    let mut snippets = Vec::new();
    let mut open: Option<(&str, usize, String)> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => open = Some((kind, number, String::new())),
            (Some(_), Some(_)) => snippets.extend(open.take()),
            (Some((_, _, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "the last snippet is not closed");
    snippets
}

fn settings() -> Settings {
    let mut settings = Settings::default_for(Currency::from_code("EUR").expect("EUR"));
    let attributes = [("category".to_owned(), FieldType::Text), ("basket_size".to_owned(), FieldType::Integer)];
    settings.schema = AttributeSchema::new(attributes);
    settings
}

fn sources(snippets: &[(&str, usize, String)]) -> RuleSources {
    let lists: BTreeMap<&str, &String> =
        snippets.iter().filter_map(|(kind, _, text)| Some((kind.strip_prefix("csv ")?, text))).collect();
    let files: Vec<SourceFile> = snippets
        .iter()
        .filter(|(kind, ..)| *kind == "toml")
        // Blank lines before it make the lines of what is told those of the page.
        .map(|(_, line, text)| SourceFile::new("docs/rules.md", "\n".repeat(*line) + text))
        .collect();
    let data = data_files(&files).into_keys().map(|name| {
        let text = lists.get(name.as_str()).unwrap_or_else(|| panic!("the page does not show {name}"));
        (name, Ok(Data::read(text.as_bytes().to_vec())))
    });
    RuleSources { data: data.collect(), files, ..RuleSources::default() }
}

#[test]
fn every_snippet_is_checked() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let page = fs::read_to_string(path).expect("the page is there");
    let snippets = snippets(&page);
    let of_kind = |wanted: &str| snippets.iter().filter(|(kind, ..)| kind.split(' ').next() == Some(wanted)).count();
    let known = ["toml", "csv", "expression", "feature", "text"].map(of_kind);
    assert_eq!(known.iter().sum::<usize>(), snippets.len(), "a snippet of a kind that is not checked");

    let settings = settings();
    let report = check(sources(&snippets), &settings);
    let told: Vec<String> = report.diagnostics.iter().map(|diagnostic| diagnostic.render(false)).collect();
    assert!(told.is_empty(), "{}", told.join("\n\n"));

    let (files, _) = parse(sources(&snippets), &settings);
    let mut compiler = Compiler::new(files.environment(&settings));
    let (mut lines, mut wrong) = (0, Vec::new());
    for (kind, start, text) in snippets.iter().filter(|(kind, ..)| matches!(*kind, "expression" | "feature")) {
        for (number, line) in (start + 1..).zip(text.lines()) {
            let mut findings: Vec<Finding> = Vec::new();
            match *kind {
                "feature" => drop(compiler.feature(line, &mut findings)),
                _ => drop(compiler.condition(line, &mut findings)),
            }
            wrong.extend(findings.iter().map(|finding| format!("{number}: {line}\n    {}", finding.message)));
            lines += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(lines > 30);
}

#[test]
fn the_error_on_the_page_is_what_is_told() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let page = fs::read_to_string(path).expect("the page is there");
    let shown = snippets(&page).into_iter().find(|(kind, ..)| *kind == "text").map(|(.., text)| text);
    let text =
        "\n".repeat(5) + "[[rule]]\nid = \"a\"\nthen = \"deny\"\nwhen = 'merchnt == \"m_17\" and amount > 100 EUR'\n";
    let file = SourceFile::new("rules/velocity.toml", text);
    let report = check(RuleSources { files: vec![file], ..RuleSources::default() }, &settings());
    let told: Vec<String> = report.diagnostics.iter().map(|diagnostic: &Diagnostic| diagnostic.render(false)).collect();
    assert_eq!(told.join("\n").trim_end(), shown.as_deref().map(str::trim_end).unwrap_or_default());
}
