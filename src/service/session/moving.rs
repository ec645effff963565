//! Going to another server while this one still serves: listened to there first, ended here then. What comes over both
//! meanwhile is taken once. Where there is no other server it stays.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
    io,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_nats::{Client, Message};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{
    task::JoinHandle,
    time::{interval, timeout},
};

use super::{Session, greet, listening::Listening};
use crate::{
    config::NatsConfig,
    service::{
        broker::{self, Line},
        discovery,
        pace::{Leaving, Promises},
        subjects::Kind,
    },
};

/// The pause before another attempt.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the old server is asked to hand a message to the new one, until it knows who listens there.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// How long that may take.
const INTEREST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long copies may be on their way between servers once the old one sends nothing more.
const COPIES_TIMEOUT: Duration = Duration::from_secs(2);

/// A line to another server that is listened to already.
type Arrival = (Line, Listening);

/// How far it has come.
#[derive(Default)]
pub(super) enum Moving {
    /// There is no reason to.
    #[default]
    Staying,
    /// As soon as another server lets it in.
    Wanted { next: Instant },
    /// Another line is on its way.
    Going(JoinHandle<io::Result<Option<Arrival>>>),
    /// It listens there.
    There(Box<Arrival>),
    /// What the old server had sent is taken; what was said to it is still on its way.
    Parting(Box<Listening>, Client),
    /// Copies of what the old server sent may still come.
    Past { since: Instant, farewell: JoinHandle<()> },
}

impl Session<'_> {
    /// The server is about to stop.
    pub(super) fn want_to_move(&mut self) {
        if matches!(self.moving, Moving::Staying | Moving::Past { .. }) {
            self.moving = Moving::Wanted { next: Instant::now() };
        }
    }

    /// Whether the other client has come to something.
    pub(super) fn poll_moving(&mut self, context: &mut Context<'_>) -> bool {
        let Moving::Going(task) = &mut self.moving else { return false };
        let Poll::Ready(arrival) = Pin::new(task).poll(context) else { return false };
        self.moving = match arrival.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(Some(arrival)) => Moving::There(Box::new(arrival)),
            Ok(None) => self.stay_for_now("no other server is there"),
            Err(error) => self.stay_for_now(&error.to_string()),
        };
        true
    }

    fn stay_for_now(&mut self, reason: &str) -> Moving {
        tracing::warn!(reason, "the broker is about to stop, and there is nowhere to go; trying again");
        self.twice = None;
        Moving::Wanted { next: Instant::now() + PAUSE }
    }

    /// Takes the next step.
    pub(super) async fn go_on_moving(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.moving) {
            Moving::Wanted { next } if next <= Instant::now() => {
                let servers = self.listening.client.server_pool().await.unwrap_or_default();
                // Where there is no other server, this one is of use until its end.
                if servers.len() > 1 {
                    tracing::warn!("the broker is about to stop; going to another");
                    let mut nats = self.work.nats.clone();
                    nats.servers = servers.into_iter().map(|server| server.addr).collect();
                    self.twice = Some(Twice::default());
                    let old = [self.listening.client.clone(), self.speaking.clone()];
                    let going = arrive(old, nats, self.wanted());
                    self.moving = Moving::Going(tokio::spawn(going));
                }
            }
            Moving::There(arrival) => {
                let (Line { hearing, speaking, events }, listening) = *arrival;
                let mut parting = std::mem::replace(&mut self.listening, listening);
                let spoken = std::mem::replace(&mut self.speaking, speaking);
                parting.end().await?;
                (self.events, self.connects, self.published) = (events, 1, self.written());
                // Its count of what is written begins anew.
                (self.leaving, self.promises) = (Leaving::default(), Promises::default());
                self.work.metrics.reconnects.inc();
                greet(&hearing, &mut self.work.answering);
                self.moving = Moving::Parting(Box::new(parting), spoken);
            }
            Moving::Parting(mut parting, spoken) => {
                self.moving = if parting.has_ended().await? {
                    parting.client.drain().await.map_err(io::Error::other)?;
                    Moving::Past { since: Instant::now(), farewell: tokio::spawn(leave(spoken)) }
                } else {
                    Moving::Parting(parting, spoken)
                };
            }
            Moving::Past { since, farewell } if since.elapsed() > COPIES_TIMEOUT && farewell.is_finished() => {
                self.twice = None;
            }
            same => self.moving = same,
        }
        Ok(())
    }

    /// Nothing is begun any more: the service ends. Whether what was begun is done.
    pub(super) async fn finish_moving(&mut self) -> io::Result<bool> {
        match &self.moving {
            Moving::Parting(..) | Moving::There(_) => self.go_on_moving().await?,
            Moving::Going(task) => {
                task.abort();
                self.moving = Moving::Staying;
            }
            Moving::Staying | Moving::Wanted { .. } | Moving::Past { .. } => {}
        }
        Ok(match &self.moving {
            Moving::Parting(..) | Moving::There(_) => false,
            Moving::Past { farewell, .. } => farewell.is_finished(),
            Moving::Staying | Moving::Wanted { .. } | Moving::Going(_) => true,
        })
    }
}

