//! The bytes of a snapshot: what a scorer has taken in up to one record of the journal, in compressed sections under
//! checksums. It opens no file, and allocates for nothing that it has not checked.
//!
//! A file is `GAVELSNP`, the version of the format, the length of the head, a checksum of these, the head and its
//! checksum; then chunks, section after section; then a chunk that says how many there were. Every section can be read
//! by a thread of its own.

use std::{
    io,
    num::NonZero,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use xxhash_rust::xxh3::xxh3_64;

use super::{
    encoding::{Taking, push_bytes, push_number, push_signed},
    position::{StreamMark, push_mark, take_mark},
    record::{Record, push_list_change},
    replay::{FileInfo, Known},
};
use crate::scoring::{
    registry::Registry,
    scorer::{Input, Past, Scorer},
    stored::StoredError,
    windows::{LogSection, Windows},
};

/// The version of the format that is written. A reader refuses a later one.
pub const SNAPSHOT_VERSION: u32 = 1;

const MARK: &[u8; 8] = b"GAVELSNP";
/// Bytes before the head: mark, version, length of the head, checksum.
const HEADER_BYTES: usize = 24;
/// Some hundred thousand files of the journal.
const HEAD_MAX_BYTES: usize = 64 << 20;
/// Bytes of a chunk before what is compressed: section, length, compressed length, checksum.
const CHUNK_HEADER_BYTES: usize = 20;
/// What is compressed in one piece: larger ones are not smaller, and are longer in memory.
const CHUNK_BYTES: usize = 1 << 20;
/// Fast: a snapshot is taken beside the scoring.
const COMPRESSION_LEVEL: i32 = 1;
/// In the place of a section: the end.
const END: u32 = u32::MAX;
/// More than a plan has keys.
const SECTIONS_MAX: usize = 1 << 17;
const LISTS: usize = 0;
const REGISTRY: usize = 1;
const WINDOWS: usize = 2;

/// What a snapshot says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the last record that it holds.
    pub sequence: u64,
    /// When it was taken, by the wall clock.
    pub taken_unix_ms: i64,
    /// Records that were missing from the journal that it was made of, and places where that was damaged.
    pub missing: u64,
    /// The newest event time of the journal up to there.
    pub highest_ms: i64,
    /// How far a stream had been worked off.
    pub stream: StreamMark,
    /// The last record that came from a stream; 0 for none.
    pub streamed_record: u64,
    /// Whether a release took over since the past was last built for one.
    pub is_mixed: bool,
    /// Of the scorer: see [`Scorer::identity`].
    pub identity: u128,
    /// The files of the journal that hold what it holds.
    pub files: Vec<FileInfo>,
}

impl Head {
    /// What a reader of the journal goes on from.
    pub fn known(&self) -> Known<'_> {
        let Self { files, stream, streamed_record, is_mixed, .. } = self;
        Known { files, stream: *stream, streamed_record: *streamed_record, is_mixed: *is_mixed }
    }
}

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk does not give it.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Bytes are missing or others than were written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It was written by another version.
    #[error("it is of format {0}, expected {SNAPSHOT_VERSION}")]
    Version(u32),
    /// It is of another plan, other attributes or settings.
    #[error("it was made for other windows than are asked for now")]
    Other,
    /// What is in it does not fit together.
    #[error("{0}")]
    Stored(StoredError),
}

impl SnapshotError {
    /// Its name, as metrics tell it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(_) => "unreadable",
            Self::Damaged(_) | Self::Stored(StoredError::Damaged) => "damaged",
            Self::Version(_) | Self::Stored(StoredError::Layout { .. }) => "version",
            Self::Other | Self::Stored(StoredError::Other) => "plan",
        }
    }
}

impl From<StoredError> for SnapshotError {
    fn from(error: StoredError) -> Self {
        Self::Stored(error)
    }
}

