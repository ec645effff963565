//! A compiled rule set: which rules fire on a transaction and what they decide. Evaluating allocates nothing once its
//! buffers have grown, and its answer does not depend on the order of files or rules.

use std::{collections::BTreeMap, sync::Arc};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{
    diagnostic::Diagnostic,
    file::Text,
    lint::lint,
    source::{DeclaredList, RuleFiles, RuleMode, RuleSource, TypeSet},
};
use crate::scoring::{
    expression::{Compiler, ConditionId, Define, Finding, Memo, Program, Scope},
    lists::TableType,
    settings::Settings,
    verdict::{Decision, Flag, ReasonKind, Verdict},
};

/// The finding that is about a define's name and not its expression.
const NAME_TAKEN: &str = "E136";
/// What stands for no rule where a condition belongs to something else.
const NO_RULE: u32 = u32::MAX;

/// A rule whose condition is compiled.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique in its set.
    pub id: Arc<str>,
    /// For people; may be empty.
    pub description: Arc<str>,
    /// Its condition in the release's program; `None` for a rule that is off.
    pub condition: Option<ConditionId>,
    /// What it decides.
    pub then: Decision,
    /// What it looks at.
    pub types: TypeSet,
    /// Echoed in the verdict; sorted, each once.
    pub tags: Vec<Arc<str>>,
    /// Whether it decides.
    pub mode: RuleMode,
    /// Percent of cards.
    pub rollout: u8,
    /// Whether no approve rule lifts its denial.
    pub overrides: bool,
    /// Makes the same card fall differently for each rule.
    rollout_seed: u64,
}

/// The compiled rules of a release.
#[derive(Clone, Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    /// The rule of each condition of the program.
    rule_of_condition: Vec<u32>,
    version: String,
}

/// Which rules fired on a transaction. Reused, so that it allocates only while it grows.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    candidates: Vec<ConditionId>,
    fired: Vec<u32>,
    shadow: Vec<u32>,
    /// Which actions fired: a bit for each place in the order of precedence.
    actions: u8,
}

/// An overriding deny, then approve, then deny, then review.
const PRECEDENCE: [(Decision, bool); 4] =
    [(Decision::Deny, true), (Decision::Approve, false), (Decision::Deny, false), (Decision::Review, false)];

impl RuleSet {
    /// Compiles the conditions of all rules into a release's program. Findings and warnings are appended; `None` if
    /// there is an error among the diagnostics, those of parsing included.
    ///
    /// The rules' conditions are added by id. A rule that is off is checked by itself and costs the release nothing.
    pub fn compile(
        files: &RuleFiles,
        settings: &Settings,
        compiler: &mut Compiler<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        for (name, findings) in compiler.check_defines() {
            let Some(define) = files.define_sources.get(&name) else { continue };
            diagnostics.extend(findings.into_iter().map(|finding| {
                let is_of_name = finding.code == NAME_TAKEN;
                let diagnostic = of_finding(files, &define.text, finding);
                if is_of_name { Diagnostic { place: define.place.clone(), ..diagnostic } } else { diagnostic }
            }));
        }
        let mut aside = Compiler::new(files.environment(settings));
        let mut rules = Vec::with_capacity(files.rules.len());
        let mut rule_of_condition = Vec::with_capacity(files.rules.len());
        let mut findings = Vec::new();
        for (index, source) in files.rules.iter().enumerate() {
            let condition = if source.mode == RuleMode::Off {
                aside.condition(&source.when.value, &mut findings);
                None
            } else {
                compiler.condition(&source.when.value, &mut findings)
            };
            for finding in findings.drain(..) {
                let within = finding.within.clone();
                let mut diagnostic = of_finding(files, &source.when, finding);
                // What a define holds may be wrong only where it is used, such as `score` inside a `where`.
                if let Some(within) = within
                    && let Some(define) = files.define_sources.get(&within.define)
                {
                    let place = files.place_in(&define.text, within.span).label(format!("in `{}`", within.define));
                    diagnostic = diagnostic.related(place);
                }
                diagnostics.push(diagnostic);
            }
            if let Some(ConditionId(place)) = condition {
                let place = place as usize;
                if rule_of_condition.len() <= place {
                    rule_of_condition.resize(place + 1, NO_RULE);
                }
                rule_of_condition[place] = index as u32;
            }
            rules.push(Rule::new(source, condition));
        }
        diagnostics.extend(lint(files, settings));
        diagnostics.sort_by(Diagnostic::order);
        if diagnostics.iter().any(Diagnostic::is_error) {
            return None;
        }
        Some(Self { rules, rule_of_condition, version: version(&files.defines, &files.rules, &files.declared) })
    }

