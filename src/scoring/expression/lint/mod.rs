//! Warns of what compiles and is likely not what was meant. It refuses nothing.

mod range;
mod surprise;

use super::{
    codes,
    environment::Environment,
    finding::{Finding, Findings},
    print,
    typed::{Kind, Literal, Typed},
};
use crate::scoring::wire::is_card_number;

/// Adds the warnings of a checked expression. What came out of a define is warned of there.
pub(super) fn lint(typed: &Typed, environment: Environment<'_>, findings: &mut Findings) {
    surprise::lint(typed, environment, findings);
    typed.walk(&mut |node| {
        if node.from_define {
            return;
        }
        match &node.kind {
            Kind::InList { list, name, .. } if environment.lists.is_empty(*list) => {
                let message = format!("the list `{name}` is empty, so that nothing is in it");
                findings.push(Finding::warning(codes::EMPTY_LIST, &node.span, message));
            }
            Kind::Compare(_, left, right) | Kind::StartsWith(left, right) => {
                for side in [left, right] {
                    lint_text(side, findings);
                }
                range::lint_alone(node, environment, findings);
            }
            Kind::InSet { items, .. } if items.iter().any(is_card) => {
                findings.push(Finding::warning(codes::CARD_NUMBER, &node.span, CARD_NUMBER).hint(TOKEN));
            }
            Kind::And(items) => range::lint_conjuncts(node, items, environment, findings),
            _ => range::lint_alone(node, environment, findings),
        }
    });
    if let Kind::Literal(Literal::Boolean(truth)) = typed.kind {
        findings.push(constant(typed, truth, environment));
    }
}

const CARD_NUMBER: &str = "this is a raw card number, and transactions never carry one";
const TOKEN: &str = "name the card by its token";

fn lint_text(side: &Typed, findings: &mut Findings) {
    if matches!(&side.kind, Kind::Literal(literal) if is_card(literal)) {
        findings.push(Finding::warning(codes::CARD_NUMBER, &side.span, CARD_NUMBER).hint(TOKEN));
    }
}

fn is_card(literal: &Literal) -> bool {
    matches!(literal, Literal::Text(text) if is_card_number(text))
}

/// The warning about a test that always answers the same.
fn constant(node: &Typed, truth: bool, environment: Environment<'_>) -> Finding {
    let text = print::text(node, environment);
    if truth {
        Finding::warning(codes::ALWAYS, &node.span, format!("`{text}` is always true"))
    } else {
        Finding::warning(codes::NEVER, &node.span, format!("`{text}` is never true"))
    }
}
