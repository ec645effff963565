//! Every transaction of the horizon: its first answer, and where it stands in the windows. It decides nothing.
//!
//! Three things need it: a repeated id gets its first answer again, a reversal or an incremental finds its parent, and
//! an outcome or a label finds its transaction. Horizons are in event time: the highest accepted may have moved on by so
//! much since a transaction arrived. Caps on transactions and on answers' bytes shorten them, and the statistics show
//! what is left.

mod amounts;
mod bytes;
mod answers;
mod entries;
mod stored;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    money::Rates,
    plan::OutcomeState,
    settings::WindowSettings,
    transaction::{Label, LabelKind, Outcome, OutcomeKind, Transaction, TransactionType},
    windows::{Observed, Place, Places, RowState, Windows},
};

use amounts::Amounts;
use answers::Endings;
use bytes::{Address, Bytes, push_number, take_number};
use entries::{BaseAmount, Entries, Entry};

/// A transaction's identity: its processor, card and id, as 128 bits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Fingerprint(u128);

/// Whether the registry knows an identity, looked up once.
#[derive(Clone, Copy)]
pub struct Known {
    fingerprint: Fingerprint,
    number: Option<u64>,
}

/// Whether a transaction has been here before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It is new, or was here longer ago than the horizon.
    New,
    /// It was here: its first answer has been appended to the body.
    Answered,
    /// Its id is taken by one with another amount, currency or type.
    Conflict,
}

/// How much the registry holds, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegistryStats {
    /// Transactions remembered.
    pub transactions: u64,
    /// Transactions whose answer is remembered.
    pub answers: u64,
    /// Bytes of answers, as kept.
    pub answers_bytes: u64,
    /// Bytes of everything else.
    pub bytes: u64,
    /// How far back in event time a repeated id still gets its first answer.
    pub horizon_ms: i64,
    /// How far back in event time reversals, outcomes and labels still find their transaction.
    pub transactions_horizon_ms: i64,
    /// Transactions forgotten early because there were too many.
    pub forgotten: u64,
}

/// Entries forgotten for each one remembered, so that no pause is needed to catch up.
const FORGOTTEN_MAX: usize = 4;

/// Every transaction of the horizon.
pub struct Registry {
    settings: WindowSettings,
    entries: Entries,
    answers: Bytes,
    places: Bytes,
    endings: Endings,
    /// By number: what reversals and partial approvals did to an amount.
    amounts: HashMap<u64, Amounts, FxBuildHasher>,
    forgotten: u64,
    /// Answers of entries before this one were dropped because there were too many bytes; 0 for none.
    answers_dropped_entry: u64,
    highest_ms: i64,
    keep_ms: i64,
    short: Vec<u8>,
}

impl Fingerprint {
    /// The identity of a transaction.
    pub fn of(processor: &str, card: &str, id: &str) -> Self {
        // Processor and card are tokens, so a separator that no token holds keeps the parts apart.
        let mut text = smallvec::SmallVec::<[u8; 256]>::new();
        for part in [processor, card] {
            text.extend_from_slice(part.as_bytes());
            text.push(b'\n');
        }
        text.extend_from_slice(id.as_bytes());
        Self(xxh3_128(&text))
    }

    const fn hash(self) -> u32 {
        (self.0 >> 64) as u32
    }

    const fn tag(self) -> u32 {
        self.0 as u32
    }

