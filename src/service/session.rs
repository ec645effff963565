//! The life of a line to the broker, on the scoring thread: subscribe, take, answer, publish, end. Here all subscriptions become one
//! order, and that is the order in which messages are answered.

mod clock;
mod listening;
mod moving;
mod publishing;
mod succession;

use std::{
    collections::VecDeque,
    future::poll_fn,
    io, mem,
    sync::{Arc, atomic::Ordering, mpsc::SyncSender},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_nats::{Client, Event, HeaderMap, Message, ServerError, Subject, connection};
use bytes::Bytes;
use tokio::{
    sync::{mpsc, watch},
    time::{Interval, MissedTickBehavior, interval, timeout},
};

use super::{
    answering::{self, Answering},
    broker::{self, Line},
    handover::{Latest, Refill, Refilled, Swapped},
    link::{StreamLink, Streamed},
    metrics::Metrics,
    outbox::Outbox,
    pace::{Leaving, Promises, Throughput},
    queue::{Queue, Received},
    subjects::Kind,
    way::Way,
};
use crate::{
    config::NatsConfig,
    scoring::{release::Release, transaction::ListChange},
};
use clock::Clock;
use listening::Listening;
use moving::{Moving, Twice};

/// Messages answered between two looks at the subscriptions: some 200 µs of work, so that what arrives is stamped, and
/// refused where there is no room for it, while it is fresh.
const SLICE_MESSAGES: usize = 64;
/// Answering takes as much time as taking in what comes, but at most this at a stretch.
const STRETCH_MAX: Duration = Duration::from_millis(10);
/// How soon it is looked again whether there is room for them.
const ROOM_EVERY: Duration = Duration::from_millis(1);
/// Messages of the stream that are answered in one turn, while no request waits: they take as long as a request may be
/// made to wait for them.
const STREAM_SLICE_MESSAGES: usize = 16;
/// The same while requests wait. So each goes on, and the requests take little notice.
const STREAM_SLICE_BUSY_MESSAGES: usize = 4;
/// How long the end waits for verdicts of the stream to be confirmed. What is not is published again at the next start.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often counts are handed over and the connection is looked after.
const TICK: Duration = Duration::from_millis(100);
/// How long the end may take. A broker that does not answer must not keep the service from stopping.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for the client to close the connection once the broker has everything.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// By then a broker has told which permissions are missing.
const PERMISSIONS_TOLD: Duration = Duration::from_secs(5);

/// Subscriptions that the broker no longer permits are tried again after this long.
const LISTEN_AGAIN: Duration = Duration::from_secs(30);

/// What the scoring thread is told.
pub enum Command {
    /// Another release takes over.
    Reload(Box<Release>, SyncSender<Swapped>),
    /// Hand over what was written since the last time, or begin to keep it; `None` where that cannot be.
    Tail(SyncSender<Option<Vec<u8>>>),
    /// A past that was built aside takes over.
    Refill(Box<Refill>, SyncSender<Refilled>),
    /// Hand over the latest transactions, and go on with others.
    Lend(Latest, SyncSender<Latest>),
    /// Tell every change to lists that is in force.
    ListChanges(SyncSender<Vec<ListChange<'static>>>),
    /// There is a stream, or there is none.
    Stamp(bool),
    /// Say this.
    Say(Subject, HeaderMap, Bytes),
    /// Answer everything that was received, and end.
    Drain,
    /// End: somebody has to change something first.
    Fail(String),
}

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

/// How a session ended.
pub enum End {
    /// Everything that was received is answered, and the broker has it.
    Drained,
    /// This line does not find its broker again.
    Broken(io::Error),
    /// The broker does not permit what the service needs.
    Forbidden(String),
    /// The other process does not hand over.
    Failed(String),
}

/// What outlives a line.
pub struct Work {
    /// How to reach the broker.
    pub nats: NatsConfig,
    /// The core and what speaks for it.
    pub answering: Answering,
    /// What waits for it.
    pub queue: Queue,
    /// What it is told.
    pub commands: mpsc::Receiver<Command>,
    /// What it has said, and the client has not taken yet.
    pub outbox: Outbox,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// Where others see what it does.
    pub state: watch::Sender<State>,
    /// How long a message is on its way.
    pub way: Way,
    /// The stream, if it is read.
    pub stream: Option<StreamLink>,
    /// What of it waits.
    pub streamed: VecDeque<Streamed>,
    /// Whether it has been told to end.
    pub is_draining: bool,
    /// Why it cannot go on.
    pub failure: Option<String>,
    /// When the process began.
    pub started: Instant,
    /// When it first served.
    pub served: Option<Instant>,
}

impl Work {
    /// Milliseconds since the process began, whatever the wall clock does.
    pub fn now_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

impl Work {
    /// Carries out a command. Whoever gave it may be gone by then; so is the use of an answer.
    pub fn obey(&mut self, command: Command) {
        match command {
            Command::Reload(release, done) => drop(done.try_send(self.answering.reload(release))),
            Command::Tail(lent) => drop(lent.try_send(self.answering.tail())),
            Command::Refill(refill, done) => drop(done.try_send(self.answering.refill(refill))),
            Command::Lend(latest, lent) => drop(lent.try_send(self.answering.lend(latest))),
            Command::ListChanges(told) => drop(told.try_send(self.answering.list_changes())),
            Command::Say(subject, headers, payload) => self.outbox.publish(subject, headers, payload),
            Command::Stamp(goes_on) => {
                self.answering.go_on_stamping(goes_on);
                // The first slice begins with the next record.
                let _ = self.answering.end_slice(Clock::read().moment().unix_ms);
            }
            Command::Drain => self.is_draining = true,
            Command::Fail(message) => self.failure = Some(message),
        }
    }
}

struct Session<'w> {
    listening: Listening,
    /// What answers leave by.
    speaking: Client,
    events: mpsc::Receiver<Event>,
    work: &'w mut Work,
    is_connected: bool,
    /// Since when nothing new is listened to, and only what was received is answered.
    ending: Option<Instant>,
    moving: Moving,
    /// When it last stopped answering.
    rested: Instant,
    throughput: Throughput,
    leaving: Leaving,
    promises: Promises,
    /// What has come over two servers, while there are two.
    twice: Option<Twice>,
    end: Option<End>,
    /// What the broker no longer permits to listen to, and since when.
    lacking: Vec<(String, Instant)>,
    connects: u64,
    published: u64,
    ticker: Interval,
}

/// Serves over a line until that ends.
pub async fn serve(line: Line, work: &mut Work) -> End {
    let Line { hearing, speaking, events } = line;
    let mut ticker = interval(TICK);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut session = Session {
        listening: Listening::none(hearing),
        speaking,
        events,
        work,
        is_connected: false,
        ending: None,
        moving: Moving::default(),
        rested: Instant::now(),
        throughput: Throughput::default(),
        leaving: Leaving::default(),
        promises: Promises::default(),
        twice: None,
        end: None,
        lacking: Vec::new(),
        connects: 1,
        published: 0,
        ticker,
    };
    let end = match session.run().await {
        Ok(end) => end,
        Err(error) => End::Broken(error),
    };
    work.metrics.set_ready(false);
    work.metrics.connected.set(0);
    end
}

impl Session<'_> {
    async fn run(&mut self) -> io::Result<End> {
        self.prepare().await;
        self.subscribe().await?;
        self.succeed().await;
        self.watch_connection();
        loop {
            if let Some(end) = self.end.take() {
                return Ok(end);
            }
            if self.work.outbox.put_off_len() > 0 {
                // What was put off waits for room, which nobody tells of.
                let _ = timeout(ROOM_EVERY, self.wait()).await;
            } else {
                self.wait().await;
            }
            if let Some(end) = self.end.take() {
                return Ok(end);
            }
            self.answer().await?;
            if let Some(end) = self.advance().await? {
                return Ok(end);
            }
            if self.is_behind() || !self.promises.is_empty() {
                // The connection lives on this thread too: it reads and writes only when this task lets it.
                tokio::task::yield_now().await;
                self.look_at_written(self.rested);
            }
        }
    }

    /// What is listened to.
    fn wanted(&self) -> Vec<(Kind, String)> {
        let mut wanted: Vec<_> = self.work.answering.subjects().listened().into();
        let subjects = self.work.answering.discovery().subjects();
        wanted.extend(subjects.into_iter().map(|subject| (Kind::Discovery, subject)));
        wanted
    }

    async fn subscribe(&mut self) -> io::Result<()> {
        self.listening = Listening::begin(self.listening.client.clone(), self.wanted()).await?;
        self.published = self.written();
        Ok(())
    }

    /// Whether something waits that has come.
    fn is_behind(&self) -> bool {
        let Work { queue, streamed, outbox, .. } = &*self.work;
        !queue.is_empty() || !streamed.is_empty() || outbox.put_off_len() > 0
    }

    /// Takes what has come, carries out commands, ticks; waits only when there is nothing to do.
    async fn wait(&mut self) {
        let mut was_idle = false;
        poll_fn(|context| {
            let mut is_busy = self.poll_events(context);
            is_busy |= self.poll_moving(context);
            is_busy |= self.poll_inboxes(context);
            is_busy |= self.poll_stream(context);
            is_busy |= self.poll_commands(context);
            let Work { queue, outbox, .. } = &*self.work;
            is_busy |= !outbox.is_empty() || (self.is_connected && !queue.is_empty());
            was_idle |= !is_busy;
            if is_busy { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        if was_idle {
            // What was measured while there was much to do says nothing of now.
            self.rested = Instant::now();
            if self.written() >= self.published {
                self.leaving = Leaving::default();
            }
        }
    }

    /// Takes what the subscriptions hold into the queue; refuses what there is no room for.
    fn poll_inboxes(&mut self, context: &mut Context<'_>) -> bool {
        let Self { listening, moving, twice, work, throughput, leaving, .. } = self;
        let Work { answering, queue, outbox, way, .. } = &mut **work;
        let (mut stamp, mut clock) = (None, None);
        let mut take = |kind, message: Message, is_of_old| {
            if twice.as_mut().is_some_and(|twice| twice.is_copy(&message, is_of_old)) {
                return;
            }
            if message.reply.as_ref().is_some_and(|reply| !answering.subjects().may_answer(reply)) {
                return answering.ignore(kind);
            }
            let arrived = *stamp.get_or_insert_with(Instant::now);
            if !queue.has_room(message.length) {
                return answering.shed(kind, &message, outbox);
            }
            // What would be looked at too late is told so now, and takes no time from the others.
            let deadline_ms = answering::deadline_ms(&message);
            let received = Received { kind, message, arrived, deadline_ms };
            if deadline_ms.is_some() {
                way.want();
            }
            if queue.len() > SLICE_MESSAGES && deadline_ms.is_some() {
                let now = clock.get_or_insert_with(Clock::read).moment();
                let wait = throughput.wait(queue.len()) + leaving.takes() + way.takes();
                if answering.shed_late(&received, now, wait, outbox) {
                    return;
                }
            }
            queue.push(received);
        };
        let mut is_busy = false;
        if let Moving::Parting(parting, _) = moving {
            is_busy = parting.poll(context, |kind, message| take(kind, message, true));
        }
        // Until it has moved, what it listens to is what it will leave.
        let is_of_old = matches!(moving, Moving::Going(_) | Moving::There(_));
        is_busy | listening.poll(context, |kind, message| take(kind, message, is_of_old))
    }

    /// Takes what the stream has for the next turn. Its messages wait where they are kept anyway: nothing is refused for
    /// want of room, and nothing is taken that could not be written.
    fn poll_stream(&mut self, context: &mut Context<'_>) -> bool {
        let Work { answering, stream: Some(stream), streamed, .. } = &mut *self.work else { return false };
        if !self.is_connected || answering.is_waiting() {
            return false;
        }
        while self.ending.is_none()
            && streamed.len() < STREAM_SLICE_MESSAGES
            && let Poll::Ready(Some(message)) = stream.inlet.poll_recv(context)
        {
            streamed.push_back(message);
        }
        !streamed.is_empty()
    }

    fn poll_commands(&mut self, context: &mut Context<'_>) -> bool {
        let mut is_busy = false;
        while !self.work.is_draining
            && let Poll::Ready(command) = self.work.commands.poll_recv(context)
        {
            match command {
                Some(command) => self.work.obey(command),
                // Whoever could command is gone: end as well.
                None => self.work.is_draining = true,
            }
            is_busy = true;
        }
        if let Some(message) = self.work.failure.take() {
            self.end = Some(End::Forbidden(message));
            is_busy = true;
        }
        if self.ticker.poll_tick(context).is_ready() {
            self.watch_connection();
            let waiting = self.published.saturating_sub(self.written());
            let now_ms = self.work.now_ms();
            if let Some(stream) = &mut self.work.stream {
                self.work.answering.confirm(stream.confirmed_record());
                stream.end_slice(|| self.work.answering.end_slice(Clock::read().moment().unix_ms));
            }
            self.work.answering.tick(now_ms, &mut self.work.outbox);
            self.work.is_draining |= self.work.answering.hand_over(Instant::now());
            self.work.answering.flush(self.work.queue.len(), waiting);
            self.work.metrics.way.set(self.work.way.takes().as_secs_f64());
            is_busy = true;
        }
        is_busy
    }

    fn poll_events(&mut self, context: &mut Context<'_>) -> bool {
        let mut is_busy = false;
        while let Poll::Ready(Some(event)) = self.events.poll_recv(context) {
            is_busy = true;
            let metrics = &self.work.metrics;
            match event {
                Event::Connected | Event::Disconnected => self.watch_connection(),
                Event::LameDuckMode => self.want_to_move(),
                Event::SlowConsumer(_) | Event::ServerError(ServerError::SlowConsumer(_)) => {
                    metrics.slow_consumer.inc();
                    tracing::error!("messages were not taken fast enough, and some are lost");
                }
                Event::ServerError(error) => {
                    metrics.complaints.inc();
                    let complaint = error.to_string();
                    tracing::error!(complaint, "the broker complains");
                    // One that goes missing later leaves the others to go on with.
                    let is_start = self.work.served.is_none_or(|since| since.elapsed() < PERMISSIONS_TOLD);
                    if complaint.to_ascii_lowercase().contains("permissions violation for subscription") {
                        if is_start {
                            self.end = Some(End::Forbidden(complaint));
                        } else if let Some(subject) = complaint.split('"').nth(1) {
                            self.lacking.push((subject.to_owned(), Instant::now()));
                        }
                    }
                }
                Event::ClientError(error) => {
                    metrics.connect_failures.inc();
                    tracing::warn!(%error, "no broker; trying again until there is one");
                    if error.to_string().contains("authorization violation") {
                        // Another client reads the credentials anew.
                        self.end = Some(End::Broken(io::Error::new(io::ErrorKind::PermissionDenied, "not let in")));
                    }
                }
                Event::Closed => {
                    let error = io::Error::new(io::ErrorKind::ConnectionAborted, "the client has closed");
                    self.end = Some(End::Broken(error));
                }
                Event::Draining => {}
            }
        }
        is_busy
    }

    /// Takes over what the client knows of its connection: events may be lost, this is not.
    fn watch_connection(&mut self) {
        let both = [&self.listening.client, &self.speaking];
        let is_connected = both.iter().all(|client| client.connection_state() == connection::State::Connected);
        let connects = both.iter().map(|client| client.statistics().connects.load(Ordering::Relaxed));
        let connects = connects.max().unwrap_or_default();
        let Work { metrics, answering, state, served, .. } = &mut *self.work;
        metrics.reconnects.inc_by(connects.saturating_sub(self.connects));
        if is_connected && (!self.is_connected || connects > self.connects) {
            greet(&self.listening.client, answering);
        } else if !is_connected && self.is_connected {
            tracing::warn!("the connection broke");
        }
        self.connects = connects;
        self.is_connected = is_connected;
        metrics.connected.set(is_connected.into());
        // Discovery may be missing.
        let is_whole = self.lacking.iter().all(|(subject, _)| subject.starts_with("$SRV."));
        let is_ready = is_connected && self.ending.is_none() && is_whole;
        metrics.set_ready(is_ready);
        if is_ready {
            served.get_or_insert_with(Instant::now);
        }
        let now = if is_ready { State::Serving } else { State::Connecting };
        state.send_if_modified(|state| mem::replace(state, now.clone()) != now);
    }

    /// Answers for as long as it took to take in what came: more than can be answered may come, and refusing all of it
    /// must not take the time of those that are answered.
    async fn answer(&mut self) -> io::Result<()> {
        let began = Instant::now();
        let stretch = (began - self.rested).min(STRETCH_MAX);
        let mut answered = 0;
        loop {
            let slice_began = Instant::now();
            // Without a connection nothing is answered: what is too old by the time there is one has its deadline.
            if self.is_connected {
                answered += self.answer_slice();
                self.answer_stream();
            }
            let now_ms = self.work.now_ms();
            self.work.answering.commit(now_ms, &mut self.work.outbox);
            self.publish(slice_began).await?;
            if !self.is_connected || self.work.queue.is_empty() || began.elapsed() >= stretch {
                break;
            }
        }
        let now = Instant::now();
        if self.work.queue.is_empty() {
            self.throughput = Throughput::default();
        } else {
            self.throughput.measure(now - self.rested, answered);
        }
        self.rested = now;
        Ok(())
    }

    /// Answers the next messages of the queue, and says how many.
    fn answer_slice(&mut self) -> usize {
        let Work { answering, queue, outbox, way, .. } = &mut *self.work;
        let slice = queue.len().min(SLICE_MESSAGES);
        if slice == 0 {
            return 0;
        }
        let mut clock = Clock::read();
        answering.begin(slice, self.leaving.takes() + way.takes());
        for _ in 0..slice {
            let Some(received) = queue.pop() else { break };
            let done = answering.answer(&received, clock.moment(), outbox);
            clock.advance(done);
        }
        slice
    }

    /// Takes in the next messages of the stream, after the requests that had arrived before them.
    fn answer_stream(&mut self) {
        let Work { answering, queue, streamed, outbox, .. } = &mut *self.work;
        let slice = if queue.is_empty() { STREAM_SLICE_MESSAGES } else { STREAM_SLICE_BUSY_MESSAGES };
        if streamed.is_empty() || answering.is_waiting() {
            return;
        }
        let now = Clock::read().moment();
        for message in streamed.drain(..slice.min(streamed.len())) {
            answering.take_streamed(&message, now, outbox);
        }
    }

    /// Goes towards the end, or to another server, once that is asked for.
    async fn advance(&mut self) -> io::Result<Option<End>> {
        let Some(since) = self.ending else {
            if self.work.is_draining {
                if !self.is_connected {
                    return Err(io::Error::new(io::ErrorKind::NotConnected, "there is no connection"));
                }
                self.ending = Some(Instant::now());
                self.watch_connection();
                in_time(self.listening.end()).await?;
            } else {
                self.go_on_moving().await?;
                while let Some((subject, _)) = self.lacking.pop_if(|(_, since)| since.elapsed() > LISTEN_AGAIN) {
                    self.listening.listen_again(&subject).await?;
                }
            }
            return Ok(None);
        };
        if since.elapsed() > DRAIN_TIMEOUT {
            return Err(not_in_time());
        }
        let has_ended = self.finish_moving().await? & self.listening.has_ended().await?;
        if !has_ended || self.is_behind() {
            return Ok(None);
        }
        if let Some(stream) = &self.work.stream {
            if !stream.is_settled() && since.elapsed() < SETTLE_TIMEOUT {
                return Ok(None);
            }
            self.work.answering.confirm(stream.confirmed_record());
        }
        let now_ms = self.work.now_ms();
        self.work.answering.finish(now_ms, &mut self.work.outbox);
        self.publish(Instant::now()).await?;
        in_time(broker::round_trip(&self.speaking)).await?;
        self.listening.client.drain().await.map_err(io::Error::other)?;
        // The broker has everything; this is only for the sake of a proper farewell.
        let _ = timeout(CLOSE_TIMEOUT, async {
            while self.events.recv().await.is_some_and(|event| event != Event::Closed) {}
        })
        .await;
        Ok(Some(End::Drained))
    }
}

/// Takes in what a server says of itself.
fn greet(client: &Client, answering: &mut Answering) {
    let info = client.server_info();
    answering.limit_payload(client.max_payload());
    tracing::info!(server = format!("{}:{}", info.host, info.port), version = info.version, "connected");
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(DRAIN_TIMEOUT, work).await.unwrap_or_else(|_| Err(not_in_time()))
}

fn not_in_time() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the broker did not take the last answers in time")
}
