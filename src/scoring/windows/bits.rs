//! Bitmaps in words of 32 bits. They know nothing of what a bit stands for.

/// Bits of a word of a bitmap.
pub(super) const WORD_BITS: usize = 32;

/// The lowest `count` bits of a word; all of them from 32 on.
pub(super) fn low_bits(count: usize) -> u32 {
    if count >= WORD_BITS { u32::MAX } else { (1 << count) - 1 }
}

/// The words that hold the bits `from..to`, each with the bits of it that are inside.
pub(super) fn words_of(from: usize, to: usize) -> impl Iterator<Item = (usize, u32)> {
    let words = if from < to { from / WORD_BITS..to.div_ceil(WORD_BITS) } else { 0..0 };
    words.map(move |word| {
        let start = word * WORD_BITS;
        (word, low_bits(to - start) & !low_bits(from.saturating_sub(start)))
    })
}

/// The places of the bits that are on, lowest first.
pub(super) fn ones(mut bits: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
        (bit < u32::BITS).then_some(bit as usize)
    })
}

/// Puts a bit before the one at `at`; those from there on move up.
pub(super) fn insert_bit(mask: &mut [u32], at: usize, bit: bool) {
    let (first, cut) = (at / WORD_BITS, low_bits(at % WORD_BITS));
    let mut carry = u32::from(bit);
    for (index, word) in mask[first..].iter_mut().enumerate() {
        let out = *word >> (WORD_BITS - 1);
        *word =
            if index == 0 { *word & cut | carry << (at % WORD_BITS) | (*word & !cut) << 1 } else { *word << 1 | carry };
        carry = out;
    }
}

/// Drops the lowest `count` bits.
pub(super) fn shift_bits(mask: &mut [u32], count: usize) {
    let (words, bits) = (count / WORD_BITS, count % WORD_BITS);
    for word in 0..mask.len() {
        let low = mask.get(word + words).copied().unwrap_or_default();
        let high = mask.get(word + words + 1).copied().unwrap_or_default();
        mask[word] = if bits == 0 { low } else { low >> bits | high << (WORD_BITS - bits) };
    }
}
