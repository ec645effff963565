//! The registry of codes of rule files, lists and examples, each with its explanation. Those of expressions have their
//! own.

use crate::scoring::expression;

/// The explanation of a code, of an expression or a rule file, in a paragraph or two; `None` for an unknown code.
pub fn explain(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, text)| *text).or_else(|| expression::explain(code))
}

/// Every code of rule files, lists and examples, in order, with its explanation.
pub const CODES: &[(&str, &str)] = &[
    (
        "E300",
        "The file is not TOML. The caret stands where the reader could not go on; the cause is often just before it:\n\
         a quote or a bracket that is not closed, or text without quotes.\n\n\
         A condition with texts in it is easiest to write between single quotes, where nothing needs escaping:\n\n\
         \x20   when = 'country == \"FR\" and amount > 500 EUR'",
    ),
    (
        "E301",
        "A key that rule files do not have, at this place. Nothing is ignored silently, because a typo in `overide`\n\
         would otherwise change what a rule decides.\n\n\
         A file has [define], [[rule]], [[list]] and [[table]]; examples are [[rule.example]] below their rule.",
    ),
    (
        "E302",
        "A key that must be there is missing. A rule needs `id`, `when` and `then`; a list `id` and `file`; a table\n\
         `id`, `file` and `type`; an example `transactions` and one of `last` and `fires`.",
    ),
    (
        "E303",
        "A value has the wrong TOML type, such as a number where an array is expected:\n\n\
         \x20   tags = \"3ds\"      # wrong\n\
         \x20   tags = [\"3ds\"]    # right",
    ),
    ("E304", "A value has the right type but is none of those possible, such as an unknown decision, mode or type."),
    (
        "E305",
        "A name that cannot be one. Ids of rules, lists and tables are lower-case words joined by hyphens, such as\n\
         `card-testing`, because they stand in metrics, subjects and verdicts. Names under [define] are lower-case words\n\
         joined by `_`, such as `risky_mcc`, and not the name of a field.",
    ),
    (
        "E306",
        "Two rules, lists, tables or names with the same id. All files form one set, and their order never matters, so\n\
         neither of the two can win.",
    ),
    (
        "E307",
        "`override = true` stands on a rule that does not deny. It says that no approve rule lifts a denial, so it has\n\
         no meaning elsewhere.",
    ),
    ("E308", "A file, a rule set or a number of lists is larger than what is possible."),
    ("E309", "A rule file cannot be read, or is not UTF-8 text."),
    (
        "E401",
        "A line of a list is not `value[,expires][,comment]`. A list has no header and no comment lines; values that\n\
         hold a comma stand between double quotes.",
    ),
    (
        "E402",
        "The second column of a list is the date from which the entry is out: `2026-12-31` (the first moment of that day\n\
         in UTC) or a time such as `2026-12-31T18:00:00Z`. A comment without an expiry is `value,,comment`.",
    ),
    ("E403", "A line of a table is not `key,value`. A table has no header and no comment lines."),
    (
        "E404",
        "A value of a table is not of the table's `type`: money is `500 EUR`, a duration `24h`, a country `FR`, a boolean\n\
         `true` or `false`. Money in another currency than the base needs a rate in the configuration.",
    ),
    ("E405", "A table has the same key twice with different values. Lines have no order that could decide."),
    ("E406", "The entries of one list take more than 4 GiB, which is the most that a list can hold."),
    ("E407", "The file of a list or table cannot be read. Its name is relative to the rule file that names it."),
    (
        "E408",
        "A line of a list or table holds a raw card number. Transactions never carry one, so it could not match, and it\n\
         must not lie in a file: use the card's token.",
    ),
    (
        "E501",
        "A line of an example cannot be read. It has `field=value` for the fields of a transaction, and\n\n\
         \x20   9 x …            repeats it; # in a value is the number of the repetition\n\
         \x20   every 30s        the time between repetitions\n\
         \x20   after 2h         the time since the transaction before\n\
         \x20   at 03:00         the next time a clock shows this; also sat 23:30, +1h, 2026-01-05T03:00:00Z\n\
         \x20   outcome=declined what the issuer then did: approved, declined or partial:5.00EUR\n\
         \x20   label=fraud      what it turned out to be: fraud, legit or unknown\n\
         \x20   score=0.97       what the model is taken to say",
    ),
    ("E502", "An example fills a list that no rule file names."),
    (
        "E503",
        "An example failed: the rule, alone with the names and lists of the set, did not do what the example expects.\n\
         The timeline shows each transaction with what the rule saw.",
    ),
    ("W311", "A name under [define] that no rule uses."),
    ("W312", "A list or table that no rule uses."),
    (
        "W313",
        "Wherever this rule fires another fires too, and decides the same or comes first: this one never changes a\n\
         verdict. The order is: a deny with `override`, approve, deny, review.",
    ),
    (
        "W314",
        "Two rules with the same condition decide differently. The order is: a deny with `override`, approve, deny,\n\
         review; so one of the two never decides.",
    ),
];
