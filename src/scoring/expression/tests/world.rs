//! One transaction, lists, tables and answers of aggregates, for tests of expressions.

use std::{collections::BTreeMap, sync::Arc};

use crate::scoring::{
    expression::{CodedFields, Compiler, Define, Environment, Finding, Scope, Severity, aggregate_text},
    field::{AttributeSchema, FieldType, Value},
    lists::{ListFile, Lists, TableFile, TableType},
    money::{Country, Currency, Decimal, Rates},
    plan::{AggregateValue, FilterBits, Plan},
    time::Timestamp,
    transaction::{AttributeValue, Code, Transaction},
};

/// What expressions of the tests may name.
pub(super) struct World {
    pub(super) schema: AttributeSchema,
    pub(super) rates: Rates,
    pub(super) lists: Lists,
    pub(super) defines: BTreeMap<String, Define>,
}

impl World {
    pub(super) fn new() -> Self {
        let currency = |code| Currency::from_code(code).expect("a currency");
        let mut rates = Rates::new(currency("EUR"));
        rates.set(currency("USD"), Decimal::parse("0.5").expect("a rate"));
        let attribute = |key: &str, kind| (key.to_owned(), kind);
        let schema = AttributeSchema::new([
            attribute("basket_size", FieldType::Integer),
            attribute("category", FieldType::Text),
            attribute("home", FieldType::Country),
            attribute("risk", FieldType::Number),
            attribute("signup", FieldType::Time),
            attribute("vip", FieldType::Boolean),
        ]);
        let list = |text: &str| Arc::new(ListFile::parse(text.as_bytes(), &mut Vec::new()));
        let table = |text: &str, kind| Arc::new(TableFile::parse(text.as_bytes(), kind, &rates, &mut Vec::new()));
        let lists = Lists::new(
            BTreeMap::from([
                ("blocked-bins".to_owned(), list("411111\n522222\n")),
                ("bad-networks".to_owned(), list("203.0.113.0/24\n")),
                ("nothing".to_owned(), list("")),
                ("watched".to_owned(), list("m_17\nFR\n5732\necom\n")),
            ]),
            BTreeMap::from([
                ("limits".to_owned(), table("m_17,40 EUR\nm_18,1000 USD\n", TableType::Money)),
                ("weights".to_owned(), table("ecom,1.5\n", TableType::Number)),
                ("homes".to_owned(), table("c_4f2,DE\n", TableType::Country)),
                ("waits".to_owned(), table("FR,10m\n", TableType::Duration)),
                ("trusted".to_owned(), table("u_8,true\n", TableType::Boolean)),
                ("groups".to_owned(), table("5732,electronics\n203.0.113.9,office\n", TableType::Text)),
                ("ranks".to_owned(), table("EUR,7\n", TableType::Integer)),
            ]),
        );
        let define = |name: &str, source: &str| (name.to_owned(), Define { source: source.to_owned() });
        let defines = BTreeMap::from([
            define("risky_mcc", "mcc in [\"7995\", \"6051\", \"5732\"]"),
            define("big", "amount > limit"),
            define("limit", "40 EUR"),
            define("homes", "[\"FR\", \"DE\"]"),
            define("who", "card"),
            define("lately", "1h"),
            define("was_declined", "outcome == declined"),
        ]);
        Self { schema, rates, lists, defines }
    }

