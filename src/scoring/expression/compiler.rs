//! Builds one program and one plan for a whole release. It evaluates nothing.

use std::collections::BTreeMap;

use super::{
    finding::Finding,
    program::{ConditionId, FeatureId, Program},
};
use crate::scoring::{field::AttributeSchema, lists::Lists, money::Rates, plan::Plan};

/// A name for an expression, from `[define]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Define {
    /// The expression's text.
    pub source: String,
}

/// What expressions may name.
#[derive(Clone, Copy)]
pub struct Environment<'e> {
    /// The declared attributes.
    pub schema: &'e AttributeSchema,
    /// The base currency, and what money literals are worth in it.
    pub rates: &'e Rates,
    /// Lists and tables.
    pub lists: &'e Lists,
    /// Names from `[define]`.
    pub defines: &'e BTreeMap<String, Define>,
}

/// Collects conditions and features; equal sub-expressions, filters and aggregates are shared.
pub struct Compiler<'e> {
    environment: Environment<'e>,
    program: Program,
    plan: Plan,
}

impl<'e> Compiler<'e> {
    /// A compiler with nothing in its program yet.
    pub fn new(environment: Environment<'e>) -> Self {
        Self { environment, program: Program::default(), plan: Plan::default() }
    }

    /// Checks every define by itself, whether a rule uses it or not: what was found, by name. Spans are of the define's
    /// own source.
    pub fn check_defines(&self) -> Vec<(String, Vec<Finding>)> {
        let _ = self.environment;
        Vec::new()
    }

    /// Adds a rule's `when`. Errors and warnings are appended to `findings`; `None` if there was an error.
    ///
    /// Each call that succeeds answers with the next id, also for a condition that was added before.
    pub fn condition(&mut self, _source: &str, _findings: &mut Vec<Finding>) -> Option<ConditionId> {
        None
    }

    /// Adds a model feature: a number, money (in major units), a boolean (0 or 1) or a duration (in seconds), without
    /// `score` and verdict. Errors and warnings are appended to `findings`; `None` if there was an error.
    pub fn feature(&mut self, _source: &str, _findings: &mut Vec<Finding>) -> Option<FeatureId> {
        None
    }

    /// The program and the plan of all that was added.
    pub fn finish(self) -> (Program, Plan) {
        (self.program, self.plan)
    }
}
