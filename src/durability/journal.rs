//! The journal that is written: which bytes go to the disk when, and what may be told meanwhile. It is given the time,
//! and starts no thread.
//!
//! Invariants: what was added and not yet written is never spoken of, unless the journal is told to go on without; a
//! file begins with the release and the list changes that were in force, so every file can be read alone; numbers are
//! never used twice.

use std::{collections::VecDeque, io, mem};

use super::{
    position::{StreamMark, StreamPosition},
    record::{
        ReleaseNote, push_label, push_list_change, push_origin, push_outcome, push_refill, push_release,
        push_stream_mark, push_transaction,
    },
    replay::{FileInfo, Found, file_name, retention_ms},
    segment::{Framing, push_header},
    storage::Storage,
};
use crate::{
    config::OnFailure,
    scoring::{
        release::Release,
        transaction::{Label, ListChange, Outcome, Transaction},
        verdict::{Decision, Tier},
    },
};

/// A disk that fails is tried again this often.
const RETRY_MS: i64 = 500;
/// Nobody follows who is so far behind.
const TAIL_MAX_BYTES: usize = 64 << 20;
/// Names that are tried for a file before the disk counts as failing.
const NAMES_MAX: u32 = 1_000;

/// How the journal is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSettings {
    /// At most this long what was written is not yet safe from a power cut; 0 makes every write safe before it is told.
    pub sync_interval_ms: i64,
    /// From this length on the next file is begun.
    pub file_max_bytes: u64,
    /// The oldest files go once all have more than this.
    pub total_max_bytes: u64,
    /// What to do while nothing can be written.
    pub on_failure: OnFailure,
}

/// What happened, for logs and metrics.
#[derive(Debug)]
pub enum JournalEvent {
    /// Nothing can be written.
    Failing(io::Error),
    /// What had been written may not be safe from a power cut.
    SyncFailed(io::Error),
    /// It can be written again.
    Works,
    /// Records were given up: a crash loses them.
    Dropped(u64),
    /// A file was removed before its time, because there were too many bytes.
    RemovedEarly(String),
    /// A file that is no longer needed cannot be removed.
    NotRemoved(String, io::Error),
}

/// How much the journal holds and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Records written.
    pub records: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Syncs that ended well.
    pub syncs: u64,
    /// Files held.
    pub files: u64,
    /// Their length.
    pub held_bytes: u64,
}

/// The journal that is written.
pub struct Journal<S> {
    storage: S,
    settings: JournalSettings,
    files: VecDeque<FileInfo>,
    /// Whether the last of `files` is the one that is appended to.
    is_open: bool,
    framing: Framing,
    pending: u64,
    pending_newest_ms: i64,
    next_sequence: u64,
    /// The header's frame of files to come: what was in force before everything in `framing`.
    preamble: Vec<u8>,
    is_preamble_stale: bool,
    ending: Vec<u8>,
    /// Where the next input comes from.
    origin: Option<StreamPosition>,
    /// How far the stream has been worked off, with what is in `framing`.
    mark: StreamMark,
    /// The same as the records up to here tell it.
    told_mark: StreamMark,
    /// The same as what is written tells it.
    written_mark: StreamMark,
    highest_ms: i64,
    health: Health,
    is_dirty: bool,
    /// Of each sync that is under way, the name of the newest file then.
    syncing: VecDeque<String>,
    /// Files up to this name are on the disk, with what they began with.
    synced_file: String,
    last_sync_ms: i64,
    events: Vec<JournalEvent>,
    stats: JournalStats,
    /// What was written since somebody follows in memory.
    tail: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Fine,
    Failing { retry_at_ms: i64, must_sync: bool },
}

