//! Rule files from their texts: every error of every file in one run. It compiles no expression.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    diagnostic::{Diagnostic, Place},
    entries::{never_equal, tested_fields},
    file::{SourceFile, Text},
    notation::{ExampleEvent, Notation},
    reader::{Reader, Section, as_i64},
    source::{
        Data, DeclaredList, DefineSource, Example, LastVerdict, RuleFiles, RuleMode, RuleSource, RuleSources, TypeSet,
    },
    wording::{did_you_mean, is_kebab_case, shared, shortened, to_kebab_case, words},
};
use crate::scoring::{
    expression::Define,
    field::TYPES,
    lists::{LineProblem, ListFile, Lists, TableFile, TableType},
    settings::Settings,
    transaction::TransactionType,
    verdict::Decision,
};

/// A rule file is at most this long: many thousand rules, and no accident.
pub const FILE_MAX_BYTES: usize = 16 << 20;
/// A rule set has at most this many rules.
pub const RULES_MAX: usize = 100_000;
/// Lists and tables, each, have 16-bit ids.
const LISTS_MAX: usize = u16::MAX as usize;
/// A tag is at most this long.
const TAG_MAX_BYTES: usize = 64;

const RULE_KEYS: &[&str] =
    &["id", "description", "when", "then", "types", "tags", "mode", "rollout", "override", "example"];
const EXAMPLE_KEYS: &[&str] = &["transactions", "last", "fires", "lists"];
const TOP_KEYS: &[&str] = &["define", "rule", "list", "table"];

/// The entries of lists by the hashes of their files, none of which had a line at fault.
pub type KnownLists = BTreeMap<[u8; 32], Arc<ListFile>>;

/// The names of the lists' and tables' files that rule files name, and whether a table is made of it: what the shell
/// must read beside them.
pub fn data_files(files: &[SourceFile]) -> BTreeMap<String, bool> {
    let mut names = BTreeMap::new();
    for file in files.iter().filter(|file| file.text.len() <= FILE_MAX_BYTES) {
        let (document, _) = DeTable::parse_recoverable(&file.text);
        for key in ["list", "table"] {
            let Some(DeValue::Array(entries)) = document.get_ref().get(key).map(Spanned::get_ref) else { continue };
            let named = entries.iter().filter_map(|entry| entry.get_ref().get("file")?.get_ref().as_str());
            for name in named {
                *names.entry(name.to_owned()).or_default() |= key == "table";
            }
        }
    }
    names
}

/// What all rule files say together, and what is wrong with them. With an error among the diagnostics the set must not
/// be used; it is there so that the rest of it can be checked as well.
pub fn parse(sources: RuleSources, settings: &Settings) -> (RuleFiles, Vec<Diagnostic>) {
    parse_knowing(sources, settings, &KnownLists::default())
}

