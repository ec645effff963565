//! Two streams of a broker that syncs now and then: power cuts take what it had acknowledged, and it gives numbers out
//! again. Its wall clock runs a hundred times as fast as the run, so that minutes matter in seconds.

use std::collections::BTreeSet;

use gavel::{
    durability::position::StreamPosition,
    service::place::{From, Sight},
};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// Milliseconds of the broker's clock in one of the run.
pub(crate) const PACE: i64 = 100;
/// When it was made.
pub(crate) const MADE_MS: i64 = 1_532_510_000_000;
/// How long it knows an identity.
const KNOWN_MS: i64 = 120_000;

/// A message that is stored.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) at: StreamPosition,
    pub(crate) subject: String,
    pub(crate) identity: String,
    pub(crate) payload: Vec<u8>,
}

/// What it says of a message that it was given.
#[derive(Clone, Copy)]
pub(crate) struct Put {
    pub(crate) number: u64,
    /// Whether it did not know it before.
    pub(crate) is_new: bool,
}

/// One stream.
pub(crate) struct Stream {
    pub(crate) messages: Vec<Stored>,
    /// The last number given out.
    pub(crate) last: u64,
    made_ms: i64,
    /// So many messages survive a power cut.
    synced: usize,
    /// Whether it stores nothing twice within two minutes.
    is_deduplicating: bool,
    /// Identities and bodies of what was stored since somebody took them.
    pub(crate) fresh: Vec<(String, Vec<u8>)>,
}

impl Stream {
    pub(crate) fn new(is_deduplicating: bool) -> Self {
        Self { messages: Vec::new(), last: 0, made_ms: MADE_MS, synced: 0, is_deduplicating, fresh: Vec::new() }
    }

    /// Stores a message, unless it is known.
    pub(crate) fn put(&mut self, clock_ms: i64, subject: &str, identity: &str, payload: &[u8]) -> Put {
        let is_known = |message: &&Stored| {
            message.identity == identity && clock_ms - message.at.stored_ms < KNOWN_MS && self.is_deduplicating
        };
        if let Some(known) = self.messages.iter().rev().find(is_known) {
            return Put { number: known.at.sequence, is_new: false };
        }
        self.last += 1;
        let at = StreamPosition { sequence: self.last, stored_ms: MADE_MS + clock_ms };
        let (subject, identity, payload) = (subject.to_owned(), identity.to_owned(), payload.to_vec());
        self.fresh.push((identity.clone(), payload.clone()));
        self.messages.push(Stored { at, subject, identity, payload });
        Put { number: self.last, is_new: true }
    }

    pub(crate) fn sync(&mut self) {
        self.synced = self.messages.len();
    }

    /// Power goes: of what was not synced, a beginning is left. How many messages are gone.
    pub(crate) fn cut_power(&mut self, random: &mut ChaCha8Rng) -> usize {
        let kept = random.random_range(self.synced..=self.messages.len());
        let gone = self.messages.len() - kept;
        self.messages.truncate(kept);
        self.last = self.messages.last().map_or(0, |message| message.at.sequence);
        self.synced = kept;
        gone
    }

    /// It is lost, and somebody makes another one of its name.
    pub(crate) fn make_anew(&mut self, clock_ms: i64) {
        let fresh = std::mem::take(&mut self.fresh);
        *self = Self { made_ms: MADE_MS + clock_ms, fresh, ..Self::new(self.is_deduplicating) };
    }

    /// What it says of itself, to somebody who took the message at a place.
    pub(crate) fn sight(&self, taken: Option<StreamPosition>) -> Sight {
        let first = self.messages.first().map_or(self.last + 1, |message| message.at.sequence);
        let at_taken =
            self.messages.iter().find(|message| Some(message.at.sequence) == taken.map(|taken| taken.sequence));
        Sight { first, last: self.last, made_ms: self.made_ms, stored_ms: at_taken.map(|message| message.at.stored_ms) }
    }

    /// The number with which somebody begins.
    pub(crate) fn begin(&self, from: From) -> u64 {
        match from {
            From::Number(number) => number,
            From::SinceMade(ms) => {
                let is_since = |message: &&Stored| message.at.stored_ms >= self.made_ms + ms;
                self.messages.iter().find(is_since).map_or(self.last + 1, |message| message.at.sequence)
            }
        }
    }

    /// The first message from a number on.
    pub(crate) fn next(&self, from: u64) -> Option<&Stored> {
        self.messages.iter().find(|message| message.at.sequence >= from)
    }

    /// The identity of the message under a number.
    pub(crate) fn identity(&self, number: u64) -> Option<&str> {
        self.messages.iter().find(|message| message.at.sequence == number).map(|message| &*message.identity)
    }

    /// The identities of what was stored from a time on.
    pub(crate) fn identities_since(&self, stored_ms: i64) -> BTreeSet<String> {
        let is_since = |message: &&Stored| message.at.stored_ms >= stored_ms;
        self.messages.iter().filter(is_since).map(|message| message.identity.clone()).collect()
    }
}
