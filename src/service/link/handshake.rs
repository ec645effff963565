//! From an address to an established connection: `INFO`, TLS, `CONNECT`, the server's word that it is content. It
//! subscribes to nothing.

use std::{io, time::Duration};

use async_nats::{ServerAddr, ServerInfo, rustls::pki_types::ServerName};
use bytes::BytesMut;
use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    Arrival, Link, Stream,
    identity::{self, IdentityError, Proof},
    protocol::{self, Operation},
};
use crate::config::NatsConfig;

/// A server that takes longer is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there, or the network fails.
    #[error("{server} cannot be reached: {source}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// It took too long.
    #[error("{server} did not answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Silent {
        /// Host and port.
        server: String,
    },
    /// TLS could not be established.
    #[error("TLS with {server} failed: {source}")]
    Tls {
        /// Host and port.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// The server does not let this client in.
    #[error("{server} refuses this client: {message}")]
    Refused {
        /// Host and port.
        server: String,
        /// In the server's words.
        message: String,
    },
    /// The server cannot send headers, which every reply needs.
    #[error("{server} runs nats-server {version}, which has no headers; 2.2 or newer is needed")]
    TooOld {
        /// Host and port.
        server: String,
        /// What it runs.
        version: String,
    },
    /// A scheme that is not spoken here.
    #[error("{server} asks for {scheme}, expected nats:// or tls://")]
    Scheme {
        /// Host and port.
        server: String,
        /// What it asks for.
        scheme: String,
    },
    /// What this client would say about itself cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl ConnectError {
    /// Whether somebody has to change a configuration before another attempt can succeed.
    pub fn needs_change(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Tls { .. } => false,
            // A server that is full or starting says so in the same way, and lets the client in later.
            Self::Refused { message, .. } => message.to_ascii_lowercase().contains("authorization violation"),
            Self::TooOld { .. } | Self::Scheme { .. } | Self::Identity(_) => true,
        }
    }
}

#[derive(serde::Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the protocol has them")]
struct ConnectMessage<'a> {
    verbose: bool,
    pedantic: bool,
    tls_required: bool,
    name: &'a str,
    lang: &'a str,
    version: &'a str,
    protocol: u8,
    echo: bool,
    headers: bool,
    no_responders: bool,
    #[serde(flatten)]
    proof: Proof,
}

/// Connects to a server under a name that its operators see.
pub async fn connect(server: &ServerAddr, name: &str, config: &NatsConfig) -> Result<Link, ConnectError> {
    let text = format!("{}:{}", server.host(), server.port());
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    match timeout_at(deadline, establish(server, &text, name, config)).await {
        Ok(connected) => connected,
        Err(_) => Err(ConnectError::Silent { server: text }),
    }
}

async fn establish(server: &ServerAddr, text: &str, name: &str, config: &NatsConfig) -> Result<Link, ConnectError> {
    let unreachable = |source| ConnectError::Unreachable { server: text.into(), source };
    if !matches!(server.scheme(), "nats" | "tls") {
        return Err(ConnectError::Scheme { server: text.into(), scheme: server.scheme().into() });
    }
    let mut socket = TcpStream::connect((server.host(), server.port())).await.map_err(unreachable)?;
    // Replies are batched here, so the kernel need not wait for more.
    socket.set_nodelay(true).map_err(unreachable)?;
    let info = read_info(&mut socket).await.map_err(unreachable)?;
    if !info.headers {
        return Err(ConnectError::TooOld { server: text.into(), version: info.version });
    }

    let secured = info.tls_required || server.tls_required() || identity::wants_tls(config);
    let stream: Box<dyn Stream> = if secured {
        let failed = |source| ConnectError::Tls { server: text.into(), source };
        let host = ServerName::try_from(server.host().to_owned()).map_err(|error| failed(io::Error::other(error)))?;
        Box::new(identity::tls_connector(config)?.connect(host, socket).await.map_err(failed)?)
    } else {
        Box::new(socket)
    };

    let message = ConnectMessage {
        verbose: false,
        pedantic: false,
        tls_required: secured,
        name,
        lang: "rust",
        version: env!("CARGO_PKG_VERSION"),
        protocol: 1,
        echo: true,
        headers: true,
        no_responders: true,
        proof: identity::proof(&config.authentication, (server.username(), server.password()), &info.nonce)?,
    };
    let json = serde_json::to_string(&message).map_err(|error| unreachable(io::Error::other(error)))?;
    let mut link = Link::new(stream, info, BytesMut::new());
    link.outbox.bytes.extend_from_slice(b"CONNECT ");
    link.outbox.bytes.extend_from_slice(json.as_bytes());
    link.outbox.bytes.extend_from_slice(b"\r\n");
    link.outbox.ping();
    link.flush().await.map_err(unreachable)?;
    loop {
        match link.arrived().await {
            Ok(Arrival::Pong) => return Ok(link),
            Ok(Arrival::Complaint(message)) => return Err(ConnectError::Refused { server: text.into(), message }),
            Ok(Arrival::Message(_) | Arrival::LameDuck) => {}
            Err(source) => return Err(unreachable(source)),
        }
    }
}

/// The server speaks first.
async fn read_info(socket: &mut TcpStream) -> io::Result<ServerInfo> {
    let mut input = BytesMut::with_capacity(4096);
    loop {
        if socket.read_buf(&mut input).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection before its greeting"));
        }
        let parsed = protocol::parse(&input).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        match parsed {
            None => {}
            Some((Operation::Info(range), _)) => {
                return serde_json::from_slice(&input[range])
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
            }
            Some((Operation::Error(range), _)) => {
                return Err(io::Error::other(String::from_utf8_lossy(&input[range]).into_owned()));
            }
            Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "it did not greet with INFO")),
        }
    }
}
