//! One connection's life, on the scoring thread: subscribe, read, answer, write, end. The order in which messages came
//! over the wire is the order in which they are answered.

use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{
    answering::{Answering, Moment},
    link::{Arrival, Link, Outbox},
    metrics::Metrics,
    queue::Queue,
    subjects::Kind,
};
use crate::scoring::release::Release;

/// Messages answered between two looks at the socket: some 200 µs of work, so that what arrives is stamped, and refused
/// where there is no room for it, while it is fresh.
const SLICE_MESSAGES: usize = 64;
/// Answers that may wait to be written. Beyond it scoring waits for the broker.
const UNSENT_MAX_BYTES: usize = 16 * 1024 * 1024;
/// How often counts are handed over and the connection is looked after.
const TICK: Duration = Duration::from_millis(100);
/// A silent server is asked whether it lives this often, and given up after `PINGS_MAX` questions without an answer.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PINGS_MAX: u64 = 2;
/// How long the end may take. A broker that does not answer must not keep the service from stopping.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What the scoring thread is told.
pub enum Command {
    /// Another release takes over.
    Reload(Box<Release>),
    /// Answer everything that was received, and end.
    Drain,
}

/// How a connection ended.
pub enum End {
    /// Everything that was received is answered, and the broker has it.
    Drained,
    /// The server is about to stop; everything received is answered.
    Left,
    /// The connection broke.
    Broken(io::Error),
    /// The broker does not permit what the service needs.
    Forbidden(String),
}

/// What outlives a connection.
pub struct Work {
    /// The core and what speaks for it.
    pub answering: Answering,
    /// What waits for it.
    pub queue: Queue,
    /// What it is told.
    pub commands: mpsc::Receiver<Command>,
    /// What a broken connection left unwritten.
    pub unsent: Outbox,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// Whether it has been told to end.
    pub is_draining: bool,
}

/// Where a connection stands between its subscriptions and its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The server has not yet confirmed the subscriptions: it will have when it answers this `PING`.
    Subscribing { until: u64 },
    /// Requests come.
    Serving,
    /// Subscriptions have ended: everything will have arrived when the server answers this `PING`.
    Ending { until: u64, since: Instant },
    /// Everything is answered: the server will have it when it answers this `PING`.
    Flushing { until: u64, since: Instant },
}

struct Session<'w> {
    link: Link,
    work: &'w mut Work,
    phase: Phase,
    is_leaving: bool,
    is_first: bool,
    pings: u64,
    pongs: u64,
    ticker: Interval,
    last_ping: Instant,
    heard: Instant,
}

/// Serves on a connection until it ends. `ready` is called once requests can come.
pub async fn serve(link: Link, work: &mut Work, is_first: bool, ready: impl FnOnce()) -> End {
    let mut ticker = interval(TICK);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let now = Instant::now();
    let mut session = Session {
        link,
        work,
        phase: Phase::Serving,
        is_leaving: false,
        is_first,
        pings: 0,
        pongs: 0,
        ticker,
        last_ping: now,
        heard: now,
    };
    session.subscribe();
    let end = session.run(ready).await;
    session.work.metrics.set_ready(false);
    let link = session.link;
    work.unsent = link.into_unsent();
    end
}

