//! `gavel score`: a file through the same code as the service, in order, without a broker. It publishes nothing.

use std::{fmt, path::PathBuf, process::ExitCode, time::Instant};

use clap::Args;

use super::common::{EXIT_USAGE, PeriodFlags, ScoringFlags, load_config, load_release_beside, print_notes};
use crate::{
    data::{DataError, Period, Progress, Replay, Rows, Sink},
    scoring::{
        scorer::{Output, Scorer},
        verdict::Decision,
    },
};

/// The file is written in parts of about this size.
const PART_BYTES: usize = 64 * 1024;

/// What to score and where to write the verdicts.
#[derive(Args, Clone, Debug)]
pub struct ScoreArguments {
    /// Transactions: .csv, .jsonl or .ndjson, each also with .zst; `-` reads standard input
    #[arg(long = "in", value_name = "FILE")]
    pub input: PathBuf,
    /// JSON lines of verdicts, one for each row, compressed if the name ends in .zst; `-` writes to standard output
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    period: PeriodFlags,
    #[command(flatten)]
    scoring: ScoringFlags,
}

/// Scores the file, and says on standard error what came of it.
pub fn run(arguments: &ScoreArguments) -> ExitCode {
    let scored = load_config(&arguments.scoring).and_then(|config| {
        arguments.period.check()?;
        let release = load_release_beside(&config, Some(&arguments.out), &[&arguments.input])?;
        score(arguments, Scorer::new(release)).or_else(|error| {
            if error.is_broken_pipe() {
                return Ok(());
            }
            anstream::eprintln!("error: {error}");
            Err(ExitCode::from(EXIT_USAGE))
        })
    });
    scored.err().unwrap_or(ExitCode::SUCCESS)
}

fn score(arguments: &ScoreArguments, scorer: Scorer) -> Result<(), DataError> {
    let period = Period::from(&arguments.period);
    let mut rows = Rows::open(&arguments.input, &scorer.release().settings.schema)?;
    let mut sink = Sink::create(&arguments.out)?;
    let mut progress = Progress::of_reading(rows.position());
    let mut replay = Replay::new(scorer);
    let mut counts = Counts::default();
    let mut part = Vec::with_capacity(2 * PART_BYTES);
    let begun = Instant::now();
    while let Some(row) = rows.next_row()? {
        let start = part.len();
        match replay.apply(&row) {
            Output::Verdict { body, verdict } => {
                part.extend_from_slice(body);
                counts.decisions[verdict.decision as usize] += 1;
            }
            Output::Duplicate { body } => {
                part.extend_from_slice(body);
                counts.duplicates += 1;
            }
            Output::Refused(refusal) => {
                refusal.encode(&mut part);
                counts.refused += 1;
            }
            Output::Applied => {}
        }
        part.push(b'\n');
        counts.rows += 1;
        // A row whose time cannot be read is written where the row before it is.
        let is_inside = period.is_everything() || replay.time().is_some_and(|time| period.contains(time));
        if is_inside {
            counts.written += 1;
        } else {
            part.truncate(start);
        }
        if part.len() >= PART_BYTES {
            sink.write(&part)?;
            part.clear();
        }
        progress.row();
    }
    sink.write(&part)?;
    sink.finish()?;
    progress.finish();
    counts.elapsed_s = begun.elapsed().as_secs_f64();
    print_notes(rows.notes(), replay.without_rate());
    anstream::eprintln!("{counts}");
    Ok(())
}

/// What came of the rows.
#[derive(Default)]
struct Counts {
    rows: u64,
    written: u64,
    decisions: [u64; Decision::ALL.len()],
    duplicates: u64,
    refused: u64,
    elapsed_s: f64,
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, written, duplicates, refused, elapsed_s, .. } = self;
        let rate = *rows as f64 / elapsed_s.max(1e-9);
        write!(out, "{rows} rows in {elapsed_s:.1} s ({rate:.0} rows/s), {written} written")?;
        for (decision, count) in Decision::ALL.into_iter().zip(self.decisions) {
            write!(out, ", {} {count}", decision.name())?;
        }
        write!(out, ", duplicates {duplicates}, refused {refused}")
    }
}