/// Hands the bytes of a snapshot on, piece by piece, and says how many they were.
pub fn write(scorer: &Scorer, head: &Head, to: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64> {
    let mut body = Vec::new();
    push_head(&mut body, head);
    let mut start = MARK.to_vec();
    start.extend_from_slice(&SNAPSHOT_VERSION.to_le_bytes());
    start.extend_from_slice(&(body.len() as u32).to_le_bytes());
    start.extend_from_slice(&xxh3_64(&start).to_le_bytes());
    start.extend_from_slice(&body);
    start.extend_from_slice(&xxh3_64(&body).to_le_bytes());
    to(&start)?;
    let compressor = zstd::bulk::Compressor::new(COMPRESSION_LEVEL)?;
    let mut packing = Packing { to, compressor, bytes: start.len() as u64, chunks: 0, sums: Vec::new(), failed: None };
    let mut lists = Vec::new();
    let mut record = Vec::new();
    for change in scorer.release().lists.changes() {
        record.clear();
        push_list_change(&mut record, &change);
        push_bytes(&mut lists, &record);
    }
    packing.section(LISTS, |out, hand_on| {
        *out = lists;
        hand_on(out);
    })?;
    packing.section(REGISTRY, |out, hand_on| scorer.registry().save_section(out, hand_on))?;
    for place in 0..scorer.windows().sections() {
        packing.section(WINDOWS + place, |out, hand_on| scorer.windows().save_section(place, out, hand_on))?;
    }
    packing.end()
}

struct Packing<'t> {
    to: &'t mut dyn FnMut(&[u8]) -> io::Result<()>,
    compressor: zstd::bulk::Compressor<'static>,
    bytes: u64,
    chunks: u32,
    /// The checksums of all chunks.
    sums: Vec<u8>,
    failed: Option<io::Error>,
}

impl Packing<'_> {
    fn section(
        &mut self,
        section: usize,
        save: impl FnOnce(&mut Vec<u8>, &mut dyn FnMut(&mut Vec<u8>)),
    ) -> io::Result<()> {
        let mut raw = Vec::with_capacity(2 * CHUNK_BYTES);
        save(&mut raw, &mut |raw| self.pack(section, raw));
        self.pack(section, &mut raw);
        self.failed.take().map_or(Ok(()), Err)
    }

    fn pack(&mut self, section: usize, raw: &mut Vec<u8>) {
        if self.failed.is_none() {
            self.failed = raw.chunks(CHUNK_BYTES).try_for_each(|raw| self.chunk(section, raw)).err();
        }
        raw.clear();
    }

    fn chunk(&mut self, section: usize, raw: &[u8]) -> io::Result<()> {
        let packed = self.compressor.compress(raw)?;
        self.push(section as u32, raw.len(), &packed)
    }

    fn push(&mut self, section: u32, raw_bytes: usize, packed: &[u8]) -> io::Result<()> {
        let mut header = Vec::with_capacity(CHUNK_HEADER_BYTES);
        header.extend_from_slice(&section.to_le_bytes());
        header.extend_from_slice(&(raw_bytes as u32).to_le_bytes());
        header.extend_from_slice(&(packed.len() as u32).to_le_bytes());
        let sum = chunk_sum(&header, packed);
        header.extend_from_slice(&sum.to_le_bytes());
        (self.to)(&header)?;
        (self.to)(packed)?;
        self.bytes += (header.len() + packed.len()) as u64;
        self.chunks += 1;
        self.sums.extend_from_slice(&sum.to_le_bytes());
        Ok(())
    }

    fn end(mut self) -> io::Result<u64> {
        let all = xxh3_64(&self.sums).to_le_bytes();
        self.push(END, self.chunks as usize, &all)?;
        Ok(self.bytes)
    }
}

fn chunk_sum(header: &[u8], packed: &[u8]) -> u64 {
    xxh3_64(packed) ^ xxh3_64(header).rotate_left(32)
}

