//! The segments of `[policy]`: conditions, and how a score decides where they hold. It compiles no condition.

use std::collections::BTreeSet;

use super::{
    known::suggestion,
    policy::{Context, bound_minor},
    problem::{Place, Problem},
    reader::Reader,
    value::{Entry, Value},
};
use crate::scoring::{
    money::Rates,
    settings::{Measure, Segment},
};

/// Segments that a policy may have: each transaction that no rule decides walks them.
const SEGMENTS_MAX: usize = 64;
/// Characters of a segment's name.
const NAME_MAX: usize = 64;
/// The key that holds them.
const PATH: &str = "policy.segments";

/// The segments in their order; costs in other currencies are converted by the rates.
pub(super) fn read(reader: &mut Reader, rates: &Rates) -> Vec<Segment> {
    let Some(given) = reader.take(PATH) else {
        return Vec::new();
    };
    let items = match given.typed() {
        Value::List(items) if items.len() <= SEGMENTS_MAX => items,
        _ => {
            let expected = format!(
                "a list of at most {SEGMENTS_MAX} segments such as \
                 `[{{ name = \"large\", when = \"amount > 500 EUR\", review_at = 0.2, deny_at = 0.8 }}]`"
            );
            reader.refuse(&given, expected);
            return Vec::new();
        }
    };
    let mut segments: Vec<Segment> = Vec::new();
    for (index, (item, place)) in items.into_iter().enumerate() {
        let context = Context { name: format!("segment {} of {}", index + 1, given.name), given: &given };
        let Some(segment) = segment(reader, &context, item, &place, rates) else {
            continue;
        };
        let problem = match segments.last() {
            Some(earlier) if earlier.when.is_none() => {
                Some("comes after a segment without `when`, which holds every transaction".to_owned())
            }
            _ if segments.iter().any(|earlier| earlier.name == segment.name) => {
                Some(format!("is named {:?} as an earlier one is", segment.name))
            }
            _ => None,
        };
        match problem {
            Some(problem) => {
                reader.problem(Problem::new(context.place(place), format!("{} {problem}", context.name)));
            }
            None => segments.push(segment),
        }
    }
    segments
}

/// What the keys of a segment say.
#[derive(Default)]
struct Keys {
    name: Option<String>,
    when: Option<String>,
    review_at: Option<f64>,
    deny_at: Option<f64>,
    review_minor: Option<i64>,
    false_positive_minor: Option<i64>,
    is_refused: bool,
}

fn segment(reader: &mut Reader, context: &Context<'_>, item: Value, place: &Place, rates: &Rates) -> Option<Segment> {
    let Value::Table(entries) = item else {
        let expected = "a table such as `{ name = \"large\", when = \"amount > 500 EUR\", deny_at = 0.8 }`";
        let message = format!("{} is {}, expected {expected}", context.name, item.describe());
        reader.problem(Problem::new(context.place(place.clone()), message));
        return None;
    };
    let mut keys = Keys::default();
    for entry in &entries {
        read_key(reader, context, entry, rates, &mut keys);
    }
    if keys.is_refused {
        return None;
    }
    let measure = match (keys.review_at, keys.deny_at, keys.review_minor, keys.false_positive_minor) {
        (Some(review_at), Some(deny_at), None, None) if review_at <= deny_at => {
            Ok(Measure::Score { review_at, deny_at })
        }
        (Some(review_at), Some(deny_at), None, None) => {
            Err(format!("denies from {deny_at} on, expected at least `review_at`, which is {review_at}"))
        }
        (None, None, Some(review_minor), Some(false_positive_minor)) => {
            Ok(Measure::Cost { review_minor, false_positive_minor })
        }
        _ => Err("is not decided, expected either `review_at` and `deny_at` or `review_cost` and \
                  `false_positive_cost`"
            .to_owned()),
    };
    let made = match (keys.name, measure) {
        (Some(name), Ok(measure)) => return Some(Segment { name, when: keys.when, measure }),
        (None, _) => "has no `name`".to_owned(),
        (_, Err(problem)) => problem,
    };
    reader.problem(Problem::new(context.place(place.clone()), format!("{} {made}", context.name)));
    None
}

fn read_key(reader: &mut Reader, context: &Context<'_>, entry: &Entry, rates: &Rates, keys: &mut Keys) {
    let text = match &entry.value {
        Value::Text(text) if !text.is_empty() => Some(text.as_str()),
        _ => None,
    };
    let threshold = match entry.value {
        Value::Number(number) => Some(number),
        Value::Integer(integer) => Some(integer as f64),
        _ => None,
    };
    let threshold = threshold.filter(|threshold| (0.0..=1.0).contains(threshold));
    let cost = text.and_then(|text| bound_minor(text, rates)).filter(|minor| *minor >= 0);
    let base = rates.base().code();
    let key = entry.key.as_str();
    let (is_read, expected) = match key {
        "name" => {
            keys.name = text.filter(|name| name.chars().count() <= NAME_MAX).map(str::to_owned);
            (keys.name.is_some(), format!("text of at most {NAME_MAX} characters"))
        }
        "when" => {
            keys.when = text.map(str::to_owned);
            (text.is_some(), "a condition such as `\"amount > 500 EUR\"`".to_owned())
        }
        "review_at" | "deny_at" => {
            *(if key == "deny_at" { &mut keys.deny_at } else { &mut keys.review_at }) = threshold;
            (threshold.is_some(), "a number from 0 to 1".to_owned())
        }
        "review_cost" | "false_positive_cost" => {
            let is_review = key == "review_cost";
            *(if is_review { &mut keys.review_minor } else { &mut keys.false_positive_minor }) = cost;
            (cost.is_some(), format!("an amount such as `\"5 {base}\"`, in {base} or a currency with a rate"))
        }
        unknown => {
            let known = ["name", "when", "review_at", "deny_at", "review_cost", "false_positive_cost"];
            let hint = suggestion(unknown, &BTreeSet::from(known));
            let message = format!("unknown key `{unknown}` in {}", context.name);
            reader.problem(Problem::new(context.place(entry.key_place.clone()), message).with_hint(hint));
            keys.is_refused = true;
            return;
        }
    };
    if !is_read {
        context.refuse(reader, key, entry, &expected);
        keys.is_refused = true;
    }
}
