//! What is taken down of each transaction and label while they are answered, for somebody else to count. It counts
//! nothing: to take it down has to be cheap.

use std::{borrow::Cow, sync::Arc};

use serde::Deserialize;
use smallvec::SmallVec;

use crate::scoring::{
    model::{Model, Reference},
    registry::Fingerprint,
    release::Release,
    rules::RuleMode,
    scorer::{Opinion, Scorer},
    settings::Settings,
    transaction::{Label, LabelKind, Transaction, TransactionType},
    verdict::{Decision, Flag, Tier},
};

/// A model, as far as it is watched.
#[derive(Debug, PartialEq)]
pub struct ModelLine {
    /// The content hash.
    pub version: Arc<str>,
    /// Rows of its training.
    pub rows: u64,
    /// The distribution of its scores there.
    pub score: Reference,
    /// Its features by name, with their distributions there; none of a challenger.
    pub features: Vec<(Arc<str>, Reference)>,
}

/// Who decides and who looks on: everything that quality is told of.
#[derive(Debug, PartialEq)]
pub struct LineUp {
    /// The rules that are not off, by id.
    pub rules: Vec<Arc<str>>,
    /// The model that decides.
    pub champion: Option<ModelLine>,
    /// The models that score in shadow.
    pub challengers: Vec<ModelLine>,
}

/// A transaction with the answer that it was given.
#[derive(Clone, Copy)]
pub struct Answered<'a> {
    /// The transaction.
    pub transaction: &'a Transaction<'a>,
    /// Its amount in the base currency.
    pub amount_base_minor: Option<i64>,
    /// What was decided.
    pub decision: Decision,
    /// How much of the pipeline there was time for.
    pub tier: Tier,
    /// The answer's JSON.
    pub body: &'a [u8],
}

/// What an answer's JSON says of who judged.
#[derive(Deserialize)]
struct Body<'b> {
    score: Option<f64>,
    #[serde(borrow)]
    fired: Vec<Cow<'b, str>>,
    #[serde(borrow)]
    flags: Vec<Cow<'b, str>>,
    #[serde(borrow)]
    versions: BodyVersions<'b>,
}

#[derive(Deserialize)]
struct BodyVersions<'b> {
    #[serde(borrow)]
    model: Option<Cow<'b, str>>,
}

/// What was taken down, in order.
#[derive(Default)]
pub struct Notes {
    pub(super) taken: Vec<Note>,
    pub(super) rules: Vec<Arc<str>>,
    pub(super) opinions: Vec<Option<Opinion>>,
    pub(super) features: Vec<Option<f64>>,
}

pub(super) enum Note {
    LineUp(Arc<LineUp>),
    Transaction(Judged),
    Label { print: u64, time_ms: i64, kind: LabelKind },
}

/// A transaction that was judged; its rules, opinions and features are the next in their lists.
pub(super) struct Judged {
    pub(super) print: u64,
    pub(super) time_ms: i64,
    pub(super) amount_base_minor: Option<i64>,
    pub(super) decision: Decision,
    pub(super) is_ruled: bool,
    pub(super) rules: u16,
    pub(super) opinions: u8,
    pub(super) features: u16,
}

/// One transaction of the notes, with everything about it.
pub(super) struct Seen<'n> {
    pub(super) judged: &'n Judged,
    pub(super) rules: &'n [Arc<str>],
    pub(super) opinions: &'n [Option<Opinion>],
    pub(super) features: &'n [Option<f64>],
}

