//! What the scoring thread and the reader of the stream hand each other. It decides nothing.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_nats::Message;
use tokio::sync::{mpsc, oneshot};

use super::{
    copies::Slice,
    ledger::{Settled, Unpublished},
};
use crate::durability::position::StreamPosition;

/// Messages that may wait for the scoring thread: some milliseconds of its work.
const WAITING_MAX: usize = 256;

/// Slices of copies that may wait for the reader.
const SLICES_MAX: usize = 16;

/// A message of the stream. It has no `Debug`: it holds card data.
pub struct Streamed {
    /// What the reader knows it by.
    pub token: u64,
    /// Where it came from.
    pub origin: StreamPosition,
    /// What it says.
    pub message: Message,
}

/// Where reading goes on.
#[derive(Default)]
pub struct Begin {
    /// The last message that was taken by an earlier process, as the journal has it.
    pub taken: Option<StreamPosition>,
    /// Verdicts that may not have left it, oldest first.
    pub unpublished: Vec<Unpublished>,
    /// The last verdict before these, which is known to be published.
    pub published: Option<Published>,
    /// The last record of all.
    pub last: u64,
}

/// A verdict of the stream that an earlier process knew to be stored.
pub struct Published {
    /// The record that holds its transaction.
    pub record: u64,
    /// What the stream of verdicts knows it by.
    pub identity: String,
    /// When the transaction was stored, in Unix milliseconds.
    pub stored_ms: i64,
}

#[derive(Default)]
struct Progress {
    record: AtomicU64,
    settled: AtomicU64,
}

/// The scoring thread's end.
pub struct StreamLink {
    /// What waits for it.
    pub inlet: mpsc::Receiver<Streamed>,
    settled: mpsc::UnboundedSender<Settled>,
    slices: mpsc::Sender<Slice>,
    begin: Option<oneshot::Sender<Begin>>,
    progress: Arc<Progress>,
    handed: u64,
}

/// The reader's end.
pub struct ReaderLink {
    /// To the scoring thread.
    pub outlet: mpsc::Sender<Streamed>,
    /// What came of it. As many as were handed over and are not done with, which is bounded.
    pub settled: mpsc::UnboundedReceiver<Settled>,
    /// The copies of verdicts on requests, slice by slice.
    pub slices: mpsc::Receiver<Slice>,
    /// Where to begin.
    pub begin: oneshot::Receiver<Begin>,
    progress: Arc<Progress>,
}

/// Both ends.
pub fn link() -> (StreamLink, ReaderLink) {
    let (outlet, inlet) = mpsc::channel(WAITING_MAX);
    let (settled, settlements) = mpsc::unbounded_channel();
    let (slices, ended) = mpsc::channel(SLICES_MAX);
    let (begin, begun) = oneshot::channel();
    let progress = Arc::new(Progress::default());
    let link = StreamLink { inlet, settled, slices, begin: Some(begin), progress: progress.clone(), handed: 0 };
    (link, ReaderLink { outlet, settled: settlements, slices: ended, begin: begun, progress })
}

impl StreamLink {
    /// Lets the reader begin.
    pub fn begin(&mut self, at: Begin) {
        // A reader that is gone needs to know nothing.
        let _ = self.begin.take().map(|begin| begin.send(at));
    }

    /// Hands over what came of a message.
    pub fn settle(&mut self, settled: Settled) {
        self.handed += 1;
        let _ = self.settled.send(settled);
    }

    /// Hands over a slice of the copies; while nobody takes them it goes on.
    pub fn end_slice(&mut self, end: impl FnOnce() -> Option<Slice>) {
        if let Ok(permit) = self.slices.try_reserve()
            && let Some(slice) = end()
        {
            permit.send(slice);
        }
    }

    /// The record up to which all verdicts are known to be published.
    pub fn confirmed_record(&self) -> u64 {
        self.progress.record.load(Ordering::Acquire)
    }

    /// Whether everything that was handed over is published.
    pub fn is_settled(&self) -> bool {
        self.progress.settled.load(Ordering::Acquire) >= self.handed || self.settled.is_closed()
    }
}

impl ReaderLink {
    /// Tells how far verdicts are known to be published.
    pub fn progress(&self, record: u64, settled: u64) {
        self.progress.record.fetch_max(record, Ordering::Release);
        self.progress.settled.fetch_add(settled, Ordering::Release);
    }
}
