//! A plain twin of the program: it walks the checked tree with values that carry their type, as the contract reads. It
//! shares nothing with the program but the tree.

use std::net::IpAddr;

use super::{
    print,
    scope::Scope,
    syntax::{Arithmetic, Comparison},
    typed::{Calendar, Call, Kind, Literal, Network, Type, Typed},
};
use crate::scoring::{
    field::{AttributeSchema, Field, Value},
    lists::TableValue,
    money::{Country, Currency},
    plan::{AggregateValue, OutcomeState},
    time::Timestamp,
    verdict::Decision,
};

/// A value with its type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Dynamic {
    Whole(i64),
    Real(f64),
    Truth(bool),
    Text(String),
    Country(Country),
    Currency(Currency),
    Mcc(u16),
    Ip(IpAddr),
    Verdict(Decision),
    Outcome(OutcomeState),
}

/// What the twin sees: the same as the program, with aggregates by their text.
pub(super) struct Twin<'t> {
    pub(super) scope: Scope<'t>,
    pub(super) schema: &'t AttributeSchema,
    pub(super) verdict: Option<Decision>,
    pub(super) outcome: OutcomeState,
    /// The answer of an aggregate.
    pub(super) answer: &'t dyn Fn(&Call, &str) -> AggregateValue,
}

impl Twin<'_> {
    /// A test; what is missing is false.
    pub(super) fn test(&self, typed: &Typed) -> bool {
        self.value(typed) == Some(Dynamic::Truth(true))
    }

    /// A value, if it is there.
    pub(super) fn value(&self, typed: &Typed) -> Option<Dynamic> {
        let truth = |truth| Some(Dynamic::Truth(truth));
        match &typed.kind {
            Kind::Literal(literal) => Some(literal_value(literal)),
            Kind::Field(field) => self.field(*field),
            Kind::LocalTime => {
                let offset = i64::from(self.scope.transaction.utc_offset_minutes?);
                Some(Dynamic::Whole(self.scope.transaction.time.unix_ms() + offset * 60_000))
            }
            Kind::Score => self.scope.score.map(Dynamic::Real),
            Kind::Verdict => self.verdict.map(Dynamic::Verdict),
            Kind::Outcome => (self.outcome != OutcomeState::Unknown).then_some(Dynamic::Outcome(self.outcome)),
            Kind::Subnet(prefix) => {
                let address = self.scope.transaction.ip?.to_canonical();
                Some(Dynamic::Ip(masked(address, *prefix)))
            }
            Kind::Aggregate(call) => from_answer((self.answer)(call, &print::aggregate(call, self.schema)), typed.of),
            Kind::Not(inside) => truth(!self.test(inside)),
            Kind::And(items) => truth(items.iter().all(|item| self.test(item))),
            Kind::Or(items) => truth(items.iter().any(|item| self.test(item))),
            Kind::Compare(comparison, left, right) => {
                let (left, right) = (self.value(left), self.value(right));
                truth(left.zip(right).is_some_and(|(left, right)| compares(*comparison, &left, &right)))
            }
            Kind::InSet { negated, value, items } => {
                let value = self.value(value);
                truth(value.is_some_and(|value| {
                    items.iter().any(|item| compares(Comparison::Equal, &value, &literal_value(item))) != *negated
                }))
            }
            Kind::InList { negated, value, list, .. } => {
                let at = self.scope.transaction.time;
                let found = self.value(value).map(|value| match value {
                    Dynamic::Ip(ip) => self.scope.lists.contains_ip(*list, ip, at),
                    other => self.scope.lists.contains(*list, &text(&other), at),
                });
                truth(found.is_some_and(|found| found != *negated))
            }
            Kind::InNetworks { negated, value, networks } => {
                let Some(Dynamic::Ip(address)) = self.value(value) else { return truth(false) };
                truth(networks.iter().any(|network| is_in(address, *network)) != *negated)
            }
            Kind::StartsWith(value, prefix) => {
                let both = self.value(value).zip(self.value(prefix));
                truth(both.is_some_and(|(value, prefix)| text(&value).starts_with(&text(&prefix))))
            }
            Kind::Negate(inside) => match self.value(inside)? {
                Dynamic::Whole(whole) => whole.checked_neg().map(Dynamic::Whole),
                Dynamic::Real(real) => Some(Dynamic::Real(-real)),
                _ => None,
            },
            Kind::Arithmetic(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                compute(*operator, typed.of, &left, &right)
            }
            Kind::Calendar(calendar, moment) => {
                let Dynamic::Whole(ms) = self.value(moment)? else { return None };
                Some(calendar_value(*calendar, ms))
            }
            Kind::Has(inside) => truth(self.value(inside).is_some()),
            Kind::Lookup { table, key, default, .. } => {
                let found =
                    self.value(key).and_then(|key| self.scope.lists.lookup(*table, &text(&key)).map(from_table));
                found.or_else(|| default.as_ref().and_then(|default| self.value(default))).map(|value| {
                    match (typed.of, value) {
                        (Type::Number, Dynamic::Whole(whole)) => Dynamic::Real(whole as f64),
                        (_, value) => value,
                    }
                })
            }
        }
    }

    fn field(&self, field: Field) -> Option<Dynamic> {
        Some(match self.scope.transaction.value(field, self.scope.amount_base_minor)? {
            Value::Text(text) => Dynamic::Text(text.to_owned()),
            Value::Integer(whole) => Dynamic::Whole(whole),
            Value::Millionths(millionths) => Dynamic::Real(millionths as f64 / 1_000_000.0),
            Value::Real(real) => Dynamic::Real(real),
            Value::Boolean(truth) => Dynamic::Truth(truth),
            Value::Country(country) => Dynamic::Country(country),
            Value::Currency(currency) => Dynamic::Currency(currency),
            Value::Mcc(mcc) => Dynamic::Mcc(mcc),
            Value::Time(time) => Dynamic::Whole(time.unix_ms()),
            Value::Ip(ip) => Dynamic::Ip(ip.to_canonical()),
        })
    }
}

