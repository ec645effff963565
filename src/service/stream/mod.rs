//! The reader of the stream: a connection of its own, looked after and begun anew whenever anything is wrong. It scores
//! nothing, and requests never wait for it.

mod setup;
mod recall;
mod reading;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    broker::{self, BrokerError},
    copies::{Bookmarks, Outstanding},
    ledger::Ledger,
    link::{Begin, Published, ReaderLink},
    metrics::Metrics,
    place::Place,
    session::Command,
    subjects::Subjects,
};
use crate::config::{Config, NatsConfig, StreamConfig, StreamPath};
use setup::SetupError;

/// Why reading ended.
#[derive(Debug, thiserror::Error)]
enum ReadingError {
    /// There is no connection.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The streams are not there, or not as they should be.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The broker does not permit what reading needs.
    #[error("{0}")]
    Forbidden(String),
    /// The connection, the consumer or the order of its messages broke.
    #[error("reading the stream broke off: {0}")]
    Broken(String),
    /// The service ends.
    #[error("the service ends")]
    Ended,
}

impl ReadingError {
    /// Whether there is nothing to read yet, and nobody has to change anything.
    fn is_absence(&self) -> bool {
        matches!(self, Self::Broker(_) | Self::Forbidden(_) | Self::Setup(SetupError::Absent(_) | SetupError::Old(_)))
    }
}

/// Reading that has gone on for so long begins anew without a pause.
const READS_WELL: Duration = Duration::from_secs(10);

/// A stream that is not there is looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The reader of the stream.
pub struct Reader {
    nats: NatsConfig,
    config: StreamConfig,
    subjects: Subjects,
    /// Below it verdicts are confirmed.
    inbox: String,
    /// Where the journal is, if there is one.
    dir: Option<PathBuf>,
    link: ReaderLink,
    commands: mpsc::Sender<Command>,
    metrics: Arc<Metrics>,
    ledger: Ledger,
    place: Place,
    copies: Outstanding,
    bookmarks: Bookmarks,
    /// The last verdict that an earlier process knew to be stored.
    published: Option<Published>,
    /// The record up to which the verdicts of the stream are stored.
    done_record: u64,
    /// The last records of the slice before the last one and of that: what came up to the first was published some time
    /// ago, and what the stream of verdicts does not hold of it is missing.
    slice_ends: [u64; 2],
    /// Whether verdicts are stamped for a stream that is there, or may be.
    is_stamped: bool,
    /// Whether it has ever read.
    has_read: bool,
    /// Since when it has been reading, if it has since it last began.
    reading_since: Option<Instant>,
    started: Instant,
}

impl Reader {
    /// A reader that begins once the journal is read.
    pub fn new(
        config: &Config,
        (subjects, inbox): (Subjects, String),
        link: ReaderLink,
        commands: mpsc::Sender<Command>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            nats: config.nats.clone(),
            config: config.stream.clone(),
            subjects,
            inbox,
            dir: config.durability.dir.clone(),
            link,
            commands,
            metrics,
            ledger: Ledger::default(),
            place: Place::default(),
            copies: Outstanding::default(),
            bookmarks: Bookmarks::default(),
            published: None,
            done_record: 0,
            slice_ends: [0; 2],
            is_stamped: true,
            has_read: false,
            reading_since: None,
            started: Instant::now(),
        }
    }

    /// Reads until the service ends.
    pub async fn run(mut self) {
        let Ok(Begin { taken, unpublished, published, last }) = (&mut self.link.begin).await else { return };
        self.metrics.stream.republished.inc_by(unpublished.len() as u64);
        self.place = Place::new(taken);
        self.published = published;
        self.slice_ends = [last; 2];
        self.bookmarks = Bookmarks::new(&unpublished);
        self.ledger = Ledger::new(unpublished);
        let (mut attempt, mut told) = (1, String::new());
        loop {
            let Err(error) = Box::pin(self.read()).await else { return };
            self.metrics.stream.reading.set(0);
            // What breaks off at once is no better than what does not begin.
            if self.reading_since.take().is_some_and(|since| since.elapsed() >= READS_WELL) {
                (attempt, told) = (1, String::new());
            }
            if !matches!(error, ReadingError::Broker(_)) {
                self.metrics.stream.set_awaited(false);
            }
            match error {
                ReadingError::Ended => return,
                error if self.config.path == StreamPath::Sought && !self.has_read && error.is_absence() => {
                    let text = error.to_string();
                    // Of a broker that is not there others tell.
                    if !matches!(error, ReadingError::Broker(_)) {
                        if self.stamp(false).await.is_err() {
                            return;
                        }
                        if text != told {
                            tracing::info!(reason = text, "there is no stream to read; requests are served");
                            told = text;
                        }
                        tokio::time::sleep(LOOK_EVERY).await;
                        continue;
                    }
                    attempt += 1;
                    tokio::time::sleep(broker::pause(attempt)).await;
                    continue;
                }
                // Nobody is served by a service that cannot do what it is for; but once it could, requests go on.
                ReadingError::Forbidden(message) if !self.has_read => {
                    let _ = self.commands.send(Command::Fail(message)).await;
                    return;
                }
                error => {
                    // The same again every few seconds tells nothing new.
                    let text = error.to_string();
                    if text != told {
                        tracing::error!(
                            error = text,
                            "the stream is not read; requests are served, and it is tried again"
                        );
                        told = text;
                    }
                }
            }
            attempt += 1;
            self.metrics.stream.restarts.inc();
            tokio::time::sleep(broker::pause(attempt)).await;
        }
    }

    /// Has verdicts stamped for the stream from now on, or no longer.
    async fn stamp(&mut self, is_stamped: bool) -> Result<(), ReadingError> {
        if self.is_stamped == is_stamped {
            return Ok(());
        }
        self.commands.send(Command::Stamp(is_stamped)).await.map_err(|_| ReadingError::Ended)?;
        self.is_stamped = is_stamped;
        self.copies.forget();
        while self.link.slices.try_recv().is_ok() {}
        Ok(())
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}
