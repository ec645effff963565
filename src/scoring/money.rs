//! Currencies, amounts in integer minor units, and their conversion to the base currency. Money never touches a float.

use std::fmt;

/// An amount is below this many minor units: 10^15 leaves room for sums in 64 bits and for exact products in 128.
pub const AMOUNT_LIMIT_MINOR: i64 = 1_000_000_000_000_000;

/// ISO 4217 alphabetic codes with a minor unit and their exponents, in order: those in force, and those withdrawn
/// since 2010 that historical data still holds. Codes without a minor unit (gold, testing, none) are no currency of a
/// transaction.
static CURRENCIES: &[([u8; 3], u8)] = &[
    (*b"AED", 2),
    (*b"AFN", 2),
    (*b"ALL", 2),
    (*b"AMD", 2),
    (*b"ANG", 2),
    (*b"AOA", 2),
    (*b"ARS", 2),
    (*b"AUD", 2),
    (*b"AWG", 2),
    (*b"AZN", 2),
    (*b"BAM", 2),
    (*b"BBD", 2),
    (*b"BDT", 2),
    (*b"BGN", 2),
    (*b"BHD", 3),
    (*b"BIF", 0),
    (*b"BMD", 2),
    (*b"BND", 2),
    (*b"BOB", 2),
    (*b"BOV", 2),
    (*b"BRL", 2),
    (*b"BSD", 2),
    (*b"BTN", 2),
    (*b"BWP", 2),
    (*b"BYN", 2),
    (*b"BYR", 0),
    (*b"BZD", 2),
    (*b"CAD", 2),
    (*b"CDF", 2),
    (*b"CHE", 2),
    (*b"CHF", 2),
    (*b"CHW", 2),
    (*b"CLF", 4),
    (*b"CLP", 0),
    (*b"CNY", 2),
    (*b"COP", 2),
    (*b"COU", 2),
    (*b"CRC", 2),
    (*b"CUC", 2),
    (*b"CUP", 2),
    (*b"CVE", 2),
    (*b"CZK", 2),
    (*b"DJF", 0),
    (*b"DKK", 2),
    (*b"DOP", 2),
    (*b"DZD", 2),
    (*b"EEK", 2),
    (*b"EGP", 2),
    (*b"ERN", 2),
    (*b"ETB", 2),
    (*b"EUR", 2),
    (*b"FJD", 2),
    (*b"FKP", 2),
    (*b"GBP", 2),
    (*b"GEL", 2),
    (*b"GHS", 2),
    (*b"GIP", 2),
    (*b"GMD", 2),
    (*b"GNF", 0),
    (*b"GTQ", 2),
    (*b"GYD", 2),
    (*b"HKD", 2),
    (*b"HNL", 2),
    (*b"HRK", 2),
    (*b"HTG", 2),
    (*b"HUF", 2),
    (*b"IDR", 2),
    (*b"ILS", 2),
    (*b"INR", 2),
    (*b"IQD", 3),
    (*b"IRR", 2),
    (*b"ISK", 0),
    (*b"JMD", 2),
    (*b"JOD", 3),
    (*b"JPY", 0),
    (*b"KES", 2),
    (*b"KGS", 2),
    (*b"KHR", 2),
    (*b"KMF", 0),
    (*b"KPW", 2),
    (*b"KRW", 0),
    (*b"KWD", 3),
    (*b"KYD", 2),
    (*b"KZT", 2),
    (*b"LAK", 2),
    (*b"LBP", 2),
    (*b"LKR", 2),
    (*b"LRD", 2),
    (*b"LSL", 2),
    (*b"LTL", 2),
    (*b"LVL", 2),
    (*b"LYD", 3),
    (*b"MAD", 2),
    (*b"MDL", 2),
    (*b"MGA", 2),
    (*b"MKD", 2),
    (*b"MMK", 2),
    (*b"MNT", 2),
    (*b"MOP", 2),
    (*b"MRO", 2),
    (*b"MRU", 2),
    (*b"MUR", 2),
    (*b"MVR", 2),
    (*b"MWK", 2),
    (*b"MXN", 2),
    (*b"MXV", 2),
    (*b"MYR", 2),
    (*b"MZN", 2),
    (*b"NAD", 2),
    (*b"NGN", 2),
    (*b"NIO", 2),
    (*b"NOK", 2),
    (*b"NPR", 2),
    (*b"NZD", 2),
    (*b"OMR", 3),
    (*b"PAB", 2),
    (*b"PEN", 2),
    (*b"PGK", 2),
    (*b"PHP", 2),
    (*b"PKR", 2),
    (*b"PLN", 2),
    (*b"PYG", 0),
    (*b"QAR", 2),
    (*b"RON", 2),
    (*b"RSD", 2),
    (*b"RUB", 2),
    (*b"RWF", 0),
    (*b"SAR", 2),
    (*b"SBD", 2),
    (*b"SCR", 2),
    (*b"SDG", 2),
    (*b"SEK", 2),
    (*b"SGD", 2),
    (*b"SHP", 2),
    (*b"SLE", 2),
    (*b"SLL", 2),
    (*b"SOS", 2),
    (*b"SRD", 2),
    (*b"SSP", 2),
    (*b"STD", 2),
    (*b"STN", 2),
    (*b"SVC", 2),
    (*b"SYP", 2),
    (*b"SZL", 2),
    (*b"THB", 2),
    (*b"TJS", 2),
    (*b"TMT", 2),
    (*b"TND", 3),
    (*b"TOP", 2),
    (*b"TRY", 2),
    (*b"TTD", 2),
    (*b"TWD", 2),
    (*b"TZS", 2),
    (*b"UAH", 2),
    (*b"UGX", 0),
    (*b"USD", 2),
    (*b"USN", 2),
    (*b"UYI", 0),
    (*b"UYU", 2),
    (*b"UYW", 4),
    (*b"UZS", 2),
    (*b"VED", 2),
    (*b"VEF", 2),
    (*b"VES", 2),
    (*b"VND", 0),
    (*b"VUV", 0),
    (*b"WST", 2),
    (*b"XAD", 2),
    (*b"XAF", 0),
    (*b"XCD", 2),
    (*b"XCG", 2),
    (*b"XOF", 0),
    (*b"XPF", 0),
    (*b"YER", 2),
    (*b"ZAR", 2),
    (*b"ZMK", 2),
    (*b"ZMW", 2),
    (*b"ZWG", 2),
    (*b"ZWL", 2),
];

