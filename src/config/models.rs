//! The sections `[model]` and `[quality]`: which models score, and how they are watched. It reads no model.

use std::{collections::BTreeSet, path::PathBuf};

use super::{
    ModelChoice,
    reader::{Given, Reader},
    value::Value,
};
use crate::{
    quality::{BUCKET_MS, QualitySettings, WINDOWS_MAX},
    scoring::{
        release::CHALLENGERS_MAX,
        time::{DAY_MS, Span, parse_span_ms},
    },
};

/// The model that decides.
pub(super) fn model(reader: &mut Reader) -> ModelChoice {
    let Some(given) = reader.take("model.file") else {
        return ModelChoice::Shipped;
    };
    match given.text() {
        Some("none") => ModelChoice::None,
        _ => reader.path_of(&given).map_or(ModelChoice::Shipped, ModelChoice::File),
    }
}

/// The models that score in shadow.
pub(super) fn challengers(reader: &mut Reader) -> Vec<PathBuf> {
    let Some(given) = reader.take("model.challengers") else {
        return Vec::new();
    };
    let Some(texts) = texts_of(&given, CHALLENGERS_MAX) else {
        reader.refuse(&given, format!("a list of at most {CHALLENGERS_MAX} paths of model files"));
        return Vec::new();
    };
    let paths: Vec<PathBuf> = texts.iter().map(|text| reader.path_from(&given, text)).collect();
    if paths.iter().collect::<BTreeSet<_>>().len() < paths.len() {
        reader.refuse(&given, "each model file once");
    }
    paths
}

/// How live quality is kept.
pub(super) fn quality(reader: &mut Reader) -> QualitySettings {
    let defaults = QualitySettings::default();
    QualitySettings {
        windows_ms: windows(reader).unwrap_or(defaults.windows_ms),
        drift_window_ms: reader.duration_ms("quality.drift_window", defaults.drift_window_ms, BUCKET_MS..=90 * DAY_MS),
        transactions_max: reader.count("quality.transactions_max", defaults.transactions_max, 0..=100_000_000),
    }
}

fn windows(reader: &mut Reader) -> Option<Vec<i64>> {
    let given = reader.take("quality.windows")?;
    let whole_hours = |text: &String| {
        let window_ms = parse_span_ms(text)?;
        ((BUCKET_MS..=90 * DAY_MS).contains(&window_ms) && window_ms % BUCKET_MS == 0).then_some(window_ms)
    };
    let windows = texts_of(&given, WINDOWS_MAX)
        .and_then(|texts| texts.iter().map(whole_hours).collect::<Option<BTreeSet<i64>>>())
        .filter(|windows| !windows.is_empty());
    if windows.is_none() {
        let (least, most) = (Span(BUCKET_MS), Span(90 * DAY_MS));
        let expected = format!("a list of 1 to {WINDOWS_MAX} durations in whole hours, from `{least}` to `{most}`");
        reader.refuse(&given, expected);
    }
    windows.map(Vec::from_iter)
}

/// The texts of a list, none of them empty.
fn texts_of(given: &Given, most: usize) -> Option<Vec<String>> {
    let Value::List(items) = given.typed() else { return None };
    let text = |(value, _)| match value {
        Value::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    };
    let texts: Option<Vec<String>> = items.into_iter().map(text).collect();
    texts.filter(|texts| texts.len() <= most)
}
