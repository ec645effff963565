//! Finds the words for a test or a value when a release is compiled.

use std::fmt::Write as _;

use super::{Sentence, Shown, Subject, Tail, Told, ToldFeature, is_public};
use crate::scoring::{
    expression::{
        environment::Environment,
        lower::{Full, Lowering, Value},
        print,
        syntax::{Arithmetic, Comparison},
        typed::{Calendar, Call, Kind, Literal, Type, Typed},
    },
    field::Field,
    plan::{Function, Key, KeyPart},
    time::Span,
};

/// How many values of a list are named.
const NAMED_MAX: usize = 5;

/// Finds words, and the nodes of the values between them.
pub(crate) struct Phrases<'p, 'e> {
    pub(crate) lowering: &'p mut Lowering,
    pub(crate) environment: Environment<'e>,
}

impl Phrases<'_, '_> {
    /// How a test is told.
    pub(crate) fn told(&mut self, typed: &Typed) -> Result<Told, Full> {
        Ok(match &typed.kind {
            Kind::And(items) => Told::All(self.all(items.iter().filter(|item| !is_told_beside(item, items)))?),
            Kind::Or(items) => Told::Any(self.all(items)?),
            Kind::Not(inside) => Told::Not(Box::new(self.told(inside)?)),
            _ => Told::Sentence(Box::new(self.sentence(typed)?)),
        })
    }

    /// How a feature is told.
    pub(crate) fn feature(&mut self, typed: &Typed) -> Result<ToldFeature, Full> {
        if typed.of == Type::Boolean {
            let test = self.lowering.test(typed)?;
            return Ok(ToldFeature::Test(test, self.told(typed)?));
        }
        self.subject(typed).map(ToldFeature::Value)
    }

