//! The reader of the stream as the service has it, with its place and its ledger, against a simulated broker: it connects,
//! is handed messages, publishes verdicts and is told that they are stored, or is not.

use std::collections::{BTreeSet, VecDeque};

use async_nats::{Message, message::OutboundMessage};
use gavel::durability::position::StreamPosition;
use gavel::service::{
    answering::{Answering, Moment, verdicts_after},
    copies::{self, Bookmark, Bookmarks, Gap, Outstanding, Slice},
    ledger::Ledger,
    link::{Begin, Published, Streamed},
    outbox::Outbox,
    place::{CLOCKS_DIFFER_MS, Place, Sighting},
    subjects::Subjects,
};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::{
    disk::Disk,
    jetstream::{PACE, Put, Stream},
};

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
    /// Verdicts among what it forgot.
    pub(crate) forgotten_verdicts: u64,
    /// The last number of the stream of verdicts when it forgot some, until a reader has looked.
    pub(crate) cut_at: Option<u64>,
    /// The stream of transactions forgot some, and no reader has noticed.
    pub(crate) is_unnoticed: bool,
}

impl Broker {
    pub(crate) fn new() -> Self {
        let (transactions, verdicts) = (Stream::new(false), Stream::new(true));
        Self {
            transactions,
            verdicts,
            down_until_ms: 0,
            ahead_ms: 0,
            forgotten: 0,
            forgotten_verdicts: 0,
            cut_at: None,
            is_unnoticed: false,
        }
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
    copies: Outstanding,
    bookmarks: Bookmarks,
    published: Option<Published>,
    /// The last message that had been taken when the broker was last asked.
    noted: Option<StreamPosition>,
    /// How often it noticed that a stream had forgotten.
    pub(crate) noticed: u64,
    /// Verdicts that it published from the journal.
    pub(crate) recalled: u64,
}

/// What the reader works with besides.
pub(crate) struct Around<'a> {
    pub(crate) broker: &'a mut Broker,
    pub(crate) random: &'a mut ChaCha8Rng,
    pub(crate) disk: &'a Disk,
    pub(crate) subjects: &'a Subjects,
    pub(crate) now_ms: i64,
}

#[derive(Default)]
struct Line {
    /// The number of the next message.
    next: u64,
    /// What the stream of verdicts says, in its order, and when it arrives.
    said: VecDeque<(i64, Said)>,
}

/// What the stream of verdicts says of something that was published.
#[derive(Clone, Copy)]
enum Said {
    Verdict(u64, Put),
    /// A copy, by its slice.
    Copy(u64, Put),
    Failed(u64),
}

impl Line {
    /// One word of the stream takes as long as another, and comes after it.
    fn hear(&mut self, said: Said, now_ms: i64, random: &mut ChaCha8Rng) {
        let last_ms = self.said.back().map_or(0, |(arrival_ms, _)| *arrival_ms);
        self.said.push_back((last_ms.max(now_ms + random.random_range(0..20)), said));
    }
}

impl Reader {
    pub(crate) fn new(begin: Begin) -> Self {
        let Begin { taken, unpublished, published, .. } = begin;
        Self {
            place: Place::new(taken),
            bookmarks: Bookmarks::new(&unpublished),
            ledger: Ledger::new(unpublished),
            line: None,
            record: 0,
            copies: Outstanding::default(),
            published,
            noted: None,
            noticed: 0,
            recalled: 0,
        }
    }

    /// The connection is gone.
    pub(crate) fn lose_line(&mut self) {
        self.line = None;
    }

    /// The record up to which all verdicts are stored.
    pub(crate) fn confirmed_record(&self) -> u64 {
        self.record
    }

    /// A copy of a verdict on a request was published, and the broker says that it is stored.
    pub(crate) fn hear_of_copy(&mut self, reply: &str, put: Put, now_ms: i64, random: &mut ChaCha8Rng) {
        let number = reply.rsplit('.').next().and_then(copies::number_of);
        if let Some(line) = &mut self.line {
            line.hear(Said::Copy(number.expect("copies are confirmed by slices"), put), now_ms, random);
        }
    }

