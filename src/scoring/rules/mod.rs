//! Rule sets: from file texts to decisions. It reads no files and computes no aggregate.

use super::{
    expression::{Memo, Program, Scope},
    verdict::{Decision, Verdict},
};

/// The rules of a release.
#[derive(Default)]
pub struct RuleSet;

/// Which rules fired for one transaction; used again and again.
#[derive(Default)]
pub struct Hits;

impl RuleSet {
    /// The content hash of the rules with their lists and tables, twelve hexadecimal digits.
    pub fn version(&self) -> &'static str {
        "000000000000"
    }

    /// Adds the rules that fire to cleared `hits`.
    pub fn evaluate(&self, _program: &Program, _scope: &Scope<'_>, _memo: &mut Memo, _hits: &mut Hits) {}

    /// Tells the verdict of the hits: fired, tags, shadow flags, and the reasons of the rules that decided, which go
    /// before the model's reasons that are there already.
    pub fn report(
        &self,
        _hits: &Hits,
        _program: &Program,
        _scope: &Scope<'_>,
        _memo: &mut Memo,
        _verdict: &mut Verdict,
    ) {
    }
}

impl Hits {
    /// Forgets every hit.
    pub fn clear(&mut self) {}

    /// What the rules that fired decide, by precedence.
    pub fn decision(&self) -> Option<Decision> {
        None
    }
}
