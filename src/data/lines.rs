//! Lines of bounded length from any reader. What is longer than the bound is skipped over, never held.

use std::io::{self, BufRead};

/// A line that was longer than this is told as such and its rest is skipped: a message has at most 64 KiB.
pub(super) const LINE_MAX_BYTES: usize = crate::scoring::transaction::BODY_MAX_BYTES;

/// Reads lines one by one, and takes some back.
pub(super) struct Lines {
    reader: Box<dyn BufRead + Send>,
    /// Lines that were taken back, each with its end, and how far they have been read again.
    returned: Vec<u8>,
    returned_at: usize,
    /// The number of the line read last, from 1.
    pub(super) number: u64,
}

/// What there was to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineRead {
    /// A line, appended without its end.
    Line,
    /// A line longer than the bound: nothing of use was appended.
    TooLong,
    /// No more lines.
    End,
}

impl Lines {
    pub(super) fn new(reader: Box<dyn BufRead + Send>) -> Self {
        Self { reader, returned: Vec::new(), returned_at: 0, number: 0 }
    }

    /// Appends the next line to `out`.
    pub(super) fn read(&mut self, out: &mut Vec<u8>) -> io::Result<LineRead> {
        let start = out.len();
        let read = if self.returned_at < self.returned.len() {
            let rest = &self.returned[self.returned_at..];
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            out.extend_from_slice(&rest[..end]);
            self.returned_at += (end + 1).min(rest.len());
            LineRead::Line
        } else {
            self.read_new(start, out)?
        };
        if read != LineRead::End {
            self.number += 1;
        }
        if read == LineRead::Line && out.len() > start && out.last() == Some(&b'\r') {
            out.pop();
        }
        Ok(read)
    }

    fn read_new(&mut self, start: usize, out: &mut Vec<u8>) -> io::Result<LineRead> {
        let mut too_long = false;
        let mut anything = false;
        loop {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                return Ok(match (anything, too_long) {
                    (false, _) => LineRead::End,
                    (true, false) => LineRead::Line,
                    (true, true) => LineRead::TooLong,
                });
            }
            anything = true;
            let end = memchr::memchr(b'\n', available);
            let part = &available[..end.unwrap_or(available.len())];
            // One byte more than the bound, for the carriage return that is taken off afterwards.
            too_long |= out.len() - start + part.len() > LINE_MAX_BYTES + 1;
            if too_long {
                out.truncate(start);
            } else {
                out.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(if too_long { LineRead::TooLong } else { LineRead::Line });
            }
        }
    }

    /// Takes back the last `count` lines read, which were `text` with a line feed between them.
    pub(super) fn take_back(&mut self, text: &[u8], count: u64) {
        let mut returned = Vec::with_capacity(text.len() + 1 + self.returned.len() - self.returned_at);
        returned.extend_from_slice(text);
        returned.push(b'\n');
        returned.extend_from_slice(&self.returned[self.returned_at..]);
        self.returned = returned;
        self.returned_at = 0;
        self.number -= count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        // A small buffer lets lines span several reads.
        let reader = io::BufReader::with_capacity(7, io::Cursor::new(text.as_bytes().to_vec()));
        let mut lines = Lines::new(Box::new(reader));
        let mut found = Vec::new();
        loop {
            let mut line = Vec::new();
            match lines.read(&mut line).expect("memory does not fail") {
                LineRead::Line => found.push(String::from_utf8(line).expect("the text is UTF-8")),
                LineRead::TooLong => found.push("too long".to_owned()),
                LineRead::End => break,
            }
        }
        assert_eq!(found, expected);
        assert_eq!(lines.number, expected.len() as u64);
    }

    #[test]
    fn lines_end_in_any_way() {
        check("", &[]);
        check("a", &["a"]);
        check("a\n", &["a"]);
        check("a\r\nlonger than the buffer\n\nb", &["a", "longer than the buffer", "", "b"]);
        let (fits, too_long) = ("x".repeat(LINE_MAX_BYTES), "x".repeat(LINE_MAX_BYTES + 2));
        check(&format!("{fits}\n{too_long}\nb\n{too_long}"), &[&fits, "too long", "b", "too long"]);
    }

    #[test]
    fn lines_come_again() {
        let mut lines = Lines::new(Box::new(io::Cursor::new(b"a\nb\nc\nd\n".to_vec())));
        let mut text = Vec::new();
        for _ in 0..3 {
            lines.read(&mut text).expect("memory does not fail");
        }
        lines.take_back(b"b\nc", 2);
        let mut again = Vec::new();
        while lines.read(&mut again).expect("memory does not fail") != LineRead::End {
            again.push(b'/');
        }
        assert_eq!((String::from_utf8_lossy(&again).as_ref(), lines.number), ("b/c/d/", 4));
    }
}