impl<S: Storage> Journal<S> {
    /// Goes on after what was found, in a file of its own.
    pub fn new(storage: S, settings: JournalSettings, found: Found, release: &Release, now_ms: i64) -> Self {
        // What was found was replayed for this release, whatever had been gathered across others.
        let is_other = found.release.as_ref().is_some_and(|last| *last != ReleaseNote::of(release));
        let is_mixed = found.is_mixed || (is_other && found.next_sequence > 1);
        let highest_ms = found.files.iter().map(|file| file.newest_ms).max().unwrap_or(i64::MIN);
        let mut journal = Self {
            storage,
            settings,
            files: found.files.into(),
            is_open: false,
            framing: Framing::default(),
            pending: 0,
            pending_newest_ms: i64::MIN,
            next_sequence: found.next_sequence,
            preamble: Vec::new(),
            is_preamble_stale: true,
            ending: ReleaseNote::of(release).ending,
            origin: None,
            mark: found.stream,
            told_mark: found.stream,
            written_mark: found.stream,
            highest_ms,
            health: Health::Fine,
            is_dirty: false,
            syncing: VecDeque::new(),
            synced_file: String::new(),
            last_sync_ms: now_ms,
            events: Vec::new(),
            stats: JournalStats::default(),
            tail: None,
        };
        journal.refresh_preamble(release);
        journal.sync_found();
        if is_mixed {
            journal.refill();
        }
        if let Err(error) = journal.open() {
            journal.fail(error, now_ms, false);
        }
        journal
    }

    /// Tells where the inputs that are added from now on come from. A place on a stream is done with, whether something
    /// is added or not.
    pub fn come_from(&mut self, origin: Option<StreamPosition>) {
        self.origin = origin;
        self.mark.taken = origin.or(self.mark.taken);
    }

    /// Tells up to which record the verdicts of the stream are published.
    pub fn confirm(&mut self, record: u64) {
        self.mark.confirmed_record = self.mark.confirmed_record.max(record);
    }

    /// How far the stream has been worked off.
    pub fn mark(&self) -> StreamMark {
        self.mark
    }

    /// Adds a transaction with its answer.
    pub fn transaction(
        &mut self,
        transaction: &Transaction<'_>,
        decided: (Tier, Decision),
        (body, list_answers): (&[u8], &[u8]),
        release: &Release,
    ) {
        let settings = &release.settings;
        let amount = settings.rates.to_base_minor(transaction.amount_minor, transaction.currency);
        self.pending_newest_ms = self.pending_newest_ms.max(transaction.time.unix_ms());
        let ending = mem::take(&mut self.ending);
        self.add(|out| {
            push_transaction(out, transaction, decided, amount, (body, &ending), list_answers, &settings.schema);
        });
        self.ending = ending;
    }

    /// Adds an outcome that took effect.
    pub fn outcome(&mut self, outcome: &Outcome<'_>) {
        self.add(|out| push_outcome(out, outcome));
    }

    /// Adds a label that took effect.
    pub fn label(&mut self, label: &Label<'_>) {
        self.add(|out| push_label(out, label));
    }

    /// Adds a list change that took effect.
    pub fn list_change(&mut self, change: &ListChange<'_>) {
        self.is_preamble_stale = true;
        self.add(|out| push_list_change(out, change));
    }

    /// Adds the place where a release took over.
    pub fn release(&mut self, release: &Release) {
        let note = ReleaseNote::of(release);
        self.is_preamble_stale = true;
        self.add(|out| push_release(out, &note));
        self.ending = note.ending;
    }

    fn add(&mut self, push: impl FnOnce(&mut Vec<u8>)) {
        let origin = self.origin;
        self.framing.add(self.next_sequence, true, |out| {
            if let Some(origin) = origin {
                push_origin(out, origin);
            }
            push(out);
        });
        self.told_mark.taken = origin.or(self.told_mark.taken);
        self.next_sequence += 1;
        self.pending += 1;
        // A label is about a transaction of before: it is kept as long as the transactions that came with it.
        self.pending_newest_ms = self.pending_newest_ms.max(self.highest_ms);
    }

