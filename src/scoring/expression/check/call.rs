//! Checks calls: aggregates with their options, questions about time, tables.

use std::ops::RangeInclusive;

use super::Checker;
use crate::scoring::{
    expression::{
        codes,
        finding::{Finding, did_you_mean},
        syntax::{self, Choice, ChoiceKind, Expression},
        typed::{Calendar, Call, Kind, Type, Typed},
    },
    field::{AttributeSchema, Field, FieldType},
    plan::{AggregateType, Function, Key, KeyPart},
};

/// Every function and how it is written.
pub(super) const FUNCTIONS: &[(&str, &str)] = &[
    ("count", "count(KEY, WINDOW)"),
    ("distinct", "distinct(FIELD, KEY, WINDOW)"),
    ("sum", "sum(FIELD, KEY, WINDOW)"),
    ("mean", "mean(FIELD, KEY, WINDOW)"),
    ("min", "min(FIELD, KEY, WINDOW)"),
    ("max", "max(FIELD, KEY, WINDOW)"),
    ("stddev", "stddev(FIELD, KEY, WINDOW)"),
    ("last", "last(FIELD, KEY)"),
    ("since_last", "since_last(KEY)"),
    ("age", "age(KEY)"),
    ("speed_kmh", "speed_kmh(card)"),
    ("fraud_rate", "fraud_rate(KEY, WINDOW, delay DELAY)"),
    ("frauds", "frauds(KEY, WINDOW, delay DELAY)"),
    ("hour", "hour(time)"),
    ("weekday", "weekday(time)"),
    ("night", "night(time)"),
    ("weekend", "weekend(time)"),
    ("has", "has(FIELD)"),
    ("lookup", "lookup(\"table\", KEY, DEFAULT)"),
    ("subnet", "subnet(ip, BITS)"),
    ("list", "list(\"name\")"),
];

/// What functions are called in other languages.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("average", "mean"),
    ("avg", "mean"),
    ("total", "sum"),
    ("std", "stddev"),
    ("stdev", "stddev"),
    ("unique", "distinct"),
    ("nunique", "distinct"),
    ("count_distinct", "distinct"),
    ("velocity", "count"),
    ("previous", "last"),
    ("first_seen", "age"),
    ("time_since", "since_last"),
    ("exists", "has"),
    ("is_present", "has"),
    ("network", "subnet"),
    ("day", "weekday"),
];

/// How a function is written, in backquotes.
pub(super) fn usage(name: &str) -> String {
    let usage = FUNCTIONS.iter().find(|(known, _)| *known == name).map_or("", |(_, usage)| usage);
    format!("`{usage}`")
}

