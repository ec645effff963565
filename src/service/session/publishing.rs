//! What was said, on its way to the client: answers first, refusals of what there was no time for where there is room. It
//! drops nothing.

use std::{future::poll_fn, io, pin::pin, sync::atomic::Ordering, task::Poll, time::Instant};

use async_nats::{client::traits::Publisher as _, message::OutboundMessage};

use super::{DRAIN_TIMEOUT, SLICE_MESSAGES, Session, not_in_time};

/// Refusals that may be put off; beyond that the client drops what comes, and says so.
const OWED_MAX: usize = 1 << 18;
/// How many of them go out at a stretch.
const PUT_OFF_SLICE: usize = 256;
/// They wait while so many messages are not written yet: what is answered leaves after what was handed over before.
const UNWRITTEN_MAX: u64 = 256;

impl Session<'_> {
    /// Messages that the client has written.
    pub(super) fn written(&self) -> u64 {
        self.listening.client.statistics().out_messages.load(Ordering::Relaxed)
    }

    /// Hands over to the client what was said. A client that has no room makes scoring wait.
    pub(super) async fn publish(&mut self) -> io::Result<()> {
        let settled = self.work.outbox.take_settled();
        if let Some(stream) = &mut self.work.stream {
            for settled in settled {
                stream.settle(settled);
            }
        }
        if !self.work.outbox.is_empty() {
            let mut messages = self.work.outbox.exchange(Vec::with_capacity(2 * SLICE_MESSAGES));
            self.published += messages.len() as u64;
            for message in messages.drain(..) {
                self.publish_one(message).await?;
            }
        }
        let written = self.written();
        self.leaving.look(self.published, written, Instant::now());
        // What was put off takes the room that is left.
        for _ in 0..PUT_OFF_SLICE {
            if self.published.saturating_sub(written) >= UNWRITTEN_MAX {
                break;
            }
            let Some(message) = self.work.outbox.take_put_off() else { break };
            self.published += 1;
            self.publish_one(message).await?;
        }
        Ok(())
    }

    async fn publish_one(&mut self, message: OutboundMessage) -> io::Result<()> {
        let client = self.listening.client.clone();
        let mut taken = pin!(client.publish_message(message));
        let since = Instant::now();
        let taken = poll_fn(|context| {
            if let Poll::Ready(taken) = taken.as_mut().poll(context) {
                return Poll::Ready(Ok(taken));
            }
            self.poll_commands(context);
            // What comes meanwhile would be dropped by the client once that holds too much of it.
            if self.work.outbox.put_off_len() < OWED_MAX {
                self.poll_inboxes(context);
            }
            if self.work.is_draining && since.elapsed() > DRAIN_TIMEOUT {
                return Poll::Ready(Err(not_in_time()));
            }
            Poll::Pending
        })
        .await?;
        if let Err(error) = taken {
            self.work.metrics.complaints.inc();
            tracing::error!(%error, "an answer was not sent");
        }
        Ok(())
    }
}
