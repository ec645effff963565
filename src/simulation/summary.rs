//! What a stream held, counted while it passed. It keeps no row.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::row::{Pattern, SimulatedRow};

/// Counts of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// All rows.
    pub rows: u64,
    /// Those that are frauds.
    pub frauds: u64,
    /// Frauds by pattern.
    pub patterns: BTreeMap<&'static str, u64>,
    /// Rows by type.
    pub types: BTreeMap<&'static str, u64>,
    /// Rows by channel.
    pub channels: BTreeMap<&'static str, u64>,
    /// Rows by currency.
    pub currencies: BTreeMap<&'static str, u64>,
    /// Rows by the merchant's country.
    pub countries: BTreeMap<&'static str, u64>,
}

impl Summary {
    /// A summary of nothing, which names every pattern.
    pub fn new() -> Self {
        Self { patterns: Pattern::ALL.into_iter().map(|pattern| (pattern.name(), 0)).collect(), ..Self::default() }
    }

    /// Counts a row.
    pub fn add(&mut self, row: &SimulatedRow) {
        self.rows += 1;
        if let Some(pattern) = row.pattern() {
            self.frauds += 1;
            *self.patterns.entry(pattern.name()).or_default() += 1;
        }
        *self.types.entry(row.kind().name()).or_default() += 1;
        *self.channels.entry(row.channel()).or_default() += 1;
        *self.currencies.entry(row.currency().code()).or_default() += 1;
        *self.countries.entry(row.country()).or_default() += 1;
    }
}

/// How many of the most frequent values a line for people names.
const NAMED_MAX: usize = 8;

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |count: u64| 100.0 * count as f64 / self.rows.max(1) as f64;
        writeln!(out, "{} rows, {} frauds ({:.2} %)", self.rows, self.frauds, percent(self.frauds))?;
        let lines = [
            ("patterns", &self.patterns),
            ("types", &self.types),
            ("channels", &self.channels),
            ("currencies", &self.currencies),
            ("countries", &self.countries),
        ];
        for (name, counts) in lines {
            let mut sorted: Vec<_> = counts.iter().collect();
            sorted.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
            let shown: Vec<String> = sorted
                .iter()
                .take(NAMED_MAX)
                .map(|&(value, &count)| format!("{value} {count} ({:.2} %)", percent(count)))
                .collect();
            let more = sorted.len().saturating_sub(NAMED_MAX);
            let rest = if more > 0 { format!(", {more} more") } else { String::new() };
            writeln!(out, "  {name:<11}{}{rest}", shown.join(", "))?;
        }
        Ok(())
    }
}
