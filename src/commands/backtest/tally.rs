//! The counts of a backtest. Labels judge; money is in minor units of the base currency. It prints nothing.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::scoring::{release::Release, rules::RuleMode, verdict::Decision};

/// What is known about a transaction.
#[derive(Clone, Copy)]
pub(super) struct Judgement {
    pub(super) is_fraud: Option<bool>,
    pub(super) amount_minor: Option<i64>,
}

/// How many transactions, and how much money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Volume {
    pub(super) transactions: u64,
    pub(super) amount_minor: i64,
}

/// Volumes by label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Volumes {
    pub(super) fraud: Volume,
    pub(super) legitimate: Volume,
    pub(super) unlabelled: Volume,
}

/// What a backtest found.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) base_currency: &'static str,
    pub(super) all: Volumes,
    pub(super) without_rate: u64,
    pub(super) duplicates: u64,
    pub(super) refused: u64,
    pub(super) rule_sets: Vec<RuleSetReport>,
    pub(super) flips: Vec<Flip>,
}

/// What one rule set made of the transactions.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RuleSetReport {
    pub(super) name: &'static str,
    pub(super) folder: String,
    pub(super) version: String,
    pub(super) model: Option<String>,
    pub(super) approved: Volumes,
    pub(super) denied: Volumes,
    pub(super) reviewed: Volumes,
    pub(super) rules: BTreeMap<String, RuleReport>,
}

/// What one rule fired on.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RuleReport {
    pub(super) then: &'static str,
    pub(super) is_shadow: bool,
    pub(super) hits: Volumes,
    /// Of the labelled transactions it fired on, the share that is fraud.
    pub(super) precision: Option<f64>,
    /// Of all frauds, the share it fired on.
    pub(super) recall: Option<f64>,
}

/// Transactions that the candidate decides otherwise.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Flip {
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) volumes: Volumes,
}

impl Volumes {
    fn add(&mut self, judgement: &Judgement) {
        let volume = match judgement.is_fraud {
            Some(true) => &mut self.fraud,
            Some(false) => &mut self.legitimate,
            None => &mut self.unlabelled,
        };
        volume.transactions += 1;
        volume.amount_minor = volume.amount_minor.saturating_add(judgement.amount_minor.unwrap_or(0));
    }

    /// How many transactions in all.
    pub(super) fn transactions(&self) -> u64 {
        self.fraud.transactions + self.legitimate.transactions + self.unlabelled.transactions
    }

    /// Of the labelled ones, the share that is fraud.
    pub(super) fn precision(&self) -> Option<f64> {
        share(self.fraud.transactions, self.fraud.transactions + self.legitimate.transactions)
    }
}

/// A share; `None` of nothing.
pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl Report {
    pub(super) fn new(base_currency: &'static str) -> Self {
        let mut report = Self { base_currency, ..Self::default() };
        for from in Decision::ALL {
            for to in Decision::ALL.into_iter().filter(|to| *to != from) {
                report.flips.push(Flip { from: from.name(), to: to.name(), volumes: Volumes::default() });
            }
        }
        report
    }

    /// A rule set with all its rules, so that one that never fires is named too.
    pub(super) fn add_set(&mut self, name: &'static str, folder: &str, release: &Release) {
        let rules = release.rules.rules().iter().filter(|rule| rule.mode != RuleMode::Off);
        let rules = rules.map(|rule| {
            let is_shadow = rule.mode == RuleMode::Shadow;
            let hits = Volumes::default();
            (rule.id.to_string(), RuleReport { then: rule.then.name(), is_shadow, hits, precision: None, recall: None })
        });
        self.rule_sets.push(RuleSetReport {
            name,
            folder: folder.to_owned(),
            version: release.versions.rules.clone(),
            model: release.versions.model.clone(),
            approved: Volumes::default(),
            denied: Volumes::default(),
            reviewed: Volumes::default(),
            rules: rules.collect(),
        });
    }

    /// What the rule set at a place decided on a transaction, and the rules that fired.
    pub(super) fn judge<'v>(
        &mut self,
        place: usize,
        judgement: &Judgement,
        decision: Decision,
        fired: impl Iterator<Item = &'v str>,
        shadow: impl Iterator<Item = &'v str>,
    ) {
        if place == 0 {
            self.all.add(judgement);
            self.without_rate += u64::from(judgement.amount_minor.is_none());
        }
        let Some(set) = self.rule_sets.get_mut(place) else { return };
        let decided = match decision {
            Decision::Approve => &mut set.approved,
            Decision::Deny => &mut set.denied,
            Decision::Review => &mut set.reviewed,
        };
        decided.add(judgement);
        for id in fired.chain(shadow) {
            if let Some(rule) = set.rules.get_mut(id) {
                rule.hits.add(judgement);
            }
        }
    }

    /// The two rule sets' decisions on one transaction.
    pub(super) fn flip(&mut self, before: Decision, after: Decision, judgement: &Judgement) {
        let flip = self.flips.iter_mut().find(|flip| flip.from == before.name() && flip.to == after.name());
        if let Some(flip) = flip {
            flip.volumes.add(judgement);
        }
    }

    /// The shares, once everything is counted.
    pub(super) fn finish(&mut self) {
        let frauds = self.all.fraud.transactions;
        for rule in self.rule_sets.iter_mut().flat_map(|set| set.rules.values_mut()) {
            rule.precision = rule.hits.precision();
            rule.recall = share(rule.hits.fraud.transactions, frauds);
        }
        if self.rule_sets.len() < 2 {
            self.flips.clear();
        }
    }

    pub(super) fn to_json(&self) -> String {
        // Counts and names can always be written.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}
