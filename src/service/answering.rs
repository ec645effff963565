//! From a message to its answer and the verdict's copy: the scoring core with what one delivery adds to it. It reads no
//! subscription; what it says goes to an outbox.

mod streamed;
mod batched;
mod refill;
mod succession;

use std::{
    sync::{Arc, mpsc::Sender},
    time::Instant,
};

use async_nats::{HeaderMap, HeaderName, HeaderValue, Message, message::OutboundMessage};
use bytes::Bytes;

use super::{
    copies::Slicer,
    discovery::Discovery,
    handover::{Ask, Latest, Notice, Swapped},
    keeper::Keeper,
    metrics::{Metrics, Stage, Tally},
    outbox::{Outbox, header_text},
    pace::Pace,
    quality::Notebook,
    queue::Received,
    subjects::{Kind, Subjects},
    timetext::TimeText,
};
pub use streamed::verdicts_after;

use crate::scoring::{
    refusal::{Refusal, RefusalClass},
    release::Release,
    scorer::{Input, Output, Scorer},
    time::{Span, Timestamp},
    transaction::{ListChange, Transaction},
    verdict::{Decision, Tier},
    wire::{Route, decode_label, decode_list_change, decode_outcome, decode_reload, decode_transaction},
};

/// One request in this many has its stages measured: each reading of the clock costs a hundredth of the work.
const STAGES_EVERY: u64 = 8;
/// The header with the latest moment at which an answer is still of use, in Unix milliseconds.
const DEADLINE: HeaderName = HeaderName::from_static("Fraud-Deadline");
/// The header with the time from a message's arrival to its answer.
const LATENCY: HeaderName = HeaderName::from_static("Fraud-Latency-Us");
/// How much of a server's largest payload headers may take.
const HEADERS_RESERVE_BYTES: usize = 1024;

/// The time as both clocks tell it.
#[derive(Clone, Copy)]
pub struct Moment {
    /// For durations.
    pub instant: Instant,
    /// For deadlines, and for times that are too far ahead.
    pub unix_ms: i64,
}

impl Moment {
    /// The same clocks later on.
    fn at(self, instant: Instant) -> Self {
        let passed_ms = i64::try_from((instant - self.instant).as_millis()).unwrap_or(i64::MAX);
        Self { instant, unix_ms: self.unix_ms.saturating_add(passed_ms) }
    }
}

/// The scoring thread's work, message by message in their order.
pub struct Answering {
    scorer: Scorer,
    keeper: Keeper,
    subjects: Subjects,
    skew_ms: i64,
    metrics: Arc<Metrics>,
    tally: Tally,
    discovery: Discovery,
    voice: Voice,
    pace: Pace,
    /// How many answers leave together.
    together: usize,
    leaving: std::time::Duration,
    answered: u64,
    payload_max_bytes: usize,
    latest: Latest,
    /// How often a release has taken over.
    releases: u64,
    notices: Sender<Notice>,
    handover: succession::Handover,
    /// Whether verdicts carry the identity by which a stream stores each once.
    is_identifying: bool,
    /// What has the copies of verdicts on requests confirmed, if anything.
    slicer: Option<Slicer>,
    notebook: Notebook,
}

/// What answers are written with, used again and again.
#[derive(Default)]
struct Voice {
    body: Vec<u8>,
    time: TimeText,
}

/// What a transaction got.
struct Answer {
    body: Bytes,
    is_repeated: bool,
    /// The copy of a new verdict, for whoever listens.
    copy: Option<OutboundMessage>,
}

impl Answering {
    /// The work of a service that names itself by `discovery`, keeps the latest transactions, and hands on who asks for
    /// a reload.
    pub fn new(
        scorer: Scorer,
        keeper: Keeper,
        subjects: Subjects,
        skew_ms: i64,
        metrics: Arc<Metrics>,
        discovery: Discovery,
        (latest, notices, notebook): (Latest, Sender<Notice>, Notebook),
    ) -> Self {
        metrics.set_release(&scorer.release().versions);
        let tally = Tally::new(&metrics);
        let voice = Voice::default();
        let payload_max_bytes = 1024 * 1024;
        Self {
            scorer,
            keeper,
            subjects,
            skew_ms,
            metrics,
            tally,
            discovery,
            voice,
            pace: Pace::default(),
            together: 1,
            leaving: std::time::Duration::ZERO,
            answered: 0,
            payload_max_bytes,
            latest,
            releases: 0,
            notices,
            handover: succession::Handover::default(),
            is_identifying: false,
            slicer: None,
            notebook,
        }
    }

