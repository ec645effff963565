//! A timestamp as RFC 3339 text, fast for many of one day. It is the same text that `Timestamp` prints.

use std::io::Write as _;

use crate::scoring::time::{DAY_MS, Timestamp};

/// The text of the timestamp written last; its date is kept for the next one of the same day.
#[derive(Default)]
pub(super) struct TimeText {
    day: Option<i64>,
    text: Vec<u8>,
}

impl TimeText {
    /// Writes `2018-07-25T10:15:30.123Z`.
    pub(super) fn write(&mut self, time: Timestamp) -> &str {
        let day = time.unix_ms().div_euclid(DAY_MS);
        if self.day != Some(day) {
            self.text.clear();
            // Writing to memory cannot fail.
            let _ = write!(self.text, "{time}");
            self.day = Some(day);
            return self.text();
        }
        let of_day = time.unix_ms().rem_euclid(DAY_MS);
        let seconds = of_day / 1_000;
        // "2018-07-25T10:15:30.123Z": the digits of the time of day stand at these places.
        for (place, digits, value) in
            [(11, 2, seconds / 3_600), (14, 2, seconds / 60 % 60), (17, 2, seconds % 60), (20, 3, of_day % 1_000)]
        {
            let mut value = value;
            for digit in self.text[place..place + digits].iter_mut().rev() {
                *digit = b'0' + (value % 10) as u8;
                value /= 10;
            }
        }
        self.text()
    }

    /// Digits and signs only, so it is always text.
    fn text(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_timestamp_prints() {
        let mut text = TimeText::default();
        for step in [0, 1, 999, 1_000, 59_999, 3_600_000, 86_399_999, 86_400_000, 86_400_001, -1, -86_400_000] {
            for base in [0, 1_532_513_730_123, -62_167_219_200_000 + DAY_MS, 253_402_300_799_999 - DAY_MS] {
                let Some(time) = Timestamp::from_unix_ms(base + step) else { continue };
                assert_eq!(text.write(time), time.to_string());
            }
        }
    }
}
