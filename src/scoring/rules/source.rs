//! What rule files say, checked as far as it can be without compiling an expression. It evaluates nothing.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use super::{
    diagnostic::Place,
    file::{SourceFile, Text},
    notation::ExampleEvent,
};
use crate::scoring::{
    expression::{Define, Environment},
    lists::Lists,
    settings::Settings,
    transaction::TransactionType,
    verdict::Decision,
};

/// Every file of a rule directory. The shells read them; nothing here does.
#[derive(Clone, Default)]
pub struct RuleSources {
    /// The rule files, in any order.
    pub files: Vec<SourceFile>,
    /// Rule files that could not be read, by name, and why.
    pub unreadable: BTreeMap<String, String>,
    /// What the lists and tables that they name hold, by the name in the rule file; or why it could not be read.
    pub data: BTreeMap<String, Result<Data, String>>,
}

/// What the file of a list or a table holds.
#[derive(Clone)]
pub struct Data {
    hash: [u8; 32],
    bytes: Option<Vec<u8>>,
}

impl Data {
    /// What was read.
    pub fn read(bytes: Vec<u8>) -> Self {
        Self { hash: *blake3::hash(&bytes).as_bytes(), bytes: Some(bytes) }
    }

    /// What a list that is known by this hash was made of: it was not read again.
    pub const fn unchanged(hash: [u8; 32]) -> Self {
        Self { hash, bytes: None }
    }

    /// The content hash.
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The content, unless it was not read again.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.bytes.as_deref()
    }
}

/// Whether a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleMode {
    /// It decides.
    Live,
    /// It is evaluated and flagged, and never decides.
    Shadow,
    /// It is checked and not evaluated.
    Off,
}

impl RuleMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Live, Self::Shadow, Self::Off];

    /// The word in rule files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

/// The transaction types that a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeSet(u8);

impl TypeSet {
    /// No type.
    pub const EMPTY: Self = Self(0);
    /// What a rule that does not say looks at: authorisations, verifications and incrementals.
    pub const DEFAULT: Self = Self::EMPTY
        .with(TransactionType::Authorization)
        .with(TransactionType::Verification)
        .with(TransactionType::Incremental);

    /// The same set with one more.
    #[must_use]
    pub const fn with(self, kind: TransactionType) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    /// Whether a type is in it.
    pub const fn contains(self, kind: TransactionType) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }

    /// The same for every set of the same types.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

/// A rule as its file has it.
#[derive(Clone)]
pub struct RuleSource {
    /// Unique over all files.
    pub id: Arc<str>,
    /// For people; may be empty.
    pub description: String,
    /// The condition.
    pub when: Text,
    /// What it decides.
    pub then: Decision,
    /// What it looks at.
    pub types: TypeSet,
    /// Echoed in the verdict; sorted, each once.
    pub tags: Vec<Arc<str>>,
    /// Whether it decides.
    pub mode: RuleMode,
    /// Percent of cards.
    pub rollout: u8,
    /// Whether no approve rule lifts its denial.
    pub overrides: bool,
    /// What must come of some made-up transactions.
    pub examples: Vec<Example>,
    /// Where its id stands.
    pub place: Place,
}

/// Some made-up transactions and what must come of them.
#[derive(Clone)]
pub struct Example {
    /// The transactions in the order of their arrival, each with what follows it.
    pub events: Vec<ExampleEvent>,
    /// What the rule alone must make of the last one, and where that stands.
    pub last: Option<(LastVerdict, Place)>,
    /// The numbers of the transactions at which the rule must fire, counted from 1, and where they stand.
    pub fires: Option<(Vec<usize>, Place)>,
    /// Lists that hold other entries than their files in this example.
    pub lists: BTreeMap<String, Vec<String>>,
    /// Where it stands.
    pub place: Place,
}

/// What an example expects of its last transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastVerdict {
    /// The rule alone decides this.
    Decision(Decision),
    /// The rule does not fire.
    None,
}

/// What all rule files of a directory say together.
pub struct RuleFiles {
    pub(super) files: Vec<SourceFile>,
    pub(super) rules: Vec<RuleSource>,
    pub(super) defines: BTreeMap<String, Define>,
    pub(super) define_sources: BTreeMap<String, DefineSource>,
    pub(super) lists: Lists,
    pub(super) declared: Vec<DeclaredList>,
}

/// A name under `[define]`.
pub(super) struct DefineSource {
    pub(super) text: Text,
    /// Where the name stands.
    pub(super) place: Place,
}

/// A `[[list]]` or `[[table]]`.
pub(super) struct DeclaredList {
    pub(super) id: String,
    /// The type of a table's values; `None` for a list.
    pub(super) table: Option<crate::scoring::lists::TableType>,
    /// The hash of its file.
    pub(super) hash: [u8; 32],
    pub(super) place: Place,
}

impl RuleFiles {
    /// The rules, by id.
    pub fn rules(&self) -> &[RuleSource] {
        &self.rules
    }

    /// The lists and tables, as their files have them.
    pub fn lists(&self) -> &Lists {
        &self.lists
    }

    /// What the expressions of these rules, and of the model beside them, may name.
    pub fn environment<'e>(&'e self, settings: &'e Settings) -> Environment<'e> {
        Environment { schema: &settings.schema, rates: &settings.rates, lists: &self.lists, defines: &self.defines }
    }

    /// The lists and tables, for when everything is compiled.
    pub fn into_lists(self) -> Lists {
        self.lists
    }

    /// The place of some bytes of a text's value.
    pub(super) fn place_in(&self, text: &Text, value: Range<usize>) -> Place {
        Place::within(&self.files, text, value)
    }
}
