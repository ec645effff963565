//! Every finding of the registry as it is shown, and recovery behind mistakes.

use std::fmt::Write as _;

use super::world::World;
use crate::scoring::expression::{Compiler, Define, Finding, Severity, codes::CODES};

/// Findings under their source, each with its place.
fn show(source: &str, findings: &[Finding]) -> String {
    let mut out = format!("{}\n", source.replace('\n', " "));
    for finding in findings {
        let start = source[..finding.span.start].chars().count();
        let width = source[finding.span.clone()].chars().count().max(1);
        let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
        let _ = writeln!(out, "{:start$}{} {}", "", "^".repeat(width), finding.label);
        let _ = writeln!(out, "  {severity}[{}]: {}", finding.code, finding.message);
        if let Some(within) = &finding.within {
            let _ = writeln!(out, "  in define `{}`, bytes {:?}", within.define, within.span);
        }
        if let Some(hint) = &finding.hint {
            let _ = writeln!(out, "  hint: {hint}");
        }
    }
    out
}

fn condition(world: &World, source: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    Compiler::new(world.environment()).condition(source, &mut findings);
    findings
}

fn feature(world: &World, source: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    Compiler::new(world.environment()).feature(source, &mut findings);
    findings
}

fn conditions(sources: &[&str]) -> String {
    let world = World::new();
    sources.iter().map(|source| show(source, &condition(&world, source))).collect::<Vec<_>>().join("\n")
}

const READING: &[&str] = &[
    "amount > 5 EUR && channel = 'ecom' || !has(ip)",
    "merchant == \"m_17",
    "merchant == \"m\\",
    "age(card) < 1.5h",
    "age(card) < 10min",
    "age(card) < 10 m",
    "amount > 5 € # big",
    "",
    "   ",
    "amount >",
    "amount > > 5 EUR and channel == \"e\"",
    "amount > 5 EUR channel == \"ecom\"",
    "(amount > 5 EUR",
    "amount > 5 EUR)",
    "count(card 1h) > 3 and has(device",
    "count(card, 1h, ) > 3 and and has(device)",
    "country in [\"FR\" \"DE\"] and chanel == \"ecom\"",
    "5 EUR < amount < 10 EUR",
    "amount == 5 EUR == true",
    "attributes. == 3",
    "amount > 99999999999999999999 EUR",
    "count(card, 1h) > 99999999999999999999",
    "age(card) > 99999999999999999999d",
    "not",
    "- > 3",
    "amount => 5 EUR",
    "count(card, 10 minutes) > 3",
    "age(card) < 2weeks",
    "amount > 1,000.50 EUR or amount > 1_000 EUR",
    "amount > 5 EUR AND NOT has(device)",
    "attributes.AND == \"x\"",
    "device is null",
    "device == NULL",
    "merchant contains \"shop\"",
    "score > 90%",
    "channel == \u{201c}pos\u{201d} and merchant == 'm_1'",
    "channel == ecom",
    "attributes.vip == 1",
    "weekday(time) == \"monday\"",
    "time > 2026-01-01",
    "speed_kmh(card) > 1000 kmh",
    "country == \"GER\"",
    "last(country, card, where amount > 5 EUR) == \"FR\"",
];

#[test]
fn reading() {
    insta::assert_snapshot!(conditions(READING));
}

const NAMES: &[&str] = &[
    "chanel == \"ecom\"",
    "basket_size == 3",
    "attributes.basket_sise == 3",
    "attributes.colour == \"red\"",
    "attributes == 3",
    "country == FR",
    "deny",
    "count > 3",
    "average(amount, card, 7d) > 5 EUR",
    "cuont(card, 1h) > 3",
    "device(card) == 3",
    "hour() > 3",
    "hour(amount) > 3",
    "count(card) > 3",
    "has(device, ip)",
    "bin in list(\"blocked-bin\")",
    "bin in list(blocked)",
    "lookup(\"limit\", merchant, 5 EUR) > 3 EUR",
    "lookup(limits, merchant, 5 EUR) > 3 EUR",
    "lookup(\"limits\", amount, 5 EUR) > 3 EUR",
    "lookup(\"limits\", merchant, 5) > 3 EUR",
];

