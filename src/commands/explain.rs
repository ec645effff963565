//! `gavel explain`: one transaction of a file as the rules saw it, after everything that came before it. It writes no
//! verdict anywhere.

use std::{collections::BTreeSet, fmt::Write as _, io::Write as _, path::PathBuf, process::ExitCode};

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use super::common::{EXIT_USAGE, JsonFlag, ScoringFlags, load_config, load_release, print_notes};
use crate::{
    data::{DataError, Replay, Rows},
    scoring::{
        expression::{Atom, Memo, Scope},
        money::Money,
        release::Release,
        rules::{Rule, RuleMode},
        scorer::{Output, Scorer},
        settings::{Measure, Mode, Policy, Segment},
        transaction::{Transaction, TransactionType},
        verdict::Decision,
    },
};

/// The file has no such transaction.
const EXIT_NOT_FOUND: u8 = 1;
/// Parts of conditions up to this width have their values in one column.
const ALIGNED_MAX: usize = 72;

/// Which transaction to explain.
#[derive(Args, Clone, Debug)]
pub struct ExplainArguments {
    /// Transactions: .csv, .jsonl or .ndjson, each also with .zst; `-` reads standard input
    #[arg(long = "in", value_name = "FILE")]
    pub input: PathBuf,
    /// The transaction's id
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// The processor that sent it, where several have the id
    #[arg(long, value_name = "NAME")]
    pub processor: Option<String>,
    /// The card it is of, where several have the id
    #[arg(long, value_name = "CARD")]
    pub card: Option<String>,
    #[command(flatten)]
    scoring: ScoringFlags,
    #[command(flatten)]
    json: JsonFlag,
}

/// Replays the file up to the transaction and shows what every rule saw.
pub fn run(arguments: &ExplainArguments) -> ExitCode {
    let explained = load_config(&arguments.scoring).and_then(|config| {
        let release = load_release(&config)?;
        find(arguments, Scorer::new(release)).map_err(|error| {
            anstream::eprintln!("error: {error}");
            ExitCode::from(EXIT_USAGE)
        })
    });
    let text = match explained {
        Ok(Some(explanation)) if arguments.json.json => explanation.to_json() + "\n",
        Ok(Some(explanation)) => explanation.to_text(),
        Ok(None) => {
            anstream::eprintln!("error: no transaction of the file has the id, or it could not be read");
            return ExitCode::from(EXIT_NOT_FOUND);
        }
        Err(code) => return code,
    };
    // A reader that has gone away is no failure.
    let _ = anstream::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// What a transaction was judged by.
struct Explanation {
    /// When, what kind, how much.
    heading: String,
    /// The answer to it, as the service gives it.
    verdict: Box<RawValue>,
    /// What decided, in words.
    decision: String,
    features: Vec<(String, Option<f64>)>,
    rules: Vec<RuleExplanation>,
}

/// The same for programs.
#[derive(Serialize)]
struct ExplanationJson<'e> {
    verdict: &'e RawValue,
    decision: &'e str,
    features: Vec<Value>,
    rules: Vec<Value>,
}

/// What a rule made of the transaction.
struct RuleExplanation {
    id: String,
    description: String,
    then: &'static str,
    state: RuleState,
    atoms: Vec<Atom>,
}

/// Whether a rule fired and, if it did not, why.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RuleState {
    Decided,
    Fired,
    FiredInShadow,
    DoesNotHold,
    NotThisType,
    NotThisCard,
    Off,
}

impl RuleState {
    fn words(self) -> &'static str {
        match self {
            Self::Decided => "fired and decided",
            Self::Fired => "fired, and another action came first",
            Self::FiredInShadow => "fired in shadow",
            Self::DoesNotHold => "did not fire",
            Self::NotThisType => "does not look at this type",
            Self::NotThisCard => "is not rolled out to this card",
            Self::Off => "is off",
        }
    }
}