fn push_head(out: &mut Vec<u8>, head: &Head) {
    let Head { sequence, taken_unix_ms, missing, highest_ms, stream, streamed_record, is_mixed, identity, files } =
        head;
    push_number(out, *sequence);
    push_signed(out, *taken_unix_ms);
    push_number(out, *missing);
    push_signed(out, *highest_ms);
    push_mark(out, *stream);
    push_number(out, *streamed_record);
    out.push(u8::from(*is_mixed));
    out.extend_from_slice(&identity.to_le_bytes());
    push_number(out, files.len() as u64);
    for FileInfo { name, first_sequence, bytes, newest_ms } in files {
        push_bytes(out, name.as_bytes());
        push_number(out, *first_sequence);
        push_number(out, *bytes);
        push_signed(out, *newest_ms);
    }
}

fn take_head(taking: &mut Taking<'_>) -> Option<Head> {
    let (sequence, taken_unix_ms) = (taking.number()?, taking.signed()?);
    let (missing, highest_ms) = (taking.number()?, taking.signed()?);
    let (stream, streamed_record, is_mixed) = (take_mark(taking)?, taking.number()?, taking.byte()? == 1);
    let identity = u128::from_le_bytes(taking.array()?);
    let mut files = Vec::new();
    for _ in 0..taking.number()? {
        let (name, first_sequence) = (taking.text()?.to_owned(), taking.number()?);
        files.push(FileInfo { name, first_sequence, bytes: taking.number()?, newest_ms: taking.signed()? });
    }
    taking.0.is_empty().then_some(Head {
        sequence,
        taken_unix_ms,
        missing,
        highest_ms,
        stream,
        streamed_record,
        is_mixed,
        identity,
        files,
    })
}

/// What a snapshot says of itself, and where its chunks begin.
pub fn read_head(bytes: &[u8]) -> Result<(Head, usize), SnapshotError> {
    let torn = SnapshotError::Damaged("its beginning");
    let Some(header) = bytes.get(..HEADER_BYTES) else { return Err(torn) };
    let mut taking = Taking(header);
    let mut read = || {
        let mark = taking.array::<8>()?;
        let (version, length) = (u32::from_le_bytes(taking.array()?), u32::from_le_bytes(taking.array()?));
        let sum = u64::from_le_bytes(taking.array()?);
        (mark == *MARK && sum == xxh3_64(&header[..HEADER_BYTES - 8])).then_some((version, length as usize))
    };
    let Some((version, length)) = read() else { return Err(torn) };
    if version != SNAPSHOT_VERSION {
        return Err(SnapshotError::Version(version));
    }
    let end = HEADER_BYTES + length + 8;
    let Some(rest) = bytes.get(HEADER_BYTES..end).filter(|_| length <= HEAD_MAX_BYTES) else { return Err(torn) };
    let (body, sum) = rest.split_at(length);
    if sum != xxh3_64(body).to_le_bytes() {
        return Err(torn);
    }
    let head = take_head(&mut Taking(body)).ok_or(SnapshotError::Damaged("its head"))?;
    Ok((head, end))
}

/// One compressed piece.
struct Chunk<'b> {
    raw_bytes: usize,
    packed: &'b [u8],
}

/// The chunks of one section.
#[derive(Default)]
struct Section<'b>(Vec<Chunk<'b>>);

impl Section<'_> {
    fn raw_bytes(&self) -> usize {
        self.0.iter().map(|chunk| chunk.raw_bytes).sum()
    }

    /// Its checksums are good, and so are the lengths that are reserved here.
    fn unpack(&self) -> Result<Vec<u8>, SnapshotError> {
        let mut decompressor = zstd::bulk::Decompressor::new()?;
        let mut raw = Vec::with_capacity(self.raw_bytes());
        let mut piece = Vec::with_capacity(CHUNK_BYTES);
        for chunk in &self.0 {
            piece.clear();
            let unpacked = decompressor.decompress_to_buffer(chunk.packed, &mut piece);
            if !unpacked.is_ok_and(|bytes| bytes == chunk.raw_bytes) {
                return Err(SnapshotError::Damaged("a compressed piece"));
            }
            raw.extend_from_slice(&piece);
        }
        Ok(raw)
    }
}

