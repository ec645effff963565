//! Finds the nodes that are used more than once and worth remembering, and puts a memo in front of them. It changes no
//! answer.

use super::{
    node::{Bool, BoolId, Integer, IntegerId, Lookup, Nodes, Real, RealId, Text, TextId},
    program::{FeatureSource, Program},
};

/// How often each node is used.
struct Uses {
    bools: Vec<u32>,
    integers: Vec<u32>,
    reals: Vec<u32>,
}

/// Moves every shared node that is worth it behind a memo.
pub(super) fn share(program: &mut Program) {
    let nodes = &program.nodes;
    let mut uses = Uses {
        bools: vec![0; nodes.bools.len()],
        integers: vec![0; nodes.integers.len()],
        reals: vec![0; nodes.reals.len()],
    };
    // Every node is counted once for each node that uses it, and once for each root.
    for node in &nodes.bools {
        count_bool(*node, nodes, &mut uses);
    }
    for node in &nodes.integers {
        count_integer(*node, nodes, &mut uses);
    }
    for node in &nodes.reals {
        count_real(*node, nodes, &mut uses);
    }
    for root in program.conditions.iter().chain(program.filters.iter().map(|filter| &filter.test)) {
        uses.bools[root.0 as usize] += 1;
    }
    for feature in &program.features {
        match feature.source {
            FeatureSource::Integer(id) => uses.integers[id.0 as usize] += 1,
            FeatureSource::Real(id) => uses.reals[id.0 as usize] += 1,
        }
    }
    let settled = Settled::find(&program.nodes);
    let nodes = &mut program.nodes;
    for index in 0..uses.bools.len() {
        let node = nodes.bools[index];
        if uses.bools[index] > 1 && is_costly_bool(node) && !settled.bools[index] {
            let inside = BoolId(nodes.bools.len() as u32);
            nodes.bools.push(node);
            nodes.bools[index] = Bool::Shared(program.bool_slots as u32, inside);
            program.bool_slots += 1;
        }
    }
    for index in 0..uses.integers.len() {
        let node = nodes.integers[index];
        if uses.integers[index] > 1 && matches!(node, Integer::Lookup(..)) && !settled.integers[index] {
            let inside = IntegerId(nodes.integers.len() as u32);
            nodes.integers.push(node);
            nodes.integers[index] = Integer::Shared(program.integer_slots as u32, inside);
            program.integer_slots += 1;
        }
    }
    for index in 0..uses.reals.len() {
        let node = nodes.reals[index];
        let costly = matches!(node, Real::Lookup(..) | Real::Divide(..) | Real::Multiply(..));
        if uses.reals[index] > 1 && costly && !settled.reals[index] {
            let inside = RealId(nodes.reals.len() as u32);
            nodes.reals.push(node);
            nodes.reals[index] = Real::Shared(program.real_slots as u32, inside);
            program.real_slots += 1;
        }
    }
}

/// Whether a test costs more than looking it up in the memo.
fn is_costly_bool(node: Bool) -> bool {
    matches!(
        node,
        Bool::All(_)
            | Bool::Any(_)
            | Bool::InList { .. }
            | Bool::TextIn { .. }
            | Bool::AddressIn { .. }
            | Bool::StartsWith(..)
            | Bool::Texts { .. }
            | Bool::Reals(..)
    )
}

/// The nodes that read a verdict or an outcome: their answer changes while filters are settled, so that it is never
/// remembered.
struct Settled {
    bools: Vec<bool>,
    integers: Vec<bool>,
    reals: Vec<bool>,
}

impl Settled {
    fn find(nodes: &Nodes) -> Self {
        let mut settled = Self {
            bools: vec![false; nodes.bools.len()],
            integers: vec![false; nodes.integers.len()],
            reals: vec![false; nodes.reals.len()],
        };
        // A node stands behind the nodes it uses only inside its own arena, so that marks may need another round.
        loop {
            let before = settled.marks();
            for index in 0..nodes.integers.len() {
                settled.integers[index] |= settled.integer(nodes.integers[index], nodes);
            }
            for index in 0..nodes.reals.len() {
                settled.reals[index] |= settled.real(nodes.reals[index], nodes);
            }
            for index in 0..nodes.bools.len() {
                settled.bools[index] |= settled.bool(nodes.bools[index], nodes);
            }
            if settled.marks() == before {
                return settled;
            }
        }
    }

    fn marks(&self) -> usize {
        let all = self.bools.iter().chain(&self.integers).chain(&self.reals);
        all.filter(|marked| **marked).count()
    }

    fn bool(&self, node: Bool, nodes: &Nodes) -> bool {
        let mut uses = UsesOf::default();
        bool_uses(node, nodes, &mut uses);
        self.any(&uses)
    }

    fn integer(&self, node: Integer, nodes: &Nodes) -> bool {
        let mut uses = UsesOf::default();
        integer_uses(node, nodes, &mut uses);
        matches!(node, Integer::Verdict | Integer::Outcome) || self.any(&uses)
    }

    fn real(&self, node: Real, nodes: &Nodes) -> bool {
        let mut uses = UsesOf::default();
        real_uses(node, nodes, &mut uses);
        self.any(&uses)
    }