    /// Adds how far the stream has been worked off, where that is not known from what was added.
    fn add_mark(&mut self) {
        let mark = self.mark;
        if mark != self.told_mark {
            self.origin = None;
            self.add(|out| push_stream_mark(out, mark));
            self.told_mark = mark;
        }
    }

    /// Writes what was added. Whether it may be spoken of.
    pub fn commit(&mut self, now_ms: i64, release: &Release) -> bool {
        if self.pending == 0 {
            return true;
        }
        self.framing.close();
        let is_early = matches!(self.health, Health::Failing { retry_at_ms, .. } if now_ms < retry_at_ms);
        let written = if is_early { None } else { Some(self.write()) };
        match written {
            Some(Ok(())) => {
                self.recovered();
                self.stats.records += self.pending;
                self.forget_pending();
                self.turn_over(now_ms, release);
                return true;
            }
            Some(Err(error)) => self.fail(error, now_ms, false),
            None => {}
        }
        match self.settings.on_failure {
            OnFailure::Refuse => false,
            OnFailure::Continue => {
                self.events.push(JournalEvent::Dropped(self.pending));
                self.forget_pending();
                // What was dropped may have changed what is in force.
                self.abandon();
                self.refresh_preamble(release);
                true
            }
        }
    }

    /// Looks after syncs, tries a failing disk again and removes what is no longer needed. Whether what was added may be
    /// spoken of.
    pub fn tick(&mut self, now_ms: i64, release: &Release) -> bool {
        while let Some(synced) = self.storage.poll_sync() {
            let newest = self.syncing.pop_front();
            match synced {
                Ok(()) => {
                    self.stats.syncs += 1;
                    self.note_synced(newest.unwrap_or_default());
                    self.prune(retention_ms(release));
                }
                Err(error) => {
                    // Whether its earlier parts are on the disk is not known: what comes goes to another file.
                    self.abandon();
                    self.events.push(JournalEvent::SyncFailed(io::Error::new(error.kind(), error.to_string())));
                    self.fail(error, now_ms, true);
                }
            }
        }
        let is_due = now_ms.saturating_sub(self.last_sync_ms) >= self.settings.sync_interval_ms;
        if self.is_dirty && self.syncing.is_empty() && is_due {
            self.begin_sync(now_ms);
        }
        if matches!(self.health, Health::Failing { retry_at_ms, .. } if now_ms >= retry_at_ms) && self.pending == 0 {
            match self.write() {
                Ok(()) => self.recovered(),
                Err(error) => self.fail(error, now_ms, false),
            }
        }
        if !self.is_failing() {
            self.add_mark();
        }
        self.commit(now_ms, release)
    }

    /// Makes all that was written safe from a power cut, and waits for it.
    pub fn finish(&mut self, now_ms: i64, release: &Release) -> bool {
        if matches!(self.health, Health::Failing { .. }) {
            self.health = Health::Failing { retry_at_ms: now_ms, must_sync: false };
        }
        self.add_mark();
        let is_written = self.commit(now_ms, release);
        if self.is_dirty {
            self.begin_sync(now_ms);
        }
        if let Err(error) = self.storage.wait_sync() {
            self.events.push(JournalEvent::SyncFailed(error));
        }
        self.syncing.clear();
        is_written
    }

    /// Adds the place where the past was built anew for the release in force.
    pub fn refill(&mut self) {
        self.add(push_refill);
    }

    /// From now on what is written is kept in memory as well, for somebody who follows.
    pub fn begin_tail(&mut self) {
        self.tail = Some(Vec::new());
    }

    /// What was written since the last time; `None` where nobody began, or it was too much.
    pub fn lend_tail(&mut self) -> Option<Vec<u8>> {
        self.tail.as_mut().map(mem::take)
    }

    /// How much that would be. `None` where it would not be everything that took effect.
    pub fn tail_bytes(&self) -> Option<usize> {
        self.tail.as_ref().filter(|_| self.pending == 0 && !self.is_failing()).map(Vec::len)
    }

