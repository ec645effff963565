//! What the scoring thread does for durability: inputs into the journal, answers held back until they are in it, the
//! journal read at the start. It decides nothing about a transaction.

mod succession;

use std::{mem, num::NonZero, path::PathBuf, sync::Arc, time::Instant};

use async_nats::message::OutboundMessage;

use succession::Succession;

use super::{handing::Handing, ledger::Settled, metrics::Metrics, outbox::Outbox, quality::Notebook};
use crate::{
    config::{DurabilityConfig, OnFailure},
    durability::{
        folder::{Folder, FolderError},
        journal::{Journal, JournalEvent, JournalSettings},
        position::{StreamMark, StreamPosition},
        rebuild::{Rebuild, Refused},
        record::{self, Record},
        replay::{Found, Replayed},
        storage::AnyStorage,
    },
    quality::Answered,
    scoring::{
        refusal::{Refusal, RefusalClass},
        release::Release,
        scorer::Scorer,
        transaction::{Label, ListChange, Outcome, Transaction},
        verdict::{Decision, Tier},
    },
};

/// The journal of the service, if it keeps one.
pub struct Keeper {
    state: State,
    /// The folder, where there is one.
    dir: Option<PathBuf>,
    metrics: Arc<Metrics>,
    /// Something was added since the last write.
    is_added: bool,
    /// What may be said only once everything that was added is written.
    held: Vec<OutboundMessage>,
    /// The same of the stream.
    held_settled: Vec<Settled>,
}

enum State {
    /// Nothing outlives the process.
    Off,
    /// The folder is taken, and not read yet.
    Taken(AnyStorage, JournalSettings),
    /// Another process has it, and is about to hand it over.
    Succeeding(Box<Succession>),
    Writing(Box<Journal<AnyStorage>>),
}

impl Keeper {
    /// Nothing outlives the process.
    pub fn off(metrics: Arc<Metrics>) -> Self {
        Self { state: State::Off, metrics, is_added: false, held: Vec::new(), held_settled: Vec::new(), dir: None }
    }

    /// A journal over a disk that nobody else has.
    pub fn over(storage: AnyStorage, settings: JournalSettings, metrics: Arc<Metrics>) -> Self {
        Self { state: State::Taken(storage, settings), ..Self::off(metrics) }
    }

    /// Takes the folder that the configuration names. If it `takes_over`, another process may still have it.
    pub fn open(config: &DurabilityConfig, metrics: Arc<Metrics>, takes_over: bool) -> Result<Self, FolderError> {
        let mut keeper = Self::off(metrics);
        let Some(dir) = &config.dir else { return Ok(keeper) };
        keeper.dir = Some(dir.clone());
        let settings = JournalSettings {
            sync_interval_ms: config.sync_interval_ms,
            file_max_bytes: config.file_max_bytes as u64,
            total_max_bytes: config.journal_max_bytes as u64,
            on_failure: config.on_failure,
        };
        match Folder::open(dir) {
            Ok(folder) => {
                // Of processes that are gone.
                Handing::new(dir).clear();
                keeper.state = State::Taken(Box::new(folder), settings);
            }
            Err(FolderError::InUse(_)) if takes_over => {
                keeper.state = State::Succeeding(Box::new(Succession::of(dir.clone(), settings)?));
            }
            // Two services that answer from one folder are never right.
            Err(error @ FolderError::InUse(_)) => return Err(error),
            Err(error) if config.on_failure == OnFailure::Refuse => return Err(error),
            Err(error) => {
                tracing::error!(%error, "going on without durability: a restart begins without a past");
                keeper.metrics.journal_failing.set(1);
            }
        }
        Ok(keeper)
    }

