//! Arbitrary streams, fed to windows and registry and to their twin alike. It only compares.

use std::{
    borrow::Cow,
    net::{Ipv4Addr, Ipv6Addr},
};

use proptest::prelude::*;

use super::{
    scoring::{
        field::{AttributeSchema, CHANNELS, Field, FieldType, Value},
        money::{Country, Currency, Decimal, Rates},
        plan::{
            Aggregate, AggregateValue, FilterBits, FilterId, FilterTraits, Function, Key, KeyPart, OutcomeState, Plan,
            SettledBits,
        },
        registry::{Fingerprint, Registry, Repeat},
        settings::WindowSettings,
        time::Timestamp,
        transaction::{AttributeValue, Code, Label, LabelKind, Outcome, OutcomeKind, Transaction, TransactionType},
        windows::Windows,
    },
    twin::{Before, Twin},
};

/// 2018-07-25T00:00:00Z.
const START_MS: i64 = 1_532_476_800_000;
const PROCESSORS: [&str; 2] = ["p1", "p2"];

/// What happens, in small numbers that meet often.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) what: u8,
    /// Time since the step before, or back from the highest time.
    pub(super) time: u16,
    pub(super) who: u8,
    pub(super) fields: u32,
    pub(super) amount: u16,
    pub(super) target: u8,
}

/// A stream: which keys and aggregates a plan has, how time runs, and what happens.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) aggregates: Vec<(u8, u8, u8, u8)>,
    pub(super) is_ordered: bool,
    pub(super) few_keys: bool,
    pub(super) steps: Vec<Step>,
    /// Before which step another plan takes over, and how many aggregates it keeps.
    pub(super) reload: Option<(u8, u8)>,
}

/// Streams of at most `steps_max` steps.
pub(super) fn streams(steps_max: usize, reloads: bool) -> impl Strategy<Value = Stream> {
    let step = (any::<u8>(), any::<u16>(), any::<u8>(), any::<u32>(), any::<u16>(), any::<u8>())
        .prop_map(|(what, time, who, fields, amount, target)| Step { what, time, who, fields, amount, target });
    let reload = if reloads { any::<(u8, u8)>().prop_map(Some).boxed() } else { Just(None).boxed() };
    (
        prop::collection::vec(any::<(u8, u8, u8, u8)>(), 1..12),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.4),
        prop::collection::vec(step, 1..steps_max),
        reload,
    )
        .prop_map(|(aggregates, is_ordered, few_keys, steps, reload)| Stream {
            aggregates,
            is_ordered,
            few_keys,
            steps,
            reload,
        })
}

pub(super) fn schema() -> AttributeSchema {
    AttributeSchema::new([
        ("category".to_owned(), FieldType::Text),
        ("items".to_owned(), FieldType::Integer),
        ("weight".to_owned(), FieldType::Number),
    ])
}

fn rates() -> Rates {
    let mut rates = Rates::new(currency("EUR"));
    rates.set(currency("USD"), Decimal::parse("0.92").expect("a rate"));
    rates
}

fn currency(code: &str) -> Currency {
    Currency::from_code(code).expect("a currency")
}

/// The filters of every plan, and what they test.
pub(super) const FILTERS: [FilterTraits; 6] = [
    FilterTraits { settles_later: false, tests_type: false }, // amount_minor < 500
    FilterTraits { settles_later: false, tests_type: true },  // type == "refund"
    FilterTraits { settles_later: false, tests_type: true },  // type != "verification"
    FilterTraits { settles_later: true, tests_type: false },  // outcome == declined
    FilterTraits { settles_later: true, tests_type: false },  // verdict == deny
    FilterTraits { settles_later: true, tests_type: true },   // type == "refund" and verdict == deny, or partial
];

fn passes(transaction: &Transaction<'_>) -> Vec<[bool; 4]> {
    let is_denied = transaction.amount_minor % 3 == 0;
    let is_refund = transaction.kind == TransactionType::Refund;
    vec![
        [transaction.amount_minor < 500; 4],
        [is_refund; 4],
        [transaction.kind != TransactionType::Verification; 4],
        [false, false, true, false],
        [is_denied; 4],
        [is_refund && is_denied, is_refund && is_denied, is_refund && is_denied, true],
    ]
}

