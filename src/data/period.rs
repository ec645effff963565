//! Half-open periods of event time from `--from` and `--to`. A period limits what is written or learnt, never what is
//! replayed.

use crate::scoring::time::Timestamp;

/// `[from, to)`; an end that is not given is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// The first moment inside.
    pub from: Option<Timestamp>,
    /// The first moment after.
    pub to: Option<Timestamp>,
}

impl Period {
    /// Whether a moment lies inside.
    pub fn contains(self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time < to)
    }

    /// Whether it has no limit.
    pub fn is_everything(self) -> bool {
        self.from.is_none() && self.to.is_none()
    }
}

/// A moment as a flag gives it: a day such as `2018-08-08`, which means its midnight in UTC, or RFC 3339.
pub fn parse_moment(text: &str) -> Result<Timestamp, String> {
    let moment = if text.len() == 10 {
        Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"))
    } else {
        Timestamp::parse_rfc3339(text)
    };
    moment.ok_or_else(|| "expected a day such as 2018-08-08 or a time such as 2018-08-08T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_half_open() {
        // (from, to, time, inside)
        let cases = [
            ("", "", "2018-08-08", true),
            ("2018-08-08", "", "2018-08-08", true),
            ("2018-08-08", "", "2018-08-07T23:59:59.999Z", false),
            ("", "2018-08-15", "2018-08-14T23:59:59.999Z", true),
            ("", "2018-08-15", "2018-08-15T00:00:00Z", false),
            ("2018-08-08T00:00:00+02:00", "2018-08-15", "2018-08-07T22:00:00Z", true),
        ];
        for (from, to, time, inside) in cases {
            let end = |text: &str| (!text.is_empty()).then(|| parse_moment(text).expect(text));
            let period = Period { from: end(from), to: end(to) };
            assert_eq!(period.contains(parse_moment(time).expect(time)), inside, "[{from}, {to}) {time}");
        }
        for text in ["", "2018", "2018-8-8", "08.08.2018", "2018-13-01", "2018-08-08T00:00:00", "now"] {
            assert!(parse_moment(text).is_err(), "{text}");
        }
    }
}
