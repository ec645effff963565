//! Finds the type of every node, and what is wrong, in as many places as there are. It compiles nothing.

mod call;
mod compare;
mod key;
mod literal;

use std::ops::Range;

use super::{
    codes,
    defines::Defines,
    environment::Environment,
    finding::{Finding, Findings, Within, did_you_mean, nearest},
    syntax::{self, Arithmetic, DEPTH_MAX, Expression},
    typed::{Kind, Literal, Type, Typed},
};
use crate::scoring::{
    field::Field,
    money::{Country, Currency},
    plan::OutcomeState,
    verdict::Decision,
};

/// How many nodes an expression may have, its defines written out: they can double at every step.
pub(super) const NODES_MAX: usize = 4096;

/// What an expression is for, which decides what it may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A rule's `when`.
    Condition,
    /// An input of the model.
    Feature,
    /// A define by itself: it may hold whatever some use of it could.
    Define,
}

/// One expression being checked.
pub(super) struct Checker<'c> {
    pub(super) environment: Environment<'c>,
    defines: &'c Defines,
    purpose: Purpose,
    source: &'c str,
    /// The defines being written out, from the outermost.
    frames: Vec<Frame<'c>>,
    inside_where: bool,
    depth: usize,
    nodes: usize,
    findings: &'c mut Findings,
}

struct Frame<'c> {
    define: &'c str,
    source: &'c str,
    used_at: Range<usize>,
}

impl<'c> Checker<'c> {
    pub(super) fn new(
        environment: Environment<'c>,
        defines: &'c Defines,
        purpose: Purpose,
        source: &'c str,
        findings: &'c mut Findings,
    ) -> Self {
        Self {
            environment,
            defines,
            purpose,
            source,
            frames: Vec::new(),
            inside_where: false,
            depth: 0,
            nodes: 0,
            findings,
        }
    }

    /// The checked tree of a whole expression. `None`, and at least one error, if anything in it is wrong.
    pub(super) fn check_whole(mut self, tree: &Expression) -> Option<Typed> {
        let typed = match &tree.kind {
            // What stands right of `in` has no type of its own, and may well be named.
            syntax::Kind::List(items) if self.purpose == Purpose::Define => {
                let items: Vec<_> = items.iter().map(|item| self.value(item)).collect();
                return items.into_iter().collect::<Option<Vec<_>>>()?.pop();
            }
            syntax::Kind::Call { name, .. } if name == "list" && self.purpose == Purpose::Define => {
                self.list(tree)?;
                return Some(self.typed(Kind::Literal(Literal::Boolean(false)), Type::Boolean, &tree.span));
            }
            _ => self.value(tree)?,
        };
        match self.purpose {
            Purpose::Condition if typed.of != Type::Boolean => {
                let message = format!("`when` is a test, {} is {}", self.quoted(&typed.span), typed.of.phrase());
                let hint = match typed.of {
                    Type::Money | Type::Integer | Type::Number | Type::Span => "compare it, as in `… > limit`",
                    _ => "compare it, or ask `has(…)`",
                };
                self.report(Finding::error(codes::NOT_A_TEST, &typed.span, message).hint(hint));
                None
            }
            Purpose::Feature
                if !matches!(typed.of, Type::Money | Type::Number | Type::Integer | Type::Boolean | Type::Span) =>
            {
                let message = format!("a feature is a number, {} is {}", self.quoted(&typed.span), typed.of.phrase());
                let hint = "money, numbers, durations and tests can be features; compare anything else";
                self.report(Finding::error(codes::NOT_A_FEATURE, &typed.span, message).hint(hint));
                None
            }
            _ => Some(typed),
        }
    }

    /// The checked tree of anything that has a value.
    fn value(&mut self, tree: &Expression) -> Option<Typed> {
        if !self.enter(&tree.span) {
            return None;
        }
        let typed = self.value_inside(tree);
        self.depth -= 1;
        typed
    }

