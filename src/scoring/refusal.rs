//! Why a message was not scored or applied. A refusal is a value; it never repeats what a field held.

use std::borrow::Cow;

use serde::Serialize;

/// The class of a refusal, which decides its status header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalClass {
    /// The message is wrong: 400.
    BadInput,
    /// The id is taken by another transaction: 409.
    Conflict,
    /// The message is too large: 413.
    TooLarge,
    /// There is no room for the work: 503.
    Overloaded,
    /// Its deadline had passed: 504.
    PastDeadline,
}

impl RefusalClass {
    /// The `Nats-Service-Error-Code` header.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadInput => 400,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Overloaded => 503,
            Self::PastDeadline => 504,
        }
    }
}

/// Why a message was not scored or applied: nothing refused touches a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The class, for the status header.
    pub class: RefusalClass,
    /// A stable code such as `invalid_amount`; also the metric label.
    pub code: Cow<'static, str>,
    /// The field at fault; `None` for unreadable JSON and for refusals that are about no field.
    pub field: Option<Cow<'static, str>>,
    /// What was found and what was expected, without the value itself.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A bad required field: the code is `invalid_<field>`.
    pub fn invalid(field: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            class: RefusalClass::BadInput,
            code: Cow::Owned(format!("invalid_{field}")),
            field: Some(Cow::Borrowed(field)),
            message: message.into(),
        }
    }

    /// A refusal about no field in particular.
    pub fn of(class: RefusalClass, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { class, code: Cow::Borrowed(code), field: None, message: message.into() }
    }

    /// The same refusal, about a field.
    #[must_use]
    pub fn about(mut self, field: &'static str) -> Self {
        self.field = Some(Cow::Borrowed(field));
        self
    }

    /// Appends the error body: `{"error":{"code":…,"field":…,"message":…}}`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Body<'a> {
            error: ErrorBody<'a>,
        }
        #[derive(Serialize)]
        struct ErrorBody<'a> {
            code: &'a str,
            field: Option<&'a str>,
            message: &'a str,
        }
        let error = ErrorBody { code: &self.code, field: self.field.as_deref(), message: &self.message };
        // Writing plain strings to memory cannot fail.
        let _ = serde_json::to_writer(out, &Body { error });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_follow_the_contract() {
        let cases = [
            (
                Refusal::invalid("amount", "amount is text, expected an integer"),
                r#"{"error":{"code":"invalid_amount","field":"amount","message":"amount is text, expected an integer"}}"#,
            ),
            (
                Refusal::of(RefusalClass::BadInput, "invalid_json", "the body is not JSON"),
                r#"{"error":{"code":"invalid_json","field":null,"message":"the body is not JSON"}}"#,
            ),
        ];
        for (refusal, expected) in cases {
            let mut body = Vec::new();
            refusal.encode(&mut body);
            assert_eq!(String::from_utf8_lossy(&body), expected);
        }
    }
}
