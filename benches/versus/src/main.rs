//! Gavel's language beside `zen-expression` and `cel`: the same twenty predicates over the same values, each compiled
//! before. What the peers have no words for (windows, lists, networks, the calendar) they are given as values.
//!
//! `cargo run --release --manifest-path benches/versus/Cargo.toml`

use std::{collections::BTreeMap, hint::black_box, sync::Arc, time::Instant};

use gavel::scoring::{
    expression::{CodedFields, Compiler, ConditionId, Environment, Scope},
    field::{AttributeSchema, CHANNELS},
    lists::{ListFile, Lists},
    money::{Country, Currency, Rates},
    plan::{AggregateType, AggregateValue},
    time::Timestamp,
    transaction::{Code, Transaction},
};

/// Rounds; the table gives their median.
const ROUNDS: usize = 21;
/// Transactions of a round.
const TRANSACTIONS: u32 = 20_000;

/// One predicate as each language writes it: Gavel, zen-expression, CEL.
const PREDICATES: [[&str; 3]; 20] = [
    ["amount > 40 EUR", "amount > 40", "amount > 40.0"],
    [
        "amount < 5 EUR and count(card, 10m) > 8",
        "amount < 5 and count_card_10m > 8",
        "amount < 5.0 && count_card_10m > 8",
    ],
    ["country != issuer_country"; 3],
    [r#"mcc in ["7995", "6051", "4829"]"#, r#"mcc in ["7995", "6051", "4829"]"#, r#"mcc in ["7995", "6051", "4829"]"#],
    [
        r#"channel == "ecom" and amount > 500 EUR"#,
        r#"channel == "ecom" and amount > 500"#,
        r#"channel == "ecom" && amount > 500.0"#,
    ],
    ["amount / mean(amount, card, 7d, prior) > 5", "amount / mean_card_7d > 5", "amount / mean_card_7d > 5.0"],
    ["sum(amount, card, 24h) > 1000 EUR", "sum_card_24h > 1000", "sum_card_24h > 1000.0"],
    ["distinct(merchant, card, 1h) >= 5", "distinct_merchant_1h >= 5", "distinct_merchant_1h >= 5"],
    ["night(time) and amount > 200 EUR", "night and amount > 200", "night && amount > 200.0"],
    [
        "has(device) and count(device, 1h) > 10",
        "device != null and count_device_1h > 10",
        "device != null && count_device_1h > 10",
    ],
    [r#"merchant == "m_17""#; 3],
    [r#"ip in "203.0.113.0/24""#, "ip_in_network == true", "ip_in_network == true"],
    [r#"bin starts_with "4111""#, r#"startsWith(bin, "4111")"#, r#"bin.startsWith("4111")"#],
    ["since_last(card) < 30s", "since_last_s < 30", "since_last_s < 30"],
    [r#"country in ["FR", "DE", "NL", "BE"]"#; 3],
    [
        r#"not (channel == "pos") and entry_mode == "manual""#,
        r#"not (channel == "pos") and entry_mode == "manual""#,
        r#"!(channel == "pos") && entry_mode == "manual""#,
    ],
    [
        "amount > 3 * mean(amount, card, 30d) or amount > 2000 EUR",
        "amount > 3 * mean_card_30d or amount > 2000",
        "amount > 3.0 * mean_card_30d || amount > 2000.0",
    ],
    [r#"merchant in list("watched")"#, "on_watched == true", "on_watched == true"],
    [
        "last(country, card) != country and age(card) > 1d",
        "last_country != country and age_s > 86400",
        "last_country != country && age_s > 86400",
    ],
    ["fraud_rate(terminal, 7d, delay 7d) > 0.05", "fraud_rate_7d > 0.05", "fraud_rate_7d > 0.05"],
];

/// All predicates on one transaction: how many hold.
type Work<'w> = &'w mut dyn FnMut() -> usize;

fn main() {
    let holds = |all: &[bool]| all.iter().filter(|holds| **holds).count();
    gavel(|gavel, gavel_holds| {
        zen(|zen, zen_holds| {
            cel(|cel, cel_holds| {
                assert_eq!(gavel_holds, zen_holds, "the same answers");
                assert_eq!(gavel_holds, cel_holds, "the same answers");
                println!("{} of 20 predicates hold, in every language\n", holds(gavel_holds));
                table(&measure([gavel, zen, cel]));
            });
        });
    });
}

fn table(ns: &[f64; 3]) {
    println!("| twenty predicates, median of {ROUNDS} rounds of {TRANSACTIONS} | ns | times Gavel's |\n|---|---|---|");
    for (name, of) in ["Gavel", "zen-expression 2.1.6", "cel 0.15.0"].iter().zip(ns) {
        println!("| {name} | {of:.0} | {:.1} |", of / ns[0]);
    }
}

/// Nanoseconds for all predicates on one transaction. Rounds take turns, so that a machine that slows down slows all.
fn measure(mut works: [Work<'_>; 3]) -> [f64; 3] {
    let mut rounds = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (work, rounds) in works.iter_mut().zip(&mut rounds) {
            let start = Instant::now();
            for _ in 0..TRANSACTIONS {
                black_box(work());
            }
            rounds.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(TRANSACTIONS));
        }
    }
    rounds.map(|mut rounds| {
        rounds.sort_by(f64::total_cmp);
        rounds[ROUNDS / 2]
    })
}

fn gavel(then: impl FnOnce(Work<'_>, &[bool])) {
    let euro = Currency::from_code("EUR").expect("EUR");
    let (schema, rates, defines) = (AttributeSchema::default(), Rates::new(euro), BTreeMap::new());
    let entries: String = (0..100_000).map(|entry| format!("watched_{entry}\n")).collect();
    let watched = Arc::new(ListFile::parse(entries.as_bytes(), &mut Vec::new()));
    let lists = Lists::new(BTreeMap::from([("watched".to_owned(), watched)]), BTreeMap::new());
    let mut compiler = Compiler::new(Environment { schema: &schema, rates: &rates, lists: &lists, defines: &defines });
    for [source, ..] in PREDICATES {
        let mut findings = Vec::new();
        assert!(compiler.condition(source, &mut findings).is_some(), "{source}: {findings:?}");
    }
    let (program, plan) = compiler.finish();
    let answer = |answers| match answers {
        AggregateType::Integer => AggregateValue::Integer(3),
        AggregateType::MoneyMinor => AggregateValue::Integer(12_400),
        AggregateType::MoneyReal => AggregateValue::Real(4_133.0),
        AggregateType::Real => AggregateValue::Real(0.01),
        AggregateType::Duration => AggregateValue::Integer(90_000),
        AggregateType::FieldValue(_) => AggregateValue::Country(Country::from_code("FR").expect("FR")),
    };
    let aggregates: Vec<_> =
        plan.aggregates.iter().map(|aggregate| answer(aggregate.function.answers(&schema))).collect();
    let time = Timestamp::parse_rfc3339("2018-07-25T10:15:30.123Z").expect("a time");
    let transaction = Transaction {
        merchant: Some("m_17".into()),
        terminal: Some("term_9".into()),
        mcc: Some(5732),
        country: Country::from_code("FR"),
        issuer_country: Country::from_code("DE"),
        channel: Code::find(CHANNELS, "ecom"),
        device: Some("d_1".into()),
        ip: "203.0.113.9".parse().ok(),
        bin: Some("411111".into()),
        ..Transaction::plain("t-91", time, "c_4f2", 4599, euro)
    };
    let (transaction, aggregates) = (&transaction, &aggregates[..]);
    let scope = Scope {
        transaction,
        codes: CodedFields::of(transaction),
        amount_base_minor: Some(4599),
        aggregates,
        score: Some(0.25),
        lists: &lists,
    };
    let mut memo = program.memo();
    let holds: Vec<bool> =
        (0..20).map(|condition| program.condition(ConditionId(condition), &scope, &mut memo)).collect();
    let mut work = || {
        memo.begin();
        let scope = black_box(&scope);
        (0..20).filter(|condition| program.condition(ConditionId(*condition), scope, &mut memo)).count()
    };
    then(&mut work, &holds);
}

/// What the peers are given.
fn values() -> serde_json::Value {
    serde_json::json!({
        "amount": 45.99, "count_card_10m": 3, "country": "FR", "issuer_country": "DE", "mcc": "5732", "channel": "ecom",
        "mean_card_7d": 41.33, "sum_card_24h": 124.0, "distinct_merchant_1h": 3, "night": false, "device": "d_1",
        "count_device_1h": 3, "merchant": "m_17", "ip_in_network": true, "bin": "411111", "since_last_s": 90,
        "entry_mode": null, "mean_card_30d": 41.33, "on_watched": false, "last_country": "FR", "age_s": 90,
        "fraud_rate_7d": 0.01
    })
}

fn zen(then: impl FnOnce(Work<'_>, &[bool])) {
    let programs: Vec<_> = PREDICATES
        .iter()
        .map(|[_, source, _]| {
            zen_expression::compile_expression(source).unwrap_or_else(|error| panic!("{source}: {error:?}"))
        })
        .collect();
    let scope = zen_expression::scope::Scope::new(values().into());
    let mut vm = zen_expression::vm::VM::new();
    let mut hold = |program: &zen_expression::Expression<zen_expression::expression::Standard>| {
        program.evaluate_with_scope(black_box(&scope), &mut vm).expect("it evaluates").as_bool() == Some(true)
    };
    let holds: Vec<bool> = programs.iter().map(&mut hold).collect();
    then(&mut || programs.iter().filter(|program| hold(program)).count(), &holds);
}

fn cel(then: impl FnOnce(Work<'_>, &[bool])) {
    let programs: Vec<_> = PREDICATES
        .iter()
        .map(|[.., source]| cel::Program::compile(source).unwrap_or_else(|error| panic!("{source}: {error}")))
        .collect();
    let mut context = cel::Context::default();
    let values = values();
    for (name, value) in values.as_object().expect("an object") {
        context.add_variable(name.as_str(), value).expect("a value");
    }
    let hold =
        |program: &cel::Program| program.execute(black_box(&context)).expect("it evaluates") == cel::Value::Bool(true);
    let holds: Vec<bool> = programs.iter().map(hold).collect();
    then(&mut || programs.iter().filter(|program| hold(program)).count(), &holds);
}
