//! Which subjects are listened to, and what their tokens say. It sends nothing.

use async_nats::Subject;

use crate::{
    config::SubjectRoots,
    scoring::{
        refusal::Refusal,
        verdict::Decision,
        wire::{Route, is_card_number, is_token},
    },
};

/// What a message asks for, by the subscription that it came on. Of what has arrived at once, the first kind is taken
/// first: a transaction before its outcome, whoever sent both without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A verdict on a transaction.
    Score,
    /// Verdicts on many transactions.
    Batch,
    /// To take in what an issuer did.
    Outcome,
    /// To take in what a transaction turned out to be.
    Label,
    /// To change a list.
    List,
    /// To reload now.
    Reload,
    /// To say who is there, as every NATS micro service does.
    Discovery,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Score, Self::Batch, Self::Outcome, Self::Label, Self::List, Self::Reload, Self::Discovery];

    /// The word in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Batch => "batch",
            Self::Outcome => "outcome",
            Self::Label => "label",
            Self::List => "list",
            Self::Reload => "reload",
            Self::Discovery => "discovery",
        }
    }
}

/// What a message of the stream is, by its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// A transaction.
    Transaction,
    /// What an issuer did.
    Outcome,
    /// What a transaction turned out to be.
    Label,
}

impl StreamKind {
    /// The word in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Outcome => "outcome",
            Self::Label => "label",
        }
    }
}

/// The configured subjects.
#[derive(Clone)]
pub struct Subjects {
    roots: SubjectRoots,
    /// What this process listens to for itself, if that is known.
    inbox: Option<String>,
}

impl Subjects {
    /// The subjects below the given roots.
    pub fn new(roots: SubjectRoots) -> Self {
        Self { roots, inbox: None }
    }

    /// The same of a process that listens below an inbox for itself.
    #[must_use]
    pub fn with_inbox(mut self, inbox: &str) -> Self {
        self.inbox = Some(inbox.to_owned());
        self
    }

    /// What is subscribed to for the work itself; requests for discovery are apart.
    pub fn listened(&self) -> [(Kind, String); 6] {
        let roots = &self.roots;
        [
            (Kind::Score, format!("{}.*.*", roots.score)),
            (Kind::Batch, format!("{}.*", roots.batch)),
            (Kind::Outcome, format!("{}.*.*", roots.outcome)),
            (Kind::Label, format!("{}.*.*", roots.label)),
            (Kind::List, format!("{}.*", roots.list)),
            (Kind::Reload, roots.reload.clone()),
        ]
    }

    /// The processor and the card of a subject, or the refusal of one whose processor is no token. What the card's
    /// token is compared with is the body, so a bad one is refused there.
    pub fn route<'s>(&self, kind: Kind, subject: &'s [u8]) -> Result<Route<'s>, Refusal> {
        let mut tokens = self.tokens(kind, subject).splitn(2, '.');
        route(tokens.next().unwrap_or_default(), tokens.next())
    }

    /// Whether an answer may go to a subject that somebody asks for: not to where the service itself is listened to or
    /// listens, nor to the broker, for whoever asks may not be permitted to publish there. What other processes of the
    /// service listen to for themselves nobody can know.
    pub fn may_answer(&self, reply: &str) -> bool {
        let SubjectRoots { score, txn, batch, verdict, outcome, label, list, refused, reload } = &self.roots;
        let own = [score, txn, batch, verdict, outcome, label, list, refused, reload].into_iter().chain(&self.inbox);
        let is_below = |root: &String| {
            reply.strip_prefix(root.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        !reply.starts_with('$') && !own.into_iter().any(is_below)
    }

    /// What the stream captures.
    pub fn streamed(&self) -> String {
        format!("{}.>", self.roots.txn)
    }

    /// What the stream of verdicts captures.
    pub fn verdicts(&self) -> String {
        format!("{}.>", self.roots.verdict)
    }

    /// Where refusals of messages of the stream are told.
    pub fn refusals(&self) -> String {
        format!("{}.>", self.roots.refused)
    }

    /// What a message of the stream is, with its processor and card.
    pub fn stream_route<'s>(&self, subject: &'s [u8]) -> Result<(StreamKind, Route<'s>), Refusal> {
        let mut tokens = after(&self.roots.txn, subject).split('.');
        let (processor, card) = (tokens.next().unwrap_or_default(), tokens.next());
        let kind = match (tokens.next(), tokens.next()) {
            (None, _) => Some(StreamKind::Transaction),
            (Some("outcome"), None) => Some(StreamKind::Outcome),
            (Some("label"), None) => Some(StreamKind::Label),
            _ => None,
        };
        let (Some(kind), Some(_)) = (kind, card) else {
            let message = "the subject is none of the stream path, expected a processor, a card, and then nothing, \
                           `outcome` or `label`";
            return Err(Refusal::invalid("subject", message));
        };
        Ok((kind, route(processor, card)?))
    }

    /// Where is told that a message of the stream could not be scored. Whoever has no token for a name is `unknown`.
    pub fn refused(&self, subject: &str) -> Subject {
        let processor = after(&self.roots.txn, subject.as_bytes()).split('.').next();
        let is_name = |processor: &&str| is_token(processor) && !is_card_number(processor);
        let processor = processor.filter(is_name).unwrap_or("unknown");
        Subject::from([self.roots.refused.as_str(), ".", processor].concat())
    }

    /// The list that a subject names.
    pub fn list<'s>(&self, subject: &'s [u8]) -> &'s str {
        self.tokens(Kind::List, subject)
    }

    /// What follows a kind's root; empty for a subject that is none of its.
    fn tokens<'s>(&self, kind: Kind, subject: &'s [u8]) -> &'s str {
        let root = match kind {
            Kind::Score => &self.roots.score,
            Kind::Batch => &self.roots.batch,
            Kind::Outcome => &self.roots.outcome,
            Kind::Label => &self.roots.label,
            Kind::List => &self.roots.list,
            Kind::Reload | Kind::Discovery => return "",
        };
        after(root, subject)
    }

    /// Whether a subject is one that verdicts are published on.
    pub fn is_verdict(&self, subject: &str) -> bool {
        subject.strip_prefix(self.roots.verdict.as_str()).is_some_and(|rest| rest.starts_with('.'))
    }

    /// The subject of a verdict.
    pub fn verdict(&self, processor: &str, decision: Decision) -> Subject {
        let parts = [self.roots.verdict.as_str(), ".", processor, ".", decision.name()];
        Subject::from(parts.concat())
    }
}

