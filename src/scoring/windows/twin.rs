//! The plain twin of windows and registry: a vector of everything and a filter. Nothing here is clever or fast, and it
//! shares no code with what it is compared to.

use super::scoring::{
    field::{AttributeSchema, Field, FieldType, Value},
    money::Rates,
    plan::{Aggregate, AggregateValue, Function, KeyPart, Plan},
    settings::WindowSettings,
    transaction::{Label, LabelKind, Outcome, OutcomeKind, Transaction, TransactionType},
};

use TransactionType::{Authorization, Incremental, Refund, Reversal, Verification};

/// Everything that has happened.
pub(super) struct Twin {
    pub(super) plan: Plan,
    pub(super) schema: AttributeSchema,
    pub(super) settings: WindowSettings,
    pub(super) events: Vec<Event>,
    pub(super) highest_ms: Option<i64>,
    /// The keys held, by place in the plan and text, each with the number of the transaction that saw it last.
    held: Vec<(usize, String, usize)>,
    /// By key: something of it was evicted.
    evicted: Vec<bool>,
    observed: usize,
}

/// A transaction and what became of it.
pub(super) struct Event {
    pub(super) transaction: Transaction<'static>,
    pub(super) time_ms: i64,
    /// The highest event time when it had arrived.
    arrived_ms: i64,
    base: Option<i64>,
    keys: Vec<Option<String>>,
    values: Vec<Option<String>>,
    /// By filter: whether it passes in each outcome state.
    pub(super) passes: Vec<[bool; 4]>,
    outcome: usize,
    steps: Vec<Step>,
    label: Option<(i64, LabelKind)>,
    pub(super) answer: Vec<u8>,
    /// By key: it was forgotten with its key.
    pub(super) evicted: Vec<bool>,
}

#[derive(Clone, Copy)]
enum Step {
    Reversed { amount: i64, base: Option<i64>, same_currency: bool },
    Replaced { amount: i64, base: Option<i64> },
}

/// Whether a transaction has been here before.
#[derive(Debug, PartialEq)]
pub(super) enum Before {
    No,
    Same(Vec<u8>),
    Other,
}

impl Twin {
    pub(super) fn new(plan: &Plan, schema: &AttributeSchema, settings: &WindowSettings) -> Self {
        Self {
            plan: plan.clone(),
            schema: schema.clone(),
            settings: settings.clone(),
            events: Vec::new(),
            highest_ms: None,
            held: Vec::new(),
            evicted: vec![false; plan.keys.len()],
            observed: 0,
        }
    }

    /// Another plan takes over; everything stays known.
    pub(super) fn adopt(&mut self, plan: &Plan) {
        self.plan = plan.clone();
        for place in 0..self.events.len() {
            let known = &self.events[place];
            let made = self.event(&known.transaction, known.base, &known.passes);
            let known = &mut self.events[place];
            (known.keys, known.values, known.evicted) = (made.keys, made.values, made.evicted);
        }
        self.held.clear();
        self.evicted = vec![false; plan.keys.len()];
    }

    /// Sees the keys of a transaction and evicts the least recently seen beyond the cap. Nothing ever expires here: it
    /// is for plans that ask every key for its age. Says whether a key has no state that may have been evicted.
    pub(super) fn see_keys(
        &mut self,
        transaction: &Transaction<'static>,
        base: Option<i64>,
        passes: &[[bool; 4]],
    ) -> bool {
        let event = self.event(transaction, base, passes);
        self.observed += 1;
        let mut is_evicted = false;
        let mut new = Vec::new();
        for (place, key) in event.keys.iter().enumerate() {
            let Some(key) = key else { continue };
            match self.held.iter_mut().find(|(known, text, _)| *known == place && text == key) {
                Some((_, _, seen)) => *seen = self.observed,
                None => new.push((place, key.clone())),
            }
        }
        for (place, key) in new {
            // For an earlier key of the same transaction, perhaps.
            is_evicted |= self.evicted[place];
            if !self.enters(place, &event) {
                continue;
            }
            while self.held.len() >= self.settings.keys_max.max(2 * self.plan.keys.len()) {
                let oldest = self.held.iter().enumerate().min_by_key(|(_, (place, _, seen))| (*seen, *place));
                let (victim, _) = oldest.expect("there is one");
                let (victim_place, text, _) = self.held.remove(victim);
                self.evicted[victim_place] = true;
                for event in &mut self.events {
                    event.evicted[victim_place] |= event.keys[victim_place].as_ref() == Some(&text);
                }
            }
            self.held.push((place, key, self.observed));
        }
        is_evicted
    }

