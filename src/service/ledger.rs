//! What was taken off the stream and is not done with, in the order of the stream. It is given the time and sends
//! nothing.
//!
//! Invariant: a message is acknowledged, and its verdict counts as published, only when that is true of every message
//! before it. So one number says where to go on.

use std::collections::VecDeque;

use async_nats::{Subject, message::OutboundMessage};

use crate::durability::position::StreamPosition;

/// A verdict that nobody confirmed is published again after this long, then after twice as long: plain subscribers see
/// it each time.
const CONFIRM_TIMEOUT_MS: i64 = 5_000;
/// One that was refused, after this long, then after twice as long.
const RETRY_MS: i64 = 1_000;
/// A stream knows an identity for two minutes: what was first published longer ago than this may be there and be stored
/// again, so it is looked up before.
const DOUBT_MS: i64 = 60_000;
/// The pauses grow this often.
const DOUBLINGS_MAX: u32 = 5;

/// What the scoring thread made of a message.
pub struct Settled {
    /// Which one.
    pub token: u64,
    /// The record of the journal that holds its transaction; 0 where there is none.
    pub record: u64,
    /// What came of it.
    pub settlement: Settlement,
}

/// What came of a message.
pub enum Settlement {
    /// There is nothing to publish: an outcome, a label, a repeated transaction.
    Applied,
    /// A verdict.
    Verdict(OutboundMessage),
    /// It could not be scored, and this says why.
    Refused(OutboundMessage),
}

/// A verdict that may not have left before a crash.
pub struct Unpublished {
    /// The record that holds its transaction.
    pub record: u64,
    /// Where on the stream the transaction came from.
    pub origin: StreamPosition,
    /// The verdict.
    pub message: OutboundMessage,
}

/// An acknowledgement to send.
#[derive(Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Where to.
    pub subject: Subject,
    /// Whether the message was refused: it must not come again, and the broker tells who listens for that.
    pub is_term: bool,
}

/// What can be said of a run of messages that are done with.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// To be sent in this order; each stands for all messages before it, too.
    pub acknowledgements: Vec<Acknowledgement>,
    /// The last record among them.
    pub record: u64,
    /// How many of them the scoring thread had settled.
    pub settled: u64,
}

struct Entry {
    origin: StreamPosition,
    acknowledge: Option<Subject>,
    record: u64,
    /// Whether this process's scoring thread settled it.
    is_own: bool,
    state: State,
}

enum State {
    /// With the scoring thread.
    Scoring,
    /// To be published at that time, again if need be.
    Publishing {
        message: OutboundMessage,
        due_ms: i64,
        attempts: u32,
        /// When it was first published, since it was last known not to be stored.
        tried_ms: Option<i64>,
    },
    Done {
        is_refused: bool,
    },
}

/// The messages, by tokens that count up.
#[derive(Default)]
pub struct Ledger {
    entries: VecDeque<Entry>,
    /// The token of the first entry.
    first: u64,
    /// Before this there is nothing to publish.
    next_due_ms: i64,
}

impl Ledger {
    /// Begins with what a crash may have kept back.
    pub fn new(unpublished: Vec<Unpublished>) -> Self {
        let entry = |Unpublished { record, origin, message }| Entry {
            origin,
            acknowledge: None,
            record,
            is_own: false,
            // Nobody knows when an earlier process published it.
            state: State::Publishing { message, due_ms: 0, attempts: 0, tried_ms: Some(i64::MIN) },
        };
        Self { entries: unpublished.into_iter().map(entry).collect(), first: 0, next_due_ms: 0 }
    }

    /// How many are not done with.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether all is done with.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The oldest message that is not done with.
    pub fn oldest(&self) -> Option<StreamPosition> {
        self.entries.front().map(|entry| entry.origin)
    }

    /// Notes a message that goes to the scoring thread; gives its token.
    pub fn take(&mut self, origin: StreamPosition, acknowledge: Option<Subject>) -> u64 {
        self.entries.push_back(Entry { origin, acknowledge, record: 0, is_own: true, state: State::Scoring });
        self.first + self.entries.len() as u64 - 1
    }

    /// What is not done with under the number of a message: the message itself, or another one of before.
    pub fn held(&self, origin: StreamPosition) -> Option<StreamPosition> {
        let mut same = self.entries.iter().map(|entry| entry.origin).filter(|held| held.sequence == origin.sequence);
        let first = same.next()?;
        Some(if same.any(|held| held == origin) { origin } else { first })
    }

