//! Follows rules, lists, model and configuration on disk: what has changed is compiled aside, tried on the latest
//! transactions, and takes over as one whole. What cannot be loaded replaces nothing; no answer waits for any of it.

mod watch;
mod guard;
mod reading;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel},
    },
    time::{Duration, Instant},
};

use async_nats::HeaderMap;
use serde::Serialize;
use tokio::sync::mpsc;

use self::{
    guard::{History, Tried},
    reading::{Compiled, Problem, Read, Reading},
    watch::{Notices, Places, Stamp},
};
use super::{
    handover::{Ask, Notice, Swapped},
    metrics::Metrics,
    priority,
    session::Command,
    upkeep,
};
use crate::{
    config::{Config, Flags},
    files::SeenFiles,
    scoring::{
        field::AttributeSchema, release::Release, rules::KnownLists, settings::Mode, transaction::ListChange,
        verdict::Versions,
    },
};

/// How often files are looked at where no change was told: some mounts tell of none.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Editors write a file in several steps: it is read once nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(250);
/// Something may change all the time.
const QUIET_MAX: Duration = Duration::from_secs(10);
/// What served so lately is what a release is compared with as well: a file that is written slowly may have been read half,
/// and the whole of it is no fatal edit.
const LATELY: Duration = Duration::from_secs(600);
/// Aggregates that are named at most.
const NAMED_MAX: usize = 8;

/// Lines that tell at the start whose changes to lists are in force.
const LISTS_TOLD_MAX: usize = 32;
/// Who changed a list, where nobody says.
const NOBODY: &str = "nobody named";

/// What makes the thread look.
enum Nudge {
    Changed,
    Noticed(Notice),
    End,
}

/// The thread that follows the files, from outside.
pub struct Reloader {
    nudges: Sender<Nudge>,
}

/// What serves, as far as a reload must know it.
pub struct Serving {
    config: Config,
    versions: Versions,
    aggregates: Vec<String>,
    /// Those that show in answers.
    answering: Vec<String>,
    challengers: Vec<String>,
    lists: KnownLists,
}

/// What came of an edit or of a request to reload, as it is answered.
#[derive(Serialize)]
struct Report {
    /// `applied`, `unchanged`, `failed` or `refused`.
    result: &'static str,
    message: String,
    /// Warnings, or what is wrong.
    diagnostics: String,
    /// Sections of the configuration that have changed and need a restart.
    restart: Vec<&'static str>,
    versions: ReportVersions,
}

/// What serves now.
#[derive(Serialize)]
struct ReportVersions {
    engine: &'static str,
    rules: String,
    model: Option<String>,
    config: String,
}

struct Follower {
    flags: Flags,
    serving: Serving,
    commands: mpsc::Sender<Command>,
    /// Who must know what serves.
    upkeep: Option<Sender<upkeep::Nudge>>,
    metrics: Arc<Metrics>,
    notices: Notices,
    places: Places,
    seen: SeenFiles,
    stamp: Option<Stamp>,
    /// The hash of what was tried last, whatever came of it.
    tried: Option<[u8; 32]>,
    /// Shared with a trial.
    history: Arc<History>,
    /// Every change to lists that is in force, by list and value.
    list_changes: BTreeMap<(Cow<'static, str>, Cow<'static, str>), ListChange<'static>>,
    /// The shares of denials of what served of late, and until when it did.
    denials: Vec<(Instant, f64)>,
    /// What serves was refused by the guard and forced.
    is_forced: bool,
}

/// The scoring thread has ended.
struct Gone;

impl Serving {
    /// A release under the configuration that it was loaded with.
    pub fn new(config: &Config, release: &Release) -> Self {
        Self {
            config: config.clone(),
            versions: release.versions.clone(),
            aggregates: release.aggregates(),
            answering: release.answering_aggregates(),
            challengers: release.challenger_versions(),
            lists: release.lists.files(),
        }
    }
}

