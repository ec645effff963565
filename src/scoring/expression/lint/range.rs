//! Warns of comparisons that cannot be false or cannot be true, alone or beside one another.

use std::collections::BTreeMap;

use super::constant;
use crate::scoring::{
    expression::{
        codes,
        environment::Environment,
        finding::{Finding, Findings},
        print,
        syntax::Comparison,
        typed::{Calendar, Kind, Literal, Type, Typed},
    },
    field::Field,
    plan::Function,
};

/// Numbers from `least` to `most`, both included.
#[derive(Clone, Copy)]
struct Range {
    least: f64,
    most: f64,
}

/// A comparison of some value with a literal: the value, the sign, the number.
struct Limit<'t> {
    value: &'t Typed,
    comparison: Comparison,
    number: f64,
}

/// Warns of a comparison that is decided by what its value can be at all.
pub(super) fn lint_alone(node: &Typed, environment: Environment<'_>, findings: &mut Findings) {
    let truth = match &node.kind {
        Kind::Compare(comparison, left, right) => match (&left.kind, &right.kind) {
            (Kind::Literal(left), Kind::Literal(right)) => Some(holds(*comparison, left, right)),
            (Kind::Field(field), Kind::Literal(Literal::Text(text))) if !can_be(*field, text) => match comparison {
                Comparison::Equal => Some(false),
                Comparison::NotEqual => Some(true),
                _ => None,
            },
            _ => limit(node).and_then(|limit| decided(&limit)),
        },
        Kind::InSet { negated, value, items } => {
            let possible = natural(value);
            let none = items.iter().all(|item| match (number(item), possible) {
                (Some(number), Some(range)) => number < range.least || number > range.most,
                _ => false,
            });
            none.then_some(*negated)
        }
        Kind::InNetworks { negated, networks, .. } => networks.is_empty().then_some(*negated),
        Kind::Has(inside) => match &inside.kind {
            Kind::Field(field) => is_required(*field).then_some(true),
            Kind::Literal(_) => Some(true),
            _ => None,
        },
        _ => None,
    };
    if let Some(truth) = truth {
        let finding = constant(node, truth, environment);
        let finding = match &node.kind {
            Kind::Compare(_, left, _) if natural(left).is_some() => {
                finding.label(if truth { "whatever the value is, where there is one" } else { "whatever the value is" })
            }
            _ => finding,
        };
        findings.push(finding);
    }
}

/// Whether a field of text may hold a text.
fn can_be(field: Field, text: &str) -> bool {
    let is_bin = || (6..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    !text.is_empty() && (field != Field::Bin || is_bin())
}

/// Whether every transaction has a field.
pub(super) fn is_required(field: Field) -> bool {
    matches!(field, Field::Id | Field::Time | Field::Card | Field::Currency | Field::Type | Field::Processor)
}

/// Warns of tests that are joined by `and` and exclude one another.
pub(super) fn lint_conjuncts(node: &Typed, items: &[Typed], environment: Environment<'_>, findings: &mut Findings) {
    let mut flat = Vec::new();
    flatten(items, &mut flat);
    let mut ranges: BTreeMap<String, (Range, [&Typed; 2])> = BTreeMap::new();
    let mut sets: BTreeMap<String, (Vec<String>, &Typed)> = BTreeMap::new();
    let mut clash = None;
    for item in flat {
        if let Some(limit) = limit(item) {
            let key = print::text(limit.value, environment);
            let everything = Range { least: f64::NEG_INFINITY, most: f64::INFINITY };
            let (range, by) = ranges.entry(key).or_insert((everything, [item, item]));
            let was_possible = range.least <= range.most;
            narrow(range, by, &limit, item);
            if was_possible && range.least > range.most && by.iter().any(|by| !std::ptr::eq(*by, item)) {
                clash = clash.or(Some(*by));
            }
        }
        if let Some((value, choices)) = choices(item, environment) {
            let key = print::text(value, environment);
            match sets.get_mut(&key) {
                None => {
                    sets.insert(key, (choices, item));
                }
                Some((left, first)) => {
                    let was_possible = !left.is_empty();
                    left.retain(|choice| choices.contains(choice));
                    if was_possible && left.is_empty() {
                        clash = clash.or(Some([*first, item]));
                    }
                }
            }
        }
    }
    if let Some([first, second]) = clash {
        let (first, second) = (print::text(first, environment), print::text(second, environment));
        let message = format!("`{first}` and `{second}` are never true together");
        findings.push(Finding::warning(codes::NEVER, &node.span, message));
    }
}

fn flatten<'t>(items: &'t [Typed], flat: &mut Vec<&'t Typed>) {
    for item in items {
        match &item.kind {
            Kind::And(inner) => flatten(inner, flat),
            _ => flat.push(item),
        }
    }
}

