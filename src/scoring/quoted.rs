//! Which bytes JSON holds between quotes as they are. It escapes nothing.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many bytes stand before the first quote, backslash or control character; eight are looked at together.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let marks = |word: u64| equal(word, b'"') | equal(word, b'\\') | below(word, 0x20);
    first_marked(bytes, marks).unwrap_or(bytes.len())
}

/// Where the first quote stands.
pub(super) fn first_quote(bytes: &[u8]) -> Option<usize> {
    first_marked(bytes, |word| equal(word, b'"'))
}

/// Whether JSON holds all of a text as it is; sixteen bytes are looked at together.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk::<16>() else { return plain_length(bytes) == bytes.len() };
    let marks = |byte: u8| u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    // The last sixteen may have been looked at already, which spares going byte by byte.
    let mut found = last.map(marks);
    for chunk in bytes.as_chunks::<16>().0 {
        found = std::array::from_fn(|place| found[place] | marks(chunk[place]));
    }
    found == [0; 16]
}

/// Where the first byte stands that `marks` marks; eight are looked at together.
#[inline]
fn first_marked(bytes: &[u8], marks: impl Fn(u64) -> u64) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        // The lowest mark is right; above it a borrow may have made one.
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(place * 8 + marks.trailing_zeros() as usize / 8);
        }
    }
    // What is left, with zeros behind it: whatever marks those, no mark before them depends on it.
    let last = match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last).checked_shr(u64::BITS - 8 * rest.len() as u32).unwrap_or(0),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    let place = marks(last).trailing_zeros() as usize / 8;
    (place < rest.len()).then_some(bytes.len() - rest.len() + place)
}

/// Marks the bytes below a limit of at most 0x80.
const fn below(word: u64, limit: u64) -> u64 {
    word.wrapping_sub(ONES * limit) & !word & HIGH
}

/// Marks the bytes that are this one.
const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * byte as u64), 1)
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
                    assert_eq!((is_plain(&bytes), is_plain(&bytes[..length])), (false, true));
                    assert_eq!(first_quote(&bytes), bytes.iter().position(|byte| *byte == b'"'), "{bytes:?}");
                }
            }
        }
        let plain: Vec<u8> = (0x20..=0xff).filter(|byte| !b"\"\\".contains(byte)).collect();
        assert_eq!(plain_length(&plain), plain.len());
    }
}
