//! One input that took effect, to bytes and back: parsed fields only, never a message as it came. Reading refuses
//! whatever it does not understand.

mod optional;

use std::{borrow::Cow, collections::HashMap};

use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use optional::{push_optional, take_optional};

use super::{
    encoding::{Taking, push_bytes, push_number, push_signed, push_text},
    position::{StreamMark, StreamPosition, push_mark, push_position, take_mark, take_position},
};
use crate::scoring::{
    expression::Program,
    field::{AttributeSchema, Field, FieldType, Value},
    money::{Country, Currency},
    release::Release,
    transaction::{AttributeValue, Label, LabelKind, ListChange, Outcome, OutcomeKind, Transaction, TransactionType},
    verdict::{Decision, Flag, Tier, Verdict, Versions},
};

const TRANSACTION: u8 = 1;
const OUTCOME: u8 = 2;
const LABEL: u8 = 3;
const LIST_CHANGE: u8 = 4;
const RELEASE: u8 = 5;
/// Before the kind of an input that came from a stream.
const FROM_STREAM: u8 = 6;
const MARK: u8 = 7;
const REFILL: u8 = 8;

/// Attributes that a record may have: as many as a configuration may declare.
const ATTRIBUTES_MAX: u64 = 256;
/// What stands before the id in a verdict's body.
const BODY_BEFORE_ID: &[u8] = b"{\"id\":\"";
/// Where the part of a body begins that all verdicts of a release have in common.
const BODY_VERSIONS: &[u8] = b"],\"versions\":{";

