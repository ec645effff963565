//! One connection's life: set up, take, publish what came of it, acknowledge. It keeps the order of the stream, and
//! gives up at the first doubt about it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{
    Client, Event, Message, Subscriber, jetstream,
    jetstream::{
        Context,
        consumer::{
            PullConsumer,
            pull::{MessagesError, MessagesErrorKind},
        },
        message::AckKind,
        stream,
    },
    message::OutboundMessage,
};
use futures_util::{FutureExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::{
    Reader, ReadingError,
    recall::{Recall, Recalled, identity},
    setup::{self, SetupError, Start},
};
use crate::{
    durability::position::StreamPosition,
    service::{
        broker::{self, Broker},
        copies::{self, Bookmark},
        link::Streamed,
        metrics::Metrics,
        place::{Place, Sighting},
        subjects::Subjects,
    },
};

/// The name of the connection, as operators see it.
const NAME: &str = "gavel-stream";
/// Messages that are asked for at once.
const BATCH: usize = 256;
/// The broker says this often that it is there; twice without a word ends the connection.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long a request for messages waits.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// How often verdicts are looked at that nobody confirmed.
const TICK: Duration = Duration::from_millis(200);
/// The lag is asked for once in so many ticks.
const LAG_TICKS: u32 = 10;
/// Whether a stream captures requests is asked for once in so many ticks, for one may be made at any time.
const CAPTURE_TICKS: u32 = 50;
/// How long it rests after copies were published from the journal.
const RECALL_REST_MS: i64 = 1_000;
/// Settlements and confirmations taken in before the next look at anything else.
const TOGETHER: usize = 256;

/// What a connection is made of.
struct Line {
    client: Client,
    context: Context,
    events: mpsc::Receiver<Event>,
    confirmations: Subscriber,
    /// What comes back of looking where the stream of verdicts ends.
    bookmarked: (mpsc::Sender<Bookmark>, mpsc::Receiver<Bookmark>),
    /// What publishes again what the stream of verdicts lacks, if there is a journal; as it goes on, and from when on.
    recall: Option<Recall>,
    recalling: Option<(u64, JoinHandle<Result<Recalled, SetupError>>)>,
    recall_from_ms: i64,
    /// The stream that must confirm verdicts; without one it is the broker that has taken them.
    verdicts: Option<String>,
    transactions: stream::Stream,
    /// Whether the stream was seen to have given out fewer numbers than were taken from it.
    has_forgotten: Arc<AtomicBool>,
    /// The same of the stream of verdicts.
    has_lost_verdicts: Arc<AtomicBool>,
    /// The last message that had been taken when the broker was last asked.
    noted: Option<StreamPosition>,
    consumer: PullConsumer,
    messages: jetstream::consumer::pull::Stream,
    /// The number that the next message has for this consumer.
    next_delivery: u64,
    /// What is to be handed over next.
    next: Option<(StreamPosition, Message)>,
}

impl Reader {
    /// Reads over one connection until something is wrong.
    pub(super) async fn read(&mut self) -> Result<(), ReadingError> {
        let Broker { client, mut events } = broker::connect(&self.nats, NAME).await?;
        let metrics = self.metrics.clone();
        let line = {
            let set_up = self.set_up(client);
            let mut set_up = std::pin::pin!(set_up);
            loop {
                tokio::select! {
                    biased;
                    event = events.recv() => { trouble(event.as_ref(), &metrics)?; }
                    line = &mut set_up => break line,
                }
            }
        };
        // What is not permitted shows as silence first.
        let silence = match line {
            Ok(line) => return self.work(Line { events, ..line }).await,
            Err(error) => error,
        };
        while let Some(event) = events.recv().now_or_never() {
            trouble(event.as_ref(), &metrics)?;
        }
        Err(silence)
    }

    async fn set_up(&mut self, client: Client) -> Result<Line, ReadingError> {
        let broken = |error: &dyn std::fmt::Display| ReadingError::Broken(error.to_string());
        setup::recent(&client)?;
        let confirmations = client.subscribe(format!("{}.*", self.inbox)).await.map_err(|error| broken(&error))?;
        let context = jetstream::new(client.clone());
        // Whoever asks has to know of it, whether there is a stream to read or not.
        tell_captured(&context, &self.subjects, &self.metrics).await?;
        let (transactions, verdicts) = setup::streams(&context, &self.config, &self.subjects).await?;
        if self.ledger.is_doubtful(self.now_ms()) {
            if let (Some(verdicts), Some(oldest)) = (&verdicts, self.ledger.oldest()) {
                let (stored, unconfirmed) = (setup::stored_since(verdicts, oldest.stored_ms).await?, self.ledger.len());
                let found = self.ledger.look_up(|message| identity(message).is_some_and(|id| stored.contains(id)));
                tracing::info!(unconfirmed, stored = found, "looked up verdicts of before");
            } else {
                self.ledger.look_up(|_| false);
            }
        }
        let recall = match (&verdicts, &self.dir) {
            (Some(verdicts), Some(dir)) => {
                let (dir, subjects, verdicts) = (dir.clone(), self.subjects.clone(), verdicts.clone());
                Some(Recall { context: context.clone(), verdicts, dir, subjects })
            }
            _ => None,
        };
        if let Some(recall) = &recall {
            self.recall_forgotten(recall).await?;
        }
        let start = setup::start(&transactions, &self.config, &mut self.place, self.ledger.oldest()).await?;
        let Start { policy, has_forgotten, lost } = start;
        if has_forgotten {
            self.metrics.stream.forgotten.inc();
        }
        if lost > 0 {
            self.metrics.stream.lost.inc_by(lost);
            tracing::error!(lost, "messages had left the stream before they were read");
        }
        let consumer = setup::consumer(&transactions, &self.config, policy).await?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(BATCH)
            .heartbeat(HEARTBEAT)
            .expires(PULL_EXPIRES)
            .messages()
            .await
            .map_err(|error| broken(&error))?;
        self.ledger.reconnect();
        // It comes before any message does.
        self.stamp(true).await?;
        tracing::info!(
            stream = transactions.cached_info().config.name,
            after = self.place.known(),
            "the stream is read"
        );
        let verdicts = verdicts.map(|verdicts| verdicts.cached_info().config.name.clone());
        let (_, events) = mpsc::channel(1);
        Ok(Line {
            client,
            context,
            events,
            confirmations,
            bookmarked: mpsc::channel(1),
            recalling: None,
            recall_from_ms: 0,
            recall,
            verdicts,
            transactions,
            has_forgotten: Arc::default(),
            has_lost_verdicts: Arc::default(),
            noted: None,
            consumer,
            messages,
            next_delivery: 1,
            next: None,
        })
    }

    async fn work(&mut self, mut line: Line) -> Result<(), ReadingError> {
        (self.has_read, self.reading_since) = (true, Some(Instant::now()));
        self.metrics.stream.reading.set(1);
        self.metrics.stream.set_awaited(false);
        let mut ticker = interval(TICK);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = 0;
        let outlet = self.link.outlet.clone();
        loop {
            self.publish(&line).await?;
            self.acknowledge(&line).await?;
            let has_room = self.ledger.len() < setup::IN_FLIGHT_MAX;
            tokio::select! {
                biased;
                event = line.events.recv() => trouble(event.as_ref(), &self.metrics)?,
                settled = self.link.settled.recv() => {
                    let mut settled = Some(settled.ok_or(ReadingError::Ended)?);
                    for _ in 0..TOGETHER {
                        let Some(one) = settled.take() else { break };
                        if let Some(notice) = self.ledger.settle(one) {
                            send(&line.client, notice).await?;
                        }
                        settled = self.link.settled.try_recv().ok();
                    }
                    // One that is too much for this turn is not to be lost.
                    if let Some(one) = settled && let Some(notice) = self.ledger.settle(one) {
                        send(&line.client, notice).await?;
                    }
                }
                confirmation = line.confirmations.next() => {
                    let mut confirmation = confirmation;
                    while let Some(message) = confirmation {
                        self.confirm(&line, &message)?;
                        confirmation = line.confirmations.next().now_or_never().flatten();
                    }
                }
                slice = self.link.slices.recv() => {
                    let slice = slice.ok_or(ReadingError::Ended)?;
                    let now_ms = self.now_ms();
                    self.bookmarks.begin(slice.from);
                    self.slice_ends = [self.slice_ends[1], slice.last];
                    self.copies.add(slice, now_ms);
                }
                bookmark = line.bookmarked.1.recv() => self.bookmarks.extend(bookmark),
                permit = outlet.reserve(), if line.next.is_some() => {
                    let Ok(permit) = permit else { return Err(ReadingError::Ended) };
                    if let Some((origin, message)) = line.next.take() {
                        let token = self.ledger.take(origin, message.reply.clone());
                        self.place.take(origin);
                        permit.send(Streamed { token, origin, message });
                    }
                }
                message = line.messages.next(), if line.next.is_none() && has_room => {
                    let message = message.ok_or_else(|| ReadingError::Broken("the consumer is gone".into()))?;
                    let message = message.map_err(|error| self.broke_off(&error))?;
                    self.take(&mut line, message)?;
                }
                _ = ticker.tick() => {
                    ticks += 1;
                    if ticks % LAG_TICKS == 0 {
                        self.ask(&mut line);
                    }
                    if ticks % CAPTURE_TICKS == 0 {
                        let (context, subjects) = (line.context.clone(), self.subjects.clone());
                        let metrics = self.metrics.clone();
                        // One that cannot be told now is told the next time.
                        tokio::spawn(async move { tell_captured(&context, &subjects, &metrics).await });
                    }
                    self.recall_overdue(&mut line).await;
                    if self.ledger.is_doubtful(self.now_ms()) {
                        return Err(ReadingError::Broken("verdicts were not confirmed for long".into()));
                    }
                    if line.has_forgotten.load(Ordering::Relaxed) {
                        self.place.doubt();
                    }
                    if line.has_forgotten.load(Ordering::Relaxed) || line.has_lost_verdicts.load(Ordering::Relaxed) {
                        return Err(ReadingError::Broken("a stream has forgotten what it had".into()));
                    }
                }
            }
            self.metrics.stream.in_flight.set(i64::try_from(self.ledger.len()).unwrap_or(i64::MAX));
        }
    }

    fn broke_off(&self, error: &MessagesError) -> ReadingError {
        ReadingError::Broken(match error.kind() {
            MessagesErrorKind::ConsumerDeleted => format!(
                "the consumer {} was deleted: does another service read with it? Give each its own with [stream] consumer",
                self.config.consumer
            ),
            _ => error.to_string(),
        })
    }

    /// Notes a message that is to be handed over. One that comes again is only to be acknowledged elsewhere.
    fn take(&mut self, line: &mut Line, message: jetstream::Message) -> Result<(), ReadingError> {
        let info = message.info().map_err(|error| ReadingError::Broken(error.to_string()))?;
        if info.consumer_sequence != line.next_delivery {
            let message = format!("delivery {} came, expected {}", info.consumer_sequence, line.next_delivery);
            return Err(ReadingError::Broken(message));
        }
        line.next_delivery += 1;
        self.metrics.stream.pending.set(i64::try_from(info.pending).unwrap_or(i64::MAX));
        let origin = StreamPosition { sequence: info.stream_sequence, stored_ms: setup::unix_ms(info.published) };
        match self.place.look(origin, self.ledger.held(origin), info.delivered > 1) {
            Sighting::New => {
                self.place.note(origin);
                line.next = Some((origin, message.message));
            }
            Sighting::Known => self.ledger.renew(origin, message.reply.clone()),
            Sighting::Foreign => {
                let message = format!("message {} is not the one that was taken under that number", origin.sequence);
                return Err(ReadingError::Broken(message));
            }
        }
        Ok(())
    }

    /// Publishes verdicts, each so that its storing is confirmed.
    async fn publish(&mut self, line: &Line) -> Result<(), ReadingError> {
        let now_ms = self.now_ms();
        let mut last = None;
        for (token, mut message) in self.ledger.publish(now_ms) {
            if line.verdicts.is_some() {
                message.reply = Some(format!("{}.{token}", self.inbox).into());
            }
            last = Some(token);
            send(&line.client, message).await?;
        }
        // A broker takes what comes over a connection in its order, so the last word back stands for all before it.
        if let (Some(token), None) = (last, &line.verdicts) {
            let subject = format!("{}.all-{token}", self.inbox).into();
            let echo = OutboundMessage { subject, reply: None, payload: Vec::new().into(), headers: None };
            send(&line.client, echo).await?;
        }
        Ok(())
    }

    fn confirm(&mut self, line: &Line, message: &Message) -> Result<(), ReadingError> {
        let suffix = message.subject.rsplit('.').next().unwrap_or_default();
        if line.verdicts.is_none()
            && let Some(token) = suffix.strip_prefix("all-").and_then(|token| token.parse().ok())
        {
            self.ledger.confirm_all(token);
            return Ok(());
        }
        let stored = stored(message, line.verdicts.as_deref());
        if let Ok(Some(number)) = stored
            && !self.bookmarks.is_onward(number)
        {
            return Err(self.forgets_verdicts());
        }
        if let Some(slice) = copies::number_of(suffix) {
            // What is not stored is missing when its slice is due.
            if stored.is_ok() {
                self.copies.confirm(slice);
            }
            return Ok(());
        }
        let Ok(token) = suffix.parse() else { return Ok(()) };
        match stored {
            Ok(_) => self.ledger.confirm(token),
            Err(reason) => {
                self.metrics.stream.publish_failures.inc();
                tracing::error!(reason, "a verdict was not stored; it is tried again");
                let now_ms = self.now_ms();
                self.ledger.fail(token, now_ms);
            }
        }
        Ok(())
    }

    fn forgets_verdicts(&mut self) -> ReadingError {
        self.bookmarks.doubt();
        ReadingError::Broken("the stream of verdicts has forgotten what it had".into())
    }

    async fn acknowledge(&mut self, line: &Line) -> Result<(), ReadingError> {
        let done = self.ledger.advance();
        for acknowledgement in done.acknowledgements {
            let kind = if acknowledgement.is_term { AckKind::Term } else { AckKind::Ack };
            let (subject, payload) = (acknowledgement.subject, kind.into());
            send(&line.client, OutboundMessage { subject, reply: None, payload, headers: None }).await?;
        }
        self.done_record = self.done_record.max(done.record);
        self.link.progress(done.record, done.settled);
        Ok(())
    }

    /// Publishes again what the stream of verdicts had and has no more, and what it may have got meanwhile or not.
    async fn recall_forgotten(&mut self, recall: &Recall) -> Result<(), SetupError> {
        if recall.last_number().await? < self.bookmarks.highest() {
            self.bookmarks.doubt();
        }
        while let Some(newest) = self.bookmarks.newest()
            && !recall.holds(newest).await?
        {
            self.bookmarks.drop_newest();
        }
        // What this process has published before the connection broke may have been stored and forgotten since.
        let up_to = if self.has_read { u64::MAX } else { self.slice_ends[0] };
        // Of what this process has seen nothing is there, or it has seen nothing yet: then what an earlier one knew to be
        // stored may be gone.
        if self.bookmarks.newest().is_none()
            && let Some(published) = &self.published
            && let Some(recalled) = recall.since(published, up_to).await?
        {
            self.tell_forgotten(recalled);
        }
        let Some(gap) = self.bookmarks.gap() else { return Ok(()) };
        let recalled = recall.gap(gap, up_to).await?;
        self.copies.recalled(recalled.last);
        if self.bookmarks.mend() {
            self.tell_forgotten(recalled);
        } else {
            self.tell_recalled(recalled);
        }
        Ok(())
    }

    fn tell_forgotten(&self, recalled: Recalled) {
        self.metrics.stream.verdicts_forgotten.inc();
        tracing::error!(published = recalled.published, "the stream of verdicts has forgotten what it had stored");
        self.tell_recalled(recalled);
    }

    fn tell_recalled(&self, Recalled { published, last }: Recalled) {
        self.metrics.stream.recalled.inc_by(published);
        if published > 0 {
            tracing::warn!(published, record = last, "verdicts that were not stored are published from the journal");
        }
    }

    /// Publishes copies from the journal that should be confirmed by now, beside the reading.
    async fn recall_overdue(&mut self, line: &mut Line) {
        let now_ms = self.now_ms();
        if let Some((last, recalling)) = line.recalling.take_if(|(_, recalling)| recalling.is_finished()) {
            match recalling.await {
                Ok(Ok(recalled)) => {
                    // What is not in the journal by now was dropped, or waits for a disk that fails.
                    let is_written = self.metrics.journal_failing.get() == 0;
                    self.copies.recalled(recalled.last.max(if is_written { last } else { 0 }));
                    self.tell_recalled(recalled);
                }
                Ok(Err(error)) => tracing::warn!(%error, "copies of verdicts are not stored; it is tried again"),
                Err(error) => tracing::error!(%error, "copies of verdicts are not stored; it is tried again"),
            }
            line.recall_from_ms = now_ms + RECALL_REST_MS;
        }
        if line.recalling.is_none()
            && now_ms >= line.recall_from_ms
            && let (Some(recall), Some(slice)) = (line.recall.clone(), self.copies.overdue(now_ms))
        {
            let up_to = self.slice_ends[0].max(slice.last);
            line.recalling = Some((slice.last, tokio::spawn(async move { recall.gap(slice.from, up_to).await })));
        }
    }

    /// Asks how much is left, and whether the stream still has what it gave out, beside the reading: an answer may take
    /// long.
    fn ask(&mut self, line: &mut Line) {
        let (consumer, transactions, metrics) =
            (line.consumer.clone(), line.transactions.clone(), self.metrics.clone());
        // What is taken from now on the stream has given out by the time it answers.
        let (known, has_forgotten) = (self.place.known(), line.has_forgotten.clone());
        let noted = std::mem::replace(&mut line.noted, self.place.taken());
        let has_lost_verdicts = line.has_lost_verdicts.clone();
        let done_record = (!self.ledger.is_empty()).then_some(self.done_record);
        let assured = self.copies.assured(done_record);
        let (newest, gap) = (self.bookmarks.newest().cloned(), self.bookmarks.gap());
        let (highest, up_to) = (self.bookmarks.highest(), self.slice_ends[0]);
        let verdicts = line.recall.clone().map(|recall| (recall, newest, gap, assured));
        let bookmarked = line.bookmarked.0.clone();
        let ask = async move {
            if let Ok(info) = consumer.get_info().await {
                set_pending(&metrics, info.num_pending);
            }
            if let Ok(info) = transactions.get_info().await
                && Place::has_lost(known, info.state.last_sequence)
            {
                has_forgotten.store(true, Ordering::Relaxed);
            }
            // Its number may have been given out again before anybody asked.
            if let Some(noted) = noted
                && let Ok(message) = transactions.get_raw_message(noted.sequence).await
                && setup::unix_ms(message.time) != noted.stored_ms
            {
                has_forgotten.store(true, Ordering::Relaxed);
            }
            let Some((recall, newest, gap, assured)) = verdicts else { return };
            let has_lost = match (newest, gap) {
                (Some(newest), _) => matches!(recall.holds(&newest).await, Ok(false) | Err(SetupError::Mismatch(_))),
                // Of the moment before the first bookmark only the journal tells.
                (None, Some(gap)) => match recall.gap(gap, up_to).await {
                    Ok(recalled) => {
                        metrics.stream.recalled.inc_by(recalled.published);
                        false
                    }
                    Err(_) => return,
                },
                (None, None) => false,
            };
            let last = recall.last_number().await;
            if has_lost || last.as_ref().is_ok_and(|last| *last < highest) {
                has_lost_verdicts.store(true, Ordering::Relaxed);
            } else if let (Some(from), Ok(last)) = (assured, last)
                && let Some(bookmark) = recall.bookmark(last, from).await
            {
                // One that is not taken is followed by another.
                let _ = bookmarked.try_send(bookmark);
            }
        };
        tokio::spawn(ask);
    }
}

/// Tells of streams that capture what is sent to the service, once for as long as they do.
async fn tell_captured(context: &Context, subjects: &Subjects, metrics: &Metrics) -> Result<(), SetupError> {
    let captured = setup::captured_requests(context, subjects).await?;
    let was_captured = metrics.stream.captures_requests.get() == 1;
    metrics.stream.captures_requests.set((!captured.is_empty()).into());
    if !captured.is_empty() && !was_captured {
        let captured = captured.join(", ");
        tracing::error!(captured, "a stream captures requests: who asks there gets its word instead of a verdict");
    }
    Ok(())
}

fn set_pending(metrics: &Metrics, pending: u64) {
    metrics.stream.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
}

async fn send(client: &Client, message: OutboundMessage) -> Result<(), ReadingError> {
    use async_nats::client::traits::Publisher as _;
    client.publish_message(message).await.map_err(|error| ReadingError::Broken(error.to_string()))
}

/// What a stream says of a message that it was given.
#[derive(Deserialize)]
struct Confirmation {
    stream: Option<String>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<Complaint>,
}

#[derive(Deserialize)]
struct Complaint {
    description: String,
}

/// Whether the stream has stored a message: under which number, unless it had it already.
fn stored(message: &Message, expected: Option<&str>) -> Result<Option<u64>, String> {
    if message.status.is_some() {
        return Err("no stream takes verdicts now".into());
    }
    let said: Confirmation = serde_json::from_slice(&message.payload).map_err(|error| error.to_string())?;
    match said {
        Confirmation { error: Some(complaint), .. } => Err(complaint.description),
        Confirmation { stream, seq, duplicate, .. } if stream.as_deref() == expected => Ok((!duplicate).then_some(seq)),
        Confirmation { stream, .. } => {
            Err(format!("stream {} took it, expected {}", stream.unwrap_or_default(), expected.unwrap_or("none")))
        }
    }
}

/// What ends reading, of all that can happen to a connection.
fn trouble(event: Option<&Event>, metrics: &Metrics) -> Result<(), ReadingError> {
    let broken = |text: &str| Err(ReadingError::Broken(text.to_owned()));
    match event {
        None | Some(Event::Closed) => broken("the client has closed"),
        Some(Event::Disconnected) => broken("the connection broke"),
        Some(Event::LameDuckMode) => broken("the broker is about to stop"),
        Some(Event::SlowConsumer(_)) => broken("messages were not taken fast enough"),
        Some(Event::ServerError(error)) => {
            metrics.complaints.inc();
            let complaint = error.to_string();
            if complaint.to_ascii_lowercase().contains("permissions violation") {
                return Err(ReadingError::Forbidden(complaint));
            }
            Err(ReadingError::Broken(complaint))
        }
        Some(Event::ClientError(error)) => Err(ReadingError::Broken(error.to_string())),
        Some(Event::Connected | Event::Draining) => Ok(()),
    }
}