    pub(super) fn environment(&self) -> Environment<'_> {
        Environment { schema: &self.schema, rates: &self.rates, lists: &self.lists, defines: &self.defines }
    }

    /// The value of an expression, as text; findings where it does not compile. `given` names the answers of
    /// aggregates; those it does not name are missing.
    pub(super) fn evaluate(
        &self,
        source: &str,
        transaction: &Transaction<'_>,
        given: &[(&str, AggregateValue)],
    ) -> String {
        let mut compiler = Compiler::new(self.environment());
        let mut findings = Vec::new();
        let (condition, feature) = if let Some(condition) = compiler.condition(source, &mut findings) {
            (Some(condition), None)
        } else {
            let mut others = Vec::new();
            (None, compiler.feature(source, &mut others))
        };
        if condition.is_none() && feature.is_none() {
            return errors(&findings);
        }
        let (program, plan) = compiler.finish();
        let aggregates = self.answers(&plan, given);
        let scope = Scope {
            transaction,
            codes: CodedFields::of(transaction),
            amount_base_minor: self.rates.to_base_minor(transaction.amount_minor, transaction.currency),
            aggregates: &aggregates,
            score: Some(0.25),
            lists: &self.lists,
        };
        let mut memo = program.memo();
        memo.begin();
        program.filters(&scope, &mut memo, &mut FilterBits::default());
        if let Some(condition) = condition {
            return program.condition(condition, &scope, &mut memo).to_string();
        }
        let value = feature.and_then(|feature| program.feature(feature, &scope, &mut memo));
        value.map_or("missing".to_owned(), |value| value.to_string())
    }

    pub(super) fn answers(&self, plan: &Plan, given: &[(&str, AggregateValue)]) -> Vec<AggregateValue> {
        let answer = |index: usize| {
            let text = aggregate_text(plan, index, &self.schema);
            let found = given.iter().find(|(name, _)| *name == text);
            found.map_or(AggregateValue::Missing, |(_, value)| value.clone())
        };
        (0..plan.aggregates.len()).map(answer).collect()
    }
}

/// The codes and messages of findings, on one line.
pub(super) fn errors(findings: &[Finding]) -> String {
    let shown = findings.iter().filter(|finding| finding.severity == Severity::Error).map(|finding| {
        let hint = finding.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
        format!("{}: {}{hint}", finding.code, finding.message)
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// The transaction of contract section 2, with its attributes.
pub(super) fn transaction() -> Transaction<'static> {
    let time = Timestamp::parse_rfc3339("2018-07-25T10:15:30.123Z").expect("a time");
    let currency = Currency::from_code("EUR").expect("a currency");
    let country = |code| Country::from_code(code);
    Transaction {
        merchant: Some("m_17".into()),
        terminal: Some("term_9".into()),
        mcc: Some(5732),
        country: country("FR"),
        issuer_country: country("DE"),
        channel: Code::find(crate::scoring::field::CHANNELS, "ecom"),
        device: Some("d_1".into()),
        ip: Some("203.0.113.9".parse().expect("an address")),
        customer: Some("u_8".into()),
        bin: Some("411111".into()),
        attributes: [
            Some(AttributeValue::Plain(Value::Integer(3))),
            Some(AttributeValue::Text("toys".into())),
            country("FR").map(|country| AttributeValue::Plain(Value::Country(country))),
            Some(AttributeValue::Plain(Value::Millionths(250_000))),
            Timestamp::parse_rfc3339("2018-07-24T10:15:30Z").map(|time| AttributeValue::Plain(Value::Time(time))),
            Some(AttributeValue::Plain(Value::Boolean(true))),
        ]
        .into_iter()
        .collect(),
        ..Transaction::plain("t-91", time, "c_4f2", 4599, currency)
    }
}

/// What the aggregates of the tests answer.
pub(super) fn given() -> Vec<(&'static str, AggregateValue)> {
    vec![
        ("count(card, 10m)", AggregateValue::Integer(9)),
        ("count(card, 1h)", AggregateValue::Integer(9)),
        ("count(card, 1h, filtered)", AggregateValue::Integer(2)),
        ("sum(amount, card, 24h)", AggregateValue::Integer(124_000)),
        ("mean(amount, card, 7d, prior)", AggregateValue::Real(741.774_193_548)),
        ("stddev(amount, card, 7d)", AggregateValue::Real(0.0)),
        ("last(country, card)", AggregateValue::Country(Country::from_code("DE").expect("DE"))),
        ("last(channel, card)", AggregateValue::Text("pos".into())),
        ("last(merchant, card)", AggregateValue::Text("m_17".into())),
        ("last(ip, card)", AggregateValue::Ip("203.0.113.9".parse().expect("an address"))),
        ("last(attributes.vip, card)", AggregateValue::Boolean(false)),
        ("since_last(card)", AggregateValue::Integer(90_000)),
        ("age(card)", AggregateValue::Integer(0)),
        ("speed_kmh(card)", AggregateValue::Real(1200.5)),
        ("fraud_rate(terminal, 7d, delay 7d)", AggregateValue::Real(0.125)),
        ("count(card, 90d)", AggregateValue::Integer(i64::MAX)),
        ("distinct(merchant, card, 24h)", AggregateValue::Integer(1)),
    ]
}
