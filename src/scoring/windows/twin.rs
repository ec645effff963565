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
pub struct Twin {
    pub plan: Plan,
    pub schema: AttributeSchema,
    pub settings: WindowSettings,
    pub events: Vec<Event>,
    pub highest_ms: Option<i64>,
}

/// A transaction and what became of it.
pub struct Event {
    pub transaction: Transaction<'static>,
    pub time_ms: i64,
    base: Option<i64>,
    keys: Vec<Option<String>>,
    values: Vec<Option<String>>,
    /// By filter: whether it passes in each outcome state.
    pub passes: Vec<[bool; 4]>,
    outcome: usize,
    steps: Vec<Step>,
    label: Option<(i64, LabelKind)>,
    pub answer: Vec<u8>,
    /// By key: it was forgotten with its key.
    pub evicted: Vec<bool>,
}

#[derive(Clone, Copy)]
enum Step {
    Reversed { amount: i64, base: Option<i64>, same_currency: bool },
    Replaced { amount: i64, base: Option<i64> },
}

/// Whether a transaction has been here before.
#[derive(Debug, PartialEq)]
pub enum Before {
    No,
    Same(Vec<u8>),
    Other,
}

impl Twin {
    pub fn new(plan: &Plan, schema: &AttributeSchema, settings: &WindowSettings) -> Self {
        Self {
            plan: plan.clone(),
            schema: schema.clone(),
            settings: settings.clone(),
            events: Vec::new(),
            highest_ms: None,
        }
    }

    pub fn is_late(&self, time_ms: i64) -> bool {
        self.highest_ms.is_some_and(|highest| time_ms < highest - self.settings.lateness_ms)
    }

    /// The answers of every aggregate, before the transaction itself is taken in.
    pub fn answers(
        &self,
        transaction: &Transaction<'static>,
        base: Option<i64>,
        passes: &[[bool; 4]],
    ) -> Vec<AggregateValue> {
        let current = self.event(transaction, base, passes);
        (0..self.plan.aggregates.len()).map(|place| self.answer(place, &current)).collect()
    }

    /// Takes a transaction in.
    pub fn take(&mut self, transaction: &Transaction<'static>, base: Option<i64>, passes: &[[bool; 4]], answer: &[u8]) {
        let mut event = self.event(transaction, base, passes);
        event.answer = answer.to_vec();
        self.highest_ms = self.highest_ms.max(Some(event.time_ms));
        self.events.push(event);
    }

    /// Whether a transaction has been here before.
    pub fn before(&self, transaction: &Transaction<'_>) -> Before {
        let found = self.events.iter().rev().find(|event| same_identity(event, transaction, &transaction.id));
        let Some(event) = found else { return Before::No };
        if self.highest_ms.is_some_and(|highest| event.time_ms < highest - self.settings.duplicates_ms) {
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
    pub fn parent(&self, transaction: &Transaction<'_>) -> Option<usize> {
        let parent = transaction.parent.as_deref()?;
        let place = self.events.iter().rposition(|event| same_identity(event, transaction, parent))?;
        (self.is_remembered(place) && self.events[place].transaction.kind != Reversal).then_some(place)
    }

    pub fn reverse(&mut self, reversal: &Transaction<'_>, base: Option<i64>) -> bool {
        let Some(parent) = self.parent(reversal) else { return false };
        let same_currency = self.events[parent].transaction.currency == reversal.currency;
        let step = Step::Reversed { amount: reversal.amount_minor, base, same_currency };
        self.events[parent].steps.push(step);
        true
    }

    pub fn outcome(&mut self, outcome: &Outcome<'_>, rates: &Rates) -> bool {
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

    pub fn label(&mut self, label: &Label<'_>) -> bool {
        let Some(place) = self.find(&label.processor, &label.card, &label.id) else { return false };
        let time_ms = label.time.unix_ms();
        let event = &mut self.events[place];
        if event.label.is_none_or(|(known, _)| known <= time_ms) {
            event.label = Some((time_ms, label.kind));
        }
        true
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
                        std::net::IpAddr::V6(ip) => format!("{:?}", &ip.octets()[..12]),
                    }),
                    KeyPart::Subnet(_) => None,
                })
                .collect();
            Some(parts?.join(" & "))
        };
        Event {
            transaction: transaction.clone(),
            time_ms: transaction.time.unix_ms(),
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
        self.highest_ms.is_none_or(|highest| self.events[place].time_ms >= highest - keep_ms)
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
        if matches!(
            aggregate.function,
            Function::Last(_) | Function::SinceLast | Function::Age | Function::SpeedKmh
        ) {
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
            Function::SinceLast => known.first().map_or(AggregateValue::Missing, |event| {
                AggregateValue::Integer(current.time_ms - event.time_ms)
            }),
            Function::Age => AggregateValue::Integer(current.time_ms - after_ms),
            Function::Last(field) => {
                let held = known.iter().find_map(|event| event.transaction.value(field, event.base));
                held.map_or(AggregateValue::Missing, |value| self.held(value))
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

    fn held(&self, value: Value<'_>) -> AggregateValue {
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
    /// What is left of its amount in the base currency, and whether nothing is, for good.
    fn left(&self) -> (Option<i64>, bool) {
        let (mut amount, mut base) = (self.transaction.amount_minor, self.base);
        let (mut taken, mut taken_base, mut by_base, mut is_gone, mut touched) = (0, 0, false, false, false);
        for step in &self.steps {
            match *step {
                Step::Reversed { .. } if is_gone => {}
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

/// By the law of cosines, which the other side does not use.
fn kilometres(from: &Event, to: &Event) -> f64 {
    let radians = |event: &Event| {
        let (lat, lon) = event.transaction.position.unwrap_or_default();
        (lat.to_radians(), lon.to_radians())
    };
    let ((lat_from, lon_from), (lat_to, lon_to)) = (radians(from), radians(to));
    let cosine = lat_from.sin() * lat_to.sin() + lat_from.cos() * lat_to.cos() * (lon_to - lon_from).cos();
    cosine.clamp(-1.0, 1.0).acos() * 6_371.008_8
}
