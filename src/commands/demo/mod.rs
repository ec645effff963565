//! `gavel demo`: a broker, the service and a processor that replays a stream over it, for people to watch. Whatever it
//! starts ends with it.

mod broker;
mod stream;
mod tally;

use std::{
    collections::VecDeque,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use async_nats::{Client, Message};
use clap::Args;
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep_until, timeout};

use self::{
    broker::Broker,
    stream::{Purchase, Sending},
    tally::Tally,
};
use super::common::{EXIT_USAGE, HttpFlag, JsonFlag, ScoringFlags, load_config, load_release};
use crate::{
    config::{Config, Flags},
    scoring::{release::Release, verdict::Decision},
    service::{client, logging, running::Service, signals::Signals},
};

/// On their way at once while the windows are filled.
const WARM_UP_WINDOW: usize = 500;
/// Approvals are printed at most this often, so that what was denied or put to review is not drowned.
const APPROVALS_PER_SECOND: f64 = 5.0;
/// How long to wait for the last answers.
const PATIENCE: Duration = Duration::from_secs(5);
/// The runtime's timer counts whole milliseconds, so the last of a wait is slept by the thread itself, or its lag would be
/// told as the latency of the service.
const TIMER_LAG: Duration = Duration::from_millis(2);

/// Arguments of `gavel demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArguments {
    /// Data file to replay [default: a simulated stream with more fraud than life has]
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
    /// Requests per second
    #[arg(long, value_name = "R", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// How long to replay
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Transactions sent beforehand as fast as they are answered, so that cards have a past; they are not counted
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    warm_up: u32,
    #[command(flatten)]
    scoring: ScoringFlags,
    #[command(flatten)]
    http: HttpFlag,
    #[command(flatten)]
    json: JsonFlag,
}

