//! A JSON array into its elements, each as the bytes it has there. What an element says is not looked at.

use crate::scoring::refusal::{Refusal, RefusalClass};

/// The most transactions in a batch.
pub(super) const TRANSACTIONS_MAX: usize = 1_000;

/// The elements of a batch, in order, or the refusal of what is no array of at most a thousand.
pub(super) fn split(body: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    let inner = body.trim_ascii().strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    let Some(inner) = inner else {
        return Err(Refusal::of(RefusalClass::BadInput, "invalid_json", "the body is no JSON array of transactions"));
    };
    let mut elements = Vec::new();
    if inner.trim_ascii().is_empty() {
        return Ok(elements);
    }
    // Only commas outside of texts and nested values separate elements. What is not JSON shows when its element is
    // decoded; here it is enough that nothing is lost.
    let (mut start, mut at, mut depth) = (0, 0, 0_i64);
    let mut push = |element| {
        if elements.len() == TRANSACTIONS_MAX {
            let message = format!("the batch has more than {TRANSACTIONS_MAX} transactions");
            return Err(Refusal::of(RefusalClass::TooLarge, "batch_too_large", message));
        }
        elements.push(element);
        Ok(())
    };
    while at < inner.len() {
        match inner[at] {
            b'"' => at = text_end(inner, at + 1),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => {
                push(&inner[start..at])?;
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    push(&inner[start..])?;
    Ok(elements)
}

/// Where a text that begins before `at` ends: its closing quote, or the end of everything.
fn text_end(inner: &[u8], mut at: usize) -> usize {
    while let Some(offset) = inner.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += offset;
        if inner[at] == b'"' {
            return at;
        }
        at += 2;
    }
    inner.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_keep_their_bytes() {
        let cases: &[(&str, &[&str])] = &[
            ("[]", &[]),
            (" [ ] ", &[]),
            ("[{}]", &["{}"]),
            (r#"[{"a":"x,y]"},{"b":[1,{"c":2}]}]"#, &[r#"{"a":"x,y]"}"#, r#"{"b":[1,{"c":2}]}"#]),
            (r#"[{"a":"\",\\"}, 7]"#, &[r#"{"a":"\",\\"}"#, " 7"]),
            ("[,]", &["", ""]),
            (r#"["open]"#, &[r#""open"#]),
            ("[{},}]", &["{}", "}"]),
        ];
        for (body, expected) in cases {
            let found = split(body.as_bytes()).unwrap_or_else(|refusal| panic!("{body}: {}", refusal.message));
            let found: Vec<_> = found.into_iter().map(|element| std::str::from_utf8(element).unwrap()).collect();
            assert_eq!(&found, expected, "{body}");
        }
        for body in ["", "{}", "[", "]", "null", "[{}"] {
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
