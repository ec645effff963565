//! The service is killed under load, again and again: every transaction has one verdict, and its bytes are those of an
//! uninterrupted run. `CRASHES` sets how many kills, `CRASH_SEED` when they come.

mod support;

use std::{fs, path::Path, time::Duration};

use async_nats::Client;
use futures_util::StreamExt as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use support::{
    Broker, Gavel,
    purchases::{Purchase, purchases, uninterrupted},
    wait_for,
};

/// Requests that are on their way at once.
const WINDOW: usize = 400;
/// Transactions between two kills, on average.
const BETWEEN_KILLS: usize = 1_500;

/// A processor that asks again for whatever was not answered.
struct Processor {
    client: Client,
    replies: async_nats::Subscriber,
    copies: async_nats::Subscriber,
    answers: Vec<Option<Vec<u8>>>,
    published: Vec<u32>,
    on_their_way: usize,
    next: usize,
}

impl Processor {
    async fn new(broker: &Broker, count: usize) -> Self {
        let client = broker.client().await;
        let replies = client.subscribe("replies.*").await.expect("subscribed");
        let copies = client.subscribe("fraud.v1.verdict.>").await.expect("subscribed");
        client.flush().await.expect("the broker is there");
        let (answers, published) = (vec![None; count], vec![0; count]);
        Self { client, replies, copies, answers, published, on_their_way: 0, next: 0 }
    }

    async fn send(&mut self, purchases: &[Purchase], number: usize) {
        let Purchase { card, body } = &purchases[number];
        let subject = format!("fraud.v1.score.p1.{card}");
        self.client.publish_with_reply(subject, format!("replies.{number}"), body.clone().into()).await.expect("sent");
        self.on_their_way += 1;
    }

    /// Sends and takes answers until so many have come, or none comes any more.
    async fn until(&mut self, purchases: &[Purchase], answered: usize, patience: Duration) {
        while self.answered() < answered {
            while self.on_their_way < WINDOW && self.next < purchases.len() {
                self.send(purchases, self.next).await;
                self.next += 1;
            }
            self.client.flush().await.expect("the broker is there");
            if !self.take(patience).await {
                return;
            }
        }
    }

    fn answered(&self) -> usize {
        self.answers.iter().flatten().count()
    }

    /// Takes the next answer or copy. `false` where none comes.
    async fn take(&mut self, patience: Duration) -> bool {
        tokio::select! {
            Some(reply) = self.replies.next() => {
                self.on_their_way = self.on_their_way.saturating_sub(1);
                if reply.status.is_none() {
                    let number: usize = reply.subject.rsplit('.').next().and_then(|number| number.parse().ok()).expect("a number");
                    let body = reply.payload.to_vec();
                    assert!(body.starts_with(b"{\"id\":"), "{}", String::from_utf8_lossy(&body));
                    if let Some(first) = &self.answers[number] {
                        assert_eq!(first, &body, "transaction {number} has two verdicts");
                    }
                    self.answers[number] = Some(body);
                }
            }
            Some(copy) = self.copies.next() => self.count(&copy.payload),
            () = tokio::time::sleep(patience) => return false,
        }
        true
    }

    fn count(&mut self, body: &[u8]) {
        let verdict: serde_json::Value = serde_json::from_slice(body).expect("a verdict");
        let id = verdict["id"].as_str().and_then(|id| id.strip_prefix("t-")).and_then(|id| id.parse::<usize>().ok());
        self.published[id.expect("a number")] += 1;
    }

    /// Asks again for whatever was not answered, in the order of before.
    async fn ask_again(&mut self, purchases: &[Purchase]) {
        self.on_their_way = 0;
        let unanswered: Vec<usize> = (0..self.next).filter(|number| self.answers[*number].is_none()).collect();
        for number in unanswered {
            self.send(purchases, number).await;
        }
    }
}