    /// The same message came again, on another connection: its acknowledgement goes elsewhere now.
    pub fn renew(&mut self, origin: StreamPosition, acknowledge: Option<Subject>) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.origin == origin) {
            entry.acknowledge = acknowledge;
        }
    }

    /// Takes in what the scoring thread made of a message. What says why it was refused comes back, to be sent once.
    pub fn settle(&mut self, settled: Settled) -> Option<OutboundMessage> {
        if matches!(settled.settlement, Settlement::Verdict(_)) {
            self.next_due_ms = 0;
        }
        let entry = self.entry(settled.token)?;
        entry.record = settled.record;
        let (state, notice) = match settled.settlement {
            Settlement::Applied => (State::Done { is_refused: false }, None),
            Settlement::Verdict(message) => {
                (State::Publishing { message, due_ms: 0, attempts: 0, tried_ms: None }, None)
            }
            Settlement::Refused(message) => (State::Done { is_refused: true }, Some(message)),
        };
        entry.state = state;
        notice
    }

    /// Whether something was first published so long ago that it must be looked up before it is published again.
    pub fn is_doubtful(&self, now_ms: i64) -> bool {
        let is_doubtful = |entry: &Entry| matches!(&entry.state, State::Publishing { tried_ms: Some(tried_ms), .. } if is_long_ago(*tried_ms, now_ms));
        self.entries.iter().any(is_doubtful)
    }

    /// Takes in which verdicts are stored already, by `is_stored`; the others can be published. How many are.
    pub fn look_up(&mut self, is_stored: impl Fn(&OutboundMessage) -> bool) -> u64 {
        let mut found = 0;
        for entry in &mut self.entries {
            let State::Publishing { message, tried_ms, .. } = &mut entry.state else { continue };
            if is_stored(message) {
                found += 1;
                entry.state = State::Done { is_refused: false };
            } else {
                *tried_ms = None;
            }
        }
        found
    }

    /// What is to be published now, with its tokens; from now on it waits to be confirmed.
    pub fn publish(&mut self, now_ms: i64) -> Vec<(u64, OutboundMessage)> {
        let mut due = Vec::new();
        if now_ms < self.next_due_ms {
            return due;
        }
        self.next_due_ms = i64::MAX;
        for (token, entry) in (self.first..).zip(&mut self.entries) {
            let State::Publishing { message, due_ms, attempts, tried_ms } = &mut entry.state else { continue };
            if *due_ms <= now_ms && tried_ms.is_none_or(|tried_ms| !is_long_ago(tried_ms, now_ms)) {
                tried_ms.get_or_insert(now_ms);
                *due_ms = now_ms.saturating_add(CONFIRM_TIMEOUT_MS << *attempts);
                *attempts = (*attempts + 1).min(DOUBLINGS_MAX);
                due.push((token, message.clone()));
            }
            self.next_due_ms = self.next_due_ms.min(*due_ms);
        }
        due
    }

    /// A verdict is where it should be.
    pub fn confirm(&mut self, token: u64) {
        if let Some(entry) = self.entry(token)
            && matches!(entry.state, State::Publishing { .. })
        {
            entry.state = State::Done { is_refused: false };
        }
    }

    /// Everything that was published up to a token is where it should be.
    pub fn confirm_all(&mut self, up_to: u64) {
        for token in self.first..(self.first + self.entries.len() as u64).min(up_to.saturating_add(1)) {
            self.confirm(token);
        }
    }

    /// A verdict was not taken.
    pub fn fail(&mut self, token: u64, now_ms: i64) {
        if let Some(Entry { state: State::Publishing { due_ms, attempts, .. }, .. }) = self.entry(token) {
            let retry_ms = now_ms.saturating_add(RETRY_MS << attempts.saturating_sub(1));
            *due_ms = retry_ms;
            self.next_due_ms = self.next_due_ms.min(retry_ms);
        }
    }

    /// Another connection: what was not confirmed is published again, and acknowledgements of before go nowhere.
    pub fn reconnect(&mut self) {
        self.next_due_ms = 0;
        for entry in &mut self.entries {
            entry.acknowledge = None;
            if let State::Publishing { due_ms, attempts, .. } = &mut entry.state {
                (*due_ms, *attempts) = (0, 0);
            }
        }
    }

    /// Lets go of what is done with.
    pub fn advance(&mut self) -> Done {
        let mut done = Done::default();
        let mut last = None;
        while let Some(Entry { state: State::Done { is_refused }, .. }) = self.entries.front() {
            let is_refused = *is_refused;
            let Some(entry) = self.entries.pop_front() else { break };
            self.first += 1;
            done.record = done.record.max(entry.record);
            done.settled += u64::from(entry.is_own);
            let Some(subject) = entry.acknowledge else { continue };
            if is_refused {
                last = None;
                done.acknowledgements.push(Acknowledgement { subject, is_term: true });
            } else {
                last = Some(subject);
            }
        }
        done.acknowledgements.extend(last.map(|subject| Acknowledgement { subject, is_term: false }));
        done
    }

    fn entry(&mut self, token: u64) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(token.checked_sub(self.first)?).ok()?)
    }
}

