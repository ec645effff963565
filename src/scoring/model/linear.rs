//! A logistic regression as it is served: a sum of scaled features. It knows nothing of how the weights were found.

use super::{FEATURES_MAX, units_of};

/// One feature's part in a linear model: `weight · (clamp(value, low, high) − mean) / scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearTerm {
    /// Values below count as this one, so that no outlier outweighs everything else.
    pub low: f64,
    /// Values above count as this one.
    pub high: f64,
    /// The mean of the training rows.
    pub mean: f64,
    /// The standard deviation of the training rows; positive.
    pub scale: f64,
    /// Log-odds for one standard deviation.
    pub weight: f64,
}

/// A linear model as its file holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearPlain {
    /// The log-odds of the mean row, in units.
    pub base: i64,
    /// One for each feature, in order.
    pub terms: Vec<LinearTerm>,
}

impl LinearTerm {
    /// What a value contributes, in units of log-odds; a missing one counts as `fill`.
    pub fn units(&self, value: Option<f64>, fill: f64) -> i64 {
        let value = value.filter(|value| value.is_finite()).unwrap_or(fill);
        units_of(self.weight * ((value.max(self.low).min(self.high) - self.mean) / self.scale))
    }
}

/// A linear model ready to serve.
pub(super) struct Linear {
    base: i64,
    /// With what a missing value counts as.
    terms: Vec<(LinearTerm, f64)>,
}

impl Linear {
    pub(super) fn compile(plain: &LinearPlain, fills: &[f64]) -> Self {
        Self { base: plain.base, terms: plain.terms.iter().copied().zip(fills.iter().copied()).collect() }
    }

    pub(super) fn base(&self) -> i64 {
        self.base
    }

    pub(super) fn sum(&self, features: &[Option<f64>]) -> i64 {
        let values = features.iter().copied().chain(std::iter::repeat(None));
        self.base + self.terms.iter().zip(values).map(|((term, fill), value)| term.units(value, *fill)).sum::<i64>()
    }

    pub(super) fn explain(&self, features: &[Option<f64>], contributions: &mut [i64; FEATURES_MAX + 1]) -> i64 {
        let mut sum = self.base;
        let values = features.iter().copied().chain(std::iter::repeat(None));
        for (((term, fill), contribution), value) in self.terms.iter().zip(contributions.iter_mut()).zip(values) {
            *contribution = term.units(value, *fill);
            sum += *contribution;
        }
        sum
    }
}
