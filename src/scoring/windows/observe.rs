//! A transaction meets the windows: its aggregates are answered, then it takes its place. It changes no earlier row.

use crate::scoring::{
    plan::{AggregateValue, FilterBits},
    transaction::{Transaction, TransactionType},
};

use super::{
    Observed, Place, Places, Windows,
    block::Row,
    key::{KeyPrint, Prints, numeric},
    layout::{Ask, Column, Lane, Layout, Question},
    log::{Log, Past},
    recency::NEVER,
    rows::Rows,
    summary::wider,
    trail::{Located, Trail},
    tree::Edge,
};

/// Memory used again for each transaction.
#[derive(Default)]
pub(super) struct Scratch {
    prints: Prints,
    found: Vec<Option<(KeyPrint, Option<u32>)>>,
    /// What was read ahead: it means nothing.
    warmed: u32,
    columns: Vec<Option<u64>>,
    values: Vec<u64>,
    members: Vec<bool>,
    edges: Vec<Edge>,
}

/// A transaction as the logs see it.
#[derive(Clone, Copy)]
struct Event<'e, 't> {
    transaction: &'e Transaction<'t>,
    amount_base_minor: Option<i64>,
    filters: &'e FilterBits,
    time_ms: i64,
    /// The highest event time, this one included.
    highest_ms: i64,
    horizon_ms: i64,
}

/// What a log holds of the transaction's key.
struct Held<'h> {
    layout: &'h Layout,
    rows: &'h Rows,
    past: Past,
    /// No window in order reaches what is not newer.
    cutoff_ms: i64,
    trail: Option<&'h Trail>,
    edges: &'h [Edge],
    members: &'h [bool],
    columns: &'h [Option<u64>],
}

impl Windows {
    /// Answers every aggregate of the plan for a transaction, in the plan's order, and takes the transaction in.
    pub fn observe(
        &mut self,
        transaction: &Transaction<'_>,
        amount_base_minor: Option<i64>,
        filters: &FilterBits,
        values: &mut Vec<AggregateValue>,
    ) -> Observed {
        let time_ms = transaction.time.unix_ms();
        let highest_before_ms = self.highest_ms.unwrap_or(i64::MIN);
        let highest_ms = highest_before_ms.max(time_ms);
        self.highest_ms = Some(highest_ms);
        self.lowest_ms = self.lowest_ms.min(time_ms);
        self.observed = self.observed.wrapping_add(1).max(NEVER + 1);
        values.clear();
        values.resize(self.aggregates, AggregateValue::Missing);
        let mut observed = Observed {
            late: time_ms < highest_before_ms.saturating_sub(self.settings.lateness_ms),
            places: Places {
                time_ms,
                kind: transaction.kind,
                amount_base_minor,
                epoch: (self.epochs.len() - 1) as u16,
                ..Places::default()
            },
            ..Observed::default()
        };
        let event = Event {
            transaction,
            amount_base_minor,
            filters,
            time_ms,
            highest_ms,
            horizon_ms: self.settings.horizon_ms,
        };
        // Everything is looked up before anything is worked on, so that one key waits for memory while another does.
        let mut scratch = std::mem::take(&mut self.scratch);
        self.parts.read(transaction, amount_base_minor, &mut scratch.prints);
        let prints = self.logs.iter().map(|log| Some((KeyPrint::of(&log.key_parts, &scratch.prints)?, None)));
        scratch.found.clear();
        scratch.found.extend(prints);
        for (log, found) in self.logs.iter().zip(&mut scratch.found) {
            if let Some((print, slot)) = found {
                *slot = log.find(*print);
            }
        }
        for (log, found) in self.logs.iter_mut().zip(&scratch.found) {
            let Some((_, Some(slot))) = *found else { continue };
            log.touch(slot, self.observed);
            scratch.warmed = scratch.warmed.wrapping_add(log.warm(slot));
        }
        for index in 0..self.logs.len() {
            if let Some((print, slot)) = scratch.found[index] {
                self.observe_key(index, &event, print, slot, values, &mut observed, &mut scratch);
            }
        }
        self.scratch = scratch;
        observed
    }

