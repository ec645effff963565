//! Says in words what made a test true or what a feature found. The words are put together when a release is compiled;
//! only values are filled in here. Values that identify a person or a card are never shown.

mod shown;
mod phrase;

use std::ops::Range;

use super::{
    node::BoolId,
    run::Run,
    typed::{Type, Typed},
};
use crate::scoring::money::Currency;

pub(super) use phrase::Phrases;
pub(super) use shown::{Shown, write_value};

use shown::write_exactly;

/// How the truth of a test is told.
pub(super) enum Told {
    /// By every part when it holds, by the parts that fail when it does not.
    All(Vec<Self>),
    /// By the parts that hold, and by every part when it does not hold.
    Any(Vec<Self>),
    Not(Box<Self>),
    /// By one sentence.
    Sentence(Box<Sentence>),
}

/// One comparison in words.
pub(super) struct Sentence {
    test: BoolId,
    subject: Subject,
    /// What follows when the test holds.
    holds: Tail,
    /// What follows when it does not.
    fails: Tail,
}

/// How a value is written; whether it was there.
type Writer = fn(Shown, Currency, &mut Run<'_>, &mut String) -> bool;

/// A value with the words around it.
pub(super) struct Subject {
    before: Box<str>,
    value: Option<Shown>,
    /// Behind a value of one.
    after_one: Box<str>,
    after: Box<str>,
    /// What it is called where its value is missing.
    noun: Box<str>,
}

/// What follows a subject: a limit, or what it was compared with.
#[derive(Default)]
pub(super) struct Tail {
    words: Box<str>,
    value: Option<Shown>,
}

/// A feature in words.
pub(super) enum ToldFeature {
    Value(Subject),
    Test(BoolId, Told),
}

impl Told {
    /// Appends why a test answered `truth`, behind whatever `out` holds up to `start`, the parts joined by `; `.
    pub(super) fn write(&self, truth: bool, base: Currency, run: &mut Run<'_>, start: usize, out: &mut String) {
        match self {
            Self::Not(inside) => inside.write(!truth, base, run, start, out),
            Self::Sentence(sentence) => {
                if out.len() > start {
                    out.push_str("; ");
                }
                sentence.write(truth, base, run, out);
            }
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    if part.holds(run) == truth {
                        part.write(truth, base, run, start, out);
                    }
                }
            }
        }
    }

    fn holds(&self, run: &mut Run<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(run)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(run)),
            Self::Not(inside) => !inside.holds(run),
            Self::Sentence(sentence) => run.bool(sentence.test),
        }
    }
}

impl Sentence {
    fn write(&self, truth: bool, base: Currency, run: &mut Run<'_>, out: &mut String) {
        let start = out.len();
        if self.write_with(write_value, truth, base, run, out) {
            // Rounded, the value reads like its limit, which it may not be.
            out.truncate(start);
            self.write_with(write_exactly, truth, base, run, out);
        }
    }

    /// Appends value and limit; whether they read alike.
    fn write_with(&self, write: Writer, truth: bool, base: Currency, run: &mut Run<'_>, out: &mut String) -> bool {
        let Some(value) = self.subject.write(write, base, run, out) else { return false };
        let tail = if truth { &self.holds } else { &self.fails };
        let start = out.len();
        out.push_str(&tail.words);
        if let Some(limit) = &tail.value
            && !write(*limit, base, run, out)
        {
            out.truncate(start);
        }
        let (before, after) = out.split_at(start);
        let is_end = |value: &str| after.strip_suffix(value).is_some_and(|words| words.ends_with(' '));
        before.get(value).is_some_and(|value| !value.is_empty() && is_end(value))
    }
}

impl Subject {
    /// Appends the value in its words, and says where it stands; `None` if it is missing.
    fn write(&self, write: Writer, base: Currency, run: &mut Run<'_>, out: &mut String) -> Option<Range<usize>> {
        let start = out.len();
        out.push_str(&self.before);
        let from = out.len();
        let Some(value) = self.value else { return Some(from..from) };
        if !write(value, base, run, out) {
            out.truncate(start);
            out.push_str(&self.noun);
            out.push_str(" is missing");
            return None;
        }
        let to = out.len();
        let one = matches!(value, Shown::Integer(id) if run.integer(id) == Some(1));
        out.push_str(if one { &self.after_one } else { &self.after });
        Some(from..to)
    }
}

impl ToldFeature {
    /// Appends what a feature found.
    pub(super) fn write(&self, base: Currency, run: &mut Run<'_>, out: &mut String) {
        match self {
            Self::Value(subject) => {
                subject.write(write_value, base, run, out);
            }
            Self::Test(test, told) => {
                let truth = run.bool(*test);
                told.write(truth, base, run, out.len(), out);
            }
        }
    }
}

/// Whether a value may be shown to whoever reads a verdict.
pub(super) fn is_public(typed: &Typed) -> bool {
    !matches!(typed.of, Type::Ip) && (typed.of != Type::Text || phrase::is_public_text(typed))
}
