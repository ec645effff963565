//! The transactions of an example, one line each: `9 x card=A amount=1.00EUR every 30s`. It scores nothing.

use std::{borrow::Cow, ops::Range};

use super::{
    example_line::{
        Assignment, TRANSACTIONS_MAX, Trouble, When, field_names, parse_label, parse_line, parse_money, parse_outcome,
    },
    wording::{did_you_mean, shortened},
};
use crate::scoring::{
    field::{AttributeSchema, Field},
    money::Currency,
    time::{DAY_MS, MINUTE_MS, Timestamp},
    transaction::{LabelKind, OutcomeKind, Transaction},
    verdict::Flag,
    wire::{Raw, RawTransaction, Route, check_transaction},
};

/// Where examples begin unless they say otherwise: 2026-01-05T12:00:00Z, a Monday at noon.
const START_MS: i64 = 1_767_614_400_000;
/// Between two transactions that say nothing of time.
const GAP_MS: i64 = MINUTE_MS;
/// What stands for the number of a repetition.
const COUNTER: char = '#';
const PROCESSOR: &str = "example";

/// A made-up transaction and what follows it at once.
#[derive(Clone)]
pub struct ExampleEvent {
    /// The transaction.
    pub transaction: Transaction<'static>,
    /// What the issuer then did.
    pub outcome: Option<OutcomeKind>,
    /// What it turned out to be.
    pub label: Option<LabelKind>,
    /// What the model is taken to say of it.
    pub score: Option<f64>,
    /// The line it comes from, counted from 0.
    pub line: usize,
}

/// Turns lines into transactions, one after the other: the time of each line hangs on the lines before it.
pub(super) struct Notation<'s> {
    schema: &'s AttributeSchema,
    base: Currency,
    start: Timestamp,
    previous: Option<Timestamp>,
    lines: usize,
    pub(super) events: Vec<ExampleEvent>,
}

/// One transaction while its fields are read.
struct Draft<'s> {
    schema: &'s AttributeSchema,
    raw: RawTransaction<'static>,
    amount: Option<(i64, Currency)>,
    outcome: Option<(OutcomeKind, Option<Currency>)>,
    label: Option<LabelKind>,
    score: Option<f64>,
}

impl<'s> Notation<'s> {
    pub(super) fn new(schema: &'s AttributeSchema, base: Currency) -> Option<Self> {
        let start = Timestamp::from_unix_ms(START_MS)?;
        Some(Self { schema, base, start, previous: None, lines: 0, events: Vec::new() })
    }

