//! Live quality beside the answers: what the scoring thread takes down goes to a thread of its own, which counts and
//! publishes it as metrics. No answer waits for it or depends on it.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::priority;
use crate::{
    quality::{Answered, LineUp, ModelLine, Notes, QualitySettings, Report, SubjectReport, Watch},
    scoring::{
        release::Release,
        scorer::{Opinion, Scorer},
        time::Span,
        transaction::{Label, Transaction},
        verdict::{Decision, Tier},
    },
};

/// Rules whose quality has series of its own, the first by id.
const RULE_SERIES_MAX: usize = 200;
/// Notes that are handed over together, at most: more are kept back while the other thread is behind.
const NOTES_TOGETHER: usize = 4_096;
/// Notes that are kept back, at most: then transactions are no longer taken down, and challengers do not score.
const NOTES_MAX: usize = 65_536;
/// Batches on their way.
const BATCHES: usize = 4;
/// How often what was counted is published.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// Bounds of the probability of fraud.
const SCORES: &[f64] = &[0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0];

/// Series that come and go: a whole set of them takes the place of the one before.
#[derive(Clone)]
struct Changing {
    opts: Opts,
    labels: &'static [&'static str],
    template: GaugeVec,
    current: Arc<ArcSwap<GaugeVec>>,
}

impl Changing {
    fn new(name: &str, help: &str, labels: &'static [&'static str]) -> prometheus::Result<Self> {
        let opts = Opts::new(name, help);
        let template = GaugeVec::new(opts.clone(), labels)?;
        let current = Arc::new(ArcSwap::from_pointee(template.clone()));
        Ok(Self { opts, labels, template, current })
    }

    /// Publishes these values by their labels.
    fn publish<'s>(&self, values: impl Iterator<Item = (Vec<&'s str>, f64)>) {
        // The name was accepted once.
        let Ok(next) = GaugeVec::new(self.opts.clone(), self.labels) else { return };
        for (labels, value) in values {
            next.with_label_values(&labels).set(value);
        }
        self.current.store(Arc::new(next));
    }
}

impl Collector for Changing {
    fn desc(&self) -> Vec<&Desc> {
        self.template.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.current.load().collect()
    }
}

/// The metrics of live quality.
#[derive(Clone)]
pub struct QualityMetrics {
    precision: Changing,
    recall: Changing,
    transactions: Changing,
    amount: Changing,
    psi: Changing,
    critical: Changing,
    rows: Changing,
    scores: HistogramVec,
    agreement: IntCounterVec,
    skipped: IntCounterVec,
    remembered: IntGauge,
    horizon: IntGauge,
    unmatched: IntCounter,
    forgotten: IntCounter,
    dropped: IntCounter,
}

/// Kind, name, at and window of a subject.
fn labels_of(subject: &SubjectReport) -> [String; 4] {
    let SubjectReport { kind, name, at, window_ms, .. } = subject;
    [(*kind).to_owned(), name.to_string(), (*at).to_owned(), Span(*window_ms).to_string()]
}

fn texts(labels: &[String; 4]) -> Vec<&str> {
    labels.iter().map(String::as_str).collect()
}

