//! Random expressions that are well typed, and random transactions and answers for them, from a row of choices that
//! proptest can shrink.

use std::net::IpAddr;

use super::world::{World, transaction};
use crate::scoring::{
    expression::aggregate_text,
    field::{CHANNELS, CHECK_RESULTS, Value},
    money::{Country, Currency},
    plan::{AggregateType, AggregateValue, Plan},
    time::Timestamp,
    transaction::{AttributeValue, Code, Transaction, TransactionType},
};

/// A row of choices; zeros once it has run out, which choose leaves.
pub(super) struct Choices<'c> {
    row: &'c [u16],
    at: usize,
}

impl<'c> Choices<'c> {
    pub(super) fn new(row: &'c [u16]) -> Self {
        Self { row, at: 0 }
    }

    fn next(&mut self) -> usize {
        let choice = self.row.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        usize::from(choice)
    }

    fn pick<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.next() % options.len()]
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (!self.next().is_multiple_of(3)).then_some(value)
    }

    /// A test.
    pub(super) fn test(&mut self, depth: usize, inside_where: bool) -> String {
        let deeper = depth.saturating_sub(1);
        let kinds = if depth == 0 { 5 } else { 15 };
        match self.next() % kinds {
            0 => {
                let texts = self.texts(inside_where);
                let sign = self.pick(&["==", "!="]);
                format!("{} {sign} {}", texts.0, self.pick(texts.1))
            }
            1 => self
                .pick(&["night(time)", "attributes.vip", "weekend(local_time)", "night(attributes.signup)"])
                .to_owned(),
            2 => format!(
                "has({})",
                self.pick(&["device", "lat", "amount", "ip", "avs", "attributes.risk", "local_time"])
            ),
            3 => {
                let texts = self.texts(inside_where);
                let (one, two) = (self.pick(texts.1), self.pick(texts.1));
                format!("{} {} [{one}, {two}]", texts.0, self.pick(&["in", "not in"]))
            }
            4 => self
                .pick(&[
                    "ip in \"203.0.113.0/24\"",
                    "ip not in [\"10.0.0.0/8\", \"2001:db8::/32\"]",
                    "ip == \"203.0.113.9\"",
                    "ip in list(\"bad-networks\")",
                    "bin not in list(\"blocked-bins\")",
                    "mcc in list(\"watched\")",
                    "bin starts_with \"41\"",
                    "mcc starts_with \"57\"",
                    "subnet(ip, 20) == \"203.0.112.0\"",
                    "country == attributes.home",
                    "channel == attributes.category",
                    "avs == cvv",
                    "risky_mcc",
                    "true",
                ])
                .to_owned(),
            5 => format!("not ({})", self.test(deeper, inside_where)),
            6 => format!("not {}", self.test(0, inside_where)),
            7 | 8 => format!("{} and {}", self.operand(deeper, inside_where), self.operand(deeper, inside_where)),
            9 => format!("({} or {})", self.test(deeper, inside_where), self.test(deeper, inside_where)),
            10 => self.compare(Self::money, deeper, inside_where),
            11 => self.compare(Self::number, deeper, inside_where),
            12 => self.compare(Self::span, deeper, inside_where),
            13 => self.compare(Self::moment, deeper, inside_where),
            _ => {
                let number = self.number(deeper, inside_where);
                format!("{number} {} [1, 2.5, -3]", self.pick(&["in", "not in"]))
            }
        }
    }

    fn operand(&mut self, depth: usize, inside_where: bool) -> String {
        format!("({})", self.test(depth, inside_where))
    }

    fn compare(&mut self, side: fn(&mut Self, usize, bool) -> String, depth: usize, inside_where: bool) -> String {
        let left = side(self, depth, inside_where);
        let sign = self.pick(&["<", "<=", ">", ">=", "==", "!="]);
        format!("{left} {sign} {}", side(self, depth, inside_where))
    }

    /// A value that is text or a code, and literals for it.
    fn texts(&mut self, inside_where: bool) -> (&'static str, &'static [&'static str]) {
        const FIELDS: &[(&str, &[&str])] = &[
            ("country", &["\"FR\"", "\"DE\"", "\"US\""]),
            ("currency", &["\"EUR\"", "\"USD\"", "\"JPY\""]),
            ("mcc", &["\"5732\"", "\"0742\""]),
            ("channel", &["\"ecom\"", "\"pos\""]),
            ("type", &["\"authorization\"", "\"refund\""]),
            ("merchant", &["\"m_17\"", "\"m_18\""]),
            ("attributes.category", &["\"toys\"", "\"ecom\""]),
        ];
        const SETTLED: &[(&str, &[&str])] =
            &[("verdict", &["approve", "deny", "review"]), ("outcome", &["approved", "declined", "partial"])];
        const AGGREGATES: &[(&str, &[&str])] = &[
            ("last(country, card)", &["\"FR\"", "\"DE\""]),
            ("last(channel, card)", &["\"ecom\"", "\"pos\""]),
            ("last(merchant, device)", &["\"m_17\"", "\"m_18\""]),
            ("last(mcc, card)", &["\"5732\"", "\"0742\""]),
            ("lookup(\"homes\", card, \"US\")", &["\"FR\"", "\"DE\"", "\"US\""]),
            ("lookup(\"groups\", mcc, \"none\")", &["\"electronics\"", "\"none\""]),
        ];
        let more = if inside_where { SETTLED } else { AGGREGATES };
        if self.next().is_multiple_of(3) { self.pick(more) } else { self.pick(FIELDS) }
    }

    fn money(&mut self, depth: usize, inside_where: bool) -> String {
        let deeper = depth.saturating_sub(1);
        match self.next() % if depth == 0 { 4 } else { 9 } {
            0 => "amount".to_owned(),
            1 => self.pick(&["45.99 EUR", "5 EUR", "0.01 USD", "9000000000000 EUR"]).to_owned(),
            2 if !inside_where => self
                .pick(&[
                    "sum(amount, card, 24h)",
                    "max(amount, merchant, 7d)",
                    "last(amount, card)",
                    "min(amount, card, 1h)",
                ])
                .to_owned(),
            3 if !inside_where => {
                self.pick(&["mean(amount, card, 7d, prior)", "stddev(amount, (card, merchant), 7d)"]).to_owned()
            }
            4 => format!("({} + {})", self.money(deeper, inside_where), self.money(deeper, inside_where)),
            5 => format!("({} - {})", self.money(deeper, inside_where), self.money(deeper, inside_where)),
            6 => format!("({} * {})", self.number(deeper, inside_where), self.money(deeper, inside_where)),
            7 => format!("({} / {})", self.money(deeper, inside_where), self.number(deeper, inside_where)),
            8 => format!("(-{})", self.money(0, inside_where)),
            _ => "lookup(\"limits\", merchant, 500 EUR)".to_owned(),
        }
    }

    pub(super) fn number(&mut self, depth: usize, inside_where: bool) -> String {
        let deeper = depth.saturating_sub(1);
        match self.next() % if depth == 0 { 5 } else { 11 } {
            0 => self.pick(&["1", "3", "0", "2.5", "9223372036854775807", "0.1"]).to_owned(),
            1 => self.pick(&["attributes.basket_size", "attributes.risk", "utc_offset", "lat"]).to_owned(),
            2 => self.pick(&["hour(time)", "weekday(local_time)", "hour(attributes.signup)"]).to_owned(),
            3 if !inside_where => self
                .pick(&[
                    "count(card, 1h)",
                    "count(subnet(ip, 24), 1h)",
                    "distinct(merchant, card, 24h, prior)",
                    "fraud_rate(terminal, 7d, delay 7d)",
                    "speed_kmh(card)",
                    "sum(attributes.basket_size, card, 1h)",
                    "mean(attributes.risk, card, 1h)",
                ])
                .to_owned(),
            4 if !inside_where => "score".to_owned(),
            5 => format!("({} + {})", self.number(deeper, inside_where), self.number(deeper, inside_where)),
            6 => format!("({} - {})", self.number(deeper, inside_where), self.number(deeper, inside_where)),
            7 => format!("({} * {})", self.number(deeper, inside_where), self.number(0, inside_where)),
            8 => format!("({} / {})", self.number(deeper, inside_where), self.number(deeper, inside_where)),
            9 => format!("({} / {})", self.money(deeper, inside_where), self.money(deeper, inside_where)),
            10 => format!("({} / {})", self.span(deeper, inside_where), self.span(deeper, inside_where)),
            _ => "lookup(\"weights\", channel, 1)".to_owned(),
        }
    }

    fn span(&mut self, depth: usize, inside_where: bool) -> String {
        let deeper = depth.saturating_sub(1);
        match self.next() % if depth == 0 { 3 } else { 7 } {
            0 => self.pick(&["90s", "1h", "24h", "500ms"]).to_owned(),
            1 if !inside_where => self.pick(&["since_last(card)", "age(device)"]).to_owned(),
            2 => "(time - attributes.signup)".to_owned(),
            3 => format!("({} + {})", self.span(deeper, inside_where), self.span(deeper, inside_where)),
            4 => format!("({} * {})", self.number(deeper, inside_where), self.span(deeper, inside_where)),
            5 => format!("({} / {})", self.span(deeper, inside_where), self.number(deeper, inside_where)),
            _ => "lookup(\"waits\", country, 1m)".to_owned(),
        }
    }

    fn moment(&mut self, depth: usize, inside_where: bool) -> String {
        match self.next() % if depth == 0 { 3 } else { 5 } {
            0 => "time".to_owned(),
            1 => "attributes.signup".to_owned(),
            2 => "local_time".to_owned(),
            3 => format!("({} + {})", self.moment(0, inside_where), self.span(depth - 1, inside_where)),
            _ => format!("({} - {})", self.moment(0, inside_where), self.span(depth - 1, inside_where)),
        }
    }

    /// A transaction whose optional fields are there or not.
    pub(super) fn transaction(&mut self) -> Transaction<'static> {
        let full = transaction();
        let country = self.pick(&["FR", "DE", "US"]);
        let home = self.pick(&["FR", "DE"]);
        let ip: IpAddr =
            self.pick(&["203.0.113.9", "::ffff:10.1.2.3", "2001:db8::1", "198.51.100.7"]).parse().expect("an address");
        let time = self.pick(&[1_532_513_730_123, 0, -1, 253_402_300_799_999, 1_532_905_200_000]);
        let signup = self.pick(&[1_532_513_730_000, 1, -62_167_219_200_000]);
        let code = |set, word| Code::find(set, word);
        let (channel, check) = (self.pick(CHANNELS), self.pick(CHECK_RESULTS));
        Transaction {
            time: Timestamp::from_unix_ms(time).expect("a time"),
            amount_minor: self.pick(&[4599, 0, 1, 999_999_999_999_999]),
            currency: Currency::from_code(self.pick(&["EUR", "USD", "JPY"])).expect("a currency"),
            kind: self.pick(&TransactionType::ALL),
            country: self.maybe(Country::from_code(country)).flatten(),
            mcc: self.maybe(self.pick_mcc()),
            channel: self.maybe(code(CHANNELS, channel)).flatten(),
            avs: self.maybe(code(CHECK_RESULTS, check)).flatten(),
            cvv: self.maybe(code(CHECK_RESULTS, check)).flatten(),
            merchant: self.maybe("m_17".into()),
            device: self.maybe("d_1".into()),
            bin: self.maybe("411111".into()),
            ip: self.maybe(ip),
            position: self.maybe((48.85, 2.35)),
            utc_offset_minutes: self.maybe(-120),
            attributes: [
                self.maybe(AttributeValue::Plain(Value::Integer(3))),
                self.maybe(AttributeValue::Text("ecom".into())),
                self.maybe(home).and_then(Country::from_code).map(|home| AttributeValue::Plain(Value::Country(home))),
                self.maybe(AttributeValue::Plain(Value::Millionths(2_500_000))),
                Timestamp::from_unix_ms(signup).map(|time| AttributeValue::Plain(Value::Time(time))),
                self.maybe(AttributeValue::Plain(Value::Boolean(country == "FR"))),
            ]
            .into_iter()
            .collect(),
            ..full
        }
    }

    fn pick_mcc(&self) -> u16 {
        if self.at.is_multiple_of(2) { 5732 } else { 742 }
    }
}

