//! Lists and tables from text, changes over them, and what their lines may not be.

use proptest::prelude::*;

use super::*;
use crate::scoring::money::{Currency, Decimal};

fn time(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect(text)
}

fn list(text: &str) -> Lists {
    let mut problems = Vec::new();
    let file = ListFile::parse(text.as_bytes(), &mut problems);
    assert_eq!(problems, [], "{text}");
    Lists::new(BTreeMap::from([("blocked".to_owned(), Arc::new(file))]), BTreeMap::new())
}

fn rates() -> Rates {
    let mut rates = Rates::new(Currency::from_code("EUR").expect("EUR"));
    rates.set(Currency::from_code("USD").expect("USD"), Decimal::parse("0.5").expect("rate"));
    rates
}

fn table(kind: TableType, text: &str) -> Lists {
    let mut problems = Vec::new();
    let file = TableFile::parse(text.as_bytes(), kind, &rates(), &mut problems);
    assert_eq!(problems, [], "{text}");
    Lists::new(BTreeMap::new(), BTreeMap::from([("limits".to_owned(), Arc::new(file))]))
}

#[test]
fn entries_are_out_from_their_expiry_on() {
    let lists = list(
        "\u{feff}c_1\r\nc_2, 2018-07-25, lost card\n\nc_3,2018-07-25T10:00:00+02:00\n\"#4\",,\"a, b\"\nc_5,2018-01-01\nc_5,2019-01-01\nc_6,2019-01-01\nc_6\n",
    );
    let id = lists.find("blocked").expect("blocked");
    // (value, event time, on the list)
    let cases = [
        ("c_1", "2030-01-01T00:00:00Z", true),
        ("c_2", "2018-07-24T23:59:59.999Z", true),
        ("c_2", "2018-07-25T00:00:00Z", false),
        ("c_3", "2018-07-25T07:59:59.999Z", true),
        ("c_3", "2018-07-25T08:00:00Z", false),
        ("#4", "2018-07-25T00:00:00Z", true),
        ("c_5", "2018-07-25T00:00:00Z", true),
        ("c_6", "2030-01-01T00:00:00Z", true),
        ("c_7", "2018-07-25T00:00:00Z", false),
        ("", "2018-07-25T00:00:00Z", false),
    ];
    for (value, at, expected) in cases {
        assert_eq!(lists.contains(id, value, time(at)), expected, "{value} at {at}");
    }
    assert!(!lists.is_empty(id));
    assert!(lists.find("trusted").is_none());
}

#[test]
fn addresses_are_found_in_any_spelling_and_in_networks() {
    let lists = list(
        "203.0.113.9\n2001:DB8::1\n10.1.2.3/8\n2001:db8:ff::/48\n192.168.0.0/16,2018-01-01\n0.0.0.0/33\n::ffff:198.51.100.7\n",
    );
    let id = lists.find("blocked").expect("blocked");
    let cases = [
        ("203.0.113.9", true),
        ("203.0.113.8", false),
        ("::ffff:203.0.113.9", true),
        ("198.51.100.7", true),
        ("2001:db8:0::1", true),
        ("10.255.255.255", true),
        ("11.0.0.0", false),
        ("2001:db8:ff:1::9", true),
        ("2001:db8:fe::9", false),
        ("192.168.0.1", false),
    ];
    for (ip, expected) in cases {
        let ip: IpAddr = ip.parse().expect("address");
        assert_eq!(lists.contains_ip(id, ip, time("2018-07-25T00:00:00Z")), expected, "{ip}");
    }
    let mut everything = list("");
    let all = ListChange { value: "::/0".into(), ..change(true, "") };
    everything.change(&all).expect("applied");
    let id = everything.find("blocked").expect("blocked");
    assert!(everything.contains_ip(id, "2001:db8::1".parse().expect("address"), time("2018-07-25T00:00:00Z")));
    assert!(!everything.contains_ip(id, "10.0.0.1".parse().expect("address"), time("2018-07-25T00:00:00Z")));
}

fn change(add: bool, value: &str) -> ListChange<'static> {
    ListChange {
        list: "blocked".into(),
        value: value.to_owned().into(),
        add,
        expires: None,
        comment: None,
        by: Some("ana".into()),
    }
}

