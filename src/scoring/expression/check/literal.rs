//! Turns text literals into the type they are compared with, and says what an unlike literal should have been.

use super::Checker;
use crate::scoring::{
    expression::{
        codes,
        finding::{Finding, did_you_mean},
        typed::{Calendar, Kind, Literal, Network, Type, Typed},
    },
    money::{Country, Currency},
    network::subnet,
    time::Timestamp,
};

impl Checker<'_> {
    /// A text literal as the type of what it is compared with; the same literal where that is text, or nothing that
    /// text is written for.
    pub(super) fn coerce(&mut self, literal: Typed, beside: &Typed) -> Option<Typed> {
        let Kind::Literal(Literal::Text(text)) = &literal.kind else { return Some(literal) };
        let converted = match beside.of {
            Type::Country => Country::from_code(text).map(Literal::Country),
            Type::Currency => Currency::from_code(text).map(Literal::Currency),
            Type::Mcc => parse_mcc(text).map(Literal::Mcc),
            Type::Time => parse_time(text).map(Literal::Time),
            Type::Ip => match (&beside.kind, Network::parse(text)) {
                (Kind::Subnet(_), Some(network)) => Some(Literal::Ip(network.address)),
                (_, Some(network)) if !text.contains('/') => Some(Literal::Ip(network.address)),
                _ => None,
            },
            Type::Code(codes) => {
                codes.iter().zip(0..).find(|(code, _)| *code == text).map(|(code, place)| Literal::Code(code, place))
            }
            _ => return Some(literal),
        };
        let Some(converted) = converted else {
            let finding = self.bad_literal(text, beside, &literal);
            self.report(finding);
            return None;
        };
        if let (Kind::Subnet(prefix), Literal::Ip(address)) = (&beside.kind, &converted)
            && subnet(*address, *prefix) != *address
        {
            let message = format!("`\"{text}\"` is no network of {}", self.quoted(&beside.span));
            self.report(Finding::error(codes::ADDRESS, &literal.span, message));
            return None;
        }
        Some(Typed { kind: Kind::Literal(converted), of: beside.of, ..literal })
    }

    fn bad_literal(&self, text: &str, beside: &Typed, literal: &Typed) -> Finding {
        let span = &literal.span;
        match beside.of {
            Type::Country => {
                let hint = Country::meant_by(text).map(|code| format!("did you mean `{code}`?"));
                let hint = hint.or_else(|| did_you_mean(text, Country::all_codes()));
                Finding::error(codes::COUNTRY, span, format!("`\"{text}\"` is no country of ISO 3166-1 alpha-2"))
                    .maybe_hint(hint)
            }
            Type::Currency => {
                let hint = Currency::meant_by(text).map(|code| format!("did you mean `{code}`?"));
                let hint = hint.or_else(|| did_you_mean(text, Currency::all().map(Currency::code)));
                Finding::error(codes::CURRENCY, span, format!("`\"{text}\"` is no currency of ISO 4217"))
                    .maybe_hint(hint)
            }
            Type::Mcc => {
                let hint = meant_mcc(text).map(|meant| format!("did you mean `\"{meant}\"`?"));
                Finding::error(codes::MCC, span, format!("`\"{text}\"` is no MCC: they have four digits"))
                    .maybe_hint(hint)
            }
            Type::Time => Finding::error(codes::TIME, span, format!("`\"{text}\"` is no time of RFC 3339"))
                .hint("write `\"2018-07-25T10:15:30Z\"`, or `\"2018-07-25\"` for its first moment in UTC"),
            Type::Ip => {
                let hint = Network::parse(text).map(|_| format!("ask for a network with `in \"{text}\"`"));
                Finding::error(codes::ADDRESS, span, format!("`\"{text}\"` is no IP address")).maybe_hint(hint)
            }
            Type::Code(codes) => {
                let hint = did_you_mean(text, codes.iter().copied());
                let hint = hint.unwrap_or_else(|| format!("one of `\"{}\"`", codes.join("\"`, `\"")));
                let message = format!("`\"{text}\"` is no code of {}", self.quoted(&beside.span));
                Finding::error(codes::CODE, span, message).hint(hint)
            }
            _ => Finding::error(codes::UNLIKE, span, "unlike types"),
        }
    }

    /// The type of one side of a comparison, a text literal by what it looks like.
    pub(super) fn phrase(typed: &Typed) -> &'static str {
        match &typed.kind {
            Kind::Literal(Literal::Text(text)) if Country::from_code(text).is_some() => Type::Country.phrase(),
            Kind::Literal(Literal::Text(text)) if Currency::from_code(text).is_some() => Type::Currency.phrase(),
            _ => typed.of.phrase(),
        }
    }

    /// What would make two unlike sides alike.
    pub(super) fn unlike_hint(&self, left: &Typed, right: &Typed) -> Option<String> {
        let is_count = |typed: &Typed| matches!(typed.of, Type::Integer | Type::Number);
        if left.of == Type::Time && is_count(right) || right.of == Type::Time && is_count(left) {
            return Some("a moment stands in double quotes: `\"2018-07-25\"` or `\"2018-07-25T10:15:30Z\"`".to_owned());
        }
        let (literal, other) = match (&left.kind, &right.kind) {
            (_, Kind::Literal(_)) => (right, left),
            (Kind::Literal(_), _) => (left, right),
            _ => return None,
        };
        let text = self.text(&literal.span);
        match (other.of, &literal.kind) {
            (Type::Money, Kind::Literal(Literal::Integer(_) | Literal::Number(_))) => Some(format!(
                "an amount is written with its currency: `{text} {}`",
                self.environment.rates.base().code()
            )),
            (Type::Money | Type::Span | Type::Integer | Type::Number, Kind::Literal(Literal::Text(inside)))
                if inside.starts_with(|letter: char| letter.is_ascii_digit()) =>
            {
                Some(format!("write it without quotes: `{inside}`"))
            }
            (Type::Boolean, Kind::Literal(Literal::Integer(_) | Literal::Text(_))) => {
                let test = self.text(&other.span);
                Some(format!("it is a test by itself: write `{test}`, or `not {test}`"))
            }
            (Type::Integer, Kind::Literal(Literal::Text(_)))
                if matches!(other.kind, Kind::Calendar(Calendar::Weekday, _)) =>
            {
                Some("days are numbers, from 1 for Monday to 7 for Sunday".to_owned())
            }
            (Type::Span, Kind::Literal(Literal::Integer(_))) => {
                Some(format!("a duration is written with its unit: `{text}s`, `{text}m`, `{text}h` or `{text}d`"))
            }
            (
                Type::Text | Type::Code(_) | Type::Country | Type::Currency | Type::Mcc | Type::Ip,
                Kind::Literal(Literal::Integer(_) | Literal::Number(_)),
            ) => Some(format!("codes and text stand in double quotes: `\"{text}\"`")),
            (Type::Number, Kind::Literal(Literal::Money(_))) if matches!(other.kind, Kind::Score) => {
                Some("a score is a probability from 0 to 1".to_owned())
            }
            _ => None,
        }
    }
}