/// Every section, with checksums that were looked at.
fn sections(bytes: &[u8]) -> Result<Vec<Section<'_>>, SnapshotError> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let (mut rest, mut sums) = (bytes, Vec::new());
    loop {
        let torn = SnapshotError::Damaged("it ends too early");
        let Some((header, after)) = rest.split_at_checked(CHUNK_HEADER_BYTES) else { return Err(torn) };
        let number =
            |range: Range<usize>| header[range].iter().rev().fold(0, |high, byte| high << 8 | u64::from(*byte));
        let (section, raw_bytes, packed_bytes) = (number(0..4) as u32, number(4..8) as usize, number(8..12) as usize);
        let Some((packed, after)) = after.split_at_checked(packed_bytes) else { return Err(torn) };
        if number(12..20) != chunk_sum(&header[..12], packed) {
            return Err(SnapshotError::Damaged("a checksum"));
        }
        rest = after;
        if section == END {
            let is_whole = raw_bytes * 8 == sums.len() && packed == xxh3_64(&sums).to_le_bytes() && rest.is_empty();
            return if is_whole { Ok(sections) } else { Err(SnapshotError::Damaged("its end")) };
        }
        sums.extend_from_slice(&header[12..20]);
        let place = section as usize;
        if raw_bytes > CHUNK_BYTES || place + 1 < sections.len() || place >= SECTIONS_MAX {
            return Err(SnapshotError::Damaged("the order of its pieces"));
        }
        // A section without a byte has no chunk.
        if place >= sections.len() {
            sections.resize_with(place + 1, Section::default);
        }
        sections[place].0.push(Chunk { raw_bytes, packed });
    }
}

/// What threads read at the same time.
enum Job<'w> {
    Registry,
    Log(LogSection<'w>),
}

/// Reads a snapshot into a scorer without a past. The scorer is changed only by one that is whole.
pub fn load(scorer: &mut Scorer, bytes: &[u8], threads: NonZero<usize>) -> Result<Head, SnapshotError> {
    let (head, at) = read_head(bytes)?;
    if head.identity != scorer.identity() {
        return Err(SnapshotError::Other);
    }
    let sections = sections(&bytes[at..])?;
    let empty = Section::default();
    let section = |place: usize| sections.get(place).unwrap_or(&empty);
    let settings = &scorer.release().settings;
    let plan = &scorer.release().plan;
    let shared = section(WINDOWS).unpack()?;
    let mut windows = Windows::begin_load(plan, &settings.schema, &settings.windows, &shared)?;
    let mut jobs: Vec<(usize, Job<'_>)> = vec![(REGISTRY, Job::Registry)];
    jobs.extend((WINDOWS + 1..).zip(windows.sections_to_load().map(Job::Log)));
    // The largest first, so that no thread is left with it at the end; they are taken from the back.
    jobs.sort_by_key(|(place, _)| section(*place).raw_bytes());
    let threads = threads.get().min(jobs.len());
    let (jobs, loaded) = (Mutex::new(jobs), Mutex::new(Ok(None)));
    let work = || {
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((place, job)) = job else { return };
            let read = || {
                let raw = section(place).unpack()?;
                match job {
                    Job::Registry => Ok(Some(Registry::load(&settings.windows, &raw)?)),
                    Job::Log(log) => log.load(&raw).map(|()| None).map_err(SnapshotError::from),
                }
            };
            let read: Result<Option<Registry>, SnapshotError> = read();
            let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
            match read {
                Ok(None) => {}
                Ok(registry) if loaded.is_ok() => *loaded = Ok(registry),
                Ok(_) => {}
                Err(error) => *loaded = Err(error),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let registry = loaded.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    let registry = registry.ok_or(SnapshotError::Damaged("a section is missing"))?;
    let lists = section(LISTS).unpack()?;
    let mut changes = Vec::new();
    let mut taking = Taking(&lists);
    while !taking.0.is_empty() {
        let Some(Record::ListChange(change)) = taking.bytes().and_then(|bytes| Record::read(bytes, None)) else {
            return Err(SnapshotError::Damaged("a list change"));
        };
        changes.push(change);
    }
    scorer.apply(Input::Refill(&mut Past { windows, registry }));
    for change in &changes {
        scorer.apply(Input::ListChanged(change));
    }
    Ok(head)
}