/// The same where lists are known by the hashes of their files: the entries of a file that has not changed are used
/// again.
pub fn parse_knowing(sources: RuleSources, settings: &Settings, known: &KnownLists) -> (RuleFiles, Vec<Diagnostic>) {
    let RuleSources { mut files, unreadable, data } = sources;
    // What is told of files together must not depend on the order in which a directory is listed.
    files.sort_by(|left, right| left.name.cmp(&right.name));
    let mut set = Parse {
        settings,
        data: &data,
        known,
        rules: Vec::new(),
        defines: Vec::new(),
        lists: Vec::new(),
        filled: Vec::new(),
    };
    let mut diagnostics: Vec<Diagnostic> = unreadable
        .iter()
        .map(|(name, problem)| {
            Diagnostic::error("E309", Place::of_line(name, 1), format!("the rule file cannot be read: {problem}"))
        })
        .collect();
    for (index, file) in files.iter().enumerate() {
        diagnostics.extend(set.file(index, file));
    }
    let Parse { mut rules, defines, lists, filled, .. } = set;

    tell_duplicates("rule", rules.iter().map(|rule| (&*rule.id, &rule.place)), &mut diagnostics);
    rules.sort_by(|left, right| left.id.cmp(&right.id));
    rules.dedup_by(|later, first| later.id == first.id);
    if let Some(rule) = rules.get(RULES_MAX) {
        let message = format!("{} rules, at most {RULES_MAX} are possible", rules.len());
        diagnostics.push(Diagnostic::error("E308", rule.place.clone(), message));
        rules.truncate(RULES_MAX);
    }

    let places = defines.iter().map(|(name, define)| (name.as_str(), &define.place));
    tell_duplicates("name", places, &mut diagnostics);
    let mut define_sources = BTreeMap::new();
    for (name, define) in defines {
        define_sources.entry(name).or_insert(define);
    }
    for list in &lists {
        let bytes = list.file.as_ref().and_then(|(name, _)| data.get(name)?.as_ref().ok()?.bytes());
        let (Some(bytes), Some((_, shown)), None) = (bytes, &list.file, list.declared.table) else { continue };
        let texts = rules.iter().map(|rule| &rule.when).chain(define_sources.values().map(|define| &define.text));
        let fields: BTreeSet<_> = texts.flat_map(|text| tested_fields(&text.value, &list.declared.id)).collect();
        let problems = fields.into_iter().flat_map(|field| never_equal(bytes, field));
        diagnostics.extend(problems.map(|problem| {
            let Diagnostic { code, place, message, hint, .. } = line_diagnostic(shown, problem);
            Diagnostic { hint, ..Diagnostic::warning(code, place, message) }
        }));
    }
    let source = |define: &DefineSource| Define { source: define.text.value.clone() };
    let defines = define_sources.iter().map(|(name, define)| (name.clone(), source(define))).collect();

    for (what, is_table) in [("list", false), ("table", true)] {
        let of_kind = || lists.iter().filter(|list| list.declared.table.is_some() == is_table);
        let places = of_kind().map(|list| (list.declared.id.as_str(), &list.declared.place));
        tell_duplicates(what, places, &mut diagnostics);
        if let Some(list) = of_kind().nth(LISTS_MAX) {
            let message = format!("more than {LISTS_MAX} {what}s");
            diagnostics.push(Diagnostic::error("E308", list.declared.place.clone(), message));
        }
    }
    let (mut list_files, mut table_files) = (BTreeMap::new(), BTreeMap::new());
    let mut declared = Vec::new();
    for list in lists {
        match list.content {
            Content::List(content) => drop(list_files.entry(list.declared.id.clone()).or_insert(content)),
            Content::Table(content) => drop(table_files.entry(list.declared.id.clone()).or_insert(content)),
        }
        declared.push(list.declared);
    }
    declared.sort_by(|left, right| (left.table.is_some(), &left.id).cmp(&(right.table.is_some(), &right.id)));
    let lists = Lists::new(list_files, table_files);
    for (name, place) in filled.into_iter().filter(|(name, _)| lists.find(name).is_none()) {
        let mut diagnostic =
            Diagnostic::error("E502", place, format!("no rule file names a list `{}`", shortened(&name)));
        diagnostic.hint = did_you_mean(&name, lists.names());
        diagnostics.push(diagnostic);
    }
    diagnostics.sort_by(Diagnostic::order);
    (RuleFiles { files, rules, defines, define_sources, lists, declared }, diagnostics)
}

fn tell_duplicates<'p>(
    what: &str,
    named: impl Iterator<Item = (&'p str, &'p Place)>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut first: BTreeMap<&str, &Place> = BTreeMap::new();
    for (name, place) in named {
        match first.get(name) {
            None => drop(first.insert(name, place)),
            Some(known) => diagnostics.push(
                Diagnostic::error("E306", place.clone(), format!("the {what} `{name}` is there twice"))
                    .related(Place::clone(known).label("first here")),
            ),
        }
    }
}

struct Parse<'s> {
    settings: &'s Settings,
    data: &'s BTreeMap<String, Result<Data, String>>,
    known: &'s KnownLists,
    rules: Vec<RuleSource>,
    defines: Vec<(String, DefineSource)>,
    lists: Vec<ParsedList>,
    /// The lists that examples fill.
    filled: Vec<(String, Place)>,
}

struct ParsedList {
    declared: DeclaredList,
    /// Its file, as the rule file names it and as it is told.
    file: Option<(String, String)>,
    content: Content,
}

enum Content {
    List(Arc<ListFile>),
    Table(Arc<TableFile>),
}

