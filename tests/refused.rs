//! What is refused leaves no trace: the answers before and after it are the same bytes, and no answer holds a card
//! number. It runs the starter rules, without a model.

mod tables;

use gavel::{
    config::{Config, Flags, Sources},
    data::Rows,
    loading::load_release,
    scoring::{
        field::{AttributeSchema, Field},
        refusal::Refusal,
        scorer::{Input, Output, Scorer},
        verdict::Tier,
        wire::{Route, decode_label, decode_list_change, decode_outcome, decode_transaction},
    },
};

use tables::{GOOD_LABEL, GOOD_LIST_CHANGE, GOOD_OUTCOME, GOOD_TRANSACTION, ROUTE, body, cases, schema};

fn scorer() -> Scorer {
    let schema = schema();
    let environment = schema.fields().map(|field| {
        let kind = field.field_type(&schema);
        let (kind, _) = AttributeSchema::TYPES.iter().find(|(_, known)| *known == kind).expect("declared with a type");
        let variable = field.name(&schema).replace('.', "_").to_ascii_uppercase();
        (format!("GAVEL_{variable}"), (*kind).to_owned())
    });
    let flags = Flags { model: Some("none".into()), ..Flags::default() };
    let config = Config::read(Sources::new(None, environment, flags)).unwrap_or_else(|errors| panic!("{errors}"));
    let loaded = load_release(&config).unwrap_or_else(|error| panic!("{}", error.render(false)));
    Scorer::new(loaded.release)
}