    /// Nobody follows any more.
    pub fn end_tail(&mut self) {
        self.tail = None;
    }

    /// Whether messages are to be refused, because what they change could not be written.
    pub fn is_refusing(&self) -> bool {
        self.is_failing() && self.settings.on_failure == OnFailure::Refuse
    }

    /// Whether nothing can be written.
    pub fn is_failing(&self) -> bool {
        self.health != Health::Fine
    }

    /// The number of the next record.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// What happened since it was last asked.
    pub fn take_events(&mut self) -> Vec<JournalEvent> {
        mem::take(&mut self.events)
    }

    /// How much the journal holds and did.
    pub fn stats(&self) -> JournalStats {
        let held_bytes = self.files.iter().map(|file| file.bytes).sum();
        JournalStats { files: self.files.len() as u64, held_bytes, ..self.stats }
    }

    /// Gives the storage back, for a test that looks at what is in it.
    pub fn into_storage(self) -> S {
        self.storage
    }

    /// What a killed process wrote is there, and is built upon from now on; it may not have been synced.
    fn sync_found(&mut self) {
        for file in &self.files {
            match self.storage.sync_file(&file.name) {
                Ok(()) => self.synced_file.clone_from(&file.name),
                Err(error) => self.events.push(JournalEvent::SyncFailed(error)),
            }
        }
    }

    fn forget_pending(&mut self) {
        if let Some(tail) = &mut self.tail {
            tail.extend_from_slice(self.framing.bytes());
            // Whoever follows has fallen behind for good.
            if tail.len() > TAIL_MAX_BYTES {
                self.tail = None;
            }
        }
        self.framing.clear();
        self.written_mark = self.told_mark;
        self.highest_ms = self.highest_ms.max(self.pending_newest_ms);
        (self.pending, self.pending_newest_ms) = (0, i64::MIN);
    }

    fn write(&mut self) -> io::Result<()> {
        if !self.is_open {
            self.open()?;
        }
        let Some(file) = self.files.back_mut() else { return Ok(()) };
        let bytes = self.framing.bytes();
        if !bytes.is_empty() {
            if let Err(error) = self.storage.append(bytes) {
                // A part that stays behind is a torn end, which readers know; but only at the end of a file.
                if self.storage.cut(file.bytes).is_err() {
                    self.abandon();
                }
                return Err(error);
            }
            file.bytes += bytes.len() as u64;
            file.newest_ms = file.newest_ms.max(self.pending_newest_ms);
            self.stats.bytes += bytes.len() as u64;
            self.is_dirty = true;
        }
        let must_sync =
            self.settings.sync_interval_ms == 0 || matches!(self.health, Health::Failing { must_sync: true, .. });
        if must_sync {
            let newest = file.name.clone();
            self.storage.begin_sync();
            self.syncing.clear();
            if let Err(error) = self.storage.wait_sync() {
                self.abandon();
                return Err(error);
            }
            self.stats.syncs += 1;
            self.is_dirty = false;
            self.note_synced(newest);
        }
        Ok(())
    }

    /// Begins a file.
    fn open(&mut self) -> io::Result<()> {
        let first_sequence = self.next_sequence - self.pending;
        let mut start = Vec::new();
        push_header(&mut start, first_sequence);
        // The preamble tells the number of the record after it.
        let mut framing = Framing::default();
        for record in frames_of(&self.preamble) {
            framing.add(first_sequence, false, |out| out.extend_from_slice(record));
        }
        if self.written_mark != StreamMark::default() {
            framing.add(first_sequence, false, |out| push_stream_mark(out, self.written_mark));
        }
        framing.close();
        start.extend_from_slice(framing.bytes());
        for attempt in 0..NAMES_MAX {
            let name = file_name(first_sequence, attempt);
            match self.storage.create(&name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let written = self.storage.append(&start);
                    let bytes = start.len() as u64;
                    self.files.push_back(FileInfo { name, first_sequence, bytes, newest_ms: i64::MIN });
                    if written.is_err() {
                        self.abandon();
                        return written;
                    }
                    (self.is_open, self.is_dirty) = (true, true);
                    self.stats.bytes += bytes;
                    return Ok(());
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "there are too many files of one number"))
    }