/// A comparison with a number, the number on the right.
fn limit(node: &Typed) -> Option<Limit<'_>> {
    let Kind::Compare(comparison, left, right) = &node.kind else { return None };
    let (value, comparison, literal) = match (&left.kind, &right.kind) {
        (Kind::Literal(_), Kind::Literal(_)) => return None,
        (_, Kind::Literal(literal)) => (left, *comparison, literal),
        (Kind::Literal(literal), _) => (right, comparison.mirrored(), literal),
        _ => return None,
    };
    Some(Limit { value, comparison, number: number(literal)? })
}

/// The texts that a value is tested to be one of.
fn choices<'t>(node: &'t Typed, environment: Environment<'_>) -> Option<(&'t Typed, Vec<String>)> {
    let base = environment.rates.base();
    match &node.kind {
        Kind::InSet { negated: false, value, items } => {
            Some((value, items.iter().map(|item| print::literal_text(item, base)).collect()))
        }
        Kind::Compare(Comparison::Equal, left, right) => match (&left.kind, &right.kind) {
            (Kind::Literal(_), Kind::Literal(_)) => None,
            (_, Kind::Literal(literal)) => Some((left, vec![print::literal_text(literal, base)])),
            (Kind::Literal(literal), _) => Some((right, vec![print::literal_text(literal, base)])),
            _ => None,
        },
        _ => None,
    }
}

/// Cuts a range down to where a comparison holds, and notes which comparisons made its ends.
fn narrow<'t>(range: &mut Range, by: &mut [&'t Typed; 2], limit: &Limit<'_>, item: &'t Typed) {
    let whole = matches!(limit.value.of, Type::Integer | Type::Span | Type::Time);
    let (next_up, next_down) = if whole && limit.number.abs() < 9e15 {
        (limit.number.floor() + 1.0, limit.number.ceil() - 1.0)
    } else {
        (limit.number.next_up(), limit.number.next_down())
    };
    let (least, most) = match limit.comparison {
        Comparison::Less => (f64::NEG_INFINITY, next_down),
        Comparison::LessEqual => (f64::NEG_INFINITY, limit.number),
        Comparison::Greater => (next_up, f64::INFINITY),
        Comparison::GreaterEqual => (limit.number, f64::INFINITY),
        Comparison::Equal => (limit.number, limit.number),
        Comparison::NotEqual => return,
    };
    if least > range.least {
        range.least = least;
        by[0] = item;
    }
    if most < range.most {
        range.most = most;
        by[1] = item;
    }
}

/// What a comparison answers for every value that can be there, if that is always the same.
fn decided(limit: &Limit<'_>) -> Option<bool> {
    let Range { least, most } = natural(limit.value)?;
    let number = limit.number;
    let (always, never) = match limit.comparison {
        Comparison::Less => (most < number, least >= number),
        Comparison::LessEqual => (most <= number, least > number),
        Comparison::Greater => (least > number, most <= number),
        Comparison::GreaterEqual => (least >= number, most < number),
        Comparison::Equal => (false, number < least || number > most),
        Comparison::NotEqual => (number < least || number > most, false),
    };
    if always {
        Some(true)
    } else if never {
        Some(false)
    } else {
        None
    }
}

/// What a value can be at all.
fn natural(value: &Typed) -> Option<Range> {
    let (least, most) = match &value.kind {
        Kind::Calendar(Calendar::Hour, _) => (0.0, 23.0),
        Kind::Calendar(Calendar::Weekday, _) => (1.0, 7.0),
        Kind::Score => (0.0, 1.0),
        Kind::Field(Field::Amount) => (0.0, f64::INFINITY),
        Kind::Field(Field::UtcOffset) => (-840.0, 840.0),
        Kind::Field(Field::Lat) => (-90.0, 90.0),
        Kind::Field(Field::Lon) => (-180.0, 180.0),
        Kind::Aggregate(call) => match call.function {
            Function::FraudRate => (0.0, 1.0),
            Function::Count
            | Function::Distinct(_)
            | Function::Frauds
            | Function::SinceLast
            | Function::Age
            | Function::SpeedKmh
            | Function::Stddev(_)
            | Function::Sum(Field::Amount)
            | Function::Mean(Field::Amount)
            | Function::Min(Field::Amount)
            | Function::Max(Field::Amount)
            | Function::Last(Field::Amount) => (0.0, f64::INFINITY),
            _ => return None,
        },
        _ => return None,
    };
    Some(Range { least, most })
}

fn number(literal: &Literal) -> Option<f64> {
    match literal {
        Literal::Money(number) | Literal::Integer(number) | Literal::Time(number) | Literal::Span(number) => {
            Some(*number as f64)
        }
        Literal::Number(number) => Some(*number),
        _ => None,
    }
}

fn holds(comparison: Comparison, left: &Literal, right: &Literal) -> bool {
    match (number(left), number(right)) {
        (Some(left), Some(right)) => comparison.holds(&left, &right),
        _ => (left == right) == (comparison == Comparison::Equal),
    }
}