    #[expect(clippy::too_many_arguments, reason = "the two results and the memory used again are the caller's")]
    fn observe_key(
        &mut self,
        index: usize,
        event: &Event<'_, '_>,
        print: KeyPrint,
        slot: Option<u32>,
        values: &mut [AggregateValue],
        observed: &mut Observed,
        scratch: &mut Scratch,
    ) {
        let log = &mut self.logs[index];
        event.read(log, scratch);
        let mut had_state = slot.is_some();
        if let Some(slot) = slot
            && log.is_expired(slot, event.highest_ms)
        {
            log.reset(slot);
            had_state = false;
        }
        let memory_ms = log.layout.memory_ms;
        if !had_state {
            let reach_ms = event.highest_ms.saturating_sub(memory_ms);
            let was_evicted = log.evicted_at_ms.is_some_and(|evicted_at_ms| evicted_at_ms >= reach_ms);
            observed.evicted |= was_evicted && index < self.keys_answering;
        }
        let cutoff_ms = event.highest_ms.saturating_sub(log.layout.retention_ms);
        let enters_rows = event.time_ms > cutoff_ms && scratch.members.contains(&true);
        let is_seen = log.layout.past.is_some()
            && matches!(event.transaction.kind, TransactionType::Authorization | TransactionType::Verification)
            && event.time_ms >= event.highest_ms.saturating_sub(memory_ms);
        let slot = match slot {
            None if enters_rows || is_seen => Some(self.create(index, print, event.highest_ms)),
            slot => slot,
        };
        let nothing = Rows::empty();
        let log = &mut self.logs[index];
        if let Some(slot) = slot {
            log.update(slot);
        }
        let (layout, rows, trail) = log.held(slot, &nothing);
        scratch.edges.clear();
        for offset in &layout.offsets {
            // What is no longer reached by any window in order is as if it were gone already.
            let bound_ms = event.time_ms.saturating_sub(*offset).max(cutoff_ms.min(event.time_ms));
            scratch.edges.push(rows.edge(layout, bound_ms));
        }
        let held = Held {
            layout,
            rows,
            past: slot.map_or(Past::NONE, |slot| log.past(slot)),
            cutoff_ms,
            trail,
            edges: &scratch.edges,
            members: &scratch.members,
            columns: &scratch.columns,
        };
        let seen_before_ms = held.answer(event, values, observed);
        let Some(slot) = slot else { return };
        if enters_rows {
            let rank = self.enter_rows(index, slot, event, scratch, cutoff_ms);
            let log = &self.logs[index];
            if log.layout.is_changeable {
                let generation = log.generation(slot);
                observed.places.items.push(Place { log: log.number, slot, generation, rank: rank as u32 });
            }
        }
        if is_seen {
            self.enter_past(index, slot, event, seen_before_ms, enters_rows);
        }
        self.logs[index].expire(event.highest_ms, self.observed);
    }

    fn enter_rows(
        &mut self,
        index: usize,
        slot: u32,
        event: &Event<'_, '_>,
        scratch: &Scratch,
        cutoff_ms: i64,
    ) -> usize {
        let log = &mut self.logs[index];
        let (layout, rows) = log.rows(slot);
        let before = (rows.len() as u64, rows.bytes() as u64);
        let row = Row { time_ms: event.time_ms, members: &scratch.members, values: &scratch.values };
        let inserted = rows.insert(layout, row, cutoff_ms, self.settings.events_per_key_max);
        let after = (rows.len() as u64, rows.bytes() as u64);
        log.rows = log.rows + after.0 - before.0;
        log.row_bytes = log.row_bytes + after.1 - before.1;
        self.folds += inserted.left.folds;
        if let (Some(left_ms), Some(past)) = (inserted.left.seen_ms, log.past_mut(slot)) {
            past.left_ms = past.left_ms.max(left_ms);
        }
        inserted.rank
    }

    /// `seen_before_ms` is when the key was last seen up to this time.
    fn enter_past(
        &mut self,
        index: usize,
        slot: u32,
        event: &Event<'_, '_>,
        seen_before_ms: Option<i64>,
        in_rows: bool,
    ) {
        let (settings, log) = (&self.settings, &mut self.logs[index]);
        let newest_ms = log.newest_seen(slot);
        let Some(past) = log.past_mut(slot) else { return };
        let is_newest = newest_ms.is_none_or(|newest| newest <= event.time_ms);
        let mut is_forgotten = false;
        // Rows kept for a plan that asked nothing of the past know of no first event: it counts from here, and as long
        // as something older may be absent the answer is reported as filling.
        let is_unknown = past.first_ms == i64::MAX;
        let is_forgetting = seen_before_ms.is_none_or(|before| event.time_ms - before > event.horizon_ms);
        if is_unknown || is_newest && is_forgetting {
            past.first_ms = event.time_ms;
            is_forgotten = true;
        } else if event.time_ms < past.first_ms && past.first_ms - event.time_ms <= event.horizon_ms {
            past.first_ms = event.time_ms;
        }
        // Older than what is remembered by more than the horizon: it is forgotten already.
        let is_known = event.time_ms >= past.first_ms;
        if !in_rows {
            past.left_ms = past.left_ms.max(event.time_ms);
        }
        if !is_known || !log.layout.asks_trail() {
            return;
        }
        if is_forgotten {
            log.clear_trail(slot);
        }
        let settled_ms = event.highest_ms.saturating_sub(settings.lateness_ms);
        let events_max = settings.events_per_key_max;
        log.change_trail(slot, |layout, trail| {
            trail.insert(layout, event.transaction, event.amount_base_minor, settled_ms, events_max);
        });
    }

