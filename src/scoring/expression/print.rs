//! Writes a checked tree as the language has it, one spelling for equal trees. It shows no value of a transaction.

use std::fmt::Write as _;

use super::{
    environment::Environment,
    syntax::Arithmetic,
    token::quote,
    typed::{Call, Kind, Literal, Network, Typed},
};
use crate::scoring::{
    field::AttributeSchema,
    money::{Currency, Money},
    plan::{Aggregate, Function, Key, KeyPart, OutcomeState, Plan},
    time::{Span, Timestamp},
};

/// How tightly a node holds its parts together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tightness {
    Or,
    And,
    Not,
    Comparison,
    Sum,
    Product,
    Sign,
    Whole,
}

/// A tree as text.
pub(super) fn text(typed: &Typed, environment: Environment<'_>) -> String {
    let mut out = String::new();
    write(typed, Tightness::Or, environment, &mut out);
    out
}

/// A test as text, one spelling whatever the order of what `and` and `or` join.
pub(super) fn canonical(typed: &Typed, environment: Environment<'_>) -> String {
    let joined = |items: &[Typed], word: &str| {
        let mut items: Vec<_> = items.iter().map(|item| canonical(item, environment)).collect();
        items.sort_unstable();
        format!("({})", items.join(word))
    };
    match &typed.kind {
        Kind::And(items) => joined(items, " and "),
        Kind::Or(items) => joined(items, " or "),
        Kind::Not(inside) => format!("not {}", canonical(inside, environment)),
        _ => text(typed, environment),
    }
}

fn write(typed: &Typed, around: Tightness, environment: Environment<'_>, out: &mut String) {
    let own = tightness(typed);
    let base = environment.rates.base();
    if own < around {
        out.push('(');
        write(typed, Tightness::Or, environment, out);
        out.push(')');
        return;
    }
    let joined = |items: &[Typed], word: &str, around: Tightness, out: &mut String| {
        for (item, index) in items.iter().zip(0..) {
            if index > 0 {
                out.push_str(word);
            }
            write(item, around, environment, out);
        }
    };
    match &typed.kind {
        Kind::Literal(literal) => out.push_str(&literal_text(literal, base)),
        Kind::Field(field) => out.push_str(&field.name(environment.schema)),
        Kind::LocalTime => out.push_str("local_time"),
        Kind::Score => out.push_str("score"),
        Kind::Verdict => out.push_str("verdict"),
        Kind::Outcome => out.push_str("outcome"),
        Kind::Subnet(prefix) => push(out, format_args!("subnet(ip, {prefix})")),
        Kind::Aggregate(call) => {
            out.push_str(&aggregate(call, environment.schema));
            if let Some(filter) = &call.filter {
                out.push_str(", where ");
                write(filter, Tightness::Or, environment, out);
            }
            out.push(')');
        }
        Kind::Not(inside) => {
            out.push_str("not ");
            // `not a == b` reads as if it were about `a` alone.
            let around = if matches!(inside.kind, Kind::Not(_)) { Tightness::Not } else { Tightness::Whole };
            write(inside, around, environment, out);
        }
        Kind::Negate(inside) => {
            out.push('-');
            write(inside, Tightness::Sign, environment, out);
        }
        Kind::And(items) => joined(items, " and ", Tightness::Not, out),
        Kind::Or(items) => joined(items, " or ", Tightness::And, out),
        Kind::Compare(comparison, left, right) => {
            write(left, Tightness::Sum, environment, out);
            push(out, format_args!(" {} ", comparison.sign()));
            write(right, Tightness::Sum, environment, out);
        }
        Kind::InSet { negated, value, items } => {
            write(value, Tightness::Sum, environment, out);
            let items: Vec<_> = items.iter().map(|item| literal_text(item, base)).collect();
            push(out, format_args!(" {} [{}]", membership(*negated), items.join(", ")));
        }
        Kind::InList { negated, value, name, .. } => {
            write(value, Tightness::Sum, environment, out);
            push(out, format_args!(" {} list({})", membership(*negated), quote(name)));
        }
        Kind::InNetworks { negated, value, networks } => {
            write(value, Tightness::Sum, environment, out);
            let networks: Vec<_> = networks.iter().map(|network| quote(&network_text(*network))).collect();
            push(out, format_args!(" {} [{}]", membership(*negated), networks.join(", ")));
        }
        Kind::StartsWith(value, prefix) => {
            write(value, Tightness::Sum, environment, out);
            out.push_str(" starts_with ");
            write(prefix, Tightness::Sum, environment, out);
        }
        Kind::Arithmetic(operator, left, right) => {
            let inner = if own == Tightness::Sum { Tightness::Product } else { Tightness::Sign };
            write(left, own, environment, out);
            push(out, format_args!(" {} ", operator.sign()));
            write(right, inner, environment, out);
        }
        Kind::Calendar(calendar, moment) => {
            push(out, format_args!("{}(", calendar.name()));
            write(moment, Tightness::Or, environment, out);
            out.push(')');
        }
        Kind::Has(inside) => {
            out.push_str("has(");
            write(inside, Tightness::Or, environment, out);
            out.push(')');
        }
        Kind::Lookup { name, key, default, .. } => {
            push(out, format_args!("lookup({}, ", quote(name)));
            write(key, Tightness::Or, environment, out);
            if let Some(default) = default {
                out.push_str(", ");
                write(default, Tightness::Or, environment, out);
            }
            out.push(')');
        }
    }
}

