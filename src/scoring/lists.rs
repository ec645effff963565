//! Lists and tables in memory: membership and look-up in constant time. It reads no files and asks no clock.

mod store;
mod file;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    net::IpAddr,
    sync::Arc,
};

use rustc_hash::FxBuildHasher;

use self::store::Store;
use super::{
    money::{Country, Rates},
    network::cut,
    refusal::{Refusal, RefusalClass},
    time::Timestamp,
    transaction::ListChange,
};

pub use self::file::{LineProblem, unlike_lines};

/// A list by its place among the lists, which stand by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListId(pub u16);

/// A table by its place among the tables, which stand by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u16);

/// The type of a table's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableType {
    /// An amount, written `500 EUR`.
    Money,
    /// A decimal.
    Number,
    /// A whole number.
    Integer,
    /// Text.
    Text,
    /// An ISO 3166-1 alpha-2 country.
    Country,
    /// A length of time, written `24h`.
    Duration,
    /// `true` or `false`.
    Boolean,
}

/// A value of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TableValue<'t> {
    /// Minor units of the base currency.
    Money(i64),
    /// A decimal; always finite.
    Number(f64),
    /// A whole number.
    Integer(i64),
    /// Text.
    Text(&'t str),
    /// A country.
    Country(Country),
    /// Milliseconds.
    Duration(i64),
    /// True or false.
    Boolean(bool),
}

/// The entries of a list's file. Shared, so that a reload can keep the entries of a file that did not change.
pub struct ListFile {
    entries: Store,
    /// The lengths of the networks among the entries (`10.0.0.0/8`: 8), each once.
    prefixes: Vec<u8>,
    hash: [u8; 32],
}

/// The entries of a table's file.
pub struct TableFile {
    kind: TableType,
    entries: Store,
    /// What the entries of a text table point at, each text once.
    texts: Vec<Box<str>>,
    hash: [u8; 32],
}

/// Every list and table of a release, by name, and the changes made to lists at run time.
#[derive(Clone, Default)]
pub struct Lists {
    named: Vec<List>,
    tables: Vec<(String, Arc<TableFile>)>,
    /// Changes to lists that the rule files do not name at present: kept, because a later reload may name them again.
    unnamed: BTreeMap<String, Changes>,
}

#[derive(Clone)]
struct List {
    name: String,
    file: Arc<ListFile>,
    changes: Changes,
}

/// What was changed at run time; it outlives the file it was made over.
#[derive(Clone, Default)]
struct Changes {
    by_value: hashbrown::HashMap<Box<str>, Change, FxBuildHasher>,
    prefixes: Vec<u8>,
}

#[derive(Clone)]
struct Change {
    add: bool,
    expires: Option<Timestamp>,
    comment: Option<Box<str>>,
    by: Option<Box<str>>,
}

impl TableType {
    /// All of them, with the names that rule files give them.
    pub const ALL: [(&str, Self); 7] = [
        ("money", Self::Money),
        ("number", Self::Number),
        ("integer", Self::Integer),
        ("text", Self::Text),
        ("country", Self::Country),
        ("duration", Self::Duration),
        ("boolean", Self::Boolean),
    ];

    /// The type of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

impl ListFile {
    /// Reads `value[,expires][,comment]` lines; what is wrong with a line is added to `problems` and the line skipped.
    pub fn parse(bytes: &[u8], problems: &mut Vec<LineProblem>) -> Self {
        file::parse_list(bytes, problems)
    }

    /// How many entries it has, expired ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// The memory that its entries take.
    pub fn size_bytes(&self) -> usize {
        self.entries.size_bytes()
    }

    /// The BLAKE3 hash of the file.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

impl TableFile {
    /// Reads `key,value` lines; what is wrong with a line is added to `problems` and the line skipped.
    pub fn parse(bytes: &[u8], kind: TableType, rates: &Rates, problems: &mut Vec<LineProblem>) -> Self {
        file::parse_table(bytes, kind, rates, problems)
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// The type of its values.
    pub fn kind(&self) -> TableType {
        self.kind
    }

    /// The BLAKE3 hash of the file.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

impl Lists {
    /// Lists and tables by their names.
    pub fn new(lists: BTreeMap<String, Arc<ListFile>>, tables: BTreeMap<String, Arc<TableFile>>) -> Self {
        let list = |(name, file)| List { name, file, changes: Changes::default() };
        Self {
            named: lists.into_iter().map(list).collect(),
            tables: tables.into_iter().collect(),
            unnamed: BTreeMap::new(),
        }
    }

    /// The same lists and tables, some lists with other entries and without changes.
    #[must_use]
    pub fn with_entries<'n>(&self, files: impl Iterator<Item = (&'n String, Arc<ListFile>)>) -> Self {
        let mut lists = self.clone();
        for (name, file) in files {
            if let Ok(index) = lists.named.binary_search_by(|list| list.name.cmp(name)) {
                lists.named[index] = List { name: name.clone(), file, changes: Changes::default() };
            }
        }
        lists
    }

