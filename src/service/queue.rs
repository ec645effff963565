//! Messages that wait for the scoring thread, in their order of arrival and never more than a bound. It looks into none.

use std::{collections::VecDeque, time::Instant};

use async_nats::Message;

use super::subjects::Kind;

/// Bytes that may wait, whatever the number of messages.
const WAITING_MAX_BYTES: usize = 256 * 1024 * 1024;

/// A message as it was received. It has no `Debug`: it holds card data.
pub struct Received {
    /// What it asks for.
    pub kind: Kind,
    /// What it says.
    pub message: Message,
    /// When it was seen first.
    pub arrived: Instant,
    /// The latest moment at which an answer is still of use, in Unix milliseconds.
    pub deadline_ms: Option<i64>,
}

/// Messages with the moments of their arrival.
pub struct Queue {
    waiting: VecDeque<Received>,
    waiting_max: usize,
    bytes: usize,
}

impl Queue {
    /// An empty queue for at most so many messages.
    pub fn new(waiting_max: usize) -> Self {
        Self { waiting: VecDeque::new(), waiting_max, bytes: 0 }
    }

    /// Whether one more message of a length may wait.
    pub fn has_room(&self, length: usize) -> bool {
        self.waiting.len() < self.waiting_max && self.bytes + length <= WAITING_MAX_BYTES
    }

    /// Adds a message at the end.
    pub fn push(&mut self, received: Received) {
        self.bytes += received.message.length;
        self.waiting.push_back(received);
    }

    /// Takes the message that arrived first.
    pub fn pop(&mut self) -> Option<Received> {
        let received = self.waiting.pop_front()?;
        self.bytes -= received.message.length;
        Some(received)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