    /// The subjects that are listened to.
    pub fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// How requests for discovery are answered.
    pub fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    /// Takes a server's limit on what it accepts.
    pub fn limit_payload(&mut self, max_bytes: usize) {
        self.payload_max_bytes = max_bytes;
    }

    /// Writes what was answered to the journal; answers that are not in it leave the outbox until they are.
    pub fn commit(&mut self, now_ms: i64, out: &mut Outbox) {
        self.keeper.commit(self.scorer.release(), now_ms, out);
    }

    /// Makes what was answered outlive a power cut. What cannot be written any more is refused after all.
    pub fn finish(&mut self, now_ms: i64, out: &mut Outbox) {
        let subjects = &self.subjects;
        self.keeper.finish(self.scorer.release(), now_ms, out, |refusal, message| {
            if subjects.is_verdict(&message.subject) {
                return false;
            }
            let (headers, body) = refused(refusal, std::time::Duration::ZERO);
            (message.headers, message.payload) = (Some(headers), body.into());
            true
        });
    }

    /// Another release takes over, between two messages.
    pub fn reload(&mut self, release: Box<Release>) -> Swapped {
        let start = Instant::now();
        self.scorer.apply(Input::Reload(release));
        let took = start.elapsed();
        self.releases += 1;
        self.keeper.release(self.scorer.release());
        self.notebook.release(self.scorer.release());
        self.metrics.set_release(&self.scorer.release().versions);
        self.tally.applied(&self.metrics, "release");
        Swapped { retired: self.scorer.take_retired(), took, release: self.releases }
    }

