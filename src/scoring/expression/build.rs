//! Puts nodes into their arenas, each once: equal nodes share a place over all conditions and features.

use std::hash::Hash;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::{
    coded::AnyCode,
    node::{Bool, BoolId, Integer, IntegerId, Lookup, Nodes, PoolId, Real, RealId, Text, TextId},
    typed::Network,
};

type Places<K> = HashMap<K, u32, FxBuildHasher>;

/// The arenas of a program while it is built.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) nodes: Nodes,
    bools: Places<Bool>,
    integers: Places<Integer>,
    reals: Places<Real>,
    texts: Places<Text>,
    branches: Places<Box<[BoolId]>>,
    integer_sets: Places<Box<[i64]>>,
    real_sets: Places<Box<[u64]>>,
    text_sets: Places<Box<[Box<str>]>>,
    strings: Places<Box<str>>,
    networks: Places<Box<[Network]>>,
    /// What evaluating each node costs, in units of about a nanosecond.
    bool_costs: Vec<u32>,
    integer_costs: Vec<u32>,
    real_costs: Vec<u32>,
}

/// The place of an item, which is added if it is new.
fn place<T: Clone + Eq + Hash>(places: &mut Places<T>, items: &mut Vec<T>, item: T) -> u32 {
    if let Some(index) = places.get(&item) {
        return *index;
    }
    // An arena of 2^32 nodes would not fit in memory; the limits on sources keep far below.
    let index = u32::try_from(items.len()).unwrap_or(u32::MAX);
    places.insert(item.clone(), index);
    items.push(item);
    index
}

impl Builder {
    pub(super) fn bool(&mut self, node: Bool) -> BoolId {
        let node = match self.codes_of(node) {
            Some(codes) if codes.is_empty() => Bool::Constant(false),
            Some(codes) => Bool::Coded(codes),
            None => node,
        };
        let id = BoolId(place(&mut self.bools, &mut self.nodes.bools, node));
        if self.bool_costs.len() < self.nodes.bools.len() {
            let cost = self.bool_cost(node);
            self.bool_costs.push(cost);
        }
        id
    }

    pub(super) fn integer(&mut self, node: Integer) -> IntegerId {
        let id = IntegerId(place(&mut self.integers, &mut self.nodes.integers, node));
        if self.integer_costs.len() < self.nodes.integers.len() {
            let cost = self.integer_cost(node);
            self.integer_costs.push(cost);
        }
        id
    }

    pub(super) fn real(&mut self, node: Real) -> RealId {
        let id = RealId(place(&mut self.reals, &mut self.nodes.reals, node));
        if self.real_costs.len() < self.nodes.reals.len() {
            let cost = self.real_cost(node);
            self.real_costs.push(cost);
        }
        id
    }

    pub(super) fn text(&mut self, node: Text) -> TextId {
        TextId(place(&mut self.texts, &mut self.nodes.texts, node))
    }

    pub(super) fn string(&mut self, text: &str) -> PoolId {
        PoolId(place(&mut self.strings, &mut self.nodes.strings, text.into()))
    }

    pub(super) fn integer_set(&mut self, mut items: Vec<i64>) -> PoolId {
        items.sort_unstable();
        items.dedup();
        PoolId(place(&mut self.integer_sets, &mut self.nodes.integer_sets, items.into()))
    }

    pub(super) fn real_set(&mut self, items: Vec<f64>) -> PoolId {
        let items: Vec<u64> = items.into_iter().map(f64::to_bits).collect();
        PoolId(place(&mut self.real_sets, &mut self.nodes.real_sets, items.into()))
    }

    pub(super) fn text_set(&mut self, mut items: Vec<Box<str>>) -> PoolId {
        items.sort_unstable();
        items.dedup();
        PoolId(place(&mut self.text_sets, &mut self.nodes.text_sets, items.into()))
    }

    pub(super) fn networks(&mut self, networks: Vec<Network>) -> PoolId {
        PoolId(place(&mut self.networks, &mut self.nodes.networks, networks.into()))
    }

    /// What is true when every item is. The cheapest is asked first, which no answer can show: nothing has effects.
    pub(super) fn all(&mut self, items: Vec<BoolId>) -> BoolId {
        self.join(items, Bool::All, true)
    }

    /// What is true when any item is.
    pub(super) fn any(&mut self, items: Vec<BoolId>) -> BoolId {
        self.join(items, Bool::Any, false)
    }

    /// The codes that a test asks for, if it asks for nothing else.
    fn codes_of(&self, test: Bool) -> Option<AnyCode> {
        let among = |value: IntegerId, passes: &dyn Fn(i64) -> bool| match self.nodes.integers[value.0 as usize] {
            Integer::Field(field) => AnyCode::among(field, passes),
            _ => None,
        };
        match test {
            Bool::Integer(comparison, value, constant) => among(value, &|code| comparison.holds(&code, &constant)),
            Bool::IntegerIn { negated, value, set } => {
                let set = &self.nodes.integer_sets[set.0 as usize];
                among(value, &|code| set.contains(&code) != negated)
            }
            Bool::HasInteger(value) => among(value, &|_| true),
            Bool::Not(inside) => match self.nodes.bools[inside.0 as usize] {
                Bool::Coded(codes) => codes.others(),
                _ => None,
            },
            _ => None,
        }
    }

