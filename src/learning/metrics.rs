//! How good scores are: ranking, calibration and what a review desk would find, each with a bootstrap interval. It
//! scores nothing itself.
//!
//! Intervals are of 95 %, from resamples of cards with replacement: the rows of one card are not independent, so all
//! of them come and go together.

use std::collections::BTreeMap;

use super::{
    parallel::in_parallel,
    sample::{below, stream},
};
use crate::scoring::{model::Interval, time::DAY_MS};

/// False-positive rates at which recall is given, with their names.
pub const FALSE_POSITIVE_RATES: [(f64, &str); 3] =
    [(0.001, "recall_at_0.1pct_fpr"), (0.01, "recall_at_1pct_fpr"), (0.05, "recall_at_5pct_fpr")];

/// Cards that a review desk looks at in a day.
pub const CARDS_PER_DAY: usize = 100;

/// Bins of equal width of the expected calibration error.
pub const CALIBRATION_BINS: usize = 10;

/// A scored row and what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The probability that was given.
    pub score: f64,
    /// Whether it was fraud.
    pub fraud: bool,
    /// A number of its card.
    pub card: u32,
    /// Event time, in Unix milliseconds.
    pub time_ms: i64,
}

/// Every metric of some scored rows by its name.
pub type Values = BTreeMap<String, Interval>;

/// A point of the curves: everything scored at or above a threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// The threshold.
    pub score: f64,
    /// Weight of the frauds at or above it.
    pub caught: f64,
    /// Weight of the legitimate rows at or above it.
    pub false_alarms: f64,
}

/// What a threshold stops: everything scored at or above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Frauds that it stops.
    pub caught: u64,
    /// Frauds that it lets pass.
    pub missed: u64,
    /// Legitimate rows that it stops.
    pub wrongly_stopped: u64,
}

impl Stopped {
    /// Of the rows that it stops, the share that is fraud; `None` of none.
    pub fn precision(&self) -> Option<f64> {
        share(self.caught, self.wrongly_stopped)
    }

    /// Of the frauds, the share that it stops; `None` of none.
    pub fn recall(&self) -> Option<f64> {
        share(self.caught, self.missed)
    }
}

fn share(part: u64, rest: u64) -> Option<f64> {
    (part + rest > 0).then(|| part as f64 / (part + rest) as f64)
}

/// What a threshold stops of some rows.
pub fn stopped_at(rows: &[Scored], threshold: f64) -> Stopped {
    let mut stopped = Stopped::default();
    for row in rows {
        match (row.fraud, row.score >= threshold) {
            (true, true) => stopped.caught += 1,
            (true, false) => stopped.missed += 1,
            (false, true) => stopped.wrongly_stopped += 1,
            (false, false) => {}
        }
    }
    stopped
}

/// One bin of the calibration plot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CalibrationBin {
    /// Rows.
    pub weight: f64,
    /// The sum of their scores.
    pub scores: f64,
    /// Frauds among them.
    pub frauds: f64,
}

/// Rows in an order in which every metric is one walk, with a weight for each card.
struct Ranked<'r> {
    /// By score, highest first.
    rows: &'r [Scored],
    /// Each day's cards by their highest score, highest first: the card, and whether a row of it is fraud that day.
    days: &'r [Vec<(u32, bool)>],
}

