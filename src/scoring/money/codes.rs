//! The currencies of ISO 4217 and the countries of ISO 3166-1. No amounts here.

use std::fmt;

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
}