    /// A slot for a new key; the least recently seen is evicted where there are too many.
    fn create(&mut self, index: usize, print: KeyPrint, highest_ms: i64) -> u32 {
        while self.logs.iter().map(Log::len).sum::<usize>() >= self.settings.keys_max {
            for log in &mut self.logs {
                log.expires_ms = i64::MIN;
                log.expire(highest_ms, self.observed);
            }
            if self.logs.iter().map(Log::len).sum::<usize>() < self.settings.keys_max {
                break;
            }
            let oldest = self.logs.iter_mut().enumerate().filter_map(|(index, log)| {
                let (slot, seen) = log.least_recent()?;
                Some((self.observed.wrapping_sub(seen), std::cmp::Reverse(index), slot))
            });
            let Some((_, std::cmp::Reverse(index), slot)) = oldest.max() else { break };
            self.logs[index].remove(slot);
            self.logs[index].evicted_at_ms = Some(highest_ms);
            self.evictions += 1;
        }
        self.logs[index].create(print, self.observed)
    }
}

impl Event<'_, '_> {
    /// Reads the values that a log keeps, and what the transaction is a member of.
    fn read(&self, log: &Log, scratch: &mut Scratch) {
        let layout = &log.layout;
        scratch.columns.clear();
        let prints = &scratch.prints;
        scratch.columns.extend(layout.columns.iter().zip(&log.hash_parts).map(|(column, part)| match *column {
            Column::Net => self.amount_base_minor.map(i64::cast_unsigned),
            Column::Value(field) => numeric(field, self.transaction, self.amount_base_minor).map(i64::cast_unsigned),
            Column::Hash(_) => prints[*part].map(|print| (print >> 64) as u64),
        }));
        scratch.values.clear();
        scratch.values.extend(scratch.columns.iter().map(|value| value.unwrap_or_default()));
        scratch.members.clear();
        scratch.members.extend(layout.lanes.iter().map(|lane| self.enters(lane, &scratch.columns)));
    }

    fn enters(&self, lane: &Lane, columns: &[Option<u64>]) -> bool {
        Layout::admits(lane, self.transaction.kind)
            && !lane.settled
            && lane.filter.is_none_or(|filter| self.filters.get(filter))
            && lane.column.is_none_or(|column| columns[column].is_some())
    }
}

