//! Evaluates nodes for one transaction. It allocates nothing and cannot fail: what cannot be computed is missing.

use std::net::IpAddr;

use super::{
    lower::{country_number, currency_number},
    memo::{Kept, Memo},
    node::{Address, Bool, BoolId, Integer, IntegerId, Lookup, Nodes, Real, RealId, Text, TextId},
    scope::Scope,
    syntax::Comparison,
    typed::Calendar,
};
use crate::scoring::{
    field::{Field, Value},
    lists::{TableId, TableValue},
    money::Currency,
    network::subnet,
    plan::{AggregateId, AggregateValue, OutcomeState},
    time::{DAY_MS, HOUR_MS, MINUTE_MS},
    verdict::Decision,
};

/// One evaluation: the nodes, what they see, and what is remembered.
pub(super) struct Run<'r> {
    pub(super) nodes: &'r Nodes,
    pub(super) scope: &'r Scope<'r>,
    pub(super) memo: &'r mut Memo,
    /// The verdict on the transaction, when its filters are settled.
    pub(super) verdict: Option<Decision>,
    /// Its outcome, when its filters are settled.
    pub(super) outcome: OutcomeState,
}

impl<'r> Run<'r> {
    pub(super) fn bool(&mut self, id: BoolId) -> bool {
        let nodes = self.nodes;
        match nodes.bools[id.0 as usize] {
            Bool::Amount(comparison, limit) => {
                self.scope.amount_base_minor.is_some_and(|amount| comparison.holds(&amount, &limit))
            }
            Bool::Aggregate(comparison, aggregate, limit) => {
                self.whole_aggregate(aggregate).is_some_and(|value| comparison.holds(&value, &limit))
            }
            Bool::All(branches) => nodes.branches[branches.0 as usize].iter().all(|branch| self.bool(*branch)),
            Bool::Any(branches) => nodes.branches[branches.0 as usize].iter().any(|branch| self.bool(*branch)),
            Bool::Not(inside) => !self.bool(inside),
            Bool::Constant(truth) => truth,
            Bool::Coded(codes) => self.scope.codes.have(codes),
            Bool::Integer(comparison, value, limit) => {
                self.integer(value).is_some_and(|value| comparison.holds(&value, &limit))
            }
            Bool::Real(comparison, value, bits) => {
                self.real(value).is_some_and(|value| comparison.holds(&value, &f64::from_bits(bits)))
            }
            Bool::Integers(comparison, left, right) => both(comparison, self.integer(left), self.integer(right)),
            Bool::Reals(comparison, left, right) => both(comparison, self.real(left), self.real(right)),
            Bool::IntegerIn { negated, value, set } => self
                .integer(value)
                .is_some_and(|value| holds_integer(&nodes.integer_sets[set.0 as usize], value) != negated),
            Bool::RealIn { negated, value, set } => self.real(value).is_some_and(|value| {
                let set = &nodes.real_sets[set.0 as usize];
                set.iter().any(|item| Comparison::Equal.holds(&f64::from_bits(*item), &value)) != negated
            }),
            Bool::Texts { negated, left, right } => match (self.text(left), self.text(right)) {
                (Some(left), Some(right)) => (left == right) != negated,
                _ => false,
            },
            Bool::TextIn { negated, value, set } => self.text(value).is_some_and(|value| {
                let set = &nodes.text_sets[set.0 as usize];
                set.binary_search_by(|item| (**item).cmp(value)).is_ok() != negated
            }),
            Bool::StartsWith(value, prefix) => match (self.text(value), self.text(prefix)) {
                (Some(value), Some(prefix)) => value.starts_with(prefix),
                _ => false,
            },
            Bool::Addresses { negated, left, right } => match (self.address(left), self.address(right)) {
                (Some(left), Some(right)) => (left == right) != negated,
                _ => false,
            },
            Bool::AddressIn { negated, value, networks } => self.address(value).is_some_and(|address| {
                nodes.networks[networks.0 as usize].iter().any(|network| network.contains(address)) != negated
            }),
            Bool::InList { negated, value, list } => {
                let (lists, at) = (self.scope.lists, self.scope.transaction.time);
                let found = match value {
                    Lookup::Text(text) => self.text(text).map(|text| lists.contains(list, text, at)),
                    Lookup::Address(address) => self.address(address).map(|ip| lists.contains_ip(list, ip, at)),
                };
                found.is_some_and(|found| found != negated)
            }
            Bool::HasInteger(value) => self.integer(value).is_some(),
            Bool::HasReal(value) => self.real(value).is_some(),
            Bool::HasText(value) => self.text(value).is_some(),
            Bool::HasAddress(value) => self.address(value).is_some(),
            Bool::Truth(value) => self.integer(value) == Some(1),
            Bool::Shared(slot, inside) => {
                if let Some(answer) = self.memo.bool(slot) {
                    return answer;
                }
                let answer = self.bool(inside);
                self.memo.keep_bool(slot, answer);
                answer
            }
        }
    }

