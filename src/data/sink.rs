//! Where a command writes: a file, plain or zstd by its name, or standard output. A file that is not whole never has
//! the name that was asked for.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::error::{DataError, shown};

const BUFFER_BYTES: usize = 256 * 1024;
/// zstd's own default: four to five times smaller at several hundred megabytes a second.
const ZSTD_LEVEL: i32 = 3;

/// An open output. Without `finish` nothing appears under its name.
pub struct Sink {
    name: String,
    writer: Option<Writer>,
    /// Where the bytes are now and where they belong, for a regular file.
    rename: Option<(PathBuf, PathBuf)>,
}

enum Writer {
    Plain(BufWriter<Output>),
    Zstd(BufWriter<zstd::Encoder<'static, Output>>),
}

enum Output {
    File(File),
    Stdout(io::Stdout),
}

impl Sink {
    /// Opens `-` for standard output, else a file under a passing name; it is compressed if its name ends in `.zst`.
    /// What is no regular file, such as a pipe or `/dev/null`, is written to directly.
    pub fn create(path: &Path) -> Result<Self, DataError> {
        let name = if path.as_os_str() == "-" { "standard output".to_owned() } else { shown(path) };
        Self::open(path, name.clone()).map_err(|cause| DataError::Write { name, cause })
    }

    /// Makes a file of these bytes.
    pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
        let mut sink = Self::create(path)?;
        sink.write(bytes)?;
        sink.finish()
    }

    fn open(path: &Path, name: String) -> io::Result<Self> {
        let (output, rename) = if path.as_os_str() == "-" {
            (Output::Stdout(io::stdout()), None)
        } else {
            match fs::metadata(path) {
                Ok(metadata) if !metadata.is_file() => (Output::File(File::options().write(true).open(path)?), None),
                // A link keeps pointing at the file that is replaced.
                Ok(_) => Self::open_passing(path.canonicalize()?)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => Self::open_passing(path.to_owned())?,
                Err(error) => return Err(error),
            }
        };
        let is_zstd = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zst"));
        let writer = if is_zstd {
            let mut encoder = zstd::Encoder::new(output, ZSTD_LEVEL)?;
            encoder.include_checksum(true)?;
            Writer::Zstd(BufWriter::with_capacity(BUFFER_BYTES, encoder))
        } else {
            Writer::Plain(BufWriter::with_capacity(BUFFER_BYTES, output))
        };
        Ok(Self { name, writer: Some(writer), rename })
    }

    fn open_passing(path: PathBuf) -> io::Result<(Output, Option<(PathBuf, PathBuf)>)> {
        let Some(file_name) = path.file_name() else { return Err(io::ErrorKind::IsADirectory.into()) };
        let mut passing_name = file_name.to_owned();
        passing_name.push(format!(".partial-{}", std::process::id()));
        let passing = path.with_file_name(passing_name);
        let file = File::create(&passing)?;
        Ok((Output::File(file), Some((passing, path))))
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        let done = match &mut self.writer {
            Some(Writer::Plain(writer)) => writer.write_all(bytes),
            Some(Writer::Zstd(writer)) => writer.write_all(bytes),
            None => Ok(()),
        };
        done.map_err(|cause| DataError::Write { name: self.name.clone(), cause })
    }

    /// Writes what is still held back and gives the file its name.
    pub fn finish(mut self) -> Result<(), DataError> {
        self.close().map_err(|cause| DataError::Write { name: self.name.clone(), cause })
    }

    fn close(&mut self) -> io::Result<()> {
        let mut output = match self.writer.take() {
            Some(Writer::Plain(writer)) => writer.into_inner().map_err(io::IntoInnerError::into_error)?,
            Some(Writer::Zstd(writer)) => writer.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?,
            None => return Ok(()),
        };
        output.flush()?;
        if let Some((passing, path)) = &self.rename {
            fs::rename(passing, path)?;
            self.rename = None;
        }
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some((passing, _)) = &self.rename {
            // The command has already failed; a passing file that stays behind is named as one.
            let _ = fs::remove_file(passing);
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(stdout) => stdout.flush(),
        }
    }
}