    /// The list of a name.
    pub fn find(&self, name: &str) -> Option<ListId> {
        let index = self.named.binary_search_by(|list| list.name.as_str().cmp(name)).ok()?;
        u16::try_from(index).ok().map(ListId)
    }

    /// The names of the lists, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|list| list.name.as_str())
    }

    /// The entries of the lists' files by the hashes of the files.
    pub fn files(&self) -> BTreeMap<[u8; 32], Arc<ListFile>> {
        self.named.iter().map(|list| (list.file.hash, Arc::clone(&list.file))).collect()
    }

    /// Whether a value is on a list at a moment of event time: an entry is out from its expiry on.
    pub fn contains(&self, list: ListId, value: &str, at: Timestamp) -> bool {
        self.named.get(usize::from(list.0)).is_some_and(|list| list.contains(value, at))
    }

    /// Whether an address, or a network that holds it, is on a list at a moment of event time.
    pub fn contains_ip(&self, list: ListId, ip: IpAddr, at: Timestamp) -> bool {
        let Some(list) = self.named.get(usize::from(list.0)) else { return false };
        if list.file.is_empty() && list.changes.by_value.is_empty() {
            return false;
        }
        let ip = ip.to_canonical();
        let mut text = NetworkText::default();
        text.put(ip, None);
        if list.contains(text.as_str(), at) {
            return true;
        }
        // At most 129 lengths however long the list is, and hardly ever more than a handful.
        list.file.prefixes.iter().chain(&list.changes.prefixes).any(|prefix| {
            text.put(ip, Some(*prefix));
            list.contains(text.as_str(), at)
        })
    }

    /// Whether a list has no entry at all, from its file or added at run time.
    pub fn is_empty(&self, list: ListId) -> bool {
        self.named
            .get(usize::from(list.0))
            .is_none_or(|list| list.file.is_empty() && !list.changes.by_value.values().any(|change| change.add))
    }

    /// The table of a name, and the type of its values.
    pub fn find_table(&self, name: &str) -> Option<(TableId, TableType)> {
        let index = self.tables.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        Some((TableId(u16::try_from(index).ok()?), self.tables[index].1.kind))
    }

    /// The names of the tables, sorted.
    pub fn table_names(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|(name, _)| name.as_str())
    }

    /// The value of a key in a table.
    pub fn lookup(&self, table: TableId, key: &str) -> Option<TableValue<'_>> {
        self.tables.get(usize::from(table.0)).and_then(|(_, table)| table.lookup(key))
    }

    /// The value of an address in a table.
    pub fn lookup_ip(&self, table: TableId, ip: IpAddr) -> Option<TableValue<'_>> {
        let mut text = NetworkText::default();
        text.put(ip, None);
        self.lookup(table, text.as_str())
    }

    /// Adds to or removes from a list from now on, over what its file says.
    pub fn change(&mut self, change: &ListChange<'_>) -> Result<(), Refusal> {
        let Some(list) = self.find(&change.list) else {
            return Err(
                Refusal::of(RefusalClass::BadInput, "unknown_list", "no rule file names this list").about("list")
            );
        };
        if let Some(list) = self.named.get_mut(usize::from(list.0)) {
            list.changes.apply(change);
        }
        Ok(())
    }

    /// Makes a change that was in force before, also to a list that no file names at present.
    pub fn restore(&mut self, change: &ListChange<'_>) {
        if self.change(change).is_err() {
            self.unnamed.entry(change.list.clone().into_owned()).or_default().apply(change);
        }
    }

    /// Takes over the run-time changes of the lists that these replace: a reload changes files, not what people did
    /// since. Changes to a list that no file names any more are kept for when one does again.
    pub fn carry_over(&mut self, previous: &mut Self) {
        let named = previous.named.iter_mut().map(|list| (list.name.clone(), std::mem::take(&mut list.changes)));
        let unnamed = std::mem::take(&mut previous.unnamed);
        let changes: Vec<_> = named.chain(unnamed).filter(|(_, changes)| !changes.by_value.is_empty()).collect();
        for (name, changes) in changes {
            match self.find(&name).and_then(|id| self.named.get_mut(usize::from(id.0))) {
                Some(list) => list.changes = changes,
                None => drop(self.unnamed.insert(name, changes)),
            }
        }
    }

    /// Every run-time change that is in force, by list and value: what a snapshot must hold.
    pub fn changes(&self) -> Vec<ListChange<'_>> {
        let named = self.named.iter().map(|list| (list.name.as_str(), &list.changes));
        let unnamed = self.unnamed.iter().map(|(name, changes)| (name.as_str(), changes));
        let mut all: Vec<ListChange<'_>> =
            named.chain(unnamed).flat_map(|(name, changes)| changes.list_changes(name)).collect();
        all.sort_by(|left, right| (&left.list, &left.value).cmp(&(&right.list, &right.value)));
        all
    }
}

