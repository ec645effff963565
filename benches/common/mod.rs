//! What the benches of the windows share: the plan of the project's targets, and streams for it. It measures
//! no time.

#![allow(dead_code, reason = "each bench uses its part")]

use std::net::Ipv4Addr;

use gavel::scoring::{
    field::{AttributeSchema, Field},
    money::Currency,
    plan::{Aggregate, AggregateValue, FilterBits, Function, Key, KeyPart, Plan},
    settings::WindowSettings,
    time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp},
    transaction::Transaction,
    windows::{Observed, Windows},
};

/// 2018-07-25T00:00:00Z.
pub(crate) const START_MS: i64 = 1_532_476_800_000;
/// Merchants of every stream.
pub(crate) const MERCHANTS: u64 = 10_000;
/// Cards behind one address.
pub(crate) const CARDS_PER_IP: u64 = 4;

/// Adds an aggregate without options to a plan.
pub(crate) fn ask(plan: &mut Plan, function: Function, field: Field, window_ms: i64) {
    let key = plan.key(Key(vec![KeyPart::Field(field)])).expect("a plan has room for a few keys");
    let aggregate = Aggregate { function, key, window_ms, delay_ms: 0, prior: false, filter: None };
    plan.aggregate(aggregate).expect("a plan has room for a few aggregates");
}

/// The card's part of the target's plan: count and sum over five windows, distinct merchants, time since the last.
pub(crate) fn card_plan() -> Plan {
    let mut plan = Plan::default();
    for window_ms in [MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, DAY_MS, 7 * DAY_MS] {
        ask(&mut plan, Function::Count, Field::Card, window_ms);
        ask(&mut plan, Function::Sum(Field::Amount), Field::Card, window_ms);
    }
    ask(&mut plan, Function::Distinct(Field::Merchant), Field::Card, DAY_MS);
    ask(&mut plan, Function::SinceLast, Field::Card, 0);
    plan
}

/// The whole of it: counts over an hour and a day on device, address and merchant as well.
pub(crate) fn whole_plan() -> Plan {
    let mut plan = card_plan();
    for field in [Field::Device, Field::Ip, Field::Merchant] {
        ask(&mut plan, Function::Count, field, HOUR_MS);
        ask(&mut plan, Function::Count, field, DAY_MS);
    }
    plan
}

/// A transaction in numbers.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub(crate) time_ms: i64,
    pub(crate) card: u64,
    pub(crate) merchant: u64,
    pub(crate) amount_minor: i64,
}

/// The texts of a transaction, used again for the next.
#[derive(Default)]
pub(crate) struct Texts {
    id: String,
    card: String,
    device: String,
    merchant: String,
}

impl Texts {
    /// Writes an event's texts.
    pub(crate) fn write(&mut self, event: &Event) {
        use std::fmt::Write as _;
        for (text, prefix, number) in [
            (&mut self.id, "t-", event.time_ms as u64),
            (&mut self.card, "card_0000", event.card),
            (&mut self.device, "device_0000", event.card),
            (&mut self.merchant, "merchant_", event.merchant),
        ] {
            text.clear();
            write!(text, "{prefix}{number}").expect("writing to a string");
        }
    }

    /// The transaction of the event that was written last.
    pub(crate) fn transaction<'t>(&'t self, event: &Event, euro: Currency) -> Transaction<'t> {
        let time = Timestamp::from_unix_ms(event.time_ms).expect("a time of this century");
        let mut transaction = Transaction::plain(&self.id, time, &self.card, event.amount_minor, euro);
        transaction.merchant = Some(self.merchant.as_str().into());
        transaction.device = Some(self.device.as_str().into());
        transaction.ip = Some(Ipv4Addr::from_bits(0x0a00_0000 + (event.card / CARDS_PER_IP) as u32).into());
        transaction
    }
}

/// Windows and what they need beside them.
pub(crate) struct Bench {
    pub(crate) windows: Windows,
    pub(crate) filters: FilterBits,
    pub(crate) values: Vec<AggregateValue>,
    pub(crate) euro: Currency,
    texts: Texts,
}

impl Bench {
    pub(crate) fn new(plan: &Plan, settings: &WindowSettings) -> Self {
        Self {
            windows: Windows::new(plan, &AttributeSchema::default(), settings),
            filters: FilterBits::default(),
            values: Vec::new(),
            euro: Currency::from_code("EUR").expect("a currency"),
            texts: Texts::default(),
        }
    }

    /// Takes an event in without measuring it.
    pub(crate) fn observe(&mut self, event: &Event) -> Observed {
        self.texts.write(event);
        let transaction = self.texts.transaction(event, self.euro);
        self.windows.observe(&transaction, Some(event.amount_minor), &self.filters, &mut self.values)
    }
}

/// Numbers in an order that looks random and is the same each time (`SplitMix64`).
pub(crate) struct Numbers(pub u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }
}

/// What the system says this process takes of memory.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or_default() * 1_024
}
