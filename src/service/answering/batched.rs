//! Batches: many transactions in one message, which has one deadline. Nothing here is answered by itself.

use std::time::Instant;

use bytes::Bytes;

use super::{
    super::{
        batch::{self, Answers},
        outbox::Outbox,
        queue::Received,
        subjects::Kind,
    },
    Answering, HEADERS_RESERVE_BYTES, Moment, no_time, past_deadline, reply,
};
use crate::scoring::{
    refusal::{Refusal, RefusalClass},
    verdict::Tier,
    wire::Route,
};

/// One of so many is measured.
const MEASURED_EVERY: usize = 8;

/// What the transactions of a batch have in common.
#[derive(Clone, Copy)]
struct Common<'m> {
    route: Route<'m>,
    deadline_ms: Option<i64>,
}

impl Answering {
    /// Answers every transaction of a batch, in order, as one message.
    pub(super) fn batch(&mut self, received: &Received, now: Moment, out: &mut Outbox) -> Result<Instant, Refusal> {
        let Received { message: request, arrived, deadline_ms, .. } = received;
        let (arrived, deadline_ms) = (*arrived, *deadline_ms);
        let common = Common { route: self.subjects.route(Kind::Batch, request.subject.as_bytes())?, deadline_ms };
        let elements = batch::split(&request.payload)?;
        let room = self.payload_max_bytes.saturating_sub(HEADERS_RESERVE_BYTES);
        let mut answers = Answers::begin(std::mem::take(&mut self.voice.body), elements.len(), room)?;
        let copies = out.len();
        if deadline_ms.is_some_and(|deadline_ms| !self.pace.fits(self.left(deadline_ms, now), elements.len())) {
            // There is no time for all of them, so there is none for the message.
            return Err(no_time());
        }
        let mut over = None;
        for (place, element) in elements.iter().enumerate() {
            let behind = elements.len() - place - 1;
            let answered = match &over {
                _ if !answers.has_room() => Err(batch::answer_too_large()),
                // What comes later may follow what was refused: a reversal its parent.
                Some(refusal) => Err(Refusal::clone(refusal)),
                None => self.element(element, common, (now, place, behind), out),
            };
            if let Err(refusal) = &answered
                && matches!(refusal.class, RefusalClass::PastDeadline | RefusalClass::Overloaded)
            {
                over.get_or_insert_with(|| refusal.clone());
            }
            if let Some(refusal) = answers.push(answered) {
                self.tally.refusal(&self.metrics, &refusal);
            }
        }
        let body = answers.finish();
        let done = Instant::now();
        reply(received, Bytes::copy_from_slice(&body), false, done - arrived, out);
        if request.reply.is_some() {
            // Whoever asked waits; whoever listens to the copies does not.
            out.bring_forward(copies);
        }
        self.tally.latency(done - arrived);
        self.voice.body = body;
        Ok(done)
    }

    /// Answers one of them, with the fullest tier that what is left of the time has room for if all that are left of the
    /// batch get it too.
    fn element(
        &mut self,
        element: &[u8],
        Common { route, deadline_ms }: Common<'_>,
        (began, place, behind): (Moment, usize, usize),
        out: &mut Outbox,
    ) -> Result<Bytes, Refusal> {
        let is_due = place.is_multiple_of(MEASURED_EVERY) || self.pace.is_tried(Tier::Full);
        let now = if is_due || deadline_ms.is_some() { began.at(Instant::now()) } else { began };
        if deadline_ms.is_some_and(|deadline_ms| now.unix_ms > deadline_ms) {
            return Err(past_deadline());
        }
        let tier = match self.tier(deadline_ms, now, behind) {
            Ok(tier) => tier,
            // Not all that are left can be answered, but the first of them can.
            Err(_) if deadline_ms.is_some_and(|deadline_ms| self.pace.fits(self.left(deadline_ms, now), 1)) => {
                Tier::StandIn
            }
            Err(refusal) => return Err(refusal),
        };
        let is_measured = is_due || self.pace.is_tried(tier);
        let (answer, _) = self.transaction(element, route, (tier, is_measured), now, out)?;
        if is_measured {
            self.pace.measure(tier, now.instant.elapsed());
        }
        Ok(answer.body)
    }
}
