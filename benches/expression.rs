//! What the language costs: twenty typical predicates, a thousand rules on one transaction, ten thousand rules loaded,
//! and the words of a reason. It asks no window: the answers of aggregates are given.

#[path = "common/allocator.rs"]
mod allocator;
mod realistic;

use std::{collections::BTreeMap, hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use gavel::scoring::{
    expression::{CodedFields, Compiler, ConditionId, Environment, FeatureId, Memo, Program, Scope},
    field::{AttributeSchema, CHANNELS},
    lists::{ListFile, Lists},
    money::{Country, Currency, Rates},
    plan::{AggregateType, AggregateValue, Plan},
    time::Timestamp,
    transaction::{Code, Transaction},
};

/// Predicates as analysts write them; about half of them hold for the transaction below.
const PREDICATES: [&str; 20] = [
    "amount > 40 EUR",
    "amount < 5 EUR and count(card, 10m) > 8",
    "country != issuer_country",
    "mcc in [\"7995\", \"6051\", \"4829\"]",
    "channel == \"ecom\" and amount > 500 EUR",
    "amount / mean(amount, card, 7d, prior) > 5",
    "sum(amount, card, 24h) > 1000 EUR",
    "distinct(merchant, card, 1h) >= 5",
    "night(time) and amount > 200 EUR",
    "has(device) and count(device, 1h) > 10",
    "merchant == \"m_17\"",
    "ip in \"203.0.113.0/24\"",
    "bin starts_with \"4111\"",
    "since_last(card) < 30s",
    "country in [\"FR\", \"DE\", \"NL\", \"BE\"]",
    "not (channel == \"pos\") and entry_mode == \"manual\"",
    "amount > 3 * mean(amount, card, 30d) or amount > 2000 EUR",
    "merchant in list(\"watched\")",
    "last(country, card) != country and age(card) > 1d",
    "fraud_rate(terminal, 7d, delay 7d) > 0.05",
];

/// How many transactions that differ are taken in turn.
const TRANSACTIONS: usize = 256;

struct World {
    schema: AttributeSchema,
    rates: Rates,
    lists: Lists,
}

impl World {
    fn new() -> Self {
        let euro = Currency::from_code("EUR").expect("EUR");
        let watched = Arc::new(ListFile::parse(realistic::entries().as_bytes(), &mut Vec::new()));
        let lists = (0..10).map(|list| (format!("watched-{list}"), Arc::clone(&watched)));
        let lists = lists.chain([("watched".to_owned(), Arc::clone(&watched))]).collect();
        Self { schema: AttributeSchema::default(), rates: Rates::new(euro), lists: Lists::new(lists, BTreeMap::new()) }
    }

    fn compile(&self, sources: &[String]) -> (Program, Plan) {
        let defines = BTreeMap::new();
        let (schema, rates, lists) = (&self.schema, &self.rates, &self.lists);
        let mut compiler = Compiler::new(Environment { schema, rates, lists, defines: &defines });
        for source in sources {
            let mut findings = Vec::new();
            assert!(compiler.condition(source, &mut findings).is_some(), "{source}: {findings:?}");
        }
        let ratio = compiler.feature("amount / mean(amount, card, 7d, prior)", &mut Vec::new());
        assert_eq!(ratio, Some(FeatureId(0)));
        compiler.finish()
    }

    fn answers(&self, plan: &Plan) -> Vec<AggregateValue> {
        let answer = |function: gavel::scoring::plan::Function| match function.answers(&self.schema) {
            AggregateType::Integer => AggregateValue::Integer(3),
            AggregateType::MoneyMinor => AggregateValue::Integer(12_400),
            AggregateType::MoneyReal => AggregateValue::Real(4_133.333),
            AggregateType::Real => AggregateValue::Real(0.01),
            AggregateType::Duration => AggregateValue::Integer(90_000),
            AggregateType::FieldValue(_) => {
                Country::from_code("FR").map_or(AggregateValue::Missing, AggregateValue::Country)
            }
        };
        plan.aggregates.iter().map(|aggregate| answer(aggregate.function)).collect()
    }

    /// Answers that differ from transaction to transaction, most of them small, as most windows are.
    fn varied_answers(&self, plan: &Plan, place: usize) -> Vec<AggregateValue> {
        let vary = |(aggregate, answer)| {
            let few = (place * 31 + aggregate * 17) % 64;
            let share = if few < 60 { few as i64 % 5 } else { few as i64 };
            match answer {
                AggregateValue::Integer(12_400) => AggregateValue::Integer(4_100 * share),
                AggregateValue::Integer(_) => AggregateValue::Integer(share),
                AggregateValue::Real(real) => AggregateValue::Real(real * share as f64 / 3.0),
                other => other,
            }
        };
        self.answers(plan).into_iter().enumerate().map(vary).collect()
    }
}

/// One of many transactions that differ in what rules begin with.
fn varied(place: usize) -> Transaction<'static> {
    let pick = |items: &[&'static str], by: usize| items[place / by % items.len()];
    let merchant =
        if place.is_multiple_of(5) { format!("watched_{place}") } else { format!("m_{}", place * 37 % 1_000) };
    Transaction {
        merchant: Some(merchant.into()),
        mcc: Some((1_000 + place * 97 % 5_000) as u16),
        country: Country::from_code(pick(&["FR", "DE", "NL", "US", "ES"], 1)),
        issuer_country: Country::from_code(pick(&["DE", "FR", "US"], 3)),
        channel: Code::find(CHANNELS, pick(&["ecom", "pos", "atm"], 2)),
        bin: Some(format!("{}", 400_000 + place * 61 % 1_000).into()),
        amount_minor: 100 + (place * 7_919 % 20_000) as i64,
        ..transaction()
    }
}

fn transaction() -> Transaction<'static> {
    let time = Timestamp::parse_rfc3339("2018-07-25T10:15:30.123Z").expect("a time");
    Transaction {
        merchant: Some("m_17".into()),
        terminal: Some("term_9".into()),
        mcc: Some(5732),
        country: Country::from_code("FR"),
        issuer_country: Country::from_code("DE"),
        channel: Code::find(CHANNELS, "ecom"),
        device: Some("d_1".into()),
        ip: "203.0.113.9".parse().ok(),
        bin: Some("411111".into()),
        ..Transaction::plain("t-91", time, "c_4f2", 4599, Currency::from_code("EUR").expect("EUR"))
    }
}

