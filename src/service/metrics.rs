//! What the service tells Prometheus: every metric's name beside its help. The scoring thread never takes a lock for
//! it: it counts in a `Tally` of its own and hands the sums over in between.

mod durable;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use prometheus::{
    Encoder as _, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
    core::Collector,
    local::{LocalHistogram, LocalIntCounter},
};
use rustc_hash::FxHashMap;

use super::{held_keys::HeldKeys, quality::QualityMetrics, stream_metrics::StreamMetrics, subjects::Kind};
use crate::scoring::{
    refusal::Refusal,
    scorer::Scorer,
    verdict::{Decision, Flag, Tier, Verdict, Versions},
};

/// Bounds in seconds: from 10 µs, where an idle service answers, to a second.
const LATENCY_SECONDS: &[f64] = &[
    10e-6, 20e-6, 30e-6, 50e-6, 75e-6, 100e-6, 200e-6, 300e-6, 500e-6, 750e-6, 1e-3, 2e-3, 3e-3, 5e-3, 10e-3, 20e-3,
    50e-3, 100e-3, 200e-3, 500e-3, 1.0,
];
/// Bounds in seconds of one stage of the work, which takes far less than the whole.
const STAGE_SECONDS: &[f64] = &[
    0.5e-6, 1e-6, 2e-6, 3e-6, 5e-6, 7.5e-6, 10e-6, 20e-6, 30e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 5e-3, 20e-3,
    100e-3, 1.0,
];
/// Bounds of the probability of fraud.
const SCORES: &[f64] = &[0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0];
/// Rules that have a series of their own; the hits of further ones are counted under `other`, so that a large rule set
/// cannot flood a Prometheus.
const RULE_SERIES_MAX: usize = 1_000;
/// Codes of refusals that have a series of their own. The code base has some forty.
const CODE_SERIES_MAX: usize = 200;
/// The label of what has no series of its own.
const OTHER: &str = "other";

/// The stages that a request passes, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From the socket to the scoring thread.
    Queue,
    /// From JSON to a checked transaction.
    Decode,
    /// From there to the bytes of the verdict.
    Score,
    /// From there to the messages on their way.
    Encode,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Queue, Self::Decode, Self::Score, Self::Encode];

    const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Decode => "decode",
            Self::Score => "score",
            Self::Encode => "encode",
        }
    }
}

/// Every metric of the service.
pub struct Metrics {
    /// What is kept beside the journal.
    pub durable: durable::Durable,
    registry: Registry,
    started: Instant,
    messages: IntCounterVec,
    verdicts: IntCounterVec,
    duplicates: IntCounter,
    refusals: IntCounterVec,
    applied: IntCounterVec,
    flags: IntCounterVec,
    unknown_fields: IntCounter,
    rule_hits: IntCounterVec,
    latency: Histogram,
    stages: HistogramVec,
    scores: Histogram,
    held_keys: HeldKeys,
    window_rows: IntGauge,
    window_bytes: IntGauge,
    window_evictions: IntCounter,
    window_expirations: IntCounter,
    window_folds: IntCounter,
    remembered: IntGauge,
    remembered_answers: IntGauge,
    registry_bytes: IntGauge,
    forgotten: IntCounter,
    duplicate_horizon: IntGauge,
    transactions_horizon: IntGauge,
    /// The priority of the scoring thread.
    pub scoring_nice: IntGauge,
    queue_depth: IntGauge,
    unsent: IntGauge,
    /// Answers that were written to the broker after their deadline.
    pub late: IntCounter,
    /// How long a message takes to the broker and back.
    pub way: Gauge,
    /// Whether there is a connection to a broker.
    pub connected: IntGauge,
    /// Connections established after the first.
    pub reconnects: IntCounter,
    /// Rounds of attempts to connect that failed.
    pub connect_failures: IntCounter,
    /// Times the client dropped messages because they were not taken fast enough; some are not counted.
    pub slow_consumer: IntCounter,
    /// Other complaints of the broker, such as a missing permission.
    pub complaints: IntCounter,
    /// Whether the journal cannot be written.
    pub journal_failing: IntGauge,
    /// Whether requests are refused for that.
    pub journal_refusing: IntGauge,
    /// Writes and syncs of the journal that failed.
    pub journal_failures: IntCounter,
    /// Inputs written to the journal.
    pub journal_records: IntCounter,
    /// Bytes written to the journal.
    pub journal_bytes: IntCounter,
    /// Times that what was written was made safe from a power cut.
    pub journal_syncs: IntCounter,
    /// Inputs that took effect and could not be written.
    pub journal_dropped: IntCounter,
    /// Files of the journal.
    pub journal_files: IntGauge,
    /// Their length.
    pub journal_held_bytes: IntGauge,
    /// Inputs read from the journal at the start.
    pub journal_replayed: IntCounter,
    /// Inputs that were missing from it.
    pub journal_lost: IntCounter,
    /// Damaged places in it.
    pub journal_damage: IntCounter,
    /// The stream path.
    pub stream: StreamMetrics,
    serving: AtomicBool,
    ready: IntGauge,
    release: IntGaugeVec,
    /// Edits looked at, by what came of them.
    pub reloads: IntCounterVec,
    /// Whether what lies on disk is not what serves.
    pub reload_failed: IntGauge,
    /// How long the scoring thread was taken by swaps.
    pub swaps: Histogram,
    /// Live quality.
    pub quality: QualityMetrics,
    resident_bytes: IntGauge,
    uptime: IntGauge,
}