    /// One rule alone, live for every card, whose condition is compiled.
    pub fn alone(source: &RuleSource, condition: ConditionId) -> Self {
        let rule = Rule { mode: RuleMode::Live, rollout: 100, ..Rule::new(source, Some(condition)) };
        let mut rule_of_condition = vec![NO_RULE; condition.0 as usize + 1];
        rule_of_condition[condition.0 as usize] = 0;
        Self { rules: vec![rule], rule_of_condition, version: String::new() }
    }

    /// The rules, by id.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule at a place.
    pub fn rule(&self, place: u32) -> Option<&Rule> {
        self.rules.get(place as usize)
    }

    /// The content hash of the set with its lists and tables: twelve hexadecimal digits.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Adds the rules that fire on a transaction to cleared `hits`.
    pub fn evaluate(&self, program: &Program, scope: &Scope<'_>, memo: &mut Memo, hits: &mut Hits) {
        program.candidates(scope, memo, &mut hits.candidates);
        for index in 0..hits.candidates.len() {
            // Conditions were added by rule id and come ascending, so what fires is sorted by id.
            let condition = hits.candidates[index];
            let place = self.rule_of_condition.get(condition.0 as usize).copied().unwrap_or(NO_RULE);
            let Some(rule) = self.rule(place) else { continue };
            let fires = rule.types.contains(scope.transaction.kind)
                && program.condition(condition, scope, memo)
                && rule.covers(&scope.transaction.card);
            if fires {
                hits.add(place, rule);
            }
        }
    }

    /// The live rules that fired, by id.
    pub fn fired<'s, 'h>(&'s self, hits: &'h Hits) -> impl Iterator<Item = &'s Rule> + use<'s, 'h> {
        hits.fired.iter().filter_map(|place| self.rule(*place))
    }

    /// The rules in shadow mode that fired, by id.
    pub fn shadow<'h>(&'h self, hits: &'h Hits) -> impl Iterator<Item = &'h Rule> {
        hits.shadow.iter().filter_map(|place| self.rule(*place))
    }

    /// The rules that decided, by id: of those that fired, the ones first in precedence.
    pub fn deciding<'s, 'h>(&'s self, hits: &'h Hits) -> impl Iterator<Item = &'s Rule> + use<'s, 'h> {
        let rank = hits.rank();
        self.fired(hits).filter(move |rule| Some(rule.rank()) == rank)
    }

    /// Tells the verdict of the hits: what fired, tags, flags of shadow rules, and the reasons of the rules that decided,
    /// by id, which go before the model's reasons that are there already.
    pub fn report(&self, hits: &Hits, program: &Program, scope: &Scope<'_>, memo: &mut Memo, verdict: &mut Verdict) {
        verdict.fired.extend(self.fired(hits).map(|rule| Arc::clone(&rule.id)));
        verdict.flags.extend(self.shadow(hits).map(|rule| Flag::Shadow(Arc::clone(&rule.id))));
        verdict.tags.extend(self.deciding(hits).flat_map(|rule| rule.tags.iter().cloned()));
        verdict.tags.sort_unstable();
        verdict.tags.dedup();
        let of_model = verdict.reasons.len();
        for rule in self.deciding(hits) {
            verdict.add_reason(ReasonKind::Rule, &rule.id, None, |text| {
                let start = text.len();
                if let Some(condition) = rule.condition {
                    program.describe(condition, scope, memo, text);
                }
                if text.len() == start {
                    text.push_str(&rule.description);
                }
            });
        }
        verdict.reasons.rotate_left(of_model);
    }
}

impl Default for RuleSet {
    /// No rules at all.
    fn default() -> Self {
        let version = version(&BTreeMap::new(), &[], &[]);
        Self { rules: Vec::new(), rule_of_condition: Vec::new(), version }
    }
}