/// Where each code stands in `CURRENCIES`, by its letters read as a number in base 26; `NO_CURRENCY` where none does.
static CURRENCY_BY_LETTERS: [u8; 26 * 26 * 26] = {
    let mut table = [NO_CURRENCY; 26 * 26 * 26];
    let mut index = 0;
    while index < CURRENCIES.len() {
        let [a, b, c] = CURRENCIES[index].0;
        table[letters_index(a, b, c)] = index as u8;
        index += 1;
    }
    table
};

const NO_CURRENCY: u8 = u8::MAX;
const _: () = assert!(CURRENCIES.len() < NO_CURRENCY as usize);

const fn letters_index(a: u8, b: u8, c: u8) -> usize {
    ((a - b'A') as usize * 26 + (b - b'A') as usize) * 26 + (c - b'A') as usize
}

/// An ISO 4217 currency whose exponent is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(u8);

impl Currency {
    /// The currency of an alphabetic code in capitals.
    pub fn from_code(code: &str) -> Option<Self> {
        match code.as_bytes() {
            &[a @ b'A'..=b'Z', b @ b'A'..=b'Z', c @ b'A'..=b'Z'] => {
                let index = CURRENCY_BY_LETTERS[letters_index(a, b, c)];
                (index != NO_CURRENCY).then_some(Self(index))
            }
            _ => None,
        }
    }

