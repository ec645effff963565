//! Event time as integer milliseconds, durations, and the UTC calendar. It never asks a clock.

use std::fmt;

/// One second, in milliseconds.
pub const SECOND_MS: i64 = 1_000;
/// One minute, in milliseconds.
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
/// One hour, in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// One day, in milliseconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// The last millisecond of the year 9999: RFC 3339 has four-digit years, so later times cannot be written.
const MAX_MS: i64 = 253_402_300_799_999;
/// The first millisecond of the year 0000, in the proleptic Gregorian calendar.
const MIN_MS: i64 = -62_167_219_200_000;

/// A moment of event time: milliseconds since 1970-01-01T00:00:00Z, within the years 0000 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A moment from Unix milliseconds; `None` outside the years 0000 to 9999.
    pub fn from_unix_ms(ms: i64) -> Option<Self> {
        (MIN_MS..=MAX_MS).contains(&ms).then_some(Self(ms))
    }

    /// A moment from RFC 3339 text with an offset; finer than a millisecond is truncated (toward the past).
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        // The general parser also takes other notations of ISO 8601 and its own, such as `[Europe/Paris]`.
        let fraction_digits = rfc3339_fraction_digits(text.as_bytes())?;
        let instant: jiff::Timestamp = if fraction_digits <= NANOSECOND_DIGITS {
            text.parse().ok()?
        } else {
            let (kept, offset) = (SECONDS_LENGTH + 1 + NANOSECOND_DIGITS, SECONDS_LENGTH + 1 + fraction_digits);
            format!("{}{}", &text[..kept], &text[offset..]).parse().ok()?
        };
        let floor = instant.as_nanosecond().div_euclid(1_000_000);
        Self::from_unix_ms(i64::try_from(floor).ok()?)
    }

    /// The first moment, in UTC, of a date such as `2026-12-31`.
    pub fn parse_date(text: &str) -> Option<Self> {
        (text.len() == "2026-12-31".len()).then(|| Self::parse_rfc3339(&format!("{text}T00:00:00Z")))?
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// The hour of the UTC day, 0 to 23.
    pub const fn hour(self) -> i64 {
        self.0.rem_euclid(DAY_MS) / HOUR_MS
    }

    /// The ISO day of the week in UTC, Monday 1 to Sunday 7.
    pub const fn weekday(self) -> i64 {
        // 1970-01-01 was a Thursday, ISO day 4.
        (self.0.div_euclid(DAY_MS) + 3).rem_euclid(7) + 1
    }
}

/// The length of `2018-07-25T10:15:30`.
const SECONDS_LENGTH: usize = 19;
/// How many digits of a fraction the parser takes.
const NANOSECOND_DIGITS: usize = 9;

/// How many digits follow the decimal point of a text that has the signs of RFC 3339 in their places; its other digits
/// are left to the parser.
fn rfc3339_fraction_digits(text: &[u8]) -> Option<usize> {
    let (moment, rest) = text.split_at_checked(SECONDS_LENGTH)?;
    let dated = moment[4] == b'-' && moment[7] == b'-' && moment[13] == b':' && moment[16] == b':';
    let digits = match rest {
        [b'.', fraction @ ..] => fraction.iter().take_while(|byte| byte.is_ascii_digit()).count(),
        _ => 0,
    };
    let offset = &rest[if digits > 0 { digits + 1 } else { 0 }..];
    let is_offset = match offset {
        [b'Z' | b'z'] => true,
        // The parser takes hours beyond a day.
        [b'+' | b'-', hours @ ..] => hours.len() == 5 && hours[2] == b':' && &hours[..2] <= b"23".as_slice(),
        _ => false,
    };
    (dated && is_offset).then_some(digits)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds, such as `2018-07-25T10:15:30.123Z`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(out, "{instant:.3}"),
            Err(_) => write!(out, "{}ms", self.0),
        }
    }
}

/// A length of time as rule files write it (`10m`, `24h`, `7d`): the largest unit that leaves no remainder.
pub struct Span(pub i64);

impl Span {
    /// Appends its text.
    pub fn push_text(&self, out: &mut String) {
        let units = [(DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "m"), (SECOND_MS, "s")];
        let fits = |unit_ms: i64| self.0 % unit_ms == 0 && self.0 != 0 && (unit_ms != DAY_MS || self.0 > DAY_MS);
        let (unit_ms, name) = units.into_iter().find(|(unit_ms, _)| fits(*unit_ms)).unwrap_or((1, "ms"));
        out.push_str(itoa::Buffer::new().format(self.0 / unit_ms));
        out.push_str(name);
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.push_text(&mut text);
        out.write_str(&text)
    }
}

/// A duration from text such as `500ms`, `30s`, `10m`, `24h` or `7d`, in milliseconds; `None` if it is anything else
/// or does not fit.
pub fn parse_span_ms(text: &str) -> Option<i64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => SECOND_MS,
        "m" => MINUTE_MS,
        "h" => HOUR_MS,
        "d" => DAY_MS,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_follows_utc() {
        // (text, unix ms, hour, weekday)
        let cases = [
            ("1970-01-01T00:00:00Z", 0, 0, 4),
            ("2018-07-25T10:15:30.123Z", 1_532_513_730_123, 10, 3),
            ("2018-07-25T12:15:30.123+02:00", 1_532_513_730_123, 10, 3),
            ("2018-07-25T10:15:30.123999999Z", 1_532_513_730_123, 10, 3),
            ("2018-07-25T10:15:30.1239999999999+00:00", 1_532_513_730_123, 10, 3),
            ("1969-12-31T23:59:59.999Z", -1, 23, 3),
            ("2018-07-29T23:00:00Z", 1_532_905_200_000, 23, 7),
        ];
        for (text, ms, hour, weekday) in cases {
            let time = Timestamp::parse_rfc3339(text).expect(text);
            assert_eq!((time.unix_ms(), time.hour(), time.weekday()), (ms, hour, weekday), "{text}");
        }
    }

    #[test]
    fn other_notations_are_refused() {
        for text in [
            "",
            "2018-07-25",
            "2018-07-25T10:15:30",
            "20180725T101530Z",
            "2018-07-25T10:15:30+02:00[Europe/Paris]",
            "yesterday",
            "2018-07-25T10:15:30,5Z",
            "2018-07-25T10:15:30.Z",
            "2018-07-25T10:15:30+0200",
            "2018-07-25T10:15:30+02",
            "2018-07-25T10:15:30+02:00:00",
            "2018-07-25T10:15:3\u{e9}Z",
            "2018-13-25T10:15:30Z",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn spans_read_back() {
        for text in ["1s", "90s", "10m", "24h", "7d", "250ms"] {
            assert_eq!(Span(parse_span_ms(text).expect(text)).to_string(), text);
        }
        for text in ["", "10", "m", "1w", "99999999999999999999d", "9223372036854775807d", "-1s", "1.5h"] {
            assert_eq!(parse_span_ms(text), None, "{text}");
        }
    }
}
