//! What the compiler has to say about an expression. It renders nothing.

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

impl Finding {
    /// An error at some bytes of the source.
    pub fn error(code: &'static str, span: &Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            span: span.clone(),
            within: None,
            message: message.into(),
            label: String::new(),
            hint: None,
        }
    }

    /// A warning at some bytes of the source.
    pub fn warning(code: &'static str, span: &Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// The same finding with a few words under the place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same finding with what to write instead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same finding with what to write instead, if anything is known.
    #[must_use]
    pub(super) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

/// Findings as they are gathered.
pub(super) type Findings = Vec<Finding>;

/// The name most like `name`, if one is like enough to be what was meant.
pub(super) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let letters = name.chars().count();
    // A third of the letters may be wrong, and one in any name.
    let slips_max = (letters / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(slips, candidate)| *slips <= slips_max && *slips < candidate.chars().count())
        // Of names equally near, one of the same letters first: swapped letters are the commonest slip. Then one that
        // begins alike.
        .min_by_key(|(slips, candidate)| {
            let begins = |text: &str| text.chars().next().map(|letter| letter.to_ascii_lowercase());
            (*slips, letters_of(candidate) != letters_of(name), begins(candidate) != begins(name))
        })
        .map(|(_, candidate)| candidate)
}

fn letters_of(text: &str) -> Vec<char> {
    let mut letters: Vec<char> = text.to_lowercase().chars().collect();
    letters.sort_unstable();
    letters
}

/// `did you mean …?` for a name, if one is like enough.
pub(super) fn did_you_mean<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    nearest(name, known).map(|candidate| format!("did you mean `{candidate}`?"))
}
