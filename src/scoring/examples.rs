//! The examples of rules, run through the scorer: each rule alone, with the names, lists and tables of its set. What one
//! rule's examples say never depends on another rule, and nothing of a run is kept.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _, sync::Arc};

use super::{
    expression::{Atom, Compiler, ConditionId},
    lists::ListFile,
    money::Money,
    release::Release,
    rules::{Diagnostic, Example, ExampleEvent, LastVerdict, Place, RuleFiles, RuleSet, RuleSource},
    scorer::{Input, Output, Scorer},
    settings::{Mode, Settings},
    time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp},
    transaction::{Label, Outcome, Transaction, TransactionType},
    verdict::{Decision, Tier, Versions},
};

/// A timeline shows at most this many transactions, the last ones.
const SHOWN_MAX: usize = 40;

/// What came of running examples.
#[derive(Default)]
pub struct ExampleReport {
    /// How many were run.
    pub run: usize,
    /// Those that failed, each with its timeline.
    pub failures: Vec<Diagnostic>,
}

/// Runs the examples of every rule. Rules whose condition does not compile are left out: that has been told.
pub fn run_examples(files: &RuleFiles, settings: &Settings) -> ExampleReport {
    let mut report = ExampleReport::default();
    for rule in files.rules() {
        for example in &rule.examples {
            let Some(mut rehearsal) = Rehearsal::new(files, settings, rule, &example.lists) else { continue };
            report.run += 1;
            let moments = rehearsal.play(&example.events);
            if let Some((place, problem)) = judge(rule, example, &moments) {
                let message = format!("an example of `{}` failed: {problem}", rule.id);
                report.failures.push(Diagnostic::error("E503", place.clone(), message).details(timeline(&moments)));
            }
        }
    }
    report
}

/// One rule alone in a scorer.
struct Rehearsal<'r> {
    rule: &'r RuleSource,
    condition: ConditionId,
    scorer: Scorer,
}

/// What came of one transaction.
struct Moment {
    /// Since the example's first transaction.
    since_ms: i64,
    /// The transaction in a few words.
    summary: String,
    result: Result<bool, Cow<'static, str>>,
    /// What the condition saw.
    atoms: Vec<Atom>,
}

impl<'r> Rehearsal<'r> {
    fn new(
        files: &RuleFiles,
        settings: &Settings,
        rule: &'r RuleSource,
        lists: &BTreeMap<String, Vec<String>>,
    ) -> Option<Self> {
        let mut compiler = Compiler::new(files.environment(settings));
        let condition = compiler.condition(&rule.when.value, &mut Vec::new())?;
        let (program, plan) = compiler.finish();
        let rules = RuleSet::alone(rule, condition);
        let mut settings = settings.clone();
        // Where the rule does not decide nothing else does.
        settings.policy.mode = Mode::Enforce;
        settings.policy.without_score.clear();
        let release = Release {
            settings,
            program: program.into(),
            plan,
            rules,
            lists: files.lists().with_entries(lists.iter().map(|(name, entries)| (name, entries_file(entries)))),
            model: None,
            features: Vec::new(),
            challengers: Vec::new(),
            segments: Vec::new(),
            versions: Versions { engine: "", rules: String::new(), model: None, config: String::new() },
        };
        Some(Self { rule, condition, scorer: Scorer::new(release) })
    }

    fn play(&mut self, events: &[ExampleEvent]) -> Vec<Moment> {
        let start = events.first().map(|event| event.transaction.time);
        events.iter().map(|event| self.moment(event, start.unwrap_or(event.transaction.time))).collect()
    }

    fn moment(&mut self, event: &ExampleEvent, start: Timestamp) -> Moment {
        let transaction = &event.transaction;
        let output = self.scorer.apply(Input::Transaction { transaction, tier: Tier::Full });
        let mut result = match output {
            Output::Verdict { verdict, .. } => Ok(!verdict.fired.is_empty()),
            Output::Refused(refusal) => Err(refusal.message),
            Output::Duplicate { .. } => Err(Cow::Borrowed("a duplicate")),
            Output::Applied => Err(Cow::Borrowed("no verdict")),
        };
        let release = self.scorer.release();
        let mut scope = self.scorer.scope(transaction);
        if event.score.is_some() && result.is_ok() {
            // There is no model: what it is taken to say is put where its answer would stand.
            scope.score = event.score;
            let holds = release.program.condition(self.condition, &scope, &mut release.program.memo());
            result = Ok(holds && self.rule.types.contains(transaction.kind));
        }
        let atoms = release.program.atoms(self.condition, &scope);
        self.follow(event);
        Moment { since_ms: transaction.time.unix_ms() - start.unix_ms(), summary: summary(transaction), result, atoms }
    }