/// An input as the journal holds it. It has no `Debug`: it holds card data.
pub enum Record<'a> {
    /// A transaction with the answer it got.
    Transaction(Box<Answered<'a>>),
    /// What the issuer then did.
    Outcome(Outcome<'a>),
    /// What a transaction turned out to be.
    Label(Label<'a>),
    /// An addition to or removal from a list.
    ListChange(ListChange<'a>),
    /// Another release took over.
    Release(ReleaseNote),
    /// How far the stream has been worked off.
    Mark(StreamMark),
    /// What was gathered across releases made way for what the release in force would have, had it always been there.
    Refill,
}

/// A transaction with the answer it got.
pub struct Answered<'a> {
    /// The transaction.
    pub transaction: Transaction<'a>,
    /// How much of the pipeline there was time for.
    pub tier: Tier,
    /// What was decided.
    pub decision: Decision,
    /// The amount in the base currency, by the rates of that moment.
    pub amount_base_minor: Option<i64>,
    /// The answer's JSON, byte for byte.
    pub body: Vec<u8>,
    /// Where on the stream it came from; `None` for a request.
    pub origin: Option<StreamPosition>,
    /// What the filters that ask a list or a table said, in the order of the release's note.
    pub list_answers: &'a [u8],
}

/// What later records need to know of the release that was in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseNote {
    /// The versions that verdicts name; the engine's is the one that wrote it.
    pub engine: String,
    /// The version of the rules.
    pub rules: String,
    /// The version of the model.
    pub model: Option<String>,
    /// The version of the configuration.
    pub config: String,
    /// The base currency.
    pub base: Currency,
    /// The declared attributes, by their places in records.
    pub attributes: Vec<(String, FieldType)>,
    /// What every verdict's body ended with.
    pub ending: Vec<u8>,
    /// The filters that ask a list or a table, by the hash of their text: in records, what they said.
    pub looking_up: Vec<u64>,
}

impl ReleaseNote {
    /// The note of a release.
    pub fn of(release: &Release) -> Self {
        let Versions { engine, rules, model, config } = &release.versions;
        let schema = &release.settings.schema;
        let attributes = schema.fields().filter_map(|field| match field {
            Field::Attribute(place) => Some((schema.key(place).to_owned(), schema.attribute_type(place))),
            _ => None,
        });
        let mut body = Vec::new();
        Verdict::default().encode("", &release.versions, schema, &mut body);
        let ending = memchr::memmem::rfind(&body, BODY_VERSIONS).map_or(Vec::new(), |at| body.split_off(at));
        Self {
            engine: (*engine).to_owned(),
            rules: rules.clone(),
            model: model.clone(),
            config: config.clone(),
            base: release.settings.rates.base(),
            attributes: attributes.collect(),
            ending,
            looking_up: release.program.looking_up_hashes().to_vec(),
        }
    }
}

/// How records are to be read: by the release that was in force, for the one that is in force now.
pub struct Reading {
    note: ReleaseNote,
    /// By place in records: the place now, where the attribute is still declared with the same type.
    places: Vec<Option<u16>>,
    attributes: usize,
    /// By the hash of a filter that asked a list or a table: its place in records.
    looking_up: HashMap<u64, usize, FxBuildHasher>,
}

impl Reading {
    /// For the attributes that are declared now.
    pub fn new(note: ReleaseNote, schema: &AttributeSchema) -> Self {
        let place = |(key, kind): &(String, FieldType)| match schema.find(key)? {
            Field::Attribute(place) if schema.attribute_type(place) == *kind => Some(place),
            _ => None,
        };
        let places = note.attributes.iter().map(place).collect();
        let looking_up = note.looking_up.iter().copied().zip(0..).collect();
        Self { places, note, attributes: schema.len(), looking_up }
    }

    /// What lists and tables said in a record, for the filters of a program that ask them.
    pub fn list_answers(&self, answers: &[u8], program: &Program) -> SmallVec<[Option<u8>; 8]> {
        let answer = |filter: u64| answers.get(*self.looking_up.get(&filter)?).copied();
        program.looking_up_hashes().iter().copied().map(answer).collect()
    }

    /// The release that was in force.
    pub fn note(&self) -> &ReleaseNote {
        &self.note
    }
}

/// Appends where the input that follows came from.
pub fn push_origin(out: &mut Vec<u8>, origin: StreamPosition) {
    out.push(FROM_STREAM);
    push_position(out, origin);
}

/// Appends how far the stream has been worked off.
pub fn push_stream_mark(out: &mut Vec<u8>, mark: StreamMark) {
    out.push(MARK);
    push_mark(out, mark);
}

/// Where the input of a record came from.
pub fn origin(bytes: &[u8]) -> Option<StreamPosition> {
    let mut taking = Taking(bytes);
    if taking.byte()? == FROM_STREAM { take_position(&mut taking) } else { None }
}

/// Appends a transaction with its answer. `ending` is what the release's bodies end with.
pub fn push_transaction(
    out: &mut Vec<u8>,
    transaction: &Transaction<'_>,
    (tier, decision): (Tier, Decision),
    amount_base_minor: Option<i64>,
    (body, ending): (&[u8], &[u8]),
    list_answers: &[u8],
    schema: &AttributeSchema,
) {
    out.extend_from_slice(&[TRANSACTION, tier as u8, decision as u8, transaction.kind as u8]);
    push_text(out, &transaction.processor);
    push_text(out, &transaction.card);
    push_text(out, &transaction.id);
    push_signed(out, transaction.time.unix_ms());
    push_number(out, transaction.amount_minor.unsigned_abs());
    out.extend_from_slice(transaction.currency.code().as_bytes());
    match amount_base_minor {
        None => out.push(0),
        Some(same) if same == transaction.amount_minor => out.push(1),
        Some(other) => {
            out.push(2);
            push_signed(out, other);
        }
    }
    push_optional(out, transaction);
    push_attributes(out, transaction);
    push_flags(out, &transaction.flags, schema);
    push_body(out, body, &transaction.id, ending);
    out.extend_from_slice(list_answers);
}

fn push_attributes(out: &mut Vec<u8>, transaction: &Transaction<'_>) {
    push_number(out, transaction.attributes.iter().flatten().count() as u64);
    for (place, value) in transaction.attributes.iter().enumerate() {
        let Some(value) = value else { continue };
        push_number(out, place as u64);
        match value {
            AttributeValue::Text(text) => {
                out.push(0);
                push_text(out, text);
            }
            AttributeValue::Plain(Value::Integer(number)) => {
                out.push(1);
                push_signed(out, *number);
            }
            AttributeValue::Plain(Value::Millionths(number)) => {
                out.push(2);
                push_signed(out, *number);
            }
            AttributeValue::Plain(Value::Boolean(truth)) => out.extend_from_slice(&[3, u8::from(*truth)]),
            AttributeValue::Plain(Value::Country(country)) => {
                out.push(4);
                out.extend_from_slice(country.code().as_bytes());
            }
            AttributeValue::Plain(Value::Time(time)) => {
                out.push(5);
                push_signed(out, time.unix_ms());
            }
            // No attribute has another type; one would be missing after a restart, as an unknown one is.
            AttributeValue::Plain(_) => out.push(6),
        }
    }
}

fn push_flags(out: &mut Vec<u8>, flags: &[Flag], schema: &AttributeSchema) {
    // Only what the check found belongs to the transaction; everything else is found again.
    let found = flags.iter().filter(|flag| matches!(flag, Flag::Invalid(_) | Flag::InvalidAttributes | Flag::Pan(_)));
    push_number(out, found.clone().count() as u64);
    for flag in found {
        push_text(out, &flag.text(schema));
    }
}

fn push_body(out: &mut Vec<u8>, body: &[u8], id: &str, ending: &[u8]) {
    let short = body.strip_prefix(BODY_BEFORE_ID).and_then(|rest| rest.strip_prefix(id.as_bytes()));
    if let Some(short) = short.and_then(|rest| rest.strip_suffix(ending)) {
        out.push(1);
        push_bytes(out, short);
    } else {
        out.push(0);
        push_bytes(out, body);
    }
    // Should the record of its release be damaged, another release's ending must not take its place.
    out.extend_from_slice(&(xxh3_64(ending) as u32).to_le_bytes());
}

/// Appends an outcome.
pub fn push_outcome(out: &mut Vec<u8>, outcome: &Outcome<'_>) {
    out.push(OUTCOME);
    push_target(out, [&outcome.processor, &outcome.card, &outcome.id], outcome.time.unix_ms());
    match outcome.kind {
        OutcomeKind::Approved => out.push(0),
        OutcomeKind::Declined => out.push(1),
        OutcomeKind::Partial { amount_minor } => {
            out.push(2);
            push_signed(out, amount_minor);
        }
    }
}

/// Appends a label.
pub fn push_label(out: &mut Vec<u8>, label: &Label<'_>) {
    out.push(LABEL);
    push_target(out, [&label.processor, &label.card, &label.id], label.time.unix_ms());
    out.push(match label.kind {
        LabelKind::Fraud => 0,
        LabelKind::Legit => 1,
        LabelKind::Unknown => 2,
    });
}

fn push_target(out: &mut Vec<u8>, names: [&str; 3], time_ms: i64) {
    for name in names {
        push_text(out, name);
    }
    push_signed(out, time_ms);
}

/// Appends a list change.
pub fn push_list_change(out: &mut Vec<u8>, change: &ListChange<'_>) {
    out.push(LIST_CHANGE);
    push_text(out, &change.list);
    push_text(out, &change.value);
    out.push(u8::from(change.add));
    out.push(u8::from(change.expires.is_some()));
    if let Some(expires) = change.expires {
        push_signed(out, expires.unix_ms());
    }
    for note in [&change.comment, &change.by] {
        out.push(u8::from(note.is_some()));
        if let Some(note) = note {
            push_text(out, note);
        }
    }
}

/// Appends the note of a release.
pub fn push_release(out: &mut Vec<u8>, note: &ReleaseNote) {
    out.push(RELEASE);
    push_text(out, &note.engine);
    push_text(out, &note.rules);
    push_text(out, note.model.as_deref().unwrap_or_default());
    push_text(out, &note.config);
    out.extend_from_slice(note.base.code().as_bytes());
    push_number(out, note.attributes.len() as u64);
    for (key, kind) in &note.attributes {
        push_text(out, key);
        let name = AttributeSchema::TYPES.iter().find(|(_, known)| known == kind).map_or("", |(name, _)| name);
        push_text(out, name);
    }
    push_bytes(out, &note.ending);
    note.looking_up.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
}

/// Appends the place of a refill.
pub fn push_refill(out: &mut Vec<u8>) {
    out.push(REFILL);
}

/// Whether some bytes are the note of a release.
pub fn is_release(bytes: &[u8]) -> bool {
    bytes.first() == Some(&RELEASE)
}

impl<'a> Record<'a> {
    /// The record of some bytes. `None` where they are none of this version, which a checksum has ruled out before.
    pub fn read(bytes: &'a [u8], reading: Option<&Reading>) -> Option<Self> {
        let mut taking = Taking(bytes);
        let mut kind = taking.byte()?;
        let mut origin = None;
        if kind == FROM_STREAM {
            origin = Some(take_position(&mut taking)?);
            kind = taking.byte()?;
        }
        let record = match kind {
            TRANSACTION => Self::Transaction(Box::new(take_transaction(&mut taking, reading?, origin)?)),
            OUTCOME => Self::Outcome(take_outcome(&mut taking)?),
            LABEL => Self::Label(take_label(&mut taking)?),
            LIST_CHANGE => Self::ListChange(take_list_change(&mut taking)?),
            RELEASE => Self::Release(take_release(&mut taking)?),
            MARK => Self::Mark(take_mark(&mut taking)?),
            REFILL => Self::Refill,
            _ => return None,
        };
        taking.0.is_empty().then_some(record)
    }
}

fn take_transaction<'a>(
    taking: &mut Taking<'a>,
    reading: &Reading,
    origin: Option<StreamPosition>,
) -> Option<Answered<'a>> {
    let [tier, decision, kind] = taking.array()?;
    let (processor, card, id) = (taking.borrowed()?, taking.text()?, taking.text()?);
    let (time, amount_minor) = (taking.time()?, i64::try_from(taking.number()?).ok()?);
    let currency = take_currency(taking)?;
    let amount_base_minor = match taking.byte()? {
        0 => None,
        1 => Some(amount_minor),
        2 => Some(taking.signed()?),
        _ => return None,
    };
    let mut transaction = Transaction::plain(id, time, card, amount_minor, currency);
    transaction.processor = processor;
    transaction.kind = *TransactionType::ALL.get(usize::from(kind))?;
    take_optional(taking, &mut transaction)?;
    take_attributes(taking, &mut transaction, reading)?;
    take_flags(taking, &mut transaction, reading)?;
    let form = taking.byte()?;
    let kept = taking.bytes()?;
    if u32::from_le_bytes(taking.array()?) != xxh3_64(&reading.note.ending) as u32 {
        return None;
    }
    let body = match form {
        0 => kept.to_vec(),
        1 => [BODY_BEFORE_ID, id.as_bytes(), kept, &reading.note.ending].concat(),
        _ => return None,
    };
    let (tier, decision) = (*Tier::ALL.get(usize::from(tier))?, *Decision::ALL.get(usize::from(decision))?);
    // A journal of before has none, and none is what it is read as.
    let list_answers = std::mem::take(&mut taking.0);
    (list_answers.is_empty() || list_answers.len() == reading.note.looking_up.len()).then_some(())?;
    Some(Answered { transaction, tier, decision, amount_base_minor, body, origin, list_answers })
}

