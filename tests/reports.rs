//! The reports for a browser: one file each that fetches nothing, with charts that any reader of XML takes. It opens no
//! browser.

use std::{fs, path::Path, process::Command};

use gavel::simulation::{Simulation, SimulationSettings};

/// What a command writes with `--html` about a simulated stream.
fn page(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = Vec::new();
    let settings = SimulationSettings { cards: 60, days: 12, ..SimulationSettings::new(4) };
    for row in Simulation::new(settings).expect("the settings make a stream") {
        row.write_json(&mut text);
        text.push(b'\n');
    }
    fs::write(folder.path().join("in.jsonl"), text).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_gavel"))
        .current_dir(folder.path())
        .args(arguments)
        .args(["--in", "in.jsonl", "--html", "page.html", "--config"])
        .arg(root.join("models/recipe.toml"))
        .arg("--model")
        .arg(root.join("models/gavel.model"))
        .output()
        .expect("gavel runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(folder.path().join("page.html")).expect("it is written")
}

/// Nothing in it leads anywhere else: no address but the name of the language of charts, no file, no script.
fn check_alone(page: &str) {
    let without_names = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for outside in ["http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe"] {
        assert!(!without_names.contains(outside), "it holds {outside}");
    }
}

/// Every element ends, in the order in which they begin, and every attribute has its quotes.
fn check_nested(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in svg.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("<{part} does not end"));
        assert!(!text.contains('>'), "a bare > behind <{tag}>");
        assert!(tag.matches('"').count().is_multiple_of(2), "<{tag}> has an open quote");
        let name = tag.split([' ', '\n', '/']).find(|word| !word.is_empty()).unwrap_or_default();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} do not end");
}

#[test]
fn an_evaluation_is_one_page_with_five_charts() {
    let page = page(&["evaluate", "--resamples", "5"]);
    check_alone(&page);
    let charts: Vec<&str> =
        page.split("<svg").skip(1).map(|rest| rest.split_inclusive("</svg>").next().unwrap_or_default()).collect();
    assert_eq!(charts.len(), 5);
    for chart in &charts {
        let chart = format!("<svg{chart}");
        check_nested(&chart);
        assert!(chart.contains("<text"), "a chart without letters");
    }
    for drawn in ["false positive rate", "precision", "mean score", "share of the class", "log-odds"] {
        assert!(charts.iter().any(|chart| chart.contains(drawn)), "no chart of {drawn}");
    }
}

#[test]
fn a_backtest_is_one_page() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules").display().to_string();
    let page = page(&["backtest", "--rules", &rules, "--candidate", &rules]);
    // Paths of this machine stand in its titles.
    check_alone(&page.replace(&rules, "rules"));
    assert!(page.contains("<h1>Backtest</h1>") && page.matches("<table>").count() == 4, "tables are missing");
}