    fn all<'t>(&mut self, items: impl IntoIterator<Item = &'t Typed>) -> Result<Vec<Told>, Full> {
        items.into_iter().map(|item| self.told(item)).collect()
    }

    fn sentence(&mut self, typed: &Typed) -> Result<Sentence, Full> {
        let test = self.lowering.test(typed)?;
        let (subject, holds, fails) = match &typed.kind {
            Kind::Compare(comparison, left, right) => {
                let mirrored = matches!(left.kind, Kind::Literal(_)) && !matches!(right.kind, Kind::Literal(_));
                if mirrored {
                    self.comparison(comparison.mirrored(), right, left)?
                } else {
                    self.comparison(*comparison, left, right)?
                }
            }
            Kind::InSet { negated, value, items } => {
                let (one, none) = if is_public(value) {
                    let named = self.named(items);
                    (format!(", one of {named}"), format!(", none of {named}"))
                } else {
                    let count = items.len();
                    (format!("is one of {count} named"), format!("is none of {count} named"))
                };
                self.membership(value, *negated, &one, &none)?
            }
            Kind::InList { negated, value, name, .. } => {
                let (on, off) = if is_public(value) {
                    (format!(", on list {name}"), format!(", not on list {name}"))
                } else {
                    (format!("is on list {name}"), format!("is not on list {name}"))
                };
                self.membership(value, *negated, &on, &off)?
            }
            Kind::InNetworks { negated, value, .. } => {
                self.membership(value, *negated, "is in a network named", "is in no network named")?
            }
            Kind::StartsWith(value, prefix) => {
                let words = match (&prefix.kind, is_public(value)) {
                    (Kind::Literal(Literal::Text(text)), true) => {
                        [format!(", begins with {text}"), format!(", does not begin with {text}")]
                    }
                    (_, true) => [", begins as named".to_owned(), ", does not begin as named".to_owned()],
                    _ => ["begins as named".to_owned(), "does not begin as named".to_owned()],
                };
                self.membership(value, false, &words[0], &words[1])?
            }
            Kind::Has(inside) => {
                let noun = self.noun(inside);
                (bare(&noun), words(" is there"), words(" is missing"))
            }
            Kind::Calendar(Calendar::Night, moment) => {
                let place = if matches!(moment.kind, Kind::LocalTime) { " (local time)" } else { "" };
                (bare("it is"), words(&format!(" night{place}")), words(&format!(" not night{place}")))
            }
            Kind::Calendar(Calendar::Weekend, moment) => {
                let place = if matches!(moment.kind, Kind::LocalTime) { " (local time)" } else { "" };
                (bare("it is"), words(&format!(" a weekend{place}")), words(&format!(" not a weekend{place}")))
            }
            _ => (bare(&self.noun(typed)), words(" is true"), words(" is not true")),
        };
        Ok(Sentence { test, subject, holds, fails })
    }

    fn comparison(
        &mut self,
        comparison: Comparison,
        value: &Typed,
        other: &Typed,
    ) -> Result<(Subject, Tail, Tail), Full> {
        if !is_public(value) || !is_public(other) {
            let (value, other) = (
                self.noun(value),
                match other.kind {
                    Kind::Literal(_) => "the one named".to_owned(),
                    _ => self.noun(other),
                },
            );
            let (is, is_not) = (format!(" is {other}"), format!(" is not {other}"));
            return Ok(match comparison {
                Comparison::NotEqual => (bare(&value), words(&is_not), words(&is)),
                _ => (bare(&value), words(&is), words(&is_not)),
            });
        }
        let subject = self.subject(value)?;
        let limit = match &other.kind {
            Kind::Literal(literal) => Err(self.literal(literal)),
            _ => Ok(self.shown(other)?),
        };
        let tail = |words: &str| match &limit {
            Err(text) => Tail { words: format!("{words}{text}").into(), value: None },
            Ok(shown) => Tail { words: words.into(), value: *shown },
        };
        let plain = matches!(other.kind, Kind::Literal(_));
        let beside = format!(", {} is ", self.noun(other));
        Ok(match comparison {
            Comparison::Equal if plain => (subject, Tail::default(), tail(", not ")),
            Comparison::NotEqual if plain => (subject, tail(", not "), Tail::default()),
            Comparison::Equal | Comparison::NotEqual => (subject, tail(&beside), tail(&beside)),
            _ => (subject, tail(", limit "), tail(", limit ")),
        })
    }

    fn membership(&mut self, value: &Typed, negated: bool, yes: &str, no: &str) -> Result<(Subject, Tail, Tail), Full> {
        let (subject, yes, no) = if is_public(value) {
            (self.subject(value)?, words(yes), words(no))
        } else {
            (bare(&self.noun(value)), words(&format!(" {yes}")), words(&format!(" {no}")))
        };
        Ok(if negated { (subject, no, yes) } else { (subject, yes, no) })
    }

    /// A value in words.
    pub(crate) fn subject(&mut self, typed: &Typed) -> Result<Subject, Full> {
        if !is_public(typed) {
            return Ok(bare(&format!("{} is there", self.noun(typed))));
        }
        let shown = self.shown(typed)?;
        let noun = self.noun(typed);
        let (before, after_one, after, shown) = match &typed.kind {
            Kind::Aggregate(call) => {
                let (before, after_one, after) = self.aggregate(call);
                (before, after_one, after, shown)
            }
            Kind::Arithmetic(Arithmetic::Divide, left, right) => match (&right.kind, shown) {
                (Kind::Aggregate(call), Some(Shown::Number(ratio))) if is_measured(call) => {
                    let times = format!(" times {}", self.possessive(call));
                    (format!("{} is ", self.noun(left)), times.clone(), times, Some(Shown::Times(ratio)))
                }
                _ => (format!("{noun} is "), String::new(), String::new(), shown),
            },
            _ => (format!("{noun} is "), String::new(), String::new(), shown),
        };
        Ok(Subject {
            before: before.into(),
            value: shown,
            after_one: after_one.into(),
            after: after.into(),
            noun: noun.into(),
        })
    }

    /// The words before an aggregate's value, and those behind one and behind many.
    fn aggregate(&self, call: &Call) -> (String, String, String) {
        let rest = self.rest(call);
        let counted = |one: &str, many: &str| (String::new(), format!(" {one} {rest}"), format!(" {many} {rest}"));
        let named = |what: &str| (format!("{what} {rest} is "), String::new(), String::new());
        let name = |field: Field| field.name(self.environment.schema).replace('_', " ");
        match call.function {
            Function::Count => {
                let mut tests_type = false;
                if let Some(filter) = &call.filter {
                    filter.walk(&mut |node| tests_type |= matches!(node.kind, Kind::Field(Field::Type)));
                }
                if tests_type {
                    counted("transaction", "transactions")
                } else {
                    counted("authorisation", "authorisations")
                }
            }
            Function::Distinct(field) => {
                counted(&format!("distinct {}", name(field)), &format!("distinct {}", plural(&name(field))))
            }
            Function::Sum(Field::Amount) => counted("spent", "spent"),
            Function::Frauds => counted("fraud", "frauds"),
            Function::Sum(field) => named(&format!("sum of {}", name(field))),
            Function::Mean(field) => named(&format!("mean {}", name(field))),
            Function::Min(field) => named(&format!("least {}", name(field))),
            Function::Max(field) => named(&format!("largest {}", name(field))),
            Function::Stddev(field) => named(&format!("deviation of {}", name(field))),
            Function::Last(field) => named(&format!("last {}", name(field))),
            Function::FraudRate => named("fraud rate"),
            Function::SinceLast => {
                let words = format!(" since the last authorisation {}", self.place(&call.key));
                (String::new(), words.clone(), words)
            }
            Function::Age => {
                let are = if call.key.0.len() > 1 { "are" } else { "is" };
                (format!("{} {are} known for ", self.key_words(&call.key)), String::new(), String::new())
            }
            Function::SpeedKmh => ("card moves at ".to_owned(), " km/h".to_owned(), " km/h".to_owned()),
        }
    }

    /// `on this card in 10m`, with what else narrows an aggregate.
    fn rest(&self, call: &Call) -> String {
        let mut rest = self.place(&call.key);
        if call.window_ms > 0 {
            let _ = write!(rest, " in {}", Span(call.window_ms));
        }
        if call.delay_ms > 0 {
            let _ = write!(rest, " until {} ago", Span(call.delay_ms));
        }
        if call.prior {
            rest.push_str(" before");
        }
        if let Some(filter) = &call.filter {
            let mut public = true;
            filter.walk(&mut |node| public &= is_public(node));
            if public {
                let _ = write!(rest, " where {}", print::text(filter, self.environment));
            } else {
                rest.push_str(" that pass a test");
            }
        }
        rest
    }

    /// `the card's mean of 7d`.
    fn possessive(&self, call: &Call) -> String {
        let what = match call.function {
            Function::Mean(_) => "mean",
            Function::Stddev(_) => "deviation",
            Function::Max(_) => "largest",
            Function::Min(_) => "least",
            Function::Sum(_) => "sum",
            _ => "count",
        };
        format!("the {}'s {what} of {}", self.key_words(&call.key), Span(call.window_ms))
    }

    /// `on this card`.
    fn place(&self, key: &Key) -> String {
        let preposition = match key.0.first() {
            Some(KeyPart::Field(Field::Merchant | Field::Terminal)) => "at",
            Some(KeyPart::Field(
                Field::Country | Field::IssuerCountry | Field::BillingCountry | Field::ShippingCountry | Field::Mcc,
            )) => "in",
            Some(KeyPart::Field(Field::Ip) | KeyPart::Subnet(_)) => "from",
            Some(KeyPart::Field(Field::Customer)) => "by",
            Some(KeyPart::Field(Field::Amount)) => "of",
            Some(KeyPart::Field(Field::Card | Field::Device | Field::Bin | Field::Wallet)) => "on",
            _ => "with",
        };
        format!("{preposition} this {}", self.key_words(key))
    }

    fn key_words(&self, key: &Key) -> String {
        let words: Vec<String> = key
            .0
            .iter()
            .map(|part| match part {
                KeyPart::Field(Field::Attribute(index)) => self.environment.schema.key(*index).replace('_', " "),
                KeyPart::Field(field) => field.name(self.environment.schema).replace('_', " "),
                KeyPart::Subnet(_) => "network".to_owned(),
            })
            .collect();
        words.join(" and ")
    }

    /// What a value is called.
    fn noun(&self, typed: &Typed) -> String {
        if let Kind::Aggregate(call) = &typed.kind {
            let (before, _, after) = self.aggregate(call);
            return match call.function {
                Function::Age => format!("time since {} first came", self.key_words(&call.key)),
                Function::SpeedKmh => "speed of the card".to_owned(),
                _ if !before.is_empty() => before.strip_suffix(" is ").unwrap_or(before.trim_end()).to_owned(),
                Function::Count => format!("count {}", self.rest(call)),
                Function::Sum(_) => format!("sum {}", self.rest(call)),
                Function::SinceLast => format!("time{after}"),
                _ => after.trim_start().to_owned(),
            };
        }
        let mut public = true;
        typed.walk(&mut |node| {
            public &= !matches!(node.kind, Kind::Literal(Literal::Text(_) | Literal::Ip(_)));
        });
        if public { print::text(typed, self.environment) } else { "the value".to_owned() }
    }

    /// Literals of a list, the first of them by name.
    fn named(&self, items: &[Literal]) -> String {
        let mut named: Vec<_> = items.iter().take(NAMED_MAX).map(|item| self.literal(item)).collect();
        if items.len() > NAMED_MAX {
            named.push(format!("{} more", items.len() - NAMED_MAX));
        }
        named.join(", ")
    }

    /// A literal without the quotes of the language.
    fn literal(&self, literal: &Literal) -> String {
        match literal {
            Literal::Number(number) => number.to_string(),
            Literal::Text(text) => text.clone(),
            _ => print::literal_text(literal, self.environment.rates.base()).trim_matches('"').to_owned(),
        }
    }

    /// How a value is shown; `None` for one that is not.
    pub(crate) fn shown(&mut self, typed: &Typed) -> Result<Option<Shown>, Full> {
        if !is_public(typed) {
            return Ok(None);
        }
        Ok(match (typed.of, self.lowering.value(typed)?) {
            (Type::Money, Value::Integer(id)) => Some(Shown::Money(id)),
            (Type::Money, Value::Real(id)) => Some(Shown::MoneyReal(id)),
            (Type::Span, Value::Integer(id)) => Some(Shown::Span(id)),
            (Type::Span, Value::Real(id)) => Some(Shown::SpanReal(id)),
            (Type::Time, Value::Integer(id)) => Some(Shown::Time(id)),
            (Type::Country, Value::Integer(id)) => Some(Shown::Country(id)),
            (Type::Currency, Value::Integer(id)) => Some(Shown::Currency(id)),
            (Type::Mcc, Value::Integer(id)) => Some(Shown::Mcc(id)),
            (Type::Code(codes), Value::Integer(id)) => Some(Shown::Code(id, codes)),
            (Type::Boolean, Value::Integer(id)) => Some(Shown::Truth(id)),
            (_, Value::Integer(id)) => Some(Shown::Integer(id)),
            (_, Value::Real(id)) => Some(Shown::Number(id)),
            (_, Value::Text(id)) => Some(Shown::Text(id)),
            (_, Value::Address(_)) => None,
        })
    }
}