impl List {
    fn contains(&self, value: &str, at: Timestamp) -> bool {
        // The last change to a value is what counts, whatever the file says about it.
        if !self.changes.by_value.is_empty()
            && let Some(change) = self.changes.by_value.get(value)
        {
            return change.add && change.expires.is_none_or(|expires| at < expires);
        }
        self.file.entries.get(value).is_some_and(|entry| entry.word.is_none_or(|ms| at.unix_ms() < ms as i64))
    }
}

impl TableFile {
    fn lookup(&self, key: &str) -> Option<TableValue<'_>> {
        let bits = self.entries.get(key)?.word?;
        Some(match self.kind {
            TableType::Money => TableValue::Money(bits as i64),
            TableType::Number => TableValue::Number(f64::from_bits(bits)),
            TableType::Integer => TableValue::Integer(bits as i64),
            TableType::Text => TableValue::Text(self.texts.get(bits as usize)?),
            TableType::Country => {
                let [.., first, second] = bits.to_be_bytes();
                TableValue::Country(Country::from_code(std::str::from_utf8(&[first, second]).ok()?)?)
            }
            TableType::Duration => TableValue::Duration(bits as i64),
            TableType::Boolean => TableValue::Boolean(bits != 0),
        })
    }
}

impl Changes {
    fn apply(&mut self, change: &ListChange<'_>) {
        let boxed = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(Box::from);
        let entry =
            Change { add: change.add, expires: change.expires, comment: boxed(&change.comment), by: boxed(&change.by) };
        for_each_spelling(&change.value, |value, prefix| {
            self.by_value.insert(value.into(), entry.clone());
            note_prefix(&mut self.prefixes, prefix);
        });
    }

    fn list_changes<'c>(&'c self, list: &'c str) -> impl Iterator<Item = ListChange<'c>> {
        self.by_value.iter().map(move |(value, change)| ListChange {
            list: list.into(),
            value: (&**value).into(),
            add: change.add,
            expires: change.expires,
            comment: change.comment.as_deref().map(Into::into),
            by: change.by.as_deref().map(Into::into),
        })
    }
}

fn note_prefix(prefixes: &mut Vec<u8>, prefix: Option<u8>) {
    if let Some(prefix) = prefix
        && !prefixes.contains(&prefix)
    {
        prefixes.push(prefix);
    }
}

/// Calls back with the value as it is written and, where it is an address or a network, with the spelling that
/// `contains_ip` asks for: `2001:DB8::1` is on the list as `2001:db8::1` too, `10.1.2.3/8` as `10.0.0.0/8`.
fn for_each_spelling(value: &str, mut each: impl FnMut(&str, Option<u8>)) {
    each(value, None);
    let (address, prefix) = match value.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (value, None),
    };
    let Ok(ip) = address.parse::<IpAddr>() else { return };
    let prefix = match prefix.map(str::parse::<u8>) {
        None => None,
        // A network of one address is that address.
        Some(Ok(length)) if length == address_bits(ip) => None,
        Some(Ok(length)) if length < address_bits(ip) => Some(length),
        Some(_) => return,
    };
    let ip = if prefix.is_none() { ip.to_canonical() } else { ip };
    let mut text = NetworkText::default();
    text.put(ip, prefix);
    if prefix.is_some() || text.as_str() != value {
        each(text.as_str(), prefix);
    }
}

const fn address_bits(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// An address or a network as text, without the heap.
struct NetworkText {
    /// The longest is `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128`.
    bytes: [u8; 52],
    length: usize,
}

impl Default for NetworkText {
    fn default() -> Self {
        Self { bytes: [0; 52], length: 0 }
    }
}

impl NetworkText {
    /// Holds the address, or the network of this many leading bits that it is in.
    fn put(&mut self, ip: IpAddr, prefix: Option<u8>) {
        self.length = 0;
        let network = prefix.map_or(ip, |prefix| cut(ip, prefix));
        match network {
            IpAddr::V4(ip) => {
                for (place, octet) in ip.octets().into_iter().enumerate() {
                    self.push(if place > 0 { "." } else { "" });
                    self.push(itoa::Buffer::new().format(octet));
                }
            }
            // The buffer holds the longest network there is.
            IpAddr::V6(ip) => drop(write!(self, "{ip}")),
        }
        if let Some(prefix) = prefix {
            self.push("/");
            self.push(itoa::Buffer::new().format(prefix));
        }
    }

    fn push(&mut self, text: &str) {
        let end = self.length + text.len();
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(text.as_bytes());
            self.length = end;
        }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl fmt::Write for NetworkText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}