    fn any(&self, uses: &UsesOf) -> bool {
        uses.bools.iter().any(|id| self.bools[id.0 as usize])
            || uses.integers.iter().any(|id| self.integers[id.0 as usize])
            || uses.reals.iter().any(|id| self.reals[id.0 as usize])
    }
}

/// What one node uses; texts are looked through.
#[derive(Default)]
struct UsesOf {
    bools: Vec<BoolId>,
    integers: Vec<IntegerId>,
    reals: Vec<RealId>,
}

fn count_bool(node: Bool, nodes: &Nodes, uses: &mut Uses) {
    let mut found = UsesOf::default();
    bool_uses(node, nodes, &mut found);
    count(&found, uses);
}

fn count_integer(node: Integer, nodes: &Nodes, uses: &mut Uses) {
    let mut found = UsesOf::default();
    integer_uses(node, nodes, &mut found);
    count(&found, uses);
}

fn count_real(node: Real, nodes: &Nodes, uses: &mut Uses) {
    let mut found = UsesOf::default();
    real_uses(node, nodes, &mut found);
    count(&found, uses);
}

fn count(found: &UsesOf, uses: &mut Uses) {
    found.bools.iter().for_each(|id| uses.bools[id.0 as usize] += 1);
    found.integers.iter().for_each(|id| uses.integers[id.0 as usize] += 1);
    found.reals.iter().for_each(|id| uses.reals[id.0 as usize] += 1);
}

fn bool_uses(node: Bool, nodes: &Nodes, uses: &mut UsesOf) {
    match node {
        Bool::Constant(_)
        | Bool::Coded(_)
        | Bool::Amount(..)
        | Bool::Aggregate(..)
        | Bool::Addresses { .. }
        | Bool::AddressIn { .. }
        | Bool::HasAddress(_) => {}
        Bool::Not(inside) | Bool::Shared(_, inside) => uses.bools.push(inside),
        Bool::All(branches) | Bool::Any(branches) => uses.bools.extend(&nodes.branches[branches.0 as usize]),
        Bool::Integers(_, left, right) => uses.integers.extend([left, right]),
        Bool::Reals(_, left, right) => uses.reals.extend([left, right]),
        Bool::Integer(_, value, _) | Bool::IntegerIn { value, .. } | Bool::HasInteger(value) | Bool::Truth(value) => {
            uses.integers.push(value);
        }
        Bool::Real(_, value, _) | Bool::RealIn { value, .. } | Bool::HasReal(value) => uses.reals.push(value),
        Bool::Texts { left, right, .. } | Bool::StartsWith(left, right) => {
            text_uses(left, nodes, uses);
            text_uses(right, nodes, uses);
        }
        Bool::TextIn { value, .. } | Bool::HasText(value) => text_uses(value, nodes, uses),
        Bool::InList { value, .. } => lookup_uses(value, nodes, uses),
    }
}

fn integer_uses(node: Integer, nodes: &Nodes, uses: &mut UsesOf) {
    match node {
        Integer::Missing
        | Integer::Constant(_)
        | Integer::Amount
        | Integer::Time
        | Integer::LocalTime
        | Integer::Field(_)
        | Integer::Aggregate(_)
        | Integer::AggregateCode(..)
        | Integer::Verdict
        | Integer::Outcome => {}
        Integer::Negate(inside) | Integer::Calendar(_, inside) | Integer::Shared(_, inside) => {
            uses.integers.push(inside);
        }
        Integer::Add(left, right) | Integer::Subtract(left, right) | Integer::Multiply(left, right) => {
            uses.integers.extend([left, right]);
        }
        Integer::Rounded(inside) => uses.reals.push(inside),
        Integer::Truth(inside) => uses.bools.push(inside),
        Integer::Lookup(_, key, default) => {
            lookup_uses(key, nodes, uses);
            uses.integers.push(default);
        }
    }
}

fn real_uses(node: Real, nodes: &Nodes, uses: &mut UsesOf) {
    match node {
        Real::Missing | Real::Constant(_) | Real::Score | Real::Field(_) | Real::Aggregate(_) => {}
        Real::Integer(inside) => uses.integers.push(inside),
        Real::Negate(inside) | Real::Shared(_, inside) => uses.reals.push(inside),
        Real::Add(left, right)
        | Real::Subtract(left, right)
        | Real::Multiply(left, right)
        | Real::Divide(left, right) => uses.reals.extend([left, right]),
        Real::Lookup(_, key, default) => {
            lookup_uses(key, nodes, uses);
            uses.reals.push(default);
        }
    }
}

fn text_uses(id: TextId, nodes: &Nodes, uses: &mut UsesOf) {
    match nodes.texts[id.0 as usize] {
        Text::Missing | Text::Constant(_) | Text::Field(_) | Text::Aggregate(_) => {}
        Text::Country(number) | Text::Currency(number) | Text::Mcc(number) => uses.integers.push(number),
        Text::Lookup(_, key, default) => {
            lookup_uses(key, nodes, uses);
            text_uses(default, nodes, uses);
        }
    }
}

fn lookup_uses(key: Lookup, nodes: &Nodes, uses: &mut UsesOf) {
    if let Lookup::Text(text) = key {
        text_uses(text, nodes, uses);
    }
}
