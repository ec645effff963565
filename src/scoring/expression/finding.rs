//! What the compiler has to say about an expression, and the registry of stable codes. It renders nothing.

use std::ops::Range;

/// Whether a finding keeps the rule set from loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The expression does not compile.
    Error,
    /// It compiles, and is likely not what was meant.
    Warning,
}

/// Where in a `[define]` the cause of a finding is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Within {
    /// The name that is defined.
    pub define: String,
    /// Bytes of the define's source.
    pub span: Range<usize>,
}

/// One thing found in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A stable code of the registry, such as `E103` or `W201`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// Bytes of the source that was compiled; the use of a define where the cause is inside the define.
    pub span: Range<usize>,
    /// The cause inside a define, if it is inside one.
    pub within: Option<Within>,
    /// What was found and what was expected, in one sentence.
    pub message: String,
    /// A few words to stand under the place; may be empty.
    pub label: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// The explanation of a code, in a paragraph or two with an example; `None` for no code of the registry.
pub fn explain(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, text)| *text)
}

/// Every code, in order, with its explanation.
pub const CODES: &[(&str, &str)] = &[];
