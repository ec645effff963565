//! Currencies, amounts in integer minor units, and their conversion to the base currency. Money never touches a float.

mod codes;
mod slips;

use std::fmt;

pub use codes::{Country, Currency};

/// An amount is below this many minor units: 10^15 leaves room for sums in 64 bits and for exact products in 128.
pub const AMOUNT_LIMIT_MINOR: i64 = 1_000_000_000_000_000;

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

impl Money {
    /// Appends its text.
    pub fn push_text(&self, out: &mut String) {
        if self.minor < 0 {
            out.push('-');
        }
        let unit = 10_u64.pow(self.currency.exponent());
        let minor = self.minor.unsigned_abs();
        match minor % unit {
            0 => push_decimal(minor / unit, 1, out),
            _ => push_decimal(minor, unit, out),
        }
        out.push(' ');
        out.push_str(self.currency.code());
    }
}

impl fmt::Display for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.push_text(&mut text);
        out.write_str(&text)
    }
}

/// Appends `scaled / unit`, for a unit that is a power of ten, with as many decimals as the unit has zeros.
pub fn push_decimal(scaled: u64, unit: u64, out: &mut String) {
    let mut digits = itoa::Buffer::new();
    out.push_str(digits.format(scaled / unit));
    if unit > 1 {
        out.push('.');
        // A one in front keeps the zeros that a fraction begins with.
        out.push_str(&digits.format(unit + scaled % unit)[1..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::from_code(code).expect(code)
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
