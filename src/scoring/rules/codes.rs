//! The registry of codes of rule files, lists and examples, each with its explanation. Those of expressions have their
//! own.

use crate::scoring::expression::codes::{self, Code};

/// A code of an expression, a rule file, a list or an example; `None` for an unknown one.
pub fn find_code(code: &str) -> Option<&'static Code> {
    codes::CODES.iter().chain(CODES).find(|known| known.code == code)
}

/// Every code of rule files, lists and examples, in order.
pub const CODES: &[Code] = &[
    Code {
        code: "E300",
        title: "not TOML",
        explanation: "The file is not TOML. The caret stands where the reader could not go on; the cause is often just before it: \
         a quote or a bracket that is not closed, or text without quotes.\n\n\
         A condition with texts in it is easiest to write between single quotes, where nothing needs escaping:\n\n\
         \x20   when = 'country == \"FR\" and amount > 500 EUR'",
    },
    Code {
        code: "E301",
        title: "unknown key",
        explanation: "A key that rule files do not have, at this place. Nothing is ignored silently, because a typo in `overide` \
         would otherwise change what a rule decides.\n\n\
         A file has [define], [[rule]], [[list]] and [[table]]; examples are [[rule.example]] below their rule.",
    },
    Code {
        code: "E302",
        title: "missing key",
        explanation: "A key that must be there is missing. A rule needs `id`, `when` and `then`; a list `id` and `file`; a table \
         `id`, `file` and `type`; an example `transactions` and one of `last` and `fires`.",
    },
    Code {
        code: "E303",
        title: "wrong type of value",
        explanation: "A value has the wrong TOML type, such as a number where an array is expected:\n\n\
         \x20   tags = \"3ds\"      # wrong \
         \x20   tags = [\"3ds\"]    # right",
    },
    Code {
        code: "E304",
        title: "impossible value",
        explanation: "A value has the right type but is none of those possible, such as an unknown decision, mode or type.",
    },
    Code {
        code: "E305",
        title: "impossible name",
        explanation: "A name that cannot be one. Ids of rules, lists and tables are lower-case words joined by hyphens, such as \
         `card-testing`, because they stand in metrics, subjects and verdicts. Tags are letters, digits, `-`, `_`, `.` and `:`.",
    },
    Code {
        code: "E306",
        title: "named twice",
        explanation: "Two rules, lists, tables or names with the same id. All files form one set, and their order never matters, so \
         neither of the two can win.",
    },
    Code {
        code: "E307",
        title: "override without deny",
        explanation: "`override = true` stands on a rule that does not deny. It says that no approve rule lifts a denial, so it has \
         no meaning elsewhere.",
    },
    Code {
        code: "E308",
        title: "too large",
        explanation: "A file, a rule set or a number of lists is larger than what is possible.",
    },
    Code {
        code: "E309",
        title: "unreadable rule file",
        explanation: "A rule file cannot be read, or is not UTF-8 text.",
    },
    Code {
        code: "E401",
        title: "not a line of a list",
        explanation: "A line of a list is not `value[,expires][,comment]`. A list has no header and no comment lines; values that \
         hold a comma stand between double quotes.",
    },
    Code {
        code: "E402",
        title: "not an expiry",
        explanation: "The second column of a list is the date from which the entry is out: `2026-12-31` (the first moment of that day \
         in UTC) or a time such as `2026-12-31T18:00:00Z`. A comment without an expiry is `value,,comment`.",
    },
    Code {
        code: "E403",
        title: "not a line of a table",
        explanation: "A line of a table is not `key,value`. A table has no header and no comment lines.",
    },
    Code {
        code: "E404",
        title: "not a value of the table",
        explanation: "A value of a table is not of the table's `type`: money is `500 EUR`, a duration `24h`, a country `FR`, a boolean \
         `true` or `false`. Money in another currency than the base needs a rate in the configuration.",
    },
    Code {
        code: "E405",
        title: "key named twice",
        explanation: "A table has the same key twice with different values. Lines have no order that could decide.",
    },
    Code {
        code: "E406",
        title: "too many entries",
        explanation: "The entries of one list take more than 4 GiB, which is the most that a list can hold.",
    },
    Code {
        code: "E407",
        title: "unreadable list or table",
        explanation: "The file of a list or table cannot be read. Its name is relative to the rule file that names it.",
    },
    Code {
        code: "E408",
        title: "raw card number",
        explanation: "A line of a list or table holds a raw card number. Transactions never carry one, so it could not match, and it \
         must not lie in a file: use the card's token.",
    },
    Code {
        code: "E501",
        title: "not a line of an example",
        explanation: "A line of an example cannot be read. It has `field=value` for the fields of a transaction, and\n\n\
         \x20   9 x …            repeats it; # in a value is the number of the repetition \
         \x20   every 30s        the time between repetitions \
         \x20   after 2h         the time since the transaction before \
         \x20   at 03:00         the next time a clock shows this; also sat 23:30, +1h, 2026-01-05T03:00:00Z \
         \x20   outcome=declined what the issuer then did: approved, declined or partial:5.00EUR \
         \x20   label=fraud      what it turned out to be: fraud, legit or unknown \
         \x20   score=0.97       what the model is taken to say",
    },
    Code {
        code: "E502",
        title: "unknown list in an example",
        explanation: "An example fills a list that no rule file names.",
    },
    Code {
        code: "E503",
        title: "failed example",
        explanation: "An example failed: the rule, alone with the names and lists of the set, did not do what the example expects. \
         The timeline shows each transaction with what the rule saw.",
    },
    Code {
        code: "W311",
        title: "unused name",
        explanation: "A name under [define] that no rule and no segment of the policy uses.",
    },
    Code {
        code: "W312",
        title: "unused list or table",
        explanation: "A list or table that no rule and no segment of the policy uses.",
    },
    Code {
        code: "W313",
        title: "rule without effect",
        explanation: "Wherever this rule fires another fires too, and decides the same or comes first: this one never changes a \
         verdict. The order is: a deny with `override`, approve, deny, review.",
    },
    Code {
        code: "W314",
        title: "contradicting rules",
        explanation: "Two rules with the same condition decide differently. The order is: a deny with `override`, approve, deny, \
         review; so one of the two never decides.",
    },
    Code {
        code: "W315",
        title: "longer than what is kept",
        explanation: "The rule waits for longer than a key is remembered after its last event, which is `horizon` under [windows] of \
         gavel.toml, 90 days unless it says otherwise. Then `since_last` is missing, and every comparison with it is false.\n\n\
         \x20   wrong   since_last(card) > 120d \
         \x20   right   since_last(card) > 60d",
    },
    Code {
        code: "W316",
        title: "type that the rule does not look at",
        explanation: "The condition demands a type of transaction that is not among the rule's `types`, so the rule never fires. \
         Unless they say otherwise rules look at authorisations, verifications and incrementals.\n\n\
         \x20   wrong   when = 'type == \"refund\" and amount > 500 EUR' \
         \x20   right   the same with types = [\"refund\"]",
    },
    Code {
        code: "W317",
        title: "entry that never matches",
        explanation: "A list has an entry that the field cannot hold which a rule tests against it: a country that is none, an MCC \
         without its leading zero, an address that cannot be read. It matches nothing.",
    },
];
