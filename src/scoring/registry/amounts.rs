//! What is left of a transaction's amount after reversals and a partial approval. Integers only.

use crate::scoring::stored::{Reader, Stored, Word};

/// A transaction's amount, and what was taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amounts {
    /// What was asked for, or what was approved of it, in the transaction's currency.
    current_minor: i64,
    /// The same in the base currency, where there was a rate.
    current_base_minor: Option<i64>,
    taken_minor: i64,
    taken_base_minor: i64,
    /// A reversal came in another currency: from then on only base amounts can be compared.
    in_base: bool,
    /// Nothing is left, for good.
    reversed: bool,
}

impl Amounts {
    /// An amount of which nothing was taken.
    pub(super) fn new(amount_minor: i64, amount_base_minor: Option<i64>) -> Self {
        Self {
            current_minor: amount_minor,
            current_base_minor: amount_base_minor,
            taken_minor: 0,
            taken_base_minor: 0,
            in_base: false,
            reversed: false,
        }
    }

    /// Appends it to stored state.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.current_minor.write(out);
        self.current_base_minor.write(out);
        self.taken_minor.write(out);
        self.taken_base_minor.write(out);
        out.extend([u8::from(self.in_base), u8::from(self.reversed)]);
    }

    /// Reads it back.
    pub(super) fn load(stored: &mut Reader<'_>) -> Stored<Self> {
        Ok(Self {
            current_minor: stored.word()?,
            current_base_minor: stored.word()?,
            taken_minor: stored.word()?,
            taken_base_minor: stored.word()?,
            in_base: stored.word::<u8>()? == 1,
            reversed: stored.word::<u8>()? == 1,
        })
    }

    /// Takes a reversal's amount, or what is left. In the same currency that is exact in its own units; the base
    /// amount follows by the reversal's own conversion, and what is exhausted leaves exactly nothing. One in another
    /// currency without a rate takes nothing.
    pub(super) fn reverse(&mut self, amount_minor: i64, amount_base_minor: Option<i64>, same_currency: bool) {
        if self.reversed || !same_currency && amount_base_minor.is_none() {
            return;
        }
        self.in_base |= !same_currency;
        self.taken_base_minor = self.taken_base_minor.saturating_add(amount_base_minor.unwrap_or(0));
        if self.in_base {
            // Without a rate there is nothing to compare.
            let taken = self.taken_base_minor;
            self.reversed = amount_base_minor.is_some() && self.current_base_minor.is_some_and(|base| taken >= base);
        } else {
            self.taken_minor = self.taken_minor.saturating_add(amount_minor);
            self.reversed = self.taken_minor >= self.current_minor;
        }
    }

    /// Another amount replaces the current one; what was taken stays taken.
    pub(super) fn replace(&mut self, amount_minor: i64, amount_base_minor: Option<i64>) {
        let was_known = self.current_base_minor.is_some();
        self.current_minor = amount_minor;
        // What entered no sum for want of a rate does not enter later.
        self.current_base_minor = amount_base_minor.filter(|_| was_known).or(self.current_base_minor);
        let was_touched = self.in_base || self.taken_minor > 0;
        let is_exhausted = if self.in_base {
            self.current_base_minor.is_some_and(|base| self.taken_base_minor >= base)
        } else {
            self.taken_minor >= self.current_minor
        };
        self.reversed |= was_touched && is_exhausted;
    }

    /// What is left for sums, in the base currency.
    pub(super) fn net_base_minor(&self) -> Option<i64> {
        let base = self.current_base_minor?;
        Some(if self.reversed { 0 } else { (base - self.taken_base_minor).max(0) })
    }

    /// Whether nothing is left.
    pub(super) fn is_reversed(&self) -> bool {
        self.reversed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps: `-40` a reversal, `-40x` one in another currency, `=30` an amount that replaces the current one. Base
    /// amounts are the same, halved and rounded down.
    fn check(amount: i64, steps: &str, net_base: i64, reversed: bool) {
        let mut amounts = Amounts::new(amount, Some(amount / 2));
        for step in steps.split_whitespace() {
            let number: i64 = step[1..].trim_end_matches('x').parse().expect(step);
            match step.as_bytes()[0] {
                b'-' => amounts.reverse(number, Some(number / 2), !step.ends_with('x')),
                _ => amounts.replace(number, Some(number / 2)),
            }
        }
        assert_eq!((amounts.net_base_minor(), amounts.is_reversed()), (Some(net_base), reversed), "{amount} {steps}");
    }

    #[test]
    fn reversals_take_what_is_left() {
        check(100, "", 50, false);
        check(100, "-100", 0, true);
        check(100, "-40", 30, false);
        check(100, "-40 -60", 0, true);
        check(100, "-40 -90", 0, true);
        check(100, "-40 -60 -60", 0, true);
        check(3, "-1 -1", 1, false);
        check(3, "-1 -1 -1", 0, true);
        check(0, "-0", 0, true);
        check(100, "-0", 50, false);
        check(100, "-40x", 30, false);
        check(100, "-40x -60", 0, true);
        check(100, "-40 -60x", 0, true);
        check(100, "=30", 15, false);
        check(100, "=30 -30", 0, true);
        check(100, "-40 =30", 0, true);
        check(100, "-40 =60", 10, false);
        check(100, "-40 =60 =100", 30, false);
        check(100, "-100 =30", 0, true);
        check(100, "=0", 0, false);
        check(100, "=0 =100", 50, false);
    }
}
