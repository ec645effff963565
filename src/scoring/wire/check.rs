//! From a transaction's fields as they came to a checked transaction or a refusal. It touches no window.

use std::{borrow::Cow, net::IpAddr};

use serde::de::DeserializeSeed;

use super::{
    lenient::read_leniently,
    pan::is_card_number,
    plain::read_plain,
    raw::{Raw, RawTransaction},
};
use crate::scoring::{
    field::{AttributeSchema, CHANNELS, CHECK_RESULTS, ENTRY_MODES, Field, FieldType, Value},
    money::{AMOUNT_LIMIT_MINOR, Country, Currency},
    refusal::{Refusal, RefusalClass},
    time::Timestamp,
    transaction::{AttributeValue, BODY_MAX_BYTES, Code, Transaction, TransactionType},
    verdict::Flag,
};

/// The longest `id` and `parent`, in characters.
pub(super) const ID_MAX_CHARACTERS: usize = 64;
/// The longest text of the other fields, in characters.
pub(super) const TEXT_MAX_CHARACTERS: usize = 128;
/// The longest `wallet`, in characters.
const WALLET_MAX_CHARACTERS: usize = 32;
/// The longest token, in characters.
const TOKEN_MAX_CHARACTERS: usize = 64;
/// Local time is at most this far from UTC, in minutes: 14 hours.
const UTC_OFFSET_MAX_MINUTES: i64 = 840;
/// Shorter integers are no card numbers.
const CARD_NUMBER_MIN: i64 = 100_000_000_000;

/// Where a message came from: the tokens of its subject.
#[derive(Clone, Copy)]
pub struct Route<'a> {
    /// The processor's token.
    pub processor: &'a str,
    /// The card's token; `None` where the subject has none, as in a batch or a file.
    pub card: Option<&'a str>,
}

/// Whether a text is a token of a subject: `[A-Za-z0-9_-]`, 1 to 64 long.
pub fn is_token(text: &str) -> bool {
    (1..=TOKEN_MAX_CHARACTERS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// A checked transaction from a JSON body, or the refusal that answers it.
pub fn decode_transaction<'a>(
    body: &'a [u8],
    route: Route<'a>,
    schema: &AttributeSchema,
) -> Result<Transaction<'a>, Refusal> {
    bounded(body)?;
    let mut raw = RawTransaction::new();
    if read_plain(body, &mut raw).is_none() {
        raw = RawTransaction::new();
        if let Err(refusal) = decode_json(body, &mut raw) {
            raw = RawTransaction::new();
            read_leniently(body, &mut raw).ok_or(refusal)?;
        }
    }
    check(&mut raw, route, schema)
}

/// A message of any kind from a JSON body.
pub(super) fn decode_json<'a, T: DeserializeSeed<'a>>(body: &'a [u8], seed: T) -> Result<T::Value, Refusal> {
    bounded(body)?;
    let mut json = serde_json::Deserializer::from_slice(body);
    let decoded = seed.deserialize(&mut json).and_then(|decoded| json.end().map(|()| decoded));
    decoded.map_err(|error| match error.classify() {
        serde_json::error::Category::Data => not_an_object(),
        _ => not_json(&error),
    })
}

fn bounded(body: &[u8]) -> Result<(), Refusal> {
    if body.len() > BODY_MAX_BYTES {
        let message = format!("the body has {} bytes, expected at most {BODY_MAX_BYTES}", body.len());
        return Err(Refusal::of(RefusalClass::TooLarge, "too_large", message));
    }
    Ok(())
}

/// The refusal of what is not JSON.
pub fn not_json(error: &serde_json::Error) -> Refusal {
    // The parser's own message may repeat a value, so only its position is told.
    let place = format!("line {} column {}", error.line(), error.column());
    let message = match error.classify() {
        serde_json::error::Category::Eof => format!("the JSON ends too early, at {place}"),
        _ => format!("the body is not readable as JSON in UTF-8, from {place}"),
    };
    Refusal::of(RefusalClass::BadInput, "invalid_json", message)
}

