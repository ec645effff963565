//! What becomes known of a transaction later: its verdict, a reversal, an outcome, a label. It answers no aggregate.

use smallvec::SmallVec;

use crate::scoring::{
    field::Field,
    plan::{OutcomeState, SettledBits},
};

use super::{
    Place, Places, RowState, Windows,
    layout::{Column, LaneKind, Layout},
    log::Log,
    panes::Amendment,
    rows::{Found, Rows, member_change},
    tree::Position,
};

impl Windows {
    /// Enters a transaction into the aggregates that test its verdict or outcome, once its verdict is known.
    pub fn settle(&mut self, places: &mut Places, settled: &SettledBits) {
        if self.settled_filters.is_empty() {
            return;
        }
        places.settled.clear();
        for filter in &self.settled_filters {
            let passes = OutcomeState::ALL.iter().map(|state| u8::from(settled.get(*filter, *state)) << *state as u8);
            places.settled.push(passes.sum());
        }
        let unheard_of = 1 << OutcomeState::Unknown as u8;
        if places.settled.iter().all(|table| table & unheard_of == 0) {
            // It enters no lane that waits for a verdict, and stands in none yet.
            return;
        }
        let fresh = RowState::fresh(places.amount_base_minor);
        // Only where a lane waits for the verdict can there be anything to change.
        self.amend_where(places, &fresh, &fresh, |layout| layout.settles);
    }

    /// Changes a transaction wherever it stands.
    pub fn amend(&mut self, places: &Places, before: &RowState, after: &RowState) {
        self.amend_where(places, before, after, |_| true);
    }

    fn amend_where(
        &mut self,
        places: &Places,
        before: &RowState,
        after: &RowState,
        concerns: impl Fn(&Layout) -> bool,
    ) {
        let Some(epoch) = self.epochs.get(usize::from(places.epoch)) else { return };
        let highest_ms = self.highest_ms.unwrap_or(i64::MIN);
        let passes = |filter: usize, state: OutcomeState| {
            let table = epoch.get(filter).copied().flatten().and_then(|place| places.settled.get(place));
            table.is_some_and(|table| table >> state as u8 & 1 == 1)
        };
        for place in &places.items {
            let Some(log) = self.logs.iter_mut().find(|log| log.number == place.log) else { continue };
            if !concerns(&log.layout) {
                continue;
            }
            let is_kept = places.time_ms > highest_ms.saturating_sub(log.layout.retention_ms);
            if !is_kept || !log.holds(place.slot, place.generation) {
                continue;
            }
            // By lane: whether the transaction passes the lane's filter on verdict or outcome.
            let passing: SmallVec<[bool; 32]> = log
                .layout
                .lanes
                .iter()
                .map(|lane| {
                    let filter = self.settled_filters.iter().position(|filter| Some(*filter) == lane.filter);
                    filter.is_some_and(|filter| passes(filter, after.outcome))
                })
                .collect();
            amend_place(log, *place, places, &Amended { before, after, passing: &passing });
        }
    }
}

struct Amended<'a> {
    before: &'a RowState,
    after: &'a RowState,
    passing: &'a [bool],
}

fn amend_place(log: &mut Log, place: Place, places: &Places, amended: &Amended<'_>) {
    let (layout, rows) = log.rows(place.slot);
    let bytes = rows.bytes() as u64;
    match rows.locate(layout, places.time_ms, place.rank as usize) {
        Found::Row(at) => amend_row(layout, rows, at, amended),
        Found::Folded => amend_folded(layout, rows, places, amended),
        Found::Nowhere => {}
    }
    let after = rows.bytes() as u64;
    log.row_bytes = log.row_bytes + after - bytes;
}

fn amend_row(layout: &Layout, rows: &mut Rows, at: Position, amended: &Amended<'_>) {
    let Amended { before, after, passing } = amended;
    if let (Some(column), Some(net)) =
        (net_column(layout), after.net_minor.filter(|_| after.net_minor != before.net_minor))
    {
        rows.set_value(layout, column, at, net);
    }
    // A lane comes after the one it stands on.
    for (index, lane) in layout.lanes.iter().enumerate() {
        let is_member = match (lane.kind, lane.base) {
            (LaneKind::Latest(_), _) => continue,
            (LaneKind::Frauds, Some(counted)) => rows.bit(counted, at) && after.fraud,
            (_, Some(base)) => rows.bit(base, at) && passing[index],
            (kind, None) => rows.bit(index, at) && !(after.reversed && leaves_reversed(kind)),
        };
        rows.set_member(layout, index, at, is_member);
    }
}

/// A folded row's filters are no longer known, so only the lanes without one follow.
fn amend_folded(layout: &Layout, rows: &mut Rows, places: &Places, amended: &Amended<'_>) {
    let Amended { before, after, .. } = amended;
    let changes = layout.lanes.iter().enumerate().filter(|(_, lane)| lane.filter.is_none());
    let changes = changes.filter_map(|(index, lane)| {
        let change = match lane.kind {
            LaneKind::Frauds if before.fraud != after.fraud => {
                lane.base.filter(|base| Layout::admits(&layout.lanes[*base], places.kind))?;
                member_change(after.fraud, 0)
            }
            LaneKind::Sum(Field::Amount) if Layout::admits(lane, places.kind) => {
                Amendment::Sum(i128::from(after.net_minor?) - i128::from(before.net_minor?))
            }
            LaneKind::Value(Field::Amount) if after.reversed && !before.reversed => {
                Some(()).filter(|()| Layout::admits(lane, places.kind))?;
                member_change(false, places.amount_base_minor?)
            }
            _ => return None,
        };
        Some((index, change))
    });
    rows.amend_folded(layout, places.time_ms, changes);
}

fn net_column(layout: &Layout) -> Option<usize> {
    layout.columns.iter().position(|column| *column == Column::Net)
}

/// Whether a transaction of which nothing is left leaves a lane. Its amount in sums is zero then, so it need not leave
/// those of the amount.
fn leaves_reversed(kind: LaneKind) -> bool {
    match kind {
        LaneKind::Value(_) => true,
        LaneKind::Sum(field) => field != Field::Amount,
        LaneKind::Count | LaneKind::Frauds | LaneKind::Member(_) | LaneKind::Latest(_) => false,
    }
}
