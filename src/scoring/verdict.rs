//! The verdict on a transaction and its JSON. It holds no clock reading, host name or random number.

use std::{fmt::Write as _, ops::Range, sync::Arc};

use super::{
    field::{AttributeSchema, Field},
    quoted::is_plain,
};

/// What to do with a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// Go on.
    Approve,
    /// Refuse.
    Deny,
    /// Authorise now if you must, hold the capture or step up, and put it before a person.
    Review,
}

impl Decision {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 3] = [Self::Approve, Self::Deny, Self::Review];

    /// The word in messages, rule files, subjects and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Review => "review",
        }
    }

    /// The decision of a word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.name() == name)
    }
}

/// How much of the pipeline there was time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Rules and model.
    Full,
    /// Rules alone: no time for the model, or none loaded.
    RulesOnly,
    /// Neither: the configured default by amount band.
    StandIn,
}

impl Tier {
    /// All of them, from the most to the least.
    pub const ALL: [Self; 3] = [Self::Full, Self::RulesOnly, Self::StandIn];

    /// The word in messages and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::RulesOnly => "rules_only",
            Self::StandIn => "stand_in",
        }
    }
}

/// Something about a transaction or its windows that the reader of a verdict should know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    /// Older than the newest accepted transaction less the lateness.
    Late,
    /// A window was folded to bound memory.
    Approximate,
    /// The past of one of its keys may have been evicted.
    Evicted,
    /// The field's value was bad and is treated as missing.
    Invalid(Field),
    /// `attributes` as a whole was no object, or was there twice.
    InvalidAttributes,
    /// The field held a raw card number and is treated as missing.
    Pan(Field),
    /// The currency has no rate: `amount` is missing in expressions.
    NoRate,
    /// The parent is not known, or no longer.
    UnknownParent,
    /// A window is newer than what is retained.
    WindowFilling,
    /// A rule in shadow mode fired.
    Shadow(Arc<str>),
    /// What the verdict would have been, in monitor mode.
    Monitor(Decision),
}

impl Flag {
    fn push_text(&self, schema: &AttributeSchema, out: &mut String) {
        match self {
            Self::Late => out.push_str("late"),
            Self::Approximate => out.push_str("approximate"),
            Self::Evicted => out.push_str("evicted"),
            Self::InvalidAttributes => out.push_str("invalid:attributes"),
            Self::NoRate => out.push_str("no_rate"),
            Self::UnknownParent => out.push_str("unknown_parent"),
            Self::WindowFilling => out.push_str("window_filling"),
            // Writing to a string cannot fail.
            Self::Invalid(field) => drop(write!(out, "invalid:{}", field.name(schema))),
            Self::Pan(field) => drop(write!(out, "pan:{}", field.name(schema))),
            Self::Shadow(rule) => drop(write!(out, "shadow:{rule}")),
            Self::Monitor(decision) => drop(write!(out, "monitor:{}", decision.name())),
        }
    }

    /// The flag as the verdict prints it.
    pub fn text(&self, schema: &AttributeSchema) -> String {
        let mut out = String::new();
        self.push_text(schema, &mut out);
        out
    }
}

/// Where a reason comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasonKind {
    /// A rule that fired with the action that decided.
    Rule,
    /// One of the model's largest contributions.
    Model,
}

/// Why the verdict is what it is, with the actual value and the limit in its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// A rule or the model.
    pub kind: ReasonKind,
    /// The rule's id or the feature's name.
    pub code: Arc<str>,
    /// For people: where it is in the verdict's texts.
    pub text: Range<usize>,
    /// The model's contribution in log-odds; `None` for a rule.
    pub weight: Option<f64>,
}

/// The content hashes of what made a verdict: twelve hexadecimal digits each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The version of this engine.
    pub engine: &'static str,
    /// The rule set with its lists and tables.
    pub rules: String,
    /// The model; `None` without one.
    pub model: Option<String>,
    /// The configuration that can change an answer.
    pub config: String,
}

const MONITOR: &[u8] = b"\"monitor:";

/// The answer to a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What to do.
    pub decision: Decision,
    /// The calibrated probability of fraud, from 0 to 1; `None` without a model.
    pub score: Option<f64>,
    /// The rules that decided, by id, then the model's largest contributions.
    pub reasons: Vec<Reason>,
    /// The texts of the reasons, one behind the other: one piece of memory, used again for each verdict.
    pub texts: String,
    /// Every live rule that fired, sorted.
    pub fired: Vec<Arc<str>>,
    /// The tags of the rules that decided, sorted, each once.
    pub tags: Vec<Arc<str>>,
    /// How much of the pipeline there was time for.
    pub tier: Tier,
    /// In any order; the JSON sorts their texts.
    pub flags: Vec<Flag>,
}

impl Default for Verdict {
    fn default() -> Self {
        Self {
            decision: Decision::Approve,
            score: None,
            reasons: Vec::new(),
            texts: String::new(),
            fired: Vec::new(),
            tags: Vec::new(),
            tier: Tier::RulesOnly,
            flags: Vec::new(),
        }
    }
}

impl Verdict {
    /// What it would have been, where it is one of monitor mode: what windows and everything that is measured go by.
    pub fn would_be(&self) -> Decision {
        let monitored = |flag: &Flag| if let Flag::Monitor(decision) = flag { Some(*decision) } else { None };
        self.flags.iter().find_map(monitored).unwrap_or(self.decision)
    }

    /// The same of a verdict's JSON.
    pub fn would_be_of(body: &[u8], decision: Decision) -> Decision {
        // Quotes inside texts are escaped, so that no text looks like a key.
        let flags = memchr::memmem::rfind(body, b",\"flags\":[").map_or(&[][..], |at| &body[at..]);
        let monitored = memchr::memmem::find(flags, MONITOR).and_then(|at| {
            let name = flags[at + MONITOR.len()..].split(|byte| *byte == b'"').next()?;
            Decision::from_name(std::str::from_utf8(name).ok()?)
        });
        monitored.unwrap_or(decision)
    }

