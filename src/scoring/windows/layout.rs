//! What a log keeps of its events and how its aggregates are answered from that, compiled from the plan. No state.

use crate::scoring::{
    field::{AttributeSchema, Field, FieldType},
    plan::{Aggregate, AggregateType, FilterBits, FilterId, Function, KeyId, Plan},
    settings::WindowSettings,
    transaction::TransactionType,
};

use super::{block::Shape, lanes::Lanes};

/// Which events a lane marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneKind {
    /// What `count` sees.
    Count,
    /// Of what `count` sees, what is known to be fraud.
    Frauds,
    /// What `sum` of the field sees.
    Sum(Field),
    /// What `mean`, `min`, `max` and `stddev` of the field see.
    Value(Field),
    /// What `distinct` of the field sees.
    Member(Field),
    /// Of what `distinct` sees, the newest event of each value.
    Latest(Field),
}

/// One bitmap of a log, and what is added up over it.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) kind: LaneKind,
    /// Refunds enter: its filter tests the type.
    pub(super) refunds: bool,
    pub(super) filter: Option<FilterId>,
    /// Its filter is only known once the verdict is.
    pub(super) settled: bool,
    /// The lane whose members may enter this one: of a settled lane the one without its filter, of frauds the counted
    /// ones, of the latest the members.
    pub(super) base: Option<usize>,
    /// Where its field's values stand.
    pub(super) column: Option<usize>,
    /// Its place among the lanes that are summed.
    pub(super) sum: Option<usize>,
    /// Its place among the lanes whose squares are summed.
    pub(super) squares: Option<usize>,
    /// Its place among the lanes whose extremes are kept.
    pub(super) extremes: Option<usize>,
    /// Its place among the lanes of members whose latest are kept.
    pub(super) distinct: Option<usize>,
    /// The lane of the latest of its members.
    pub(super) latest: Option<usize>,
    /// Events up to this time may be absent.
    pub(super) complete_after_ms: i64,
}

/// One value of every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// The amount in sums, which reversals and partial approvals change.
    Net,
    /// The numeric value of a field.
    Value(Field),
    /// A hash of the value of a field.
    Hash(Field),
}

/// What a question asks of its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Count,
    Distinct { members: usize },
    Sum,
    Mean,
    Min,
    Max,
    Stddev,
    Frauds,
    FraudRate { counted: usize },
    SinceLast,
    Age,
    Last { field: usize },
    Speed,
}

impl Ask {
    /// Whether it looks back to the horizon, and not over a window.
    pub(super) fn is_of_the_past(self) -> bool {
        matches!(self, Self::SinceLast | Self::Age | Self::Last { .. } | Self::Speed)
    }
}

/// An aggregate of the plan, compiled.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub(super) struct Question {
    /// Its place in the plan.
    pub(super) aggregate: usize,
    /// Only models whose scores decide nothing ask it: it raises no flag.
    pub(super) in_shadow: bool,
    pub(super) ask: Ask,
    pub(super) lane: usize,
    /// The window is what is newer than `t − offsets[from]` and not newer than `t − offsets[to]`.
    pub(super) from: usize,
    pub(super) to: usize,
    /// The transaction that asks is part of the answer if it is a member of the lane.
    pub(super) with_current: bool,
    /// Values are held as millionths.
    pub(super) millionths: bool,
    /// The answer is a whole number.
    pub(super) whole: bool,
    /// Events up to this time may be absent from what answers it.
    pub(super) complete_after_ms: i64,
}

/// What a log keeps and answers.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) lanes: Vec<Lane>,
    pub(super) columns: Vec<Column>,
    pub(super) questions: Vec<Question>,
    /// Distances back from a transaction at which windows begin or end, ascending; the first is 0.
    pub(super) offsets: Vec<i64>,
    /// By lane summed, by lane squared, by lane with extremes, by lane of members: which lane.
    pub(super) sums: Vec<usize>,
    pub(super) squares: Vec<usize>,
    pub(super) extremes: Vec<usize>,
    pub(super) members: Vec<usize>,
    /// By type of transaction: the lanes that it enters at once, if it passes their filters and has their values.
    entered: [Lanes; TransactionType::ALL.len()],
    /// The filters of those lanes.
    filtered: Vec<(FilterId, Lanes)>,
    /// By column: the lanes that a transaction without a value does not enter.
    valued: Vec<Lanes>,
    /// Where the newest event's time is read, if anything asks of the past.
    pub(super) past: Option<usize>,
    /// The fields of `last`.
    pub(super) lasts: Vec<Field>,
    /// `speed_kmh` is asked.
    pub(super) located: bool,
    /// A reversal, an outcome or a label may change its rows.
    pub(super) is_changeable: bool,
    /// Some of its lanes are only known once a verdict is.
    pub(super) settles: bool,
    /// How far behind the highest time rows are kept.
    pub(super) retention_ms: i64,
    /// How far behind the highest time a key is kept after its last event.
    pub(super) memory_ms: i64,
    /// Rows of a block of a tree.
    pub(super) rows_max: usize,
    /// Rows of a key that needs no tree.
    pub(super) few_max: usize,
}

