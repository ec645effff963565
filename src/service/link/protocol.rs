//! The NATS client protocol as bytes: what the server sends is parsed in place, what the client sends is appended to a
//! buffer. It opens no socket and keeps no state.

use std::ops::Range;

/// The longest control line a server may send: its own limit for what clients send is 4,096.
const CONTROL_LINE_MAX_BYTES: usize = 16 * 1024;
/// The largest payload with headers that is accepted: the server's own hard limit for `max_payload`.
const PAYLOAD_MAX_BYTES: usize = 64 * 1024 * 1024;
/// What every block of headers begins with.
const HEADERS_START: &[u8] = b"NATS/1.0\r\n";

/// What a server can say, with its place in the parsed bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Operation {
    /// A message for a subscription.
    Message(Layout),
    /// The server asks whether the client lives: answer `PONG`.
    Ping,
    /// The answer to a `PING`.
    Pong,
    /// An acknowledgement nobody waits for.
    Ok,
    /// The server describes itself: JSON.
    Info(Range<usize>),
    /// The server complains: text without its quotes.
    Error(Range<usize>),
}

/// Where the parts of a message lie in its frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The subscription.
    pub sid: u64,
    /// The subject, within the control line.
    pub subject: Range<usize>,
    /// Where an answer goes; empty when none is asked for.
    pub reply: Range<usize>,
    /// The headers with their version line; empty without any.
    pub headers: Range<usize>,
    /// The body.
    pub payload: Range<usize>,
}

/// The server said something that is not the protocol: the connection cannot be trusted any more.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server sent something that is not NATS: {0}")]
pub struct ProtocolError(&'static str);

/// The next operation and its length in bytes; `None` until all of it is there.
pub fn parse(input: &[u8]) -> Result<Option<(Operation, usize)>, ProtocolError> {
    let Some(line_end) = memchr::memchr(b'\n', &input[..input.len().min(CONTROL_LINE_MAX_BYTES)]) else {
        // `INFO` may be long in a large cluster; anything else of that length is no control line.
        if input.len() >= CONTROL_LINE_MAX_BYTES && !starts_with(input, b"INFO ") {
            return Err(ProtocolError("a control line without an end"));
        }
        return match memchr::memchr(b'\n', input) {
            Some(line_end) => parse_line(input, line_end),
            None if input.len() > PAYLOAD_MAX_BYTES => Err(ProtocolError("a control line without an end")),
            None => Ok(None),
        };
    };
    parse_line(input, line_end)
}

fn parse_line(input: &[u8], line_end: usize) -> Result<Option<(Operation, usize)>, ProtocolError> {
    let after = line_end + 1;
    let line = match input[..line_end] {
        [.., b'\r'] => &input[..line_end - 1],
        _ => &input[..line_end],
    };
    if let Some(arguments) = strip(line, b"MSG ") {
        return parse_message(input, line, arguments, after, false);
    }
    if let Some(arguments) = strip(line, b"HMSG ") {
        return parse_message(input, line, arguments, after, true);
    }
    let operation = if line == b"PING" {
        Operation::Ping
    } else if line == b"PONG" {
        Operation::Pong
    } else if line == b"+OK" {
        Operation::Ok
    } else if let Some(start) = strip(line, b"INFO ") {
        Operation::Info(start..line.len())
    } else if let Some(start) = strip(line, b"-ERR ") {
        let quoted = |at: usize| line.get(at) == Some(&b'\'');
        let start = start + usize::from(quoted(start));
        let end = line.len() - usize::from(line.len() > start && quoted(line.len() - 1));
        Operation::Error(start..end)
    } else {
        return Err(ProtocolError("an unknown operation"));
    };
    Ok(Some((operation, after)))
}

/// `MSG <subject> <sid> [reply] <bytes>` and `HMSG <subject> <sid> [reply] <header bytes> <bytes>`.
fn parse_message(
    input: &[u8],
    line: &[u8],
    arguments: usize,
    body: usize,
    with_headers: bool,
) -> Result<Option<(Operation, usize)>, ProtocolError> {
    let mut words: [Range<usize>; 5] = Default::default();
    let mut count = 0;
    let mut at = arguments;
    while at < line.len() {
        let end = memchr::memchr2(b' ', b'\t', &line[at..]).map_or(line.len(), |length| at + length);
        if end > at {
            let word = words.get_mut(count).ok_or(ProtocolError("too many arguments of a message"))?;
            *word = at..end;
            count += 1;
        }
        at = end + 1;
    }
    let numbers = 1 + usize::from(with_headers);
    let reply = match count.checked_sub(2 + numbers) {
        Some(0) => 0..0,
        Some(1) => words[2].clone(),
        _ => return Err(ProtocolError("too few arguments of a message")),
    };
    let sid = number(line, &words[1])?;
    let total = number(line, &words[count - 1])? as usize;
    let headers = if with_headers { number(line, &words[count - 2])? as usize } else { 0 };
    if total > PAYLOAD_MAX_BYTES || headers > total {
        return Err(ProtocolError("an impossible length of a message"));
    }
    let frame = body + total + 2;
    if input.len() < frame {
        return Ok(None);
    }
    if &input[body + total..frame] != b"\r\n" {
        return Err(ProtocolError("a message without an end"));
    }
    let layout = Layout {
        sid,
        subject: words[0].clone(),
        reply,
        headers: body..body + headers,
        payload: body + headers..body + total,
    };
    Ok(Some((Operation::Message(layout), frame)))
}

/// Where the arguments of a line begin if it is of this verb; the protocol's verbs ignore case, the server's do not.
fn strip(line: &[u8], verb: &[u8]) -> Option<usize> {
    starts_with(line, verb).then_some(verb.len())
}

fn starts_with(input: &[u8], verb: &[u8]) -> bool {
    input.get(..verb.len()) == Some(verb)
}

fn number(line: &[u8], word: &Range<usize>) -> Result<u64, ProtocolError> {
    let digits = &line[word.clone()];
    // Eighteen digits fit into 64 bits, so nothing below overflows.
    if digits.is_empty() || digits.len() > 18 {
        return Err(ProtocolError("an impossible number"));
    }
    let mut value = 0_u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(ProtocolError("a number with something else in it"));
        }
        value = value * 10 + u64::from(digit - b'0');
    }
    Ok(value)
}