    /// Adds a reason whose text `write` appends.
    pub fn add_reason(
        &mut self,
        kind: ReasonKind,
        code: &Arc<str>,
        weight: Option<f64>,
        write: impl FnOnce(&mut String),
    ) {
        let start = self.texts.len();
        write(&mut self.texts);
        self.reasons.push(Reason { kind, code: Arc::clone(code), text: start..self.texts.len(), weight });
    }

    /// A reason's text.
    pub fn text(&self, reason: &Reason) -> &str {
        self.texts.get(reason.text.clone()).unwrap_or_default()
    }

    /// Appends the JSON body. The same verdict always gives the same bytes.
    pub fn encode(&self, id: &str, versions: &Versions, schema: &AttributeSchema, out: &mut Vec<u8>) {
        self.encode_before_versions(id, schema, out);
        versions.encode(out);
    }

    /// Appends the JSON body up to its versions, which end it.
    pub(super) fn encode_before_versions(&self, id: &str, schema: &AttributeSchema, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        push_text(out, id);
        out.extend_from_slice(b",\"verdict\":\"");
        out.extend_from_slice(self.decision.name().as_bytes());
        out.extend_from_slice(b"\",\"score\":");
        push_number(out, self.score);
        out.extend_from_slice(b",\"reasons\":[");
        for (index, reason) in self.reasons.iter().enumerate() {
            separate(out, index);
            let kind: &[u8] = match reason.kind {
                ReasonKind::Rule => b"{\"kind\":\"rule\",\"code\":",
                ReasonKind::Model => b"{\"kind\":\"model\",\"code\":",
            };
            out.extend_from_slice(kind);
            push_text(out, &reason.code);
            out.extend_from_slice(b",\"text\":");
            push_text(out, self.text(reason));
            if reason.weight.is_some() {
                out.extend_from_slice(b",\"weight\":");
                push_number(out, reason.weight);
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"],\"fired\":[");
        push_texts(out, &self.fired);
        out.extend_from_slice(b"],\"tags\":[");
        push_texts(out, &self.tags);
        out.extend_from_slice(b"],\"tier\":\"");
        out.extend_from_slice(self.tier.name().as_bytes());
        out.extend_from_slice(b"\",\"flags\":[");
        if !self.flags.is_empty() {
            let mut flags: Vec<String> = self.flags.iter().map(|flag| flag.text(schema)).collect();
            flags.sort_unstable();
            flags.dedup();
            push_texts(out, &flags);
        }
        out.push(b']');
    }
}

impl Versions {
    /// Appends what they end each verdict's JSON body with.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"versions\":{\"engine\":");
        push_text(out, self.engine);
        out.extend_from_slice(b",\"rules\":");
        push_text(out, &self.rules);
        out.extend_from_slice(b",\"model\":");
        match &self.model {
            Some(model) => push_text(out, model),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"config\":");
        push_text(out, &self.config);
        out.extend_from_slice(b"}}");
    }
}

fn separate(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}

fn push_texts<T: AsRef<str>>(out: &mut Vec<u8>, texts: &[T]) {
    for (index, text) in texts.iter().enumerate() {
        separate(out, index);
        push_text(out, text.as_ref());
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    // Plain text, the usual case, is copied whole; anything to escape goes the general way.
    if is_plain(text.as_bytes()) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing a string to memory cannot fail.
        let _ = serde_json::to_writer(out, text);
    }
}

/// The shortest decimal that reads back to the same double, or `null`.
fn push_number(out: &mut Vec<u8>, number: Option<f64>) {
    // Writing a number to memory cannot fail; what is not finite becomes `null`.
    let _ = serde_json::to_writer(out, &number);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_the_contract_shows() {
        let mut verdict = Verdict {
            decision: Decision::Deny,
            score: Some(0.973_115_420_1),
            fired: vec!["card-testing".into()],
            tier: Tier::Full,
            flags: vec![Flag::NoRate, Flag::Late, Flag::Invalid(Field::Mcc), Flag::Monitor(Decision::Deny)],
            ..Verdict::default()
        };
        verdict.add_reason(ReasonKind::Rule, &"card-testing".into(), None, |text| {
            text.push_str("9 authorisations on this card in 10m, limit 8");
        });
        verdict.add_reason(ReasonKind::Model, &"amount_over_mean_7d".into(), Some(0.41), |text| {
            text.push_str("amount is 6.2 times the card's mean of 7d");
        });
        let versions = Versions {
            engine: "0.1.0",
            rules: "a1b2c3d4e5f6".into(),
            model: Some("0f9e8d7c6b5a".into()),
            config: "77aa01c2d3e4".into(),
        };
        let mut out = Vec::new();
        verdict.encode("t-\"91", &versions, &AttributeSchema::default(), &mut out);
        let expected = concat!(
            r#"{"id":"t-\"91","verdict":"deny","score":0.9731154201,"#,
            r#""reasons":[{"kind":"rule","code":"card-testing","text":"9 authorisations on this card in 10m, limit 8"},"#,
            r#"{"kind":"model","code":"amount_over_mean_7d","text":"amount is 6.2 times the card's mean of 7d","weight":0.41}],"#,
            r#""fired":["card-testing"],"tags":[],"tier":"full","flags":["invalid:mcc","late","monitor:deny","no_rate"],"#,
            r#""versions":{"engine":"0.1.0","rules":"a1b2c3d4e5f6","model":"0f9e8d7c6b5a","config":"77aa01c2d3e4"}}"#,
        );
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