/// Measures rows; `resamples` of them make the intervals, drawn from `seed`.
pub fn measure(rows: &[Scored], resamples: usize, seed: u64) -> Values {
    if rows.is_empty() {
        return Values::new();
    }
    let rows = ranked(rows);
    let days = cards_by_day(&rows);
    let ranked = Ranked { rows: &rows, days: &days };
    let mut seen: Vec<u32> = rows.iter().map(|row| row.card).collect();
    seen.sort_unstable();
    seen.dedup();
    let room = seen.last().map_or(0, |last| *last as usize + 1);
    let mut once = vec![0.0; room];
    for card in &seen {
        once[*card as usize] = 1.0;
    }
    let whole = ranked.values(&once);
    let resampled = in_parallel(resamples, |part| {
        let mut random = stream(seed, part as u64);
        let mut weights = vec![0.0; room];
        (0..seen.len()).for_each(|_| weights[seen[below(seen.len(), &mut random)] as usize] += 1.0);
        ranked.values(&weights)
    });
    let interval = |(index, (name, value)): (usize, &(&'static str, f64))| {
        let mut values: Vec<f64> =
            resampled.iter().map(|values| values[index].1).filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (quantile(&values, 0.025), quantile(&values, 0.975));
        ((*name).to_owned(), Interval { value: *value, low: low.unwrap_or(*value), high: high.unwrap_or(*value) })
    };
    // A metric that has no value (no fraud, no legitimate row) is left out rather than made up.
    whole.iter().enumerate().filter(|(_, (_, value))| value.is_finite()).map(interval).collect()
}

/// The rows by score, highest first; of equal scores, in the order of time and card, which says nothing of the label.
pub fn ranked(rows: &[Scored]) -> Vec<Scored> {
    let mut rows = rows.to_vec();
    rows.sort_by(|a, b| b.score.total_cmp(&a.score).then((a.time_ms, a.card).cmp(&(b.time_ms, b.card))));
    rows
}

/// The points of the ROC and precision-recall curves: one for each distinct score of ranked rows, highest first.
pub fn curve(ranked: &[Scored]) -> Vec<Point> {
    points(ranked, |_| 1.0)
}

/// The bins of the calibration plot.
pub fn calibration(rows: &[Scored]) -> [CalibrationBin; CALIBRATION_BINS] {
    calibration_bins(rows, |_| 1.0)
}

fn calibration_bins(rows: &[Scored], weight: impl Fn(u32) -> f64) -> [CalibrationBin; CALIBRATION_BINS] {
    let mut bins = [CalibrationBin::default(); CALIBRATION_BINS];
    for row in rows {
        let bin = ((row.score * CALIBRATION_BINS as f64) as usize).min(CALIBRATION_BINS - 1);
        let weight = weight(row.card);
        bins[bin].weight += weight;
        bins[bin].scores += weight * row.score;
        bins[bin].frauds += if row.fraud { weight } else { 0.0 };
    }
    bins
}

fn points(ranked: &[Scored], weight: impl Fn(u32) -> f64) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    let mut at = Point::default();
    for (index, row) in ranked.iter().enumerate() {
        let weight = weight(row.card);
        if row.fraud {
            at.caught += weight;
        } else {
            at.false_alarms += weight;
        }
        at.score = row.score;
        if ranked.get(index + 1).is_none_or(|next| next.score < row.score) {
            points.push(at);
        }
    }
    points
}

/// Each day's cards by their highest score. Days are of UTC.
fn cards_by_day(ranked: &[Scored]) -> Vec<Vec<(u32, bool)>> {
    let mut days: BTreeMap<i64, (Vec<u32>, BTreeMap<u32, bool>)> = BTreeMap::new();
    for row in ranked {
        let (order, frauds) = days.entry(row.time_ms.div_euclid(DAY_MS)).or_default();
        let fraud = frauds.entry(row.card).or_insert_with(|| {
            order.push(row.card);
            false
        });
        *fraud |= row.fraud;
    }
    let with_fraud = |(order, frauds): (Vec<u32>, BTreeMap<u32, bool>)| {
        order.into_iter().map(|card| (card, frauds.get(&card).copied().unwrap_or_default())).collect()
    };
    days.into_values().map(with_fraud).collect()
}

impl Ranked<'_> {
    /// Every metric where each row counts with its card's weight.
    fn values(&self, weights: &[f64]) -> Vec<(&'static str, f64)> {
        let weight = |card: u32| weights.get(card as usize).copied().unwrap_or_default();
        let points = points(self.rows, weight);
        let last = points.last().copied().unwrap_or_default();
        let (frauds, legits) = (last.caught, last.false_alarms);
        let (mut area, mut average_precision) = (0.0, 0.0);
        let mut recalls = FALSE_POSITIVE_RATES.map(|_| 0.0);
        let mut before = Point::default();
        for point in &points {
            area += (point.false_alarms - before.false_alarms) * (point.caught + before.caught) / 2.0;
            if point.caught > before.caught {
                average_precision +=
                    (point.caught - before.caught) * point.caught / (point.caught + point.false_alarms);
            }
            for (recall, (rate, _)) in recalls.iter_mut().zip(FALSE_POSITIVE_RATES) {
                if point.false_alarms <= rate * legits {
                    *recall = point.caught / frauds;
                }
            }
            before = *point;
        }
        let bins = calibration_bins(self.rows, weight);
        let total: f64 = bins.iter().map(|bin| bin.weight).sum();
        let gap = bins.iter().map(|bin| (bin.scores - bin.frauds).abs()).sum::<f64>() / total;
        let squares = |row: &Scored| {
            let miss = row.score - f64::from(u8::from(row.fraud));
            weight(row.card) * miss * miss
        };
        let (precision, attainable) = self.card_precision(weights);
        let mut values = vec![
            ("auc_roc", area / (frauds * legits)),
            ("average_precision", average_precision / frauds),
            ("card_precision_at_100", precision),
            ("card_precision_at_100_attainable", attainable),
            ("brier", self.rows.iter().map(squares).sum::<f64>() / total),
            ("expected_calibration_error", gap),
        ];
        values.extend(recalls.into_iter().zip(FALSE_POSITIVE_RATES).map(|(recall, (_, name))| (name, recall)));
        values
    }

    /// The mean over days of the share of compromised cards among the day's top hundred, and what a perfect ranking
    /// would reach. A card that was found leaves the days that follow.
    fn card_precision(&self, weights: &[f64]) -> (f64, f64) {
        let weight = |card: u32| weights.get(card as usize).copied().unwrap_or_default();
        let room = CARDS_PER_DAY as f64;
        let mut sums = [0.0, 0.0];
        for (sum, perfect) in sums.iter_mut().zip([false, true]) {
            let mut found = vec![false; weights.len()];
            for day in self.days {
                let mut looked_at = 0.0;
                let mut caught = Vec::new();
                // A perfect ranking has every compromised card first.
                for (card, fraud) in day.iter().filter(|(_, fraud)| *fraud || !perfect) {
                    if looked_at >= room {
                        break;
                    }
                    let weight = weight(*card).min(room - looked_at);
                    if found[*card as usize] || weight == 0.0 {
                        continue;
                    }
                    looked_at += weight;
                    if *fraud {
                        *sum += weight / room;
                        caught.push(*card as usize);
                    }
                }
                for card in caught {
                    found[card] = true;
                }
            }
        }
        let days = self.days.len() as f64;
        (sums[0] / days, sums[1] / days)
    }
}

