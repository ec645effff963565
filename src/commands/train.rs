//! `gavel train`: a labelled history in, a model file out, and how good it is on a later period. It serves nothing.

use std::{fmt::Write as _, ops::Range, path::PathBuf, process::ExitCode, time::Instant};

use clap::Args;

use super::common::{ConfigFlag, JsonFlag, PeriodFlags, load_config, refuse_read};
use super::learning::{beside_rules, failed, features_of, of_features, parse_span, print_read, quality};
use crate::{
    config::Config,
    data::Sink,
    learning::{
        extract::{Extraction, extract},
        features::NamedExpression,
        learner::Learner,
        train::{Recipe, train, untrained},
    },
    scoring::{
        model::Model,
        scorer::Scorer,
        time::{Span, Timestamp},
    },
};

/// Of the time that the labels leave, the share that is learnt from where `--to` does not say.
const LEARNT_SHARE: f64 = 0.7;

/// What to learn from, how, and where to write the model
#[derive(Args, Clone, Debug)]
pub struct TrainArguments {
    /// Labelled transactions: .csv, .jsonl or .ndjson, each also with .zst; `-` reads standard input
    #[arg(long = "in", value_name = "FILE")]
    pub input: PathBuf,
    /// Model file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// TOML file of the features [default: those of the shipped model]
    #[arg(long, value_name = "FILE")]
    pub features: Option<PathBuf>,
    #[command(flatten)]
    period: PeriodFlags,
    /// Where all chance comes from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How to learn: boost, forest or logistic
    #[arg(long, value_name = "NAME", default_value = "boost")]
    pub learner: String,
    /// A setting of the learner, such as rounds=200; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub settings: Vec<(String, f64)>,
    /// How long until labels are complete: an empty one then counts as legitimate, and the period that quality is
    /// measured on begins that long after --to
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_span)]
    pub maturity: i64,
    /// What the model is called [default: the name of its file]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Leave out unlabelled transactions that the rules of this folder would have denied; `none` for no rules [default:
    /// rules, where there is that folder]
    #[arg(long, value_name = "DIR")]
    pub rules: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFlag,
    #[command(flatten)]
    json: JsonFlag,
}

/// Trains, writes the model, and prints how good it is.
pub fn run(arguments: &TrainArguments) -> ExitCode {
    learn(arguments).err().unwrap_or(ExitCode::SUCCESS)
}

fn learn(arguments: &TrainArguments) -> Result<(), ExitCode> {
    arguments.period.check()?;
    let config = load_config(&arguments.config)?;
    let rules = rules_of(arguments, &config);
    let read = [&config.file, &arguments.features].into_iter().flatten().chain([&arguments.input]);
    refuse_read(&arguments.out, read.map(PathBuf::as_path))?;
    let features = features_of(arguments.features.as_deref())?;
    let learner = learner(arguments)?;
    let mut recipe = recipe(arguments, &config, features, learner);
    let names = recipe.features.iter().map(|(name, _)| name.clone()).collect();
    let release = match rules {
        Some(rules) => {
            let model = untrained(&recipe).map_err(|error| failed(&error.to_string()))?;
            beside_rules(config.settings, model, &rules, &arguments.out)?
        }
        None => of_features(config.settings, &recipe.features)?,
    };
    let begun = Instant::now();
    let from = arguments.period.from;
    let wanted = |time: Timestamp| from.is_none_or(|from| from <= time);
    let extraction =
        extract(&arguments.input, Scorer::new(release), names, wanted).map_err(|error| failed(&error.to_string()))?;
    print_read(&extraction, begun.elapsed().as_secs_f64());

    let learnt_ms = learnt_period(arguments, &extraction);
    let moment_ms = learnt_ms.end.saturating_add(arguments.maturity);
    let rows = extraction.known_at(moment_ms, arguments.maturity, |time_ms| learnt_ms.contains(&time_ms));
    let test = extraction.at_last(arguments.maturity, |time_ms| time_ms >= moment_ms);
    let test_ms = moment_ms..extraction.last_ms.saturating_add(1).max(moment_ms);
    recipe.period_ms = learnt_ms;
    drop(extraction);
    let begun = Instant::now();
    let bytes = train(&rows, Some((&test, test_ms)), &recipe).map_err(|error| failed(&error.to_string()))?;
    let seconds = begun.elapsed().as_secs_f64();
    Sink::write_whole(&arguments.out, &bytes).map_err(|error| failed(&error.to_string()))?;
    let model = Model::read(&bytes).map_err(|error| failed(&error.to_string()))?;
    tell(arguments, &model, seconds);
    Ok(())
}