/// The refusal of JSON that is no object.
pub(super) fn not_an_object() -> Refusal {
    Refusal::of(RefusalClass::BadInput, "invalid_json", "the body is JSON but not an object")
}

/// A checked transaction from its fields as they came, or the refusal that answers it.
pub fn check_transaction<'a>(
    mut raw: RawTransaction<'a>,
    route: Route<'a>,
    schema: &AttributeSchema,
) -> Result<Transaction<'a>, Refusal> {
    check(&mut raw, route, schema)
}

fn check<'a>(
    raw: &mut RawTransaction<'a>,
    route: Route<'a>,
    schema: &AttributeSchema,
) -> Result<Transaction<'a>, Refusal> {
    let from_columns = raw.from_columns;
    let id = required_text("id", raw.take(Field::Id), ID_MAX_CHARACTERS)?;
    let time = required_time("time", raw.field(Field::Time), from_columns)?;
    let card = required_card(raw.take(Field::Card), route.card)?;
    let amount_minor = required_amount(raw.field(Field::Amount), from_columns)?;
    let currency = required_currency(raw.field(Field::Currency))?;
    let kind = transaction_type(raw.field(Field::Type))?;
    let mut flags = Vec::new();
    let parent = if kind.needs_parent() {
        let parent = required_text("parent", raw.take(Field::Parent), ID_MAX_CHARACTERS)?;
        if parent == id {
            return Err(Refusal::invalid("parent", "parent is the transaction's own id, expected an earlier one"));
        }
        Some(parent)
    } else {
        // Here it is an optional field like any other.
        check_optional(Field::Parent, raw.take(Field::Parent), &mut flags, |parent| text(parent, ID_MAX_CHARACTERS))
    };

    let mut optional = Optional { raw, flags: &mut flags, from_columns };
    let mut transaction = Transaction {
        id,
        time,
        processor: Cow::Borrowed(route.processor),
        card,
        amount_minor,
        currency,
        kind,
        parent,
        merchant: optional.text(Field::Merchant, TEXT_MAX_CHARACTERS),
        terminal: optional.text(Field::Terminal, TEXT_MAX_CHARACTERS),
        customer: optional.text(Field::Customer, TEXT_MAX_CHARACTERS),
        device: optional.text(Field::Device, TEXT_MAX_CHARACTERS),
        email: optional.text(Field::Email, TEXT_MAX_CHARACTERS),
        email_domain: optional.text(Field::EmailDomain, TEXT_MAX_CHARACTERS),
        bin: optional.checked(Field::Bin, |raw, _| bin(raw)),
        mcc: optional.checked(Field::Mcc, |raw, _| mcc(&raw)),
        country: optional.checked(Field::Country, |raw, _| country(&raw)),
        issuer_country: optional.checked(Field::IssuerCountry, |raw, _| country(&raw)),
        billing_country: optional.checked(Field::BillingCountry, |raw, _| country(&raw)),
        shipping_country: optional.checked(Field::ShippingCountry, |raw, _| country(&raw)),
        channel: optional.checked(Field::Channel, |raw, _| code(CHANNELS, &raw)),
        entry_mode: optional.checked(Field::EntryMode, |raw, _| code(ENTRY_MODES, &raw)),
        wallet: optional.text(Field::Wallet, WALLET_MAX_CHARACTERS),
        ip: optional.checked(Field::Ip, |raw, _| ip(&raw)),
        position: optional.position(),
        utc_offset_minutes: optional.checked(Field::UtcOffset, |raw, from_columns| {
            let minutes = integer(&raw, from_columns)?;
            let is_offset = (-UTC_OFFSET_MAX_MINUTES..=UTC_OFFSET_MAX_MINUTES).contains(&minutes);
            is_offset.then_some(minutes as i16)
        }),
        avs: optional.checked(Field::Avs, |raw, _| code(CHECK_RESULTS, &raw)),
        cvv: optional.checked(Field::Cvv, |raw, _| code(CHECK_RESULTS, &raw)),
        three_ds: optional.checked(Field::ThreeDs, |raw, _| code(CHECK_RESULTS, &raw)),
        attributes: Vec::new(),
        flags: Vec::new(),
        unknown_fields: 0,
    };
    transaction.unknown_fields = raw.unknown_fields;
    check_attributes(raw, schema, &mut flags, &mut transaction);
    transaction.flags = flags;
    Ok(transaction)
}

