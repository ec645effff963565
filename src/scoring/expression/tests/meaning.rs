//! What expressions answer, and how they are refused.

use super::world::{World, given, transaction};

fn check_all(cases: &[(&str, &str)]) {
    let world = World::new();
    let mut wrong = Vec::new();
    for (source, expected) in cases {
        let found = world.evaluate(source, &transaction(), &given());
        if found != *expected {
            wrong.push(format!("{source}\n    expected {expected}\n    found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn comparisons() {
    check_all(&[
        ("amount == 45.99 EUR", "true"),
        ("amount < 4.99 EUR", "false"),
        ("amount >= 91.98 USD", "true"),
        ("amount > 91.98 USD", "false"),
        ("50 EUR > amount", "true"),
        ("amount in [45.99 EUR, 10 USD]", "true"),
        ("amount not in [45.99 EUR]", "false"),
        ("country == \"FR\"", "true"),
        ("\"DE\" == country", "false"),
        ("country != issuer_country", "true"),
        ("country in [\"DE\", \"FR\"]", "true"),
        ("country not in [\"DE\", \"FR\"]", "false"),
        ("country in []", "false"),
        ("currency == \"EUR\"", "true"),
        ("currency in [\"USD\", \"JPY\"]", "false"),
        ("mcc == \"5732\"", "true"),
        ("mcc in [\"0742\", \"5732\"]", "true"),
        ("mcc starts_with \"57\"", "true"),
        ("channel == \"ecom\"", "true"),
        ("channel in [\"pos\", \"atm\"]", "false"),
        ("type == \"authorization\"", "true"),
        ("type not in [\"refund\", \"reversal\"]", "true"),
        ("merchant == \"m_17\"", "true"),
        ("merchant != \"m_17\"", "false"),
        ("merchant in [\"m_1\", \"m_17\"]", "true"),
        ("merchant starts_with \"m_\"", "true"),
        ("bin starts_with \"4\"", "true"),
        ("id == \"t-91\" and processor == \"file\"", "true"),
        ("ip == \"203.0.113.9\"", "true"),
        ("ip == \"::ffff:203.0.113.9\"", "true"),
        ("ip != \"203.0.113.9\"", "false"),
        ("ip in \"203.0.113.0/24\"", "true"),
        ("ip in [\"10.0.0.0/8\", \"203.0.113.9\"]", "true"),
        ("ip not in \"10.0.0.0/8\"", "true"),
        ("ip in \"2001:db8::/32\"", "false"),
        ("subnet(ip, 24) == \"203.0.113.0\"", "true"),
        ("subnet(ip, 24) == \"203.0.113.0/24\"", "true"),
        ("time > \"2018-07-25\"", "true"),
        ("time < \"2018-07-25T10:15:30.123Z\"", "false"),
        ("time == \"2018-07-25T12:15:30.123+02:00\"", "true"),
        ("score > 0.2", "true"),
        ("score >= 1", "false"),
        ("attributes.basket_size == 3", "true"),
        ("attributes.basket_size in [1, 2.5, 3]", "true"),
        ("attributes.risk == 0.25", "true"),
        ("attributes.risk in [0.25]", "true"),
        ("attributes.category == \"toys\"", "true"),
        ("attributes.\"category\" != \"toys\"", "false"),
        ("attributes.home == country", "true"),
        ("attributes.vip", "true"),
        ("attributes.vip == false", "false"),
        ("channel == attributes.category", "false"),
        ("attributes.category != channel", "true"),
    ]);
}

#[test]
fn missing_values() {
    check_all(&[
        ("email == \"x\"", "false"),
        ("email != \"x\"", "false"),
        ("email not in [\"x\"]", "false"),
        ("not email == \"x\"", "true"),
        ("not (email != \"x\")", "true"),
        ("email in list(\"watched\")", "false"),
        ("email not in list(\"watched\")", "false"),
        ("has(email)", "false"),
        ("not has(email)", "true"),
        ("has(device) and has(ip) and has(amount) and has(country)", "true"),
        ("avs == \"pass\" or avs != \"pass\"", "false"),
        ("lat < 90 or lat >= 0", "false"),
        ("has(lat)", "false"),
        ("utc_offset == -60 or utc_offset != -60", "false"),
        ("night(local_time)", "false"),
        ("not night(local_time)", "true"),
        ("night(local_time) == false", "false"),
        ("hour(local_time) >= 0", "false"),
        ("has(hour(local_time))", "false"),
        ("has(mean(amount, merchant, 7d))", "false"),
        ("mean(amount, merchant, 7d) > 1 EUR", "false"),
        ("amount > mean(amount, merchant, 7d)", "false"),
        ("amount + mean(amount, merchant, 7d) > 0 EUR", "false"),
        ("last(country, device) != country", "false"),
        ("starts == \"x\"", "E104: `starts` is no field and no name of [define]"),
        ("email starts_with \"x\"", "false"),
        ("merchant starts_with email", "false"),
    ]);
}

#[test]
fn arithmetic() {
    check_all(&[
        ("amount + 1 EUR", "46.99"),
        ("amount - 50 EUR", "-4.01"),
        ("amount * 2", "91.98"),
        ("2 * amount - amount * 2 == 0 EUR", "true"),
        ("amount * 0.5", "22.995"),
        ("amount / 2", "22.995"),
        ("amount / 2 EUR", "22.995"),
        ("-amount", "-45.99"),
        ("amount > -1 EUR", "true"),
        ("amount / 0", "missing"),
        ("amount / 0 EUR", "missing"),
        ("amount / stddev(amount, card, 7d)", "missing"),
        ("amount / mean(amount, card, 7d, prior)", "6.200000000003236"),
        ("(amount / mean(amount, card, 7d, prior)) > 6", "true"),
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("7 / 2", "3.5"),
        ("7 - 2 - 1", "4"),
        ("8 / 2 / 2", "2"),
        ("- 3 + 5", "2"),
        ("1 / 3 * 3 == 1", "true"),
        ("count(card, 90d) + 1", "missing"),
        ("count(card, 90d) * 2 > 0", "false"),
        ("count(card, 90d) * 2.0 > 0", "true"),
        ("count(card, 90d) * amount", "missing"),
        ("1h + 30m", "5400"),
        ("1h - 2h", "-3600"),
        ("1h / 30m", "2"),
        ("2 * 90s", "180"),
        ("1h / 2", "1800"),
        ("time - attributes.signup", "86400.123"),
        ("time - attributes.signup > 1d", "true"),
        ("time - 1d < attributes.signup + 1s", "true"),
        ("attributes.signup + 24h < time", "true"),
        ("hour(time - 1h * 1.5) == 8", "true"),
        ("since_last(card) < 2m", "true"),
        ("since_last(card)", "90"),
        ("age(card) == 0s", "true"),
        ("speed_kmh(card) > 900", "true"),
        ("9223372036854775807 + 1", "missing"),
        ("attributes.risk * 4", "1"),
        ("score * 2 > 0.4", "true"),
    ]);
}

#[test]
fn calendar() {
    check_all(&[
        ("hour(time)", "10"),
        ("weekday(time) == 3", "true"),
        ("night(time)", "false"),
        ("night(time) == false", "true"),
        ("weekend(time) or night(time)", "false"),
        ("hour(attributes.signup) in [9, 10]", "true"),
        ("hour(time) in [1, 2]", "false"),
    ]);
}

#[test]
fn aggregates() {
    check_all(&[
        ("count(card, 10m) > 8", "true"),
        ("count(card, 10m)", "9"),
        ("count(card, 1h) > 8.5", "true"),
        ("count(card, 60m) == 9", "true"),
        ("count(who, lately) == 9", "true"),
        ("count(card, 1h, where outcome == declined) > 1", "true"),
        ("count(card, 1h, where was_declined and channel == \"ecom\")", "2"),
        ("sum(amount, card, 24h) > 1000 EUR", "true"),
        ("sum(amount, card, 24h)", "1240"),
        ("sum(amount, card, 24h) + amount > 1285.98 EUR", "true"),
        ("sum(amount, card, 24h) + amount > 1285.99 EUR", "false"),
        ("last(country, card) != country", "true"),
        ("last(channel, card) == \"pos\"", "true"),
        ("last(channel, card) != channel", "true"),
        ("last(merchant, card) == merchant", "true"),
        ("last(ip, card) == ip", "true"),
        ("last(attributes.vip, card)", "false"),
        ("has(last(attributes.vip, card))", "true"),
        ("fraud_rate(terminal, 7d, delay 7d)", "0.125"),
        ("fraud_rate(terminal, 7d, delay 7d) >= 0.1", "true"),
    ]);
}

#[test]
fn lists_and_tables() {
    check_all(&[
        ("bin in list(\"blocked-bins\")", "true"),
        ("merchant not in list(\"blocked-bins\")", "true"),
        ("ip in list(\"bad-networks\")", "true"),
        ("country in list(\"watched\") and mcc in list(\"watched\") and channel in list(\"watched\")", "true"),
        ("issuer_country in list(\"watched\")", "false"),
        ("merchant in list(\"nothing\")", "false"),
        ("amount > lookup(\"limits\", merchant, 500 EUR)", "true"),
        ("lookup(\"limits\", merchant, 500 EUR)", "40"),
        ("lookup(\"limits\", terminal, 500 EUR)", "500"),
        ("lookup(\"limits\", email, 500 EUR)", "500"),
        ("lookup(\"limits\", terminal)", "missing"),
        ("lookup(\"weights\", channel, 1)", "1.5"),
        ("lookup(\"weights\", merchant, 1)", "1"),
        ("lookup(\"homes\", card, \"FR\") == issuer_country", "true"),
        ("lookup(\"homes\", merchant, \"FR\") == country", "true"),
        ("since_last(card) < lookup(\"waits\", country, 1m)", "true"),
        ("lookup(\"trusted\", customer, false)", "true"),
        ("lookup(\"trusted\", card, false)", "false"),
        ("lookup(\"groups\", mcc, \"other\") == \"electronics\"", "true"),
        ("lookup(\"groups\", ip, \"other\") == \"office\"", "true"),
        ("lookup(\"ranks\", currency, 0) == 7", "true"),
    ]);
}

#[test]
fn logic_and_defines() {
    check_all(&[
        ("true", "true"),
        ("not true", "false"),
        ("true or false and false", "true"),
        ("(true or false) and false", "false"),
        ("not false and false", "false"),
        ("not (false and false)", "true"),
        ("not not true", "true"),
        ("not amount > 5 EUR or amount > 5 EUR", "true"),
        ("risky_mcc and big", "true"),
        ("risky_mcc and not big", "false"),
        ("amount > limit", "true"),
        ("amount > limit * 2", "false"),
        ("country in homes", "true"),
        ("issuer_country not in homes", "false"),
        ("  amount\n  >\t1 EUR ", "true"),
    ]);
}
