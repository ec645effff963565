//! Models in a scorer: challengers that look on and show in no verdict, and segments of the policy that decide by the
//! score. It reads the shipped rules and model and makes small ones of its own.

use std::{path::Path, sync::Arc};

use gavel::{
    files::read_rules,
    scoring::{
        model::Model,
        money::{Currency, Decimal},
        release::{CHALLENGERS_MAX, Models, Release},
        rules::{RuleSources, SourceFile, parse},
        scorer::{Input, Opinion, Output, Scorer},
        settings::{Measure, Segment, Settings},
        time::Timestamp,
        transaction::{Label, LabelKind, Transaction},
        verdict::{Decision, Tier},
        wire::{Route, decode_transaction},
    },
    simulation::{RATES, SimulatedRow, Simulation, SimulationSettings},
};

mod made_models;

use made_models::model_file;

fn model(name: &str, features: &[(&str, &str, f64)]) -> Arc<Model> {
    Arc::new(Model::read(&model_file(name, features)).unwrap_or_else(|error| panic!("{error}")))
}

/// One that asks for keys, windows and pasts that nothing else asks for, among them longer ones.
fn curious() -> Arc<Model> {
    model(
        "curious",
        &[
            ("spread", "stddev(amount, merchant, 45d)", 0.01),
            ("busy", "count((ip, mcc), 60d)", 0.1),
            ("known", "age(email)", 1e-6),
            ("since", "since_last((card, merchant))", 1e-6),
            ("frauds", "frauds(merchant, 30d, delay 10d)", 1.0),
            ("night", "night(time)", 0.5),
        ],
    )
}

fn shipped() -> Arc<Model> {
    let bytes = std::fs::read(root().join("models/gavel.model")).expect("a model is shipped");
    Arc::new(Model::read(&bytes).unwrap_or_else(|error| panic!("{error}")))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn settings() -> Settings {
    let mut settings = Settings::default_for(Currency::from_code("EUR").expect("a currency"));
    for (code, rate) in RATES {
        let currency = Currency::from_code(code).expect("a currency");
        settings.rates.set(currency, Decimal::parse(rate).expect("a rate"));
    }
    settings
}

/// The shipped rules with models.
fn release(models: Models) -> Release {
    let settings = settings();
    let (files, found) = parse(read_rules(&root().join("rules")).expect("rules are shipped"), &settings);
    Release::compile(settings, files, models, found).unwrap_or_else(|_| panic!("they compile")).0
}

fn rows(days: u32) -> impl Iterator<Item = SimulatedRow> {
    let settings = SimulationSettings { cards: 60, days, ..SimulationSettings::new(5) };
    Simulation::new(settings).expect("the settings make a stream")
}

/// How much time there is for a row: mostly enough.
fn tier_of(place: usize) -> Tier {
    match place % 16 {
        3 => Tier::RulesOnly,
        7 => Tier::StandIn,
        _ => Tier::Full,
    }
}

/// Every verdict on a stream with labels, and what the models make of each transaction; `at` is done before a row.
fn answers(
    mut scorer: Scorer,
    days: u32,
    mut at: impl FnMut(usize, &mut Scorer),
) -> (Vec<String>, Vec<Vec<Option<Opinion>>>) {
    let (mut bodies, mut opinions) = (Vec::new(), Vec::new());
    let mut labels: Vec<(Timestamp, Label<'static>)> = Vec::new();
    let schema = scorer.release().settings.schema.clone();
    for (place, row) in rows(days).enumerate() {
        at(place, &mut scorer);
        labels.sort_by_key(|(time, _)| *time);
        while labels.first().is_some_and(|(time, _)| *time <= row.time()) {
            let (_, label) = labels.remove(0);
            scorer.apply(Input::Label(&label));
        }
        let (mut body, card) = (Vec::new(), row.card());
        row.write_body(&mut body);
        let route = Route { processor: row.processor(), card: Some(&card) };
        let transaction = decode_transaction(&body, route, &schema).unwrap_or_else(|_| panic!("row {place} is good"));
        let tier = tier_of(place);
        match scorer.apply(Input::Transaction { transaction: &transaction, tier }) {
            Output::Verdict { body, .. } => bodies.push(String::from_utf8_lossy(body).into_owned()),
            _ => panic!("row {place} was not scored"),
        }
        opinions.push(scorer.opinions(&transaction, tier).to_vec());
        if row.is_fraud() {
            let (time, kind) = (row.label_time(), LabelKind::Fraud);
            let Transaction { processor, card, id, .. } = transaction.into_owned();
            labels.push((time, Label { processor, card, id, time, kind }));
        }
    }
    (bodies, opinions)
}

#[test]
fn challengers_show_in_no_verdict_and_score_as_if_they_decided() {
    let alone = Models { champion: Some(shipped()), ..Models::default() };
    let both = Models { challengers: vec![curious()], ..alone.clone() };
    let (expected, _) = answers(Scorer::new(release(alone.clone())), 70, |_, _| {});
    let (found, opinions) = answers(Scorer::new(release(both.clone())), 70, |_, _| {});
    assert!(expected.len() > 3_000, "{}", expected.len());
    for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found, expected, "row {place}");
    }
    // From the middle on, and no longer from two thirds on.
    let (first, last) = (expected.len() / 2, expected.len() * 2 / 3);
    let (found, _) = answers(Scorer::new(release(alone.clone())), 70, |place, scorer| {
        if place == first {
            scorer.apply(Input::Reload(Box::new(release(both.clone()))));
        } else if place == last {
            scorer.apply(Input::Reload(Box::new(release(alone.clone()))));
        }
    });
    assert_eq!(found, expected);

    let decides = Models { champion: Some(curious()), ..Models::default() };
    let (_, decided) = answers(Scorer::new(release(decides)), 70, |_, _| {});
    for (place, (opinions, decided)) in opinions.iter().zip(&decided).enumerate() {
        assert_eq!(opinions.len(), 2);
        // What was denied changes no aggregate of these features, so one past serves for both.
        assert_eq!(opinions[1], decided[0], "row {place}");
        assert_eq!(opinions[0].is_some(), opinions[1].is_some(), "row {place}");
        assert!(tier_of(place) == Tier::Full || opinions[1].is_none());
    }
    assert!(opinions.iter().any(|opinions| opinions[1].is_some()));
}