// In this crate's own tests blocks are small, so that every split and join happens.
/// Rows of a block where each is little more than a time, so that most keys need no more than one block.
const ROWS_MAX_PLAIN: usize = if cfg!(test) { 12 } else { 1_024 };
/// Rows of a block with values, which are scanned at the edges of a window.
const ROWS_MAX_VALUES: usize = if cfg!(test) { 6 } else { 64 };
/// Rows with values of a key that needs no tree: a card of four purchases a day keeps 30 days of them in one block.
const FEW_MAX_VALUES: usize = if cfg!(test) { 10 } else { 256 };

impl Layout {
    /// What the plan asks of a key.
    pub(super) fn compile(plan: &Plan, key: KeyId, schema: &AttributeSchema, settings: &WindowSettings) -> Self {
        let mut layout = Self {
            lanes: Vec::new(),
            columns: Vec::new(),
            questions: Vec::new(),
            offsets: vec![0],
            sums: Vec::new(),
            squares: Vec::new(),
            extremes: Vec::new(),
            members: Vec::new(),
            entered: Default::default(),
            filtered: Vec::new(),
            valued: Vec::new(),
            past: None,
            lasts: Vec::new(),
            located: false,
            is_changeable: false,
            settles: false,
            retention_ms: 0,
            memory_ms: 0,
            rows_max: ROWS_MAX_PLAIN,
            few_max: ROWS_MAX_PLAIN,
        };
        let asked = || plan.aggregates.iter().enumerate().filter(move |(_, aggregate)| aggregate.key == key);
        for (_, aggregate) in asked() {
            layout.offsets.extend([aggregate.delay_ms, aggregate.delay_ms.saturating_add(aggregate.window_ms)]);
        }
        layout.offsets.sort_unstable();
        layout.offsets.dedup();
        for (index, aggregate) in asked() {
            let question = layout.question(index, aggregate, plan, schema);
            layout.questions.push(question);
        }
        layout.note_entrances();
        let lanes = &layout.lanes;
        layout.is_changeable = lanes
            .iter()
            .any(|lane| lane.settled || matches!(lane.kind, LaneKind::Frauds | LaneKind::Sum(_) | LaneKind::Value(_)));
        layout.settles = lanes.iter().any(|lane| lane.settled);
        if !layout.columns.is_empty() {
            layout.rows_max = ROWS_MAX_VALUES;
            layout.few_max = FEW_MAX_VALUES;
        }
        let longest = layout.offsets.last().copied().unwrap_or_default();
        layout.retention_ms = longest.saturating_add(settings.lateness_ms);
        layout.memory_ms = layout.retention_ms;
        if layout.past.is_some() {
            layout.memory_ms = layout.memory_ms.max(settings.horizon_ms.saturating_add(settings.lateness_ms));
        }
        layout
    }

    /// The shape of a block; blocks of a tree hold more: per lane of members, how long before each row its value was
    /// last seen.
    pub(super) fn shape(&self, in_tree: bool) -> Shape {
        let columns = self.columns.len() + if in_tree { self.members.len() } else { 0 };
        Shape { lanes: self.lanes.len(), columns }
    }

    /// Whether rows of another layout can stay as they are: `same` says which of its lanes each lane here is.
    pub(super) fn lays_out_as(&self, other: &Self, same: &[Option<usize>]) -> bool {
        let terms = |layout: &Self| {
            [layout.sums.clone(), layout.squares.clone(), layout.extremes.clone(), layout.members.clone()]
        };
        self.columns == other.columns
            && self.lasts == other.lasts
            && self.rows_max == other.rows_max
            && self.lanes.len() == other.lanes.len()
            && terms(self) == terms(other)
            && same.iter().enumerate().all(|(lane, same)| *same == Some(lane))
    }

