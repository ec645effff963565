//! A processor, a broker that loses, repeats, delays and reorders, and the real answering and journal over a simulated
//! disk: one seed, one run. Time is a number here; nothing waits.

mod ending;
mod streaming;

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, Message, message::OutboundMessage};
use gavel::{
    config::{Config, OnFailure, Sources},
    durability::{
        journal::JournalSettings,
        rebuild::{Rebuild, TakeError, take},
    },
    scoring::scorer::Scorer,
    service::{
        answering::{Answering, Moment, deadline_ms},
        discovery::Discovery,
        handover::{Latest, Refill, Refilled},
        keeper::Keeper,
        metrics::Metrics,
        outbox::Outbox,
        quality::Notebook,
        queue::Received,
        subjects::{Kind, Subjects},
    },
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{
    disk::Disk,
    rebuilt::{rebuilt, release},
    summary::Summary,
};
use streaming::Streaming;

/// When the first transaction happens, in Unix milliseconds.
const START_MS: i64 = 1_532_513_730_000;
/// After this a processor asks for verdicts of the stream that it has not heard.
const SILENT_MS: i64 = 10_000;
/// How long a run may take before it counts as stuck.
const END_MS: i64 = 600_000;
/// So few that they are removed all the time.
const SNAPSHOTS_KEPT: usize = 2;

/// What the processor wants answered.
struct Wish {
    kind: Kind,
    subject: String,
    /// The subject by which it goes to the stream, if it does.
    streamed: Option<String>,
    is_acknowledged: bool,
    payload: String,
    /// Sent again then, unless it is answered.
    due_ms: i64,
    deliveries: u32,
    answer: Option<Vec<u8>>,
    /// The number of the crash before which it was answered.
    answered_before: u32,
}

struct Service {
    answering: Answering,
    outbox: Outbox,
}

/// An answer on its way.
struct Reply {
    wish: usize,
    body: Vec<u8>,
    is_refusal: bool,
    /// How often power had been lost when it was given.
    power_cuts: u32,
}

/// One run.
pub(crate) struct World {
    seed: u64,
    random: ChaCha8Rng,
    disk: Disk,
    settings: JournalSettings,
    limit: u32,
    wishes: Vec<Wish>,
    /// By the moment of arrival; of equal ones by the order of sending.
    to_service: BTreeMap<(i64, u64), usize>,
    to_processor: BTreeMap<(i64, u64), Reply>,
    sent: u64,
    service: Option<Service>,
    down_until_ms: i64,
    disk_fails_until_ms: i64,
    wall_ahead_ms: i64,
    now_ms: i64,
    began: Instant,
    crashes: u32,
    /// Power was lost: what was not synced may be gone.
    power_cuts: u32,
    /// Writes or syncs failed at times.
    disk_failed: bool,
    replies: u64,
    received: u64,
    reloads: u64,
    /// What is built aside.
    refill: Option<Box<Refill>>,
    refills: u64,
    snapshots: u64,
    /// Snapshots that were of no use when they were needed.
    fallbacks: u64,
    streaming: Option<Streaming>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let disk = Disk::new(seed ^ 0x5eed);
        let settings = JournalSettings {
            sync_interval_ms: [0, 50, 200][random.random_range(0..3)],
            file_max_bytes: [2_000, 20_000, 1 << 20][random.random_range(0..3)],
            total_max_bytes: u64::MAX,
            on_failure: if random.random_bool(0.8) { OnFailure::Refuse } else { OnFailure::Continue },
        };
        let mut world = Self {
            seed,
            disk,
            settings,
            limit: 4,
            wishes: Vec::new(),
            to_service: BTreeMap::new(),
            to_processor: BTreeMap::new(),
            sent: 0,
            service: None,
            down_until_ms: 0,
            disk_fails_until_ms: 0,
            wall_ahead_ms: 0,
            now_ms: 0,
            began: Instant::now(),
            crashes: 0,
            power_cuts: 0,
            disk_failed: false,
            replies: 0,
            received: 0,
            reloads: 0,
            refill: None,
            refills: 0,
            snapshots: 0,
            fallbacks: 0,
            streaming: None,
            random: random.clone(),
        };
        let count = random.random_range(20..200);
        for number in 0..count {
            let wish = world.wish(number);
            world.wishes.push(wish);
        }
        world.random = random;
        world
    }

    /// The same with a stream, by which a part of everything comes.
    pub(crate) fn with_stream(seed: u64) -> Self {
        let mut world = Self::new(seed);
        let mut streaming = Streaming::new(seed ^ 0x57ea);
        streaming.choose(&mut world.wishes);
        world.streaming = Some(streaming);
        world
    }

    fn wish(&mut self, number: usize) -> Wish {
        let random = &mut self.random;
        let card = random.random_range(0..8);
        let time = START_MS + number as i64 * 500 - random.random_range(0..2_000);
        let due_ms = number as i64 * 10;
        let about = random.random_range(0..number.max(1));
        let kind = match random.random_range(0..20) {
            0 => Kind::Outcome,
            1 => Kind::Label,
            2 => Kind::List,
            _ => Kind::Score,
        };
        let (subject, payload) = match kind {
            Kind::Outcome => {
                let outcome = ["approved", "declined"][random.random_range(0..2)];
                let card =
                    self.wishes.get(about).map_or("c_0", |wish| wish.subject.rsplit('.').next().unwrap_or("c_0"));
                let body = format!(r#"{{"id":"t-{about}","card":"{card}","time":{time},"outcome":"{outcome}"}}"#);
                (format!("fraud.v1.outcome.p.{card}"), body)
            }
            Kind::Label => {
                let label = ["fraud", "legit", "unknown"][random.random_range(0..3)];
                let card =
                    self.wishes.get(about).map_or("c_0", |wish| wish.subject.rsplit('.').next().unwrap_or("c_0"));
                let body = format!(r#"{{"id":"t-{about}","card":"{card}","time":{time},"label":"{label}"}}"#);
                (format!("fraud.v1.label.p.{card}"), body)
            }
            Kind::List => {
                let action = ["add", "remove"][random.random_range(0..2)];
                ("fraud.v1.list.blocked".into(), format!(r#"{{"value":"c_{card}","action":"{action}","by":"desk"}}"#))
            }
            _ => {
                let (amount, device) = (random.random_range(100..20_000), random.random_range(0..5));
                let body = format!(
                    r#"{{"id":"t-{number}","time":{time},"card":"c_{card}","amount":{amount},"currency":"EUR","device":"d_{device}"}}"#
                );
                (format!("fraud.v1.score.p.c_{card}"), body)
            }
        };
        Wish {
            kind,
            subject,
            streamed: None,
            is_acknowledged: false,
            payload,
            due_ms,
            deliveries: 0,
            answer: None,
            answered_before: 0,
        }
    }

    /// Runs to the end and checks what must be true. A failure names its seed.
    pub(crate) fn run(mut self) -> Summary {
        let mut refused = 0;
        while !self.is_done() {
            assert!(self.now_ms < END_MS, "seed {}: it is stuck", self.seed);
            self.now_ms += 1;
            self.disk.advance(self.now_ms);
            self.misfortune();
            if let Some(streaming) = &mut self.streaming {
                streaming.misfortune(self.now_ms);
            }
            self.send();
            self.serve();
            refused += self.take();
        }
        // The last answers were given: an orderly end.
        self.disk.fill(false);
        self.disk.fail_syncs(false);
        if let Some(mut service) = self.service.take() {
            service.answering.finish(self.now_ms, &mut service.outbox);
        }
        self.disk.kill();
        let records = self.check();
        let (crashes, power_cuts) = (self.crashes.into(), self.power_cuts.into());
        let seen = self.streaming.as_ref().map(Streaming::seen).unwrap_or_default();
        Summary {
            records,
            crashes,
            power_cuts,
            refused,
            refills: self.refills,
            snapshots: self.snapshots,
            fallbacks: self.fallbacks,
            forgotten: seen.forgotten,
            noticed: seen.noticed,
            recalled: seen.recalled,
        }
    }

    fn is_done(&self) -> bool {
        self.wishes.iter().all(|wish| wish.answer.is_some())
            && self.streaming.as_ref().is_none_or(|streaming| streaming.is_quiet(self.now_ms))
    }

    fn misfortune(&mut self) {
        let is_over = self.now_ms > 4_000;
        if is_over || self.now_ms > self.disk_fails_until_ms {
            self.disk.fill(false);
            self.disk.fail_syncs(false);
        }
        if is_over || !self.random.random_bool(0.005) {
            return;
        }
        match self.random.random_range(0..16) {
            8 => {
                // A snapshot goes bad, and is found out when it is needed.
                drop(if self.random.random_bool(0.5) {
                    self.disk.rot("snapshot-")
                } else {
                    self.disk.tear("snapshot-")
                });
            }
            9 => {
                // It dies, or power goes, while a snapshot is being written.
                self.snapshot(true);
                if self.random.random_bool(0.5) {
                    self.disk.kill();
                } else {
                    self.disk.cut_power();
                    self.power_cuts += 1;
                }
                self.crash();
            }
            0..=2 => {
                self.disk.kill();
                self.crash();
            }
            3 => {
                self.disk.cut_power();
                self.power_cuts += 1;
                self.crash();
            }
            4 => {
                self.disk.fill(true);
                self.disk_failed = true;
                self.disk_fails_until_ms = self.now_ms + self.random.random_range(1..1_500);
            }
            5 => {
                self.disk.fail_syncs(true);
                self.disk_failed = true;
                self.disk_fails_until_ms = self.now_ms + self.random.random_range(1..1_500);
            }
            10..=12 => self.snapshot(false),
            13..=14 => self.begin_refill(),
            6 => self.wall_ahead_ms = self.random.random_range(-3_600_000..3_600_000),
            _ => {
                // Other limits, some over other windows.
                self.limit = self.random.random_range(2..8);
                self.reloads += 1;
                if let Some(service) = &mut self.service {
                    drop(service.answering.reload(Box::new(release(self.limit))));
                }
            }
        }
    }

    /// Takes a snapshot beside the service, perhaps one that is not completed.
    fn snapshot(&mut self, dies: bool) {
        let mut disk = if dies { self.disk.mortal(self.random.random_range(0..24)) } else { self.disk.handle() };
        match take(&mut disk, release(self.limit), SNAPSHOTS_KEPT, self.now_ms, &|| true) {
            Ok(taken) => {
                self.snapshots += u64::from(taken.bytes.is_some());
                self.fallbacks += taken.refused.len() as u64;
            }
            Err(TakeError::Write(_)) => assert!(dies || self.disk_failed, "seed {}: no snapshot", self.seed),
            Err(error) => panic!("seed {}: {error}", self.seed),
        }
    }

    /// Whatever state the snapshots are in, with them a restart has what it has from the journal alone.
    fn compare_rebuilt(&mut self) {
        let of_journal = rebuilt(self.disk.copy().without("snapshot-"), self.limit);
        let with_snapshots = rebuilt(self.disk.copy(), self.limit);
        self.fallbacks += with_snapshots.refused.len() as u64;
        let is_told = with_snapshots.refused.iter().all(|error| matches!(error.code(), "damaged" | "plan"));
        assert!(is_told, "seed {}: {:?}", self.seed, with_snapshots.refused);
        // A snapshot that tells of missing records may know more than is left of the journal: what begins a file holds the
        // changes to lists among those, and the file may be gone, for it has no record.
        let knows_more = with_snapshots.missing > of_journal.missing;
        let is_same = of_journal.state.0 == with_snapshots.state.0
            && (knows_more || (of_journal.state.1, of_journal.next) == (with_snapshots.state.1, with_snapshots.next));
        assert!(is_same, "seed {}: the snapshot is not what the journal makes", self.seed);
    }

    /// Builds the past that the release in force would have, up to this moment.
    fn begin_refill(&mut self) {
        let Some(service) = &mut self.service else { return };
        drop(service.answering.tail());
        let (mut scorer, mut disk) = (Scorer::new(release(self.limit)), self.disk.handle());
        let mut rebuild = Rebuild::begin(&mut disk, &mut scorer, std::num::NonZero::<usize>::MIN);
        let read = rebuild.follow(&mut disk, &mut scorer, |_, _| true);
        assert!(matches!(read, Ok(true)), "seed {}: it is read", self.seed);
        self.refill = Some(Box::new(Refill { scorer, rebuild }));
    }

    /// It takes over, if it can.
    fn end_refill(&mut self) {
        let (Some(service), Some(mut refill)) = (&mut self.service, self.refill.take()) else { return };
        if self.random.random_bool(0.5)
            && let Some(tail) = service.answering.tail()
        {
            refill.rebuild.frames(&tail, &mut refill.scorer);
        }
        match service.answering.refill(refill) {
            Refilled::Done(..) => self.refills += 1,
            Refilled::Behind(behind) => self.refill = Some(behind),
            Refilled::Refused(_) => {}
        }
    }

    fn crash(&mut self) {
        self.refill = None;
        if let Some(streaming) = &mut self.streaming {
            streaming.end_reader();
        }
        if self.service.take().is_some() {
            self.crashes += 1;
        }
        self.down_until_ms = self.now_ms + self.random.random_range(1..300);
    }

    /// The processor sends what is due, again if need be; the broker does what it does.
    fn send(&mut self) {
        let may_drop = self.may_drop();
        let Self { random, wishes, now_ms, to_service, sent, streaming, .. } = self;
        for (number, wish) in wishes.iter_mut().enumerate() {
            if wish.answer.is_some() || wish.due_ms > *now_ms {
                continue;
            }
            wish.due_ms = *now_ms + random.random_range(100..400);
            // A verdict that was forgotten before the processor heard it comes from nowhere: whoever hears nothing asks.
            if *now_ms > SILENT_MS && streaming.as_ref().is_some_and(Streaming::has_missed) {
                wish.streamed = None;
            }
            if let (Some(subject), Some(streaming)) = (&wish.streamed, streaming.as_mut()) {
                // What is acknowledged is sent again only if the broker forgot it, or its record may have been dropped.
                if may_drop || !wish.is_acknowledged || !streaming.holds(number) {
                    wish.is_acknowledged = streaming.store(*now_ms, number, (subject, &wish.payload));
                    // Of an outcome nothing more is said.
                    wish.answer = (wish.is_acknowledged && wish.kind != Kind::Score).then(Vec::new);
                }
                continue;
            }
            let copies = [0, 1, 1, 1, 1, 1, 1, 1, 1, 2][random.random_range(0..10)];
            for _ in 0..copies {
                let arrival_ms = *now_ms + random.random_range(0..60);
                *sent += 1;
                to_service.insert((arrival_ms, *sent), number);
            }
        }
    }

    fn start(&mut self) -> Service {
        self.compare_rebuilt();
        let config = Config::read(Sources::default()).unwrap_or_else(|_| panic!("the defaults are good"));
        let metrics = Arc::new(Metrics::new().expect("no name is taken twice"));
        let subjects = Subjects::new(config.subjects);
        let discovery = Discovery::new("id".into(), "now".into(), &subjects);
        let keeper = Keeper::over(Box::new(self.disk.handle()), self.settings.clone(), metrics.clone());
        let kept = (Latest::new(0), mpsc::channel().0, Notebook::off());
        let scorer = Scorer::new(release(self.limit));
        let mut answering = Answering::new(scorer, keeper, subjects, i64::MAX / 4, metrics, discovery, kept);
        let begin = match answering.recover(self.now_ms) {
            Ok(begin) => begin,
            Err(error) => panic!("seed {}: {error}", self.seed),
        };
        if let Some(streaming) = &mut self.streaming {
            answering.stamp_verdicts(Some("inbox".into()));
            streaming.begin(begin);
            // The first slice begins before anything is answered.
            streaming.end_slice(&mut answering, self.now_ms);
        }
        Service { answering, outbox: Outbox::default() }
    }

    fn serve(&mut self) {
        if self.service.is_none() {
            // What comes meanwhile finds nobody.
            let later = self.to_service.split_off(&(self.now_ms + 1, 0));
            self.to_service = later;
            if self.now_ms < self.down_until_ms {
                return;
            }
            self.service = Some(self.start());
        }
        let later = self.to_service.split_off(&(self.now_ms + 1, 0));
        let arrived = std::mem::replace(&mut self.to_service, later);
        let Some(service) = &mut self.service else { return };
        let instant = self.began + Duration::from_millis(self.now_ms as u64);
        let now = Moment { instant, unix_ms: START_MS + self.now_ms + self.wall_ahead_ms };
        for number in arrived.into_values() {
            let wish = &mut self.wishes[number];
            wish.deliveries += 1;
            self.received += 1;
            let message = message(wish, number);
            let deadline_ms = deadline_ms(&message);
            let received = Received { kind: wish.kind, message, arrived: instant, deadline_ms };
            service.answering.answer(&received, now, &mut service.outbox);
        }
        if let Some(streaming) = &mut self.streaming {
            let Service { answering, outbox } = service;
            let subjects = answering.subjects().clone();
            streaming.step((answering, outbox), (self.now_ms, now), (&self.disk, &subjects));
        }
        if self.refill.is_some() && self.random.random_bool(0.02) {
            self.end_refill();
        }
        let Some(service) = &mut self.service else { return };
        if self.now_ms < 4_000 && self.random.random_bool(0.003) {
            // It dies with its work done and nothing written.
            self.disk.kill();
            self.crash();
            return;
        }
        service.answering.commit(self.now_ms, &mut service.outbox);
        if let Some(reader) = self.streaming.as_ref().and_then(|streaming| streaming.reader.as_ref()) {
            service.answering.confirm(reader.confirmed_record());
        }
        if self.now_ms % 10 == 0
            && let Some(streaming) = &mut self.streaming
        {
            streaming.end_slice(&mut service.answering, self.now_ms);
        }
        if self.now_ms % 100 == 0 {
            service.answering.tick(self.now_ms, &mut service.outbox);
            service.answering.flush(0, 0);
        }
        let said = service.outbox.exchange(Vec::new());
        for message in said {
            if let Some(streaming) =
                self.streaming.as_mut().filter(|_| message.subject.starts_with("fraud.v1.verdict."))
            {
                streaming.copy(&message, self.now_ms);
                continue;
            }
            let Some(number) = message.subject.strip_prefix("r.").and_then(|number| number.parse().ok()) else {
                continue;
            };
            self.replies += 1;
            let is_refusal = is_refusal(&message);
            if !self.random.random_bool(0.05) {
                self.sent += 1;
                let arrival_ms = self.now_ms + self.random.random_range(0..60);
                let (body, power_cuts) = (message.payload.to_vec(), self.power_cuts);
                let reply = Reply { wish: number, body, is_refusal, power_cuts };
                self.to_processor.insert((arrival_ms, self.sent), reply);
            }
        }
    }

    /// The processor takes what has come. How many were refused for want of a disk.
    fn take(&mut self) -> u64 {
        let later = self.to_processor.split_off(&(self.now_ms + 1, 0));
        let arrived = std::mem::replace(&mut self.to_processor, later);
        let mut refused = 0;
        let is_lossless = self.power_cuts == 0 && !self.may_drop();
        for (number, body) in self.streaming.as_mut().map(Streaming::take_verdicts).unwrap_or_default() {
            let wish = &mut self.wishes[number];
            (wish.answer, wish.answered_before) = (Some(body), self.power_cuts);
        }
        for Reply { wish: number, body, is_refusal, power_cuts } in arrived.into_values() {
            let text = String::from_utf8_lossy(&body).into_owned();
            if text.contains("not_durable") {
                refused += 1;
                continue;
            }
            let wish = &mut self.wishes[number];
            // An outcome about what never arrived is refused, and that is its answer.
            assert!(!is_refusal || wish.kind != Kind::Score, "seed {}: {text}", self.seed);
            let seed = self.seed;
            match &wish.answer {
                Some(first) if wish.kind == Kind::Score && is_lossless => {
                    assert_eq!(String::from_utf8_lossy(first), text, "seed {seed}: {number} has two verdicts");
                }
                Some(_) => {}
                None => (wish.answer, wish.answered_before) = (Some(body), power_cuts),
            }
        }
        refused
    }

    /// Whether some of what was said may be missing at the end: it was told to go on without the journal, or the power
    /// went after a sync that failed.
    fn may_drop(&self) -> bool {
        self.disk_failed && (self.settings.on_failure == OnFailure::Continue || self.power_cuts > 0)
    }
}

fn message(wish: &Wish, number: usize) -> Message {
    let payload = wish.payload.clone().into_bytes();
    Message {
        subject: wish.subject.clone().into(),
        reply: Some(format!("r.{number}").into()),
        length: payload.len(),
        payload: payload.into(),
        headers: None,
        status: None,
        description: None,
    }
}

fn is_refusal(message: &OutboundMessage) -> bool {
    message.headers.as_ref().is_some_and(|headers: &HeaderMap| headers.get("Nats-Service-Error-Code").is_some())
}