fn tightness(typed: &Typed) -> Tightness {
    match &typed.kind {
        Kind::Or(_) => Tightness::Or,
        Kind::And(_) => Tightness::And,
        Kind::Not(_) => Tightness::Not,
        Kind::Compare(..)
        | Kind::InSet { .. }
        | Kind::InList { .. }
        | Kind::InNetworks { .. }
        | Kind::StartsWith(..) => Tightness::Comparison,
        Kind::Arithmetic(Arithmetic::Add | Arithmetic::Subtract, ..) => Tightness::Sum,
        Kind::Arithmetic(..) => Tightness::Product,
        Kind::Negate(_) => Tightness::Sign,
        Kind::Literal(Literal::Integer(number) | Literal::Money(number) | Literal::Span(number)) if *number < 0 => {
            Tightness::Sign
        }
        Kind::Literal(Literal::Number(number)) if *number < 0.0 => Tightness::Sign,
        _ => Tightness::Whole,
    }
}

/// An aggregate of a plan as the language writes it; a test is shown as `filtered`.
pub fn aggregate_text(plan: &Plan, index: usize, schema: &AttributeSchema) -> String {
    let Some(asked) = plan.aggregates.get(index) else { return String::new() };
    let Some(key) = plan.keys.get(usize::from(asked.key.0)) else { return String::new() };
    let &Aggregate { function, window_ms, delay_ms, prior, filter, .. } = asked;
    let call = Call { function, key: key.clone(), window_ms, delay_ms, prior, filter: None };
    let end = if filter.is_some() { ", filtered)" } else { ")" };
    aggregate(&call, schema) + end
}

/// An aggregate up to its `where`, its parenthesis still open.
pub(super) fn aggregate(call: &Call, schema: &AttributeSchema) -> String {
    let mut out = function_name(call.function).to_owned();
    out.push('(');
    if let Some(field) = call.function.field() {
        push(&mut out, format_args!("{}, ", field.name(schema)));
    }
    out.push_str(&key_text(&call.key, schema));
    if call.window_ms > 0 {
        push(&mut out, format_args!(", {}", Span(call.window_ms)));
    }
    if matches!(call.function, Function::FraudRate | Function::Frauds) {
        push(&mut out, format_args!(", delay {}", Span(call.delay_ms)));
    }
    if call.prior {
        out.push_str(", prior");
    }
    out
}

/// The name a function is called by.
pub(super) const fn function_name(function: Function) -> &'static str {
    match function {
        Function::Count => "count",
        Function::Distinct(_) => "distinct",
        Function::Sum(_) => "sum",
        Function::Mean(_) => "mean",
        Function::Min(_) => "min",
        Function::Max(_) => "max",
        Function::Stddev(_) => "stddev",
        Function::Last(_) => "last",
        Function::SinceLast => "since_last",
        Function::Age => "age",
        Function::SpeedKmh => "speed_kmh",
        Function::FraudRate => "fraud_rate",
        Function::Frauds => "frauds",
    }
}

/// A key as it is written.
pub fn key_text(key: &Key, schema: &AttributeSchema) -> String {
    let parts: Vec<String> = key
        .0
        .iter()
        .map(|part| match part {
            KeyPart::Field(field) => field.name(schema).into_owned(),
            KeyPart::Subnet(prefix) => format!("subnet(ip, {prefix})"),
        })
        .collect();
    match &parts[..] {
        [only] => only.clone(),
        _ => format!("({})", parts.join(", ")),
    }
}

/// A literal as it is written.
pub(super) fn literal_text(literal: &Literal, base: Currency) -> String {
    match literal {
        Literal::Money(minor) => Money { minor: *minor, currency: base }.to_string(),
        Literal::Number(number) => {
            let digits = number.to_string();
            if digits.contains('.') { digits } else { format!("{digits}.0") }
        }
        Literal::Integer(number) => number.to_string(),
        Literal::Boolean(truth) => truth.to_string(),
        Literal::Text(text) => quote(text),
        Literal::Code(word, _) => quote(word),
        Literal::Country(country) => quote(country.code()),
        Literal::Currency(currency) => quote(currency.code()),
        Literal::Mcc(mcc) => format!("\"{mcc:04}\""),
        Literal::Time(unix_ms) => {
            Timestamp::from_unix_ms(*unix_ms).map_or_else(|| format!("{unix_ms}ms"), |time| quote(&time.to_string()))
        }
        Literal::Span(ms) => Span(*ms).to_string(),
        Literal::Ip(address) => quote(&address.to_string()),
        Literal::Verdict(decision) => decision.name().to_owned(),
        Literal::Outcome(state) => outcome_name(*state).to_owned(),
    }
}

const fn outcome_name(state: OutcomeState) -> &'static str {
    match state {
        OutcomeState::Unknown => "unknown",
        OutcomeState::Approved => "approved",
        OutcomeState::Declined => "declined",
        OutcomeState::Partial => "partial",
    }
}

fn network_text(network: Network) -> String {
    let whole = if network.address.is_ipv4() { 32 } else { 128 };
    if network.prefix == whole {
        network.address.to_string()
    } else {
        format!("{}/{}", network.address, network.prefix)
    }
}

fn membership(negated: bool) -> &'static str {
    if negated { "not in" } else { "in" }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(text);
}
