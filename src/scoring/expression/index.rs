//! Finds the conditions that hold without asking each: those that begin with an equality or a list test on a field are
//! reached through the field's value. It is built once, when a release is compiled.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::{
    node::{Bool, BoolId, Integer, IntegerId, Nodes, Text, TextId},
    run::Run,
    syntax::Comparison,
};
use crate::scoring::{field::Field, plan::AggregateId};

/// A condition by its place: the first added is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConditionId(pub u32);

/// The ways to the conditions of a program.
#[derive(Default)]
pub(super) struct Index {
    /// Conditions that nothing leads to: each is asked.
    unled: Vec<ConditionId>,
    by_integer: Vec<ByValue<IntegerId, i64>>,
    by_text: Vec<ByValue<TextId, Box<str>>>,
    /// Tests that lead to conditions as one whole: of a list, which is asked once for all of its rules.
    by_test: Vec<(BoolId, Vec<ConditionId>)>,
    /// Conditions that ask a number to be within limits, by number.
    by_range: Vec<ByRange>,
    /// For each condition a number that must be within limits, if it has one: to look at that is less work than to ask
    /// the whole of it.
    gates: Vec<Option<Gate>>,
}

/// A number that conditions set limits to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Number {
    Amount,
    Aggregate(AggregateId),
    Node(IntegerId),
}

/// The conditions that ask one number to be within limits, those with the least first.
struct ByRange {
    number: Number,
    conditions: Vec<(Range, ConditionId)>,
}

/// Whole numbers from `least` to `most`, both included.
#[derive(Clone, Copy)]
struct Range {
    least: i64,
    most: i64,
}

/// A number that must be within limits, or a condition cannot hold.
#[derive(Clone, Copy)]
struct Gate {
    number: Number,
    range: Range,
}

/// The conditions that ask a value to be one of some constants, by constant.
struct ByValue<Node, Constant> {
    value: Node,
    conditions: HashMap<Constant, Vec<ConditionId>, FxBuildHasher>,
}

/// One way to a condition.
enum Way<'n> {
    Integers(IntegerId, &'n [i64]),
    Texts(TextId, Vec<&'n str>),
    Test(BoolId),
    Range(Gate),
}

impl Index {
    /// An index of conditions by their roots.
    pub(super) fn new(roots: &[BoolId], nodes: &Nodes) -> Self {
        let mut index = Self::default();
        for (root, id) in roots.iter().zip(0..) {
            let id = ConditionId(id);
            match way(*root, nodes) {
                None => index.unled.push(id),
                Some(Way::Integers(value, constants)) => {
                    let map = entry(&mut index.by_integer, value);
                    for constant in constants {
                        map.entry(*constant).or_default().push(id);
                    }
                }
                Some(Way::Texts(value, constants)) => {
                    let map = entry(&mut index.by_text, value);
                    for constant in constants {
                        map.entry(constant.into()).or_default().push(id);
                    }
                }
                Some(Way::Test(test)) => match index.by_test.iter_mut().find(|(known, _)| *known == test) {
                    Some((_, conditions)) => conditions.push(id),
                    None => index.by_test.push((test, vec![id])),
                },
                Some(Way::Range(Gate { number, range })) => {
                    match index.by_range.iter_mut().find(|known| known.number == number) {
                        Some(known) => known.conditions.push((range, id)),
                        None => index.by_range.push(ByRange { number, conditions: vec![(range, id)] }),
                    }
                }
            }
            index.gates.push(gate(*root, nodes));
        }
        for by in &mut index.by_range {
            by.conditions.sort_by_key(|(range, _)| range.least);
        }
        index
    }

    /// Replaces `out` by the conditions that hold, ascending.
    pub(super) fn holding(&self, roots: &[BoolId], run: &mut Run<'_>, out: &mut Vec<ConditionId>) {
        out.clear();
        self.ask(&self.unled, roots, run, out);
        for ByRange { number, conditions } in &self.by_range {
            let Some(value) = number.read(run) else { continue };
            let reached = conditions.iter().take_while(|(range, _)| range.least <= value);
            let reached = reached.filter(|(range, _)| value <= range.most).map(|(_, id)| *id);
            out.extend(reached.filter(|id| run.bool(roots[id.0 as usize])));
        }
        for by in &self.by_integer {
            if let Some(conditions) = run.integer(by.value).and_then(|value| by.conditions.get(&value)) {
                self.ask(conditions, roots, run, out);
            }
        }
        for by in &self.by_text {
            if let Some(conditions) = run.text(by.value).and_then(|value| by.conditions.get(value)) {
                self.ask(conditions, roots, run, out);
            }
        }
        for (test, conditions) in &self.by_test {
            if run.bool(*test) {
                self.ask(conditions, roots, run, out);
            }
        }
        out.sort_unstable();
    }

    fn ask(&self, conditions: &[ConditionId], roots: &[BoolId], run: &mut Run<'_>, out: &mut Vec<ConditionId>) {
        out.extend(conditions.iter().filter(|id| {
            let place = id.0 as usize;
            self.gates[place].is_none_or(|gate| gate.is_open(run)) && run.bool(roots[place])
        }));
    }
}

impl Number {
    fn read(self, run: &mut Run<'_>) -> Option<i64> {
        match self {
            Self::Amount => run.scope.amount_base_minor,
            Self::Aggregate(aggregate) => run.whole_aggregate(aggregate),
            Self::Node(value) => run.integer(value),
        }
    }
}

impl Gate {
    fn is_open(self, run: &mut Run<'_>) -> bool {
        self.number.read(run).is_some_and(|value| (self.range.least..=self.range.most).contains(&value))
    }
}

fn entry<Node: Copy + PartialEq, Constant>(
    all: &mut Vec<ByValue<Node, Constant>>,
    value: Node,
) -> &mut HashMap<Constant, Vec<ConditionId>, FxBuildHasher> {
    let place = all.iter().position(|by| by.value == value).unwrap_or_else(|| {
        all.push(ByValue { value, conditions: HashMap::default() });
        all.len() - 1
    });
    &mut all[place].conditions
}

/// The best way to a condition: through the one of its joined tests that the fewest transactions pass.
fn way(root: BoolId, nodes: &Nodes) -> Option<Way<'_>> {
    let ranked = joined(&root, nodes).iter().filter_map(|test| way_of_test(*test, nodes));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, way)| way)
}