/// The value of the first header of a name, compared without regard to case; blanks around it are dropped.
pub fn header<'h>(headers: &'h [u8], name: &str) -> Option<&'h [u8]> {
    let mut rest = headers.get(memchr::memchr(b'\n', headers)? + 1..)?;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        if line[..colon].eq_ignore_ascii_case(name.as_bytes()) {
            return Some(line[colon + 1..].trim_ascii());
        }
    }
    None
}

/// The headers of one message to be sent, in a buffer that is used again.
#[derive(Default)]
pub struct Headers {
    block: Vec<u8>,
}

impl Headers {
    /// Forgets the headers of the message before.
    pub fn clear(&mut self) {
        self.block.clear();
    }

    /// Adds a header whose value is known to be printable ASCII, such as a number or a token.
    pub fn push(&mut self, name: &'static str, value: &[u8]) {
        self.begin(name);
        self.block.extend_from_slice(value);
        self.block.extend_from_slice(b"\r\n");
    }

    /// Adds a header with a whole number.
    pub fn push_number(&mut self, name: &'static str, value: u64) {
        self.begin(name);
        push_decimal(&mut self.block, value);
        self.block.extend_from_slice(b"\r\n");
    }

    /// Adds a header with text from outside: whatever would end the line, and every other control character, becomes
    /// a blank. UTF-8 stays.
    pub fn push_text(&mut self, name: &'static str, value: &str) {
        self.begin(name);
        let start = self.block.len();
        self.block.extend_from_slice(value.as_bytes());
        for byte in &mut self.block[start..] {
            if byte.is_ascii_control() {
                *byte = b' ';
            }
        }
        self.block.extend_from_slice(b"\r\n");
    }

    fn begin(&mut self, name: &'static str) {
        if self.block.is_empty() {
            self.block.extend_from_slice(HEADERS_START);
        }
        self.block.extend_from_slice(name.as_bytes());
        self.block.extend_from_slice(b": ");
    }
}