/// Plays the demo to its end, or until Ctrl-C.
pub fn run(arguments: &DemoArguments) -> ExitCode {
    let flags = Flags::from(&arguments.scoring).with_http(&arguments.http);
    let (mut config, release) = match load_config(flags).and_then(|config| Ok((load_release(&config)?, config))) {
        Ok((release, config)) => (config, release),
        Err(code) => return code,
    };
    // The screen belongs to the verdicts; what goes wrong is still told.
    config.log.filter = "warn".into();
    logging::start(&config.log);
    if arguments.http.http.is_none() {
        // Another service may hold the usual port.
        config.http.listen.set_port(0);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    match runtime.block_on(play(arguments, config, release)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

fn fail(message: &str) -> ExitCode {
    anstream::eprintln!("error: {message}");
    ExitCode::from(EXIT_USAGE)
}

async fn play(arguments: &DemoArguments, mut config: Config, release: Release) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let mut signals = Signals::listen().map_err(|error| text(&error))?;
    let purchases = (arguments.warm_up as usize).saturating_add(arguments.rate as usize * arguments.seconds as usize);
    let sendings = stream::read(arguments.input.as_deref(), &config.subjects, &config.settings.schema, purchases);
    let sendings = sendings.map_err(|error| text(&error))?;

    let broker = Broker::start().await.map_err(|error| text(&error))?;
    let address = broker.url().parse().map_err(|error| format!("the broker's address: {error}"))?;
    config.nats.servers = vec![address];
    config.nats.authentication = crate::config::Authentication::None;
    (config.nats.tls_ca, config.nats.tls_client) = (None, None);
    // It begins without a past each time, and leaves nothing behind.
    config.durability.dir = None;
    let service = Service::start(&config, release, None, false).await.map_err(|error| text(&error))?;
    service.serving().await.map_err(|error| text(&error))?;
    let http = format!("http://{}", service.http_address());
    let screen = Screen { is_json: arguments.json.json };
    screen.say(&format!("broker {}  service {http}/metrics", broker.url()))?;

    let client = client::connect(&config.nats, "gavel-demo").await.map_err(|error| text(&error))?;
    let mut processor = Processor::new(client, screen).await?;
    let mut sendings = VecDeque::from(sendings);
    let ended = tokio::select! {
        ended = replay(&mut processor, &mut sendings, arguments) => ended,
        ended = service.ended() => ended.map_err(|error| error.to_string()),
        _ = signals.received() => Ok(()),
    };
    let told = if screen.is_json {
        let mut told = processor.tally.json();
        told["metrics"] = format!("{http}/metrics").into();
        told["health"] = format!("{http}/readyz").into();
        print(&told.to_string())
    } else {
        print(&format!("\n{}metrics {http}/metrics  health {http}/readyz", processor.tally.summary()))
    };
    let stopped = service.stop().await.map_err(|error| text(&error));
    broker.stop().await;
    ended.and(told).and(stopped)
}

async fn replay(
    processor: &mut Processor,
    sendings: &mut VecDeque<Sending>,
    arguments: &DemoArguments,
) -> Result<(), String> {
    let warm_up = arguments.warm_up as usize;
    if warm_up > 0 {
        processor.screen.say(&format!("filling the windows with the first {warm_up} transactions"))?;
        processor.warm_up(sendings, warm_up).await?;
    }
    processor.screen.say(&format!(
        "replaying {} a second for {} s; of the approvals a few are shown\n",
        arguments.rate, arguments.seconds
    ))?;
    processor.replay(sendings, arguments.rate).await
}

/// Where lines for people go.
#[derive(Clone, Copy)]
struct Screen {
    /// Standard output is for what comes of it all, as JSON.
    is_json: bool,
}

impl Screen {
    fn say(self, line: &str) -> Result<(), String> {
        if !self.is_json {
            return print(line);
        }
        anstream::eprintln!("{line}");
        Ok(())
    }
}

/// Prints a line; who closes the pipe has seen enough.
fn print(line: &str) -> Result<(), String> {
    match writeln!(anstream::stdout().lock(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("nothing can be printed: {error}")),
        _ => Ok(()),
    }
}

/// A card processor: sends each purchase at its moment, and takes the verdicts as they come.
struct Processor {
    client: Client,
    inbox: String,
    answers: async_nats::Subscriber,
    on_their_way: VecDeque<Option<(Purchase, Instant)>>,
    /// The number of the first in `on_their_way`.
    first: u64,
    tally: Tally,
    last_approval: Option<Instant>,
    screen: Screen,
}

impl Processor {
    async fn new(client: Client, screen: Screen) -> Result<Self, String> {
        let inbox = client.new_inbox();
        let answers = client.subscribe(format!("{inbox}.*")).await.map_err(|error| error.to_string())?;
        client.flush().await.map_err(|error| error.to_string())?;
        let (on_their_way, tally) = (VecDeque::new(), Tally::new());
        Ok(Self { client, inbox, answers, on_their_way, first: 0, tally, last_approval: None, screen })
    }

    /// Sends as fast as answers come, and counts nothing.
    async fn warm_up(&mut self, sendings: &mut VecDeque<Sending>, purchases: usize) -> Result<(), String> {
        let (mut sent, mut answered) = (0, 0);
        while answered < sent || (sent < purchases && !sendings.is_empty()) {
            while sent < purchases
                && sent - answered < WARM_UP_WINDOW
                && let Some(sending) = sendings.pop_front()
            {
                if let Some(purchase) = self.send_label_or(sending).await? {
                    self.publish(format!("{}.w", self.inbox), &purchase).await?;
                    sent += 1;
                }
            }
            if answered < sent {
                match timeout(PATIENCE, self.answers.next()).await {
                    Ok(Some(_)) => answered += 1,
                    _ => return Err("the service does not answer".into()),
                }
            }
        }
        Ok(())
    }

    /// Sends each purchase at its own moment, whether or not answers come.
    async fn replay(&mut self, sendings: &mut VecDeque<Sending>, rate: u32) -> Result<(), String> {
        let start = Instant::now();
        while let Some(sending) = sendings.pop_front() {
            let Some(purchase) = self.send_label_or(sending).await? else { continue };
            let due = start + Duration::from_secs_f64(self.tally.sent as f64 / f64::from(rate));
            loop {
                tokio::select! {
                    () = sleep_until(due - TIMER_LAG) => break,
                    Some(answer) = self.answers.next() => self.take(&answer)?,
                }
            }
            // What is still to be written goes out before the thread sleeps.
            tokio::task::yield_now().await;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            self.publish(format!("{}.{}", self.inbox, self.tally.sent), &purchase).await?;
            self.on_their_way.push_back(Some((purchase, due)));
            self.tally.sent += 1;
        }
        while self.tally.answered() < self.tally.sent {
            // What has not come by then is told as unanswered.
            let Ok(Some(answer)) = timeout(PATIENCE, self.answers.next()).await else { break };
            self.take(&answer)?;
        }
        Ok(())
    }

    /// Sends a label; gives a purchase back.
    async fn send_label_or(&self, sending: Sending) -> Result<Option<Purchase>, String> {
        match sending {
            Sending::Purchase(purchase) => Ok(Some(purchase)),
            Sending::Label { subject, body } => {
                self.client.publish(subject, body.into()).await.map_err(|error| error.to_string())?;
                Ok(None)
            }
        }
    }

    async fn publish(&self, reply: String, purchase: &Purchase) -> Result<(), String> {
        let body = purchase.body.clone().into();
        let sent = self.client.publish_with_reply(purchase.subject.clone(), reply, body).await;
        sent.map_err(|error| error.to_string())
    }

    fn take(&mut self, answer: &Message) -> Result<(), String> {
        let number = answer.subject.rsplit('.').next().and_then(|number| number.parse::<u64>().ok());
        let place = number.and_then(|number| number.checked_sub(self.first));
        let place = place.and_then(|place| usize::try_from(place).ok());
        let waiting = place.and_then(|place| self.on_their_way.get_mut(place)).and_then(Option::take);
        let Some((purchase, due)) = waiting else { return Ok(()) };
        while matches!(self.on_their_way.front(), Some(None)) {
            self.on_their_way.pop_front();
            self.first += 1;
        }
        let told = self.tally.take(&purchase, &answer.payload, due.elapsed());
        if told.decision == Some(Decision::Approve) {
            let pause = Duration::from_secs_f64(1.0 / APPROVALS_PER_SECOND);
            if self.last_approval.is_some_and(|last| last.elapsed() < pause) {
                return Ok(());
            }
            self.last_approval = Some(Instant::now());
        }
        self.screen.say(&told.line)
    }
}