    pub(super) fn integer(&mut self, id: IntegerId) -> Option<i64> {
        match self.nodes.integers[id.0 as usize] {
            Integer::Missing => None,
            Integer::Constant(number) => Some(number),
            Integer::Amount => self.scope.amount_base_minor,
            Integer::Time => Some(self.scope.transaction.time.unix_ms()),
            Integer::LocalTime => {
                let offset_ms = i64::from(self.scope.transaction.utc_offset_minutes?) * MINUTE_MS;
                self.scope.transaction.time.unix_ms().checked_add(offset_ms)
            }
            Integer::Field(field) => self.whole_field(field),
            Integer::Aggregate(aggregate) => self.whole_aggregate(aggregate),
            Integer::AggregateCode(aggregate, codes) => match self.aggregate(aggregate)? {
                AggregateValue::Text(text) => {
                    codes.iter().copied().zip(0..).find(|(code, _)| *code == &**text).map(|(_, place)| place)
                }
                _ => None,
            },
            Integer::Verdict => self.verdict.map(|verdict| verdict as i64),
            Integer::Outcome => (self.outcome != OutcomeState::Unknown).then_some(self.outcome as i64),
            Integer::Negate(inside) => self.integer(inside)?.checked_neg(),
            Integer::Add(left, right) => self.integer(left)?.checked_add(self.integer(right)?),
            Integer::Subtract(left, right) => self.integer(left)?.checked_sub(self.integer(right)?),
            Integer::Multiply(left, right) => self.integer(left)?.checked_mul(self.integer(right)?),
            Integer::Rounded(inside) => round(self.real(inside)?),
            Integer::Calendar(calendar, moment) => Some(ask(calendar, self.integer(moment)?)),
            Integer::Truth(inside) => Some(i64::from(self.bool(inside))),
            Integer::Lookup(table, key, default) => match self.look_up(table, key) {
                Some(TableValue::Money(whole) | TableValue::Integer(whole) | TableValue::Duration(whole)) => {
                    Some(whole)
                }
                Some(TableValue::Country(country)) => Some(country_number(country)),
                Some(TableValue::Boolean(truth)) => Some(i64::from(truth)),
                Some(TableValue::Number(_) | TableValue::Text(_)) | None => self.integer(default),
            },
            Integer::Shared(slot, inside) => {
                if let Kept::Answer(answer) = self.memo.integer(slot) {
                    return answer;
                }
                let answer = self.integer(inside);
                self.memo.keep_integer(slot, answer);
                answer
            }
        }
    }