/// Appends a message to be sent. Subjects are the caller's care: a blank or a line end in one would forge the protocol,
/// so a message with such a subject is not written.
pub fn push_message(out: &mut Vec<u8>, subject: &[u8], reply: &[u8], headers: &Headers, payload: &[u8]) -> bool {
    if !is_subject(subject) || !(reply.is_empty() || is_subject(reply)) {
        return false;
    }
    out.reserve(subject.len() + reply.len() + headers.block.len() + payload.len() + 48);
    let with_headers = !headers.block.is_empty();
    out.extend_from_slice(if with_headers { b"HPUB " } else { b"PUB " });
    out.extend_from_slice(subject);
    out.push(b' ');
    if !reply.is_empty() {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    let headers_length = if with_headers { headers.block.len() + 2 } else { 0 };
    if with_headers {
        push_decimal(out, headers_length as u64);
        out.push(b' ');
    }
    push_decimal(out, (headers_length + payload.len()) as u64);
    out.extend_from_slice(b"\r\n");
    if with_headers {
        out.extend_from_slice(&headers.block);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
    true
}

/// Appends a subscription; `sid` comes back with every message of it.
pub fn push_subscribe(out: &mut Vec<u8>, subject: &str, sid: u64) {
    out.extend_from_slice(b"SUB ");
    out.extend_from_slice(subject.as_bytes());
    out.push(b' ');
    push_decimal(out, sid);
    out.extend_from_slice(b"\r\n");
}

/// Appends the end of a subscription.
pub fn push_unsubscribe(out: &mut Vec<u8>, sid: u64) {
    out.extend_from_slice(b"UNSUB ");
    push_decimal(out, sid);
    out.extend_from_slice(b"\r\n");
}

/// How long the next message in `sent` is, all of it as `push_message` wrote it; `None` at the end.
///
/// A connection that breaks in the middle of a message takes up again at that message's start.
pub fn sent_length(sent: &[u8]) -> Option<usize> {
    let line_end = memchr::memchr(b'\n', sent)?;
    let line = sent.get(..line_end.checked_sub(1)?)?;
    if !starts_with(line, b"HPUB ") && !starts_with(line, b"PUB ") {
        return Some(line_end + 1);
    }
    let word = memchr::memrchr(b' ', line)? + 1..line.len();
    let total = number(line, &word).ok()? as usize;
    Some(line_end + 1 + total + 2).filter(|length| *length <= sent.len())
}

fn is_subject(subject: &[u8]) -> bool {
    !subject.is_empty() && subject.iter().all(|byte| *byte > b' ' && *byte != 0x7f)
}

/// Appends a number in decimal digits.
pub fn push_decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &[u8], range: &Range<usize>) -> String {
        String::from_utf8_lossy(&input[range.clone()]).into_owned()
    }

    /// What an input parses to, as a line that a reader can check.
    fn describe(input: &[u8]) -> String {
        match parse(input) {
            Err(error) => format!("error: {}", error.0),
            Ok(None) => "more".into(),
            Ok(Some((Operation::Message(layout), length))) => format!(
                "message sid={} subject={} reply={} headers={:?} payload={} length={length}",
                layout.sid,
                text(input, &layout.subject),
                text(input, &layout.reply),
                text(input, &layout.headers),
                text(input, &layout.payload),
            ),
            Ok(Some((Operation::Info(range), length))) => format!("info {} length={length}", text(input, &range)),
            Ok(Some((Operation::Error(range), length))) => format!("err {} length={length}", text(input, &range)),
            Ok(Some((operation, length))) => format!("{operation:?} length={length}"),
        }
    }

    #[test]
    fn what_a_server_says() {
        let cases = [
            ("", "more"),
            ("MSG a.b 1 2\r\n", "more"),
            ("MSG a.b 1 2\r\nhi\r\n", "message sid=1 subject=a.b reply= headers=\"\" payload=hi length=17"),
            (
                "MSG a.b 1 r.1 2\r\nhi\r\nPING\r\n",
                "message sid=1 subject=a.b reply=r.1 headers=\"\" payload=hi length=21",
            ),
            ("MSG a 7 0\r\n\r\n", "message sid=7 subject=a reply= headers=\"\" payload= length=13"),
            (
                "HMSG a 1 r 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n",
                "message sid=1 subject=a reply=r headers=\"NATS/1.0\\r\\nA: b\\r\\n\\r\\n\" payload=hi length=40",
            ),
            (
                "HMSG a 1 12 12\r\nNATS/1.0\r\n\r\n\r\n",
                "message sid=1 subject=a reply= headers=\"NATS/1.0\\r\\n\\r\\n\" payload= length=30",
            ),
            ("PING\r\n", "Ping length=6"),
            ("PONG\r\n", "Pong length=6"),
            ("+OK\r\n", "Ok length=5"),
            ("INFO {\"a\":1}\r\n", "info {\"a\":1} length=14"),
            ("-ERR 'Slow Consumer'\r\n", "err Slow Consumer length=22"),
            ("-ERR '\r\n", "err  length=8"),
            ("HTTP/1.1 200 OK\r\n", "error: an unknown operation"),
            ("MSG a 1\r\n", "error: too few arguments of a message"),
            ("MSG a 1 r 2 3 4 5\r\n", "error: too many arguments of a message"),
            ("MSG a 1 x\r\n", "error: a number with something else in it"),
            ("MSG a 1 9999999999999999999\r\n", "error: an impossible number"),
            ("MSG a 1 99999999999\r\n", "error: an impossible length of a message"),
            ("HMSG a 1 9 2\r\n", "error: an impossible length of a message"),
            ("MSG a 1 2\r\nhixx", "error: a message without an end"),
        ];
        for (input, expected) in cases {
            assert_eq!(describe(input.as_bytes()), expected, "{input:?}");
        }
        assert_eq!(describe(&[b'x'; CONTROL_LINE_MAX_BYTES]), "error: a control line without an end");
    }

    #[test]
    fn every_cut_waits_for_more() {
        let input = b"HMSG fraud.v1.score.p.c 1 _INBOX.a.1 18 24\r\nNATS/1.0\r\nA: b\r\n\r\n{\"a\":}\r\n";
        for length in 0..input.len() {
            assert_eq!(describe(&input[..length]), "more", "{length}");
        }
        assert!(describe(input).starts_with("message"));
    }

    #[test]
    fn headers_read_back() {
        let mut headers = Headers::default();
        headers.push_number("Fraud-Deadline", 1_700_000_000_123);
        headers.push("Fraud-Card", b"c_1");
        headers.push_text("Fraud-Merchant", "Caf\u{e9}\r\nX: y\u{0}");
        let mut out = Vec::new();
        assert!(push_message(&mut out, b"a.b", b"r.1", &headers, b"{}"));
        let hpub = String::from_utf8_lossy(&out).into_owned();
        let received = hpub.replacen("HPUB a.b ", "HMSG a.b 1 ", 1);
        let Ok(Some((Operation::Message(layout), length))) = parse(received.as_bytes()) else { panic!("{received}") };
        assert_eq!(length, received.len());
        let block = &received.as_bytes()[layout.headers];
        assert_eq!(header(block, "fraud-deadline"), Some(&b"1700000000123"[..]));
        assert_eq!(header(block, "Fraud-Card"), Some(&b"c_1"[..]));
        assert_eq!(header(block, "Fraud-Merchant"), Some("Caf\u{e9}  X: y".as_bytes()));
        assert_eq!(header(block, "X"), None);
        assert_eq!(sent_length(&out), Some(out.len()));
        assert_eq!(sent_length(&out[..out.len() - 1]), None);
    }

    #[test]
    fn a_subject_cannot_forge_the_protocol() {
        let headers = Headers::default();
        let mut out = Vec::new();
        for subject in [&b""[..], b"a b", b"a\r\nPUB x 0", b"a\t"] {
            assert!(!push_message(&mut out, subject, b"", &headers, b""));
            assert!(subject.is_empty() || !push_message(&mut out, b"a", subject, &headers, b""));
        }
        assert!(out.is_empty());
        assert!(push_message(&mut out, b"a", b"", &headers, b"hi"));
        assert_eq!(out, b"PUB a 2\r\nhi\r\n");
    }

    proptest::proptest! {
        #[test]
        fn anything_at_all_is_parsed_without_a_panic(input: Vec<u8>) {
            let _ = parse(&input);
            let _ = header(&input, "A");
            let _ = sent_length(&input);
        }
    }
}
