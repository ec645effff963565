//! A row of the simulated stream and its text: CSV, JSON, or the body that a processor sends. It draws nothing.

use std::{io::Write as _, net::IpAddr};

use super::{
    draw::{mix32, mix64},
    places::PLACES,
    shops::Channel,
    world::{EMAIL_DOMAINS, Merchant, PROCESSORS},
};
use crate::scoring::{
    field::AttributeSchema,
    money::Currency,
    refusal::Refusal,
    time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp},
    transaction::{Transaction, TransactionType},
    wire::{Route, decode_transaction},
};

/// How a fraud was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// Many small purchases to see whether stolen numbers work.
    CardTesting,
    /// Numbers of one bank tried in quick succession.
    BinAttack,
    /// A stolen card used as fast as possible.
    StolenCardSpree,
    /// Cards copied at one terminal, used there and elsewhere.
    CompromisedTerminal,
    /// A customer's account used by another.
    AccountTakeover,
    /// A copied card used far from where its holder is.
    ImpossibleTravel,
}

impl Pattern {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::CardTesting,
        Self::BinAttack,
        Self::StolenCardSpree,
        Self::CompromisedTerminal,
        Self::AccountTakeover,
        Self::ImpossibleTravel,
    ];

    /// The word in the column `pattern`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CardTesting => "card_testing",
            Self::BinAttack => "bin_attack",
            Self::StolenCardSpree => "stolen_card_spree",
            Self::CompromisedTerminal => "compromised_terminal",
            Self::AccountTakeover => "account_takeover",
            Self::ImpossibleTravel => "impossible_travel",
        }
    }
}

/// The columns of the CSV form.
pub const COLUMNS: [&str; 33] = [
    "id",
    "time",
    "card",
    "amount",
    "currency",
    "type",
    "parent",
    "merchant",
    "terminal",
    "mcc",
    "country",
    "channel",
    "entry_mode",
    "wallet",
    "customer",
    "device",
    "email",
    "email_domain",
    "ip",
    "bin",
    "issuer_country",
    "billing_country",
    "shipping_country",
    "lat",
    "lon",
    "utc_offset",
    "avs",
    "cvv",
    "three_ds",
    "processor",
    "label",
    "label_time",
    "pattern",
];

/// A transaction of the simulated stream with what is known about it. It holds numbers only; its text is written from
/// them.
#[derive(Clone)]
pub struct SimulatedRow {
    pub(super) key: u64,
    pub(super) time_ms: i64,
    pub(super) card: u32,
    pub(super) amount_minor: i64,
    pub(super) currency: Currency,
    pub(super) kind: TransactionType,
    pub(super) parent: Option<u64>,
    pub(super) merchant: Merchant,
    pub(super) terminal: Option<u8>,
    pub(super) processor: u8,
    pub(super) has_mcc: bool,
    pub(super) channel: Channel,
    pub(super) entry_mode: Option<&'static str>,
    pub(super) wallet: Option<&'static str>,
    pub(super) has_customer: bool,
    pub(super) device: Option<u64>,
    pub(super) email: Option<(u64, u8)>,
    pub(super) ip: Option<IpAddr>,
    pub(super) bin: u32,
    pub(super) issuer_country: u8,
    pub(super) billing_country: Option<u8>,
    pub(super) shipping_country: Option<u8>,
    pub(super) position_e4: Option<(i32, i32)>,
    pub(super) utc_offset_minutes: Option<i16>,
    pub(super) avs: Option<&'static str>,
    pub(super) cvv: Option<&'static str>,
    pub(super) three_ds: Option<&'static str>,
    pub(super) pattern: Option<Pattern>,
    pub(super) label_ms: i64,
}

impl SimulatedRow {
    /// Event time.
    pub fn time(&self) -> Timestamp {
        moment(self.time_ms)
    }

    /// Whether it is fraud.
    pub fn is_fraud(&self) -> bool {
        self.pattern.is_some()
    }

    /// How the fraud was done; `None` for what is legitimate. It is never an input of a model.
    pub fn pattern(&self) -> Option<Pattern> {
        self.pattern
    }

    /// When its label becomes known.
    pub fn label_time(&self) -> Timestamp {
        moment(self.label_ms)
    }