    /// Since when another layout of the same log has seen all that a question of this one asks for: the past as long
    /// as the past was asked for, whatever rows were dropped since, and `None` if it was not.
    pub(super) fn past_complete_after_ms(&self, question: &Question, other: &Self) -> Option<i64> {
        let is_same = |known: &&Question| match (question.ask, known.ask) {
            (Ask::Last { field }, Ask::Last { field: other_field }) => self.lasts[field] == other.lasts[other_field],
            (Ask::Speed, Ask::Speed) => true,
            (Ask::SinceLast | Ask::Age, known) => known.is_of_the_past(),
            _ => false,
        };
        other.questions.iter().find(is_same).map(|known| known.complete_after_ms)
    }

    /// Whether anything asks what the newest events held.
    pub(super) fn asks_trail(&self) -> bool {
        self.located || !self.lasts.is_empty()
    }

    /// The lane of another layout that holds the same as `lane` of this one.
    pub(super) fn find_same(&self, lane: usize, other: &Self, same_filters: &[Option<FilterId>]) -> Option<usize> {
        let wanted = &self.lanes[lane];
        let filter = match wanted.filter {
            None => None,
            Some(filter) => Some((*same_filters.get(usize::from(filter.0))?)?),
        };
        other.lanes.iter().position(|lane| {
            lane.kind == wanted.kind
                && lane.refunds == wanted.refunds
                && lane.filter == filter
                && lane.settled == wanted.settled
        })
    }

    /// Whether a kind of transaction enters a lane, its filter aside. Frauds and latest follow their base.
    pub(super) fn admits(lane: &Lane, kind: TransactionType) -> bool {
        let types = match lane.kind {
            LaneKind::Count | LaneKind::Member(_) => {
                matches!(kind, TransactionType::Authorization | TransactionType::Verification)
            }
            LaneKind::Sum(_) => matches!(kind, TransactionType::Authorization | TransactionType::Incremental),
            LaneKind::Value(_) => kind == TransactionType::Authorization,
            LaneKind::Frauds | LaneKind::Latest(_) => return false,
        };
        types || lane.refunds && kind == TransactionType::Refund
    }

    /// The lanes that a transaction enters at once.
    pub(super) fn enter(
        &self,
        kind: TransactionType,
        filters: &FilterBits,
        columns: &[Option<u64>],
        members: &mut Lanes,
    ) {
        members.copy_from(&self.entered[kind as usize]);
        for (_, lanes) in self.filtered.iter().filter(|(filter, _)| !filters.get(*filter)) {
            members.remove_all(lanes);
        }
        for (_, lanes) in columns.iter().zip(&self.valued).filter(|(value, _)| value.is_none()) {
            members.remove_all(lanes);
        }
    }

    fn note_entrances(&mut self) {
        let at_once = || self.lanes.iter().enumerate().filter(|(_, lane)| !lane.settled);
        let which = |test: &dyn Fn(&Lane) -> bool| -> Lanes {
            at_once().filter(|(_, lane)| test(lane)).map(|(place, _)| place).collect()
        };
        let entered = TransactionType::ALL.map(|kind| which(&|lane| Self::admits(lane, kind)));
        let mut filters: Vec<FilterId> = at_once().filter_map(|(_, lane)| lane.filter).collect();
        filters.sort_unstable();
        filters.dedup();
        let filtered = filters.into_iter().map(|filter| (filter, which(&|lane| lane.filter == Some(filter)))).collect();
        let valued = (0..self.columns.len()).map(|column| which(&|lane| lane.column == Some(column))).collect();
        (self.entered, self.filtered, self.valued) = (entered, filtered, valued);
    }

