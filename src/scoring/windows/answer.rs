//! The questions of a plan, answered from what a log holds of a key for a transaction that is not part of it yet. It
//! changes nothing.

use smallvec::SmallVec;

use crate::scoring::{
    plan::{AggregateValue, FilterBits},
    transaction::{Transaction, TransactionType},
};

use super::{
    Observed,
    lanes::Lanes,
    layout::{Ask, Layout, Question},
    log::Past,
    summary::wider,
    timeline::Timeline,
    trail::{Located, Trail},
};

/// Edges of windows that are found without an allocation: more than most keys have.
const EDGES_INLINE: usize = 24;

/// A transaction as the logs see it.
#[derive(Clone, Copy)]
pub(super) struct Event<'e, 't> {
    pub(super) transaction: &'e Transaction<'t>,
    pub(super) amount_base_minor: Option<i64>,
    pub(super) filters: &'e FilterBits,
    pub(super) time_ms: i64,
    /// The highest event time, this one included.
    pub(super) highest_ms: i64,
    pub(super) horizon_ms: i64,
}

/// A transaction and what a log holds of its key, beside the rows.
pub(super) struct Held<'h> {
    pub(super) event: &'h Event<'h, 'h>,
    pub(super) layout: &'h Layout,
    pub(super) past: Past,
    pub(super) trail: Option<&'h Trail>,
    /// No window in order reaches what is not newer.
    pub(super) cutoff_ms: i64,
    /// The lanes that the transaction enters, and its values by column.
    pub(super) members: &'h Lanes,
    pub(super) columns: &'h [Option<u64>],
}

/// Why an answer may not be what it would be if everything had been kept.
#[derive(Clone, Copy, Default)]
struct Doubt {
    approximate: bool,
    filling: bool,
}

/// What all but `last` answer with: small enough for registers.
#[derive(Clone, Copy)]
enum Number {
    Missing,
    Whole(i64),
    Real(f64),
}

/// The rows of the key, cut where windows begin and end.
struct Cut<'c, T: Timeline> {
    rows: &'c T,
    edges: &'c [T::Edge],
}

