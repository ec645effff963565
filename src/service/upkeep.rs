//! What goes on beside the scoring, on a thread of low priority: snapshots, and windows that a reload asks for anew. It
//! never touches what serves, but hands over what takes its place.

use std::{
    io,
    num::NonZero,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::mpsc;

use super::{
    handover::{Refill, Refilled},
    keeper::tell_refused,
    metrics::Metrics,
    priority,
    session::Command,
};
use crate::{
    config::DurabilityConfig,
    durability::{
        folder::{Folder, FolderError},
        rebuild::{Rebuild, TakeError, Taken, take},
        replay::ReplayError,
    },
    scoring::{release::Release, scorer::Scorer},
};

/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Of the time at most one part in so many goes into snapshots, however fast the journal grows.
const REST: u32 = 4;
/// So many records behind, memory holds what is missing.
const NEAR_RECORDS: u64 = 20_000;
/// Attempts at a swap; each finds less to catch up with than the one before.
const SWAPS_MAX: u32 = 1_000;

/// The thread, from outside.
pub struct Upkeep {
    nudges: Sender<Nudge>,
    is_ending: Arc<AtomicBool>,
}

/// What the thread is told.
pub enum Nudge {
    /// Another release serves.
    Release {
        /// Which one.
        release: Box<Release>,
        /// Whether it asks for windows that were not kept so far.
        is_fresh: bool,
    },
}

struct Work {
    folder: Folder,
    path: PathBuf,
    config: DurabilityConfig,
    metrics: Arc<Metrics>,
    is_ending: Arc<AtomicBool>,
    release: Release,
    /// The release asks for windows that are not full.
    wants_refill: bool,
    commands: mpsc::Sender<Command>,
    /// When the last attempt ended, and from when on the next one may begin.
    tried: Instant,
    rests_until: Instant,
    /// What the journal had written by then.
    records: u64,
    bytes: u64,
}

impl Upkeep {
    /// Starts the thread, if there is a folder to look after.
    pub fn start(
        config: &DurabilityConfig,
        release: Release,
        metrics: Arc<Metrics>,
        commands: mpsc::Sender<Command>,
    ) -> Result<Option<Self>, UpkeepError> {
        let Some(path) = config.dir.clone() else { return Ok(None) };
        let folder = Folder::beside(&path)?;
        let (nudges, nudged) = channel();
        let is_ending = Arc::new(AtomicBool::new(false));
        let now = Instant::now();
        let mut work = Work {
            folder,
            path,
            config: config.clone(),
            metrics,
            is_ending: is_ending.clone(),
            release,
            wants_refill: false,
            commands,
            tried: now,
            rests_until: now,
            records: 0,
            bytes: 0,
        };
        std::thread::Builder::new().name("upkeep".into()).spawn(move || {
            priority::lower();
            work.run(&nudged);
        })?;
        Ok(Some(Self { nudges, is_ending }))
    }

    /// Where it is told what serves.
    pub fn nudges(&self) -> Sender<Nudge> {
        self.nudges.clone()
    }
}

/// Why the thread cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The system gives no thread.
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] io::Error),
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }
}

impl Work {
    fn run(&mut self, nudged: &Receiver<Nudge>) {
        while !self.is_ending.load(Ordering::Relaxed) {
            match nudged.recv_timeout(LOOK_EVERY) {
                Ok(Nudge::Release { release, is_fresh }) => {
                    self.release = *release;
                    self.wants_refill |= is_fresh;
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Whoever reloads may be gone, or have never been there.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK_EVERY),
            }
            if std::mem::take(&mut self.wants_refill) {
                self.refill(nudged);
            }
            if self.is_due() {
                self.snapshot();
            }
        }
    }

    /// Builds the past that the release would have, had it always been there, and hands it over.
    fn refill(&mut self, nudged: &Receiver<Nudge>) {
        let began = Instant::now();
        let metrics = self.metrics.clone();
        let metrics = &metrics.durable;
        metrics.refilling.set(1);
        let result = match self.rebuild(nudged) {
            Ok(swap) => {
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                let swap_us = u64::try_from(swap.as_micros()).unwrap_or(u64::MAX);
                tracing::info!(
                    took_ms,
                    swap_us,
                    "windows are filled from the journal, as if they had always been kept"
                );
                metrics.refill_seconds.observe(began.elapsed().as_secs_f64());
                metrics.refill_swaps.observe(swap.as_secs_f64());
                Some("applied")
            }
            Err(Unfilled::Superseded) => None,
            Err(Unfilled::Incomplete) => {
                tracing::warn!("the journal does not hold enough to fill new windows: they fill as time passes");
                Some("incomplete")
            }
            Err(Unfilled::Failed(error)) => {
                tracing::error!("new windows fill as time passes, and not from the journal: {error}");
                Some("failed")
            }
        };
        if let Some(result) = result {
            metrics.refills.with_label_values(&[result]).inc();
        }
        metrics.refilling.set(0);
    }