fn take_currency(taking: &mut Taking<'_>) -> Option<Currency> {
    Currency::from_code(std::str::from_utf8(&taking.array::<3>()?).ok()?)
}

fn take_country(taking: &mut Taking<'_>) -> Option<Country> {
    Country::from_code(std::str::from_utf8(&taking.array::<2>()?).ok()?)
}

fn take_attributes<'a>(taking: &mut Taking<'a>, transaction: &mut Transaction<'a>, reading: &Reading) -> Option<()> {
    let count = taking.number().filter(|count| *count <= ATTRIBUTES_MAX)?;
    for _ in 0..count {
        let place = usize::try_from(taking.number()?).ok()?;
        let value = match taking.byte()? {
            0 => Some(AttributeValue::Text(taking.borrowed()?)),
            1 => Some(AttributeValue::Plain(Value::Integer(taking.signed()?))),
            2 => Some(AttributeValue::Plain(Value::Millionths(taking.signed()?))),
            3 => Some(AttributeValue::Plain(Value::Boolean(taking.byte()? == 1))),
            4 => Some(AttributeValue::Plain(Value::Country(take_country(taking)?))),
            5 => Some(AttributeValue::Plain(Value::Time(taking.time()?))),
            6 => None,
            _ => return None,
        };
        let (Some(Some(now)), true) = (reading.places.get(place), value.is_some()) else { continue };
        if transaction.attributes.is_empty() {
            transaction.attributes.resize(reading.attributes, None);
        }
        *transaction.attributes.get_mut(usize::from(*now))? = value;
    }
    Some(())
}