/// What happened, one after the other.
pub(super) enum Event<'n> {
    LineUp(&'n Arc<LineUp>),
    Transaction(Seen<'n>),
    Label { print: u64, time_ms: i64, kind: LabelKind },
}

impl LineUp {
    /// That of a release.
    pub fn of(release: &Release) -> Self {
        let rules = release.rules.rules().iter().filter(|rule| rule.mode != RuleMode::Off);
        let mut rules: Vec<Arc<str>> = rules.map(|rule| rule.id.clone()).collect();
        rules.sort_unstable();
        let line = |model: &Model, has_features: bool| {
            let header = model.header();
            let features = header.features.iter().filter(|_| has_features);
            ModelLine {
                version: model.version().into(),
                rows: header.training.rows,
                score: header.score.clone(),
                features: features.map(|feature| (feature.name.as_str().into(), feature.reference.clone())).collect(),
            }
        };
        Self {
            rules,
            champion: release.model.as_deref().map(|model| line(model, true)),
            challengers: release.challengers.iter().map(|challenger| line(&challenger.model, false)).collect(),
        }
    }
}

impl Notes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// Forgets them and keeps their memory.
    pub fn clear(&mut self) {
        self.taken.clear();
        self.rules.clear();
        self.opinions.clear();
        self.features.clear();
    }

    /// From here on others decide or look on.
    pub fn line_up(&mut self, line_up: Arc<LineUp>) {
        self.taken.push(Note::LineUp(line_up));
    }

    /// A label took effect.
    pub fn label(&mut self, label: &Label<'_>) {
        let print = Fingerprint::of(&label.processor, &label.card, &label.id).short();
        self.taken.push(Note::Label { print, time_ms: label.time.unix_ms(), kind: label.kind });
    }

    /// A transaction got a new verdict: the one that the scorer gave last. Challengers score here.
    pub fn judged(&mut self, scorer: &mut Scorer, transaction: &Transaction<'_>, tier: Tier) {
        // Nothing is decided about a reversal.
        if transaction.kind == TransactionType::Reversal {
            return;
        }
        let opinions = self.opinions.len();
        // Money that goes back is not a payment that could be fraud: no model learns from it or is measured on it.
        let is_payment = transaction.kind != TransactionType::Refund;
        if is_payment {
            self.opinions.extend_from_slice(scorer.opinions(transaction, tier));
        }
        let opinions = (self.opinions.len() - opinions) as u8;
        let (verdict, rules) = (scorer.verdict(), self.rules.len());
        self.rules.extend(verdict.fired.iter().cloned());
        self.rules.extend(verdict.flags.iter().filter_map(shadow));
        let scored = if is_payment && verdict.score.is_some() { scorer.features() } else { &[] };
        self.features.extend_from_slice(scored);
        self.taken.push(Note::Transaction(Judged {
            print: scorer.fingerprint().short(),
            time_ms: transaction.time.unix_ms(),
            amount_base_minor: scorer.amount_base_minor(),
            decision: verdict.would_be(),
            is_ruled: verdict.tier != Tier::StandIn,
            rules: (self.rules.len() - rules) as u16,
            opinions,
            features: scored.len() as u16,
        }));
    }

    /// A transaction was answered before this process began: what its answer says is taken down. What the model made of
    /// it by itself is known only where the model is the one that serves now, and no segment of the policy has a say.
    pub fn answered(&mut self, release: &Release, answered: &Answered<'_>) {
        let Answered { transaction, amount_base_minor, decision, tier, body } = *answered;
        let Ok(body) = serde_json::from_slice::<Body<'_>>(body) else { return };
        if transaction.kind == TransactionType::Reversal {
            return;
        }
        let Settings { policy, .. } = &release.settings;
        let is_same_model = release.model.as_deref().map(Model::version) == body.versions.model.as_deref();
        let score = body.score.filter(|_| is_same_model && policy.segments.is_empty());
        let opinion = score.map(|score| {
            let decision = policy.decide(Tier::Full, None, Some(score), amount_base_minor, None);
            Opinion { score, decision }
        });
        let opinion = Some(opinion).filter(|_| transaction.kind != TransactionType::Refund);
        self.opinions.extend(opinion);
        let in_shadow = body.flags.iter().filter_map(|flag| flag.strip_prefix("shadow:"));
        let rules = self.rules.len();
        self.rules.extend(body.fired.iter().map(|rule| &**rule).chain(in_shadow).map(Arc::from));
        let would_be = body.flags.iter().find_map(|flag| Decision::from_name(flag.strip_prefix("monitor:")?));
        self.taken.push(Note::Transaction(Judged {
            print: Fingerprint::of(&transaction.processor, &transaction.card, &transaction.id).short(),
            time_ms: transaction.time.unix_ms(),
            amount_base_minor,
            decision: would_be.unwrap_or(decision),
            is_ruled: tier != Tier::StandIn,
            rules: (self.rules.len() - rules) as u16,
            opinions: opinion.is_some().into(),
            features: 0,
        }));
    }

    /// What happened, in order.
    pub(super) fn events(&self) -> impl Iterator<Item = Event<'_>> {
        let (mut rules, mut opinions, mut features) = (&self.rules[..], &self.opinions[..], &self.features[..]);
        self.taken.iter().map(move |note| match note {
            Note::LineUp(line_up) => Event::LineUp(line_up),
            Note::Label { print, time_ms, kind } => Event::Label { print: *print, time_ms: *time_ms, kind: *kind },
            Note::Transaction(judged) => Event::Transaction(Seen {
                judged,
                rules: take(&mut rules, judged.rules.into()),
                opinions: take(&mut opinions, judged.opinions.into()),
                features: take(&mut features, judged.features.into()),
            }),
        })
    }

    /// What the models made of each transaction, the champion first, then the challengers; or who looks on from
    /// then on.
    pub fn opinions(&self) -> impl Iterator<Item = Result<&[Option<Opinion>], &Arc<LineUp>>> {
        self.events().filter_map(|event| match event {
            Event::Transaction(seen) => Some(Ok(seen.opinions)),
            Event::LineUp(line_up) => Some(Err(line_up)),
            Event::Label { .. } => None,
        })
    }
}

fn take<'n, T>(items: &mut &'n [T], count: usize) -> &'n [T] {
    let (taken, rest) = items.split_at(count.min(items.len()));
    *items = rest;
    taken
}

fn shadow(flag: &Flag) -> Option<Arc<str>> {
    if let Flag::Shadow(rule) = flag { Some(rule.clone()) } else { None }
}

/// Everything about a transaction that its label is counted by: few different ones, however many transactions.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Mark {
    /// A number of the line-up.
    pub(super) line_up: u32,
    pub(super) decision: Decision,
    pub(super) is_ruled: bool,
    /// By model, the champion first.
    pub(super) opinions: SmallVec<[Option<Decision>; 4]>,
    /// That fired, live and in shadow.
    pub(super) rules: SmallVec<[Arc<str>; 2]>,
}
