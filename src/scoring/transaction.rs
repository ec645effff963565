//! A transaction whose fields have been checked. It exists only when it may be scored.

use std::{borrow::Cow, net::IpAddr};

use super::{
    field::{CHANNELS, CHECK_RESULTS, ENTRY_MODES, Field, TYPES, Value},
    money::{Country, Currency},
    time::Timestamp,
    verdict::Flag,
};

/// What kind of message about the card's money it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionType {
    /// Asks for money.
    Authorization,
    /// Asks whether the card is good.
    Verification,
    /// Raises an authorisation.
    Incremental,
    /// Gives money back.
    Refund,
    /// Undoes an authorisation or an incremental, wholly or in part.
    Reversal,
}

/// A value from a fixed set of codes: its place in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(u8);

impl Code {
    /// The code of a word in a set.
    pub fn find(set: &'static [&'static str], word: &str) -> Option<Self> {
        let index = set.iter().position(|known| *known == word)?;
        u8::try_from(index).ok().map(Self)
    }

    /// Its place in its set.
    pub const fn place(self) -> u8 {
        self.0
    }

    /// Its word in the same set.
    pub fn word(self, set: &'static [&'static str]) -> &'static str {
        set.get(usize::from(self.0)).copied().unwrap_or_default()
    }
}

impl TransactionType {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 5] =
        [Self::Authorization, Self::Verification, Self::Incremental, Self::Refund, Self::Reversal];

    /// The word in messages and rule files.
    pub const fn name(self) -> &'static str {
        TYPES[self as usize]
    }

    /// The type of a word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it needs a `parent`.
    pub const fn needs_parent(self) -> bool {
        matches!(self, Self::Incremental | Self::Reversal)
    }
}

/// The value of an attribute; text may borrow from the message.
#[derive(Clone, PartialEq)]
pub enum AttributeValue<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Anything else.
    Plain(Value<'static>),
}

/// A transaction whose fields have been checked; text borrows from the message where it can.
///
/// It has no `Debug`: it holds card data.
#[derive(Clone)]
pub struct Transaction<'a> {
    /// Unique per processor.
    pub id: Cow<'a, str>,
    /// Event time.
    pub time: Timestamp,
    /// Who sent it.
    pub processor: Cow<'a, str>,
    /// The funding account's token.
    pub card: Cow<'a, str>,
    /// Minor units of `currency`.
    pub amount_minor: i64,
    /// The currency of `amount_minor`.
    pub currency: Currency,
    /// What kind of message it is.
    pub kind: TransactionType,
    /// What an incremental raises or a reversal undoes.
    pub parent: Option<Cow<'a, str>>,
    /// The merchant, as its processor names it.
    pub merchant: Option<Cow<'a, str>>,
    /// The terminal, as its processor names it.
    pub terminal: Option<Cow<'a, str>>,
    /// The customer, as its processor names it.
    pub customer: Option<Cow<'a, str>>,
    /// The device.
    pub device: Option<Cow<'a, str>>,
    /// A hash of the e-mail address.
    pub email: Option<Cow<'a, str>>,
    /// The domain of the e-mail address.
    pub email_domain: Option<Cow<'a, str>>,
    /// The first six to eight digits of the card number.
    pub bin: Option<Cow<'a, str>>,
    /// Merchant category code.
    pub mcc: Option<u16>,
    /// Where it happens.
    pub country: Option<Country>,
    /// Where the card was issued.
    pub issuer_country: Option<Country>,
    /// Of the billing address.
    pub billing_country: Option<Country>,
    /// Of the shipping address.
    pub shipping_country: Option<Country>,
    /// One of `CHANNELS`.
    pub channel: Option<Code>,
    /// One of `ENTRY_MODES`.
    pub entry_mode: Option<Code>,
    /// The wallet's name.
    pub wallet: Option<Cow<'a, str>>,
    /// The customer's address.
    pub ip: Option<IpAddr>,
    /// Degrees north and east, both or neither.
    pub position: Option<(f64, f64)>,
    /// Minutes that local time is ahead of UTC.
    pub utc_offset_minutes: Option<i16>,
    /// Address verification, one of `CHECK_RESULTS`.
    pub avs: Option<Code>,
    /// Card security code, one of `CHECK_RESULTS`.
    pub cvv: Option<Code>,
    /// 3-D Secure, one of `CHECK_RESULTS`.
    pub three_ds: Option<Code>,
    /// By the schema's places; shorter than the schema where the last are missing.
    pub attributes: Vec<Option<AttributeValue<'a>>>,
    /// What the check found: `invalid:<field>` and `pan:<field>`.
    pub flags: Vec<Flag>,
    /// How many fields no schema names; they are ignored and counted.
    pub unknown_fields: u32,
}

