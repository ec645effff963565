//! A backtest's report as one page of HTML that needs no other file and no script.

use std::fmt::Write as _;

use super::{
    tally::{Report, RuleSetReport, share},
    text::{Table, flip_table, headline, outcome_table, rule_table},
};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1c2430}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}td,th{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #e2e6ec;\
font-variant-numeric:tabular-nums}td:first-child,th:first-child{text-align:left}th{font-weight:600;background:#f5f7fa}\
.bar{display:flex;height:1.1rem;border-radius:.2rem;overflow:hidden;margin:.2rem 0 .8rem}\
.deny{background:#b3261e}.review{background:#e3a008}.approve{background:#c9d1dc}\
.key span{display:inline-block;width:.8rem;height:.8rem;margin:0 .3rem 0 1rem;border-radius:.1rem}";

/// The report as a page.
pub(super) fn render(report: &Report) -> String {
    let mut out = String::from("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Backtest</title>");
    // Writing to a string cannot fail.
    let _ = write!(out, "<style>{STYLE}</style><h1>Backtest</h1><p>{}</p>", escape(&headline(report)));
    out.push_str("<h2>Frauds</h2><p class=\"key\">");
    for (class, word) in [("deny", "denied"), ("review", "put to review"), ("approve", "missed")] {
        let _ = write!(out, "<span class=\"{class}\"></span>{word}");
    }
    out.push_str("</p>");
    for set in &report.rule_sets {
        let _ = write!(out, "<div>{}</div>{}", escape(set.name), bar(report, set));
    }
    push_table(&mut out, &outcome_table(report));
    if report.rule_sets.len() > 1 {
        out.push_str("<h2>What the candidate decides otherwise</h2>");
        push_table(&mut out, &flip_table(report));
    }
    for set in &report.rule_sets {
        let title = format!("Rules of {} ({}, version {})", set.name, set.folder, set.version);
        let _ = write!(out, "<h2>{}</h2>", escape(&title));
        push_table(&mut out, &rule_table(report, set));
    }
    out.push_str("</html>\n");
    out
}

fn bar(report: &Report, set: &RuleSetReport) -> String {
    let parts = [("deny", set.denied), ("review", set.reviewed), ("approve", set.approved)];
    let part = |(class, volumes): (&str, super::tally::Volumes)| {
        let percent = 100.0 * share(volumes.fraud.transactions, report.all.fraud.transactions).unwrap_or_default();
        format!("<span class=\"{class}\" style=\"width:{percent:.2}%\"></span>")
    };
    format!("<div class=\"bar\">{}</div>", parts.map(part).concat())
}

fn push_table(out: &mut String, table: &Table) {
    out.push_str("<table>");
    for (place, row) in table.iter().enumerate() {
        let cell = if place == 0 { "th" } else { "td" };
        out.push_str("<tr>");
        for text in row {
            let _ = write!(out, "<{cell}>{}</{cell}>", escape(text));
        }
        out.push_str("</tr>");
    }
    out.push_str("</table>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
