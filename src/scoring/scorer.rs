//! The one door: inputs in one order, outputs back. The same inputs always give the same bytes; no clock, no I/O.

use xxhash_rust::xxh3::xxh3_128;

use super::{
    expression::{CodedFields, Memo, Scope},
    plan::{AggregateValue, FilterBits, FilterId, SettledBits},
    refusal::{Refusal, RefusalClass},
    registry::{Fingerprint, Registry, Repeat},
    release::{Challenger, Release},
    rules::Hits,
    settings::Mode,
    transaction::{Label, ListChange, Outcome, Transaction, TransactionType},
    verdict::{Decision, Flag, ReasonKind, Tier, Verdict},
    windows::{Observed, RetiredWindows, Windows},
};

/// How many of the model's contributions a verdict names at most.
const MODEL_REASONS_MAX: usize = 4;

/// Something that changes an answer. Their order of arrival is the order of everything.
pub enum Input<'a> {
    /// A transaction, with how much of the pipeline there is time for.
    Transaction {
        /// The transaction.
        transaction: &'a Transaction<'a>,
        /// Decided where the sequence is made, for it depends on time.
        tier: Tier,
    },
    /// What the issuer then did.
    Outcome(&'a Outcome<'a>),
    /// What a transaction turned out to be.
    Label(&'a Label<'a>),
    /// An addition to or removal from a list.
    ListChange(&'a ListChange<'a>),
    /// Another release takes over.
    Reload(Box<Release>),
    /// A transaction that was answered before this process began: it is taken in with the answer of then, and nothing is
    /// decided anew.
    Answered {
        /// The transaction.
        transaction: &'a Transaction<'a>,
        /// Its amount in the base currency, by the rates of then.
        amount_base_minor: Option<i64>,
        /// What was decided.
        decision: Decision,
        /// The answer's JSON.
        body: &'a [u8],
        /// What the filters that ask a list or a table said then, as far as it is known.
        list_answers: &'a [Option<u8>],
    },
    /// A change to a list that took effect before this process began; no rule file need name the list now.
    ListChanged(&'a ListChange<'a>),
    /// The past that the release in force would have, had it always been there, takes the place of the one that was
    /// gathered across reloads; that one is left behind.
    Refill(&'a mut Past),
}

/// What came of an input.
pub enum Output<'s> {
    /// A new verdict.
    Verdict {
        /// Its JSON.
        body: &'s [u8],
        /// The verdict itself.
        verdict: &'s Verdict,
    },
    /// The verdict that the same transaction was given before.
    Duplicate {
        /// Its JSON, byte for byte.
        body: &'s [u8],
    },
    /// The input was refused and changed nothing.
    Refused(Refusal),
    /// An outcome, a label, a list change or a release took effect.
    Applied,
}

/// The scoring core with its past. The fields below `registry` hold one transaction at a time and are used again and
/// again, so that scoring allocates next to nothing.
pub struct Scorer {
    release: Release,
    windows: Windows,
    registry: Registry,
    seen: Seen,
    filters: FilterBits,
    settled: SettledBits,
    list_answers: Vec<u8>,
    memo: Memo,
    features: Vec<Option<f64>>,
    contributions: Vec<f64>,
    hits: Hits,
    verdict: Verdict,
    body: Vec<u8>,
    /// The release's versions, as they end each body.
    versions: Vec<u8>,
    fingerprint: Fingerprint,
    opinions: Vec<Option<Opinion>>,
    in_shadow: Vec<Option<f64>>,
    retired: Option<Retired>,
}

/// What was taken in so far: windows, and the transactions that they and repeated ids refer to.
pub struct Past {
    /// The windows.
    pub windows: Windows,
    /// The transactions remembered.
    pub registry: Registry,
}

/// What a reload has replaced. To free it may take long, so whoever is in a hurry hands it to somebody who is not.
pub struct Retired {
    /// The release that served before.
    pub release: Box<Release>,
    _windows: RetiredWindows,
}

