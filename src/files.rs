//! A rule directory, read from disk: rule files, and the lists and tables that they name. It judges nothing of what
//! they say.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::scoring::rules::{Data, FILE_MAX_BYTES, KnownLists, RuleSources, SourceFile, data_files};

/// The largest file of a list or table: its entries are held in at most as much memory.
const DATA_MAX_BYTES: u64 = 4 << 30;

/// A file changed this lately may change again within the grain of its clock.
const GRAIN: Duration = Duration::from_secs(2);

/// How a file looks from outside: as long as it looks the same it holds the same, if it was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    bytes: u64,
    modified: Duration,
    identity: [i64; 4],
}

/// The files of lists that were read before, by path: how each looked, and the hash of what it held.
#[derive(Clone, Debug, Default)]
pub struct SeenFiles(BTreeMap<PathBuf, (Look, [u8; 32])>);

/// Why there is no rule directory to read. Single files that cannot be read are told with everything else that is wrong
/// with a rule set.
#[derive(Debug, thiserror::Error)]
pub enum RuleDirectoryError {
    /// There is no such directory. An empty one would be a valid empty set; a missing one is a mistake.
    #[error("the rule directory `{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// It is something else.
    #[error("`{}` is no directory, expected one of rule files", .0.display())]
    NotADirectory(PathBuf),
    /// It cannot be listed.
    #[error("the rule directory `{}` cannot be read: {error}", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl Look {
    /// How it looks now.
    pub fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
        let modified = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { bytes: metadata.len(), modified, identity: identity(metadata) }
    }

    /// Whether it was changed so long ago that another change could not look the same.
    pub fn is_settled(&self) -> bool {
        // One from the future is not.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(self.modified) > GRAIN
    }

    /// As words, to be hashed.
    pub const fn words(&self) -> [i64; 7] {
        let [device, file, changed_s, changed_ns] = self.identity;
        let (seconds, nanos) = (self.modified.as_secs().cast_signed(), self.modified.subsec_nanos() as i64);
        [self.bytes.cast_signed(), seconds, nanos, device, file, changed_s, changed_ns]
    }
}

/// What differs between a file and another one put in its place.
#[cfg(unix)]
fn identity(metadata: &Metadata) -> [i64; 4] {
    use std::os::unix::fs::MetadataExt as _;
    [metadata.dev() as i64, metadata.ino() as i64, metadata.ctime(), metadata.ctime_nsec()]
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> [i64; 4] {
    [0; 4]
}

/// Reads the `*.toml` of a directory and the files that they name. Hidden files are left out: editors put their own
/// there while they save.
pub fn read_rules(directory: &Path) -> Result<RuleSources, RuleDirectoryError> {
    read_rules_knowing(directory, &KnownLists::default(), &mut SeenFiles::default())
}

/// The same where lists are known by the hashes of their files: those whose files look as they did are not read again.
pub fn read_rules_knowing(
    directory: &Path,
    known: &KnownLists,
    seen: &mut SeenFiles,
) -> Result<RuleSources, RuleDirectoryError> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => RuleDirectoryError::Missing(directory.to_owned()),
        io::ErrorKind::NotADirectory => RuleDirectoryError::NotADirectory(directory.to_owned()),
        _ => RuleDirectoryError::Unreadable { path: directory.to_owned(), error },
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut sources = RuleSources::default();
    for path in paths {
        let name = path.display().to_string();
        match read_text(&path) {
            Ok(text) => sources.files.push(SourceFile::new(name, text)),
            Err(problem) => drop(sources.unreadable.insert(name, problem)),
        }
    }
    let before = std::mem::take(seen);
    for (name, is_table) in data_files(&sources.files) {
        let data = if Path::new(&name).is_absolute() {
            Err("it is an absolute path".to_owned())
        } else {
            read_data(&directory.join(&name), &before, |hash| !is_table && known.contains_key(hash), seen)
        };
        sources.data.insert(name, data);
    }
    Ok(sources)
}

fn read_text(path: &Path) -> Result<String, String> {
    let bytes = read_regular(path, FILE_MAX_BYTES as u64)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count();
        format!("line {line} is not UTF-8")
    })
}

/// Reads the file of a list or a table, unless it looks as it did `before` and need not be read then.
fn read_data(
    path: &Path,
    before: &SeenFiles,
    is_known: impl Fn(&[u8; 32]) -> bool,
    seen: &mut SeenFiles,
) -> Result<Data, String> {
    // Looked at first: what changes while it is read looks otherwise the next time.
    let look = fs::metadata(path).ok().map(|metadata| Look::of(&metadata)).filter(Look::is_settled);
    let data = match (look, before.0.get(path)) {
        (Some(look), Some((known_look, hash))) if look == *known_look && is_known(hash) => Data::unchanged(*hash),
        _ => Data::read(read_regular(path, DATA_MAX_BYTES)?),
    };
    if let Some(look) = look {
        seen.0.insert(path.to_owned(), (look, *data.hash()));
    }
    Ok(data)
}

