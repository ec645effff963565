//! Feature values as small whole numbers, cut where the classes need it. It looks at no row twice.

/// Where a feature's values are cut, and what a missing one counts as.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cuts {
    /// Increasing thresholds: the code of a value is how many of them are at or below it.
    pub(super) edges: Vec<f64>,
    /// Below every value that was seen, so that missing values fall into the lowest bin by themselves.
    pub(super) fill: f64,
}

impl Cuts {
    /// Cuts a feature into at most `bins` bins. Frauds are few and stand at the tails, where equal counts of rows
    /// would leave them a bin or two; so half of the weight is theirs.
    pub(super) fn of(values: &[f64], weights: &[f64], bins: usize) -> Self {
        let mut order: Vec<u32> = (0..values.len() as u32).filter(|row| values[*row as usize].is_finite()).collect();
        order.sort_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]));
        let Some(lowest) = order.first().map(|row| values[*row as usize]) else {
            return Self { edges: Vec::new(), fill: 0.0 };
        };
        let mut edges = Vec::new();
        if order.len() < values.len() {
            edges.push(lowest);
        }
        let total: f64 = order.iter().map(|row| weights[*row as usize]).sum();
        let (mut below, mut filled) = (0.0, 0.0);
        for pair in order.windows(2) {
            let (value, next) = (values[pair[0] as usize], values[pair[1] as usize]);
            below += weights[pair[0] as usize];
            let bin = (below / total * bins as f64).floor();
            if bin > filled && next > value {
                filled = bin;
                edges.push(between(value, next));
            }
        }
        Self { edges, fill: below_all(lowest) }
    }

    pub(super) fn code(&self, value: f64) -> u16 {
        let value = if value.is_finite() { value } else { self.fill };
        self.edges.partition_point(|edge| *edge <= value) as u16
    }
}

/// A threshold that sends `low` to the left and `high` to the right.
fn between(low: f64, high: f64) -> f64 {
    let middle = low + (high - low) / 2.0;
    if middle > low && middle <= high { middle } else { high }
}

/// A number below `lowest`: one less where that is a different number.
pub(super) fn below_all(lowest: f64) -> f64 {
    let less = lowest - 1.0;
    if less < lowest && less.is_finite() { less } else { lowest.next_down().max(f64::MIN) }
}

/// Weights that give each class half of the whole.
pub(super) fn balanced(frauds: &[bool]) -> Vec<f64> {
    let fraud_count = frauds.iter().filter(|fraud| **fraud).count();
    let of_fraud = 0.5 / fraud_count.max(1) as f64;
    let of_legit = 0.5 / (frauds.len() - fraud_count).max(1) as f64;
    frauds.iter().map(|fraud| if *fraud { of_fraud } else { of_legit }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case<'c> = (&'c [f64], &'c [bool], usize, &'c [f64], f64);

    #[test]
    fn every_value_falls_beside_its_neighbours() {
        let missing = f64::NAN;
        // values, frauds, bins; edges, fill
        let cases: &[Case<'_>] = &[
            (&[], &[], 4, &[], 0.0),
            (&[missing], &[true], 4, &[], 0.0),
            (&[3.0, 1.0, 2.0], &[false; 3], 100, &[1.5, 2.5], 0.0),
            (&[3.0, 1.0, 1.0], &[false; 3], 100, &[2.0], 0.0),
            (&[3.0, missing, 1.0], &[false; 3], 100, &[1.0, 2.0], 0.0),
            (&[1.0, 2.0, 3.0, 4.0, 5.0], &[false, false, false, false, true], 2, &[4.5], 0.0),
        ];
        for (values, frauds, bins, edges, fill) in cases {
            let cuts = Cuts::of(values, &balanced(frauds), *bins);
            assert_eq!((cuts.edges.as_slice(), cuts.fill), (*edges, *fill), "{values:?}");
            assert_eq!(cuts.code(missing), 0, "{values:?}");
        }
        let narrow = Cuts::of(&[1.0, 1.0_f64.next_up()], &[0.5, 0.5], 2);
        assert_eq!((narrow.code(1.0), narrow.code(1.0_f64.next_up())), (0, 1));
    }
}
