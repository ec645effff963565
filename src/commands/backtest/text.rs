//! A backtest's report for people: plain text in columns. It counts nothing itself.

use std::fmt::Write as _;

use super::tally::{Report, RuleSetReport, Volume, share};
use crate::scoring::money::{Currency, Money};

/// The columns of a table, each as wide as its widest cell; the first is text, the others are numbers.
pub(super) type Table = Vec<Vec<String>>;

/// The report as text.
pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}", headline(report));
    let _ = writeln!(out, "\n{}", align(&outcome_table(report)));
    for set in &report.rule_sets {
        let _ = writeln!(out, "rules of {} ({}, version {})", set.name, set.folder, set.version);
        let _ = writeln!(out, "{}", align(&rule_table(report, set)));
    }
    if report.rule_sets.len() > 1 {
        let _ = writeln!(out, "what the candidate decides otherwise");
        let _ = writeln!(out, "{}", align(&flip_table(report)));
    }
    out
}

/// What was replayed, in a sentence.
pub(super) fn headline(report: &Report) -> String {
    let all = &report.all;
    let mut text = format!(
        "{} transactions: {} frauds, {} legitimate, {} without a label; {} duplicates, {} refused",
        all.transactions(),
        all.fraud.transactions,
        all.legitimate.transactions,
        all.unlabelled.transactions,
        report.duplicates,
        report.refused,
    );
    if report.without_rate > 0 {
        let _ = write!(text, "; {} in a currency without a rate count no money", report.without_rate);
    }
    text
}

/// Frauds and false positives by rule set.
pub(super) fn outcome_table(report: &Report) -> Table {
    let sets = &report.rule_sets;
    let mut table = vec![std::iter::once(String::new()).chain(sets.iter().map(|set| set.name.to_owned())).collect()];
    let mut row = |name: &str, cell: &dyn Fn(&RuleSetReport) -> String| {
        table.push(std::iter::once(name.to_owned()).chain(sets.iter().map(cell)).collect());
    };
    let of_frauds = |count: u64| with_share(count, report.all.fraud.transactions);
    let of_legitimate = |count: u64| with_share(count, report.all.legitimate.transactions);
    row("frauds denied", &|set| of_frauds(set.denied.fraud.transactions));
    row("frauds put to review", &|set| of_frauds(set.reviewed.fraud.transactions));
    row("frauds missed", &|set| of_frauds(set.approved.fraud.transactions));
    row("fraud money denied", &|set| money(report, set.denied.fraud));
    row("fraud money put to review", &|set| money(report, set.reviewed.fraud));
    row("fraud money missed", &|set| money(report, set.approved.fraud));
    row("legitimate denied", &|set| of_legitimate(set.denied.legitimate.transactions));
    row("legitimate put to review", &|set| of_legitimate(set.reviewed.legitimate.transactions));
    row("legitimate money denied", &|set| money(report, set.denied.legitimate));
    row("precision of denials", &|set| percent(set.denied.precision()));
    row("precision of reviews", &|set| percent(set.reviewed.precision()));
    table
}

/// The rules of a set, the most useful first.
pub(super) fn rule_table(report: &Report, set: &RuleSetReport) -> Table {
    let header = ["rule", "then", "hits", "frauds", "legitimate", "precision", "recall", "fraud money"];
    let mut table = vec![header.map(str::to_owned).to_vec()];
    let mut rules: Vec<_> = set.rules.iter().collect();
    rules.sort_by_key(|(_, rule)| std::cmp::Reverse((rule.hits.fraud.transactions, rule.hits.transactions())));
    for (id, rule) in rules {
        let shadow = if rule.is_shadow { " (shadow)" } else { "" };
        table.push(vec![
            id.clone(),
            format!("{}{shadow}", rule.then),
            rule.hits.transactions().to_string(),
            rule.hits.fraud.transactions.to_string(),
            rule.hits.legitimate.transactions.to_string(),
            percent(rule.precision),
            percent(rule.recall),
            money(report, rule.hits.fraud),
        ]);
    }
    table
}

/// What the candidate decides otherwise.
pub(super) fn flip_table(report: &Report) -> Table {
    let header = ["from → to", "transactions", "frauds", "legitimate", "fraud money", "legitimate money"];
    let mut table = vec![header.map(str::to_owned).to_vec()];
    for flip in &report.flips {
        table.push(vec![
            format!("{} → {}", flip.from, flip.to),
            flip.volumes.transactions().to_string(),
            flip.volumes.fraud.transactions.to_string(),
            flip.volumes.legitimate.transactions.to_string(),
            money(report, flip.volumes.fraud),
            money(report, flip.volumes.legitimate),
        ]);
    }
    table
}

fn with_share(count: u64, whole: u64) -> String {
    share(count, whole).map_or_else(|| count.to_string(), |share| format!("{count} ({:.1} %)", 100.0 * share))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}

fn money(report: &Report, volume: Volume) -> String {
    Currency::from_code(report.base_currency)
        .map(|currency| Money { minor: volume.amount_minor, currency }.to_string())
        .unwrap_or_default()
}

fn align(table: &Table) -> String {
    let columns = table.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut out = String::new();
    for row in table {
        let mut line = String::from(" ");
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = if column == 0 { write!(line, " {cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
