//! Copies of verdicts on requests, slice by slice: how many were published, and how many of them the stream of verdicts has
//! confirmed. It keeps none of them: what is not confirmed the journal has.

use std::collections::{BTreeMap, VecDeque};

use async_nats::{Subject, message::OutboundMessage};

use super::ledger::Unpublished;

/// What is not confirmed by then is published again from the journal.
const CONFIRM_TIMEOUT_MS: i64 = 5_000;
/// Slices that are told apart; beyond that they become one, so that an outage of any length takes the same room.
const SLICES_MAX: usize = 1_024;

/// Where something may be missing: among what was recorded after a record, and published since a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// The record.
    pub after: u64,
    /// The moment, in Unix milliseconds.
    pub since_ms: i64,
}

/// Some of the scoring thread's time, and the copies of then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// It is confirmed under this number.
    pub number: u64,
    /// How many copies there were.
    pub copies: u64,
    /// Where it began.
    pub from: Gap,
    /// The last record of it.
    pub last: u64,
}

/// Gives each copy the subject on which it is confirmed.
pub struct Slicer {
    inbox: String,
    number: u64,
    reply: Subject,
    copies: u64,
    from: Option<Gap>,
    /// There is no stream that would confirm anything.
    is_paused: bool,
}

impl Slicer {
    /// Copies are confirmed below an inbox.
    pub fn new(inbox: String) -> Self {
        let reply = subject(&inbox, 0);
        Self { inbox, number: 0, reply, copies: 0, from: None, is_paused: false }
    }

    /// Lets a copy be confirmed.
    pub fn stamp(&mut self, copy: &mut OutboundMessage) {
        if !self.is_paused {
            copy.reply = Some(self.reply.clone());
            self.copies += 1;
        }
    }

    /// Lets copies be confirmed from now on, or no longer: there is no slice of the time between.
    pub fn pause(&mut self, is_paused: bool) {
        (self.is_paused, self.from, self.copies) = (is_paused, None, 0);
        // What is still confirmed of before counts for no later one.
        self.number += 1;
        self.reply = subject(&self.inbox, self.number);
    }

    /// Ends a slice with the last record of it, and begins the next. There is none before the first was begun.
    pub fn end(&mut self, last: u64, now_unix_ms: i64) -> Option<Slice> {
        if self.is_paused {
            return None;
        }
        let next = Gap { after: last, since_ms: now_unix_ms };
        let from = self.from.replace(next);
        // What was answered before the first look at the clock counts for the first slice.
        let from = from?;
        let slice = Slice { number: self.number, copies: self.copies, from, last };
        (self.number, self.copies) = (self.number + 1, 0);
        self.reply = subject(&self.inbox, self.number);
        Some(slice)
    }
}

fn subject(inbox: &str, number: u64) -> Subject {
    format!("{inbox}.c-{number}").into()
}

/// The number of a slice, from the last token of the subject on which a copy was confirmed.
pub fn number_of(token: &str) -> Option<u64> {
    token.strip_prefix("c-")?.parse().ok()
}

/// The slices that are not confirmed.
#[derive(Default)]
pub struct Outstanding {
    slices: VecDeque<Waiting>,
    /// The next slice that will be told of, and what of it and later ones is confirmed already.
    next: u64,
    early: BTreeMap<u64, u64>,
    /// Where slices began that may still be asked for.
    begun: VecDeque<Gap>,
}

struct Waiting {
    first: u64,
    slice: Slice,
    confirmed: u64,
    told_ms: i64,
}

impl Outstanding {
    /// Takes in a slice that has ended.
    pub fn add(&mut self, slice: Slice, now_ms: i64) {
        let confirmed = self.early.remove(&slice.number).unwrap_or_default();
        self.next = slice.number + 1;
        if self.begun.len() < SLICES_MAX && self.begun.back().is_none_or(|last| last.after < slice.from.after) {
            self.begun.push_back(slice.from);
        }
        if confirmed >= slice.copies {
            return;
        }
        if self.slices.len() >= SLICES_MAX
            && let Some(last) = self.slices.back_mut()
        {
            last.slice = Slice { copies: last.slice.copies + slice.copies, from: last.slice.from, ..slice };
            last.confirmed += confirmed;
            return;
        }
        self.slices.push_back(Waiting { first: slice.number, slice, confirmed, told_ms: now_ms });
    }

