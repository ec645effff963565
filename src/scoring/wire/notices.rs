//! Outcomes, labels, list changes and requests to reload from JSON. A bad field refuses the whole message.

use std::{borrow::Cow, marker::PhantomData};

use super::{
    check::{
        ID_MAX_CHARACTERS, Route, TEXT_MAX_CHARACTERS, decode_json, not_an_object, required_amount, required_card,
        required_text, required_time,
    },
    pan::{holds_card_number, is_card_number},
    raw::{Raw, RawObject},
};
use crate::scoring::{
    refusal::Refusal,
    time::Timestamp,
    transaction::{LABEL_SOURCES, Label, LabelKind, ListChange, Outcome, OutcomeKind},
};

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
    let value = required_text("value", raw.take("value"), TEXT_MAX_CHARACTERS)?;
    if is_card_number(&value) {
        return Err(Refusal::invalid("value", "value is a raw card number, expected a token that stands for it"));
    }
    let add = match &raw.take("action") {
        Raw::Text(word) if word == "add" => true,
        Raw::Text(word) if word == "remove" => false,
        other => return Err(not_one_of("action", other, "add or remove")),
    };
    let expires = match raw.take("expires") {
        Raw::Absent | Raw::Null => None,
        there => {
            // As list files have it.
            let date = if let Raw::Text(text) = &there { Timestamp::parse_date(text) } else { None };
            Some(date.map_or_else(|| required_time("expires", &there, false), Ok)?)
        }
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

/// Whether a request to reload is to go past the guard, from its body, which may be empty.
pub fn decode_reload(body: &[u8]) -> Result<bool, Refusal> {
    if body.trim_ascii().is_empty() {
        return Ok(false);
    }
    match decode_object(body)?.take("force") {
        Raw::Absent | Raw::Null => Ok(false),
        Raw::Boolean(force) => Ok(force),
        other => Err(Refusal::invalid("force", format!("force is {}, expected true or false", other.found()))),
    }
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
    let id = required_text("id", id, ID_MAX_CHARACTERS)?;
    let card = required_card(card, route.card)?;
    Ok((id, card, required_time("time", when, false)?))
}

fn note<'a>(field: &'static str, raw: Raw<'a>) -> Result<Option<Cow<'a, str>>, Refusal> {
    match raw {
        Raw::Absent | Raw::Null => Ok(None),
        Raw::Text(text) if text.is_empty() => Ok(None),
        there => {
            let text = required_text(field, there, TEXT_MAX_CHARACTERS)?;
            if holds_card_number(&text) {
                return Err(Refusal::invalid(field, format!("{field} holds a raw card number, expected a note")));
            }
            Ok(Some(text))
        }
    }
}

fn not_one_of(field: &'static str, raw: &Raw<'_>, expected: &str) -> Refusal {
    let found = match raw {
        Raw::Text(text) if !text.is_empty() => "another text",
        other => other.found(),
    };
    Refusal::invalid(field, format!("{field} is {found}, expected {expected}"))
}
