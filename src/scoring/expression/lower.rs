//! Turns a checked tree into nodes, and what it asks of the windows into the plan. It reports only what is too large.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::{
    build::Builder,
    node::{Address, Bool, BoolId, Integer, IntegerId, Lookup, Real, RealId, Text, TextId},
    syntax::{Arithmetic, Comparison},
    typed::{Call, Kind, Literal, Network, Type, Typed},
};
use crate::scoring::{
    field::Field,
    money::{Country, Currency},
    plan::{Aggregate, AggregateId, FilterId, FilterTraits, Function, Key, KeyId, Plan},
};

/// The release asks for more aggregates, keys or filters than a plan can hold.
pub(super) struct Full;

/// A filter of the plan and its test.
#[derive(Clone, Copy)]
pub(super) struct Filter {
    pub(super) test: BoolId,
    pub(super) settles_later: bool,
    pub(super) reads_outcome: bool,
}

/// The nodes, the plan and the filters of a release while they grow.
#[derive(Default)]
pub(super) struct Lowering {
    pub(super) builder: Builder,
    pub(super) plan: Plan,
    pub(super) filters: Vec<Filter>,
    /// What each filter was compiled from.
    pub(super) filter_trees: Vec<Typed>,
    keys: HashMap<Key, KeyId, FxBuildHasher>,
    aggregates: HashMap<Aggregate, AggregateId, FxBuildHasher>,
    filter_ids: HashMap<BoolId, FilterId, FxBuildHasher>,
}

/// A value in the arena of its static type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    Integer(IntegerId),
    Real(RealId),
    Text(TextId),
    Address(Address),
}

impl Lowering {
    /// A test: what is missing is false.
    pub(super) fn test(&mut self, typed: &Typed) -> Result<BoolId, Full> {
        let node = match &typed.kind {
            Kind::Literal(Literal::Boolean(truth)) => Bool::Constant(*truth),
            Kind::Not(inside) => {
                let inside = self.test(inside)?;
                match self.builder.nodes.bools[inside.0 as usize] {
                    Bool::Not(twice) => return Ok(twice),
                    Bool::Constant(truth) => Bool::Constant(!truth),
                    _ => Bool::Not(inside),
                }
            }
            Kind::And(items) => {
                let items = self.tests(items)?;
                return Ok(self.builder.all(items));
            }
            Kind::Or(items) => {
                let items = self.tests(items)?;
                return Ok(self.builder.any(items));
            }
            Kind::Compare(comparison, left, right) => return self.compare(*comparison, left, right),
            Kind::InSet { negated, value, items } => return self.in_set(*negated, value, items),
            Kind::InList { negated, value, list, .. } => {
                Bool::InList { negated: *negated, value: self.lookup_key(value)?, list: *list }
            }
            Kind::InNetworks { negated, value, networks } => {
                return self.in_networks(*negated, value, networks.clone());
            }
            Kind::StartsWith(value, prefix) => Bool::StartsWith(self.text(value)?, self.text(prefix)?),
            Kind::Has(inside) => match (&inside.kind, self.value(inside)?) {
                (_, Value::Integer(inside)) => Bool::HasInteger(inside),
                (_, Value::Real(inside)) => Bool::HasReal(inside),
                (_, Value::Text(inside)) => Bool::HasText(inside),
                (_, Value::Address(inside)) => Bool::HasAddress(inside),
            },
            _ => {
                let Value::Integer(truth) = self.value(typed)? else {
                    return Ok(self.builder.bool(Bool::Constant(false)));
                };
                Bool::Truth(truth)
            }
        };
        Ok(self.builder.bool(node))
    }

    fn tests(&mut self, items: &[Typed]) -> Result<Vec<BoolId>, Full> {
        items.iter().map(|item| self.test(item)).collect()
    }

