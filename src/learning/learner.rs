//! The learners behind one door, with their settings by name. It holds no data.

use std::collections::BTreeMap;

use linfa::{DatasetBase, traits::Fit};
use ndarray::{Array1, ArrayView2};

use super::{
    additive::Additive,
    boost::Boost,
    forest::Forest,
    logistic::{Linear, Logistic},
    matrix::Matrix,
};
use crate::scoring::model::Plain;

/// A way to learn, with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Learner {
    /// Logistic regression of linfa.
    Logistic(Logistic),
    /// A forest bagged over linfa's trees.
    Forest(Forest),
    /// Gradient boosting.
    Boost(Boost),
}

/// What was learnt, before calibration.
pub enum Learnt {
    /// A weighted sum of features.
    Linear(Linear),
    /// A sum of trees.
    Additive(Additive),
}

/// A setting that a learner does not have, or a value that it cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no setting of the {learner} learner, which has {known}")]
pub struct UnknownSetting {
    name: String,
    learner: &'static str,
    known: String,
}

impl Learner {
    /// The names of the learners.
    pub const NAMES: [&'static str; 3] = ["logistic", "forest", "boost"];

    /// A learner by its name, with its default settings.
    pub fn named(name: &str, seed: u64) -> Option<Self> {
        match name {
            "logistic" => Some(Self::Logistic(Logistic::default())),
            "forest" => Some(Self::Forest(Forest { seed, ..Forest::default() })),
            "boost" => Some(Self::Boost(Boost { seed, ..Boost::default() })),
            _ => None,
        }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Logistic(_) => "logistic",
            Self::Forest(_) => "forest",
            Self::Boost(_) => "boost",
        }
    }

    /// Its settings by name, without the seed.
    pub fn settings(&self) -> BTreeMap<String, f64> {
        let mut copy = self.clone();
        copy.fields().into_iter().map(|(name, field)| (name.to_owned(), field.get())).collect()
    }

    /// Changes a setting.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), UnknownSetting> {
        let learner = self.name();
        let fields = self.fields();
        let known = fields.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        match fields.into_iter().find(|(field, _)| *field == name) {
            Some((_, field)) => {
                field.set(value);
                Ok(())
            }
            None => Err(UnknownSetting { name: name.to_owned(), learner, known }),
        }
    }

    fn fields(&mut self) -> Vec<(&'static str, Setting<'_>)> {
        use Setting::{Count, Long, Real};
        match self {
            Self::Logistic(Logistic { l2, iterations, cut }) => {
                vec![("l2", Real(l2)), ("iterations", Long(iterations)), ("cut", Real(cut))]
            }
            Self::Forest(Forest {
                trees,
                depth,
                features,
                frauds,
                frauds_max,
                legits,
                leaf_weight,
                prior,
                seed: _,
            }) => {
                vec![
                    ("trees", Count(trees)),
                    ("depth", Count(depth)),
                    ("features", Real(features)),
                    ("frauds", Real(frauds)),
                    ("frauds_max", Count(frauds_max)),
                    ("legits", Real(legits)),
                    ("leaf_weight", Real(leaf_weight)),
                    ("prior", Real(prior)),
                ]
            }
            Self::Boost(Boost {
                bags,
                rounds,
                rate,
                depth,
                leaves,
                leaf_weight,
                l2,
                row_share,
                tree_features,
                node_features,
                bins,
                seed: _,
            }) => {
                vec![
                    ("bags", Count(bags)),
                    ("rounds", Count(rounds)),
                    ("rate", Real(rate)),
                    ("depth", Count(depth)),
                    ("leaves", Count(leaves)),
                    ("leaf_weight", Real(leaf_weight)),
                    ("l2", Real(l2)),
                    ("row_share", Real(row_share)),
                    ("tree_features", Real(tree_features)),
                    ("node_features", Real(node_features)),
                    ("bins", Count(bins)),
                ]
            }
        }
    }

    /// Learns from rows.
    pub fn fit(&self, matrix: &Matrix) -> Result<Learnt, linfa::Error> {
        let shape = (matrix.rows(), matrix.columns());
        let records = ArrayView2::from_shape(shape, matrix.values())
            .map_err(|error| linfa::Error::Parameters(error.to_string()))?;
        let dataset = DatasetBase::new(records, Array1::from_vec(matrix.frauds.clone()));
        match self {
            Self::Logistic(logistic) => logistic.fit(&dataset).map(Learnt::Linear),
            Self::Forest(forest) => forest.fit(&dataset).map(Learnt::Additive),
            Self::Boost(boost) => boost.fit(&dataset).map(Learnt::Additive),
        }
    }
}

impl Learnt {
    /// A row's log-odds.
    pub fn margin(&self, row: &[f64]) -> f64 {
        match self {
            Self::Linear(linear) => linear.margin(row),
            Self::Additive(additive) => additive.margin(row),
        }
    }

    /// What a missing value counts as, by feature.
    pub fn fills(&self) -> &[f64] {
        match self {
            Self::Linear(linear) => &linear.fills,
            Self::Additive(additive) => &additive.fills,
        }
    }

    /// The form of the model file, of `slope · margin + intercept`.
    pub fn plain(&self, slope: f64, intercept: f64) -> Plain {
        match self {
            Self::Linear(linear) => Plain::Linear(linear.plain(slope, intercept)),
            Self::Additive(additive) => Plain::Ensemble(additive.plain(slope, intercept)),
        }
    }
}

enum Setting<'l> {
    Real(&'l mut f64),
    Count(&'l mut usize),
    Long(&'l mut u64),
}

impl Setting<'_> {
    fn get(self) -> f64 {
        match self {
            Self::Real(real) => *real,
            Self::Count(count) => *count as f64,
            Self::Long(count) => *count as f64,
        }
    }

    /// A count takes the whole part; casts saturate, and each learner checks its settings before it learns.
    fn set(self, value: f64) {
        match self {
            Self::Real(real) => *real = value,
            Self::Count(count) => *count = value as usize,
            Self::Long(count) => *count = value as u64,
        }
    }
}
