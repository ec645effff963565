//! What the checks make of transactions, line by line.

use super::{Route, decode_transaction};
use crate::scoring::{
    field::{AttributeSchema, Field, FieldType},
    verdict::Flag,
};

const GOOD: &str = r#""id":"t-91","time":"2018-07-25T10:15:30.123Z","card":"c_4f2","amount":4599,"currency":"EUR""#;

fn schema() -> AttributeSchema {
    AttributeSchema::new([
        ("basket_size".to_owned(), FieldType::Integer),
        ("category".to_owned(), FieldType::Text),
        ("weight".to_owned(), FieldType::Number),
    ])
}

/// The flags in their order, or the refusal's code and field.
fn check(body: &str) -> String {
    let schema = schema();
    match decode_transaction(body.as_bytes(), Route { processor: "p1", card: Some("c_4f2") }, &schema) {
        Ok(transaction) => {
            let flags: Vec<String> = transaction.flags.iter().map(|flag: &Flag| flag.text(&schema)).collect();
            format!("ok {}", flags.join(" ")).trim_end().to_owned()
        }
        Err(refusal) => format!("{} {}", refusal.code, refusal.field.as_deref().unwrap_or("-")),
    }
}

#[test]
fn only_a_bad_required_field_refuses() {
    let cases = [
        ("{GOOD}", "ok"),
        (r#"{GOOD,"mcc":"0742","country":"FR","channel":"ecom","ip":"2001:db8::1","lat":48.8,"lon":2.3}"#, "ok"),
        (r#"{GOOD,"mcc":742}"#, "ok invalid:mcc"),
        (r#"{GOOD,"mcc":null,"country":null}"#, "ok"),
        (
            r#"{GOOD,"country":"UK","channel":"web","utc_offset":841}"#,
            "ok invalid:country invalid:channel invalid:utc_offset",
        ),
        (r#"{GOOD,"merchant":"4111 1111 1111 1111"}"#, "ok pan:merchant"),
        (r#"{GOOD,"merchant":4111111111111111}"#, "ok pan:merchant"),
        (r#"{GOOD,"lat":48.8}"#, "ok invalid:lat"),
        (r#"{GOOD,"lat":48.8,"lon":181}"#, "ok invalid:lon"),
        (r#"{GOOD,"merchant":"a","merchant":"b"}"#, "ok invalid:merchant"),
        (r#"{GOOD,"attributes":{"basket_size":3,"weight":0.1,"other":[1]}}"#, "ok"),
        (
            r#"{GOOD,"attributes":{"basket_size":3.5,"weight":0.1234567,"category":{}}}"#,
            "ok invalid:attributes.basket_size invalid:attributes.weight invalid:attributes.category",
        ),
        (r#"{GOOD,"attributes":[1]}"#, "ok invalid:attributes"),
        (r#"{GOOD,"parent":7}"#, "ok invalid:parent"),
        (r#"{GOOD,"type":"reversal","parent":"t-90"}"#, "ok"),
        (r#"{GOOD,"type":"reversal"}"#, "invalid_parent parent"),
        (r#"{GOOD,"type":"reversal","parent":"t-91"}"#, "invalid_parent parent"),
        (r#"{GOOD,"type":"void"}"#, "invalid_type type"),
        (r#"{GOOD,"amount":1}"#, "invalid_amount amount"),
        ("[]", "invalid_json -"),
        ("", "invalid_json -"),
        ("{GOOD}x", "invalid_json -"),
        (r#"{"time":0,"card":"c_4f2","amount":1,"currency":"EUR"}"#, "invalid_id id"),
        (r#"{"id":"","time":0,"card":"c_4f2","amount":1,"currency":"EUR"}"#, "invalid_id id"),
        (r#"{"id":"a","time":"now","card":"c_4f2","amount":1,"currency":"EUR"}"#, "invalid_time time"),
        (r#"{"id":"a","time":1.5,"card":"c_4f2","amount":1,"currency":"EUR"}"#, "invalid_time time"),
        (r#"{"id":"a","time":0,"card":"c_5","amount":1,"currency":"EUR"}"#, "card_mismatch card"),
        (r#"{"id":"a","time":0,"card":"c 5","amount":1,"currency":"EUR"}"#, "invalid_card card"),
        (r#"{"id":"a","time":0,"card":"4111111111111111","amount":1,"currency":"EUR"}"#, "invalid_card card"),
        (r#"{"id":"a","time":0,"card":"c_4f2","amount":-1,"currency":"EUR"}"#, "invalid_amount amount"),
        (r#"{"id":"a","time":0,"card":"c_4f2","amount":"1","currency":"EUR"}"#, "invalid_amount amount"),
        (r#"{"id":"a","time":0,"card":"c_4f2","amount":1.0,"currency":"EUR"}"#, "invalid_amount amount"),
        (r#"{"id":"a","time":0,"card":"c_4f2","amount":1000000000000000,"currency":"EUR"}"#, "invalid_amount amount"),
        (r#"{"id":"a","time":0,"card":"c_4f2","amount":1,"currency":"eur"}"#, "invalid_currency currency"),
        (r#"{"id":"a","time":0,"card":"c_4f2","amount":1,"currency":null}"#, "invalid_currency currency"),
    ];
    for (body, expected) in cases {
        let body = body.replace("GOOD", GOOD);
        assert_eq!(check(&body), expected, "{body}");
    }
}

#[test]
fn the_body_is_bounded() {
    let body = format!("{{{GOOD},\"merchant\":\"{}\"}}", "x".repeat(64 * 1024));
    assert_eq!(check(&body), "too_large -");
}

#[test]
fn fields_have_their_own_index() {
    for (index, field) in Field::FIXED.iter().enumerate() {
        assert_eq!(field.index(), index);
    }
}