/// What a model makes of a transaction by itself: where no rule decides, it is what the policy does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opinion {
    /// The probability of fraud.
    pub score: f64,
    /// The verdict by that score.
    pub decision: Decision,
}

/// What expressions see of a transaction beside its own fields.
#[derive(Default)]
struct Seen {
    codes: CodedFields,
    amount_base_minor: Option<i64>,
    aggregates: Vec<AggregateValue>,
}

impl Scorer {
    /// A scorer without a past.
    pub fn new(release: Release) -> Self {
        Self {
            windows: Windows::new(&release.plan, &release.settings.schema, &release.settings.windows),
            registry: Registry::new(&release.settings.windows),
            seen: Seen::default(),
            filters: FilterBits::default(),
            settled: SettledBits::default(),
            list_answers: Vec::new(),
            memo: release.program.memo(),
            features: Vec::new(),
            contributions: Vec::new(),
            hits: Hits::default(),
            verdict: Verdict::default(),
            body: Vec::new(),
            versions: ending(&release),
            fingerprint: Fingerprint::default(),
            opinions: Vec::new(),
            in_shadow: Vec::new(),
            retired: None,
            release,
        }
    }

    /// The release that serves.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// The windows, for what they hold.
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// The transactions remembered, for what is held.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The verdict on the transaction scored last.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The identity of the transaction scored last.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The amount of the transaction scored last in minor units of the base currency, where there is a rate.
    pub fn amount_base_minor(&self) -> Option<i64> {
        self.seen.amount_base_minor
    }

    /// What the filters that ask a list or a table said of the transaction scored last.
    pub fn list_answers(&self) -> &[u8] {
        &self.list_answers
    }

    /// Takes the answers that the aggregates gave for the transaction scored last; what was in `answers` is used again.
    pub fn exchange_answers(&mut self, answers: &mut Vec<AggregateValue>) {
        std::mem::swap(&mut self.seen.aggregates, answers);
    }

    /// What the last reload has replaced, if nobody has taken it yet.
    pub fn take_retired(&mut self) -> Option<Retired> {
        self.retired.take()
    }

    /// The past, and the release beside it.
    pub fn into_past(self) -> (Past, Release) {
        (Past { windows: self.windows, registry: self.registry }, self.release)
    }

    /// Of everything that decides whether a past that was saved is one of this release: its plan, its attributes, the
    /// settings of its windows, its tests and its currency.
    pub fn identity(&self) -> u128 {
        let Release { program, plan, settings, .. } = &self.release;
        let mut text = format!("{:032x} {}", self.windows.identity(), settings.rates.base().code());
        for filter in 0..plan.filters.len() {
            text.push('\n');
            text.push_str(program.filter_text(FilterId(filter as u16)));
        }
        xxh3_128(text.as_bytes())
    }

    /// The features of the transaction scored last, in the release's order.
    pub fn features(&self) -> &[Option<f64>] {
        &self.features
    }

    /// What each model makes of the transaction scored last: the champion first, then the challengers in their order;
    /// `None` where one did not score. Challengers score here, and only where there was time for all of the pipeline:
    /// nothing of it shows in an answer, before or after.
    ///
    /// To be called before the answers of the aggregates are exchanged.
    pub fn opinions(&mut self, transaction: &Transaction<'_>, tier: Tier) -> &[Option<Opinion>] {
        self.opinions.clear();
        let score = self.verdict.score;
        let of_champion = score.map(|score| self.opinion(transaction, score));
        self.opinions.push(of_champion);
        let is_scored = tier == Tier::Full && transaction.kind != TransactionType::Reversal;
        for place in 0..self.release.challengers.len() {
            let opinion = is_scored.then(|| {
                let score = self.challenge(place, transaction);
                self.opinion(transaction, score)
            });
            self.opinions.push(opinion);
        }
        &self.opinions
    }

