//! The checked tree of an expression: every name resolved, every type known. It is what programs are compiled from.

use std::{net::IpAddr, ops::Range};

use super::syntax::{Arithmetic, Comparison};
use crate::scoring::{
    field::{Field, FieldType},
    lists::{ListId, TableId, TableType},
    money::{Country, Currency},
    network::cut,
    plan::{Function, Key, OutcomeState},
    verdict::Decision,
};

/// What kind of value an expression has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Money,
    Number,
    Integer,
    Boolean,
    Text,
    /// Text from a fixed set.
    Code(&'static [&'static str]),
    Country,
    Currency,
    Mcc,
    Time,
    Span,
    Ip,
    Verdict,
    Outcome,
}

/// A checked node.
#[derive(Clone)]
pub(super) struct Typed {
    pub(super) kind: Kind,
    pub(super) of: Type,
    /// Bytes of the source that was compiled, or of the define it stands in.
    pub(super) span: Range<usize>,
    /// It came out of a define, so `span` is of another source, or of the define's name.
    pub(super) from_define: bool,
}

/// What a checked node is.
#[derive(Clone)]
pub(super) enum Kind {
    Literal(Literal),
    Field(Field),
    LocalTime,
    Score,
    Verdict,
    Outcome,
    /// The network of the address.
    Subnet(u8),
    Aggregate(Box<Call>),
    Not(Box<Typed>),
    Negate(Box<Typed>),
    And(Vec<Typed>),
    Or(Vec<Typed>),
    Compare(Comparison, Box<Typed>, Box<Typed>),
    InSet {
        negated: bool,
        value: Box<Typed>,
        items: Vec<Literal>,
    },
    InList {
        negated: bool,
        value: Box<Typed>,
        list: ListId,
        name: String,
    },
    InNetworks {
        negated: bool,
        value: Box<Typed>,
        networks: Vec<Network>,
    },
    StartsWith(Box<Typed>, Box<Typed>),
    Arithmetic(Arithmetic, Box<Typed>, Box<Typed>),
    Calendar(Calendar, Box<Typed>),
    Has(Box<Typed>),
    Lookup {
        table: TableId,
        name: String,
        key: Box<Typed>,
        default: Option<Box<Typed>>,
    },
}

/// A value that was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    /// Minor units of the base currency.
    Money(i64),
    Number(f64),
    Integer(i64),
    Boolean(bool),
    Text(String),
    /// A word and its place in its set.
    Code(&'static str, u8),
    Country(Country),
    Currency(Currency),
    Mcc(u16),
    /// Unix milliseconds.
    Time(i64),
    /// Milliseconds.
    Span(i64),
    Ip(IpAddr),
    Verdict(Decision),
    Outcome(OutcomeState),
}

/// An aggregate that is asked for.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) key: Key,
    pub(super) window_ms: i64,
    pub(super) delay_ms: i64,
    pub(super) prior: bool,
    pub(super) filter: Option<Typed>,
}

/// What is asked of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Calendar {
    /// 0 to 23.
    Hour,
    /// Monday 1 to Sunday 7.
    Weekday,
    /// Hours 0 to 6.
    Night,
    /// Saturday and Sunday.
    Weekend,
}

/// A network of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network {
    pub(super) address: IpAddr,
    pub(super) prefix: u8,
}

impl Type {
    /// The type with its article, as in `… is an integer`.
    pub(super) const fn phrase(self) -> &'static str {
        match self {
            Self::Money => "money",
            Self::Number => "a number",
            Self::Integer => "an integer",
            Self::Boolean => "true or false",
            Self::Text => "text",
            Self::Code(_) => "a code",
            Self::Country => "a country",
            Self::Currency => "a currency",
            Self::Mcc => "an MCC",
            Self::Time => "a time",
            Self::Span => "a duration",
            Self::Ip => "an IP address",
            Self::Verdict => "a verdict",
            Self::Outcome => "an outcome",
        }
    }

    /// Whether its values have an order, for `<` and its like.
    pub(super) const fn is_ordered(self) -> bool {
        matches!(self, Self::Money | Self::Number | Self::Integer | Self::Time | Self::Span)
    }

    /// Whether it counts or measures without a unit.
    pub(super) const fn is_numeric(self) -> bool {
        matches!(self, Self::Number | Self::Integer)
    }

    /// Whether its values have a text that lists and tables look up.
    pub(super) const fn has_text(self) -> bool {
        matches!(self, Self::Text | Self::Code(_) | Self::Country | Self::Currency | Self::Mcc | Self::Ip)
    }

    /// Whether values of the two may be compared.
    pub(super) fn compares_with(self, other: Self) -> bool {
        match (self, other) {
            (left, right) if left == right => true,
            (left, right) if left.is_numeric() && right.is_numeric() => true,
            (Self::Text, Self::Code(_)) | (Self::Code(_), Self::Text) => true,
            _ => false,
        }
    }
}

