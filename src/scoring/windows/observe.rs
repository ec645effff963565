//! A transaction meets the windows: its aggregates are answered, then it takes its place. It changes no earlier row.

use crate::scoring::{
    plan::{AggregateValue, FilterBits},
    transaction::{Transaction, TransactionType},
};

use super::{
    Observed, Place, Places, Windows,
    answer::{Event, Held},
    block::{Block, Row},
    few::Few,
    key::{KeyPrint, Prints, numeric},
    lanes::Lanes,
    layout::Column,
    log::{Log, Past},
    recency::NEVER,
    rows::Rows,
    tree::Many,
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
    members: Lanes,
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
        // Every place is written below, whatever stands there.
        if values.len() != self.aggregates {
            values.resize(self.aggregates, AggregateValue::Missing);
        }
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
            match scratch.found[index] {
                Some((print, slot)) => {
                    self.observe_key(index, &event, print, slot, values, &mut observed, &mut scratch);
                }
                None => {
                    for question in &self.logs[index].layout.questions {
                        values[question.aggregate] = AggregateValue::Missing;
                    }
                }
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
        let enters_rows = event.time_ms > cutoff_ms && !scratch.members.is_empty();
        let is_seen = log.layout.past.is_some()
            && matches!(event.transaction.kind, TransactionType::Authorization | TransactionType::Verification)
            && event.time_ms >= event.highest_ms.saturating_sub(memory_ms);
        let slot = match slot {
            None if enters_rows || is_seen => Some(self.create(index, print, event.highest_ms)),
            slot => slot,
        };
        let log = &mut self.logs[index];
        if let Some(slot) = slot {
            log.update(slot);
        }
        let held = Held {
            event,
            layout: &log.layout,
            past: slot.map_or(Past::NONE, |slot| log.past(slot)),
            trail: slot.and_then(|slot| log.trail(slot)),
            cutoff_ms,
            members: &scratch.members,
            columns: &scratch.columns,
        };
        let seen_before_ms = match slot.map(|slot| log.rows_of(slot)) {
            Some(Rows::Many(tree)) => held.answer(&Many::new(&log.layout, tree), values, observed),
            Some(Rows::Few(block)) => held.answer(&Few::new(&log.layout, block), values, observed),
            None => held.answer(&Few::new(&log.layout, &Block::empty()), values, observed),
        };
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
        let (layout, rows) = log.rows_mut(slot);
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
        let is_newest =
            event.time_ms == event.highest_ms || log.newest_seen(slot).is_none_or(|newest| newest <= event.time_ms);
        let Some(past) = log.past_mut(slot) else { return };
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
        layout.enter(self.transaction.kind, self.filters, &scratch.columns, &mut scratch.members);
    }
}