    fn compare(&mut self, comparison: Comparison, left: &Typed, right: &Typed) -> Result<BoolId, Full> {
        let negated = comparison == Comparison::NotEqual;
        // Text beside a code is compared as text.
        if left.of == Type::Text || right.of == Type::Text {
            let (left, right) = (self.text(left)?, self.text(right)?);
            return Ok(self.builder.bool(Bool::Texts { negated, left, right }));
        }
        if left.of == Type::Ip {
            return self.compare_addresses(negated, left, right);
        }
        let node = match (self.value(left)?, self.value(right)?) {
            (Value::Integer(left), Value::Integer(right)) => self.compare_integers(comparison, left, right),
            (left, right) => {
                let (left, right) = (self.as_real(left), self.as_real(right));
                match (self.builder.nodes.reals[left.0 as usize], self.builder.nodes.reals[right.0 as usize]) {
                    (_, Real::Constant(bits)) => Bool::Real(comparison, left, bits),
                    (Real::Constant(bits), _) => Bool::Real(comparison.mirrored(), right, bits),
                    _ => Bool::Reals(comparison, left, right),
                }
            }
        };
        Ok(self.builder.bool(node))
    }

    fn compare_integers(&mut self, comparison: Comparison, left: IntegerId, right: IntegerId) -> Bool {
        let nodes = &self.builder.nodes.integers;
        let (value, comparison, constant) = match (nodes[left.0 as usize], nodes[right.0 as usize]) {
            (Integer::Constant(left), Integer::Constant(right)) => {
                return Bool::Constant(comparison.holds(&left, &right));
            }
            (_, Integer::Constant(constant)) => (left, comparison, constant),
            (Integer::Constant(constant), _) => (right, comparison.mirrored(), constant),
            _ => return Bool::Integers(comparison, left, right),
        };
        match nodes[value.0 as usize] {
            Integer::Amount => Bool::Amount(comparison, constant),
            Integer::Aggregate(aggregate) => Bool::Aggregate(comparison, aggregate, constant),
            _ => Bool::Integer(comparison, value, constant),
        }
    }

    fn compare_addresses(&mut self, negated: bool, left: &Typed, right: &Typed) -> Result<BoolId, Full> {
        let (value, literal) = match (&left.kind, &right.kind) {
            (_, Kind::Literal(Literal::Ip(address))) => (left, *address),
            (Kind::Literal(Literal::Ip(address)), _) => (right, *address),
            _ => {
                let (Value::Address(left), Value::Address(right)) = (self.value(left)?, self.value(right)?) else {
                    return Ok(self.builder.bool(Bool::Constant(false)));
                };
                return Ok(self.builder.bool(Bool::Addresses { negated, left, right }));
            }
        };
        let prefix = if literal.is_ipv4() { 32 } else { 128 };
        self.in_networks(negated, value, vec![Network { address: literal, prefix }])
    }

    fn in_networks(&mut self, negated: bool, value: &Typed, networks: Vec<Network>) -> Result<BoolId, Full> {
        let node = match self.value(value)? {
            Value::Address(value) => Bool::AddressIn { negated, value, networks: self.builder.networks(networks) },
            _ => Bool::Constant(false),
        };
        Ok(self.builder.bool(node))
    }

    fn in_set(&mut self, negated: bool, value: &Typed, items: &[Literal]) -> Result<BoolId, Full> {
        let node = if value.of == Type::Text {
            let texts = items.iter().filter_map(|item| match item {
                Literal::Text(text) => Some(text.as_str().into()),
                _ => None,
            });
            let set = self.builder.text_set(texts.collect());
            Bool::TextIn { negated, value: self.text(value)?, set }
        } else {
            match self.value(value)? {
                Value::Integer(value) if !items.iter().any(|item| matches!(item, Literal::Number(_))) => {
                    let set = self.builder.integer_set(items.iter().filter_map(whole).collect());
                    Bool::IntegerIn { negated, value, set }
                }
                value => {
                    let numbers = items.iter().filter_map(|item| match item {
                        Literal::Number(number) => Some(*number),
                        other => whole(other).map(|whole| whole as f64),
                    });
                    let set = self.builder.real_set(numbers.collect());
                    Bool::RealIn { negated, value: self.as_real(value), set }
                }
            }
        };
        Ok(self.builder.bool(node))
    }

