//! Checks what aggregates are asked with: keys, fields and windows.

use std::ops::Range;

use super::{Checker, Relocate};
use crate::scoring::{
    expression::{
        codes,
        finding::Finding,
        syntax::{self, Expression},
    },
    field::{Field, FieldType},
    plan::{KEY_PARTS_MAX, Key, KeyPart, WINDOW_MAX_MS, WINDOW_MIN_MS},
    time::Span,
};

impl Relocate for Field {
    fn relocate(self, _span: &Range<usize>) -> Self {
        self
    }
}

impl Relocate for KeyPart {
    fn relocate(self, _span: &Range<usize>) -> Self {
        self
    }
}

impl Relocate for i64 {
    fn relocate(self, _span: &Range<usize>) -> Self {
        self
    }
}

impl Checker<'_> {
    /// What events are gathered by.
    pub(super) fn key(&mut self, tree: &Expression) -> Option<Key> {
        let syntax::Kind::Tuple(parts) = &tree.kind else {
            return self.key_part(tree).map(|part| Key(vec![part]));
        };
        if parts.len() > KEY_PARTS_MAX {
            let message = format!("this KEY has {} parts, at most {KEY_PARTS_MAX} are allowed", parts.len());
            self.report(Finding::error(codes::KEY, &tree.span, message));
            return None;
        }
        let mut key = Vec::with_capacity(parts.len());
        let mut failed = false;
        for part in parts {
            match self.key_part(part) {
                Some(found) if key.contains(&found) => {
                    let message = format!("{} stands twice in this KEY", self.quoted(&part.span));
                    self.report(Finding::error(codes::KEY, &part.span, message));
                    failed = true;
                }
                Some(found) => key.push(found),
                None => failed = true,
            }
        }
        (!failed).then_some(Key(key))
    }

    fn key_part(&mut self, tree: &Expression) -> Option<KeyPart> {
        if let syntax::Kind::Call { name, .. } = &tree.kind
            && name == "subnet"
        {
            return self.subnet(tree).map(KeyPart::Subnet);
        }
        let field =
            self.field(tree, "a KEY", codes::KEY, |checker, tree| checker.key_part(tree).map(PartOrField::Part))?;
        let field = match field {
            PartOrField::Part(part) => return Some(part),
            PartOrField::Field(field) => field,
        };
        let kind = field.field_type(self.environment.schema);
        let allowed = field == Field::Amount
            || matches!(
                kind,
                FieldType::Text | FieldType::Code(_) | FieldType::Country | FieldType::Mcc | FieldType::Ip
            );
        if !allowed {
            let message = format!(
                "a KEY is text, a code, a country, an address or `amount`; {} is {}",
                self.quoted(&tree.span),
                super::Type::from(kind).phrase()
            );
            self.report(Finding::error(codes::KEY, &tree.span, message));
            return None;
        }
        Some(KeyPart::Field(field))
    }

    /// The field whose values an aggregate reads.
    pub(super) fn aggregated(&mut self, tree: &Expression) -> Option<Field> {
        let found = self.field(tree, "a FIELD", codes::AGGREGATED, |checker, tree| {
            checker.aggregated(tree).map(PartOrField::Field)
        })?;
        match found {
            PartOrField::Field(field) => Some(field),
            PartOrField::Part(_) => None,
        }
    }

    /// A field's name, an attribute, or a define that stands for one.
    fn field(
        &mut self,
        tree: &Expression,
        what: &str,
        code: &'static str,
        again: impl FnOnce(&mut Self, &Expression) -> Option<PartOrField>,
    ) -> Option<PartOrField> {
        match &tree.kind {
            syntax::Kind::Bad => None,
            syntax::Kind::Attribute(key) => self.attribute(key, &tree.span).map(PartOrField::Field),
            syntax::Kind::Name(name) => {
                if let Some(field) = Field::from_name(name) {
                    return Some(PartOrField::Field(field));
                }
                if self.is_define(name) {
                    return self.within(name, &tree.span, again);
                }
                if matches!(name.as_str(), "score" | "verdict" | "outcome" | "local_time") {
                    let message = format!("{what} is a field of the transaction, `{name}` is not one");
                    self.report(Finding::error(code, &tree.span, message));
                    return None;
                }
                self.unknown(name, &tree.span);
                None
            }
            _ => {
                let message = format!("{what} is a field of the transaction, {} is not one", self.quoted(&tree.span));
                let hint = match (&tree.kind, code) {
                    (syntax::Kind::Text(name), _) if Field::from_name(name).is_some() => {
                        Some(format!("write `{name}` without quotes"))
                    }
                    (syntax::Kind::Span(_), codes::KEY) => Some("the KEY comes before the window".to_owned()),
                    (_, codes::KEY) => Some("write `card`, `subnet(ip, 24)` or `(card, merchant)`".to_owned()),
                    _ => None,
                };
                self.report(Finding::error(code, &tree.span, message).maybe_hint(hint));
                None
            }
        }
    }

    /// `subnet(ip, bits)`.
    pub(super) fn subnet(&mut self, tree: &Expression) -> Option<u8> {
        let syntax::Kind::Call { arguments, .. } = &tree.kind else { return None };
        self.arity(tree, 2..=2)?;
        let [address, bits] = &arguments[..] else { return None };
        if !matches!(&address.kind, syntax::Kind::Name(name) if name == "ip") {
            let message = format!("`subnet` takes `ip`, {} is something else", self.quoted(&address.span));
            self.report(Finding::error(codes::ARGUMENTS, &address.span, message).hint("write `subnet(ip, 24)`"));
            return None;
        }
        if let syntax::Kind::Integer(bits @ 1..=128) = bits.kind {
            return u8::try_from(bits).ok();
        }
        let message = format!("{} is no length of a network", self.quoted(&bits.span));
        let finding = Finding::error(codes::ARGUMENTS, &bits.span, message);
        self.report(finding.hint("write how many leading bits make the network: `subnet(ip, 24)`"));
        None
    }

    /// How far back an aggregate looks.
    pub(super) fn window(&mut self, tree: &Expression) -> Option<i64> {
        let ms = self.span_literal(tree, "a window")?;
        if (WINDOW_MIN_MS..=WINDOW_MAX_MS).contains(&ms) {
            return Some(ms);
        }
        let message = format!(
            "{} is no window: they are from {} to {} long",
            self.quoted(&tree.span),
            Span(WINDOW_MIN_MS),
            Span(WINDOW_MAX_MS)
        );
        self.report(Finding::error(codes::WINDOW, &tree.span, message));
        None
    }

    /// How long labels are given to arrive.
    pub(super) fn delay(&mut self, tree: &Expression) -> Option<i64> {
        let ms = self.span_literal(tree, "a delay")?;
        if (0..=WINDOW_MAX_MS).contains(&ms) {
            return Some(ms);
        }
        let message = format!("{} is no delay: they are up to {} long", self.quoted(&tree.span), Span(WINDOW_MAX_MS));
        self.report(Finding::error(codes::WINDOW, &tree.span, message));
        None
    }

    fn span_literal(&mut self, tree: &Expression, what: &str) -> Option<i64> {
        match &tree.kind {
            syntax::Kind::Bad => None,
            syntax::Kind::Span(ms) => Some(*ms),
            syntax::Kind::Name(name) if self.is_define(name) => {
                self.within(name, &tree.span, |checker, tree| checker.span_literal(tree, what))
            }
            _ => {
                let message = format!("{} is not {what}", self.quoted(&tree.span));
                let hint = match tree.kind {
                    syntax::Kind::Integer(number) => format!("write its unit: `{number}s`, `{number}m`, `{number}h`"),
                    _ => "write a duration such as `10m`, `24h` or `7d`".to_owned(),
                };
                self.report(Finding::error(codes::WINDOW, &tree.span, message).hint(hint));
                None
            }
        }
    }
}

/// What a define may stand for where a field is expected.
enum PartOrField {
    Part(KeyPart),
    Field(Field),
}

impl Relocate for PartOrField {
    fn relocate(self, _span: &Range<usize>) -> Self {
        self
    }
}