fn parse_mcc(text: &str) -> Option<u16> {
    let digits = text.len() == 4 && text.bytes().all(|digit| digit.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Four digits that somebody may have meant: leading zeros are lost in spreadsheets, letters are read for digits, and a
/// digit is typed twice.
fn meant_mcc(text: &str) -> Option<String> {
    const DIGITS: usize = 4;
    let digits = text.chars().filter_map(|letter| match letter {
        '0'..='9' => Some(letter),
        'O' | 'o' => Some('0'),
        'I' | 'l' => Some('1'),
        'S' => Some('5'),
        'B' => Some('8'),
        _ => None,
    });
    let mut digits: Vec<char> = digits.collect();
    if digits.is_empty() || digits.len() < text.chars().count().div_ceil(2) {
        return None;
    }
    while digits.len() > DIGITS && digits.first() == Some(&'0') {
        digits.remove(0);
    }
    if digits.len() == DIGITS + 1 {
        let twice = digits.iter().zip(digits.iter().skip(1)).position(|(one, next)| one == next);
        digits.remove(twice?);
    }
    let meant: String = digits.into_iter().collect();
    let padded = format!("{meant:0>DIGITS$}");
    parse_mcc(&padded).map(|_| padded)
}

fn parse_time(text: &str) -> Option<i64> {
    let whole = Timestamp::parse_rfc3339(text);
    whole.or_else(|| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"))).map(Timestamp::unix_ms)
}
