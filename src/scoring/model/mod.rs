//! A trained model: read from its file, compiled to a flat form, asked for a probability and for what each feature
//! contributed. It learns nothing, and reading it runs no code.

mod error;
mod linear;
mod plain;
mod ranks;
mod paths;
mod forest;
mod sets;
mod trees;
pub mod file;

use std::sync::Arc;

pub use self::error::{FILE_MAX_BYTES, FORMAT, ModelError};
pub use self::file::{Calibration, FeatureSource, Header, Interval, Metrics, Period, Reference, Training, write};
pub use self::linear::{LinearPlain, LinearTerm};
pub use self::plain::{DEPTH_MAX, EnsemblePlain, TreeNode, TreePlain};

use self::{linear::Linear, trees::Ensemble};

/// How many features a model may have: a node names its feature in one byte.
pub const FEATURES_MAX: usize = 255;

/// One unit of log-odds in the integers that models add: contributions are whole multiples of 2^-24, so that they sum
/// to the score's log-odds exactly, in any order.
pub const LOG_ODDS_ONE: i64 = 1 << 24;

/// No learner's answer is further from even odds than this many units: probabilities stay inside (0, 1).
const LOG_ODDS_LIMIT: i64 = 36 * LOG_ODDS_ONE;

/// What was learnt, as a file holds it.
#[derive(Clone, Debug, PartialEq)]
pub enum Plain {
    /// A weighted sum of scaled features.
    Linear(LinearPlain),
    /// A sum of trees.
    Ensemble(EnsemblePlain),
}

/// What was learnt, as it is served.
enum Compiled {
    Linear(Linear),
    Ensemble(Box<Ensemble>),
}

/// A trained model, ready to serve.
pub struct Model {
    header: Header,
    names: Vec<Arc<str>>,
    version: String,
    compiled: Compiled,
}

impl Model {
    /// Reads a model file. Whatever it says is checked against its bytes before it is believed.
    pub fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        let (header, plain, version) = file::read(bytes)?;
        let compiled = match &plain {
            Plain::Linear(linear) => Compiled::Linear(Linear::compile(linear, &header.fills())),
            Plain::Ensemble(ensemble) => {
                let compiled = Ensemble::compile(ensemble, &header.fills()).map_err(ModelError::Inconsistent)?;
                Compiled::Ensemble(Box::new(compiled))
            }
        };
        let names = header.features.iter().map(|feature| Arc::from(feature.name.as_str())).collect();
        Ok(Self { header, names, version, compiled })
    }

    /// The features in order: names and expressions.
    pub fn features(&self) -> &[FeatureSource] {
        &self.header.features
    }

    /// The features' names in order, shared.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The first twelve hexadecimal digits of the content hash.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Everything the file says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The log-odds of fraud in units of 2^-24; a feature past the end of the row is missing.
    pub fn log_odds_units(&self, features: &[Option<f64>]) -> i64 {
        let sum = match &self.compiled {
            Compiled::Linear(linear) => linear.sum(features),
            Compiled::Ensemble(ensemble) => ensemble.sum(features),
        };
        sum.clamp(-LOG_ODDS_LIMIT, LOG_ODDS_LIMIT)
    }

    /// The calibrated probability of fraud.
    pub fn probability(&self, features: &[Option<f64>]) -> f64 {
        probability_of(self.log_odds_units(features))
    }

    /// What each feature contributed, in log-odds, and the probability. The contributions and `base_log_odds` sum to
    /// the log-odds of the probability exactly, unless the sum is beyond the limit of ±36.
    pub fn explain(&self, features: &[Option<f64>], contributions: &mut Vec<f64>) -> f64 {
        let mut units = [0_i64; FEATURES_MAX + 1];
        let sum = match &self.compiled {
            Compiled::Linear(linear) => linear.explain(features, &mut units),
            Compiled::Ensemble(ensemble) => ensemble.explain(features, &mut units),
        };
        contributions.clear();
        contributions.extend(units.iter().take(self.header.features.len()).map(|units| log_odds_of(*units)));
        probability_of(sum.clamp(-LOG_ODDS_LIMIT, LOG_ODDS_LIMIT))
    }

    /// The log-odds before any feature has contributed.
    pub fn base_log_odds(&self) -> f64 {
        log_odds_of(match &self.compiled {
            Compiled::Linear(linear) => linear.base(),
            Compiled::Ensemble(ensemble) => ensemble.base(),
        })
    }
}

/// Units to log-odds: exact, for sums stay below 2^53 units.
fn log_odds_of(units: i64) -> f64 {
    units as f64 / LOG_ODDS_ONE as f64
}

fn probability_of(units: i64) -> f64 {
    1.0 / (1.0 + libm::exp(-log_odds_of(units)))
}

/// Log-odds to units, to the nearest; what is not finite or too large is cut to the limit.
pub fn units_of(log_odds: f64) -> i64 {
    let units = (log_odds * LOG_ODDS_ONE as f64).round();
    // A cast of a float to an integer saturates, and makes zero of what is no number.
    (units as i64).clamp(-LOG_ODDS_LIMIT, LOG_ODDS_LIMIT)
}

#[cfg(test)]
mod tests;