    /// Makes one test of those that ask for nothing but codes, as far as one can say the same.
    fn join_codes(&mut self, items: &mut Vec<BoolId>, join: fn(AnyCode, AnyCode) -> Option<AnyCode>) {
        let mut joined: Vec<AnyCode> = Vec::new();
        items.retain(|item| {
            let Bool::Coded(codes) = self.nodes.bools[item.0 as usize] else { return true };
            match joined.iter_mut().find_map(|known| Some((join(*known, codes)?, known))) {
                Some((both, known)) => *known = both,
                None => joined.push(codes),
            }
            false
        });
        for codes in joined {
            let test = if codes.is_empty() { Bool::Constant(false) } else { Bool::Coded(codes) };
            items.push(self.bool(test));
        }
    }

    fn join(&mut self, mut items: Vec<BoolId>, node: fn(PoolId) -> Bool, neutral: bool) -> BoolId {
        let join = if neutral { AnyCode::and } else { |left: AnyCode, right| Some(left.or(right)) };
        self.join_codes(&mut items, join);
        items.retain(|item| self.nodes.bools[item.0 as usize] != Bool::Constant(neutral));
        if items.iter().any(|item| self.nodes.bools[item.0 as usize] == Bool::Constant(!neutral)) {
            return self.bool(Bool::Constant(!neutral));
        }
        items.sort_unstable_by_key(|item| (self.bool_costs[item.0 as usize], *item));
        items.dedup();
        match items[..] {
            [] => self.bool(Bool::Constant(neutral)),
            [only] => only,
            _ => {
                let branches = PoolId(place(&mut self.branches, &mut self.nodes.branches, items.into()));
                self.bool(node(branches))
            }
        }
    }

    fn bool_cost(&self, node: Bool) -> u32 {
        match node {
            Bool::Constant(_) | Bool::Coded(_) | Bool::Shared(..) => 1,
            Bool::Amount(..) | Bool::Aggregate(..) => 2,
            Bool::Not(inside) => self.cost_of(inside).saturating_add(1),
            Bool::All(branches) | Bool::Any(branches) => {
                let branches = &self.nodes.branches[branches.0 as usize];
                branches.iter().fold(2, |cost, branch| cost.saturating_add(self.cost_of(*branch)))
            }
            Bool::Integer(_, value, _) | Bool::HasInteger(value) | Bool::Truth(value) => {
                self.integer_costs[value.0 as usize].saturating_add(1)
            }
            Bool::IntegerIn { value, .. } => self.integer_costs[value.0 as usize].saturating_add(3),
            Bool::Real(_, value, _) | Bool::HasReal(value) => self.real_costs[value.0 as usize].saturating_add(1),
            Bool::RealIn { value, .. } => self.real_costs[value.0 as usize].saturating_add(3),
            Bool::Integers(_, left, right) => {
                self.integer_costs[left.0 as usize].saturating_add(self.integer_costs[right.0 as usize])
            }
            Bool::Reals(_, left, right) => {
                self.real_costs[left.0 as usize].saturating_add(self.real_costs[right.0 as usize])
            }
            Bool::HasText(_) | Bool::HasAddress(_) => 3,
            Bool::Texts { .. } | Bool::StartsWith(..) | Bool::AddressIn { .. } | Bool::Addresses { .. } => 8,
            Bool::TextIn { .. } => 12,
            Bool::InList { value: Lookup::Text(_), .. } => 40,
            Bool::InList { value: Lookup::Address(_), .. } => 80,
        }
    }

    fn integer_cost(&self, node: Integer) -> u32 {
        match node {
            Integer::Missing | Integer::Constant(_) | Integer::Amount | Integer::Time => 1,
            Integer::LocalTime | Integer::Aggregate(_) | Integer::Verdict | Integer::Outcome | Integer::Shared(..) => 2,
            Integer::Field(_) => 3,
            Integer::AggregateCode(..) => 12,
            Integer::Negate(inside) => self.integer_costs[inside.0 as usize].saturating_add(1),
            Integer::Calendar(_, inside) => self.integer_costs[inside.0 as usize].saturating_add(4),
            Integer::Add(left, right) | Integer::Subtract(left, right) | Integer::Multiply(left, right) => {
                let sides = self.integer_costs[left.0 as usize].saturating_add(self.integer_costs[right.0 as usize]);
                sides.saturating_add(2)
            }
            Integer::Rounded(inside) => self.real_costs[inside.0 as usize].saturating_add(4),
            Integer::Truth(inside) => self.cost_of(inside).saturating_add(1),
            Integer::Lookup(..) => 40,
        }
    }

    fn real_cost(&self, node: Real) -> u32 {
        match node {
            Real::Missing | Real::Constant(_) | Real::Score => 1,
            Real::Aggregate(_) | Real::Shared(..) => 2,
            Real::Field(_) => 3,
            Real::Integer(inside) => self.integer_costs[inside.0 as usize].saturating_add(1),
            Real::Negate(inside) => self.real_costs[inside.0 as usize].saturating_add(1),
            Real::Add(left, right)
            | Real::Subtract(left, right)
            | Real::Multiply(left, right)
            | Real::Divide(left, right) => {
                let sides = self.real_costs[left.0 as usize].saturating_add(self.real_costs[right.0 as usize]);
                sides.saturating_add(3)
            }
            Real::Lookup(..) => 40,
        }
    }

    /// What evaluating a node costs.
    pub(super) fn cost_of(&self, id: BoolId) -> u32 {
        self.bool_costs[id.0 as usize]
    }
}