    /// Every currency, by code.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CURRENCIES.len()).map(|index| Self(index as u8))
    }

    /// How many currencies there are; `index` is below it.
    pub const COUNT: usize = CURRENCIES.len();

    /// A dense number for tables.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The currency of a dense number from `index`.
    pub fn from_index(index: usize) -> Option<Self> {
        (index < CURRENCIES.len()).then_some(Self(index as u8))
    }

    /// The alphabetic code.
    pub fn code(self) -> &'static str {
        std::str::from_utf8(&CURRENCIES[self.index()].0).unwrap_or("???")
    }

    /// How many decimal digits its minor unit has: EUR 2, JPY 0, KWD 3.
    pub const fn exponent(self) -> u32 {
        CURRENCIES[self.0 as usize].1 as u32
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

/// ISO 3166-1 alpha-2 codes.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS \
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE \
    EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM \
    HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC \
    LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA \
    NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW \
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO \
    TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// Which pairs of letters are a country.
static COUNTRY_BY_LETTERS: [bool; 26 * 26] = {
    let mut table = [false; 26 * 26];
    let codes = COUNTRIES.as_bytes();
    let mut at = 0;
    while at < codes.len() {
        if codes[at] == b' ' {
            at += 1;
        } else {
            table[(codes[at] - b'A') as usize * 26 + (codes[at + 1] - b'A') as usize] = true;
            at += 2;
        }
    }
    table
};

/// An ISO 3166-1 alpha-2 country.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// The country of a code in capitals.
    pub fn from_code(code: &str) -> Option<Self> {
        match code.as_bytes() {
            &[a @ b'A'..=b'Z', b @ b'A'..=b'Z'] => {
                let known = COUNTRY_BY_LETTERS[usize::from(a - b'A') * 26 + usize::from(b - b'A')];
                known.then_some(Self([a, b]))
            }
            _ => None,
        }
    }

    /// Every country's code, in order.
    pub fn all_codes() -> impl Iterator<Item = &'static str> {
        COUNTRIES.split_ascii_whitespace()
    }

    /// The alpha-2 code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

/// A positive decimal without a float behind it: `mantissa / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    mantissa: u64,
    scale: u32,
}

impl Decimal {
    /// Digits a rate may have in all: with an amount below 10^15 and exponents up to 4 the product stays below 2^127.
    const DIGITS_MAX: usize = 18;

    /// A decimal from text such as `0.92` or `130`; no sign, no exponent, at most 18 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let dotted_well = !text.contains('.') || !fraction.is_empty();
        let digits = whole.len() + fraction.len();
        if whole.is_empty() || !dotted_well || digits > Self::DIGITS_MAX {
            return None;
        }
        let mut mantissa: u64 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            if !digit.is_ascii_digit() {
                return None;
            }
            mantissa = mantissa * 10 + u64::from(digit - b'0');
        }
        let mut scale = fraction.len() as u32;
        // Equal decimals are equal values: `1.50` is `1.5`.
        while scale > 0 && mantissa.is_multiple_of(10) {
            mantissa /= 10;
            scale -= 1;
        }
        Some(Self { mantissa, scale })
    }

    /// One.
    pub const ONE: Self = Self { mantissa: 1, scale: 0 };

    /// Whether it is zero.
    pub const fn is_zero(self) -> bool {
        self.mantissa == 0
    }
}

impl fmt::Display for Decimal {
    /// The shortest text that reads back to it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A mantissa of 18 digits at most leaves a scale of 18 at most.
        let unit = 10_u64.pow(self.scale);
        let (whole, fraction) = (self.mantissa / unit, self.mantissa % unit);
        match self.scale {
            0 => write!(out, "{whole}"),
            scale => write!(out, "{whole}.{fraction:0width$}", width = scale as usize),
        }
    }
}

/// The rate table: what one unit of each currency is worth in the base currency.
#[derive(Clone, Debug)]
pub struct Rates {
    base: Currency,
    rates: Vec<Option<Decimal>>,
}

