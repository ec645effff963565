//! What holds of every learner: the same bytes in another process, served as learnt, calibrated, better than chance.

use std::process::Command;

use linfa::{DatasetBase, prelude::ParamGuard, traits::Fit, traits::Predict};
use linfa_trees::{DecisionTree, TreeNode};
use ndarray::{Array1, Array2};

use super::{
    additive::{Additive, Tree},
    forest::flatten,
    learner::Learner,
    matrix::Matrix,
    metrics::measure,
    sample::{below, stream, unit},
    train::{Recipe, TrainError, score, train},
};
use crate::scoring::{
    model::{EnsemblePlain, LOG_ODDS_ONE, Model, Plain, write},
    time::DAY_MS,
};

const FEATURES: usize = 5;

/// Made-up rows: frauds are likelier where the first two features are large together, or where the third is missing.
/// Values are rounded, so that many rows share them.
fn rows(count: usize, seed: u64) -> Matrix {
    let mut random = stream(seed, 0);
    let mut matrix = Matrix::new((0..FEATURES).map(|feature| format!("f{feature}")).collect());
    for row in 0..count {
        let mut value = || (unit(&mut random) * 400.0).round() / 100.0 - 2.0;
        let mut values: Vec<Option<f64>> = (0..FEATURES).map(|_| Some(value())).collect();
        let product = values[0].unwrap_or_default() * values[1].unwrap_or_default();
        let mut log_odds = -4.0 + 1.5 * product.min(2.0) + 0.6 * values[0].unwrap_or_default();
        if unit(&mut random) < 0.1 {
            values[2] = None;
            log_odds += 2.0;
        }
        let fraud = unit(&mut random) < 1.0 / (1.0 + (-log_odds).exp());
        matrix.push(values, fraud, row as i64 * DAY_MS / 500, (row % 700) as u32);
    }
    matrix
}

fn recipe(learner: &str) -> Recipe {
    let mut learner = Learner::named(learner, 3).unwrap();
    for (name, value) in [("bags", 2.0), ("rounds", 20.0), ("trees", 20.0), ("leaf_weight", 5.0)] {
        // Each learner has some of them.
        let _ = learner.set(name, value);
    }
    Recipe {
        name: "test".into(),
        learner,
        seed: 3,
        base_currency: "EUR".into(),
        features: (0..FEATURES).map(|feature| (format!("f{feature}"), "amount".into())).collect(),
        period_ms: 0..8 * DAY_MS,
        maturity_ms: 0,
    }
}

fn hash_of_training() -> String {
    let rows = rows(3_000, 1);
    let hash = |learner| blake3::hash(&train(&rows, None, &recipe(learner)).unwrap()).to_hex().to_string();
    Learner::NAMES.map(hash).join(" ")
}

/// linfa's trees once differed from process to process, for the order of a hash map broke their ties.
#[test]
fn another_process_learns_the_same_bytes() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "learning::tests::tells_its_hash", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.contains(&hash_of_training()), "{output}");
}

#[test]
#[ignore = "runs inside another_process_learns_the_same_bytes"]
#[expect(clippy::print_stdout, reason = "the other process reads it")]
fn tells_its_hash() {
    println!("{}", hash_of_training());
}

#[test]
fn models_are_served_as_learnt_and_calibrated() {
    let (learnt_from, later) = (rows(8_000, 1), rows(8_000, 2));
    // A weighted sum cannot follow a product, so the regression is off where the product is large.
    for (name, auc, gap) in [("logistic", 0.60, 0.03), ("forest", 0.75, 0.01), ("boost", 0.78, 0.01)] {
        let recipe = recipe(name);
        let bytes = train(&learnt_from, Some((&later, 8 * DAY_MS..16 * DAY_MS)), &recipe).unwrap();
        let model = Model::read(&bytes).unwrap();
        let header = model.header();
        let learnt = recipe.learner.fit(&learnt_from).unwrap();
        let mut options = Vec::new();
        for row in 0..500 {
            let margin = header.calibration.slope * learnt.margin(later.row(row)) + header.calibration.intercept;
            let served = model.log_odds_units(later.options(row, &mut options)) as f64 / LOG_ODDS_ONE as f64;
            assert!((served - margin).abs() < 1e-4, "{name} row {row}: served {served}, learnt {margin}");
        }
        let values = measure(&score(&model, &later), 0, 1);
        assert!(values["auc_roc"].value > auc, "{name} {values:?}");
        assert!(values["expected_calibration_error"].value < gap, "{name} {values:?}");
        let told = &header.test.as_ref().unwrap().values["auc_roc"];
        assert!((told.value - values["auc_roc"].value).abs() < 1e-12, "{name}");
        assert!(told.low < told.value && told.value < told.high, "{name} {told:?}");
        assert!(header.features[0].importance > header.features[3].importance, "{name}");
        let shares = |shares: &[f64], missing: f64| shares.iter().sum::<f64>() + missing;
        assert!((shares(&header.score.shares, header.score.missing) - 1.0).abs() < 1e-9, "{name}");
        assert!((header.features[2].reference.missing - 0.1).abs() < 0.02, "{name}");
    }
}