fn find(arguments: &ExplainArguments, scorer: Scorer) -> Result<Option<Explanation>, DataError> {
    let mut rows = Rows::open(&arguments.input, &scorer.release().settings.schema)?;
    let mut replay = Replay::new(scorer);
    let mut found = None;
    // Of whom it is, and of whom others of that id are.
    let mut of = None;
    let mut others = BTreeSet::new();
    while let Some(row) = rows.next_row()? {
        let wanted = row.transaction.as_ref().ok().filter(|transaction| {
            let (processor, card) = (arguments.processor.as_deref(), arguments.card.as_deref());
            transaction.id == arguments.id.as_str()
                && processor.is_none_or(|name| transaction.processor == name)
                && card.is_none_or(|name| transaction.card == name)
        });
        if found.is_some() {
            others.extend(wanted.map(owner));
            continue;
        }
        let body = match replay.apply(&row) {
            Output::Verdict { body, .. } if wanted.is_some() => body.to_vec(),
            Output::Refused(refusal) if wanted.is_some() => {
                let mut body = Vec::new();
                refusal.encode(&mut body);
                body
            }
            _ => continue,
        };
        if let Some(transaction) = wanted {
            of = Some(owner(transaction));
            found = Some(explain(replay.scorer(), transaction, &body));
        }
    }
    print_notes(rows.notes(), replay.without_rate());
    others.retain(|other| Some(other) != of.as_ref());
    if let (Some((processor, card)), Some((other, its))) = (of, others.first()) {
        let more = others.len() - 1;
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        anstream::eprintln!(
            "note: this is of processor {processor} and card {card}; the id is also one of processor {other} and card \
             {its}{more}: choose with --processor and --card"
        );
    }
    Ok(found)
}

/// The processor and the card of a transaction.
fn owner(transaction: &Transaction<'_>) -> (String, String) {
    (transaction.processor.to_string(), transaction.card.to_string())
}

fn explain(scorer: &Scorer, transaction: &Transaction<'_>, body: &[u8]) -> Explanation {
    let release = scorer.release();
    let scope = scorer.scope(transaction);
    let verdict: Value = serde_json::from_slice(body).unwrap_or_default();
    let decided = reasons_of_rules(&verdict);
    let mut memo = release.program.memo();
    memo.begin();
    let explain_rule = |rule: &Rule| RuleExplanation {
        id: rule.id.to_string(),
        description: rule.description.to_string(),
        then: rule.then.name(),
        state: state(rule, &scope, &mut memo, scorer, &decided),
        atoms: rule.condition.map_or_else(Vec::new, |condition| release.program.atoms(condition, &scope)),
    };
    let mut rules: Vec<RuleExplanation> = release.rules.rules().iter().map(explain_rule).collect();
    rules.sort_by(|left, right| (left.state, &left.id).cmp(&(right.state, &right.id)));
    let names = release.features.iter().map(|feature| feature.name.to_string());
    let money = Money { minor: transaction.amount_minor, currency: transaction.currency };
    let decision = match &decided[..] {
        _ if transaction.kind == TransactionType::Reversal => {
            "a reversal is approved, whatever the rules say".to_owned()
        }
        [] => decision_of_policy(scorer, &scope, &mut memo),
        rules => format!("the rules decide: {}", rules.join(", ")),
    };
    let is_monitored =
        release.settings.policy.mode == Mode::Monitor && scorer.verdict().would_be() != Decision::Approve;
    Explanation {
        heading: format!("{} {} {money}", transaction.time, transaction.kind.name()),
        verdict: String::from_utf8(body.to_vec())
            .ok()
            .and_then(|body| RawValue::from_string(body).ok())
            .unwrap_or_default(),
        decision: if is_monitored {
            format!("{decision}; in monitor mode it is approved all the same")
        } else {
            decision
        },
        features: names.zip(scorer.features().iter().copied()).collect(),
        rules,
    }
}