    pub(super) fn real(&mut self, id: RealId) -> Option<f64> {
        let value = match self.nodes.reals[id.0 as usize] {
            Real::Missing => return None,
            Real::Constant(bits) => return Some(f64::from_bits(bits)),
            Real::Score => self.scope.score?,
            Real::Field(field) => match self.field(field)? {
                Value::Real(value) => value,
                Value::Millionths(value) => value as f64 / 1e6,
                _ => return None,
            },
            Real::Aggregate(aggregate) => match self.aggregate(aggregate)? {
                AggregateValue::Real(value) => *value,
                _ => return None,
            },
            Real::Integer(inside) => return self.integer(inside).map(|whole| whole as f64),
            Real::Negate(inside) => -self.real(inside)?,
            Real::Add(left, right) => self.real(left)? + self.real(right)?,
            Real::Subtract(left, right) => self.real(left)? - self.real(right)?,
            Real::Multiply(left, right) => self.real(left)? * self.real(right)?,
            // By zero it is not finite, and so it is missing.
            Real::Divide(left, right) => self.real(left)? / self.real(right)?,
            Real::Lookup(table, key, default) => match self.look_up(table, key) {
                Some(TableValue::Number(value)) => value,
                _ => return self.real(default),
            },
            Real::Shared(slot, inside) => {
                if let Kept::Answer(answer) = self.memo.real(slot) {
                    return answer;
                }
                let answer = self.real(inside);
                self.memo.keep_real(slot, answer);
                return answer;
            }
        };
        value.is_finite().then_some(value)
    }

    pub(super) fn text(&mut self, id: TextId) -> Option<&'r str> {
        match self.nodes.texts[id.0 as usize] {
            Text::Missing => None,
            Text::Constant(string) => Some(&self.nodes.strings[string.0 as usize]),
            Text::Field(field) => match self.field(field)? {
                Value::Text(text) => Some(text),
                _ => None,
            },
            Text::Aggregate(aggregate) => match self.aggregate(aggregate)? {
                AggregateValue::Text(text) => Some(text),
                _ => None,
            },
            Text::Country(country) => country_text(self.integer(country)?),
            Text::Currency(currency) => {
                Currency::from_index(usize::try_from(self.integer(currency)?).ok()?).map(Currency::code)
            }
            Text::Mcc(mcc) => mcc_text(self.integer(mcc)?),
            Text::Lookup(table, key, default) => match self.look_up(table, key) {
                Some(TableValue::Text(text)) => Some(text),
                _ => self.text(default),
            },
        }
    }

    pub(super) fn address(&self, address: Address) -> Option<IpAddr> {
        match address {
            Address::Ip => self.scope.transaction.ip.map(|ip| ip.to_canonical()),
            Address::Subnet(prefix) => self.scope.transaction.ip.map(|ip| subnet(ip.to_canonical(), prefix)),
            Address::Aggregate(aggregate) => match self.aggregate(aggregate)? {
                AggregateValue::Ip(ip) => Some(ip.to_canonical()),
                _ => None,
            },
        }
    }

    fn field(&self, field: Field) -> Option<Value<'r>> {
        self.scope.transaction.value(field, self.scope.amount_base_minor)
    }

    /// A field whose value is a whole number, or the number that stands for it.
    fn whole_field(&self, field: Field) -> Option<i64> {
        let transaction = self.scope.transaction;
        let code = match field {
            Field::Country => return transaction.country.map(country_number),
            Field::IssuerCountry => return transaction.issuer_country.map(country_number),
            Field::Mcc => return transaction.mcc.map(i64::from),
            Field::Currency => return Some(currency_number(transaction.currency)),
            Field::Type => return Some(transaction.kind as i64),
            Field::Channel => transaction.channel,
            Field::EntryMode => transaction.entry_mode,
            Field::Avs => transaction.avs,
            Field::Cvv => transaction.cvv,
            Field::ThreeDs => transaction.three_ds,
            _ => {
                return match self.field(field)? {
                    Value::Integer(whole) => Some(whole),
                    Value::Boolean(truth) => Some(i64::from(truth)),
                    Value::Country(country) => Some(country_number(country)),
                    Value::Currency(currency) => Some(currency_number(currency)),
                    Value::Mcc(mcc) => Some(i64::from(mcc)),
                    Value::Time(time) => Some(time.unix_ms()),
                    Value::Text(_) | Value::Millionths(_) | Value::Real(_) | Value::Ip(_) => None,
                };
            }
        };
        code.map(|code| i64::from(code.place()))
    }

    fn aggregate(&self, id: AggregateId) -> Option<&'r AggregateValue> {
        self.scope.aggregates.get(usize::from(id.0))
    }

    pub(super) fn whole_aggregate(&self, id: AggregateId) -> Option<i64> {
        match self.aggregate(id)? {
            AggregateValue::Integer(whole) => Some(*whole),
            AggregateValue::Boolean(truth) => Some(i64::from(*truth)),
            AggregateValue::Country(country) => Some(country_number(*country)),
            AggregateValue::Currency(currency) => Some(currency_number(*currency)),
            AggregateValue::Mcc(mcc) => Some(i64::from(*mcc)),
            AggregateValue::Missing | AggregateValue::Real(_) | AggregateValue::Text(_) | AggregateValue::Ip(_) => None,
        }
    }

    fn look_up(&mut self, table: TableId, key: Lookup) -> Option<TableValue<'r>> {
        match key {
            Lookup::Text(text) => {
                let text = self.text(text)?;
                self.scope.lists.lookup(table, text)
            }
            Lookup::Address(address) => self.scope.lists.lookup_ip(table, self.address(address)?),
        }
    }
}

