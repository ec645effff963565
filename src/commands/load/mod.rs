//! `gavel load`: an open-loop processor that measures a service, or a bare responder in the same way. It judges nothing.

mod body;
mod echo;
mod messages;
mod schedule;
mod histograms;
mod generator;

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use serde::Serialize;

pub(super) use self::body::push_rest;
use self::{
    generator::{Batch, Course, Kept, Outcome, Rate},
    messages::Messages,
    schedule::Arrivals,
};
use super::common::{EXIT_USAGE, JsonFlag, NatsFlag, ScoringFlags, load_config, refuse_read};
use crate::{
    config::{Config, Flags},
    loading,
    scoring::{
        scorer::{Input, Output, Scorer},
        verdict::Tier,
        wire::{Route, decode_transaction},
    },
};

/// Rows that are made into messages at most; a longer run sends them again under other ids.
const ROWS_MAX: usize = 2_000_000;
/// Rows that are scored beforehand to learn how long a verdict is.
const SAMPLE_ROWS: u64 = 2_000;

/// Arguments of `gavel load`.
#[derive(Args, Clone, Debug)]
pub struct LoadArguments {
    /// Transactions per second, or `max` to saturate
    #[arg(long, value_name = "R", default_value = "1000")]
    rate: Rate,
    /// How long to send
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    seconds: f64,
    /// Data file whose rows are sent [default: a simulated stream]
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
    /// Connections to send on
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1024))]
    connections: u64,
    /// Send batches of so many transactions: counts are of transactions, latencies of batches
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    batch: Option<u64>,
    /// How requests follow each other
    #[arg(long, value_enum, default_value_t = Arrivals::Steady)]
    arrivals: Arrivals,
    /// Requests per second at the beginning, growing evenly to --rate
    #[arg(long, value_name = "R", value_parser = ramp_from)]
    ramp_from: Option<f64>,
    /// Give each request so long: its `Fraud-Deadline`, counted from the moment it is meant to be sent at
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    deadline: Option<u64>,
    /// File to write an HDR interval log to: nanoseconds, a histogram for each second
    #[arg(long, value_name = "FILE")]
    hdr: Option<PathBuf>,
    /// File to write the whole run's histogram to, as JSON
    #[arg(long, value_name = "FILE")]
    histogram: Option<PathBuf>,
    /// Measure a bare responder, started for this, that sends the same messages
    #[arg(long)]
    echo: bool,
    /// Be that responder, below this root of subjects
    #[arg(long, hide = true, value_name = "ROOT")]
    echo_responder: Option<String>,
    /// How many bytes its answers have
    #[arg(long, hide = true, value_name = "N", default_value_t = 400)]
    echo_bytes: usize,
    #[command(flatten)]
    nats: NatsFlag,
    #[command(flatten)]
    scoring: ScoringFlags,
    #[command(flatten)]
    json: JsonFlag,
}

/// What a run found, as the contract prints it.
#[derive(Debug, Serialize)]
struct Report {
    sent: u64,
    answered: u64,
    refused: u64,
    unanswered: u64,
    elapsed_s: f64,
    answered_per_s: f64,
    latency_us: Latency,
    /// With `--deadline` only.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    deadlines: Option<Deadlines>,
}

/// How answers kept their deadline, and in which tiers.
#[derive(Debug, Serialize)]
struct Deadlines {
    late: u64,
    full: u64,
    rules_only: u64,
    stand_in: u64,
}

#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0 && *seconds <= 86_400.0);
    seconds.ok_or_else(|| "expected seconds above zero, at most a day".to_owned())
}

fn ramp_from(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.0..=1e7).contains(rate));
    rate.ok_or_else(|| "expected requests per second, 0 or more".to_owned())
}