/// A quantile of sorted values, between the nearest two; `None` of none.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(rows: &[(f64, u8, u32, i64)]) -> Vec<Scored> {
        rows.iter()
            .map(|(score, fraud, card, day)| Scored {
                score: *score,
                fraud: *fraud == 1,
                card: *card,
                time_ms: day * DAY_MS,
            })
            .collect()
    }

    #[test]
    fn values_are_those_worked_out_by_hand() {
        // Four rows that scikit-learn's documentation uses: AUC 0.75, average precision 0.8333…
        let rows = scored(&[(0.1, 0, 0, 0), (0.4, 0, 1, 0), (0.35, 1, 2, 0), (0.8, 1, 3, 0)]);
        // All scores equal: half the area, the base rate as precision, no recall at a low rate.
        let tied = scored(&[(0.5, 1, 0, 0), (0.5, 0, 1, 0), (0.5, 0, 2, 0), (0.5, 0, 3, 0)]);
        // A card found on the first day is not found again on the second; another one is.
        let days = scored(&[(0.9, 1, 0, 0), (0.9, 1, 0, 1), (0.8, 1, 1, 1), (0.1, 0, 2, 1)]);
        let cases: &[(&[Scored], &str, f64)] = &[
            (&rows, "auc_roc", 0.75),
            (&rows, "average_precision", 0.5 + 0.5 * 2.0 / 3.0),
            (&rows, "recall_at_5pct_fpr", 0.5),
            (&rows, "brier", (0.01 + 0.16 + 0.65 * 0.65 + 0.04) / 4.0),
            (&rows, "expected_calibration_error", (0.1 + 0.4 + 0.65 + 0.2) / 4.0),
            (&tied, "auc_roc", 0.5),
            (&tied, "average_precision", 0.25),
            (&tied, "recall_at_1pct_fpr", 0.0),
            (&tied, "expected_calibration_error", 0.25),
            (&days, "card_precision_at_100", 0.01),
            (&days, "card_precision_at_100_attainable", 0.01),
        ];
        for (rows, name, expected) in cases {
            let value = measure(rows, 0, 1)[*name].value;
            assert!((value - expected).abs() < 1e-12, "{name} is {value}, expected {expected}");
        }
    }

    #[test]
    fn intervals_hold_the_value_and_repeat() {
        let rows: Vec<(f64, u8, u32, i64)> = (0..2_000_u32)
            .map(|row| {
                let fraud = u8::from(row % 20 == 0);
                (
                    f64::from(row * 7_919 % 1_000) / 2_000.0 + 0.3 * f64::from(fraud),
                    fraud,
                    row % 400,
                    i64::from(row / 300),
                )
            })
            .collect();
        let rows = scored(&rows);
        let values = measure(&rows, 100, 3);
        assert_eq!(values, measure(&rows, 100, 3));
        for (name, interval) in &values {
            assert!(interval.low <= interval.value + 0.02 && interval.value <= interval.high + 0.02, "{name}");
            assert!(interval.low <= interval.high, "{name} {interval:?}");
        }
    }

    #[test]
    fn nothing_is_made_up_where_there_is_nothing() {
        assert!(measure(&[], 10, 1).is_empty());
        let values = measure(&scored(&[(0.2, 0, 0, 0)]), 10, 1);
        assert!(!values.contains_key("auc_roc") && values.contains_key("brier"), "{values:?}");
    }
}