    /// One copy of a slice is stored.
    pub fn confirm(&mut self, number: u64) {
        if number >= self.next {
            *self.early.entry(number).or_default() += 1;
            return;
        }
        let is_it = |waiting: &Waiting| (waiting.first..=waiting.slice.number).contains(&number);
        if let Some(place) = self.slices.iter().position(is_it) {
            self.slices[place].confirmed += 1;
            if self.slices[place].confirmed >= self.slices[place].slice.copies {
                self.slices.remove(place);
            }
        }
    }

    /// The oldest slice whose copies should be confirmed by now.
    pub fn overdue(&self, now_ms: i64) -> Option<Slice> {
        let oldest = self.slices.front().filter(|oldest| now_ms - oldest.told_ms >= CONFIRM_TIMEOUT_MS)?;
        Some(oldest.slice)
    }

    /// Nothing of before is owed to a stream that is not there.
    pub fn forget(&mut self) {
        self.slices.clear();
        self.early.clear();
        self.begun.clear();
    }

    /// Everything up to a record is stored.
    pub fn recalled(&mut self, last: u64) {
        self.slices.retain(|waiting| waiting.slice.last > last);
    }

    /// Up to where all copies are stored, and all other verdicts if those up to a record are; of the latter all that there
    /// are without one.
    pub fn assured(&mut self, done_record: Option<u64>) -> Option<Gap> {
        let oldest = self.slices.front().map_or(u64::MAX, |oldest| oldest.slice.from.after);
        let up_to = oldest.min(done_record.unwrap_or(u64::MAX));
        while self.begun.get(1).is_some_and(|next| next.after <= up_to) {
            self.begun.pop_front();
        }
        self.begun.front().copied().filter(|begun| begun.after <= up_to)
    }
}

/// A message that the stream of verdicts held once, and what it had by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// The number of the message.
    pub sequence: u64,
    /// The identity of its verdict.
    pub identity: String,
    /// Everything before this was stored when it was.
    pub from: Gap,
}

/// How long bookmarks are kept: brokers sync every two minutes unless told otherwise, and lose no more than that.
const BOOKMARKS_KEPT_MS: i64 = 600_000;
/// Of those that are older than the newest, one in so much time.
const BOOKMARKS_EVERY_MS: i64 = 15_000;

/// The bookmarks of some minutes.
#[derive(Default)]
pub struct Bookmarks {
    /// Oldest first.
    kept: VecDeque<Bookmark>,
    /// Where what the process publishes began, while that is not long ago.
    beginning: Option<Gap>,
    /// The highest number that the stream has said it gave to a verdict.
    highest: u64,
    /// It has forgotten what it had confirmed, and that was not published again yet.
    has_forgotten: bool,
}

impl Bookmarks {
    /// Begins with what a crash may have kept back, and this process publishes: what was recorded after it was stored after
    /// its transaction.
    pub fn new(unpublished: &[Unpublished]) -> Self {
        let record = unpublished.iter().map(|one| one.record).min();
        let stored_ms = unpublished.iter().map(|one| one.origin.stored_ms).min();
        let gap = |(record, since_ms): (u64, _)| Gap { after: record.saturating_sub(1), since_ms };
        Self { beginning: record.zip(stored_ms).map(gap), ..Self::default() }
    }

    /// Tells where a slice began: what there is to look for lies behind the first.
    pub fn begin(&mut self, from: Gap) {
        if self.kept.is_empty() {
            self.beginning.get_or_insert(from);
        }
    }

    /// Keeps another one.
    pub fn keep(&mut self, bookmark: Bookmark) {
        let newest_ms = bookmark.from.since_ms;
        if let [.., before, last] = self.kept.make_contiguous()
            && last.from.since_ms - before.from.since_ms < BOOKMARKS_EVERY_MS
        {
            self.kept.pop_back();
        }
        self.kept.push_back(bookmark);
        let is_old = |from: Gap| from.since_ms < newest_ms - BOOKMARKS_KEPT_MS;
        while self.kept.get(1).is_some_and(|next| is_old(next.from)) {
            self.kept.pop_front();
        }
        if self.kept.front().is_some_and(|oldest| is_old(oldest.from)) {
            self.beginning = None;
        }
    }

