//! What was said, on its way to the client: answers first, refusals of what there was no time for where there is room. It
//! drops nothing.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::atomic::Ordering,
    task::Poll,
    time::Instant,
};

use async_nats::{Client, client::traits::Publisher as _, message::OutboundMessage};
use futures_util::FutureExt as _;

use super::{DRAIN_TIMEOUT, SLICE_MESSAGES, Session, clock::Clock, not_in_time};

/// Refusals that may be put off; beyond that the client drops what comes, and says so.
const OWED_MAX: usize = 1 << 18;
/// How many of them go out at a stretch.
const PUT_OFF_SLICE: usize = 256;
/// They wait while so many messages are not written yet: what is answered leaves after what was handed over before.
const UNWRITTEN_MAX: u64 = 256;

impl Session<'_> {
    /// Messages that the client has written.
    pub(super) fn written(&self) -> u64 {
        self.speaking.statistics().out_messages.load(Ordering::Relaxed)
    }

    /// Hands over to the client what was said in the turn that began then. A client that has no room makes scoring wait.
    pub(super) async fn publish(&mut self, began: Instant) -> io::Result<()> {
        let settled = self.work.outbox.take_settled();
        if let Some(stream) = &mut self.work.stream {
            for settled in settled {
                stream.settle(settled);
            }
        }
        // A handle of its own: the session is asked for what comes while the client has no room.
        let client = self.speaking.clone();
        if !self.work.outbox.is_empty() {
            let mut messages = self.work.outbox.exchange(Vec::with_capacity(2 * SLICE_MESSAGES));
            self.published += messages.len() as u64;
            self.promises.make(self.published, self.work.outbox.take_promised());
            for message in messages.drain(..) {
                self.publish_one(&client, message).await?;
            }
        }
        let written = self.look_at_written(began);
        // What was put off takes the room that is left.
        for _ in 0..PUT_OFF_SLICE {
            if self.published.saturating_sub(written) >= UNWRITTEN_MAX {
                break;
            }
            let Some(message) = self.work.outbox.take_put_off() else { break };
            self.published += 1;
            self.publish_one(&client, message).await?;
        }
        Ok(())
    }

    /// Looks at how many messages the client has written, the last of them said in the turn that began then: how long it
    /// took, and which deadlines were not kept.
    pub(super) fn look_at_written(&mut self, began: Instant) -> u64 {
        let written = self.written();
        self.leaving.look(self.published, written, began, Instant::now());
        if !self.promises.is_empty() {
            self.work.metrics.late.inc_by(self.promises.look(written, Clock::unix_ms()));
        }
        written
    }

    async fn publish_one(&mut self, client: &Client, message: OutboundMessage) -> io::Result<()> {
        let mut publish = pin!(client.publish_message(message));
        let taken = match publish.as_mut().now_or_never() {
            Some(taken) => taken,
            None => self.wait_for_room(publish).await?,
        };
        if let Err(error) = taken {
            self.work.metrics.complaints.inc();
            tracing::error!(%error, "an answer was not sent");
        }
        Ok(())
    }

    async fn wait_for_room<T>(&mut self, mut publish: Pin<&mut impl Future<Output = T>>) -> io::Result<T> {
        let since = Instant::now();
        poll_fn(|context| {
            if let Poll::Ready(taken) = publish.as_mut().poll(context) {
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
        .await
    }
}