impl Parse<'_> {
    fn file(&mut self, file_index: usize, file: &SourceFile) -> Vec<Diagnostic> {
        let mut reader = Reader { file, file_index, diagnostics: Vec::new() };
        if file.text.len() > FILE_MAX_BYTES {
            let message = format!("the file has {} bytes, at most {FILE_MAX_BYTES} are possible", file.text.len());
            reader.error("E308", 0..0, message);
            return reader.diagnostics;
        }
        let (document, errors) = DeTable::parse_recoverable(&file.text);
        let syntax_lines = syntax_errors(&mut reader, errors);
        let syntax_count = reader.diagnostics.len();

        let top = Section { name: "a rule file", head: (0, 0), table: document.get_ref() };
        // Keys below a head that cannot be read look like keys of the file.
        if syntax_count == 0 {
            reader.check_keys(top, TOP_KEYS);
        }
        self.defines(&mut reader, top.get("define"));
        for section in reader.sections(top.get("rule"), "rule", "[[rule]]") {
            self.rule(&mut reader, section);
        }
        for (key, name) in [("list", "[[list]]"), ("table", "[[table]]")] {
            for section in reader.sections(top.get(key), key, name) {
                self.list(&mut reader, section);
            }
        }
        if syntax_count > 0 {
            // What was read past a syntax error is a guess: what seems to be missing may stand on the line at fault.
            let mut index = 0;
            reader.diagnostics.retain(|diagnostic| {
                index += 1;
                let guessed = diagnostic.code == "E302" || syntax_lines.contains(&diagnostic.place.line);
                index <= syntax_count || !guessed
            });
        }
        reader.diagnostics
    }

    fn defines(&mut self, reader: &mut Reader<'_>, value: Option<&Spanned<DeValue<'_>>>) {
        let Some(value) = value else { return };
        let DeValue::Table(table) = value.get_ref() else {
            reader.unlike("define", value, "a table [define]");
            return;
        };
        for (key, value) in table {
            let name: &str = key.get_ref();
            match reader.as_text(value) {
                Some(text) => {
                    let place = reader.place(key.span());
                    self.defines.push((name.to_owned(), DefineSource { text, place }));
                }
                None => drop(reader.unlike(name, value, "an expression between quotes")),
            }
        }
    }

    fn rule(&mut self, reader: &mut Reader<'_>, section: Section<'_, '_>) {
        reader.check_keys(section, RULE_KEYS);
        let id = reader.required_text(section, "id", "a name such as `card-testing`");
        if let Some(id) = &id {
            check_id(reader, id);
        }
        let description = reader.text(section, "description", "text");
        let when = reader.required_text(section, "when", "a condition such as `amount > 500 EUR`");
        let decisions = Decision::ALL.map(|decision| (decision.name(), decision));
        let then_text = reader.required_text(section, "then", "`deny`, `review` or `approve`");
        let then = then_text.as_ref().and_then(|text| reader.word("then", text, &decisions));
        let types = types(reader, section);
        let tags = tags(reader, section);
        let modes = RuleMode::ALL.map(|mode| (mode.name(), mode));
        let mode = reader.text(section, "mode", "`live`, `shadow` or `off`");
        let mode = mode.map_or(Some(RuleMode::Live), |text| reader.word("mode", &text, &modes));
        let rollout = rollout(reader, section);
        let overrides = reader.boolean(section, "override");
        if let (Some((true, span)), Some(then), Some(text)) = (&overrides, then, &then_text)
            && then != Decision::Deny
        {
            let then_place = reader.place(text.token.clone()).label("this rule does not deny");
            let message = "`override` is for rules that deny: it keeps approve rules from lifting the denial";
            reader.error("E307", span.clone(), message).related.push(then_place);
        }
        let examples = reader.sections(section.get("example"), "example", "[[rule.example]]");
        let examples = examples.into_iter().filter_map(|section| self.example(reader, section)).collect();
        let (Some(id), Some(when)) = (id, when) else { return };
        self.rules.push(RuleSource {
            id: shared(&id.value),
            description: description.map_or_else(String::new, |text| text.value),
            when,
            then: then.unwrap_or(Decision::Review),
            types,
            tags,
            mode: mode.unwrap_or(RuleMode::Off),
            rollout,
            overrides: overrides.is_some_and(|(overrides, _)| overrides),
            examples,
            place: reader.place(id.token),
        });
    }

    fn example(&mut self, reader: &mut Reader<'_>, section: Section<'_, '_>) -> Option<Example> {
        reader.check_keys(section, EXAMPLE_KEYS);
        let expected = "an array of lines such as \"9 x card=A amount=1.00EUR every 30s\"";
        if section.get("transactions").is_none() {
            reader.missing(section, "transactions", expected);
        }
        let lines = reader.texts(section, "transactions", expected);
        let events = lines.as_ref().and_then(|lines| self.events(reader, lines));
        if lines.is_some_and(|lines| lines.is_empty()) {
            let span = section.get("transactions").map_or(0..0, Spanned::span);
            reader.error("E501", span, "the example has no transactions, expected at least one");
        }
        let decisions = Decision::ALL.map(|decision| (decision.name(), LastVerdict::Decision(decision)));
        let known: Vec<_> = decisions.into_iter().chain([("none", LastVerdict::None)]).collect();
        let last = reader.text(section, "last", &words(known.iter().map(|(word, _)| *word)));
        let is_silent = last.is_none() && section.get("fires").is_none() && section.get("last").is_none();
        let last = last.and_then(|text| {
            let verdict = reader.word("last", &text, &known)?;
            Some((verdict, reader.place(text.token)))
        });
        let known_events = events.as_ref().filter(|events| !events.is_empty());
        let fires = known_events.and_then(|events| fires(reader, section, events.len()));
        let lists = self.example_lists(reader, section);
        if is_silent {
            let message = "[[rule.example]] has neither `last` nor `fires`, expected what must come of it";
            reader.error("E302", section.head.0..section.head.1, message);
        }
        let place = reader.place(section.get("transactions")?.span());
        Some(Example { events: events?, last, fires, lists, place })
    }

    fn events(&self, reader: &mut Reader<'_>, lines: &[Text]) -> Option<Vec<ExampleEvent>> {
        let mut notation = Notation::new(&self.settings.schema, self.settings.rates.base())?;
        let mut is_whole = true;
        for line in lines {
            if let Err(trouble) = notation.line(&line.value) {
                is_whole = false;
                let files = std::slice::from_ref(reader.file);
                let place = Place::within(files, &Text { file: 0, ..line.clone() }, trouble.span);
                let mut diagnostic = Diagnostic::error("E501", place, trouble.message);
                diagnostic.hint = trouble.hint;
                reader.diagnostics.push(diagnostic);
            }
        }
        is_whole.then_some(notation.events)
    }

    fn example_lists(&mut self, reader: &mut Reader<'_>, section: Section<'_, '_>) -> BTreeMap<String, Vec<String>> {
        let mut lists = BTreeMap::new();
        let Some(value) = section.get("lists") else { return lists };
        let expected = "a table of lists and their entries such as { blocked-cards = [\"A\"] }";
        let DeValue::Table(table) = value.get_ref() else {
            reader.unlike("lists", value, expected);
            return lists;
        };
        let entries = Section { name: "`lists`", head: (value.span().start, value.span().end), table };
        for key in table.keys() {
            let texts = reader.texts(entries, key.get_ref(), "an array of entries").unwrap_or_default();
            self.filled.push((key.get_ref().to_string(), reader.place(key.span())));
            lists.insert(key.get_ref().to_string(), texts.into_iter().map(|text| text.value).collect());
        }
        lists
    }

    fn list(&mut self, reader: &mut Reader<'_>, section: Section<'_, '_>) {
        let is_table = section.name == "[[table]]";
        reader.check_keys(section, if is_table { &["id", "file", "type"] } else { &["id", "file"] });
        let id = reader.required_text(section, "id", "a name such as `blocked-bins`");
        if let Some(id) = &id {
            check_id(reader, id);
        }
        let file = reader.required_text(section, "file", "a path such as `lists/blocked-bins.csv`");
        let kind = is_table.then(|| {
            let text = reader.required_text(section, "type", &words(TableType::ALL.iter().map(|(name, _)| *name)))?;
            reader.word("type", &text, &TableType::ALL)
        });
        let data = match file.as_ref().map(|file| (file, self.data.get(&file.value))) {
            Some((_, Some(Ok(data)))) => Some(data),
            Some((file, problem)) => {
                let name = shortened(&file.value);
                let message = match problem {
                    Some(Err(problem)) => format!("`{name}` cannot be read: {problem}"),
                    _ => format!("`{name}` was not read"),
                };
                reader.error("E407", file.token.clone(), message).hint =
                    Some("the file is named relative to the rule file".to_owned());
                None
            }
            None => None,
        };
        let bytes = data.and_then(Data::bytes).unwrap_or_default();
        let mut problems = Vec::new();
        let (content, hash) = match kind {
            None => {
                let known = data.and_then(|data| self.known.get(data.hash())).cloned();
                let list = known.unwrap_or_else(|| Arc::new(ListFile::parse(bytes, &mut problems)));
                let hash = *list.hash();
                (Content::List(list), hash)
            }
            Some(kind) => {
                // Of a table without a type nothing but its name is known: no line of it can be judged.
                let bytes = if kind.is_some() { bytes } else { &[] };
                let kind = kind.unwrap_or(TableType::Text);
                let table = TableFile::parse(bytes, kind, &self.settings.rates, &mut problems);
                let hash = *table.hash();
                (Content::Table(Arc::new(table)), hash)
            }
        };
        let file = file.map(|file| {
            let name = beside(&reader.file.name, &file.value);
            reader.diagnostics.extend(problems.into_iter().map(|problem| line_diagnostic(&name, problem)));
            (file.value, name)
        });
        let Some(id) = id else { return };
        let place = reader.place(id.token);
        let table = kind.map(|kind| kind.unwrap_or(TableType::Text));
        self.lists.push(ParsedList { declared: DeclaredList { id: id.value, table, hash, place }, file, content });
    }
}