impl Held<'_> {
    /// Answers the log's questions and says when the key was last seen.
    fn answer(&self, event: &Event<'_, '_>, values: &mut [AggregateValue], observed: &mut Observed) -> Option<i64> {
        let seen_before_ms = self.layout.past.and_then(|seen| self.seen_before(event, seen));
        for question in &self.layout.questions {
            let told = (observed.approximate, observed.filling);
            let value = match question.ask {
                Ask::SinceLast | Ask::Age | Ask::Last { .. } | Ask::Speed => {
                    self.past_answer(event, question, seen_before_ms, observed)
                }
                _ => self.window_answer(event, question, observed),
            };
            if question.in_shadow {
                (observed.approximate, observed.filling) = told;
            }
            values[question.aggregate] = value;
        }
        seen_before_ms
    }

    fn window_answer(&self, event: &Event<'_, '_>, question: &Question, observed: &mut Observed) -> AggregateValue {
        let (from, to) = (&self.edges[question.from], &self.edges[question.to]);
        let lane = &self.layout.lanes[question.lane];
        observed.filling |= from.time_ms.max(self.cutoff_ms) < question.complete_after_ms;
        let members = match question.ask {
            Ask::Distinct { members } => Some(members),
            _ => None,
        };
        let distinct = members.and_then(|members| self.layout.lanes[members].distinct);
        observed.approximate |= self.rows.is_approximate(from, to, distinct);
        let sees_itself = question.with_current && event.transaction.kind != TransactionType::Refund;
        let current = |lane: usize| sees_itself && self.members[lane];
        let current_value = || {
            let column = lane.column.filter(|_| current(question.lane))?;
            self.columns[column].map(u64::cast_signed)
        };
        let (layout, rows) = (self.layout, self.rows);
        match question.ask {
            Ask::Count => {
                let count = rows.count(question.lane, from, to) + u64::from(current(question.lane));
                AggregateValue::Integer(count.cast_signed())
            }
            Ask::Frauds => AggregateValue::Integer(rows.count(question.lane, from, to).cast_signed()),
            Ask::FraudRate { counted } => {
                let all = rows.count(counted, from, to) + u64::from(current(counted));
                let frauds = rows.count(question.lane, from, to);
                if all == 0 { AggregateValue::Missing } else { AggregateValue::Real(frauds as f64 / all as f64) }
            }
            Ask::Distinct { members } => {
                let others = rows.distinct(layout, members, question.lane, from, to);
                let value = layout.lanes[members].column.and_then(|column| self.columns[column]);
                let is_new = |value| {
                    let seen = rows.seen_before(layout, members, value, &self.edges[0]);
                    seen.is_none_or(|seen| seen <= from.time_ms)
                };
                let one_more = value.filter(|_| current(members)).is_some_and(is_new);
                AggregateValue::Integer((others + u64::from(one_more)).cast_signed())
            }
            Ask::Sum => {
                let sum = rows.sum(layout, question.lane, from, to) + i128::from(current_value().unwrap_or(0));
                i64::try_from(sum).map_or(AggregateValue::Missing, |sum| question.value(sum))
            }
            Ask::Mean => {
                let mut count = rows.count(question.lane, from, to);
                let mut sum = rows.sum(layout, question.lane, from, to);
                if let Some(value) = current_value() {
                    (count, sum) = (count + 1, sum + i128::from(value));
                }
                let mean = (count > 0).then(|| sum as f64 / count as f64);
                mean.map_or(AggregateValue::Missing, |mean| question.real(mean))
            }
            Ask::Stddev => {
                let mut moments = rows.moments(layout, question.lane, from, to);
                if let Some(value) = current_value() {
                    moments.add(value);
                }
                moments.deviation().map_or(AggregateValue::Missing, |deviation| question.real(deviation))
            }
            Ask::Min | Ask::Max => {
                let extremes = rows.extremes(layout, question.lane, from, to);
                let current = current_value().map(|value| (value, value));
                let both = wider(extremes, current);
                let value = both.map(|(least, largest)| if question.ask == Ask::Min { least } else { largest });
                value.map_or(AggregateValue::Missing, |value| question.value(value))
            }
            Ask::SinceLast | Ask::Age | Ask::Last { .. } | Ask::Speed => AggregateValue::Missing,
        }
    }

    fn past_answer(
        &self,
        event: &Event<'_, '_>,
        question: &Question,
        seen_before_ms: Option<i64>,
        observed: &mut Observed,
    ) -> AggregateValue {
        let seen_ms = seen_before_ms.filter(|before| event.time_ms - before <= event.horizon_ms);
        let first_ms = seen_ms.map_or(event.time_ms, |_| self.past.first_ms.min(event.time_ms));
        // Each with the time of the oldest event it rests on.
        let answer = match question.ask {
            Ask::SinceLast => seen_ms.map(|seen_ms| (AggregateValue::Integer(event.time_ms - seen_ms), seen_ms)),
            Ask::Age => Some((AggregateValue::Integer(event.time_ms - first_ms), i64::MIN)),
            Ask::Last { field } => seen_ms.and(self.trail).and_then(|trail| trail.last(field, event.time_ms)),
            _ => {
                let sees_itself = self.members[question.lane];
                let current = if sees_itself { Located::of(event.transaction) } else { None };
                let speed = seen_ms.and(self.trail).and_then(|trail| trail.speed_kmh(event.time_ms, current));
                speed.map(|(speed_kmh, earlier_ms)| (AggregateValue::Real(speed_kmh), earlier_ms))
            }
        };
        let (value, rests_on_ms) = answer.unwrap_or((AggregateValue::Missing, i64::MIN));
        // An event that may be absent matters if it would be remembered and is newer than that.
        let reach_ms = first_ms.saturating_sub(event.horizon_ms);
        let absent_ms = question.complete_after_ms;
        observed.filling |= reach_ms <= absent_ms && rests_on_ms < absent_ms;
        let is_folded = event.time_ms < self.past.left_ms && self.rows.is_folded_at(event.time_ms);
        observed.approximate |= rests_on_ms == i64::MIN && is_folded;
        value
    }

    fn seen_before(&self, event: &Event<'_, '_>, seen: usize) -> Option<i64> {
        let left_ms = Some(self.past.left_ms).filter(|left| *left != i64::MIN && *left <= event.time_ms);
        self.rows.newest(self.layout, seen, &self.edges[0]).max(left_ms)
    }
}

impl Question {
    fn value(&self, value: i64) -> AggregateValue {
        if self.whole { AggregateValue::Integer(value) } else { self.real(value as f64) }
    }

    fn real(&self, value: f64) -> AggregateValue {
        let value = if self.millionths { value / 1_000_000.0 } else { value };
        AggregateValue::Real(value)
    }
}
