//! A folder that another process still has: its snapshot and journal are read while it grows, until it is free. Nothing
//! is written before that.

use std::{mem, num::NonZero, path::PathBuf, time::Instant};

use super::{Keeper, State, note};
use crate::{
    durability::{
        folder::{Folder, FolderError},
        journal::{Journal, JournalSettings},
        rebuild::Rebuild,
        record::Record,
    },
    scoring::scorer::Scorer,
    service::{handing::Handing, quality::Notebook},
};

/// So many records behind, the rest can wait for the end.
const NEAR_RECORDS: u64 = 1_000;

/// A past that follows another process.
pub(super) struct Succession {
    path: PathBuf,
    settings: JournalSettings,
    folder: Folder,
    rebuild: Option<Rebuild>,
    since: Instant,
}

impl Succession {
    /// Of a folder that is in use.
    pub(super) fn of(path: PathBuf, settings: JournalSettings) -> Result<Self, FolderError> {
        let folder = Folder::beside(&path)?;
        Ok(Self { path, settings, folder, rebuild: None, since: Instant::now() })
    }
}

impl Keeper {
    /// Whether another process still has the folder.
    pub fn is_succeeding(&self) -> bool {
        matches!(self.state, State::Succeeding(_))
    }

    /// Where processes hand the folder over to one another.
    pub fn handing(&self) -> Option<Handing> {
        self.dir.as_deref().map(Handing::new)
    }

    /// Whether nobody has the folder.
    pub fn is_folder_free(&self) -> bool {
        self.dir.as_deref().is_some_and(Folder::is_free)
    }

    /// Lets the folder go, at the end.
    pub fn release_folder(&mut self) {
        self.state = State::Off;
    }

    /// Reads what the other process has written, until there is little left to read.
    pub fn follow(&mut self, scorer: &mut Scorer, notebook: &mut Notebook) -> Result<(), String> {
        let State::Succeeding(succession) = &mut self.state else { return Ok(()) };
        let Succession { folder, rebuild, .. } = &mut **succession;
        let release = scorer.release().clone();
        let threads = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        let rebuild = rebuild.get_or_insert_with(|| Rebuild::begin(folder, scorer, threads));
        loop {
            let before = rebuild.sequence();
            let followed = rebuild.follow(folder, scorer, |_, record| {
                note(notebook, &release, record);
                true
            });
            followed.map_err(|error| error.to_string())?;
            if rebuild.sequence() < before + NEAR_RECORDS {
                return Ok(());
            }
        }
    }

    /// Takes the folder once it is free, reads the rest, and begins to write. `see` is shown the records whose verdicts a
    /// stream may still lack. Whether it was free.
    pub fn succeed(
        &mut self,
        scorer: &mut Scorer,
        notebook: &mut Notebook,
        now_ms: i64,
        mut see: impl FnMut(u64, &Record<'_>),
    ) -> Result<bool, String> {
        let State::Succeeding(succession) = &self.state else { return Ok(true) };
        let owned = match Folder::open(&succession.path) {
            Ok(owned) => owned,
            Err(FolderError::InUse(_)) => return Ok(false),
            Err(error) => return Err(error.to_string()),
        };
        self.follow(scorer, notebook)?;
        let State::Succeeding(succession) = mem::replace(&mut self.state, State::Off) else { return Ok(true) };
        let Succession { settings, mut folder, rebuild, since, .. } = *succession;
        let Some(mut rebuild) = rebuild else { return Ok(true) };
        self.tell_snapshots(&rebuild, since);
        rebuild.unpublished(&mut folder, scorer, &mut see).map_err(|error| error.to_string())?;
        let (replayed, missing) = (mem::take(&mut rebuild.replayed), rebuild.missing());
        let found = rebuild.end();
        self.tell(&found, &replayed, missing, since);
        self.state = State::Writing(Box::new(Journal::new(Box::new(owned), settings, found, scorer.release(), now_ms)));
        self.tell_events();
        Ok(true)
    }
}
