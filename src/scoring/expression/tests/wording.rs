//! What reasons say of conditions and features, and the parts that are listed with their values.

use super::world::{World, given, transaction};
use crate::scoring::expression::{CodedFields, Compiler, Scope};

fn check_all(is_feature: bool, cases: &[(&str, &str)]) {
    let world = World::new();
    let mut wrong = Vec::new();
    for (source, expected) in cases {
        let mut findings = Vec::new();
        let mut compiler = Compiler::new(world.environment());
        let (condition, feature) = if is_feature {
            (None, compiler.feature(source, &mut findings))
        } else {
            (compiler.condition(source, &mut findings), None)
        };
        let (program, plan) = compiler.finish();
        let aggregates = world.answers(&plan, &given());
        let transaction = transaction();
        let scope = Scope {
            transaction: &transaction,
            codes: CodedFields::of(&transaction),
            amount_base_minor: Some(4599),
            aggregates: &aggregates,
            score: Some(0.973_115),
            lists: &world.lists,
        };
        let (mut memo, mut found) = (program.memo(), String::new());
        if let Some(condition) = condition {
            program.describe(condition, &scope, &mut memo, &mut found);
        } else if let Some(feature) = feature {
            program.describe_feature(feature, &scope, &mut memo, &mut found);
        } else {
            found = super::world::errors(&findings);
        }
        if found != *expected {
            wrong.push(format!("{source}\n    expected {expected}\n    found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn conditions_are_told_by_what_made_them_true() {
    check_all(
        false,
        &[
            ("count(card, 10m) > 8", "9 authorisations on this card in 10m, limit 8"),
            ("8 < count(card, 10m)", "9 authorisations on this card in 10m, limit 8"),
            (
                "amount < 50 EUR and count(card, 10m) > 8",
                "amount is 45.99 EUR, limit 50 EUR; 9 authorisations on this card in 10m, limit 8",
            ),
            ("amount < 5 EUR or count(card, 10m) > 8", "9 authorisations on this card in 10m, limit 8"),
            ("sum(amount, card, 24h) > 1000 EUR", "1240 EUR spent on this card in 24h, limit 1000 EUR"),
            ("country in [\"FR\", \"DE\"]", "country is FR, one of FR, DE"),
            ("country not in [\"GB\"]", "country is FR, none of GB"),
            ("country == \"FR\"", "country is FR"),
            ("country != \"DE\"", "country is FR, not DE"),
            ("not (country == \"DE\")", "country is FR, not DE"),
            ("country != issuer_country", "country is FR, issuer_country is DE"),
            ("last(country, card) != country", "last country on this card is DE, country is FR"),
            ("score > 0.9", "score is 0.973, limit 0.9"),
            // A value that would read like its limit is told in full.
            ("score > 0.973", "score is 0.973115, limit 0.973"),
            (
                "amount / mean(amount, card, 7d, prior) > 6.2",
                "amount is 6.200000000003236 times the card's mean of 7d, limit 6.2",
            ),
            ("since_last(card) <= 90s", "90s since the last authorisation on this card, limit 90s"),
            ("not (score > 0.99)", "score is 0.973, limit 0.99"),
            ("not (amount < 5 EUR and score > 0.9)", "amount is 45.99 EUR, limit 5 EUR"),
            ("channel == \"ecom\" and mcc in [\"5732\"]", "channel is ecom; mcc is 5732, one of 5732"),
            ("merchant == \"m_17\"", "merchant is m_17"),
            ("device == \"d_1\"", "device is the one named"),
            ("device in [\"d_1\", \"d_2\"]", "device is one of 2 named"),
            ("card in list(\"watched\") or merchant in list(\"watched\")", "merchant is m_17, on list watched"),
            ("customer not in list(\"watched\")", "customer is not on list watched"),
            ("ip in \"203.0.113.0/24\"", "ip is in a network named"),
            ("bin starts_with \"4\"", "bin is 411111, begins with 4"),
            ("customer starts_with \"u\"", "customer begins as named"),
            ("has(device) and not has(email)", "device is there; email is missing"),
            ("has(country) and has(device) and country == \"FR\"", "device is there; country is FR"),
            ("has(country) and not (country == \"DE\")", "country is there; country is FR, not DE"),
            ("night(time) or weekday(time) == 3", "weekday(time) is 3"),
            ("not night(time)", "it is not night"),
            ("not (email == \"x\")", "email is not the one named"),
            ("not (avs == \"pass\")", "avs is missing"),
            ("attributes.vip", "attributes.vip is true"),
            ("attributes.category == \"toys\"", "attributes.category is the one named"),
            ("amount > 0.05 * mean(amount, card, 7d, prior)", "amount is 45.99 EUR, limit 0.37 EUR"),
            ("amount / mean(amount, card, 7d, prior) > 6", "amount is 6.2 times the card's mean of 7d, limit 6"),
            ("amount > lookup(\"limits\", merchant, 500 EUR)", "amount is 45.99 EUR, limit 40 EUR"),
            ("since_last(card) < 2m", "90s since the last authorisation on this card, limit 2m"),
            ("age(card) < 1h", "card is known for 0s, limit 1h"),
            ("speed_kmh(card) > 900", "card moves at 1200 km/h, limit 900"),
            (
                "fraud_rate(terminal, 7d, delay 7d) >= 0.1",
                "fraud rate at this terminal in 7d until 7d ago is 0.125, limit 0.1",
            ),
            (
                "count(card, 1h, where outcome == declined) > 1",
                "2 authorisations on this card in 1h where outcome == declined, limit 1",
            ),
            ("distinct(merchant, card, 24h) >= 1", "1 distinct merchant on this card in 24h, limit 1"),
            ("risky_mcc and big", "mcc is 5732, one of 7995, 6051, 5732; amount is 45.99 EUR, limit 40 EUR"),
        ],
    );
}

#[test]
fn features_are_told_by_what_they_found() {
    check_all(
        true,
        &[
            ("amount / mean(amount, card, 7d, prior)", "amount is 6.2 times the card's mean of 7d"),
            ("amount / mean(amount, merchant, 7d)", "amount / mean(amount, merchant, 7d) is missing"),
            ("amount", "amount is 45.99 EUR"),
            ("count(card, 10m)", "9 authorisations on this card in 10m"),
            ("distinct(merchant, card, 24h)", "1 distinct merchant on this card in 24h"),
            ("fraud_rate(terminal, 7d, delay 7d)", "fraud rate at this terminal in 7d until 7d ago is 0.125"),
            ("mean(amount, merchant, 7d)", "mean amount at this merchant in 7d is missing"),
            ("mean(amount, card, 7d, prior)", "mean amount on this card in 7d before is 7.42 EUR"),
            ("night(time)", "it is not night"),
            ("country == issuer_country", "country is FR, issuer_country is DE"),
            ("since_last(card)", "90s since the last authorisation on this card"),
            ("since_last(merchant)", "time since the last authorisation at this merchant is missing"),
            ("hour(time)", "hour(time) is 10"),
            ("attributes.vip", "attributes.vip is true"),
            ("count((card, merchant), 1h)", "count on this card and merchant in 1h is missing"),
            ("age((card, merchant))", "time since card and merchant first came is missing"),
        ],
    );
}

#[test]
fn parts_are_listed_with_their_values() {
    let world = World::new();
    let mut compiler = Compiler::new(world.environment());
    let source =
        "amount / mean(amount, card, 7d, prior) > 6 and (device == \"d_1\" or country in homes) and has(email)";
    let condition = compiler.condition(source, &mut Vec::new()).expect(source);
    let (program, plan) = compiler.finish();
    let aggregates = world.answers(&plan, &given());
    let transaction = transaction();
    let scope = Scope {
        transaction: &transaction,
        codes: CodedFields::of(&transaction),
        amount_base_minor: Some(4599),
        aggregates: &aggregates,
        score: None,
        lists: &world.lists,
    };
    let atoms = program.atoms(condition, &scope);
    let lines =
        atoms.iter().map(|atom| format!("{:indent$}{}: {}", "", atom.text, atom.value, indent = atom.depth * 2));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}
