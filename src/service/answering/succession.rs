//! One process after another over the same folder: what the one before has answered is not answered again, and what it
//! has not is. It waits for nobody.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use async_nats::Message;
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::{Answering, Voice, streamed::unpublished_of};
use crate::service::{handing::print_of, link::Begin};

/// What the one before answered may still be on its way here for so long.
const REMEMBERED: Duration = Duration::from_secs(30);

/// What this process does for the one before it, or after it.
#[derive(Default)]
pub(super) struct Handover {
    /// What was answered since the next process asked.
    noted: Option<Vec<u64>>,
    /// What the one before answered, and how often, until then.
    answered: Option<(HashMap<u64, u32, FxBuildHasher>, Instant)>,
    is_to_go: bool,
    /// The one before was told to end: it may be gone already.
    has_told: bool,
}

impl Answering {
    /// Whether another process still has the folder.
    pub fn is_succeeding(&self) -> bool {
        self.keeper.is_succeeding()
    }

    /// Whether the process that served is gone.
    pub fn is_alone(&self) -> bool {
        self.keeper.is_folder_free()
    }

    /// Reads what the process that serves has written so far.
    pub fn follow(&mut self) -> Result<(), String> {
        self.keeper.follow(&mut self.scorer, &mut self.notebook)
    }

    /// Asks the process that serves to note what it answers; whether it does.
    pub fn ask_to_note(&mut self, is_first: bool) -> bool {
        let Some(handing) = self.keeper.handing().filter(|_| !self.handover.has_told) else { return true };
        if is_first && let Err(error) = handing.ask() {
            tracing::error!(%error, "the process that serves cannot be asked to hand over");
        }
        handing.is_noting()
    }

    /// Tells the process that serves to end: from here on everything is heard here as well.
    pub fn tell_to_go(&mut self) {
        self.handover.has_told = true;
        if let Some(handing) = self.keeper.handing()
            && let Err(error) = handing.go()
        {
            tracing::error!(%error, "the process that serves cannot be told to end");
        }
    }

    /// Gives up: the process that serves goes on.
    pub fn withdraw(&mut self) {
        if let Some(handing) = self.keeper.handing() {
            handing.clear();
        }
    }

    /// Takes over once the folder is free, and says where the stream goes on.
    pub fn succeed(&mut self, now_ms: i64) -> Result<Option<Begin>, String> {
        let Self { scorer, keeper, subjects, notebook, .. } = self;
        let (mut unpublished, mut voice) = (VecDeque::new(), Voice::default());
        let is_free = keeper.succeed(scorer, notebook, now_ms, |record, input| {
            unpublished_of(subjects, record, input, &mut voice, &mut unpublished);
        })?;
        if !is_free {
            return Ok(None);
        }
        let answered = keeper.handing().map(|handing| handing.take()).unwrap_or_default();
        tracing::info!(answered = answered.len(), "took over");
        let mut counts: HashMap<u64, u32, FxBuildHasher> = HashMap::default();
        for print in answered {
            *counts.entry(print).or_default() += 1;
        }
        self.handover.answered = Some((counts, Instant::now() + REMEMBERED));
        Ok(Some(self.begin_of(unpublished)))
    }

    /// Does what the next process asks for: notes what is answered from now on. Whether to end. To be called ten times a
    /// second.
    pub fn hand_over(&mut self, now: Instant) -> bool {
        let handover = &mut self.handover;
        if handover.answered.as_ref().is_some_and(|(_, until)| now > *until) {
            handover.answered = None;
        }
        let Some(handing) = self.keeper.handing() else { return false };
        if self.keeper.is_succeeding() || handover.is_to_go {
            return false;
        }
        if !handing.is_asked() {
            handover.noted = None;
            return false;
        }
        if !handing.is_noting() {
            tracing::info!("another process is about to take over");
            handover.noted = Some(Vec::new());
            if let Err(error) = handing.note() {
                tracing::error!(%error, "it cannot be told what is answered");
            }
        }
        handover.is_to_go = handover.noted.is_some() && handing.is_to_go();
        handover.is_to_go
    }

    /// Says what was answered, and lets the folder go. Nothing may be answered afterwards.
    pub fn release_folder(&mut self) {
        if let (Some(handing), Some(noted)) = (self.keeper.handing(), self.handover.noted.take())
            && let Err(error) = handing.leave(&noted)
        {
            tracing::error!(%error, "it cannot be told what was answered");
        }
        self.keeper.release_folder();
    }

    /// Whether the process before has answered this delivery. What is answered here is noted for the one after.
    pub(super) fn is_answered(&mut self, message: &Message) -> bool {
        let Handover { noted, answered, .. } = &mut self.handover;
        if noted.is_none() && answered.is_none() {
            return false;
        }
        let print = print_of(message);
        if let Some((counts, _)) = answered
            && let Some(count) = counts.get_mut(&print)
            && *count > 0
        {
            *count -= 1;
            self.metrics.durable.handed_over.inc();
            return true;
        }
        if let Some(noted) = noted {
            noted.push(print);
        }
        false
    }
}
