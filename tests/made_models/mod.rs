//! Small models for tests. They are learnt from nothing.

#![allow(unreachable_pub, reason = "each test that needs a model includes it")]

use gavel::scoring::model::{
    Calibration, FeatureSource, Header, LinearPlain, LinearTerm, Period, Plain, Reference, Training, units_of, write,
};

/// The file of a linear model of features by name, expression and weight; without any of them its log-odds are −2.
pub fn model_file(name: &str, features: &[(&str, &str, f64)]) -> Vec<u8> {
    let nothing = Reference { edges: Vec::new(), shares: vec![1.0], missing: 0.0 };
    let halves = Reference { edges: vec![0.5], shares: vec![0.9, 0.1], missing: 0.0 };
    let feature = |&(name, expression, _): &(&str, &str, f64)| FeatureSource {
        name: name.into(),
        expression: expression.into(),
        missing: 0.0,
        importance: 0.0,
        reference: nothing.clone(),
    };
    let header = Header {
        name: name.into(),
        learner: "logistic".into(),
        engine: String::new(),
        seed: 1,
        base_currency: "EUR".into(),
        parameters: [].into(),
        training: Training {
            period: Period { from: "2018-07-25T00:00:00Z".into(), to: "2018-08-01T00:00:00Z".into() },
            maturity_ms: 0,
            rows: 1_000,
            frauds: 10,
        },
        calibration: Calibration { method: "none".into(), slope: 1.0, intercept: 0.0, rows: 0 },
        test: None,
        score: halves,
        features: features.iter().map(feature).collect(),
    };
    let term =
        |(_, _, weight): &(&str, &str, f64)| LinearTerm { low: 0.0, high: 1e4, mean: 0.0, scale: 1.0, weight: *weight };
    let plain = LinearPlain { base: units_of(-2.0), terms: features.iter().map(term).collect() };
    write(&header, &Plain::Linear(plain))
}
