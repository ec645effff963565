//! Log-odds fitted to what happened: Platt's slope and intercept on rows that the learner had not seen. It never
//! changes the order of two scores.

use crate::scoring::model::Calibration;

/// Newton's steps: four or five are enough, and none is taken past the tolerance.
const STEPS_MAX: usize = 100;

/// What `slope · margin + intercept` best explains the frauds, by the likelihood of the logistic model.
///
/// The targets are Platt's, drawn in from 0 and 1 by one row of each class, so that a perfect order of few rows gives
/// no infinite slope.
pub fn platt(margins: &[f64], frauds: &[bool]) -> Calibration {
    let fraud_count = frauds.iter().filter(|fraud| **fraud).count() as f64;
    let legit_count = frauds.len() as f64 - fraud_count;
    let high = (fraud_count + 1.0) / (fraud_count + 2.0);
    let low = 1.0 / (legit_count + 2.0);
    let target = |fraud: bool| if fraud { high } else { low };
    let loss = |slope: f64, intercept: f64| {
        let of_row = |(margin, fraud): (&f64, &bool)| {
            let log_odds = slope * margin + intercept;
            // log(1 + e^z) − t·z, in the form that does not overflow.
            log_odds.max(0.0) + libm::log1p(libm::exp(-log_odds.abs())) - target(*fraud) * log_odds
        };
        margins.iter().zip(frauds).map(of_row).sum::<f64>()
    };
    let (mut slope, mut intercept) = (1.0, 0.0);
    let mut best = loss(slope, intercept);
    for _ in 0..STEPS_MAX {
        let (mut by_slope, mut by_intercept) = (0.0, 0.0);
        let (mut slope_slope, mut slope_intercept, mut intercept_intercept) = (1e-9, 0.0, 1e-9);
        for (margin, fraud) in margins.iter().zip(frauds) {
            let probability = 1.0 / (1.0 + libm::exp(-(slope * margin + intercept)));
            let (miss, curve) = (probability - target(*fraud), probability * (1.0 - probability));
            by_slope += miss * margin;
            by_intercept += miss;
            slope_slope += curve * margin * margin;
            slope_intercept += curve * margin;
            intercept_intercept += curve;
        }
        let determinant = slope_slope * intercept_intercept - slope_intercept * slope_intercept;
        if determinant <= 0.0 || !determinant.is_finite() {
            break;
        }
        let slope_step = (intercept_intercept * by_slope - slope_intercept * by_intercept) / determinant;
        let intercept_step = (slope_slope * by_intercept - slope_intercept * by_slope) / determinant;
        // Half a step as long as a whole one overshoots.
        let mut share = 1.0;
        let mut next = loss(slope - slope_step, intercept - intercept_step);
        while next > best && share > 1e-6 {
            share /= 2.0;
            next = loss(slope - share * slope_step, intercept - share * intercept_step);
        }
        if best - next < 1e-10 * best.abs() {
            break;
        }
        slope -= share * slope_step;
        intercept -= share * intercept_step;
        best = next;
    }
    // A negative slope would turn the order round: the margins say nothing then, and only the base rate is fitted.
    if slope <= 0.0 || !slope.is_finite() || !intercept.is_finite() {
        slope = 1e-6;
        intercept = libm::log((fraud_count + 1.0) / (legit_count + 1.0));
    }
    Calibration { method: "platt".to_owned(), slope, intercept, rows: frauds.len() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows whose true log-odds are `slope · margin + intercept`: many of each margin, frauds in proportion.
    fn rows(slope: f64, intercept: f64) -> (Vec<f64>, Vec<bool>) {
        let (mut margins, mut frauds) = (Vec::new(), Vec::new());
        for margin in -20..=20 {
            let margin = f64::from(margin) / 5.0;
            let rate = 1.0 / (1.0 + (-(slope * margin + intercept)).exp());
            for row in 0..2_000 {
                margins.push(margin);
                frauds.push(f64::from(row) + 0.5 < 2_000.0 * rate);
            }
        }
        (margins, frauds)
    }

    #[test]
    fn finds_what_distorted_the_margins() {
        for (slope, intercept) in [(1.0, 0.0), (0.5, -2.0), (2.0, 1.0), (1.3, -4.0)] {
            let (margins, frauds) = rows(slope, intercept);
            let fitted = platt(&margins, &frauds);
            assert!((fitted.slope - slope).abs() < 0.02 * slope, "{slope} {intercept} {fitted:?}");
            assert!((fitted.intercept - intercept).abs() < 0.05, "{slope} {intercept} {fitted:?}");
        }
    }

    #[test]
    fn never_turns_the_order_round() {
        let cases: [(&[f64], &[bool]); 4] = [
            (&[], &[]),
            (&[1.0, 2.0], &[true, false]),
            (&[-3.0, 3.0], &[false, true]),
            (&[0.0, 0.0, 0.0], &[true, false, false]),
        ];
        for (margins, frauds) in cases {
            let fitted = platt(margins, frauds);
            assert!(fitted.slope > 0.0 && fitted.slope < 100.0 && fitted.intercept.is_finite(), "{fitted:?}");
        }
    }
}