    /// A value in the arena of its type. Money and durations are whole where that is exact, else doubles.
    pub(super) fn value(&mut self, typed: &Typed) -> Result<Value, Full> {
        if let Some(value) = self.leaf(typed) {
            return Ok(value);
        }
        let value = match &typed.kind {
            Kind::Aggregate(call) => {
                let function = call.function;
                let id = self.aggregate(call)?;
                self.aggregate_value(function, typed.of, id)
            }
            Kind::Negate(inside) => match self.value(inside)? {
                Value::Integer(inside) => Value::Integer(self.builder.integer(Integer::Negate(inside))),
                inside => {
                    let inside = self.as_real(inside);
                    Value::Real(self.builder.real(Real::Negate(inside)))
                }
            },
            Kind::Arithmetic(operator, left, right) => {
                let (of, left, right) = (typed.of, self.value(left)?, self.value(right)?);
                self.arithmetic(*operator, of, left, right)
            }
            Kind::Calendar(calendar, moment) => {
                let moment = self.value(moment)?;
                let moment = self.as_integer(moment);
                Value::Integer(self.builder.integer(Integer::Calendar(*calendar, moment)))
            }
            Kind::Lookup { table, key, default, .. } => {
                let key = self.lookup_key(key)?;
                match typed.of {
                    Type::Number => {
                        let default = match default {
                            Some(default) => self.value(default)?,
                            None => Value::Real(self.builder.real(Real::Missing)),
                        };
                        let default = self.as_real(default);
                        Value::Real(self.builder.real(Real::Lookup(*table, key, default)))
                    }
                    Type::Text => {
                        let default = match default {
                            Some(default) => self.text(default)?,
                            None => self.builder.text(Text::Missing),
                        };
                        Value::Text(self.builder.text(Text::Lookup(*table, key, default)))
                    }
                    _ => {
                        let default = match default {
                            Some(default) => self.value(default)?,
                            None => Value::Integer(self.builder.integer(Integer::Missing)),
                        };
                        let default = self.as_integer(default);
                        Value::Integer(self.builder.integer(Integer::Lookup(*table, key, default)))
                    }
                }
            }
            _ => {
                let test = self.test(typed)?;
                Value::Integer(self.builder.integer(Integer::Truth(test)))
            }
        };
        Ok(value)
    }

    /// The value of what has no parts.
    fn leaf(&mut self, typed: &Typed) -> Option<Value> {
        let integer = match &typed.kind {
            Kind::Literal(Literal::Text(text)) => {
                let text = self.builder.string(text);
                return Some(Value::Text(self.builder.text(Text::Constant(text))));
            }
            Kind::Literal(Literal::Number(number)) => {
                return Some(Value::Real(self.builder.real(Real::Constant(number.to_bits()))));
            }
            Kind::Literal(literal) => Integer::Constant(whole(literal)?),
            Kind::Field(field) => match typed.of {
                Type::Text => return Some(Value::Text(self.builder.text(Text::Field(*field)))),
                Type::Ip => return Some(Value::Address(Address::Ip)),
                Type::Number => return Some(Value::Real(self.builder.real(Real::Field(*field)))),
                _ if *field == Field::Amount => Integer::Amount,
                _ if *field == Field::Time => Integer::Time,
                _ => Integer::Field(*field),
            },
            Kind::LocalTime => Integer::LocalTime,
            Kind::Score => return Some(Value::Real(self.builder.real(Real::Score))),
            Kind::Verdict => Integer::Verdict,
            Kind::Outcome => Integer::Outcome,
            Kind::Subnet(prefix) => return Some(Value::Address(Address::Subnet(*prefix))),
            _ => return None,
        };
        Some(Value::Integer(self.builder.integer(integer)))
    }

