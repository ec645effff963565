//! A scorer's past from the disk: the newest snapshot that can be used, then the journal from there on. A restart, the
//! next snapshot, a refill and a second process use the same code, so what one of them has the others would have.

use std::{io, num::NonZero};

use super::{
    position::StreamMark,
    record::{Reading, Record},
    replay::{FileInfo, Found, Known, Reader, ReplayError, Replayed, restore, retention_ms},
    snapshot::{Head, SnapshotError, load, write},
    snapshots::{found_names, keep, prune},
    storage::Storage,
};
use crate::scoring::{release::Release, scorer::Scorer};

/// A snapshot that was not used.
#[derive(Debug)]
pub struct Refused {
    /// The file.
    pub name: String,
    /// Why.
    pub error: SnapshotError,
}

/// A past on its way into a scorer.
pub struct Rebuild {
    reader: Reader,
    /// What took effect again so far.
    pub replayed: Replayed,
    /// The snapshot that it began with.
    pub from: Option<Head>,
    /// Newer ones that were of no use.
    pub refused: Vec<Refused>,
}

impl Rebuild {
    /// Reads the newest snapshot of use into a scorer without a past.
    pub fn begin<S: Storage>(storage: &mut S, scorer: &mut Scorer, threads: NonZero<usize>) -> Self {
        let mut refused = Vec::new();
        let mut from = None;
        // What cannot be listed cannot be read either, and the journal will say so.
        for name in found_names(storage).unwrap_or_default().into_iter().rev() {
            let read = storage.read(&name).map_err(SnapshotError::from);
            match read.and_then(|bytes| load(scorer, &bytes, threads)) {
                Ok(head) => {
                    from = Some(head);
                    break;
                }
                Err(error) => refused.push(Refused { name, error }),
            }
        }
        let schema = &scorer.release().settings.schema;
        let reader = match &from {
            Some(head) => Reader::after(schema, head.sequence, head.highest_ms, &head.known()),
            None => Reader::new(schema),
        };
        Self { reader, replayed: Replayed::default(), from, refused }
    }

    /// Lets everything that has come since the last time take effect. `false` where it was told not to go on.
    pub fn follow<S: Storage>(
        &mut self,
        storage: &mut S,
        scorer: &mut Scorer,
        mut see: impl FnMut(Option<u64>, &Record<'_>) -> bool,
    ) -> Result<bool, ReplayError> {
        let Self { reader, replayed, .. } = self;
        reader.follow(storage, &mut |number: Option<u64>, record: Record<'_>, reading: Option<&Reading>| {
            restore(scorer, &record, reading, replayed);
            see(number, &record)
        })
    }

