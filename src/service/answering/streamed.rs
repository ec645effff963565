//! The stream path on the scoring thread: a message of the stream to what is told of it. Nobody waits for a reply, so
//! verdicts go where each is confirmed, under an identity that keeps it from being stored twice.

use std::collections::VecDeque;

use async_nats::{HeaderMap, HeaderName, HeaderValue, message::OutboundMessage};

use super::{Answering, Core, Moment, Voice, applied, copy_of, error_headers, not_ahead};
use crate::{
    durability::{
        record::{Answered, Reading, Record},
        replay::{self, ReplayError},
        storage::Storage,
    },
    scoring::{
        field::AttributeSchema,
        refusal::Refusal,
        scorer::Input,
        verdict::Tier,
        wire::{Route, decode_label, decode_outcome},
    },
    service::{
        copies::{Slice, Slicer},
        ledger::{Settled, Settlement, Unpublished},
        link::{Begin, Published, Streamed},
        outbox::Outbox,
        subjects::{StreamKind, Subjects},
    },
};

/// The header by which JetStream knows a message that it has stored already.
pub(super) const MESSAGE_ID: HeaderName = HeaderName::from_static("Nats-Msg-Id");
/// The header with the number of a refused message.
const SEQUENCE: HeaderName = HeaderName::from_static("Fraud-Stream-Sequence");

/// Keeps the verdict of a record if it is one of the stream's, until it is known to be published.
pub(super) fn unpublished_of(
    subjects: &Subjects,
    record: u64,
    input: &Record<'_>,
    voice: &mut Voice,
    unpublished: &mut VecDeque<Unpublished>,
) {
    match input {
        Record::Transaction(answered) => unpublished.extend(again(subjects, record, answered, voice)),
        Record::Mark(mark) => {
            // The last that is published stays: it tells whether the stream of verdicts still has it.
            while unpublished.get(1).is_some_and(|next| next.record <= mark.confirmed_record) {
                unpublished.pop_front();
            }
        }
        _ => {}
    }
}

impl Answering {
    /// Gives every verdict the identity that keeps a stream from storing it twice, and has the stream of verdicts confirm
    /// the copies of verdicts on requests below an inbox, if it does.
    pub fn stamp_verdicts(&mut self, confirm_below: Option<String>) {
        self.is_identifying = true;
        self.slicer = confirm_below.map(Slicer::new);
    }

    /// Goes on with that, or leaves it, for there is no stream.
    pub fn go_on_stamping(&mut self, goes_on: bool) {
        self.is_identifying = goes_on;
        if let Some(slicer) = &mut self.slicer {
            slicer.pause(!goes_on);
        }
    }

    /// Ends a slice of the copies, if they are confirmed.
    pub fn end_slice(&mut self, now_unix_ms: i64) -> Option<Slice> {
        let last = self.keeper.next_record().checked_sub(1)?;
        self.slicer.as_mut()?.end(last, now_unix_ms)
    }

    /// Whether messages of the stream have to wait, because what they change could not be written.
    pub fn is_waiting(&self) -> bool {
        self.keeper.refusal().is_some()
    }

    /// Tells up to which record the verdicts of the stream are published.
    pub fn confirm(&mut self, record: u64) {
        self.keeper.confirm(record);
    }

    /// Brings back what the journal holds, and says where the stream goes on. To be called before anything is answered.
    pub fn recover(&mut self, now_ms: i64) -> Result<Begin, String> {
        let Self { scorer, keeper, subjects, notebook, .. } = self;
        let mut unpublished = VecDeque::new();
        let mut voice = Voice::default();
        keeper.recover(scorer, notebook, now_ms, |record, input| {
            unpublished_of(subjects, record, input, &mut voice, &mut unpublished);
        })?;
        Ok(self.begin_of(unpublished))
    }

    /// Where the stream goes on.
    pub(super) fn begin_of(&self, mut unpublished: VecDeque<Unpublished>) -> Begin {
        // A file's preamble may tell more than the records that are left.
        let mark = self.keeper.mark();
        let mut published = None;
        while unpublished.front().is_some_and(|first| first.record <= mark.confirmed_record) {
            published = unpublished.pop_front().and_then(|Unpublished { record, origin, message }| {
                let identity = message.headers?.get(MESSAGE_ID)?.as_str().to_owned();
                Some(Published { record, identity, stored_ms: origin.stored_ms })
            });
        }
        let last = self.keeper.next_record().saturating_sub(1);
        Begin { taken: mark.taken, unpublished: unpublished.into(), published, last }
    }