    fn aggregate_value(&mut self, function: Function, of: Type, id: AggregateId) -> Value {
        match (function, of) {
            // Means and deviations of money are not rounded.
            (Function::Mean(_) | Function::Stddev(_), _) | (_, Type::Number) => {
                Value::Real(self.builder.real(Real::Aggregate(id)))
            }
            (_, Type::Text) => Value::Text(self.builder.text(Text::Aggregate(id))),
            (_, Type::Ip) => Value::Address(Address::Aggregate(id)),
            (_, Type::Code(codes)) => Value::Integer(self.builder.integer(Integer::AggregateCode(id, codes))),
            _ => Value::Integer(self.builder.integer(Integer::Aggregate(id))),
        }
    }

    fn arithmetic(&mut self, operator: Arithmetic, of: Type, left: Value, right: Value) -> Value {
        if let (Value::Integer(left), Value::Integer(right)) = (left, right) {
            let node = match operator {
                Arithmetic::Add => Some(Integer::Add(left, right)),
                Arithmetic::Subtract => Some(Integer::Subtract(left, right)),
                Arithmetic::Multiply => Some(Integer::Multiply(left, right)),
                Arithmetic::Divide => None,
            };
            if let Some(node) = node {
                return Value::Integer(self.builder.integer(node));
            }
        }
        if of == Type::Time {
            // A moment is a whole number of milliseconds; what is added to it is rounded to that.
            let (left, right) = (self.as_integer(left), self.as_integer(right));
            let node = match operator {
                Arithmetic::Subtract => Integer::Subtract(left, right),
                _ => Integer::Add(left, right),
            };
            return Value::Integer(self.builder.integer(node));
        }
        let (left, right) = (self.as_real(left), self.as_real(right));
        let node = match operator {
            Arithmetic::Add => Real::Add(left, right),
            Arithmetic::Subtract => Real::Subtract(left, right),
            Arithmetic::Multiply => Real::Multiply(left, right),
            Arithmetic::Divide => Real::Divide(left, right),
        };
        Value::Real(self.builder.real(node))
    }

    /// A value as a double.
    pub(super) fn as_real(&mut self, value: Value) -> RealId {
        let node = match value {
            Value::Real(real) => return real,
            Value::Integer(integer) => match self.builder.nodes.integers[integer.0 as usize] {
                Integer::Constant(number) => Real::Constant((number as f64).to_bits()),
                Integer::Missing => Real::Missing,
                _ => Real::Integer(integer),
            },
            // The checker lets no text or address come here.
            Value::Text(_) | Value::Address(_) => Real::Missing,
        };
        self.builder.real(node)
    }

    fn as_integer(&mut self, value: Value) -> IntegerId {
        let node = match value {
            Value::Integer(integer) => return integer,
            Value::Real(real) => Integer::Rounded(real),
            // The checker lets no text or address come here.
            Value::Text(_) | Value::Address(_) => Integer::Missing,
        };
        self.builder.integer(node)
    }

    /// The text of a value: of a country or code, its letters.
    fn text(&mut self, typed: &Typed) -> Result<TextId, Full> {
        let node = match (&typed.kind, typed.of) {
            (Kind::Literal(Literal::Code(word, _)), _) => Text::Constant(self.builder.string(word)),
            (Kind::Field(field), Type::Code(_)) => Text::Field(*field),
            (Kind::Aggregate(call), Type::Code(_)) => Text::Aggregate(self.aggregate(call)?),
            _ => match (self.value(typed)?, typed.of) {
                (Value::Text(text), _) => return Ok(text),
                (Value::Integer(integer), Type::Country) => Text::Country(integer),
                (Value::Integer(integer), Type::Currency) => Text::Currency(integer),
                (Value::Integer(integer), Type::Mcc) => Text::Mcc(integer),
                // The checker lets nothing else come here.
                _ => Text::Missing,
            },
        };
        Ok(self.builder.text(node))
    }