#[test]
fn names() {
    insta::assert_snapshot!(conditions(NAMES));
}

const TYPES: &[&str] = &[
    "amount > 100",
    "amount > 4.99",
    "100 < amount",
    "count(card, 1h) == \"FR\"",
    "count(card, 1h) == \"x\"",
    "count(card, 1h) > 5 EUR",
    "mcc == 5732",
    "bin == 411111",
    "age(card) < 5",
    "since_last(card) < \"5m\"",
    "amount > \"5 EUR\"",
    "score > 5 EUR",
    "time > 1h",
    "country == mcc",
    "amount + 5 > 10 EUR",
    "amount * amount > 10 EUR",
    "amount + 1h > 10 EUR",
    "-country == \"FR\"",
    "merchant < \"m\"",
    "country >= \"FR\"",
    "count(card, 1h)",
    "country == \"FR\" or \"DE\"",
    "not amount",
    "country in \"FR\"",
    "country in (\"FR\", \"DE\")",
    "country in issuer_country",
    "country in [issuer_country]",
    "country in [\"FR\", 5]",
    "[\"FR\"]",
    "list(\"watched\")",
    "amount in list(\"watched\")",
    "amount starts_with \"4\"",
    "ip starts_with \"10.\"",
    "bin starts_with 4",
    "(card, merchant) == \"x\"",
    "night(time) > 3",
];

#[test]
fn types() {
    insta::assert_snapshot!(conditions(TYPES));
}

const LITERALS: &[&str] = &[
    "channel == \"ecomm\"",
    "channel == \"web\"",
    "type in [\"refunds\", \"reversal\"]",
    "avs != \"passed\"",
    "country == \"UK\"",
    "country in [\"fr\", \"FRA\", \"GB\"]",
    "country in [\"PRT\", \"GRB\", \"RF\", \"QQQQ\"]",
    "currency == \"EURO\"",
    "currency in [\"GBP\", \"UDS\", \"RMB\", \"QQQQ\"]",
    "amount > 5 EURO",
    "amount > 5 eur",
    "mcc == \"742\"",
    "mcc == \"57322\"",
    "mcc in [\"5732\", \"abcd\"]",
    "mcc in [\"57S2\", \"05732\", \"MCC 5732\", \"573219\"]",
    "ip == \"203.0.113\"",
    "ip == \"10.0.0.0/8\"",
    "ip in \"10.0.0.0/33\"",
    "ip in [5]",
    "subnet(ip, 24) == \"203.0.113.9\"",
    "amount > 4.999 EUR",
    "amount > 5.5 JPY",
    "amount > 5 GBP",
    "time > \"25.07.2018\"",
];

#[test]
fn literals() {
    insta::assert_snapshot!(conditions(LITERALS));
}

const AGGREGATES: &[&str] = &[
    "count(card, 365d) > 3",
    "count(card, 500ms) > 3",
    "count(card, 10) > 3",
    "count(card, card) > 3",
    "count(time, 1h) > 3",
    "count(10m, card) > 3",
    "count(\"card\", 1h) > 3",
    "count((card, card), 1h) > 3",
    "count((card, merchant, terminal, device, ip), 1h) > 3",
    "count(subnet(ip, 0), 1h) > 3",
    "count(subnet(card, 24), 1h) > 3",
    "count(score, 1h) > 3",
    "count(crad, 1h) > 3",
    "sum(merchant, card, 24h) > 3",
    "sum(lat, card, 24h) > 3",
    "distinct(lon, card, 24h) > 3",
    "sum(5 EUR, card, 24h) > 3 EUR",
    "speed_kmh(device) > 900",
    "count(card, prior, 1h) > 3",
    "count(card, 1h, where channel == \"ecom\", prior) > 3",
    "count(card, 1h, prior, prior) > 3",
    "count(card, 1h, delay 1d) > 3",
    "frauds(card, 7d) > 3",
    "frauds(card, 7d, delay 100d) > 3",
    "last(country, card, prior) == \"FR\"",
    "night(time, prior)",
    "count(card, 1h, where score > 0.9) > 3",
    "count(card, 1h, where amount) > 3",
    "count(card, 1h, where count(device, 1h) > 3) > 3",
    "count(card, 1h, where outcome == deny) > 3",
    "count(card, 1h, where verdict == \"deny\") > 3",
    "count(card, 1h, where verdict in [deny, reviewed]) > 3",
    "count(card, 1h, where verdict == outcome) > 3",
    "verdict == deny",
    "outcome == declined",
];

