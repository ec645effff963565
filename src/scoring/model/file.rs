//! The model file: a readable header, a payload, a content hash. Nothing in it is executed, and no number in it is
//! believed before it has been checked against the bytes that are there.
//!
//! ```text
//! gavel-model 1 <bytes of the header> <bytes of the payload>⏎
//! <header: JSON>⏎
//! <payload: little-endian>⏎
//! blake3 <64 hexadecimal digits of everything before this line>⏎
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    FEATURES_MAX, LOG_ODDS_LIMIT, Plain,
    error::{FILE_MAX_BYTES, FORMAT, MAGIC, ModelError},
    linear::{LinearPlain, LinearTerm},
    plain::{DEPTH_MAX, EnsemblePlain, TreeNode, TreePlain},
};
use crate::scoring::{money::Currency, time::Timestamp};

/// Trees in one model: at 1 µs a hundred, more could not be served in time.
const TREES_MAX: usize = 4_096;

/// Characters of a name.
const NAME_MAX: usize = 64;

/// Characters of an expression.
const EXPRESSION_MAX: usize = 2_048;

/// Buckets of a reference distribution.
const BUCKETS_MAX: usize = 64;

/// Values of nodes stay within ±64 in log-odds, so that differences of two fit in 32 bits.
const NODE_VALUE_LIMIT: i32 = (1 << 30) - 1;

const HASH_WORD: &[u8] = b"\nblake3 ";
const LEAF: u8 = u8::MAX;
const _: () = assert!(FEATURES_MAX <= LEAF as usize);
const KIND_LINEAR: u8 = 1;
const KIND_ENSEMBLE: u8 = 2;

/// What a model says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// What people call it.
    pub name: String,
    /// How it was learnt: `logistic`, `forest` or `boost`.
    pub learner: String,
    /// The version of the engine that trained it.
    pub engine: String,
    /// The seed of everything random in its training.
    pub seed: u64,
    /// The currency that money features count in.
    pub base_currency: String,
    /// The settings of its learner.
    pub parameters: BTreeMap<String, f64>,
    /// What it was trained on.
    pub training: Training,
    /// How its score was made a probability.
    pub calibration: Calibration,
    /// How good it was on a later period; `None` where there was none.
    pub test: Option<Metrics>,
    /// The distribution of its scores on the training rows.
    pub score: Reference,
    /// What it asks for, in order.
    pub features: Vec<FeatureSource>,
}

/// A feature: a name, an expression of the rule language, and what was seen of it in training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSource {
    /// Its name.
    pub name: String,
    /// The expression that computes it.
    pub expression: String,
    /// What a missing value counts as inside the model.
    pub missing: f64,
    /// The mean size of its contribution over the training rows, in log-odds.
    pub importance: f64,
    /// Its distribution in training.
    pub reference: Reference,
}

/// A half-open period of event time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// Its first moment, RFC 3339.
    pub from: String,
    /// The first moment after it.
    pub to: String,
}

/// What a model was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// The period of the rows.
    pub period: Period,
    /// How long an empty label waits until it counts as legitimate, in milliseconds.
    pub maturity_ms: i64,
    /// How many rows.
    pub rows: u64,
    /// How many of them were fraud.
    pub frauds: u64,
}

/// How log-odds were fitted to what happened: `slope · margin + intercept`, already inside the payload's numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The name of the method.
    pub method: String,
    /// What the learner's own log-odds were multiplied by.
    pub slope: f64,
    /// What was then added.
    pub intercept: f64,
    /// Rows it was fitted on.
    pub rows: u64,
}

/// A distribution: the shares of what lies below the first edge, between edges, and from the last edge on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Increasing; a value on an edge belongs above it.
    pub edges: Vec<f64>,
    /// One more than edges; with `missing` they sum to one.
    pub shares: Vec<f64>,
    /// The share of rows without a value.
    pub missing: f64,
}

/// How good a model was on a period it had not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// The period.
    pub period: Period,
    /// How many rows.
    pub rows: u64,
    /// How many of them were fraud.
    pub frauds: u64,
    /// By name: `auc_roc`, `average_precision` and others.
    pub values: BTreeMap<String, Interval>,
}

/// A measured value and its 95 % bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// On all rows.
    pub value: f64,
    /// The 2.5th percentile of the resamples.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

impl Header {
    /// What missing values count as, in order.
    pub fn fills(&self) -> Vec<f64> {
        self.features.iter().map(|feature| feature.missing).collect()
    }

