//! The connection to the broker as the configuration asks for it. What goes over it is not known here.

use std::{
    future::poll_fn,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, Subscriber};
use futures_util::StreamExt as _;
use rand::RngExt as _;
use tokio::{sync::mpsc, time::timeout};

use crate::config::{Authentication, NatsConfig};

/// A silent server is asked whether it lives this often; two questions without an answer end the connection.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Below this is what the service alone listens to, so that permissions can keep others' inboxes from it.
const INBOX: &str = "_INBOX.gavel";
/// Events that may wait for the session.
const EVENTS_MAX: usize = 256;
/// Attempts to find the same server twice, where there are several.
const SAME_SERVER_TRIES: u32 = 8;
/// How often a message to oneself is sent until it is back.
const ECHO_EVERY: Duration = Duration::from_millis(100);
/// How often it is sent before it is given up. One that is not permitted never comes; on a machine that is busy with other
/// things the time alone says nothing.
pub const ECHO_TRIES: u32 = 20;
/// The pause before the second attempt to connect; it doubles from there.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause: a broker that comes back is found within this.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Nobody listens there, or the network fails.
    #[error("{servers} cannot be reached: {source}")]
    Unreachable {
        /// Hosts and ports.
        servers: String,
        /// Why.
        source: async_nats::ConnectError,
    },
    /// The server does not let this client in, or what the client says about itself cannot be used.
    #[error("{servers} refuses this client: {source}")]
    Refused {
        /// Hosts and ports.
        servers: String,
        /// Why.
        source: async_nats::ConnectError,
    },
    /// The server is not who the configured authorities vouch for, or does not believe who the service is.
    #[error(
        "{servers}: no trust between the two: {reason}; look at `[nats] tls_ca`, which vouches for the server, and at \
         `tls_cert` and `tls_key`, by which the server knows the service"
    )]
    Untrusted {
        /// Hosts and ports.
        servers: String,
        /// What TLS says.
        reason: String,
    },
    /// A credentials file that cannot be used.
    #[error("{} holds no usable credentials: {source}", path.display())]
    Credentials {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file for TLS that cannot be used.
    #[error("`[nats] {key}`: {} {reason}", path.display())]
    TlsFile {
        /// The key that names it.
        key: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The server cannot send headers, which every reply needs.
    #[error("{servers} runs nats-server {version}, which has no headers; 2.2 or newer is needed")]
    TooOld {
        /// Hosts and ports.
        servers: String,
        /// What it runs.
        version: String,
    },
}

impl BrokerError {
    /// Whether somebody has to change a configuration before another attempt can succeed.
    pub fn needs_change(&self) -> bool {
        !matches!(self, Self::Unreachable { .. })
    }
}

/// A connection that finds its broker again by itself, and what happens to it.
pub struct Broker {
    /// What reads and writes.
    pub client: Client,
    /// What happened, in its order.
    pub events: mpsc::Receiver<Event>,
}

/// Two connections that find their broker again by themselves, and what happens to either. A client reads for as long as
/// there is something to read, and writes nothing meanwhile: under a flood of requests answers would never leave over the
/// connection that the requests come by.
pub struct Line {
    /// What requests come by.
    pub hearing: Client,
    /// What answers leave by.
    pub speaking: Client,
    /// What happened, in its order.
    pub events: mpsc::Receiver<Event>,
}

/// An inbox of the service, told apart by a name.
pub fn inbox(name: &str) -> String {
    format!("{INBOX}.{name}")
}

/// Tries every server once. Files are read anew by each call, so that a renewed one is picked up.
pub async fn connect(config: &NatsConfig, name: &str) -> Result<Broker, BrokerError> {
    let (happened, events) = mpsc::channel(EVENTS_MAX);
    let client = connect_telling(config, name, happened, Arc::new(AtomicBool::new(true))).await?;
    Ok(Broker { client, events })
}

/// Two connections, to the same server if that can be had: so they are lost and found together.
pub async fn connect_both(config: &NatsConfig, name: &str) -> Result<Line, BrokerError> {
    let (happened, events) = mpsc::channel(EVENTS_MAX);
    let hearing = connect_telling(config, name, happened.clone(), Arc::new(AtomicBool::new(true))).await?;
    let mut tries = 0;
    loop {
        let is_used = Arc::new(AtomicBool::new(false));
        let speaking = connect_telling(config, name, happened.clone(), is_used.clone()).await?;
        tries += 1;
        if tries == SAME_SERVER_TRIES || speaking.server_info().server_id == hearing.server_info().server_id {
            is_used.store(true, Ordering::Relaxed);
            return Ok(Line { hearing, speaking, events });
        }
    }
}

/// Connects, and tells what happens for as long as that is of use.
async fn connect_telling(
    config: &NatsConfig,
    name: &str,
    happened: mpsc::Sender<Event>,
    is_used: Arc<AtomicBool>,
) -> Result<Client, BrokerError> {
    let options = options(config).await?.name(name).event_callback(move |event| {
        let (happened, is_used) = (happened.clone(), is_used.load(Ordering::Relaxed));
        async move {
            if is_used {
                // A session that has ended needs no events.
                let _ = happened.send(event).await;
            }
        }
    });
    let servers = config.servers_text();
    let client = match options.connect(config.servers.clone()).await {
        Ok(client) => client,
        Err(source) => {
            if let Some(reason) = distrust(&source) {
                return Err(BrokerError::Untrusted { servers, reason });
            }
            return Err(match source.kind() {
                ConnectErrorKind::AuthorizationViolation
                | ConnectErrorKind::Authentication
                | ConnectErrorKind::ServerParse
                // A file that cannot be used; a handshake that fails is an IO error.
                | ConnectErrorKind::Tls => BrokerError::Refused { servers, source },
                _ => BrokerError::Unreachable { servers, source },
            });
        }
    };
    let info = client.server_info();
    if !info.headers {
        return Err(BrokerError::TooOld { servers, version: info.version });
    }
    Ok(client)
}

/// What TLS says where one side does not trust the other. Such an error is one of input and output to the client.
fn distrust(error: &async_nats::ConnectError) -> Option<String> {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        let text = error.to_string();
        let is_trust = ["invalid peer certificate", "received fatal alert"].iter().any(|words| text.contains(words));
        if is_trust && error.source().is_none() {
            return Some(text);
        }
        source = error.source();
    }
    None
}