    /// Nothing more goes into the last file. One without a record that counts is of no use.
    fn abandon(&mut self) {
        self.is_open = false;
        let first_pending = self.next_sequence - self.pending;
        if self.files.back().is_some_and(|file| file.first_sequence == first_pending)
            && let Some(file) = self.files.pop_back()
        {
            // What cannot be removed is read as a file that was cut off.
            let _ = self.storage.remove(&file.name);
        }
    }

    /// After a write: what is in force goes into files to come, and a full file is followed by the next.
    fn turn_over(&mut self, now_ms: i64, release: &Release) {
        if mem::take(&mut self.is_preamble_stale) {
            self.refresh_preamble(release);
        }
        if self.files.back().is_none_or(|file| file.bytes < self.settings.file_max_bytes) {
            return;
        }
        self.begin_sync(now_ms);
        self.is_open = false;
        if let Err(error) = self.open() {
            self.fail(error, now_ms, false);
            return;
        }
        self.prune(retention_ms(release));
    }

    /// Removes the oldest files that are no longer needed. What is in force from before them the next one begins with: that
    /// must be on the disk first.
    fn prune(&mut self, retention_ms: i64) {
        let mut held_bytes: u64 = self.files.iter().map(|file| file.bytes).sum();
        while self.files.get(1).is_some_and(|next| next.name <= self.synced_file) {
            let Some(oldest) = self.files.front() else { return };
            let is_over = oldest.newest_ms < self.highest_ms.saturating_sub(retention_ms);
            if !is_over && held_bytes <= self.settings.total_max_bytes {
                return;
            }
            let Some(oldest) = self.files.pop_front() else { return };
            held_bytes -= oldest.bytes;
            match self.storage.remove(&oldest.name) {
                Ok(()) if is_over => {}
                Ok(()) => self.events.push(JournalEvent::RemovedEarly(oldest.name)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.events.push(JournalEvent::NotRemoved(oldest.name, error)),
            }
        }
    }

    fn note_synced(&mut self, newest: String) {
        // Names sort as the files follow each other.
        if newest > self.synced_file {
            self.synced_file = newest;
        }
    }

    fn begin_sync(&mut self, now_ms: i64) {
        self.storage.begin_sync();
        self.syncing.push_back(self.files.back().map(|file| file.name.clone()).unwrap_or_default());
        self.last_sync_ms = now_ms;
        self.is_dirty = false;
    }

    fn fail(&mut self, error: io::Error, now_ms: i64, must_sync: bool) {
        let must_sync = must_sync || matches!(self.health, Health::Failing { must_sync: true, .. });
        self.health = Health::Failing { retry_at_ms: now_ms.saturating_add(RETRY_MS), must_sync };
        self.events.push(JournalEvent::Failing(error));
    }

    fn recovered(&mut self) {
        if self.health != Health::Fine {
            self.health = Health::Fine;
            self.events.push(JournalEvent::Works);
        }
    }

    fn refresh_preamble(&mut self, release: &Release) {
        self.preamble.clear();
        let mut record = Vec::new();
        push_release(&mut record, &ReleaseNote::of(release));
        push_framed(&mut self.preamble, &record);
        for change in release.lists.changes() {
            record.clear();
            push_list_change(&mut record, &change);
            push_framed(&mut self.preamble, &record);
        }
        self.is_preamble_stale = false;
    }
}

fn push_framed(out: &mut Vec<u8>, record: &[u8]) {
    super::encoding::push_bytes(out, record);
}

fn frames_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut taking = super::encoding::Taking(bytes);
    std::iter::from_fn(move || taking.bytes())
}