pub(super) fn plan(aggregates: &[(u8, u8, u8, u8)], schema: &AttributeSchema) -> Plan {
    let find = |key| schema.find(key).expect("declared");
    let keys = [
        vec![KeyPart::Field(Field::Card)],
        vec![KeyPart::Field(Field::Merchant)],
        vec![KeyPart::Field(Field::Card), KeyPart::Field(Field::Merchant)],
        vec![KeyPart::Field(Field::Device)],
        vec![KeyPart::Subnet(24)],
        vec![KeyPart::Field(find("attributes.category".trim_start_matches("attributes.")))],
        vec![KeyPart::Field(Field::Amount)],
    ];
    let numbers = [Field::Amount, Field::Amount, find("items"), find("weight")];
    let texts = [Field::Merchant, Field::Device, Field::Country, Field::Amount];
    let windows_ms = [1_000, 2_000, 5_000, 20_000, 60_000, 3_600_000, 60 * 86_400_000];
    let delays_ms = [0, 1_000, 7_500];
    let mut plan = Plan::default();
    for traits in FILTERS {
        plan.filter(traits);
    }
    for (function, key, window, options) in aggregates {
        let number = numbers[usize::from(options >> 5) % numbers.len()];
        let text = texts[usize::from(options >> 5) % texts.len()];
        let function = match function % 16 {
            0 | 1 => Function::Count,
            2..=4 => Function::Distinct(text),
            5 | 6 => Function::Sum(number),
            7 => Function::Mean(number),
            8 => Function::Min(number),
            9 => Function::Max(number),
            10 => Function::Stddev(number),
            11 => Function::Last(text),
            12 => Function::SinceLast,
            13 => Function::Age,
            14 => Function::SpeedKmh,
            _ if options & 8 == 0 => Function::Frauds,
            _ => Function::FraudRate,
        };
        let of_labels = matches!(function, Function::Frauds | Function::FraudRate);
        let of_the_past =
            matches!(function, Function::Last(_) | Function::SinceLast | Function::Age | Function::SpeedKmh);
        let key = plan.key(Key(keys[usize::from(*key) % keys.len()].clone())).expect("room");
        let filter = FilterId(u16::from(options % 16));
        plan.aggregate(Aggregate {
            function,
            key,
            window_ms: if of_the_past { 0 } else { windows_ms[usize::from(*window) % windows_ms.len()] },
            delay_ms: if of_labels { delays_ms[usize::from(*window >> 4) % delays_ms.len()] } else { 0 },
            prior: options & 16 != 0 && !of_the_past,
            filter: (usize::from(filter.0) < FILTERS.len() && !of_the_past).then_some(filter),
        })
        .expect("room");
    }
    plan
}

/// Both sides of a comparison, and the ids given out so far.
pub(super) struct Pair {
    pub(super) windows: Windows,
    pub(super) registry: Registry,
    pub(super) twin: Twin,
    rates: Rates,
    ids: Vec<(usize, u8, String)>,
    now_ms: i64,
    is_ordered: bool,
    few_keys: bool,
    /// Transactions are forgotten early, which the twin does not do.
    forgets: bool,
    values: Vec<AggregateValue>,
    body: Vec<u8>,
}