    /// Takes in a message of the stream, and says what came of it.
    pub fn take_streamed(&mut self, streamed: &Streamed, now: Moment, out: &mut Outbox) {
        let Streamed { token, origin, message } = streamed;
        self.keeper.come_from(Some(*origin));
        let subject = message.subject.as_bytes();
        let routed = self.subjects.stream_route(subject);
        let kind = routed.as_ref().map_or("unknown", |(kind, _)| kind.name());
        self.metrics.stream.messages.with_label_values(&[kind]).inc();
        self.metrics.stream.sequence.set(i64::try_from(origin.sequence).unwrap_or(i64::MAX));
        let settled = routed.and_then(|(kind, route)| match kind {
            StreamKind::Transaction => self.score_streamed(&message.payload, route, now),
            StreamKind::Outcome | StreamKind::Label => self.take_in_streamed(kind, &message.payload, route, now),
        });
        let (record, settlement) = settled.unwrap_or_else(|refusal| {
            self.tally.refusal(&self.metrics, &refusal);
            let mut body = Vec::new();
            refusal.encode(&mut body);
            let mut headers = HeaderMap::new();
            error_headers(&refusal, &mut headers);
            headers.insert(SEQUENCE, HeaderValue::from(origin.sequence));
            // Refused again, it is stored once.
            let identity = format!("refused/{}/{}", origin.sequence, origin.stored_ms);
            headers.insert(MESSAGE_ID, HeaderValue::from(identity));
            let subject = self.subjects.refused(&message.subject);
            let notice = OutboundMessage { subject, reply: None, payload: body.into(), headers: Some(headers) };
            (0, Settlement::Refused(notice))
        });
        self.keeper.come_from(None);
        out.settle(Settled { token: *token, record, settlement });
    }

    fn score_streamed(&mut self, payload: &[u8], route: Route<'_>, now: Moment) -> Result<(u64, Settlement), Refusal> {
        let record = self.keeper.next_record();
        let Self { scorer, keeper, voice, tally, metrics, subjects, skew_ms, latest, releases, notebook, .. } = self;
        let mut core =
            Core { scorer, keeper, subjects, metrics, tally, notebook, skew_ms: *skew_ms, is_identifying: true };
        let transaction = core.decode(payload, route, now)?;
        let answer = core.apply(&transaction, Tier::Full, voice)?;
        let Some(copy) = answer.copy else { return Ok((0, Settlement::Applied)) };
        latest.keep(payload, route.processor, *releases, core.scorer);
        Ok((record, Settlement::Verdict(copy)))
    }

    fn take_in_streamed(
        &mut self,
        kind: StreamKind,
        payload: &[u8],
        route: Route<'_>,
        now: Moment,
    ) -> Result<(u64, Settlement), Refusal> {
        if kind == StreamKind::Outcome {
            let outcome = decode_outcome(payload, route)?;
            not_ahead(outcome.time, self.skew_ms, now)?;
            applied(self.scorer.apply(Input::Outcome(&outcome)))?;
            self.keeper.outcome(&outcome);
        } else {
            let label = decode_label(payload, route)?;
            not_ahead(label.time, self.skew_ms, now)?;
            self.notebook.label(&label);
            applied(self.scorer.apply(Input::Label(&label)))?;
            self.keeper.label(&label);
        }
        self.tally.applied(&self.metrics, kind.name());
        Ok((0, Settlement::Applied))
    }
}

/// Shows every verdict after a record as it was published or was about to be, with its record and the time at which the
/// stream stored its transaction, if it came from one.
pub fn verdicts_after<S: Storage>(
    storage: &mut S,
    subjects: &Subjects,
    after: u64,
    mut each: impl FnMut(u64, Option<i64>, OutboundMessage) -> bool,
) -> Result<(), ReplayError> {
    let mut voice = Voice::default();
    // Attributes are no part of what is published.
    replay::read_late(storage, &AttributeSchema::default(), after, |record: Option<u64>, input, _: Option<&Reading>| {
        let (Some(record), Record::Transaction(answered)) = (record.filter(|record| *record > after), &input) else {
            return true;
        };
        let Answered { transaction, decision, body, origin, .. } = &**answered;
        let message = copy_of(subjects, transaction, *decision, (body.clone().into(), true), &mut voice);
        each(record, origin.map(|origin| origin.stored_ms), message)
    })
}

/// The verdict of a transaction of the stream, as it was published or was about to be.
fn again(subjects: &Subjects, record: u64, answered: &Answered<'_>, voice: &mut Voice) -> Option<Unpublished> {
    let Answered { transaction, decision, body, origin, .. } = answered;
    let message = copy_of(subjects, transaction, *decision, (body.clone().into(), true), voice);
    origin.map(|origin| Unpublished { record, origin, message })
}

/// What a verdict is known by, wherever it is stored: processor, card and id. Whatever an id has that no header may
/// hold is written by its bytes.
pub(super) fn message_id(processor: &str, card: &str, id: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(processor.len() + card.len() + id.len() + 2);
    text.push_str(processor);
    text.push('/');
    text.push_str(card);
    text.push('/');
    for byte in id.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_one_of_a_kind_and_fits_a_header() {
        for (id, expected) in [
            ("t-91", "p/c/t-91"),
            ("a/b", "p/c/a/b"),
            ("50%", "p/c/50%25"),
            ("a b\r\n", "p/c/a%20b%0D%0A"),
            ("\u{e9}", "p/c/%C3%A9"),
        ] {
            assert_eq!(message_id("p", "c", id), expected);
        }
    }
}