fn is_long_ago(tried_ms: i64, now_ms: i64) -> bool {
    now_ms.saturating_sub(tried_ms) >= DOUBT_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> OutboundMessage {
        OutboundMessage { subject: text.into(), reply: None, payload: Vec::new().into(), headers: None }
    }

    fn at(sequence: u64) -> StreamPosition {
        StreamPosition { sequence, stored_ms: 0 }
    }

    fn taken(ledger: &mut Ledger, sequence: u64) -> u64 {
        ledger.take(at(sequence), Some(format!("ack.{sequence}").into()))
    }

    fn due(ledger: &mut Ledger, now_ms: i64) -> Vec<u64> {
        ledger.publish(now_ms).into_iter().map(|(token, _)| token).collect()
    }

    fn said(done: &Done) -> Vec<String> {
        let text = |Acknowledgement { subject, is_term }: &Acknowledgement| {
            format!("{} {subject}", if *is_term { "term" } else { "ack" })
        };
        done.acknowledgements.iter().map(text).collect()
    }

    #[test]
    fn a_message_is_done_with_after_all_before_it() {
        let mut ledger = Ledger::default();
        let tokens: Vec<u64> = (1..=5).map(|sequence| taken(&mut ledger, sequence)).collect();
        let settle = |ledger: &mut Ledger, token: u64, record, settlement| {
            ledger.settle(Settled { token, record, settlement }).map(|notice| notice.subject.to_string())
        };
        assert_eq!(settle(&mut ledger, tokens[0], 7, Settlement::Verdict(message("a"))), None);
        assert_eq!(settle(&mut ledger, tokens[1], 8, Settlement::Applied), None);
        assert_eq!(settle(&mut ledger, tokens[2], 0, Settlement::Refused(message("why"))), Some("why".into()));
        assert_eq!(settle(&mut ledger, tokens[3], 9, Settlement::Applied), None);
        assert_eq!(ledger.advance(), Done::default());
        assert_eq!(due(&mut ledger, 10), [tokens[0]]);
        assert_eq!(due(&mut ledger, 11), [0; 0]);
        ledger.confirm(tokens[0]);
        let done = ledger.advance();
        assert_eq!((done.record, done.settled), (9, 4));
        // Each acknowledgement stands for those before it.
        assert_eq!(said(&done), ["term ack.3", "ack ack.4"]);
        assert_eq!((ledger.len(), ledger.oldest()), (1, Some(at(5))));
    }

    #[test]
    fn what_nobody_confirms_is_published_again() {
        let unpublished = |record| Unpublished { record, origin: at(record), message: message("old") };
        let mut ledger = Ledger::new(vec![unpublished(3), unpublished(4)]);
        assert_eq!((ledger.is_doubtful(0), due(&mut ledger, 0)), (true, vec![]));
        assert_eq!(ledger.look_up(|_| false), 0);
        let third = taken(&mut ledger, 9);
        ledger.settle(Settled { token: third, record: 5, settlement: Settlement::Verdict(message("new")) });
        assert_eq!(due(&mut ledger, 0), [0, 1, 2]);
        ledger.confirm(1);
        ledger.fail(2, 0);
        assert_eq!(due(&mut ledger, 999), [0; 0]);
        assert_eq!(due(&mut ledger, 1_000), [2]);
        assert_eq!(due(&mut ledger, 5_000), [0]);
        ledger.reconnect();
        assert_eq!(due(&mut ledger, 5_001), [0, 2]);
        // A stream that was made anew has another message of that number.
        let other = StreamPosition { sequence: 9, stored_ms: 1 };
        assert_eq!((ledger.held(at(9)), ledger.held(other), ledger.held(at(8))), (Some(at(9)), Some(at(9)), None));
        ledger.renew(other, Some("nowhere".into()));
        ledger.renew(at(9), Some("elsewhere".into()));
        ledger.confirm_all(2);
        let done = ledger.advance();
        assert_eq!((done.record, done.settled, ledger.is_empty()), (5, 1, true));
        assert_eq!(said(&done), ["ack elsewhere"]);
    }

    /// A stream that had no leader for minutes may have stored a verdict before and know its identity no more.
    #[test]
    fn what_was_published_long_ago_is_looked_up_before_it_is_published_again() {
        let mut ledger = Ledger::default();
        for (sequence, text) in [(1, "stored"), (2, "missing")] {
            let token = taken(&mut ledger, sequence);
            ledger.settle(Settled { token, record: sequence, settlement: Settlement::Verdict(message(text)) });
        }
        assert_eq!(due(&mut ledger, 1_000), [0, 1]);
        ledger.reconnect();
        assert_eq!((due(&mut ledger, 50_000), ledger.is_doubtful(60_999)), (vec![0, 1], false));
        ledger.reconnect();
        assert_eq!((due(&mut ledger, 61_000), ledger.is_doubtful(61_000)), (vec![], true));
        assert_eq!(ledger.look_up(|message| message.subject.as_str() == "stored"), 1);
        assert_eq!((ledger.advance().record, ledger.is_doubtful(200_000)), (1, false));
        ledger.reconnect();
        assert_eq!(due(&mut ledger, 200_000), [1]);
    }
}
