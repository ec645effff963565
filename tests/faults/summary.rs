//! What runs were like, added up.

use std::fmt;

/// What a run was like, for a summary over many.
#[derive(Default)]
pub(crate) struct Summary {
    pub(crate) records: u64,
    pub(crate) crashes: u64,
    pub(crate) power_cuts: u64,
    pub(crate) refused: u64,
    pub(crate) refills: u64,
    pub(crate) snapshots: u64,
    pub(crate) fallbacks: u64,
    /// Messages that the broker had acknowledged and forgot.
    pub(crate) forgotten: u64,
    /// How often that was noticed.
    pub(crate) noticed: u64,
    /// Verdicts that were published from the journal.
    pub(crate) recalled: u64,
}

impl Summary {
    /// Adds those of another run.
    pub(crate) fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.crashes += other.crashes;
        self.power_cuts += other.power_cuts;
        self.refused += other.refused;
        self.refills += other.refills;
        self.snapshots += other.snapshots;
        self.fallbacks += other.fallbacks;
        self.forgotten += other.forgotten;
        self.noticed += other.noticed;
        self.recalled += other.recalled;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, crashes, power_cuts, refused, refills, snapshots, fallbacks, forgotten, noticed, recalled } =
            self;
        write!(
            formatter,
            "{records} records, {crashes} crashes, {power_cuts} power cuts, {refused} refused for want of a disk, \
             {refills} refills, {snapshots} snapshots, {fallbacks} of no use, {forgotten} messages forgotten by the \
             broker, which was noticed {noticed} times, {recalled} verdicts published from the journal"
        )
    }
}
