//! Rows of features with what became of them. It computes no feature and drops no row by itself.

/// Rows of features, and of each row its label, its time and its card.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    /// The features' names, in order.
    pub names: Vec<String>,
    /// Row after row; what is missing is no number.
    values: Vec<f64>,
    /// Whether a row is fraud.
    pub frauds: Vec<bool>,
    /// Event time, in Unix milliseconds.
    pub times_ms: Vec<i64>,
    /// The card's place in the order of first appearance: enough to tell cards apart, and no card data.
    pub cards: Vec<u32>,
}

impl Matrix {
    /// No rows yet, of features with these names.
    pub fn new(names: Vec<String>) -> Self {
        Self { names, ..Self::default() }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.frauds.len()
    }

    /// How many features.
    pub fn columns(&self) -> usize {
        self.names.len()
    }

    /// How many rows are fraud.
    pub fn fraud_count(&self) -> usize {
        self.frauds.iter().filter(|fraud| **fraud).count()
    }

    /// Row after row; what is missing is no number.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// A row's values.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.columns()..][..self.columns()]
    }

    /// A feature's values, row by row.
    pub fn column(&self, feature: usize) -> impl Iterator<Item = f64> {
        self.values.iter().skip(feature).step_by(self.columns().max(1)).copied()
    }

    /// Adds a row; values beyond the last feature are dropped, those not given are missing.
    pub fn push(&mut self, row: impl IntoIterator<Item = Option<f64>>, fraud: bool, time_ms: i64, card: u32) {
        let columns = self.columns();
        let from = self.values.len();
        self.values.extend(row.into_iter().take(columns).map(|value| value.unwrap_or(f64::NAN)));
        self.values.resize(from + columns, f64::NAN);
        self.frauds.push(fraud);
        self.times_ms.push(time_ms);
        self.cards.push(card);
    }

    /// The rows for which `keep` is true, in order.
    #[must_use]
    pub fn select(&self, mut keep: impl FnMut(usize) -> bool) -> Self {
        self.labelled(|index| keep(index).then_some(self.frauds[index]))
    }

    /// The rows for which `label` tells whether they are fraud, in order.
    #[must_use]
    pub fn labelled(&self, mut label: impl FnMut(usize) -> Option<bool>) -> Self {
        let mut selected = Self::new(self.names.clone());
        for index in 0..self.rows() {
            let Some(fraud) = label(index) else { continue };
            selected.values.extend_from_slice(self.row(index));
            selected.frauds.push(fraud);
            selected.times_ms.push(self.times_ms[index]);
            selected.cards.push(self.cards[index]);
        }
        selected
    }

    /// A row as a model takes it.
    pub fn options<'m>(&'m self, index: usize, row: &'m mut Vec<Option<f64>>) -> &'m [Option<f64>] {
        row.clear();
        row.extend(self.row(index).iter().map(|value| Some(*value).filter(|value| value.is_finite())));
        row
    }
}