    /// The processor that sends it.
    pub fn processor(&self) -> &'static str {
        PROCESSORS[usize::from(self.processor)]
    }

    /// What kind of message it is.
    pub fn kind(&self) -> TransactionType {
        self.kind
    }

    /// The word of its channel.
    pub fn channel(&self) -> &'static str {
        self.channel.name()
    }

    /// The currency of its amount.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The country of its merchant.
    pub fn country(&self) -> &'static str {
        country_code(self.merchant.country)
    }

    /// The token of its card.
    pub fn card(&self) -> String {
        let mut out = Vec::with_capacity(16);
        push_card(&mut out, self.card);
        String::from_utf8(out).unwrap_or_default()
    }

    /// The transaction as a service would see it: its body, checked.
    pub fn transaction(&self) -> Result<Transaction<'static>, Refusal> {
        let mut body = Vec::with_capacity(768);
        self.write_body(&mut body);
        let route = Route { processor: self.processor(), card: None };
        decode_transaction(&body, route, &AttributeSchema::default()).map(Transaction::into_owned)
    }

    /// Appends the JSON body of the transaction: what a processor sends, without the label.
    pub fn write_body(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_transaction(&mut Json(out));
        close_object(out);
    }

    /// Appends the row as a line of JSON, with its processor, label and pattern.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_transaction(&mut Json(out));
        self.write_known(&mut Json(out));
        close_object(out);
        out.push(b'\n');
    }

    /// Appends the row as a line of CSV in the order of `COLUMNS`.
    pub fn write_csv(&self, out: &mut Vec<u8>) {
        self.write_transaction(&mut Csv(out));
        self.write_known(&mut Csv(out));
        // The comma after the last field is where the line ends.
        out.pop();
        out.push(b'\n');
    }

    fn write_transaction(&self, out: &mut impl Form) {
        out.text("id", |out| push_id(out, self.key));
        out.text("time", |out| push_time(out, self.time_ms));
        out.text("card", |out| push_card(out, self.card));
        out.number("amount", |out| push_integer(out, self.amount_minor));
        out.word("currency", Some(self.currency.code()));
        // The default type is left out, as most processors do.
        let kind = (self.kind != TransactionType::Authorization).then_some(self.kind.name());
        out.word("type", kind);
        out.optional("parent", self.parent, push_id);
        out.text("merchant", |out| push_prefixed(out, b"m_", mix32(self.merchant.key).into(), 8));
        out.optional("terminal", self.terminal, |out, terminal| {
            push_prefixed(out, b"term_", mix32(self.merchant.key ^ 0x7e_0000).into(), 8);
            out.push(b'a' + terminal % 26);
        });
        out.optional("mcc", self.has_mcc.then_some(self.merchant.shop.kind().mcc), |out, mcc| {
            push_digits(out, mcc.into(), 4);
        });
        out.word("country", Some(self.country()));
        out.word("channel", Some(self.channel.name()));
        out.word("entry_mode", self.entry_mode);
        out.word("wallet", self.wallet);
        let customer = self.has_customer.then_some(self.card);
        out.optional("customer", customer, |out, card| push_prefixed(out, b"u_", mix32(card ^ 0x5eed).into(), 8));
        out.optional("device", self.device, |out, device| push_prefixed(out, b"d_", device >> 16, 12));
        out.optional("email", self.email, |out, (hash, _)| push_prefixed(out, b"e_", hash >> 8, 14));
        let domain = self.email.and_then(|(_, domain)| EMAIL_DOMAINS.get(usize::from(domain)).copied());
        out.word("email_domain", domain);
        // Writing to memory cannot fail.
        out.optional("ip", self.ip, |out, ip| drop(write!(out, "{ip}")));
        out.text("bin", |out| push_digits(out, self.bin.into(), 6));
        out.word("issuer_country", Some(country_code(self.issuer_country)));
        out.word("billing_country", self.billing_country.map(country_code));
        out.word("shipping_country", self.shipping_country.map(country_code));
        let (lat, lon) = self.position_e4.unzip();
        out.optional_number("lat", lat, push_degrees);
        out.optional_number("lon", lon, push_degrees);
        out.optional_number("utc_offset", self.utc_offset_minutes, |out, minutes| push_integer(out, minutes.into()));
        out.word("avs", self.avs);
        out.word("cvv", self.cvv);
        out.word("three_ds", self.three_ds);
    }

    fn write_known(&self, out: &mut impl Form) {
        out.word("processor", Some(self.processor()));
        out.number("label", |out| out.push(if self.is_fraud() { b'1' } else { b'0' }));
        out.text("label_time", |out| push_time(out, self.label_ms));
        out.word("pattern", self.pattern.map(Pattern::name));
    }
}

/// Where the fields of a row go, one after the other.
trait Form {
    fn text(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>));
    fn number(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>));
    fn absent(&mut self);

    fn word(&mut self, name: &str, word: Option<&str>) {
        self.optional(name, word, |out, word| out.extend_from_slice(word.as_bytes()));
    }

    fn optional<T>(&mut self, name: &str, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
        match value {
            Some(value) => self.text(name, |out| write(out, value)),
            None => self.absent(),
        }
    }

    fn optional_number<T>(&mut self, name: &str, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
        match value {
            Some(value) => self.number(name, |out| write(out, value)),
            None => self.absent(),
        }
    }
}

/// Columns, each with a comma after it. No text of the stream needs quotes.
struct Csv<'o>(&'o mut Vec<u8>);