/// Makes metrics and registers them; a name taken twice is a mistake that the first test finds.
struct Builder<'r>(&'r Registry);

impl Builder<'_> {
    fn add<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> prometheus::Result<C> {
        let metric = made?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> prometheus::Result<Histogram> {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec())))
    }

    fn histograms(&self, name: &str, help: &str, bounds: &[f64], labels: &[&str]) -> prometheus::Result<HistogramVec> {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(bounds.to_vec()), labels))
    }
}

impl Metrics {
    /// Every metric at zero.
    #[expect(clippy::too_many_lines, reason = "each metric is a line or two: its name beside its help")]
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let made = Builder(&registry);
        let build = made.gauges("gavel_build_info", "Which build this is; always 1.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            durable: durable::Durable::new(&made)?,
            started: Instant::now(),
            messages: made.counters("gavel_messages_total", "Messages received, by what they ask for.", &["kind"])?,
            verdicts: made.counters(
                "gavel_verdicts_total",
                "Verdicts given, duplicates left out, by verdict and tier.",
                &["verdict", "tier"],
            )?,
            duplicates: made
                .counter("gavel_duplicates_total", "Repeated transactions that got their first answer again.")?,
            refusals: made.counters(
                "gavel_refusals_total",
                "Messages and transactions of batches that were refused, by status and code.",
                &["status", "code"],
            )?,
            applied: made.counters(
                "gavel_applied_total",
                "Outcomes, labels, list changes and releases applied.",
                &["kind"],
            )?,
            flags: made.counters(
                "gavel_flags_total",
                "Flags on verdicts; rules in shadow mode are counted as rule hits.",
                &["flag"],
            )?,
            unknown_fields: made
                .counter("gavel_unknown_fields_total", "Fields and attributes that nothing declares, ignored.")?,
            rule_hits: made.counters(
                "gavel_rule_hits_total",
                "Transactions that a rule fired on.",
                &["rule", "mode"],
            )?,
            latency: made.histogram(
                "gavel_latency_seconds",
                "From the arrival of a request to its answer, over all answered.",
                LATENCY_SECONDS,
            )?,
            stages: made.histograms(
                "gavel_stage_seconds",
                "How long each stage took, of one request in eight.",
                STAGE_SECONDS,
                &["stage"],
            )?,
            scores: made.histogram("gavel_score", "The model's probability of fraud.", SCORES)?,
            held_keys: HeldKeys::new(made.gauges(
                "gavel_window_keys",
                "Keys (cards, devices and so on) that windows are held for.",
                &["key"],
            )?),
            window_rows: made.gauge("gavel_window_rows", "Transactions held one by one, over all keys.")?,
            window_bytes: made.gauge("gavel_window_bytes", "Memory held by windows, as counted from inside.")?,
            window_evictions: made
                .counter("gavel_window_evictions_total", "Keys evicted because there were too many.")?,
            window_expirations: made
                .counter("gavel_window_expirations_total", "Keys dropped because nothing was left of them.")?,
            window_folds: made.counter("gavel_window_folds_total", "Blocks of transactions folded to bound memory.")?,
            remembered: made
                .gauge("gavel_registry_transactions", "Transactions remembered for reversals, outcomes and labels.")?,
            remembered_answers: made.gauge("gavel_registry_answers", "Transactions whose answer is remembered.")?,
            registry_bytes: made
                .gauge("gavel_registry_bytes", "Memory held by remembered transactions and answers.")?,
            forgotten: made.counter(
                "gavel_registry_forgotten_total",
                "Transactions forgotten early because there were too many.",
            )?,
            duplicate_horizon: made.gauge(
                "gavel_duplicate_horizon_seconds",
                "How far back in event time a repeated id still gets its first answer.",
            )?,
            transactions_horizon: made.gauge(
                "gavel_registry_horizon_seconds",
                "How far back in event time reversals, outcomes and labels find their transaction.",
            )?,
            scoring_nice: made
                .gauge("gavel_scoring_nice", "The priority that the scoring thread was granted, as a nice value.")?,
            queue_depth: made.gauge("gavel_queue_depth", "Messages that wait for the scoring thread.")?,
            unsent: made.gauge("gavel_unsent_messages", "Messages that wait to be written to the broker.")?,
            late: made.counter("gavel_late_total", "Answers that were written to the broker after their deadline.")?,
            way: made.add(Gauge::new(
                "gavel_way_seconds",
                "How long a message takes to the broker and back, while requests have deadlines; 0 where it is not known.",
            ))?,
            connected: made.gauge("gavel_nats_connected", "Whether there is a connection to a broker.")?,
            reconnects: made.counter("gavel_nats_reconnects_total", "Connections established after the first.")?,
            connect_failures: made
                .counter("gavel_nats_connect_failures_total", "Rounds of attempts to connect that failed.")?,
            slow_consumer: made.counter(
                "gavel_nats_slow_consumer_total",
                "Times the client dropped messages because they were not taken fast enough; some are not counted.",
            )?,
            complaints: made.counter(
                "gavel_nats_complaints_total",
                "Other complaints of the broker, such as a missing permission.",
            )?,
            journal_failing: made.gauge("gavel_journal_failing", "Whether the journal cannot be written.")?,
            journal_refusing: made
                .gauge("gavel_journal_refusing", "Whether requests are refused because the journal cannot be written.")?,
            journal_failures: made
                .counter("gavel_journal_failures_total", "Writes and syncs of the journal that failed.")?,
            journal_records: made.counter("gavel_journal_records_total", "Inputs written to the journal.")?,
            journal_bytes: made.counter("gavel_journal_written_bytes_total", "Bytes written to the journal.")?,
            journal_syncs: made
                .counter("gavel_journal_syncs_total", "Times that what was written was made safe from a power cut.")?,
            journal_dropped: made
                .counter("gavel_journal_dropped_total", "Inputs that took effect and could not be written.")?,
            journal_files: made.gauge("gavel_journal_files", "Files of the journal.")?,
            journal_held_bytes: made.gauge("gavel_journal_bytes", "Length of all files of the journal.")?,
            journal_replayed: made
                .counter("gavel_journal_replayed_total", "Inputs read from the journal at the start.")?,
            journal_lost: made.counter(
                "gavel_journal_lost_total",
                "Inputs found missing from the journal, at the start or for a snapshot.",
            )?,
            journal_damage: made.counter(
                "gavel_journal_damage_total",
                "Damaged places found in the journal, at the start or for a snapshot.",
            )?,
            stream: StreamMetrics::new(&registry)?,
            serving: AtomicBool::new(false),
            ready: made.gauge("gavel_ready", "Whether requests are served, as `/readyz` has it.")?,
            release: made.gauges(
                "gavel_release_info",
                "The versions that verdicts name; always 1.",
                &["engine", "rules", "model", "config"],
            )?,
            reloads: made.counters(
                "gavel_reloads_total",
                "Edits and requests to reload, by what came of them.",
                &["result"],
            )?,
            reload_failed: made.gauge(
                "gavel_reload_failed",
                "Whether the last edit failed or was refused, so that an older one serves.",
            )?,
            swaps: made.histogram(
                "gavel_reload_swap_seconds",
                "How long answers waited for the swap of a release.",
                STAGE_SECONDS,
            )?,
            quality: QualityMetrics::new(&registry)?,
            resident_bytes: made.gauge("gavel_process_resident_memory_bytes", "Memory of this process.")?,
            uptime: made.gauge("gavel_uptime_seconds", "Time since this process started.")?,
            registry: registry.clone(),
        };
        // A series that appears only with its first event hides that event from `increase`.
        for decision in Decision::ALL {
            for tier in Tier::ALL {
                metrics.verdicts.with_label_values(&[decision.name(), tier.name()]);
            }
        }
        for kind in Kind::ALL {
            metrics.messages.with_label_values(&[kind.name()]);
        }
        Ok(metrics)
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> prometheus::Result<Vec<u8>> {
        self.durable.age(self.started);
        self.uptime.set(i64::try_from(self.started.elapsed().as_secs()).unwrap_or(i64::MAX));
        self.held_keys.count();
        self.resident_bytes.set(resident_bytes().unwrap_or_default());
        self.ready.set(self.is_ready().into());
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// Says whether requests are served.
    pub fn set_ready(&self, ready: bool) {
        self.serving.store(ready, Ordering::Relaxed);
    }

    /// Whether requests are served and not refused for want of a journal, and it is known whether there is a stream.
    pub fn is_ready(&self) -> bool {
        self.serving.load(Ordering::Relaxed) && self.journal_refusing.get() == 0 && !self.stream.is_awaited()
    }

    /// Names the versions that serve from now on.
    pub fn set_release(&self, versions: &Versions) {
        self.release.reset();
        let model = versions.model.as_deref().unwrap_or("none");
        self.release.with_label_values(&[versions.engine, &versions.rules, model, &versions.config]).set(1);
    }
}

/// What Linux says this process holds; nothing elsewhere.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok().map(|kib| kib * 1024)
}