fn check_attributes<'a>(
    raw: &mut RawTransaction<'a>,
    schema: &AttributeSchema,
    flags: &mut Vec<Flag>,
    transaction: &mut Transaction<'a>,
) {
    if raw.attributes_malformed {
        flags.push(Flag::InvalidAttributes);
    }
    let from_columns = raw.from_columns;
    for (key, value) in raw.attributes.drain(..) {
        let Some(field @ Field::Attribute(index)) = schema.find(&key) else {
            transaction.unknown_fields += 1;
            continue;
        };
        let checked =
            check_optional(field, value, flags, |value| attribute(schema.attribute_type(index), value, from_columns));
        if checked.is_some() {
            let place = usize::from(index);
            if transaction.attributes.len() <= place {
                transaction.attributes.resize(place + 1, None);
            }
            transaction.attributes[place] = checked;
        }
    }
}

/// Takes the optional fields of a transaction: what is bad becomes missing and is flagged.
struct Optional<'r, 'a> {
    raw: &'r mut RawTransaction<'a>,
    flags: &'r mut Vec<Flag>,
    from_columns: bool,
}

impl<'a> Optional<'_, 'a> {
    fn text(&mut self, field: Field, max_characters: usize) -> Option<Cow<'a, str>> {
        self.checked(field, |raw, _| text(raw, max_characters))
    }

    fn checked<T>(&mut self, field: Field, check: impl FnOnce(Raw<'a>, bool) -> Option<T>) -> Option<T> {
        let from_columns = self.from_columns;
        check_optional(field, self.raw.take(field), self.flags, |raw| check(raw, from_columns))
    }

    fn position(&mut self) -> Option<(f64, f64)> {
        let (lat_there, lon_there) =
            (!self.raw.field(Field::Lat).is_nothing(), !self.raw.field(Field::Lon).is_nothing());
        let lat = self.checked(Field::Lat, |raw, from_columns| degrees(&raw, 90.0, from_columns));
        let lon = self.checked(Field::Lon, |raw, from_columns| degrees(&raw, 180.0, from_columns));
        // One without the other is no position: the one that is there is at fault.
        if lat_there && !lon_there && lat.is_some() {
            self.flags.push(Flag::Invalid(Field::Lat));
        }
        if lon_there && !lat_there && lon.is_some() {
            self.flags.push(Flag::Invalid(Field::Lon));
        }
        lat.zip(lon)
    }
}

fn check_optional<'a, T>(
    field: Field,
    raw: Raw<'a>,
    flags: &mut Vec<Flag>,
    check: impl FnOnce(Raw<'a>) -> Option<T>,
) -> Option<T> {
    if raw.is_nothing() {
        return None;
    }
    if holds_card_number(&raw) {
        flags.push(Flag::Pan(field));
        return None;
    }
    let checked = check(raw);
    if checked.is_none() {
        flags.push(Flag::Invalid(field));
    }
    checked
}

fn holds_card_number(raw: &Raw<'_>) -> bool {
    match raw {
        Raw::Text(text) => is_card_number(text),
        Raw::Integer(number) if *number >= CARD_NUMBER_MIN => is_card_number(&number.to_string()),
        Raw::Real(number) if *number >= CARD_NUMBER_MIN as f64 => is_card_number(&number.to_string()),
        _ => false,
    }
}

/// Whether a text has 1 to `max` characters. Bytes bound characters from above, so most texts are not counted.
fn has_length(text: &str, max: usize) -> bool {
    !text.is_empty() && (text.len() <= max || text.chars().count() <= max)
}