impl Form for Csv<'_> {
    fn text(&mut self, _: &str, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.0);
        self.0.push(b',');
    }

    fn number(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.text(name, write);
    }

    fn absent(&mut self) {
        self.0.push(b',');
    }
}

/// Members of an object, each with a comma after it. No text of the stream needs escapes.
struct Json<'o>(&'o mut Vec<u8>);

impl Json<'_> {
    fn name(&mut self, name: &str) {
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

impl Form for Json<'_> {
    fn text(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.name(name);
        self.0.push(b'"');
        write(self.0);
        self.0.extend_from_slice(b"\",");
    }

    fn number(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.name(name);
        write(self.0);
        self.0.push(b',');
    }

    fn absent(&mut self) {}
}

fn close_object(out: &mut [u8]) {
    if let Some(comma) = out.last_mut() {
        *comma = b'}';
    }
}

fn country_code(country: u8) -> &'static str {
    PLACES.get(usize::from(country)).map_or("DE", |place| place.code)
}

/// The stream lies within the years that a timestamp can say; `Simulation` sees to it.
fn moment(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms).expect("a time of the stream lies within the years 0000 to 9999")
}

/// Different keys have different ids, and an id does not show its key: neither the card nor whether it is a fraud.
fn push_id(out: &mut Vec<u8>, key: u64) {
    push_prefixed(out, b"t_", mix64(key), 16);
}

fn push_card(out: &mut Vec<u8>, card: u32) {
    push_prefixed(out, b"c_", mix32(card).into(), 8);
}

fn push_prefixed(out: &mut Vec<u8>, prefix: &[u8], number: u64, digits: u32) {
    out.extend_from_slice(prefix);
    for digit in (0..digits).rev() {
        let nibble = (number >> (4 * digit) & 0xf) as u8;
        out.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    }
}

/// A number of exactly so many decimal digits.
fn push_digits(out: &mut Vec<u8>, mut number: u64, digits: usize) {
    let start = out.len();
    out.resize(start + digits, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn push_integer(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    let magnitude = number.unsigned_abs();
    let digits = magnitude.checked_ilog10().map_or(1, |digits| digits as usize + 1);
    push_digits(out, magnitude, digits);
}

/// Ten-thousandths of degrees as degrees.
fn push_degrees(out: &mut Vec<u8>, degrees_e4: i32) {
    if degrees_e4 < 0 {
        out.push(b'-');
    }
    let magnitude = u64::from(degrees_e4.unsigned_abs());
    push_integer(out, (magnitude / 10_000) as i64);
    out.push(b'.');
    push_digits(out, magnitude % 10_000, 4);
}

/// RFC 3339 in UTC with milliseconds.
fn push_time(out: &mut Vec<u8>, ms: i64) {
    let (year, month, day) = civil(ms.div_euclid(DAY_MS));
    let of_day = ms.rem_euclid(DAY_MS);
    let parts = [
        (year as u64, 4, b'-'),
        (month.into(), 2, b'-'),
        (day.into(), 2, b'T'),
        ((of_day / HOUR_MS) as u64, 2, b':'),
        ((of_day % HOUR_MS / MINUTE_MS) as u64, 2, b':'),
        ((of_day % MINUTE_MS / SECOND_MS) as u64, 2, b'.'),
        ((of_day % SECOND_MS) as u64, 3, b'Z'),
    ];
    for (number, digits, after) in parts {
        push_digits(out, number, digits);
        out.push(after);
    }
}

/// Year, month and day of a day since 1970-01-01, counted in years that begin in March so that the leap day is last.
pub(super) fn civil(day: i64) -> (i64, u32, u32) {
    const DAYS_OF_ERA: i64 = 146_097;
    let shifted = day + 719_468;
    let era = shifted.div_euclid(DAYS_OF_ERA);
    let day_of_era = shifted.rem_euclid(DAYS_OF_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = (day_of_year - (153 * month + 2) / 5 + 1) as u32;
    let month = if month < 10 { month + 3 } else { month - 9 } as u32;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("numbers are ASCII")
    }

    #[test]
    fn times_are_written_as_everywhere_else() {
        for ms in [0, -1, 1_532_513_730_123, 951_782_399_999, 951_782_400_000, 4_107_542_399_999, -62_000_000_000_000] {
            assert_eq!(text(|out| push_time(out, ms)), moment(ms).to_string());
        }
        for day in -200_000..200_000 {
            let ms = day * DAY_MS;
            assert_eq!(text(|out| push_time(out, ms)), moment(ms).to_string());
        }
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 7, 10, -10, 999, 1_000, i64::MAX, i64::MIN] {
            assert_eq!(text(|out| push_integer(out, number)), number.to_string());
        }
        for (degrees, expected) in [(0, "0.0000"), (-74_015, "-7.4015"), (1_351_000, "135.1000"), (-5, "-0.0005")] {
            assert_eq!(text(|out| push_degrees(out, degrees)), expected);
        }
    }
}