/// One error for each line at fault: the parser recovers and then stumbles over the rest of the same mistake.
fn syntax_errors(reader: &mut Reader<'_>, mut errors: Vec<toml::de::Error>) -> Vec<usize> {
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    let mut lines = Vec::new();
    for error in errors {
        let span: Range<usize> = error.span().unwrap_or(0..0);
        let place = reader.place(span);
        if !lines.contains(&place.line) {
            lines.push(place.line);
            reader.diagnostics.push(Diagnostic::error("E300", place, error.message()));
        }
    }
    lines
}

fn check_id(reader: &mut Reader<'_>, id: &Text) {
    if is_kebab_case(&id.value) {
        return;
    }
    let message = format!("`{}` is no id, expected lower-case words joined by hyphens", shortened(&id.value));
    let better = to_kebab_case(&id.value);
    let hint = is_kebab_case(&better).then(|| format!("write `{better}`"));
    reader.error("E305", id.token.clone(), message).hint = hint;
}

fn types(reader: &mut Reader<'_>, section: Section<'_, '_>) -> TypeSet {
    let expected = words(TYPES.iter().copied());
    let Some(texts) = reader.texts(section, "types", &format!("an array of {expected}")) else {
        return TypeSet::DEFAULT;
    };
    if texts.is_empty() {
        let span = section.get("types").map_or(0..0, Spanned::span);
        reader.error("E304", span, format!("`types` is empty, expected at least one of {expected}"));
    }
    let known = TransactionType::ALL.map(|kind| (kind.name(), kind));
    texts.iter().filter_map(|text| reader.word("types", text, &known)).fold(TypeSet::EMPTY, TypeSet::with)
}

