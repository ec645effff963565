//! From rows to a model file: learn, calibrate on rows not learnt from, describe. It reads no file and replays
//! nothing.

use std::ops::Range;

use super::{
    bins::balanced,
    calibrate::platt,
    learner::{Learner, Learnt},
    matrix::Matrix,
    metrics::{Scored, measure, quantile},
    parallel::in_parallel,
    sample::{below, stream},
};
use crate::scoring::{
    model::{
        Calibration, EnsemblePlain, FeatureSource, Header, Metrics, Model, ModelError, Period, Plain, Reference,
        Training, units_of, write,
    },
    time::Timestamp,
};

/// Parts that the cards are divided into: each is scored by what was learnt from the others.
const FOLDS: usize = 3;

/// Fewer frauds than this teach nothing that would hold.
const FRAUDS_MIN: usize = 10;

/// Rows that the importance of features is taken from, at most.
const IMPORTANCE_ROWS_MAX: usize = 20_000;

/// Buckets of a reference distribution: deciles.
const BUCKETS: usize = 10;

/// Resamples behind every interval in a model file.
pub const RESAMPLES: usize = 200;

/// Everything but the rows that decides what a model file holds.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// What people will call the model.
    pub name: String,
    /// How to learn.
    pub learner: Learner,
    /// What everything random is drawn from.
    pub seed: u64,
    /// The currency that money features count in.
    pub base_currency: String,
    /// Names and expressions, in the order of the columns.
    pub features: Vec<(String, String)>,
    /// The period of the rows, in Unix milliseconds.
    pub period_ms: Range<i64>,
    /// How long an empty label waits until it counts as legitimate.
    pub maturity_ms: i64,
}