/// What decides where no rule does, in words.
fn decision_of_policy(scorer: &Scorer, scope: &Scope<'_>, memo: &mut Memo) -> String {
    let Release { settings, .. } = scorer.release();
    let Policy { review_at, deny_at, .. } = settings.policy;
    let Some(score) = scorer.verdict().score else {
        return "no rule decides and no model answers, so [policy] without_score does".to_owned();
    };
    let thresholds = |review_at: f64, deny_at: f64| {
        format!("no rule decides, so the score of {score} does: review from {review_at} on, deny from {deny_at} on")
    };
    let Some(Segment { name, measure, .. }) = scorer.release().segment(scope, memo) else {
        return thresholds(review_at, deny_at);
    };
    match (measure, scope.amount_base_minor) {
        (Measure::Score { review_at, deny_at }, _) => {
            format!("{}, in the policy's segment {name:?}", thresholds(*review_at, *deny_at))
        }
        (Measure::Cost { .. }, None) => {
            format!("{}; the segment {name:?} cannot tell without an amount", thresholds(review_at, deny_at))
        }
        (Measure::Cost { review_minor, false_positive_minor }, Some(amount_minor)) => {
            let currency = settings.rates.base();
            let costs =
                [score * amount_minor as f64, *review_minor as f64, (1.0 - score) * *false_positive_minor as f64];
            let [approve, review, deny] = costs.map(|minor| Money { minor: minor.round() as i64, currency });
            format!(
                "no rule decides, so the score of {score} does, in the policy's segment {name:?}: to approve costs {approve}, \
                 to review {review}, to deny {deny}"
            )
        }
    }
}

/// The rules that the verdict names as its reasons.
fn reasons_of_rules(verdict: &Value) -> Vec<&str> {
    let reasons = verdict.get("reasons").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let of_rule = reasons.iter().filter(|reason| reason.get("kind").is_some_and(|kind| kind == "rule"));
    of_rule.filter_map(|reason| reason.get("code")?.as_str()).collect()
}

fn state(rule: &Rule, scope: &Scope<'_>, memo: &mut Memo, scorer: &Scorer, decided: &[&str]) -> RuleState {
    let Some(condition) = rule.condition else { return RuleState::Off };
    if !rule.types.contains(scope.transaction.kind) {
        return RuleState::NotThisType;
    }
    if !scorer.release().program.condition(condition, scope, memo) {
        return RuleState::DoesNotHold;
    }
    match rule.mode {
        _ if !rule.covers(&scope.transaction.card) => RuleState::NotThisCard,
        RuleMode::Shadow => RuleState::FiredInShadow,
        _ if decided.contains(&&*rule.id) => RuleState::Decided,
        _ => RuleState::Fired,
    }
}

impl Explanation {
    fn to_text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.heading, self.verdict, self.decision);
        if !self.features.is_empty() {
            text.push_str("\nthe model's features\n");
            let width = self.features.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
            for (name, value) in &self.features {
                let value = value.map_or_else(|| "missing".to_owned(), |value| value.to_string());
                // Writing to a string cannot fail, here and below.
                let _ = writeln!(text, "    {name:<width$}  {value}");
            }
        }
        for rule in &self.rules {
            let _ = writeln!(text, "\n{} ({}) {}", rule.id, rule.then, rule.state.words());
            if !rule.description.is_empty() {
                let _ = writeln!(text, "  {}", rule.description);
            }
            let widths = rule.atoms.iter().map(|atom| 2 * atom.depth + atom.text.chars().count());
            // A long condition would push every value off the screen: its own then follows it.
            let width = widths.filter(|width| *width <= ALIGNED_MAX).max().unwrap_or(0);
            for atom in &rule.atoms {
                let indented = format!("{}{}", "  ".repeat(atom.depth), atom.text);
                let _ = writeln!(text, "    {indented:<width$}  {}", atom.value);
            }
        }
        text
    }

    fn to_json(&self) -> String {
        let features = self.features.iter().map(|(name, value)| json!({"name": name, "value": value}));
        let rules = self.rules.iter().map(|rule| {
            let parts = rule
                .atoms
                .iter()
                .map(|atom| json!({"text": atom.text, "value": atom.value, "depth": atom.depth, "holds": atom.holds}));
            json!({
                "id": rule.id,
                "then": rule.then,
                "state": rule.state.words(),
                "parts": parts.collect::<Vec<_>>(),
            })
        });
        let told = ExplanationJson {
            verdict: &self.verdict,
            decision: &self.decision,
            features: features.collect(),
            rules: rules.collect(),
        };
        // Texts and numbers can always be told.
        serde_json::to_string_pretty(&told).unwrap_or_default()
    }
}
