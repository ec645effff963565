//! Random programs answer as their plain twin does, and no text makes the compiler panic.

use proptest::prelude::*;

use super::{
    generate::{Choices, answer, answers},
    world::World,
};
use crate::scoring::{
    expression::{
        CodedFields, Compiler, Scope,
        check::Purpose,
        twin::{Dynamic, Twin},
        typed::{Call, Kind, Type, Typed},
    },
    plan::{FilterBits, FilterId, OutcomeState, SettledBits},
    verdict::Decision,
};

fn twin<'t>(
    scope: Scope<'t>,
    world: &'t World,
    answer: &'t dyn Fn(&Call, &str) -> crate::scoring::plan::AggregateValue,
) -> Twin<'t> {
    Twin { scope, schema: &world.schema, verdict: None, outcome: OutcomeState::Unknown, answer }
}

/// A feature as the twin has it: major units, seconds, 0 and 1.
fn feature_value(value: Option<Dynamic>, of: Type) -> Option<f64> {
    let value = match value? {
        Dynamic::Whole(whole) => whole as f64,
        Dynamic::Real(real) => real,
        Dynamic::Truth(truth) => f64::from(u8::from(truth)),
        _ => return None,
    };
    Some(match of {
        Type::Money => value / 100.0,
        Type::Span => value / 1000.0,
        _ => value,
    })
}

/// Checks some sources in one program against the twin.
fn check(sources: &[String], features: &[String], row: &[u16], salt: u64) {
    let world = World::new();
    let mut compiler = Compiler::new(world.environment());
    let mut findings = Vec::new();
    let compiled: Vec<_> = sources.iter().map(|source| compiler.condition(source, &mut findings)).collect();
    let compiled_features: Vec<_> = features.iter().map(|source| compiler.feature(source, &mut findings)).collect();
    let tree = |source: &str, purpose| -> Typed { compiler.check(source, purpose, &mut Vec::new()).expect(source) };
    let trees: Vec<_> = sources.iter().map(|source| tree(source, Purpose::Condition)).collect();
    let feature_trees: Vec<_> = features.iter().map(|source| tree(source, Purpose::Feature)).collect();
    let (program, plan) = compiler.finish();
    let aggregates = answers(&world, &plan, salt);
    let transaction = Choices::new(row).transaction();
    let scope = Scope {
        transaction: &transaction,
        codes: CodedFields::of(&transaction),
        amount_base_minor: world.rates.to_base_minor(transaction.amount_minor, transaction.currency),
        aggregates: &aggregates,
        score: salt.is_multiple_of(3).then_some(0.25),
        lists: &world.lists,
    };
    let given = |call: &Call, text: &str| {
        let end = if call.filter.is_some() { ", filtered)" } else { ")" };
        answer(&format!("{text}{end}"), call.function.answers(&world.schema), salt)
    };
    let twin = twin(scope, &world, &given);
    let mut memo = program.memo();
    memo.begin();
    let mut candidates = Vec::new();
    program.candidates(&scope, &mut memo, &mut candidates);
    assert!(candidates.is_sorted());
    // Twice, so that the second answers come out of the memo.
    for _ in 0..2 {
        for ((source, id), tree) in sources.iter().zip(&compiled).zip(&trees) {
            let id = id.expect(source);
            let expected = twin.test(tree);
            assert_eq!(program.condition(id, &scope, &mut memo), expected, "{source}");
            assert_eq!(candidates.contains(&id), expected, "by the index: {source}");
            let mut text = String::new();
            program.describe(id, &scope, &mut memo, &mut text);
            assert!(!text.contains("d_1") && !text.contains("c_4f2"), "{source}: {text}");
            let atoms = program.atoms(id, &scope);
            assert_eq!(atoms.first().and_then(|atom| atom.holds).unwrap_or(expected), expected, "{source}");
        }
        for ((source, id), tree) in features.iter().zip(&compiled_features).zip(&feature_trees) {
            let id = id.expect(source);
            let expected = feature_value(twin.value(tree), tree.of);
            let found = program.feature(id, &scope, &mut memo);
            assert_eq!(found.map(f64::to_bits), expected.map(f64::to_bits), "{source}: {found:?}, not {expected:?}");
            program.describe_feature(id, &scope, &mut memo, &mut String::new());
        }
    }
}