fn scope<'a>(transaction: &'a Transaction<'a>, aggregates: &'a [AggregateValue], world: &'a World) -> Scope<'a> {
    Scope {
        transaction,
        codes: CodedFields::of(transaction),
        amount_base_minor: Some(transaction.amount_minor),
        aggregates,
        score: Some(0.25),
        lists: &world.lists,
    }
}

fn evaluate_all(program: &Program, scope: &Scope<'_>, memo: &mut Memo, count: u32) -> usize {
    memo.begin();
    (0..count).filter(|condition| program.condition(ConditionId(*condition), scope, memo)).count()
}

fn benchmarks(criterion: &mut Criterion) {
    let world = World::new();
    let transaction = transaction();
    let predicates: Vec<String> = PREDICATES.iter().map(|source| (*source).to_owned()).collect();
    let (program, plan) = world.compile(&predicates);
    let aggregates = world.answers(&plan);
    let mut memo = program.memo();
    criterion.bench_function("twenty predicates", |bench| {
        let scope = scope(&transaction, &aggregates, &world);
        bench.iter(|| evaluate_all(black_box(&program), black_box(&scope), &mut memo, 20));
    });
    let mut text = String::new();
    criterion.bench_function("words of a condition", |bench| {
        let scope = scope(&transaction, &aggregates, &world);
        bench.iter(|| {
            text.clear();
            memo.begin();
            program.describe(ConditionId(6), black_box(&scope), &mut memo, &mut text);
            text.len()
        });
    });
    criterion.bench_function("words of a feature", |bench| {
        let scope = scope(&transaction, &aggregates, &world);
        bench.iter(|| {
            text.clear();
            memo.begin();
            program.describe_feature(FeatureId(0), black_box(&scope), &mut memo, &mut text);
            text.len()
        });
    });
    for count in [1_000, 10_000] {
        let rules = realistic::rules(count);
        let (program, plan) = world.compile(&rules);
        let (mut memo, mut holding) = (program.memo(), Vec::new());
        // Transactions that differ, so that no branch is known from the time before.
        let seen: Vec<_> = (0..TRANSACTIONS).map(|place| (varied(place), world.varied_answers(&plan, place))).collect();
        let scopes: Vec<_> = seen.iter().map(|(transaction, answers)| scope(transaction, answers, &world)).collect();
        let mut turn = scopes.iter().cycle();
        criterion.bench_function(&format!("{count} rules, {} aggregates", plan.aggregates.len()), |bench| {
            bench.iter(|| {
                memo.begin();
                if let Some(scope) = turn.next() {
                    program.candidates(black_box(scope), &mut memo, &mut holding);
                }
                holding.len()
            });
        });
        criterion.bench_function(&format!("{count} rules, each asked"), |bench| {
            bench.iter(|| {
                turn.next().map(|scope| evaluate_all(black_box(&program), black_box(scope), &mut memo, count as u32))
            });
        });
    }
    let ten_thousand = realistic::rules(10_000);
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    group.bench_function("10000 rules", |bench| {
        bench.iter(|| world.compile(black_box(&ten_thousand)).1.aggregates.len());
    });
    group.finish();
}

criterion_group!(benches, benchmarks);
criterion_main!(benches);
