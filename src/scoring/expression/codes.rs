//! The registry of finding codes of the language: each code, its title and its explanation. A code never changes its
//! meaning.

/// A code of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// `E` and three digits for an error, `W` and three digits for a warning.
    pub code: &'static str,
    /// The kind of mistake in a few words.
    pub title: &'static str,
    /// What is wrong, why it is refused, and an example that is right.
    pub explanation: &'static str,
}

/// The explanation of a code; `None` for a code that this registry does not hold.
pub fn explain(code: &str) -> Option<&'static str> {
    CODES.iter().find(|known| known.code == code).map(|known| known.explanation)
}

macro_rules! codes {
    ($($name:ident $code:literal $title:literal $explanation:literal)*) => {
        $(pub(super) const $name: &str = $code;)*

        /// Every code of the language, in order.
        pub const CODES: &[Code] = &[
            $(Code { code: $code, title: $title, explanation: $explanation },)*
        ];
    };
}

codes! {
UNREADABLE "E101" "unreadable text"
"The text holds something that is no part of the language: a letter that begins nothing, a quote that is never \
closed, a number with an unknown unit, or an operator of another language.

Text stands in double quotes, durations are whole numbers with `ms`, `s`, `m`, `h` or `d`, and the operators are `==`, \
`!=`, `<`, `<=`, `>`, `>=`, `and`, `or`, `not`, `in`, `starts_with`, `+`, `-`, `*` and `/`.

    wrong   channel = 'ecom' && age(card) < 1.5h
    right   channel == \"ecom\" and age(card) < 90m"

SYNTAX "E102" "unexpected text"
"The words are known, and they do not stand where they may: an operand is missing, a parenthesis is not closed, or \
something follows a complete expression.

    wrong   amount > and channel == \"ecom\"
    right   amount > 50 EUR and channel == \"ecom\""

UNLIKE "E103" "unlike types are compared"
"Both sides of a comparison must be of one type: money with money, a country with a country, a duration with a \
duration. Only integers and numbers mix. A type is never guessed: `amount > 100` could mean cents, euros or dollars.

    wrong   amount > 100
    right   amount > 100 EUR
    wrong   count(card, 1h) == \"FR\"
    right   country == \"FR\""

UNKNOWN_NAME "E104" "unknown name"
"The name is no field of a transaction, no declared attribute and no name of [define]. Codes such as countries stand \
in double quotes; verdicts and outcomes are bare words beside `verdict` and `outcome`. Attributes are written \
`attributes.<key>` and are declared with their type in [attributes] of gavel.toml.

    wrong   chanel == \"ecom\"
    right   channel == \"ecom\""

UNKNOWN_FUNCTION "E105" "unknown function"
"There is no function of this name. There are: count, distinct, sum, mean, min, max, stddev, last, since_last, age, \
speed_kmh, fraud_rate, frauds, hour, weekday, night, weekend, has, lookup, subnet, and list behind `in`.

    wrong   average(amount, card, 7d)
    right   mean(amount, card, 7d)"

ARGUMENTS "E106" "wrong arguments"
"The function is called with too many or too few arguments, or with one of a type it does not take.

    wrong   hour(amount)
    right   hour(time)
    wrong   count(card)
    right   count(card, 1h)"

ARITHMETIC "E107" "arithmetic on unlike types"
"Money is added to money, durations to durations and times; money and durations are multiplied and divided by numbers; \
money over money and a duration over a duration are numbers. Nothing else can be computed.

    wrong   amount + 5 > mean(amount, card, 7d)
    right   amount + 5 EUR > mean(amount, card, 7d)"

CODE "E108" "unknown code"
"The field holds one of a fixed set of codes, and the text is none of them, so the comparison could never be what was \
meant.

    wrong   channel == \"e-com\"
    right   channel == \"ecom\""

COUNTRY "E109" "unknown country"
"Countries are ISO 3166-1 alpha-2 codes in capitals. The United Kingdom is `GB`, Greece is `GR`.

    wrong   country in [\"UK\", \"FRA\"]
    right   country in [\"GB\", \"FR\"]"

CURRENCY "E110" "unknown currency"
"Currencies are ISO 4217 alphabetic codes in capitals.

    wrong   amount > 5 EURO
    right   amount > 5 EUR"

MCC "E111" "not a merchant category code"
"Merchant category codes of ISO 18245 are four digits in double quotes, leading zeros included.

    wrong   mcc == \"742\"
    right   mcc == \"0742\""

ADDRESS "E112" "not an IP address"
"The text is no IPv4 or IPv6 address and, behind `in`, no network either.

    wrong   ip == \"203.0.113\"
    right   ip == \"203.0.113.9\"
    right   ip in \"203.0.113.0/24\""

MONEY "E113" "impossible amount"
"An amount has more decimals than its currency has, or is larger than any transaction can be. JPY has no decimals, \
KWD has three, most currencies have two.

    wrong   amount > 4.999 EUR
    right   amount > 4.99 EUR"

RATE "E114" "no rate"
"An amount in a foreign currency is turned into the base currency when rules are loaded, by the rates of the \
configuration, and there is no rate for this currency.

    wrong   amount > 100 USD          without a rate for USD
    right   amount > 100 USD          with `USD = \"0.92\"` in [rates] of gavel.toml"

WINDOW "E115" "not a window"
"A window is a duration from one second to ninety days, written as it is: `90s`, `10m`, `24h`, `7d`. A delay may also \
be nothing.

    wrong   count(card, 365d)
    right   count(card, 90d)"

KEY "E116" "not a KEY"
"Events are gathered by a KEY: any field that holds text, a code, a country or an address, an attribute of text, \
`amount`, `subnet(ip, 24)`, or up to four of these in parentheses.

    wrong   count(time, 1h)
    right   count((card, merchant), 1h)"

AGGREGATED "E117" "not a FIELD to aggregate"
"`sum`, `mean`, `min`, `max` and `stddev` read fields that hold money or numbers; `distinct` counts the values of any \
field but degrees; `last` reads any field.

    wrong   sum(merchant, card, 24h)
    right   distinct(merchant, card, 24h)"

SCORE "E118" "score is not known here"
"`score` is the model's probability for the present transaction. The model's own features cannot use it, and `where` \
counts earlier transactions by what they were.

    wrong   count(card, 1h, where score > 0.9)
    right   score > 0.9 and count(card, 1h) > 3"

SETTLED "E119" "verdict or outcome is not known here"
"The verdict and the outcome of the present transaction are not known while it is judged. Those of earlier ones are, \
inside `where`. A model's features see outcomes there, and no verdicts.

    wrong   outcome == declined
    right   count(card, 1h, where outcome == declined) > 2"

NESTED "E120" "an aggregate inside where"
"`where` tests each transaction on its own fields, verdict or outcome. What other transactions add up to is not part \
of that.

    wrong   count(card, 1h, where count(device, 1h) > 3)
    right   count(card, 1h, where channel == \"ecom\") > 3 and count(device, 1h) > 3"

LIST "E121" "unknown list"
"No rule file declares a list of this name.

    [[list]]
    id = \"blocked-bins\"
    file = \"lists/blocked-bins.csv\""

TABLE "E122" "unknown table"
"No rule file declares a table of this name.

    [[table]]
    id = \"limits\"
    file = \"lists/limits.csv\"
    type = \"money\""

CYCLE "E123" "a define uses itself"
"A name of [define] is written out wherever it stands, so it cannot stand in its own definition, nor in one that it \
uses.

    wrong   a = \"b or night(time)\"   b = \"a and amount > 5 EUR\"
    right   a = \"b or night(time)\"   b = \"amount > 5 EUR\""

DEFINE "E124" "a define with an error"
"The name of [define] that is used here has an error of its own, which is reported at its definition. Once that is \
mended, this is too."

OPTION "E125" "misplaced option"
"Options come last, each at most once, `delay` before `prior` before `where`. `delay` belongs to `fraud_rate` and \
`frauds`, which cannot do without it; `last`, `since_last`, `age` and `speed_kmh` take no options.

    wrong   count(card, prior, 1h)
    right   count(card, 1h, prior, where channel == \"ecom\")"

TOO_LONG "E126" "too long"
"An expression has at most 8,192 bytes. Long lists of values belong in a list file, repeated parts in [define].

    right   merchant in list(\"watched\")"

TOO_DEEP "E127" "nested too deep"
"An expression nests at most 64 levels deep, its defines written out; every operator of a chain such as `a + b + c` \
is a level, `and` and `or` chains are one. No rule that a person can read comes near it."

TOO_LARGE "E128" "too large"
"With all its defines written out the expression has more than 4,096 parts, or the release asks for more than 65,536 \
different aggregates, keys or filters."

NOT_A_TEST "E129" "not a test"
"A rule's `when`, and each side of `and`, `or`, `not` and `where`, is something that is true or false: a comparison, \
`has(…)`, or a field or attribute that is true or false itself.

    wrong   when = \"count(card, 1h)\"
    right   when = \"count(card, 1h) > 8\"
    wrong   country == \"FR\" or \"DE\"
    right   country in [\"FR\", \"DE\"]"

NOT_A_FEATURE "E130" "not a feature"
"A feature of the model is a number. Money counts in major units of the base currency, durations in seconds, and true \
and false as 1 and 0; text, codes, times and addresses are no numbers until they are compared or counted.

    wrong   home = \"country\"
    right   home = \"country == issuer_country\""

ORDER "E131" "no order"
"Only money, numbers, durations and times have an order. Text, codes, countries and addresses are equal or not.

    wrong   mcc > \"5000\"
    right   mcc in [\"5001\", \"5002\"]"

SET "E132" "not something to be in"
"Behind `in` stands a list of values in brackets, `list(\"name\")`, or, for an IP address, a network. Neither can \
stand elsewhere, and the values in brackets are written as they are.

    wrong   country in \"FR\"
    right   country in [\"FR\", \"DE\"]
    right   ip in \"10.0.0.0/8\"
    right   merchant in list(\"watched\")"

CHAINED "E133" "chained comparisons"
"A comparison is true or false, and is not compared again. Two limits are two comparisons.

    wrong   5 EUR < amount < 10 EUR
    right   5 EUR < amount and amount < 10 EUR"

NUMBER "E134" "number out of range"
"The number does not fit: integers are below 9,223,372,036,854,775,808, and a duration's milliseconds as well."

TIME "E135" "not a time"
"A time is text of RFC 3339 with its offset, or a date alone for its first moment in UTC.

    wrong   time > \"25.07.2018\"
    right   time > \"2018-07-25T10:15:30Z\"
    right   time > \"2018-07-25\""

NAME_TAKEN "E136" "a name that cannot be defined"
"A name of [define] begins with a small letter, is made of letters, digits and `_`, and is no field and no word of the \
language."

MISSING_SURPRISE "W201" "missing values may surprise"
"A comparison with something missing is false, whichever operator, and `not` of it is true. So `channel != \
\"recurring\"` leaves out every transaction without a channel, and `not (score > 0.9)` takes in every transaction \
without a score. Say which is meant, and the warning goes.

    channel != \"recurring\" and has(channel)
    channel != \"recurring\" or not has(channel)"

ALWAYS "W202" "always true"
"The test is true for every transaction that has the value at all, so it decides nothing.

    amount >= 0 EUR
    hour(time) < 24"

NEVER "W203" "never true"
"The test cannot be true for any transaction: the value is never in that range, or two limits that are joined by \
`and` exclude one another.

    hour(time) > 24
    amount > 10 EUR and amount < 5 EUR"

EMPTY_LIST "W204" "the list is empty"
"The list has no entries, so that nothing is in it. If entries are to come at run time, all is well."

CARD_NUMBER "W205" "raw card number"
"A text of the expression is a raw card number. Transactions never carry one, so nothing is equal to it, and it must not \
lie in a file: use the card's token."
}
