//! One connection to a NATS server for the hot path: what arrives keeps the order of the wire over all subscriptions,
//! and nothing is dropped unseen. It knows nothing of transactions.

mod backoff;
mod handshake;
mod identity;
pub mod protocol;

use std::{
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
};

use async_nats::ServerInfo;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

pub use backoff::Backoff;
pub use handshake::{ConnectError, connect};
pub use identity::IdentityError;
use protocol::{Headers, Layout, Operation};

/// How much one read asks for: some 250 transactions.
const READ_BYTES: usize = 64 * 1024;
/// A partly written output is moved to the front of its buffer once this much of it has been written.
const COMPACT_BYTES: usize = 1024 * 1024;

/// A byte stream to a server, plain or under TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An established connection.
pub struct Link {
    stream: Box<dyn Stream>,
    info: ServerInfo,
    input: BytesMut,
    outbox: Outbox,
}

/// What is on its way to the server. Everything in it is whole messages, so that a new connection can take up where a
/// broken one ended.
#[derive(Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    written: usize,
}

/// What came from the server.
pub enum Arrival {
    /// A message for a subscription.
    Message(Frame),
    /// The answer to a `PING`.
    Pong,
    /// The server is about to shut down: go to another one.
    LameDuck,
    /// The server complains, in its own words.
    Complaint(String),
}

/// A message as it came: its bytes and where the parts lie. It has no `Debug`: it holds card data.
pub struct Frame {
    bytes: Bytes,
    layout: Layout,
}

impl Link {
    fn new(stream: Box<dyn Stream>, info: ServerInfo, input: BytesMut) -> Self {
        Self { stream, info, input, outbox: Outbox::default() }
    }

    /// What the server said about itself.
    pub fn info(&self) -> &ServerInfo {
        &self.info
    }

    /// What is on its way to the server.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Reads once; ready means that something arrived.
    pub fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.reserve(READ_BYTES);
        let Self { stream, input, .. } = self;
        let read = std::pin::pin!(tokio::io::AsyncReadExt::read_buf(stream, input));
        match std::task::ready!(Future::poll(read, context)) {
            Ok(0) => Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"))),
            Ok(_) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// The next thing that arrived whole; a `PING` is answered on the way.
    pub fn next_arrival(&mut self) -> io::Result<Option<Arrival>> {
        loop {
            let parsed = protocol::parse(&self.input);
            let parsed = parsed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let Some((operation, length)) = parsed else { return Ok(None) };
            let frame = self.input.split_to(length).freeze();
            let text = |range: Range<usize>| String::from_utf8_lossy(&frame[range]).into_owned();
            return Ok(Some(match operation {
                Operation::Message(layout) => Arrival::Message(Frame { bytes: frame, layout }),
                Operation::Pong => Arrival::Pong,
                Operation::Error(range) => Arrival::Complaint(text(range)),
                Operation::Ok => continue,
                Operation::Ping => {
                    self.outbox.bytes.extend_from_slice(b"PONG\r\n");
                    continue;
                }
                Operation::Info(range) => {
                    if let Ok(info) = serde_json::from_slice::<ServerInfo>(&frame[range]) {
                        self.info = info;
                    }
                    if !self.info.lame_duck_mode {
                        continue;
                    }
                    Arrival::LameDuck
                }
            }));
        }
    }

    /// Writes what it can; ready means that nothing is left to write.
    pub fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, outbox, .. } = self;
        while outbox.written < outbox.bytes.len() {
            let rest = &outbox.bytes[outbox.written..];
            match std::task::ready!(Pin::new(&mut *stream).poll_write(context, rest)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => outbox.written += count,
                Err(error) => return Poll::Ready(Err(error)),
            }
            outbox.compact();
        }
        outbox.bytes.clear();
        outbox.written = 0;
        // Plain TCP has nothing to flush; TLS may hold a record back.
        Pin::new(stream).poll_flush(context)
    }

    /// Ends the connection, and gives back the messages that were not written whole.
    pub fn into_unsent(self) -> Outbox {
        self.outbox.unsent()
    }

    /// Reads until there is something, without a budget; for the handshake and tests.
    pub async fn arrived(&mut self) -> io::Result<Arrival> {
        loop {
            if let Some(arrival) = self.next_arrival()? {
                return Ok(arrival);
            }
            std::future::poll_fn(|context| self.poll_read(context)).await?;
        }
    }

    /// Writes everything.
    pub async fn flush(&mut self) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_write(context)).await
    }
}

