//! Live quality against a plain recomputation over everything that was noted. No time passes here.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::{
    BUCKET_MS, LineUp, ModelLine, Notes, QualitySettings, Report, SubjectReport, Volume, Watch,
    notes::{Judged, Note},
};
use crate::scoring::{
    model::Reference,
    scorer::Opinion,
    time::{DAY_MS, HOUR_MS},
    transaction::LabelKind,
    verdict::Decision,
};

const RULES: [&str; 4] = ["a", "b", "c", "d"];
const WINDOWS_MS: [i64; 3] = [HOUR_MS, DAY_MS, 3 * DAY_MS];

/// One step of a stream, in numbers that a test can draw.
#[derive(Clone, Debug)]
enum Step {
    /// Minutes since the last, less some for disorder; amount, rules by bit, decision, opinions.
    Transaction { later: i64, back: i64, amount: Option<i64>, rules: u8, decision: u8, opinions: [Option<u8>; 2] },
    /// Which transaction from the newest back, the label's time, what it says.
    Label { of: usize, time: i64, kind: u8 },
    /// Another line-up takes over.
    LineUp(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let opinion = || prop::option::weighted(0.8, 0..3_u8);
    let transaction = (0..300_i64, 0..400_i64, prop::option::weighted(0.9, 0..1_000_i64), 0..16_u8, 0..3_u8, opinion())
        .prop_flat_map(move |(later, back, amount, rules, decision, first)| {
            opinion().prop_map(move |second| Step::Transaction {
                later,
                // Most come in order.
                back: if back < 300 { 0 } else { back * 3 },
                amount,
                rules,
                decision,
                opinions: [first, second],
            })
        });
    let label = (0..40_usize, 0..20_i64, 0..3_u8).prop_map(|(of, time, kind)| Step::Label { of, time, kind });
    prop_oneof![5 => transaction, 6 => label, 1 => (0..3_u8).prop_map(Step::LineUp)]
}

/// Line-ups of which each has other rules, and all but the first models.
fn line_up(number: u8) -> LineUp {
    let model = |version: &str| ModelLine {
        version: version.into(),
        rows: 100,
        score: Reference { edges: vec![0.5], shares: vec![0.5, 0.5], missing: 0.0 },
        features: Vec::new(),
    };
    LineUp {
        rules: RULES.iter().skip(number.into()).map(|rule| Arc::from(*rule)).collect(),
        champion: (number > 0).then(|| model("champion")),
        challengers: (number > 1).then(|| model("challenger")).into_iter().collect(),
    }
}

/// A transaction as the plain side keeps it, with all its labels in the order of their arrival.
struct Plain {
    time_ms: i64,
    amount: i64,
    line_up: u8,
    rules: Vec<Arc<str>>,
    decision: Decision,
    opinions: Vec<Option<Decision>>,
    is_ruled: bool,
    labels: Vec<(i64, LabelKind)>,
}

impl Plain {
    /// The latest wins, of equal times the later arrival.
    fn label(&self) -> LabelKind {
        self.labels.iter().max_by_key(|(time, _)| *time).map_or(LabelKind::Unknown, |(_, kind)| *kind)
    }
}

fn played(steps: &[Step]) -> (Report, Vec<Plain>, i64) {
    let settings = QualitySettings { windows_ms: WINDOWS_MS.to_vec(), ..QualitySettings::default() };
    let mut watch = Watch::new(settings);
    let mut plain: Vec<Plain> = Vec::new();
    let (mut now_ms, mut serving) = (1_532_476_800_000_i64, 0);
    let mut notes = Notes::default();
    notes.line_up(Arc::new(line_up(0)));
    let decision_of = |number: u8| Decision::ALL[usize::from(number) % 3];
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::LineUp(other) => {
                serving = *other;
                notes.line_up(Arc::new(line_up(serving)));
            }
            Step::Transaction { later, back, amount, rules, decision, opinions } => {
                now_ms += later * 60_000;
                let time_ms = now_ms - back * 60_000;
                let fired: Vec<Arc<str>> = line_up(serving)
                    .rules
                    .into_iter()
                    .enumerate()
                    .filter(|(place, _)| rules >> place & 1 == 1)
                    .map(|(_, rule)| rule)
                    .collect();
                let opinions: Vec<Option<Decision>> =
                    opinions.iter().take(serving.into()).map(|opinion| opinion.map(decision_of)).collect();
                let is_ruled = decision % 3 != 2 || *rules > 3;
                let fired = if is_ruled { fired } else { Vec::new() };
                notes.rules.extend(fired.iter().cloned());
                let opinion = |decision: &Option<Decision>| decision.map(|decision| Opinion { score: 0.5, decision });
                notes.opinions.extend(opinions.iter().map(opinion));
                notes.taken.push(Note::Transaction(Judged {
                    print: (plain.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
                    time_ms,
                    amount_base_minor: *amount,
                    decision: decision_of(*decision),
                    is_ruled,
                    rules: fired.len() as u16,
                    opinions: opinions.len() as u8,
                    features: 0,
                }));
                plain.push(Plain {
                    time_ms,
                    amount: amount.unwrap_or_default(),
                    line_up: serving,
                    rules: fired,
                    decision: decision_of(*decision),
                    opinions,
                    is_ruled,
                    labels: Vec::new(),
                });
            }
            Step::Label { of, time, kind } => {
                let Some(of) = plain.len().checked_sub(of + 1) else { continue };
                let kind = [LabelKind::Fraud, LabelKind::Legit, LabelKind::Unknown][usize::from(*kind)];
                notes.taken.push(Note::Label {
                    print: (of as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
                    time_ms: *time,
                    kind,
                });
                plain[of].labels.push((*time, kind));
            }
        }
        // In batches of whatever length, for that changes nothing.
        if number % 7 == 3 {
            watch.take(&notes);
            notes.clear();
        }
    }
    watch.take(&notes);
    let highest_ms = plain.iter().map(|transaction| transaction.time_ms).max().unwrap_or_default();
    (watch.report(), plain, highest_ms)
}

/// Every subject, worked out transaction by transaction.
fn recomputed(plain: &[Plain], highest_ms: i64) -> Vec<SubjectReport> {
    let mut subjects: BTreeMap<(&'static str, Arc<str>, &'static str, i64), SubjectReport> = BTreeMap::new();
    for transaction in plain {
        let label = transaction.label();
        if label == LabelKind::Unknown {
            continue;
        }
        let line_up = line_up(transaction.line_up);
        let stopped =
            |decision: Decision, at: &str| decision == Decision::Deny || decision == Decision::Review && at == "review";
        let mut judges: Vec<(&'static str, Arc<str>, &'static str, bool)> = Vec::new();
        for at in ["review", "deny"] {
            judges.push(("verdict", "all".into(), at, stopped(transaction.decision, at)));
            for (model, opinion) in line_up.champion.iter().chain(&line_up.challengers).zip(&transaction.opinions) {
                if let Some(opinion) = opinion {
                    judges.push(("model", model.version.clone(), at, stopped(*opinion, at)));
                }
            }
        }
        if transaction.is_ruled {
            let fired = |rule: &Arc<str>| transaction.rules.contains(rule);
            judges.extend(line_up.rules.iter().map(|rule| ("rule", rule.clone(), "fired", fired(rule))));
        }
        for window_ms in WINDOWS_MS {
            let first = highest_ms.div_euclid(BUCKET_MS) - window_ms / BUCKET_MS + 1;
            if transaction.time_ms < first * BUCKET_MS {
                continue;
            }
            for (kind, name, at, is_stopped) in &judges {
                let subject = subjects
                    .entry((kind, name.clone(), at, window_ms))
                    .or_insert_with(|| SubjectReport::new(kind, name, at, window_ms));
                let volume = Volume { transactions: 1, amount_minor: transaction.amount.into() };
                match (label, is_stopped) {
                    (LabelKind::Fraud, true) => subject.caught.add(volume),
                    (LabelKind::Fraud, false) => subject.missed.add(volume),
                    (_, true) => subject.wrongly_stopped.add(volume),
                    (_, false) => {}
                }
            }
        }
    }
    subjects.into_values().collect()
}

proptest! {
    #[test]
    fn quality_is_what_a_recomputation_finds(steps in prop::collection::vec(step(), 0..200)) {
        let (report, plain, highest_ms) = played(&steps);
        prop_assert_eq!(report.subjects, recomputed(&plain, highest_ms));
    }
}

/// A transaction that was judged by nobody but the policy.
fn judged(print: u64, time_ms: i64) -> Note {
    let decision = Decision::Approve;
    let (rules, opinions, features) = (0, 0, 0);
    let is_ruled = true;
    Note::Transaction(Judged {
        print,
        time_ms,
        amount_base_minor: Some(1),
        decision,
        is_ruled,
        rules,
        opinions,
        features,
    })
}

#[test]
fn what_is_remembered_is_bounded_and_the_oldest_days_go_first() {
    let settings = QualitySettings { transactions_max: 1_000, ..QualitySettings::default() };
    let mut watch = Watch::new(settings);
    for day in 0..10 {
        let mut notes = Notes::default();
        notes.taken.extend((0..400).map(|number| judged(day * 400 + number, day.cast_signed() * DAY_MS)));
        watch.take(&notes);
        assert!(watch.report().remembered <= 1_000);
    }
    let mut notes = Notes::default();
    // Of the last day, and of the first.
    for print in [9 * 400, 0] {
        notes.taken.push(Note::Label { print, time_ms: 0, kind: LabelKind::Fraud });
    }
    watch.take(&notes);
    let report = watch.report();
    assert_eq!((report.remembered, report.forgotten, report.unmatched), (800, 3_200, 1));
    assert_eq!(report.horizon_ms, DAY_MS);
    let missed: Vec<u64> = report.subjects.iter().map(|subject| subject.missed.transactions).collect();
    assert_eq!(missed, [1, 1, 1, 1, 1, 1]);
}

#[test]
fn drift_shows_once_the_window_has_slid() {
    let mut watch = Watch::new(QualitySettings { drift_window_ms: DAY_MS, ..QualitySettings::default() });
    let mut notes = Notes::default();
    let feature = (Arc::from("f"), Reference { edges: vec![10.0], shares: vec![0.5, 0.4], missing: 0.1 });
    let mut serving = line_up(1);
    serving.champion.iter_mut().for_each(|model| model.features.push(feature.clone()));
    notes.line_up(Arc::new(serving));
    let at = |notes: &mut Notes, time_ms: i64, score: f64, value: Option<f64>| {
        notes.opinions.push(Some(Opinion { score, decision: Decision::Approve }));
        notes.features.push(value);
        let Note::Transaction(transaction) = judged(time_ms.cast_unsigned(), time_ms) else { return };
        notes.taken.push(Note::Transaction(Judged { opinions: 1, features: 1, ..transaction }));
    };
    // As in training: half below, four tenths above, a tenth missing.
    for number in 0..1_000_i64 {
        let value = match number % 10 {
            0..=4 => Some(1.0),
            5..=8 => Some(20.0),
            _ => None,
        };
        at(&mut notes, number * 60_000, if number % 2 == 0 { 0.4 } else { 0.6 }, value);
    }
    watch.take(&notes);
    let told = |report: &Report| -> Vec<(String, bool, u64)> {
        report.drift.iter().map(|drift| (drift.of.to_string(), drift.psi > drift.critical, drift.rows)).collect()
    };
    assert_eq!(told(&watch.report()), [("score".into(), false, 1_000), ("feature:f".into(), false, 1_000)]);
    notes.clear();
    // Two days later every score is high and the feature is missing.
    for number in 0..100 {
        at(&mut notes, 3 * DAY_MS + number * 60_000, 0.9, None);
    }
    watch.take(&notes);
    assert_eq!(told(&watch.report()), [("score".into(), true, 100), ("feature:f".into(), true, 100)]);
}