/// A text of 1 to `max_characters` characters.
pub(super) fn required_text<'a>(
    name: &'static str,
    raw: Raw<'a>,
    max_characters: usize,
) -> Result<Cow<'a, str>, Refusal> {
    let problem = match raw {
        Raw::Text(text) if has_length(&text, max_characters) => return Ok(text),
        Raw::Text(text) if !text.is_empty() => format!("{name} has {} characters", text.chars().count()),
        other => format!("{name} is {}", other.found()),
    };
    Err(Refusal::invalid(name, format!("{problem}, expected a text of 1 to {max_characters} characters")))
}

/// A moment.
pub(super) fn required_time(name: &'static str, raw: &Raw<'_>, from_columns: bool) -> Result<Timestamp, Refusal> {
    let time = match raw {
        Raw::Integer(ms) => Timestamp::from_unix_ms(*ms),
        Raw::Text(text) => match integer(raw, from_columns) {
            Some(ms) => Timestamp::from_unix_ms(ms),
            None => Timestamp::parse_rfc3339(text),
        },
        _ => None,
    };
    time.ok_or_else(|| {
        let found = match raw {
            Raw::Text(text) if !text.is_empty() => "a text that is no RFC 3339 time",
            Raw::Integer(_) => "an integer outside the years 0000 to 9999",
            other => other.found(),
        };
        let expected = "an RFC 3339 time such as 2018-07-25T10:15:30.123Z, or integer Unix milliseconds";
        Refusal::invalid(name, format!("{name} is {found}, expected {expected}"))
    })
}

/// The card's token, the same as in the subject where that has one.
pub(super) fn required_card<'a>(raw: Raw<'a>, subject: Option<&str>) -> Result<Cow<'a, str>, Refusal> {
    const EXPECTED: &str = "expected a token of 1 to 64 letters, digits, _ or -";
    if holds_card_number(&raw) {
        let message = "card is a raw card number, expected a token that stands for it";
        return Err(Refusal::invalid("card", message));
    }
    let card = match raw {
        Raw::Text(text) if is_token(&text) => text,
        Raw::Text(text) if !text.is_empty() => {
            let found = if text.len() > TOKEN_MAX_CHARACTERS { "too long" } else { "a text with other characters" };
            return Err(Refusal::invalid("card", format!("card is {found}, {EXPECTED}")));
        }
        other => return Err(Refusal::invalid("card", format!("card is {}, {EXPECTED}", other.found()))),
    };
    match subject {
        Some(subject) if subject != card => {
            let message = "card differs from the card in the subject, expected the same token in both";
            Err(Refusal::of(RefusalClass::BadInput, "card_mismatch", message).about("card"))
        }
        _ => Ok(card),
    }
}

/// An amount in minor units, checked.
pub(super) fn required_amount(raw: &Raw<'_>, from_columns: bool) -> Result<i64, Refusal> {
    let found = match integer(raw, from_columns) {
        Some(minor) if (0..AMOUNT_LIMIT_MINOR).contains(&minor) => return Ok(minor),
        Some(minor) if minor < 0 => "below 0",
        Some(_) => "10^15 or more",
        None => raw.found(),
    };
    let expected = "a whole number of minor units from 0 to below 10^15";
    Err(Refusal::invalid("amount", format!("amount is {found}, expected {expected}")))
}

fn required_currency(raw: &Raw<'_>) -> Result<Currency, Refusal> {
    let found = match raw {
        Raw::Text(code) if !code.is_empty() => match Currency::from_code(code) {
            Some(currency) => return Ok(currency),
            None => "a text that is no such code",
        },
        other => other.found(),
    };
    let expected = "an ISO 4217 alphabetic code such as EUR";
    Err(Refusal::invalid("currency", format!("currency is {found}, expected {expected}")))
}