impl Held<'_> {
    /// Answers the log's questions and says when the key was last seen.
    pub(super) fn answer<T: Timeline>(
        &self,
        rows: &T,
        values: &mut [AggregateValue],
        observed: &mut Observed,
    ) -> Option<i64> {
        let time_ms = self.event.time_ms;
        // What is no longer reached by any window in order is as if it were gone already.
        let least_ms = self.cutoff_ms.min(time_ms);
        let bounds = self.layout.offsets.iter().map(|offset| time_ms.saturating_sub(*offset).max(least_ms));
        // Added one by one they come to stand here; collected they would be moved here, room for all of them.
        let mut edges: SmallVec<[T::Edge; EDGES_INLINE]> = SmallVec::new();
        for bound_ms in bounds {
            edges.push(rows.edge(bound_ms));
        }
        let cut = Cut { rows, edges: &edges };
        let seen_before_ms = self.layout.past.and_then(|seen| self.seen_before(&cut, seen));
        for question in &self.layout.questions {
            let value = &mut values[question.aggregate];
            let doubt = if question.ask.is_of_the_past() {
                self.past_answer(question, seen_before_ms, rows, value)
            } else {
                let (number, doubt) = self.window_answer(question, &cut);
                number.write(value);
                doubt
            };
            if !question.in_shadow {
                observed.approximate |= doubt.approximate;
                observed.filling |= doubt.filling;
            }
        }
        seen_before_ms
    }

    fn window_answer<T: Timeline>(&self, question: &Question, cut: &Cut<'_, T>) -> (Number, Doubt) {
        let (rows, from, to) = (cut.rows, &cut.edges[question.from], &cut.edges[question.to]);
        let lane = question.lane;
        let mut distinct = None;
        let sees_itself = question.with_current && self.event.transaction.kind != TransactionType::Refund;
        let current = |lane: usize| sees_itself && self.members.contains(lane);
        let current_value = || {
            let column = self.layout.lanes[lane].column.filter(|_| current(lane))?;
            self.columns[column].map(u64::cast_signed)
        };
        let value = match question.ask {
            Ask::Count => {
                let count = rows.count(lane, from, to) + u64::from(current(lane));
                Number::Whole(count.cast_signed())
            }
            Ask::Frauds => Number::Whole(rows.count(lane, from, to).cast_signed()),
            Ask::FraudRate { counted } => {
                let all = rows.count(counted, from, to) + u64::from(current(counted));
                let frauds = rows.count(lane, from, to);
                if all == 0 { Number::Missing } else { Number::Real(frauds as f64 / all as f64) }
            }
            Ask::Distinct { members } => {
                distinct = self.layout.lanes[members].distinct;
                let others = rows.distinct(members, lane, from, to);
                let value = self.layout.lanes[members].column.and_then(|column| self.columns[column]);
                let is_new = |value| {
                    let seen = rows.seen_before(members, value, &cut.edges[0]);
                    seen.is_none_or(|seen| seen <= T::bound_ms(from))
                };
                let one_more = value.filter(|_| current(members)).is_some_and(is_new);
                Number::Whole((others + u64::from(one_more)).cast_signed())
            }
            Ask::Sum => {
                let sum = rows.sum(lane, from, to) + i128::from(current_value().unwrap_or(0));
                i64::try_from(sum).map_or(Number::Missing, |sum| question.value(sum))
            }
            Ask::Mean => {
                let mut count = rows.count(lane, from, to);
                let mut sum = rows.sum(lane, from, to);
                if let Some(value) = current_value() {
                    (count, sum) = (count + 1, sum + i128::from(value));
                }
                let mean = (count > 0).then(|| sum as f64 / count as f64);
                mean.map_or(Number::Missing, |mean| question.real(mean))
            }
            Ask::Stddev => {
                let mut moments = rows.moments(lane, from, to);
                if let Some(value) = current_value() {
                    moments.add(value);
                }
                moments.deviation().map_or(Number::Missing, |deviation| question.real(deviation))
            }
            Ask::Min | Ask::Max => {
                let extremes = rows.extremes(lane, from, to);
                let current = current_value().map(|value| (value, value));
                let both = wider(extremes, current);
                let value = both.map(|(least, largest)| if question.ask == Ask::Min { least } else { largest });
                value.map_or(Number::Missing, |value| question.value(value))
            }
            Ask::SinceLast | Ask::Age | Ask::Last { .. } | Ask::Speed => Number::Missing,
        };
        let doubt = Doubt {
            approximate: rows.is_approximate(from, to, distinct),
            filling: T::bound_ms(from).max(self.cutoff_ms) < question.complete_after_ms,
        };
        (value, doubt)
    }

    fn past_answer<T: Timeline>(
        &self,
        question: &Question,
        seen_before_ms: Option<i64>,
        rows: &T,
        value: &mut AggregateValue,
    ) -> Doubt {
        let event = self.event;
        let seen_ms = seen_before_ms.filter(|before| event.time_ms - before <= event.horizon_ms);
        let first_ms = seen_ms.map_or(event.time_ms, |_| self.past.first_ms.min(event.time_ms));
        // Each with the time of the oldest event it rests on.
        let nothing = (Number::Missing, i64::MIN);
        let trail = seen_ms.and(self.trail);
        let (number, rests_on_ms) = match question.ask {
            Ask::SinceLast => seen_ms.map_or(nothing, |seen_ms| (Number::Whole(event.time_ms - seen_ms), seen_ms)),
            Ask::Age => (Number::Whole(event.time_ms - first_ms), i64::MIN),
            Ask::Last { field } => match trail.and_then(|trail| trail.last(field, event.time_ms)) {
                Some((held, held_ms)) => {
                    value.clone_from(held);
                    return self.doubt_of_the_past(question, first_ms, held_ms, rows);
                }
                None => nothing,
            },
            _ => {
                let sees_itself = self.members.contains(question.lane);
                let current = if sees_itself { Located::of(event.transaction) } else { None };
                let speed = trail.and_then(|trail| trail.speed_kmh(event.time_ms, current));
                speed.map_or(nothing, |(speed_kmh, earlier_ms)| (Number::Real(speed_kmh), earlier_ms))
            }
        };
        number.write(value);
        self.doubt_of_the_past(question, first_ms, rests_on_ms, rows)
    }

    /// Whether an answer that rests on events since a time may not be what it would be.
    fn doubt_of_the_past<T: Timeline>(&self, question: &Question, first_ms: i64, rests_on_ms: i64, rows: &T) -> Doubt {
        let event = self.event;
        // An event that may be absent matters if it would be remembered and is newer than that.
        let reach_ms = first_ms.saturating_sub(event.horizon_ms);
        let absent_ms = question.complete_after_ms;
        let is_folded = || event.time_ms < self.past.left_ms && rows.is_folded_at(event.time_ms);
        Doubt {
            approximate: rests_on_ms == i64::MIN && is_folded(),
            filling: reach_ms <= absent_ms && rests_on_ms < absent_ms,
        }
    }

    fn seen_before<T: Timeline>(&self, cut: &Cut<'_, T>, seen: usize) -> Option<i64> {
        let left_ms = Some(self.past.left_ms).filter(|left| *left != i64::MIN && *left <= self.event.time_ms);
        cut.rows.newest(seen, &cut.edges[0]).max(left_ms)
    }
}

impl Number {
    /// Takes the place of an earlier answer.
    fn write(self, value: &mut AggregateValue) {
        *value = match self {
            Self::Missing => AggregateValue::Missing,
            Self::Whole(number) => AggregateValue::Integer(number),
            Self::Real(number) => AggregateValue::Real(number),
        };
    }
}

impl Question {
    fn value(&self, value: i64) -> Number {
        if self.whole { Number::Whole(value) } else { self.real(value as f64) }
    }

    fn real(&self, value: f64) -> Number {
        Number::Real(if self.millionths { value / 1_000_000.0 } else { value })
    }
}