/// Whether text may be shown: a merchant, terminal, wallet, processor or BIN says nothing of a person, and neither does
/// what rules or tables hold.
pub(super) fn is_public_text(typed: &Typed) -> bool {
    match &typed.kind {
        Kind::Field(field) => is_public_field(*field),
        Kind::Aggregate(call) => match call.function {
            Function::Last(field) => is_public_field(field),
            _ => true,
        },
        Kind::Literal(_) | Kind::Lookup { .. } => true,
        _ => false,
    }
}

fn is_public_field(field: Field) -> bool {
    matches!(field, Field::Merchant | Field::Terminal | Field::Wallet | Field::Processor | Field::Bin)
}

/// Whether a part of a conjunction only asks for a field whose value another part tells.
fn is_told_beside(item: &Typed, items: &[Typed]) -> bool {
    let Kind::Has(inside) = &item.kind else { return false };
    let Kind::Field(field) = inside.kind else { return false };
    items.iter().any(|other| match &other.kind {
        Kind::Compare(_, left, right) | Kind::StartsWith(left, right) => {
            [left, right].into_iter().any(|side| matches!(side.kind, Kind::Field(told) if told == field))
        }
        Kind::InSet { value, .. } | Kind::InList { value, .. } | Kind::InNetworks { value, .. } => {
            matches!(value.kind, Kind::Field(told) if told == field)
        }
        _ => false,
    })
}

/// Whether an aggregate is a measure that another amount may be a multiple of.
fn is_measured(call: &Call) -> bool {
    let measures = matches!(
        call.function,
        Function::Mean(_) | Function::Stddev(_) | Function::Max(_) | Function::Min(_) | Function::Sum(_)
    );
    measures && call.filter.is_none()
}

fn bare(text: &str) -> Subject {
    Subject { before: text.into(), value: None, after_one: "".into(), after: "".into(), noun: "".into() }
}

fn words(text: &str) -> Tail {
    Tail { words: text.into(), value: None }
}

/// A field's name in the plural.
fn plural(name: &str) -> String {
    match name.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if name.starts_with("attributes.") => format!("values of {name}"),
        _ => format!("{name}s"),
    }
}