impl Pair {
    pub(super) fn new(stream: &Stream, settings: &WindowSettings) -> Self {
        let (schema, plan) = (schema(), plan(&stream.aggregates, &schema()));
        Self {
            windows: Windows::new(&plan, &schema, settings),
            registry: Registry::new(settings),
            twin: Twin::new(&plan, &schema, settings),
            rates: rates(),
            ids: Vec::new(),
            now_ms: START_MS,
            is_ordered: stream.is_ordered,
            few_keys: stream.few_keys,
            forgets: settings.transactions_max < stream.steps.len(),
            values: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Does a step on both sides and says where they differ.
    pub(super) fn step(&mut self, step: &Step) -> Result<Option<Seen>, TestCaseError> {
        match step.what {
            0..=199 => self.transaction(step),
            200..=225 => self.outcome(step).map(|()| None),
            _ => self.label(step).map(|()| None),
        }
    }

    fn time_ms(&mut self, step: &Step) -> i64 {
        // Steps of 250 ms meet the edges of windows often; some are odd, some jump.
        let forward = match step.time % 16 {
            0..=3 => 0,
            4..=9 => i64::from(step.time >> 4) % 8 * 250,
            10..=13 => i64::from(step.time >> 4) % 3_000,
            14 => i64::from(step.time >> 4) % 64 * 1_000,
            _ => i64::from(step.time >> 4) * 20_000,
        };
        let is_back = !self.is_ordered && step.target.is_multiple_of(4);
        if is_back {
            // Within lateness mostly, beyond it at times.
            return self.now_ms - if step.target.is_multiple_of(16) { forward * 5 } else { forward % 3_000 };
        }
        self.now_ms += forward;
        self.now_ms
    }

    fn make(&mut self, step: &Step) -> Transaction<'static> {
        let time = Timestamp::from_unix_ms(self.time_ms(step)).expect("a time");
        let fields = step.fields;
        let pick = |shift: u32, count: u32| (fields >> shift) % count;
        let cards = if self.few_keys { 1 } else { 3 };
        let card = format!("c{}", u32::from(step.who) % cards);
        let amount = match step.amount % 8 {
            0 => 0,
            1 => 100,
            2 => 499,
            3 => 500,
            _ => i64::from(step.amount),
        };
        let id = format!("t{}", self.ids.len());
        let code = ["EUR", "EUR", "EUR", "USD", "JPY"][step.amount as usize / 8 % 5];
        let mut made = Transaction::plain(&id, time, &card, amount, currency(code)).into_owned();
        made.processor = Cow::Borrowed(PROCESSORS[usize::from(step.who >> 6) % 2]);
        let optional = |shift, count, prefix: &str| {
            let number = pick(shift, count + 1);
            (number < count).then(|| Cow::Owned(format!("{prefix}{number}")))
        };
        made.merchant = optional(0, if self.few_keys { 12 } else { 3 }, "m");
        made.device = optional(4, 3, "d");
        made.ip = match pick(8, 4) {
            0 | 1 => Some(Ipv4Addr::new(203, 0, pick(9, 2) as u8, pick(10, 3) as u8).into()),
            // Sites of /48 with networks of /64.
            2 => Some(Ipv6Addr::new(0x2001, 0xdb8, pick(9, 2) as u16, pick(10, 3) as u16, 0, 0, 0, 1).into()),
            _ => None,
        };
        made.country = ["FR", "DE", "GB"].get(pick(12, 4) as usize).and_then(|code| Country::from_code(code));
        made.channel = Code::find(CHANNELS, CHANNELS[pick(14, 5) as usize]);
        made.position = (pick(17, 3) > 0).then(|| (f64::from(pick(18, 90)), f64::from(pick(19, 180))));
        let category = optional(22, 2, "k").map(AttributeValue::Text);
        let huge = if pick(24, 16) == 0 { i64::MAX - 3 } else { i64::from(pick(25, 9)) - 4 };
        let items = (pick(26, 4) > 0).then_some(AttributeValue::Plain(Value::Integer(huge)));
        let weight = (pick(28, 4) > 0)
            .then_some(AttributeValue::Plain(Value::Millionths(i64::from(step.amount) * 777 - 9_000_000)));
        made.attributes = [category, items, weight].into_iter().collect();
        made.kind = match step.what {
            110..=124 => TransactionType::Verification,
            125..=139 => TransactionType::Incremental,
            140..=154 => TransactionType::Refund,
            155..=189 => TransactionType::Reversal,
            _ => TransactionType::Authorization,
        };
        if made.kind.needs_parent() {
            let (processor, _, parent) = self.target(step);
            made.processor = Cow::Borrowed(PROCESSORS[processor]);
            let known = self.twin.events.iter().find(|event| event.transaction.id == parent);
            if let Some(known) = known.filter(|_| !step.what.is_multiple_of(8)) {
                // Mostly of the parent's card, often of its currency, wholly or in part.
                made.card.clone_from(&known.transaction.card);
                if !step.amount.is_multiple_of(4) {
                    made.currency = known.transaction.currency;
                }
                if step.amount.is_multiple_of(2) {
                    made.amount_minor = known.transaction.amount_minor / i64::from(1 + step.amount % 3);
                }
            }
            made.parent = Some(Cow::Owned(parent));
        }
        made
    }

    /// An earlier transaction, or none.
    fn target(&self, step: &Step) -> (usize, u8, String) {
        let recent = usize::from(step.target >> 2) % 20;
        let known = self.ids.len().checked_sub(1 + recent).and_then(|place| self.ids.get(place));
        known.cloned().unwrap_or((0, 0, "unknown".to_owned()))
    }

    fn transaction(&mut self, step: &Step) -> Result<Option<Seen>, TestCaseError> {
        let mut transaction = self.make(step);
        if (190..=199).contains(&step.what) {
            let (_, _, id) = self.target(step);
            if let Some(known) = self.twin.events.iter().rev().find(|event| event.transaction.id == id) {
                let again = known.transaction.clone();
                transaction = Transaction { amount_minor: again.amount_minor + i64::from(step.what % 2), ..again };
            }
        }
        self.observe(&transaction).map(Some)
    }

    /// A transaction on both sides, as a scorer takes it through.
    pub(super) fn observe(&mut self, transaction: &Transaction<'static>) -> Result<Seen, TestCaseError> {
        let fingerprint = Fingerprint::of(&transaction.processor, &transaction.card, &transaction.id);
        let remembered = self.registry.known(fingerprint);
        self.body.clear();
        let repeat = self.registry.repeated(remembered, transaction, &self.windows, &mut self.body);
        let before = match repeat {
            Repeat::New => Before::No,
            Repeat::Answered => Before::Same(self.body.clone()),
            Repeat::Conflict => Before::Other,
        };
        let known = self.twin.before(transaction);
        prop_assert!(self.forgets || before == known, "{before:?} instead of {known:?}");
        let mut seen = Seen { is_repeated: before != Before::No, ..Seen::default() };
        if seen.is_repeated {
            return Ok(seen);
        }
        let base = self.rates.to_base_minor(transaction.amount_minor, transaction.currency);
        let passes = passes(transaction);
        let (mut filters, mut settled) = (FilterBits::default(), SettledBits::default());
        filters.clear(FILTERS.len());
        settled.clear(FILTERS.len());
        for (filter, traits) in FILTERS.iter().enumerate() {
            let id = FilterId(filter as u16);
            if traits.settles_later {
                for state in OutcomeState::ALL {
                    settled.set(id, state, passes[filter][state as usize]);
                }
            } else {
                filters.set(id, passes[filter][0]);
            }
        }
        seen.may_be_evicted = self.twin.see_keys(transaction, base, &passes);
        let mut observed = self.windows.observe(transaction, base, &filters, &mut self.values);
        seen.expected = self.twin.answers(transaction, base, &passes);
        seen.values.clone_from(&self.values);
        let is_late = self.twin.is_late(transaction.time.unix_ms());
        prop_assert_eq!(observed.late, is_late);
        (seen.late, seen.approximate) = (observed.late, observed.approximate);
        (seen.evicted, seen.filling) = (observed.evicted, observed.filling);

        let body = format!("{{\"id\":\"{}\",\"verdict\":\"approve\"],\"versions\":{{}}}}", transaction.id);
        self.twin.highest_ms = self.twin.highest_ms.max(Some(transaction.time.unix_ms()));
        if transaction.kind == TransactionType::Reversal {
            let found = self.registry.reverse(transaction, base, &mut self.windows);
            let known = self.twin.reverse(transaction, base);
            prop_assert!(self.forgets || found == known);
        } else {
            let found = self.registry.knows_parent(transaction, &self.windows);
            prop_assert!(self.forgets || found == self.twin.parent(transaction).is_some());
        }
        self.windows.settle(&mut observed.places, &settled);
        self.registry.remember(remembered, transaction, base, &observed, &self.windows, body.as_bytes());
        self.twin.take(transaction, base, &passes, body.as_bytes());
        let processor = usize::from(transaction.processor == PROCESSORS[1]);
        let card = transaction.card.as_bytes().last().copied().unwrap_or(b'0') - b'0';
        self.ids.push((processor, card, transaction.id.to_string()));
        Ok(seen)
    }

    fn outcome(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let (processor, card, id) = self.target(step);
        let kind = match step.amount % 4 {
            0 => OutcomeKind::Approved,
            1 | 2 => OutcomeKind::Declined,
            _ => OutcomeKind::Partial { amount_minor: i64::from(step.amount >> 2) % 600 },
        };
        let outcome = Outcome {
            processor: PROCESSORS[processor].into(),
            card: format!("c{card}").into(),
            id: id.into(),
            time: Timestamp::from_unix_ms(self.now_ms).expect("a time"),
            kind,
        };
        let found = self.registry.outcome(&outcome, &self.rates, &mut self.windows);
        let known = self.twin.outcome(&outcome, &self.rates);
        prop_assert!(self.forgets || found == known);
        Ok(())
    }

    fn label(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let (processor, card, id) = self.target(step);
        let label = Label {
            processor: PROCESSORS[processor].into(),
            card: format!("c{card}").into(),
            id: id.into(),
            time: Timestamp::from_unix_ms(START_MS + i64::from(step.amount >> 2) % 4).expect("a time"),
            kind: [LabelKind::Fraud, LabelKind::Fraud, LabelKind::Legit, LabelKind::Unknown]
                [usize::from(step.amount) % 4],
        };
        let found = self.registry.label(&label, &mut self.windows);
        let known = self.twin.label(&label);
        prop_assert!(self.forgets || found == known);
        Ok(())
    }
}

/// What both sides said of a transaction.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of a verdict")]
pub(super) struct Seen {
    pub(super) is_repeated: bool,
    pub(super) late: bool,
    pub(super) approximate: bool,
    pub(super) evicted: bool,
    pub(super) filling: bool,
    /// One of its keys has no state, and something of that key's kind was evicted.
    pub(super) may_be_evicted: bool,
    pub(super) values: Vec<AggregateValue>,
    pub(super) expected: Vec<AggregateValue>,
}

impl Seen {
    /// Fails where the two sides differ.
    pub(super) fn compare(&self, plan: &Plan) -> Result<(), TestCaseError> {
        self.compare_some(plan, |_| true)
    }

