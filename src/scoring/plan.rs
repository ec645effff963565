//! The plan: which aggregates over which keys are kept, compiled from rules and model features together. It holds no
//! state and computes nothing.

use super::field::{AttributeSchema, Field, FieldType};

/// The longest window an aggregate may ask for, in milliseconds: 90 days.
pub const WINDOW_MAX_MS: i64 = 90 * super::time::DAY_MS;
/// The shortest window an aggregate may ask for, in milliseconds: one second.
pub const WINDOW_MIN_MS: i64 = super::time::SECOND_MS;
/// How many parts a tuple may have as a key.
pub const KEY_PARTS_MAX: usize = 4;

/// One part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyPart {
    /// The value of a field; `amount` is in the base currency.
    Field(Field),
    /// The network of the address, cut to this many leading bits. An IPv6 address is cut to the same share of its
    /// 128 bits that IPv4 keeps of 32 when the prefix is at most 32, else to the prefix itself.
    Subnet(u8),
}

/// What events are gathered by: a field or a tuple of up to four.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Vec<KeyPart>);

/// What an aggregate computes of the events of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// How many authorisations and verifications.
    Count,
    /// How many different values of the field among authorisations and verifications.
    Distinct(Field),
    /// The sum of the field over authorisations and incrementals, less what was reversed.
    Sum(Field),
    /// The mean of the field over authorisations.
    Mean(Field),
    /// The least value of the field.
    Min(Field),
    /// The largest value of the field.
    Max(Field),
    /// The standard deviation of the population.
    Stddev(Field),
    /// The field of the newest earlier event.
    Last(Field),
    /// Time since the newest earlier event.
    SinceLast,
    /// Time since the key was first seen.
    Age,
    /// Speed between the last two located card-present transactions.
    SpeedKmh,
    /// The share of `count` that is known to be fraud.
    FraudRate,
    /// How many are known to be fraud.
    Frauds,
}

/// The type an aggregate answers with. Each may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateType {
    /// A whole number: `AggregateValue::Integer`.
    Integer,
    /// Exact minor units of the base currency: `AggregateValue::Integer`.
    MoneyMinor,
    /// A double in minor units of the base currency: `AggregateValue::Real`.
    MoneyReal,
    /// A number: `AggregateValue::Real`.
    Real,
    /// A length of time in milliseconds: `AggregateValue::Integer`.
    Duration,
    /// The value of a field, as that field has it (money, integers and times: `Integer`).
    FieldValue(FieldType),
}

/// A test that an aggregate's events must pass, by its place in the release's list of filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterId(pub u16);

/// An aggregate by its place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AggregateId(pub u16);

/// A key by its place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u16);

/// What the windows must know of a filter; its expression is evaluated by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FilterTraits {
    /// It tests `verdict` or `outcome`: it sees earlier transactions only, and an outcome may change its answer.
    pub settles_later: bool,
    /// It tests `type`: refunds enter the aggregates that use it.
    pub tests_type: bool,
}

/// One aggregate of the plan. Windows are half-open: `(t − delay − window, t − delay]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Aggregate {
    /// What is computed.
    pub function: Function,
    /// Over the events of which key.
    pub key: KeyId,
    /// How far back, in milliseconds; 0 for `last`, `since_last`, `age` and `speed_kmh`, which look back to the horizon.
    pub window_ms: i64,
    /// How long labels are given to arrive, in milliseconds; 0 but for `fraud_rate` and `frauds`.
    pub delay_ms: i64,
    /// Leaves the current transaction out.
    pub prior: bool,
    /// Only events that pass this test.
    pub filter: Option<FilterId>,
}

/// Which aggregates are kept. The same aggregate asked for twice is kept once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The keys, in the order they were first asked for.
    pub keys: Vec<Key>,
    /// The aggregates, in the order they were first asked for.
    pub aggregates: Vec<Aggregate>,
    /// The filters, in the order they were first asked for.
    pub filters: Vec<FilterTraits>,
    /// How many of the keys, the last of them, only models ask for whose scores decide nothing.
    pub keys_in_shadow: usize,
    /// How many of the aggregates, likewise: what becomes of them is flagged on no verdict.
    pub aggregates_in_shadow: usize,
}

impl Plan {
    /// The place of a key, which is added if it is new. `None` when the plan is full.
    pub fn key(&mut self, key: Key) -> Option<KeyId> {
        place(&mut self.keys, key).map(KeyId)
    }

    /// The place of an aggregate, which is added if it is new. `None` when the plan is full.
    pub fn aggregate(&mut self, aggregate: Aggregate) -> Option<AggregateId> {
        place(&mut self.aggregates, aggregate).map(AggregateId)
    }

    /// What answers alone ask for.
    #[must_use]
    pub fn answering(&self) -> Self {
        let mut plan = self.clone();
        plan.keys.truncate(self.keys.len() - self.keys_in_shadow);
        plan.aggregates.truncate(self.aggregates.len() - self.aggregates_in_shadow);
        (plan.keys_in_shadow, plan.aggregates_in_shadow) = (0, 0);
        plan
    }

    /// Adds a filter. The caller sees to it that equal expressions share one.
    pub fn filter(&mut self, traits: FilterTraits) -> Option<FilterId> {
        let id = u16::try_from(self.filters.len()).ok()?;
        self.filters.push(traits);
        Some(FilterId(id))
    }
}