fn transaction_type(raw: &Raw<'_>) -> Result<TransactionType, Refusal> {
    let found = match raw {
        Raw::Absent | Raw::Null => return Ok(TransactionType::Authorization),
        Raw::Text(word) if !word.is_empty() => match TransactionType::from_name(word) {
            Some(kind) => return Ok(kind),
            None => "another text",
        },
        other => other.found(),
    };
    let expected = "authorization, verification, incremental, refund or reversal";
    Err(Refusal::invalid("type", format!("type is {found}, expected {expected}")))
}

fn text(raw: Raw<'_>, max_characters: usize) -> Option<Cow<'_, str>> {
    match raw {
        Raw::Text(text) if has_length(&text, max_characters) => Some(text),
        _ => None,
    }
}

/// A whole number; in columns it stands as text.
fn integer(raw: &Raw<'_>, from_columns: bool) -> Option<i64> {
    match raw {
        Raw::Integer(number) => Some(*number),
        Raw::Text(text) if from_columns && !text.starts_with('+') => text.parse().ok(),
        _ => None,
    }
}

fn real(raw: &Raw<'_>, from_columns: bool) -> Option<f64> {
    let number = match raw {
        Raw::Integer(number) => *number as f64,
        Raw::Real(number) => *number,
        Raw::Text(text) if from_columns => text.parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

fn degrees(raw: &Raw<'_>, max: f64, from_columns: bool) -> Option<f64> {
    real(raw, from_columns).filter(|degrees| degrees.abs() <= max)
}

fn bin(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    match raw {
        Raw::Text(text) if (6..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(text)
        }
        _ => None,
    }
}

fn mcc(raw: &Raw<'_>) -> Option<u16> {
    match raw {
        Raw::Text(text) if text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

fn country(raw: &Raw<'_>) -> Option<Country> {
    match raw {
        Raw::Text(code) => Country::from_code(code),
        _ => None,
    }
}

fn code(set: &'static [&'static str], raw: &Raw<'_>) -> Option<Code> {
    match raw {
        Raw::Text(word) => Code::find(set, word),
        _ => None,
    }
}

/// An IPv4 address inside IPv6 is the IPv4 address.
fn ip(raw: &Raw<'_>) -> Option<IpAddr> {
    match raw {
        Raw::Text(text) => text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical()),
        _ => None,
    }
}

fn attribute(kind: FieldType, raw: Raw<'_>, from_columns: bool) -> Option<AttributeValue<'_>> {
    let value = match kind {
        FieldType::Number => Value::Millionths(millionths(&raw, from_columns)?),
        FieldType::Integer => Value::Integer(integer(&raw, from_columns)?),
        FieldType::Boolean => match &raw {
            Raw::Boolean(value) => Value::Boolean(*value),
            Raw::Text(word) if from_columns && (word == "true" || word == "1") => Value::Boolean(true),
            Raw::Text(word) if from_columns && (word == "false" || word == "0") => Value::Boolean(false),
            _ => return None,
        },
        FieldType::Country => Value::Country(country(&raw)?),
        FieldType::Time => Value::Time(required_time("time", &raw, from_columns).ok()?),
        _ => return text(raw, TEXT_MAX_CHARACTERS).map(AttributeValue::Text),
    };
    Some(AttributeValue::Plain(value))
}

/// Millionths of a number with at most six decimals.
#[expect(clippy::float_cmp, reason = "the number either is the double nearest to its millionths or it is refused")]
fn millionths(raw: &Raw<'_>, from_columns: bool) -> Option<i64> {
    const MILLION: i64 = 1_000_000;
    if let Some(whole) = integer(raw, from_columns) {
        return whole.checked_mul(MILLION);
    }
    let number = real(raw, from_columns)?;
    let nearest = (number * MILLION as f64).round();
    // Below 2^53 every whole double is exact, so a number of at most six decimals reads back from its millionths.
    let is_exact = nearest.abs() < 9_007_199_254_740_992.0 && nearest / MILLION as f64 == number;
    is_exact.then_some(nearest as i64)
}