/// A message by its kind, with the list for a list change.
#[derive(Clone, Copy)]
enum Message<'m> {
    Transaction(&'m str),
    Outcome(&'m str),
    Label(&'m str),
    ListChange(&'m str, &'m str),
}

/// The answer's body: a verdict, an error, or nothing for what was applied; and whether it was refused.
fn answer(scorer: &mut Scorer, message: Message<'_>) -> (String, bool) {
    let schema = scorer.release().settings.schema.clone();
    let refused = |refusal: Refusal| {
        let mut body = Vec::new();
        refusal.encode(&mut body);
        (String::from_utf8(body).expect("errors are JSON"), true)
    };
    let output = match message {
        Message::Transaction(body) => match decode_transaction(body.as_bytes(), ROUTE, &schema) {
            Ok(transaction) => scorer.apply(Input::Transaction { transaction: &transaction, tier: Tier::Full }),
            Err(refusal) => return refused(refusal),
        },
        Message::Outcome(body) => match decode_outcome(body.as_bytes(), ROUTE) {
            Ok(outcome) => scorer.apply(Input::Outcome(&outcome)),
            Err(refusal) => return refused(refusal),
        },
        Message::Label(body) => match decode_label(body.as_bytes(), ROUTE) {
            Ok(label) => scorer.apply(Input::Label(&label)),
            Err(refusal) => return refused(refusal),
        },
        Message::ListChange(list, body) => match decode_list_change(body.as_bytes(), list) {
            Ok(change) => scorer.apply(Input::ListChange(&change)),
            Err(refusal) => return refused(refusal),
        },
    };
    match output {
        Output::Verdict { body, .. } | Output::Duplicate { body } => {
            (String::from_utf8(body.to_vec()).expect("verdicts are JSON"), false)
        }
        Output::Refused(refusal) => refused(refusal),
        Output::Applied => (String::new(), false),
    }
}

/// Many small amounts on one card, until rules fire.
fn good(place: usize) -> String {
    let changes = format!(
        "id=\"g-{place}\"; time={}; amount={}; merchant=\"m_{}\"; mcc=\"5732\"; country=\"FR\"; channel=\"ecom\"",
        1_532_513_000_000_i64 + place as i64 * 20_000,
        100 + place * 37,
        place % 3
    );
    body(&changes, GOOD_TRANSACTION)
}

#[test]
fn nothing_refused_changes_an_answer() {
    let table = |text: &str, good: &[(&str, &str)]| -> Vec<String> {
        cases(text)
            .iter()
            .filter(|case| case.expected.starts_with("\n  -> 4"))
            .map(|case| body(&case.written, good))
            .collect()
    };
    let transactions = table(include_str!("bad_input/transactions.txt"), GOOD_TRANSACTION);
    let outcomes = table(include_str!("bad_input/outcomes.txt"), GOOD_OUTCOME);
    let labels = table(include_str!("bad_input/labels.txt"), GOOD_LABEL);
    let changes = table(include_str!("bad_input/list_changes.txt"), GOOD_LIST_CHANGE);
    // What the checks let pass and the scorer refuses.
    let conflict = body("id=\"g-0\"; amount=1", GOOD_TRANSACTION);
    let unknown_outcome = body("id=\"g-none\"; outcome=\"declined\"", GOOD_OUTCOME);
    let unknown_label = body("id=\"g-none\"", GOOD_LABEL);
    let change = body("", GOOD_LIST_CHANGE);

    let mut bad: Vec<Message<'_>> = Vec::new();
    bad.extend(transactions.iter().map(|body| Message::Transaction(body)));
    bad.extend(outcomes.iter().map(|body| Message::Outcome(body)));
    bad.extend(labels.iter().map(|body| Message::Label(body)));
    bad.extend(changes.iter().map(|body| Message::ListChange("blocked-cards", body)));
    bad.extend([
        Message::Transaction(&conflict),
        Message::Outcome(&unknown_outcome),
        Message::Label(&unknown_label),
        Message::ListChange("no-such-list", &change),
    ]);
    assert!(bad.len() > 150, "{} bad messages", bad.len());

    let (mut spared, mut bothered) = (scorer(), scorer());
    let mut fired = 0;
    for place in 0..40 {
        let message = good(place);
        let (expected, _) = answer(&mut spared, Message::Transaction(&message));
        let (found, _) = answer(&mut bothered, Message::Transaction(&message));
        assert_eq!(found, expected, "transaction {place}");
        fired += usize::from(!found.contains("\"fired\":[]"));
        for message in &bad {
            let (error, is_refused) = answer(&mut bothered, *message);
            assert!(is_refused && error.starts_with("{\"error\":{\"code\":\""), "{error}");
        }
    }
    assert!(fired > 0, "no rule fired, so the windows were not asked");
}

/// Card numbers that brands publish for tests.
const CARD_NUMBERS: [&str; 6] = [
    "4111111111111111",
    "5555555555554444",
    "378282246310005",
    "6011111111111117",
    "3530111333300000",
    "30569309025904",
];

/// A number as people write it.
fn spellings(number: &str) -> Vec<String> {
    let grouped = |separator: &str| -> String {
        let groups: Vec<&str> =
            number.as_bytes().chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
        groups.join(separator)
    };
    let texts = [number.to_owned(), grouped(" "), grouped("-"), format!(" {number} ")];
    let mut json: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
    json.push(number.to_owned());
    json
}

fn assert_silent(said: &str, number: &str, context: &str) {
    let digits: String = said.chars().filter(|letter| !matches!(letter, ' ' | '-')).collect();
    assert!(!digits.contains(number), "{context}: {said}");
}

#[test]
fn no_answer_holds_a_card_number() {
    // An id may be any number; an amount and a time are numbers of their own.
    let kept = [Field::Id, Field::Amount, Field::Time];
    let mut scorer = scorer();
    let schema = scorer.release().settings.schema.clone();
    let fields: Vec<Field> =
        Field::FIXED.iter().copied().filter(|field| !kept.contains(field)).chain(schema.fields()).collect();
    let mut count = 0;
    for number in CARD_NUMBERS {
        for json in spellings(number) {
            for field in &fields {
                count += 1;
                let name = field.name(&schema);
                let change = match name.strip_prefix("attributes.") {
                    Some(key) => format!("attributes={{\"{key}\":{json}}}"),
                    None => format!("{name}={json}"),
                };
                let message = body(&format!("id=\"p-{count}\"; {change}"), GOOD_TRANSACTION);
                let (said, _) = answer(&mut scorer, Message::Transaction(&message));
                assert_silent(&said, number, &change);
            }
            for name in ["card", "time", "outcome", "amount", "response_code"] {
                let message = body(&format!("{name}={json}"), GOOD_OUTCOME);
                assert_silent(&answer(&mut scorer, Message::Outcome(&message)).0, number, name);
            }
            for name in ["card", "time", "label", "source"] {
                let message = body(&format!("{name}={json}"), GOOD_LABEL);
                assert_silent(&answer(&mut scorer, Message::Label(&message)).0, number, name);
            }
            for name in ["value", "action", "expires", "comment", "by"] {
                let message = body(&format!("{name}={json}"), GOOD_LIST_CHANGE);
                assert_silent(&answer(&mut scorer, Message::ListChange("blocked-cards", &message)).0, number, name);
            }
            let unknown = format!("{{\"{number}\":{json},\"attributes\":{{\"{number}\":{json}}},\"id\":{{}}}}");
            assert_silent(&answer(&mut scorer, Message::Transaction(&unknown)).0, number, "unknown field");
            let torn = format!("{{\"card\":{json},\"merchant\":{json}");
            assert_silent(&answer(&mut scorer, Message::Transaction(&torn)).0, number, "torn message");
        }
    }
}

#[test]
fn no_subject_and_no_row_repeats_a_card_number() {
    let number = CARD_NUMBERS[0];
    let scorer = scorer();
    let schema = &scorer.release().settings.schema;
    let message = body("", GOOD_TRANSACTION);
    let route = Route { processor: "p1", card: Some(number) };
    let Err(refusal) = decode_transaction(message.as_bytes(), route, schema) else { panic!("the card differs") };
    assert_silent(&refusal.message, number, "subject");

    let folder = tempfile::tempdir().expect("a folder for the file");
    let path = folder.path().join("rows.csv");
    let rows = format!(
        "id,time,card,amount,currency,merchant,processor\nr-1,0,{number},1,EUR,,\nr-2,0,c_1,1,EUR,{number},\n\
         r-3,0,c_1,{number},EUR,,\nr-4,0,c_1,1,{number},,\nr-5,{number},c_1,1,EUR,,\nr-6,0,c_1,1,EUR,,{number} \n{number}\n"
    );
    std::fs::write(&path, rows).expect("the file is written");
    let mut rows = Rows::open(&path, schema).unwrap_or_else(|error| panic!("{error}"));
    let mut count = 0;
    while let Some(row) = rows.next_row().unwrap_or_else(|error| panic!("{error}")) {
        count += 1;
        match row.transaction {
            Err(refusal) => assert_silent(&refusal.message, number, "row"),
            Ok(transaction) => assert!(transaction.merchant.is_none(), "row {count}"),
        }
    }
    assert_eq!(count, 7);
}
