//! The bytes of one journal file: a header, then frames of records under a checksum. It opens no file; whatever is
//! damaged is told, and never read as something else.
//!
//! A file is `GAVELJNL`, the version of the format, the sequence number of its first record and a checksum of both.
//! A frame is a mark, the length of its records, how many they are, the sequence number of the first, a checksum of all
//! that, and the records, each with its length before it. A frame without numbered records is the preamble of a file:
//! the release in force and the list changes in force. All numbers are little-endian; checksums are XXH3 of 64 bits.

use xxhash_rust::xxh3::xxh3_64;

use super::encoding::Taking;

/// The version of the format that is written. A reader refuses a later one.
pub const FORMAT_VERSION: u32 = 3;
/// The oldest version that is read. Version 1 knew no streams, and version 2 nothing of what lists said; they are
/// otherwise the same.
const FORMAT_VERSION_MIN: u32 = 1;
/// Bytes of a file before its first frame.
pub const HEADER_BYTES: usize = 28;
/// Bytes of a frame before its records.
const FRAME_HEADER_BYTES: usize = 28;
/// A frame is closed once its records have this many bytes: a checksum guards that much.
pub const FRAME_CLOSE_BYTES: usize = 256 * 1024;
/// The longest records of a frame that are read: one more record than closes it, whose transaction had at most 64 KiB.
const FRAME_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The length of a record takes so many bytes, seven bits in each, however few would do: it is written after the record.
const LENGTH_BYTES: usize = 4;

const FILE_MARK: &[u8; 8] = b"GAVELJNL";
const FRAME_MARK: &[u8; 4] = b"\xf5GJF";

/// Appends a file's header.
pub fn push_header(out: &mut Vec<u8>, first_sequence: u64) {
    let start = out.len();
    out.extend_from_slice(FILE_MARK);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&first_sequence.to_le_bytes());
    let checksum = xxh3_64(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// What a file's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// A file of this format, with the sequence number of its first record.
    Good {
        /// The number.
        first_sequence: u64,
    },
    /// A file of another version of the format.
    Version(u32),
    /// None, or a damaged one.
    Damaged,
}

/// Reads a file's header.
pub fn read_header(bytes: &[u8]) -> Header {
    let read = || {
        let mut taking = Taking(bytes.get(..HEADER_BYTES)?);
        let (mark, version) = (taking.array::<8>()?, u32::from_le_bytes(taking.array()?));
        let (first_sequence, checksum) = (u64::from_le_bytes(taking.array()?), u64::from_le_bytes(taking.array()?));
        let is_good = mark == *FILE_MARK && checksum == xxh3_64(&bytes[..HEADER_BYTES - 8]);
        is_good.then_some(match version {
            FORMAT_VERSION_MIN..=FORMAT_VERSION => Header::Good { first_sequence },
            other => Header::Version(other),
        })
    };
    read().unwrap_or(Header::Damaged)
}

/// Records on their way into a file, in frames.
#[derive(Default)]
pub struct Framing {
    bytes: Vec<u8>,
    /// Where the open frame begins.
    open_at: Option<usize>,
    open_records: u32,
}