fn take_flags(taking: &mut Taking<'_>, transaction: &mut Transaction<'_>, reading: &Reading) -> Option<()> {
    let count = taking.number().filter(|count| *count <= 2 * (ATTRIBUTES_MAX + Field::FIXED.len() as u64))?;
    for _ in 0..count {
        let text = taking.text()?;
        let (kind, name) = text.split_once(':')?;
        let flag: fn(Field) -> Flag = if kind == "pan" { Flag::Pan } else { Flag::Invalid };
        let attribute = |key: &str| {
            let place = reading.note.attributes.iter().position(|(known, _)| known == key)?;
            reading.places.get(place).copied().flatten().map(Field::Attribute)
        };
        if name == "attributes" {
            transaction.flags.push(Flag::InvalidAttributes);
        } else if let Some(field) = match name.strip_prefix("attributes.") {
            Some(key) => attribute(key),
            None => Field::from_name(name),
        } {
            transaction.flags.push(flag(field));
        }
    }
    Some(())
}

fn take_outcome<'a>(taking: &mut Taking<'a>) -> Option<Outcome<'a>> {
    let (processor, card, id, time) = (taking.borrowed()?, taking.borrowed()?, taking.borrowed()?, taking.time()?);
    let kind = match taking.byte()? {
        0 => OutcomeKind::Approved,
        1 => OutcomeKind::Declined,
        2 => OutcomeKind::Partial { amount_minor: taking.signed()? },
        _ => return None,
    };
    Some(Outcome { processor, card, id, time, kind })
}

