//! Every transaction of the horizon: its first answer, and where it stands in the windows. It decides nothing.

use xxhash_rust::xxh3::xxh3_128;

use super::{
    money::Rates,
    plan::SettledBits,
    settings::WindowSettings,
    transaction::{Label, Outcome, Transaction},
    windows::{Observed, Windows},
};

/// A transaction's identity: its processor, card and id, as 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u128);

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

/// Every transaction of the horizon.
pub struct Registry {
    #[expect(dead_code, reason = "read once entries are kept")]
    settings: WindowSettings,
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
}

impl Registry {
    /// An empty registry.
    pub fn new(settings: &WindowSettings) -> Self {
        Self { settings: settings.clone() }
    }

    /// Takes over other horizons and caps.
    pub fn adopt(&mut self, settings: &WindowSettings) {
        self.settings = settings.clone();
    }

    /// Whether a transaction has been here before; if so, appends its first answer to `body`.
    pub fn repeated(
        &self,
        _fingerprint: Fingerprint,
        _transaction: &Transaction<'_>,
        _windows: &Windows,
        _body: &mut Vec<u8>,
    ) -> Repeat {
        Repeat::New
    }

    /// Whether a transaction is known as one that can be raised or reversed: `false` calls for `unknown_parent`.
    pub fn knows_parent(&self, _transaction: &Transaction<'_>, _windows: &Windows) -> bool {
        false
    }

    /// Remembers a transaction with its answer. To be called for every transaction that was observed and answered.
    pub fn remember(
        &mut self,
        _fingerprint: Fingerprint,
        _transaction: &Transaction<'_>,
        _amount_base_minor: Option<i64>,
        _observed: &Observed,
        _settled: &SettledBits,
        _windows: &Windows,
        _body: &[u8],
    ) {
    }

    /// Takes a reversal's amount out of its parent's sums. `false` if there is no such parent.
    pub fn reverse(
        &mut self,
        _reversal: &Transaction<'_>,
        _amount_base_minor: Option<i64>,
        _windows: &mut Windows,
    ) -> bool {
        false
    }

    /// Applies what the issuer did. `false` if there is no such transaction.
    pub fn outcome(&mut self, _outcome: &Outcome<'_>, _rates: &Rates, _windows: &mut Windows) -> bool {
        false
    }

    /// Applies what a transaction turned out to be. `false` if there is no such transaction.
    pub fn label(&mut self, _label: &Label<'_>, _windows: &mut Windows) -> bool {
        false
    }

    /// How much is held.
    pub fn stats(&self) -> RegistryStats {
        RegistryStats::default()
    }
}
