//! What is swapped together: rules, lists, model, policy, rates and their versions. It never changes once built, but for
//! the list changes that arrive while it serves.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    expression::{Compiler, ConditionId, Environment, FeatureId, Finding, Memo, Program, Scope, aggregate_text},
    lists::Lists,
    model::Model,
    plan::{Aggregate, Plan},
    rules::{Diagnostic, RuleFiles, RuleSet},
    settings::{Measure, Segment, Settings},
    verdict::Versions,
};

/// A compiled feature.
#[derive(Clone)]
pub struct Feature {
    /// Its name, as reasons give it.
    pub name: Arc<str>,
    /// Its expression in the release's program.
    pub id: FeatureId,
}

/// How many challengers a release may have: each costs as much as the champion, outside of the answers, and has its own
/// series of metrics.
pub const CHALLENGERS_MAX: usize = 4;

/// A model that scores in shadow: beside the answers, and seen by none of them.
#[derive(Clone)]
pub struct Challenger {
    /// The model.
    pub model: Arc<Model>,
    /// Its features in its order, in the release's program.
    pub features: Vec<FeatureId>,
}

/// The models of a release.
#[derive(Clone, Default)]
pub struct Models {
    /// The one that decides.
    pub champion: Option<Arc<Model>>,
    /// Those that score in shadow, at most `CHALLENGERS_MAX`. One of the same content as another of the models is left out.
    pub challengers: Vec<Arc<Model>>,
}

/// Everything that decides an answer but the past: one compiled whole, swapped at one place in the order of inputs. A
/// clone shares what is large.
#[derive(Clone)]
pub struct Release {
    /// Rates, attributes, windows and policy.
    pub settings: Settings,
    /// Every expression of the rules and the features.
    pub program: Arc<Program>,
    /// Which aggregates the program reads.
    pub plan: Plan,
    /// The rules.
    pub rules: RuleSet,
    /// The lists and tables, with the changes made while serving.
    pub lists: Lists,
    /// The model, if one is loaded.
    pub model: Option<Arc<Model>>,
    /// The model's features in its order; or features alone, to be exported or learnt from.
    pub features: Vec<Feature>,
    /// The models that score in shadow.
    pub challengers: Vec<Challenger>,
    /// The conditions of the policy's segments, in order; `None` where one holds every transaction.
    pub segments: Vec<Option<ConditionId>>,
    /// The content hashes that a verdict names.
    pub versions: Versions,
}

/// What was found in the expression of a feature or of a segment of the policy.
#[derive(Debug)]
pub struct FeatureProblem {
    /// Whose expression it is: `feature` or `segment`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its expression.
    pub expression: String,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// Why a release was not built. Nothing of it is ever used.
#[derive(Debug)]
pub struct ReleaseProblems {
    /// What was found in the rule files, warnings included.
    pub diagnostics: Vec<Diagnostic>,
    /// What was found in the model's features and the policy's segments.
    pub features: Vec<FeatureProblem>,
}

impl Release {
    /// Compiles rules, lists and model into one whole; beside it what was found in the rule files, warnings all of it.
    ///
    /// `found` is what parsing the files found.
    pub fn compile(
        settings: Settings,
        files: RuleFiles,
        models: Models,
        found: Vec<Diagnostic>,
    ) -> Result<(Self, Vec<Diagnostic>), ReleaseProblems> {
        let Models { champion: model, challengers } = models;
        let mut diagnostics = found;
        let mut compiler = Compiler::new(files.environment(&settings));
        let rules = RuleSet::compile(&files, &settings, &mut compiler, &mut diagnostics);
        let sources = model.as_deref().map_or(&[][..], Model::features);
        let sources = sources.iter().map(|feature| (feature.name.as_str(), feature.expression.as_str()));
        let features = compile_features(sources, &mut compiler);
        let segments = compile_segments(&settings.policy.segments, &mut compiler);
        // Last, so that what only they ask for stands behind what answers ask for.
        let answering = compiler.asked();
        let challengers = compile_challengers(challengers, model.as_deref(), &mut compiler);
        let (rules, features, segments, challengers) = match (rules, features, segments, challengers) {
            (Some(rules), Ok(features), Ok(segments), Ok(challengers)) => (rules, features, segments, challengers),
            (_, features, segments, challengers) => {
                let mut problems = features.err().unwrap_or_default();
                problems.extend(segments.err().unwrap_or_default());
                problems.extend(challengers.err().unwrap_or_default());
                return Err(ReleaseProblems { diagnostics, features: problems });
            }
        };
        let (program, mut plan) = compiler.finish();
        let program = Arc::new(program);
        plan.keys_in_shadow = plan.keys.len().saturating_sub(answering.0);
        plan.aggregates_in_shadow = plan.aggregates.len().saturating_sub(answering.1);
        let versions = versions(&settings, &rules, model.as_deref());
        let lists = files.into_lists();
        let release = Self { settings, program, plan, rules, lists, model, features, challengers, segments, versions };
        Ok((release, diagnostics))
    }

    /// How the score decides about a transaction: the measure of the first segment that holds it.
    pub fn measure(&self, scope: &Scope<'_>, memo: &mut Memo) -> Option<Measure> {
        self.segment(scope, memo).map(|segment| segment.measure)
    }

