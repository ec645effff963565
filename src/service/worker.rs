//! The scoring thread: it owns the core and the connection, finds a broker, and finds one again for ever. Other threads
//! command it and watch its state.

use std::{io, sync::Arc, thread::JoinHandle};

use async_nats::ServerAddr;
use tokio::sync::{mpsc, watch};

use super::{
    answering::Answering,
    link::{self, Backoff, ConnectError, Link, Outbox},
    metrics::Metrics,
    queue::Queue,
    session::{self, Command, End, Work},
};
use crate::config::NatsConfig;

/// Commands that may wait: reloads and one end.
const COMMANDS_MAX: usize = 16;
/// Servers that a cluster may tell of beside the configured ones.
const SERVERS_MAX: usize = 64;

/// What the scoring thread is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It looks for a broker.
    Connecting,
    /// It serves requests.
    Serving,
    /// It has answered everything and ended.
    Drained,
    /// It cannot serve until somebody changes something.
    Failed(String),
}

/// The scoring thread, from outside.
pub struct Worker {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<State>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the thread.
    pub fn start(nats: NatsConfig, answering: Answering, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let (announce, state) = watch::channel(State::Connecting);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = Work {
            answering,
            queue: Queue::new(nats.queue_max),
            commands: received,
            unsent: Outbox::default(),
            metrics,
            is_draining: false,
        };
        let thread = std::thread::Builder::new().name("scoring".into()).spawn(move || {
            // The loop yields by itself; a budget would only make it read less than it could.
            let run = tokio::task::coop::unconstrained(run(nats, work, &announce));
            let last = runtime.block_on(run);
            announce.send_replace(last);
        })?;
        Ok(Self { commands, state, thread })
    }

    /// What the thread is doing, and every change of it. The sender is gone once the thread has ended.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Lets another release take over.
    pub async fn reload(&self, release: Box<crate::scoring::release::Release>) {
        // A thread that has ended needs no release; its state tells.
        let _ = self.commands.send(Command::Reload(release)).await;
    }

    /// Ends the thread once everything received is answered; gives its last state.
    pub async fn drain(self) -> State {
        // A thread that has ended by itself says so by its state.
        let _ = self.commands.send(Command::Drain).await;
        let Self { mut state, thread, .. } = self;
        while state.changed().await.is_ok() {}
        if thread.join().is_err() {
            return State::Failed("the scoring thread panicked".into());
        }
        state.borrow().clone()
    }
}

async fn run(nats: NatsConfig, mut work: Work, announce: &watch::Sender<State>) -> State {
    let mut servers = Servers { known: nats.servers.clone(), next: 0 };
    let mut is_first = true;
    loop {
        let Some(found) = find(&mut servers, &nats, &mut work, is_first).await else {
            // Nothing was received that is not answered: without a connection there is nobody to write to.
            return State::Drained;
        };
        let link = match found {
            Ok(link) => link,
            Err(error) => return State::Failed(error.to_string()),
        };
        let server = servers.learn(&link);
        let metrics = work.metrics.clone();
        metrics.connected.set(1);
        if !is_first {
            metrics.reconnects.inc();
        }
        tracing::info!(server, version = link.info().version, "connected");
        let ready = || {
            announce.send_replace(State::Serving);
        };
        let end = session::serve(link, &mut work, is_first, ready).await;
        metrics.connected.set(0);
        session::answer_rest(&mut work);
        match end {
            End::Drained => return State::Drained,
            End::Forbidden(message) => return State::Failed(format!("the broker does not permit it: {message}")),
            End::Broken(error) if work.is_draining => {
                tracing::warn!(%error, "the connection broke before the broker had every answer");
                return State::Drained;
            }
            End::Broken(error) => tracing::warn!(%error, server, "the connection broke"),
            End::Left => {}
        }
        announce.send_replace(State::Connecting);
        is_first = false;
    }
}

/// Tries the servers in turn until one lets the service in. `None` when the end is commanded meanwhile.
async fn find(
    servers: &mut Servers,
    nats: &NatsConfig,
    work: &mut Work,
    is_first: bool,
) -> Option<Result<Link, ConnectError>> {
    let mut backoff = Backoff::default();
    loop {
        for _ in 0..servers.known.len() {
            let server = servers.turn();
            let connected = tokio::select! {
                connected = link::connect(&server, super::discovery::NAME, nats) => connected,
                () = ended(work) => return None,
            };
            let error = match connected {
                Ok(link) => return Some(Ok(link)),
                Err(error) => error,
            };
            work.metrics.connect_failures.inc();
            if is_first && error.needs_change() {
                return Some(Err(error));
            }
            tracing::warn!(%error, attempt = backoff.attempts() + 1, "no broker; trying again until there is one");
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next_pause()) => {}
            () = ended(work) => return None,
        }
    }
}

/// Carries out commands until the end is commanded.
async fn ended(work: &mut Work) {
    loop {
        match work.commands.recv().await {
            Some(Command::Reload(release)) => work.answering.reload(release),
            Some(Command::Drain) | None => {
                work.is_draining = true;
                return;
            }
        }
    }
}

/// The servers to try: the configured ones, and those that their cluster told of.
struct Servers {
    known: Vec<ServerAddr>,
    next: usize,
}

impl Servers {
    fn turn(&mut self) -> ServerAddr {
        let server = self.known[self.next % self.known.len()].clone();
        self.next = (self.next + 1) % self.known.len();
        server
    }

    /// Adds the rest of the server's cluster; gives the server's address for logs.
    fn learn(&mut self, link: &Link) -> String {
        for text in &link.info().connect_urls {
            let Ok(server) = text.parse::<ServerAddr>() else { continue };
            let is_known = |known: &ServerAddr| known.host() == server.host() && known.port() == server.port();
            if self.known.len() < SERVERS_MAX && !self.known.iter().any(is_known) {
                self.known.push(server);
            }
        }
        format!("{}:{}", link.info().host, link.info().port)
    }
}