/// Checks one filter against the twin, in every state.
fn check_filter(filter: &str, row: &[u16]) {
    let world = World::new();
    let mut compiler = Compiler::new(world.environment());
    let source = format!("count(card, 1h, where {filter}) > 0");
    compiler.condition(&source, &mut Vec::new()).expect(&source);
    let tree = compiler.check(&source, Purpose::Condition, &mut Vec::new()).expect(&source);
    let Kind::Compare(_, count, _) = &tree.kind else { panic!("{source} is a comparison") };
    let Kind::Aggregate(call) = &count.kind else { panic!("{source} compares an aggregate") };
    let filter = call.filter.as_ref().expect("it has a filter");
    let (program, plan) = compiler.finish();
    let transaction = Choices::new(row).transaction();
    let scope = Scope {
        transaction: &transaction,
        codes: CodedFields::of(&transaction),
        amount_base_minor: world.rates.to_base_minor(transaction.amount_minor, transaction.currency),
        aggregates: &[],
        score: None,
        lists: &world.lists,
    };
    let given = |_: &Call, _: &str| crate::scoring::plan::AggregateValue::Missing;
    let mut twin = twin(scope, &world, &given);
    let (mut memo, mut bits, mut settled) = (program.memo(), FilterBits::default(), SettledBits::default());
    memo.begin();
    program.filters(&scope, &mut memo, &mut bits);
    if !plan.filters[0].settles_later {
        assert_eq!(bits.get(FilterId(0)), twin.test(filter), "{source}");
        return;
    }
    assert!(!bits.get(FilterId(0)));
    for verdict in Decision::ALL {
        memo.begin();
        program.settle(&scope, verdict, &mut memo, &mut settled);
        for state in OutcomeState::ALL {
            (twin.verdict, twin.outcome) = (Some(verdict), state);
            assert_eq!(settled.get(FilterId(0), state), twin.test(filter), "{source} {verdict:?} {state:?}");
        }
    }
}

fn compile_anything(source: &str) {
    let world = World::new();
    let mut compiler = Compiler::new(world.environment());
    let mut findings = Vec::new();
    compiler.condition(source, &mut findings);
    compiler.feature(source, &mut findings);
    for finding in findings {
        // Every place can be shown.
        assert!(source.get(finding.span.clone()).is_some(), "{source:?}: {finding:?}");
    }
}

/// Words and signs of the language, for texts that are nearly right.
const WORDS: &[&str] = &[
    "amount",
    "country",
    "count",
    "(",
    ")",
    "card",
    ",",
    "1h",
    "10",
    "4.99",
    "EUR",
    "and",
    "or",
    "not",
    "in",
    "[",
    "]",
    "\"FR\"",
    "==",
    "!=",
    "<",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "prior",
    "where",
    "delay",
    "outcome",
    "declined",
    "has",
    "\"",
    "'",
    "attributes",
    ".",
    "basket_size",
    "list",
    "subnet",
    "ip",
    "24",
    "lookup",
    "score",
    "true",
    "é",
    "\\",
    "9e9",
    "starts_with",
    "limit",
    "risky_mcc",
    "mean",
    "verdict",
    "deny",
    "=",
    "&&",
    "\u{1F980}",
    "\n",
    "min",
    "sum",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn programs_answer_as_their_twins(
        rows in prop::collection::vec(prop::collection::vec(any::<u16>(), 0..60), 1..5),
        row in prop::collection::vec(any::<u16>(), 30),
        salt in any::<u64>(),
    ) {
        let sources: Vec<_> = rows.iter().map(|row| Choices::new(row).test(4, false)).collect();
        let features: Vec<_> =
            rows.iter().map(|row| Choices::new(row).number(3, false)).filter(|text| !text.contains("score")).collect();
        check(&sources, &features, &row, salt);
    }

    #[test]
    fn filters_answer_as_their_twins(
        choices in prop::collection::vec(any::<u16>(), 0..40),
        row in prop::collection::vec(any::<u16>(), 30),
    ) {
        check_filter(&Choices::new(&choices).test(3, true), &row);
    }

    #[test]
    fn printed_trees_read_back(choices in prop::collection::vec(any::<u16>(), 0..60)) {
        let world = World::new();
        let compiler = Compiler::new(world.environment());
        let source = Choices::new(&choices).test(4, false);
        let tree = compiler.check(&source, Purpose::Condition, &mut Vec::new()).expect(&source);
        let printed = crate::scoring::expression::print::text(&tree, world.environment());
        let mut findings = Vec::new();
        let again = compiler.check(&printed, Purpose::Condition, &mut findings);
        let again = again.unwrap_or_else(|| panic!("{source}\n{printed}\n{findings:?}"));
        prop_assert_eq!(crate::scoring::expression::print::text(&again, world.environment()), printed);
    }

    #[test]
    fn any_text_is_answered(source in "\\PC{0,80}") {
        compile_anything(&source);
    }

    #[test]
    fn any_words_are_answered(words in prop::collection::vec(prop::sample::select(WORDS), 0..40), glue in any::<bool>()) {
        compile_anything(&words.join(if glue { "" } else { " " }));
    }

    #[test]
    fn broken_expressions_are_answered(
        choices in prop::collection::vec(any::<u16>(), 0..60),
        at in any::<prop::sample::Index>(),
        length in 0..6_usize,
        instead in prop::sample::select(WORDS),
    ) {
        let source = Choices::new(&choices).test(4, false);
        let start = at.index(source.len());
        let end = (start + length).min(source.len());
        if source.is_char_boundary(start) && source.is_char_boundary(end) {
            compile_anything(&format!("{}{instead}{}", &source[..start], &source[end..]));
        }
    }
}