#[test]
fn changes_stand_over_the_file_and_survive_reloads() {
    let at = time("2018-07-25T00:00:00Z");
    let mut lists = list("c_1\nc_2\n");
    for change in [
        change(false, "c_1"),
        change(true, "c_3"),
        ListChange { expires: Some(at), ..change(true, "c_4") },
        change(false, "c_5"),
        change(true, "c_5"),
    ] {
        lists.change(&change).expect("applied");
    }
    let unknown = lists.change(&ListChange { list: "nosuch".into(), ..change(true, "c_9") });
    assert_eq!(unknown.expect_err("refused").code, "unknown_list");

    let expected = [("c_1", false), ("c_2", true), ("c_3", true), ("c_4", false), ("c_5", true)];
    let check = |lists: &Lists, story: &str| {
        let id = lists.find("blocked").expect("blocked");
        for (value, on) in expected {
            assert_eq!(lists.contains(id, value, at), on, "{value}, {story}");
        }
    };
    check(&lists, "before a reload");
    let mut reloaded = list("c_1\nc_2\nc_4\n");
    reloaded.carry_over(&mut lists);
    check(&reloaded, "after a reload");
    let mut without = Lists::default();
    without.carry_over(&mut reloaded);
    assert!(without.find("blocked").is_none());
    let mut again = list("c_1\nc_2\n");
    again.carry_over(&mut without);
    check(&again, "after its list was away for a reload");

    let kept: Vec<_> = again.changes().iter().map(|change| format!("{} {}", change.value, change.add)).collect();
    assert_eq!(kept, ["c_1 false", "c_3 true", "c_4 true", "c_5 true"]);
    assert_eq!(again.changes()[0].by.as_deref(), Some("ana"));
}

#[test]
fn a_list_is_empty_until_something_is_added() {
    let mut lists = list("\n");
    let id = lists.find("blocked").expect("blocked");
    assert!(lists.is_empty(id));
    lists.change(&change(false, "c_1")).expect("applied");
    assert!(lists.is_empty(id));
    lists.change(&change(true, "c_1")).expect("applied");
    assert!(!lists.is_empty(id));
}

#[test]
fn tables_hold_typed_values() {
    let cases = [
        (TableType::Money, "500 EUR", TableValue::Money(50_000)),
        (TableType::Money, "0.03 USD", TableValue::Money(2)),
        (TableType::Number, "-0.25", TableValue::Number(-0.25)),
        (TableType::Integer, "-42", TableValue::Integer(-42)),
        (TableType::Text, "gold", TableValue::Text("gold")),
        (TableType::Country, "FR", TableValue::Country(Country::from_code("FR").expect("FR"))),
        (TableType::Duration, "90s", TableValue::Duration(90_000)),
        (TableType::Boolean, "true", TableValue::Boolean(true)),
        (TableType::Boolean, "false", TableValue::Boolean(false)),
    ];
    for (kind, text, expected) in cases {
        let lists = table(kind, &format!("m_0,{text}\nm_1, {text}\n"));
        let (id, found) = lists.find_table("limits").expect("limits");
        assert_eq!(found, kind);
        assert_eq!(lists.lookup(id, "m_1"), Some(expected), "{text}");
        assert_eq!(lists.lookup(id, "m_2"), None);
        assert_eq!(TableType::from_name(kind.name()), Some(kind));
    }
}

#[test]
fn bad_lines_are_told_by_line() {
    const DATE: &str = "the second column is no date, expected the entry's expiry";
    const OPEN: &str = "a value or a comment goes over several lines";
    let long = "x".repeat(129);
    let cases: &[(&str, &str)] = &[
        ("c_1,someday", DATE),
        ("c_1,lost card", DATE),
        ("c_1,2018-02-30", DATE),
        ("c_1,2018-07-25,a,b", "4 columns, expected `value[,expires][,comment]`"),
        (",2018-07-25", "the line has no value"),
        (",,", "the line has no value"),
        ("4111-1111-1111-1111,2030-01-01", "the value is a raw card number"),
        ("# comment", "a line that begins with `#`, expected an entry"),
        ("\"c_1\nc_2\n", OPEN),
        ("\"c_1,2027-12-31,reported by phone", OPEN),
        ("c_1,,\"reported by phone", OPEN),
        ("c_1,,\"reported\nby phone\"", OPEN),
        (&long, "the value has 129 characters, at most 128 are possible"),
    ];
    for (line, expected) in cases {
        let mut problems = Vec::new();
        let file = ListFile::parse(format!("ok_1\n{line}\n").as_bytes(), &mut problems);
        let told: Vec<_> = problems.iter().map(|problem| (problem.line, problem.message.as_str())).collect();
        assert_eq!(told, [(2, *expected)], "{line}");
        assert_eq!(file.len(), 1, "{line}");
    }
    let mut problems = Vec::new();
    ListFile::parse(b"\xef\xbb\xbfok_1\r\n\r\nok_2\r\n# no\r\nc_1,soon\r\n\n\r\nc_2,soon", &mut problems);
    assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [4, 5, 8]);
    let mut problems = Vec::new();
    let closed = "\"a\"\"b\",,\"it, was \"\"closed\"\"\"\nc,,5\" wide\n\"d\"";
    assert_eq!((ListFile::parse(closed.as_bytes(), &mut problems).len(), problems.len()), (3, 0));
    ListFile::parse(b"ok\nc\xff\n", &mut problems);
    assert_eq!(problems[0].message, "the line is not UTF-8");
}