    /// Every change to lists that is in force.
    pub fn list_changes(&self) -> Vec<ListChange<'static>> {
        self.scorer.release().lists.changes().into_iter().map(ListChange::into_owned).collect()
    }

    /// Hands over the latest transactions, and goes on with others.
    pub fn lend(&mut self, latest: Latest) -> Latest {
        std::mem::replace(&mut self.latest, latest)
    }

    /// Looks after the journal. To be called ten times a second.
    pub fn tick(&mut self, now_ms: i64, out: &mut Outbox) {
        self.keeper.tick(self.scorer.release(), now_ms, out);
    }

    /// Says how many answers are about to leave together, for the first waits for the last, and how long it takes from
    /// there until they are where they are waited for.
    pub fn begin(&mut self, together: usize, leaving: std::time::Duration) {
        (self.together, self.leaving) = (together.max(1), leaving);
    }

    /// Hands the counts over.
    pub fn flush(&mut self, queue_depth: usize, unsent: u64) {
        self.notebook.hand_over();
        self.tally.flush(&self.metrics, &self.scorer, queue_depth, unsent);
    }

    /// Answers a message, and says when it was done.
    pub fn answer(&mut self, received: &Received, now: Moment, out: &mut Outbox) -> Instant {
        let Received { kind, message: request, arrived, deadline_ms } = received;
        let (kind, arrived, deadline_ms) = (*kind, *arrived, *deadline_ms);
        if kind != Kind::Discovery && self.is_answered(request) {
            return now.instant;
        }
        self.tally.message(kind);
        if kind == Kind::Discovery {
            self.discovery.answer(request, out);
            return now.instant;
        }
        if deadline_ms.is_some_and(|deadline_ms| now.unix_ms > deadline_ms) {
            self.refuse(kind, request, &past_deadline(), now.instant - arrived, out);
            return now.instant;
        }
        if let Some(refusal) = self.keeper.refusal() {
            self.refuse(kind, request, &refusal, now.instant - arrived, out);
            return now.instant;
        }
        let outcome = match kind {
            Kind::Score => self.score(received, now, out),
            Kind::Batch => self.batch(received, now, out),
            Kind::Outcome | Kind::Label | Kind::List => self.take_in(received, now, out),
            Kind::Reload => self.ask(request, now),
            Kind::Discovery => Ok(now.instant),
        };
        match outcome {
            Ok(done) => {
                self.discovery.count(kind, done - now.instant);
                done
            }
            Err(refusal) => {
                let done = Instant::now();
                self.refuse(kind, request, &refusal, done - arrived, out);
                done
            }
        }
    }

    /// Refuses a message whose answer may not go where it is asked for, without looking at it and without an answer.
    pub fn ignore(&mut self, kind: Kind) {
        let message = "the reply subject is one of this service or of the broker";
        let refusal = Refusal::of(RefusalClass::BadInput, "invalid_reply", message);
        self.tally.message(kind);
        self.tally.refusal(&self.metrics, &refusal);
        self.discovery.count_refusal(kind, &refusal);
    }

    /// Refuses a message that there is no room for, without looking at it.
    pub fn shed(&mut self, kind: Kind, request: &Message, out: &mut Outbox) {
        match kind {
            Kind::Discovery => self.discovery.answer(request, out),
            _ if self.is_answered(request) => {}
            kind => {
                self.tally.message(kind);
                let refusal =
                    Refusal::of(RefusalClass::Overloaded, "overloaded", "the queue is full, send it again later");
                let before = out.len();
                self.refuse(kind, request, &refusal, std::time::Duration::ZERO, out);
                out.put_off(before);
            }
        }
    }

    /// Refuses a message that would wait for longer than its deadline allows. Whether it did.
    pub fn shed_late(&mut self, received: &Received, now: Moment, wait: std::time::Duration, out: &mut Outbox) -> bool {
        let Received { kind, message: request, .. } = received;
        let kind = *kind;
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let Some(deadline_ms) = received.deadline_ms.filter(|_| kind != Kind::Discovery) else { return false };
        if now.unix_ms.saturating_add(wait_ms) <= deadline_ms || self.is_answered(request) {
            return false;
        }
        self.tally.message(kind);
        let refusal = if now.unix_ms > deadline_ms { past_deadline() } else { no_time() };
        let before = out.len();
        self.refuse(kind, request, &refusal, std::time::Duration::ZERO, out);
        out.put_off(before);
        true
    }

    fn score(&mut self, received: &Received, now: Moment, out: &mut Outbox) -> Result<Instant, Refusal> {
        let Received { message: request, arrived, deadline_ms, .. } = received;
        let arrived = *arrived;
        let route = self.subjects.route(Kind::Score, request.subject.as_bytes())?;
        let tier = self.tier(*deadline_ms, now, 0)?;
        let is_measured = self.answered.is_multiple_of(STAGES_EVERY) || self.pace.is_tried(tier);
        self.answered += 1;
        let (answer, decoded) = self.transaction(&request.payload, route, (tier, is_measured), now, out)?;
        let done = Instant::now();
        reply(received, answer.body, answer.is_repeated, done - arrived, out);
        self.tally.latency(done - arrived);
        if is_measured {
            self.pace.measure(tier, done - now.instant);
            self.tally.stage(Stage::Queue, now.instant - arrived);
            self.tally.stage(Stage::Decode, decoded - now.instant);
            self.tally.stage(Stage::Score, done - decoded);
            self.tally.stage(Stage::Encode, done.elapsed());
        }
        Ok(done)
    }

    /// What a transaction is answered; the copy of a new verdict goes out. Where it is measured, also when it was decoded.
    fn transaction(
        &mut self,
        payload: &[u8],
        route: Route<'_>,
        (tier, is_measured): (Tier, bool),
        now: Moment,
        out: &mut Outbox,
    ) -> Result<(Answer, Instant), Refusal> {
        let Self {
            scorer, keeper, voice, tally, metrics, subjects, skew_ms, latest, releases, notebook, slicer, ..
        } = self;
        let is_identifying = self.is_identifying;
        let mut core = Core { scorer, keeper, subjects, metrics, tally, notebook, skew_ms: *skew_ms, is_identifying };
        let transaction = core.decode(payload, route, now)?;
        let decoded = if is_measured { Instant::now() } else { now.instant };
        let mut answer = core.apply(&transaction, tier, voice)?;
        out.append_one(stamped(answer.copy.take(), slicer));
        if !answer.is_repeated {
            latest.keep(payload, route.processor, *releases, core.scorer);
        }
        Ok((answer, decoded))
    }

    /// The fullest tier that the time left has room for, with so many answers in the message beside its own.
    fn tier(&mut self, deadline_ms: Option<i64>, now: Moment, beside: usize) -> Result<Tier, Refusal> {
        let Some(deadline_ms) = deadline_ms else { return Ok(Tier::Full) };
        let left = self.left(deadline_ms, now);
        self.pace.tier(left, self.together + beside).ok_or_else(no_time)
    }

    /// What is left of the time for answering, where an answer must be there by a deadline.
    fn left(&self, deadline_ms: i64, now: Moment) -> std::time::Duration {
        // The deadline's own millisecond still counts.
        let left_ms = deadline_ms.saturating_sub(now.unix_ms).saturating_add(1);
        std::time::Duration::from_millis(u64::try_from(left_ms).unwrap_or_default()).saturating_sub(self.leaving)
    }

    /// Takes in an outcome, a label or a list change.
    fn take_in(&mut self, received: &Received, now: Moment, out: &mut Outbox) -> Result<Instant, Refusal> {
        let Received { kind, message: request, arrived, .. } = received;
        let kind = *kind;
        let subject = request.subject.as_bytes();
        match kind {
            Kind::Outcome => {
                let outcome = decode_outcome(&request.payload, self.subjects.route(kind, subject)?)?;
                not_ahead(outcome.time, self.skew_ms, now)?;
                applied(self.scorer.apply(Input::Outcome(&outcome)))?;
                self.keeper.outcome(&outcome);
            }
            Kind::Label => {
                let label = decode_label(&request.payload, self.subjects.route(kind, subject)?)?;
                not_ahead(label.time, self.skew_ms, now)?;
                // Live quality remembers for longer than answers do.
                self.notebook.label(&label);
                applied(self.scorer.apply(Input::Label(&label)))?;
                self.keeper.label(&label);
            }
            _ => {
                let change = decode_list_change(&request.payload, self.subjects.list(subject))?;
                applied(self.scorer.apply(Input::ListChange(&change)))?;
                self.keeper.list_change(&change);
                // A service that follows no files has nobody who listens.
                let _ = self.notices.send(Notice::Listed(change.into_owned()));
            }
        }
        self.tally.applied(&self.metrics, kind.name());
        let done = Instant::now();
        reply(received, Bytes::from_static(b"{}"), false, done - *arrived, out);
        Ok(done)
    }

    /// Hands on who asks for a reload; the answer comes once it is done.
    fn ask(&mut self, request: &Message, now: Moment) -> Result<Instant, Refusal> {
        let force = decode_reload(&request.payload)?;
        let ask = Ask { force, reply: request.reply.clone() };
        self.notices.send(Notice::Ask(ask)).map(|()| now.instant).map_err(|_| {
            let message = "this service does not follow its files, so it reloads nothing";
            Refusal::of(RefusalClass::BadInput, "no_reload", message)
        })
    }

    /// Counts a refusal, and answers with it where an answer is asked for.
    fn refuse(
        &mut self,
        kind: Kind,
        request: &Message,
        refusal: &Refusal,
        took: std::time::Duration,
        out: &mut Outbox,
    ) {
        self.tally.refusal(&self.metrics, refusal);
        self.discovery.count_refusal(kind, refusal);
        let Some(reply) = &request.reply else { return };
        let (headers, body) = refused(refusal, took);
        out.publish(reply.clone(), headers, body.into());
    }
}

