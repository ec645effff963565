//! State as bytes and back: little-endian words and counted rows of them. It trusts no number that it reads: nothing is
//! allocated for more than the bytes that are there can fill.

use super::money::{Country, Currency};

/// Why bytes were not read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// They end too early, or hold what no state holds.
    #[error("the stored state is damaged")]
    Damaged,
    /// Another version of the engine wrote them.
    #[error("the stored state is of layout {found}, this engine reads layout {expected}")]
    Layout {
        /// The layout found.
        found: u32,
        /// The layout read.
        expected: u32,
    },
    /// They are of another plan, schema or other settings.
    #[error("the stored state is of another plan or of other settings")]
    Other,
}

/// From so many bytes on what is appended is handed on, so that a large state is never held as bytes as well.
pub const HAND_ON_BYTES: usize = 1 << 20;

/// Takes what has been appended so far, and leaves the bytes empty.
pub type HandOn<'h> = &'h mut dyn FnMut(&mut Vec<u8>);

/// What reading gives.
pub type Stored<T> = Result<T, StoredError>;

/// Bytes to be read, from the front.
#[derive(Clone, Copy)]
pub struct Reader<'b>(&'b [u8]);

/// What is written as a fixed number of bytes.
pub trait Word: Copy {
    /// How many bytes.
    const BYTES: usize;
    /// Appends them.
    fn write(self, out: &mut Vec<u8>);
    /// Reads them; `bytes` is exactly that long.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! words {
    ($($word:ty)*) => {$(
        impl Word for $word {
            const BYTES: usize = size_of::<$word>();

            fn write(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn read(bytes: &[u8]) -> Self {
                bytes.try_into().map_or(0, <$word>::from_le_bytes)
            }
        }
    )*};
}

words! { u8 u16 u32 u64 u128 i64 i128 }

impl Word for (i64, i64) {
    const BYTES: usize = 16;

    fn write(self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(bytes: &[u8]) -> Self {
        (i64::read(&bytes[..8]), i64::read(&bytes[8..]))
    }
}

impl Word for Option<(i64, i64)> {
    const BYTES: usize = 17;

    fn write(self, out: &mut Vec<u8>) {
        u8::from(self.is_some()).write(out);
        self.unwrap_or_default().write(out);
    }

    fn read(bytes: &[u8]) -> Self {
        (bytes[0] == 1).then(|| Word::read(&bytes[1..]))
    }
}

impl Word for Option<i64> {
    const BYTES: usize = 9;

    fn write(self, out: &mut Vec<u8>) {
        u8::from(self.is_some()).write(out);
        self.unwrap_or_default().write(out);
    }

    fn read(bytes: &[u8]) -> Self {
        (bytes[0] == 1).then(|| Word::read(&bytes[1..]))
    }
}

/// Appends words after their count.
pub fn write_words<W: Word>(words: &[W], out: &mut Vec<u8>) {
    (words.len() as u64).write(out);
    out.reserve(words.len() * W::BYTES);
    for word in words {
        word.write(out);
    }
}

/// Appends the code of a currency.
pub fn write_currency(currency: Currency, out: &mut Vec<u8>) {
    out.extend_from_slice(currency.code().as_bytes());
}

/// Appends the code of a country.
pub fn write_country(country: Country, out: &mut Vec<u8>) {
    out.extend_from_slice(country.code().as_bytes());
}

impl<'b> Reader<'b> {
    /// Reads from the front of some bytes.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// Fails unless everything has been read.
    pub fn end(&self) -> Stored<()> {
        if self.0.is_empty() { Ok(()) } else { Err(StoredError::Damaged) }
    }

    /// The next bytes.
    pub fn bytes(&mut self, count: usize) -> Stored<&'b [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(StoredError::Damaged)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// The next word.
    pub fn word<W: Word>(&mut self) -> Stored<W> {
        Ok(W::read(self.bytes(W::BYTES)?))
    }

    /// A count of things that take at least so many bytes each, which must be there.
    pub fn count(&mut self, bytes_each: usize) -> Stored<usize> {
        let count = usize::try_from(self.word::<u64>()?).map_err(|_| StoredError::Damaged)?;
        let needed = count.checked_mul(bytes_each.max(1)).ok_or(StoredError::Damaged)?;
        if needed <= self.0.len() { Ok(count) } else { Err(StoredError::Damaged) }
    }

    /// Counted words.
    pub fn words<W: Word>(&mut self) -> Stored<Vec<W>> {
        let count = self.count(W::BYTES)?;
        Ok(self.bytes(count * W::BYTES)?.chunks_exact(W::BYTES).map(W::read).collect())
    }

    /// Counted words, of which there must be so many.
    pub fn words_of<W: Word>(&mut self, count: usize) -> Stored<Vec<W>> {
        let words = self.words()?;
        if words.len() == count { Ok(words) } else { Err(StoredError::Damaged) }
    }

    /// The code of a currency.
    pub fn currency(&mut self) -> Stored<Currency> {
        let code = std::str::from_utf8(self.bytes(3)?).ok();
        code.and_then(Currency::from_code).ok_or(StoredError::Damaged)
    }

    /// The code of a country.
    pub fn country(&mut self) -> Stored<Country> {
        let code = std::str::from_utf8(self.bytes(2)?).ok();
        code.and_then(Country::from_code).ok_or(StoredError::Damaged)
    }

    /// Damaged unless something holds.
    pub fn check(holds: bool) -> Stored<()> {
        if holds { Ok(()) } else { Err(StoredError::Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_not_believed() {
        let mut out = Vec::new();
        write_words(&[1_u32, 2, 3], &mut out);
        assert_eq!(Reader::new(&out).words::<u32>(), Ok(vec![1, 2, 3]));
        assert_eq!(Reader::new(&out).words_of::<u32>(4), Err(StoredError::Damaged));
        assert_eq!(Reader::new(&out[..out.len() - 1]).words::<u32>(), Err(StoredError::Damaged));
        out[7] = 0xff;
        assert_eq!(Reader::new(&out).words::<u32>(), Err(StoredError::Damaged));
        assert_eq!(Reader::new(&out).words::<(i64, i64)>(), Err(StoredError::Damaged));
    }
}