    /// Fails where the two sides differ about some aggregates.
    pub(super) fn compare_some(&self, plan: &Plan, picks: impl Fn(&Aggregate) -> bool) -> Result<(), TestCaseError> {
        for (place, (value, expected)) in self.values.iter().zip(&self.expected).enumerate() {
            let aggregate = &plan.aggregates[place];
            if !picks(aggregate) {
                continue;
            }
            // The past of a transaction that comes too late is only what is still kept of it.
            let of_the_past = matches!(
                aggregate.function,
                Function::Last(_) | Function::SinceLast | Function::Age | Function::SpeedKmh
            );
            if self.late && of_the_past {
                continue;
            }
            let key = &plan.keys[usize::from(aggregate.key.0)];
            prop_assert!(is_close(value, expected), "{aggregate:?} of {key:?}: {value:?} instead of {expected:?}");
        }
        prop_assert_eq!(self.values.len(), self.expected.len());
        Ok(())
    }
}

/// Counts and sums are equal; means, deviations and speeds to nine digits.
fn is_close(left: &AggregateValue, right: &AggregateValue) -> bool {
    match (left, right) {
        (AggregateValue::Real(left), AggregateValue::Real(right)) => {
            (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(1e-3)
        }
        (left, right) => left == right,
    }
}

/// The settings of a stream: small, so that every edge is met.
pub(super) fn settings(is_ordered: bool) -> WindowSettings {
    WindowSettings {
        lateness_ms: if is_ordered { 0 } else { 3_000 },
        duplicates_ms: 10_000,
        // Without disorder the horizon can be short.
        horizon_ms: if is_ordered { 8_000 } else { 90 * 86_400_000 },
        events_per_key_max: 100_000,
        keys_max: 1_000_000,
        transactions_max: 1_000_000,
        answers_max_bytes: 1 << 30,
    }
}

/// Runs a stream on both sides, which must agree at every step.
pub(super) fn run(stream: &Stream) -> Result<(), TestCaseError> {
    let mut pair = Pair::new(stream, &settings(stream.is_ordered));
    for step in &stream.steps {
        if let Some(seen) = pair.step(step)?.filter(|seen| !seen.is_repeated) {
            seen.compare(&pair.twin.plan)?;
            prop_assert!(!seen.approximate && !seen.evicted && !seen.filling);
        }
    }
    Ok(())
}

/// Runs a stream in the middle of which another plan takes over. What both plans ask for goes on; what is new is
/// right, or reported as filling.
pub(super) fn run_reload(stream: &Stream) -> Result<(), TestCaseError> {
    let mut settings = settings(stream.is_ordered);
    // How long transactions are remembered does not depend on the plan here.
    settings.duplicates_ms = 400 * 86_400_000;
    let Some((before, kept)) = stream.reload else { return Ok(()) };
    let kept = usize::from(kept) % (stream.aggregates.len() + 1);
    let (first, second) = (
        Stream { aggregates: stream.aggregates[kept / 3..].to_vec(), ..stream.clone() },
        plan(&stream.aggregates[..kept], &schema()),
    );
    let mut pair = Pair::new(&first, &settings);
    let old = pair.twin.plan.clone();
    let is_subset = second.aggregates.iter().all(|new| asks_the_same(&old, &second, new));
    let mut reloaded = false;
    for (place, step) in stream.steps.iter().enumerate() {
        if place == usize::from(before) % stream.steps.len() {
            let same: Vec<_> = (0..FILTERS.len()).map(|filter| Some(FilterId(filter as u16))).collect();
            pair.windows.adopt(&second, &schema(), &settings, &same);
            pair.twin.adopt(&second);
            reloaded = true;
        }
        let Some(seen) = pair.step(step)?.filter(|seen| !seen.is_repeated) else { continue };
        prop_assert!(!seen.filling || reloaded && !is_subset);
        // A transaction that comes too late sees what was kept for the plan before.
        if reloaded && seen.late {
            continue;
        }
        let is_filling = seen.filling;
        seen.compare_some(&pair.twin.plan, |new| !is_filling || asks_the_same(&old, &second, new))?;
    }
    Ok(())
}

/// Whether an aggregate of a new plan was asked for in the old one.
fn asks_the_same(old: &Plan, new: &Plan, aggregate: &Aggregate) -> bool {
    old.aggregates.iter().any(|known| {
        let same_key = old.keys[usize::from(known.key.0)] == new.keys[usize::from(aggregate.key.0)];
        same_key && Aggregate { key: aggregate.key, ..known.clone() } == *aggregate
    })
}

/// Runs a stream with room for few keys: the least recently seen go, and what may miss something says so.
pub(super) fn run_evictions(stream: &Stream) -> Result<(), TestCaseError> {
    let mut stream = stream.clone();
    // The age of every key keeps it until it is evicted.
    let ages: Vec<_> = stream.aggregates.iter().map(|(_, key, _, _)| (13, *key, 0, 0)).collect();
    stream.aggregates.extend(ages);
    stream.is_ordered = false;
    let settings = WindowSettings { keys_max: stream.steps.len() / 8, ..settings(false) };
    let mut pair = Pair::new(&stream, &settings);
    let keys_max = settings.keys_max.max(2 * pair.twin.plan.keys.len());
    for step in &stream.steps {
        if let Some(seen) = pair.step(step)?.filter(|seen| !seen.is_repeated) {
            seen.compare(&pair.twin.plan)?;
            prop_assert_eq!(seen.evicted, seen.may_be_evicted);
        }
        prop_assert!(pair.windows.stats().keys.iter().sum::<u64>() <= keys_max as u64);
    }
    Ok(())
}

/// Runs a stream with room for few rows of a key: what is not flagged is exact, and what is flagged is what a window
/// would answer whose beginning is moved by at most 1/64 of its distance.
pub(super) fn run_folds(stream: &Stream, events_per_key_max: usize) -> Result<(), TestCaseError> {
    let settings = WindowSettings { events_per_key_max, ..settings(false) };
    let mut pair = Pair::new(stream, &settings);
    for step in &stream.steps {
        // Nothing that changes folded rows, for which no bound is stated.
        let step = Step { what: step.what % 155, ..step.clone() };
        let highest_ms = pair.twin.highest_ms;
        let Some(seen) = pair.step(&step)?.filter(|seen| !seen.is_repeated && !seen.late) else { continue };
        if !seen.approximate {
            seen.compare(&pair.twin.plan)?;
            continue;
        }
        let current = pair.twin.events.len() - 1;
        if highest_ms > Some(pair.twin.events[current].time_ms) {
            continue;
        }
        for (place, value) in seen.values.iter().enumerate() {
            let bounds = pair.twin.bounds(place, current);
            let AggregateValue::Integer(value) = value else { continue };
            let Some((least, most)) = bounds else { continue };
            let aggregate = &pair.twin.plan.aggregates[place];
            prop_assert!((least..=most).contains(value), "{aggregate:?}: {value} not in {least}..={most}");
        }
    }
    Ok(())
}