/// Reads a plain file. A device or a pipe might never end.
fn read_regular(path: &Path, max_bytes: u64) -> Result<Vec<u8>, String> {
    let problem = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "reading it is not permitted".to_owned(),
        _ => error.to_string(),
    };
    let metadata = fs::metadata(path).map_err(problem)?;
    if !metadata.is_file() {
        return Err(if metadata.is_dir() { "it is a directory" } else { "it is no plain file" }.to_owned());
    }
    if metadata.len() > max_bytes {
        return Err(format!("it has {} bytes, at most {max_bytes} are possible", metadata.len()));
    }
    fs::read(path).map_err(problem)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::scoring::lists::ListFile;

    #[test]
    fn reads_rule_files_and_what_they_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).expect(name);
        fs::create_dir(directory.path().join("lists")).expect("lists");
        fs::create_dir(directory.path().join("folder.toml")).expect("a folder");
        write("b.toml", b"[[list]]\nid = \"l\"\nfile = \"lists/l.csv\"\n[[table]]\nfile = \"nosuch.csv\"\n");
        write("a.toml", b"[[list]]\nid = \"m\"\nfile = \"/etc/passwd\"\n[[list]]\nfile = \"lists\"\n");
        write("bad.toml", b"# fine\n# \xff\n");
        write(".hidden.toml", b"x");
        write("readme.md", b"x");
        write("lists/l.csv", b"c_1\n");
        let sources = read_rules(directory.path()).expect("readable");
        let names: Vec<_> = sources.files.iter().map(|file| file.name.rsplit('/').next().unwrap_or_default()).collect();
        assert_eq!(names, ["a.toml", "b.toml"]);
        let data: Vec<_> = sources
            .data
            .iter()
            .map(|(name, data)| (name.as_str(), data.as_ref().map(|data| data.bytes().unwrap_or_default())))
            .collect();
        assert_eq!(data[0].0, "/etc/passwd");
        assert_eq!(data[0].1, Err(&"it is an absolute path".to_owned()));
        assert_eq!(data[1], ("lists", Err(&"it is a directory".to_owned())));
        assert_eq!(data[2], ("lists/l.csv", Ok(&b"c_1\n"[..])));
        assert_eq!(data[3], ("nosuch.csv", Err(&"there is no such file".to_owned())));
        let problems: Vec<_> = sources.unreadable.values().map(String::as_str).collect();
        assert_eq!(problems, ["line 2 is not UTF-8", "it is a directory"]);
    }

    #[test]
    fn a_list_that_looks_as_it_did_is_not_read_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let put = |name: &str, text: &str, age_s: u64| {
            fs::write(path(name), text).expect(name);
            let time = SystemTime::now() - Duration::from_secs(age_s);
            fs::File::options().append(true).open(path(name)).expect(name).set_modified(time).expect("set");
        };
        let table = "[[table]]\nid = \"t\"\nfile = \"t.csv\"\ntype = \"text\"\n";
        put("a.toml", &format!("[[list]]\nid = \"l\"\nfile = \"l.csv\"\n{table}"), 0);
        put("l.csv", "c_1\n", 10);
        put("t.csv", "a,b\n", 10);
        let mut seen = SeenFiles::default();
        let list = Arc::new(ListFile::parse(b"c_1\n", &mut Vec::new()));
        let known = KnownLists::from([(*list.hash(), list)]);
        let mut is_read = |known: &KnownLists, expected: &str| {
            let sources = read_rules_knowing(directory.path(), known, &mut seen).expect("readable");
            assert_eq!(
                sources.data["t.csv"].as_ref().map(Data::bytes),
                Ok(Some(&b"a,b\n"[..])),
                "a table is always read"
            );
            let data = sources.data["l.csv"].as_ref().expect("readable");
            assert_eq!(data.hash(), blake3::hash(expected.as_bytes()).as_bytes());
            data.bytes().is_some()
        };
        assert!(is_read(&known, "c_1\n"), "nothing was seen yet");
        assert!(!is_read(&known, "c_1\n"));
        assert!(is_read(&KnownLists::default(), "c_1\n"), "what it held is not known any more");
        put("l.csv", "c_2\n", 9);
        assert!(is_read(&known, "c_2\n"), "it was changed");
        put("l.csv", "c_1\n", 0);
        assert!(is_read(&known, "c_1\n"));
        assert!(is_read(&known, "c_1\n"), "it may be changed once more within the grain of the clock");
    }

    #[test]
    fn a_missing_directory_is_no_empty_one() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(read_rules(directory.path()).expect("empty").files.is_empty());
        let missing = read_rules(&directory.path().join("nosuch"));
        assert!(matches!(missing, Err(RuleDirectoryError::Missing(_))));
        let file = directory.path().join("file");
        fs::write(&file, "x").expect("a file");
        assert!(matches!(read_rules(&file), Err(RuleDirectoryError::NotADirectory(_))));
    }
}