/// The answer of an aggregate, by its text and a salt.
pub(super) fn answer(text: &str, answers: AggregateType, salt: u64) -> AggregateValue {
    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), salt);
    let pick = (hash >> 8) as usize;
    if hash.is_multiple_of(5) {
        return AggregateValue::Missing;
    }
    let whole = [0, 1, 9, 90_000, 124_000, i64::MAX][pick % 6];
    let real = [0.0, 0.125, 1200.5, 741.774, 1e300][pick % 5];
    match answers {
        AggregateType::Integer | AggregateType::MoneyMinor | AggregateType::Duration => AggregateValue::Integer(whole),
        AggregateType::MoneyReal | AggregateType::Real => AggregateValue::Real(real),
        AggregateType::FieldValue(field) => match field {
            crate::scoring::field::FieldType::Country => Country::from_code(["FR", "DE", "US"][pick % 3])
                .map_or(AggregateValue::Missing, AggregateValue::Country),
            crate::scoring::field::FieldType::Code(_) => AggregateValue::Text(["ecom", "pos", "none"][pick % 3].into()),
            crate::scoring::field::FieldType::Mcc => AggregateValue::Mcc([5732, 742][pick % 2]),
            crate::scoring::field::FieldType::Money => AggregateValue::Integer(whole),
            _ => AggregateValue::Text(["m_17", "m_18"][pick % 2].into()),
        },
    }
}

/// The answers of a plan.
pub(super) fn answers(world: &World, plan: &Plan, salt: u64) -> Vec<AggregateValue> {
    let answer = |index: usize| {
        let kind = plan.aggregates[index].function.answers(&world.schema);
        answer(&aggregate_text(plan, index, &world.schema), kind, salt)
    };
    (0..plan.aggregates.len()).map(answer).collect()
}
