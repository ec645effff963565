//! A JSON array into its elements, each as the bytes it has there. What an element says is not looked at.

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
