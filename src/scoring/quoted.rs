//! Which bytes JSON holds between quotes as they are. It escapes nothing.

/// How many bytes stand before the first quote, backslash or control character; eight are looked at together.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = bytes.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The lowest mark is right; above it a borrow may have made one.
        let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
        let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let marks = is(b'"') | is(b'\\') | below(word, 0x20);
        if marks != 0 {
            return place * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    bytes.len() - rest.len() + rest.iter().position(ends).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_at_the_first_byte_that_is_escaped() {
        for end in (0..0x20_u8).chain(*b"\"\\") {
            for length in 0..40 {
                // After the first, any byte may follow.
                for after in [0, 1, b'!', b'"', b'[', b'\\', 0x80, 0xff] {
                    let bytes =
                        [&vec![if length % 2 == 0 { b'!' } else { 0xc3 }; length][..], &[end, after, after]].concat();
                    assert_eq!(plain_length(&bytes), length, "{bytes:?}");
                    assert_eq!(plain_length(&bytes[..length]), length);
                }
            }
        }
        let plain: Vec<u8> = (0x20..=0xff).filter(|byte| !b"\"\\".contains(byte)).collect();
        assert_eq!(plain_length(&plain), plain.len());
    }
}