    fn enters(&self, key: usize, event: &Event) -> bool {
        let kind = event.transaction.kind;
        let highest_ms = self.highest_ms.map_or(event.time_ms, |highest| highest.max(event.time_ms));
        self.plan.aggregates.iter().enumerate().filter(|(_, aggregate)| usize::from(aggregate.key.0) == key).any(
            |(place, aggregate)| {
                let filter = aggregate.filter.map(|filter| (self.plan.filters[usize::from(filter.0)], filter));
                let kinds: &[TransactionType] = match aggregate.function {
                    Function::Last(_) | Function::SinceLast | Function::Age | Function::SpeedKmh => {
                        return matches!(kind, Authorization | Verification);
                    }
                    Function::Count | Function::Distinct(_) | Function::Frauds | Function::FraudRate => {
                        &[Authorization, Verification]
                    }
                    Function::Sum(_) => &[Authorization, Incremental],
                    _ => &[Authorization],
                };
                let is_admitted =
                    kinds.contains(&kind) || kind == Refund && filter.is_some_and(|(traits, _)| traits.tests_type);
                let may_pass = filter
                    .is_none_or(|(traits, filter)| traits.settles_later || event.passes[usize::from(filter.0)][0]);
                let has_value = match aggregate.function {
                    Function::Distinct(_) => event.values[place].is_some(),
                    Function::Count | Function::Frauds | Function::FraudRate => true,
                    function => function.field().is_some_and(|field| number_of(event, field).is_some()),
                };
                let is_reached = event.time_ms > highest_ms - self.retention_ms(aggregate);
                is_admitted && may_pass && has_value && is_reached
            },
        )
    }

    pub(super) fn is_late(&self, time_ms: i64) -> bool {
        self.highest_ms.is_some_and(|highest| time_ms < highest - self.settings.lateness_ms)
    }

    /// The answers of every aggregate, before the transaction itself is taken in.
    pub(super) fn answers(
        &self,
        transaction: &Transaction<'static>,
        base: Option<i64>,
        passes: &[[bool; 4]],
    ) -> Vec<AggregateValue> {
        let current = self.event(transaction, base, passes);
        (0..self.plan.aggregates.len()).map(|place| self.answer(place, &current)).collect()
    }

    /// Takes a transaction in.
    pub(super) fn take(
        &mut self,
        transaction: &Transaction<'static>,
        base: Option<i64>,
        passes: &[[bool; 4]],
        answer: &[u8],
    ) {
        let mut event = self.event(transaction, base, passes);
        event.answer = answer.to_vec();
        event.arrived_ms = self.highest_ms.map_or(event.time_ms, |highest| highest.max(event.time_ms));
        self.highest_ms = Some(event.arrived_ms);
        self.events.push(event);
    }

    /// Whether a transaction has been here before.
    pub(super) fn before(&self, transaction: &Transaction<'_>) -> Before {
        let found = self.events.iter().rev().find(|event| same_identity(event, transaction, &transaction.id));
        let Some(event) = found else { return Before::No };
        if self.highest_ms.is_some_and(|highest| event.arrived_ms < highest - self.settings.duplicates_ms) {
            return Before::No;
        }
        let (known, new) = (&event.transaction, transaction);
        if (known.amount_minor, known.currency, known.kind) == (new.amount_minor, new.currency, new.kind) {
            Before::Same(event.answer.clone())
        } else {
            Before::Other
        }
    }

    /// The parent of a transaction.
    pub(super) fn parent(&self, transaction: &Transaction<'_>) -> Option<usize> {
        let parent = transaction.parent.as_deref()?;
        let place = self.events.iter().rposition(|event| same_identity(event, transaction, parent))?;
        (self.is_remembered(place) && self.events[place].transaction.kind != Reversal).then_some(place)
    }