impl Reloader {
    /// Follows what the flags name, until it is dropped.
    pub fn start(
        flags: Flags,
        serving: Serving,
        (commands, upkeep): (mpsc::Sender<Command>, Option<Sender<upkeep::Nudge>>),
        metrics: Arc<Metrics>,
        noticed: Receiver<Notice>,
    ) -> io::Result<Self> {
        let (nudges, nudged) = channel();
        let (changed, handed_on) = (nudges.clone(), nudges.clone());
        // A thread that has ended needs no more nudges.
        let notices = Notices::new(move || drop(changed.send(Nudge::Changed)));
        std::thread::Builder::new().name("notices".into()).spawn(move || {
            while let Ok(notice) = noticed.recv()
                && handed_on.send(Nudge::Noticed(notice)).is_ok()
            {}
        })?;
        let history = Arc::new(History::new(serving.config.guard.transactions, serving.aggregates.clone()));
        let mut follower = Follower {
            flags,
            serving,
            commands,
            upkeep,
            metrics,
            notices,
            places: Places::default(),
            seen: SeenFiles::default(),
            stamp: None,
            tried: None,
            history,
            list_changes: BTreeMap::new(),
            denials: Vec::new(),
            is_forced: false,
        };
        std::thread::Builder::new().name("reload".into()).spawn(move || {
            // What takes long is done aside, and answers need not wait for the rest either.
            priority::lower();
            follower.run(&nudged);
        })?;
        Ok(Self { nudges })
    }
}

impl Reloader {
    /// Looks now, as where somebody asks for a reload.
    pub fn look(&self) {
        let ask = Ask { force: false, reply: None };
        // It may have ended by itself.
        let _ = self.nudges.send(Nudge::Noticed(Notice::Ask(ask)));
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.nudges.send(Nudge::End);
    }
}

impl Follower {
    fn run(&mut self, nudged: &Receiver<Nudge>) {
        // What was edited between loading and watching is found by the first look.
        let mut is_over = self.learn_lists().and_then(|()| self.look(None)).is_err();
        while !is_over {
            is_over = match nudged.recv_timeout(LOOK_EVERY) {
                Ok(Nudge::Changed) | Err(RecvTimeoutError::Timeout) => self.look_if_changed(nudged),
                Ok(Nudge::Noticed(notice)) => self.notice(notice),
                Ok(Nudge::End) | Err(RecvTimeoutError::Disconnected) => Err(Gone),
            }
            .is_err();
        }
    }

    /// Learns which changes to lists are in force; later ones are told one by one.
    fn learn_lists(&mut self) -> Result<(), Gone> {
        let (told, changes) = sync_channel(1);
        self.tell(Command::ListChanges(told))?;
        for change in changes.recv().map_err(|_| Gone)? {
            self.list_changes.insert((change.list.clone(), change.value.clone()), change);
        }
        self.tell_lists();
        Ok(())
    }

    /// Whose changes to which lists are in force from before this process began.
    fn tell_lists(&self) {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for ListChange { list, by, .. } in self.list_changes.values() {
            *counts.entry((&**list, by.as_deref().unwrap_or(NOBODY))).or_default() += 1;
        }
        for ((list, by), changes) in counts.iter().take(LISTS_TOLD_MAX) {
            tracing::info!(list, by, changes, "changes to a list are in force");
        }
        let untold = counts.len().saturating_sub(LISTS_TOLD_MAX);
        if untold > 0 {
            tracing::info!(untold, "and others by others");
        }
    }

    fn notice(&mut self, notice: Notice) -> Result<(), Gone> {
        match notice {
            Notice::Ask(ask) => self.answer(&ask),
            Notice::Listed(change) => {
                let ListChange { list, add, by, comment, .. } = &change;
                // The value may be an address or somebody's e-mail.
                let (by, comment) = (by.as_deref().unwrap_or(NOBODY), comment.as_deref().unwrap_or_default());
                tracing::info!(
                    list = &**list,
                    by,
                    comment,
                    "{} a list",
                    if *add { "added to" } else { "removed from" }
                );
                self.list_changes.insert((change.list.clone(), change.value.clone()), change);
                Ok(())
            }
        }
    }