impl From<FieldType> for Type {
    fn from(field: FieldType) -> Self {
        match field {
            FieldType::Text => Self::Text,
            FieldType::Code(codes) => Self::Code(codes),
            FieldType::Money => Self::Money,
            FieldType::Integer => Self::Integer,
            FieldType::Number | FieldType::Degrees => Self::Number,
            FieldType::Boolean => Self::Boolean,
            FieldType::Country => Self::Country,
            FieldType::Currency => Self::Currency,
            FieldType::Mcc => Self::Mcc,
            FieldType::Time => Self::Time,
            FieldType::Ip => Self::Ip,
        }
    }
}

impl From<TableType> for Type {
    fn from(table: TableType) -> Self {
        match table {
            TableType::Money => Self::Money,
            TableType::Number => Self::Number,
            TableType::Integer => Self::Integer,
            TableType::Text => Self::Text,
            TableType::Country => Self::Country,
            TableType::Duration => Self::Span,
            TableType::Boolean => Self::Boolean,
        }
    }
}

impl Calendar {
    /// Its function's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Weekday => "weekday",
            Self::Night => "night",
            Self::Weekend => "weekend",
        }
    }

    /// The type of its answer.
    pub(super) const fn answers(self) -> Type {
        match self {
            Self::Hour | Self::Weekday => Type::Integer,
            Self::Night | Self::Weekend => Type::Boolean,
        }
    }
}

impl Network {
    /// A network from text such as `10.0.0.0/8`, or an address alone.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = match prefix {
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => bits_max,
        };
        if prefix > bits_max {
            return None;
        }
        // An IPv4 address inside IPv6 is the IPv4 address, as it is in transactions.
        let canonical = address.to_canonical();
        match prefix.checked_sub(96) {
            Some(prefix) if canonical.is_ipv4() && address.is_ipv6() => {
                Some(Self { address: cut(canonical, prefix), prefix })
            }
            _ => Some(Self { address: cut(address, prefix), prefix }),
        }
    }

    /// Whether an address is in it.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        let address = if self.address.is_ipv4() { address.to_canonical() } else { address };
        self.address.is_ipv4() == address.is_ipv4() && cut(address, self.prefix) == self.address
    }
}

impl Typed {
    /// Calls `visit` for this node and every node below it, filters of aggregates included.
    pub(super) fn walk(&self, visit: &mut impl FnMut(&Self)) {
        visit(self);
        match &self.kind {
            Kind::Literal(_)
            | Kind::Field(_)
            | Kind::LocalTime
            | Kind::Score
            | Kind::Verdict
            | Kind::Outcome
            | Kind::Subnet(_) => {}
            Kind::Aggregate(call) => {
                if let Some(filter) = &call.filter {
                    filter.walk(visit);
                }
            }
            Kind::Not(inside) | Kind::Negate(inside) | Kind::Calendar(_, inside) | Kind::Has(inside) => {
                inside.walk(visit);
            }
            Kind::And(items) | Kind::Or(items) => items.iter().for_each(|item| item.walk(visit)),
            Kind::Compare(_, left, right) | Kind::StartsWith(left, right) | Kind::Arithmetic(_, left, right) => {
                left.walk(visit);
                right.walk(visit);
            }
            Kind::InSet { value, .. } | Kind::InList { value, .. } | Kind::InNetworks { value, .. } => {
                value.walk(visit);
            }
            Kind::Lookup { key, default, .. } => {
                key.walk(visit);
                if let Some(default) = default {
                    default.walk(visit);
                }
            }
        }
    }
}
