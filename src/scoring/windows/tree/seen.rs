//! Which of a busy key's rows is the newest of its value, and when each row's value was seen before. It keeps both
//! right as rows join and leave; it counts nothing.

use super::{
    super::{
        block::Shape,
        layout::{Lane, Layout},
    },
    Position, Tree,
};

impl Tree {
    /// Notes a new member of a lane whose values are counted once.
    pub(super) fn link(&mut self, layout: &Layout, members: usize, at: Position) {
        let shape = layout.shape(true);
        let Lane { latest: Some(latest), column: Some(column), distinct: Some(place), .. } = layout.lanes[members]
        else {
            return;
        };
        let since = layout.columns.len() + place;
        let time_ms = self.time_ms(layout, at);
        let value = self.block(at).value(shape, column, at.row);
        match self.latest[place].get(&value).copied() {
            Some(newer) if newer > time_ms || newer == time_ms && self.is_behind(layout, latest, value, at) => {
                let next = Position { row: at.row + 1, ..at };
                let Some(next) = self.find_from(layout, members, value, next) else { return };
                let before = self.seen_before_row(layout, place, next);
                let next_ms = self.time_ms(layout, next);
                self.set_since(shape, since, at, before.map(|before| time_ms - before));
                self.set_since(shape, since, next, Some(next_ms - time_ms));
                return;
            }
            Some(older) => {
                if let Some(old) = self.find_back(layout, latest, value, older, None) {
                    self.set_latest(latest, old, false);
                }
                self.set_since(shape, since, at, Some(time_ms - older));
            }
            None => {
                let folded = self.panes.as_mut().and_then(|panes| panes.seen_again(place, value));
                self.set_since(shape, since, at, folded.map(|folded| time_ms - folded));
            }
        }
        self.set_latest(latest, at, true);
        self.latest[place].insert(value, time_ms);
    }

    /// Forgets a member of a lane whose values are counted once.
    pub(super) fn unlink(&mut self, layout: &Layout, members: usize, at: Position) {
        let shape = layout.shape(true);
        let Lane { latest: Some(latest), column: Some(column), distinct: Some(place), .. } = layout.lanes[members]
        else {
            return;
        };
        let since = layout.columns.len() + place;
        let value = self.block(at).value(shape, column, at.row);
        let before = self.seen_before_row(layout, place, at);
        if !self.bit(latest, at) {
            let next = Position { row: at.row + 1, ..at };
            if let Some(next) = self.find_from(layout, members, value, next) {
                let next_ms = self.time_ms(layout, next);
                self.set_since(shape, since, next, before.map(|before| next_ms - before));
            }
            return;
        }
        self.set_latest(latest, at, false);
        let old = before.and_then(|before| self.find_back(layout, members, value, before, Some(at)));
        match (old, before) {
            (Some(old), Some(before)) => {
                self.set_latest(latest, old, true);
                self.latest[place].insert(value, before);
            }
            _ => drop(self.latest[place].remove(&value)),
        }
    }

    /// Whether the latest row of a value, which has the time of a row, stands behind it.
    pub(super) fn is_behind(&self, layout: &Layout, latest: usize, value: u64, at: Position) -> bool {
        let time_ms = self.time_ms(layout, at);
        self.find_back(layout, latest, value, time_ms, None).is_some_and(|latest| latest > at)
    }

    pub(super) fn set_latest(&mut self, latest: usize, at: Position, is_latest: bool) {
        let part = &mut self.parts[at.part];
        part.blocks[at.block].set_bit(latest, at.row, is_latest);
        part.before.change_count_from(at.block + 1, latest, is_latest);
        self.before.change_count_from(at.part + 1, latest, is_latest);
    }

    // A row's time since its value was last seen is kept plus one, so that zero says never.
    pub(super) fn set_since(&mut self, shape: Shape, column: usize, at: Position, since_ms: Option<i64>) {
        let value = since_ms.map_or(0, |since_ms| since_ms.cast_unsigned() + 1);
        let block = &mut self.parts[at.part].blocks[at.block];
        let bytes = block.bytes();
        block.set_value(shape, column, at.row, value);
        self.block_bytes = self.block_bytes + block.bytes() - bytes;
    }

    pub(super) fn seen_before_row(&self, layout: &Layout, place: usize, at: Position) -> Option<i64> {
        let shape = layout.shape(true);
        let since = self.block(at).value(shape, layout.columns.len() + place, at.row);
        (since != 0).then(|| self.time_ms(layout, at) - (since - 1).cast_signed())
    }

    /// The oldest member of a lane with a value from a place on.
    pub(super) fn find_from(&self, layout: &Layout, lane: usize, value: u64, from: Position) -> Option<Position> {
        let (shape, column) = (layout.shape(true), layout.lanes[lane].column?);
        let mut start = from.row;
        for (part, block) in self.places_from(from) {
            let here = &self.parts[part].blocks[block];
            if let Some(row) = here.find(shape, lane, column, value, start, here.len()) {
                return Some(Position { part, block, row });
            }
            start = 0;
        }
        None
    }

    /// The newest member of a lane with a value among the rows of a time, before a place.
    pub(super) fn find_back(
        &self,
        layout: &Layout,
        lane: usize,
        value: u64,
        time_ms: i64,
        before: Option<Position>,
    ) -> Option<Position> {
        let (shape, column) = (layout.shape(true), layout.lanes[lane].column?);
        let end = self.position(layout, time_ms);
        let end = before.map_or(end, |before| before.min(end));
        let mut to = end.row;
        for (part, block) in self.places_back(end) {
            let here = &self.parts[part].blocks[block];
            let to_here = to.min(here.len());
            let from = time_ms.checked_sub(1).map_or(0, |bound| here.rank(shape, bound));
            if let Some(row) = here.find_last(shape, lane, column, value, from.min(to_here), to_here) {
                return Some(Position { part, block, row });
            }
            if from > 0 {
                return None;
            }
            to = usize::MAX;
        }
        None
    }
}