    fn lookup_key(&mut self, typed: &Typed) -> Result<Lookup, Full> {
        if let Kind::Literal(Literal::Ip(_)) = typed.kind {
            return Ok(Lookup::Text(self.builder.text(Text::Missing)));
        }
        if typed.of == Type::Ip
            && let Value::Address(address) = self.value(typed)?
        {
            return Ok(Lookup::Address(address));
        }
        self.text(typed).map(Lookup::Text)
    }

    fn aggregate(&mut self, call: &Call) -> Result<AggregateId, Full> {
        let filter = call.filter.as_ref().map(|filter| self.filter(filter)).transpose()?;
        let key = self.key(&call.key)?;
        let &Call { function, window_ms, delay_ms, prior, .. } = call;
        let aggregate = Aggregate { function, key, window_ms, delay_ms, prior, filter };
        if let Some(id) = self.aggregates.get(&aggregate) {
            return Ok(*id);
        }
        let id = AggregateId(u16::try_from(self.plan.aggregates.len()).map_err(|_| Full)?);
        self.plan.aggregates.push(aggregate.clone());
        self.aggregates.insert(aggregate, id);
        Ok(id)
    }

    fn key(&mut self, key: &Key) -> Result<KeyId, Full> {
        if let Some(id) = self.keys.get(key) {
            return Ok(*id);
        }
        let id = KeyId(u16::try_from(self.plan.keys.len()).map_err(|_| Full)?);
        self.plan.keys.push(key.clone());
        self.keys.insert(key.clone(), id);
        Ok(id)
    }

    fn filter(&mut self, typed: &Typed) -> Result<FilterId, Full> {
        let test = self.test(typed)?;
        if let Some(id) = self.filter_ids.get(&test) {
            return Ok(*id);
        }
        let (mut reads_verdict, mut reads_outcome, mut tests_type) = (false, false, false);
        typed.walk(&mut |node| {
            reads_verdict |= matches!(node.kind, Kind::Verdict);
            reads_outcome |= matches!(node.kind, Kind::Outcome);
            tests_type |= matches!(node.kind, Kind::Field(Field::Type));
        });
        let settles_later = reads_verdict || reads_outcome;
        let id = self.plan.filter(FilterTraits { settles_later, tests_type }).ok_or(Full)?;
        self.filter_trees.push(typed.clone());
        self.filters.push(Filter { test, settles_later, reads_outcome });
        self.filter_ids.insert(test, id);
        Ok(id)
    }
}

/// The whole number of a literal, or the one that stands for it.
fn whole(literal: &Literal) -> Option<i64> {
    match literal {
        Literal::Money(number) | Literal::Integer(number) | Literal::Time(number) | Literal::Span(number) => {
            Some(*number)
        }
        Literal::Boolean(truth) => Some(i64::from(*truth)),
        Literal::Code(_, place) => Some(i64::from(*place)),
        Literal::Country(country) => Some(country_number(*country)),
        Literal::Currency(currency) => Some(currency_number(*currency)),
        Literal::Mcc(mcc) => Some(i64::from(*mcc)),
        Literal::Verdict(decision) => Some(*decision as i64),
        Literal::Outcome(state) => Some(*state as i64),
        Literal::Number(_) | Literal::Text(_) | Literal::Ip(_) => None,
    }
}

/// The number that stands for a country: its letters in base 26.
pub(super) fn country_number(country: Country) -> i64 {
    match country.code().as_bytes() {
        &[first, second] => i64::from(first.wrapping_sub(b'A')) * 26 + i64::from(second.wrapping_sub(b'A')),
        _ => -1,
    }
}

/// The number that stands for a currency.
pub(super) fn currency_number(currency: Currency) -> i64 {
    currency.index() as i64
}
