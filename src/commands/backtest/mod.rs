//! `gavel backtest`: history replayed through the serving code under one or two rule sets, side by side. Labels judge;
//! nothing is learnt and nothing is published.

mod tally;
mod text;
mod html;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::Args;

use self::tally::{Judgement, Report};
use super::common::{
    ConfigFlag, EXIT_USAGE, JsonFlag, ModelFlag, PeriodFlags, file_name, load_config, load_release_beside, print_notes,
};
use crate::{
    config::{Config, Flags},
    data::{DataError, Period, Progress, Replay, Row, Rows, Sink},
    scoring::{
        scorer::{Output, Scorer},
        transaction::{Transaction, TransactionType},
        verdict::{Flag, Verdict},
    },
};

/// What to replay, and the rule sets that decide.
#[derive(Args, Clone, Debug)]
pub struct BacktestArguments {
    /// Labelled transactions: .csv, .jsonl or .ndjson, each also with .zst; `-` reads standard input
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// Folder of the rule files [default: rules]
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Folder of the rule files that are to take over
    #[arg(long, value_name = "DIR")]
    candidate: Option<PathBuf>,
    /// File to write a report to, one page of HTML that needs no other file
    #[arg(long, value_name = "FILE", value_parser = file_name)]
    html: Option<PathBuf>,
    #[command(flatten)]
    period: PeriodFlags,
    #[command(flatten)]
    model: ModelFlag,
    #[command(flatten)]
    config: ConfigFlag,
    #[command(flatten)]
    json: JsonFlag,
}

/// Replays the file and prints what the rule sets made of it.
pub fn run(arguments: &BacktestArguments) -> ExitCode {
    backtest(arguments).err().unwrap_or(ExitCode::SUCCESS)
}

fn backtest(arguments: &BacktestArguments) -> Result<(), ExitCode> {
    arguments.period.check()?;
    let flags = Flags {
        rules: arguments.rules.clone(),
        model: arguments.model.model.clone(),
        ..Flags::from(&arguments.config)
    };
    let config = load_config(flags)?;
    let mut sets = vec![load_set("rules", &config, arguments)?];
    if let Some(candidate) = &arguments.candidate {
        sets.push(load_set("candidate", &Config { rules: candidate.clone(), ..config }, arguments)?);
    }
    let report = replay(arguments, sets).map_err(|error| fail(&error))?;
    let printed = if arguments.json.json { report.to_json() } else { text::render(&report) };
    // Where nobody reads on, there is nobody to tell.
    let _ = anstream::stdout().write_all(printed.as_bytes());
    if let Some(path) = &arguments.html {
        Sink::write_whole(path, html::render(&report).as_bytes()).map_err(|error| fail(&error))?;
    }
    Ok(())
}

fn fail(error: &DataError) -> ExitCode {
    anstream::eprintln!("error: {error}");
    ExitCode::from(EXIT_USAGE)
}

/// A rule set in its own scorer with its own past: what it denied may change what it sees.
struct Set {
    name: &'static str,
    folder: String,
    replay: Replay,
}

fn load_set(name: &'static str, config: &Config, arguments: &BacktestArguments) -> Result<Set, ExitCode> {
    let release = load_release_beside(config, arguments.html.as_deref(), &[&arguments.input])?;
    Ok(Set { name, folder: config.rules.display().to_string(), replay: Replay::new(Scorer::new(release)) })
}

fn replay(arguments: &BacktestArguments, mut sets: Vec<Set>) -> Result<Report, DataError> {
    let period = Period::from(&arguments.period);
    let Some(settings) = sets.first().map(|set| set.replay.scorer().release().settings.clone()) else {
        return Ok(Report::default());
    };
    let mut report = Report::new(settings.rates.base().code());
    for set in &sets {
        report.add_set(set.name, &set.folder, set.replay.scorer().release());
    }
    let mut rows = Rows::open(&arguments.input, &settings.schema)?;
    let mut progress = Progress::of_reading(rows.position());
    let mut decisions = Vec::with_capacity(sets.len());
    while let Some(row) = rows.next_row()? {
        progress.row();
        decisions.clear();
        for (place, set) in sets.iter_mut().enumerate() {
            let judgement = judgement(&row, |transaction| {
                settings.rates.to_base_minor(transaction.amount_minor, transaction.currency)
            });
            let output = set.replay.apply(&row);
            let inside = is_inside(period, &row);
            match (output, judgement) {
                _ if !inside => {}
                (Output::Verdict { verdict, .. }, Some(judgement)) => {
                    let decision = verdict.would_be();
                    report.judge(place, &judgement, decision, fired(verdict), shadow(verdict));
                    decisions.push((decision, judgement));
                }
                (Output::Duplicate { .. }, _) if place == 0 => report.duplicates += 1,
                (Output::Refused(_), _) if place == 0 => report.refused += 1,
                _ => {}
            }
        }
        if let [(before, judgement), (after, _)] = decisions[..] {
            report.flip(before, after, &judgement);
        }
    }
    progress.finish();
    let without_rate = sets.first().map_or(0, |set| set.replay.without_rate());
    print_notes(rows.notes(), without_rate);
    report.finish();
    Ok(report)
}

/// A row that could not be read is no part of any period but the whole.
fn is_inside(period: Period, row: &Row<'_>) -> bool {
    row.transaction.as_ref().map_or(period.is_everything(), |transaction| period.contains(transaction.time))
}

/// What is known about a row; `None` for reversals, on which nothing is decided.
fn judgement(row: &Row<'_>, base_minor: impl Fn(&Transaction<'_>) -> Option<i64>) -> Option<Judgement> {
    let transaction = row.transaction.as_ref().ok()?;
    (transaction.kind != TransactionType::Reversal)
        .then(|| Judgement { is_fraud: row.label, amount_minor: base_minor(transaction) })
}

fn fired(verdict: &Verdict) -> impl Iterator<Item = &str> {
    verdict.fired.iter().map(AsRef::as_ref)
}

fn shadow(verdict: &Verdict) -> impl Iterator<Item = &str> {
    verdict.flags.iter().filter_map(|flag| match flag {
        Flag::Shadow(rule) => Some(rule.as_ref()),
        _ => None,
    })
}
