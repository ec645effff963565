//! Warns where a missing value turns a test around. Fields that are always there are never warned of.

use std::collections::BTreeSet;

use super::range::is_required;
use crate::scoring::{
    expression::{
        codes,
        environment::Environment,
        finding::{Finding, Findings},
        print,
        syntax::Comparison,
        typed::{Call, Kind, Typed},
    },
    field::Field,
    plan::{Function, KeyPart},
};

/// Adds the warnings of a checked expression.
pub(super) fn lint(typed: &Typed, environment: Environment<'_>, findings: &mut Findings) {
    let mut asked = BTreeSet::new();
    typed.walk(&mut |node| {
        if let Kind::Has(inside) = &node.kind {
            asked.insert(print::text(inside, environment));
        }
    });
    // Whoever asks for the time's offset has thought of local time.
    if asked.contains("utc_offset") {
        asked.insert("local_time".to_owned());
    }
    Surprise { environment, asked, findings }.visit(typed);
}

struct Surprise<'l> {
    environment: Environment<'l>,
    /// What `has` asks for, anywhere: its author has thought of it.
    asked: BTreeSet<String>,
    findings: &'l mut Findings,
}

impl Surprise<'_> {
    fn visit(&mut self, node: &Typed) {
        match &node.kind {
            Kind::Not(inside) => {
                let mut missing = Vec::new();
                self.compared(inside, &mut missing);
                if missing.is_empty() || node.from_define {
                    self.visit(inside);
                } else {
                    self.warn(node, "true", &missing);
                }
            }
            Kind::And(items) | Kind::Or(items) => items.iter().for_each(|item| self.visit(item)),
            Kind::Compare(Comparison::NotEqual, ..)
            | Kind::InSet { negated: true, .. }
            | Kind::InList { negated: true, .. }
            | Kind::InNetworks { negated: true, .. } => {
                let mut missing = Vec::new();
                self.compared(node, &mut missing);
                if !missing.is_empty() && !node.from_define {
                    self.warn(node, "false", &missing);
                }
                self.visit_parts(node);
            }
            _ => self.visit_parts(node),
        }
    }

    /// Looks into the tests of aggregates that a value is made of.
    fn visit_parts(&mut self, node: &Typed) {
        let mut filters = Vec::new();
        node.walk(&mut |part| {
            if let Kind::Aggregate(call) = &part.kind
                && let Some(filter) = &call.filter
            {
                filters.push(filter.clone());
            }
        });
        for filter in &filters {
            self.visit(filter);
        }
    }

    fn warn(&mut self, node: &Typed, answer: &str, missing: &[String]) {
        let text = print::text(node, self.environment);
        let names = missing.join("` or `");
        let asked: Vec<_> = missing.iter().map(|name| format!("has({name})")).collect();
        let all = asked.join(" and ");
        let message = format!("`{text}` is {answer} where `{names}` is missing");
        let hint = match (answer, missing) {
            ("false", [_]) => format!("say which is meant: `… and {all}`, or `… or not {all}`"),
            ("false", _) => format!("say which is meant: `… and {all}`, or `… or not ({all})`"),
            _ => format!("say which is meant: `… and {all}` leaves them out, `… or not has(…)` takes them in"),
        };
        self.findings.push(Finding::warning(codes::MISSING_SURPRISE, &node.span, message).hint(hint));
    }

    /// What may be missing in the comparisons of a test.
    fn compared(&self, node: &Typed, missing: &mut Vec<String>) {
        match &node.kind {
            Kind::And(items) | Kind::Or(items) => items.iter().for_each(|item| self.compared(item, missing)),
            Kind::Not(inside) => self.compared(inside, missing),
            Kind::Compare(_, left, right) | Kind::StartsWith(left, right) => {
                self.sources(left, missing);
                self.sources(right, missing);
            }
            Kind::InSet { value, .. } | Kind::InList { value, .. } | Kind::InNetworks { value, .. } => {
                self.sources(value, missing);
            }
            _ => {}
        }
    }

    /// What may be missing in a value, each once, less what `has` asks for.
    fn sources(&self, node: &Typed, missing: &mut Vec<String>) {
        if self.asked.contains(&print::text(node, self.environment)) {
            return;
        }
        match &node.kind {
            Kind::Field(field) => self.field(*field, missing),
            Kind::Subnet(_) => self.field(Field::Ip, missing),
            Kind::Aggregate(call) if is_there_with_key(call) => {
                for part in &call.key.0 {
                    match part {
                        KeyPart::Field(field) => self.field(*field, missing),
                        KeyPart::Subnet(_) => self.field(Field::Ip, missing),
                    }
                }
            }
            Kind::Negate(inside) | Kind::Calendar(_, inside) => self.sources(inside, missing),
            Kind::Arithmetic(_, left, right) => {
                self.sources(left, missing);
                self.sources(right, missing);
            }
            Kind::Lookup { default: Some(default), .. } => self.sources(default, missing),
            Kind::LocalTime | Kind::Score | Kind::Outcome | Kind::Aggregate(_) | Kind::Lookup { default: None, .. } => {
                self.add(print::text(node, self.environment), missing);
            }
            // A literal is never missing, and a test is not either.
            _ => {}
        }
    }

    fn field(&self, field: Field, missing: &mut Vec<String>) {
        // The amount is missing without a rate, which is flagged on the verdict; warning of it would warn of everything.
        if !is_required(field) && field != Field::Amount {
            self.add(field.name(self.environment.schema).into_owned(), missing);
        }
    }

    fn add(&self, name: String, missing: &mut Vec<String>) {
        if !self.asked.contains(&name) && !missing.contains(&name) {
            missing.push(name);
        }
    }
}

/// Whether an aggregate has an answer whenever its key has a value.
fn is_there_with_key(call: &Call) -> bool {
    matches!(
        call.function,
        Function::Count | Function::Distinct(_) | Function::Sum(_) | Function::Frauds | Function::Age
    )
}