/// The aggregate of a condition that must be within limits, if it has one. Most transactions have few events in their
/// windows, and what is limited is many of them.
fn gate(root: BoolId, nodes: &Nodes) -> Option<Gate> {
    let gates = joined(&root, nodes).iter().filter_map(|test| gate_of_test(*test, nodes));
    gates.filter(|gate| matches!(gate.number, Number::Aggregate(_))).max_by_key(|gate| gate.range.least)
}

/// The tests that must all hold.
fn joined<'n>(root: &'n BoolId, nodes: &'n Nodes) -> &'n [BoolId] {
    match behind_memo(*root, nodes) {
        Bool::All(branches) => &nodes.branches[branches.0 as usize],
        _ => std::slice::from_ref(root),
    }
}

/// The limits of a comparison with a whole number.
fn gate_of_test(test: BoolId, nodes: &Nodes) -> Option<Gate> {
    let (comparison, number, limit) = match *behind_memo(test, nodes) {
        Bool::Amount(comparison, limit) => (comparison, Number::Amount, limit),
        Bool::Aggregate(comparison, aggregate, limit) => (comparison, Number::Aggregate(aggregate), limit),
        Bool::Integer(comparison, value, limit) => (comparison, Number::Node(value), limit),
        _ => return None,
    };
    let (least, most) = match comparison {
        Comparison::Less => (i64::MIN, limit.checked_sub(1)?),
        Comparison::LessEqual => (i64::MIN, limit),
        Comparison::Greater => (limit.checked_add(1)?, i64::MAX),
        Comparison::GreaterEqual => (limit, i64::MAX),
        Comparison::Equal => (limit, limit),
        Comparison::NotEqual => return None,
    };
    Some(Gate { number, range: Range { least, most } })
}

