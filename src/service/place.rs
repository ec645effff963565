//! Where on the stream reading is: whether the stream is still the one of before, where to go on, and which of its messages
//! are new. It asks nobody and skips nothing that it cannot tell.
//!
//! A power cut may take the end of a stream that had been acknowledged, and a stream may be made anew: then numbers are
//! given out a second time. A message is the one of before only if its number and the time at which it was stored are.

use crate::durability::position::StreamPosition;

/// Clocks of brokers in one cluster differ by less than this.
pub const CLOCKS_DIFFER_MS: i64 = 60_000;

/// What a stream says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// The number of its first message.
    pub first: u64,
    /// The last number that it has given out.
    pub last: u64,
    /// When it was made, in Unix milliseconds.
    pub made_ms: i64,
    /// When the message with the number of the last one taken was stored, if there is one.
    pub stored_ms: Option<i64>,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// With the message of this number, or the next one that is there.
    Number(u64),
    /// With what was stored so many milliseconds after the stream was made.
    SinceMade(i64),
}

/// Where reading begins, and what that says of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Where.
    pub from: From,
    /// Whether the stream lacks what was taken from it: numbers mean something else now.
    pub has_forgotten: bool,
    /// Messages that have left the stream before they were read.
    pub lost: u64,
}

/// What a message is to whoever reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// It has not been taken.
    New,
    /// It has been taken, and came again.
    Known,
    /// Its number was taken, and it is another message: the stream has forgotten what it had given out.
    Foreign,
}

/// Which messages of a stream have been taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    taken: Option<StreamPosition>,
    /// Messages up to this number are those that were taken, as long as the stream is the one of before.
    known: u64,
    /// The latest time at which one of them was stored.
    newest_ms: i64,
    /// The highest number that came since reading began.
    reached: u64,
    is_doubted: bool,
}

impl Place {
    /// After the last message that an earlier process took, as the journal has it.
    pub fn new(taken: Option<StreamPosition>) -> Self {
        Self { taken, ..Self::default() }
    }

    /// The last message that was taken.
    pub fn taken(&self) -> Option<StreamPosition> {
        self.taken
    }

    /// The number up to which messages are known.
    pub fn known(&self) -> u64 {
        self.known
    }

    /// Where to go on, with the oldest message that is not done with; `None` where nothing was ever taken.
    pub fn start(&mut self, sight: Sight, oldest: Option<StreamPosition>) -> Option<Start> {
        let taken = self.taken?;
        self.reached = 0;
        let is_same = !std::mem::take(&mut self.is_doubted)
            && (taken.sequence < sight.first
                || taken.sequence <= sight.last && sight.stored_ms == Some(taken.stored_ms));
        self.newest_ms = taken.stored_ms;
        if is_same {
            self.known = taken.sequence;
            let next = taken.sequence + 1;
            let oldest = oldest.filter(|oldest| oldest.sequence <= taken.sequence);
            let from = From::Number(oldest.map_or(next, |oldest| oldest.sequence).max(1));
            return Some(Start { from, has_forgotten: false, lost: sight.first.saturating_sub(next) });
        }
        // What was stored since is there, under whatever number. What was taken already is known by its id.
        self.known = 0;
        let since_made_ms = taken.stored_ms.saturating_sub(CLOCKS_DIFFER_MS).saturating_sub(sight.made_ms);
        let from = if since_made_ms > 0 { From::SinceMade(since_made_ms) } else { From::Number(sight.first.max(1)) };
        Some(Start { from, has_forgotten: true, lost: 0 })
    }

    /// Looks at a message that has come, for the first time since reading began or again; `held` is what is not done with
    /// under its number.
    pub fn look(&mut self, origin: StreamPosition, held: Option<StreamPosition>, is_again: bool) -> Sighting {
        let is_onward = origin.sequence > self.reached;
        self.reached = self.reached.max(origin.sequence);
        if origin.sequence > self.known {
            return Sighting::New;
        }
        // A consumer goes on from number to number: one that it passed has been given out again, whatever the clock says.
        let is_passed = !is_onward && !is_again;
        if is_passed || !held.map_or(origin.stored_ms <= self.newest_ms, |held| held == origin) {
            self.is_doubted = true;
            return Sighting::Foreign;
        }
        // Done with, and its acknowledgement was lost: it is to have another one, and its id tells that it counts once.
        if is_again && held.is_none() { Sighting::New } else { Sighting::Known }
    }

    /// Notes that a new message waits to be handed over.
    pub fn note(&mut self, origin: StreamPosition) {
        (self.known, self.newest_ms) = (self.known.max(origin.sequence), self.newest_ms.max(origin.stored_ms));
    }

    /// Notes that it is handed over.
    pub fn take(&mut self, origin: StreamPosition) {
        self.taken = Some(origin);
    }

