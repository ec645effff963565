//! An open-loop processor: it sends at the times it means to, whether or not answers come, and measures from those times.
//! A service that falls behind cannot make it slow down and so hide its own delay.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_nats::{
    Client, HeaderMap, HeaderName, HeaderValue, Message, Subscriber, client::traits::Publisher as _,
    message::OutboundMessage,
};
use futures_util::{FutureExt as _, StreamExt as _};
use memchr::memmem;
use tokio::sync::Notify;

use super::{
    histograms::Latencies,
    messages::Messages,
    schedule::{Arrivals, Ramp, Schedule},
};
use crate::{
    config::NatsConfig,
    scoring::verdict::Tier,
    service::client::{self, ClientError},
};

/// How many may be on their way on one connection when the rate is `max`: enough to keep every process busy, and far
/// less than any of their queues hold.
const WINDOW: u64 = 256;
/// The same of batches, however many transactions they have.
const WINDOW_MIN: u64 = 4;
/// Moments of sending that a connection remembers. An answer later than so many requests counts as none.
const REMEMBERED: usize = 1 << 20;
/// The header with the latest moment at which an answer is still of use, in Unix milliseconds.
const DEADLINE: HeaderName = HeaderName::from_static("Fraud-Deadline");
/// What an error in the answer to a batch begins with. In a text its quotes would be escaped.
const ERROR: &[u8] = b"{\"error\":{";
/// What stands before a verdict's tier.
const TIER: &[u8] = b"\"tier\":\"";
/// How long to wait for answers once everything is sent.
const PATIENCE: Duration = Duration::from_secs(3);

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rate {
    /// So many a second.
    PerSecond(f64),
    /// As fast as answers come: a bounded number is on its way at any time.
    Max,
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let rate = text.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0 && *rate <= 1e7);
        rate.map(Self::PerSecond).ok_or_else(|| "expected requests per second above zero, or `max`".to_owned())
    }
}

/// How to send.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// How fast, at the end.
    pub(super) rate: Rate,
    /// How fast at the beginning, where that differs.
    pub(super) ramp_from: Option<f64>,
    pub(super) arrivals: Arrivals,
    pub(super) duration: Duration,
    pub(super) connections: u64,
    /// Transactions in a request, and the root of subjects of batches, where it is not one.
    pub(super) batch: Option<Batch>,
    /// Whether latencies are kept by second too.
    pub(super) by_second: bool,
    /// How long after its moment a request is still to be answered.
    pub(super) deadline: Option<Duration>,
}

/// How requests of several transactions are sent.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// How many each has.
    pub(super) transactions: u64,
    /// What stands before the processor in their subject.
    pub(super) root: String,
}

/// What came of a run. Counts are of transactions, latencies of requests.
pub(super) struct Outcome {
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) refused: u64,
    /// Answers that the service had given before.
    pub(super) repeated: u64,
    pub(super) kept: Kept,
    pub(super) began: SystemTime,
    pub(super) elapsed: Duration,
    pub(super) latencies: Latencies,
}

/// What came of deadlines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    /// Answers that came after their deadline.
    pub(super) late: u64,
    /// Answers by tier, as `Tier::ALL` has them.
    pub(super) tiers: [u64; Tier::ALL.len()],
}

impl Kept {
    fn take(&mut self, body: &[u8], answered: u64, is_late: bool) {
        self.late += if is_late { answered } else { 0 };
        // Of a card's holder or a merchant there is nothing in a verdict that could look like this.
        for at in memmem::find_iter(body, TIER) {
            let said = &body[at + TIER.len()..];
            if let Some(place) = Tier::ALL.iter().position(|tier| said.starts_with(tier.name().as_bytes())) {
                self.tiers[place] += 1;
            }
        }
    }

    fn add(&mut self, other: &Self) {
        self.late += other.late;
        for (sum, more) in self.tiers.iter_mut().zip(other.tiers) {
            *sum += more;
        }
    }
}

/// What a connection's sender and receiver share.
struct Shared {
    start: Instant,
    began: SystemTime,
    deadline: Option<Duration>,
    /// Transactions in a request.
    transactions: u64,
    /// For each request of the last `REMEMBERED` the nanosecond it was meant to be sent at, plus one; 0 once answered.
    meant_ns: Vec<AtomicU64>,
    sent: AtomicU64,
    received: AtomicU64,
    is_sent: AtomicBool,
    progress: Notify,
}