impl QualityMetrics {
    /// Every metric at zero, registered.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        const SUBJECT: &[&str] = &["kind", "name", "at", "window"];
        const STOPPED: &[&str] = &["kind", "name", "at", "window", "what"];
        const DRIFT: &[&str] = &["model", "of"];
        let metrics = Self {
            precision: Changing::new(
                "gavel_quality_precision",
                "Of the labelled transactions of a window that a rule, a model or the verdicts stopped, the share that is fraud.",
                SUBJECT,
            )?,
            recall: Changing::new(
                "gavel_quality_recall",
                "Of the frauds of a window, the share that a rule, a model or the verdicts stopped.",
                SUBJECT,
            )?,
            transactions: Changing::new(
                "gavel_quality_transactions",
                "Labelled transactions of a window: frauds caught and missed, legitimate ones wrongly stopped.",
                STOPPED,
            )?,
            amount: Changing::new(
                "gavel_quality_amount_minor",
                "Their amounts in minor units of the base currency.",
                STOPPED,
            )?,
            psi: Changing::new(
                "gavel_drift_psi",
                "Population stability index of a model's scores or a feature against its training.",
                DRIFT,
            )?,
            critical: Changing::new(
                "gavel_drift_psi_critical",
                "The index that one in a thousand exceeds by chance, with so many transactions.",
                DRIFT,
            )?,
            rows: Changing::new("gavel_drift_transactions", "Transactions in the window of the index.", DRIFT)?,
            scores: HistogramVec::new(
                HistogramOpts::new("gavel_challenger_score", "A challenger's probability of fraud.")
                    .buckets(SCORES.to_vec()),
                &["model"],
            )?,
            agreement: IntCounterVec::new(
                Opts::new(
                    "gavel_challenger_verdicts_total",
                    "Transactions by what the champion's score and the challenger's would each decide by themselves.",
                ),
                &["model", "champion", "challenger"],
            )?,
            skipped: IntCounterVec::new(
                Opts::new(
                    "gavel_challenger_skipped_total",
                    "Transactions that a challenger did not score, for want of time.",
                ),
                &["model"],
            )?,
            remembered: IntGauge::new("gavel_quality_remembered", "Transactions remembered until their label comes.")?,
            horizon: IntGauge::new(
                "gavel_quality_horizon_seconds",
                "How far back in event time a label still counts for live quality.",
            )?,
            unmatched: IntCounter::new(
                "gavel_quality_unmatched_labels_total",
                "Labels about transactions that live quality does not remember.",
            )?,
            forgotten: IntCounter::new(
                "gavel_quality_forgotten_total",
                "Transactions that live quality forgot early because there were too many.",
            )?,
            dropped: IntCounter::new(
                "gavel_quality_dropped_total",
                "Transactions that live quality did not take down because it was behind.",
            )?,
        };
        let Self { precision, recall, transactions, amount, psi, critical, rows, .. } = metrics.clone();
        for changing in [precision, recall, transactions, amount, psi, critical, rows] {
            registry.register(Box::new(changing))?;
        }
        registry.register(Box::new(metrics.scores.clone()))?;
        registry.register(Box::new(metrics.agreement.clone()))?;
        registry.register(Box::new(metrics.skipped.clone()))?;
        for gauge in [&metrics.remembered, &metrics.horizon] {
            registry.register(Box::new(gauge.clone()))?;
        }
        for counter in [&metrics.unmatched, &metrics.forgotten, &metrics.dropped] {
            registry.register(Box::new(counter.clone()))?;
        }
        Ok(metrics)
    }

    /// What was found takes the place of what was found before.
    fn publish(&self, report: &Report) {
        let rules: BTreeSet<&str> =
            report.subjects.iter().filter(|subject| subject.kind == "rule").map(|subject| &*subject.name).collect();
        let beyond = rules.into_iter().nth(RULE_SERIES_MAX);
        let has_series =
            |subject: &&SubjectReport| subject.kind != "rule" || beyond.is_none_or(|beyond| &*subject.name < beyond);
        let labelled: Vec<(&SubjectReport, [String; 4])> =
            report.subjects.iter().filter(has_series).map(|subject| (subject, labels_of(subject))).collect();
        self.precision.publish(labelled.iter().filter_map(|(subject, own)| Some((texts(own), subject.precision()?))));
        self.recall.publish(labelled.iter().filter_map(|(subject, own)| Some((texts(own), subject.recall()?))));
        let volumes = || {
            labelled.iter().flat_map(|(subject, own)| {
                let SubjectReport { caught, missed, wrongly_stopped, .. } = subject;
                let parts = [("caught", caught), ("missed", missed), ("wrongly_stopped", wrongly_stopped)];
                parts.map(|(what, volume)| ([texts(own), vec![what]].concat(), volume))
            })
        };
        self.transactions.publish(volumes().map(|(labels, volume)| (labels, volume.transactions as f64)));
        self.amount.publish(volumes().map(|(labels, volume)| (labels, volume.amount_minor as f64)));
        let drift = || report.drift.iter().map(|drift| (vec![&*drift.model, &*drift.of], drift));
        self.psi.publish(drift().map(|(labels, drift)| (labels, drift.psi)));
        self.critical.publish(drift().map(|(labels, drift)| (labels, drift.critical)));
        self.rows.publish(drift().map(|(labels, drift)| (labels, drift.rows as f64)));
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.remembered.set(gauge(report.remembered));
        self.horizon.set(report.horizon_ms / 1_000);
        self.unmatched.inc_by(report.unmatched.saturating_sub(self.unmatched.get()));
        self.forgotten.inc_by(report.forgotten.saturating_sub(self.forgotten.get()));
    }

    /// Counts what challengers made of transactions. Series of models that look on no longer go.
    fn count(&self, notes: &Notes, line_up: &mut Option<Arc<LineUp>>) {
        for opinions in notes.opinions() {
            let opinions = match opinions {
                Ok(opinions) => opinions,
                Err(next) => {
                    self.keep_only(next, line_up.as_deref());
                    *line_up = Some(next.clone());
                    continue;
                }
            };
            let Some(line_up) = line_up else { continue };
            let [champion, challengers @ ..] = opinions else { continue };
            for (model, opinion) in line_up.challengers.iter().zip(challengers) {
                let version = &*model.version;
                let Some(Opinion { score, decision }) = opinion else {
                    self.skipped.with_label_values(&[version]).inc();
                    continue;
                };
                self.scores.with_label_values(&[version]).observe(*score);
                if let Some(champion) = champion {
                    let labels = [version, champion.decision.name(), decision.name()];
                    self.agreement.with_label_values(&labels).inc();
                }
            }
        }
    }

    fn keep_only(&self, line_up: &LineUp, before: Option<&LineUp>) {
        let left = |model: &&ModelLine| line_up.challengers.iter().all(|stays| stays.version != model.version);
        for model in before.iter().flat_map(|before| &before.challengers).filter(left) {
            let version = &*model.version;
            // What is not there need not go.
            let _ = self.scores.remove_label_values(&[version]);
            let _ = self.skipped.remove_label_values(&[version]);
            for champion in Decision::ALL {
                for challenger in Decision::ALL {
                    let labels = [version, champion.name(), challenger.name()];
                    let _ = self.agreement.remove_label_values(&labels);
                }
            }
        }
        for model in &line_up.challengers {
            let version = &*model.version;
            self.scores.with_label_values(&[version]);
            self.skipped.with_label_values(&[version]);
            for champion in Decision::ALL {
                for challenger in Decision::ALL {
                    self.agreement.with_label_values(&[version, champion.name(), challenger.name()]);
                }
            }
        }
    }
}