    /// The first segment of the policy that holds a transaction.
    pub fn segment(&self, scope: &Scope<'_>, memo: &mut Memo) -> Option<&Segment> {
        let holds = |id: &Option<ConditionId>| id.is_none_or(|id| self.program.condition(id, scope, memo));
        let place = self.segments.iter().position(holds)?;
        self.settings.policy.segments.get(place)
    }

    /// The content hashes of the challengers.
    pub fn challenger_versions(&self) -> Vec<String> {
        self.challengers.iter().map(|challenger| challenger.model.version().to_owned()).collect()
    }

    /// The aggregates that answers ask for as the language writes them: equal ones of two releases are one text.
    pub fn answering_aggregates(&self) -> Vec<String> {
        let mut aggregates = self.aggregates();
        aggregates.truncate(aggregates.len().saturating_sub(self.plan.aggregates_in_shadow));
        aggregates
    }

    /// Every aggregate of the plan as the language writes it, tests included: equal ones of two releases are one text.
    pub fn aggregates(&self) -> Vec<String> {
        let text = |(index, aggregate): (usize, &Aggregate)| {
            let text = aggregate_text(&self.plan, index, &self.settings.schema);
            match aggregate.filter {
                Some(filter) => text.replace("filtered)", &format!("where {})", self.program.filter_text(filter))),
                None => text,
            }
        };
        self.plan.aggregates.iter().enumerate().map(text).collect()
    }

    /// A release of features alone, by name and expression: for exporting them and for learning from them.
    pub fn of_features(settings: Settings, features: &[(String, String)]) -> Result<Self, Vec<FeatureProblem>> {
        let lists = Lists::default();
        let defines = BTreeMap::new();
        let environment =
            Environment { schema: &settings.schema, rates: &settings.rates, lists: &lists, defines: &defines };
        let mut compiler = Compiler::new(environment);
        let sources = features.iter().map(|(name, expression)| (name.as_str(), expression.as_str()));
        let features = compile_features(sources, &mut compiler)?;
        let (program, plan) = compiler.finish();
        let program = Arc::new(program);
        let rules = RuleSet::default();
        let versions = versions(&settings, &rules, None);
        let (challengers, segments) = (Vec::new(), Vec::new());
        Ok(Self { settings, program, plan, rules, lists, model: None, features, challengers, segments, versions })
    }
}

fn compile_features<'f>(
    sources: impl Iterator<Item = (&'f str, &'f str)>,
    compiler: &mut Compiler<'_>,
) -> Result<Vec<Feature>, Vec<FeatureProblem>> {
    let mut problems = Vec::new();
    let mut compiled = Vec::new();
    for (name, expression) in sources {
        let mut findings = Vec::new();
        if let Some(id) = compiler.feature(expression, &mut findings) {
            compiled.push(Feature { name: Arc::from(name), id });
        } else {
            let (name, expression) = (name.to_owned(), expression.to_owned());
            problems.push(FeatureProblem { kind: "feature", name, expression, findings });
        }
    }
    if problems.is_empty() { Ok(compiled) } else { Err(problems) }
}

fn compile_challengers(
    models: Vec<Arc<Model>>,
    champion: Option<&Model>,
    compiler: &mut Compiler<'_>,
) -> Result<Vec<Challenger>, Vec<FeatureProblem>> {
    let mut compiled: Vec<Challenger> = Vec::new();
    let mut problems = Vec::new();
    for model in models {
        let mut others = compiled.iter().map(|challenger| &*challenger.model).chain(champion);
        if others.any(|other| other.version() == model.version()) {
            continue;
        }
        let sources = model.features().iter().map(|feature| (feature.name.as_str(), feature.expression.as_str()));
        match compile_features(sources, compiler) {
            Ok(features) => {
                let features = features.iter().map(|feature| feature.id).collect();
                compiled.push(Challenger { model, features });
            }
            Err(found) => {
                let of_model = |problem: FeatureProblem| {
                    let name = format!("{} of challenger {}", problem.name, model.header().name);
                    FeatureProblem { name, ..problem }
                };
                problems.extend(found.into_iter().map(of_model));
            }
        }
    }
    if problems.is_empty() { Ok(compiled) } else { Err(problems) }
}

/// Compiles the conditions of a policy's segments.
pub fn compile_segments(
    segments: &[Segment],
    compiler: &mut Compiler<'_>,
) -> Result<Vec<Option<ConditionId>>, Vec<FeatureProblem>> {
    let mut problems = Vec::new();
    let mut compiled = Vec::new();
    for segment in segments {
        let Some(when) = &segment.when else {
            compiled.push(None);
            continue;
        };
        let mut findings = Vec::new();
        if let Some(id) = compiler.condition(when, &mut findings) {
            compiled.push(Some(id));
        } else {
            let (name, expression) = (segment.name.clone(), when.clone());
            problems.push(FeatureProblem { kind: "segment", name, expression, findings });
        }
    }
    if problems.is_empty() { Ok(compiled) } else { Err(problems) }
}

fn versions(settings: &Settings, rules: &RuleSet, model: Option<&Model>) -> Versions {
    Versions {
        engine: env!("CARGO_PKG_VERSION"),
        rules: rules.version().to_owned(),
        model: model.map(|model| model.version().to_owned()),
        config: settings.version(),
    }
}
