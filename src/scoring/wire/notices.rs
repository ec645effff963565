//! Outcomes, labels and list changes from JSON. A bad field refuses the whole message.

use std::{borrow::Cow, marker::PhantomData};

use super::{
    check::{Route, decode_json, is_token, not_an_object, required_amount},
    pan::is_card_number,
    raw::{Raw, RawObject},
};
use crate::scoring::{
    refusal::{Refusal, RefusalClass},
    time::Timestamp,
    transaction::{LABEL_SOURCES, Label, LabelKind, ListChange, Outcome, OutcomeKind},
};

/// The longest value, comment or author of a list change, in characters.
const LIST_TEXT_MAX_CHARACTERS: usize = 128;

/// An outcome from its body.
pub fn decode_outcome<'a>(body: &'a [u8], route: Route<'a>) -> Result<Outcome<'a>, Refusal> {
    let mut raw = decode_object(body)?;
    let (id, card, time) = target(raw.take("id"), raw.take("card"), &raw.take("time"), route)?;
    let kind = match &raw.take("outcome") {
        Raw::Text(word) if word == "approved" => OutcomeKind::Approved,
        Raw::Text(word) if word == "declined" => OutcomeKind::Declined,
        Raw::Text(word) if word == "partial" => {
            OutcomeKind::Partial { amount_minor: required_amount(&raw.take("amount"), false)? }
        }
        other => return Err(not_one_of("outcome", other, "approved, declined or partial")),
    };
    Ok(Outcome { processor: Cow::Borrowed(route.processor), card, id, time, kind })
}

/// A label from its body.
pub fn decode_label<'a>(body: &'a [u8], route: Route<'a>) -> Result<Label<'a>, Refusal> {
    let mut raw = decode_object(body)?;
    let (id, card, time) = target(raw.take("id"), raw.take("card"), &raw.take("time"), route)?;
    let kind = match &raw.take("label") {
        Raw::Text(word) if word == "fraud" => LabelKind::Fraud,
        Raw::Text(word) if word == "legit" => LabelKind::Legit,
        Raw::Text(word) if word == "unknown" => LabelKind::Unknown,
        other => return Err(not_one_of("label", other, "fraud, legit or unknown")),
    };
    match &raw.take("source") {
        Raw::Absent | Raw::Null => {}
        Raw::Text(word) if LABEL_SOURCES.contains(&word.as_ref()) => {}
        other => return Err(not_one_of("source", other, "analyst, issuer, chargeback or dispute")),
    }
    Ok(Label { processor: Cow::Borrowed(route.processor), card, id, time, kind })
}

/// A list change from its body; `list` is the token of the subject.
pub fn decode_list_change<'a>(body: &'a [u8], list: &'a str) -> Result<ListChange<'a>, Refusal> {
    let mut raw = decode_object(body)?;
    let value = match raw.take("value") {
        Raw::Text(text) if is_card_number(&text) => {
            return Err(Refusal::invalid("value", "value is a raw card number, expected a token that stands for it"));
        }
        Raw::Text(text) if (1..=LIST_TEXT_MAX_CHARACTERS).contains(&text.chars().count()) => text,
        other => {
            let message = format!("value is {}, expected a text of 1 to 128 characters", other.found());
            return Err(Refusal::invalid("value", message));
        }
    };
    let add = match &raw.take("action") {
        Raw::Text(word) if word == "add" => true,
        Raw::Text(word) if word == "remove" => false,
        other => return Err(not_one_of("action", other, "add or remove")),
    };
    let expires = match raw.take("expires") {
        Raw::Absent | Raw::Null => None,
        there => Some(time("expires", &there)?),
    };
    Ok(ListChange {
        list: Cow::Borrowed(list),
        value,
        add,
        expires,
        comment: note("comment", raw.take("comment"))?,
        by: note("by", raw.take("by"))?,
    })
}

fn decode_object(body: &[u8]) -> Result<RawObject<'_>, Refusal> {
    let object = decode_json(body, PhantomData::<RawObject<'_>>)?;
    match object {
        RawObject::Fields(_) => Ok(object),
        RawObject::Null | RawObject::Other => Err(not_an_object()),
    }
}

/// What an outcome or a label is about.
fn target<'a>(
    id: Raw<'a>,
    card: Raw<'a>,
    when: &Raw<'_>,
    route: Route<'a>,
) -> Result<(Cow<'a, str>, Cow<'a, str>, Timestamp), Refusal> {
    let id = match id {
        Raw::Text(text) if (1..=64).contains(&text.chars().count()) => text,
        other => {
            let message = format!("id is {}, expected a text of 1 to 64 characters", other.found());
            return Err(Refusal::invalid("id", message));
        }
    };
    let card = match card {
        Raw::Text(text) if is_card_number(&text) => {
            let message = "card is a raw card number, expected a token that stands for it";
            return Err(Refusal::invalid("card", message));
        }
        Raw::Text(text) if is_token(&text) => text,
        other => {
            let message = format!("card is {}, expected a token of 1 to 64 letters, digits, _ or -", other.found());
            return Err(Refusal::invalid("card", message));
        }
    };
    if route.card.is_some_and(|subject| subject != card) {
        let message = "card differs from the card in the subject, expected the same token in both";
        return Err(Refusal::of(RefusalClass::BadInput, "card_mismatch", message).about("card"));
    }
    Ok((id, card, time("time", when)?))
}

fn time(field: &'static str, raw: &Raw<'_>) -> Result<Timestamp, Refusal> {
    let time = match raw {
        Raw::Integer(ms) => Timestamp::from_unix_ms(*ms),
        Raw::Text(text) => Timestamp::parse_rfc3339(text),
        _ => None,
    };
    time.ok_or_else(|| {
        let found = if matches!(raw, Raw::Text(_)) { "a text that is no RFC 3339 time" } else { raw.found() };
        let expected = "an RFC 3339 time such as 2018-07-25T10:15:30.123Z, or integer Unix milliseconds";
        Refusal::invalid(field, format!("{field} is {found}, expected {expected}"))
    })
}

fn note<'a>(field: &'static str, raw: Raw<'a>) -> Result<Option<Cow<'a, str>>, Refusal> {
    match raw {
        Raw::Absent | Raw::Null => Ok(None),
        Raw::Text(text) if is_card_number(&text) => {
            Err(Refusal::invalid(field, format!("{field} is a raw card number, expected a note")))
        }
        Raw::Text(text) if text.chars().count() <= LIST_TEXT_MAX_CHARACTERS => Ok(Some(text)),
        other => Err(Refusal::invalid(
            field,
            format!("{field} is {}, expected a text of at most 128 characters", other.found()),
        )),
    }
}

fn not_one_of(field: &'static str, raw: &Raw<'_>, expected: &str) -> Refusal {
    let found = match raw {
        Raw::Text(text) if !text.is_empty() => "another text",
        other => other.found(),
    };
    Refusal::invalid(field, format!("{field} is {found}, expected {expected}"))
}
