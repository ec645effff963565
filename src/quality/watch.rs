//! Takes notes in and says what they amount to: quality by labels, drift by references. Each transaction and each label
//! costs the same whatever is remembered.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use super::{
    BUCKET_MS, QualitySettings,
    drift::{Drift, stretch_of},
    labelled::{Cell, Labelled},
    notes::{Event, LineUp, Mark, ModelLine, Notes, Seen},
    report::{DriftReport, Report, SubjectReport, stops},
};
use crate::scoring::verdict::Decision;

/// From which verdict on a transaction counts as stopped.
const AT: [&str; 2] = ["review", "deny"];

/// Everything that is kept of what was noted.
pub struct Watch {
    settings: QualitySettings,
    labelled: Labelled,
    /// By number; those that no transaction remembers are dropped.
    line_ups: BTreeMap<u32, Arc<LineUp>>,
    /// The number of the line-up that judges now.
    now: u32,
    drifts: Vec<ModelDrift>,
    highest_ms: i64,
    mark: Mark,
}

/// One model's drift: its scores, and its features where it decides.
struct ModelDrift {
    line: usize,
    version: Arc<str>,
    score: Drift,
    features: Vec<(Arc<str>, Drift)>,
}

impl Watch {
    /// Nothing noted yet.
    pub fn new(settings: QualitySettings) -> Self {
        let none = LineUp { rules: Vec::new(), champion: None, challengers: Vec::new() };
        Self {
            settings,
            labelled: Labelled::default(),
            line_ups: BTreeMap::from([(0, Arc::new(none))]),
            now: 0,
            drifts: Vec::new(),
            highest_ms: i64::MIN,
            mark: Mark {
                line_up: 0,
                decision: Decision::Approve,
                is_ruled: true,
                opinions: SmallVec::new(),
                rules: SmallVec::new(),
            },
        }
    }

    /// Takes notes in, in their order.
    pub fn take(&mut self, notes: &Notes) {
        for event in notes.events() {
            match event {
                Event::LineUp(line_up) => self.line_up(line_up),
                Event::Transaction(seen) => self.judged(&seen),
                Event::Label { print, time_ms, kind } => self.labelled.label(print, time_ms, kind),
            }
        }
        let longest_ms = self.settings.windows_ms.iter().copied().max().unwrap_or_default();
        let reach_ms = self.highest_ms.saturating_sub(longest_ms);
        self.labelled.forget(reach_ms, self.settings.transactions_max);
    }

    fn line_up(&mut self, line_up: &Arc<LineUp>) {
        if self.line_ups.get(&self.now).is_some_and(|now| **now == **line_up) {
            return;
        }
        let known = self.line_ups.iter().find(|(_, known)| ***known == **line_up).map(|(number, _)| *number);
        self.now = known.unwrap_or_else(|| self.line_ups.keys().next_back().map_or(0, |last| last + 1));
        self.line_ups.insert(self.now, line_up.clone());
        // A model that goes on, in whatever role, goes on with what was counted of it.
        let mut before = std::mem::take(&mut self.drifts);
        let lines = line_up.champion.iter().map(|line| (0, line));
        for (line, model) in lines.chain((1..).zip(&line_up.challengers)) {
            let known = before.iter().position(|drift| drift.version == model.version);
            let mut drift = known.map_or_else(|| ModelDrift::new(model), |known| before.swap_remove(known));
            if drift.features.len() != model.features.len() {
                drift.features = features_of(model);
            }
            drift.line = line;
            self.drifts.push(drift);
        }
    }

    fn judged(&mut self, seen: &Seen<'_>) {
        let Seen { judged, rules, opinions, features } = *seen;
        self.highest_ms = self.highest_ms.max(judged.time_ms);
        let stretch = stretch_of(judged.time_ms, self.settings.drift_window_ms);
        for drift in &mut self.drifts {
            let Some(Some(opinion)) = opinions.get(drift.line) else { continue };
            drift.score.count(stretch, Some(opinion.score));
            if drift.line == 0 {
                for ((_, feature), value) in drift.features.iter_mut().zip(features) {
                    feature.count(stretch, *value);
                }
            }
        }
        if self.settings.transactions_max == 0 {
            return;
        }
        let mark = &mut self.mark;
        (mark.line_up, mark.decision, mark.is_ruled) = (self.now, judged.decision, judged.is_ruled);
        mark.opinions.clear();
        mark.opinions.extend(opinions.iter().map(|opinion| opinion.map(|opinion| opinion.decision)));
        mark.rules.clear();
        mark.rules.extend(rules.iter().cloned());
        self.labelled.judged(judged.print, judged.time_ms, judged.amount_base_minor, mark);
    }

