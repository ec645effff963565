//! What goes on beside the scoring, on a thread of low priority: snapshots. It never touches what serves.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{keeper::tell_refused, metrics::Metrics};
use crate::{
    config::DurabilityConfig,
    durability::{
        folder::{Folder, FolderError},
        rebuild::{TakeError, Taken, take},
    },
    scoring::release::Release,
};

/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Of the time at most one part in so many goes into snapshots, however fast the journal grows.
const REST: u32 = 4;
/// The nice value of the thread: everything else comes first.
const NICE: i32 = 15;

/// The thread, from outside.
pub struct Upkeep {
    nudges: Sender<Nudge>,
    is_ending: Arc<AtomicBool>,
}

/// What the thread is told.
pub enum Nudge {
    /// Another release serves.
    Release(Box<Release>),
}

struct Work {
    folder: Folder,
    path: PathBuf,
    config: DurabilityConfig,
    metrics: Arc<Metrics>,
    is_ending: Arc<AtomicBool>,
    release: Release,
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
        release: &Release,
        metrics: Arc<Metrics>,
    ) -> Result<Option<Self>, UpkeepError> {
        let Some(path) = config.dir.clone().filter(|_| config.snapshot_interval_ms > 0) else { return Ok(None) };
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
            release: release.clone(),
            tried: now,
            rests_until: now,
            records: 0,
            bytes: 0,
        };
        std::thread::Builder::new().name("upkeep".into()).spawn(move || {
            lower_priority();
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
                Ok(Nudge::Release(release)) => self.release = *release,
                Err(RecvTimeoutError::Timeout) => {}
                // Whoever reloads may be gone, or have never been there.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK_EVERY),
            }
            if self.is_due() {
                self.snapshot();
            }
        }
    }

    fn is_due(&self) -> bool {
        let metrics = &self.metrics;
        // What was replayed at the start is in no snapshot either.
        let records = metrics.journal_records.get() + metrics.journal_replayed.get();
        if records == self.records || Instant::now() < self.rests_until {
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
                self.tell(&taken, took);
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

    fn tell(&self, taken: &Taken, took: Duration) {
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

fn unix_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Where the system knows priorities of threads. One that it does not grant is only a pity.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
}
