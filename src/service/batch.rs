//! A JSON array of transactions into its elements, each as the bytes it has there, and their answers into an array that a
//! server takes. What an element says is not looked at.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::scoring::{
    refusal::{Refusal, RefusalClass},
    wire::not_json,
};

/// The most transactions in a batch.
pub(super) const TRANSACTIONS_MAX: usize = 1_000;

/// The elements of a batch, in order, or the refusal of what is no array of at most a thousand.
pub(super) fn split(body: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    if !body.trim_ascii_start().starts_with(b"[") {
        return Err(Refusal::of(RefusalClass::BadInput, "invalid_json", "the body is no JSON array of transactions"));
    }
    let elements: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    if elements.len() > TRANSACTIONS_MAX {
        let message = format!("the batch has more than {TRANSACTIONS_MAX} transactions");
        return Err(Refusal::of(RefusalClass::TooLarge, "batch_too_large", message));
    }
    Ok(elements.into_iter().map(|element| element.get().as_bytes()).collect())
}

/// The answers of a batch, in order, as a JSON array that is never larger than a server takes: where a verdict has no
/// room its place is taken by a refusal, for which there is always room.
pub(super) struct Answers {
    body: Vec<u8>,
    /// How many elements have no answer yet.
    left: usize,
    max_bytes: usize,
    no_room: Vec<u8>,
    is_full: bool,
}

impl Answers {
    /// None of so many answers yet, in the memory of `body`; a refusal of the batch if not even refusals fit.
    pub(super) fn begin(mut body: Vec<u8>, elements: usize, max_bytes: usize) -> Result<Self, Refusal> {
        body.clear();
        body.push(b'[');
        let mut no_room = Vec::new();
        answer_too_large().encode(&mut no_room);
        let answers = Self { body, left: elements, max_bytes, no_room, is_full: false };
        if answers.fits(0) { Ok(answers) } else { Err(answer_too_large()) }
    }

    /// Whether the next transaction's answer may still have room: where it has none, it is not to be scored.
    pub(super) fn has_room(&self) -> bool {
        !self.is_full
    }

    /// Adds the next answer, verdict or refusal. Where it has no room it is told to be too large. Gives back the
    /// refusal that was told, if it was one.
    pub(super) fn push(&mut self, answer: Result<Bytes, Refusal>) -> Option<Refusal> {
        let (told, refusal) = match answer {
            Ok(body) => (body, None),
            Err(refusal) => {
                let mut body = Vec::new();
                refusal.encode(&mut body);
                (body.into(), Some(refusal))
            }
        };
        self.left -= 1;
        self.is_full |= !self.fits(told.len() + 1);
        if self.body.len() > 1 {
            self.body.push(b',');
        }
        self.body.extend_from_slice(if self.is_full { &self.no_room } else { &told });
        if self.is_full { Some(answer_too_large()) } else { refusal }
    }

    /// All of them.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.body.push(b']');
        self.body
    }

    /// Whether there is room for so many bytes, refusals for the rest and the bracket.
    fn fits(&self, bytes: usize) -> bool {
        self.body.len() + bytes + self.left * (self.no_room.len() + 1) < self.max_bytes
    }
}

/// Of an answer that the message has no room for.
pub(super) fn answer_too_large() -> Refusal {
    let message = "the answers to this batch are larger than the server takes; send this again in a smaller one";
    Refusal::of(RefusalClass::TooLarge, "answer_too_large", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_never_larger_than_a_server_takes() {
        let mut refusal = Vec::new();
        answer_too_large().encode(&mut refusal);
        // A batch, the bytes of its answers, and how many there are beyond what refusals take.
        for (elements, answer, more) in
            [(0, 0, 0), (1, 40, 0), (1, 400, 0), (3, 300, 0), (3, 300, 140), (3, 300, 600), (9, 7, 0), (50, 400, 2_000)]
        {
            let max_bytes = 2 + elements * (refusal.len() + 1) + more;
            let mut answers = Answers::begin(b"old".to_vec(), elements, max_bytes).expect("refusals fit");
            let answer = format!("\"{}\"", "x".repeat(answer));
            let mut told = 0;
            for _ in 0..elements {
                let had_room = answers.has_room();
                let is_told = answers.push(Ok(answer.clone().into())).is_none();
                assert!(had_room || !is_told);
                told += usize::from(is_told);
            }
            let body = answers.finish();
            assert!(body.len() <= max_bytes, "{} of {max_bytes}", body.len());
            let list: Vec<&RawValue> = serde_json::from_slice(&body).expect("an array");
            let expected = (0..elements).map(|place| if place < told { answer.as_bytes() } else { &refusal });
            assert!(list.iter().map(|element| element.get().as_bytes()).eq(expected));
            // It is no smaller than it need be.
            let with_one_more =
                2 + (told + 1) * (answer.len() + 1) + elements.saturating_sub(told + 1) * (refusal.len() + 1);
            assert!(told == elements || with_one_more > max_bytes, "{told} of {elements}");
        }
        assert!(Answers::begin(Vec::new(), 2, 2 * refusal.len()).is_err(), "not even refusals fit");
    }

    #[test]
    fn elements_keep_their_bytes() {
        let cases: &[(&str, &[&str])] = &[
            ("[]", &[]),
            (" [ ] ", &[]),
            ("[{}]", &["{}"]),
            (r#"[{"a":"x,y]"},{"b":[1,{"c":2}]}]"#, &[r#"{"a":"x,y]"}"#, r#"{"b":[1,{"c":2}]}"#]),
            (r#"[{"a":"\",\\"}, 7]"#, &[r#"{"a":"\",\\"}"#, "7"]),
            // Good JSON that no text and no number can hold: that is for its element to say.
            (r#"[{"a":"\ud800"},1e999]"#, &[r#"{"a":"\ud800"}"#, "1e999"]),
        ];
        for (body, expected) in cases {
            let found = split(body.as_bytes()).unwrap_or_else(|refusal| panic!("{body}: {}", refusal.message));
            let found: Vec<_> = found.into_iter().map(|element| std::str::from_utf8(element).unwrap()).collect();
            assert_eq!(&found, expected, "{body}");
        }
        for body in ["", "{}", "[", "]", "null", "[{}", "[,]", r#"["open]"#, "[{},}]", "[{},]", "[{}{}]", "[{}] 1"] {
            assert_eq!(
                split(body.as_bytes()).err().map(|refusal| refusal.code.into_owned()),
                Some("invalid_json".into())
            );
        }
        let thousand = format!("[{}{{}}]", "{},".repeat(999));
        assert_eq!(split(thousand.as_bytes()).map(|elements| elements.len()).ok(), Some(1_000));
        let more = format!("[{}{{}}]", "{},".repeat(1_000));
        assert_eq!(split(more.as_bytes()).err().map(|refusal| refusal.class.status()), Some(413));
    }
}
