//! Exact sliding aggregates per key over event time. There is no clock here.
//!
//! Each key of the plan has a log: an index from key to entity, and per entity its rows in time order. A row keeps its
//! time, a bit per lane (a lane is what some aggregates see: counted, summed, known to be fraud, …) and the values
//! that are added up. Nothing is kept per window: an answer is what lies before the window's end less what lies before
//! its beginning, so a long window costs what a short one does.
//!
//! Invariants: rows of a key are in time order, equal times in order of arrival; what a row is a member of says what
//! it counts for, so a reversal, an outcome or a label only changes bits and sums; whether an entity has been dropped
//! yet is never seen in an answer.

mod moments;
mod lanes;
mod bits;
mod block;
mod key;
mod layout;
mod table;
mod timeline;
mod few;
mod summary;
mod panes;
mod tree;
mod rows;
mod trail;
mod recency;
mod log;
mod answer;
mod observe;
mod amend;
mod stored;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    field::{AttributeSchema, Field},
    plan::{FilterId, Key, KeyId, KeyPart, OutcomeState, Plan},
    settings::WindowSettings,
    time::Timestamp,
    transaction::TransactionType,
};

use layout::Layout;
use log::Log;

pub use stored::LogSection;

/// The windows of one scorer: every aggregate of its plan, for every key it has seen.
pub struct Windows {
    settings: WindowSettings,
    /// Of plan, schema and settings, for stored state.
    identity: u128,
    schema: AttributeSchema,
    logs: Vec<Log>,
    parts: key::Parts,
    changeable_ms: i64,
    /// As far as answers ask for it.
    answering_changeable_ms: i64,
    /// Keys from this one on are in shadow.
    keys_answering: usize,
    logs_made: u32,
    aggregates: usize,
    /// The filters on verdict or outcome, by place in `SettledMask`.
    settled_filters: Vec<FilterId>,
    /// By epoch, for each of the current settled filters: where it stood then. A reload begins an epoch.
    epochs: Vec<Vec<Option<usize>>>,
    highest_ms: Option<i64>,
    lowest_ms: i64,
    observed: u32,
    evictions: u64,
    folds: u64,
    scratch: observe::Scratch,
}

/// What a transaction found in the windows, besides the values of its aggregates.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own in the verdict")]
pub struct Observed {
    /// It is older than the highest accepted time, less the lateness.
    pub late: bool,
    /// One of its answers touches a folded window.
    pub approximate: bool,
    /// One of its keys has no state, and may have had some that was evicted.
    pub evicted: bool,
    /// One of its windows reaches further back than what is kept.
    pub filling: bool,
    /// Where it stands in the logs that may have to be changed later.
    pub places: Places,
}

/// Where a transaction stands in the logs that a reversal, an outcome or a label may change later, and what those
/// changes need to know of it.
#[derive(Clone)]
pub struct Places {
    pub(super) items: SmallVec<[Place; 12]>,
    pub(super) time_ms: i64,
    pub(super) kind: TransactionType,
    pub(super) amount_base_minor: Option<i64>,
    pub(super) epoch: u16,
    /// Four bits by filter on verdict or outcome: whether it passes in each outcome state.
    pub(super) settled: SmallVec<[u8; 8]>,
}

/// Where a transaction stands in one log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) log: u32,
    pub(super) slot: u32,
    pub(super) generation: u32,
    /// How many rows of the same time came before it.
    pub(super) rank: u32,
}

/// What may change about a transaction after its windows have taken it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowState {
    /// Its amount in sums, in minor units of the base currency; `None` without a rate.
    pub net_minor: Option<i64>,
    /// Nothing is left of it: it has left sums, means, extrema and deviations for good.
    pub reversed: bool,
    /// It is known to be fraud.
    pub fraud: bool,
    /// What the issuer did.
    pub outcome: OutcomeState,
}

/// How much the windows hold, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowStats {
    /// How many keys are held, by the plan's keys.
    pub keys: Vec<u64>,
    /// Transactions held one by one, over all keys.
    pub rows: u64,
    /// Bytes held, as far as they can be counted from inside.
    pub bytes: u64,
    /// Keys evicted because there were too many.
    pub evictions: u64,
    /// Keys dropped because nothing was left of them.
    pub expirations: u64,
    /// Blocks of rows that were folded to bound memory.
    pub folds: u64,
}