    /// A challenger's probability for the transaction scored last.
    fn challenge(&mut self, place: usize, transaction: &Transaction<'_>) -> f64 {
        let Challenger { model, features } = &self.release.challengers[place];
        let scope = scope(&self.release, &self.seen, transaction, None);
        self.in_shadow.clear();
        for feature in features {
            self.in_shadow.push(self.release.program.feature(*feature, &scope, &mut self.memo));
        }
        model.probability(&self.in_shadow)
    }

    fn opinion(&mut self, transaction: &Transaction<'_>, score: f64) -> Opinion {
        let amount = self.seen.amount_base_minor;
        let mut measure = None;
        if !self.release.segments.is_empty() {
            // What was remembered of a condition on the score is about another score.
            self.memo.begin();
            let scope = scope(&self.release, &self.seen, transaction, Some(score));
            measure = self.release.measure(&scope, &mut self.memo);
        }
        let decision = self.release.settings.policy.decide(Tier::Full, None, Some(score), amount, measure);
        Opinion { score, decision }
    }

    /// What expressions saw of the transaction scored last.
    pub fn scope<'s>(&'s self, transaction: &'s Transaction<'s>) -> Scope<'s> {
        scope(&self.release, &self.seen, transaction, self.verdict.score)
    }

    /// The one door: an input in, what came of it out.
    pub fn apply(&mut self, input: Input<'_>) -> Output<'_> {
        match input {
            Input::Transaction { transaction, tier } => self.answer(transaction, tier),
            Input::Outcome(outcome) => {
                applied(self.registry.outcome(outcome, &self.release.settings.rates, &mut self.windows))
            }
            Input::Label(label) => applied(self.registry.label(label, &mut self.windows)),
            Input::ListChange(change) => match self.release.lists.change(change) {
                Ok(()) => Output::Applied,
                Err(refusal) => Output::Refused(refusal),
            },
            Input::Reload(release) => {
                self.adopt(release);
                Output::Applied
            }
            Input::Answered { transaction, amount_base_minor, decision, body, list_answers } => {
                self.restore(transaction, amount_base_minor, (decision, body), list_answers);
                Output::Applied
            }
            Input::ListChanged(change) => {
                self.release.lists.restore(change);
                Output::Applied
            }
            Input::Refill(past) => {
                std::mem::swap(&mut self.windows, &mut past.windows);
                std::mem::swap(&mut self.registry, &mut past.registry);
                Output::Applied
            }
        }
    }

    /// A repeated transaction gets its first answer again; a new one is scored and remembered.
    fn answer(&mut self, transaction: &Transaction<'_>, tier: Tier) -> Output<'_> {
        let fingerprint = Fingerprint::of(&transaction.processor, &transaction.card, &transaction.id);
        self.fingerprint = fingerprint;
        self.body.clear();
        let known = self.registry.known(fingerprint);
        match self.registry.repeated(known, transaction, &self.windows, &mut self.body) {
            Repeat::New => {}
            Repeat::Answered => return Output::Duplicate { body: &self.body },
            Repeat::Conflict => {
                let message = "id is taken by a transaction with another amount, currency or type";
                return Output::Refused(Refusal::of(RefusalClass::Conflict, "id_conflict", message).about("id"));
            }
        }
        let observed = self.score(transaction, tier);
        self.verdict.encode_before_versions(&transaction.id, &self.release.settings.schema, &mut self.body);
        self.body.extend_from_slice(&self.versions);
        self.registry.remember(known, transaction, self.seen.amount_base_minor, &observed, &self.windows, &self.body);
        Output::Verdict { body: &self.body, verdict: &self.verdict }
    }

    /// What scoring and remembering a transaction leave behind, without the model and the rules.
    fn restore(
        &mut self,
        transaction: &Transaction<'_>,
        amount_base_minor: Option<i64>,
        (decision, body): (Decision, &[u8]),
        list_answers: &[Option<u8>],
    ) {
        let fingerprint = Fingerprint::of(&transaction.processor, &transaction.card, &transaction.id);
        self.seen.amount_base_minor = amount_base_minor;
        let mut observed = self.observe(transaction, list_answers);
        self.verdict.score = None;
        self.settle(transaction, Verdict::would_be_of(body, decision), list_answers, &mut observed);
        let known = self.registry.known(fingerprint);
        self.registry.remember(known, transaction, amount_base_minor, &observed, &self.windows, body);
    }

    /// The pipeline.
    fn score(&mut self, transaction: &Transaction<'_>, tier: Tier) -> Observed {
        let rates = &self.release.settings.rates;
        self.seen.amount_base_minor = rates.to_base_minor(transaction.amount_minor, transaction.currency);
        let mut observed = self.observe(transaction, &[]);
        let probability = self.probability(transaction, tier);
        let ruled = self.evaluate(transaction, probability);
        self.decide(transaction, ruled, probability);
        self.settle(transaction, self.verdict.would_be(), &[], &mut observed);
        self.release.program.list_answers(&self.filters, &self.settled, &mut self.list_answers);
        observed
    }

    /// Windows: the answer of every aggregate, with the transaction taken in.
    fn observe(&mut self, transaction: &Transaction<'_>, list_answers: &[Option<u8>]) -> Observed {
        self.seen.codes = CodedFields::of(transaction);
        self.memo.begin();
        let own_fields = scope(&self.release, &self.seen, transaction, None);
        self.release.program.filters(&own_fields, &mut self.memo, &mut self.filters);
        self.release.program.recall(list_answers, &mut self.filters);

        let amount = self.seen.amount_base_minor;
        let observed = self.windows.observe(transaction, amount, &self.filters, &mut self.seen.aggregates);
        let has_parent = match transaction.kind {
            TransactionType::Reversal => self.registry.reverse(transaction, amount, &mut self.windows),
            TransactionType::Incremental => self.registry.knows_parent(transaction, &self.windows),
            _ => true,
        };

        let flags = &mut self.verdict.flags;
        flags.clear();
        flags.extend_from_slice(&transaction.flags);
        let found = [
            (observed.late, Flag::Late),
            (observed.approximate, Flag::Approximate),
            (observed.evicted, Flag::Evicted),
            (observed.filling, Flag::WindowFilling),
            (amount.is_none(), Flag::NoRate),
            (!has_parent, Flag::UnknownParent),
        ];
        flags.extend(found.into_iter().filter(|(is_so, _)| *is_so).map(|(_, flag)| flag));
        observed
    }

    /// The model: features, probability, and the largest contributions as reasons.
    fn probability(&mut self, transaction: &Transaction<'_>, tier: Tier) -> Option<f64> {
        let model = self.release.model.as_deref();
        self.verdict.tier = if tier == Tier::Full && model.is_none() { Tier::RulesOnly } else { tier };
        self.verdict.score = None;
        self.verdict.reasons.clear();
        self.verdict.texts.clear();
        self.features.clear();
        // Without a model features are asked for to be exported or learnt from, whatever the tier.
        if tier != Tier::Full && model.is_some() {
            return None;
        }
        let scope = scope(&self.release, &self.seen, transaction, None);
        let program = &self.release.program;
        for feature in &self.release.features {
            self.features.push(program.feature(feature.id, &scope, &mut self.memo));
        }
        let model = model.filter(|_| transaction.kind != TransactionType::Reversal)?;
        let probability = model.explain(&self.features, &mut self.contributions);
        for place in largest(&self.contributions) {
            let feature = &self.release.features[place];
            let weight = Some((self.contributions[place] * 1e4).round() / 1e4);
            if weight == Some(0.0) {
                break;
            }
            let memo = &mut self.memo;
            self.verdict.add_reason(ReasonKind::Model, &feature.name, weight, |text| {
                program.describe_feature(feature.id, &scope, memo, text);
            });
        }
        self.verdict.score = Some(probability);
        Some(probability)
    }

    /// Rules: which fired, and what they decide.
    fn evaluate(&mut self, transaction: &Transaction<'_>, probability: Option<f64>) -> Option<Decision> {
        self.hits.clear();
        if self.verdict.tier == Tier::StandIn {
            return None;
        }
        let scope = scope(&self.release, &self.seen, transaction, probability);
        self.release.rules.evaluate(&self.release.program, &scope, &mut self.memo, &mut self.hits);
        if transaction.kind == TransactionType::Reversal {
            // It is approved, whatever fired.
            self.hits.keep_only(Decision::Approve);
        }
        self.hits.decision()
    }

    /// Policy: the verdict, with what fired and why.
    fn decide(&mut self, transaction: &Transaction<'_>, ruled: Option<Decision>, probability: Option<f64>) {
        let policy = &self.release.settings.policy;
        let amount = self.seen.amount_base_minor;
        let scope = scope(&self.release, &self.seen, transaction, probability);
        let decision = if transaction.kind == TransactionType::Reversal {
            Decision::Approve
        } else {
            let measure = if ruled.is_none() { self.release.measure(&scope, &mut self.memo) } else { None };
            policy.decide(self.verdict.tier, ruled, probability, amount, measure)
        };
        let verdict = &mut self.verdict;
        verdict.fired.clear();
        verdict.tags.clear();
        self.release.rules.report(&self.hits, &self.release.program, &scope, &mut self.memo, verdict);
        verdict.decision = match policy.mode {
            Mode::Enforce => decision,
            Mode::Monitor => {
                verdict.flags.push(Flag::Monitor(decision));
                Decision::Approve
            }
        };
    }

    /// The windows learn the verdict, for the aggregates that test it.
    fn settle(
        &mut self,
        transaction: &Transaction<'_>,
        decision: Decision,
        list_answers: &[Option<u8>],
        observed: &mut Observed,
    ) {
        let scope = scope(&self.release, &self.seen, transaction, None);
        self.release.program.settle(&scope, decision, &mut self.memo, &mut self.settled);
        self.release.program.recall_settled(list_answers, &mut self.settled);
        self.windows.settle(&mut observed.places, &self.settled);
    }

    /// Another release takes over, with the past that both can use.
    fn adopt(&mut self, mut release: Box<Release>) {
        release.lists.carry_over(&mut self.release.lists);
        let settings = &release.settings;
        let same_filters = release.program.same_filters(&self.release.program);
        let windows = self.windows.adopt(&release.plan, &settings.schema, &settings.windows, &same_filters);
        self.registry.adopt(&settings.windows);
        self.memo = release.program.memo();
        self.versions = ending(&release);
        std::mem::swap(&mut self.release, &mut *release);
        self.retired = Some(Retired { release, _windows: windows });
    }
}

fn scope<'a>(release: &'a Release, seen: &'a Seen, transaction: &'a Transaction<'a>, score: Option<f64>) -> Scope<'a> {
    Scope {
        transaction,
        codes: seen.codes,
        amount_base_minor: seen.amount_base_minor,
        aggregates: &seen.aggregates,
        score,
        lists: &release.lists,
    }
}

/// What the release's versions end each body with.
fn ending(release: &Release) -> Vec<u8> {
    let mut ending = Vec::new();
    release.versions.encode(&mut ending);
    ending
}

/// The places of the largest positive contributions, largest first; of equal ones the first feature.
fn largest(contributions: &[f64]) -> impl Iterator<Item = usize> + use<> {
    let mut best = [(0.0, usize::MAX); MODEL_REASONS_MAX];
    for (place, weight) in contributions.iter().copied().enumerate() {
        if let Some(rank) = best.iter().position(|(least, _)| weight > *least) {
            let mut next = (weight, place);
            best[rank..].iter_mut().for_each(|known| std::mem::swap(known, &mut next));
        }
    }
    best.into_iter().map(|(_, place)| place).take_while(|place| *place != usize::MAX)
}

fn applied<'s>(is_known: bool) -> Output<'s> {
    if is_known {
        return Output::Applied;
    }
    let message = "id is no transaction of this processor and card, or one from before what is remembered";
    Output::Refused(Refusal::of(RefusalClass::BadInput, "unknown_transaction", message).about("id"))
}
