//! The service as one thing that starts and stops: the scoring thread, and the port for metrics and health beside it.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, mpsc::channel},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
};

use super::{
    answering::Answering,
    broker,
    discovery::Discovery,
    handover::Latest,
    http,
    keeper::Keeper,
    link,
    metrics::Metrics,
    quality::Notebook,
    reload::{Reloader, Serving},
    session::State,
    stream::Reader,
    subjects::Subjects,
    upkeep::{Upkeep, UpkeepError},
    worker::Worker,
};
use crate::{
    config::{Config, Flags, StreamPath},
    durability::folder::FolderError,
    scoring::{release::Release, scorer::Scorer},
};

/// A service that answers requests is ready after this, whatever JetStream does.
const STREAM_AWAITED_MAX: Duration = Duration::from_secs(2);

/// Why the service did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The port for metrics and health is not to be had.
    #[error("{address} cannot be listened on for metrics and health: {source}; choose another with --http")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("a thread cannot be started: {0}")]
    Thread(io::Error),
    /// Two metrics of one name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The folder of the journal cannot be used.
    #[error(transparent)]
    Durability(#[from] FolderError),
    /// Nothing could look after its snapshots.
    #[error(transparent)]
    Upkeep(#[from] UpkeepError),
    /// The scoring thread gave up.
    #[error("{0}")]
    Failed(String),
}

/// A running service.
pub struct Service {
    worker: Worker,
    reloader: Option<Reloader>,
    upkeep: Option<Upkeep>,
    metrics: Arc<Metrics>,
    http_address: SocketAddr,
    http: JoinHandle<io::Result<()>>,
    end_http: oneshot::Sender<()>,
    reader: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts the service; it looks for its broker from now on. With flags it follows what they name: files that change
    /// take over while it runs. If it `takes_over`, another process may still have its folder.
    pub async fn start(
        config: &Config,
        release: Release,
        followed: Option<Flags>,
        takes_over: bool,
    ) -> Result<Self, ServiceError> {
        let address = config.http.listen;
        let listen = |source| ServiceError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let http_address = listener.local_addr().map_err(listen)?;

        let metrics = Arc::new(Metrics::new()?);
        let id = format!("{:016x}", rand::random::<u64>());
        let inbox = broker::inbox(&id);
        let subjects = Subjects::new(config.subjects.clone()).with_inbox(&inbox);
        let discovery = Discovery::new(id, jiff::Timestamp::now().to_string(), &subjects);
        let keeper = Keeper::open(&config.durability, metrics.clone(), takes_over)?;
        let serving = Serving::new(config, &release);
        let (asks, asked) = channel();
        // Nobody would try a release on what is kept.
        let kept_max = if followed.is_some() { config.guard.transactions } else { 0 };
        let latest = Latest::new(kept_max);
        let notebook = Notebook::start(config.quality.clone(), metrics.quality.clone(), &release);
        let notebook = notebook.map_err(ServiceError::Thread)?;
        let scorer = Scorer::new(release.clone());
        let kept = (latest, asks, notebook);
        let mut answering =
            Answering::new(scorer, keeper, subjects.clone(), config.skew_ms, metrics.clone(), discovery, kept);
        let (stream, readers_end) = (config.stream.path != StreamPath::Off).then(link::link).unzip();
        // Without a journal, or a stream to hold them, nothing could be published again.
        let confirms_copies = config.durability.dir.is_some() && config.stream.verdicts.is_some();
        // Where a stream is only sought that ends if there is none: one that is away for now is owed its verdicts.
        if config.stream.path != StreamPath::Off {
            answering.stamp_verdicts(confirms_copies.then(|| inbox.clone()));
        }
        let worker = Worker::start((config.nats.clone(), &config.scoring), answering, metrics.clone(), stream)
            .map_err(ServiceError::Thread)?;
        let reader = readers_end.map(|link| {
            let reader = Reader::new(config, (subjects, inbox), link, worker.commands(), metrics.clone());
            await_stream(&metrics, worker.state());
            tokio::spawn(reader.run())
        });
        let upkeep = Upkeep::start(&config.durability, release, metrics.clone(), worker.commands())?;
        let nudges = upkeep.as_ref().map(Upkeep::nudges);
        let told = (worker.commands(), nudges);
        let follow = |flags| Reloader::start(flags, serving, told, metrics.clone(), asked);
        let reloader = followed.map(follow).transpose().map_err(ServiceError::Thread)?;

        let (end_http, ended) = oneshot::channel();
        let served = http::serve(listener, metrics.clone(), async move { drop(ended.await) });
        let http = tokio::spawn(served);
        Ok(Self { worker, reloader, upkeep, metrics, http_address, http, end_http, reader })
    }

    /// Where metrics and health are.
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// What is measured.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Looks at what lies on disk now, if it follows anything.
    pub fn reload(&self) {
        if let Some(reloader) = &self.reloader {
            reloader.look();
        }
    }

    /// Waits until requests are served.
    pub async fn serving(&self) -> Result<(), ServiceError> {
        let mut state = self.worker.state();
        match state.wait_for(|state| *state != State::Connecting).await.map(|state| state.clone()) {
            Ok(State::Serving) => Ok(()),
            Ok(State::Failed(message)) => Err(ServiceError::Failed(message)),
            Ok(State::Connecting | State::Drained) | Err(_) => Err(ended()),
        }
    }

    /// Waits until the service ends by itself, which it does when it cannot go on, or when another process has taken over.
    pub async fn ended(&self) -> Result<(), ServiceError> {
        let mut state = self.worker.state();
        match state.wait_for(|state| matches!(state, State::Failed(_) | State::Drained)).await {
            Ok(state) => match &*state {
                State::Failed(message) => Err(ServiceError::Failed(message.clone())),
                _ => Ok(()),
            },
            Err(_) => Err(ended()),
        }
    }

    /// Stops: everything that was received is answered first. The port stays open until then.
    pub async fn stop(self) -> Result<(), ServiceError> {
        // What goes on beside the scoring must not keep it from its last answers.
        drop(self.upkeep);
        let last = self.worker.drain().await;
        if let Some(reader) = self.reader {
            reader.abort();
        }
        // The port's task may have ended with an error already; there is nothing left to end then.
        let _ = self.end_http.send(());
        self.http.abort();
        match last {
            State::Failed(message) => Err(ServiceError::Failed(message)),
            State::Drained | State::Serving | State::Connecting => Ok(()),
        }
    }
}

/// Has a service that serves count as ready once it knows whether there is a stream, or has not learnt it for long.
fn await_stream(metrics: &Arc<Metrics>, mut state: watch::Receiver<State>) {
    metrics.stream.set_awaited(true);
    let metrics = metrics.clone();
    tokio::spawn(async move {
        // A service that is gone has nothing to be ready for.
        let _ = state.wait_for(|state| *state == State::Serving).await;
        tokio::time::sleep(STREAM_AWAITED_MAX).await;
        metrics.stream.set_awaited(false);
    });
}

fn ended() -> ServiceError {
    ServiceError::Failed("the scoring thread ended".into())
}