impl Transaction<'_> {
    /// The value of a field; `amount_base_minor` is the amount in the base currency, missing without a rate.
    pub fn value(&self, field: Field, amount_base_minor: Option<i64>) -> Option<Value<'_>> {
        fn text<'t>(value: Option<&'t Cow<'_, str>>) -> Option<Value<'t>> {
            value.map(|text| Value::Text(text))
        }
        fn code(value: Option<Code>, set: &'static [&'static str]) -> Option<Value<'static>> {
            value.map(|code| Value::Text(code.word(set)))
        }
        match field {
            Field::Id => Some(Value::Text(&self.id)),
            Field::Time => Some(Value::Time(self.time)),
            Field::Card => Some(Value::Text(&self.card)),
            Field::Amount => amount_base_minor.map(Value::Integer),
            Field::Currency => Some(Value::Currency(self.currency)),
            Field::Type => Some(Value::Text(self.kind.name())),
            Field::Parent => text(self.parent.as_ref()),
            Field::Merchant => text(self.merchant.as_ref()),
            Field::Terminal => text(self.terminal.as_ref()),
            Field::Customer => text(self.customer.as_ref()),
            Field::Device => text(self.device.as_ref()),
            Field::Email => text(self.email.as_ref()),
            Field::EmailDomain => text(self.email_domain.as_ref()),
            Field::Bin => text(self.bin.as_ref()),
            Field::Mcc => self.mcc.map(Value::Mcc),
            Field::Country => self.country.map(Value::Country),
            Field::IssuerCountry => self.issuer_country.map(Value::Country),
            Field::BillingCountry => self.billing_country.map(Value::Country),
            Field::ShippingCountry => self.shipping_country.map(Value::Country),
            Field::Channel => code(self.channel, CHANNELS),
            Field::EntryMode => code(self.entry_mode, ENTRY_MODES),
            Field::Wallet => text(self.wallet.as_ref()),
            Field::Ip => self.ip.map(Value::Ip),
            Field::Lat => self.position.map(|(lat, _)| Value::Real(lat)),
            Field::Lon => self.position.map(|(_, lon)| Value::Real(lon)),
            Field::UtcOffset => self.utc_offset_minutes.map(|minutes| Value::Integer(minutes.into())),
            Field::Avs => code(self.avs, CHECK_RESULTS),
            Field::Cvv => code(self.cvv, CHECK_RESULTS),
            Field::ThreeDs => code(self.three_ds, CHECK_RESULTS),
            Field::Processor => Some(Value::Text(&self.processor)),
            Field::Attribute(index) => match self.attributes.get(usize::from(index))?.as_ref()? {
                AttributeValue::Text(text) => Some(Value::Text(text)),
                AttributeValue::Plain(value) => Some(*value),
            },
        }
    }

    /// A transaction of the required fields alone, for tests, examples and generated streams.
    pub fn plain<'a>(
        id: &'a str,
        time: Timestamp,
        card: &'a str,
        amount_minor: i64,
        currency: Currency,
    ) -> Transaction<'a> {
        Transaction {
            id: id.into(),
            time,
            processor: "file".into(),
            card: card.into(),
            amount_minor,
            currency,
            kind: TransactionType::Authorization,
            parent: None,
            merchant: None,
            terminal: None,
            customer: None,
            device: None,
            email: None,
            email_domain: None,
            bin: None,
            mcc: None,
            country: None,
            issuer_country: None,
            billing_country: None,
            shipping_country: None,
            channel: None,
            entry_mode: None,
            wallet: None,
            ip: None,
            position: None,
            utc_offset_minutes: None,
            avs: None,
            cvv: None,
            three_ds: None,
            attributes: Vec::new(),
            flags: Vec::new(),
            unknown_fields: 0,
        }
    }

    /// The same transaction, owning its text.
    pub fn into_owned(self) -> Transaction<'static> {
        fn owned(text: Option<Cow<'_, str>>) -> Option<Cow<'static, str>> {
            text.map(|text| Cow::Owned(text.into_owned()))
        }
        Transaction {
            id: Cow::Owned(self.id.into_owned()),
            time: self.time,
            processor: Cow::Owned(self.processor.into_owned()),
            card: Cow::Owned(self.card.into_owned()),
            amount_minor: self.amount_minor,
            currency: self.currency,
            kind: self.kind,
            parent: owned(self.parent),
            merchant: owned(self.merchant),
            terminal: owned(self.terminal),
            customer: owned(self.customer),
            device: owned(self.device),
            email: owned(self.email),
            email_domain: owned(self.email_domain),
            bin: owned(self.bin),
            mcc: self.mcc,
            country: self.country,
            issuer_country: self.issuer_country,
            billing_country: self.billing_country,
            shipping_country: self.shipping_country,
            channel: self.channel,
            entry_mode: self.entry_mode,
            wallet: owned(self.wallet),
            ip: self.ip,
            position: self.position,
            utc_offset_minutes: self.utc_offset_minutes,
            avs: self.avs,
            cvv: self.cvv,
            three_ds: self.three_ds,
            attributes: self
                .attributes
                .into_iter()
                .map(|value| {
                    value.map(|value| match value {
                        AttributeValue::Text(text) => AttributeValue::Text(Cow::Owned(text.into_owned())),
                        AttributeValue::Plain(value) => AttributeValue::Plain(value),
                    })
                })
                .collect(),
            flags: self.flags,
            unknown_fields: self.unknown_fields,
        }
    }
}

