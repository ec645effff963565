//! The population stability index, and what it comes to by chance alone. It knows nothing of models.
//!
//! With `B` buckets, `n` rows now and `m` rows of the reference, an index of two samples of one distribution is about
//! `(1/n + 1/m)` times a χ² variable of `B − 1` degrees of freedom (Yurdakul and Naranjo, *Statistical properties of the
//! population stability index*, Journal of Risk Model Validation 14(4), 2020). So a fixed limit such as 0.25 cries wolf
//! on few rows; what is beyond this distribution's quantile does not come from chance.

/// The quantile of the standard normal distribution of which one index in a thousand is beyond by chance.
const Z_999: f64 = 3.090_232_306_167_813;

/// Added to every bucket of either side, so that an empty one has a logarithm: what half a row would add.
const HALF_A_ROW: f64 = 0.5;

/// An index and what it is to be compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Psi {
    /// The index.
    pub(super) value: f64,
    /// One index in a thousand is larger where nothing has moved.
    pub(super) critical: f64,
    /// Rows behind it.
    pub(super) rows: u64,
}

/// The index of counts against shares of so many rows, bucket by bucket; `None` without rows on both sides or with a
/// single bucket that anything was ever in.
pub(super) fn psi(counts: &[u64], shares: &[f64], reference_rows: u64) -> Option<Psi> {
    let rows: u64 = counts.iter().sum();
    let used = counts.iter().zip(shares).filter(|(count, share)| **count > 0 || **share > 0.0);
    let buckets = used.clone().count();
    if rows == 0 || reference_rows == 0 || buckets < 2 {
        return None;
    }
    let (n, m) = (rows as f64, reference_rows as f64);
    let room = HALF_A_ROW * buckets as f64;
    let value = used.map(|(count, share)| {
        let now = (*count as f64 + HALF_A_ROW) / (n + room);
        let then = (share * m + HALF_A_ROW) / (m + room);
        (now - then) * (now / then).ln()
    });
    let critical = (1.0 / n + 1.0 / m) * chi_squared_999(buckets - 1);
    Some(Psi { value: value.sum(), critical, rows })
}

/// The 99.9 % quantile of a χ² distribution, after Wilson and Hilferty (1931): too large by 3 % for one degree of freedom,
/// by less than 1 % from nine on.
fn chi_squared_999(freedom: usize) -> f64 {
    let freedom = freedom as f64;
    let spread = 2.0 / (9.0 * freedom);
    let root = 1.0 - spread + Z_999 * spread.sqrt();
    freedom * root * root * root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_tables() {
        for (freedom, table) in [(1, 10.828), (2, 13.816), (3, 16.266), (9, 27.877), (12, 32.909), (64, 104.716)] {
            let off = chi_squared_999(freedom) / table - 1.0;
            assert!((0.0..if freedom < 9 { 0.031 } else { 0.01 }).contains(&off), "{freedom}: off by {off}");
        }
    }

    #[test]
    fn the_index_is_the_one_worked_out_by_hand() {
        // Large numbers, so that half a row is nothing: (0.3 − 0.5) ln(0.3 / 0.5) + (0.7 − 0.5) ln(0.7 / 0.5).
        let found = psi(&[300_000_000, 700_000_000], &[0.5, 0.5], 1_000_000_000).unwrap();
        let expected = -0.2 * 0.6_f64.ln() + 0.2 * 1.4_f64.ln();
        assert!((found.value - expected).abs() < 1e-6, "{found:?}");
        assert_eq!(psi(&[], &[], 5), None);
        assert_eq!(psi(&[0, 0], &[0.5, 0.5], 5), None);
        assert_eq!(psi(&[7, 0], &[1.0, 0.0], 5), None);
        assert_eq!(psi(&[7, 1], &[0.5, 0.5], 0), None);
    }

    #[test]
    fn what_has_not_moved_is_below_the_critical_value_whatever_the_volume() {
        let shares = [0.05, 0.1, 0.2, 0.3, 0.2, 0.1, 0.05];
        let mut state = 7_u64;
        // `SplitMix64`.
        let mut random = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut number = state;
            number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((number ^ (number >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        };
        for rows in [50_u64, 500, 5_000] {
            let mut beyond = 0;
            for _ in 0..400 {
                let mut counts = [0_u64; 7];
                for _ in 0..rows {
                    let mut at = random();
                    let place = shares.iter().position(|share| {
                        at -= share;
                        at < 0.0
                    });
                    counts[place.unwrap_or(6)] += 1;
                }
                let found = psi(&counts, &shares, 100_000).unwrap();
                beyond += u32::from(found.value > found.critical);
            }
            // Four in 400 would be ten times what is expected.
            assert!(beyond <= 4, "{rows} rows: {beyond} of 400 beyond");
            // Moved by a tenth of everything from one end to the other, it is beyond once there are rows enough.
            let moved: Vec<u64> =
                [0.01, 0.06, 0.2, 0.3, 0.2, 0.1, 0.13].iter().map(|share| (share * rows as f64) as u64).collect();
            let found = psi(&moved, &shares, 100_000).unwrap();
            assert_eq!(found.value > found.critical, rows >= 500, "{rows}: {found:?}");
        }
    }
}
