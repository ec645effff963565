//! Lists the parts of an expression with their values, for whoever asks why. It decides nothing.

use super::{
    describe::{Phrases, Shown, is_public, write_value},
    environment::Environment,
    lower::{Full, Lowering},
    node::BoolId,
    print,
    run::Run,
    typed::{Kind, Type, Typed},
};
use crate::scoring::money::Currency;

/// A part of a condition or feature with its value, for `gavel explain` and failing examples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atom {
    /// The part as the language writes it.
    pub text: String,
    /// Its value; `missing` where there is none, `hidden` where it would identify a person or a card.
    pub value: String,
    /// How deep it is inside the condition: 0 for the condition itself.
    pub depth: usize,
    /// For a part that is true or false, whether it holds.
    pub holds: Option<bool>,
}

/// A part whose value is not read yet.
pub(super) struct Part {
    text: Box<str>,
    depth: usize,
    kind: PartKind,
}

enum PartKind {
    Test(BoolId),
    Value(Shown),
    /// A value that is not shown, only whether it is there.
    Hidden(BoolId),
}

/// The parts of an expression in the order of its text.
pub(super) fn parts(typed: &Typed, lowering: &mut Lowering, environment: Environment<'_>) -> Result<Vec<Part>, Full> {
    let mut parts = Vec::new();
    collect(typed, 0, lowering, environment, &mut parts)?;
    Ok(parts)
}

/// What the parts are worth for one transaction.
pub(super) fn read(parts: &[Part], base: Currency, run: &mut Run<'_>) -> Vec<Atom> {
    let read = |part: &Part| {
        let (value, holds) = match part.kind {
            PartKind::Test(test) => {
                let holds = run.bool(test);
                (holds.to_string(), Some(holds))
            }
            PartKind::Hidden(has) => (if run.bool(has) { "hidden" } else { "missing" }.to_owned(), None),
            PartKind::Value(shown) => {
                let mut value = String::new();
                if !write_value(shown, base, run, &mut value) {
                    value.push_str("missing");
                }
                (value, None)
            }
        };
        Atom { text: part.text.to_string(), value, depth: part.depth, holds }
    };
    parts.iter().map(read).collect()
}

fn collect(
    typed: &Typed,
    depth: usize,
    lowering: &mut Lowering,
    environment: Environment<'_>,
    parts: &mut Vec<Part>,
) -> Result<(), Full> {
    if matches!(typed.kind, Kind::Literal(_)) {
        return Ok(());
    }
    let text = print::text(typed, environment).into();
    let is_test = typed.of == Type::Boolean
        && !matches!(typed.kind, Kind::Field(_) | Kind::Aggregate(_) | Kind::Lookup { .. } | Kind::Calendar(..));
    let kind = if is_test {
        PartKind::Test(lowering.test(typed)?)
    } else if is_public(typed)
        && let Some(shown) = (Phrases { lowering, environment }).shown(typed)?
    {
        PartKind::Value(shown)
    } else {
        let has = Typed {
            kind: Kind::Has(Box::new(typed.clone())),
            of: Type::Boolean,
            span: typed.span.clone(),
            from_define: typed.from_define,
        };
        PartKind::Hidden(lowering.test(&has)?)
    };
    parts.push(Part { text, depth, kind });
    let mut below = |inside: &Typed| collect(inside, depth + 1, lowering, environment, parts);
    match &typed.kind {
        Kind::Not(inside) | Kind::Negate(inside) | Kind::Calendar(_, inside) | Kind::Has(inside) => below(inside),
        Kind::And(items) | Kind::Or(items) => items.iter().try_for_each(below),
        Kind::Compare(_, left, right) | Kind::StartsWith(left, right) | Kind::Arithmetic(_, left, right) => {
            below(left)?;
            below(right)
        }
        Kind::InSet { value, .. } | Kind::InList { value, .. } | Kind::InNetworks { value, .. } => below(value),
        Kind::Lookup { key, default, .. } => {
            below(key)?;
            default.as_deref().map_or(Ok(()), below)
        }
        _ => Ok(()),
    }
}
