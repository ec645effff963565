//! Rules as a bank has them, made up: what the benches of the language and of reloads share. It measures no time.

#![allow(dead_code, reason = "each bench uses a part of it")]

use std::fmt::Write as _;

const COUNTRIES: [&str; 12] = ["FR", "DE", "NL", "BE", "ES", "IT", "PT", "PL", "SE", "US", "GB", "CH"];

/// The lists that the rules name.
pub(crate) const LISTS: usize = 10;

/// A list's file of a hundred thousand entries.
pub(crate) fn entries() -> String {
    let mut entries = String::new();
    for entry in 0..100_000 {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(entries, "watched_{entry}");
    }
    entries
}

/// The same rules as a rule file, with their lists in `lists/`.
pub(crate) fn rule_file(rules: &[String]) -> String {
    let mut text = String::new();
    for list in 0..LISTS {
        let _ = write!(text, "[[list]]\nid = \"watched-{list}\"\nfile = \"lists/watched-{list}.csv\"\n");
    }
    for (place, rule) in rules.iter().enumerate() {
        let then = if place % 3 == 0 { "deny" } else { "review" };
        let _ = write!(text, "[[rule]]\nid = \"rule-{place}\"\nwhen = '{rule}'\nthen = \"{then}\"\n");
    }
    text
}

/// Rules as a bank has them: two thirds begin with an equality or a list test on a field, a third with none; three
/// hundred different aggregates for a thousand rules.
pub(crate) fn rules(count: usize) -> Vec<String> {
    let keys = ["card", "device", "merchant", "terminal", "subnet(ip, 24)"];
    let windows = ["10m", "1h", "6h", "24h", "7d"];
    let rule = |place: usize| {
        let aggregate = place % 300;
        let (key, window) = (keys[aggregate % 5], windows[aggregate / 5 % 5]);
        let at_least = 10 + place % 90;
        let velocity = match aggregate / 25 {
            0 => format!("count({key}, {window}) > {at_least}"),
            1 => format!("sum(amount, {key}, {window}) > {at_least}00 EUR"),
            2 => format!("distinct(country, {key}, {window}) > {at_least}"),
            3 => format!("amount > {at_least} * mean(amount, {key}, {window}, prior)"),
            4 => format!("max(amount, {key}, {window}) > {at_least}00 EUR"),
            5 => format!("count({key}, {window}, prior) > {at_least}"),
            6 => format!("sum(amount, {key}, {window}, prior) > {at_least}00 EUR"),
            7 => format!("count({key}, {window}, where channel == \"pos\") > {at_least}"),
            8 => format!("distinct(mcc, {key}, {window}) > {at_least}"),
            9 => format!("amount > {at_least} * stddev(amount, {key}, {window})"),
            10 => format!("sum(amount, {key}, {window}, where country == \"FR\") > {at_least}00 EUR"),
            _ => format!("count({key}, {window}, where channel == \"ecom\") > {at_least}"),
        };

        let country = COUNTRIES[place / 7 % 12];
        match place % 12 {
            0 | 1 => format!("mcc == \"{:04}\" and amount > 20 EUR and {velocity}", 1000 + place % 4000),
            2 => format!("merchant == \"m_{place}\" and {velocity}"),
            3 => format!("country == \"{country}\" and channel == \"pos\" and {velocity}"),
            4 => format!("issuer_country in [\"{country}\", \"US\"] and amount > 50 EUR and {velocity}"),
            5 => format!("merchant in list(\"watched-{}\") and {velocity}", place % 10),
            6 => format!("bin in [\"{}\", \"{}\"] and {velocity}", 400_000 + place, 500_000 + place),
            7 => format!(
                "country in [\"{country}\", \"ES\"] and mcc in [\"5732\", \"{:04}\"] and {velocity}",
                2000 + place % 8000
            ),
            8 | 9 => format!("amount > {at_least} EUR and {velocity}"),
            10 => format!("{velocity} and country != issuer_country"),
            _ => format!("({velocity} or since_last(card) < {at_least}s) and hour(time) < {}", place % 23 + 1),
        }
    };
    (0..count).map(rule).collect()
}