    /// The half of it that tables are not sorted by: enough to tell millions apart.
    pub const fn short(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

impl Registry {
    /// An empty registry.
    pub fn new(settings: &WindowSettings) -> Self {
        Self {
            settings: settings.clone(),
            entries: Entries::new(),
            answers: Bytes::new(settings.answers_max_bytes),
            places: Bytes::new(usize::MAX),
            endings: Endings::default(),
            amounts: HashMap::default(),
            forgotten: 0,
            answers_dropped_entry: 0,
            highest_ms: i64::MIN,
            keep_ms: settings.duplicates_ms,
            short: Vec::new(),
        }
    }

    /// Takes over other horizons and caps.
    pub fn adopt(&mut self, settings: &WindowSettings) {
        self.settings = settings.clone();
        self.answers.set_bytes_max(settings.answers_max_bytes);
    }

    /// The last transaction of an identity, wherever horizons are.
    pub fn known(&self, fingerprint: Fingerprint) -> Known {
        Known { fingerprint, number: self.entries.find(fingerprint) }
    }

    /// Whether a transaction has been here before; if so, appends its first answer to `body`.
    pub fn repeated(
        &self,
        known: Known,
        transaction: &Transaction<'_>,
        windows: &Windows,
        body: &mut Vec<u8>,
    ) -> Repeat {
        let Some(number) = known.number else { return Repeat::New };
        if !self.is_within(number, self.settings.duplicates_ms, windows) {
            return Repeat::New;
        }
        let entry = self.entries.get(number);
        let Some(short) = self.answers.get(entry.answer) else { return Repeat::New };
        let is_same = (entry.amount_minor, entry.currency, entry.kind)
            == (transaction.amount_minor, transaction.currency, transaction.kind);
        if !is_same {
            return Repeat::Conflict;
        }
        self.endings.restore(short, &transaction.id, body);
        Repeat::Answered
    }

    /// Whether the parent of an incremental or a reversal is known: if not, that calls for `unknown_parent`.
    pub fn knows_parent(&self, transaction: &Transaction<'_>, windows: &Windows) -> bool {
        self.find_parent(transaction, windows).is_some_and(|number| self.is_answering(number, windows))
    }

    /// Remembers a transaction with its answer. To be called for every transaction that was observed and answered,
    /// after it was settled and before another is remembered.
    pub fn remember(
        &mut self,
        known: Known,
        transaction: &Transaction<'_>,
        amount_base_minor: Option<i64>,
        observed: &Observed,
        windows: &Windows,
        body: &[u8],
    ) {
        let time_ms = transaction.time.unix_ms();
        self.highest_ms = windows.highest().map_or(time_ms, super::time::Timestamp::unix_ms);
        self.keep_ms = self.settings.duplicates_ms.max(windows.changeable_ms());
        let entry = Entry {
            fingerprint: known.fingerprint,
            time_ms,
            arrived_ms: self.highest_ms,
            amount_minor: transaction.amount_minor,
            amount_base: BaseAmount::of(amount_base_minor),
            labelled_ms: i64::MIN,
            answer: Address::NONE,
            places: Address::NONE,
            currency: transaction.currency,
            kind: transaction.kind,
            label: LabelKind::Unknown,
            outcome: OutcomeState::Unknown,
            has_amounts: false,
        };
        let number = self.entries.push(entry, known.number);
        let mut short = std::mem::take(&mut self.short);
        self.endings.shorten(body, &transaction.id, &mut short);
        let answer = self.answers.push(&short, number, self.highest_ms);
        let mut places = Address::NONE;
        if !observed.places.items.is_empty() {
            short.clear();
            push_places(&observed.places, &mut short);
            places = self.places.push(&short, number, self.highest_ms);
        }
        self.short = short;
        let entry = self.entries.get_mut(number);
        (entry.answer, entry.places) = (answer, places);
        self.forget();
    }

    /// Takes a reversal's amount out of its parent's sums. `false` if there is no such parent, or if it is one that only
    /// windows in shadow still reach.
    pub fn reverse(
        &mut self,
        reversal: &Transaction<'_>,
        amount_base_minor: Option<i64>,
        windows: &mut Windows,
    ) -> bool {
        let Some(number) = self.find_parent(reversal, windows) else { return false };
        let is_known = self.is_answering(number, windows);
        let entry = self.entries.get(number);
        let mut amounts = self.amounts_of(number);
        let same_currency = entry.currency == reversal.currency;
        amounts.reverse(reversal.amount_minor, amount_base_minor, same_currency);
        self.change(number, amounts, None, None, windows);
        is_known
    }

    /// Applies what the issuer did. `false` if there is no such transaction.
    pub fn outcome(&mut self, outcome: &Outcome<'_>, rates: &Rates, windows: &mut Windows) -> bool {
        let fingerprint = Fingerprint::of(&outcome.processor, &outcome.card, &outcome.id);
        let Some(number) = self.find(fingerprint, windows) else { return false };
        let entry = self.entries.get(number);
        let mut amounts = self.amounts_of(number);
        let state = match outcome.kind {
            OutcomeKind::Approved => OutcomeState::Approved,
            OutcomeKind::Declined => OutcomeState::Declined,
            OutcomeKind::Partial { .. } => OutcomeState::Partial,
        };
        match outcome.kind {
            OutcomeKind::Partial { amount_minor } => {
                amounts.replace(amount_minor, rates.to_base_minor(amount_minor, entry.currency));
            }
            OutcomeKind::Approved | OutcomeKind::Declined => {
                amounts.replace(entry.amount_minor, entry.amount_base.get());
            }
        }
        self.change(number, amounts, Some(state), None, windows);
        true
    }

    /// Applies what a transaction turned out to be. `false` if there is no such transaction.
    pub fn label(&mut self, label: &Label<'_>, windows: &mut Windows) -> bool {
        let fingerprint = Fingerprint::of(&label.processor, &label.card, &label.id);
        let Some(number) = self.find(fingerprint, windows) else { return false };
        let time_ms = label.time.unix_ms();
        // The latest wins, of equal times the later arrival.
        if time_ms >= self.entries.get(number).labelled_ms {
            self.entries.get_mut(number).labelled_ms = time_ms;
            let amounts = self.amounts_of(number);
            self.change(number, amounts, None, Some(label.kind), windows);
        }
        true
    }

    /// How much is held.
    pub fn stats(&self) -> RegistryStats {
        let amounts = self.amounts.allocation_size();
        let bytes = self.entries.bytes() + self.places.held() + self.endings.bytes() + amounts;
        let reach = |number: Option<u64>, horizon_ms: i64| {
            let oldest_ms = number.map(|number| self.entries.get(number).arrived_ms);
            let held_ms = oldest_ms.map_or(horizon_ms, |oldest_ms| self.highest_ms.saturating_sub(oldest_ms));
            held_ms.clamp(0, horizon_ms)
        };
        let oldest = self.entries.oldest();
        // Before anything was dropped the horizon is what was configured.
        let all_ms = if self.forgotten == 0 { self.keep_ms } else { reach(oldest, self.keep_ms) };
        let duplicates_ms = self.settings.duplicates_ms.min(all_ms);
        let horizon_ms = if self.answers_dropped_entry == 0 {
            duplicates_ms
        } else {
            reach(oldest.map(|oldest| oldest.max(self.answers_dropped_entry)), duplicates_ms)
        };
        RegistryStats {
            transactions: self.entries.len() as u64,
            answers: self.answers.runs(),
            answers_bytes: self.answers.held() as u64,
            bytes: bytes as u64,
            horizon_ms,
            transactions_horizon_ms: all_ms,
            forgotten: self.forgotten,
        }
    }

    /// The number of a transaction that is remembered.
    fn find(&self, fingerprint: Fingerprint, windows: &Windows) -> Option<u64> {
        let number = self.entries.find(fingerprint)?;
        let keep_ms = self.settings.duplicates_ms.max(windows.changeable_ms());
        self.is_within(number, keep_ms, windows).then_some(number)
    }

    /// Whether a horizon still reaches a transaction. Whether it has been dropped yet is not seen.
    fn is_within(&self, number: u64, horizon_ms: i64, windows: &Windows) -> bool {
        let highest_ms = windows.highest().map_or(i64::MIN, super::time::Timestamp::unix_ms);
        self.entries.get(number).arrived_ms >= highest_ms.saturating_sub(horizon_ms)
    }

    /// Whether a transaction is kept for what answers ask for, and not only for what models in shadow do.
    fn is_answering(&self, number: u64, windows: &Windows) -> bool {
        self.is_within(number, self.settings.duplicates_ms.max(windows.answering_changeable_ms()), windows)
    }

    fn find_parent(&self, transaction: &Transaction<'_>, windows: &Windows) -> Option<u64> {
        let parent = transaction.parent.as_deref()?;
        let number = self.find(Fingerprint::of(&transaction.processor, &transaction.card, parent), windows)?;
        // A reversal has no amount of its own that could be raised or undone.
        (self.entries.get(number).kind != TransactionType::Reversal).then_some(number)
    }

    fn amounts_of(&self, number: u64) -> Amounts {
        let entry = self.entries.get(number);
        let known = if entry.has_amounts { self.amounts.get(&number).copied() } else { None };
        known.unwrap_or_else(|| Amounts::new(entry.amount_minor, entry.amount_base.get()))
    }

    fn change(
        &mut self,
        number: u64,
        amounts: Amounts,
        outcome: Option<OutcomeState>,
        label: Option<LabelKind>,
        windows: &mut Windows,
    ) {
        let before = self.row_state(number);
        let entry = self.entries.get_mut(number);
        entry.outcome = outcome.unwrap_or(entry.outcome);
        entry.label = label.unwrap_or(entry.label);
        entry.has_amounts = amounts != Amounts::new(entry.amount_minor, entry.amount_base.get());
        if entry.has_amounts {
            self.amounts.insert(number, amounts);
        } else {
            self.amounts.remove(&number);
        }
        let after = self.row_state(number);
        let entry = self.entries.get(number);
        if before == after {
            return;
        }
        if let Some(places) = self.places.get(entry.places).and_then(|bytes| take_places(bytes, entry)) {
            windows.amend(&places, &before, &after);
        }
    }

    fn row_state(&self, number: u64) -> RowState {
        let entry = self.entries.get(number);
        let amounts = self.amounts_of(number);
        RowState {
            net_minor: amounts.net_base_minor(),
            reversed: amounts.is_reversed(),
            fraud: entry.label == LabelKind::Fraud,
            outcome: entry.outcome,
        }
    }

    /// Drops what the horizons and the caps no longer hold.
    fn forget(&mut self) {
        let reach_ms = self.highest_ms.saturating_sub(self.keep_ms);
        for _ in 0..FORGOTTEN_MAX {
            let Some(oldest) = self.entries.oldest() else { break };
            let is_expired = self.entries.get(oldest).arrived_ms < reach_ms;
            let is_surplus = self.entries.len() > self.settings.transactions_max.max(1);
            if !is_expired && !is_surplus {
                break;
            }
            if !is_expired {
                self.forgotten += 1;
            }
            if self.entries.get(oldest).has_amounts {
                self.amounts.remove(&oldest);
            }
            self.entries.pop();
        }
        let first = self.entries.oldest().unwrap_or_default();
        self.places.drop_before_entry(first);
        self.answers.drop_before_entry(first);
        self.answers.drop_before_time(self.highest_ms.saturating_sub(self.settings.duplicates_ms));
        while self.answers.held() > self.settings.answers_max_bytes {
            let Some(last) = self.answers.oldest_chunk_last_entry() else { break };
            let held = self.answers.held();
            self.answers.drop_beyond(self.settings.answers_max_bytes.max(held.saturating_sub(1)));
            if self.answers.held() == held {
                break;
            }
            self.answers_dropped_entry = last + 1;
        }
    }
}

fn push_places(places: &Places, out: &mut Vec<u8>) {
    push_number(out, places.epoch.into());
    push_number(out, places.settled.len() as u64);
    for pair in places.settled.chunks(2) {
        out.push(pair[0] | pair.get(1).map_or(0, |high| high << 4));
    }
    for place in &places.items {
        for number in [place.log, place.slot, place.generation, place.rank] {
            push_number(out, number.into());
        }
    }
}

fn take_places(mut bytes: &[u8], entry: &Entry) -> Option<Places> {
    let bytes = &mut bytes;
    let mut places = Places {
        time_ms: entry.time_ms,
        kind: entry.kind,
        amount_base_minor: entry.amount_base.get(),
        epoch: u16::try_from(take_number(bytes)?).ok()?,
        ..Places::default()
    };
    let settled = usize::try_from(take_number(bytes)?).ok()?;
    let (tables, rest) = bytes.split_at_checked(settled.div_ceil(2))?;
    *bytes = rest;
    places.settled.extend(tables.iter().flat_map(|pair| [pair & 0xf, pair >> 4]).take(settled));
    while !bytes.is_empty() {
        let mut number = || u32::try_from(take_number(bytes)?).ok();
        let (log, slot, generation, rank) = (number()?, number()?, number()?, number()?);
        places.items.push(Place { log, slot, generation, rank });
    }
    Some(places)
}