/// A test's way to its conditions, and about how many in ten thousand transactions pass it. The figures are no
/// measurement: only their order matters.
fn way_of_test(test: BoolId, nodes: &Nodes) -> Option<(usize, Way<'_>)> {
    match *behind_memo(test, nodes) {
        Bool::Integer(Comparison::Equal, value, _) => {
            let rank = rank_of_integer(value, nodes)?;
            let Bool::Integer(_, _, constant) = behind_memo(test, nodes) else { return None };
            Some((rank, Way::Integers(value, std::slice::from_ref(constant))))
        }
        Bool::IntegerIn { negated: false, value, set } => {
            let rank = rank_of_integer(value, nodes)?;
            let set = &nodes.integer_sets[set.0 as usize];
            Some((rank * set.len(), Way::Integers(value, set)))
        }
        Bool::Texts { negated: false, left, right } => {
            let texts = &nodes.texts;
            let (value, constant) = match (texts[left.0 as usize], texts[right.0 as usize]) {
                (Text::Field(_), Text::Constant(constant)) => (left, constant),
                (Text::Constant(constant), Text::Field(_)) => (right, constant),
                _ => return None,
            };
            Some((1, Way::Texts(value, vec![&nodes.strings[constant.0 as usize]])))
        }
        Bool::TextIn { negated: false, value, set } if matches!(nodes.texts[value.0 as usize], Text::Field(_)) => {
            let set = &nodes.text_sets[set.0 as usize];
            Some((set.len(), Way::Texts(value, set.iter().map(|text| &**text).collect())))
        }
        Bool::Coded(codes) => Some((3_000 * codes.len(), Way::Test(test))),
        Bool::InList { negated: false, .. } => Some((500, Way::Test(test))),
        Bool::Amount(..) | Bool::Aggregate(..) | Bool::Integer(..) => {
            let gate = gate_of_test(test, nodes)?;
            // What is counted passes a lower limit seldom, and an upper one nearly always.
            let is_seldom = matches!(gate.number, Number::Aggregate(_)) && gate.range.least > 0;
            Some((if is_seldom { 1_000 } else { 20_000 }, Way::Range(gate)))
        }
        _ => None,
    }
}

/// About how many in ten thousand transactions have one value of a field; `None` for what is no field.
fn rank_of_integer(value: IntegerId, nodes: &Nodes) -> Option<usize> {
    match nodes.integers[value.0 as usize] {
        Integer::Amount => Some(20),
        Integer::Field(field) => Some(match field {
            Field::Mcc => 100,
            Field::Country | Field::IssuerCountry | Field::BillingCountry | Field::ShippingCountry => 200,
            Field::Currency => 2_000,
            _ => 3_000,
        }),
        _ => None,
    }
}

fn behind_memo(test: BoolId, nodes: &Nodes) -> &Bool {
    match &nodes.bools[test.0 as usize] {
        Bool::Shared(_, inside) => &nodes.bools[inside.0 as usize],
        node => node,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::scoring::{
        expression::{Compiler, Environment},
        field::AttributeSchema,
        lists::Lists,
        money::{Currency, Rates},
    };

    /// A comparison with a constant is a node of its own for the amount and for aggregates, and the index once looked
    /// for the general one alone: every limit was then asked of every transaction, which no answer shows.
    #[test]
    fn limits_and_equalities_lead_to_their_conditions() {
        // (condition, how many of the index's ways lead to nothing but a look at the whole)
        let cases = [
            ("count(card, 1h) > 5", 0),
            ("amount >= 50 EUR", 0),
            ("not (channel == \"pos\") and sum(amount, card, 1d) > 100 EUR", 0),
            ("hour(time) < 6", 0),
            ("mcc in [\"5732\", \"6051\"]", 0),
            ("merchant == \"m_1\" or count(card, 1h) > 5", 1),
            ("amount > 3 * mean(amount, card, 7d, prior)", 1),
            ("count(card, 1h) != 5", 1),
        ];
        let (schema, lists, defines) = (AttributeSchema::default(), Lists::default(), BTreeMap::new());
        let rates = Rates::new(Currency::from_code("EUR").expect("EUR"));
        for (source, unled) in cases {
            let environment = Environment { schema: &schema, rates: &rates, lists: &lists, defines: &defines };
            let mut compiler = Compiler::new(environment);
            assert!(compiler.condition(source, &mut Vec::new()).is_some(), "{source}");
            assert_eq!(compiler.finish().0.index.unled.len(), unled, "{source}");
        }
    }
}