impl Framing {
    /// Adds a record that `push` appends; `sequence` is its number, or that of the next one for a preamble.
    pub fn add(&mut self, sequence: u64, is_numbered: bool, push: impl FnOnce(&mut Vec<u8>)) {
        let start = *self.open_at.get_or_insert_with(|| {
            self.open_records = 0;
            let start = self.bytes.len();
            self.bytes.extend_from_slice(FRAME_MARK);
            self.bytes.extend_from_slice(&[0; 8]);
            self.bytes.extend_from_slice(&sequence.to_le_bytes());
            self.bytes.extend_from_slice(&[0; 8]);
            start
        });
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; LENGTH_BYTES]);
        push(&mut self.bytes);
        let mut length = self.bytes.len() - at - LENGTH_BYTES;
        for (place, byte) in (1..).zip(&mut self.bytes[at..at + LENGTH_BYTES]) {
            let goes_on = if place < LENGTH_BYTES { 0x80 } else { 0 };
            *byte = (length & 0x7f) as u8 | goes_on;
            length >>= 7;
        }
        self.open_records += u32::from(is_numbered);
        if self.bytes.len() - start >= FRAME_CLOSE_BYTES {
            self.close();
        }
    }

    /// Closes the open frame, if there is one.
    pub fn close(&mut self) {
        let Some(start) = self.open_at.take() else { return };
        let length = (self.bytes.len() - start - FRAME_HEADER_BYTES) as u32;
        self.bytes[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
        self.bytes[start + 8..start + 12].copy_from_slice(&self.open_records.to_le_bytes());
        let checksum = frame_checksum(&self.bytes[start..]);
        self.bytes[start + 20..start + 28].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Every closed frame.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.open_at, self.open_records) = (None, 0);
    }
}

/// Of everything in a frame but its mark and the checksum itself. `frame` ends with the frame.
fn frame_checksum(frame: &[u8]) -> u64 {
    let head = xxh3_64(&frame[4..20]);
    xxh3_64(&frame[FRAME_HEADER_BYTES..]) ^ head.rotate_left(32)
}

/// What stands in a file after its header, part by part.
pub enum Part<'a> {
    /// A frame under its checksum.
    Frame(Frame<'a>),
    /// Bytes that are no frame, with good frames after them.
    Damage {
        /// Where they begin in the file.
        at: usize,
        /// How many they are.
        bytes: usize,
    },
    /// Bytes at the end that are no frame: what a write that was cut off leaves behind.
    Torn {
        /// Where they begin in the file.
        at: usize,
        /// How many they are.
        bytes: usize,
    },
}

/// Records under one checksum.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// The number of its first record.
    pub first_sequence: u64,
    /// How many numbered records it has; none in a preamble.
    pub records: u32,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The records, as bytes.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut taking = Taking(self.body);
        std::iter::from_fn(move || taking.bytes())
    }

    /// How many bytes it takes in its file.
    pub fn bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.body.len()
    }

    fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let mut taking = Taking(bytes);
        if taking.array::<4>()? != *FRAME_MARK {
            return None;
        }
        let (length, records) = (u32::from_le_bytes(taking.array()?) as usize, u32::from_le_bytes(taking.array()?));
        let (first_sequence, checksum) = (u64::from_le_bytes(taking.array()?), u64::from_le_bytes(taking.array()?));
        let end = FRAME_HEADER_BYTES + length;
        if length > FRAME_MAX_BYTES || first_sequence.checked_add(records.into()).is_none() {
            return None;
        }
        let frame = bytes.get(..end)?;
        let frame = (frame_checksum(frame) == checksum).then_some(Self {
            first_sequence,
            records,
            body: &frame[FRAME_HEADER_BYTES..],
        });
        frame.map(|frame| (frame, end))
    }
}

/// The parts of a file, in order; without its beginning there is no header to be left out.
pub fn parts(file: &[u8], is_beginning: bool) -> impl Iterator<Item = Part<'_>> {
    let mut at = match read_header(file) {
        Header::Good { .. } | Header::Version(_) if is_beginning => HEADER_BYTES,
        _ => 0,
    };
    std::iter::from_fn(move || {
        let rest = file.get(at..).filter(|rest| !rest.is_empty())?;
        if let Some((frame, length)) = Frame::read(rest) {
            at += length;
            return Some(Part::Frame(frame));
        }
        let start = at;
        let marks = memchr::memmem::find_iter(rest, FRAME_MARK);
        let good = marks.filter(|offset| *offset > 0).find(|offset| Frame::read(&rest[*offset..]).is_some());
        if let Some(offset) = good {
            at += offset;
            return Some(Part::Damage { at: start, bytes: offset });
        }
        at = file.len();
        Some(Part::Torn { at: start, bytes: rest.len() })
    })
}
