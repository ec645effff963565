//! A rule directory, read from disk: rule files, and the lists and tables that they name. It judges nothing of what
//! they say.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::scoring::rules::{FILE_MAX_BYTES, RuleSources, SourceFile, data_files};

/// The largest file of a list or table: its entries are held in at most as much memory.
const DATA_MAX_BYTES: u64 = 4 << 30;

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

/// Reads the `*.toml` of a directory and the files that they name. Hidden files are left out: editors put their own
/// there while they save.
pub fn read_rules(directory: &Path) -> Result<RuleSources, RuleDirectoryError> {
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
            Ok(text) => sources.files.push(SourceFile { name: name.into(), text }),
            Err(problem) => drop(sources.unreadable.insert(name, problem)),
        }
    }
    let names = data_files(&sources.files);
    sources.data =
        names.into_iter().map(|name| (name.clone(), read_data(directory, &name))).collect::<BTreeMap<_, _>>();
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

fn read_data(directory: &Path, name: &str) -> Result<Vec<u8>, String> {
    if Path::new(name).is_absolute() {
        return Err("it is an absolute path".to_owned());
    }
    read_regular(&directory.join(name), DATA_MAX_BYTES)
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
    use super::*;

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
        let data: Vec<_> = sources.data.iter().map(|(name, data)| (name.as_str(), data.as_deref())).collect();
        assert_eq!(data[0].0, "/etc/passwd");
        assert_eq!(data[0].1, Err(&"it is an absolute path".to_owned()));
        assert_eq!(data[1], ("lists", Err(&"it is a directory".to_owned())));
        assert_eq!(data[2], ("lists/l.csv", Ok(&b"c_1\n"[..])));
        assert_eq!(data[3], ("nosuch.csv", Err(&"there is no such file".to_owned())));
        let problems: Vec<_> = sources.unreadable.values().map(String::as_str).collect();
        assert_eq!(problems, ["line 2 is not UTF-8", "it is a directory"]);
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
