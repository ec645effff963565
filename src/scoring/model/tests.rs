//! A model read from a damaged file, and the flat form against its plain twin.

use proptest::prelude::*;

use super::*;

/// Values that trees split on and rows hold: few, so that rows often stand exactly on a threshold.
const GRID: [f64; 9] = [-1e300, -2.5, -0.0, 0.0, 5e-324, 0.1, 1.0, 3.7, 1e300];

const FILLS: [f64; 3] = [-7.0, 0.5, 2.0];

fn header(features: usize) -> Header {
    let reference = Reference { edges: vec![0.5], shares: vec![0.75, 0.25], missing: 0.0 };
    Header {
        name: "test".into(),
        learner: "boost".into(),
        engine: "0.0.0".into(),
        seed: 7,
        base_currency: "EUR".into(),
        parameters: [("trees".to_owned(), 2.0)].into(),
        training: Training {
            period: Period { from: "2018-07-25T00:00:00Z".into(), to: "2018-08-01T00:00:00Z".into() },
            maturity_ms: 0,
            rows: 10,
            frauds: 1,
        },
        calibration: Calibration { method: "platt".into(), slope: 1.0, intercept: 0.0, rows: 10 },
        test: None,
        score: reference.clone(),
        features: (0..features)
            .map(|index| FeatureSource {
                name: format!("f{index}"),
                expression: "amount".into(),
                missing: FILLS[index],
                importance: 0.0,
                reference: reference.clone(),
            })
            .collect(),
    }
}

/// A tree grown from a list of choices: a choice is (split or not, feature, threshold, value).
fn grow(choices: &mut impl Iterator<Item = (bool, u8, usize, i32)>, depth: usize, nodes: &mut Vec<TreeNode>) {
    grow_of(choices, depth, nodes, &|threshold| GRID[threshold]);
}

fn grow_of<T>(
    choices: &mut impl Iterator<Item = (bool, u8, T, i32)>,
    depth: usize,
    nodes: &mut Vec<TreeNode>,
    threshold_of: &impl Fn(T) -> f64,
) {
    let at = nodes.len();
    let choice = choices.next();
    let value = choice.as_ref().map_or(1, |(.., value)| *value);
    nodes.push(TreeNode { feature: 0, threshold: 0.0, right: 0, value });
    if let Some((true, feature, threshold, _)) = choice
        && depth < DEPTH_MAX
    {
        grow_of(choices, depth + 1, nodes, threshold_of);
        let right = nodes.len() as u32;
        nodes[at] = TreeNode { feature, threshold: threshold_of(threshold), right, value };
        grow_of(choices, depth + 1, nodes, threshold_of);
    }
}

/// Trees whose values are of any size, for which contributions are walked back up; or small, so that their paths are kept.
fn any_trees() -> impl Strategy<Value = Vec<TreePlain>> {
    let choice = (prop::bool::weighted(0.8), 0..3_u8, 0..GRID.len(), -(1_i32 << 30) + 1..1 << 30);
    // Trees of few leaves are told by sets, others are walked: there are both.
    let choices = prop_oneof![prop::collection::vec(choice.clone(), 0..31), prop::collection::vec(choice, 0..300)];
    let tree = choices.prop_map(|choices| {
        let mut nodes = Vec::new();
        grow(&mut choices.into_iter(), 0, &mut nodes);
        TreePlain { nodes }
    });
    (prop::collection::vec(tree, 0..20), prop::bool::ANY).prop_map(|(mut trees, is_small)| {
        let nodes = trees.iter_mut().flat_map(|tree| &mut tree.nodes);
        nodes.filter(|_| is_small).for_each(|node| node.value >>= 10);
        trees
    })
}

fn any_row() -> impl Strategy<Value = Vec<Option<f64>>> {
    let value = prop_oneof![
        Just(None),
        Just(Some(f64::NAN)),
        (0..GRID.len()).prop_map(|index| Some(GRID[index])),
        (-4.0..4.0_f64).prop_map(Some),
    ];
    prop::collection::vec(value, 3)
}

