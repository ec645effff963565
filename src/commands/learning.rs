//! What `train`, `evaluate` and `features` share: features by name, releases of them, quality in words. No command is
//! defined here.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use super::common::{EXIT_USAGE, print_notes, refuse_read};
use crate::{
    files::read_rules,
    learning::{
        extract::Extraction,
        features::{self, NamedExpression},
        metrics::{FALSE_POSITIVE_RATES, Values},
    },
    loading::{LoadError, render_features, rule_paths},
    scoring::{
        model::Model,
        release::{Models, Release},
        rules::parse,
        settings::Settings,
        time::parse_span_ms,
    },
};

/// The features of a file; without one those of the shipped model.
pub(super) fn features_of(path: Option<&Path>) -> Result<Vec<NamedExpression>, ExitCode> {
    let text = match path {
        Some(path) => fs::read_to_string(path).map_err(|error| failed(&format!("{}: {error}", path.display())))?,
        None => features::SHIPPED.to_owned(),
    };
    let name = path.map_or_else(|| "the shipped features".to_owned(), |path| path.display().to_string());
    features::parse(&text).map_err(|message| failed(&format!("{name}: {message}")))
}

/// A release of features alone.
pub(super) fn of_features(settings: Settings, features: &[NamedExpression]) -> Result<Release, ExitCode> {
    Release::of_features(settings, features).map_err(|problems| {
        anstream::eprintln!("{}", render_features(&problems).trim_end());
        ExitCode::from(EXIT_USAGE)
    })
}

/// A release of features beside a rule set, for what the rules would have denied; none of its files may be the output.
pub(super) fn beside_rules(settings: Settings, model: Model, rules: &Path, out: &Path) -> Result<Release, ExitCode> {
    let problem = |error: &LoadError| {
        anstream::eprintln!("{}", error.render(true));
        ExitCode::from(EXIT_USAGE)
    };
    let sources = read_rules(rules).map_err(|error| problem(&error.into()))?;
    let read: Vec<_> = rule_paths(&sources, rules).collect();
    refuse_read(out, read.iter().map(PathBuf::as_path))?;
    let (files, found) = parse(sources, &settings);
    let compiled =
        Release::compile(settings, files, Models { champion: Some(Arc::new(model)), ..Models::default() }, found);
    compiled.map(|(release, _)| release).map_err(|problems| problem(&LoadError::Compile(problems)))
}

/// Says what went wrong; the code that the command ends with.
pub(super) fn failed(message: &str) -> ExitCode {
    anstream::eprintln!("error: {message}");
    ExitCode::from(EXIT_USAGE)
}

/// A length of time as a flag gives it.
pub(super) fn parse_span(text: &str) -> Result<i64, String> {
    parse_span_ms(text).ok_or_else(|| "expected a length of time such as 7d, 24h or 30m".to_owned())
}

/// Says what was read of a file.
pub(super) fn print_read(extraction: &Extraction, seconds: f64) {
    let Extraction { read, refused, without_rate, notes, .. } = extraction;
    print_notes(notes, *without_rate);
    anstream::eprintln!("{read} rows replayed in {seconds:.1} s, refused {refused}");
}

/// The metrics as a table for people, each with its interval.
pub(super) fn quality(values: &Values) -> String {
    let mut text = format!("{:<34}{:>9}   {}\n", "", "value", "95 % interval");
    let rates =
        FALSE_POSITIVE_RATES.map(|(rate, name)| (name, format!("recall at {} % false positives", rate * 100.0)));
    let rows = [
        ("auc_roc", "area under the ROC curve"),
        ("average_precision", "average precision"),
        (rates[0].0, &rates[0].1),
        (rates[1].0, &rates[1].1),
        (rates[2].0, &rates[2].1),
        ("card_precision_at_100", "card precision@100"),
        ("card_precision_at_100_attainable", "  of at most"),
        ("brier", "Brier score"),
        ("expected_calibration_error", "expected calibration error"),
    ];
    for (name, title) in rows {
        // Writing to a string cannot fail.
        let _ = match values.get(name) {
            Some(interval) => {
                writeln!(text, "{title:<34}{:>9.4}   {:.4} to {:.4}", interval.value, interval.low, interval.high)
            }
            None => writeln!(text, "{title:<34}{:>9}", "none"),
        };
    }
    text
}