fn take_label<'a>(taking: &mut Taking<'a>) -> Option<Label<'a>> {
    let (processor, card, id, time) = (taking.borrowed()?, taking.borrowed()?, taking.borrowed()?, taking.time()?);
    let kind = match taking.byte()? {
        0 => LabelKind::Fraud,
        1 => LabelKind::Legit,
        2 => LabelKind::Unknown,
        _ => return None,
    };
    Some(Label { processor, card, id, time, kind })
}

fn take_list_change<'a>(taking: &mut Taking<'a>) -> Option<ListChange<'a>> {
    let (list, value, add) = (taking.borrowed()?, taking.borrowed()?, taking.byte()? == 1);
    let expires = if taking.byte()? == 1 { Some(taking.time()?) } else { None };
    let mut note = || -> Option<Option<Cow<'a, str>>> {
        if taking.byte()? == 1 { taking.borrowed().map(Some) } else { Some(None) }
    };
    Some(ListChange { list, value, add, expires, comment: note()?, by: note()? })
}

fn take_release(taking: &mut Taking<'_>) -> Option<ReleaseNote> {
    let mut text = || taking.text().map(str::to_owned);
    let (engine, rules, model, config) = (text()?, text()?, text()?, text()?);
    let base = take_currency(taking)?;
    let count = taking.number().filter(|count| *count <= ATTRIBUTES_MAX)?;
    let mut attributes = Vec::new();
    for _ in 0..count {
        let (key, name) = (taking.text()?, taking.text()?);
        let (_, kind) = AttributeSchema::TYPES.iter().find(|(known, _)| *known == name)?;
        attributes.push((key.to_owned(), *kind));
    }
    let model = Some(model).filter(|model| !model.is_empty());
    let ending = taking.bytes()?.to_vec();
    let (hashes, []) = std::mem::take(&mut taking.0).as_chunks() else { return None };
    let looking_up = hashes.iter().map(|hash| u64::from_le_bytes(*hash)).collect();
    Some(ReleaseNote { engine, rules, model, config, base, attributes, ending, looking_up })
}