/// What the issuer then did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutcomeKind {
    /// It authorised the amount.
    Approved,
    /// It refused.
    Declined,
    /// It authorised a part; the amount replaces the original in sums.
    Partial {
        /// What was approved, in minor units of the transaction's currency.
        amount_minor: i64,
    },
}

/// What the issuer then did with a transaction.
#[derive(Clone)]
pub struct Outcome<'a> {
    /// The transaction's processor.
    pub processor: Cow<'a, str>,
    /// The transaction's card.
    pub card: Cow<'a, str>,
    /// The transaction.
    pub id: Cow<'a, str>,
    /// When the issuer decided.
    pub time: Timestamp,
    /// What it decided.
    pub kind: OutcomeKind,
}

/// What a transaction turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LabelKind {
    /// Fraud.
    Fraud,
    /// Legitimate.
    Legit,
    /// Not known after all: takes an earlier label back.
    Unknown,
}

/// What a transaction turned out to be: it acts when it arrives; the latest `time` wins, of equal ones the later
/// arrival.
#[derive(Clone)]
pub struct Label<'a> {
    /// The transaction's processor.
    pub processor: Cow<'a, str>,
    /// The transaction's card.
    pub card: Cow<'a, str>,
    /// The transaction.
    pub id: Cow<'a, str>,
    /// When it became known.
    pub time: Timestamp,
    /// What it turned out to be.
    pub kind: LabelKind,
}

/// An addition to or removal from a list.
#[derive(Clone)]
pub struct ListChange<'a> {
    /// The list's id.
    pub list: Cow<'a, str>,
    /// The entry.
    pub value: Cow<'a, str>,
    /// Whether it is added or removed.
    pub add: bool,
    /// The entry is out from this moment of event time on.
    pub expires: Option<Timestamp>,
    /// Why.
    pub comment: Option<Cow<'a, str>>,
    /// Who.
    pub by: Option<Cow<'a, str>>,
}

impl ListChange<'_> {
    /// The same, with texts of its own.
    pub fn into_owned(self) -> ListChange<'static> {
        let Self { list, value, add, expires, comment, by } = self;
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        ListChange {
            list: owned(list),
            value: owned(value),
            add,
            expires,
            comment: comment.map(owned),
            by: by.map(owned),
        }
    }
}

/// What a label came from.
pub const LABEL_SOURCES: &[&str] = &["analyst", "issuer", "chargeback", "dispute"];

/// The largest body of a message, in bytes.
pub const BODY_MAX_BYTES: usize = 64 * 1024;
