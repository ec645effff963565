//! What the checks make of transactions, line by line.

use proptest::prelude::*;

use super::{Raw, RawTransaction, Route, check::decode_json, decode_transaction, plain::read_plain};
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
        // Good JSON that no text and no number can hold.
        (
            r#"{GOOD,"device":"\ud800","email":"a\ud83d","lat":1e999,"lon":1}"#,
            "ok invalid:device invalid:email invalid:lat",
        ),
        (r#"{GOOD,"merchant":1e999,"zz":"\udc00","\ud800":1}"#, "ok invalid:merchant"),
        (r#"{GOOD,"attributes":{"category":"\udc00x","zz":1e999,"\ud800":1}}"#, "ok invalid:attributes.category"),
        (r#"{GOOD,"device":"\ud800","device":"d"}"#, "ok invalid:device"),
        (r#"{GOOD,"attributes":{},"attributes":{"zz":1e999}}"#, "ok invalid:attributes"),
        (r#"{GOOD,"device":"\ud800",}"#, "invalid_json -"),
        (r#"{"id":"\ud800","time":0,"card":"c_4f2","amount":1,"currency":"EUR"}"#, "invalid_id id"),
        (r#"{"id":"a","time":0,"card":"c_4f2","amount":1e999,"currency":"EUR"}"#, "invalid_amount amount"),
        (r#"{"id":"a","time":"2018-07-25T10:15:30+23:59","card":"c_4f2","amount":1,"currency":"EUR"}"#, "ok"),
        (
            r#"{"id":"a","time":"2018-07-25T10:15:30+24:00","card":"c_4f2","amount":1,"currency":"EUR"}"#,
            "invalid_time time",
        ),
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

/// Everything that a reader found, as text.
fn found(raw: &RawTransaction<'_>) -> String {
    let text = |raw: &Raw<'_>| match raw {
        Raw::Text(text) => format!("{text:?}"),
        Raw::Integer(number) => number.to_string(),
        Raw::Real(number) => format!("{:016x}", number.to_bits()),
        Raw::Boolean(truth) => truth.to_string(),
        other => other.found().to_owned(),
    };
    let fields = Field::FIXED.iter().map(|field| text(raw.field(*field)));
    let attributes = raw.attributes.iter().map(|(key, value)| format!("{key}={}", text(value)));
    let rest = format!("{} {}", raw.attributes_malformed, raw.unknown_fields);
    fields.chain(attributes).chain([rest]).collect::<Vec<_>>().join(" ")
}

/// What the general way makes of a body, and what the short way does where it does not give up.
fn both_ways(body: &[u8]) -> (Option<String>, Option<String>) {
    let (mut general, mut plain) = (RawTransaction::new(), RawTransaction::new());
    let general = decode_json(body, &mut general).is_ok().then(|| found(&general));
    let plain = read_plain(body, &mut plain).map(|()| found(&plain));
    (general, plain)
}

#[test]
fn usual_bodies_are_read_the_short_way() {
    let usual = [
        "{GOOD}",
        r#"{GOOD,"merchant":"Café","lat":48.8512,"lon":-2.25,"utc_offset":-60,"mcc":"0742","parent":null,"x":true}"#,
        r#"{GOOD,"attributes":{"basket_size":3,"category":"a b","weight":0.250000}}"#,
        " {\t\"id\" : \"t\" ,\r\n\"amount\" : 0 } \n",
        r#"{GOOD,"amount":1,"amount":2}"#,
    ];
    for body in usual {
        let body = body.replace("GOOD", GOOD);
        let (general, plain) = both_ways(body.as_bytes());
        assert!(plain.is_some(), "{body}");
        assert_eq!(plain, general, "{body}");
    }
}

proptest! {
    /// Pieces of messages, some of them wrong, put together at random; some have one byte that is another.
    #[test]
    fn the_short_way_reads_what_the_general_way_reads(
        entries in proptest::collection::vec((0..NAMES.len(), 0..VALUES.len(), 0..BLANKS.len()), 0..6),
        attributes in proptest::collection::vec((0..NAMES.len(), 0..VALUES.len(), 0..BLANKS.len()), 0..4),
        other in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let object = |entries: &[(usize, usize, usize)], last: Option<String>| {
            let entries = entries.iter().map(|(name, value, blank)| {
                let blank = BLANKS[*blank];
                format!("{blank}\"{}\"{blank}:{blank}{}{blank}", NAMES[*name], VALUES[*value])
            });
            format!("{{{}}}", entries.chain(last).collect::<Vec<_>>().join(","))
        };
        let attributes = object(&attributes, None);
        let mut body = object(&entries, Some(format!("\"attributes\":{attributes}"))).into_bytes();
        if let Some((at, byte)) = other {
            *at.get_mut(&mut body) = byte;
        }
        let (general, plain) = both_ways(&body);
        if plain.is_some() {
            prop_assert_eq!(plain, general, "{}", String::from_utf8_lossy(&body));
        }
    }
}

const NAMES: [&str; 10] =
    ["id", "time", "amount", "merchant", "lat", "processor", "attributes", "x", "am\\u006funt", "café"];
const BLANKS: [&str; 6] = ["", "", "", " ", "\n\t", "\r\n"];
const VALUES: [&str; 30] = [
    "\"t-91\"",
    "\"\"",
    "\"a \\\"b\\\"\"",
    "\"café 💳 longer than a word\"",
    "\"\u{1}\"",
    "\"\u{7f}\"",
    "\"seven77",
    "0",
    "-0",
    "00",
    "01",
    "-1",
    "-",
    "4599",
    "999999999999999999",
    "9223372036854775807",
    "9223372036854775808",
    "0.1",
    "-0.0",
    "1.",
    ".5",
    "1e3",
    "1.5E-3",
    "48.851234567890123456",
    "true",
    "fals",
    "null",
    "[1]",
    "{}",
    "+1",
];
