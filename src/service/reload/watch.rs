//! Tells that files have changed: by the system's word where it gives one, and by looking now and then. It reads none.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};

use crate::files::Look;

/// What is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Folders whose listing counts: a file that is added there is one more to read.
    pub(super) folders: BTreeSet<PathBuf>,
    /// Files whose content counts.
    pub(super) files: BTreeSet<PathBuf>,
}

/// How everything watched looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    hash: [u8; 32],
    /// Nothing has changed so lately that another change could look the same.
    pub(super) is_settled: bool,
}

/// The system's notices of changes. It may give none, as on network mounts: then looking must do.
pub(super) struct Notices {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Notices {
    /// Calls back with every change that may matter.
    pub(super) fn new(changed: impl Fn() + Send + 'static) -> Self {
        let told = move |event: notify::Result<Event>| {
            // To read a file is an event as well, and this very program reads them.
            let is_reading = |event: &Event| {
                let is_written = event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write));
                event.kind.is_access() && !is_written
            };
            if !event.as_ref().is_ok_and(is_reading) {
                changed();
            }
        };
        let watcher = notify::recommended_watcher(told)
            .inspect_err(|error| tracing::warn!(%error, "changes of files are found by looking alone"))
            .ok();
        Self { watcher, watched: BTreeSet::new() }
    }

    /// Follows these places from now on: also where links lead, which may be elsewhere after each change.
    pub(super) fn follow(&mut self, places: &Places) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut folders = BTreeSet::new();
        for path in places.folders.iter().chain(&places.files) {
            folders.extend(parent(path));
            folders.extend(fs::canonicalize(path).ok().and_then(|path| parent(&path)));
        }
        folders.extend(places.folders.iter().cloned());
        folders.retain(|folder| folder.is_dir());
        for gone in self.watched.difference(&folders) {
            // What is gone is no longer watched anyway.
            let _ = watcher.unwatch(gone);
        }
        for folder in &folders {
            // A folder that was removed and is there again must be watched anew, so each is asked for each time.
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, folder = %folder.display(), "it is looked at now and then");
            }
        }
        self.watched = folders;
    }
}

fn parent(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() })
}

impl Stamp {
    /// How these places look now.
    pub(super) fn of(places: &Places) -> Self {
        let mut stamp = Self { hash: [0; 32], is_settled: true };
        let mut hasher = blake3::Hasher::new();
        for folder in &places.folders {
            let mut names: Vec<PathBuf> = listing(folder).unwrap_or_default();
            names.sort();
            for name in names {
                stamp.put(&mut hasher, &name);
            }
        }
        for file in &places.files {
            stamp.put(&mut hasher, file);
        }
        stamp.hash = *hasher.finalize().as_bytes();
        stamp
    }

    fn put(&mut self, hasher: &mut blake3::Hasher, path: &Path) {
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update(&[0]);
        let Ok(metadata) = fs::metadata(path) else { return };
        let look = Look::of(&metadata);
        self.is_settled &= look.is_settled();
        for number in look.words() {
            hasher.update(&number.to_le_bytes());
        }
    }
}

/// The files of a folder that could be rules or models.
fn listing(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let matters = |extension: &std::ffi::OsStr| extension == "toml" || extension == crate::loading::MODEL_EXTENSION;
        if path.extension().is_some_and(matters) {
            paths.push(path);
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_edit_shows() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| fs::write(path(name), text).expect(name);
        let places = || Places {
            folders: [folder.path().to_owned()].into(),
            files: [path("list.csv"), path("link.csv")].into(),
        };
        let mut last = Stamp::of(&places());
        let mut changes = |what: &str, expected: bool| {
            let now = Stamp::of(&places());
            assert_eq!(now.hash != last.hash, expected, "{what}");
            last = now;
        };
        write("a.toml", "1");
        changes("a rule file is added", true);
        changes("nothing", false);
        write("notes.md", "1");
        changes("a file that is no rule file is added", false);
        write("a.toml", "22");
        changes("it is written over", true);
        write("new", "22");
        fs::rename(path("new"), path("a.toml")).expect("renamed");
        changes("another one of the same size is put in its place", true);
        write("list.csv", "c_1");
        changes("a list comes", true);
        fs::remove_file(path("a.toml")).expect("removed");
        changes("it is removed", true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            for version in ["v1", "v2"] {
                fs::create_dir(path(version)).expect("a folder");
                fs::write(path(version).join("x.csv"), "c_1").expect("written");
            }
            symlink(path("v1"), path("data")).expect("linked");
            symlink(path("data").join("x.csv"), path("link.csv")).expect("linked");
            changes("a file behind two links", true);
            symlink(path("v2"), path("next")).expect("linked");
            fs::rename(path("next"), path("data")).expect("renamed");
            changes("the link to its folder is swapped", true);
        }
    }
}