/// The counts of the scoring thread since it last handed them over.
pub struct Tally {
    messages: [LocalIntCounter; Kind::ALL.len()],
    verdicts: [[LocalIntCounter; Tier::ALL.len()]; Decision::ALL.len()],
    duplicates: LocalIntCounter,
    unknown_fields: LocalIntCounter,
    latency: LocalHistogram,
    stages: [LocalHistogram; Stage::ALL.len()],
    scores: LocalHistogram,
    rule_hits: FxHashMap<(std::sync::Arc<str>, &'static str), IntCounter>,
    codes: FxHashMap<(u16, String), IntCounter>,
    /// What the cumulative statistics of the core were when they were last handed over.
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    evictions: u64,
    expirations: u64,
    folds: u64,
    forgotten: u64,
}

impl Tally {
    /// Counts for these metrics.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            messages: Kind::ALL.map(|kind| metrics.messages.with_label_values(&[kind.name()]).local()),
            verdicts: Decision::ALL.map(|decision| {
                Tier::ALL.map(|tier| metrics.verdicts.with_label_values(&[decision.name(), tier.name()]).local())
            }),
            duplicates: metrics.duplicates.local(),
            unknown_fields: metrics.unknown_fields.local(),
            latency: metrics.latency.local(),
            stages: Stage::ALL.map(|stage| metrics.stages.with_label_values(&[stage.name()]).local()),
            scores: metrics.scores.local(),
            rule_hits: FxHashMap::default(),
            codes: FxHashMap::default(),
            seen: Seen::default(),
        }
    }

    /// A message of a kind arrived.
    pub fn message(&self, kind: Kind) {
        self.messages[kind as usize].inc();
    }

    /// A verdict was given.
    pub fn verdict(&mut self, metrics: &Metrics, verdict: &Verdict, unknown_fields: u32) {
        self.verdicts[verdict.decision as usize][verdict.tier as usize].inc();
        if let Some(score) = verdict.score {
            self.scores.observe(score);
        }
        if unknown_fields > 0 {
            self.unknown_fields.inc_by(unknown_fields.into());
        }
        for rule in &verdict.fired {
            self.rule_hit(metrics, rule, "live");
        }
        for flag in &verdict.flags {
            match flag {
                Flag::Shadow(rule) => self.rule_hit(metrics, rule, "shadow"),
                flag => metrics.flags.with_label_values(&[flag_label(flag)]).inc(),
            }
        }
    }

    fn rule_hit(&mut self, metrics: &Metrics, rule: &std::sync::Arc<str>, mode: &'static str) {
        // The key is the rule's own text, shared, so a known rule costs a look-up and no allocation.
        if let Some(counter) = self.rule_hits.get(&(rule.clone(), mode)) {
            counter.inc();
            return;
        }
        let has_room = self.rule_hits.len() < RULE_SERIES_MAX;
        let label = if has_room { rule.as_ref() } else { OTHER };
        let counter = metrics.rule_hits.with_label_values(&[label, mode]);
        counter.inc();
        if has_room {
            self.rule_hits.insert((rule.clone(), mode), counter);
        }
    }

    /// A repeated transaction got its first answer.
    pub fn duplicate(&self) {
        self.duplicates.inc();
    }

    /// A message was refused.
    pub fn refusal(&mut self, metrics: &Metrics, refusal: &Refusal) {
        let status = refusal.class.status();
        let has_room = self.codes.len() < CODE_SERIES_MAX;
        let key = (status, refusal.code.as_ref().to_owned());
        if let Some(counter) = self.codes.get(&key) {
            counter.inc();
            return;
        }
        let label = if has_room { key.1.as_str() } else { OTHER };
        let counter = metrics.refusals.with_label_values(&[&status.to_string(), label]);
        counter.inc();
        if has_room {
            self.codes.insert(key, counter);
        }
    }

    /// An input other than a transaction took effect.
    pub fn applied(&self, metrics: &Metrics, kind: &str) {
        metrics.applied.with_label_values(&[kind]).inc();
    }

    /// How long it took from arrival to answer.
    pub fn latency(&self, took: Duration) {
        self.latency.observe(took.as_secs_f64());
    }

    /// How long a stage took.
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.stages[stage as usize].observe(took.as_secs_f64());
    }

    /// Hands over what was counted, and what the core and the connection hold now.
    pub fn flush(&mut self, metrics: &Metrics, scorer: &Scorer, queue_depth: usize, unsent: u64) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        for counter in self.messages.iter().chain(self.verdicts.iter().flatten()) {
            counter.flush();
        }
        self.duplicates.flush();
        self.unknown_fields.flush();
        self.latency.flush();
        self.scores.flush();
        for stage in &self.stages {
            stage.flush();
        }
        metrics.queue_depth.set(gauge(queue_depth as u64));
        metrics.unsent.set(gauge(unsent));

        let windows = scorer.windows().stats();
        metrics.held_keys.follow(scorer);
        metrics.window_rows.set(gauge(windows.rows));
        metrics.window_bytes.set(gauge(windows.bytes));
        let registry = scorer.registry().stats();
        metrics.remembered.set(gauge(registry.transactions));
        metrics.remembered_answers.set(gauge(registry.answers));
        metrics.registry_bytes.set(gauge(registry.bytes + registry.answers_bytes));
        metrics.duplicate_horizon.set(registry.horizon_ms / 1_000);
        metrics.transactions_horizon.set(registry.transactions_horizon_ms / 1_000);
        // A reload may begin these again from zero, so only what was added counts.
        let seen = &mut self.seen;
        advance(&metrics.window_evictions, &mut seen.evictions, windows.evictions);
        advance(&metrics.window_expirations, &mut seen.expirations, windows.expirations);
        advance(&metrics.window_folds, &mut seen.folds, windows.folds);
        advance(&metrics.forgotten, &mut seen.forgotten, registry.forgotten);
    }
}

