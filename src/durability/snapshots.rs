//! The snapshots of a folder: which there are, how one comes to be, which go. A snapshot is never taken from what
//! serves: it is what a restart would have, made of the one before it and of the journal since.

use std::io;

use super::{snapshot::Head, storage::Storage};

/// What the names of snapshots begin with.
const PREFIX: &str = "snapshot-";
/// What they end with.
const SUFFIX: &str = ".gsn";
/// What the name of one ends with that is being written.
const UNFINISHED: &str = ".tmp";

/// The name of a snapshot. Names sort in the order of what they hold.
pub fn snapshot_name(sequence: u64) -> String {
    format!("{PREFIX}{sequence:020}{SUFFIX}")
}

/// The snapshots there are, the newest last.
pub fn found_names<S: Storage>(storage: &mut S) -> io::Result<Vec<String>> {
    let mut names = storage.names()?;
    names.retain(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
    names.sort_unstable();
    Ok(names)
}

/// Writes a snapshot that is there whole or not at all, whatever happens meanwhile. How long it is.
///
/// `write` hands its bytes on. `fresh` files of the journal may not be safe from a power cut yet, and are made so first:
/// a snapshot is never ahead of the journal.
pub fn keep<'f, S: Storage>(
    storage: &mut S,
    head: &Head,
    fresh: impl Iterator<Item = &'f str>,
    write: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64>,
) -> io::Result<u64> {
    remove_unfinished(storage)?;
    let name = snapshot_name(head.sequence);
    let unfinished = format!("{name}{UNFINISHED}");
    storage.create(&unfinished)?;
    let bytes = write(&mut |bytes| storage.append(bytes))?;
    storage.begin_sync();
    storage.wait_sync()?;
    for file in fresh {
        match storage.sync_file(file) {
            // It was removed with age: nothing in it matters any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            synced => synced?,
        }
    }
    storage.rename(&unfinished, &name)?;
    Ok(bytes)
}

/// Removes the oldest beyond so many, and those that are damaged.
pub fn prune<S: Storage>(storage: &mut S, kept: usize, damaged: &[String]) -> io::Result<()> {
    let mut names = found_names(storage)?;
    for name in damaged.iter().filter(|name| names.contains(name)) {
        storage.remove(name)?;
    }
    names.retain(|name| !damaged.contains(name));
    for name in names.iter().rev().skip(kept.max(1)) {
        storage.remove(name)?;
    }
    Ok(())
}

/// What a process that was killed left of one.
fn remove_unfinished<S: Storage>(storage: &mut S) -> io::Result<()> {
    for name in storage.names()? {
        if name.starts_with(PREFIX) && name.ends_with(UNFINISHED) {
            storage.remove(&name)?;
        }
    }
    Ok(())
}
