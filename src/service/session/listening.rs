//! What one client listens to, from its subscriptions to their end. It answers nothing.

use std::{
    io,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_nats::{Client, Message, Subscriber};
use futures_util::StreamExt as _;

use crate::service::{
    broker::{self, ECHO_TRIES, Echo},
    subjects::Kind,
};

/// How often the server is asked whether it has sent everything: a connection that breaks loses the question.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// One subscription.
struct Inbox {
    kind: Kind,
    subject: String,
    subscriber: Subscriber,
    has_ended: bool,
}

/// How far the end has come.
enum Stage {
    /// What comes is taken.
    Open,
    /// The server sends nothing new; what it had sent is still on its way.
    Closing { echo: Box<Echo>, asked: Instant, tries: u32 },
    /// Everything has come; what is not taken yet is held here.
    HeardOut,
    /// The client has been told so.
    Closed,
}

/// The subscriptions of one client.
pub(super) struct Listening {
    pub(super) client: Client,
    inboxes: Vec<Inbox>,
    stage: Stage,
}

impl Listening {
    /// Of a client that listens to nothing yet.
    pub(super) fn none(client: Client) -> Self {
        Self { client, inboxes: Vec::new(), stage: Stage::Open }
    }

    /// Subscribes. Whoever waits for this service may send once it says that it is ready, so the server's word is
    /// waited for.
    pub(super) async fn begin(client: Client, wanted: Vec<(Kind, String)>) -> io::Result<Self> {
        let mut inboxes = Vec::with_capacity(wanted.len());
        for (kind, subject) in wanted {
            let subscriber = client.subscribe(subject.clone()).await.map_err(io::Error::other)?;
            inboxes.push(Inbox { kind, subject, subscriber, has_ended: false });
        }
        broker::round_trip(&client).await?;
        Ok(Self { client, inboxes, stage: Stage::Open })
    }

    /// Subscribes once more to what the server has ended because it was not permitted.
    pub(super) async fn listen_again(&mut self, subject: &str) -> io::Result<()> {
        for inbox in self.inboxes.iter_mut().filter(|inbox| inbox.subject == subject) {
            inbox.subscriber = self.client.subscribe(inbox.subject.clone()).await.map_err(io::Error::other)?;
            inbox.has_ended = false;
        }
        Ok(())
    }

    /// Takes what has come, one subscription after the other.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, mut take: impl FnMut(Kind, Message)) -> bool {
        let mut is_busy = false;
        // First the echo: what the server had sent before it lies in the subscriptions by then.
        if let Stage::Closing { echo, .. } = &mut self.stage
            && echo.poll_back(context)
        {
            self.stage = Stage::HeardOut;
            is_busy = true;
        }
        for Inbox { kind, subscriber, has_ended, .. } in &mut self.inboxes {
            while !*has_ended && let Poll::Ready(next) = subscriber.poll_next_unpin(context) {
                is_busy = true;
                match next {
                    Some(message) => take(*kind, message),
                    None => *has_ended = true,
                }
            }
        }
        is_busy
    }

    /// Ends the subscriptions at the server. Everything that it had sent before is still taken.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        for inbox in &mut self.inboxes {
            broker::end_at_server(&mut inbox.subscriber).await?;
        }
        let echo = Box::new(Echo::send(&self.client).await?);
        self.stage = Stage::Closing { echo, asked: Instant::now(), tries: 1 };
        Ok(())
    }

    /// Goes on towards the end. Whether everything has been taken.
    pub(super) async fn has_ended(&mut self) -> io::Result<bool> {
        if let Stage::Closing { echo, asked, tries } = &mut self.stage
            && asked.elapsed() > ASK_EVERY
        {
            if *tries < ECHO_TRIES {
                echo.send_again().await?;
                (*asked, *tries) = (Instant::now(), *tries + 1);
            } else {
                tracing::warn!("the broker did not confirm that it sends nothing more");
                self.stage = Stage::HeardOut;
            }
        }
        if matches!(self.stage, Stage::HeardOut) {
            for inbox in &mut self.inboxes {
                inbox.subscriber.unsubscribe().await.map_err(io::Error::other)?;
            }
            self.stage = Stage::Closed;
        }
        Ok(matches!(self.stage, Stage::Closed) && self.inboxes.iter().all(|inbox| inbox.has_ended))
    }
}