proptest! {
    /// The compiled form ends in the leaf that the plain one does, and contributions sum to the log-odds exactly.
    #[test]
    fn ensembles_answer_as_their_trees(
        trees in any_trees(),
        base in -1000..1000_i64,
        row in any_row(),
    ) {
        let plain = Plain::Ensemble(EnsemblePlain { base, trees: trees.clone() });
        let model = Model::read(&write(&header(3), &plain)).unwrap();
        let fill = |(value, fill): (&Option<f64>, f64)| value.filter(|value| value.is_finite()).unwrap_or(fill);
        let full: Vec<f64> = row.iter().zip(FILLS).map(fill).collect();
        let leaf = |tree: &TreePlain| i64::from(tree.nodes[tree.leaf(&full)].value);
        let expected = base + trees.iter().map(leaf).sum::<i64>();
        prop_assert_eq!(model.log_odds_units(&row), expected.clamp(-LOG_ODDS_LIMIT, LOG_ODDS_LIMIT));
        check_sum(&model, &row, expected)?;
    }

    #[test]
    fn linear_models_sum_exactly(
        numbers in prop::collection::vec((-3.0..0.0_f64, 0.0..3.0_f64, -1.0..1.0_f64, 0.01..9.0_f64, -2.0..2.0_f64), 3),
        base in -1000..1000_i64,
        row in any_row(),
    ) {
        let term = |(low, high, mean, scale, weight)| LinearTerm { low, high, mean, scale, weight };
        let terms: Vec<LinearTerm> = numbers.into_iter().map(term).collect();
        let plain = Plain::Linear(LinearPlain { base, terms: terms.clone() });
        let model = Model::read(&write(&header(3), &plain)).unwrap();
        let units = |((term, value), fill): ((&LinearTerm, &Option<f64>), f64)| term.units(*value, fill);
        let expected = base + terms.iter().zip(&row).zip(FILLS).map(units).sum::<i64>();
        check_sum(&model, &row, expected)?;
    }

    /// No bytes make the reader panic or allocate without bound, whether or not their hash is right.
    #[test]
    fn damaged_files_are_refused(at in 0..4096_usize, byte in any::<u8>(), rehash in any::<bool>()) {
        let good = example();
        let mut bad = good.clone();
        let at = at % bad.len();
        bad[at] = byte;
        if rehash {
            sign(&mut bad);
        }
        if let Ok(model) = Model::read(&bad) {
            prop_assert!(rehash || bad == good);
            model.explain(&[Some(1.0); 3], &mut Vec::new());
        }
    }
}

/// More thresholds than nodes of two bytes can name; and small trees, of more thresholds than there is room for sets.
#[test]
fn ensembles_of_many_thresholds_answer_as_their_trees() {
    check_many(270, usize::MAX, 256 * 255);
    check_many(2_000, 15, 2_000 * 7);
}

fn check_many(trees_made: usize, choices_max: usize, distinct_min: usize) {
    let mut threshold = 0_u32;
    let mut trees = Vec::new();
    for _ in 0..trees_made {
        let choices = (0..choices_max).map(|_| {
            // An odd number times what wraps round: every threshold once, in no order.
            threshold = threshold.wrapping_add(1);
            (true, (threshold % 3) as u8, threshold.wrapping_mul(2_654_435_761), (threshold % 1_000) as i32)
        });
        let mut nodes = Vec::new();
        grow_of(&mut { choices }, 0, &mut nodes, &|threshold| f64::from(threshold) / 1e3);
        trees.push(TreePlain { nodes });
    }
    let distinct = trees.iter().flat_map(|tree| &tree.nodes).filter(|node| node.right != 0).count();
    assert!(distinct > distinct_min, "{distinct}");
    let plain = Plain::Ensemble(EnsemblePlain { base: 3, trees: trees.clone() });
    let model = Model::read(&write(&header(3), &plain)).unwrap();
    for row in 0..200_u32 {
        let row: Vec<f64> =
            (0..3).map(|feature| f64::from((row * 3 + feature).wrapping_mul(40_503_001)) / 1e3).collect();
        let leaf = |tree: &TreePlain| i64::from(tree.nodes[tree.leaf(&row)].value);
        let expected = 3 + trees.iter().map(leaf).sum::<i64>();
        let row: Vec<Option<f64>> = row.into_iter().map(Some).collect();
        assert_eq!(model.log_odds_units(&row), expected);
        check_sum(&model, &row, expected).unwrap();
    }
}