impl Rates {
    /// A table that knows the base currency alone.
    pub fn new(base: Currency) -> Self {
        let mut rates = vec![None; Currency::COUNT];
        rates[base.index()] = Some(Decimal::ONE);
        Self { base, rates }
    }

    /// Sets what one unit of `currency` is worth; the base currency stays 1.
    pub fn set(&mut self, currency: Currency, rate: Decimal) {
        if currency != self.base {
            self.rates[currency.index()] = Some(rate);
        }
    }

    /// The base currency.
    pub const fn base(&self) -> Currency {
        self.base
    }

    /// Every currency with a rate, the base currency included, by code.
    pub fn known(&self) -> impl Iterator<Item = (Currency, Decimal)> {
        Currency::all().filter_map(|currency| Some((currency, self.rates[currency.index()]?)))
    }

    /// Converts minor units of `currency` to minor units of the base currency, rounding half to even.
    ///
    /// `None` without a rate, or where the result does not fit in 64 bits.
    pub fn to_base_minor(&self, amount_minor: i64, currency: Currency) -> Option<i64> {
        if currency == self.base {
            return Some(amount_minor);
        }
        let rate = self.rates[currency.index()]?;
        let exact = i128::from(amount_minor) * i128::from(rate.mantissa) * pow10(self.base.exponent());
        let divisor = pow10(rate.scale + currency.exponent());
        i64::try_from(divide_half_even(exact, divisor)).ok()
    }
}

const fn pow10(exponent: u32) -> i128 {
    10_i128.pow(exponent)
}

/// `numerator / divisor` for a positive divisor, the half rounded to the even neighbour.
fn divide_half_even(numerator: i128, divisor: i128) -> i128 {
    let quotient = numerator.div_euclid(divisor);
    let twice = numerator.rem_euclid(divisor) * 2;
    let up = twice > divisor || (twice == divisor && quotient % 2 != 0);
    quotient + i128::from(up)
}

/// Money for people: `4.99 EUR`, `500 JPY`; trailing zero decimals are dropped when all of them are.
pub struct Money {
    /// Minor units of the currency.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

/// Why a text is no amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotMoney {
    /// It is no number, a blank and a currency.
    Shape,
    /// Its currency is not in the standard.
    Currency,
    /// It has more decimals than its currency.
    Decimals {
        /// How many it has.
        found: usize,
        /// The currency.
        currency: Currency,
    },
    /// It is not below `AMOUNT_LIMIT_MINOR`.
    Large,
}

impl Money {
    /// Money from text such as `500 EUR` or `4.99 EUR`: no sign, one blank or more.
    pub fn parse(text: &str) -> Result<Self, NotMoney> {
        let (number, code) = text.split_once(' ').ok_or(NotMoney::Shape)?;
        let currency = Currency::from_code(code.trim_start()).ok_or(NotMoney::Currency)?;
        Ok(Self { minor: Self::minor_of(number, currency)?, currency })
    }