    /// The scoring thread has ended a slice.
    pub(crate) fn end_slice(&mut self, slice: Slice, now_ms: i64) {
        self.bookmarks.begin(slice.from);
        self.copies.add(slice, now_ms * PACE);
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_quiet(&self, broker: &Broker, now_ms: i64) -> bool {
        let is_stored = self.ledger.is_empty() && self.copies.overdue(now_ms * PACE).is_none();
        is_stored && self.line.as_ref().is_some_and(|line| broker.transactions.next(line.next).is_none())
    }

    fn connect(&mut self, around: &mut Around<'_>) {
        if self.ledger.is_doubtful(around.now_ms * PACE) {
            let since_ms = self.ledger.oldest().map_or(i64::MAX, |oldest| oldest.stored_ms - CLOCKS_DIFFER_MS);
            let stored: BTreeSet<String> = around.broker.verdicts.identities_since(since_ms);
            self.ledger.look_up(|message| stored.contains(identity(message)));
        }
        if !self.recall_forgotten(around) {
            return;
        }
        around.broker.cut_at = None;
        let sight = around.broker.transactions.sight(self.place.taken());
        self.noted = None;
        let start = self.place.start(sight, self.ledger.oldest());
        if start.is_none_or(|start| start.has_forgotten) {
            around.broker.is_unnoticed = false;
        }
        self.noticed += u64::from(start.is_some_and(|start| start.has_forgotten));
        let next = start.map_or(sight.first, |start| around.broker.transactions.begin(start.from));
        self.ledger.reconnect();
        self.line = Some(Line { next, ..Line::default() });
    }

    /// Publishes again what the stream of verdicts lacks. Whether the connection lasted for so long.
    fn recall_forgotten(&mut self, around: &mut Around<'_>) -> bool {
        if around.broker.verdicts.last < self.bookmarks.highest() {
            self.bookmarks.doubt();
        }
        while let Some(newest) = self.bookmarks.newest()
            && around.broker.verdicts.identity(newest.sequence) != Some(&*newest.identity)
        {
            self.bookmarks.drop_newest();
        }
        if self.bookmarks.newest().is_none()
            && let Some(Published { record, identity, stored_ms }) = &self.published
        {
            let stored = around.broker.verdicts.identities_since(stored_ms - CLOCKS_DIFFER_MS);
            if !stored.contains(identity) {
                let mut since_ms = *stored_ms;
                let found = |_, stored_ms: Option<i64>, _| {
                    since_ms = stored_ms.unwrap_or(since_ms);
                    stored_ms.is_none()
                };
                verdicts_after(&mut around.disk.handle(), around.subjects, 0, found).expect("it is read");
                self.noticed += u64::from(*record > 0);
                if self.recall(around, Gap { after: 0, since_ms }, true).is_none() {
                    return false;
                }
            }
        }
        let Some(gap) = self.bookmarks.gap() else { return true };
        let Some(recalled) = self.recall(around, gap, false) else { return false };
        self.copies.recalled(recalled);
        self.noticed += u64::from(self.bookmarks.mend());
        true
    }

    /// Publishes what is missing from a gap on; the last record that was looked at, unless the connection broke.
    fn recall(&mut self, around: &mut Around<'_>, gap: Gap, is_of_stream_only: bool) -> Option<u64> {
        let Around { broker, random, disk, subjects, now_ms } = around;
        let stored = broker.verdicts.identities_since(gap.since_ms - CLOCKS_DIFFER_MS);
        let (clock_ms, mut last, mut lasts) = (broker.clock_ms(*now_ms), gap.after, true);
        let publish = |record, stored_ms: Option<i64>, message: OutboundMessage| {
            if !stored.contains(identity(&message)) && (stored_ms.is_some() || !is_of_stream_only) {
                lasts = !random.random_bool(0.01);
                broker.verdicts.put(clock_ms, &message.subject, identity(&message), &message.payload);
                self.recalled += 1;
            }
            last = record;
            lasts
        };
        verdicts_after(&mut disk.handle(), subjects, gap.after, publish).expect("it is read");
        lasts.then_some(last)
    }

    /// Asks what both streams have, and notes where the one of verdicts ends.
    fn ask(&mut self, around: &mut Around<'_>, assured: Option<Gap>) {
        let verdicts = &around.broker.verdicts;
        let is_there = |newest: &Bookmark| verdicts.identity(newest.sequence) == Some(&*newest.identity);
        let transactions = &around.broker.transactions;
        let is_other = |noted: StreamPosition| {
            let found = transactions.messages.iter().find(|message| message.at.sequence == noted.sequence);
            found.is_some_and(|message| message.at != noted)
        };
        // A position of another line may be one of a stream of before.
        let noted = std::mem::replace(&mut self.noted, self.place.taken());
        if Place::has_lost(self.place.known(), transactions.last) || noted.is_some_and(is_other) {
            self.place.doubt();
            self.line = None;
            return;
        }
        if !self.bookmarks.newest().is_none_or(is_there) || verdicts.last < self.bookmarks.highest() {
            self.line = None;
            return;
        }
        // Of the moment before the first bookmark only the journal tells.
        if self.bookmarks.newest().is_none()
            && let Some(gap) = self.bookmarks.gap()
            && self.recall(around, gap, false).is_none()
        {
            return;
        }
        if let (Some(from), Some(last)) = (assured, around.broker.verdicts.messages.last()) {
            let (sequence, identity) = (last.at.sequence, last.identity.clone());
            self.bookmarks.keep(Bookmark { sequence, identity, from });
        }
    }

    /// Does what there is to do in a millisecond.
    pub(crate) fn step(
        &mut self,
        around: &mut Around<'_>,
        (answering, outbox): (&mut Answering, &mut Outbox),
        now: Moment,
    ) {
        let now_ms = around.now_ms;
        for settled in outbox.take_settled() {
            drop(self.ledger.settle(settled));
        }
        if now_ms < around.broker.down_until_ms {
            self.line = None;
        } else if self.line.is_none() && around.random.random_bool(0.1) {
            self.connect(around);
        }
        if self.line.is_some()
            && now_ms % ASK_EVERY_MS == 0
            && let Some(slice) = self.copies.overdue(now_ms * PACE)
        {
            match self.recall(around, slice.from, false) {
                // What waits for a disk that fails is not in the journal yet.
                Some(last) => self.copies.recalled(last.max(if answering.is_waiting() { 0 } else { slice.last })),
                None => self.line = None,
            }
        }
        let Around { broker, random, .. } = around;
        let clock_ms = broker.clock_ms(now_ms);
        let Some(line) = &mut self.line else { return };
        // A consumer that outlives the end of its stream goes on behind it.
        line.next = line.next.min(broker.transactions.last + 1);
        for (token, message) in self.ledger.publish(now_ms * PACE) {
            if random.random_bool(0.02) {
                continue;
            }
            let put = broker.verdicts.put(clock_ms, &message.subject, identity(&message), &message.payload);
            let said = if random.random_bool(0.95) { Said::Verdict(token, put) } else { Said::Failed(token) };
            line.hear(said, now_ms, random);
        }
        while let Some((_, said)) = line.said.front().copied().filter(|(arrival_ms, _)| *arrival_ms <= now_ms) {
            line.said.pop_front();
            if let Said::Verdict(_, put) | Said::Copy(_, put) = said
                && put.is_new
                && !self.bookmarks.is_onward(put.number)
            {
                self.bookmarks.doubt();
                self.line = None;
                return;
            }
            match said {
                Said::Verdict(token, _) => self.ledger.confirm(token),
                Said::Copy(slice, _) => self.copies.confirm(slice),
                Said::Failed(token) => self.ledger.fail(token, now_ms * PACE),
            }
        }
        self.record = self.record.max(self.ledger.advance().record);
        let done_record = (!self.ledger.is_empty()).then_some(self.record);
        // What is published from here on may be stored before the broker is asked, and is not counted on.
        let assured = self.copies.assured(done_record);
        for _ in 0..TOGETHER {
            let Some(stored) = broker.transactions.next(line.next).filter(|_| !answering.is_waiting()) else { break };
            line.next = stored.at.sequence + 1;
            match self.place.look(stored.at, self.ledger.held(stored.at), false) {
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
        if self.ledger.is_doubtful(now_ms * PACE) {
            self.line = None;
        }
        if now_ms % ASK_EVERY_MS == 0 {
            self.ask(around, assured);
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