impl Session<'_> {
    fn subscribe(&mut self) {
        let Self { link, work, .. } = self;
        work.answering.limit_payload(link.info().max_payload);
        let outbox = link.outbox();
        outbox.append(&work.unsent);
        for (kind, subject) in work.answering.subjects().listened() {
            outbox.subscribe(&subject, kind.sid());
        }
        for (place, subject) in work.answering.discovery().subjects().iter().enumerate() {
            outbox.subscribe(subject, Kind::Discovery.sid() + place as u64);
        }
        self.phase = Phase::Subscribing { until: self.ping() };
    }

    /// Asks the server to answer once it has dealt with everything before; gives the number of the question.
    fn ping(&mut self) -> u64 {
        self.link.outbox().ping();
        self.last_ping = Instant::now();
        self.pings += 1;
        self.pings
    }

    async fn run(&mut self, ready: impl FnOnce()) -> End {
        let mut ready = Some(ready);
        loop {
            if let Err(error) = self.wait().await {
                return End::Broken(error);
            }
            if let Some(end) = self.take_arrivals() {
                return end;
            }
            self.answer_slice();
            if self.phase == Phase::Serving
                && let Some(ready) = ready.take()
            {
                self.work.metrics.set_ready(true);
                ready();
            }
            if let Some(end) = self.advance() {
                return end;
            }
            if !self.work.queue.is_empty() {
                // The runtime looks at the socket only when this task lets it.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Reads, writes and ticks; waits only when there is nothing to do.
    async fn wait(&mut self) -> io::Result<()> {
        poll_fn(|context| {
            let mut is_busy = !self.work.queue.is_empty() && self.has_room();
            // Without room for a refusal nothing is read, and the broker keeps what comes.
            if self.has_room() && self.link.poll_read(context)?.is_ready() {
                self.heard = Instant::now();
                is_busy = true;
            }
            if self.link.outbox().unsent_bytes() > 0 {
                let is_full = !self.has_room();
                // A full outbox that empties lets scoring go on.
                is_busy |= self.link.poll_write(context)?.is_ready() && is_full;
            }
            if !self.work.is_draining
                && let Poll::Ready(command) = self.work.commands.poll_recv(context)
            {
                self.command(command);
                is_busy = true;
            }
            if self.ticker.poll_tick(context).is_ready() {
                self.tick()?;
                is_busy = true;
            }
            if is_busy { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    fn has_room(&mut self) -> bool {
        self.link.outbox().unsent_bytes() < UNSENT_MAX_BYTES
    }

    /// Takes what has been read into the queue, in its order; refuses what there is no room for.
    fn take_arrivals(&mut self) -> Option<End> {
        loop {
            match self.link.next_arrival() {
                Err(error) => return Some(End::Broken(error)),
                Ok(None) => return None,
                Ok(Some(Arrival::Message(frame))) => {
                    if let Err(frame) = self.work.queue.push(frame, self.heard) {
                        self.work.answering.shed(&frame, self.link.outbox());
                    }
                }
                Ok(Some(Arrival::Pong)) => self.pongs += 1,
                Ok(Some(Arrival::LameDuck)) => {
                    if matches!(self.phase, Phase::Serving | Phase::Subscribing { .. }) {
                        tracing::warn!("the broker is about to stop; going to another");
                        self.is_leaving = true;
                        self.unsubscribe();
                    }
                }
                Ok(Some(Arrival::Complaint(message))) => {
                    if let Some(end) = self.complaint(message) {
                        return Some(end);
                    }
                }
            }
        }
    }

    fn complaint(&mut self, message: String) -> Option<End> {
        let lower = message.to_ascii_lowercase();
        if lower.contains("slow consumer") {
            self.work.metrics.slow_consumer.inc();
            tracing::error!("the broker ends the connection: messages were not read fast enough");
            return None;
        }
        self.work.metrics.complaints.inc();
        tracing::error!(complaint = message, "the broker complains");
        let at_start = self.is_first && matches!(self.phase, Phase::Subscribing { .. });
        (at_start && lower.contains("permissions violation")).then_some(End::Forbidden(message))
    }

    /// Answers the next messages of the queue.
    fn answer_slice(&mut self) {
        if self.work.queue.is_empty() {
            return;
        }
        let Work { answering, queue, .. } = &mut *self.work;
        let outbox = self.link.outbox();
        let mut clock = Clock::read();
        for _ in 0..SLICE_MESSAGES {
            if outbox.unsent_bytes() >= UNSENT_MAX_BYTES {
                break;
            }
            let Some((frame, arrived)) = queue.pop() else { break };
            let done = answering.answer(&frame, arrived, clock.moment(), outbox);
            clock.advance(done);
        }
    }

    fn command(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Reload(release)) => self.work.answering.reload(release),
            // Whoever could command is gone: end as well.
            Some(Command::Drain) | None => {
                self.work.is_draining = true;
                if !self.is_leaving {
                    self.unsubscribe();
                }
            }
        }
    }

    /// Ends the subscriptions, so that nothing new comes after what is on its way.
    fn unsubscribe(&mut self) {
        let discovery = self.work.answering.discovery().subjects().len() as u64;
        for sid in 1..Kind::Discovery.sid() + discovery {
            self.link.outbox().unsubscribe(sid);
        }
        self.work.metrics.set_ready(false);
        self.phase = Phase::Ending { until: self.ping(), since: Instant::now() };
    }

    /// Goes from phase to phase as the server confirms.
    fn advance(&mut self) -> Option<End> {
        let since = match self.phase {
            Phase::Serving => return None,
            Phase::Subscribing { until } => {
                if self.pongs >= until {
                    self.phase = Phase::Serving;
                }
                return None;
            }
            Phase::Ending { until, since } => {
                if self.pongs >= until && self.work.queue.is_empty() {
                    self.phase = Phase::Flushing { until: self.ping(), since };
                }
                since
            }
            Phase::Flushing { until, since } => {
                if self.pongs >= until {
                    return Some(if self.work.is_draining { End::Drained } else { End::Left });
                }
                since
            }
        };
        let timed_out = since.elapsed() > DRAIN_TIMEOUT;
        timed_out.then(|| End::Broken(io::Error::new(io::ErrorKind::TimedOut, "the broker did not confirm the end")))
    }

    fn tick(&mut self) -> io::Result<()> {
        let queue_depth = self.work.queue.len();
        let unsent_bytes = self.link.outbox().unsent_bytes();
        self.work.answering.flush(queue_depth, unsent_bytes);
        // What was heard since counts as an answer: a busy server may be slow to say PONG.
        if self.pings - self.pongs >= PINGS_MAX && self.heard.elapsed() > PING_INTERVAL {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"));
        }
        if self.last_ping.elapsed() >= PING_INTERVAL {
            self.ping();
        }
        Ok(())
    }
}

/// The wall clock, asked once a slice, and carried on by the monotonic one.
struct Clock {
    start: Instant,
    start_unix_ms: i64,
    now: Instant,
}

impl Clock {
    fn read() -> Self {
        let start = Instant::now();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start, start_unix_ms: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX), now: start }
    }

    fn moment(&self) -> Moment {
        let passed_ms = i64::try_from((self.now - self.start).as_millis()).unwrap_or(i64::MAX);
        Moment { instant: self.now, unix_ms: self.start_unix_ms.saturating_add(passed_ms) }
    }

    fn advance(&mut self, now: Instant) {
        self.now = now;
    }
}

/// Answers what is left in the queue without a connection: it was received, so it counts, and its answers wait for the
/// next one.
pub fn answer_rest(work: &mut Work) {
    while !work.queue.is_empty() {
        let mut clock = Clock::read();
        for _ in 0..SLICE_MESSAGES {
            let Some((frame, arrived)) = work.queue.pop() else { break };
            clock.advance(work.answering.answer(&frame, arrived, clock.moment(), &mut work.unsent));
        }
    }
}