/// linfa asks `value <= threshold` when it grows a tree and `value < threshold` when it predicts; we serve the latter.
/// Twenty classes keep it from merging leaves, so that each leaf is told from the others.
#[test]
fn linfas_trees_are_served_bit_for_bit() {
    let mut random = stream(5, 0);
    let values = |random: &mut _| (unit(random) * 60.0).round() / 7.0;
    for depth in [1, 3, 5, 8] {
        let records = Array2::from_shape_fn((600, FEATURES), |_| values(&mut random));
        let targets = Array1::from_shape_fn(600, |_| below(20, &mut random));
        let params = DecisionTree::<f64, usize>::params().max_depth(Some(depth)).check().unwrap();
        let grown = params.fit(&DatasetBase::new(records, targets)).unwrap();
        let all: Vec<usize> = (0..FEATURES).collect();
        let mut tree = Tree { nodes: flatten(&grown, &all) };
        let (mut classes, mut splits) = (Vec::new(), Vec::new());
        leaves(grown.root_node(), &mut classes, &mut splits);
        let mut classes = classes.into_iter();
        for node in tree.nodes.iter_mut().filter(|node| node.right == 0) {
            node.value = classes.next().unwrap() as f64;
        }
        let additive = Additive { base: 0.0, fills: vec![0.0; FEATURES], trees: vec![tree] };
        let model = served(additive.plain(1.0, 0.0));
        let mut rows: Vec<Vec<f64>> =
            (0..2_000).map(|_| (0..FEATURES).map(|_| values(&mut random)).collect()).collect();
        for (feature, split) in splits {
            for value in [split, split.next_down(), split.next_up()] {
                let mut row: Vec<f64> = (0..FEATURES).map(|_| values(&mut random)).collect();
                row[feature] = value;
                rows.push(row);
            }
        }
        let told = grown.predict(&Array2::from_shape_fn((rows.len(), FEATURES), |(row, feature)| rows[row][feature]));
        for (row, class) in rows.iter().zip(told) {
            let options: Vec<Option<f64>> = row.iter().copied().map(Some).collect();
            assert_eq!(model.log_odds_units(&options), class as i64 * LOG_ODDS_ONE, "depth {depth}, {row:?}");
        }
    }
}

/// The classes of the leaves from left to right, and every split.
fn leaves(node: &TreeNode<f64, usize>, classes: &mut Vec<usize>, splits: &mut Vec<(usize, f64)>) {
    if let Some(class) = node.prediction() {
        classes.push(class);
        return;
    }
    let (feature, threshold, _) = node.split();
    splits.push((feature, threshold));
    node.children().into_iter().flatten().for_each(|child| leaves(child, classes, splits));
}

fn served(plain: EnsemblePlain) -> Model {
    let bytes = train(&rows(1_000, 1), None, &recipe("forest")).unwrap();
    let header = Model::read(&bytes).unwrap().header().clone();
    Model::read(&write(&header, &Plain::Ensemble(plain))).unwrap()
}

#[test]
fn too_little_and_bad_settings_are_refused() {
    let few = rows(3_000, 1).select(|row| row < 40);
    assert!(matches!(train(&few, None, &recipe("boost")), Err(TrainError::TooFew { rows: 40, .. })));
    let rows = rows(3_000, 1);
    for (learner, name, value, expected) in [
        ("boost", "depth", 9.0, "depth is at most 8"),
        ("boost", "row_share", 0.0, "shares of rows and features are above 0"),
        ("boost", "bins", 1.0, "bins are 2 to 65534"),
        ("forest", "depth", 12.0, "depth is at most 8"),
        ("forest", "features", 1.5, "shares of features and frauds"),
        ("logistic", "l2", -1.0, "alpha"),
    ] {
        let mut recipe = recipe(learner);
        recipe.learner.set(name, value).unwrap();
        let message = train(&rows, None, &recipe).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains(expected), "{learner} {name} {value}: {message:?}");
    }
    let unknown = recipe("forest").learner.set("rounds", 1.0).unwrap_err().to_string();
    assert!(unknown.starts_with("`rounds` is no setting of the forest learner, which has trees, depth,"), "{unknown}");
}

#[test]
fn features_that_never_vary_end_the_regression() {
    let mut matrix = Matrix::new(vec!["one".into(), "none".into()]);
    for row in 0..400 {
        matrix.push([Some(1.0), None], row % 10 == 0, row * DAY_MS / 100, row as u32);
    }
    let features = vec![("one".to_owned(), "1".to_owned()), ("none".to_owned(), "2".to_owned())];
    let recipe = Recipe { features, period_ms: 0..4 * DAY_MS, ..recipe("logistic") };
    let bytes = train(&matrix, None, &recipe).expect("it ends");
    let probability = Model::read(&bytes).expect("a model").probability(&[Some(1.0), None]);
    assert!((probability - 0.1).abs() < 0.02, "{probability}");
}
