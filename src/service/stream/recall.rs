//! What the stream of verdicts lacks, published again from the journal, each so that its storing is confirmed. It scores
//! nothing and asks nothing of the scoring thread.

use std::{
    collections::{BTreeSet, VecDeque},
    path::PathBuf,
};

use async_nats::{
    HeaderMap,
    header::NATS_MESSAGE_ID,
    jetstream::{
        Context, ErrorCode,
        stream::{LastRawMessageErrorKind, Stream},
    },
    message::OutboundMessage,
};
use futures_util::FutureExt as _;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::setup::{self, SetupError};
use crate::{
    durability::folder::Folder,
    service::{
        answering::verdicts_after,
        copies::{Bookmark, Gap},
        link::Published,
        subjects::Subjects,
    },
};

/// Verdicts that are published before the first of them must be confirmed.
const IN_FLIGHT_MAX: usize = 256;
/// So many records back a start looks for verdicts that the stream has forgotten: what a busy service writes in the two
/// minutes that brokers leave between two syncs.
const RECORDS_BACK: u64 = 1 << 19;

/// Where the verdicts come from and go to.
#[derive(Clone)]
pub(super) struct Recall {
    pub(super) context: Context,
    pub(super) verdicts: Stream,
    pub(super) dir: PathBuf,
    pub(super) subjects: Subjects,
}

/// What was done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recalled {
    /// Verdicts that had not been stored.
    pub(super) published: u64,
    /// The record up to which all are.
    pub(super) last: u64,
}

struct Past {
    record: u64,
    stored_ms: Option<i64>,
    message: OutboundMessage,
}

impl Recall {
    /// Publishes what is missing from a gap on, up to a record.
    pub(super) async fn gap(&self, gap: Gap, up_to: u64) -> Result<Recalled, SetupError> {
        self.run(gap, up_to, false).await
    }

    /// If the last verdict that an earlier process knew to be stored is not there, publishes what is missing of the
    /// stream's. What copies are missing nobody knows: the journal does not say when requests came.
    pub(super) async fn since(&self, published: &Published, up_to: u64) -> Result<Option<Recalled>, SetupError> {
        let info = self.verdicts.get_info().await.map_err(|error| SetupError::Unavailable(error.to_string()))?;
        let state = &info.state;
        // What has been there for long leaves it in the end.
        let has_dropped = state.first_sequence > 1;
        if has_dropped && (state.messages == 0 || published.stored_ms < setup::unix_ms(state.first_timestamp)) {
            return Ok(None);
        }
        let stored = setup::stored_since(&self.verdicts, published.stored_ms).await?;
        if stored.contains(&published.identity) {
            return Ok(None);
        }
        let after = published.record.saturating_sub(RECORDS_BACK);
        let mut past = self.read(after);
        let mut since_ms = None;
        while let Some(Past { stored_ms, .. }) = past.recv().await {
            since_ms = stored_ms;
            if since_ms.is_some() {
                break;
            }
        }
        drop(past);
        let since_ms = since_ms.unwrap_or(published.stored_ms);
        self.run(Gap { after, since_ms }, up_to, true).await.map(Some)
    }

    /// The last number that the stream has given out.
    pub(super) async fn last_number(&self) -> Result<u64, SetupError> {
        let info = self.verdicts.get_info().await.map_err(|error| SetupError::Unavailable(error.to_string()))?;
        Ok(info.state.last_sequence)
    }

    /// Whether the stream still holds the message of a bookmark, or has dropped it because it is old.
    pub(super) async fn holds(&self, bookmark: &Bookmark) -> Result<bool, SetupError> {
        match self.verdicts.get_raw_message(bookmark.sequence).await {
            Ok(message) => Ok(identity_of(&message.headers) == Some(&*bookmark.identity)),
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => {
                    let info = self.verdicts.get_info().await;
                    let state = info.map_err(|error| SetupError::Unavailable(error.to_string()))?.state;
                    Ok(bookmark.sequence < state.first_sequence && bookmark.sequence <= state.last_sequence)
                }
                LastRawMessageErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    Err(SetupError::Mismatch("the stream of verdicts is gone".into()))
                }
                _ => Err(SetupError::Unavailable(error.to_string())),
            },
        }
    }

    /// A bookmark at a message of the stream, if it is there.
    pub(super) async fn bookmark(&self, sequence: u64, from: Gap) -> Option<Bookmark> {
        let message = self.verdicts.get_raw_message(sequence).await.ok()?;
        Some(Bookmark { sequence, identity: identity_of(&message.headers)?.to_owned(), from })
    }

    async fn run(&self, gap: Gap, up_to: u64, is_of_stream_only: bool) -> Result<Recalled, SetupError> {
        let unavailable = |error: &dyn std::fmt::Display| SetupError::Unavailable(error.to_string());
        let stored: BTreeSet<String> = setup::stored_since(&self.verdicts, gap.since_ms).await?;
        let mut recalled = Recalled { published: 0, last: gap.after };
        let mut past = self.read(gap.after);
        let mut waiting = VecDeque::new();
        while let Some(Past { record, stored_ms, message }) = past.recv().await {
            // What was published just now may be stored just now.
            if record > up_to {
                break;
            }
            recalled.last = record;
            if identity(&message).is_none_or(|identity| stored.contains(identity))
                || (is_of_stream_only && stored_ms.is_none())
            {
                continue;
            }
            let headers = message.headers.unwrap_or_default();
            let sent = self.context.publish_with_headers(message.subject, headers, message.payload);
            waiting.push_back(sent.await.map_err(|error| unavailable(&error))?.into_future().boxed());
            recalled.published += 1;
            if waiting.len() >= IN_FLIGHT_MAX
                && let Some(first) = waiting.pop_front()
            {
                first.await.map_err(|error| unavailable(&error))?;
            }
        }
        for confirmed in waiting {
            confirmed.await.map_err(|error| unavailable(&error))?;
        }
        Ok(recalled)
    }

    /// Reads verdicts from the journal, on a thread that may wait for the disk.
    fn read(&self, after: u64) -> mpsc::Receiver<Past> {
        let (to, past) = mpsc::channel(IN_FLIGHT_MAX);
        let (dir, subjects) = (self.dir.clone(), self.subjects.clone());
        spawn_blocking(move || {
            let mut folder = match Folder::beside(&dir) {
                Ok(folder) => folder,
                Err(error) => return tracing::error!(%error, "verdicts of before cannot be read"),
            };
            let read = verdicts_after(&mut folder, &subjects, after, |record, stored_ms, message| {
                to.blocking_send(Past { record, stored_ms, message }).is_ok()
            });
            if let Err(error) = read {
                tracing::error!(%error, "verdicts of before cannot be read");
            }
        });
        past
    }
}

/// What a stream knows a verdict by.
pub(super) fn identity(message: &OutboundMessage) -> Option<&str> {
    identity_of(message.headers.as_ref()?)
}

fn identity_of(headers: &HeaderMap) -> Option<&str> {
    Some(headers.get(NATS_MESSAGE_ID)?.as_str())
}