    /// Reads the journal into a scorer without a past, and begins to write. `see` is shown every record that has a
    /// number.
    pub fn recover(
        &mut self,
        scorer: &mut Scorer,
        notebook: &mut Notebook,
        now_ms: i64,
        mut see: impl FnMut(u64, &Record<'_>),
    ) -> Result<(), String> {
        let State::Taken(mut storage, settings) = mem::replace(&mut self.state, State::Off) else { return Ok(()) };
        let since = Instant::now();
        let release = scorer.release().clone();
        let threads = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        let mut rebuild = Rebuild::begin(&mut storage, scorer, threads);
        self.tell_snapshots(&rebuild, since);
        let followed = rebuild.unconfirmed(&mut storage, scorer, &mut see).and_then(|()| {
            rebuild.follow(&mut storage, scorer, |number, record| {
                if let Some(number) = number {
                    see(number, record);
                }
                note(notebook, &release, record);
                true
            })
        });
        followed.map_err(|error| error.to_string())?;
        let (replayed, missing) = (mem::take(&mut rebuild.replayed), rebuild.missing());
        let found = rebuild.end();
        self.tell(&found, &replayed, missing, since);
        self.state = State::Writing(Box::new(Journal::new(storage, settings, found, scorer.release(), now_ms)));
        self.tell_events();
        Ok(())
    }

    fn tell_snapshots(&self, rebuild: &Rebuild, since: Instant) {
        let metrics = &self.metrics.durable;
        tell_refused(&rebuild.refused, &self.metrics);
        if let Some(head) = &rebuild.from {
            let took_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(record = head.sequence, took_ms, "a snapshot is loaded");
            metrics.taken(head.taken_unix_ms);
            metrics.snapshot_record.set(i64::try_from(head.sequence).unwrap_or(i64::MAX));
        }
    }

    fn tell(&self, found: &Found, replayed: &Replayed, missing: u64, since: Instant) {
        let took_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Found { records, repeated, lost, unreadable, torn_bytes, files, .. } = found;
        tracing::info!(
            files = files.len(),
            records,
            transactions = replayed.transactions,
            repeated,
            torn_bytes,
            took_ms,
            "the journal is read",
        );
        for damage in &found.damage {
            tracing::error!(file = damage.file, at = damage.at, bytes = damage.bytes, "the journal is damaged here");
        }
        if *lost > 0 || *unreadable > 0 {
            tracing::error!(lost, unreadable, "records of the journal are missing: windows and answers lack them");
        }
        let metrics = &self.metrics;
        metrics.journal_replayed.inc_by(*records);
        let before = missing - lost.saturating_add(*unreadable).saturating_add(found.damage.len() as u64).min(missing);
        if before > 0 {
            tracing::error!(missing = before, "the snapshot was made of a journal with gaps or damaged places");
        }
        metrics.journal_lost.inc_by(lost.saturating_add(*unreadable).saturating_add(before));
        metrics.journal_damage.inc_by(found.damage.len() as u64);
    }

    /// Tells where the inputs that are added from now on come from.
    pub fn come_from(&mut self, origin: Option<StreamPosition>) {
        if let State::Writing(journal) = &mut self.state {
            journal.come_from(origin);
        }
    }

    /// Tells up to which record the verdicts of the stream are published.
    pub fn confirm(&mut self, record: u64) {
        if let State::Writing(journal) = &mut self.state {
            journal.confirm(record);
        }
    }

    /// How far the stream has been worked off.
    pub fn mark(&self) -> StreamMark {
        if let State::Writing(journal) = &self.state { journal.mark() } else { StreamMark::default() }
    }

    /// The number of the next record; 0 without a journal.
    pub fn next_record(&self) -> u64 {
        if let State::Writing(journal) = &self.state { journal.next_sequence() } else { 0 }
    }

    /// Adds the transaction that a scorer answered last.
    pub fn transaction(
        &mut self,
        transaction: &Transaction<'_>,
        decided: (Tier, Decision),
        body: &[u8],
        scorer: &Scorer,
    ) {
        if let State::Writing(journal) = &mut self.state {
            journal.transaction(transaction, decided, (body, scorer.list_answers()), scorer.release());
            self.is_added = true;
        }
    }

    /// Adds an outcome that took effect.
    pub fn outcome(&mut self, outcome: &Outcome<'_>) {
        if let State::Writing(journal) = &mut self.state {
            journal.outcome(outcome);
            self.is_added = true;
        }
    }

    /// Adds a label that took effect.
    pub fn label(&mut self, label: &Label<'_>) {
        if let State::Writing(journal) = &mut self.state {
            journal.label(label);
            self.is_added = true;
        }
    }

    /// Adds a list change that took effect.
    pub fn list_change(&mut self, change: &ListChange<'_>) {
        if let State::Writing(journal) = &mut self.state {
            journal.list_change(change);
            self.is_added = true;
        }
    }

    /// Adds the place where a release took over.
    pub fn release(&mut self, release: &Release) {
        if let State::Writing(journal) = &mut self.state {
            journal.release(release);
            self.is_added = true;
        }
    }

    /// What was written since the last time, or the beginning of it.
    pub fn tail(&mut self) -> Option<Vec<u8>> {
        let State::Writing(journal) = &mut self.state else { return None };
        let lent = journal.lend_tail();
        if lent.is_none() {
            journal.begin_tail();
        }
        Some(lent.unwrap_or_default())
    }

    /// The last of it, if it is no longer than this and everything that took effect.
    pub fn last_tail(&mut self, bytes_max: usize) -> Option<Vec<u8>> {
        let State::Writing(journal) = &mut self.state else { return None };
        let bytes = journal.tail_bytes()?;
        if bytes <= bytes_max { journal.lend_tail() } else { None }
    }

    /// Adds the place of a refill, which ends whoever followed. Or only that.
    pub fn refill(&mut self, is_done: bool) {
        if let State::Writing(journal) = &mut self.state {
            journal.end_tail();
            if is_done {
                journal.refill();
                self.is_added = true;
            }
        }
    }

    /// The number of the next record.
    pub fn next_sequence(&self) -> u64 {
        if let State::Writing(journal) = &self.state { journal.next_sequence() } else { 0 }
    }

    /// The refusal of everything, while what it changes could not be written.
    pub fn refusal(&self) -> Option<Refusal> {
        let State::Writing(journal) = &self.state else { return None };
        let message = "the journal cannot be written, send it again later";
        journal.is_refusing().then(|| Refusal::of(RefusalClass::Overloaded, "not_durable", message))
    }

    /// Writes what was added, in one go, and holds back what was said until that has been possible.
    pub fn commit(&mut self, release: &Release, now_ms: i64, out: &mut Outbox) {
        if !mem::take(&mut self.is_added) {
            return;
        }
        let State::Writing(journal) = &mut self.state else { return };
        if journal.commit(now_ms, release) {
            self.release_held(out);
        } else {
            self.held.append(&mut out.exchange(Vec::new()));
            self.held_settled.append(&mut out.take_settled());
        }
    }

    /// To be called ten times a second.
    pub fn tick(&mut self, release: &Release, now_ms: i64, out: &mut Outbox) {
        let State::Writing(journal) = &mut self.state else { return };
        if journal.tick(now_ms, release) {
            self.is_added = false;
            self.release_held(out);
        }
        self.tell_events();
    }

    /// Makes everything that was written outlive a power cut. What could not be written is refused after all.
    pub fn finish(
        &mut self,
        release: &Release,
        now_ms: i64,
        out: &mut Outbox,
        refuse: impl Fn(&Refusal, &mut OutboundMessage) -> bool,
    ) {
        let refusal = self.refusal();
        let State::Writing(journal) = &mut self.state else { return };
        if !journal.finish(now_ms, release)
            && let Some(refusal) = refusal
        {
            self.held.retain_mut(|message| refuse(&refusal, message));
            // What came by the stream is read from there again.
            self.held_settled.clear();
        }
        self.release_held(out);
        self.tell_events();
    }

    fn release_held(&mut self, out: &mut Outbox) {
        out.settle_first(mem::take(&mut self.held_settled));
        if !self.held.is_empty() {
            let mut waiting = out.exchange(mem::take(&mut self.held));
            out.append(&mut waiting);
        }
    }

    fn tell_events(&mut self) {
        let State::Writing(journal) = &mut self.state else { return };
        let metrics = &self.metrics;
        for event in journal.take_events() {
            match event {
                JournalEvent::Failing(error) => {
                    metrics.journal_failures.inc();
                    tracing::error!(%error, refusing = journal.is_refusing(), "the journal cannot be written");
                }
                JournalEvent::SyncFailed(error) => {
                    metrics.journal_failures.inc();
                    tracing::error!(%error, "the journal cannot be synced: a power cut may lose its last writes");
                }
                JournalEvent::Works => tracing::warn!("the journal can be written again"),
                JournalEvent::Dropped(records) => metrics.journal_dropped.inc_by(records),
                JournalEvent::RemovedEarly(file) => {
                    tracing::warn!(file, "a file of the journal was removed before its time: journal_max is reached");
                }
                JournalEvent::NotRemoved(file, error) => {
                    tracing::warn!(file, %error, "a file of the journal cannot be removed");
                }
            }
        }
        let stats = journal.stats();
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.journal_failing.set(journal.is_failing().into());
        metrics.journal_refusing.set(journal.is_refusing().into());
        metrics.journal_records.inc_by(stats.records.saturating_sub(metrics.journal_records.get()));
        metrics.journal_bytes.inc_by(stats.bytes.saturating_sub(metrics.journal_bytes.get()));
        metrics.journal_syncs.inc_by(stats.syncs.saturating_sub(metrics.journal_syncs.get()));
        metrics.journal_files.set(gauge(stats.files));
        metrics.journal_held_bytes.set(gauge(stats.held_bytes));
    }
}

/// Says which snapshots were of no use, and why.
pub fn tell_refused(refused: &[Refused], metrics: &Metrics) {
    for Refused { name, error } in refused {
        metrics.durable.snapshot_fallbacks.with_label_values(&[error.code()]).inc();
        // That windows are asked for which were not before is nobody's fault.
        if error.code() == "plan" {
            tracing::info!(file = name, "the snapshot is not used: {error}");
        } else {
            tracing::error!(file = name, "the snapshot is not used: {error}");
        }
    }
}

/// Live quality learns of a record that took effect again.
fn note(notebook: &mut Notebook, release: &Release, record: &Record<'_>) {
    match record {
        Record::Transaction(answered) => {
            let record::Answered { transaction, decision, tier, amount_base_minor, body, .. } = &**answered;
            let (decision, tier, amount_base_minor) = (*decision, *tier, *amount_base_minor);
            let answered = Answered { transaction, amount_base_minor, decision, tier, body };
            notebook.answered(release, &answered);
        }
        Record::Label(label) => notebook.label(label),
        Record::Outcome(_) | Record::ListChange(_) | Record::Release(_) | Record::Mark(_) | Record::Refill => {}
    }
}
