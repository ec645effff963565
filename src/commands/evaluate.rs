//! `gavel evaluate`: how good a model is on a labelled file. It changes nothing.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use clap::Args;

use super::common::{ConfigFlag, JsonFlag, PeriodFlags, file_name, load_config, refuse_read};
use super::learning::{failed, of_features, parse_span, print_read, quality};
use crate::{
    config::{Flags, ModelChoice},
    data::{Period, Sink, parse_moment},
    learning::{
        extract::extract,
        metrics::{Stopped, measure},
        report,
        train::score,
    },
    loading::load_model,
    scoring::{model::FeatureSource, scorer::Scorer, settings::Policy, time::Timestamp},
};

/// Which model to measure, and on what
#[derive(Args, Clone, Debug)]
pub struct EvaluateArguments {
    /// Labelled transactions: .csv, .jsonl or .ndjson, each also with .zst; `-` reads standard input
    #[arg(long = "in", value_name = "FILE")]
    pub input: PathBuf,
    /// Model file [default: the one in models/]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    period: PeriodFlags,
    /// How long before the end of the file an empty label counts as legitimate
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_span)]
    pub maturity: i64,
    /// Leave out, from each day, cards known by then to have had a fraud since this day or moment
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub known_since: Option<Timestamp>,
    /// Resamples of cards behind each interval
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub resamples: usize,
    /// Where the resamples come from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Write a report for a browser, with curves, to this file
    #[arg(long, value_name = "FILE", value_parser = file_name)]
    pub html: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFlag,
    #[command(flatten)]
    json: JsonFlag,
}

/// Measures, and prints what was found.
pub fn run(arguments: &EvaluateArguments) -> ExitCode {
    evaluate(arguments).err().unwrap_or(ExitCode::SUCCESS)
}

fn evaluate(arguments: &EvaluateArguments) -> Result<(), ExitCode> {
    arguments.period.check()?;
    let config = load_config(Flags { model: arguments.model.clone(), ..Flags::from(&arguments.config) })?;
    let (path, model) = match load_model(&config.model, &config) {
        Ok(Some(loaded)) => loaded,
        Ok(None) if config.model == ModelChoice::None => {
            return Err(failed("without a model there is nothing to measure"));
        }
        Ok(None) => return Err(failed("there is no model in models/: name one with --model")),
        Err(error) => return Err(failed(&error.to_string())),
    };
    if let Some(html) = &arguments.html {
        refuse_read(html, [&path, &arguments.input].into_iter().chain(&config.file).map(PathBuf::as_path))?;
    }
    let header = model.header();
    let pair = |feature: &FeatureSource| (feature.name.clone(), feature.expression.clone());
    let features: Vec<_> = model.features().iter().map(pair).collect();
    let names = features.iter().map(|(name, _)| name.clone()).collect();
    let Policy { review_at, deny_at, .. } = config.settings.policy;
    if !config.settings.policy.segments.is_empty() {
        anstream::eprintln!(
            "note: the policy's segments decide by measures of their own, which are not looked at here; `gavel backtest` does"
        );
    }
    let scorer = Scorer::new(of_features(config.settings, &features)?);
    let period = Period::from(&arguments.period);
    let begun = Instant::now();
    let extraction = extract(&arguments.input, scorer, names, |time| period.contains(time))
        .map_err(|error| failed(&error.to_string()))?;
    print_read(&extraction, begun.elapsed().as_secs_f64());
    let rows = extraction.at_last(arguments.maturity, |_| true);
    let since_ms = arguments.known_since.map_or(i64::MAX, Timestamp::unix_ms);
    let rows = rows.select(|row| !extraction.compromised(rows.cards[row], rows.times_ms[row], since_ms));
    if rows.rows() == 0 {
        return Err(failed("no labelled transaction lies in the period"));
    }
    let scored = score(&model, &rows);
    let values = measure(&scored, arguments.resamples, arguments.seed);
    let thresholds = [("review", review_at), ("deny", deny_at)];
    let told = report::Evaluation { model: &model, rows: &rows, scored: &scored, values: &values, thresholds };
    if let Some(path) = &arguments.html {
        let page = report::page(&told).map_err(|error| failed(&error))?;
        Sink::write_whole(path, page.as_bytes()).map_err(|error| failed(&error.to_string()))?;
    }
    if arguments.json.json {
        anstream::println!("{:#}", told.json());
    } else {
        anstream::println!(
            "{} {} on {} transactions, {} of them fraud:\n\n{}",
            header.name,
            model.version(),
            rows.rows(),
            rows.fraud_count(),
            quality(&values)
        );
        for (verdict, from, stopped) in told.at_thresholds() {
            let Stopped { caught, missed, wrongly_stopped } = stopped;
            let share = |share: Option<f64>| share.map_or("none".to_owned(), |share| format!("{share:.4}"));
            anstream::println!(
                "{verdict} from a score of {from}: caught {caught}, missed {missed}, wrongly stopped {wrongly_stopped}, \
                 precision {}, recall {}",
                share(stopped.precision()),
                share(stopped.recall())
            );
        }
    }
    Ok(())
}