    fn check(&self) -> Result<(), ModelError> {
        let refuse = |what: String| Err(ModelError::Header(what));
        if Currency::from_code(&self.base_currency).is_none() {
            return refuse(format!("`base_currency` is {:?}, expected an ISO 4217 code", self.base_currency));
        }
        if self.features.is_empty() || self.features.len() > FEATURES_MAX {
            return refuse(format!("{} features, expected 1 to {FEATURES_MAX}", self.features.len()));
        }
        let mut names: Vec<&str> = self.features.iter().map(|feature| feature.name.as_str()).collect();
        names.sort_unstable();
        if let Some([name, ..]) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return refuse(format!("two features are named `{name}`"));
        }
        for feature in &self.features {
            let name = &feature.name;
            if !is_name(name) {
                return refuse(format!("{name:?} is no feature's name: expected letters, digits and `_`"));
            }
            if feature.expression.chars().count() > EXPRESSION_MAX {
                return refuse(format!("the expression of `{name}` is longer than {EXPRESSION_MAX} characters"));
            }
            if !feature.missing.is_finite() || !feature.importance.is_finite() || !feature.reference.is_sound() {
                return refuse(format!("the numbers of `{name}` are not those of a distribution"));
            }
        }
        if !self.score.is_sound() {
            return refuse("the numbers of `score` are not those of a distribution".into());
        }
        let periods = [Some(&self.training.period), self.test.as_ref().map(|test| &test.period)];
        for period in periods.into_iter().flatten() {
            let (from, to) = (Timestamp::parse_rfc3339(&period.from), Timestamp::parse_rfc3339(&period.to));
            if from.is_none() || to.is_none() || from > to {
                return refuse(format!("`{}` to `{}` is no period", period.from, period.to));
            }
        }
        Ok(())
    }
}

