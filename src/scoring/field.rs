//! The fields of a transaction: their names, types and allowed codes. No values are stored here.

use std::{borrow::Cow, net::IpAddr};

use super::{
    money::{Country, Currency},
    time::Timestamp,
};

/// What kind of value a field holds, which decides what it may be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// Opaque text, compared for equality.
    Text,
    /// Text from a fixed set of codes, such as `channel`.
    Code(&'static [&'static str]),
    /// An amount in minor units of the base currency.
    Money,
    /// A whole number.
    Integer,
    /// A decimal with at most six digits behind the point, held as millionths so that sums are exact.
    Number,
    /// Degrees: a double, never summed.
    Degrees,
    /// True or false.
    Boolean,
    /// An ISO 3166-1 alpha-2 country.
    Country,
    /// An ISO 4217 currency.
    Currency,
    /// An ISO 18245 merchant category code.
    Mcc,
    /// A moment.
    Time,
    /// An IPv4 or IPv6 address.
    Ip,
}

/// The codes of `type`.
pub const TYPES: &[&str] = &["authorization", "verification", "incremental", "refund", "reversal"];
/// The codes of `channel`.
pub const CHANNELS: &[&str] = &["pos", "ecom", "atm", "moto", "recurring"];
/// The codes of `entry_mode`.
pub const ENTRY_MODES: &[&str] = &["chip", "contactless", "swipe", "manual", "stored"];
/// The codes of `avs`, `cvv` and `three_ds`.
pub const CHECK_RESULTS: &[&str] = &["pass", "fail", "unavailable", "not_checked"];

macro_rules! fields {
    ($($variant:ident $name:literal $type:expr,)*) => {
        /// A field of a transaction as expressions name it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// `attributes.<key>`, by its place in the schema.
            Attribute(u16),
        }

        impl Field {
            /// The fields that every transaction may have, in the order of the contract.
            pub const FIXED: &[Self] = &[$(Self::$variant,)*];

            /// The fixed field of a name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Its name; an attribute's is `attributes.<key>`.
            pub fn name(self, schema: &AttributeSchema) -> Cow<'static, str> {
                match self {
                    $(Self::$variant => Cow::Borrowed($name),)*
                    Self::Attribute(index) => Cow::Owned(format!("attributes.{}", schema.key(index))),
                }
            }

            /// The type of its values.
            pub fn field_type(self, schema: &AttributeSchema) -> FieldType {
                match self {
                    $(Self::$variant => $type,)*
                    Self::Attribute(index) => schema.attribute_type(index),
                }
            }

            /// A dense number for tables: the fixed fields in their order, then the attributes.
            pub const fn index(self) -> usize {
                enum Place {
                    $($variant,)*
                }
                match self {
                    $(Self::$variant => Place::$variant as usize,)*
                    Self::Attribute(index) => Self::FIXED.len() + index as usize,
                }
            }
        }
    };
}

fields! {
    Id "id" FieldType::Text,
    Time "time" FieldType::Time,
    Card "card" FieldType::Text,
    Amount "amount" FieldType::Money,
    Currency "currency" FieldType::Currency,
    Type "type" FieldType::Code(TYPES),
    Parent "parent" FieldType::Text,
    Merchant "merchant" FieldType::Text,
    Terminal "terminal" FieldType::Text,
    Customer "customer" FieldType::Text,
    Device "device" FieldType::Text,
    Email "email" FieldType::Text,
    EmailDomain "email_domain" FieldType::Text,
    Bin "bin" FieldType::Text,
    Mcc "mcc" FieldType::Mcc,
    Country "country" FieldType::Country,
    IssuerCountry "issuer_country" FieldType::Country,
    BillingCountry "billing_country" FieldType::Country,
    ShippingCountry "shipping_country" FieldType::Country,
    Channel "channel" FieldType::Code(CHANNELS),
    EntryMode "entry_mode" FieldType::Code(ENTRY_MODES),
    Wallet "wallet" FieldType::Text,
    Ip "ip" FieldType::Ip,
    Lat "lat" FieldType::Degrees,
    Lon "lon" FieldType::Degrees,
    UtcOffset "utc_offset" FieldType::Integer,
    Avs "avs" FieldType::Code(CHECK_RESULTS),
    Cvv "cvv" FieldType::Code(CHECK_RESULTS),
    ThreeDs "three_ds" FieldType::Code(CHECK_RESULTS),
    Processor "processor" FieldType::Text,
}

impl Field {
    /// Whether its values mean the same thing at every processor. The windows of the others are kept apart per
    /// processor.
    pub const fn is_shared_by_processors(self) -> bool {
        !matches!(self, Self::Merchant | Self::Terminal | Self::Customer | Self::Attribute(_))
    }
}

/// The attributes that the configuration declares, each with its type, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributeSchema {
    attributes: Vec<(String, FieldType)>,
}

impl AttributeSchema {
    /// The types an attribute may have, by the name the configuration gives them.
    pub const TYPES: &[(&str, FieldType)] = &[
        ("text", FieldType::Text),
        ("number", FieldType::Number),
        ("integer", FieldType::Integer),
        ("boolean", FieldType::Boolean),
        ("country", FieldType::Country),
        ("time", FieldType::Time),
    ];

    /// A schema of the given keys and types; the order of the arguments does not matter.
    pub fn new(attributes: impl IntoIterator<Item = (String, FieldType)>) -> Self {
        let mut attributes: Vec<_> = attributes.into_iter().collect();
        attributes.sort_by(|left, right| left.0.cmp(&right.0));
        attributes.dedup_by(|later, earlier| later.0 == earlier.0);
        attributes.truncate(usize::from(u16::MAX));
        Self { attributes }
    }

    /// The field of a key.
    pub fn find(&self, key: &str) -> Option<Field> {
        let index = self.attributes.binary_search_by(|(known, _)| known.as_str().cmp(key)).ok()?;
        u16::try_from(index).ok().map(Field::Attribute)
    }

    /// The key at a place; empty past the end.
    pub fn key(&self, index: u16) -> &str {
        self.attributes.get(usize::from(index)).map_or("", |(key, _)| key)
    }

    /// The type at a place; text past the end.
    pub fn attribute_type(&self, index: u16) -> FieldType {
        self.attributes.get(usize::from(index)).map_or(FieldType::Text, |(_, kind)| *kind)
    }

    /// How many attributes are declared.
    pub fn len(&self) -> usize {
        self.attributes.len()
    }

    /// Whether none is declared.
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }

    /// Every attribute as a field, by key.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        (0..self.attributes.len()).filter_map(|index| u16::try_from(index).ok().map(Field::Attribute))
    }
}

/// The value of a field, borrowed from its transaction.
#[derive(Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Text or a code.
    Text(&'a str),
    /// A whole number, or minor units of the base currency.
    Integer(i64),
    /// Millionths of a number.
    Millionths(i64),
    /// A double: degrees.
    Real(f64),
    /// True or false.
    Boolean(bool),
    /// A country.
    Country(Country),
    /// A currency.
    Currency(Currency),
    /// A merchant category code, its four digits read as a number.
    Mcc(u16),
    /// A moment.
    Time(Timestamp),
    /// An address.
    Ip(IpAddr),
}
