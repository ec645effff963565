//! `gavel features`: what a model would see, one CSV row per transaction. It scores and learns nothing.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::common::{ConfigFlag, EXIT_USAGE, PeriodFlags, load_config, print_notes, refuse_read};
use super::learning::{features_of, of_features};
use crate::{
    config::ModelChoice,
    data::{DataError, Period, Progress, Replay, Rows, Sink},
    loading::load_model,
    scoring::scorer::{Output, Scorer},
};

/// The file is written in parts of about this size.
const PART_BYTES: usize = 64 * 1024;

/// Which features of which transactions to write
#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("source").required(true))]
pub struct FeaturesArguments {
    /// Transactions: .csv, .jsonl or .ndjson, each also with .zst; `-` reads standard input
    #[arg(long = "in", value_name = "FILE")]
    pub input: PathBuf,
    /// CSV with `id` and a column for each feature, compressed if the name ends in .zst; `-` writes to standard output
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Model file whose features are written
    #[arg(long, value_name = "FILE", group = "source")]
    pub model: Option<PathBuf>,
    /// TOML file of the features to write
    #[arg(long, value_name = "FILE", group = "source")]
    pub features: Option<PathBuf>,
    #[command(flatten)]
    period: PeriodFlags,
    #[command(flatten)]
    config: ConfigFlag,
}

/// Writes the features, and says on standard error what came of the rows.
pub fn run(arguments: &FeaturesArguments) -> ExitCode {
    prepare(arguments)
        .and_then(|(scorer, names)| {
            write(arguments, scorer, &names).or_else(|error| {
                if error.is_broken_pipe() {
                    return Ok(());
                }
                anstream::eprintln!("error: {error}");
                Err(ExitCode::from(EXIT_USAGE))
            })
        })
        .err()
        .unwrap_or(ExitCode::SUCCESS)
}

fn prepare(arguments: &FeaturesArguments) -> Result<(Scorer, Vec<String>), ExitCode> {
    arguments.period.check()?;
    let config = load_config(&arguments.config)?;
    let read = [&config.file, &arguments.features, &arguments.model].into_iter().flatten().chain([&arguments.input]);
    refuse_read(&arguments.out, read.map(PathBuf::as_path))?;
    let features = match &arguments.model {
        Some(path) => match load_model(&ModelChoice::File(path.clone()), &config) {
            Ok(Some((_, model))) => {
                let pair =
                    |feature: &crate::scoring::model::FeatureSource| (feature.name.clone(), feature.expression.clone());
                model.features().iter().map(pair).collect()
            }
            Ok(None) => Vec::new(),
            Err(error) => {
                anstream::eprintln!("{}", error.render(true));
                return Err(ExitCode::from(EXIT_USAGE));
            }
        },
        None => features_of(arguments.features.as_deref())?,
    };
    let names = features.iter().map(|(name, _)| name.clone()).collect();
    Ok((Scorer::new(of_features(config.settings, &features)?), names))
}

fn write(arguments: &FeaturesArguments, scorer: Scorer, names: &[String]) -> Result<(), DataError> {
    let period = Period::from(&arguments.period);
    let mut rows = Rows::open(&arguments.input, &scorer.release().settings.schema)?;
    let mut sink = Sink::create(&arguments.out)?;
    let mut progress = Progress::of_reading(rows.position());
    let mut replay = Replay::new(scorer);
    let (mut read, mut written, mut duplicates, mut refused) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut part = String::with_capacity(2 * PART_BYTES);
    part.push_str("id");
    for name in names {
        push_cell(&mut part, name);
    }
    part.push('\n');
    while let Some(row) = rows.next_row()? {
        read += 1;
        progress.row();
        let start = part.len();
        match replay.apply(&row) {
            Output::Verdict { .. } => {
                push_first(&mut part, row.transaction.as_ref().map_or("", |transaction| &transaction.id));
                for value in replay.scorer().features() {
                    match value {
                        Some(value) => push_cell(&mut part, &value.to_string()),
                        None => part.push(','),
                    }
                }
            }
            Output::Duplicate { .. } | Output::Applied => {
                duplicates += 1;
                push_first(&mut part, row.transaction.as_ref().map_or("", |transaction| &transaction.id));
                part.extend(names.iter().map(|_| ','));
            }
            Output::Refused(refusal) => {
                refused += 1;
                let mut body = Vec::new();
                refusal.encode(&mut body);
                push_first(&mut part, &String::from_utf8_lossy(&body));
                part.extend(names.iter().map(|_| ','));
            }
        }
        part.push('\n');
        // A row whose time cannot be read is written where the row before it is.
        if period.is_everything() || replay.time().is_some_and(|time| period.contains(time)) {
            written += 1;
        } else {
            part.truncate(start);
        }
        if part.len() >= PART_BYTES {
            sink.write(part.as_bytes())?;
            part.clear();
        }
    }
    sink.write(part.as_bytes())?;
    sink.finish()?;
    progress.finish();
    print_notes(rows.notes(), replay.without_rate());
    anstream::eprintln!("{read} rows, {written} written, duplicates {duplicates}, refused {refused}");
    Ok(())
}

fn push_cell(part: &mut String, text: &str) {
    part.push(',');
    push_first(part, text);
}

/// A cell, between quotes where its text could be taken for more than one.
fn push_first(part: &mut String, text: &str) {
    if text.contains([',', '"', '\n', '\r']) {
        part.push('"');
        part.push_str(&text.replace('"', "\"\""));
        part.push('"');
    } else {
        part.push_str(text);
    }
}