fn both<T: PartialOrd>(comparison: Comparison, left: Option<T>, right: Option<T>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => comparison.holds(&left, &right),
        _ => false,
    }
}

/// Whether an ascending set holds a number.
fn holds_integer(set: &[i64], value: i64) -> bool {
    // A handful is faster looked through than cut in halves.
    if set.len() <= 8 { set.contains(&value) } else { set.binary_search(&value).is_ok() }
}

/// A double as a whole number, the half to even; missing where it does not fit.
fn round(value: f64) -> Option<i64> {
    let rounded = libm::rint(value);
    // The largest double below 2^63 and the least above −2^63 are exact, so that the cast is too.
    (-9.223_372_036_854_775e18..=9.223_372_036_854_775e18).contains(&rounded).then_some(rounded as i64)
}

/// What the UTC calendar says of a moment, as a whole number.
fn ask(calendar: Calendar, unix_ms: i64) -> i64 {
    let hour = unix_ms.rem_euclid(DAY_MS) / HOUR_MS;
    // 1970-01-01 was a Thursday, ISO day 4.
    let weekday = (unix_ms.div_euclid(DAY_MS) + 3).rem_euclid(7) + 1;
    match calendar {
        Calendar::Hour => hour,
        Calendar::Weekday => weekday,
        Calendar::Night => i64::from(hour <= 6),
        Calendar::Weekend => i64::from(weekday >= 6),
    }
}

/// The letters of every pair, in the order of the numbers that stand for countries.
static PAIRS: [u8; 26 * 26 * 2] = {
    let mut pairs = [0; 26 * 26 * 2];
    let mut number = 0;
    while number < 26 * 26 {
        pairs[number * 2] = b'A' + (number / 26) as u8;
        pairs[number * 2 + 1] = b'A' + (number % 26) as u8;
        number += 1;
    }
    pairs
};

/// The digits of every merchant category code, in order.
static CODES: [u8; 10_000 * 4] = {
    let mut codes = [0; 10_000 * 4];
    let mut number = 0;
    while number < 10_000 {
        codes[number * 4] = b'0' + (number / 1000) as u8;
        codes[number * 4 + 1] = b'0' + (number / 100 % 10) as u8;
        codes[number * 4 + 2] = b'0' + (number / 10 % 10) as u8;
        codes[number * 4 + 3] = b'0' + (number % 10) as u8;
        number += 1;
    }
    codes
};

/// The letters of the country that a number stands for.
pub(super) fn country_text(number: i64) -> Option<&'static str> {
    let start = usize::try_from(number).ok()?.checked_mul(2)?;
    std::str::from_utf8(PAIRS.get(start..start.checked_add(2)?)?).ok()
}

/// The digits of a merchant category code.
pub(super) fn mcc_text(number: i64) -> Option<&'static str> {
    let start = usize::try_from(number).ok()?.checked_mul(4)?;
    std::str::from_utf8(CODES.get(start..start.checked_add(4)?)?).ok()
}
