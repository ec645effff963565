//! Messages that wait for the scoring thread, in their order of arrival and never more than a bound. It looks into none.

use std::{collections::VecDeque, time::Instant};

use super::link::Frame;

/// Bytes that may wait, whatever the number of messages.
const WAITING_MAX_BYTES: usize = 256 * 1024 * 1024;

/// Messages with the moments of their arrival.
pub struct Queue {
    waiting: VecDeque<(Frame, Instant)>,
    waiting_max: usize,
    bytes: usize,
}

impl Queue {
    /// An empty queue for at most so many messages.
    pub fn new(waiting_max: usize) -> Self {
        Self { waiting: VecDeque::new(), waiting_max, bytes: 0 }
    }

    /// Adds a message at the end; gives it back if there is no room.
    pub fn push(&mut self, frame: Frame, arrived: Instant) -> Result<(), Frame> {
        if self.waiting.len() >= self.waiting_max || self.bytes + frame.len() > WAITING_MAX_BYTES {
            return Err(frame);
        }
        self.bytes += frame.len();
        self.waiting.push_back((frame, arrived));
        Ok(())
    }

    /// Takes the message that arrived first.
    pub fn pop(&mut self) -> Option<(Frame, Instant)> {
        let (frame, arrived) = self.waiting.pop_front()?;
        self.bytes -= frame.len();
        Some((frame, arrived))
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