impl Outbox {
    /// How many bytes still have to be written.
    pub fn unsent_bytes(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Adds a message. One whose subject is no subject is left out: `false`.
    pub fn publish(&mut self, subject: &[u8], headers: &Headers, payload: &[u8]) -> bool {
        protocol::push_message(&mut self.bytes, subject, b"", headers, payload)
    }

    /// Adds a message that asks for an answer.
    pub fn request(&mut self, subject: &[u8], reply: &[u8], headers: &Headers, payload: &[u8]) -> bool {
        protocol::push_message(&mut self.bytes, subject, reply, headers, payload)
    }

    /// Adds a subscription.
    pub fn subscribe(&mut self, subject: &str, sid: u64) {
        protocol::push_subscribe(&mut self.bytes, subject, sid);
    }

    /// Adds the end of a subscription.
    pub fn unsubscribe(&mut self, sid: u64) {
        protocol::push_unsubscribe(&mut self.bytes, sid);
    }

    /// Adds a `PING`: its answer comes after everything that the server had for this connection before.
    pub fn ping(&mut self) {
        self.bytes.extend_from_slice(b"PING\r\n");
    }

    /// Adds the messages of an earlier connection.
    pub fn append(&mut self, earlier: &Self) {
        self.bytes.extend_from_slice(&earlier.bytes[earlier.written..]);
    }

    /// The messages that were not written whole. What belonged to the connection itself (`PONG`, `SUB` …) goes with it.
    fn unsent(mut self) -> Self {
        let mut kept = Vec::new();
        let mut start = 0;
        while let Some(length) = protocol::sent_length(&self.bytes[start..]) {
            let end = start + length;
            let is_message = matches!(self.bytes[start], b'H') || self.bytes[start..].starts_with(b"PUB ");
            if end > self.written && is_message {
                kept.extend_from_slice(&self.bytes[start..end]);
            }
            start = end;
        }
        self.bytes = kept;
        self.written = 0;
        self
    }

    /// Moves the rest to the front once much has been written, but never cuts a message.
    fn compact(&mut self) {
        if self.written < COMPACT_BYTES {
            return;
        }
        let mut start = 0;
        while let Some(length) = protocol::sent_length(&self.bytes[start..]) {
            if start + length > self.written {
                break;
            }
            start += length;
        }
        self.bytes.drain(..start);
        self.written -= start;
    }
}

impl Frame {
    /// The subscription.
    pub fn sid(&self) -> u64 {
        self.layout.sid
    }

    /// The subject.
    pub fn subject(&self) -> &[u8] {
        &self.bytes[self.layout.subject.clone()]
    }

    /// Where an answer goes; empty when none is asked for.
    pub fn reply(&self) -> &[u8] {
        &self.bytes[self.layout.reply.clone()]
    }

    /// The value of the first header of a name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        protocol::header(&self.bytes[self.layout.headers.clone()], name)
    }

    /// The status of a message that the server itself wrote, such as `503` where nobody listens.
    pub fn status(&self) -> Option<&[u8]> {
        let line = self.bytes[self.layout.headers.clone()].split(|byte| *byte == b'\r').next()?;
        let status = line.strip_prefix(b"NATS/1.0")?.trim_ascii();
        (!status.is_empty()).then_some(status)
    }

    /// The body.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.layout.payload.clone()]
    }

    /// How many bytes it holds in memory.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it holds nothing; it never does.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