fn past_deadline() -> Refusal {
    let message = "the deadline had passed before it was looked at";
    Refusal::of(RefusalClass::PastDeadline, "past_deadline", message)
}

fn no_time() -> Refusal {
    let message = "the time to the deadline is too short for any answer, send it again later";
    Refusal::of(RefusalClass::Overloaded, "no_time", message)
}

/// The answer that is a refusal.
fn refused(refusal: &Refusal, took: std::time::Duration) -> (HeaderMap, Vec<u8>) {
    let mut body = Vec::new();
    refusal.encode(&mut body);
    let mut headers = HeaderMap::new();
    error_headers(refusal, &mut headers);
    headers.insert(LATENCY, HeaderValue::from(microseconds(took)));
    (headers, body)
}

fn error_headers(refusal: &Refusal, headers: &mut HeaderMap) {
    let code = HeaderValue::from(refusal.class.status());
    headers.insert(const { HeaderName::from_static("Nats-Service-Error-Code") }, code);
    headers.insert(const { HeaderName::from_static("Nats-Service-Error") }, header_text(&refusal.message));
}

fn applied(output: Output<'_>) -> Result<(), Refusal> {
    if let Output::Refused(refusal) = output { Err(refusal) } else { Ok(()) }
}

/// What it takes to answer one transaction, borrowed from the work.
struct Core<'w> {
    scorer: &'w mut Scorer,
    keeper: &'w mut Keeper,
    subjects: &'w Subjects,
    metrics: &'w Metrics,
    tally: &'w mut Tally,
    notebook: &'w mut Notebook,
    skew_ms: i64,
    is_identifying: bool,
}

