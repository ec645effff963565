//! The nodes of a compiled program: one arena per static type, so that no value carries a type at run time. Nothing is
//! evaluated here.

use super::{
    coded::AnyCode,
    syntax::Comparison,
    typed::{Calendar, Network},
};
use crate::scoring::{
    field::Field,
    lists::{ListId, TableId},
    plan::AggregateId,
};

/// A node that is true or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BoolId(pub(super) u32);

/// A node whose value is a whole number, if it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct IntegerId(pub(super) u32);

/// A node whose value is a double, if it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RealId(pub(super) u32);

/// A node whose value is text, if it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TextId(pub(super) u32);

/// Constants that nodes point at, by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PoolId(pub(super) u32);

/// True or false. A comparison with something missing is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Bool {
    Constant(bool),
    Not(BoolId),
    /// Every one of some nodes.
    All(PoolId),
    /// Any one of some nodes.
    Any(PoolId),
    Integers(Comparison, IntegerId, IntegerId),
    Reals(Comparison, RealId, RealId),
    /// Coded fields with some of their codes.
    Coded(AnyCode),
    /// With a constant.
    Integer(Comparison, IntegerId, i64),
    /// With a constant, by its bits.
    Real(Comparison, RealId, u64),
    /// The amount with a constant: by far the most frequent.
    Amount(Comparison, i64),
    /// A whole-numbered aggregate with a constant: as frequent.
    Aggregate(Comparison, AggregateId, i64),
    IntegerIn {
        negated: bool,
        value: IntegerId,
        set: PoolId,
    },
    RealIn {
        negated: bool,
        value: RealId,
        set: PoolId,
    },
    Texts {
        negated: bool,
        left: TextId,
        right: TextId,
    },
    TextIn {
        negated: bool,
        value: TextId,
        set: PoolId,
    },
    StartsWith(TextId, TextId),
    Addresses {
        negated: bool,
        left: Address,
        right: Address,
    },
    AddressIn {
        negated: bool,
        value: Address,
        networks: PoolId,
    },
    InList {
        negated: bool,
        value: Lookup,
        list: ListId,
    },
    HasInteger(IntegerId),
    HasReal(RealId),
    HasText(TextId),
    HasAddress(Address),
    /// Whether a truth that may be missing is there and true.
    Truth(IntegerId),
    /// A node that is remembered for the transaction.
    Shared(u32, BoolId),
}

/// A whole number: counts, minor units, milliseconds; countries, currencies, codes and truths by a number that stands
/// for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Integer {
    Missing,
    Constant(i64),
    Amount,
    Time,
    LocalTime,
    /// Any other field whose value is a whole number or stands for one.
    Field(Field),
    Aggregate(AggregateId),
    /// The place of an aggregate's text in a set of codes.
    AggregateCode(AggregateId, &'static [&'static str]),
    Verdict,
    Outcome,
    Negate(IntegerId),
    Add(IntegerId, IntegerId),
    Subtract(IntegerId, IntegerId),
    Multiply(IntegerId, IntegerId),
    /// A double rounded to the nearest, the half to even.
    Rounded(RealId),
    Calendar(Calendar, IntegerId),
    /// 1 for true, 0 for false.
    Truth(BoolId),
    Lookup(TableId, Lookup, IntegerId),
    Shared(u32, IntegerId),
}

/// A double.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Real {
    Missing,
    /// By its bits.
    Constant(u64),
    Score,
    Field(Field),
    Aggregate(AggregateId),
    Integer(IntegerId),
    Negate(RealId),
    Add(RealId, RealId),
    Subtract(RealId, RealId),
    Multiply(RealId, RealId),
    Divide(RealId, RealId),
    Lookup(TableId, Lookup, RealId),
    Shared(u32, RealId),
}

/// Text, borrowed from the transaction, an aggregate, a table or the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Text {
    Missing,
    Constant(PoolId),
    Field(Field),
    Aggregate(AggregateId),
    /// The text of a number that stands for a country.
    Country(IntegerId),
    Currency(IntegerId),
    Mcc(IntegerId),
    Lookup(TableId, Lookup, TextId),
}

/// An IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Address {
    Ip,
    Subnet(u8),
    Aggregate(AggregateId),
}

/// What a list or a table is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lookup {
    Text(TextId),
    Address(Address),
}

/// Every node of a program, and the constants they point at.
#[derive(Default)]
pub(super) struct Nodes {
    pub(super) bools: Vec<Bool>,
    pub(super) integers: Vec<Integer>,
    pub(super) reals: Vec<Real>,
    pub(super) texts: Vec<Text>,
    /// What `All` and `Any` join.
    pub(super) branches: Vec<Box<[BoolId]>>,
    /// Ascending.
    pub(super) integer_sets: Vec<Box<[i64]>>,
    /// By their bits.
    pub(super) real_sets: Vec<Box<[u64]>>,
    /// Ascending.
    pub(super) text_sets: Vec<Box<[Box<str>]>>,
    pub(super) strings: Vec<Box<str>>,
    pub(super) networks: Vec<Box<[Network]>>,
}