    pub(super) fn reverse(&mut self, reversal: &Transaction<'_>, base: Option<i64>) -> bool {
        let Some(parent) = self.parent(reversal) else { return false };
        let same_currency = self.events[parent].transaction.currency == reversal.currency;
        let step = Step::Reversed { amount: reversal.amount_minor, base, same_currency };
        self.events[parent].steps.push(step);
        true
    }

    pub(super) fn outcome(&mut self, outcome: &Outcome<'_>, rates: &Rates) -> bool {
        let Some(place) = self.find(&outcome.processor, &outcome.card, &outcome.id) else { return false };
        let event = &mut self.events[place];
        let (state, amount) = match outcome.kind {
            OutcomeKind::Approved => (1, event.transaction.amount_minor),
            OutcomeKind::Declined => (2, event.transaction.amount_minor),
            OutcomeKind::Partial { amount_minor } => (3, amount_minor),
        };
        event.outcome = state;
        let base = if state == 3 { rates.to_base_minor(amount, event.transaction.currency) } else { event.base };
        event.steps.push(Step::Replaced { amount, base });
        true
    }

    pub(super) fn label(&mut self, label: &Label<'_>) -> bool {
        let Some(place) = self.find(&label.processor, &label.card, &label.id) else { return false };
        let time_ms = label.time.unix_ms();
        let event = &mut self.events[place];
        if event.label.is_none_or(|(known, _)| known <= time_ms) {
            event.label = Some((time_ms, label.kind));
        }
        true
    }

    /// What an aggregate that only grows with its window would answer an event, with the window's beginning moved by
    /// 1/64 of its distance either way.
    pub(super) fn bounds(&self, place: usize, event: usize) -> Option<(i64, i64)> {
        let aggregate = &self.plan.aggregates[place];
        let grows =
            matches!(aggregate.function, Function::Count | Function::Distinct(_) | Function::Sum(Field::Amount));
        let settles = aggregate.filter.is_some_and(|filter| self.plan.filters[usize::from(filter.0)].settles_later);
        if !grows || settles {
            return None;
        }
        let moved = (aggregate.window_ms + aggregate.delay_ms) / 64 + 1;
        let answer = |window_ms: i64| {
            let mut other = Self::new(&self.plan, &self.schema, &self.settings);
            other.plan.aggregates[place].window_ms = window_ms;
            other.highest_ms = self.highest_ms;
            let current = &self.events[event];
            // What lies outside is as good as absent: only this aggregate is asked.
            other.events = self.events[..event].iter().map(Event::again).collect();
            match other.answer(place, current) {
                AggregateValue::Integer(value) => Some(value),
                _ => None,
            }
        };
        Some((answer(aggregate.window_ms - moved)?, answer(aggregate.window_ms + moved)?))
    }

    fn event(&self, transaction: &Transaction<'static>, base: Option<i64>, passes: &[[bool; 4]]) -> Event {
        let text = |field: Field| transaction.value(field, base).map(|value| text_of(field, value, transaction));
        let key_text = |parts: &Vec<KeyPart>| -> Option<String> {
            let parts: Option<Vec<String>> = parts
                .iter()
                .map(|part| match part {
                    KeyPart::Field(field) => text(*field),
                    KeyPart::Subnet(24) => transaction.ip.map(|ip| match ip {
                        std::net::IpAddr::V4(ip) => format!("{:?}", &ip.octets()[..3]),
                        std::net::IpAddr::V6(ip) => format!("{:?}", &ip.octets()[..6]),
                    }),
                    KeyPart::Subnet(_) => None,
                })
                .collect();
            Some(parts?.join(" & "))
        };
        Event {
            transaction: transaction.clone(),
            time_ms: transaction.time.unix_ms(),
            arrived_ms: 0,
            base,
            keys: self.plan.keys.iter().map(|key| key_text(&key.0)).collect(),
            values: self.plan.aggregates.iter().map(|aggregate| text(aggregate.function.field()?)).collect(),
            passes: passes.to_vec(),
            outcome: 0,
            steps: Vec::new(),
            label: None,
            answer: Vec::new(),
            evicted: vec![false; self.plan.keys.len()],
        }
    }