/// Cuts the end of the newest snapshot off, as if it had never been synced. Whether there is one.
fn tear_newest_snapshot(state: &Path) -> bool {
    let names = fs::read_dir(state).expect("the folder is there").map(|entry| entry.expect("a name").path());
    let Some(newest) = names.filter(|path| path.extension().is_some_and(|end| end == "gsn")).max() else {
        return false;
    };
    let bytes = fs::read(&newest).expect("it is readable");
    fs::write(&newest, &bytes[..bytes.len() / 2]).expect("written");
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_gives_every_transaction_one_verdict() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let kills = setting("CRASHES").unwrap_or(3) as usize;
    let seed = setting("CRASH_SEED").unwrap_or(1);
    eprintln!("CRASHES={kills} CRASH_SEED={seed}");

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (rules, model) = (root.join("rules"), root.join("models/gavel.model"));
    let arguments = ["--rules", rules.to_str().expect("UTF-8"), "--model", model.to_str().expect("UTF-8")];
    let purchases = purchases((kills + 1) * BETWEEN_KILLS, seed);
    let expected = uninterrupted(&purchases, &arguments);

    let broker = Broker::start();
    // Small files, so that several are read at each start, and a snapshot whenever the one before is done.
    let often = "[durability]\nfile_max = \"1MiB\"\nsnapshot_interval = \"1s\"\nsnapshot_after = \"16KiB\"\n";
    let mut gavel = Gavel::start_as(broker.url(), often, &arguments);
    gavel.wait_ready();
    let mut processor = Processor::new(&broker, purchases.len()).await;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut snapshots_used = 0;
    for kill in 1..=kills {
        let answered = kill * BETWEEN_KILLS - random.random_range(0..BETWEEN_KILLS);
        processor.until(&purchases, answered, Duration::from_secs(20)).await;
        if kill == 1 {
            wait_for("a snapshot", || (gavel.metric("gavel_snapshots_total", "") > 0.5).then_some(()));
        }
        tokio::time::sleep(Duration::from_micros(random.random_range(0..20_000))).await;
        gavel.kill();
        // What it had said before is still on its way.
        while processor.take(Duration::from_millis(200)).await {}
        let damaged = kill.is_multiple_of(2) && tear_newest_snapshot(&gavel.folder().join("state"));
        gavel.start_again();
        gavel.wait_ready();
        snapshots_used += usize::from(gavel.log().contains("a snapshot is loaded"));
        let fallbacks = gavel.metric("gavel_snapshot_fallbacks_total", "");
        assert!(!damaged || fallbacks > 0.5, "{}", gavel.log());
        assert!(gavel.metric("gavel_journal_lost_total", "") < 0.5, "{}", gavel.log());
        assert!(gavel.metric("gavel_journal_damage_total", "") < 0.5, "{}", gavel.log());
        processor.ask_again(&purchases).await;
    }
    processor.until(&purchases, purchases.len(), Duration::from_secs(20)).await;
    while processor.take(Duration::from_millis(200)).await {}

    for (number, expected) in expected.iter().enumerate() {
        let answer = processor.answers[number].as_deref().unwrap_or_default();
        let text = String::from_utf8_lossy;
        assert_eq!(text(answer), text(expected), "transaction {number} of seed {seed}");
    }
    assert!(processor.published.iter().all(|copies| *copies <= 1), "a verdict was published twice");
    let unpublished = processor.published.iter().filter(|copies| **copies == 0).count();
    eprintln!("{} transactions, {unpublished} copies of verdicts went with the process", purchases.len());

    // Once more from the beginning, after an orderly end: every answer is the one of before.
    gavel.terminate();
    assert!(gavel.wait_exit().success());
    gavel.start_again();
    gavel.wait_ready();
    gavel.wait_metric("gavel_snapshot_record", "", purchases.len() as f64);
    assert!(snapshots_used > 0, "no restart began with a snapshot");
    (processor.next, processor.on_their_way) = (0, 0);
    let answers = std::mem::replace(&mut processor.answers, vec![None; purchases.len()]);
    processor.until(&purchases, purchases.len(), Duration::from_secs(20)).await;
    assert!(answers == processor.answers, "an answer changed");
    gavel.wait_metric("gavel_duplicates_total", "", purchases.len() as f64);
}