fn tags(reader: &mut Reader<'_>, section: Section<'_, '_>) -> Vec<Arc<str>> {
    let texts = reader.texts(section, "tags", "an array of tags such as [\"3ds\"]").unwrap_or_default();
    let mut tags = Vec::with_capacity(texts.len());
    for text in texts {
        let is_tag = (1..=TAG_MAX_BYTES).contains(&text.value.len())
            && text.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
        if is_tag {
            tags.push(shared(&text.value));
        } else {
            let message = format!(
                "`{}` is no tag, expected 1 to {TAG_MAX_BYTES} letters, digits, `-`, `_`, `.` or `:`",
                shortened(&text.value)
            );
            reader.error("E305", text.token, message);
        }
    }
    tags.sort_unstable();
    tags.dedup();
    tags
}

fn rollout(reader: &mut Reader<'_>, section: Section<'_, '_>) -> u8 {
    let expected = "a whole number of percent from 0 to 100";
    let Some((percent, span)) = reader.integer(section, "rollout", expected) else { return 100 };
    u8::try_from(percent).ok().filter(|percent| *percent <= 100).unwrap_or_else(|| {
        reader.error("E304", span, format!("`rollout` is {percent}, expected {expected}"));
        100
    })
}

fn fires(reader: &mut Reader<'_>, section: Section<'_, '_>, transactions: usize) -> Option<(Vec<usize>, Place)> {
    let value = section.get("fires")?;
    let expected = "an array of the numbers of transactions, counted from 1";
    let DeValue::Array(items) = value.get_ref() else {
        reader.unlike("fires", value, expected);
        return None;
    };
    let mut fires = Vec::with_capacity(items.len());
    for item in items {
        let Some(number) = item.get_ref().as_integer().and_then(as_i64) else {
            reader.unlike("fires", item, expected);
            continue;
        };
        if let Some(place) = usize::try_from(number).ok().filter(|number| (1..=transactions).contains(number)) {
            fires.push(place);
        } else {
            let message = format!("`fires` names transaction {number}, the example has 1 to {transactions}");
            reader.error("E304", item.span(), message);
        }
    }
    fires.sort_unstable();
    fires.dedup();
    Some((fires, reader.place(value.span())))
}

/// The path of a file that stands relative to another, for messages.
fn beside(file: &str, relative: &str) -> String {
    match file.rsplit_once('/') {
        Some((directory, _)) => format!("{directory}/{relative}"),
        None => relative.to_owned(),
    }
}

fn line_diagnostic(file: &str, problem: LineProblem) -> Diagnostic {
    let line = usize::try_from(problem.line).unwrap_or(usize::MAX);
    let mut diagnostic = Diagnostic::error(problem.code, Place::of_line(file, line), problem.message);
    diagnostic.hint = problem.hint;
    diagnostic
}