    fn find(&self, processor: &str, card: &str, id: &str) -> Option<usize> {
        let is_same = |event: &Event| {
            let known = &event.transaction;
            known.processor == processor && known.card == card && known.id == id
        };
        let place = self.events.iter().rposition(is_same)?;
        self.is_remembered(place).then_some(place)
    }

    fn is_remembered(&self, place: usize) -> bool {
        let changeable = self.plan.aggregates.iter().filter(|aggregate| {
            let settles = aggregate.filter.is_some_and(|filter| self.plan.filters[usize::from(filter.0)].settles_later);
            let changes = matches!(
                aggregate.function,
                Function::Sum(_)
                    | Function::Mean(_)
                    | Function::Min(_)
                    | Function::Max(_)
                    | Function::Stddev(_)
                    | Function::Frauds
                    | Function::FraudRate
            );
            settles || changes
        });
        let longest = changeable.map(|aggregate| self.retention_ms(aggregate)).max().unwrap_or_default();
        let keep_ms = longest.max(self.settings.duplicates_ms);
        self.highest_ms.is_none_or(|highest| self.events[place].arrived_ms >= highest - keep_ms)
    }

    /// The longest window on the aggregate's key, and the lateness.
    fn retention_ms(&self, aggregate: &Aggregate) -> i64 {
        let same_key = self.plan.aggregates.iter().filter(|other| other.key == aggregate.key);
        let longest = same_key.map(|other| other.window_ms + other.delay_ms).max().unwrap_or_default();
        longest + self.settings.lateness_ms
    }

    fn answer(&self, place: usize, current: &Event) -> AggregateValue {
        let aggregate = &self.plan.aggregates[place];
        let key_place = usize::from(aggregate.key.0);
        let Some(key) = &current.keys[key_place] else { return AggregateValue::Missing };
        let same_key = |event: &&Event| event.keys[key_place].as_ref() == Some(key) && !event.evicted[key_place];
        let mut earlier: Vec<&Event> =
            self.events.iter().filter(same_key).filter(|event| event.time_ms <= current.time_ms).collect();
        earlier.sort_by_key(|event| event.time_ms);
        if matches!(aggregate.function, Function::Last(_) | Function::SinceLast | Function::Age | Function::SpeedKmh) {
            return self.of_the_past(aggregate, &earlier, current);
        }
        let until_ms = current.time_ms - aggregate.delay_ms;
        let highest_ms = self.highest_ms.map_or(current.time_ms, |highest| highest.max(current.time_ms));
        let from_ms = (until_ms - aggregate.window_ms).max(highest_ms - self.retention_ms(aggregate));
        let settles = aggregate.filter.is_some_and(|filter| self.plan.filters[usize::from(filter.0)].settles_later);
        let mut inside: Vec<&Event> =
            earlier.into_iter().filter(|event| event.time_ms > from_ms && event.time_ms <= until_ms).collect();
        let sees_itself = !aggregate.prior && !settles && !matches!(current.transaction.kind, Refund | Reversal);
        // However late it comes, it is part of its own answer.
        if sees_itself && aggregate.delay_ms == 0 {
            inside.push(current);
        }
        self.of_the_window(place, aggregate, &inside)
    }

