//! The `[policy]` section: thresholds and amount bands. It decides nothing.

use std::collections::BTreeSet;

use super::{
    known::suggestion,
    problem::{Place, Problem},
    reader::{Given, Reader},
    value::{Entry, Value},
};
use crate::scoring::{
    money::{Money, Rates},
    settings::{AmountBand, Mode, Policy},
    verdict::Decision,
};

/// Bands that a policy may have: each transaction of the lower tiers walks them.
const BANDS_MAX: usize = 32;

/// The policy; bounds in other currencies are converted by the rates.
pub(super) fn read(reader: &mut Reader, rates: &Rates) -> Policy {
    let defaults = Policy::default_for(rates.base());
    let (review_at, deny_at) = thresholds(reader, &defaults);
    Policy {
        mode: reader.word("policy.mode", defaults.mode, &[("enforce", Mode::Enforce), ("monitor", Mode::Monitor)]),
        review_at,
        deny_at,
        segments: defaults.segments,
        without_score: bands(reader, "policy.without_score", defaults.without_score, rates),
        stand_in: bands(reader, "policy.stand_in", defaults.stand_in, rates),
    }
}

fn thresholds(reader: &mut Reader, defaults: &Policy) -> (f64, f64) {
    let review_place = reader.place("policy.review_at");
    let deny_place = reader.place("policy.deny_at");
    let review_at = reader.number("policy.review_at", defaults.review_at, 0.0..=1.0);
    let deny_at = reader.number("policy.deny_at", defaults.deny_at, 0.0..=1.0);
    if deny_at < review_at {
        let (place, message) = match (deny_place, review_place) {
            (None, Some(place)) => {
                let name = place.name_of("policy.review_at");
                let message = format!("{name} is {review_at}, expected at most `policy.deny_at`, which is {deny_at}");
                (place, message)
            }
            (place, _) => {
                let place = place.unwrap_or(Place::Nowhere);
                let name = place.name_of("policy.deny_at");
                let message =
                    format!("{name} is {deny_at}, expected at least `policy.review_at`, which is {review_at}");
                (place, message)
            }
        };
        reader.problem(Problem::new(place, message));
    }
    (review_at, deny_at)
}

fn bands(reader: &mut Reader, path: &str, default: Vec<AmountBand>, rates: &Rates) -> Vec<AmountBand> {
    let Some(given) = reader.take(path) else {
        return default;
    };
    let items = match given.typed() {
        Value::List(items) if items.len() <= BANDS_MAX => items,
        _ => {
            let expected = format!(
                "a list of at most {BANDS_MAX} bands such as `[{{ up_to = \"100 EUR\", verdict = \"approve\" }}, {{ verdict = \"review\" }}]`"
            );
            reader.refuse(&given, expected);
            return default;
        }
    };
    let mut bands: Vec<AmountBand> = Vec::new();
    for (index, (item, place)) in items.into_iter().enumerate() {
        let context = Context { name: format!("band {} of {}", index + 1, given.name), given: &given };
        let Some(band) = band(reader, &context, item, place.clone(), rates) else {
            continue;
        };
        let problem = match (bands.last().map(|earlier| earlier.up_to_minor), band.up_to_minor) {
            (Some(None), _) => Some("comes after a band without `up_to`, which covers the rest".to_owned()),
            (Some(Some(earlier)), Some(bound)) if bound <= earlier => {
                let text = |minor| Money { minor, currency: rates.base() };
                Some(format!("ends at {}, expected more than {} of the band before", text(bound), text(earlier)))
            }
            _ => None,
        };
        match problem {
            Some(problem) => {
                reader.problem(Problem::new(context.place(place), format!("{} {problem}", context.name)));
            }
            None => bands.push(band),
        }
    }
    bands
}

/// Which item of which key is being read.
pub(super) struct Context<'g> {
    pub(super) name: String,
    pub(super) given: &'g Given,
}

impl Context<'_> {
    /// Where to point: into the file, or at the variable as a whole.
    pub(super) fn place(&self, inner: Place) -> Place {
        match self.given.place {
            Place::File(..) => inner,
            _ => self.given.place.clone(),
        }
    }

    pub(super) fn refuse(&self, reader: &mut Reader, key: &str, entry: &Entry, expected: &str) {
        let message = format!("`{key}` in {} is {}, expected {expected}", self.name, entry.value.describe());
        reader.problem(Problem::new(self.place(entry.value_place.clone()), message));
    }
}

fn band(reader: &mut Reader, context: &Context<'_>, item: Value, place: Place, rates: &Rates) -> Option<AmountBand> {
    let Value::Table(entries) = item else {
        let expected = "a table such as `{ up_to = \"100 EUR\", verdict = \"approve\" }`";
        let message = format!("{} is {}, expected {expected}", context.name, item.describe());
        reader.problem(Problem::new(context.place(place), message));
        return None;
    };
    let mut decision = None;
    let mut decision_given = false;
    let mut up_to_minor = Some(None);
    for entry in &entries {
        let text = match &entry.value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        };
        match entry.key.as_str() {
            "up_to" => {
                up_to_minor = text.and_then(|text| bound_minor(text, rates)).map(Some);
                if up_to_minor.is_none() {
                    let base = rates.base().code();
                    let expected = format!("an amount such as `\"100 {base}\"`, in {base} or a currency with a rate");
                    context.refuse(reader, "up_to", entry, &expected);
                }
            }
            "verdict" => {
                decision_given = true;
                decision = text.and_then(Decision::from_name);
                if decision.is_none() {
                    context.refuse(reader, "verdict", entry, "`approve`, `deny` or `review`");
                }
            }
            unknown => {
                let hint = suggestion(unknown, &BTreeSet::from(["up_to", "verdict"]));
                let message = format!("unknown key `{unknown}` in {}", context.name);
                reader.problem(Problem::new(context.place(entry.key_place.clone()), message).with_hint(hint));
            }
        }
    }
    if !decision_given {
        let message = format!("{} has no `verdict`, expected `approve`, `deny` or `review`", context.name);
        reader.problem(Problem::new(context.place(place), message));
    }
    Some(AmountBand { up_to_minor: up_to_minor?, decision: decision? })
}

/// Minor units of the base currency.
pub(super) fn bound_minor(text: &str, rates: &Rates) -> Option<i64> {
    let money = Money::parse(text).ok()?;
    rates.to_base_minor(money.minor, money.currency)
}
