//! What is likely not meant in a rule set taken as a whole. It keeps nothing from loading.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{
    diagnostic::Diagnostic,
    source::{RuleFiles, RuleMode, RuleSource},
    tokens::{closing, conjuncts, tokens},
};
use crate::scoring::{
    settings::Settings,
    time::{Span, parse_span_ms},
    transaction::TransactionType,
    verdict::Decision,
};

/// More pairs of rules than this are not compared, so that loading stays quick.
const PAIRS_MAX: usize = 4_000_000;

/// Warnings over all files together.
pub(super) fn lint(files: &RuleFiles, settings: &Settings) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    unused(files, settings, &mut warnings);
    beyond_what_is_kept(files, settings.windows.horizon_ms, &mut warnings);
    of_other_types(files, &mut warnings);
    overlapping(files, &mut warnings);
    warnings
}

/// Warns of conditions that demand a type of transaction which the rule does not look at.
fn of_other_types(files: &RuleFiles, warnings: &mut Vec<Diagnostic>) {
    for rule in &files.rules {
        for part in conjuncts(&rule.when.value) {
            // Nothing but the names: a part may hold an `or`.
            let one =
                part.strip_prefix("type = = ").filter(|name| name.matches('"').count() == 2 && name.ends_with('"'));
            let several = || part.strip_prefix("type in [")?.strip_suffix(']').filter(|names| !names.contains(']'));
            let Some(names) = one.or_else(several) else { continue };
            let names: Vec<&str> = names.split('"').skip(1).step_by(2).collect();
            let is_looked_at = |kind: TransactionType| rule.types.contains(kind) && names.contains(&kind.name());
            if names.is_empty() || TransactionType::ALL.into_iter().any(is_looked_at) {
                continue;
            }
            let (test, which) = match (one, &names[..]) {
                (Some(_), [name, ..]) => (format!("type == \"{name}\""), "that type"),
                _ => (format!("type in [\"{}\"]", names.join("\", \"")), "any of these types"),
            };
            let message = format!("`{test}` never holds: the rule does not look at {which}");
            let hint = format!("set `types = [\"{}\"]` in the rule", names.join("\", \""));
            warnings.push(Diagnostic::warning("W316", rule.place.clone(), message).hint(hint));
        }
    }
}

fn unused(files: &RuleFiles, settings: &Settings, warnings: &mut Vec<Diagnostic>) {
    let mut used: BTreeSet<&str> = files.rules.iter().flat_map(|rule| tokens(&rule.when.value)).collect();
    used.extend(settings.policy.segments.iter().filter_map(|segment| segment.when.as_deref()).flat_map(tokens));
    // A name that only an unused name speaks of is unused too, but one warning at a time is enough.
    used.extend(files.define_sources.values().flat_map(|define| tokens(&define.text.value)));
    for (name, define) in &files.define_sources {
        if !used.contains(name.as_str()) {
            let message = format!("nothing uses the name `{name}`");
            warnings
                .push(Diagnostic::warning("W311", define.place.clone(), message).hint("delete it if it is not needed"));
        }
    }
    for list in &files.declared {
        if !used.contains(format!("\"{}\"", list.id).as_str()) {
            let (what, hint) = match list.table {
                None => ("list", format!("test it with `… in list(\"{}\")`", list.id)),
                Some(_) => ("table", format!("look it up with `lookup(\"{}\", …, …)`", list.id)),
            };
            let message = format!("nothing uses the {what} `{}`", list.id);
            warnings.push(Diagnostic::warning("W312", list.place.clone(), message).hint(hint));
        }
    }
}

/// Warns of rules that wait for longer than anything is remembered.
fn beyond_what_is_kept(files: &RuleFiles, horizon_ms: i64, warnings: &mut Vec<Diagnostic>) {
    for rule in &files.rules {
        let words = tokens(&rule.when.value);
        let asks = words.iter().enumerate().filter(|(_, word)| **word == "since_last");
        let waits = asks.filter_map(|(at, _)| {
            let end = at + closing(&words[at + 1..])? + 1;
            let longer = match words.get(end + 1..)? {
                [">", "=", span, ..] | [">", span, ..] => Some(span),
                _ => None,
            };
            let span = longer.or_else(|| match words.get(..at)? {
                [.., span, "<"] | [.., span, "<", "="] => Some(span),
                _ => None,
            })?;
            parse_span_ms(span).filter(|span_ms| *span_ms >= horizon_ms).map(|_| *span)
        });
        for span in waits {
            let horizon = Span(horizon_ms);
            let message =
                format!("`since_last` is never as long as `{span}`: a key is forgotten {horizon} after its last event");
            let hint = format!("write less than {horizon}, or raise [windows] horizon");
            warnings.push(Diagnostic::warning("W315", rule.place.clone(), message).hint(hint));
        }
    }
}