#[test]
fn aggregates() {
    insta::assert_snapshot!(conditions(AGGREGATES));
}

#[test]
fn features() {
    let world = World::new();
    let sources =
        ["score", "country", "time", "verdict == deny", "count(card, 1h, where verdict == deny)", "amount > 5"];
    let shown = sources.iter().map(|source| show(source, &feature(&world, source))).collect::<Vec<_>>();
    insta::assert_snapshot!(shown.join("\n"));
    let allowed = ["amount", "count(card, 1h, where outcome == declined)", "age(card)", "night(time)", "1.5"];
    for source in allowed {
        assert_eq!(feature(&world, source), Vec::new(), "{source}");
    }
}

const WARNINGS: &[&str] = &[
    "channel != \"recurring\"",
    "channel not in [\"recurring\", \"moto\"]",
    "country != issuer_country",
    "not (score > 0.9)",
    "not (channel == \"pos\" and country == \"FR\")",
    "merchant not in list(\"watched\")",
    "count(card, 1h, where channel != \"pos\") > 3",
    "amount >= 0 EUR",
    "hour(time) > 24",
    "hour(time) in [24, 25]",
    "score > 90",
    "true",
    "1 > 2 and amount > 5 EUR",
    "amount > 10 EUR and amount < 5 EUR",
    "hour(time) > 3 and has(device) and hour(time) < 4",
    "country == \"FR\" and country in [\"DE\", \"GB\"]",
    "big and amount < 10 EUR",
    "country in []",
    "bin in list(\"nothing\")",
    "has(card) and has(\"device\")",
    "device == \"\" or bin == \"4000\" or bin != \"41111\"",
    "card == \"4111111111111111\" or customer in [\"u_8\", \"5555 5555 5555 4444\"]",
];

#[test]
fn warnings() {
    insta::assert_snapshot!(conditions(WARNINGS));
    let quiet = [
        "amount != 5 EUR",
        "type != \"refund\" and currency not in [\"USD\"] and card != \"x\"",
        "channel != \"recurring\" and has(channel)",
        "not has(score) or not (score > 0.9)",
        "not night(local_time)",
        "not risky_mcc and has(mcc)",
        "count(card, 1h) != 3",
        "amount > 5 EUR and amount < 10 EUR",
        "amount > 5 EUR or amount < 10 EUR",
        "country in [\"FR\", \"DE\"] and country in [\"DE\", \"GB\"]",
    ];
    let world = World::new();
    for source in quiet {
        assert_eq!(condition(&world, source), Vec::new(), "{source}");
    }
}