    fn rebuild(&mut self, nudged: &Receiver<Nudge>) -> Result<Duration, Unfilled> {
        let mut scorer = Scorer::new(self.release.clone());
        let mut rebuild = Rebuild::begin(&mut self.folder, &mut scorer, NonZero::<usize>::MIN);
        let is_ending = self.is_ending.clone();
        let mut newer = None;
        let mut goes_on = || {
            // Edits may follow one another: only the last is of interest.
            newer = newer.take().or_else(|| nudged.try_recv().ok());
            newer.is_none() && !is_ending.load(Ordering::Relaxed)
        };
        let (mut goes, mut is_near) = (true, false);
        // Each time there is less to catch up with.
        while goes && !is_near {
            let before = rebuild.sequence();
            goes = rebuild.follow(&mut self.folder, &mut scorer, |_, _| goes_on())?;
            is_near = rebuild.sequence() < before + NEAR_RECORDS;
        }
        if goes && !rebuild.is_complete(&self.release) {
            return Err(Unfilled::Incomplete);
        }
        // From here on what is written comes by way of memory; before that it is on the disk.
        if goes {
            self.tail()?;
            goes = rebuild.follow(&mut self.folder, &mut scorer, |_, _| goes_on())?;
        }
        if let Some(Nudge::Release { release, is_fresh: _ }) = newer {
            (self.release, self.wants_refill) = (*release, true);
            return Err(Unfilled::Superseded);
        }
        if !goes {
            return Err(Unfilled::Superseded);
        }
        let mut refill = Box::new(Refill { scorer, rebuild });
        for _ in 0..SWAPS_MAX {
            let tail = self.tail()?;
            refill.rebuild.frames(&tail, &mut refill.scorer);
            let (done, swapped) = sync_channel(1);
            self.tell(Command::Refill(refill, done))?;
            // What was replaced is freed here, where nobody waits for it.
            match swapped.recv().map_err(|_| Unfilled::Superseded)? {
                Refilled::Done(_, took) => return Ok(took),
                Refilled::Behind(behind) => refill = behind,
                Refilled::Refused(_) => return Err(Unfilled::Superseded),
            }
        }
        Err(Unfilled::Failed("it never caught up".into()))
    }

    fn tail(&self) -> Result<Vec<u8>, Unfilled> {
        let (lent, tail) = sync_channel(1);
        self.tell(Command::Tail(lent))?;
        tail.recv().ok().flatten().ok_or(Unfilled::Superseded)
    }

    fn tell(&self, command: Command) -> Result<(), Unfilled> {
        self.commands.blocking_send(command).map_err(|_| Unfilled::Superseded)
    }

    fn is_due(&self) -> bool {
        let metrics = &self.metrics;
        // What was replayed at the start is in no snapshot either.
        let records = metrics.journal_records.get() + metrics.journal_replayed.get();
        if self.config.snapshot_interval_ms == 0 || records == self.records || Instant::now() < self.rests_until {
            return false;
        }
        let interval = Duration::from_millis(u64::try_from(self.config.snapshot_interval_ms).unwrap_or_default());
        let grown = metrics.journal_bytes.get().saturating_sub(self.bytes);
        self.tried.elapsed() >= interval || grown >= self.config.snapshot_after_bytes as u64
    }

    fn snapshot(&mut self) {
        let began = Instant::now();
        let metrics = self.metrics.clone();
        let (records, bytes) =
            (metrics.journal_records.get() + metrics.journal_replayed.get(), metrics.journal_bytes.get());
        let is_ending = self.is_ending.clone();
        let goes_on = move || !is_ending.load(Ordering::Relaxed);
        let kept = self.config.snapshots_kept;
        let taken = take(&mut self.folder, self.release.clone(), kept, unix_ms(), &goes_on);
        let took = began.elapsed();
        match taken {
            Ok(taken) => {
                (self.records, self.bytes) = (records, bytes);
                self.report(&taken, took);
            }
            Err(TakeError::Stopped) => {}
            Err(_) if self.is_ending.load(Ordering::Relaxed) => {}
            Err(error) => {
                metrics.durable.snapshot_failures.inc();
                tracing::error!(folder = %self.path.display(), "no snapshot was taken: {error}");
            }
        }
        self.tried = Instant::now();
        self.rests_until = self.tried + REST * took;
    }

    fn report(&self, taken: &Taken, took: Duration) {
        let Taken { head, bytes, refused, found } = taken;
        tell_refused(refused, &self.metrics);
        for damage in &found.damage {
            tracing::error!(file = damage.file, at = damage.at, bytes = damage.bytes, "the journal is damaged here");
        }
        if found.lost > 0 || found.unreadable > 0 {
            let (lost, unreadable) = (found.lost, found.unreadable);
            tracing::error!(lost, unreadable, "records of the journal are missing: a restart would lack them");
        }
        let metrics = &self.metrics;
        metrics.journal_lost.inc_by(found.lost.saturating_add(found.unreadable));
        metrics.journal_damage.inc_by(found.damage.len() as u64);
        let Some(bytes) = *bytes else { return };
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let metrics = &metrics.durable;
        metrics.taken(head.taken_unix_ms);
        metrics.snapshots.inc();
        metrics.snapshot_bytes.set(gauge(bytes));
        metrics.snapshot_record.set(gauge(head.sequence));
        metrics.snapshot_seconds.observe(took.as_secs_f64());
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(record = head.sequence, replayed = found.records, bytes, took_ms, "a snapshot was taken");
    }
}

/// Why windows are not filled.
enum Unfilled {
    /// Another release serves, or the process ends.
    Superseded,
    /// The journal does not reach back far enough, or records are missing from it.
    Incomplete,
    Failed(String),
}

impl From<ReplayError> for Unfilled {
    fn from(error: ReplayError) -> Self {
        Self::Failed(error.to_string())
    }
}

fn unix_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