    /// Adds the transactions of a line.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Trouble> {
        let line_number = self.lines;
        self.lines += 1;
        let line = parse_line(text)?;
        let of_line = |message: String| Trouble { span: 0..text.len(), message, hint: None };
        if self.events.len() + line.repeat > TRANSACTIONS_MAX {
            return Err(of_line(format!("the example has more than {TRANSACTIONS_MAX} transactions")));
        }
        let out_of_range = || of_line("the time is outside the years 0000 to 9999".to_owned());
        let mut time = self.first_time(line.when.as_ref()).ok_or_else(out_of_range)?;
        for repetition in 1..=line.repeat {
            if repetition > 1 {
                let next_ms = time.unix_ms().checked_add(line.every_ms.unwrap_or(GAP_MS));
                time = next_ms.and_then(Timestamp::from_unix_ms).ok_or_else(out_of_range)?;
            }
            let mut event = self.event(&line.fields, repetition, time, 0..text.len())?;
            event.line = line_number;
            self.events.push(event);
        }
        self.previous = Some(time);
        Ok(())
    }

    fn first_time(&mut self, when: Option<&When>) -> Option<Timestamp> {
        let previous = self.previous.unwrap_or(self.start);
        let ms = match when {
            Some(When::At(time)) => time.unix_ms(),
            Some(When::Clock { weekday, day_ms }) => next_clock(previous, *weekday, *day_ms)?.unix_ms(),
            Some(When::Since(ms)) => self.start.unix_ms().checked_add(*ms)?,
            Some(When::After(ms)) => previous.unix_ms().checked_add(*ms)?,
            None => previous.unix_ms() + if self.previous.is_some() { GAP_MS } else { 0 },
        };
        let time = Timestamp::from_unix_ms(ms)?;
        if self.previous.is_none() && matches!(when, Some(When::At(_) | When::Clock { .. })) {
            self.start = time;
        }
        Some(time)
    }

    fn event(
        &self,
        fields: &[Assignment<'_>],
        repetition: usize,
        time: Timestamp,
        line: Range<usize>,
    ) -> Result<ExampleEvent, Trouble> {
        let raw = RawTransaction::from_columns();
        let mut draft = Draft { schema: self.schema, raw, amount: None, outcome: None, label: None, score: None };
        for assignment in fields {
            draft.set(assignment, repetition)?;
        }
        let id = format!("t{}", self.events.len() + 1);
        let ten_units = 10_i64.pow(self.base.exponent() + 1);
        let (amount_minor, currency) = draft.amount.unwrap_or((ten_units, self.base));
        let of_field = |name: &str| {
            let assignment = fields.iter().find(|assignment| assignment.name == name);
            assignment.map_or_else(|| line.clone(), |assignment| assignment.span.clone())
        };
        if let Some((_, Some(of))) = draft.outcome
            && of != currency
        {
            let message = "what was approved has another currency than the transaction".to_owned();
            return Err(Trouble { span: of_field("outcome"), message, hint: None });
        }

        let mut raw = draft.raw;
        for (field, default) in [(Field::Id, id), (Field::Card, "A".to_owned())] {
            if raw.field(field).is_nothing() {
                raw.set(field, Raw::Text(Cow::Owned(default)));
            }
        }
        raw.set(Field::Time, Raw::Integer(time.unix_ms()));
        raw.set(Field::Currency, Raw::Text(Cow::Borrowed(currency.code())));
        raw.set(Field::Amount, Raw::Integer(amount_minor));
        let route = Route { processor: PROCESSOR, card: None };
        let transaction = check_transaction(raw, route, self.schema).map_err(|refusal| Trouble {
            span: of_field(refusal.field.as_deref().unwrap_or_default()),
            message: refusal.message.into_owned(),
            hint: None,
        })?;
        if let Some(flag) = transaction.flags.first() {
            let (name, problem) = match flag {
                Flag::Pan(field) => (field.name(self.schema), "is a raw card number"),
                Flag::Invalid(field) => (field.name(self.schema), "has no value that it can have"),
                _ => ("attributes".into(), "has no value that it can have"),
            };
            return Err(Trouble { span: of_field(&name), message: format!("`{name}` {problem}"), hint: None });
        }
        Ok(ExampleEvent {
            transaction: transaction.into_owned(),
            outcome: draft.outcome.map(|(kind, _)| kind),
            label: draft.label,
            score: draft.score,
            line: 0,
        })
    }
}

impl Draft<'_> {
    fn set(&mut self, assignment: &Assignment<'_>, repetition: usize) -> Result<(), Trouble> {
        let Assignment { name, value, span } = assignment;
        let trouble = |message: &str| Trouble { span: span.clone(), message: message.to_owned(), hint: None };
        let value =
            if value.contains(COUNTER) { value.replace(COUNTER, &repetition.to_string()) } else { (*value).to_owned() };
        let is_repeated = match *name {
            "amount" => {
                let money = parse_money(&value)
                    .ok_or_else(|| trouble("`amount` is no money").hint("write the currency behind it: `4.99EUR`"))?;
                self.amount.replace(money).is_some()
            }
            "outcome" => self.outcome.replace(parse_outcome(&value).map_err(trouble)?).is_some(),
            "label" => {
                let label = parse_label(&value)
                    .ok_or_else(|| trouble("`label` is another word, expected `fraud`, `legit` or `unknown`"))?;
                self.label.replace(label).is_some()
            }
            "score" => {
                let score: Option<f64> = value.parse().ok().filter(|score| (0.0..=1.0).contains(score));
                let score = score.ok_or_else(|| trouble("`score` is no probability, expected a number from 0 to 1"))?;
                self.score.replace(score).is_some()
            }
            "currency" => {
                let hint = "write the currency behind the amount: `amount=4.99EUR`";
                return Err(trouble("`currency` is part of the amount").hint(hint));
            }
            "time" => {
                let hint = "write `after 2h`, `at 03:00` or `at 2026-01-05T03:00:00Z`";
                return Err(trouble("`time` is no field of an example").hint(hint));
            }
            "processor" => return Err(trouble("an example has one processor, named `example`")),
            _ => self.set_field(name, value, span)?,
        };
        if is_repeated { Err(trouble(&format!("`{name}` is there twice"))) } else { Ok(()) }
    }

    /// Sets a plain field; answers whether it had been set.
    fn set_field(&mut self, name: &str, value: String, span: &Range<usize>) -> Result<bool, Trouble> {
        let value = Raw::Text(Cow::Owned(value));
        if let Some(field) = Field::from_name(name) {
            let is_repeated = !self.raw.field(field).is_nothing();
            self.raw.set(field, value);
            return Ok(is_repeated);
        }
        let Some(key) = name.strip_prefix("attributes.") else {
            let message = format!("`{}` is no field", shortened(name));
            let hint = did_you_mean(name, field_names());
            return Err(Trouble { span: span.start..span.start + name.len(), message, hint });
        };
        if self.schema.find(key).is_none() {
            let message = format!("`{}` is no attribute of the configuration", shortened(key));
            let hint = "declare it with its type under [attributes] in gavel.toml";
            return Err(Trouble { span: span.clone(), message, hint: Some(hint.to_owned()) });
        }
        let is_repeated = self.raw.attributes.iter().any(|(known, _)| known == key);
        self.raw.set_attribute(Cow::Owned(key.to_owned()), value);
        Ok(is_repeated)
    }
}