impl Checker<'_> {
    pub(super) fn call(&mut self, tree: &Expression) -> Option<Typed> {
        let syntax::Kind::Call { name, name_span, arguments, options } = &tree.kind else { return None };
        let span = &tree.span;
        let calendar = match name.as_str() {
            "count" | "distinct" | "sum" | "mean" | "min" | "max" | "stddev" | "fraud_rate" | "frauds" | "last"
            | "since_last" | "age" | "speed_kmh" => return self.aggregate(tree, name, arguments, options),
            "hour" => Calendar::Hour,
            "weekday" => Calendar::Weekday,
            "night" => Calendar::Night,
            "weekend" => Calendar::Weekend,
            "has" => {
                self.arity(tree, 1..=1)?;
                let inside = self.value(arguments.first()?)?;
                return Some(self.typed(Kind::Has(Box::new(inside)), Type::Boolean, span));
            }
            "lookup" => return self.lookup(tree, arguments),
            "subnet" => {
                let bits = self.subnet(tree)?;
                return Some(self.typed(Kind::Subnet(bits), Type::Ip, span));
            }
            "list" => {
                let finding = Finding::error(codes::SET, span, "a list stands only behind `in`");
                self.report(finding.hint("write `merchant in list(\"blocked\")`"));
                return None;
            }
            _ => {
                let message = format!("there is no function `{name}`");
                let other = OTHER_NAMES.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
                let hint = other.map(|(_, known)| format!("did you mean `{known}`?"));
                let hint = hint.or_else(|| did_you_mean(name, FUNCTIONS.iter().map(|(known, _)| *known)));
                let hint = hint.or_else(|| {
                    Field::from_name(name).map(|_| format!("`{name}` is a field: write it without parentheses"))
                });
                self.report(Finding::error(codes::UNKNOWN_FUNCTION, name_span, message).maybe_hint(hint));
                return None;
            }
        };
        self.arity(tree, 1..=1)?;
        let moment = self.value(arguments.first()?)?;
        if moment.of != Type::Time {
            let message = format!("`{name}` takes a time, {} is {}", self.quoted(&moment.span), moment.of.phrase());
            let hint = format!("write `{name}(time)` or `{name}(local_time)`");
            self.report(Finding::error(codes::ARGUMENTS, &moment.span, message).hint(hint));
            return None;
        }
        Some(self.typed(Kind::Calendar(calendar, Box::new(moment)), calendar.answers(), span))
    }

    /// Checks how many arguments a call has, and that it has no options.
    pub(super) fn arity(&mut self, tree: &Expression, allowed: RangeInclusive<usize>) -> Option<()> {
        let syntax::Kind::Call { name, arguments, options, .. } = &tree.kind else { return None };
        if let Some(choice) = options.first() {
            let message = format!("`{name}` takes no options");
            self.report(Finding::error(codes::OPTION, &choice.span, message).hint(format!("write {}", usage(name))));
            return None;
        }
        self.count_arguments(tree, name, arguments, allowed)
    }

    fn count_arguments(
        &mut self,
        tree: &Expression,
        name: &str,
        arguments: &[Expression],
        allowed: RangeInclusive<usize>,
    ) -> Option<()> {
        if allowed.contains(&arguments.len()) {
            return Some(());
        }
        // A broken argument list has been reported as such.
        if arguments.iter().all(|argument| !matches!(argument.kind, syntax::Kind::Bad)) {
            let (least, most) = (allowed.start(), allowed.end());
            let expected = if least == most { least.to_string() } else { format!("{least} to {most}") };
            let plural = if *most == 1 { "" } else { "s" };
            let message = format!("`{name}` takes {expected} argument{plural}, found {}", arguments.len());
            self.report(Finding::error(codes::ARGUMENTS, &tree.span, message).hint(format!("write {}", usage(name))));
        }
        None
    }

    fn aggregate(
        &mut self,
        tree: &Expression,
        name: &str,
        arguments: &[Expression],
        options: &[Choice],
    ) -> Option<Typed> {
        if self.inside_where {
            let message = format!("`where` counts transactions by their own fields, `{name}` looks at others");
            self.report(Finding::error(codes::NESTED, &tree.span, message));
            return None;
        }
        let reads_field = matches!(name, "distinct" | "sum" | "mean" | "min" | "max" | "stddev" | "last");
        let has_window = !matches!(name, "last" | "since_last" | "age" | "speed_kmh");
        let expected = 1 + usize::from(reads_field) + usize::from(has_window);
        self.count_arguments(tree, name, arguments, expected..=expected)?;
        let mut rest = arguments.iter();
        let field = if reads_field { Some(self.aggregated(rest.next()?)) } else { None };
        let key_tree = rest.next()?;
        let key = self.key(key_tree);
        let window_ms = rest.next().map_or(Some(0), |window| self.window(window));
        let choices = self.options(tree, name, options, has_window);
        let function = match field {
            Some(field) => self.reading(name, field?, &arguments.first()?.span),
            None => plain_function(name),
        };
        let (key, window_ms, choices, function) = (key?, window_ms?, choices?, function?);
        if function == Function::SpeedKmh && key != Key(vec![KeyPart::Field(Field::Card)]) {
            let message = format!("`speed_kmh` is of a card, {} is something else", self.quoted(&key_tree.span));
            self.report(Finding::error(codes::KEY, &key_tree.span, message).hint("write `speed_kmh(card)`"));
            return None;
        }
        let of = answer(function, self.environment.schema);
        let Options { delay_ms, prior, filter } = choices;
        let call = Call { function, key, window_ms, delay_ms, prior, filter };
        Some(self.typed(Kind::Aggregate(Box::new(call)), of, &tree.span))
    }

    /// The function of a name over a field, if it can read that field.
    fn reading(&mut self, name: &str, field: Field, span: &std::ops::Range<usize>) -> Option<Function> {
        let kind = field.field_type(self.environment.schema);
        let adds_up = matches!(kind, FieldType::Money | FieldType::Integer | FieldType::Number);
        let (function, allowed, expected) = match name {
            "distinct" => (Function::Distinct(field), kind != FieldType::Degrees, "anything but degrees"),
            "last" => (Function::Last(field), true, ""),
            "sum" => (Function::Sum(field), adds_up, "money and numbers"),
            "mean" => (Function::Mean(field), adds_up, "money and numbers"),
            "min" => (Function::Min(field), adds_up, "money and numbers"),
            "max" => (Function::Max(field), adds_up, "money and numbers"),
            _ => (Function::Stddev(field), adds_up, "money and numbers"),
        };
        if allowed {
            return Some(function);
        }
        let found = if kind == FieldType::Degrees { "degrees" } else { Type::from(kind).phrase() };
        let message = format!("`{name}` reads {expected}, {} is {found}", self.quoted(span));
        let hint = (!adds_up && kind != FieldType::Degrees)
            .then(|| "`distinct` counts the different values of any field".to_owned());
        self.report(Finding::error(codes::AGGREGATED, span, message).maybe_hint(hint));
        None
    }

    /// The options of an aggregate: each at most once, in their order.
    fn options(&mut self, tree: &Expression, name: &str, options: &[Choice], allowed: bool) -> Option<Options> {
        let mut found = Options { delay_ms: 0, prior: false, filter: None };
        let takes_delay = matches!(name, "fraud_rate" | "frauds");
        let (mut failed, mut has_delay, mut rank_max) = (false, false, 0);
        for choice in options {
            let (rank, word) = match &choice.kind {
                ChoiceKind::Delay(_) => (1, "delay"),
                ChoiceKind::Prior => (2, "prior"),
                ChoiceKind::Where(_) => (3, "where"),
            };
            let problem = if !allowed {
                Some(format!("`{name}` takes no options: it looks at everything before this transaction"))
            } else if word == "delay" && !takes_delay {
                Some(format!("`{name}` takes no `delay`: only `fraud_rate` and `frauds` wait for labels"))
            } else if rank == rank_max {
                Some(format!("`{word}` stands twice"))
            } else if rank < rank_max {
                Some(format!("`{word}` stands too late"))
            } else {
                None
            };
            if let Some(message) = problem {
                let finding = Finding::error(codes::OPTION, &choice.span, message);
                let hint = if allowed { "the order is `delay D`, `prior`, `where …`" } else { "leave it out" };
                self.report(finding.hint(hint));
                failed = true;
                continue;
            }
            rank_max = rank;
            match &choice.kind {
                ChoiceKind::Prior => found.prior = true,
                ChoiceKind::Delay(delay) => {
                    has_delay = true;
                    match self.delay(delay) {
                        Some(delay_ms) => found.delay_ms = delay_ms,
                        None => failed = true,
                    }
                }
                ChoiceKind::Where(test) => {
                    self.inside_where = true;
                    found.filter = self.test("where", test);
                    self.inside_where = false;
                    failed |= found.filter.is_none();
                }
            }
        }
        if takes_delay && !has_delay && !failed {
            let message = format!("`{name}` does not say how long labels take to arrive");
            self.report(Finding::error(codes::OPTION, &tree.span, message).hint(format!("write {}", usage(name))));
            failed = true;
        }
        (!failed).then_some(found)
    }

    /// `lookup("table", key, default)`.
    fn lookup(&mut self, tree: &Expression, arguments: &[Expression]) -> Option<Typed> {
        self.arity(tree, 2..=3)?;
        let [name_tree, key, default @ ..] = arguments else { return None };
        let table = match &name_tree.kind {
            syntax::Kind::Text(name) => {
                let found = self.environment.lists.find_table(name);
                if found.is_none() {
                    let finding = Finding::error(codes::TABLE, &name_tree.span, format!("there is no table `{name}`"));
                    let hint = did_you_mean(name, self.environment.lists.table_names());
                    self.report(finding.hint(hint.unwrap_or_else(|| "declare it in a [[table]]".to_owned())));
                }
                found.map(|(table, kind)| (table, kind, name))
            }
            syntax::Kind::Bad => None,
            _ => {
                let finding = Finding::error(codes::ARGUMENTS, &name_tree.span, "the first argument names a table");
                self.report(finding.hint(format!("write {}", usage("lookup"))));
                None
            }
        };
        let key = self.value(key);
        let default = match default.first() {
            Some(default) => Some(self.value(default)?),
            None => None,
        };
        let ((table, kind, name), key) = (table?, key?);
        if !key.of.has_text() {
            let message =
                format!("tables are looked up by text and codes, {} is {}", self.quoted(&key.span), key.of.phrase());
            self.report(Finding::error(codes::ARGUMENTS, &key.span, message));
            return None;
        }
        let of = Type::from(kind);
        let shell = Kind::Lookup { table, name: name.clone(), key: Box::new(key), default: None };
        let mut lookup = self.typed(shell, of, &tree.span);
        let Some(default) = default else { return Some(lookup) };
        let default = self.coerce(default, &lookup)?;
        if default.of != of
            && !(of == Type::Number && default.of == Type::Integer)
            && !(of == Type::Text && default.of.compares_with(of))
        {
            let message = format!(
                "table `{name}` holds {}, its default {} is {}",
                plural(of),
                self.quoted(&default.span),
                Self::phrase(&default)
            );
            let hint = self.unlike_hint(&lookup, &default);
            self.report(Finding::error(codes::UNLIKE, &default.span, message).maybe_hint(hint));
            return None;
        }
        if let Kind::Lookup { default: place, .. } = &mut lookup.kind {
            *place = Some(Box::new(default));
        }
        Some(lookup)
    }
}

struct Options {
    delay_ms: i64,
    prior: bool,
    filter: Option<Typed>,
}

fn plural(of: Type) -> &'static str {
    match of {
        Type::Money => "money",
        Type::Number => "numbers",
        Type::Integer => "integers",
        Type::Country => "countries",
        Type::Span => "durations",
        Type::Boolean => "true and false",
        _ => "text",
    }
}

fn plain_function(name: &str) -> Option<Function> {
    match name {
        "count" => Some(Function::Count),
        "since_last" => Some(Function::SinceLast),
        "age" => Some(Function::Age),
        "speed_kmh" => Some(Function::SpeedKmh),
        "fraud_rate" => Some(Function::FraudRate),
        "frauds" => Some(Function::Frauds),
        _ => None,
    }
}

/// The type of an aggregate's answer.
fn answer(function: Function, schema: &AttributeSchema) -> Type {
    match function.answers(schema) {
        AggregateType::Integer => Type::Integer,
        AggregateType::MoneyMinor | AggregateType::MoneyReal => Type::Money,
        AggregateType::Real => Type::Number,
        AggregateType::Duration => Type::Span,
        AggregateType::FieldValue(field) => Type::from(field),
    }
}
