//! Builds one program and one plan for a whole release. It evaluates nothing.

use xxhash_rust::xxh3::xxh3_64;

use super::{
    atoms::parts,
    check::{Checker, Purpose},
    codes,
    defines::Defines,
    describe::Phrases,
    environment::Environment,
    finding::{Finding, Findings, Severity},
    index::{ConditionId, Index},
    lint,
    lower::{Full, Lowering, Value},
    order::order,
    parser::parse,
    print,
    program::{Feature, FeatureId, FeatureSource, Program},
    share::share,
    typed::{Kind, Type, Typed},
};
use crate::scoring::plan::{FilterId, Plan};

/// Collects conditions and features; equal sub-expressions, filters and aggregates are shared.
pub struct Compiler<'e> {
    environment: Environment<'e>,
    defines: Defines,
    lowering: Lowering,
    program: Program,
}

impl<'e> Compiler<'e> {
    /// A compiler with nothing in its program yet.
    pub fn new(environment: Environment<'e>) -> Self {
        let mut defines = Defines::new(environment.defines);
        for name in defines.in_order() {
            let Some((_, known)) = defines.find(&name).filter(|(_, known)| !known.broken) else { continue };
            let mut findings = Findings::new();
            let checker = Checker::new(environment, &defines, Purpose::Define, &known.source, &mut findings);
            if let Some(typed) = checker.check_whole(&known.tree) {
                lint::lint(&typed, environment, &mut findings);
            }
            defines.add_findings(&name, findings);
        }
        let program = Program::new(environment.rates.base());
        Self { environment, defines, lowering: Lowering::default(), program }
    }

    /// What was found in the defines themselves, by name, whether a rule uses them or not. Spans are of the define's
    /// own source.
    pub fn check_defines(&self) -> Vec<(String, Vec<Finding>)> {
        self.defines.findings()
    }

    /// Adds a rule's `when`. Errors and warnings are appended to `findings`; `None` if there was an error.
    ///
    /// Each call that succeeds answers with the next id, also for a condition that was added before.
    pub fn condition(&mut self, source: &str, findings: &mut Vec<Finding>) -> Option<ConditionId> {
        let typed = self.check(source, Purpose::Condition, findings)?;
        let Ok(id) = self.add_condition(&typed) else {
            findings.push(full(source));
            return None;
        };
        Some(id)
    }

    fn add_condition(&mut self, typed: &Typed) -> Result<ConditionId, Full> {
        let root = self.lowering.test(typed)?;
        let told = Phrases { lowering: &mut self.lowering, environment: self.environment }.told(typed)?;
        let parts = parts(typed, &mut self.lowering, self.environment)?;
        let id = ConditionId(u32::try_from(self.program.conditions.len()).map_err(|_| Full)?);
        self.program.conditions.push(root);
        self.program.told.push(told);
        self.program.parts.push(parts);
        Ok(id)
    }

    /// Adds a model feature: a number, money (in major units), a boolean (0 or 1) or a duration (in seconds), without
    /// `score` and verdict. Errors and warnings are appended to `findings`; `None` if there was an error.
    pub fn feature(&mut self, source: &str, findings: &mut Vec<Finding>) -> Option<FeatureId> {
        let typed = self.check(source, Purpose::Feature, findings)?;
        let Ok(id) = self.add_feature(&typed) else {
            findings.push(full(source));
            return None;
        };
        Some(id)
    }

    fn add_feature(&mut self, typed: &Typed) -> Result<FeatureId, Full> {
        let value = self.lowering.value(typed)?;
        let told = Phrases { lowering: &mut self.lowering, environment: self.environment }.feature(typed)?;
        let parts = parts(typed, &mut self.lowering, self.environment)?;
        let divisor = match typed.of {
            Type::Money => 10_f64.powi(self.environment.rates.base().exponent().cast_signed()),
            Type::Span => 1000.0,
            _ => 1.0,
        };
        let source = match value {
            Value::Integer(integer) => FeatureSource::Integer(integer),
            real => FeatureSource::Real(self.lowering.as_real(real)),
        };
        let id = FeatureId(u32::try_from(self.program.features.len()).map_err(|_| Full)?);
        self.program.features.push(Feature { source, divisor });
        self.program.told_features.push(told);
        self.program.feature_parts.push(parts);
        Ok(id)
    }

    /// How many keys and aggregates are asked for so far.
    pub fn asked(&self) -> (usize, usize) {
        (self.lowering.plan.keys.len(), self.lowering.plan.aggregates.len())
    }

    /// The program and the plan of all that was added.
    pub fn finish(self) -> (Program, Plan) {
        let Self { environment, lowering, mut program, .. } = self;
        program.filter_texts = lowering.filter_trees.iter().map(|tree| print::canonical(tree, environment)).collect();
        let asks = |tree: &Typed| {
            let mut asks = false;
            tree.walk(&mut |part| asks |= matches!(part.kind, Kind::InList { .. } | Kind::Lookup { .. }));
            asks
        };
        let looking_up = lowering.filter_trees.iter().zip(0..).filter(|(tree, _)| asks(tree));
        program.looking_up = looking_up.map(|(_, id)| FilterId(id)).collect();
        let hash = |filter: &FilterId| xxh3_64(program.filter_text(*filter).as_bytes());
        program.looking_up_hashes = program.looking_up.iter().map(hash).collect();
        program.filters = lowering.filters;
        program.nodes = lowering.builder.nodes;
        share(&mut program);
        order(&mut program.nodes);
        program.index = Index::new(&program.conditions, &program.nodes);
        (program, lowering.plan)
    }

    /// The checked tree of a source, with what is wrong and what is doubtful in it.
    pub(super) fn check(&self, source: &str, purpose: Purpose, findings: &mut Findings) -> Option<Typed> {
        let mut found = Findings::new();
        let tree = parse(source, &mut found);
        let typed = Checker::new(self.environment, &self.defines, purpose, source, &mut found).check_whole(&tree);
        let failed = found.iter().any(|finding| finding.severity == Severity::Error);
        if let Some(typed) = typed.as_ref().filter(|_| !failed) {
            lint::lint(typed, self.environment, &mut found);
        }
        found.sort_by_key(|finding| (finding.span.start, finding.span.end));
        findings.append(&mut found);
        typed.filter(|_| !failed)
    }
}

fn full(source: &str) -> Finding {
    let message = "the release asks for more than 65,536 different aggregates, keys or filters";
    Finding::error(codes::TOO_LARGE, &(0..source.len()), message)
}