fn literal_value(literal: &Literal) -> Dynamic {
    match literal {
        Literal::Money(whole) | Literal::Integer(whole) | Literal::Time(whole) | Literal::Span(whole) => {
            Dynamic::Whole(*whole)
        }
        Literal::Number(real) => Dynamic::Real(*real),
        Literal::Boolean(truth) => Dynamic::Truth(*truth),
        Literal::Text(text) => Dynamic::Text(text.clone()),
        Literal::Code(word, _) => Dynamic::Text((*word).to_owned()),
        Literal::Country(country) => Dynamic::Country(*country),
        Literal::Currency(currency) => Dynamic::Currency(*currency),
        Literal::Mcc(mcc) => Dynamic::Mcc(*mcc),
        Literal::Ip(ip) => Dynamic::Ip(*ip),
        Literal::Verdict(decision) => Dynamic::Verdict(*decision),
        Literal::Outcome(state) => Dynamic::Outcome(*state),
    }
}

fn from_answer(answer: AggregateValue, of: Type) -> Option<Dynamic> {
    Some(match answer {
        AggregateValue::Missing => return None,
        AggregateValue::Integer(whole) => Dynamic::Whole(whole),
        AggregateValue::Real(real) => Dynamic::Real(real),
        AggregateValue::Boolean(truth) => Dynamic::Truth(truth),
        AggregateValue::Text(text) => match of {
            Type::Code(codes) if !codes.contains(&&*text) => return None,
            _ => Dynamic::Text(text.to_string()),
        },
        AggregateValue::Country(country) => Dynamic::Country(country),
        AggregateValue::Currency(currency) => Dynamic::Currency(currency),
        AggregateValue::Mcc(mcc) => Dynamic::Mcc(mcc),
        AggregateValue::Ip(ip) => Dynamic::Ip(ip.to_canonical()),
    })
}

fn from_table(value: TableValue<'_>) -> Dynamic {
    match value {
        TableValue::Money(whole) | TableValue::Integer(whole) | TableValue::Duration(whole) => Dynamic::Whole(whole),
        TableValue::Number(real) => Dynamic::Real(real),
        TableValue::Text(text) => Dynamic::Text(text.to_owned()),
        TableValue::Country(country) => Dynamic::Country(country),
        TableValue::Boolean(truth) => Dynamic::Truth(truth),
    }
}

