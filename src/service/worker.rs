//! The scoring thread: it owns the core and the client, finds a broker, and serves until it is told to end. Other threads
//! command it and watch its state.

use std::{collections::VecDeque, io, sync::Arc, thread::JoinHandle, time::Instant};

use tokio::sync::{mpsc, watch};

use super::{
    answering::Answering,
    broker::{self, BrokerError, Line},
    discovery,
    link::StreamLink,
    metrics::Metrics,
    outbox::Outbox,
    priority,
    queue::Queue,
    session::{self, Command, End, State, Work},
    way::Way,
};
use crate::config::{NatsConfig, ScoringConfig};

/// Commands that may wait: reloads and one end.
const COMMANDS_MAX: usize = 16;

/// The scoring thread, from outside.
pub struct Worker {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<State>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the thread.
    pub fn start(
        (nats, scoring): (NatsConfig, &ScoringConfig),
        answering: Answering,
        metrics: Arc<Metrics>,
        stream: Option<StreamLink>,
    ) -> io::Result<Self> {
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let (announce, state) = watch::channel(State::Connecting);
        let nice = scoring.nice;
        let way = Way::start(nats.clone(), discovery::NAME, nice)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = Work {
            answering,
            queue: Queue::new(nats.queue_max),
            nats,
            commands: received,
            outbox: Outbox::default(),
            metrics,
            state: announce,
            way,
            stream,
            streamed: VecDeque::new(),
            is_draining: false,
            failure: None,
            started: Instant::now(),
            served: None,
        };
        let thread = std::thread::Builder::new().name("scoring".into()).spawn(move || {
            let granted = priority::raise(nice);
            work.metrics.scoring_nice.set(granted.into());
            if nice < 0 && granted > nice {
                tracing::info!(nice, granted, "the system does not give the scoring thread its priority");
            }
            // The loop yields by itself; a budget would only make it read less than it could.
            runtime.block_on(tokio::task::coop::unconstrained(run(work)));
        })?;
        Ok(Self { commands, state, thread })
    }

    /// What the thread is doing, and every change of it. The sender is gone once the thread has ended.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Where it takes commands.
    pub fn commands(&self) -> mpsc::Sender<Command> {
        self.commands.clone()
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

async fn run(mut work: Work) {
    let now_ms = work.now_ms();
    // Another process may still serve: then this one goes on from there, once it is heard as well.
    let recovered = if work.answering.is_succeeding() {
        work.answering.follow().map(|()| None)
    } else {
        work.answering.recover(now_ms).map(Some)
    };
    let last = match recovered {
        Ok(None) => last_state(&mut work).await,
        Ok(Some(begin)) => {
            if let Some(stream) = &mut work.stream {
                stream.begin(begin);
            }
            last_state(&mut work).await
        }
        Err(message) => State::Failed(message),
    };
    // Without a connection to say anything on, only the disk matters.
    let now_ms = work.now_ms();
    work.answering.finish(now_ms, &mut work.outbox);
    work.answering.release_folder();
    work.state.send_replace(last);
}

async fn last_state(work: &mut Work) -> State {
    let mut is_first = true;
    loop {
        let line = match find(work, is_first).await {
            Some(Ok(line)) => line,
            Some(Err(error)) => return State::Failed(error.to_string()),
            // Nothing was received that could be answered: without a connection there is nobody to answer to.
            None => return work.failure.take().map_or(State::Drained, |message| forbidden(&message)),
        };
        if !is_first {
            work.metrics.reconnects.inc();
        }
        match session::serve(line, work).await {
            End::Drained => return State::Drained,
            End::Forbidden(message) => return forbidden(&message),
            End::Failed(message) => return State::Failed(message),
            End::Broken(error) if work.is_draining => {
                tracing::warn!(%error, "ended before the broker had every answer");
                return State::Drained;
            }
            End::Broken(error) => tracing::warn!(%error, "beginning anew"),
        }
        work.state.send_replace(State::Connecting);
        is_first = false;
    }
}

/// Tries the servers until one lets the service in. `None` when the end is commanded meanwhile.
async fn find(work: &mut Work, is_first: bool) -> Option<Result<Line, BrokerError>> {
    let nats = work.nats.clone();
    for attempt in 1.. {
        let connected = tokio::select! {
            connected = broker::connect_both(&nats, discovery::NAME) => connected,
            () = ended(work) => return None,
        };
        let error = match connected {
            Ok(line) => return Some(Ok(line)),
            Err(error) if is_first && error.needs_change() => return Some(Err(error)),
            Err(error) => error,
        };
        work.metrics.connect_failures.inc();
        tracing::warn!(%error, attempt, "no broker; trying again until there is one");
        tokio::select! {
            () = tokio::time::sleep(broker::pause(attempt + 1)) => {}
            () = ended(work) => return None,
        }
    }
    None
}

/// Carries out commands until the end is commanded.
async fn ended(work: &mut Work) {
    loop {
        match work.commands.recv().await {
            Some(command) => work.obey(command),
            None => work.is_draining = true,
        }
        if work.is_draining || work.failure.is_some() {
            return;
        }
    }
}

fn forbidden(message: &str) -> State {
    State::Failed(format!("the broker does not permit it: {message}"))
}
