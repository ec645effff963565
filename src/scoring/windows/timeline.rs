//! A key's rows in time order, as the questions of a plan see them: what lies between two edges of a window. Nothing here
//! changes a row.

use super::{moments::Moments, table::Extremes};

/// The rows of one key: a few in a block, or many in a tree.
pub(super) trait Timeline {
    /// The edge of a window: what lies at or before a time.
    type Edge: Copy;

    /// The edge at a time.
    fn edge(&self, bound_ms: i64) -> Self::Edge;

    /// The time of an edge.
    fn bound_ms(edge: &Self::Edge) -> i64;

    /// How many members of a lane lie between two edges.
    fn count(&self, lane: usize, from: &Self::Edge, to: &Self::Edge) -> u64;

    /// The sum over the members of a lane between two edges.
    fn sum(&self, lane: usize, from: &Self::Edge, to: &Self::Edge) -> i128;

    /// Count, sum and, where they are asked for, squares over the members of a lane between two edges.
    fn moments(&self, lane: usize, from: &Self::Edge, to: &Self::Edge) -> Moments;

    /// The least and the largest value of the members of a lane between two edges.
    fn extremes(&self, lane: usize, from: &Self::Edge, to: &Self::Edge) -> Extremes;

    /// How many values the members of a lane between two edges hold.
    fn distinct(&self, members: usize, latest: usize, from: &Self::Edge, to: &Self::Edge) -> u64;

    /// When a value was last seen among the members of a lane up to an edge.
    fn seen_before(&self, members: usize, value: u64, edge: &Self::Edge) -> Option<i64>;

    /// The time of the newest member of a lane before an edge.
    fn newest(&self, lane: usize, edge: &Self::Edge) -> Option<i64>;

    /// Whether an answer between two edges may differ from what the folded rows would give. `distinct` is the place of
    /// the lane whose values are counted, if they are.
    fn is_approximate(&self, from: &Self::Edge, to: &Self::Edge, distinct: Option<usize>) -> bool;

    /// Whether something was folded at or after a time.
    fn is_folded_at(&self, bound_ms: i64) -> bool;
}