    fn question(&mut self, index: usize, aggregate: &Aggregate, plan: &Plan, schema: &AttributeSchema) -> Question {
        let filter = aggregate.filter;
        let traits = filter.and_then(|filter| plan.filters.get(usize::from(filter.0)).copied());
        let refunds = traits.is_some_and(|traits| traits.tests_type);
        let settled = traits.is_some_and(|traits| traits.settles_later);
        let mut lane = |kind| self.lane(kind, refunds, filter, settled);
        let (ask, lane) = match aggregate.function {
            Function::Count => (Ask::Count, lane(LaneKind::Count)),
            Function::Distinct(field) => {
                let members = lane(LaneKind::Member(field));
                (Ask::Distinct { members }, lane(LaneKind::Latest(field)))
            }
            Function::Sum(field) => (Ask::Sum, lane(LaneKind::Sum(field))),
            Function::Mean(field) => (Ask::Mean, lane(LaneKind::Value(field))),
            Function::Min(field) => (Ask::Min, lane(LaneKind::Value(field))),
            Function::Max(field) => (Ask::Max, lane(LaneKind::Value(field))),
            Function::Stddev(field) => (Ask::Stddev, lane(LaneKind::Value(field))),
            Function::Frauds => (Ask::Frauds, lane(LaneKind::Frauds)),
            Function::FraudRate => {
                let counted = lane(LaneKind::Count);
                (Ask::FraudRate { counted }, lane(LaneKind::Frauds))
            }
            // The past is that of the key: these take no options.
            Function::SinceLast | Function::Age | Function::Last(_) | Function::SpeedKmh => {
                let seen = self.lane(LaneKind::Count, false, None, false);
                self.past = Some(seen);
                let ask = match aggregate.function {
                    Function::Age => Ask::Age,
                    Function::Last(field) => Ask::Last { field: place(&mut self.lasts, field) },
                    Function::SpeedKmh => {
                        self.located = true;
                        Ask::Speed
                    }
                    _ => Ask::SinceLast,
                };
                (ask, seen)
            }
        };
        match ask {
            Ask::Stddev => place_lane(&mut self.squares, &mut self.lanes[lane].squares, lane),
            Ask::Min | Ask::Max => place_lane(&mut self.extremes, &mut self.lanes[lane].extremes, lane),
            _ => {}
        }
        let offset = |distance: i64| self.offsets.binary_search(&distance).unwrap_or_default();
        let field_type = aggregate.function.field().map(|field| field.field_type(schema));
        Question {
            aggregate: index,
            in_shadow: index >= plan.aggregates.len() - plan.aggregates_in_shadow,
            ask,
            lane,
            from: offset(aggregate.delay_ms.saturating_add(aggregate.window_ms)),
            to: offset(aggregate.delay_ms),
            with_current: !aggregate.prior && !settled && aggregate.delay_ms == 0,
            millionths: matches!(field_type, Some(FieldType::Number | FieldType::Degrees)),
            complete_after_ms: i64::MIN,
            whole: matches!(
                aggregate.function.answers(schema),
                AggregateType::Integer | AggregateType::MoneyMinor | AggregateType::Duration
            ),
        }
    }

    /// The place of a lane, which is added with what it stands on if it is new.
    fn lane(&mut self, kind: LaneKind, refunds: bool, filter: Option<FilterId>, settled: bool) -> usize {
        let known =
            self.lanes.iter().position(|lane| lane.kind == kind && lane.refunds == refunds && lane.filter == filter);
        if let Some(lane) = known {
            return lane;
        }
        let base = match kind {
            LaneKind::Frauds => Some(self.lane(LaneKind::Count, refunds, filter, settled)),
            LaneKind::Latest(field) => Some(self.lane(LaneKind::Member(field), refunds, filter, settled)),
            _ if settled => Some(self.lane(kind, refunds, None, false)),
            _ => None,
        };
        let column = match kind {
            LaneKind::Count | LaneKind::Frauds => None,
            LaneKind::Sum(Field::Amount) => Some(place(&mut self.columns, Column::Net)),
            LaneKind::Sum(field) | LaneKind::Value(field) => Some(place(&mut self.columns, Column::Value(field))),
            LaneKind::Member(field) | LaneKind::Latest(field) => Some(place(&mut self.columns, Column::Hash(field))),
        };
        let lane = self.lanes.len();
        let mut made = Lane {
            kind,
            refunds,
            filter,
            settled,
            base,
            column,
            sum: None,
            squares: None,
            extremes: None,
            distinct: None,
            latest: None,
            complete_after_ms: i64::MIN,
        };
        match kind {
            LaneKind::Sum(_) | LaneKind::Value(_) => place_lane(&mut self.sums, &mut made.sum, lane),
            LaneKind::Latest(_) => {
                if let Some(members) = base {
                    place_lane(&mut self.members, &mut self.lanes[members].distinct, members);
                    self.lanes[members].latest = Some(lane);
                }
            }
            LaneKind::Count | LaneKind::Frauds | LaneKind::Member(_) => {}
        }
        self.lanes.push(made);
        lane
    }
}

fn place<T: PartialEq>(items: &mut Vec<T>, item: T) -> usize {
    if let Some(index) = items.iter().position(|known| *known == item) {
        return index;
    }
    items.push(item);
    items.len() - 1
}

fn place_lane(lanes: &mut Vec<usize>, term: &mut Option<usize>, lane: usize) {
    if term.is_none() {
        *term = Some(lanes.len());
        lanes.push(lane);
    }
}
