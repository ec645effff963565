//! Where rows are read from: a file or standard input, plain or zstd, CSV or JSON lines. It reads no row itself.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::error::{DataError, shown};

/// Large reads keep the number of system calls low.
const BUFFER_BYTES: usize = 256 * 1024;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// How the rows of a file are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// A header, then a row a line.
    Csv,
    /// A JSON object a line.
    JsonLines,
}

impl FileFormat {
    /// The format that a name tells, and whether the file is compressed by zstd.
    pub fn of_name(name: &str) -> Option<(Self, bool)> {
        let name = name.to_ascii_lowercase();
        let (stem, is_zstd) = name.strip_suffix(".zst").map_or((name.as_str(), false), |stem| (stem, true));
        let (_, extension) = stem.rsplit_once('.')?;
        match extension {
            "csv" => Some((Self::Csv, is_zstd)),
            "jsonl" | "ndjson" => Some((Self::JsonLines, is_zstd)),
            _ => None,
        }
    }
}

/// An open input, decompressed, with its format known.
pub struct Source {
    /// Its name in messages.
    pub name: String,
    /// The bytes after decompression.
    pub reader: Box<dyn BufRead + Send>,
    /// How its rows are written down.
    pub format: FileFormat,
    /// How far it has been read, and how far there is to go.
    pub position: Position,
}

/// How far a file has been read, in bytes as they lie on the disk.
#[derive(Clone)]
pub struct Position {
    read_bytes: Arc<AtomicU64>,
    /// The size of the file, where it has one.
    pub size_bytes: Option<u64>,
}

impl Position {
    /// The bytes read so far.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }
}

impl Source {
    /// Opens a file whose name tells its format, or standard input as `-`, whose first bytes tell it. A name without
    /// an extension, as pipes have, is looked into as well.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let name = shown(path);
        let is_stdin = path.as_os_str() == "-";
        let told = FileFormat::of_name(&name);
        if told.is_none() && !is_stdin && path.extension().is_some() {
            return Err(DataError::Format { name });
        }
        let open = || -> io::Result<(Box<dyn Read + Send>, Option<u64>)> {
            if is_stdin {
                return Ok((Box::new(io::stdin()), None));
            }
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            if metadata.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
        };
        let (reader, size_bytes) = open().map_err(|cause| DataError::Open { name: name.clone(), cause })?;
        let position = Position { read_bytes: Arc::default(), size_bytes };
        let counting = Counting { reader, read_bytes: Arc::clone(&position.read_bytes) };
        Self::detect(name, counting, told, position)
    }

    /// Rows from memory or any other reader, in a known format.
    pub fn from_reader(name: &str, reader: impl Read + Send + 'static, format: FileFormat) -> Result<Self, DataError> {
        let position = Position { read_bytes: Arc::default(), size_bytes: None };
        let counting = Counting { reader: Box::new(reader), read_bytes: Arc::clone(&position.read_bytes) };
        Self::detect(name.to_owned(), counting, Some((format, false)), position)
    }

    fn detect(
        name: String,
        reader: Counting,
        told: Option<(FileFormat, bool)>,
        position: Position,
    ) -> Result<Self, DataError> {
        let failed = |cause| DataError::Read { name: name.clone(), cause };
        let reader = BufReader::with_capacity(BUFFER_BYTES, reader);
        let (reader, format) = if let Some((format, is_zstd)) = told {
            let reader = if is_zstd { decompress(reader).map_err(failed)? } else { Box::new(reader) };
            (reader, Some(format))
        } else {
            let (head, whole) = peek(reader, ZSTD_MAGIC.len()).map_err(failed)?;
            let whole: Box<dyn BufRead + Send> = Box::new(BufReader::with_capacity(BUFFER_BYTES, whole));
            (if head == ZSTD_MAGIC { decompress(whole).map_err(failed)? } else { whole }, None)
        };
        let (head, whole) = peek(reader, BYTE_ORDER_MARK.len()).map_err(failed)?;
        let marked = head == BYTE_ORDER_MARK;
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, whole);
        if marked {
            reader.fill_buf().map_err(failed)?;
            let mut mark = BYTE_ORDER_MARK;
            reader.read_exact(&mut mark).map_err(failed)?;
        }
        let format = match format {
            Some(format) => format,
            None => match reader.fill_buf().map_err(failed)?.iter().find(|byte| !byte.is_ascii_whitespace()) {
                Some(b'{') => FileFormat::JsonLines,
                _ => FileFormat::Csv,
            },
        };
        Ok(Self { name, reader: Box::new(reader), format, position })
    }
}

fn decompress(reader: impl BufRead + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, zstd::Decoder::with_buffer(reader)?)))
}

/// The first bytes, at most `length` of them, and a reader that still has them.
fn peek<R: Read>(mut reader: R, length: usize) -> io::Result<(Vec<u8>, impl Read + use<R>)> {
    let mut head = Vec::with_capacity(length);
    reader.by_ref().take(length as u64).read_to_end(&mut head)?;
    Ok((head.clone(), io::Cursor::new(head).chain(reader)))
}

/// Counts the bytes as they lie on the disk, for the progress bar.
struct Counting {
    reader: Box<dyn Read + Send>,
    read_bytes: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(out)?;
        self.read_bytes.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_format() {
        let cases = [
            ("a.csv", Some((FileFormat::Csv, false))),
            ("a.b/c.CSV.ZST", Some((FileFormat::Csv, true))),
            ("a.jsonl", Some((FileFormat::JsonLines, false))),
            ("a.ndjson.zst", Some((FileFormat::JsonLines, true))),
            ("-", None),
            ("a.json", None),
            ("a.csv.gz", None),
            ("csv", None),
        ];
        for (name, expected) in cases {
            assert_eq!(FileFormat::of_name(name), expected, "{name}");
        }
    }
}