    fn of_the_window(&self, place: usize, aggregate: &Aggregate, inside: &[&Event]) -> AggregateValue {
        let filter = aggregate.filter.map(|filter| usize::from(filter.0));
        let tests_type = filter.is_some_and(|filter| self.plan.filters[filter].tests_type);
        let enters = |event: &&&Event, kinds: &[TransactionType]| {
            let kind = event.transaction.kind;
            (kinds.contains(&kind) || kind == Refund && tests_type)
                && filter.is_none_or(|filter| event.passes[filter][event.outcome])
        };
        let attempts = |kinds: &[TransactionType]| -> Vec<&Event> {
            inside.iter().filter(|event| enters(event, kinds)).copied().collect()
        };
        let counted = || attempts(&[Authorization, Verification]);
        let frauds = || counted().iter().filter(|event| is_fraud(event)).count();
        let integer = |number: usize| AggregateValue::Integer(number as i64);
        let numbers = |events: Vec<&Event>, value: fn(&Event, Field) -> Option<i64>| -> Vec<i128> {
            let field = aggregate.function.field().expect("a function of a field");
            events.into_iter().filter_map(|event| value(event, field)).map(i128::from).collect()
        };
        let standing = || attempts(&[Authorization]).into_iter().filter(|event| !event.left().1).collect::<Vec<_>>();
        match aggregate.function {
            Function::Count => integer(counted().len()),
            Function::Distinct(_) => {
                let mut values: Vec<_> = counted().iter().filter_map(|event| event.values[place].clone()).collect();
                values.sort();
                values.dedup();
                integer(values.len())
            }
            Function::Frauds => integer(frauds()),
            Function::FraudRate if counted().is_empty() => AggregateValue::Missing,
            Function::FraudRate => AggregateValue::Real(frauds() as f64 / counted().len() as f64),
            Function::Sum(field) => {
                let entering = attempts(&[Authorization, Incremental]);
                let values = numbers(entering, |event, field| match field {
                    Field::Amount => event.left().0,
                    _ => number_of(event, field).filter(|_| !event.left().1),
                });
                self.number(field, i64::try_from(values.iter().sum::<i128>()).ok())
            }
            Function::Min(field) => {
                self.number(field, numbers(standing(), number_of).into_iter().min().map(|value| value as i64))
            }
            Function::Max(field) => {
                self.number(field, numbers(standing(), number_of).into_iter().max().map(|value| value as i64))
            }
            Function::Mean(field) | Function::Stddev(field) => {
                let values = numbers(standing(), number_of);
                if values.is_empty() {
                    return AggregateValue::Missing;
                }
                let mean = values.iter().sum::<i128>() as f64 / values.len() as f64;
                let unit = self.unit(field);
                if matches!(aggregate.function, Function::Mean(_)) {
                    return AggregateValue::Real(mean / unit);
                }
                let squares: f64 = values.iter().map(|value| (*value as f64 - mean) * (*value as f64 - mean)).sum();
                AggregateValue::Real((squares / values.len() as f64).sqrt() / unit)
            }
            _ => AggregateValue::Missing,
        }
    }

    fn of_the_past(&self, aggregate: &Aggregate, earlier: &[&Event], current: &Event) -> AggregateValue {
        // Back from now, as long as no gap is longer than the horizon.
        let mut known = Vec::new();
        let mut after_ms = current.time_ms;
        for event in earlier.iter().rev() {
            if !matches!(event.transaction.kind, Authorization | Verification) {
                continue;
            }
            if after_ms - event.time_ms > self.settings.horizon_ms {
                break;
            }
            after_ms = event.time_ms;
            known.push(*event);
        }
        match aggregate.function {
            Function::SinceLast => known
                .first()
                .map_or(AggregateValue::Missing, |event| AggregateValue::Integer(current.time_ms - event.time_ms)),
            Function::Age => AggregateValue::Integer(current.time_ms - after_ms),
            Function::Last(field) => {
                let held = known.iter().find_map(|event| event.transaction.value(field, event.base));
                held.map_or(AggregateValue::Missing, |value| Self::held(value))
            }
            _ => {
                if matches!(current.transaction.kind, Authorization | Verification) {
                    known.insert(0, current);
                }
                let is_located = |event: &&&Event| {
                    let channel = event.transaction.value(Field::Channel, None);
                    let is_present = matches!(channel, Some(Value::Text("pos" | "atm")));
                    is_present && event.transaction.position.is_some()
                };
                let located: Vec<_> = known.iter().filter(is_located).take(2).collect();
                let [later, earlier] = located[..] else { return AggregateValue::Missing };
                let hours = (later.time_ms - earlier.time_ms) as f64 / 3_600_000.0;
                if hours == 0.0 {
                    return AggregateValue::Missing;
                }
                AggregateValue::Real(kilometres(earlier, later) / hours)
            }
        }
    }

    fn unit(&self, field: Field) -> f64 {
        if field.field_type(&self.schema) == FieldType::Number { 1e6 } else { 1.0 }
    }

    fn number(&self, field: Field, value: Option<i64>) -> AggregateValue {
        match value {
            None => AggregateValue::Missing,
            Some(value) if self.unit(field) > 1.0 => AggregateValue::Real(value as f64 / 1e6),
            Some(value) => AggregateValue::Integer(value),
        }
    }

