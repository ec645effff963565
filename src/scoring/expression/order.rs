//! Puts the tests that an `and` joins into the order in which it is decided soonest. It changes no answer: a test has no
//! effect and cannot fail, so that any may come first.

use super::{
    node::{Bool, BoolId, Integer, IntegerId, Nodes, Real, RealId, Text, TextId},
    syntax::Comparison,
};

/// Tests beyond this depth all cost the same.
const DEPTH_MAX: u32 = 8;

/// About what a test costs, in nodes, and how many of a hundred transactions pass it. The figures are no measurement:
/// only the order that comes of them matters.
#[derive(Clone, Copy)]
struct Estimate {
    cost: u32,
    passes: u32,
}

/// Sorts the tests of every `and`; of equal ones the first written stays first.
pub(super) fn order(nodes: &mut Nodes) {
    for index in 0..nodes.bools.len() {
        let Bool::All(branches) = nodes.bools[index] else { continue };
        let place = branches.0 as usize;
        let mut tests = std::mem::take(&mut nodes.branches[place]);
        // The cheaper and the more seldom passed, the sooner: cost for each transaction that goes no further.
        tests.sort_by_key(|test| {
            let Estimate { cost, passes } = estimate(*test, nodes, 0);
            cost * 1_000 / (100 - passes.min(99))
        });
        nodes.branches[place] = tests;
    }
}

fn estimate(test: BoolId, nodes: &Nodes, depth: u32) -> Estimate {
    if depth == DEPTH_MAX {
        return Estimate { cost: 20, passes: 50 };
    }
    let integer = |value| cost_of_integer(value, nodes, depth + 1);
    let real = |value| cost_of_real(value, nodes, depth + 1);
    let (cost, passes) = match nodes.bools[test.0 as usize] {
        Bool::Constant(truth) => (1, if truth { 99 } else { 0 }),
        // A field has five codes or so.
        Bool::Coded(codes) => (1, (20 * codes.len() as u32).min(90)),
        Bool::Amount(comparison, _) => (1, passes(comparison, false)),
        Bool::Aggregate(comparison, ..) => (1, passes(comparison, true)),
        Bool::Integer(comparison, value, _) => {
            let is_aggregate = matches!(nodes.integers[value.0 as usize], Integer::Aggregate(_));
            (1 + integer(value), passes(comparison, is_aggregate))
        }
        Bool::Integers(comparison, left, right) => (1 + integer(left) + integer(right), passes(comparison, true)),
        Bool::Real(comparison, value, _) => (1 + real(value), passes(comparison, true)),
        Bool::Reals(comparison, left, right) => (1 + real(left) + real(right), passes(comparison, true)),
        Bool::IntegerIn { negated, value, .. } => (2 + integer(value), if negated { 80 } else { 20 }),
        Bool::RealIn { negated, value, .. } => (2 + real(value), if negated { 80 } else { 20 }),
        Bool::Texts { negated, left, right } => {
            let cost = 2 + cost_of_text(left, nodes, depth + 1) + cost_of_text(right, nodes, depth + 1);
            (cost, if negated { 90 } else { 10 })
        }
        Bool::TextIn { negated, value, .. } => {
            (4 + cost_of_text(value, nodes, depth + 1), if negated { 90 } else { 10 })
        }
        Bool::StartsWith(value, _) => (3 + cost_of_text(value, nodes, depth + 1), 10),
        Bool::Addresses { negated, .. } | Bool::AddressIn { negated, .. } => (4, if negated { 90 } else { 10 }),
        Bool::InList { negated, .. } => (20, if negated { 95 } else { 5 }),
        Bool::HasInteger(value) | Bool::Truth(value) => (1 + integer(value), 60),
        Bool::HasReal(value) => (1 + real(value), 60),
        Bool::HasText(value) => (1 + cost_of_text(value, nodes, depth + 1), 60),
        Bool::HasAddress(_) => (2, 60),
        Bool::Not(inside) => {
            let Estimate { cost, passes } = estimate(inside, nodes, depth + 1);
            (cost + 1, 99 - passes.min(99))
        }
        // The first that fails, or that passes, ends it.
        Bool::All(branches) | Bool::Any(branches) => {
            let is_all = matches!(nodes.bools[test.0 as usize], Bool::All(_));
            let tests = nodes.branches[branches.0 as usize].iter().map(|test| estimate(*test, nodes, depth + 1));
            tests.fold((1, if is_all { 99 } else { 0 }), |(cost, so_far), one| {
                let passes = if is_all { so_far.min(one.passes) } else { so_far.max(one.passes) };
                (cost + one.cost, passes)
            })
        }
        // Somebody has asked already, or will be spared it.
        Bool::Shared(_, inside) => (2, estimate(inside, nodes, depth + 1).passes),
    };
    Estimate { cost: cost.min(1_000), passes }
}

/// What is counted passes a lower limit seldom.
fn passes(comparison: Comparison, is_counted: bool) -> u32 {
    match comparison {
        Comparison::Equal => 15,
        Comparison::NotEqual => 85,
        Comparison::Greater | Comparison::GreaterEqual => {
            if is_counted {
                10
            } else {
                50
            }
        }
        Comparison::Less | Comparison::LessEqual => {
            if is_counted {
                90
            } else {
                50
            }
        }
    }
}

fn cost_of_integer(value: IntegerId, nodes: &Nodes, depth: u32) -> u32 {
    if depth == DEPTH_MAX {
        return 20;
    }
    let of = |value| cost_of_integer(value, nodes, depth + 1);
    match nodes.integers[value.0 as usize] {
        Integer::Missing | Integer::Constant(_) => 0,
        Integer::Negate(inside) => 1 + of(inside),
        Integer::Add(left, right) | Integer::Subtract(left, right) | Integer::Multiply(left, right) => {
            1 + of(left) + of(right)
        }
        Integer::Rounded(inside) => 2 + cost_of_real(inside, nodes, depth + 1),
        Integer::Calendar(_, moment) => 3 + of(moment),
        Integer::Truth(inside) => 1 + estimate(inside, nodes, depth + 1).cost,
        Integer::Lookup(..) => 20,
        Integer::AggregateCode(..) => 4,
        Integer::Shared(..) => 2,
        _ => 1,
    }
}

fn cost_of_real(value: RealId, nodes: &Nodes, depth: u32) -> u32 {
    if depth == DEPTH_MAX {
        return 20;
    }
    let of = |value| cost_of_real(value, nodes, depth + 1);
    match nodes.reals[value.0 as usize] {
        Real::Missing | Real::Constant(_) => 0,
        Real::Integer(inside) => 1 + cost_of_integer(inside, nodes, depth + 1),
        Real::Negate(inside) => 1 + of(inside),
        Real::Add(left, right) | Real::Subtract(left, right) | Real::Multiply(left, right) => 1 + of(left) + of(right),
        Real::Divide(left, right) => 3 + of(left) + of(right),
        Real::Lookup(..) => 20,
        Real::Shared(..) => 2,
        _ => 1,
    }
}

fn cost_of_text(value: TextId, nodes: &Nodes, depth: u32) -> u32 {
    match nodes.texts[value.0 as usize] {
        Text::Missing | Text::Constant(_) => 0,
        Text::Field(_) | Text::Aggregate(_) => 1,
        Text::Country(number) | Text::Currency(number) | Text::Mcc(number) => {
            2 + cost_of_integer(number, nodes, depth + 1)
        }
        Text::Lookup(..) => 20,
    }
}