    /// Counts a node against the limits.
    fn enter(&mut self, span: &Range<usize>) -> bool {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            if self.nodes == NODES_MAX + 1 {
                let message = format!("with its defines written out this has more than {NODES_MAX} parts");
                self.report(Finding::error(codes::TOO_LARGE, span, message));
            }
            return false;
        }
        if self.depth >= DEPTH_MAX {
            let message = format!("with its defines written out this nests deeper than {DEPTH_MAX} levels");
            self.report(Finding::error(codes::TOO_DEEP, span, message));
            return false;
        }
        self.depth += 1;
        true
    }

    fn value_inside(&mut self, tree: &Expression) -> Option<Typed> {
        let span = &tree.span;
        let (kind, of) = match &tree.kind {
            syntax::Kind::Bad => return None,
            syntax::Kind::Name(name) => return self.name(name, span),
            syntax::Kind::Attribute(key) => {
                let field = self.attribute(key, span)?;
                (Kind::Field(field), Type::from(field.field_type(self.environment.schema)))
            }
            syntax::Kind::Integer(number) => (Kind::Literal(Literal::Integer(*number)), Type::Integer),
            syntax::Kind::Number(number) => (Kind::Literal(Literal::Number(*number)), Type::Number),
            syntax::Kind::Money { minor, currency } => {
                (Kind::Literal(Literal::Money(self.money(*minor, *currency, span)?)), Type::Money)
            }
            syntax::Kind::Span(ms) => (Kind::Literal(Literal::Span(*ms)), Type::Span),
            syntax::Kind::Text(text) => (Kind::Literal(Literal::Text(text.clone())), Type::Text),
            syntax::Kind::Boolean(truth) => (Kind::Literal(Literal::Boolean(*truth)), Type::Boolean),
            syntax::Kind::List(_) => {
                let finding = Finding::error(codes::SET, span, "a list in brackets stands only behind `in`");
                self.report(finding.hint("write `country in [\"FR\", \"DE\"]`"));
                return None;
            }
            syntax::Kind::Tuple(_) => {
                let finding = Finding::error(codes::KEY, span, "several values in parentheses are only a KEY");
                self.report(finding.hint("write `count((card, merchant), 1h)`"));
                return None;
            }
            syntax::Kind::Call { .. } => return self.call(tree),
            syntax::Kind::Not(inside) => {
                let inside = self.test("not", inside)?;
                (Kind::Not(Box::new(inside)), Type::Boolean)
            }
            syntax::Kind::And(items) => (Kind::And(self.tests("and", items)?), Type::Boolean),
            syntax::Kind::Or(items) => (Kind::Or(self.tests("or", items)?), Type::Boolean),
            syntax::Kind::Negate(inside) => {
                let inside = self.value(inside)?;
                if !matches!(inside.of, Type::Money | Type::Number | Type::Integer | Type::Span) {
                    let message = format!("{} is {}, which has no sign", self.quoted(&inside.span), inside.of.phrase());
                    self.report(Finding::error(codes::ARITHMETIC, span, message));
                    return None;
                }
                let of = inside.of;
                (negated(inside), of)
            }
            syntax::Kind::Compare(comparison, left, right) => return self.compare(*comparison, left, right, span),
            syntax::Kind::In { negated, value, set } => return self.membership(*negated, value, set, span),
            syntax::Kind::StartsWith(value, prefix) => return self.starts_with(value, prefix, span),
            syntax::Kind::Arithmetic(operator, left, right) => {
                return self.arithmetic(*operator, left, right, span);
            }
        };
        Some(self.typed(kind, of, span))
    }

    fn tests(&mut self, word: &str, items: &[Expression]) -> Option<Vec<Typed>> {
        let tests: Vec<_> = items.iter().map(|item| self.test(word, item)).collect();
        tests.into_iter().collect()
    }

    /// An operand of `and`, `or` or `not`.
    fn test(&mut self, word: &str, tree: &Expression) -> Option<Typed> {
        let typed = self.value(tree)?;
        if typed.of == Type::Boolean {
            return Some(typed);
        }
        let message = format!("`{word}` takes tests, {} is {}", self.quoted(&typed.span), typed.of.phrase());
        let hint = match typed.of {
            Type::Text | Type::Country | Type::Currency | Type::Mcc | Type::Code(_) => {
                "every side is a whole comparison: `x == \"A\" or x == \"B\"`, or `x in [\"A\", \"B\"]`"
            }
            _ => "compare it, or ask `has(…)`",
        };
        self.report(Finding::error(codes::NOT_A_TEST, &typed.span, message).hint(hint));
        None
    }

    fn name(&mut self, name: &str, span: &Range<usize>) -> Option<Typed> {
        if let Some(field) = Field::from_name(name) {
            let of = Type::from(field.field_type(self.environment.schema));
            return Some(self.typed(Kind::Field(field), of, span));
        }
        let (kind, of) = match name {
            "local_time" => (Kind::LocalTime, Type::Time),
            "score" => {
                self.score_allowed(span)?;
                (Kind::Score, Type::Number)
            }
            "verdict" | "outcome" => {
                self.settled_allowed(name, span)?;
                if name == "verdict" { (Kind::Verdict, Type::Verdict) } else { (Kind::Outcome, Type::Outcome) }
            }
            _ if self.is_define(name) => return self.within(name, span, Self::value),
            _ => {
                self.unknown(name, span);
                return None;
            }
        };
        Some(self.typed(kind, of, span))
    }

    fn score_allowed(&mut self, span: &Range<usize>) -> Option<()> {
        let message = if self.inside_where {
            "`score` is not known of the transactions that `where` counts"
        } else if self.purpose == Purpose::Feature {
            "a feature is an input of the score and cannot use it"
        } else {
            return Some(());
        };
        self.report(Finding::error(codes::SCORE, span, message));
        None
    }

    fn settled_allowed(&mut self, name: &str, span: &Range<usize>) -> Option<()> {
        if self.purpose == Purpose::Feature && name == "verdict" {
            let message = "a feature may not use a verdict: the model would learn from its own answers";
            self.report(Finding::error(codes::SETTLED, span, message).hint("`outcome` is allowed inside `where`"));
            return None;
        }
        if self.inside_where || self.purpose == Purpose::Define {
            return Some(());
        }
        let message = format!("`{name}` of this transaction is not known yet");
        let hint = if name == "verdict" {
            "use it inside `where`: `count(card, 1h, where verdict == deny)`"
        } else {
            "use it inside `where`: `count(card, 1h, where outcome == declined)`"
        };
        self.report(Finding::error(codes::SETTLED, span, message).hint(hint));
        None
    }

    /// Whether a name is a define's, and no field's.
    fn is_define(&self, name: &str) -> bool {
        self.defines.find(name).is_some()
    }

    /// Checks the tree of a define in the place where its name stands.
    fn within<T>(
        &mut self,
        name: &str,
        span: &Range<usize>,
        check: impl FnOnce(&mut Self, &'c Expression) -> Option<T>,
    ) -> Option<T>
    where
        T: Relocate,
    {
        let defines = self.defines;
        let (define, known) = defines.find(name)?;
        if known.broken {
            let finding = Finding::error(codes::DEFINE, span, format!("`{name}` is defined with an error"));
            self.report(finding.label("see the error in its define"));
            return None;
        }
        if !self.enter(span) {
            return None;
        }
        self.frames.push(Frame { define, source: &known.source, used_at: span.clone() });
        let checked = check(self, &known.tree);
        self.frames.pop();
        self.depth -= 1;
        checked.map(|checked| checked.relocate(span))
    }

    fn unknown(&mut self, name: &str, span: &Range<usize>) {
        let word = Decision::from_name(name).map(|_| ("a verdict", "verdict"));
        let word = word.or_else(|| outcome(name).map(|_| ("an outcome", "outcome")));
        let (message, hint) = if let Some((what, field)) = word {
            (format!("`{name}` is {what}"), Some(format!("compare it inside `where`: `where {field} == {name}`")))
        } else {
            let message = format!("`{name}` is no field and no name of [define]");
            (message, self.name_hint(name))
        };
        self.report(Finding::error(codes::UNKNOWN_NAME, span, message).maybe_hint(hint));
    }

    fn name_hint(&self, name: &str) -> Option<String> {
        if self.environment.schema.find(name).is_some() {
            return Some(format!("did you mean `attributes.{name}`?"));
        }
        if Country::from_code(name).is_some() || Currency::from_code(name).is_some() {
            return Some(format!("codes stand in double quotes: `\"{name}\"`"));
        }
        if matches!(&*name.to_ascii_lowercase(), "null" | "none" | "nil" | "missing" | "undefined") {
            return Some("whether a value is there is asked with `has(…)`".to_owned());
        }
        let is_code = |field: &Field| match Type::from(field.field_type(self.environment.schema)) {
            Type::Code(codes) => codes.contains(&name),
            _ => false,
        };
        if Field::FIXED.iter().any(is_code) {
            return Some(format!("codes stand in double quotes: `\"{name}\"`"));
        }
        if name == "attributes" {
            return Some("write `attributes.<key>`".to_owned());
        }
        if call::FUNCTIONS.iter().any(|(known, _)| *known == name) {
            return Some(format!("`{name}` is a function: {}", call::usage(name)));
        }
        let fields = Field::FIXED.iter().map(|field| field.name(self.environment.schema)).collect::<Vec<_>>();
        let others = ["local_time", "score", "verdict", "outcome"].into_iter();
        let known = fields.iter().map(|field| &**field).chain(others).chain(self.defines.names());
        did_you_mean(name, known)
    }

    fn attribute(&mut self, key: &str, span: &Range<usize>) -> Option<Field> {
        let schema = self.environment.schema;
        let found = schema.find(key);
        if found.is_none() {
            let keys = (0..schema.len()).filter_map(|index| u16::try_from(index).ok()).map(|index| schema.key(index));
            let hint = nearest(key, keys).map(|key| format!("did you mean `attributes.{key}`?"));
            let hint = hint.unwrap_or_else(|| "declare it with its type in [attributes] of gavel.toml".to_owned());
            let message = format!("`attributes.{key}` is not declared");
            self.report(Finding::error(codes::UNKNOWN_NAME, span, message).hint(hint));
        }
        found
    }

    /// A money literal in minor units of the base currency.
    fn money(&mut self, minor: i64, currency: Currency, span: &Range<usize>) -> Option<i64> {
        let converted = self.environment.rates.to_base_minor(minor, currency);
        if converted.is_none() {
            let (code, base) = (currency.code(), self.environment.rates.base().code());
            let message = format!("{} cannot be turned into {base}: there is no rate for {code}", self.quoted(span));
            let hint = format!("add {code} to [rates] of gavel.toml, or write the amount in {base}");
            self.report(Finding::error(codes::RATE, span, message).hint(hint));
        }
        converted
    }

    fn arithmetic(
        &mut self,
        operator: Arithmetic,
        left: &Expression,
        right: &Expression,
        span: &Range<usize>,
    ) -> Option<Typed> {
        let (left, right) = (self.value(left), self.value(right));
        let (left, right) = (left?, right?);
        let of = match (operator, left.of, right.of) {
            (Arithmetic::Divide, l, r) if l.is_numeric() && r.is_numeric() => Some(Type::Number),
            (_, Type::Integer, Type::Integer) => Some(Type::Integer),
            (_, l, r) if l.is_numeric() && r.is_numeric() => Some(Type::Number),
            (Arithmetic::Add | Arithmetic::Subtract, Type::Money, Type::Money) => Some(Type::Money),
            (Arithmetic::Add | Arithmetic::Subtract, Type::Span, Type::Span)
            | (Arithmetic::Subtract, Type::Time, Type::Time) => Some(Type::Span),
            (Arithmetic::Add | Arithmetic::Subtract, Type::Time, Type::Span)
            | (Arithmetic::Add, Type::Span, Type::Time) => Some(Type::Time),
            (Arithmetic::Multiply | Arithmetic::Divide, of @ (Type::Money | Type::Span), r) if r.is_numeric() => {
                Some(of)
            }
            (Arithmetic::Multiply, l, of @ (Type::Money | Type::Span)) if l.is_numeric() => Some(of),
            (Arithmetic::Divide, Type::Money, Type::Money) | (Arithmetic::Divide, Type::Span, Type::Span) => {
                Some(Type::Number)
            }
            _ => None,
        };
        let Some(of) = of else {
            let verb = match operator {
                Arithmetic::Add => "be added to",
                Arithmetic::Subtract => "have taken from it",
                Arithmetic::Multiply => "be multiplied by",
                Arithmetic::Divide => "be divided by",
            };
            let message = format!(
                "{} is {}, which cannot {verb} {}, {}",
                self.quoted(&left.span),
                left.of.phrase(),
                self.quoted(&right.span),
                right.of.phrase()
            );
            let hint = self.unlike_hint(&left, &right);
            self.report(Finding::error(codes::ARITHMETIC, span, message).maybe_hint(hint));
            return None;
        };
        Some(self.typed(Kind::Arithmetic(operator, Box::new(left), Box::new(right)), of, span))
    }

    fn typed(&self, kind: Kind, of: Type, span: &Range<usize>) -> Typed {
        Typed { kind, of, span: span.clone(), from_define: !self.frames.is_empty() }
    }

    /// The text at a place of the source being checked.
    fn text(&self, span: &Range<usize>) -> &'c str {
        let source = self.frames.last().map_or(self.source, |frame| frame.source);
        source.get(span.clone()).unwrap_or_default()
    }

    /// The same, on one line and in backquotes.
    fn quoted(&self, span: &Range<usize>) -> String {
        let words: Vec<_> = self.text(span).split_whitespace().collect();
        format!("`{}`", words.join(" "))
    }

    /// Adds an error. Inside a define it is shown where the define is used.
    fn report(&mut self, mut finding: Finding) {
        if let (Some(outermost), Some(innermost)) = (self.frames.first(), self.frames.last()) {
            finding.within = Some(Within { define: innermost.define.to_owned(), span: finding.span });
            finding.span = outermost.used_at.clone();
        }
        self.findings.push(finding);
    }
}

/// What a define gave, moved to where its name stands.
trait Relocate {
    fn relocate(self, span: &Range<usize>) -> Self;
}

impl Relocate for Typed {
    fn relocate(self, span: &Range<usize>) -> Self {
        Self { span: span.clone(), from_define: true, ..self }
    }
}

/// A value with its sign changed: a literal stays a literal.
fn negated(inside: Typed) -> Kind {
    match inside.kind {
        Kind::Literal(Literal::Integer(number)) if number != i64::MIN => Kind::Literal(Literal::Integer(-number)),
        Kind::Literal(Literal::Number(number)) => Kind::Literal(Literal::Number(-number)),
        Kind::Literal(Literal::Money(minor)) if minor != i64::MIN => Kind::Literal(Literal::Money(-minor)),
        Kind::Literal(Literal::Span(ms)) if ms != i64::MIN => Kind::Literal(Literal::Span(-ms)),
        _ => Kind::Negate(Box::new(inside)),
    }
}

/// The outcome of a word.
fn outcome(word: &str) -> Option<OutcomeState> {
    match word {
        "approved" => Some(OutcomeState::Approved),
        "declined" => Some(OutcomeState::Declined),
        "partial" => Some(OutcomeState::Partial),
        _ => None,
    }
}
