//! Checks what compares: the two sides of a sign, what stands right of `in`, and prefixes.

use std::ops::Range;

use super::{Checker, outcome};
use crate::scoring::{
    expression::{
        codes,
        finding::{Finding, did_you_mean},
        syntax::{self, Comparison, Expression},
        typed::{Kind, Literal, Network, Type, Typed},
    },
    field::Field,
    lists::ListId,
    verdict::Decision,
};

impl Checker<'_> {
    pub(super) fn compare(
        &mut self,
        comparison: Comparison,
        left: &Expression,
        right: &Expression,
        span: &Range<usize>,
    ) -> Option<Typed> {
        // A bare verdict or outcome means something only beside `verdict` or `outcome`.
        let (left, right) = if is_settled_word(left) && !self.is_own_name(left) {
            let right = self.value(right)?;
            (self.beside(left, right.of)?, right)
        } else {
            let named = match &left.kind {
                syntax::Kind::Name(name) if name == "verdict" => Type::Verdict,
                syntax::Kind::Name(name) if name == "outcome" => Type::Outcome,
                _ => Type::Boolean,
            };
            let left = self.value(left);
            let beside = left.as_ref().map_or(named, |left| left.of);
            let right = self.beside(right, beside);
            (left?, right?)
        };
        let (left, right) = self.align(left, right, span)?;
        if !comparison.is_equality() && !left.of.is_ordered() {
            let message = format!(
                "{} is {}, which has no order for `{}`",
                self.quoted(&left.span),
                left.of.phrase(),
                comparison.sign()
            );
            self.report(Finding::error(codes::ORDER, span, message).hint("use `==`, `!=` or `in`"));
            return None;
        }
        Some(self.typed(Kind::Compare(comparison, Box::new(left), Box::new(right)), Type::Boolean, span))
    }

    /// One side of a comparison whose other side is of a known type.
    fn beside(&mut self, tree: &Expression, other: Type) -> Option<Typed> {
        if let (syntax::Kind::Name(word), Type::Verdict | Type::Outcome) = (&tree.kind, other) {
            let literal = match other {
                Type::Verdict => Decision::from_name(word).map(Literal::Verdict),
                _ => outcome(word).map(Literal::Outcome),
            };
            if let Some(literal) = literal {
                return Some(self.typed(Kind::Literal(literal), other, &tree.span));
            }
            if !self.is_own_name(tree) {
                self.unknown_word(word, other, &tree.span);
                return None;
            }
        }
        if let (syntax::Kind::Text(word), Type::Verdict | Type::Outcome) = (&tree.kind, other) {
            let finding = Finding::error(codes::UNLIKE, &tree.span, format!("{} has bare words", other.phrase()));
            self.report(finding.hint(format!("write `{word}` without quotes")));
            return None;
        }
        self.value(tree)
    }

    fn unknown_word(&mut self, word: &str, of: Type, span: &Range<usize>) {
        let (what, words) = match of {
            Type::Verdict => ("verdict", ["approve", "deny", "review"]),
            _ => ("outcome", ["approved", "declined", "partial"]),
        };
        let finding = Finding::error(codes::UNKNOWN_NAME, span, format!("`{word}` is no {what}"));
        let hint = did_you_mean(word, words).unwrap_or_else(|| format!("one of `{}`", words.join("`, `")));
        self.report(finding.hint(hint));
    }

    /// Whether a name stands for a field or a define.
    fn is_own_name(&self, tree: &Expression) -> bool {
        let syntax::Kind::Name(name) = &tree.kind else { return true };
        let builtin = matches!(name.as_str(), "score" | "verdict" | "outcome" | "local_time");
        builtin || Field::from_name(name).is_some() || self.is_define(name)
    }

    /// The two sides with their literals turned into the type of the other side.
    fn align(&mut self, left: Typed, right: Typed, span: &Range<usize>) -> Option<(Typed, Typed)> {
        let (left, right) = match (is_text_literal(&left), is_text_literal(&right)) {
            (false, true) => {
                let right = self.coerce(right, &left)?;
                (left, right)
            }
            (true, false) => (self.coerce(left, &right)?, right),
            _ => (left, right),
        };
        if left.of.compares_with(right.of) {
            return Some((left, right));
        }
        let message = format!(
            "{} is {}, {} is {}",
            self.quoted(&left.span),
            Self::phrase(&left),
            self.quoted(&right.span),
            Self::phrase(&right)
        );
        let hint = self.unlike_hint(&left, &right);
        self.report(Finding::error(codes::UNLIKE, span, message).label("unlike types").maybe_hint(hint));
        None
    }

    pub(super) fn membership(
        &mut self,
        negated: bool,
        value: &Expression,
        set: &Expression,
        span: &Range<usize>,
    ) -> Option<Typed> {
        let value = self.value(value);
        // Without the value's type the items can still be looked at, but not matched.
        let value = value?;
        let kind = self.set(negated, value, set)?;
        Some(self.typed(kind, Type::Boolean, span))
    }

    fn set(&mut self, negated: bool, value: Typed, set: &Expression) -> Option<Kind> {
        match &set.kind {
            syntax::Kind::Bad => None,
            syntax::Kind::List(items) if value.of == Type::Ip => {
                let networks: Vec<_> = items.iter().map(|item| self.network(item)).collect();
                let networks = networks.into_iter().collect::<Option<_>>()?;
                Some(Kind::InNetworks { negated, value: Box::new(value), networks })
            }
            syntax::Kind::List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.item(item, &value)).collect();
                let items = items.into_iter().collect::<Option<_>>()?;
                Some(Kind::InSet { negated, value: Box::new(value), items })
            }
            syntax::Kind::Text(_) if value.of == Type::Ip => {
                let networks = vec![self.network(set)?];
                Some(Kind::InNetworks { negated, value: Box::new(value), networks })
            }
            syntax::Kind::Call { name, .. } if name == "list" => {
                let (list, name) = self.list(set)?;
                if !value.of.has_text() {
                    let message = format!(
                        "a list file holds text and codes, {} is {}",
                        self.quoted(&value.span),
                        value.of.phrase()
                    );
                    self.report(Finding::error(codes::UNLIKE, &value.span, message));
                    return None;
                }
                Some(Kind::InList { negated, value: Box::new(value), list, name })
            }
            syntax::Kind::Name(name) if self.is_define(name) && Field::from_name(name).is_none() => {
                self.within(name, &set.span, |checker, tree| checker.set(negated, value, tree))
            }
            _ => {
                let message = format!("{} is not something to be in", self.quoted(&set.span));
                let hint = match &set.kind {
                    syntax::Kind::Text(text) => format!("write `[\"{text}\"]`, or `== \"{text}\"`"),
                    syntax::Kind::Tuple(_) => "the items of a list stand in brackets: `[…]`".to_owned(),
                    _ => {
                        "write `[\"A\", \"B\"]` or `list(\"name\")`; for an IP address also `\"10.0.0.0/8\"`".to_owned()
                    }
                };
                self.report(Finding::error(codes::SET, &set.span, message).hint(hint));
                None
            }
        }
    }

    /// An item of a list in brackets: a literal of the value's type.
    fn item(&mut self, tree: &Expression, value: &Typed) -> Option<Literal> {
        let item = self.beside(tree, value.of)?;
        let item = if is_text_literal(&item) && !is_text_literal(value) { self.coerce(item, value)? } else { item };
        if !item.of.compares_with(value.of) {
            let message = format!(
                "{} is {}, {} is {}",
                self.quoted(&value.span),
                Self::phrase(value),
                self.quoted(&item.span),
                Self::phrase(&item)
            );
            let hint = self.unlike_hint(value, &item);
            self.report(Finding::error(codes::UNLIKE, &item.span, message).label("unlike types").maybe_hint(hint));
            return None;
        }
        let Kind::Literal(literal) = item.kind else {
            let message =
                format!("{} is computed; a list in brackets holds values as they are", self.quoted(&item.span));
            let hint = "compare with it on its own: `x in [\"A\"] or x == y`";
            self.report(Finding::error(codes::SET, &item.span, message).hint(hint));
            return None;
        };
        Some(literal)
    }

    fn network(&mut self, tree: &Expression) -> Option<Network> {
        let item = self.value(tree)?;
        let Kind::Literal(Literal::Text(text)) = &item.kind else {
            let message =
                format!("{} is {}, expected an address or a network", self.quoted(&item.span), item.of.phrase());
            self.report(Finding::error(codes::UNLIKE, &item.span, message).hint("write `\"10.0.0.0/8\"`"));
            return None;
        };
        let network = Network::parse(text);
        if network.is_none() {
            let message = format!("`\"{text}\"` is no IP address and no network");
            let finding = Finding::error(codes::ADDRESS, &item.span, message);
            self.report(
                finding.hint("write an address such as `\"203.0.113.9\"` or a network such as `\"10.0.0.0/8\"`"),
            );
        }
        network
    }

    /// `list("name")`.
    pub(super) fn list(&mut self, tree: &Expression) -> Option<(ListId, String)> {
        let syntax::Kind::Call { arguments, options, .. } = &tree.kind else { return None };
        let (true, [Expression { kind: syntax::Kind::Text(name), span, .. }]) = (options.is_empty(), &arguments[..])
        else {
            let broken = arguments.iter().any(|argument| matches!(argument.kind, syntax::Kind::Bad));
            if !broken {
                let finding = Finding::error(codes::ARGUMENTS, &tree.span, "`list` takes the name of a list in quotes");
                self.report(finding.hint("write `list(\"blocked-bins\")`"));
            }
            return None;
        };
        let lists = self.environment.lists;
        let found = lists.find(name);
        if found.is_none() {
            let finding = Finding::error(codes::LIST, span, format!("there is no list `{name}`"));
            let hint = did_you_mean(name, lists.names());
            let hint = hint.unwrap_or_else(|| "declare it with its file in a [[list]]".to_owned());
            self.report(finding.hint(hint));
        }
        found.map(|list| (list, name.clone()))
    }

    pub(super) fn starts_with(
        &mut self,
        value: &Expression,
        prefix: &Expression,
        span: &Range<usize>,
    ) -> Option<Typed> {
        let (value, prefix) = (self.value(value), self.value(prefix));
        let (value, prefix) = (value?, prefix?);
        for (side, allows_mcc) in [(&value, true), (&prefix, false)] {
            if matches!(side.of, Type::Text | Type::Code(_)) || (allows_mcc && side.of == Type::Mcc) {
                continue;
            }
            let message = format!("`starts_with` takes text, {} is {}", self.quoted(&side.span), side.of.phrase());
            let hint = match (side.of, &side.kind) {
                (Type::Ip, _) => Some("ask for a network: `ip in \"10.0.0.0/8\"`".to_owned()),
                (Type::Integer, Kind::Literal(_)) => Some(format!("write `\"{}\"`", self.text(&side.span))),
                _ => None,
            };
            self.report(Finding::error(codes::UNLIKE, &side.span, message).maybe_hint(hint));
            return None;
        }
        Some(self.typed(Kind::StartsWith(Box::new(value), Box::new(prefix)), Type::Boolean, span))
    }
}

impl super::Relocate for Kind {
    fn relocate(self, _span: &Range<usize>) -> Self {
        self
    }
}

pub(super) fn is_text_literal(typed: &Typed) -> bool {
    matches!(typed.kind, Kind::Literal(Literal::Text(_)))
}

fn is_settled_word(tree: &Expression) -> bool {
    matches!(&tree.kind, syntax::Kind::Name(name) if Decision::from_name(name).is_some() || outcome(name).is_some())
}