fn after<'s>(root: &str, subject: &'s [u8]) -> &'s str {
    let rest = subject.strip_prefix(root.as_bytes()).and_then(|rest| rest.strip_prefix(b"."));
    rest.and_then(|rest| std::str::from_utf8(rest).ok()).unwrap_or_default()
}

fn route<'s>(processor: &'s str, card: Option<&'s str>) -> Result<Route<'s>, Refusal> {
    if !is_token(processor) {
        let message = "the subject's processor is no token, expected 1 to 64 of letters, digits, `_` and `-`";
        return Err(Refusal::invalid("processor", message));
    }
    if is_card_number(processor) {
        let message = "the subject's processor is a raw card number, expected a name; the card's token comes after it";
        return Err(Refusal::invalid("processor", message));
    }
    Ok(Route { processor, card })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    #[test]
    fn tokens_say_processor_and_card() {
        let Ok(config) = Config::read(Sources::default()) else { panic!("the defaults are good") };
        let subjects = Subjects::new(config.subjects);
        let long = "c".repeat(64);
        let cases = [
            (Kind::Score, "fraud.v1.score.p-1.c_4f2".to_owned(), "p-1 c_4f2"),
            (Kind::Score, format!("fraud.v1.score.p.{long}"), &*format!("p {long}")),
            (Kind::Score, format!("fraud.v1.score.{long}c.x"), "invalid_processor"),
            (Kind::Score, "fraud.v1.score.p\u{e9}.c".to_owned(), "invalid_processor"),
            (Kind::Score, "fraud.v2.score.p.c".to_owned(), "invalid_processor"),
            (Kind::Batch, "fraud.v1.batch.p".to_owned(), "p -"),
            (Kind::Outcome, "fraud.v1.outcome.p.c".to_owned(), "p c"),
            (Kind::Label, "fraud.v1.label.p.c".to_owned(), "p c"),
        ];
        for (kind, subject, expected) in cases {
            let found = match subjects.route(kind, subject.as_bytes()) {
                Ok(route) => format!("{} {}", route.processor, route.card.unwrap_or("-")),
                Err(refusal) => refusal.code.into_owned(),
            };
            assert_eq!(found, expected, "{subject}");
        }
        let cases = [
            ("fraud.v1.txn.p.c", "transaction p c", "fraud.v1.refused.p"),
            ("fraud.v1.txn.p.c.outcome", "outcome p c", "fraud.v1.refused.p"),
            ("fraud.v1.txn.p.c.label", "label p c", "fraud.v1.refused.p"),
            ("fraud.v1.txn.p", "invalid_subject", "fraud.v1.refused.p"),
            ("fraud.v1.txn.p.c.other", "invalid_subject", "fraud.v1.refused.p"),
            ("fraud.v1.txn.p.c.label.x", "invalid_subject", "fraud.v1.refused.p"),
            ("fraud.v1.txn.p\u{e9}.c", "invalid_processor", "fraud.v1.refused.unknown"),
            ("fraud.v1.txn.4111111111111111.p", "invalid_processor", "fraud.v1.refused.unknown"),
        ];
        for (subject, expected, refused) in cases {
            let found = match subjects.stream_route(subject.as_bytes()) {
                Ok((kind, Route { processor, card })) => format!("{} {processor} {}", kind.name(), card.unwrap_or("-")),
                Err(refusal) => refusal.code.into_owned(),
            };
            assert_eq!((&*found, subjects.refused(subject).as_str()), (expected, refused), "{subject}");
        }
        assert_eq!(subjects.list(b"fraud.v1.list.blocked-bins"), "blocked-bins");
        assert_eq!(subjects.verdict("p", Decision::Review).as_str(), "fraud.v1.verdict.p.review");
    }
}