#[test]
fn defines() {
    let mut world = World::new();
    let defines = [
        ("round_a", "round_b or night(time)"),
        ("round_b", "round_c and amount > 5 EUR"),
        ("round_c", "round_a"),
        ("behind", "round_a"),
        ("selfish", "not selfish"),
        ("broken", "chanel == \"ecom\""),
        ("uses_broken", "broken or night(time)"),
        ("card", "amount"),
        ("Big-One", "amount > 5 EUR"),
        ("surprising", "channel != \"pos\""),
        ("scored", "score > 0.9"),
        ("counted", "count(card, 1h)"),
    ];
    for (name, source) in defines {
        world.defines.insert(name.to_owned(), Define { source: source.to_owned() });
    }
    let mut shown = Vec::new();
    for (name, findings) in Compiler::new(world.environment()).check_defines() {
        shown.push(format!("{name} = {}", show(&world.defines[&name].source, &findings)));
    }
    for source in [
        "round_a and amount > 5 EUR",
        "broken or uses_broken",
        "surprising",
        "count(card, 1h, where scored) > 3",
        "count(card, 1h, where channel == \"pos\" or counted > 3) > 3",
        "limit == \"FR\"",
        "big == 5",
        "was_declined",
    ] {
        shown.push(show(source, &condition(&world, source)));
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn limits() {
    let world = World::new();
    let mut doubling = World::new();
    for step in 1..20 {
        let source = format!("d{} or d{} and d{}", step - 1, step - 1, step - 1);
        doubling.defines.insert(format!("d{step}"), Define { source });
    }
    doubling.defines.insert("d0".to_owned(), Define { source: "night(time)".to_owned() });
    let mut chain = World::new();
    for step in 1..100 {
        chain.defines.insert(format!("c{step}"), Define { source: format!("c{}", step - 1) });
    }
    chain.defines.insert("c0".to_owned(), Define { source: "night(time)".to_owned() });
    let codes =
        |world: &World, source: &str| condition(world, source).iter().map(|finding| finding.code).collect::<Vec<_>>();
    let nested = |levels: usize| format!("{}night(time){}", "(".repeat(levels), ")".repeat(levels));
    let cases = [
        (&world, nested(60), vec![]),
        (&world, nested(64), vec!["E127"]),
        (&world, nested(4000), vec!["E127"]),
        (&world, format!("{} night(time)", "not ".repeat(60)), vec![]),
        (&world, format!("{} night(time)", "not ".repeat(1500)), vec!["E127"]),
        (&world, format!("{}1 > 0", "-".repeat(4000)), vec!["E127"]),
        (&world, format!("1{} > count(card, 1h)", "+1".repeat(60)), vec![]),
        (&world, format!("1{} > 0", "+1".repeat(2000)), vec!["E127"]),
        (&world, format!("night(time){}", " or has(ip)".repeat(600)), vec![]),
        (&world, "[".repeat(5000), vec!["E127"]),
        (&world, "has(".repeat(2000), vec!["E127"]),
        (&world, " ".repeat(9000), vec!["E126"]),
        (&doubling, "d5".to_owned(), vec![]),
        (&doubling, "d10".to_owned(), vec!["E124"]),
        (&doubling, "d19".to_owned(), vec!["E124"]),
        (&chain, "c30".to_owned(), vec![]),
        (&chain, "c99".to_owned(), vec!["E124"]),
    ];
    for (world, source, expected) in cases {
        assert_eq!(codes(world, &source), expected, "{} bytes: {:.40}", source.len(), source);
    }
    let mut shown: Vec<String> = [" ".repeat(9000), nested(64), format!("1{} > 0", "+1".repeat(2000))]
        .iter()
        .map(|source| briefly(source, &condition(&world, source)))
        .collect();
    for (name, findings) in Compiler::new(doubling.environment()).check_defines() {
        if let Some(first) = findings.iter().position(|finding| finding.code == "E128") {
            shown.push(briefly(&doubling.defines[&name].source, &findings[first..=first]));
            break;
        }
    }
    insta::assert_snapshot!(shown.join("\n"));
}

/// Findings whose source is too long to be shown with them.
fn briefly(source: &str, findings: &[Finding]) -> String {
    let mut out = format!("{} bytes: {:.20}\n", source.len(), source.trim());
    for Finding { code, message, span, hint, .. } in findings {
        let _ = writeln!(out, "  {span:?} error[{code}]: {message}");
        if let Some(hint) = hint {
            let _ = writeln!(out, "  hint: {hint}");
        }
    }
    out
}

#[test]
fn every_code_is_explained_once() {
    let mut known: Vec<_> = CODES.iter().map(|code| code.code).collect();
    known.sort_unstable();
    known.dedup();
    assert_eq!(known.len(), CODES.len());
    for code in CODES {
        assert!(!code.explanation.is_empty() && !code.title.is_empty(), "{}", code.code);
    }
}
