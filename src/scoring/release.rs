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
        model: Option<Arc<Model>>,
        found: Vec<Diagnostic>,
    ) -> Result<(Self, Vec<Diagnostic>), ReleaseProblems> {
        let mut diagnostics = found;
        let mut compiler = Compiler::new(files.environment(&settings));
        let rules = RuleSet::compile(&files, &settings, &mut compiler, &mut diagnostics);
        let sources = model.as_deref().map_or(&[][..], Model::features);
        let sources = sources.iter().map(|feature| (feature.name.as_str(), feature.expression.as_str()));
        let features = compile_features(sources, &mut compiler);
        let segments = compile_segments(&settings.policy.segments, &mut compiler);
        let (rules, features, segments) = match (rules, features, segments) {
            (Some(rules), Ok(features), Ok(segments)) => (rules, features, segments),
            (_, features, segments) => {
                let mut problems = features.err().unwrap_or_default();
                problems.extend(segments.err().unwrap_or_default());
                return Err(ReleaseProblems { diagnostics, features: problems });
            }
        };
        let (program, plan) = compiler.finish();
        let program = Arc::new(program);
        let versions = versions(&settings, &rules, model.as_deref());
        let lists = files.into_lists();
        Ok((Self { settings, program, plan, rules, lists, model, features, segments, versions }, diagnostics))
    }

    /// How the score decides about a transaction: the measure of the first segment that holds it.
    pub fn measure(&self, scope: &Scope<'_>, memo: &mut Memo) -> Option<Measure> {
        let holds = |id: &Option<ConditionId>| id.is_none_or(|id| self.program.condition(id, scope, memo));
        let place = self.segments.iter().position(holds)?;
        self.settings.policy.segments.get(place).map(|segment| segment.measure)
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
        Ok(Self { settings, program, plan, rules, lists, model: None, features, segments: Vec::new(), versions })
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

fn compile_segments(
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
