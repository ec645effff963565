//! Tries a release on the latest transactions before it serves, and says whether it denies too many. It swaps nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::super::handover::{Kept, Latest};
use crate::scoring::{
    plan::AggregateValue,
    release::Release,
    trial::{Known, Trial},
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
    /// By transaction, the oldest first; `None` for one that it cannot read.
    each: Vec<Option<Judged>>,
    pub(super) transactions: usize,
    pub(super) denied_before: usize,
    pub(super) denied_after: usize,
    /// Who denies what was not denied before, and how often; the most often first.
    by_rule: Vec<(String, usize)>,
}

/// What a release would have made of a transaction.
struct Judged {
    decision: Decision,
    /// What its aggregates answer; `None` where that is what is known, in the same order.
    answers: Option<Vec<AggregateValue>>,
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

    /// Tries a release on all of it. Where it is the first that enforces what it decides, nothing was denied before.
    pub(super) fn try_on(&self, release: &Release, is_first_enforced: bool) -> Tried {
        let aggregates = release.aggregates();
        let known: BTreeMap<u64, Vec<Option<usize>>> =
            self.aggregates.iter().map(|(number, known)| (*number, places(&aggregates, known))).collect();
        // Windows of its own cost the most by far, and are needed only where it asks for what nobody has kept.
        let asks_more = known.values().next_back().is_none_or(|places| places.contains(&None));
        let knows_all = |places: &[Option<usize>]| places.iter().enumerate().all(|(at, place)| *place == Some(at));
        let alike: BTreeSet<u64> = if asks_more {
            BTreeSet::new()
        } else {
            known.iter().filter(|(_, places)| knows_all(places)).map(|(number, _)| *number).collect()
        };
        let mut trial = Trial::new(release, asks_more);
        let mut by_rule: BTreeMap<String, usize> = BTreeMap::new();
        let mut tried = Tried::default();
        for Kept { payload, processor, answers, tier, decision: before, release: number } in self.latest.iter() {
            let route = Route { processor, card: None };
            let Ok(transaction) = decode_transaction(payload, route, &release.settings.schema) else {
                tried.each.push(None);
                continue;
            };
            let knows_all = alike.contains(number) && answers.len() >= aggregates.len();
            let known = if knows_all {
                Known::All(answers)
            } else {
                Known::Some { answers, places: known.get(number).map(Vec::as_slice).unwrap_or_default() }
            };
            let before = if is_first_enforced { Decision::Approve } else { *before };
            let after = trial.decide(&transaction, *tier, known);
            tried.transactions += 1;
            tried.denied_before += usize::from(before == Decision::Deny);
            tried.denied_after += usize::from(after == Decision::Deny);
            if after == Decision::Deny && before != Decision::Deny {
                let mut deciding = trial.deciding().peekable();
                if deciding.peek().is_none() {
                    *by_rule.entry(NO_RULE.to_owned()).or_default() += 1;
                }
                for rule in deciding {
                    *by_rule.entry(format!("rule `{rule}`")).or_default() += 1;
                }
            }
            let answers = (!knows_all).then(|| trial.answers().to_vec());
            tried.each.push(Some(Judged { decision: after, answers }));
        }
        tried.by_rule = by_rule.into_iter().collect();
        // Of equally many the first by name.
        tried.by_rule.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        tried
    }

    /// The release that was tried serves from now on, under a number: what comes later is compared with what it decides.
    pub(super) fn commit(&mut self, number: u64, aggregates: Vec<String>, tried: Tried) {
        for (kept, each) in self.latest.iter_mut().zip(tried.each) {
            if let Some(Judged { decision, answers }) = each {
                kept.decision = decision;
                kept.release = number;
                if let Some(answers) = answers {
                    kept.answers = answers;
                }
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
    /// The share that what serves denies.
    pub(super) fn share_before(&self) -> f64 {
        self.denied_before as f64 / self.transactions.max(1) as f64
    }

    /// The share that it denies itself.
    pub(super) fn share_after(&self) -> f64 {
        self.denied_after as f64 / self.transactions.max(1) as f64
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