/// Whether text may name a feature: a letter or `_`, then letters, digits and `_`.
pub fn is_name(text: &str) -> bool {
    let starts = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts && text.len() <= NAME_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Reference {
    /// Which bucket a value falls into.
    pub fn bucket(&self, value: f64) -> usize {
        self.edges.partition_point(|edge| *edge <= value)
    }

    fn is_sound(&self) -> bool {
        let share = |share: &f64| (0.0..=1.0).contains(share);
        self.shares.len() == self.edges.len() + 1
            && self.shares.len() <= BUCKETS_MAX
            && self.edges.iter().all(|edge| edge.is_finite())
            && self.edges.windows(2).all(|pair| pair[0] < pair[1])
            && self.shares.iter().all(share)
            && share(&self.missing)
    }
}

/// The bytes of a model file. The same model gives the same bytes.
pub fn write(header: &Header, plain: &Plain) -> Vec<u8> {
    // Structs of plain fields always encode.
    let header = serde_json::to_vec_pretty(header).unwrap_or_default();
    let payload = write_payload(plain);
    let mut out = format!("{MAGIC} {FORMAT} {} {}\n", header.len(), payload.len()).into_bytes();
    out.extend_from_slice(&header);
    out.push(b'\n');
    out.extend_from_slice(&payload);
    let hash = blake3::hash(&out).to_hex();
    out.extend_from_slice(HASH_WORD);
    out.extend_from_slice(hash.as_bytes());
    out.push(b'\n');
    out
}

/// The header, what was learnt and the version, each checked.
pub(super) fn read(bytes: &[u8]) -> Result<(Header, Plain, String), ModelError> {
    if bytes.len() > FILE_MAX_BYTES {
        return Err(ModelError::TooLarge(bytes.len()));
    }
    let (first, rest) = first_line(bytes).ok_or(ModelError::NotAModel)?;
    let mut words = first.split(' ');
    if words.next() != Some(MAGIC) {
        return Err(ModelError::NotAModel);
    }
    let format = words.next().and_then(|word| word.parse::<u32>().ok()).ok_or(ModelError::NotAModel)?;
    if format > FORMAT {
        return Err(ModelError::TooNew(format));
    }
    let mut length = || words.next().and_then(|word| word.parse::<usize>().ok()).ok_or(ModelError::NotAModel);
    let (header_bytes, payload_bytes) = (length()?, length()?);
    let ending = HASH_WORD.len() + blake3::OUT_LEN * 2 + 1;
    let promised =
        [header_bytes, 1, payload_bytes, ending].iter().fold(first.len() + 1, |sum, part| sum.saturating_add(*part));
    if promised != bytes.len() {
        return Err(ModelError::Length { found: bytes.len(), promised });
    }
    let (content, ending) = bytes.split_at(bytes.len() - ending);
    let hash = blake3::hash(content).to_hex();
    if ending.strip_prefix(HASH_WORD).and_then(|hex| hex.strip_suffix(b"\n")) != Some(hash.as_bytes()) {
        return Err(ModelError::Hash);
    }
    let header: Header =
        serde_json::from_slice(&rest[..header_bytes]).map_err(|error| ModelError::Header(error.to_string()))?;
    header.check()?;
    let payload = &content[content.len() - payload_bytes..];
    let plain = read_payload(payload, header.features.len())?;
    Ok((header, plain, hash[..12].to_owned()))
}

/// The first line without its end, and what follows. The line of a model is short, so a long search finds none.
fn first_line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().take(80).position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

fn write_payload(plain: &Plain) -> Vec<u8> {
    let mut out = Vec::new();
    match plain {
        Plain::Linear(linear) => {
            out.push(KIND_LINEAR);
            out.extend_from_slice(&linear.base.to_le_bytes());
            for term in &linear.terms {
                for number in [term.low, term.high, term.mean, term.scale, term.weight] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
        Plain::Ensemble(ensemble) => {
            out.push(KIND_ENSEMBLE);
            out.extend_from_slice(&ensemble.base.to_le_bytes());
            for node in ensemble.trees.iter().flat_map(|tree| &tree.nodes) {
                if node.right == 0 {
                    out.push(LEAF);
                } else {
                    out.push(node.feature);
                    out.extend_from_slice(&node.threshold.to_le_bytes());
                }
                out.extend_from_slice(&node.value.to_le_bytes());
            }
        }
    }
    out
}

/// Takes numbers off the front of the payload.
struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        let short = || ModelError::Inconsistent("the payload ends in the middle of a number".into());
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or_else(short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, ModelError> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn finite(&mut self) -> Result<f64, ModelError> {
        let number = f64::from_le_bytes(self.take()?);
        if number.is_finite() {
            Ok(number)
        } else {
            Err(ModelError::Inconsistent("a number of the payload is not finite".into()))
        }
    }
}

fn read_payload(payload: &[u8], features: usize) -> Result<Plain, ModelError> {
    let mut bytes = Bytes(payload);
    let kind = bytes.byte()?;
    let base = i64::from_le_bytes(bytes.take()?);
    if !(-LOG_ODDS_LIMIT..=LOG_ODDS_LIMIT).contains(&base) {
        return Err(ModelError::Inconsistent("the base is beyond any log-odds".into()));
    }
    let plain = match kind {
        KIND_LINEAR => {
            let mut terms = Vec::new();
            for _ in 0..features {
                terms.push(read_term(&mut bytes)?);
            }
            Plain::Linear(LinearPlain { base, terms })
        }
        KIND_ENSEMBLE => {
            let mut trees = Vec::new();
            while !bytes.0.is_empty() {
                if trees.len() == TREES_MAX {
                    return Err(ModelError::Inconsistent(format!("more than {TREES_MAX} trees")));
                }
                trees.push(read_tree(&mut bytes, features)?);
            }
            Plain::Ensemble(EnsemblePlain { base, trees })
        }
        _ => return Err(ModelError::Inconsistent(format!("the payload is of kind {kind}, which does not exist"))),
    };
    if bytes.0.is_empty() {
        Ok(plain)
    } else {
        Err(ModelError::Inconsistent("the payload is longer than it says".into()))
    }
}

fn read_term(bytes: &mut Bytes<'_>) -> Result<LinearTerm, ModelError> {
    let term = LinearTerm {
        low: bytes.finite()?,
        high: bytes.finite()?,
        mean: bytes.finite()?,
        scale: bytes.finite()?,
        weight: bytes.finite()?,
    };
    if term.low <= term.high && term.scale > 0.0 {
        Ok(term)
    } else {
        Err(ModelError::Inconsistent("a term of the linear model has no range or no scale".into()))
    }
}

/// Reads one tree in preorder; it ends when its last open branch does.
fn read_tree(bytes: &mut Bytes<'_>, features: usize) -> Result<TreePlain, ModelError> {
    let mut nodes: Vec<TreeNode> = Vec::new();
    // Branches still to come: the depth of each, and the node whose right child it is.
    let mut open: Vec<(usize, Option<usize>)> = vec![(0, None)];
    while let Some((depth, parent)) = open.pop() {
        let at = nodes.len();
        if let Some(parent) = parent.and_then(|parent| nodes.get_mut(parent)) {
            parent.right = at as u32;
        }
        let feature = bytes.byte()?;
        let is_leaf = feature == LEAF;
        let threshold = if is_leaf { 0.0 } else { bytes.finite()? };
        let value = i32::from_le_bytes(bytes.take()?);
        if !is_leaf && depth == DEPTH_MAX {
            return Err(ModelError::Inconsistent(format!("a tree is deeper than {DEPTH_MAX}")));
        }
        if !is_leaf && usize::from(feature) >= features {
            return Err(ModelError::Inconsistent(format!("a tree asks for feature {feature} of {features}")));
        }
        if !(-NODE_VALUE_LIMIT..=NODE_VALUE_LIMIT).contains(&value) {
            return Err(ModelError::Inconsistent("a node's value is beyond any log-odds".into()));
        }
        nodes.push(TreeNode { feature: if is_leaf { 0 } else { feature }, threshold, right: 0, value });
        if !is_leaf {
            open.push((depth + 1, Some(at)));
            open.push((depth + 1, None));
        }
    }
    Ok(TreePlain { nodes })
}
