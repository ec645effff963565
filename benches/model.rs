//! What a model takes, one thread, rows that differ: 100 full trees of depth 8, and the shipped model on the rows of a
//! simulated stream. It learns nothing.
//!
//! `cargo bench --bench model`; with `-- --trees FILE` the trees and rows of that file instead of made-up ones, so that
//! another library can be measured on the same ensemble in the same run (`benches/published/inference.py`).

#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::{hint::black_box, path::PathBuf};

use gavel::{
    config::{Config, Flags, ModelChoice},
    loading::{load_model, load_release},
    scoring::{
        model::{
            Calibration, EnsemblePlain, FeatureSource, Header, LOG_ODDS_ONE, Model, Period, Plain, Reference, Training,
            TreeNode, TreePlain, units_of, write,
        },
        money::{Currency, Decimal},
        scorer::{Input, Scorer},
        verdict::Tier,
        wire::{Route, decode_transaction},
    },
    simulation::{RATES, Simulation, SimulationSettings},
};

#[path = "common/allocator.rs"]
mod allocator;
#[path = "common/clock.rs"]
mod clock;
#[path = "common/mod.rs"]
mod common;

/// Features of the made-up ensemble.
const FEATURES: usize = 20;
/// Its trees, and how deep they are.
const TREES: usize = 100;
const DEPTH: usize = 8;
/// Rows that are scored in turn: more than any cache of branches remembers.
const ROWS: usize = 16_384;
/// Rounds over all rows; the table gives their median.
const ROUNDS: usize = 15;

type Row = Vec<Option<f64>>;

fn main() {
    let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    println!("| one thread, {ROUNDS} rounds | rows | µs a row, probability | with contributions |");
    println!("|---|---|---|---|");
    if given.next().as_deref() == Some("--trees") {
        let (model, rows, margins) = others(&given.next().expect("a file"));
        let off = |(row, margin): (&Row, &f64)| (model.log_odds_units(row) as f64 / LOG_ODDS_ONE as f64 - margin).abs();
        let most = rows.iter().zip(&margins).map(off).fold(0.0, f64::max);
        assert!(most < 1e-4, "the same trees answer differently: by {most}");
        tell("the trees of the file", &model, &rows);
        return;
    }
    let mut numbers = common::Numbers(1);
    let rows: Vec<Row> = (0..ROWS).map(|_| (0..FEATURES).map(|_| Some(unit(&mut numbers))).collect()).collect();
    let trees = (0..TREES).map(|_| full_tree(&mut numbers)).collect();
    tell("100 full trees of depth 8, 20 features", &served(EnsemblePlain { base: 0, trees }, FEATURES), &rows);
    let (model, rows) = shipped();
    tell("the shipped model, simulated traffic", &model, &rows);
}

/// Prints a line of the table.
fn tell(name: &str, model: &Model, rows: &[Row]) {
    let mut contributions = Vec::new();
    let alone = median_us(rows, |row| model.probability(row));
    let explained = median_us(rows, |row| {
        let probability = model.explain(row, &mut contributions);
        black_box(&contributions);
        probability
    });
    println!("| {name} | {} | {alone:.3} | {explained:.3} |", rows.len());
}

