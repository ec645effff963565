//! Messages on their way to the broker, kept until the client takes them. It sends nothing by itself.

use std::collections::VecDeque;

use async_nats::{HeaderMap, HeaderValue, Subject, message::OutboundMessage};
use bytes::Bytes;

use super::ledger::Settled;

/// Answers and copies of verdicts, in their order.
#[derive(Default)]
pub struct Outbox {
    waiting: Vec<OutboundMessage>,
    /// What goes out only where nothing else does.
    put_off: VecDeque<OutboundMessage>,
    settled: Vec<Settled>,
    /// Deadlines of what waits, in Unix milliseconds.
    promised_ms: Vec<i64>,
}

impl Outbox {
    /// Adds a message.
    pub fn publish(&mut self, subject: Subject, headers: HeaderMap, payload: Bytes) {
        let headers = (!headers.is_empty()).then_some(headers);
        self.waiting.push(OutboundMessage { subject, reply: None, payload, headers });
    }

    /// Lets the message that was added last go out before the others after the first so many.
    pub fn bring_forward(&mut self, after: usize) {
        if let Some(later) = self.waiting.get_mut(after..) {
            later.rotate_right(1.min(later.len()));
        }
    }

    /// Lets everything after the first so many messages go out only where nothing else does.
    pub fn put_off(&mut self, after: usize) {
        self.put_off.extend(self.waiting.drain(after.min(self.waiting.len())..));
    }

    /// How many messages are put off.
    pub fn put_off_len(&self) -> usize {
        self.put_off.len()
    }

    /// Takes out the first message that was put off.
    pub fn take_put_off(&mut self) -> Option<OutboundMessage> {
        self.put_off.pop_front()
    }

    /// Adds a message that was made elsewhere, if there is one.
    pub fn append_one(&mut self, message: Option<OutboundMessage>) {
        self.waiting.extend(message);
    }

    /// Adds messages that were made elsewhere.
    pub fn append(&mut self, messages: &mut Vec<OutboundMessage>) {
        self.waiting.append(messages);
    }

    /// Adds what came of a message of the stream.
    pub fn settle(&mut self, settled: Settled) {
        self.settled.push(settled);
    }

    /// Adds what came of messages of the stream before all that waits.
    pub fn settle_first(&mut self, mut settled: Vec<Settled>) {
        settled.append(&mut self.settled);
        self.settled = settled;
    }

    /// Takes out what came of messages of the stream.
    pub fn take_settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.settled)
    }

    /// Among what waits is an answer with this deadline, if it has one.
    pub fn promise(&mut self, deadline_ms: Option<i64>) {
        self.promised_ms.extend(deadline_ms);
    }

    /// Takes out the deadlines of what waits.
    pub fn take_promised(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.promised_ms)
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes out all of them; `spare` becomes the room for the next ones.
    pub fn exchange(&mut self, spare: Vec<OutboundMessage>) -> Vec<OutboundMessage> {
        std::mem::replace(&mut self.waiting, spare)
    }
}

/// A header's value from text of the outside: whatever would end the line, and every other control character, becomes a
/// blank.
pub(super) fn header_text(text: &str) -> HeaderValue {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        HeaderValue::from(text.replace(|letter: char| letter.is_ascii_control(), " "))
    } else {
        HeaderValue::from(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_last_goes_out_before_the_others() {
        let mut outbox = Outbox::default();
        let add = |outbox: &mut Outbox, name: &'static str| {
            outbox.publish(Subject::from_static(name), HeaderMap::new(), Bytes::new());
        };
        outbox.bring_forward(0);
        for name in ["earlier", "first", "second", "last"] {
            add(&mut outbox, name);
        }
        outbox.bring_forward(1);
        outbox.bring_forward(9);
        let order: Vec<String> =
            outbox.exchange(Vec::new()).into_iter().map(|message| message.subject.to_string()).collect();
        assert_eq!(order, ["earlier", "last", "first", "second"]);
    }

    #[test]
    fn a_header_cannot_forge_another() {
        for (text, expected) in [("", ""), ("Caf\u{e9}", "Caf\u{e9}"), ("a\r\nX: y\u{0}\u{7f}", "a  X: y  ")] {
            assert_eq!(header_text(text).as_str(), expected);
        }
    }
}
