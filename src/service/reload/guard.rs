//! Tries a release on the latest transactions before it serves, and says whether it denies too many. It swaps nothing.

use std::{collections::BTreeMap, fmt::Write as _};

use super::super::handover::{Kept, Latest};
use crate::scoring::{
    plan::AggregateValue,
    release::Release,
    trial::Trial,
    verdict::Decision,
    wire::{Route, decode_transaction},
};

/// Rules that are named at most.
const NAMED_MAX: usize = 3;
/// What denies where no rule does.
const NO_RULE: &str = "the model's score or the policy";

/// The latest transactions with what was seen of them, and which aggregates those answers are of.
#[derive(Clone)]
pub(super) struct History {
    latest: Latest,
    /// The aggregates of each release that judged one of them.
    aggregates: BTreeMap<u64, Vec<String>>,
}

/// What a release would have made of the latest transactions.
#[derive(Default)]
pub(super) struct Tried {
    /// By transaction, the oldest first: what the release decides, and what its aggregates answer.
    each: Vec<Option<(Decision, Vec<AggregateValue>)>>,
    pub(super) transactions: usize,
    pub(super) denied_before: usize,
    pub(super) denied_after: usize,
    /// Who denies what was not denied before, and how often; the most often first.
    by_rule: Vec<(String, usize)>,
}

impl History {
    /// A history of at most so many, with the first release's aggregates.
    pub(super) fn new(kept_max: usize, aggregates: Vec<String>) -> Self {
        Self { latest: Latest::new(kept_max), aggregates: BTreeMap::from([(0, aggregates)]) }
    }

    /// Room for the transactions to come.
    pub(super) fn spare(&mut self) -> Latest {
        self.latest.spare()
    }

    /// Takes in what has come.
    pub(super) fn append(&mut self, newer: Latest) {
        self.latest.append(newer);
    }

    /// Tries a release on all of it.
    pub(super) fn try_on(&self, release: &Release) -> Tried {
        let aggregates = release.aggregates();
        let known: BTreeMap<u64, Vec<Option<usize>>> =
            self.aggregates.iter().map(|(number, known)| (*number, places(&aggregates, known))).collect();
        // Windows of its own cost the most by far, and are needed only where it asks for what nobody has kept.
        let asks_more = known.values().next_back().is_none_or(|places| places.contains(&None));
        let mut trial = Trial::new(release, asks_more);
        let mut by_rule: BTreeMap<String, usize> = BTreeMap::new();
        let mut tried = Tried::default();
        for Kept { payload, processor, answers, tier, decision: before, release: number } in self.latest.iter() {
            let route = Route { processor, card: None };
            let Ok(transaction) = decode_transaction(payload, route, &release.settings.schema) else {
                tried.each.push(None);
                continue;
            };
            let places = known.get(number).map(Vec::as_slice).unwrap_or_default();
            let seen = places.iter().map(|place| answers.get((*place)?));
            let after = trial.decide(&transaction, *tier, seen);
            tried.transactions += 1;
            tried.denied_before += usize::from(*before == Decision::Deny);
            tried.denied_after += usize::from(after == Decision::Deny);
            if after == Decision::Deny && *before != Decision::Deny {
                let mut deciding = trial.deciding().peekable();
                if deciding.peek().is_none() {
                    *by_rule.entry(NO_RULE.to_owned()).or_default() += 1;
                }
                for rule in deciding {
                    *by_rule.entry(format!("rule `{rule}`")).or_default() += 1;
                }
            }
            tried.each.push(Some((after, trial.answers().to_vec())));
        }
        tried.by_rule = by_rule.into_iter().collect();
        // Of equally many the first by name.
        tried.by_rule.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        tried
    }

    /// The release that was tried serves from now on, under a number: what comes later is compared with what it decides.
    pub(super) fn commit(&mut self, number: u64, aggregates: Vec<String>, tried: Tried) {
        for (kept, each) in self.latest.iter_mut().zip(tried.each) {
            if let Some((decision, answers)) = each {
                kept.decision = decision;
                kept.answers = answers;
                kept.release = number;
            }
        }
        self.aggregates.insert(number, aggregates);
        // What was judged between the trial and the swap is of the release before; nothing is older.
        self.aggregates.retain(|known, _| *known + 1 >= number);
    }
}

/// For each aggregate its place among others.
fn places(wanted: &[String], known: &[String]) -> Vec<Option<usize>> {
    let by_text: BTreeMap<&str, usize> = known.iter().map(String::as_str).zip(0..).collect();
    wanted.iter().map(|text| by_text.get(text.as_str()).copied()).collect()
}

impl Tried {
    /// How much larger the share of denials becomes; below zero where it shrinks.
    pub(super) fn change(&self) -> f64 {
        if self.transactions == 0 {
            return 0.0;
        }
        (self.denied_after as f64 - self.denied_before as f64) / self.transactions as f64
    }

    /// What was found, in one sentence.
    pub(super) fn text(&self) -> String {
        if self.transactions == 0 {
            return "no transaction was there to try it on".to_owned();
        }
        let Self { transactions, denied_before, denied_after, by_rule, .. } = self;
        let mut text =
            format!("of the latest {transactions} transactions it denies {denied_after}, what serves {denied_before}");
        for (place, (rule, count)) in by_rule.iter().take(NAMED_MAX).enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{} {count} by {rule}", if place == 0 { "; new denials:" } else { "," });
        }
        if by_rule.len() > NAMED_MAX {
            text.push_str(", and others");
        }
        text
    }
}