async fn options(config: &NatsConfig) -> Result<ConnectOptions, BrokerError> {
    let options = match &config.authentication {
        Authentication::None => ConnectOptions::new(),
        Authentication::Password { user, password } => {
            ConnectOptions::with_user_and_password(user.clone(), password.expose().to_owned())
        }
        Authentication::Nkey(seed) => ConnectOptions::with_nkey(seed.expose().trim().to_owned()),
        Authentication::Credentials(path) => ConnectOptions::with_credentials_file(path)
            .await
            .map_err(|source| BrokerError::Credentials { path: path.clone(), source })?,
    };
    let mut options = options
        .ping_interval(PING_INTERVAL)
        .custom_inbox_prefix(INBOX)
        .subscription_capacity(config.subscription_capacity)
        .client_capacity(config.client_capacity)
        .reconnect_delay_callback(pause);
    check_tls_files(config)?;
    if let Some(authorities) = &config.tls_ca {
        options = options.require_tls(true).add_root_certificates(authorities.clone());
    }
    if let Some(files) = &config.tls_client {
        options = options.require_tls(true).add_client_certificate(files.certificate.clone(), files.key.clone());
    }
    Ok(options)
}

/// The client would say of a bad file neither which one it is nor, of one without a certificate, anything at all.
fn check_tls_files(config: &NatsConfig) -> Result<(), BrokerError> {
    let has = |bytes: &[u8], text: &str| memchr::memmem::find(bytes, text.as_bytes()).is_some();
    let holds_certificate = |bytes: &[u8]| has(bytes, "-----BEGIN CERTIFICATE-----");
    // Of one kind or another, such as `RSA PRIVATE KEY`.
    let holds_key = |bytes: &[u8]| has(bytes, "PRIVATE KEY-----") && !has(bytes, "ENCRYPTED");
    let check = |key, path: Option<&Path>, what: &str, holds: &dyn Fn(&[u8]) -> bool| {
        let Some(path) = path else { return Ok(()) };
        let reason = match std::fs::read(path) {
            Ok(bytes) if holds(&bytes) => return Ok(()),
            Ok(_) => format!("holds no {what} in PEM"),
            Err(error) => format!("cannot be read: {error}"),
        };
        Err(BrokerError::TlsFile { key, path: path.to_owned(), reason })
    };
    let client = config.tls_client.as_ref();
    check("tls_ca", config.tls_ca.as_deref(), "certificate", &holds_certificate)?;
    check("tls_cert", client.map(|files| &*files.certificate), "certificate", &holds_certificate)?;
    check("tls_key", client.map(|files| &*files.key), "private key without a password", &holds_key)
}