fn text(value: &Dynamic) -> String {
    match value {
        Dynamic::Text(text) => text.clone(),
        Dynamic::Country(country) => country.code().to_owned(),
        Dynamic::Currency(currency) => currency.code().to_owned(),
        Dynamic::Mcc(mcc) => format!("{mcc:04}"),
        Dynamic::Ip(ip) => ip.to_string(),
        other => format!("{other:?}"),
    }
}

fn real(value: &Dynamic) -> Option<f64> {
    match value {
        Dynamic::Whole(whole) => Some(*whole as f64),
        Dynamic::Real(real) => Some(*real),
        _ => None,
    }
}

fn compares(comparison: Comparison, left: &Dynamic, right: &Dynamic) -> bool {
    let order = match (left, right) {
        (Dynamic::Whole(left), Dynamic::Whole(right)) => left.cmp(right),
        _ => match real(left).zip(real(right)) {
            Some((left, right)) => left.total_cmp(&right),
            None if left == right => std::cmp::Ordering::Equal,
            None => std::cmp::Ordering::Less,
        },
    };
    let zeros = real(left) == Some(0.0) && real(right) == Some(0.0);
    let order = if zeros { std::cmp::Ordering::Equal } else { order };
    match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterEqual => order.is_ge(),
    }
}

fn compute(operator: Arithmetic, of: Type, left: &Dynamic, right: &Dynamic) -> Option<Dynamic> {
    let whole = |value: &Dynamic| match value {
        Dynamic::Whole(whole) => Some(i128::from(*whole)),
        // A moment is moved by whole milliseconds.
        Dynamic::Real(real) if of == Type::Time && real.abs() < 9.223_372_036_854_775e18 => {
            Some(real.round_ties_even() as i128)
        }
        _ => None,
    };
    if let (Some(left), Some(right)) = (whole(left), whole(right))
        && operator != Arithmetic::Divide
    {
        let exact = match operator {
            Arithmetic::Add => left + right,
            Arithmetic::Subtract => left - right,
            Arithmetic::Multiply | Arithmetic::Divide => left * right,
        };
        return i64::try_from(exact).ok().map(Dynamic::Whole);
    }
    if of == Type::Time {
        return None;
    }
    let (left, right) = (real(left)?, real(right)?);
    let value = match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide if right == 0.0 => return None,
        Arithmetic::Divide => left / right,
    };
    value.is_finite().then_some(Dynamic::Real(value))
}

fn calendar_value(calendar: Calendar, ms: i64) -> Dynamic {
    // Far outside the years of timestamps only the remainder of 28 days matters, whose weekdays repeat.
    let near = ms.rem_euclid(28 * 86_400_000);
    let time = Timestamp::from_unix_ms(near).expect("28 days after the epoch");
    match calendar {
        Calendar::Hour => Dynamic::Whole(time.hour()),
        Calendar::Weekday => Dynamic::Whole(time.weekday()),
        Calendar::Night => Dynamic::Truth((0..=6).contains(&time.hour())),
        Calendar::Weekend => Dynamic::Truth([6, 7].contains(&time.weekday())),
    }
}

/// An address bit by bit.
fn bits(address: IpAddr) -> Vec<bool> {
    let bytes = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    bytes.into_iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect()
}

fn is_in(address: IpAddr, network: Network) -> bool {
    let kept = usize::from(network.prefix);
    address.is_ipv4() == network.address.is_ipv4() && bits(address)[..kept] == bits(network.address)[..kept]
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let all = bits(address);
    let kept = match address {
        IpAddr::V4(_) => usize::from(prefix).min(32),
        IpAddr::V6(_) if prefix <= 32 => usize::from(prefix) * 2,
        IpAddr::V6(_) => usize::from(prefix),
    };
    let bytes: Vec<u8> = all
        .iter()
        .enumerate()
        .map(|(index, bit)| *bit && index < kept)
        .collect::<Vec<_>>()
        .chunks(8)
        .map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit)))
        .collect();
    match <[u8; 4]>::try_from(&bytes[..]) {
        Ok(v4) => IpAddr::from(v4),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(&bytes[..]).expect("an address has 4 or 16 bytes")),
    }
}
