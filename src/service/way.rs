//! How long a message takes to the broker and back, measured beside the scoring as long as requests have deadlines: an
//! answer's way to whoever waits for it is not longer by much. It is measured over a connection of its own, for what
//! waits for the service on the other one is not in an answer's way.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use async_nats::connection;
use futures_util::StreamExt as _;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{
    broker::{self, Broker},
    pace::Longest,
    priority,
};
use crate::config::NatsConfig;

/// How often it is measured while somebody wants to know.
const EVERY: Duration = Duration::from_millis(20);
/// How much a new measure counts against those before, where it is shorter.
const WEIGHT: f64 = 0.1;
/// After so long a message counts as lost. One that is not permitted never comes.
const LOST: Duration = Duration::from_secs(2);

/// What was measured, for the thread that answers.
#[derive(Clone, Default)]
pub struct Way(Arc<Measured>);

#[derive(Default)]
struct Measured {
    took_us: AtomicU64,
    is_wanted: AtomicBool,
    wanted: Notify,
}

impl Way {
    /// Measures on a thread of its own, over a connection that is made once somebody wants to know.
    pub fn start(nats: NatsConfig, name: &'static str, nice: i32) -> io::Result<Self> {
        let way = Self::default();
        let there = way.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("way".into()).spawn(move || {
            // As soon as the scoring thread would, it sees what has come.
            priority::raise(nice);
            runtime.block_on(there.measure(&nats, name));
        })?;
        Ok(way)
    }

    /// Asks for it to be measured for a while.
    pub fn want(&self) {
        if !self.0.is_wanted.load(Ordering::Relaxed) {
            self.0.is_wanted.store(true, Ordering::Relaxed);
            self.0.wanted.notify_one();
        }
    }

    /// How long it took of late, the longest forgotten slowly; nothing where it is not known.
    pub fn takes(&self) -> Duration {
        Duration::from_micros(self.0.took_us.load(Ordering::Relaxed))
    }

    async fn measure(self, nats: &NatsConfig, name: &str) {
        let mut is_told = false;
        for attempt in 1.. {
            self.wait_until_wanted().await;
            match broker::connect(nats, name).await {
                Ok(broker) => {
                    self.measure_over(broker, &mut is_told).await;
                    tracing::debug!("the connection that measures the way ended");
                }
                // Whoever answers has the same broker, and says what is wrong.
                Err(error) => tracing::debug!(%error, "the way to the broker is not measured"),
            }
            self.set(Duration::ZERO);
            sleep(broker::pause(attempt + 1)).await;
        }
    }

    /// Measures until the connection ends for good.
    async fn measure_over(&self, broker: Broker, is_told: &mut bool) -> Option<Infallible> {
        let Broker { client, mut events } = broker;
        let subject = client.new_inbox();
        let mut back = client.subscribe(subject.clone()).await.ok()?;
        let mut longest = Longest::new(WEIGHT);
        let mut number = 0_u64;
        loop {
            number += 1;
            while events.try_recv().is_ok() {}
            self.wait_until_wanted().await;
            let began = Instant::now();
            let is_connected = || client.connection_state() == connection::State::Connected;
            let payload = number.to_string();
            client.publish(subject.clone(), payload.clone().into()).await.ok()?;
            let is_back = loop {
                match timeout(EVERY, back.next()).await {
                    Ok(message) if message.as_ref()?.payload == payload => break true,
                    // One that was given up.
                    Ok(_) => {}
                    Err(_) if !is_connected() || began.elapsed() > LOST => break false,
                    Err(_) => {
                        longest.at_least(began.elapsed());
                        self.set(longest.takes());
                    }
                }
            };
            if is_back {
                longest.look(began.elapsed());
            } else {
                longest = Longest::new(WEIGHT);
                if is_connected() && !std::mem::replace(is_told, true) {
                    tracing::warn!(subject, "the broker hands no message on to its sender: the way is not measured");
                }
            }
            self.set(longest.takes());
            sleep(EVERY).await;
        }
    }

    async fn wait_until_wanted(&self) {
        while !self.0.is_wanted.swap(false, Ordering::Relaxed) {
            self.0.wanted.notified().await;
        }
    }

    fn set(&self, took: Duration) {
        self.0.took_us.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