impl Core<'_> {
    fn decode<'m>(&self, payload: &'m [u8], route: Route<'m>, now: Moment) -> Result<Transaction<'m>, Refusal> {
        let transaction = decode_transaction(payload, route, &self.scorer.release().settings.schema)?;
        not_ahead(transaction.time, self.skew_ms, now)?;
        Ok(transaction)
    }

    /// The answer of the core, with the copy of a new verdict.
    fn apply(&mut self, transaction: &Transaction<'_>, tier: Tier, voice: &mut Voice) -> Result<Answer, Refusal> {
        match self.scorer.apply(Input::Transaction { transaction, tier }) {
            Output::Verdict { body, verdict } => {
                self.tally.verdict(self.metrics, verdict, transaction.unknown_fields);
                let body = Bytes::copy_from_slice(body);
                let decided = (verdict.tier, verdict.decision);
                let copy = (body.clone(), self.is_identifying);
                let copy = copy_of(self.subjects, transaction, verdict.decision, copy, voice);
                self.keeper.transaction(transaction, decided, &body, self.scorer);
                self.notebook.judged(self.scorer, transaction, tier);
                Ok(Answer { body, is_repeated: false, copy: Some(copy) })
            }
            Output::Duplicate { body } => {
                self.tally.duplicate();
                Ok(Answer { body: Bytes::copy_from_slice(body), is_repeated: true, copy: None })
            }
            Output::Refused(refusal) => Err(refusal),
            Output::Applied => Err(Refusal::of(RefusalClass::BadInput, "not_scored", "the transaction was not scored")),
        }
    }
}

/// Refuses a time that is further ahead of the clock than clocks differ: of a label it would outdo every later one.
fn not_ahead(time: Timestamp, skew_ms: i64, now: Moment) -> Result<(), Refusal> {
    if time.unix_ms() <= now.unix_ms.saturating_add(skew_ms) {
        return Ok(());
    }
    let message = format!("time is more than {} ahead of this service's clock", Span(skew_ms));
    Err(Refusal::invalid("time", message))
}

/// A copy that the stream of verdicts confirms, where one does.
fn stamped(copy: Option<OutboundMessage>, slicer: &mut Option<Slicer>) -> Option<OutboundMessage> {
    let mut copy = copy?;
    if let Some(slicer) = slicer {
        slicer.stamp(&mut copy);
    }
    Some(copy)
}

/// The copy of a verdict, for a review desk and whoever else listens.
fn copy_of(
    subjects: &Subjects,
    transaction: &Transaction<'_>,
    decision: Decision,
    (payload, is_identified): (Bytes, bool),
    voice: &mut Voice,
) -> OutboundMessage {
    let mut headers = HeaderMap::new();
    headers.insert(const { HeaderName::from_static("Fraud-Card") }, &*transaction.card);
    headers.insert(const { HeaderName::from_static("Fraud-Time") }, voice.time.write(transaction.time));
    let amount = HeaderValue::from(transaction.amount_minor.unsigned_abs());
    headers.insert(const { HeaderName::from_static("Fraud-Amount") }, amount);
    headers.insert(const { HeaderName::from_static("Fraud-Currency") }, transaction.currency.code());
    if let Some(merchant) = &transaction.merchant {
        headers.insert(const { HeaderName::from_static("Fraud-Merchant") }, header_text(merchant));
    }
    if is_identified {
        let identity = streamed::message_id(&transaction.processor, &transaction.card, &transaction.id);
        headers.insert(streamed::MESSAGE_ID, identity);
    }
    let subject = subjects.verdict(&transaction.processor, decision);
    OutboundMessage { subject, reply: None, payload, headers: Some(headers) }
}

fn reply(received: &Received, body: Bytes, is_repeated: bool, took: std::time::Duration, out: &mut Outbox) {
    let Some(reply) = &received.message.reply else { return };
    let mut headers = HeaderMap::new();
    headers.insert(LATENCY, HeaderValue::from(microseconds(took)));
    if is_repeated {
        headers.insert(const { HeaderName::from_static("Fraud-Duplicate") }, "true");
    }
    out.publish(reply.clone(), headers, body);
    out.promise(received.deadline_ms);
}

/// A message's deadline. One that is no number is none.
pub fn deadline_ms(request: &Message) -> Option<i64> {
    request.headers.as_ref()?.get(DEADLINE)?.as_str().parse().ok()
}

fn microseconds(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