/// What a plan has kept that the next one does not ask for: as many keys as there are cards, perhaps.
pub struct RetiredWindows(#[expect(dead_code, reason = "it is kept only to be freed elsewhere")] Vec<Option<Log>>);

/// Which keys are held, for other threads to read while the scorer writes.
#[derive(Clone)]
pub struct KeyIndex(Arc<log::Index>);

impl KeyIndex {
    /// How many keys are held.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are one index.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Default for Places {
    fn default() -> Self {
        Self {
            items: SmallVec::new(),
            time_ms: 0,
            kind: TransactionType::Authorization,
            amount_base_minor: None,
            epoch: 0,
            settled: SmallVec::new(),
        }
    }
}

impl RowState {
    /// The state of a transaction that has just been observed.
    pub fn fresh(amount_base_minor: Option<i64>) -> Self {
        Self { net_minor: amount_base_minor, reversed: false, fraud: false, outcome: OutcomeState::Unknown }
    }
}

impl Windows {
    /// Empty windows for a plan.
    pub fn new(plan: &Plan, schema: &AttributeSchema, settings: &WindowSettings) -> Self {
        let mut windows = Self {
            settings: settings.clone(),
            identity: 0,
            schema: schema.clone(),
            logs: Vec::new(),
            parts: key::Parts::default(),
            changeable_ms: 0,
            answering_changeable_ms: 0,
            keys_answering: 0,
            logs_made: 0,
            aggregates: 0,
            settled_filters: Vec::new(),
            epochs: Vec::new(),
            highest_ms: None,
            lowest_ms: i64::MAX,
            observed: 0,
            evictions: 0,
            folds: 0,
            scratch: observe::Scratch::default(),
        };
        windows.adopt(plan, schema, settings, &[]);
        windows
    }

    /// Takes over another plan, keeping what both ask for; gives back what neither needs. `same_filters` says for each filter of the new plan which
    /// filter of the old one is the same test, if any. What is new fills from now on and is reported as filling.
    pub fn adopt(
        &mut self,
        plan: &Plan,
        schema: &AttributeSchema,
        settings: &WindowSettings,
        same_filters: &[Option<FilterId>],
    ) -> RetiredWindows {
        let mut old: Vec<_> = std::mem::take(&mut self.logs).into_iter().map(Some).collect();
        for (index, key) in plan.keys.iter().enumerate() {
            let layout = Layout::compile(plan, KeyId(index as u16), schema, settings);
            let known = old.iter_mut().find(|log| {
                let is_same = |log: &Log| log.key == *key && self.keeps_fields(schema, &log.key, &log.layout);
                log.as_ref().is_some_and(is_same)
            });
            let log = match known.and_then(Option::take) {
                Some(log) => self.adopt_log(log, layout, same_filters),
                None => self.new_log(key.clone(), layout),
            };
            self.logs.push(log);
        }
        let changeable = self.logs.iter().filter(|log| log.layout.is_changeable);
        self.changeable_ms = changeable.map(|log| log.layout.retention_ms).max().unwrap_or_default();
        self.answering_changeable_ms = self.changeable_ms;
        if plan.aggregates_in_shadow > 0 {
            let answering = plan.answering();
            let layouts =
                (0..answering.keys.len()).map(|key| Layout::compile(&answering, KeyId(key as u16), schema, settings));
            let changeable = layouts.filter(|layout| layout.is_changeable).map(|layout| layout.retention_ms);
            self.answering_changeable_ms = changeable.max().unwrap_or_default();
        }
        self.keys_answering = plan.keys.len() - plan.keys_in_shadow;
        self.parts = key::Parts::default();
        for log in &mut self.logs {
            log.place_parts(&mut self.parts);
        }
        self.adopt_filters(plan, same_filters);
        self.aggregates = plan.aggregates.len();
        self.schema = schema.clone();
        self.settings = settings.clone();
        // Fewer keys than one transaction has would evict what it is using.
        self.settings.keys_max = self.settings.keys_max.max(2 * self.logs.len());
        self.identity = stored::identity_of(plan, schema, &self.settings);
        RetiredWindows(old)
    }

    /// The highest event time accepted so far.
    pub fn highest(&self) -> Option<Timestamp> {
        self.highest_ms.and_then(Timestamp::from_unix_ms)
    }

    /// How far behind the highest time a transaction may still be changed by a reversal, an outcome or a label.
    pub fn changeable_ms(&self) -> i64 {
        self.changeable_ms
    }

    /// The same where only what answers ask for is looked at: nothing in shadow may show in a verdict.
    pub fn answering_changeable_ms(&self) -> i64 {
        self.answering_changeable_ms
    }

    /// How much is held.
    pub fn stats(&self) -> WindowStats {
        WindowStats {
            keys: self.logs.iter().map(|log| log.len() as u64).collect(),
            rows: self.logs.iter().map(|log| log.rows).sum(),
            bytes: self.logs.iter().map(Log::bytes).sum(),
            evictions: self.evictions,
            expirations: self.logs.iter().map(|log| log.expirations).sum(),
            folds: self.folds,
        }
    }

    /// Which keys are held, by the plan's keys, for other threads to read.
    pub fn key_indexes(&self) -> impl Iterator<Item = (&Key, KeyIndex)> {
        self.logs.iter().map(|log| (&log.key, KeyIndex(log.index().clone())))
    }

    fn new_log(&mut self, key: Key, mut layout: Layout) -> Log {
        let highest_ms = self.highest_ms.unwrap_or(i64::MIN);
        layout.lanes.iter_mut().for_each(|lane| lane.complete_after_ms = highest_ms);
        layout.questions.iter_mut().for_each(|question| question.complete_after_ms = highest_ms);
        self.logs_made += 1;
        Log::new(self.logs_made, key, layout)
    }

    fn adopt_log(&self, mut log: Log, mut layout: Layout, same_filters: &[Option<FilterId>]) -> Log {
        let highest_ms = self.highest_ms.unwrap_or(i64::MIN);
        let cutoff_ms = highest_ms.saturating_sub(log.layout.retention_ms);
        // Nothing has been dropped yet if nothing that old was ever seen.
        let dropped_ms = if self.lowest_ms > cutoff_ms { i64::MIN } else { cutoff_ms };
        let same: Vec<_> =
            (0..layout.lanes.len()).map(|lane| layout.find_same(lane, &log.layout, same_filters)).collect();
        for (lane, same) in layout.lanes.iter_mut().zip(&same) {
            let known_ms = same.map(|same| log.layout.lanes[same].complete_after_ms.max(dropped_ms));
            lane.complete_after_ms = known_ms.unwrap_or(highest_ms);
        }
        for place in 0..layout.questions.len() {
            let question = &layout.questions[place];
            let complete_after_ms = if question.ask.is_of_the_past() {
                layout.past_complete_after_ms(question, &log.layout).unwrap_or(highest_ms)
            } else {
                layout.lanes[question.lane].complete_after_ms
            };
            layout.questions[place].complete_after_ms = complete_after_ms;
        }
        log.adopt(layout, &same);
        log
    }

    fn adopt_filters(&mut self, plan: &Plan, same_filters: &[Option<FilterId>]) {
        let settled: Vec<_> = (0..plan.filters.len())
            .filter(|filter| plan.filters[*filter].settles_later)
            .map(|filter| FilterId(filter as u16))
            .collect();
        let same: Vec<_> = settled
            .iter()
            .map(|filter| {
                let known = (*same_filters.get(usize::from(filter.0))?)?;
                self.settled_filters.iter().position(|filter| *filter == known)
            })
            .collect();
        let is_unchanged = !self.epochs.is_empty()
            && same.len() == self.settled_filters.len()
            && same.iter().enumerate().all(|(place, same)| *same == Some(place));
        if !is_unchanged && self.epochs.len() < usize::from(u16::MAX) {
            for epoch in &mut self.epochs {
                *epoch = same.iter().map(|place| epoch.get((*place)?).copied().flatten()).collect();
            }
            self.epochs.push((0..settled.len()).map(Some).collect());
        }
        self.settled_filters = settled;
    }

    /// Whether the fields that a log reads mean the same in another schema.
    fn keeps_fields(&self, schema: &AttributeSchema, key: &Key, layout: &Layout) -> bool {
        let keeps = |field: Field| match field {
            Field::Attribute(_) => {
                let is_declared = schema.fields().any(|known| known == field);
                is_declared
                    && field.name(schema) == field.name(&self.schema)
                    && field.field_type(schema) == field.field_type(&self.schema)
            }
            _ => true,
        };
        let key_keeps = key.0.iter().all(|part| match part {
            KeyPart::Field(field) => keeps(*field),
            KeyPart::Subnet(_) => true,
        });
        let mut columns = layout.columns.iter().filter_map(|column| match column {
            layout::Column::Net => None,
            layout::Column::Value(field) | layout::Column::Hash(field) => Some(*field),
        });
        key_keeps && columns.all(keeps) && layout.lasts.iter().all(|field| keeps(*field))
    }
}