/// What the receiver of one connection found.
struct Received {
    /// Answers to requests, whatever they say.
    requests: u64,
    answered: u64,
    refused: u64,
    repeated: u64,
    kept: Kept,
    last_ns: u64,
    latencies: Latencies,
}

/// Sends, and waits for the answers.
pub(super) async fn run(nats: &NatsConfig, messages: &Arc<Messages>, course: Course) -> Result<Outcome, ClientError> {
    let Course { rate, ramp_from, arrivals, duration, connections, batch, by_second, deadline } = course;
    let transactions = batch.as_ref().map_or(1, |batch| batch.transactions);
    // What the client has no room for it drops without a word: no more is ever on its way than is remembered.
    let nats = &NatsConfig { subscription_capacity: nats.subscription_capacity.max(REMEMBERED), ..nats.clone() };
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(client::connect(nats, "gavel-load").await?);
    }
    let lead = Duration::from_millis(50);
    let (start, began) = (Instant::now() + lead, SystemTime::now() + lead);
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for (first, client) in (0_u64..).zip(clients) {
        let shared = Arc::new(Shared {
            start,
            began,
            deadline,
            transactions,
            meant_ns: (0..REMEMBERED).map(|_| AtomicU64::new(0)).collect(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            is_sent: AtomicBool::new(false),
            progress: Notify::new(),
        });
        let inbox = client.new_inbox();
        // A subscription can only fail when the connection has just ended; the run then shows it as unanswered.
        let Ok(answers) = client.subscribe(format!("{inbox}.*")).await else { continue };
        // The subscription must be there before the first answer.
        let _ = client.flush().await;
        receivers.push(tokio::spawn(receive(answers, shared.clone(), by_second)));
        let sender = Sender {
            client,
            inbox,
            messages: messages.clone(),
            shared,
            first,
            step: connections,
            batch: batch.clone(),
        };
        senders.push(match rate {
            Rate::Max => tokio::spawn(sender.send_freely(duration)),
            Rate::PerSecond(rate) => {
                let handle = tokio::runtime::Handle::current();
                let requests = |rate: f64| rate / transactions as f64;
                let ramp = Ramp { from: requests(ramp_from.unwrap_or(rate)), to: requests(rate), duration };
                let schedule = Schedule::new(ramp, arrivals, first, connections);
                tokio::task::spawn_blocking(move || sender.send_paced(schedule, &handle))
            }
        });
    }
    let mut sent = 0;
    for sender in senders {
        sent += sender.await.unwrap_or(0);
    }
    let mut total = Received::new(by_second);
    for receiver in receivers {
        if let Ok(received) = receiver.await {
            total.answered += received.answered;
            total.refused += received.refused;
            total.repeated += received.repeated;
            total.kept.add(&received.kept);
            total.last_ns = total.last_ns.max(received.last_ns);
            total.latencies.add(&received.latencies);
        }
    }
    let elapsed = Duration::from_nanos(total.last_ns).max(duration);
    let Received { answered, refused, repeated, kept, latencies, .. } = total;
    let sent = sent * transactions;
    Ok(Outcome { sent, answered, refused, repeated, kept, began, elapsed, latencies })
}

struct Sender {
    client: Client,
    inbox: String,
    messages: Arc<Messages>,
    shared: Arc<Shared>,
    /// The number of this connection's first message, and the distance to its next.
    first: u64,
    step: u64,
    batch: Option<Batch>,
}

impl Sender {
    /// Sends while fewer than a window are on their way.
    async fn send_freely(self, duration: Duration) -> u64 {
        let mut scratch = Vec::new();
        tokio::time::sleep_until(self.shared.start.into()).await;
        let window = (WINDOW / self.shared.transactions).max(WINDOW_MIN);
        let mut sent = 0_u64;
        while self.shared.start.elapsed() < duration {
            if sent - self.shared.received.load(Ordering::Acquire) >= window {
                // A lost answer must not stop the run.
                let _ = tokio::time::timeout(Duration::from_millis(100), self.shared.progress.notified()).await;
                continue;
            }
            let now_ns = self.shared.nanoseconds();
            let message = self.prepare(sent, now_ns, &mut scratch);
            if self.client.publish_message(message).await.is_err() {
                break;
            }
            sent += 1;
        }
        self.finish(sent).await
    }