/// A live rule and what it demands.
struct Demand<'r> {
    rule: &'r RuleSource,
    conjuncts: Vec<String>,
}

fn overlapping(files: &RuleFiles, warnings: &mut Vec<Diagnostic>) {
    let live = files.rules.iter().filter(|rule| rule.mode == RuleMode::Live && rule.rollout > 0);
    let demands: Vec<Demand<'_>> = live.map(|rule| Demand { rule, conjuncts: conjuncts(&rule.when.value) }).collect();
    // Rules that share no part cannot stand in each other's way: only those under the same part are compared.
    let mut by_part: Vec<(&str, usize)> = demands
        .iter()
        .enumerate()
        .flat_map(|(index, demand)| demand.conjuncts.iter().map(move |part| (part.as_str(), index)))
        .collect();
    by_part.sort_unstable();
    let mut told = BTreeSet::new();
    let mut pairs = 0;
    for group in by_part.chunk_by(|left, right| left.0 == right.0) {
        for (place, (_, weaker)) in group.iter().enumerate() {
            for (_, stronger) in group[..place].iter().chain(&group[place + 1..]) {
                pairs += 1;
                if pairs > PAIRS_MAX {
                    return;
                }
                // One warning for a rule is enough to look at it.
                if !told.contains(weaker)
                    && let Some(warning) = compare(&demands[*weaker], &demands[*stronger])
                {
                    told.insert(*weaker);
                    warnings.push(warning);
                }
            }
        }
    }
}

/// What is wrong with a rule in the presence of another, if anything is.
fn compare(weaker: &Demand<'_>, stronger: &Demand<'_>) -> Option<Diagnostic> {
    let (rule, other) = (weaker.rule, stronger.rule);
    // Wherever the weaker fires the stronger must fire too, for every card.
    let implied = stronger.conjuncts.iter().all(|part| weaker.conjuncts.contains(part));
    let types_covered = other.types.bits() & rule.types.bits() == rule.types.bits();
    if !implied || !types_covered || other.rollout < 100 {
        return None;
    }
    let same_condition = weaker.conjuncts.len() == stronger.conjuncts.len();
    let other_place = |label: &str| other.place.clone().label(label);
    if rule.then == other.then && rule.overrides == other.overrides {
        if rule.tags != other.tags {
            return None;
        }
        // Of two equal rules the later one is told.
        if same_condition && rule.types == other.types && rule.rollout == 100 && rule.id < other.id {
            return None;
        }
        let message = format!("`{}` never changes a verdict: `{}` fires wherever it does", rule.id, other.id);
        let diagnostic = Diagnostic::warning("W313", rule.place.clone(), message)
            .related(other_place("this one decides the same"))
            .hint("delete it, narrow the other, or give it tags of its own");
        return Some(diagnostic);
    }
    if rank(other) > rank(rule) {
        return None;
    }
    let wins = other.then.name();
    // A denial that another makes stronger is no contradiction.
    let same_condition = same_condition && rule.then != other.then;
    let (code, message, hint) = if same_condition {
        let message = format!("`{}` and `{}` have the same condition and contradict: {wins} wins", rule.id, other.id);
        ("W314", message, "delete one of them, or tell their conditions apart")
    } else {
        let message =
            format!("`{}` never decides: `{}` fires wherever it does, and its {wins} comes first", rule.id, other.id);
        ("W313", message, "narrow the other, or delete this rule")
    };
    Some(Diagnostic::warning(code, rule.place.clone(), message).related(other_place("this one wins")).hint(hint))
}

/// The place of a rule in the order of precedence; the first decides.
fn rank(rule: &RuleSource) -> Reverse<u8> {
    Reverse(match (rule.then, rule.overrides) {
        (Decision::Deny, true) => 3,
        (Decision::Approve, _) => 2,
        (Decision::Deny, false) => 1,
        (Decision::Review, _) => 0,
    })
}
