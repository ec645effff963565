//! The stream path of a run: a processor that stores what it wants answered in a stream, again if need be, a broker that
//! forgets, and the reader between them.

use std::collections::BTreeMap;

use async_nats::message::OutboundMessage;
use gavel::service::{
    answering::{Answering, Moment},
    link::Begin,
    outbox::Outbox,
    subjects::{Kind, Subjects},
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::Wish;
use crate::{
    disk::Disk,
    jetstream::{MADE_MS, PACE},
    reading::{Around, Broker, Reader},
};

/// The streams, and who reads and fills them.
pub(super) struct Streaming {
    random: ChaCha8Rng,
    broker: Broker,
    pub(super) reader: Option<Reader>,
    /// How often readers that are gone noticed that the stream had forgotten.
    noticed: u64,
    /// Verdicts that they published from the journal.
    recalled: u64,
    has_missed: bool,
    /// A reader was killed in the moment before it would have noticed that transactions were forgotten, and what came under
    /// their numbers may have passed it by.
    may_skip: bool,
    /// The last number of the stream of verdicts when the reader began.
    begun_at: u64,
}

/// What was seen of the streams in a run.
#[derive(Default)]
pub(crate) struct Seen {
    /// Messages that the broker had acknowledged and forgot.
    pub(crate) forgotten: u64,
    /// How often the reader noticed.
    pub(crate) noticed: u64,
    /// Verdicts that were published from the journal.
    pub(crate) recalled: u64,
}

impl Streaming {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            broker: Broker::new(),
            reader: None,
            noticed: 0,
            recalled: 0,
            has_missed: false,
            may_skip: false,
            begun_at: 0,
        }
    }

    /// Sends some wishes by the stream.
    pub(super) fn choose(&mut self, wishes: &mut [Wish]) {
        for wish in wishes {
            let suffix = match wish.kind {
                Kind::Score => "",
                Kind::Outcome => ".outcome",
                Kind::Label => ".label",
                _ => continue,
            };
            if self.random.random_bool(0.6) {
                let card = wish.subject.rsplit('.').next().unwrap_or_default();
                wish.streamed = Some(format!("fraud.v1.txn.p.{card}{suffix}"));
            }
        }
    }

    /// What befalls the broker: power cuts, a stream that is made anew, leaders that come and go with their clocks.
    pub(super) fn misfortune(&mut self, now_ms: i64) {
        let Self { random, broker, reader, begun_at, .. } = self;
        if random.random_bool(0.01) {
            broker.transactions.sync();
        }
        if random.random_bool(0.01) {
            broker.verdicts.sync();
        }
        if now_ms > 4_000 || !random.random_bool(0.004) {
            return;
        }
        let (what, before) = (random.random_range(0..8), broker.forgotten_verdicts);
        if what < 3 {
            // Whoever is connected to another broker may notice nothing.
            let gone = broker.transactions.cut_power(random) as u64;
            broker.forgotten += gone;
            broker.is_unnoticed |= gone > 0;
        }
        if what == 3 {
            broker.forgotten += broker.transactions.messages.len() as u64;
            broker.transactions.make_anew(broker.clock_ms(now_ms));
        }
        if random.random_bool(0.7) {
            broker.down_until_ms = now_ms + random.random_range(0..1_500);
            if let Some(reader) = reader {
                reader.lose_line();
            }
        }
        // The one stream may have lost what the other has.
        if what != 0 && what < 4 {
            let gone = broker.verdicts.cut_power(random) as u64;
            broker.forgotten_verdicts += gone;
            broker.cut_at = broker.cut_at.or((gone > 0).then_some(broker.verdicts.last));
        }
        if what == 4 {
            broker.forgotten_verdicts += broker.verdicts.messages.len() as u64;
            broker.verdicts.make_anew(broker.clock_ms(now_ms));
            broker.cut_at = Some(0);
        }
        // Of what earlier processes stored the last one is looked up, and others may have been stored after it.
        self.has_missed |= broker.forgotten_verdicts > before && (reader.is_none() || broker.verdicts.last < *begun_at);
        broker.ahead_ms = random.random_range(-25_000..25_000);
    }

    /// The processor stores a wish. Whether the broker says so.
    pub(super) fn store(&mut self, now_ms: i64, number: usize, (subject, payload): (&str, &str)) -> bool {
        let Self { random, broker, .. } = self;
        if now_ms < broker.down_until_ms || random.random_bool(0.05) {
            return false;
        }
        broker.transactions.put(broker.clock_ms(now_ms), subject, &name(number), payload.as_bytes());
        random.random_bool(0.9)
    }

    /// Whether the stream holds a wish: then it is for the service to see to it.
    pub(super) fn holds(&self, number: usize) -> bool {
        let mut messages = self.broker.transactions.messages.iter();
        !self.may_skip && messages.any(|message| message.identity == name(number))
    }

    pub(super) fn begin(&mut self, begin: Begin) {
        self.end_reader();
        self.reader = Some(Reader::new(begin));
        self.begun_at = self.broker.verdicts.last;
    }

    pub(super) fn end_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.may_skip |= self.broker.is_unnoticed;
            // A crash before it looked, and after others were stored: the last one of them is there.
            self.has_missed |= self.broker.cut_at.is_some_and(|last| self.broker.verdicts.last > last);
            self.noticed += reader.noticed;
            self.recalled += reader.recalled;
            // What was published from the journal is stored out of order, and the last verdict known may have come before.
            self.has_missed |= self.broker.cut_at.is_some() && self.recalled > 0;
        }
    }

    /// What reader and broker do in a millisecond.
    pub(super) fn step(
        &mut self,
        served: (&mut Answering, &mut Outbox),
        (now_ms, now): (i64, Moment),
        (disk, subjects): (&Disk, &Subjects),
    ) {
        if let Some(reader) = &mut self.reader {
            let Self { random, broker, .. } = self;
            let mut around = Around { broker, random, disk, subjects, now_ms };
            reader.step(&mut around, served, now);
        }
    }

    /// A copy of a verdict on a request leaves: over another connection than the reader's, and nobody waits for it.
    pub(super) fn copy(&mut self, message: &OutboundMessage, now_ms: i64) {
        let Self { random, broker, reader, .. } = self;
        if now_ms < broker.down_until_ms || random.random_bool(0.05) {
            return;
        }
        let header = message.headers.as_ref().and_then(|headers| headers.get("Nats-Msg-Id"));
        let identity = header.map_or("", |header| header.as_str());
        let put = broker.verdicts.put(broker.clock_ms(now_ms), &message.subject, identity, &message.payload);
        if let (Some(reader), Some(reply)) = (reader, &message.reply) {
            reader.hear_of_copy(reply, put, now_ms, random);
        }
    }

    /// The scoring thread ends a slice of the copies.
    pub(super) fn end_slice(&mut self, answering: &mut Answering, now_ms: i64) {
        if let (Some(reader), Some(slice)) = (&mut self.reader, answering.end_slice(MADE_MS + now_ms * PACE)) {
            reader.end_slice(slice, now_ms);
        }
    }

    /// The verdicts that were stored since the last time, by number of the wish.
    pub(super) fn take_verdicts(&mut self) -> Vec<(usize, Vec<u8>)> {
        let number = |identity: &str| identity.rsplit("/t-").next()?.parse().ok();
        let fresh = std::mem::take(&mut self.broker.verdicts.fresh);
        fresh.into_iter().filter_map(|(identity, body)| Some((number(&identity)?, body))).collect()
    }

    /// Whether nothing is left to do.
    pub(super) fn is_quiet(&self, now_ms: i64) -> bool {
        // What goes wrong last takes its time to be noticed.
        now_ms > 6_500 && self.reader.as_ref().is_some_and(|reader| reader.is_quiet(&self.broker, now_ms))
    }

    /// How often each verdict is stored, by its identity.
    pub(super) fn stored(&self) -> BTreeMap<&str, u32> {
        let mut stored = BTreeMap::new();
        for message in &self.broker.verdicts.messages {
            *stored.entry(message.identity.as_str()).or_default() += 1;
        }
        stored
    }

    /// Whether verdicts may have been forgotten that nobody notices: those of earlier processes, and in the moment before a
    /// crash.
    pub(super) fn has_missed(&self) -> bool {
        self.has_missed
    }

    /// Whether the broker has forgotten verdicts.
    pub(super) fn has_lost_verdicts(&self) -> bool {
        self.broker.forgotten_verdicts > 0
    }

    pub(super) fn seen(&self) -> Seen {
        let (noticed, recalled) = self.reader.as_ref().map_or((0, 0), |reader| (reader.noticed, reader.recalled));
        Seen {
            forgotten: self.broker.forgotten + self.broker.forgotten_verdicts,
            noticed: self.noticed + noticed,
            recalled: self.recalled + recalled,
        }
    }
}

fn name(number: usize) -> String {
    format!("t-{number}")
}
