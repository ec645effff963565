//! Logistic regression by `linfa-logistic` on features scaled by `linfa-preprocessing`. It makes no features.

use linfa::{
    DatasetBase,
    dataset::AsSingleTargets,
    traits::{Fit, Transformer},
};
use linfa_logistic::LogisticRegression;
use linfa_preprocessing::linear_scaling::LinearScaler;
use ndarray::{Array1, ArrayBase, Data, Ix2};

use super::metrics::quantile;
use crate::scoring::model::{LinearPlain, LinearTerm, units_of};

/// The settings of the regression.
#[derive(Clone, Debug, PartialEq)]
pub struct Logistic {
    /// Pulls weights to zero.
    pub l2: f64,
    /// Iterations of the solver, at most.
    pub iterations: u64,
    /// The share of rows, of each class, whose values are cut to the next one's at either end.
    pub cut: f64,
}

impl Default for Logistic {
    fn default() -> Self {
        Self { l2: 1.0, iterations: 300, cut: 0.01 }
    }
}

/// A fitted regression.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// The log-odds of the mean row.
    pub base: f64,
    /// What a missing value counts as, by feature: the mean, so that it contributes nothing.
    pub fills: Vec<f64>,
    /// One for each feature.
    pub terms: Vec<LinearTerm>,
}

impl Linear {
    /// A row's log-odds.
    pub fn margin(&self, row: &[f64]) -> f64 {
        let term = |((term, value), fill): ((&LinearTerm, &f64), &f64)| {
            let value = if value.is_finite() { *value } else { *fill };
            term.weight * ((value.max(term.low).min(term.high) - term.mean) / term.scale)
        };
        self.base + self.terms.iter().zip(row).zip(&self.fills).map(term).sum::<f64>()
    }

    /// The form that is served, of `slope · margin + intercept`.
    pub fn plain(&self, slope: f64, intercept: f64) -> LinearPlain {
        let scaled = |term: &LinearTerm| LinearTerm { weight: term.weight * slope, ..*term };
        LinearPlain { base: units_of(self.base * slope + intercept), terms: self.terms.iter().map(scaled).collect() }
    }
}

impl<D: Data<Elem = f64>, T: AsSingleTargets<Elem = bool>> Fit<ArrayBase<D, Ix2>, T, linfa::Error> for Logistic {
    type Object = Linear;

    /// Learns from rows of features, where no number is a missing value, and whether each is fraud.
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<Linear, linfa::Error> {
        let failed = |error: &dyn std::fmt::Display| linfa::Error::Parameters(error.to_string());
        let targets: Array1<bool> = dataset.as_single_targets().iter().copied().collect();
        let mut rows = dataset.records.to_owned();
        let (mut ranges, mut fills) = (Vec::new(), Vec::new());
        for mut column in rows.columns_mut() {
            let (low, high) = range(&column.to_vec(), &targets.to_vec(), self.cut);
            column.iter_mut().for_each(|value| *value = value.max(low).min(high));
            ranges.push((low, high));
        }
        // `max` and `min` take the bound for what is no number; the gaps are those of the original.
        for ((column, original), (low, high)) in
            rows.columns_mut().into_iter().zip(dataset.records.columns()).zip(&ranges)
        {
            let present: Vec<f64> =
                original.iter().filter(|value| value.is_finite()).map(|value| value.max(*low).min(*high)).collect();
            let mean = present.iter().sum::<f64>() / present.len().max(1) as f64;
            fills.push(mean);
            let mut column = column;
            column.iter_mut().zip(original).filter(|(_, value)| !value.is_finite()).for_each(|(to, _)| *to = mean);
        }
        let frauds = targets.iter().filter(|fraud| **fraud).count();
        if ranges.iter().all(|(low, high)| low >= high) && (1..targets.len()).contains(&frauds) {
            // Where nothing varies the solver looks for a direction without end.
            let odds = frauds as f64 / (targets.len() - frauds) as f64;
            let constant =
                |(low, high): &(f64, f64)| LinearTerm { low: *low, high: *high, mean: *low, scale: 1.0, weight: 0.0 };
            return Ok(Linear { base: libm::log(odds), fills, terms: ranges.iter().map(constant).collect() });
        }
        let filled = DatasetBase::new(rows, targets);
        let scaler = LinearScaler::standard().fit(&filled).map_err(|error| failed(&error))?;
        let (offsets, scales) = (scaler.offsets().to_vec(), scaler.scales().to_vec());
        let scaled = scaler.transform(filled);
        let fitted = LogisticRegression::default()
            .alpha(self.l2)
            .max_iterations(self.iterations)
            .gradient_tolerance(1e-6)
            .fit(&scaled)
            .map_err(|error| failed(&error))?;
        // linfa takes the class it saw more often for the positive one; ours is fraud.
        let sign = if fitted.labels().pos.class { 1.0 } else { -1.0 };
        let term = |(feature, weight): (usize, &f64)| LinearTerm {
            low: ranges[feature].0,
            high: ranges[feature].1,
            mean: offsets[feature],
            scale: 1.0 / scales[feature],
            weight: weight * sign,
        };
        let terms = fitted.params().iter().enumerate().map(term).collect();
        Ok(Linear { base: fitted.intercept() * sign, fills, terms })
    }
}

/// The range that all but a share of each class lies in.
fn range(values: &[f64], frauds: &[bool], cut: f64) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for class in [false, true] {
        let mut of_class: Vec<f64> = values
            .iter()
            .zip(frauds)
            .filter(|(value, fraud)| value.is_finite() && **fraud == class)
            .map(|(value, _)| *value)
            .collect();
        of_class.sort_by(f64::total_cmp);
        low = low.min(quantile(&of_class, cut).unwrap_or(f64::INFINITY));
        high = high.max(quantile(&of_class, 1.0 - cut).unwrap_or(f64::NEG_INFINITY));
    }
    if low <= high { (low, high) } else { (0.0, 0.0) }
}