    /// The stream says under which number it has stored a verdict anew. Whether it goes on from where it was: it stores in
    /// the order of its numbers and says so in that order, so a number that is not above all others was given out before,
    /// and what had it is forgotten.
    pub fn is_onward(&mut self, number: u64) -> bool {
        let is_onward = number > self.highest;
        self.highest = self.highest.max(number);
        is_onward
    }

    /// The highest number that the stream has given out, as far as it was said.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// The stream has forgotten what it had confirmed. The newest may have been kept since, of what came behind.
    pub fn doubt(&mut self) {
        self.highest = 0;
        self.drop_newest();
        self.has_forgotten = true;
    }

    /// What it had forgotten is published again. Whether it had.
    pub fn mend(&mut self) -> bool {
        std::mem::take(&mut self.has_forgotten)
    }

    /// Keeps another one, if there is one.
    pub fn extend(&mut self, bookmark: Option<Bookmark>) {
        if let Some(bookmark) = bookmark {
            self.keep(bookmark);
        }
    }

    /// The newest one.
    pub fn newest(&self) -> Option<&Bookmark> {
        self.kept.back()
    }

    /// The stream does not hold it any more: where what is missing begins, unless an older one is there.
    pub fn drop_newest(&mut self) {
        let Some(Bookmark { from, .. }) = self.kept.pop_back() else { return };
        self.has_forgotten = true;
        if self.kept.is_empty() {
            self.beginning.get_or_insert(from);
        }
    }