fn check_sum(model: &Model, row: &[Option<f64>], expected: i64) -> Result<(), TestCaseError> {
    let mut contributions = Vec::new();
    let probability = model.explain(row, &mut contributions);
    prop_assert_eq!(probability.to_bits(), model.probability(row).to_bits());
    prop_assert_eq!(contributions.len(), 3);
    let sum = contributions.iter().fold(model.base_log_odds(), |sum, contribution| sum + contribution);
    prop_assert_eq!(sum.to_bits(), (expected as f64 / LOG_ODDS_ONE as f64).to_bits());
    prop_assert!(probability > 0.0 && probability < 1.0);
    Ok(())
}

fn example() -> Vec<u8> {
    let leaf = |value| TreeNode { feature: 0, threshold: 0.0, right: 0, value };
    let tree =
        TreePlain { nodes: vec![TreeNode { feature: 1, threshold: 0.25, right: 2, value: 5 }, leaf(3), leaf(9)] };
    write(&header(3), &Plain::Ensemble(EnsemblePlain { base: 0, trees: vec![tree] }))
}

#[test]
fn files_read_back_and_are_versioned_by_content() {
    let bytes = example();
    let model = Model::read(&bytes).unwrap();
    assert_eq!(model.header(), &header(3));
    assert_eq!(model.version().len(), 12);
    assert!(bytes.ends_with(b"\n"));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains(&format!("blake3 {}", model.version())));
}

#[test]
fn wrong_files_say_what_is_wrong() {
    let with = |change: &dyn Fn(&mut Header)| {
        let mut header = header(3);
        change(&mut header);
        write(&header, &Plain::Linear(LinearPlain { base: 0, terms: vec![TERM; 3] }))
    };
    let good = example();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "this is not a model file: it does not begin with `gavel-model`"),
        (b"PK\x03\x04\n".to_vec(), "this is not a model file: it does not begin with `gavel-model`"),
        (
            b"gavel-model 2 0 0\n".to_vec(),
            "the model file has format 2, this engine reads up to 1: it was written by a newer one",
        ),
        (
            b"gavel-model 1 18446744073709551615 9\n".to_vec(),
            "the model file has 37 bytes where its first line promises 18446744073709551615: it is damaged",
        ),
        (good[..good.len() - 1].to_vec(), "it is damaged"),
        (with(&|header| header.features[0].name = "f1".into()), "two features are named `f1`"),
        (with(&|header| header.features[0].name = "a b".into()), "\"a b\" is no feature's name"),
        (with(&|header| header.features.clear()), "0 features, expected 1 to 255"),
        (with(&|header| header.score.shares.clear()), "the numbers of `score` are not those of a distribution"),
        (
            with(&|header| header.base_currency = "EURO".into()),
            "`base_currency` is \"EURO\", expected an ISO 4217 code",
        ),
        (with(&|header| header.training.period.to = "2018-07-01T00:00:00Z".into()), "is no period"),
        (with(&|header| drop(header.features.pop())), "the payload is longer than it says"),
        (rewrite(&good, b"\"seed\"", b"\"sead\""), "unknown field `sead`"),
        (rewrite(&good, b"\"seed\": 7", b"\"seed\": x"), "the model file's header: expected value"),
    ];
    for (bytes, expected) in cases {
        let message = Model::read(&bytes).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains(expected), "{message:?} does not say {expected:?}");
    }
    let mut flipped = good.clone();
    flipped[200] ^= 1;
    assert_eq!(Model::read(&flipped).err(), Some(ModelError::Hash));
}

const TERM: LinearTerm = LinearTerm { low: 0.0, high: 1.0, mean: 0.5, scale: 1.0, weight: 1.0 };

/// The file with a text of the same length in another's place, and its hash made right.
fn rewrite(file: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = file.windows(from.len()).position(|window| window == from).unwrap();
    let mut file = file.to_vec();
    file[at..at + to.len()].copy_from_slice(to);
    sign(&mut file);
    file
}

/// Makes the hash in the last line right.
fn sign(file: &mut [u8]) {
    let (content, ending) = file.split_at_mut(file.len() - "\nblake3 \n".len() - 64);
    ending[8..72].copy_from_slice(blake3::hash(content).to_hex().as_bytes());
}