/// Sends, waits for the answers, and prints what was measured.
pub fn run(arguments: &LoadArguments) -> ExitCode {
    let config = match load_config(Flags::from(&arguments.scoring).with_nats(&arguments.nats)) {
        Ok(config) => config,
        Err(code) => return code,
    };
    for out in arguments.hdr.iter().chain(&arguments.histogram) {
        if let Err(code) = refuse_read(out, arguments.input.iter().chain(&config.file).map(PathBuf::as_path)) {
            return code;
        }
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    if let Some(root) = &arguments.echo_responder {
        return runtime.block_on(echo::respond(&config.nats, root, arguments.echo_bytes, arguments.batch));
    }
    match runtime.block_on(measure(arguments, &config)) {
        Ok(report) if arguments.json.json => {
            anstream::println!("{}", serde_json::to_string(&report).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Ok(report) => {
            report.print();
            ExitCode::SUCCESS
        }
        Err(message) => fail(&message),
    }
}

fn fail(message: &str) -> ExitCode {
    anstream::eprintln!("error: {message}");
    ExitCode::from(EXIT_USAGE)
}

async fn measure(arguments: &LoadArguments, config: &Config) -> Result<Report, String> {
    if arguments.rate == Rate::Max && (arguments.ramp_from.is_some() || arguments.arrivals != Arrivals::Steady) {
        return Err("--ramp-from and --arrivals go with a rate in requests per second, not with `max`".into());
    }
    let echo_root = format!("e{:04x}.v1", rand::random::<u16>());
    let root = if arguments.echo { format!("{echo_root}.score") } else { config.subjects.score.clone() };
    let messages = Messages::read(arguments.input.as_deref(), &root, &config.settings.schema, ROWS_MAX);
    let messages = messages.map_err(|error| error.to_string())?;
    if messages.is_empty() {
        return Err("there is no row to send".into());
    }
    if messages.refused > 0 {
        anstream::eprintln!("{} rows are no transactions and are not sent", messages.refused);
    }
    let _responder = if arguments.echo {
        let bytes = verdict_bytes(config, &messages).unwrap_or(arguments.echo_bytes);
        let passed = [("--nats", arguments.nats.nats.as_ref().map(Into::into)), ("--config", config_file(config))];
        let batch = arguments.batch.map(|batch| batch.to_string().into());
        let passed = passed.into_iter().chain([("--batch", batch)]);
        let passed: Vec<std::ffi::OsString> =
            passed.into_iter().filter_map(|(name, value)| Some([name.into(), value?])).flatten().collect();
        Some(echo::start(&passed, &echo_root, bytes).await?)
    } else {
        None
    };
    let batch_root = if arguments.echo { format!("{echo_root}.batch") } else { config.subjects.batch.clone() };
    let course = Course {
        rate: arguments.rate,
        ramp_from: arguments.ramp_from,
        arrivals: arguments.arrivals,
        duration: Duration::from_secs_f64(arguments.seconds),
        connections: arguments.connections,
        batch: arguments.batch.map(|transactions| Batch { transactions, root: batch_root }),
        by_second: arguments.hdr.is_some(),
        deadline: arguments.deadline.map(Duration::from_millis),
    };
    let outcome = generator::run(&config.nats, &Arc::new(messages), course).await.map_err(|error| error.to_string())?;
    if outcome.repeated > 0 {
        anstream::eprintln!(
            "note: {} of the answers had been given before, to the same ids, so they say nothing of how fast it scores",
            outcome.repeated
        );
    }
    let unwritten = |path: &Path, error: io::Error| format!("{} cannot be written: {error}", path.display());
    if let Some(path) = &arguments.hdr {
        outcome.latencies.write_log(path, outcome.began).map_err(|error| unwritten(path, error))?;
    }
    if let Some(path) = &arguments.histogram {
        outcome.latencies.write_json(path).map_err(|error| unwritten(path, error))?;
    }
    Ok(Report::new(&outcome, arguments.deadline.is_some()))
}

fn config_file(config: &Config) -> Option<std::ffi::OsString> {
    config.file.as_ref().map(|path| path.clone().into_os_string())
}

/// How long the configured service's verdicts on the first rows are, on average; `None` where it does not load.
fn verdict_bytes(config: &Config, messages: &Messages) -> Option<usize> {
    let mut scorer = Scorer::new(loading::load_release(config).ok()?.release);
    let (mut bytes, mut count, mut scratch) = (0, 0, Vec::new());
    for number in 0..SAMPLE_ROWS {
        let (subject, body) = messages.message(number, &mut scratch);
        let mut tokens = subject.rsplit('.');
        let card = tokens.next();
        let route = Route { processor: tokens.next()?, card };
        let Ok(transaction) = decode_transaction(&body, route, &config.settings.schema) else { continue };
        let input = Input::Transaction { transaction: &transaction, tier: Tier::Full };
        if let Output::Verdict { body, .. } = scorer.apply(input) {
            bytes += body.len();
            count += 1;
        }
    }
    bytes.checked_div(count)
}

impl Report {
    fn new(outcome: &Outcome, has_deadlines: bool) -> Self {
        let Kept { late, tiers: [full, rules_only, stand_in] } = outcome.kept;
        let at = |quantile| outcome.latencies.all_ns.value_at_quantile(quantile) as f64 / 1e3;
        let seconds = outcome.elapsed.as_secs_f64();
        Self {
            sent: outcome.sent,
            answered: outcome.answered,
            refused: outcome.refused,
            unanswered: outcome.sent.saturating_sub(outcome.answered + outcome.refused),
            elapsed_s: (seconds * 1e3).round() / 1e3,
            answered_per_s: (outcome.answered as f64 / seconds * 10.0).round() / 10.0,
            latency_us: Latency {
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p999: at(0.999),
                max: outcome.latencies.all_ns.max() as f64 / 1e3,
            },
            deadlines: has_deadlines.then_some(Deadlines { late, full, rules_only, stand_in }),
        }
    }

    fn print(&self) {
        let Self { sent, answered, refused, unanswered, elapsed_s, answered_per_s, latency_us, deadlines } = self;
        let Latency { p50, p90, p99, p999, max } = latency_us;
        anstream::println!("sent {sent}, answered {answered}, refused {refused}, unanswered {unanswered}");
        anstream::println!("{answered_per_s:.0} answers a second over {elapsed_s:.1} s");
        anstream::println!("latency from the intended send time, in microseconds:");
        anstream::println!("  p50 {p50:.0}  p90 {p90:.0}  p99 {p99:.0}  p99.9 {p999:.0}  max {max:.0}");
        if let Some(Deadlines { late, full, rules_only, stand_in }) = deadlines {
            anstream::println!(
                "after their deadline {late}; tiers: full {full}, rules_only {rules_only}, stand_in {stand_in}"
            );
        }
    }
}
