//! Where things stand by a tag of 32 bits of their hash: tags and places side by side, so that a look-up waits for
//! memory once. It holds no key: whoever asks compares.

/// A tag and a place. The tag 0 marks a free cell; what would have it gets 1.
#[derive(Clone, Copy, Default)]
struct Cell {
    tag: u32,
    place: u32,
}

/// Cells of a shard that has any.
const CELLS_MIN: usize = 8;
/// A shard grows beyond five eighths: fuller ones are probed long, emptier ones waste memory.
const FULL: (usize, usize) = (5, 8);

/// Cells in a power of two of them. A tag stands at its lowest bits or, in an unbroken run, behind.
#[derive(Clone, Default)]
struct Shard {
    cells: Box<[Cell]>,
    len: usize,
}

/// Places by tag, in shards that grow one by one, so that none of them is a long pause.
pub(super) struct TagIndex {
    shards: Box<[Shard]>,
}

impl TagIndex {
    /// An empty index of so many shards, at least one.
    pub(super) fn new(shards: usize) -> Self {
        Self { shards: vec![Shard::default(); shards.max(1)].into_boxed_slice() }
    }

    /// Bytes of the allocations.
    pub(super) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| size_of::<Shard>() + size_of_val(&*shard.cells)).sum()
    }

    /// The place under a tag that `is_it` recognises. `hash` chooses the shard and is independent of the tag.
    pub(super) fn find(&self, hash: u32, tag: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let (shard, tag) = (&self.shards[hash as usize % self.shards.len()], tag.max(1));
        let mut at = tag as usize;
        loop {
            // An empty shard has no cell at all, and any other has a free one.
            let cell = shard.cells.get(at & shard.cells.len().wrapping_sub(1))?;
            if cell.tag == tag && is_it(cell.place) {
                return Some(cell.place);
            }
            if cell.tag == 0 {
                return None;
            }
            at += 1;
        }
    }

    /// Adds a place under a tag, beside any others.
    pub(super) fn insert(&mut self, hash: u32, tag: u32, place: u32) {
        let shards = self.shards.len();
        let shard = &mut self.shards[hash as usize % shards];
        if (shard.len + 1) * FULL.1 > shard.cells.len() * FULL.0 {
            shard.grow();
        }
        shard.put(Cell { tag: tag.max(1), place });
        shard.len += 1;
    }

    /// Another place instead of one that is there.
    pub(super) fn replace(&mut self, hash: u32, tag: u32, place: u32, by: u32) {
        let shards = self.shards.len();
        let shard = &mut self.shards[hash as usize % shards];
        if let Some(at) = shard.position(tag.max(1), place) {
            shard.cells[at].place = by;
        }
    }

    /// Takes a place out.
    pub(super) fn remove(&mut self, hash: u32, tag: u32, place: u32) {
        let shards = self.shards.len();
        let shard = &mut self.shards[hash as usize % shards];
        let Some(mut hole) = shard.position(tag.max(1), place) else { return };
        // What stands behind in the run moves up, unless it would stand before where it belongs.
        let mask = shard.cells.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let cell = shard.cells[at];
            if cell.tag == 0 {
                break;
            }
            let displaced = at.wrapping_sub(cell.tag as usize) & mask;
            if displaced >= (at.wrapping_sub(hole) & mask) {
                shard.cells[hole] = cell;
                hole = at;
            }
        }
        shard.cells[hole] = Cell::default();
        shard.len -= 1;
    }
}

impl Shard {
    fn position(&self, tag: u32, place: u32) -> Option<usize> {
        let mask = self.cells.len().wrapping_sub(1);
        let mut at = tag as usize & mask;
        loop {
            let cell = self.cells.get(at)?;
            match (cell.tag, cell.place) {
                (0, _) => return None,
                found if found == (tag, place) => return Some(at),
                _ => at = (at + 1) & mask,
            }
        }
    }

    fn put(&mut self, cell: Cell) {
        let mask = self.cells.len() - 1;
        let mut at = cell.tag as usize & mask;
        while self.cells[at].tag != 0 {
            at = (at + 1) & mask;
        }
        self.cells[at] = cell;
    }

    fn grow(&mut self) {
        let cells = vec![Cell::default(); (2 * self.cells.len()).max(CELLS_MIN)].into_boxed_slice();
        for cell in std::mem::replace(&mut self.cells, cells).iter().filter(|cell| cell.tag != 0) {
            self.put(*cell);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tag_of_zero_is_found_and_removed() {
        let mut index = TagIndex::new(1);
        for place in 0..3 {
            index.insert(0, 0, place);
        }
        assert_eq!(index.find(0, 0, |place| place == 2), Some(2));
        index.remove(0, 0, 1);
        index.replace(0, 0, 2, 9);
        assert_eq!(index.find(0, 0, |place| place == 1), None);
        assert_eq!(index.find(0, 0, |place| place == 9), Some(9));
    }

    proptest! {
        /// Few tags, so that runs are long, wrap around and hold several places of one tag.
        #[test]
        fn holds_what_a_set_holds(
            steps in proptest::collection::vec((any::<bool>(), 0..3_u32, 0..40_u32, 0..6_u32), 0..400),
            spread in prop::sample::select(vec![1_u32, 7, u32::MAX / 40]),
        ) {
            let mut index = TagIndex::new(2);
            let mut twin = BTreeSet::new();
            for (adds, hash, tag, place) in steps {
                let (tag, shard) = (tag.wrapping_mul(spread), hash % 2);
                // Tags 0 and 1 are one and the same to the index.
                let key = (shard, tag.max(1), place);
                if adds && twin.insert(key) {
                    index.insert(hash, tag, place);
                } else if !adds {
                    twin.remove(&key);
                    index.remove(hash, tag, place);
                }
                for (shard, tag, place) in &twin {
                    prop_assert_eq!(index.find(*shard, *tag, |found| found == *place), Some(*place));
                }
                prop_assert_eq!(index.find(hash, tag, |found| found == place).is_some(), twin.contains(&key));
                prop_assert_eq!(index.shards.iter().map(|shard| shard.len).sum::<usize>(), twin.len());
            }
        }
    }
}