    /// What was taken is not there any more: reading begins by time.
    pub fn doubt(&mut self) {
        self.is_doubted = true;
    }

    /// Whether a stream that has given out so many numbers has forgotten some that were taken from it; `known` is what was
    /// known before it was asked.
    pub fn has_lost(known: u64, last: u64) -> bool {
        last < known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE_MS: i64 = 1_000_000;

    fn at(sequence: u64, stored_ms: i64) -> StreamPosition {
        StreamPosition { sequence, stored_ms: MADE_MS + stored_ms }
    }

    fn sight(first: u64, last: u64, stored_ms: Option<i64>) -> Sight {
        Sight { first, last, made_ms: MADE_MS, stored_ms: stored_ms.map(|ms| MADE_MS + ms) }
    }

    #[test]
    fn a_stream_is_the_one_of_before_if_number_and_time_are() {
        let same = |from, lost| Start { from: From::Number(from), has_forgotten: false, lost };
        let other = |from| Start { from, has_forgotten: true, lost: 0 };
        let cases = [
            ("nothing has changed", sight(1, 9, Some(90_000)), None, same(8, 0)),
            ("more has come", sight(3, 900, Some(90_000)), None, same(8, 0)),
            ("two verdicts are not confirmed", sight(1, 9, Some(90_000)), Some(at(5, 80_000)), same(5, 0)),
            ("some left before they were read", sight(12, 20, None), None, same(8, 4)),
            ("its end is gone", sight(1, 6, None), None, other(From::SinceMade(30_000))),
            ("and its numbers are given out again", sight(1, 9, Some(95_000)), None, other(From::SinceMade(30_000))),
            ("the message was removed", sight(1, 9, None), None, other(From::SinceMade(30_000))),
            ("it is empty", sight(0, 0, None), None, other(From::SinceMade(30_000))),
        ];
        for (what, sight, oldest, expected) in cases {
            assert_eq!(Place::new(Some(at(7, 90_000))).start(sight, oldest), Some(expected), "{what}");
        }
        // Made a moment ago: all of it is new.
        assert_eq!(Place::new(Some(at(7, 50_000))).start(sight(1, 3, None), None), Some(other(From::Number(1))));
        assert_eq!(Place::new(None).start(sight(1, 3, None), None), None);
    }

    /// A consumer that outlives the end of its stream hands out new messages under numbers that were taken.
    #[test]
    fn a_number_that_was_given_out_again_is_not_skipped() {
        let mut place = Place::new(Some(at(7, 90_000)));
        place.start(sight(1, 7, Some(90_000)), Some(at(4, 60_000)));
        assert_eq!(place.look(at(4, 60_000), Some(at(4, 60_000)), false), Sighting::Known);
        assert_eq!(place.look(at(5, 70_000), None, false), Sighting::Known);
        assert_eq!(place.look(at(8, 91_000), None, false), Sighting::New);
        place.note(at(8, 91_000));
        place.take(at(8, 91_000));
        // It comes again. Where nothing is known of it any more, that is for its id to tell.
        assert_eq!(place.look(at(8, 91_000), Some(at(8, 91_000)), true), Sighting::Known);
        assert_eq!(place.look(at(8, 91_000), None, true), Sighting::New);
        assert!(!Place::has_lost(place.known(), 8));
        // One that was passed and comes for the first time is another one, stored by a broker whose clock is behind.
        assert_eq!(place.look(at(7, 61_000), None, false), Sighting::Foreign);
        place.start(sight(1, 8, Some(91_000)), None);
        place.note(at(8, 91_000));

        // Its end is lost from 6 on, which nobody notices before it is asked, or a message comes.
        assert!(Place::has_lost(place.known(), 5));
        assert_eq!(place.look(at(6, 99_000), None, false), Sighting::Foreign);
        // By then what has come since may have passed the number taken, but for its time.
        let start = place.start(sight(1, 8, Some(91_000)), None);
        assert_eq!(start, Some(Start { from: From::SinceMade(31_000), has_forgotten: true, lost: 0 }));
        for new in [at(3, 50_000), at(4, 60_000), at(6, 99_000)] {
            assert_eq!(place.look(new, None, false), Sighting::New);
            place.note(new);
            place.take(new);
        }
        assert_eq!(place.taken(), Some(at(6, 99_000)));
        // A number that was given out again behind the consumer's back never comes; whoever sees it says so.
        place.doubt();
        let start = place.start(sight(1, 8, Some(99_000)), None);
        assert_eq!(start, Some(Start { from: From::SinceMade(39_000), has_forgotten: true, lost: 0 }));
        place.note(at(6, 99_000));
        // A clock that was set back does not hide one whose verdict is not confirmed yet.
        assert_eq!(place.look(at(6, 1_000), Some(at(6, 99_000)), false), Sighting::Foreign);
    }
}
