//! The names of `[define]`: parsed once, cycles refused. They are written out where they stand, and checked there.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    codes,
    environment::Define,
    finding::{Finding, Findings, Severity},
    parser::parse,
    syntax::{ChoiceKind, Expression, Kind},
};
use crate::scoring::field::Field;

/// Every define of a release.
pub(super) struct Defines {
    by_name: BTreeMap<String, Known>,
}

/// A define after it was parsed and checked.
pub(super) struct Known {
    pub(super) source: String,
    pub(super) tree: Expression,
    /// It has an error of its own, which is reported once, and not where it is used.
    pub(super) broken: bool,
    pub(super) findings: Findings,
}

impl Defines {
    /// Parses every define and refuses cycles. What is inside is not checked yet.
    pub(super) fn new(sources: &BTreeMap<String, Define>) -> Self {
        let mut by_name = BTreeMap::new();
        for (name, define) in sources {
            let mut findings = Findings::new();
            check_name(name, &mut findings);
            let tree = parse(&define.source, &mut findings);
            let broken = !findings.is_empty();
            by_name.insert(name.clone(), Known { source: define.source.clone(), tree, broken, findings });
        }
        Self { by_name }
    }

    /// Adds what was found in a define. With an error it is broken.
    pub(super) fn add_findings(&mut self, name: &str, mut findings: Findings) {
        if let Some(known) = self.by_name.get_mut(name) {
            known.broken |= findings.iter().any(|finding| finding.severity == Severity::Error);
            known.findings.append(&mut findings);
        }
    }

    /// The define of a name.
    pub(super) fn find(&self, name: &str) -> Option<(&str, &Known)> {
        self.by_name.get_key_value(name).map(|(name, known)| (name.as_str(), known))
    }

    /// Every name, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// What was found in the defines, by name.
    pub(super) fn findings(&self) -> Vec<(String, Findings)> {
        let found = self.by_name.iter().filter(|(_, known)| !known.findings.is_empty());
        found.map(|(name, known)| (name.clone(), known.findings.clone())).collect()
    }

    /// Every name, each after those it uses. A define that leads back to itself is marked as broken and left out.
    pub(super) fn in_order(&mut self) -> Vec<String> {
        let uses: BTreeMap<&str, BTreeSet<String>> = self
            .by_name
            .iter()
            .map(|(name, known)| {
                let mut used = BTreeSet::new();
                collect_names(&known.tree, &mut used);
                used.retain(|used| self.by_name.contains_key(used) && Field::from_name(used).is_none());
                (name.as_str(), used)
            })
            .collect();
        // Takes away, again and again, whatever uses only what has been taken: what is left is in a cycle or behind one.
        let mut order: Vec<String> = Vec::with_capacity(uses.len());
        let mut waiting: BTreeMap<&str, usize> = uses.iter().map(|(name, used)| (*name, used.len())).collect();
        let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, used) in &uses {
            for used in used {
                users.entry(used.as_str()).or_default().push(name);
            }
        }
        let mut ready: Vec<&str> = waiting.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
        while let Some(name) = ready.pop() {
            waiting.remove(name);
            order.push(name.to_owned());
            for user in users.get(name).into_iter().flatten() {
                if let Some(count) = waiting.get_mut(user) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(user);
                    }
                }
            }
        }
        let cycles: Vec<(String, Vec<String>)> =
            waiting.keys().map(|name| ((*name).to_owned(), cycle(name, &uses))).collect();
        for (name, path) in cycles {
            let Some(known) = self.by_name.get_mut(&name) else { continue };
            known.broken = true;
            let span = 0..known.source.len();
            let finding = if path.is_empty() {
                Finding::error(codes::DEFINE, &span, format!("`{name}` uses a define that leads back to itself"))
            } else {
                let path = path.join("` → `");
                Finding::error(codes::CYCLE, &span, format!("`{name}` is defined by itself: `{path}`"))
            };
            known.findings.push(finding);
        }
        order
    }
}

/// The shortest way from a name back to itself; empty if there is none.
fn cycle(name: &str, uses: &BTreeMap<&str, BTreeSet<String>>) -> Vec<String> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut reached = vec![name];
    let mut next = 0;
    while let Some(&at) = reached.get(next) {
        next += 1;
        for used in uses.get(at).into_iter().flatten() {
            if used == name {
                let mut path = vec![name.to_owned()];
                let mut step = at;
                while step != name {
                    path.push(step.to_owned());
                    step = came_from.get(step).copied().unwrap_or(name);
                }
                path.push(name.to_owned());
                path.reverse();
                return path;
            }
            if !came_from.contains_key(used.as_str()) {
                came_from.insert(used, at);
                reached.push(used);
            }
        }
    }
    Vec::new()
}

fn check_name(name: &str, findings: &mut Findings) {
    let mut letters = name.chars();
    let begins_well = letters.next().is_some_and(|letter| letter.is_ascii_lowercase());
    let spelt_well = begins_well && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let message = if !spelt_well {
        format!(
            "`{name}` cannot be used in an expression: names begin with a small letter, and are of letters, digits and `_`"
        )
    } else if is_taken(name) {
        format!("`{name}` is a name of the language already")
    } else {
        return;
    };
    findings.push(Finding::error(codes::NAME_TAKEN, &(0..0), message).hint("choose another name"));
}

fn is_taken(name: &str) -> bool {
    const WORDS: &[&str] = &[
        "and",
        "or",
        "not",
        "in",
        "starts_with",
        "prior",
        "where",
        "delay",
        "true",
        "false",
        "attributes",
        "score",
        "verdict",
        "outcome",
        "local_time",
        "approve",
        "deny",
        "review",
        "approved",
        "declined",
        "partial",
    ];
    WORDS.contains(&name) || Field::from_name(name).is_some()
}

/// Every bare name in a tree.
fn collect_names(tree: &Expression, names: &mut BTreeSet<String>) {
    match &tree.kind {
        Kind::Name(name) => {
            names.insert(name.clone());
        }
        Kind::List(items) | Kind::Tuple(items) | Kind::And(items) | Kind::Or(items) => {
            for item in items {
                collect_names(item, names);
            }
        }
        Kind::Call { arguments, options, .. } => {
            for argument in arguments {
                collect_names(argument, names);
            }
            for choice in options {
                match &choice.kind {
                    ChoiceKind::Delay(inside) | ChoiceKind::Where(inside) => collect_names(inside, names),
                    ChoiceKind::Prior => {}
                }
            }
        }
        Kind::Not(inside) | Kind::Negate(inside) => collect_names(inside, names),
        Kind::Compare(_, left, right) | Kind::StartsWith(left, right) | Kind::Arithmetic(_, left, right) => {
            collect_names(left, names);
            collect_names(right, names);
        }
        Kind::In { value, set, .. } => {
            collect_names(value, names);
            collect_names(set, names);
        }
        Kind::Bad
        | Kind::Attribute(_)
        | Kind::Integer(_)
        | Kind::Number(_)
        | Kind::Money { .. }
        | Kind::Span(_)
        | Kind::Text(_)
        | Kind::Boolean(_) => {}
    }
}