/// Why no model came of the rows.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Too little to learn from.
    #[error("{frauds} frauds in {rows} rows: at least {FRAUDS_MIN} frauds and as many legitimate rows are needed")]
    TooFew {
        /// How many rows there were.
        rows: usize,
        /// How many of them were fraud.
        frauds: usize,
    },
    /// linfa refused the data or the settings.
    #[error("the learner refused: {0}")]
    Learner(#[from] linfa::Error),
    /// What was learnt cannot be served.
    #[error("what was learnt cannot be served: {0}")]
    Model(#[from] ModelError),
}

/// Learns a model from rows and measures it on later ones; the bytes of its file.
pub fn train(rows: &Matrix, test: Option<(&Matrix, Range<i64>)>, recipe: &Recipe) -> Result<Vec<u8>, TrainError> {
    let frauds = rows.fraud_count();
    if frauds < FRAUDS_MIN || rows.rows() - frauds < FRAUDS_MIN {
        return Err(TrainError::TooFew { rows: rows.rows(), frauds });
    }
    let margins = held_out_margins(rows, recipe)?;
    let calibration = platt(&margins, &rows.frauds);
    let learnt = recipe.learner.fit(rows)?;
    let plain = learnt.plain(calibration.slope, calibration.intercept);
    let probability = |margin: f64| 1.0 / (1.0 + libm::exp(-(calibration.slope * margin + calibration.intercept)));
    let scores: Vec<f64> = margins.into_iter().map(probability).collect();
    let mut header = Header {
        name: recipe.name.clone(),
        learner: recipe.learner.name().to_owned(),
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        seed: recipe.seed,
        base_currency: recipe.base_currency.clone(),
        parameters: recipe.learner.settings(),
        training: Training {
            period: period(&recipe.period_ms),
            maturity_ms: recipe.maturity_ms,
            rows: rows.rows() as u64,
            frauds: frauds as u64,
        },
        calibration,
        test: None,
        score: reference(&scores),
        features: sources(rows, &learnt, &recipe.features),
    };
    let model = Model::read(&write(&header, &plain))?;
    for (feature, importance) in header.features.iter_mut().zip(importance(&model, rows)) {
        feature.importance = importance;
    }
    header.test = test.filter(|(test, _)| test.rows() > 0).map(|(test, period_ms)| Metrics {
        period: period(&period_ms),
        rows: test.rows() as u64,
        frauds: test.fraud_count() as u64,
        values: measure(&score(&model, test), RESAMPLES, recipe.seed),
    });
    Ok(write(&header, &plain))
}

/// A model that asks for the recipe's features and knows nothing: its score is as good as zero.
pub fn untrained(recipe: &Recipe) -> Result<Model, ModelError> {
    let nothing = Reference { edges: Vec::new(), shares: vec![0.0], missing: 1.0 };
    let source = |(name, expression): &(String, String)| FeatureSource {
        name: name.clone(),
        expression: expression.clone(),
        missing: 0.0,
        importance: 0.0,
        reference: nothing.clone(),
    };
    let header = Header {
        name: recipe.name.clone(),
        learner: recipe.learner.name().to_owned(),
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        seed: recipe.seed,
        base_currency: recipe.base_currency.clone(),
        parameters: recipe.learner.settings(),
        training: Training { period: period(&(0..0)), maturity_ms: recipe.maturity_ms, rows: 0, frauds: 0 },
        calibration: Calibration { method: "none".to_owned(), slope: 1.0, intercept: 0.0, rows: 0 },
        test: None,
        score: nothing.clone(),
        features: recipe.features.iter().map(source).collect(),
    };
    let plain = EnsemblePlain { base: units_of(f64::NEG_INFINITY), trees: Vec::new() };
    Model::read(&write(&header, &Plain::Ensemble(plain)))
}

/// The rows with the model's probabilities.
pub fn score(model: &Model, rows: &Matrix) -> Vec<Scored> {
    let mut options = Vec::new();
    let scored = |row: usize| Scored {
        score: model.probability(rows.options(row, &mut options)),
        fraud: rows.frauds[row],
        card: rows.cards[row],
        time_ms: rows.times_ms[row],
    };
    (0..rows.rows()).map(scored).collect()
}

/// Every row's margin by what was learnt from the cards of the other folds.
fn held_out_margins(rows: &Matrix, recipe: &Recipe) -> Result<Vec<f64>, TrainError> {
    let fold_of = folds(rows, recipe.seed);
    let mut margins = vec![0.0; rows.rows()];
    for fold in 0..FOLDS {
        let others = rows.select(|row| fold_of[rows.cards[row] as usize] != fold);
        // With too few frauds outside the fold its rows keep a margin of zero, and the calibration sees the base rate.
        if others.fraud_count() == 0 || others.fraud_count() == others.rows() {
            continue;
        }
        let learnt = recipe.learner.fit(&others)?;
        for (row, margin) in margins.iter_mut().enumerate() {
            if fold_of[rows.cards[row] as usize] == fold {
                *margin = learnt.margin(rows.row(row));
            }
        }
    }
    Ok(margins)
}

/// The fold of each card: cards with a fraud and cards without are dealt out in turn, in a random order.
fn folds(rows: &Matrix, seed: u64) -> Vec<usize> {
    let cards = rows.cards.iter().max().map_or(0, |card| *card as usize + 1);
    let mut compromised = vec![false; cards];
    for (card, _) in rows.cards.iter().zip(&rows.frauds).filter(|(_, fraud)| **fraud) {
        compromised[*card as usize] = true;
    }
    // A stream that no tree draws from: trees and bags number theirs from zero.
    let mut random = stream(seed, u64::MAX);
    let mut order: Vec<usize> = (0..cards).collect();
    for at in (1..cards).rev() {
        order.swap(at, below(at + 1, &mut random));
    }
    order.sort_by_key(|card| compromised[*card]);
    let mut fold_of = vec![0; cards];
    for (place, card) in order.into_iter().enumerate() {
        fold_of[card] = place % FOLDS;
    }
    fold_of
}

fn sources(rows: &Matrix, learnt: &Learnt, features: &[(String, String)]) -> Vec<FeatureSource> {
    let references = in_parallel(features.len(), |feature| reference(&rows.column(feature).collect::<Vec<_>>()));
    let source = |(((name, expression), missing), reference): (((&String, &String), &f64), Reference)| FeatureSource {
        name: name.clone(),
        expression: expression.clone(),
        missing: *missing,
        importance: 0.0,
        reference,
    };
    let features = features.iter().map(|(name, expression)| (name, expression));
    features.zip(learnt.fills()).zip(references).map(source).collect()
}

/// Deciles of the values and the share of rows in each. Where a value is two of them, as 0 is in what is 0 or 1,
/// what is larger has a bucket of its own: it would be lost in that of the value.
fn reference(values: &[f64]) -> Reference {
    // Minus zero is zero.
    let mut sorted: Vec<f64> = values.iter().filter(|value| value.is_finite()).map(|value| value + 0.0).collect();
    sorted.sort_by(f64::total_cmp);
    let deciles: Vec<f64> =
        (1..BUCKETS).filter_map(|decile| quantile(&sorted, decile as f64 / BUCKETS as f64)).collect();
    let repeated = deciles.windows(2).filter(|pair| pair[0].total_cmp(&pair[1]).is_eq()).map(|pair| pair[0]);
    let larger = repeated.map(|value| {
        let next = sorted.get(sorted.partition_point(|known| *known <= value));
        next.copied().unwrap_or(value.next_up())
    });
    let mut edges: Vec<f64> = deciles.iter().copied().chain(larger).collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    let mut reference = Reference { shares: vec![0.0; edges.len() + 1], edges, missing: 0.0 };
    for value in &sorted {
        let bucket = reference.bucket(*value);
        reference.shares[bucket] += 1.0;
    }
    let rows = values.len().max(1) as f64;
    reference.shares.iter_mut().for_each(|share| *share /= rows);
    reference.missing = (values.len() - sorted.len()) as f64 / rows;
    reference
}

/// The mean size of each feature's contribution, frauds and others with half of the weight each: over all rows alike
/// it would say what tells one legitimate row from another.
fn importance(model: &Model, rows: &Matrix) -> Vec<f64> {
    let step = rows.rows().div_ceil(IMPORTANCE_ROWS_MAX).max(1);
    let taken: Vec<usize> = (0..rows.rows()).filter(|row| row % step == 0 || rows.frauds[*row]).collect();
    let weights = balanced(&taken.iter().map(|row| rows.frauds[*row]).collect::<Vec<_>>());
    let mut sums = vec![0.0; rows.columns()];
    let (mut options, mut contributions) = (Vec::new(), Vec::new());
    for (row, weight) in taken.into_iter().zip(weights) {
        model.explain(rows.options(row, &mut options), &mut contributions);
        sums.iter_mut().zip(&contributions).for_each(|(sum, contribution)| *sum += weight * contribution.abs());
    }
    sums
}

/// A period as the header writes it. Times of checked transactions always print.
fn period(period_ms: &Range<i64>) -> Period {
    let text = |ms: i64| Timestamp::from_unix_ms(ms).map_or_else(String::new, |time| time.to_string());
    Period { from: text(period_ms.start), to: text(period_ms.end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rare_has_a_bucket_of_its_own() {
        let rare: Vec<f64> = (0..100).map(|row| f64::from(u8::from(row == 7))).collect();
        let Reference { edges, shares, missing } = reference(&rare);
        assert_eq!((edges, shares, missing), (vec![0.0, 1.0], vec![0.0, 0.99, 0.01], 0.0));
        // A value that was always the same may be another one later.
        let same = reference(&[-0.0, 0.0, f64::NAN, 0.0]);
        assert_eq!((same.bucket(-1.0), same.bucket(0.0), same.bucket(1.0)), (0, 1, 2));
        assert_eq!((same.shares, same.missing), (vec![0.0, 0.75, 0.0], 0.25));
        let counts: Vec<f64> = (0..100).map(|row| if row < 85 { 1.0 } else { f64::from(row - 83) }).collect();
        assert_eq!(reference(&counts).edges[..2], [1.0, 2.0]);
        let spread: Vec<f64> = (0..1_001).map(f64::from).collect();
        assert_eq!(reference(&spread).edges, [100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0, 900.0]);
    }
}