    fn held(value: Value<'_>) -> AggregateValue {
        match value {
            Value::Text(text) => AggregateValue::Text(text.into()),
            Value::Integer(number) => AggregateValue::Integer(number),
            Value::Millionths(number) => AggregateValue::Real(number as f64 / 1e6),
            Value::Country(country) => AggregateValue::Country(country),
            Value::Mcc(code) => AggregateValue::Mcc(code),
            Value::Ip(address) => AggregateValue::Ip(address),
            _ => AggregateValue::Missing,
        }
    }
}

impl Event {
    fn again(&self) -> Self {
        Self {
            transaction: self.transaction.clone(),
            time_ms: self.time_ms,
            arrived_ms: self.arrived_ms,
            base: self.base,
            keys: self.keys.clone(),
            values: self.values.clone(),
            passes: self.passes.clone(),
            outcome: self.outcome,
            steps: self.steps.clone(),
            label: self.label,
            answer: Vec::new(),
            evicted: self.evicted.clone(),
        }
    }

    /// What is left of its amount in the base currency, and whether nothing is, for good.
    fn left(&self) -> (Option<i64>, bool) {
        let (mut amount, mut base) = (self.transaction.amount_minor, self.base);
        let (mut taken, mut taken_base, mut by_base, mut is_gone, mut touched) = (0, 0, false, false, false);
        for step in &self.steps {
            match *step {
                Step::Reversed { .. } if is_gone => {}
                Step::Reversed { base: None, same_currency: false, .. } => {}
                Step::Reversed { amount: less, base: less_base, same_currency } => {
                    touched |= less > 0 || !same_currency;
                    by_base |= !same_currency;
                    taken_base += less_base.unwrap_or(0);
                    if by_base {
                        is_gone = less_base.is_some() && base.is_some_and(|base| taken_base >= base);
                    } else {
                        taken += less;
                        is_gone = taken >= amount;
                    }
                }
                Step::Replaced { amount: other, base: other_base } => {
                    amount = other;
                    if base.is_some() {
                        base = other_base.or(base);
                    }
                    let is_exhausted =
                        if by_base { base.is_some_and(|base| taken_base >= base) } else { taken >= amount };
                    is_gone |= touched && is_exhausted;
                }
            }
        }
        (base.map(|base| if is_gone { 0 } else { (base - taken_base).max(0) }), is_gone)
    }
}

fn is_fraud(event: &Event) -> bool {
    matches!(event.label, Some((_, LabelKind::Fraud)))
}

fn same_identity(event: &Event, other: &Transaction<'_>, id: &str) -> bool {
    let known = &event.transaction;
    known.processor == other.processor && known.card == other.card && known.id == id
}

fn number_of(event: &Event, field: Field) -> Option<i64> {
    match event.transaction.value(field, event.base)? {
        Value::Integer(number) | Value::Millionths(number) => Some(number),
        _ => None,
    }
}

fn text_of(field: Field, value: Value<'_>, transaction: &Transaction<'_>) -> String {
    let text = match value {
        Value::Text(text) => text.to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Millionths(number) => format!("{number} millionths"),
        Value::Country(country) => country.code().to_owned(),
        Value::Mcc(code) => code.to_string(),
        Value::Ip(address) => address.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Currency(currency) => currency.code().to_owned(),
        Value::Time(time) => time.to_string(),
        Value::Real(number) => number.to_string(),
    };
    match field {
        Field::Merchant | Field::Terminal | Field::Customer | Field::Attribute(_) => {
            format!("{} of {}", text, transaction.processor)
        }
        _ => text,
    }
}

/// By the angle between two vectors, which the other side does not use.
fn kilometres(from: &Event, to: &Event) -> f64 {
    let vector = |event: &Event| {
        let (lat, lon) = event.transaction.position.unwrap_or_default();
        let (lat, lon) = (lat.to_radians(), lon.to_radians());
        [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
    };
    let ([ax, ay, az], [bx, by, bz]) = (vector(from), vector(to));
    let cross = [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx];
    let sine = cross.iter().map(|part| part * part).sum::<f64>().sqrt();
    sine.atan2(ax * bx + ay * by + az * bz) * 6_371.008_8
}
