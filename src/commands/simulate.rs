//! `gavel simulate`: writes a labelled stream with named patterns of fraud. The same flags write the same bytes.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::common::{EXIT_USAGE, JsonFlag};
use crate::{
    data::{DataError, FileFormat, Progress, Sink, parse_moment},
    scoring::time::Timestamp,
    simulation::{COLUMNS, Simulation, SimulationSettings, Summary},
};

/// The file is written in parts of about this size.
const PART_BYTES: usize = 64 * 1024;

/// What to simulate and where to write it.
#[derive(Args, Clone, Debug)]
pub struct SimulateArguments {
    /// File to write: .csv, .jsonl or .ndjson, each also with .zst; `-` writes CSV to standard output
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Where all chance comes from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How many cards there are
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub cards: u32,
    /// How many days the stream lasts
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub days: u32,
    /// The day it begins on
    #[arg(long, value_name = "DAY", default_value = "2026-01-01", value_parser = parse_moment)]
    pub start: Timestamp,
    /// How many frauds there are for a million legitimate transactions, about
    #[arg(long, value_name = "N", default_value_t = SimulationSettings::FRAUDS_PER_MILLION)]
    pub frauds_per_million: u32,
    #[command(flatten)]
    json: JsonFlag,
}

/// Writes the stream, and a summary to standard error.
pub fn run(arguments: &SimulateArguments) -> ExitCode {
    let SimulateArguments { out, seed, cards, days, start, frauds_per_million, json } = arguments;
    let (seed, cards, days, start) = (*seed, *cards, *days, *start);
    let settings = SimulationSettings { seed, cards, days, start, frauds_per_million: *frauds_per_million };
    let format = if out.as_os_str() == "-" {
        FileFormat::Csv
    } else if let Some((format, _)) = FileFormat::of_name(&out.to_string_lossy()) {
        format
    } else {
        anstream::eprintln!("error: {}", DataError::Format { name: out.display().to_string() });
        return ExitCode::from(EXIT_USAGE);
    };
    let simulation = match Simulation::new(settings) {
        Ok(simulation) => simulation,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let written = Sink::create(out).and_then(|sink| write(simulation, format, sink, days));
    match written {
        Ok(summary) if json.json => {
            let text = serde_json::to_string(&summary).unwrap_or_default();
            // Standard output may already hold the stream itself.
            if out.as_os_str() == "-" {
                anstream::eprintln!("{text}");
            } else {
                anstream::println!("{text}");
            }
            ExitCode::SUCCESS
        }
        Ok(summary) => {
            anstream::eprint!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn write(mut simulation: Simulation, format: FileFormat, mut sink: Sink, days: u32) -> Result<Summary, DataError> {
    let mut progress = Progress::of_steps(days.into(), "days");
    let mut summary = Summary::new();
    let mut part = Vec::with_capacity(PART_BYTES + 1024);
    if format == FileFormat::Csv {
        part.extend_from_slice(COLUMNS.join(",").as_bytes());
        part.push(b'\n');
    }
    while let Some(row) = simulation.next() {
        match format {
            FileFormat::Csv => row.write_csv(&mut part),
            FileFormat::JsonLines => row.write_json(&mut part),
        }
        summary.add(&row);
        progress.row();
        if part.len() >= PART_BYTES {
            sink.write(&part)?;
            part.clear();
            progress.step(simulation.days_done().into());
        }
    }
    sink.write(&part)?;
    sink.finish()?;
    Ok(summary)
}
