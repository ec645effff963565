//! Settings of a learner against each other on weeks of a labelled file: train on seven days, wait seven, test on seven.
//! The file is replayed once. It writes no model.
//!
//! `cargo bench --bench tune -- --in FILE --features TOML --weeks 2018-07-18,2018-07-25 "boost rounds=150" "forest"`;
//! a feature that a line names with a minus (`-night`) is left out of it.

#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::{fmt::Write as _, path::PathBuf, time::Instant};

use gavel::{
    config::{Config, Flags},
    learning::{
        extract::{Extraction, extract},
        features::parse,
        learner::Learner,
        matrix::Matrix,
        metrics::{Values, measure},
        train::{Recipe, score, train},
    },
    scoring::{
        model::Model,
        release::Release,
        scorer::Scorer,
        time::{DAY_MS, Timestamp},
    },
};

const WEEK_MS: i64 = 7 * DAY_MS;
const METRICS: [&str; 5] =
    ["auc_roc", "average_precision", "card_precision_at_100", "recall_at_1pct_fpr", "expected_calibration_error"];

struct Arguments {
    input: PathBuf,
    features: Vec<(String, String)>,
    config: Option<PathBuf>,
    weeks_ms: Vec<i64>,
    train_days: i64,
    lines: Vec<String>,
}

fn main() {
    let arguments = arguments();
    let flags = Flags { config: arguments.config.clone(), ..Flags::default() };
    let config = Config::load(&flags).map_err(|errors| errors.render(false)).expect("the configuration is good");
    let release = Release::of_features(config.settings, &arguments.features)
        .map_err(|problems| gavel::loading::render_features(&problems))
        .expect("the features compile");
    let names = arguments.features.iter().map(|(name, _)| name.clone()).collect();
    let first_ms = arguments.weeks_ms.iter().min().expect("a week") - WEEK_MS - arguments.train_days * DAY_MS;
    let extraction = extract(&arguments.input, Scorer::new(release), names, |time| time.unix_ms() >= first_ms)
        .expect("the file is readable");
    for line in &arguments.lines {
        let begun = Instant::now();
        let mut sums = METRICS.map(|_| 0.0);
        let mut each = String::new();
        for week_ms in &arguments.weeks_ms {
            let values = week(&extraction, &arguments, line, *week_ms);
            for (sum, name) in sums.iter_mut().zip(METRICS) {
                *sum += values.get(name).map_or(f64::NAN, |interval| interval.value);
            }
            write!(each, " {:.4}", values["average_precision"].value).expect("writing to a string");
        }
        let means = sums.map(|sum| format!("{:.4}", sum / arguments.weeks_ms.len() as f64)).join(" ");
        println!("{means} |{each} | {:.1}s | {line}", begun.elapsed().as_secs_f64());
    }
}

fn week(extraction: &Extraction, arguments: &Arguments, line: &str, week_ms: i64) -> Values {
    let learnt_ms = week_ms - WEEK_MS - arguments.train_days * DAY_MS..week_ms - WEEK_MS;
    let (mut learner_name, mut settings, mut left_out, mut seed) = ("boost", Vec::new(), Vec::new(), 1);
    for word in line.split_whitespace() {
        match (word.strip_prefix('-'), word.split_once('=')) {
            (Some(name), _) => left_out.push(name),
            (None, Some(("seed", value))) => seed = value.parse().expect("a seed"),
            (None, Some((name, value))) => settings.push((name, value.parse::<f64>().expect("a number"))),
            (None, None) => learner_name = word,
        }
    }
    let mut learner = Learner::named(learner_name, seed).expect("a learner");
    for (name, value) in settings {
        learner.set(name, value).expect("a setting");
    }
    let kept: Vec<usize> =
        (0..arguments.features.len()).filter(|at| !left_out.contains(&arguments.features[*at].0.as_str())).collect();
    let narrow = |matrix: &Matrix| {
        let mut narrowed = Matrix::new(kept.iter().map(|at| matrix.names[*at].clone()).collect());
        for row in 0..matrix.rows() {
            let values = matrix.row(row);
            let values = kept.iter().map(|at| Some(values[*at]).filter(|value| value.is_finite()));
            narrowed.push(values, matrix.frauds[row], matrix.times_ms[row], matrix.cards[row]);
        }
        narrowed
    };
    let rows = narrow(&extraction.known_at(week_ms, WEEK_MS, |time_ms| learnt_ms.contains(&time_ms)));
    let test = extraction.at_last(WEEK_MS, |time_ms| (week_ms..week_ms + WEEK_MS).contains(&time_ms));
    let test =
        narrow(&test.select(|row| !extraction.compromised(test.cards[row], test.times_ms[row], learnt_ms.start)));
    let recipe = Recipe {
        name: "tune".into(),
        learner,
        seed,
        base_currency: "EUR".into(),
        features: kept.iter().map(|at| arguments.features[*at].clone()).collect(),
        period_ms: learnt_ms,
        maturity_ms: WEEK_MS,
    };
    let model = Model::read(&train(&rows, None, &recipe).expect("a model")).expect("a model");
    measure(&score(&model, &test), 0, 1)
}

fn arguments() -> Arguments {
    let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mut arguments = Arguments {
        input: PathBuf::new(),
        features: Vec::new(),
        config: None,
        weeks_ms: Vec::new(),
        train_days: 7,
        lines: Vec::new(),
    };
    while let Some(argument) = given.next() {
        let mut value = || given.next().expect("a value");
        match argument.as_str() {
            "--in" => arguments.input = value().into(),
            "--config" => arguments.config = Some(value().into()),
            "--train-days" => arguments.train_days = value().parse().expect("days"),
            "--features" => {
                let text = std::fs::read_to_string(value()).expect("the features are readable");
                arguments.features = parse(&text).expect("they are features");
            }
            "--weeks" => {
                let start = |day: &str| Timestamp::parse_rfc3339(&format!("{day}T00:00:00Z")).expect("a day").unix_ms();
                arguments.weeks_ms = value().split(',').map(start).collect();
            }
            _ => arguments.lines.push(argument),
        }
    }
    arguments
}