    /// What was found up to the highest event time.
    pub fn report(&mut self) -> Report {
        let used: BTreeSet<u32> = self.labelled.marks().map(|mark| mark.line_up).chain([self.now]).collect();
        self.line_ups.retain(|number, _| used.contains(number));
        let newest = stretch_of(self.highest_ms, self.settings.drift_window_ms);
        let since_ms = self.labelled.since_ms().unwrap_or(self.highest_ms);
        Report {
            subjects: self.subjects(),
            drift: self.drifts.iter().flat_map(|drift| drift.report(newest)).collect(),
            remembered: self.labelled.len() as u64,
            horizon_ms: self.highest_ms.saturating_sub(since_ms).max(0),
            unmatched: self.labelled.unmatched,
            forgotten: self.labelled.forgotten,
        }
    }

    fn subjects(&self) -> Vec<SubjectReport> {
        let now = self.highest_ms.div_euclid(BUCKET_MS);
        let windows = self.settings.windows_ms.iter();
        let mut tallies: Vec<Tally> =
            windows.map(|window_ms| Tally { window_ms: *window_ms, ..Tally::default() }).collect();
        for (bucket, mark, cell) in self.labelled.cells() {
            for tally in &mut tallies {
                if bucket > now - tally.window_ms / BUCKET_MS {
                    tally.marks.entry(mark).or_default().add(cell);
                }
            }
        }
        let mut subjects: Vec<SubjectReport> =
            tallies.into_iter().flat_map(|tally| tally.subjects(&self.line_ups)).collect();
        subjects.sort_by(|a, b| place(a).cmp(&place(b)));
        subjects
    }
}

/// The order of a report.
fn place(subject: &SubjectReport) -> (&str, &str, &str, i64) {
    (subject.kind, &subject.name, subject.at, subject.window_ms)
}

/// What is labelled in one window.
#[derive(Default)]
struct Tally<'w> {
    window_ms: i64,
    marks: HashMap<&'w Mark, Cell, FxBuildHasher>,
}

impl Tally<'_> {
    /// What the labelled transactions say of everybody who judged them.
    fn subjects(&self, line_ups: &BTreeMap<u32, Arc<LineUp>>) -> Vec<SubjectReport> {
        let mut subjects: HashMap<(&'static str, Arc<str>, &'static str), SubjectReport, FxBuildHasher> =
            HashMap::default();
        let mut subject = |kind: &'static str, name: &Arc<str>, at: &'static str, cell: Cell, is_stopped: bool| {
            let subject = subjects
                .entry((kind, name.clone(), at))
                .or_insert_with(|| SubjectReport::new(kind, name, at, self.window_ms));
            if is_stopped {
                subject.caught.add(cell.frauds);
                subject.wrongly_stopped.add(cell.legits);
            } else {
                subject.missed.add(cell.frauds);
            }
        };
        let all: Arc<str> = "all".into();
        // What each rule let pass is what it saw less what it fired on, or every label would cost as much as there are
        // rules.
        let mut seen: BTreeMap<u32, Cell> = BTreeMap::new();
        let mut fired: HashMap<(u32, &Arc<str>), Cell, FxBuildHasher> = HashMap::default();
        for (mark, cell) in &self.marks {
            let Some(line_up) = line_ups.get(&mark.line_up) else { continue };
            for at in AT {
                subject("verdict", &all, at, *cell, stops(mark.decision, at));
                let models = [line_up.champion.as_ref()].into_iter().chain(line_up.challengers.iter().map(Some));
                for (model, opinion) in models.zip(&mark.opinions) {
                    if let Some((model, opinion)) = model.zip(*opinion) {
                        subject("model", &model.version, at, *cell, stops(opinion, at));
                    }
                }
            }
            if mark.is_ruled {
                seen.entry(mark.line_up).or_default().add(*cell);
                for rule in &mark.rules {
                    fired.entry((mark.line_up, rule)).or_default().add(*cell);
                }
            }
        }
        for (number, all) in &seen {
            for rule in line_ups.get(number).iter().flat_map(|line_up| &line_up.rules) {
                let hits = fired.get(&(*number, rule)).copied().unwrap_or_default();
                subject("rule", rule, "fired", hits, true);
                subject("rule", rule, "fired", all.less(hits), false);
            }
        }
        subjects.into_values().collect()
    }
}

impl ModelDrift {
    fn new(model: &ModelLine) -> Self {
        let score = Drift::new(&model.score, model.rows);
        Self { line: 0, version: model.version.clone(), score, features: features_of(model) }
    }

    fn report(&self, newest: i64) -> impl Iterator<Item = DriftReport> {
        let score = (Arc::from("score"), &self.score);
        let features = self.features.iter().map(|(name, drift)| (Arc::from(format!("feature:{name}")), drift));
        std::iter::once(score).chain(features).filter_map(move |(of, drift)| {
            let psi = drift.psi(newest)?;
            let model = self.version.clone();
            Some(DriftReport { model, of, psi: psi.value, critical: psi.critical, rows: psi.rows })
        })
    }
}

fn features_of(model: &ModelLine) -> Vec<(Arc<str>, Drift)> {
    let drift = |(name, reference): &(Arc<str>, _)| (name.clone(), Drift::new(reference, model.rows));
    model.features.iter().map(drift).collect()
}