    /// The minor units of digits such as `500` or `4.99`.
    pub fn minor_of(number: &str, currency: Currency) -> Result<i64, NotMoney> {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || number.ends_with('.') {
            return Err(NotMoney::Shape);
        }
        let exponent = currency.exponent() as usize;
        if fraction.len() > exponent {
            return Err(NotMoney::Decimals { found: fraction.len(), currency });
        }
        let minor: Option<i64> = format!("{whole}{fraction:0<exponent$}").parse().ok();
        minor.filter(|minor| *minor < AMOUNT_LIMIT_MINOR).ok_or(NotMoney::Large)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = self.currency.exponent();
        let unit = 10_u64.pow(exponent);
        let magnitude = self.minor.unsigned_abs();
        let sign = if self.minor < 0 { "-" } else { "" };
        let (whole, fraction) = (magnitude / unit, magnitude % unit);
        if fraction == 0 {
            write!(out, "{sign}{whole} {}", self.currency.code())
        } else {
            write!(out, "{sign}{whole}.{fraction:0width$} {}", self.currency.code(), width = exponent as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::from_code(code).expect(code)
    }

    #[test]
    fn exponents_follow_the_standard() {
        for (code, exponent) in [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("ISK", 0), ("BGN", 2)] {
            assert_eq!(currency(code).exponent(), exponent, "{code}");
            assert_eq!(currency(code).code(), code);
        }
        for code in ["", "eur", "EU", "EURO", "XXX", "XAU", "XTS", "ZZZ", "DEM"] {
            assert_eq!(Currency::from_code(code), None, "{code}");
        }
        assert!(CURRENCIES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn countries_follow_the_standard() {
        assert_eq!(Country::all_codes().count(), 249);
        for code in ["FR", "DE", "GB", "US"] {
            assert_eq!(Country::from_code(code).expect(code).code(), code);
        }
        for code in ["", "F", "fr", "UK", "EU", "ZZ", "FRA", "F\u{c9}"] {
            assert_eq!(Country::from_code(code), None, "{code}");
        }
    }

    #[test]
    fn conversion_rounds_half_to_even() {
        let mut rates = Rates::new(currency("EUR"));
        for (code, rate) in [("USD", "0.5"), ("JPY", "0.0061"), ("KWD", "3"), ("GBP", "999999999999999999")] {
            rates.set(currency(code), Decimal::parse(rate).expect(rate));
        }
        let cases = [
            ("EUR", 4599, Some(4599)),
            ("USD", 1, Some(0)), // 0.5 cent: to the even 0
            ("USD", 3, Some(2)), // 1.5 cents: to the even 2
            ("USD", 5, Some(2)), // 2.5 cents: to the even 2
            ("JPY", 100, Some(61)),
            ("KWD", 1_000, Some(300)),
            ("CHF", 1, None),
            ("GBP", AMOUNT_LIMIT_MINOR - 1, None),
        ];
        for (code, minor, expected) in cases {
            assert_eq!(rates.to_base_minor(minor, currency(code)), expected, "{minor} {code}");
        }
    }

    #[test]
    fn decimals_are_plain() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "1.2.3", "1234567890123456789"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert_eq!(Decimal::parse("0.92"), Some(Decimal { mantissa: 92, scale: 2 }));
    }

    #[test]
    fn equal_decimals_are_equal() {
        for (text, same) in [("1.00", "1"), ("0.920", "0.92"), ("130", "130"), ("0.0061", "0.0061"), ("0.00", "0")] {
            assert_eq!(Decimal::parse(text), Decimal::parse(same), "{text}");
            assert_eq!(Decimal::parse(text).expect(text).to_string(), same);
        }
    }

    #[test]
    fn money_reads_back() {
        for text in ["4.99 EUR", "500 JPY", "0.001 KWD", "0 EUR", "9999999999999.99 EUR"] {
            let Ok(money) = Money::parse(text) else { panic!("{text}") };
            assert_eq!(money.to_string(), text);
        }
        let euro = currency("EUR");
        let cases = [
            ("", NotMoney::Shape),
            ("5", NotMoney::Shape),
            ("EUR 5", NotMoney::Currency),
            ("5 eur", NotMoney::Currency),
            ("-5 EUR", NotMoney::Shape),
            (".5 EUR", NotMoney::Shape),
            ("5. EUR", NotMoney::Shape),
            ("5,00 EUR", NotMoney::Shape),
            ("5.001 EUR", NotMoney::Decimals { found: 3, currency: euro }),
            ("10000000000000 EUR", NotMoney::Large),
            ("99999999999999999999 EUR", NotMoney::Large),
        ];
        for (text, expected) in cases {
            assert_eq!(Money::parse(text).err(), Some(expected), "{text}");
        }
    }

    #[test]
    fn money_prints_for_people() {
        let cases =
            [(499, "EUR", "4.99 EUR"), (500, "EUR", "5 EUR"), (500, "JPY", "500 JPY"), (-1, "KWD", "-0.001 KWD")];
        for (minor, code, text) in cases {
            assert_eq!(Money { minor, currency: currency(code) }.to_string(), text);
        }
    }
}