fn advance(counter: &IntCounter, seen: &mut u64, now: u64) {
    counter.inc_by(now.saturating_sub(*seen));
    *seen = now;
}

/// Flags about a field share one series, whichever field it is.
const fn flag_label(flag: &Flag) -> &'static str {
    match flag {
        Flag::Late => "late",
        Flag::Approximate => "approximate",
        Flag::Evicted => "evicted",
        Flag::Invalid(_) | Flag::InvalidAttributes => "invalid",
        Flag::Pan(_) => "pan",
        Flag::NoRate => "no_rate",
        Flag::UnknownParent => "unknown_parent",
        Flag::WindowFilling => "window_filling",
        Flag::Shadow(_) => "shadow",
        Flag::Monitor(Decision::Approve) => "monitor:approve",
        Flag::Monitor(Decision::Deny) => "monitor:deny",
        Flag::Monitor(Decision::Review) => "monitor:review",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::refusal::RefusalClass;

    #[test]
    fn names_begin_with_gavel_and_series_are_bounded() {
        let metrics = Metrics::new().expect("no name is taken twice");
        let mut tally = Tally::new(&metrics);
        for number in 0..2 * RULE_SERIES_MAX {
            let verdict = Verdict { fired: vec![format!("rule-{number}").into()], ..Verdict::default() };
            tally.verdict(&metrics, &verdict, 0);
        }
        for number in 0..2 * CODE_SERIES_MAX {
            let mut refusal = Refusal::of(RefusalClass::BadInput, "x", "y");
            refusal.code = format!("code_{number}").into();
            tally.refusal(&metrics, &refusal);
        }
        let text = String::from_utf8(metrics.render().expect("it renders")).expect("UTF-8");
        assert!(text.lines().all(|line| line.starts_with("gavel_") || line.starts_with("# ")), "{text}");
        let count = |prefix: &str| text.lines().filter(|line| line.starts_with(prefix)).count();
        assert_eq!(count("gavel_rule_hits_total{"), RULE_SERIES_MAX + 1);
        assert_eq!(count("gavel_refusals_total{"), CODE_SERIES_MAX + 1);
        assert!(text.contains("gavel_rule_hits_total{mode=\"live\",rule=\"other\"} 1000"), "{text}");
    }
}