    /// Shows the records that the snapshot holds, but whose verdicts a stream may still lack.
    pub fn unconfirmed<S: Storage>(
        &self,
        storage: &mut S,
        scorer: &Scorer,
        see: &mut impl FnMut(u64, &Record<'_>),
    ) -> Result<(), ReplayError> {
        let Some(Head { stream, streamed_record, files, .. }) = &self.from else { return Ok(()) };
        look(storage, scorer, (files, *stream), *streamed_record, see)
    }

    /// Shows the records read so far whose verdicts a stream may still lack.
    pub fn unpublished<S: Storage>(
        &self,
        storage: &mut S,
        scorer: &Scorer,
        see: &mut impl FnMut(u64, &Record<'_>),
    ) -> Result<(), ReplayError> {
        let Found { files, stream, .. } = self.reader.found();
        look(storage, scorer, (files, *stream), self.reader.streamed_record(), see)
    }

    /// The same for frames of the journal that are in memory.
    pub fn frames(&mut self, bytes: &[u8], scorer: &mut Scorer) {
        let Self { reader, replayed, .. } = self;
        reader.frames(bytes, &mut |_: Option<u64>, record: Record<'_>, reading: Option<&Reading>| {
            restore(scorer, &record, reading, replayed);
            true
        });
    }

    /// The number of the last record that took effect.
    pub fn sequence(&self) -> u64 {
        self.reader.next_sequence() - 1
    }

    /// Records that are missing up to there, and damaged places.
    pub fn missing(&self) -> u64 {
        let Found { lost, unreadable, damage, .. } = self.reader.found();
        let before = self.from.as_ref().map_or(0, |head| head.missing);
        before.saturating_add(*lost).saturating_add(*unreadable).saturating_add(damage.len() as u64)
    }

    /// Whether it holds everything that can matter to a release: the journal reaches back far enough, and nothing in it is
    /// missing.
    pub fn is_complete(&self, release: &Release) -> bool {
        let found = self.reader.found();
        let is_from_the_beginning = found.files.first().is_none_or(|file| file.first_sequence <= 1);
        let oldest_ms = self.reader.highest_ms().saturating_sub(retention_ms(release));
        // Files go once all in them is older: the next one may begin a little later.
        let oldest_ms = oldest_ms.saturating_add(release.settings.windows.lateness_ms);
        let reaches_back = found.first_ms.is_some_and(|first_ms| first_ms <= oldest_ms);
        self.missing() == 0 && (self.from.is_some() || is_from_the_beginning || reaches_back)
    }

    /// What a snapshot of the scorer says of itself.
    pub fn head(&self, identity: u128, taken_unix_ms: i64) -> Head {
        Head {
            sequence: self.sequence(),
            taken_unix_ms,
            missing: self.missing(),
            highest_ms: self.reader.highest_ms(),
            stream: self.reader.found().stream,
            streamed_record: self.reader.streamed_record(),
            is_mixed: self.reader.found().is_mixed,
            identity,
            files: self.reader.found().files.clone(),
        }
    }

    /// What was found of the journal.
    pub fn found(&self) -> &Found {
        self.reader.found()
    }

    /// The same at the end, for whoever goes on writing.
    pub fn end(self) -> Found {
        self.reader.end()
    }
}

/// Shows the records of a stream that are not confirmed, up to one.
fn look<S: Storage>(
    storage: &mut S,
    scorer: &Scorer,
    (files, stream): (&[FileInfo], StreamMark),
    last: u64,
    see: &mut impl FnMut(u64, &Record<'_>),
) -> Result<(), ReplayError> {
    // The last that is confirmed as well: it tells whether the stream of verdicts still has what it had.
    let first = stream.confirmed_record.saturating_sub(1);
    if first >= last {
        return Ok(());
    }
    let schema = &scorer.release().settings.schema;
    let known = Known { files, stream, streamed_record: 0, is_mixed: false };
    let mut reader = Reader::after(schema, first, i64::MIN, &known);
    reader.follow(storage, &mut |number: Option<u64>, record: Record<'_>, _: Option<&Reading>| {
        let number = number.unwrap_or_default();
        if number > first && number <= last {
            see(number, &record);
        }
        number < last
    })?;
    Ok(())
}

/// A snapshot that was taken.
pub struct Taken {
    /// What it says of itself.
    pub head: Head,
    /// How long it is; `None` where the newest one holds everything already.
    pub bytes: Option<u64>,
    /// Newer ones that were of no use.
    pub refused: Vec<Refused>,
    /// What was found of the journal since the one before.
    pub found: Found,
}

/// Why no snapshot was taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The journal cannot be read.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// It cannot be written.
    #[error("the snapshot cannot be written: {0}")]
    Write(#[from] io::Error),
    /// Somebody was in more of a hurry.
    #[error("it was told to stop")]
    Stopped,
}

/// Takes a snapshot for the windows that a release asks for, beside whoever writes the journal.
pub fn take<S: Storage>(
    storage: &mut S,
    release: Release,
    kept: usize,
    now_unix_ms: i64,
    goes_on: &dyn Fn() -> bool,
) -> Result<Taken, TakeError> {
    let mut scorer = Scorer::new(release);
    let mut rebuild = Rebuild::begin(storage, &mut scorer, NonZero::<usize>::MIN);
    if !rebuild.follow(storage, &mut scorer, |_, _| goes_on())? {
        return Err(TakeError::Stopped);
    }
    let head = rebuild.head(scorer.identity(), now_unix_ms);
    let mut bytes = None;
    if rebuild.from.as_ref().is_none_or(|from| from.sequence < head.sequence) {
        let known = rebuild.from.as_ref().map_or(&[][..], |from| &from.files);
        let fresh = head.files.iter().filter(|file| !known.contains(file)).map(|file| file.name.as_str());
        bytes = Some(keep(storage, &head, fresh, |to| {
            write(&scorer, &head, &mut |bytes| {
                if goes_on() { to(bytes) } else { Err(io::ErrorKind::Interrupted.into()) }
            })
        })?);
    }
    let damaged = rebuild.refused.iter().filter(|refused| refused.error.code() == "damaged");
    let damaged: Vec<String> = damaged.map(|refused| refused.name.clone()).collect();
    prune(storage, kept, &damaged)?;
    let refused = std::mem::take(&mut rebuild.refused);
    Ok(Taken { head, bytes, refused, found: rebuild.end() })
}