/// What the scoring thread takes down.
pub struct Notebook {
    notes: Notes,
    /// The way to the thread that counts; without one nothing is taken down.
    counting: Option<Counting>,
}

struct Counting {
    full: SyncSender<Notes>,
    empty: Receiver<Notes>,
    dropped: IntCounter,
}

impl Notebook {
    /// One that takes nothing down.
    pub fn off() -> Self {
        Self { notes: Notes::default(), counting: None }
    }

    /// Starts the thread that counts what is taken down, until the notebook is dropped.
    pub fn start(settings: QualitySettings, metrics: QualityMetrics, release: &Release) -> io::Result<Self> {
        let (full, received) = sync_channel(BATCHES);
        let (given_back, empty) = sync_channel(BATCHES);
        let dropped = metrics.dropped.clone();
        let watch = Watch::new(settings);
        let count = move || {
            priority::lower();
            count(watch, &metrics, &received, &given_back);
        };
        std::thread::Builder::new().name("quality".into()).spawn(count)?;
        let mut notebook = Self { notes: Notes::default(), counting: Some(Counting { full, empty, dropped }) };
        notebook.release(release);
        Ok(notebook)
    }

    /// Another release judges from here on.
    pub fn release(&mut self, release: &Release) {
        if self.counting.is_some() {
            self.notes.line_up(Arc::new(LineUp::of(release)));
        }
    }

    /// A transaction got a new verdict, the one that the scorer gave last. Challengers score here.
    pub fn judged(&mut self, scorer: &mut Scorer, transaction: &Transaction<'_>, tier: Tier) {
        let Some(counting) = &self.counting else { return };
        if self.notes.len() >= NOTES_MAX {
            counting.dropped.inc();
            return;
        }
        self.notes.judged(scorer, transaction, tier);
        if self.notes.len().is_multiple_of(NOTES_TOGETHER) {
            self.hand_over();
        }
    }

    /// A transaction was answered before this process began.
    pub fn answered(&mut self, release: &Release, answered: &Answered<'_>) {
        if self.counting.is_some() {
            self.notes.answered(release, answered);
            self.wait_behind();
        }
    }

    /// A label took effect.
    pub fn label(&mut self, label: &Label<'_>) {
        // Past the limit too: a label that is lost leaves its transaction counted wrong.
        if self.counting.is_some() {
            self.notes.label(label);
        }
    }

    /// Hands over what was taken down, unless the other thread is behind.
    pub fn hand_over(&mut self) {
        let Some(counting) = self.counting.as_mut().filter(|_| !self.notes.is_empty()) else { return };
        let next = counting.empty.try_recv().unwrap_or_default();
        if let Err(TrySendError::Full(notes) | TrySendError::Disconnected(notes)) =
            counting.full.try_send(std::mem::replace(&mut self.notes, next))
        {
            self.notes = notes;
        }
    }

    /// Hands over once there is enough of it, and waits where the other thread is behind: nobody waits for an answer.
    fn wait_behind(&mut self) {
        let Some(counting) = self.counting.as_mut().filter(|_| self.notes.len() >= NOTES_TOGETHER) else { return };
        let next = counting.empty.try_recv().unwrap_or_default();
        // A thread that has ended counts nothing any more.
        let _ = counting.full.send(std::mem::replace(&mut self.notes, next));
    }
}

/// The thread that counts.
fn count(mut watch: Watch, metrics: &QualityMetrics, received: &Receiver<Notes>, given_back: &SyncSender<Notes>) {
    let (mut line_up, mut published) = (None, Instant::now());
    let (mut is_over, mut is_published) = (false, true);
    while !is_over {
        match received.recv_timeout(PUBLISH_EVERY) {
            Ok(mut notes) => {
                metrics.count(&notes, &mut line_up);
                watch.take(&notes);
                notes.clear();
                // Where there are enough of them, this one is freed.
                let _ = given_back.try_send(notes);
                is_published = false;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => is_over = true,
        }
        if !is_published && (is_over || published.elapsed() >= PUBLISH_EVERY) {
            metrics.publish(&watch.report());
            (published, is_published) = (Instant::now(), true);
        }
    }
}