fn next_clock(from: Timestamp, weekday: Option<i64>, day_ms: i64) -> Option<Timestamp> {
    let today_ms = from.unix_ms() - from.unix_ms().rem_euclid(DAY_MS);
    // Within eight days every day of the week comes with every time of the day.
    (0..=7).find_map(|days| {
        let time = Timestamp::from_unix_ms(today_ms + days * DAY_MS + day_ms)?;
        let is_day = weekday.is_none_or(|weekday| time.weekday() == weekday);
        (time >= from && is_day).then_some(time)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::{field::FieldType, money::Money};

    fn schema() -> AttributeSchema {
        AttributeSchema::new([("basket_size".to_owned(), FieldType::Integer)])
    }

    fn expand(lines: &[&str]) -> Result<Vec<String>, (usize, Trouble)> {
        let schema = schema();
        let mut notation = Notation::new(&schema, Currency::from_code("EUR").expect("EUR")).expect("a start");
        for (number, line) in lines.iter().enumerate() {
            notation.line(line).map_err(|trouble| (number, trouble))?;
        }
        let shown = notation.events.iter().map(|event| {
            let transaction = &event.transaction;
            let money = Money { minor: transaction.amount_minor, currency: transaction.currency };
            let time = transaction.time.to_string();
            let merchant = transaction.merchant.as_deref().unwrap_or("-");
            format!("{} {} {} {money} {merchant}", transaction.id, &time[8..19], transaction.card)
        });
        Ok(shown.collect())
    }

    #[test]
    fn lines_become_transactions() {
        let cases: &[(&[&str], &[&str])] = &[
            (&[""], &["t1 05T12:00:00 A 10 EUR -"]),
            (
                &["3 x card=A amount=1.00EUR every 30s", "amount=900EUR merchant=m_2 after 2h"],
                &[
                    "t1 05T12:00:00 A 1 EUR -",
                    "t2 05T12:00:30 A 1 EUR -",
                    "t3 05T12:01:00 A 1 EUR -",
                    "t4 05T14:01:00 A 900 EUR m_2",
                ],
            ),
            (
                &["2x card=C# merchant='m # x' amount=#.50EUR"],
                &["t1 05T12:00:00 C1 1.50 EUR m 1 x", "t2 05T12:01:00 C2 2.50 EUR m 2 x"],
            ),
            (
                &[
                    "id=first amount=500JPY at 03:00",
                    "at +90m",
                    "at +30m",
                    "at 03:00",
                    "at sat 23:30:15",
                    "at mon 00:00",
                ],
                &[
                    "first 06T03:00:00 A 500 JPY -",
                    "t2 06T04:30:00 A 10 EUR -",
                    "t3 06T03:30:00 A 10 EUR -",
                    "t4 07T03:00:00 A 10 EUR -",
                    "t5 10T23:30:15 A 10 EUR -",
                    "t6 12T00:00:00 A 10 EUR -",
                ],
            ),
            (&["at 2026-03-01T03:00:00Z", "after 0s"], &["t1 01T03:00:00 A 10 EUR -", "t2 01T03:00:00 A 10 EUR -"]),
        ];
        for (lines, expected) in cases {
            assert_eq!(expand(lines).expect(lines[0]), *expected, "{lines:?}");
        }
    }

    #[test]
    fn fields_are_those_of_a_transaction() {
        let schema = schema();
        let mut notation = Notation::new(&schema, Currency::from_code("EUR").expect("EUR")).expect("a start");
        let line = "type=incremental parent=t0 mcc=0742 country=FR channel=pos ip=10.0.0.1 lat=48.85 lon=2.35 \
                    cvv=fail attributes.basket_size=3 outcome=partial:5EUR label=fraud score=0.97";
        notation.line(line).expect(line);
        let event = &notation.events[0];
        assert_eq!((event.transaction.mcc, event.score), (Some(742), Some(0.97)));
        assert_eq!(event.outcome, Some(OutcomeKind::Partial { amount_minor: 500 }));
        assert_eq!(event.label, Some(LabelKind::Fraud));
        assert!(event.transaction.position.is_some() && event.transaction.attributes[0].is_some());
    }

    #[test]
    fn bad_lines_say_where_and_what() {
        // (line, what is marked, message, hint)
        let cases = [
            ("9 card=A", "9", "a number stands alone", "write `9 x` to repeat"),
            ("0 x card=A", "0", "a transaction repeats 1 to 10000 times", ""),
            ("10001 x", "10001", "a transaction repeats 1 to 10000 times", ""),
            ("card", "card", "`card` is no `field=value`", "write its value behind it: `card=…`"),
            ("evry 30s", "evry", "`evry` is no `field=value`", "did you mean `every`?"),
            ("merchnt=m", "merchnt", "`merchnt` is no field", "did you mean `merchant`?"),
            ("amount=5", "amount=5", "`amount` is no money", "write the currency behind it: `4.99EUR`"),
            ("amount=5.001EUR", "amount=5.001EUR", "`amount` is no money", "write the currency behind it: `4.99EUR`"),
            (
                "currency=EUR",
                "currency=EUR",
                "`currency` is part of the amount",
                "write the currency behind the amount: `amount=4.99EUR`",
            ),
            (
                "time=3",
                "time=3",
                "`time` is no field of an example",
                "write `after 2h`, `at 03:00` or `at 2026-01-05T03:00:00Z`",
            ),
            ("mcc=12", "mcc=12", "`mcc` has no value that it can have", ""),
            ("country=UK card=A", "country=UK", "`country` has no value that it can have", ""),
            (
                "type=sale",
                "type=sale",
                "type is another text, expected authorization, verification, incremental, refund or reversal",
                "",
            ),
            ("type=reversal", "type=reversal", "parent is missing, expected a text of 1 to 64 characters", ""),
            (
                "card=4111111111111111",
                "card=4111111111111111",
                "card is a raw card number, expected a token that stands for it",
                "",
            ),
            ("device=4111111111111111", "device=4111111111111111", "`device` is a raw card number", ""),
            ("merchant=", "merchant=", "`merchant` has no value", "leave the field out if it is missing"),
            ("wallet='a b", "'a b", "a single quote is not closed", ""),
            ("card=A every 30s", "card=A every 30s", "`every` without a repetition", "begin with how often: `9 x`"),
            ("2 x every", "every", "`every` is followed by no length of time", "write `every 30s`"),
            ("after soon", "soon", "`after` is followed by no length of time", "write `after 30s`"),
            (
                "at noon",
                "noon",
                "`at` is followed by no time",
                "write `at +1h`, `at 03:00`, `at sat 23:30` or `at 2026-01-05T03:00:00Z`",
            ),
            (
                "at 24:00",
                "24:00",
                "`at` is followed by no time",
                "write `at +1h`, `at 03:00`, `at sat 23:30` or `at 2026-01-05T03:00:00Z`",
            ),
            ("at 03:00 after 2h", "after", "the time is there twice", ""),
            ("card=A card=B", "card=B", "`card` is there twice", ""),
            (
                "attributes.size=3",
                "attributes.size=3",
                "`size` is no attribute of the configuration",
                "declare it with its type under [attributes] in gavel.toml",
            ),
            (
                "outcome=refused",
                "outcome=refused",
                "`outcome` is another word, expected `approved`, `declined` or `partial:4.99EUR`",
                "",
            ),
            (
                "outcome=partial:5",
                "outcome=partial:5",
                "`outcome` is `partial` of no money, expected `partial:4.99EUR`",
                "",
            ),
            ("label=bad", "label=bad", "`label` is another word, expected `fraud`, `legit` or `unknown`", ""),
            ("score=97", "score=97", "`score` is no probability, expected a number from 0 to 1", ""),
        ];
        for (line, marked, message, hint) in cases {
            let (_, trouble) = expand(&[line]).expect_err(line);
            assert_eq!((&line[trouble.span.clone()], trouble.message.as_str()), (marked, message), "{line}");
            assert_eq!(trouble.hint.unwrap_or_default(), hint, "{line}");
        }
        let (number, trouble) = expand(&["9000 x", "1001 x"]).expect_err("too many");
        assert_eq!((number, trouble.message.as_str()), (1, "the example has more than 10000 transactions"));
    }
}