    /// From where on verdicts may be missing.
    pub fn gap(&self) -> Option<Gap> {
        self.newest().map(|newest| newest.from).or(self.beginning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durability::position::StreamPosition;

    fn gap(after: u64) -> Gap {
        Gap { after, since_ms: after as i64 }
    }

    fn slice(number: u64, copies: u64) -> Slice {
        Slice { number, copies, from: gap(number * 10), last: number * 10 + 10 }
    }

    fn overdue(outstanding: &Outstanding, now_ms: i64) -> Option<Gap> {
        outstanding.overdue(now_ms).map(|slice| slice.from)
    }

    #[test]
    fn copies_are_counted_by_slices() {
        let mut slicer = Slicer::new("_INBOX.x".into());
        assert_eq!(slicer.end(7, 1_000), None);
        let mut copy = OutboundMessage { subject: "v".into(), reply: None, payload: Vec::new().into(), headers: None };
        slicer.stamp(&mut copy);
        slicer.stamp(&mut copy);
        let reply = copy.reply.expect("it has one");
        assert_eq!(reply.rsplit('.').next().and_then(number_of), Some(0));
        let from = Gap { after: 7, since_ms: 1_000 };
        assert_eq!(slicer.end(9, 1_100), Some(Slice { number: 0, copies: 2, from, last: 9 }));
        let from = Gap { after: 9, since_ms: 1_100 };
        assert_eq!(slicer.end(9, 1_200), Some(Slice { number: 1, copies: 0, from, last: 9 }));

        // Where there is no stream nothing is confirmed, and nothing of that time is missing later.
        slicer.pause(true);
        let mut copy = OutboundMessage { subject: "v".into(), reply: None, payload: Vec::new().into(), headers: None };
        slicer.stamp(&mut copy);
        assert_eq!((copy.reply, slicer.end(12, 1_300)), (None, None));
        slicer.pause(false);
        assert_eq!(slicer.end(15, 1_400), None);
        let from = Gap { after: 15, since_ms: 1_400 };
        assert_eq!(slicer.end(16, 1_500), Some(Slice { number: 4, copies: 0, from, last: 16 }));
    }

    #[test]
    fn what_is_not_confirmed_in_time_is_missing() {
        let mut outstanding = Outstanding::default();
        // Confirmed before the slice has ended, but for one.
        outstanding.confirm(0);
        outstanding.add(slice(0, 2), 0);
        outstanding.add(slice(1, 0), 100);
        outstanding.add(slice(2, 1), 200);
        assert_eq!((overdue(&outstanding, 4_999), overdue(&outstanding, 5_000)), (None, Some(gap(0))));
        assert_eq!(outstanding.assured(None), Some(gap(0)));
        outstanding.confirm(0);
        assert_eq!((overdue(&outstanding, 5_199), overdue(&outstanding, 5_200)), (None, Some(gap(20))));
        assert_eq!((outstanding.assured(Some(15)), outstanding.assured(None)), (Some(gap(10)), Some(gap(20))));
        outstanding.recalled(30);
        assert_eq!(overdue(&outstanding, 9_000), None);
        // What comes late changes nothing.
        outstanding.confirm(2);
        outstanding.add(slice(3, 1), 9_000);
        assert_eq!(overdue(&outstanding, 20_000), Some(gap(30)));
    }

    #[test]
    fn an_outage_of_any_length_takes_the_same_room() {
        let mut outstanding = Outstanding::default();
        for number in 0..100_000 {
            outstanding.add(slice(number, 3), 0);
        }
        assert_eq!((outstanding.slices.len(), outstanding.begun.len()), (SLICES_MAX, SLICES_MAX));
        outstanding.recalled(slice(99_998, 3).last);
        assert_eq!(overdue(&outstanding, 5_000), Some(gap(10_230)));
        outstanding.recalled(slice(99_999, 3).last);
        assert_eq!(overdue(&outstanding, 5_000), None);
    }

    #[test]
    fn bookmarks_are_few_and_reach_back_far_enough() {
        let mut bookmarks = Bookmarks::default();
        for second in 0..3_600_u64 {
            let from = Gap { after: second, since_ms: second as i64 * 1_000 };
            bookmarks.keep(Bookmark { sequence: second, identity: String::new(), from });
        }
        assert!(bookmarks.kept.len() < 60, "{}", bookmarks.kept.len());
        assert!(bookmarks.kept[0].from.since_ms <= 3_600_000 - BOOKMARKS_KEPT_MS);
        assert_eq!(bookmarks.newest().map(|bookmark| bookmark.sequence), Some(3_599));
        while bookmarks.newest().is_some() {
            bookmarks.drop_newest();
        }
        assert!(bookmarks.gap().is_some_and(|gap| (2_900..=3_000).contains(&gap.after)), "{:?}", bookmarks.gap());

        // Before there is one, what is missing may be as old as the process.
        let mut bookmarks = Bookmarks::default();
        bookmarks.begin(gap(5));
        bookmarks.begin(gap(6));
        assert_eq!(bookmarks.gap(), Some(gap(5)));
        bookmarks.keep(Bookmark { sequence: 1, identity: String::new(), from: gap(7) });
        assert_eq!(bookmarks.gap(), Some(gap(7)));
        bookmarks.drop_newest();
        assert_eq!(bookmarks.gap(), Some(gap(5)));
    }

    #[test]
    fn what_an_earlier_process_kept_back_is_published_by_this_one() {
        let unpublished = |record, stored_ms| Unpublished {
            record,
            origin: StreamPosition { sequence: record, stored_ms },
            message: OutboundMessage { subject: "v".into(), reply: None, payload: Vec::new().into(), headers: None },
        };
        let mut bookmarks = Bookmarks::new(&[unpublished(8, 900), unpublished(7, 1_000)]);
        bookmarks.begin(gap(20));
        assert_eq!(bookmarks.gap(), Some(Gap { after: 6, since_ms: 900 }));
        assert_eq!(Bookmarks::new(&[]).gap(), None);
    }

    #[test]
    fn a_number_that_is_given_out_again_tells_what_is_forgotten() {
        let mut bookmarks = Bookmarks::default();
        let bookmark = |sequence, after| Bookmark { sequence, identity: String::new(), from: gap(after) };
        bookmarks.keep(bookmark(46, 20_000));
        assert!(bookmarks.is_onward(47) && bookmarks.is_onward(48));
        assert_eq!((bookmarks.highest(), bookmarks.mend()), (48, false));
        // It goes back to 46, and 47 is another one; it may be noted before anybody knows.
        bookmarks.keep(bookmark(47, 40_000));
        assert!(!bookmarks.is_onward(47));
        bookmarks.doubt();
        assert_eq!(bookmarks.gap(), Some(gap(20_000)));
        assert!(bookmarks.mend() && !bookmarks.mend());
        assert!(bookmarks.is_onward(48) && bookmarks.is_onward(50));
    }
}
