//! The moment at which a process takes over from another: its subscriptions hold what comes, the other one answers what
//! it has received, and lets the folder go. Nothing is answered meanwhile.

use std::time::{Duration, Instant};

use super::{End, Session};

/// How often it is looked whether the folder is free: requests wait for that.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How often what the other process writes meanwhile is read.
const FOLLOW_EVERY: Duration = Duration::from_millis(50);
/// How long the other process may take to answer what it has received, and to end.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to notice that somebody asks.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(10);

impl Session<'_> {
    /// Asks the process that serves to note what it answers from now on.
    pub(super) async fn prepare(&mut self) {
        if !self.work.answering.is_succeeding() {
            return;
        }
        let since = Instant::now();
        let mut is_noting = self.work.answering.ask_to_note(true);
        while !is_noting {
            tokio::time::sleep(LOOK_EVERY).await;
            is_noting = self.work.answering.ask_to_note(false) || self.work.answering.is_alone();
            if since.elapsed() > NOTICE_TIMEOUT {
                return self.give_up("the process that has the folder does not notice that it is to hand over");
            }
        }
    }

    /// Takes over, if another process still serves.
    pub(super) async fn succeed(&mut self) {
        if !self.work.answering.is_succeeding() || self.end.is_some() {
            return;
        }
        self.work.answering.tell_to_go();
        let (since, mut followed) = (Instant::now(), Instant::now());
        loop {
            let now_ms = self.work.now_ms();
            match self.work.answering.succeed(now_ms) {
                Ok(Some(begin)) => {
                    if let Some(stream) = &mut self.work.stream {
                        stream.begin(begin);
                    }
                    let waited_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(waited_ms, "what came meanwhile is answered now");
                    return;
                }
                Ok(None) if since.elapsed() < HANDOVER_TIMEOUT => {}
                Ok(None) => return self.give_up("the process that has the folder does not end"),
                Err(message) => return self.give_up(&message),
            }
            if followed.elapsed() > FOLLOW_EVERY {
                if let Err(message) = self.work.answering.follow() {
                    return self.give_up(&message);
                }
                followed = Instant::now();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn give_up(&mut self, message: &str) {
        self.work.answering.withdraw();
        self.end = Some(End::Failed(message.to_owned()));
    }
}