impl Rule {
    fn new(source: &RuleSource, condition: Option<ConditionId>) -> Self {
        Self {
            id: Arc::clone(&source.id),
            description: source.description.as_str().into(),
            condition,
            then: source.then,
            types: source.types,
            tags: source.tags.clone(),
            mode: source.mode,
            rollout: source.rollout,
            overrides: source.overrides,
            rollout_seed: xxh3_64(source.id.as_bytes()),
        }
    }

    /// Whether the rule's rollout covers a card. A card that is covered stays covered when the percentage grows.
    pub fn covers(&self, card: &str) -> bool {
        if self.rollout >= 100 {
            return true;
        }
        let hash = xxh3_64_with_seed(card.as_bytes(), self.rollout_seed);
        // The hash as a fraction of its range, times 100: whole percents of equal width.
        let percent = (u128::from(hash) * 100) >> 64;
        percent < u128::from(self.rollout)
    }

    /// Its place in the order of precedence; the first decides.
    fn rank(&self) -> u32 {
        let action = (self.then, self.overrides && self.then == Decision::Deny);
        PRECEDENCE.iter().position(|known| *known == action).unwrap_or_default() as u32
    }
}

impl Hits {
    /// What the rules decide; `None` where none does.
    pub fn decision(&self) -> Option<Decision> {
        PRECEDENCE.get(self.rank()? as usize).map(|(decision, _)| *decision)
    }

    /// Has no other action decide.
    pub fn keep_only(&mut self, decision: Decision) {
        let keeps = |rank: &usize| PRECEDENCE[*rank].0 == decision;
        self.actions &= (0..PRECEDENCE.len()).filter(keeps).fold(0, |actions, rank| actions | 1 << rank);
    }

    /// Forgets every hit.
    pub fn clear(&mut self) {
        self.fired.clear();
        self.shadow.clear();
        self.actions = 0;
    }

    /// Notes that a rule fired; rules come by place.
    fn add(&mut self, place: u32, rule: &Rule) {
        match rule.mode {
            RuleMode::Live => {
                self.fired.push(place);
                self.actions |= 1 << rule.rank();
            }
            RuleMode::Shadow => self.shadow.push(place),
            RuleMode::Off => {}
        }
    }

    /// Whether no live rule fired.
    pub fn is_empty(&self) -> bool {
        self.fired.is_empty()
    }

    /// The places of the live rules that fired, ascending.
    pub fn fired_places(&self) -> &[u32] {
        &self.fired
    }

    /// The places of the rules in shadow mode that fired, ascending.
    pub fn shadow_places(&self) -> &[u32] {
        &self.shadow
    }

    fn rank(&self) -> Option<u32> {
        (self.actions != 0).then(|| self.actions.trailing_zeros())
    }
}

fn of_finding(files: &RuleFiles, text: &Text, finding: Finding) -> Diagnostic {
    let place = files.place_in(text, finding.span).label(finding.label);
    Diagnostic {
        code: finding.code,
        severity: finding.severity,
        message: finding.message,
        hint: finding.hint,
        details: String::new(),
        place,
        related: Vec::new(),
    }
}

