//! Takes one key after another from the sources, checks it, and collects whatever is wrong. It never stops at the
//! first problem.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::{
    known::{Known, variable_of},
    mask::masked,
    problem::{ConfigErrors, Place, Problem},
    secret::Secret,
    source::Sources,
    value::{Entry, Value, entries_of},
};
use crate::scoring::time::{Span, parse_span_ms};

/// The sources on the way to a configuration.
pub(super) struct Reader {
    file: BTreeMap<String, Entry>,
    environment: BTreeMap<String, String>,
    flags: BTreeMap<&'static str, (&'static str, String)>,
    /// The tables of the file.
    tables: Vec<(String, Place)>,
    sections_broken: bool,
    known: Known,
    problems: Vec<Problem>,
    source: Option<(PathBuf, String)>,
}

/// The value of a key and where it came from.
pub(super) struct Given {
    /// How messages call it: a path in backquotes, a variable or a flag.
    pub(super) name: String,
    /// The value of the file; the text of a variable or a flag.
    pub(super) value: Value,
    pub(super) place: Place,
    secret: bool,
}

impl Given {
    /// The value where anything else than text is wanted: a variable's text is read as TOML reads it.
    pub(super) fn typed(&self) -> Value {
        match (&self.place, &self.value) {
            (Place::Environment(_) | Place::Flag(_), Value::Text(text)) => Value::of_text(text),
            (_, value) => value.clone(),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Reader {
    pub(super) fn new(sources: Sources) -> Self {
        let flags = sources.flags;
        let path_text = |path: PathBuf| path.to_string_lossy().into_owned();
        // A list as TOML writes it; texts in JSON are texts in TOML.
        let quoted = |path: &PathBuf| serde_json::Value::from(path.to_string_lossy().into_owned()).to_string();
        let challengers: Vec<String> = flags.challengers.iter().map(quoted).collect();
        let challengers = (!challengers.is_empty()).then(|| format!("[{}]", challengers.join(",")));
        let flags = [
            ("rules.dir", "--rules", flags.rules.map(path_text)),
            ("model.file", "--model", flags.model.map(path_text)),
            ("model.challengers", "--challenger", challengers),
            ("nats.url", "--nats", flags.nats),
            ("http.listen", "--http", flags.http),
        ];
        let mut reader = Self {
            file: BTreeMap::new(),
            environment: sources.environment.into_iter().collect(),
            flags: flags.into_iter().filter_map(|(path, flag, value)| Some((path, (flag, value?)))).collect(),
            tables: Vec::new(),
            sections_broken: false,
            known: Known::default(),
            problems: sources.problems,
            source: sources.file,
        };
        reader.read_file();
        reader
    }

    /// Splits the file's text into keys: `key` at the top, `section.key` below.
    fn read_file(&mut self) {
        let Some((_, text)) = &self.source else {
            return;
        };
        let line_of = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut broken_lines = BTreeSet::new();
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            // Behind a broken header nobody knows which section a key is in.
            let line = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
            self.sections_broken |= text[line..].trim_start().starts_with('[');
            // One broken line often gives several errors; the first says it all.
            if broken_lines.insert(line_of(span.start)) {
                let message = format!("the file is not TOML here: {}", error.message());
                self.problems.push(Problem::new(Place::of_span(span), message));
            }
        }
        let whole = |entry: &Entry| match entry.key_place {
            Place::File(start, _) => !broken_lines.contains(&line_of(start)),
            _ => true,
        };
        for entry in entries_of(table.into_inner()) {
            match entry.value {
                Value::Table(entries) => {
                    let of_section = |inner: Entry| (format!("{}.{}", entry.key, inner.key), inner);
                    self.file.extend(entries.into_iter().filter(whole).map(of_section));
                    self.tables.push((entry.key, entry.key_place));
                }
                _ if whole(&entry) => drop(self.file.insert(entry.key.clone(), entry)),
                _ => {}
            }
        }
    }

    /// The value of a key from the strongest source that has it.
    pub(super) fn take(&mut self, path: &str) -> Option<Given> {
        self.known.add(path, false);
        self.take_unknown(path, false)
    }

    pub(super) fn take_secret(&mut self, path: &str) -> Option<Given> {
        self.known.add(path, true);
        self.take_unknown(path, true)
    }

    fn take_unknown(&mut self, path: &str, secret: bool) -> Option<Given> {
        let place = self.place(path)?;
        let of_file = self.file.remove(path);
        let of_environment = self.environment.remove(&variable_of(path));
        let of_flag = self.flags.remove(path).map(|(_, text)| text);
        let value = match (of_flag.or(of_environment), of_file) {
            (Some(text), _) => Value::Text(text),
            (None, Some(entry)) => entry.value,
            (None, None) => return None,
        };
        Some(Given { name: place.name_of(path), value, place, secret })
    }

    /// Where the value of a key comes from, without taking it.
    pub(super) fn place(&self, path: &str) -> Option<Place> {
        let variable = variable_of(path);
        let of_flag = self.flags.get(path).map(|(flag, _)| Place::Flag(flag));
        let of_environment = || self.environment.contains_key(&variable).then(|| Place::Environment(variable.clone()));
        let of_file = || self.file.get(path).map(|entry| entry.value_place.clone());
        of_flag.or_else(of_environment).or_else(of_file)
    }

    /// Every entry of a section whose keys are the user's, by key; `key_of` makes the key of a variable's last part.
    pub(super) fn take_map(&mut self, section: &'static str, key_of: impl Fn(&str) -> String) -> Vec<(String, Given)> {
        self.known.add_map(section);
        let file_prefix = format!("{section}.");
        let variable_prefix = format!("{}_", variable_of(section));
        let of_file = self.file.keys().filter_map(|path| path.strip_prefix(&file_prefix)).map(str::to_owned);
        let of_environment = self.environment.keys().filter_map(|name| name.strip_prefix(&variable_prefix)).map(key_of);
        let keys: BTreeSet<String> = of_file.chain(of_environment).collect();
        let entry = |key: String| {
            let given = self.take_unknown(&format!("{section}.{key}"), false)?;
            Some((key, given))
        };
        keys.into_iter().filter_map(entry).collect()
    }

    /// Notes that a value is not what was expected.
    pub(super) fn refuse(&mut self, given: &Given, expected: impl Display) {
        self.refuse_with_hint(given, expected, None);
    }

    /// Notes that a value is not what was expected, and what to do about it.
    pub(super) fn refuse_with_hint(&mut self, given: &Given, expected: impl Display, hint: Option<String>) {
        let found = if given.secret { "something else".to_owned() } else { given.value.describe() };
        let message = format!("{} is {found}, expected {expected}", given.name);
        self.problem(Problem::new(given.place.clone(), message).with_hint(hint));
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// What `parse` makes of a key's value, or the default.
    pub(super) fn parsed<T>(
        &mut self,
        path: &str,
        default: T,
        expected: impl Display,
        parse: impl FnOnce(&Given) -> Option<T>,
    ) -> T {
        let Some(given) = self.take(path) else {
            return default;
        };
        parse(&given).unwrap_or_else(|| {
            self.refuse(&given, expected);
            default
        })
    }

    /// A duration within a range.
    pub(super) fn duration_ms(&mut self, path: &str, default_ms: i64, range_ms: RangeInclusive<i64>) -> i64 {
        let least = if *range_ms.start() == 0 { "0s".to_owned() } else { Span(*range_ms.start()).to_string() };
        let most = Span(*range_ms.end());
        let expected = format!("a duration from `{least}` to `{most}`, such as `{}`", Span(default_ms));
        self.parsed(path, default_ms, expected, |given| parse_span_ms(given.text()?).filter(|ms| range_ms.contains(ms)))
    }

    /// A number within a range.
    pub(super) fn number(&mut self, path: &str, default: f64, range: RangeInclusive<f64>) -> f64 {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.parsed(path, default, expected, |given| {
            let number = match given.typed() {
                Value::Number(number) => number,
                Value::Integer(integer) => integer as f64,
                _ => return None,
            };
            range.contains(&number).then_some(number)
        })
    }

    /// A count within a range.
    pub(super) fn count(&mut self, path: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.parsed(path, default, expected, |given| match given.typed() {
            Value::Integer(integer) => usize::try_from(integer).ok().filter(|count| range.contains(count)),
            _ => None,
        })
    }

    /// A size in bytes within a range: a whole number, or text such as `512MiB`.
    pub(super) fn bytes(&mut self, path: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        let (least, most) = (range.start() >> 20, range.end() >> 30);
        let expected = format!("bytes from `{least}MiB` to `{most}GiB`, as text such as `512MiB` or as a whole number");
        self.parsed(path, default, expected, |given| {
            let bytes = match given.typed() {
                Value::Integer(integer) => usize::try_from(integer).ok()?,
                Value::Text(text) => parse_bytes(&text)?,
                _ => return None,
            };
            range.contains(&bytes).then_some(bytes)
        })
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, path: &str, default: T, words: &[(&str, T)]) -> T {
        let names: Vec<_> = words.iter().map(|(name, _)| format!("`{name}`")).collect();
        self.parsed(path, default, names.join(" or "), |given| {
            let text = given.text()?;
            words.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
        })
    }

    /// A path; one in the file is relative to the file's folder.
    pub(super) fn path(&mut self, path: &str) -> Option<PathBuf> {
        let given = self.take(path)?;
        self.path_of(&given)
    }

    /// The path that a value names; one in the file is relative to the file's folder.
    pub(super) fn path_of(&mut self, given: &Given) -> Option<PathBuf> {
        let Some(text) = given.text().filter(|text| !text.is_empty()) else {
            self.refuse(given, "a path");
            return None;
        };
        Some(self.path_from(given, text))
    }

    /// A path that stands in a value; one in the file is relative to the file's folder.
    pub(super) fn path_from(&self, given: &Given, text: &str) -> PathBuf {
        let folder = match (&given.place, &self.source) {
            (Place::File(..), Some((file, _))) => file.parent().unwrap_or(Path::new("")),
            _ => Path::new(""),
        };
        folder.join(text)
    }

    /// Text that is never repeated in a message, and where it came from.
    pub(super) fn secret(
        &mut self,
        path: &str,
        expected: &str,
        accept: impl FnOnce(&str) -> bool,
    ) -> Option<(Secret, Place)> {
        let given = self.take_secret(path)?;
        let Some(text) = given.text().filter(|text| accept(text)) else {
            self.refuse(&given, expected);
            return None;
        };
        Some((Secret::new(text.to_owned()), given.place.clone()))
    }

    /// Whatever was given and never taken is unknown; then what was read stands if nothing is wrong.
    pub(super) fn finish<T>(mut self, config: T) -> Result<T, ConfigErrors> {
        if self.sections_broken {
            self.file.clear();
            self.tables.clear();
        }
        self.problems.extend(self.known.unknown(&self.file, &self.tables, self.environment.keys()));
        if self.problems.is_empty() {
            return Ok(config);
        }
        let source = self.source.map(|(path, text)| (path, masked(&text, &self.known)));
        Err(ConfigErrors::new(self.problems, source))
    }

    /// The keys that were asked for.
    pub(super) fn known(&self) -> &Known {
        &self.known
    }
}

/// `1024`, `64KiB`, `512MiB`, `2GiB`.
fn parse_bytes(text: &str) -> Option<usize> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_bytes = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(unit_bytes)
}
