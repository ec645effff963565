//! Numbers and text to bytes and back. Reading allocates nothing, and never reads past what it was given.

use std::borrow::Cow;

use crate::scoring::time::Timestamp;

/// Appends a number in as few bytes as it needs, seven bits in each.
pub(super) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a number that may be below zero.
pub(super) fn push_signed(out: &mut Vec<u8>, number: i64) {
    push_number(out, ((number << 1) ^ (number >> 63)) as u64);
}

/// Appends text with its length before it.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    push_bytes(out, text.as_bytes());
}

/// Appends bytes with their length before them.
pub(super) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Bytes that are taken from the front. Whatever is not there is `None`.
#[derive(Clone, Copy)]
pub(super) struct Taking<'a>(pub(super) &'a [u8]);

impl<'a> Taking<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn borrowed(&mut self) -> Option<Cow<'a, str>> {
        self.text().map(Cow::Borrowed)
    }

    pub(super) fn time(&mut self) -> Option<Timestamp> {
        Timestamp::from_unix_ms(self.signed()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_text_come_back() {
        for number in [0, 1, -1, 63, 64, -64, -65, 1 << 40, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            push_signed(&mut bytes, number);
            push_number(&mut bytes, number as u64);
            push_text(&mut bytes, "Caf\u{e9}");
            let mut taking = Taking(&bytes);
            assert_eq!((taking.signed(), taking.number()), (Some(number), Some(number as u64)));
            assert_eq!((taking.text(), taking.byte()), (Some("Caf\u{e9}"), None));
        }
    }

    #[test]
    fn what_is_not_there_is_not_taken() {
        let too_long = [0xff; 11];
        let cases: [&[u8]; 6] = [&[], &[0x80], &[5, b'a'], &too_long, &[0xff, 0xff, 0xff, 0xff, 0xff, 1], &[1, 0xff]];
        for bytes in cases {
            assert_eq!(Taking(bytes).text(), None, "{bytes:?}");
        }
        assert_eq!(Taking(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).number(), None);
    }
}