    /// Sends each message at its own moment, or as soon after as this thread wakes.
    fn send_paced(self, schedule: Schedule, runtime: &tokio::runtime::Handle) -> u64 {
        let mut scratch = Vec::new();
        let mut sent = 0_u64;
        for meant in schedule {
            let due = self.shared.start + meant;
            let wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            let message = self.prepare(sent, meant.as_nanos() as u64, &mut scratch);
            let mut publish = std::pin::pin!(self.client.publish_message(message));
            // It waits only where the client's own queue is full; the moment it was meant for stays.
            let published = match publish.as_mut().now_or_never() {
                Some(published) => published,
                None => runtime.block_on(publish),
            };
            if published.is_err() {
                break;
            }
            sent += 1;
        }
        runtime.block_on(self.finish(sent))
    }

    fn prepare(&self, sent: u64, meant_ns: u64, scratch: &mut Vec<u8>) -> OutboundMessage {
        let number = self.first + sent * self.step;
        let (subject, payload) = match &self.batch {
            None => self.messages.message(number, scratch),
            Some(Batch { transactions, root }) => {
                self.messages.batch(root, number * transactions, *transactions, scratch)
            }
        };
        self.shared.meant_ns[sent as usize % REMEMBERED].store(meant_ns + 1, Ordering::Release);
        let headers = self.shared.deadline.map(|deadline| {
            let at = self.shared.began + Duration::from_nanos(meant_ns) + deadline;
            let unix_ms = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let mut headers = HeaderMap::new();
            headers.insert(DEADLINE, HeaderValue::from(u64::try_from(unix_ms).unwrap_or(u64::MAX)));
            headers
        });
        OutboundMessage { subject, reply: Some(format!("{}.{sent}", self.inbox).into()), payload, headers }
    }

    async fn finish(self, sent: u64) -> u64 {
        self.shared.sent.store(sent, Ordering::Release);
        self.shared.is_sent.store(true, Ordering::Release);
        // What is still in the client goes out; the receiver waits for its answers.
        let _ = self.client.flush().await;
        sent
    }
}

async fn receive(mut answers: Subscriber, shared: Arc<Shared>, by_second: bool) -> Received {
    let mut received = Received::new(by_second);
    let mut idle_since = Instant::now();
    loop {
        match tokio::time::timeout(Duration::from_millis(50), answers.next()).await {
            Ok(None) => return received,
            Ok(Some(answer)) => {
                received.take(&answer, &shared);
                while let Some(Some(answer)) = answers.next().now_or_never() {
                    received.take(&answer, &shared);
                }
                shared.received.store(received.requests, Ordering::Release);
                shared.progress.notify_one();
                idle_since = Instant::now();
            }
            Err(_) => {}
        }
        if shared.is_sent.load(Ordering::Acquire) {
            let all = received.requests >= shared.sent.load(Ordering::Acquire);
            if all || idle_since.elapsed() > PATIENCE {
                return received;
            }
        } else {
            idle_since = Instant::now();
        }
    }
}

impl Received {
    fn new(by_second: bool) -> Self {
        Self {
            requests: 0,
            answered: 0,
            refused: 0,
            repeated: 0,
            kept: Kept::default(),
            last_ns: 0,
            latencies: Latencies::new(by_second),
        }
    }

    fn take(&mut self, answer: &Message, shared: &Shared) {
        let now_ns = shared.nanoseconds();
        let number = answer.subject.rsplit('.').next().and_then(|number| number.parse::<usize>().ok());
        let Some(number) = number else { return };
        // An answer that comes twice counts once.
        let meant_ns = shared.meant_ns[number % REMEMBERED].swap(0, Ordering::AcqRel);
        let Some(meant_ns) = meant_ns.checked_sub(1) else { return };
        let error = |headers: &async_nats::HeaderMap| headers.get("Nats-Service-Error-Code").is_some();
        self.requests += 1;
        if answer.status.is_some() || answer.headers.as_ref().is_some_and(error) {
            self.refused += shared.transactions;
        } else {
            let refused = match shared.transactions {
                1 => 0,
                transactions => transactions.min(memmem::find_iter(&answer.payload, ERROR).count() as u64),
            };
            let answered = shared.transactions - refused;
            let latency_ns = now_ns.saturating_sub(meant_ns).max(1);
            self.answered += answered;
            self.refused += refused;
            let is_repeated = answer.headers.as_ref().is_some_and(|headers| headers.get("Fraud-Duplicate").is_some());
            self.repeated += u64::from(is_repeated);
            self.latencies.record(meant_ns, latency_ns);
            if let Some(deadline) = shared.deadline {
                self.kept.take(&answer.payload, answered, u128::from(latency_ns) > deadline.as_nanos());
            }
        }
        self.last_ns = now_ns;
    }
}

impl Shared {
    fn nanoseconds(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
