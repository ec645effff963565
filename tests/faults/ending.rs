//! What must be true at the end of a run: of the journal, of the windows, of what was said, and of what is stored.

use std::collections::{BTreeMap, BTreeSet};

use gavel::{
    durability::{
        record::Record,
        replay::{self, Found},
    },
    scoring::{
        money::Currency,
        scorer::{Input, Output, Scorer},
        settings::Settings,
    },
    service::subjects::Kind,
};

use super::World;
use crate::{
    plain::Plain,
    rebuilt::{past_before, rebuilt, release, state_of},
};

impl World {
    /// What the journal holds at the end against what was said, and against a twin that never crashed.
    pub(super) fn check(&mut self) -> u64 {
        let seed = self.seed;
        let mut twin = Scorer::new(release(4));
        let schema = twin.release().settings.schema.clone();
        let mut answers: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut disk = self.disk.copy();
        let may_drop = self.may_drop();
        let mut mismatch: Option<String> = None;
        // A plain twin knows one plan.
        let mut plain = (self.reloads == 0 && !may_drop).then(|| Plain::new(twin.release()));
        let mut values = Vec::new();
        let mut versions = BTreeMap::new();
        for limit in 2..8 {
            versions.insert(release(limit).versions.rules.clone(), limit);
        }
        let found = replay::read(&mut disk, &schema, 0, |number, record, reading| {
            // A note of a release that is in two files is handed over once; the reading has it from both.
            if let Some(rules) = reading.map(|reading| &reading.note().rules)
                && twin.release().versions.rules != *rules
                && !matches!(record, Record::Release(_))
            {
                drop(twin.apply(Input::Reload(Box::new(release(versions[rules])))));
            }
            match &record {
                Record::Transaction(answered) => {
                    let (transaction, tier) = (&answered.transaction, answered.tier);
                    let expected = plain.as_mut().map(|plain| plain.take(answered));
                    match twin.apply(Input::Transaction { transaction, tier }) {
                        Output::Verdict { .. } if may_drop => {}
                        Output::Verdict { body, .. } => {
                            let text = String::from_utf8_lossy;
                            if body != answered.body {
                                let found =
                                    format!("{} is not what the twin says: {}", text(&answered.body), text(body));
                                mismatch.get_or_insert(found);
                            }
                        }
                        _ => panic!("seed {seed}: {} is in the journal twice", transaction.id),
                    }
                    if let Some(expected) = expected {
                        twin.exchange_answers(&mut values);
                        if values != expected {
                            let found = format!("{}: {values:?}, the plain twin {expected:?}", transaction.id);
                            mismatch.get_or_insert(found);
                        }
                    }
                    answers.insert(transaction.id.clone().into_owned(), answered.body.clone());
                }
                Record::Outcome(outcome) => {
                    drop(twin.apply(Input::Outcome(outcome)));
                    if let Some(plain) = &mut plain {
                        plain.outcome(outcome);
                    }
                }
                Record::Label(label) => {
                    drop(twin.apply(Input::Label(label)));
                    if let Some(plain) = &mut plain {
                        plain.label(label);
                    }
                }
                Record::ListChange(change) => drop(twin.apply(Input::ListChange(change))),
                Record::Mark(_) | Record::Release(_) => {}
                Record::Refill => {
                    let limit = versions[&twin.release().versions.rules];
                    let mut past = past_before(self.disk.copy(), release(limit), number.unwrap_or_default());
                    twin.apply(Input::Refill(&mut past));
                }
            }
            true
        });
        let found = found.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(found.damage.is_empty() && found.unreadable == 0, "seed {seed}: {found:?}");
        // A power cut may take what was not synced out of the middle, where one file follows another; that is told.
        if !may_drop && self.power_cuts == 0 {
            assert_eq!(found.lost, 0, "seed {seed}: {found:?}");
        }
        assert!(mismatch.is_none() || found.lost > 0, "seed {seed}: {mismatch:?}");
        self.compare_rebuilt();
        // A reload has them look for what has expired at another moment, which no answer shows.
        if found.lost == 0 && !may_drop && self.reloads == 0 {
            let is_same = rebuilt(self.disk.copy(), self.limit).state == state_of(&twin);
            assert!(is_same, "seed {seed}: windows differ from those of a twin that never crashed");
        }
        // Nothing that was said is lost, but to a power cut within the interval, or where it was told to go on without.
        for (number, wish) in self.wishes.iter().enumerate() {
            let (Kind::Score, Some(answer)) = (wish.kind, &wish.answer) else { continue };
            let is_safe =
                !self.may_drop() && (self.settings.sync_interval_ms == 0 || wish.answered_before == self.power_cuts);
            let kept = answers.get(&format!("t-{number}"));
            if is_safe || kept.is_some() && self.power_cuts == 0 && !self.may_drop() {
                let text = kept.map(|body| String::from_utf8_lossy(body).into_owned());
                assert_eq!(text.as_deref(), Some(&*String::from_utf8_lossy(answer)), "seed {seed}: {number}");
            }
        }
        self.check_stored();
        self.rot(&found, &answers);
        found.records
    }

    /// Every transaction of the stream has its verdict in the stream of verdicts, once.
    fn check_stored(&self) {
        let (Some(streaming), seed) = (&self.streaming, self.seed) else { return };
        let stored = streaming.stored();
        // What was published before a power cut took its record is scored anew, and a broker may know it no more by then.
        let is_once = !self.may_drop() && (self.settings.sync_interval_ms == 0 || self.power_cuts == 0);
        for (number, wish) in self.wishes.iter().enumerate() {
            // Copies of verdicts on requests are not looked up at a start.
            if wish.kind != Kind::Score || wish.streamed.is_none() && self.crashes > 0 {
                continue;
            }
            let card = wish.subject.rsplit('.').next().unwrap_or_default();
            let times = stored.get(&*format!("p/{card}/t-{number}")).copied().unwrap_or_default();
            // A power cut within the interval may take it from both.
            let is_safe = self.settings.sync_interval_ms == 0 || wish.answered_before == self.power_cuts;
            let is_lost = streaming.has_missed() || streaming.has_lost_verdicts() && (self.may_drop() || !is_safe);
            let is_there = times > 0 || is_lost;
            assert!(is_there, "seed {seed}: the verdict of {number} is not stored");
            assert!(times <= 1 || !is_once, "seed {seed}: the verdict of {number} is stored {times} times");
        }
    }

    /// A bit turns over: what is read then is a part of what was written, and what is missing is told.
    fn rot(&self, before: &Found, answers: &BTreeMap<String, Vec<u8>>) {
        let mut disk = self.disk.copy();
        disk.rot("journal-");
        let schema = Settings::default_for(Currency::from_code("EUR").expect("EUR")).schema;
        let mut ids = BTreeSet::new();
        let read = replay::read(&mut disk, &schema, 0, |_, record, _| {
            if let Record::Transaction(answered) = &record {
                let id = answered.transaction.id.clone().into_owned();
                assert_eq!(answers.get(&id), Some(&answered.body), "seed {}: {id} rotted unseen", self.seed);
                ids.insert(id);
            }
            true
        });
        let after = read.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        let is_told = !after.is_whole() || after.torn_bytes > before.torn_bytes;
        assert!(after.records == before.records || is_told, "seed {}: {after:?}", self.seed);
    }
}
