//! Sums of squares and deviations in exact integers. Nothing is rounded before the last step.

use crate::scoring::stored::Word;

/// A sum of squares of 64-bit integers, as the sums of the low and of the high halves of the squares.
///
/// Halves keep the sum exact for 2^64 terms of any size, and two sums can be subtracted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Squares {
    low: u128,
    high: u128,
}

impl Word for Squares {
    const BYTES: usize = 32;

    fn write(self, out: &mut Vec<u8>) {
        self.low.write(out);
        self.high.write(out);
    }

    fn read(bytes: &[u8]) -> Self {
        Self { low: Word::read(&bytes[..16]), high: Word::read(&bytes[16..]) }
    }
}

impl Squares {
    /// Adds the square of a value.
    pub(super) fn add(&mut self, value: i64) {
        let square = u128::from(value.unsigned_abs()) * u128::from(value.unsigned_abs());
        self.low = self.low.wrapping_add(square & u128::from(u64::MAX));
        self.high = self.high.wrapping_add(square >> 64);
    }

    /// The sum of both.
    pub(super) fn plus(self, other: Self) -> Self {
        Self { low: self.low.wrapping_add(other.low), high: self.high.wrapping_add(other.high) }
    }

    /// This sum without the terms of another.
    pub(super) fn minus(self, other: Self) -> Self {
        Self { low: self.low.wrapping_sub(other.low), high: self.high.wrapping_sub(other.high) }
    }
}

/// What mean and deviation are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moments {
    /// How many values.
    pub(super) count: u64,
    /// Their sum.
    pub(super) sum: i128,
    /// The sum of their squares.
    pub(super) squares: Squares,
}

impl Moments {
    /// Takes a value in.
    pub(super) fn add(&mut self, value: i64) {
        self.count += 1;
        self.sum += i128::from(value);
        self.squares.add(value);
    }

    /// The deviation of the population; `None` of nothing. Equal values give exactly 0.
    pub(super) fn deviation(&self) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        // n²·variance = n·Σx² − (Σx)², in units of 2^64 (`upper`) and 1 (`lower`). With fewer than 2^32 values of 63
        // bits every product below stays under 2^127, but for the square of the low half, which needs all 128 bits.
        let count = u128::from(self.count);
        let sum = self.sum.unsigned_abs();
        let (sum_high, sum_low) = (sum >> 64, sum & u128::from(u64::MAX));
        let mut upper = (count * self.squares.high).cast_signed()
            - (2 * sum_high * sum_low).cast_signed()
            - (sum_high * sum_high).cast_signed() * (1 << 64);
        let (lower, borrowed) = (count * self.squares.low).overflowing_sub(sum_low * sum_low);
        upper -= i128::from(borrowed) << 64;
        upper += (lower >> 64).cast_signed();
        let scaled = upper as f64 * 18_446_744_073_709_551_616.0 + (lower & u128::from(u64::MAX)) as f64;
        Some(scaled.sqrt() / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_exact_where_floats_cancel() {
        let cases: &[(&[i64], f64)] = &[
            (&[7], 0.0),
            (&[7, 7, 7], 0.0),
            (&[1, 3], 1.0),
            (&[-1, -3], 1.0),
            (&[999_999_999_999_999, 999_999_999_999_997], 1.0),
            (&[i64::MAX, i64::MAX, i64::MAX], 0.0),
            (&[i64::MAX, i64::MIN + 1], 9_223_372_036_854_775_807.0),
            (&[i64::MIN, i64::MIN, i64::MIN + 2, i64::MIN + 2], 1.0),
        ];
        for (values, deviation) in cases {
            let mut moments = Moments::default();
            values.iter().for_each(|value| moments.add(*value));
            assert_eq!(moments.deviation(), Some(*deviation), "{values:?}");
        }
        assert_eq!(Moments::default().deviation(), None);
    }

    #[test]
    fn squares_subtract() {
        let (mut left, mut right) = (Squares::default(), Squares::default());
        for value in [i64::MIN, -5, 0, 12, i64::MAX] {
            left.add(value);
        }
        for value in [i64::MIN, 12] {
            right.add(value);
        }
        let mut rest = Squares::default();
        for value in [-5, 0, i64::MAX] {
            rest.add(value);
        }
        assert_eq!(left.minus(right), rest);
        assert_eq!(rest.plus(right), left);
    }
}