fn median_us(rows: &[Row], mut score: impl FnMut(&Row) -> f64) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = clock::Clock::start();
            for row in rows {
                black_box(score(black_box(row)));
            }
            begun.elapsed_ns() / 1e3 / rows.len() as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn unit(numbers: &mut common::Numbers) -> f64 {
    (numbers.next() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A full tree whose every split halves what may come to it, so that all leaves are reached.
fn full_tree(numbers: &mut common::Numbers) -> TreePlain {
    fn push(nodes: &mut Vec<TreeNode>, depth: usize, ranges: &mut [(f64, f64)], numbers: &mut common::Numbers) {
        let at = nodes.len();
        let value = units_of((unit(numbers) - 0.5) / 50.0) as i32;
        nodes.push(TreeNode { feature: 0, threshold: 0.0, right: 0, value });
        if depth == DEPTH {
            return;
        }
        let feature = (numbers.next() % FEATURES as u64) as usize;
        let (low, high) = ranges[feature];
        let threshold = low + (high - low) * (0.4 + 0.2 * unit(numbers));
        ranges[feature] = (low, threshold);
        push(nodes, depth + 1, ranges, numbers);
        nodes[at] = TreeNode { feature: feature as u8, threshold, right: nodes.len() as u32, value };
        ranges[feature] = (threshold, high);
        push(nodes, depth + 1, ranges, numbers);
        ranges[feature] = (low, high);
    }
    let mut nodes = Vec::new();
    push(&mut nodes, 0, &mut [(0.0, 1.0); FEATURES], numbers);
    TreePlain { nodes }
}

fn served(plain: EnsemblePlain, features: usize) -> Model {
    let nothing = Reference { edges: Vec::new(), shares: vec![1.0], missing: 0.0 };
    let feature = |index: usize| FeatureSource {
        name: format!("f{index}"),
        expression: "amount".into(),
        missing: 0.0,
        importance: 0.0,
        reference: nothing.clone(),
    };
    let header = Header {
        name: "bench".into(),
        learner: "boost".into(),
        engine: String::new(),
        seed: 1,
        base_currency: "EUR".into(),
        parameters: [].into(),
        training: Training {
            period: Period { from: "2018-07-25T00:00:00Z".into(), to: "2018-08-01T00:00:00Z".into() },
            maturity_ms: 0,
            rows: 0,
            frauds: 0,
        },
        calibration: Calibration { method: "none".into(), slope: 1.0, intercept: 0.0, rows: 0 },
        test: None,
        score: nothing.clone(),
        features: (0..features).map(feature).collect(),
    };
    Model::read(&write(&header, &Plain::Ensemble(plain))).expect("a model")
}

/// Trees, rows and the log-odds that another library gives them: `{"trees": [[[feature, threshold, right, value], …]],
/// "rows": [[…]], "margins": […]}`, nodes in preorder, `right` 0 in a leaf.
fn others(path: &str) -> (Model, Vec<Row>, Vec<f64>) {
    #[derive(serde::Deserialize)]
    struct File {
        base: f64,
        trees: Vec<Vec<(u8, f64, u32, f64)>>,
        rows: Vec<Vec<f64>>,
        margins: Vec<f64>,
    }
    let text = std::fs::read_to_string(path).expect("the file is readable");
    let file: File = serde_json::from_str(&text).expect("trees and rows");
    let node = |&(feature, threshold, right, value): &(u8, f64, u32, f64)| TreeNode {
        feature,
        threshold,
        right,
        value: units_of(value) as i32,
    };
    let trees = file.trees.iter().map(|tree| TreePlain { nodes: tree.iter().map(node).collect() }).collect();
    let features = file.rows[0].len();
    let rows = file.rows.into_iter().map(|row| row.into_iter().map(Some).collect()).collect();
    (served(EnsemblePlain { base: units_of(file.base), trees }, features), rows, file.margins)
}

/// The shipped model, and the features of a simulated stream.
fn shipped() -> (std::sync::Arc<Model>, Vec<Row>) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let choice = std::fs::read_dir(root.join("models"))
        .expect("models/ is there")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "model"))
        .map(ModelChoice::File)
        .expect("a model is shipped");
    let flags = Flags { rules: Some(root.join("rules")), ..Flags::default() };
    let mut config = Config::load(&flags).map_err(|errors| errors.render(false)).expect("the configuration is good");
    config.model = choice.clone();
    let loaded = load_model(&choice, &config).map_err(|error| error.render(false)).expect("it loads");
    let (_, model) = loaded.expect("it is there");
    for (code, rate) in RATES {
        let currency = Currency::from_code(code).expect("the simulation's currencies are known");
        config.settings.rates.set(currency, Decimal::parse(rate).expect("and their rates are decimals"));
    }
    let release = load_release(&config).map_err(|error| error.render(false)).expect("the release compiles").release;
    let mut scorer = Scorer::new(release);
    let settings = SimulationSettings { cards: 5_000, days: 400, ..SimulationSettings::new(7) };
    let mut body = Vec::new();
    let features = Simulation::new(settings).expect("the settings make a stream").take(100_000 + ROWS).map(|row| {
        body.clear();
        row.write_body(&mut body);
        let card = row.card();
        let route = Route { processor: row.processor(), card: Some(&card) };
        let schema = scorer.release().settings.schema.clone();
        let transaction = decode_transaction(&body, route, &schema).expect("the simulation is valid");
        scorer.apply(Input::Transaction { transaction: &transaction, tier: Tier::Full });
        scorer.features().to_vec()
    });
    let rows = features.skip(100_000).collect();
    (model, rows)
}