/// The rules that say what would have been denied, if any do.
fn rules_of(arguments: &TrainArguments, config: &Config) -> Option<PathBuf> {
    match &arguments.rules {
        Some(rules) if rules.as_os_str() == "none" => None,
        Some(rules) => Some(rules.clone()),
        None if config.rules.is_dir() => Some(config.rules.clone()),
        None => {
            let folder = config.rules.display();
            anstream::eprintln!("note: there is no folder {folder}, so no transaction counts as denied");
            None
        }
    }
}

fn learner(arguments: &TrainArguments) -> Result<Learner, ExitCode> {
    let Some(mut learner) = Learner::named(&arguments.learner, arguments.seed) else {
        let known = Learner::NAMES.join(", ");
        return Err(failed(&format!("--learner is {:?}, expected one of {known}", arguments.learner)));
    };
    for (name, value) in &arguments.settings {
        learner.set(name, *value).map_err(|error| failed(&format!("--set: {error}")))?;
    }
    Ok(learner)
}

fn recipe(arguments: &TrainArguments, config: &Config, features: Vec<NamedExpression>, learner: Learner) -> Recipe {
    let stem = || arguments.out.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    Recipe {
        name: arguments.name.clone().unwrap_or_else(stem),
        learner,
        seed: arguments.seed,
        base_currency: config.settings.rates.base().code().to_owned(),
        features,
        period_ms: 0..0,
        maturity_ms: arguments.maturity,
    }
}

/// `[from, to)`; without `--to` it ends so that the time after it and the labels' delay is left to measure on.
fn learnt_period(arguments: &TrainArguments, extraction: &Extraction) -> Range<i64> {
    let first_ms = extraction.matrix.times_ms.iter().min().copied().unwrap_or_default();
    let from_ms = arguments.period.from.map_or(first_ms, Timestamp::unix_ms);
    let to_ms = arguments.period.to.map_or_else(
        || {
            let left_ms = extraction.last_ms.saturating_sub(from_ms).saturating_sub(arguments.maturity).max(0);
            from_ms.saturating_add((left_ms as f64 * LEARNT_SHARE) as i64)
        },
        Timestamp::unix_ms,
    );
    from_ms..to_ms
}

/// Prints how good the model is: on standard error where the model itself goes to standard output.
fn tell(arguments: &TrainArguments, model: &Model, seconds: f64) {
    let text = told(arguments, model, seconds);
    if arguments.out.as_os_str() == "-" {
        anstream::eprintln!("{text}");
    } else {
        anstream::println!("{text}");
    }
}

fn told(arguments: &TrainArguments, model: &Model, seconds: f64) -> String {
    let header = model.header();
    if arguments.json.json {
        let told = serde_json::json!({
            "version": model.version(), "name": header.name, "learner": header.learner, "seed": header.seed,
            "training": header.training, "calibration": header.calibration, "test": header.test,
            "elapsed_s": (seconds * 1000.0).round() / 1000.0,
        });
        return format!("{told:#}");
    }
    let training = &header.training;
    let mut text = format!(
        "{} {}: learnt by {} from {} transactions, {} of them fraud, of {} to {}, in {seconds:.1} s\n",
        header.name,
        model.version(),
        header.learner,
        training.rows,
        training.frauds,
        training.period.from,
        training.period.to,
    );
    // Writing to a string cannot fail.
    let _ = match &header.test {
        Some(test) => writeln!(
            text,
            "on {} later transactions, {} of them fraud, of {} to {} (labels take {}):\n\n{}",
            test.rows,
            test.frauds,
            test.period.from,
            test.period.to,
            Span(arguments.maturity),
            quality(&test.values),
        ),
        None => writeln!(
            text,
            "no transaction is later than --to and the {} that labels take, so its quality is not measured",
            Span(arguments.maturity)
        ),
    };
    let mut features: Vec<_> = header.features.iter().collect();
    features.sort_by(|a, b| b.importance.total_cmp(&a.importance));
    text.push_str("mean contribution of each feature in log-odds, frauds and others weighing the same:");
    for feature in features {
        let _ = write!(text, "\n{:>8.3}  {}", feature.importance, feature.name);
    }
    text
}

fn parse_setting(text: &str) -> Result<(String, f64), String> {
    let parsed = text.split_once('=').and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
    parsed.filter(|(_, value): &(String, f64)| value.is_finite()).ok_or_else(|| "expected NAME=NUMBER".to_owned())
}