    fn look_if_changed(&mut self, nudged: &Receiver<Nudge>) -> Result<(), Gone> {
        let stamp = Stamp::of(&self.places);
        if self.stamp == Some(stamp) && stamp.is_settled {
            return Ok(());
        }
        let since = Instant::now();
        while since.elapsed() < QUIET_MAX {
            match nudged.recv_timeout(QUIET) {
                Ok(Nudge::Changed) => {}
                Ok(Nudge::Noticed(notice)) => self.notice(notice)?,
                Ok(Nudge::End) | Err(RecvTimeoutError::Disconnected) => return Err(Gone),
                Err(RecvTimeoutError::Timeout) => break,
            }
        }
        self.look(None).map(drop)
    }

    /// Reloads because somebody asks for it, and says what came of it.
    fn answer(&mut self, ask: &Ask) -> Result<(), Gone> {
        let report = self.look(Some(ask))?;
        let (Some(report), Some(reply)) = (report, ask.reply.clone()) else { return Ok(()) };
        let body = serde_json::to_vec(&report).unwrap_or_default();
        self.tell(Command::Say(reply, HeaderMap::new(), body.into()))
    }

    /// Looks at what lies on disk. Without somebody who asks there is a report only of what has not been tried yet.
    fn look(&mut self, ask: Option<&Ask>) -> Result<Option<Report>, Gone> {
        let is_first = self.tried.is_none();
        let reading = Reading {
            flags: self.flags.clone(),
            config: self.serving.config.clone(),
            has_model: self.serving.versions.model.is_some(),
            lists: self.serving.lists.clone(),
            seen: self.seen.clone(),
            places: self.places.clone(),
            tried: if ask.is_none() { self.tried } else { None },
        };
        let Read { places, seen, stamp, hash, compiled } = priority::patiently("reading", move || reading.read());
        (self.places, self.seen) = (places, seen);
        (self.stamp, self.tried) = (Some(stamp), Some(hash));
        self.notices.follow(&self.places);
        let report = match compiled {
            None => return Ok(None),
            Some(Ok(compiled)) => self.take_over(compiled, ask.is_some_and(|ask| ask.force))?,
            Some(Err(Problem { restart, message, diagnostics })) => {
                Report { restart, ..self.report("failed", message, diagnostics) }
            }
        };
        if !(is_first && report.result == "unchanged") {
            self.publish(&report);
        }
        Ok(Some(report))
    }

    /// Tries and swaps.
    fn take_over(&mut self, compiled: Compiled, force: bool) -> Result<Report, Gone> {
        let Compiled { mut release, serving, restart, diagnostics } = compiled;
        if serving.challengers == self.serving.challengers && serving.versions == self.serving.versions {
            self.serving.config = serving.config;
            let message = "what lies on disk is what serves";
            return Ok(Report { restart, ..self.report("unchanged", message, diagnostics) });
        }
        let clean = release.clone();
        // For the trial; at the swap the changes of what serves are carried over, the latest ones too.
        for change in self.list_changes.values() {
            release.lists.restore(change);
        }
        let (release, tried) = self.try_on(release)?;
        self.denials.retain(|(until, _)| until.elapsed() < LATELY);
        let of_late = self.denials.iter().map(|(_, share)| *share).fold(tried.share_before(), f64::max);
        let (change, limit) = (tried.share_after() - of_late, serving.config.guard.max_deny_change);
        let mut message = tried.text();
        if change > limit && !force {
            let message = format!(
                "{message}: the share of denials grows by {change:.3}, [guard] max_deny_change is {limit}; \
                 `gavel reload --force` lets it serve"
            );
            return Ok(Report { restart, ..self.report("refused", &message, diagnostics) });
        }
        let fresh = self.fresh(&serving);
        if self.serving.config.settings.policy.mode == Mode::Enforce && !self.is_forced {
            self.denials.push((Instant::now(), tried.share_before()));
        }
        self.is_forced = change > limit;
        self.swap(release, serving, tried)?;
        if let Some(upkeep) = &self.upkeep {
            // It may have nothing left to do.
            let _ = upkeep.send(upkeep::Nudge::Release { release: Box::new(clean), is_fresh: !fresh.is_empty() });
        }
        if !fresh.is_empty() {
            message = format!("{message}; windows not kept so far, verdicts are flagged until they are full: {fresh}");
        }
        Ok(Report { restart, ..self.report("applied", &message, diagnostics) })
    }

