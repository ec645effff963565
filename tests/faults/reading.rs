//! The reader of the stream as the service has it, with its place and its ledger, against a simulated broker: it connects,
//! is handed messages, publishes verdicts and is told that they are stored, or is not.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::{Message, message::OutboundMessage};
use gavel::service::{
    answering::{Answering, Moment},
    ledger::Ledger,
    link::{Begin, Streamed},
    outbox::Outbox,
    place::{CLOCKS_DIFFER_MS, Place, Sighting},
};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::jetstream::{PACE, Stream};

/// Messages that are handed over in a millisecond.
const TOGETHER: usize = 4;
/// How often the broker is asked what it has, in milliseconds of the run.
const ASK_EVERY_MS: i64 = 20;

/// A broker with both streams.
pub(crate) struct Broker {
    pub(crate) transactions: Stream,
    pub(crate) verdicts: Stream,
    pub(crate) down_until_ms: i64,
    /// How far its clock is from the others'.
    pub(crate) ahead_ms: i64,
    /// Messages that it had acknowledged and forgot.
    pub(crate) forgotten: u64,
}

impl Broker {
    pub(crate) fn new() -> Self {
        let (transactions, verdicts) = (Stream::new(false), Stream::new(true));
        Self { transactions, verdicts, down_until_ms: 0, ahead_ms: 0, forgotten: 0 }
    }

    pub(crate) fn clock_ms(&self, now_ms: i64) -> i64 {
        now_ms * PACE + self.ahead_ms
    }
}

/// The reader.
pub(crate) struct Reader {
    place: Place,
    pub(crate) ledger: Ledger,
    line: Option<Line>,
    record: u64,
    /// How often it noticed that a stream had forgotten.
    pub(crate) noticed: u64,
}

#[derive(Default)]
struct Line {
    /// The number of the next message.
    next: u64,
    /// By the moment of arrival: what the stream of verdicts says of a token.
    confirmations: BTreeMap<(i64, u64), bool>,
}

impl Reader {
    pub(crate) fn new(begin: Begin) -> Self {
        let (place, ledger) = (Place::new(begin.taken), Ledger::new(begin.unpublished));
        Self { place, ledger, line: None, record: 0, noticed: 0 }
    }

    /// The connection is gone.
    pub(crate) fn lose_line(&mut self) {
        self.line = None;
    }

    /// The record up to which all verdicts are stored.
    pub(crate) fn confirmed_record(&self) -> u64 {
        self.record
    }

    /// Whether it has been handed everything that the broker has.
    pub(crate) fn has_read(&self, broker: &Broker) -> bool {
        self.line.as_ref().is_some_and(|line| broker.transactions.next(line.next).is_none())
    }

    fn connect(&mut self, broker: &Broker, now_ms: i64) {
        if self.ledger.is_doubtful(now_ms * PACE) {
            let since_ms = self.ledger.oldest().map_or(i64::MAX, |oldest| oldest.stored_ms - CLOCKS_DIFFER_MS);
            let stored: BTreeSet<String> = broker.verdicts.identities_since(since_ms);
            self.ledger.look_up(|message| stored.contains(identity(message)));
        }
        let sight = broker.transactions.sight(self.place.taken());
        let start = self.place.start(sight, self.ledger.oldest());
        self.noticed += u64::from(start.is_some_and(|start| start.has_forgotten));
        let next = start.map_or(sight.first, |start| broker.transactions.begin(start.from));
        self.ledger.reconnect();
        self.line = Some(Line { next, ..Line::default() });
    }

    /// Does what there is to do in a millisecond.
    pub(crate) fn step(
        &mut self,
        broker: &mut Broker,
        random: &mut ChaCha8Rng,
        (answering, outbox): (&mut Answering, &mut Outbox),
        (now_ms, now): (i64, Moment),
    ) {
        for settled in outbox.take_settled() {
            drop(self.ledger.settle(settled));
        }
        let (clock_ms, is_down) = (broker.clock_ms(now_ms), now_ms < broker.down_until_ms);
        if is_down {
            self.line = None;
        } else if self.line.is_none() && random.random_bool(0.1) {
            self.connect(broker, now_ms);
        }
        let Some(line) = &mut self.line else { return };
        // A consumer that outlives the end of its stream goes on behind it.
        line.next = line.next.min(broker.transactions.last + 1);
        for (token, message) in self.ledger.publish(now_ms * PACE) {
            if random.random_bool(0.02) {
                continue;
            }
            broker.verdicts.put(clock_ms, &message.subject, identity(&message), &message.payload);
            let arrival_ms = now_ms + random.random_range(0..20);
            line.confirmations.insert((arrival_ms, token), random.random_bool(0.95));
        }
        let later = line.confirmations.split_off(&(now_ms + 1, 0));
        for ((_, token), is_good) in std::mem::replace(&mut line.confirmations, later) {
            if is_good {
                self.ledger.confirm(token);
            } else {
                self.ledger.fail(token, now_ms * PACE);
            }
        }
        self.record = self.record.max(self.ledger.advance().record);
        for _ in 0..TOGETHER {
            let Some(stored) = broker.transactions.next(line.next).filter(|_| !answering.is_waiting()) else { break };
            line.next = stored.at.sequence + 1;
            match self.place.look(stored.at, self.ledger.held(stored.at)) {
                Sighting::New => {
                    self.place.note(stored.at);
                    let token = self.ledger.take(stored.at, None);
                    self.place.take(stored.at);
                    let streamed =
                        Streamed { token, origin: stored.at, message: message(&stored.subject, &stored.payload) };
                    answering.take_streamed(&streamed, now, outbox);
                }
                Sighting::Known => self.ledger.renew(stored.at, None),
                Sighting::Foreign => {
                    self.line = None;
                    return;
                }
            }
        }
        let is_asked = now_ms % ASK_EVERY_MS == 0;
        if is_asked && Place::has_lost(self.place.known(), broker.transactions.last)
            || self.ledger.is_doubtful(now_ms * PACE)
        {
            self.line = None;
        }
    }
}

fn identity(message: &OutboundMessage) -> &str {
    let headers = message.headers.as_ref().expect("a verdict has headers");
    headers.get("Nats-Msg-Id").expect("it has an identity").as_str()
}

fn message(subject: &str, payload: &[u8]) -> Message {
    Message {
        subject: subject.into(),
        reply: None,
        length: payload.len(),
        payload: payload.to_vec().into(),
        headers: None,
        status: None,
        description: None,
    }
}