/// How long to wait before an attempt, the first being 1: not at all, then longer and longer, each with jitter so that
/// many services do not come back at once.
pub fn pause(attempt: usize) -> Duration {
    let Some(doublings) = attempt.checked_sub(2) else { return Duration::ZERO };
    let doubled = PAUSE_MIN.saturating_mul(1 << doublings.min(16));
    doubled.min(PAUSE_MAX).mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// A message to oneself. Once it is back, the server has dealt with everything that this client had sent before, and all
/// that the server had sent until then has been read.
pub struct Echo {
    client: Client,
    subject: String,
    back: Subscriber,
}

impl Echo {
    /// Sends it.
    pub async fn send(client: &Client) -> io::Result<Self> {
        let subject = client.new_inbox();
        let back = client.subscribe(subject.clone()).await.map_err(io::Error::other)?;
        let echo = Self { client: client.clone(), subject, back };
        echo.send_again().await?;
        Ok(echo)
    }

    /// Sends it once more: it may have been lost with a connection.
    pub async fn send_again(&self) -> io::Result<()> {
        let connection = connection_number(&self.client).to_string();
        self.client.publish(self.subject.clone(), connection.into()).await.map_err(io::Error::other)
    }

    /// Whether it is back, over the connection that there is now.
    pub fn poll_back(&mut self, context: &mut Context<'_>) -> bool {
        let now = connection_number(&self.client).to_string();
        while let Poll::Ready(Some(message)) = self.back.poll_next_unpin(context) {
            if message.payload == now {
                return true;
            }
        }
        false
    }
}

fn connection_number(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}

/// Waits until the server has dealt with everything that was sent so far; `false` where it does not say so in time.
pub async fn round_trip(client: &Client) -> io::Result<bool> {
    let mut echo = Echo::send(client).await?;
    for _ in 0..ECHO_TRIES {
        let back = poll_fn(|context| if echo.poll_back(context) { Poll::Ready(()) } else { Poll::Pending });
        if timeout(ECHO_EVERY, back).await.is_ok() {
            return Ok(true);
        }
        echo.send_again().await?;
    }
    tracing::warn!(subject = echo.subject, "the broker does not hand a message on to its sender");
    Ok(false)
}

/// Ends a subscription at the server, and at the server alone: what it had sent before is still taken in.
///
/// A client that ends a subscription forgets it, and drops what is on its way to it. One that is to end after so many
/// messages it keeps until they have come; a server does not read a number of more than nine digits, and ends the
/// subscription at once.
pub async fn end_at_server(subscriber: &mut Subscriber) -> io::Result<()> {
    subscriber.unsubscribe_after(u64::MAX).await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let expected_ms = [0, 0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000];
        for (attempt, expected_ms) in expected_ms.into_iter().enumerate() {
            let pause = pause(attempt).as_millis();
            assert!((expected_ms / 2..=expected_ms).contains(&pause), "{pause} of {expected_ms}");
        }
        assert!(pause(usize::MAX) <= PAUSE_MAX);
    }
}