fn place<T: PartialEq>(items: &mut Vec<T>, item: T) -> Option<u16> {
    if let Some(index) = items.iter().position(|known| *known == item) {
        return u16::try_from(index).ok();
    }
    let index = u16::try_from(items.len()).ok()?;
    items.push(item);
    Some(index)
}

impl Function {
    /// The field whose values it reads.
    pub const fn field(self) -> Option<Field> {
        match self {
            Self::Distinct(field)
            | Self::Sum(field)
            | Self::Mean(field)
            | Self::Min(field)
            | Self::Max(field)
            | Self::Stddev(field)
            | Self::Last(field) => Some(field),
            Self::Count | Self::SinceLast | Self::Age | Self::SpeedKmh | Self::FraudRate | Self::Frauds => None,
        }
    }

    /// The type of its answer.
    pub fn answers(self, schema: &AttributeSchema) -> AggregateType {
        let is_money = |field: Field| field.field_type(schema) == FieldType::Money;
        let is_integer = |field: Field| field.field_type(schema) == FieldType::Integer;
        match self {
            Self::Count | Self::Distinct(_) | Self::Frauds => AggregateType::Integer,
            Self::Sum(field) | Self::Min(field) | Self::Max(field) if is_money(field) => AggregateType::MoneyMinor,
            Self::Sum(field) | Self::Min(field) | Self::Max(field) if is_integer(field) => AggregateType::Integer,
            Self::Mean(field) | Self::Stddev(field) if is_money(field) => AggregateType::MoneyReal,
            Self::Last(field) => AggregateType::FieldValue(field.field_type(schema)),
            Self::SinceLast | Self::Age => AggregateType::Duration,
            Self::Sum(_)
            | Self::Min(_)
            | Self::Max(_)
            | Self::Mean(_)
            | Self::Stddev(_)
            | Self::SpeedKmh
            | Self::FraudRate => AggregateType::Real,
        }
    }
}

/// What an aggregate answered for one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum AggregateValue {
    /// Nothing to answer with.
    #[default]
    Missing,
    /// A whole number, minor units or milliseconds, as its type says.
    Integer(i64),
    /// A double.
    Real(f64),
    /// True or false, from `last`.
    Boolean(bool),
    /// Text or a code, from `last`.
    Text(std::sync::Arc<str>),
    /// A country, from `last`.
    Country(super::money::Country),
    /// A currency, from `last`.
    Currency(super::money::Currency),
    /// A merchant category code, from `last`.
    Mcc(u16),
    /// An address, from `last`.
    Ip(std::net::IpAddr),
}

/// Which static filters a transaction passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterBits(Vec<u64>);

impl FilterBits {
    /// Makes room for `filters` bits, all of them off.
    pub fn clear(&mut self, filters: usize) {
        self.0.clear();
        self.0.resize(filters.div_ceil(64), 0);
    }

    /// Turns the bit of a filter on or off.
    pub fn set(&mut self, filter: FilterId, passes: bool) {
        let (word, bit) = (usize::from(filter.0) / 64, usize::from(filter.0) % 64);
        if let Some(word) = self.0.get_mut(word) {
            *word = *word & !(1 << bit) | u64::from(passes) << bit;
        }
    }

    /// Whether the transaction passes a filter.
    pub fn get(&self, filter: FilterId) -> bool {
        let (word, bit) = (usize::from(filter.0) / 64, usize::from(filter.0) % 64);
        self.0.get(word).is_some_and(|word| word >> bit & 1 == 1)
    }
}

/// What has become of a transaction at the issuer, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OutcomeState {
    /// Nothing has been heard yet.
    #[default]
    Unknown,
    /// Approved in full.
    Approved,
    /// Declined.
    Declined,
    /// Approved in part.
    Partial,
}

impl OutcomeState {
    /// All of them, in the order of `SettledBits`.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Approved, Self::Declined, Self::Partial];
}

/// For each filter on `verdict` or `outcome`, whether the transaction passes it in each outcome state: four bits by
/// filter, so that an outcome that comes later needs no expression evaluated again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettledBits(Vec<u8>);

impl SettledBits {
    /// Makes room for `filters` tables, all of them off.
    pub fn clear(&mut self, filters: usize) {
        self.0.clear();
        self.0.resize(filters, 0);
    }

    /// Says whether the transaction passes a filter in an outcome state.
    pub fn set(&mut self, filter: FilterId, state: OutcomeState, passes: bool) {
        if let Some(table) = self.0.get_mut(usize::from(filter.0)) {
            let bit = state as u8;
            *table = *table & !(1 << bit) | u8::from(passes) << bit;
        }
    }

    /// All that is known of a filter, a bit by outcome state.
    pub fn table(&self, filter: FilterId) -> u8 {
        self.0.get(usize::from(filter.0)).copied().unwrap_or_default()
    }

    /// Says all of it at once.
    pub fn set_table(&mut self, filter: FilterId, passes: u8) {
        if let Some(table) = self.0.get_mut(usize::from(filter.0)) {
            *table = passes;
        }
    }

    /// Whether the transaction passes a filter in an outcome state.
    pub fn get(&self, filter: FilterId, state: OutcomeState) -> bool {
        self.0.get(usize::from(filter.0)).is_some_and(|table| table >> (state as u8) & 1 == 1)
    }
}