    /// What follows the transaction at once.
    fn follow(&mut self, event: &ExampleEvent) {
        let Transaction { processor, card, id, time, .. } = &event.transaction;
        let (processor, card, id) = (Cow::clone(processor), Cow::clone(card), Cow::clone(id));
        if let Some(kind) = event.outcome {
            let outcome =
                Outcome { processor: processor.clone(), card: card.clone(), id: id.clone(), time: *time, kind };
            self.scorer.apply(Input::Outcome(&outcome));
        }
        if let Some(kind) = event.label {
            self.scorer.apply(Input::Label(&Label { processor, card, id, time: *time, kind }));
        }
    }
}

fn entries_file(entries: &[String]) -> Arc<ListFile> {
    // Quoted, an entry may hold a comma.
    let lines: Vec<String> = entries.iter().map(|entry| format!("\"{}\"", entry.replace('"', "\"\""))).collect();
    Arc::new(ListFile::parse(lines.join("\n").as_bytes(), &mut Vec::new()))
}

/// What differs from what the example expects, and where it does so, if anything does.
fn judge<'e>(rule: &RuleSource, example: &'e Example, moments: &[Moment]) -> Option<(&'e Place, String)> {
    for (number, moment) in (1..).zip(moments) {
        if let Err(refusal) = &moment.result
            && !refusal.starts_with("a duplicate")
        {
            return Some((&example.place, format!("transaction {number} is refused: {refusal}")));
        }
    }
    let fires = |moment: &Moment| moment.result == Ok(true);
    if let Some((expected, place)) = &example.last {
        let last_fires = moments.last().is_some_and(fires);
        let as_expected = match expected {
            LastVerdict::Decision(decision) if last_fires => *decision == rule.then,
            // To approve by firing is more than to let pass.
            LastVerdict::Decision(decision) => *decision == Decision::Approve && rule.then != Decision::Approve,
            LastVerdict::None => !last_fires,
        };
        if !as_expected {
            let found = if last_fires { format!("decides {}", rule.then.name()) } else { "does not fire".to_owned() };
            let expected = match expected {
                LastVerdict::Decision(decision) => decision.name(),
                LastVerdict::None => "none",
            };
            return Some((place, format!("on the last transaction the rule {found}, expected {expected}")));
        }
    }
    let (expected, place) = example.fires.as_ref()?;
    let found: Vec<usize> = (1..).zip(moments).filter(|(_, moment)| fires(moment)).map(|(number, _)| number).collect();
    let problem = || format!("the rule fires at {}, expected {}", numbers(&found), numbers(expected));
    (found != *expected).then(|| (place, problem()))
}

fn numbers(numbers: &[usize]) -> String {
    match numbers {
        [] => "no transaction".to_owned(),
        numbers => {
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            format!("transaction {}", numbers.join(", "))
        }
    }
}

fn summary(transaction: &Transaction<'_>) -> String {
    let money = Money { minor: transaction.amount_minor, currency: transaction.currency };
    match transaction.kind {
        TransactionType::Authorization => format!("card {} {money}", transaction.card),
        other => format!("card {} {money} {}", transaction.card, other.name()),
    }
}

/// A line for each transaction: when, what, whether the rule fired, and the values that its condition saw.
fn timeline(moments: &[Moment]) -> String {
    let hidden = moments.len().saturating_sub(SHOWN_MAX);
    let mut text = String::new();
    if hidden > 0 {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "  … {hidden} earlier");
    }
    let shown = &moments[hidden..];
    let summary_width = shown.iter().map(|moment| moment.summary.chars().count()).max().unwrap_or(0);
    for (number, moment) in (hidden + 1..).zip(shown) {
        let since = since(moment.since_ms);
        let result = match &moment.result {
            Ok(true) => "fires",
            Ok(false) => "-",
            Err(problem) => problem,
        };
        let _ = write!(text, "{number:>5} {since:>8}  {:<summary_width$}  {result:<5}", moment.summary);
        let values = moment.atoms.iter().filter(|atom| atom.holds.is_none());
        let mut values: Vec<String> = values.map(|atom| format!("{} = {}", atom.text, atom.value)).collect();
        values.sort_unstable();
        values.dedup();
        let _ = writeln!(text, "  {}", values.join(", "));
    }
    text
}

/// `+1d2h30m`: every unit that is there, so that times of one timeline can be compared.
fn since(ms: i64) -> String {
    let mut text = String::from(if ms < 0 { "-" } else { "+" });
    let mut rest_ms = ms.abs();
    for (unit_ms, unit) in [(DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "m"), (SECOND_MS, "s"), (1, "ms")] {
        let units = rest_ms / unit_ms;
        rest_ms %= unit_ms;
        if units > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{units}{unit}");
        }
    }
    if text.len() == 1 { "+0s".to_owned() } else { text }
}
