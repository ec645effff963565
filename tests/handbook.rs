//! The 14 published features of the Fraud Detection Handbook, recomputed by `gavel features` over the published stream
//! and compared row by row. It skips, and says so, where the published data is absent.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Published column, expression, and whether it is a count: counts are equal, the others to nine digits.
///
/// Terminal windows end seven days before the transaction, when labels are known; a count over one is the difference of
/// two that end now.
const FEATURES: [(&str, &str, bool); 14] = [
    ("TX_DURING_WEEKEND", "weekend(time)", true),
    ("TX_DURING_NIGHT", "night(time)", true),
    ("CUSTOMER_ID_NB_TX_1DAY_WINDOW", "count(card, 1d)", true),
    ("CUSTOMER_ID_AVG_AMOUNT_1DAY_WINDOW", "mean(amount, card, 1d)", false),
    ("CUSTOMER_ID_NB_TX_7DAY_WINDOW", "count(card, 7d)", true),
    ("CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW", "mean(amount, card, 7d)", false),
    ("CUSTOMER_ID_NB_TX_30DAY_WINDOW", "count(card, 30d)", true),
    ("CUSTOMER_ID_AVG_AMOUNT_30DAY_WINDOW", "mean(amount, card, 30d)", false),
    ("TERMINAL_ID_NB_TX_1DAY_WINDOW", "count(terminal, 8d) - count(terminal, 7d)", true),
    ("TERMINAL_ID_RISK_1DAY_WINDOW", "fraud_rate(terminal, 1d, delay 7d)", false),
    ("TERMINAL_ID_NB_TX_7DAY_WINDOW", "count(terminal, 14d) - count(terminal, 7d)", true),
    ("TERMINAL_ID_RISK_7DAY_WINDOW", "fraud_rate(terminal, 7d, delay 7d)", false),
    ("TERMINAL_ID_NB_TX_30DAY_WINDOW", "count(terminal, 37d) - count(terminal, 7d)", true),
    ("TERMINAL_ID_RISK_30DAY_WINDOW", "fraud_rate(terminal, 30d, delay 7d)", false),
];
/// Transactions whose features are published.
const PUBLISHED: usize = 201_295;
/// Rows in which one card has two transactions in one second, so that the published order is arbitrary.
const TIES: usize = 42;
/// Means and risks agree to this share of their size, below 1 to this much: the published means of amounts of 0.00 are
/// what subtraction left of others, at most 2e-13.
const TOLERANCE: f64 = 1e-9;

#[test]
fn published_features_come_out_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/handbook");
    if !folder.join("transactions.csv.zst").exists() {
        eprintln!("NOT CHECKED: {} is absent, so the published features were not recomputed", folder.display());
        return;
    }
    let published = rows(&read(&folder.join("features_2018-07-25_2018-08-14.csv.zst")));
    let ties: HashSet<String> =
        rows(&read(&folder.join("ties_same_customer_same_second.csv"))).into_iter().map(|row| row[0].clone()).collect();
    let computed = rows(&features(&folder.join("transactions.csv.zst")));
    let computed: HashMap<&str, &Vec<String>> = computed.iter().map(|row| (row[0].as_str(), row)).collect();
    assert_eq!(
        (published.len(), ties.len()),
        (PUBLISHED, TIES),
        "the published files are not those this was written for"
    );
    assert_eq!(computed.len(), PUBLISHED);

    let mut compared = 0;
    let mut differences = Vec::new();
    for row in published.iter().filter(|row| !ties.contains(&row[0])) {
        let ours = computed[row[0].as_str()];
        for (place, (name, expression, is_count)) in FEATURES.iter().enumerate() {
            let published = number(&row[place + 1]);
            let ours = number(&ours[place + 1]);
            let is_same = if *is_count {
                ours.total_cmp(&published).is_eq()
            } else {
                (ours - published).abs() <= TOLERANCE * ours.abs().max(published.abs()).max(1.0)
            };
            compared += 1;
            if !is_same {
                differences.push(format!("{} {name} = {expression}: {ours} instead of {published}", row[0]));
            }
        }
    }
    let first: Vec<_> = differences.iter().take(20).map(String::as_str).collect();
    assert!(differences.is_empty(), "{} of {compared} differ:\n{}", differences.len(), first.join("\n"));
    let tied = published.iter().filter(|row| ties.contains(&row[0])).count();
    assert_eq!(compared, (PUBLISHED - tied) * FEATURES.len());
}

/// Runs `gavel features` over the whole stream and returns the rows of the published period.
fn features(transactions: &Path) -> String {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let sources = folder.path().join("features.toml");
    let out = folder.path().join("features.csv");
    let lines: Vec<_> =
        FEATURES.iter().map(|(name, expression, _)| format!("{} = \"{expression}\"", name.to_lowercase())).collect();
    fs::write(&sources, format!("[features]\n{}\n", lines.join("\n"))).expect("the folder can be written");
    let paths: [(&str, PathBuf); 3] =
        [("--in", transactions.to_owned()), ("--features", sources), ("--out", out.clone())];
    let output = Command::new(env!("CARGO_BIN_EXE_gavel"))
        .current_dir(folder.path())
        .arg("features")
        .args(paths.iter().flat_map(|(flag, path)| [(*flag).into(), path.clone().into_os_string()]))
        .args(["--from", "2018-07-25", "--to", "2018-08-15"])
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(out).expect("the features were written")
}

fn read(path: &Path) -> String {
    let bytes = fs::read(path).expect("the published file can be read");
    let bytes = if path.extension().is_some_and(|extension| extension == "zst") {
        zstd::decode_all(&bytes[..]).expect("the published file is compressed with zstd")
    } else {
        bytes
    };
    String::from_utf8(bytes).expect("the published file is text")
}

/// The rows below the head.
fn rows(text: &str) -> Vec<Vec<String>> {
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// The Handbook writes 0 where there is nothing to divide.
fn number(cell: &str) -> f64 {
    if cell.is_empty() { 0.0 } else { cell.parse().expect(cell) }
}