/// The content hash of everything that can change what the rules decide: not their order, their files' names, their
/// layout or their examples.
fn version(defines: &BTreeMap<String, Define>, rules: &[RuleSource], lists: &[DeclaredList]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut put = |part: &[u8]| {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    };
    // What is left out of a set must not make two sets equal, so each kind says how many there are.
    put(&(defines.len() as u64).to_le_bytes());
    for (name, define) in defines {
        put(name.as_bytes());
        put(define.source.as_bytes());
    }
    put(&(rules.len() as u64).to_le_bytes());
    for rule in rules {
        put(rule.id.as_bytes());
        put(rule.description.as_bytes());
        put(rule.when.value.as_bytes());
        put(rule.then.name().as_bytes());
        put(rule.mode.name().as_bytes());
        put(&[rule.types.bits(), rule.rollout, u8::from(rule.overrides)]);
        put(&(rule.tags.len() as u64).to_le_bytes());
        for tag in &rule.tags {
            put(tag.as_bytes());
        }
    }
    for list in lists {
        put(list.id.as_bytes());
        put(list.table.map_or("list", TableType::name).as_bytes());
        put(&list.hash);
    }
    hasher.finalize().to_hex()[..12].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules of a mask over every action in every mode, named so that no order of names is the order of precedence.
    fn rules() -> Vec<Rule> {
        let actions = [
            ("c-override", Decision::Deny, true),
            ("d-approve", Decision::Approve, false),
            ("a-deny", Decision::Deny, false),
            ("b-review", Decision::Review, false),
        ];
        let modes = [("live", RuleMode::Live), ("shadow", RuleMode::Shadow), ("off", RuleMode::Off)];
        let mut rules: Vec<Rule> = modes
            .into_iter()
            .flat_map(|(name, mode)| actions.map(|action| (name, mode, action)))
            .map(|(name, mode, (id, then, overrides))| Rule {
                id: format!("{id}-{name}").into(),
                description: "".into(),
                condition: None,
                then,
                types: TypeSet::DEFAULT,
                tags: vec![format!("by-{}", then.name()).into(), id.into()],
                mode,
                rollout: 100,
                overrides,
                rollout_seed: 0,
            })
            .collect();
        rules.sort_by(|left, right| left.id.cmp(&right.id));
        rules
    }

    #[test]
    fn precedence_over_all_combinations() {
        let set = RuleSet { rules: rules(), ..RuleSet::default() };
        for mask in 0_u32..1 << set.rules.len() {
            let mut hits = Hits::default();
            let fired: Vec<&Rule> = (0..)
                .zip(&set.rules)
                .filter(|(place, _)| mask >> place & 1 == 1)
                .map(|(place, rule)| {
                    hits.add(place, rule);
                    rule
                })
                .collect();
            let live = |then: Decision, overrides: bool| {
                let of =
                    |rule: &&&Rule| rule.mode == RuleMode::Live && rule.then == then && (!overrides || rule.overrides);
                fired.iter().filter(of).map(|rule| &*rule.id).collect::<Vec<_>>()
            };
            // The contract's sentence, spelled out: deny with `override` > approve > deny > review.
            let (overriding, approving) = (live(Decision::Deny, true), live(Decision::Approve, false));
            let (denying, reviewing) = (live(Decision::Deny, false), live(Decision::Review, false));
            let (decision, deciding) = if !overriding.is_empty() {
                (Some(Decision::Deny), overriding)
            } else if !approving.is_empty() {
                (Some(Decision::Approve), approving)
            } else if !denying.is_empty() {
                (Some(Decision::Deny), denying)
            } else if !reviewing.is_empty() {
                (Some(Decision::Review), reviewing)
            } else {
                (None, Vec::new())
            };
            assert_eq!(hits.decision(), decision, "{mask:b}");
            assert_eq!(set.deciding(&hits).map(|rule| &*rule.id).collect::<Vec<_>>(), deciding, "{mask:b}");
            let by_mode = |mode: RuleMode| {
                fired.iter().filter(move |rule| rule.mode == mode).map(|rule| &*rule.id).collect::<Vec<_>>()
            };
            assert_eq!(set.fired(&hits).map(|rule| &*rule.id).collect::<Vec<_>>(), by_mode(RuleMode::Live));
            assert_eq!(set.shadow(&hits).map(|rule| &*rule.id).collect::<Vec<_>>(), by_mode(RuleMode::Shadow));
        }
    }

    #[test]
    fn rollout_grows_and_differs_by_rule() {
        let rule = |id: &str, rollout| Rule {
            id: id.into(),
            rollout,
            rollout_seed: xxh3_64(id.as_bytes()),
            ..rules().remove(0)
        };
        let cards: Vec<String> = (0..10_000).map(|card| format!("c_{card}")).collect();
        let covered = |id: &str, rollout| {
            let rule = rule(id, rollout);
            cards.iter().map(|card| rule.covers(card)).collect::<Vec<_>>()
        };
        let share = |covered: &[bool]| covered.iter().filter(|covered| **covered).count();
        let (none, few, half, all) = (covered("a", 0), covered("a", 5), covered("a", 50), covered("a", 100));
        assert_eq!((share(&none), share(&all)), (0, cards.len()));
        // Hashes are fixed, so these are the counts on every machine.
        assert!((400..600).contains(&share(&few)) && (4_800..5_200).contains(&share(&half)));
        assert!(few.iter().zip(&half).all(|(few, half)| !few || *half), "a covered card stays covered");
        assert_ne!(half, covered("b", 50));
    }
}