    fn try_on(&mut self, release: Release) -> Result<(Release, Tried), Gone> {
        let (lent, back) = sync_channel(1);
        let spare = Arc::make_mut(&mut self.history).spare();
        self.tell(Command::Lend(spare, lent))?;
        Arc::make_mut(&mut self.history).append(back.recv().map_err(|_| Gone)?);
        let (release, history) = (Arc::new(release), self.history.clone());
        let on_trial = release.clone();
        let mode_before = self.serving.config.settings.policy.mode;
        let goes_live = mode_before == Mode::Monitor && release.settings.policy.mode == Mode::Enforce;
        let tried = priority::patiently("trial", move || history.try_on(&on_trial, goes_live));
        Ok((Arc::unwrap_or_clone(release), tried))
    }

    fn swap(&mut self, release: Release, serving: Serving, tried: Tried) -> Result<(), Gone> {
        let (done, swapped) = sync_channel(1);
        self.tell(Command::Reload(Box::new(release), done))?;
        let Swapped { retired, took, release } = swapped.recv().map_err(|_| Gone)?;
        // To free a long list or a key's windows takes a while, so it is done here.
        drop(retired);
        self.metrics.swaps.observe(took.as_secs_f64());
        Arc::make_mut(&mut self.history).commit(release, serving.aggregates.clone(), tried);
        self.serving = serving;
        Ok(())
    }

    /// The aggregates that were not kept so far, the first of them by name.
    fn fresh(&self, next: &Serving) -> String {
        let known: BTreeSet<&String> = self.serving.aggregates.iter().collect();
        // Of an attribute that has another type nothing that was kept means the same.
        let (schema, before) = (&next.config.settings.schema, &self.serving.config.settings.schema);
        let is_other = |key: &str| {
            let of = |schema: &AttributeSchema| schema.find(key).map(|field| field.field_type(schema));
            of(schema) != of(before)
        };
        let keys = (0..schema.len()).filter_map(|index| u16::try_from(index).ok().map(|index| schema.key(index)));
        let changed: Vec<&str> = keys.filter(|key| is_other(key)).collect();
        let is_fresh = |text: &&String| !known.contains(text) || changed.iter().any(|key| names(text, key));
        let fresh: Vec<&str> = next.answering.iter().filter(is_fresh).map(String::as_str).collect();
        let mut text = fresh.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
        if fresh.len() > NAMED_MAX {
            // Writing to a string cannot fail.
            let _ = write!(text, " and {} more", fresh.len() - NAMED_MAX);
        }
        text
    }

    fn tell(&self, command: Command) -> Result<(), Gone> {
        self.commands.blocking_send(command).map_err(|_| Gone)
    }

    fn report(&self, result: &'static str, message: &str, diagnostics: String) -> Report {
        let Versions { engine, rules, model, config } = self.serving.versions.clone();
        let versions = ReportVersions { engine, rules, model, config };
        Report { result, message: message.to_owned(), diagnostics, restart: Vec::new(), versions }
    }

    /// Counts and logs.
    fn publish(&self, report: &Report) {
        let Report { result, message, diagnostics, restart, versions } = report;
        self.metrics.reloads.with_label_values(&[result]).inc();
        let has_failed = matches!(*result, "failed" | "refused");
        self.metrics.reload_failed.set(has_failed.into());
        let ReportVersions { rules, config, .. } = versions;
        let model = versions.model.as_deref().unwrap_or("none");
        if has_failed {
            tracing::error!(result, rules, model, config, "{message}; what served goes on serving\n{diagnostics}");
        } else {
            tracing::info!(result, rules, model, config, "{message}");
            if !diagnostics.is_empty() && *result == "applied" {
                tracing::warn!("what serves has warnings\n{diagnostics}");
            }
        }
        for section in restart {
            tracing::warn!(section, "what has changed there needs a restart");
        }
    }
}

/// Whether an aggregate's text names an attribute.
fn names(text: &str, key: &str) -> bool {
    let behind = text.match_indices("attributes.").filter_map(|(at, found)| text[at + found.len()..].strip_prefix(key));
    behind
        .into_iter()
        .any(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || matches!(next, '_' | '-')))
}