#[test]
fn bad_table_lines_are_told_by_line() {
    let cases = [
        (TableType::Money, "k", "one column, expected `key,value`"),
        (TableType::Money, "k,1 EUR,why", "3 columns, expected `key,value`"),
        (TableType::Money, ",1 EUR", "the line has no key"),
        (TableType::Money, "k,500", "the value is not money"),
        (TableType::Money, "k,-5 EUR", "the value is not money"),
        (TableType::Money, "k,5. EUR", "the value is not money"),
        (TableType::Money, "k,5 EURO", "the value is not money"),
        (TableType::Money, "k,5.001 EUR", "the value has 3 decimals, EUR has 2"),
        (
            TableType::Money,
            "k,10000000000000 EUR",
            "the value has more than 15 digits, counted in the currency's minor unit",
        ),
        (TableType::Money, "k,5 JPY", "JPY has no rate to EUR"),
        (TableType::Number, "k,NaN", "the value is not a number"),
        (TableType::Number, "k,1e3", "the value is not a number"),
        (TableType::Integer, "k,1.5", "the value is not an integer"),
        (TableType::Country, "k,UK", "the value is not a country"),
        (TableType::Duration, "k,1w", "the value is not a duration"),
        (TableType::Boolean, "k,yes", "the value is not a boolean"),
        (TableType::Text, "k,", "the line has no value"),
    ];
    for (kind, line, expected) in cases {
        let mut problems = Vec::new();
        TableFile::parse(line.as_bytes(), kind, &rates(), &mut problems);
        let told: Vec<_> = problems.iter().map(|problem| (problem.line, problem.message.as_str())).collect();
        assert_eq!(told, [(1, expected)], "{line}");
    }
    let mut problems = Vec::new();
    TableFile::parse(b"k,1\nk,1\nk,2\n", TableType::Integer, &rates(), &mut problems);
    assert_eq!(problems[0].message, "this key stands on an earlier line with another value");
    assert_eq!((problems.len(), problems[0].line), (1, 3));
}

#[test]
fn a_file_full_of_problems_is_told_in_few_lines() {
    let mut problems = Vec::new();
    ListFile::parse("a,b\n".repeat(100).as_bytes(), &mut problems);
    assert_eq!(problems.len(), 21);
    assert_eq!((problems[20].line, problems[20].message.as_str()), (100, "80 more lines are wrong, this is the last"));
}

#[test]
fn a_list_is_full_where_a_place_in_it_has_no_number() {
    let mut problems = Vec::new();
    let file = file::parse_list_into(store::Store::default().full_behind(8), b"c_1\nc_2\nc_3\nc_4\n", &mut problems);
    assert_eq!(file.len(), 2);
    let told = problems.iter().map(|LineProblem { line, code, message, hint }| {
        format!("{line} {code} {message}{}", hint.as_ref().map_or_else(String::new, |hint| format!(" | {hint}")))
    });
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"));
}

proptest! {
    #[test]
    fn networks_are_written_as_their_display(bits: u128, is_v4: bool, prefix in proptest::option::of(0..=32_u8)) {
        let ip = if is_v4 { IpAddr::V4((bits as u32).into()) } else { IpAddr::V6((bits >> (bits & 127)).into()) };
        let ip = prefix.map_or(ip, |prefix| masked(ip, prefix));
        let mut text = NetworkText::default();
        text.put(ip, prefix);
        let expected = prefix.map_or_else(|| ip.to_string(), |prefix| format!("{ip}/{prefix}"));
        prop_assert_eq!(text.as_str(), expected);
    }
}

fn masked(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            IpAddr::V4((u32::from(ip) & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)).into())
        }
        IpAddr::V6(ip) => {
            IpAddr::V6((u128::from(ip) & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)).into())
        }
    }
}