/// Lets a server have all that was said to it.
async fn leave(spoken: Client) {
    let left = match broker::round_trip(&spoken).await {
        Ok(_) => spoken.drain().await.map_err(io::Error::other),
        Err(error) => Err(error),
    };
    match left {
        Ok(()) => tracing::info!("the broker that stops is left"),
        Err(error) => tracing::warn!(%error, "the broker that stops may lack the last answers"),
    }
}

/// Connects to another server and listens there, until the old one knows it.
async fn arrive(old: [Client; 2], nats: NatsConfig, wanted: Vec<(Kind, String)>) -> io::Result<Option<Arrival>> {
    let line = broker::connect_both(&nats, discovery::NAME).await.map_err(io::Error::other)?;
    let left = old.each_ref().map(|client| client.server_info().server_id);
    let there = [line.hearing.server_info(), line.speaking.server_info()];
    if there.iter().any(|server| left.contains(&server.server_id) || server.lame_duck_mode) {
        return Ok(None);
    }
    let [old, _] = old;
    let listening = Listening::begin(line.hearing.clone(), wanted).await?;
    // Interest goes from server to server in its order: who is asked for last is known last.
    let subject = line.hearing.new_inbox();
    let mut probe = line.hearing.subscribe(subject.clone()).await.map_err(io::Error::other)?;
    let mut ticks = interval(ASK_EVERY);
    let heard = async {
        loop {
            tokio::select! {
                _ = probe.next() => return Ok(()),
                _ = ticks.tick() => old.publish(subject.clone(), Bytes::new()).await.map_err(io::Error::other)?,
            }
        }
    };
    match timeout(INTEREST_TIMEOUT, heard).await {
        Ok(heard) => heard.map(|()| Some((line, listening))),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the old server does not hand on to the new one")),
    }
}

/// Tells what came over both servers. It keeps no message, only how often each came over the old one beyond the new.
#[derive(Default)]
pub(super) struct Twice {
    hasher: RandomState,
    ahead: HashMap<u64, i32>,
}

impl Twice {
    /// Whether this message has come over the other server.
    pub(super) fn is_copy(&mut self, message: &Message, is_of_old: bool) -> bool {
        let step = if is_of_old { 1 } else { -1 };
        let reply = message.reply.as_ref().map_or("", |reply| reply.as_str());
        let tag = self.hasher.hash_one((message.subject.as_str(), reply, &message.payload));
        match self.ahead.entry(tag) {
            Entry::Vacant(entry) => {
                entry.insert(step);
                false
            }
            Entry::Occupied(mut entry) => {
                let ahead = *entry.get();
                *entry.get_mut() = ahead.saturating_add(step);
                if ahead == -step {
                    entry.remove();
                }
                ahead.signum() == -step
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_over_both_is_taken_once() {
        let message = |reply: &str, payload: &'static str| Message {
            subject: "s".into(),
            reply: Some(reply.into()),
            payload: payload.into(),
            headers: None,
            status: None,
            description: None,
            length: 0,
        };
        // Over which server, and what; then whether it is a copy. Somebody may send the same thing several times.
        let cases = [
            ("old a", false),
            ("new a", true),
            ("new a", false),
            ("old a", true),
            ("new b", false),
            ("new b", false),
            ("old b", true),
            ("old b", true),
            ("old b", false),
            ("old c", false),
            ("new d", false),
        ];
        let mut twice = Twice::default();
        for (place, (case, expected)) in cases.into_iter().enumerate() {
            let (server, name) = case.split_once(' ').unwrap_or_default();
            assert_eq!(twice.is_copy(&message(name, "same"), server == "old"), expected, "{place}: {case}");
        }
        assert_eq!(twice.ahead.len(), 3, "what came over both is forgotten");
    }
}