#[test]
fn a_challenger_of_the_same_content_is_left_out() {
    let challengers = vec![shipped(), curious(), curious()];
    let release = release(Models { champion: Some(shipped()), challengers });
    assert_eq!(release.challenger_versions(), [curious().version()]);
    const { assert!(CHALLENGERS_MAX >= 2) }
}

#[test]
fn what_is_wrong_in_a_challenger_names_it() {
    let settings = settings();
    let (files, found) = parse(RuleSources::default(), &settings);
    let challengers = vec![model("odd", &[("f", "count(card, 1h", 1.0)])];
    let problems = Release::compile(settings, files, Models { champion: None, challengers }, found);
    let Err(problems) = problems else { panic!("it compiles") };
    let names: Vec<&str> = problems.features.iter().map(|problem| &*problem.name).collect();
    assert_eq!(names, ["f of challenger odd"]);
}

/// Lines of an amount and a channel, with what is decided.
#[test]
fn the_first_segment_whose_condition_holds_decides() {
    let score = |review_at, deny_at| Measure::Score { review_at, deny_at };
    let segment =
        |name: &str, when: Option<&str>, measure| Segment { name: name.into(), when: when.map(str::to_owned), measure };
    let mut settings = settings();
    // The model's log-odds are an amount in hundreds of euros, less two: 100 EUR is .27, 300 EUR .73, 500 EUR .95.
    let champion = Some(model("by amount", &[("amount", "amount", 0.01)]));
    settings.policy.segments = vec![
        segment("shop", Some("channel == \"ecom\" and count(card, 1h) < 3"), score(0.2, 0.7)),
        segment("sure", Some("score > 0.9"), Measure::Cost { review_minor: 10_000_000, false_positive_minor: 100 }),
        segment("machine", Some("channel == \"atm\""), score(0.99, 0.99)),
    ];
    let text = "[[rule]]\nid = \"a\"\nwhen = \"amount == 300.01 EUR\"\nthen = \"approve\"\n";
    let rule = SourceFile::new("rules/a.toml", text.into());
    let sources = RuleSources { files: vec![rule], ..RuleSources::default() };
    let (files, found) = parse(sources, &settings);
    let compiled = Release::compile(settings, files, Models { champion, ..Models::default() }, found);
    let mut scorer = Scorer::new(compiled.unwrap_or_else(|_| panic!("they compile")).0);
    let cases = [
        ("A", 10_000, Some("ecom"), Decision::Review),
        ("A", 30_000, Some("ecom"), Decision::Deny),
        // The third of this card is no longer in the first segment; the defaults decide.
        ("A", 30_000, Some("ecom"), Decision::Review),
        ("B", 10_000, Some("pos"), Decision::Approve),
        ("C", 30_000, Some("atm"), Decision::Approve),
        // By cost: approving is expected to cost more than denying does.
        ("D", 50_000, Some("atm"), Decision::Deny),
        ("E", 30_000, None, Decision::Review),
        // A rule comes before any segment.
        ("F", 30_001, Some("ecom"), Decision::Approve),
    ];
    for (place, (card, amount_minor, channel, expected)) in cases.into_iter().enumerate() {
        let channel = channel.map_or(String::new(), |channel| format!(",\"channel\":\"{channel}\""));
        let body = format!(
            "{{\"id\":\"t-{place}\",\"time\":{},\"card\":\"{card}\",\"amount\":{amount_minor},\"currency\":\"EUR\"{channel}}}",
            1_532_476_800_000_i64 + place as i64
        );
        let schema = scorer.release().settings.schema.clone();
        let route = Route { processor: "p", card: Some(card) };
        let transaction = decode_transaction(body.as_bytes(), route, &schema).unwrap_or_else(|_| panic!("{body}"));
        let Output::Verdict { verdict, .. } =
            scorer.apply(Input::Transaction { transaction: &transaction, tier: Tier::Full })
        else {
            panic!("{body}");
        };
        assert_eq!(verdict.decision, expected, "case {place}: {body}, score {:?}", verdict.score);
        // What the model makes of it by itself is the segment's, whatever a rule says.
        let by_itself = if card == "F" { Decision::Deny } else { expected };
        assert_eq!(scorer.opinions(&transaction, Tier::Full)[0].map(|opinion| opinion.decision), Some(by_itself));
    }
}
