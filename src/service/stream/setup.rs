//! The streams and the consumer as they should be: made where they are missing and that is allowed, compared where they
//! are there, never changed.

use std::{collections::BTreeSet, time::Duration};

use async_nats::{
    Client,
    datetime::DateTime,
    jetstream::{
        Context, ErrorCode,
        consumer::{AckPolicy, Consumer, DeliverPolicy, PullConsumer, pull},
        context::{CreateStreamErrorKind, GetStreamErrorKind, RequestErrorKind},
        response::Response,
        stream::{self, DiscardPolicy, LastRawMessageErrorKind, RetentionPolicy, StorageType, Stream},
    },
};
use futures_util::StreamExt as _;
use serde::Deserialize;

use crate::{
    config::{StreamConfig, StreamStorage},
    durability::position::StreamPosition,
    service::{
        place::{self, CLOCKS_DIFFER_MS, From, Place, Sight},
        subjects::Subjects,
    },
};

/// Messages that the broker hands out before the first of them is done with.
pub(super) const IN_FLIGHT_MAX: usize = 2_048;
/// What is not acknowledged within this comes again. It is longer than any stall that reading does not begin anew for.
const ACK_WAIT: Duration = Duration::from_secs(120);
/// How long a broker knows a verdict that it has stored. What a longer outage keeps back is looked up before it is
/// published again.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// The oldest server whose streams are read: what is promised of them was tried from there on.
const SERVER_MIN: (i64, i64, i64) = (2, 12, 1);

/// Why the stream cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    /// JetStream does not answer; it may later.
    #[error("JetStream does not answer: {0}")]
    Unavailable(String),
    /// There is no JetStream.
    #[error("{0}")]
    Absent(&'static str),
    /// The server is too old.
    #[error("{0}")]
    Old(String),
    /// Somebody has to change a stream or the configuration.
    #[error("{0}")]
    Mismatch(String),
}

/// Where reading begins.
pub(super) struct Start {
    pub(super) policy: DeliverPolicy,
    /// Whether the stream lacks what was taken from it.
    pub(super) has_forgotten: bool,
    /// Messages that have left the stream before they were read.
    pub(super) lost: u64,
}

/// Whether the server is recent enough for streams; plain requests ask for less.
pub(super) fn recent(client: &Client) -> Result<(), SetupError> {
    let (major, minor, patch) = SERVER_MIN;
    if client.is_server_compatible(major, minor, patch) {
        return Ok(());
    }
    let message = format!(
        "the broker is nats-server {}, expected {major}.{minor}.{patch} or newer for the stream; requests need less, and \
         go on with it",
        client.server_info().version
    );
    Err(SetupError::Old(message))
}

/// The stream of transactions, and that of verdicts if there is one.
pub(super) async fn streams(
    context: &Context,
    config: &StreamConfig,
    subjects: &Subjects,
) -> Result<(Stream, Option<Stream>), SetupError> {
    let transactions = ensured(context, config, wanted(config, subjects)).await?;
    let Some(mut wanted) = verdicts_wanted(config, subjects) else { return Ok((transactions, None)) };
    // Who keeps refusals elsewhere may.
    let (verdicts, refusals) = (subjects.verdicts(), subjects.refusals());
    let keeper = capturing(context, &refusals).await?;
    if keeper.is_some() && keeper != capturing(context, &verdicts).await? {
        wanted.subjects.retain(|subject| *subject != refusals);
    }
    Ok((transactions, Some(ensured(context, config, wanted).await?)))
}

fn wanted(config: &StreamConfig, subjects: &Subjects) -> stream::Config {
    stream::Config {
        name: config.name.clone(),
        description: Some("Transactions, outcomes and labels on their way to gavel".into()),
        subjects: vec![subjects.streamed()],
        max_bytes: bound(config.max_bytes),
        max_age: age(config.max_age_ms),
        // What was acknowledged to a processor does not go for want of room before it is read.
        discard: DiscardPolicy::New,
        ..common(config)
    }
}

fn verdicts_wanted(config: &StreamConfig, subjects: &Subjects) -> Option<stream::Config> {
    config.verdicts.as_ref().map(|name| stream::Config {
        name: name.clone(),
        description: Some("Verdicts of gavel, each once, and what its stream refused".into()),
        subjects: vec![subjects.verdicts(), subjects.refusals()],
        max_bytes: bound(config.verdicts_max_bytes),
        max_age: age(config.verdicts_max_age_ms),
        // A full stream must not keep transactions from being scored.
        discard: DiscardPolicy::Old,
        ..common(config)
    })
}

fn common(config: &StreamConfig) -> stream::Config {
    stream::Config {
        retention: RetentionPolicy::Limits,
        storage: match config.storage {
            StreamStorage::File => StorageType::File,
            StreamStorage::Memory => StorageType::Memory,
        },
        num_replicas: config.replicas,
        max_messages: -1,
        max_messages_per_subject: -1,
        duplicate_window: DUPLICATE_WINDOW,
        ..stream::Config::default()
    }
}

fn bound(bytes: usize) -> i64 {
    if bytes == 0 { -1 } else { i64::try_from(bytes).unwrap_or(-1) }
}

fn age(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

/// The stream that captures what is wanted first of all, whatever it is called; made where there is none.
async fn ensured(context: &Context, config: &StreamConfig, wanted: stream::Config) -> Result<Stream, SetupError> {
    let subject = wanted.subjects.first().cloned().unwrap_or_default();
    let capturing = capturing(context, &subject).await?;
    let is_taken = capturing.is_none();
    let name = capturing.unwrap_or_else(|| wanted.name.clone());
    let found = match context.get_stream(&name).await {
        Ok(found) => found,
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                if !config.may_create {
                    let message = format!(
                        "stream {name} is not there, expected one that captures {subject}: make it, or set \
                         `[stream] create = true`"
                    );
                    return Err(SetupError::Mismatch(message));
                }
                let made = context.create_stream(wanted.clone()).await.map_err(|error| match error.kind() {
                    CreateStreamErrorKind::JetStream(error) => {
                        SetupError::Mismatch(format!("stream {name} cannot be made: {error}"))
                    }
                    _ => SetupError::Unavailable(format!("stream {name}: {error}")),
                })?;
                tracing::info!(stream = name, subjects = wanted.subjects.join(","), "made the stream");
                made
            }
            GetStreamErrorKind::JetStream(error) => return Err(SetupError::Unavailable(error.to_string())),
            _ => return Err(SetupError::Unavailable(error.to_string())),
        },
    };
    if name != wanted.name {
        tracing::info!(stream = name, subject, configured = wanted.name, "the stream has another name");
    }
    let (mut wrong, other) = differences(&wanted, &found.cached_info().config);
    if is_taken && !wrong.is_empty() {
        wrong.push("it is of somebody else: give this service's another name with [stream] name and verdicts".into());
    }
    if !wrong.is_empty() {
        let message = format!("stream {name} is not as configured: {}", [wrong, other].concat().join("; "));
        return Err(SetupError::Mismatch(message));
    }
    if !other.is_empty() {
        tracing::warn!(differences = other.join("; "), "stream {name} is not as configured, and is used as it is");
    }
    Ok(found)
}

/// The stream that captures a subject.
async fn capturing(context: &Context, subject: &str) -> Result<Option<String>, SetupError> {
    #[derive(Deserialize)]
    struct Page {
        streams: Option<Vec<String>>,
    }
    let asked = context.request("STREAM.NAMES", &serde_json::json!({ "subject": subject })).await;
    match asked {
        Ok(Response::Ok(Page { streams })) => Ok(streams.and_then(|streams| streams.into_iter().next())),
        Ok(Response::Err { error }) => match error.error_code() {
            ErrorCode::JETSTREAM_NOT_ENABLED => Err(SetupError::Absent("the broker has no JetStream")),
            ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => Err(SetupError::Absent("the account has no JetStream")),
            _ => Err(SetupError::Unavailable(error.to_string())),
        },
        Err(error) if error.kind() == RequestErrorKind::NoResponders => {
            Err(SetupError::Absent("the broker has no JetStream"))
        }
        Err(error) => Err(SetupError::Unavailable(error.to_string())),
    }
}

/// What was found and what was expected, setting by setting: what would break a promise, and what is the operator's to
/// choose.
fn differences(wanted: &stream::Config, found: &stream::Config) -> (Vec<String>, Vec<String>) {
    let count = |number: i64| if number <= 0 { "no bound".to_owned() } else { number.to_string() };
    let age = |age: Duration| if age.is_zero() { "no bound".to_owned() } else { format!("{}s", age.as_secs()) };
    let subjects = |config: &stream::Config| {
        let mut subjects = config.subjects.clone();
        subjects.sort();
        subjects.join(", ")
    };
    let discard = |config: &stream::Config| format!("{:?}", config.discard);
    let given = |is_there: bool| if is_there { "set" } else { "none" }.to_owned();
    // Which message goes when a stream is full matters where it can be full.
    let is_bounded = found.max_bytes > 0 || found.max_messages > 0;
    let is_kept_less = (found.storage, wanted.storage) == (StorageType::Memory, StorageType::File)
        || found.num_replicas < wanted.num_replicas;
    // Refusals may be kept nowhere; nothing but what is wanted may be among it.
    let is_other = found.subjects.iter().any(|subject| !wanted.subjects.contains(subject))
        || wanted.subjects.first().is_some_and(|subject| !found.subjects.contains(subject));
    // (setting, found, expected, whether it breaks a promise)
    let settings = [
        ("subjects", subjects(found), subjects(wanted), is_other),
        ("retention", format!("{:?}", found.retention), format!("{:?}", wanted.retention), true),
        ("storage", format!("{:?}", found.storage), format!("{:?}", wanted.storage), is_kept_less),
        ("replicas", found.num_replicas.to_string(), wanted.num_replicas.to_string(), is_kept_less),
        ("discard", discard(found), discard(if is_bounded { wanted } else { found }), true),
        ("max_age", age(found.max_age), age(wanted.max_age), false),
        ("max_bytes", count(found.max_bytes), count(wanted.max_bytes), false),
        ("max_msgs", count(found.max_messages), count(-1), false),
        ("max_msgs_per_subject", count(found.max_messages_per_subject), count(-1), true),
        ("no_ack", found.no_ack.to_string(), false.to_string(), true),
        ("sealed", found.sealed.to_string(), false.to_string(), true),
        ("mirror", given(found.mirror.is_some()), given(false), true),
        ("sources", given(found.sources.as_ref().is_some_and(|sources| !sources.is_empty())), given(false), true),
        ("subject_transform", given(found.subject_transform.is_some()), given(false), true),
        ("duplicate_window", age(found.duplicate_window), age(found.duplicate_window.max(DUPLICATE_WINDOW)), true),
    ];
    let differing = settings.into_iter().filter(|(_, found, wanted, _)| found != wanted);
    let (wrong, other): (Vec<_>, Vec<_>) = differing.partition(|(.., is_wrong)| *is_wrong);
    let told = |settings: Vec<(&str, String, String, bool)>| {
        settings.into_iter().map(|(name, found, wanted, _)| format!("{name} is {found}, expected {wanted}")).collect()
    };
    (told(wrong), told(other))
}

/// The streams of the account that capture what requests are sent to: whoever asks there takes the stream's
/// acknowledgement for a verdict.
pub(super) async fn captured_requests(context: &Context, subjects: &Subjects) -> Result<Vec<String>, SetupError> {
    let mut captured = Vec::new();
    for (_, subject) in subjects.listened() {
        captured.extend(capturing(context, &subject).await?.map(|name| format!("{subject} by {name}")));
    }
    Ok(captured)
}

/// Where to go on: after what was taken, as the journal or this process knows it; else after what an earlier consumer
/// has acknowledged; else at the beginning.
pub(super) async fn start(
    stream: &Stream,
    config: &StreamConfig,
    place: &mut Place,
    oldest: Option<StreamPosition>,
) -> Result<Start, SetupError> {
    let unavailable = |error: &dyn std::fmt::Display| SetupError::Unavailable(error.to_string());
    let info = stream.get_info().await.map_err(|error| unavailable(&error))?;
    let (first, last) = (info.state.first_sequence, info.state.last_sequence);
    let from = |number: u64| DeliverPolicy::ByStartSequence { start_sequence: number.max(1) };
    let taken = place.taken().map_or(0, |taken| taken.sequence);
    let stored_ms = if (first..=last).contains(&taken) && taken > 0 {
        match stream.get_raw_message(taken).await {
            Ok(message) => Some(unix_ms(message.time)),
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => None,
            Err(error) => return Err(unavailable(&error)),
        }
    } else {
        None
    };
    let sight = Sight { first, last, made_ms: unix_ms(info.created), stored_ms };
    let Some(place::Start { from: begin, has_forgotten, lost }) = place.start(sight, oldest) else {
        let acknowledged = stream.consumer_info(&config.consumer).await.ok().map(|info| info.ack_floor.stream_sequence);
        let policy = acknowledged.map_or_else(|| from(first), |floor| from(floor + 1));
        return Ok(Start { policy, has_forgotten: false, lost: 0 });
    };
    if has_forgotten {
        tracing::warn!(
            stream = info.config.name,
            taken,
            first,
            last,
            "the stream is not the one of before: going on by time, and what was seen already counts once",
        );
    }
    let policy = match begin {
        From::Number(number) => from(number),
        From::SinceMade(ms) => {
            DeliverPolicy::ByStartTime { start_time: info.created + Duration::from_millis(ms.unsigned_abs()) }
        }
    };
    Ok(Start { policy, has_forgotten, lost })
}

/// The consumer, made anew, because the place where one begins cannot be changed.
pub(super) async fn consumer(
    stream: &Stream,
    config: &StreamConfig,
    policy: DeliverPolicy,
) -> Result<PullConsumer, SetupError> {
    // One that is not there need not be removed; any other trouble shows when it is made.
    let _ = stream.delete_consumer(&config.consumer).await;
    let wanted = pull::Config {
        durable_name: Some(config.consumer.clone()),
        description: Some("gavel, in one order; made anew by each start".into()),
        deliver_policy: policy,
        ack_policy: AckPolicy::All,
        ack_wait: ACK_WAIT,
        max_ack_pending: IN_FLIGHT_MAX as i64,
        ..pull::Config::default()
    };
    let made: Result<Consumer<pull::Config>, _> = stream.create_consumer(wanted).await;
    made.map_err(|error| SetupError::Unavailable(format!("consumer {}: {error}", config.consumer)))
}

/// The identities of the verdicts that were stored from a time on.
pub(super) async fn stored_since(verdicts: &Stream, since_ms: i64) -> Result<BTreeSet<String>, SetupError> {
    let unavailable = |error: &dyn std::fmt::Display| SetupError::Unavailable(error.to_string());
    let info = verdicts.get_info().await.map_err(|error| unavailable(&error))?;
    let ms = u64::try_from(since_ms - CLOCKS_DIFFER_MS - unix_ms(info.created)).unwrap_or_default();
    let wanted = pull::OrderedConfig {
        deliver_policy: DeliverPolicy::ByStartTime { start_time: info.created + Duration::from_millis(ms) },
        headers_only: true,
        ..pull::OrderedConfig::default()
    };
    let mut consumer = verdicts.create_consumer(wanted).await.map_err(|error| unavailable(&error))?;
    let mut stored = BTreeSet::new();
    if consumer.info().await.map_err(|error| unavailable(&error))?.num_pending == 0 {
        return Ok(stored);
    }
    let mut messages = consumer.messages().await.map_err(|error| unavailable(&error))?;
    while let Some(message) = messages.next().await {
        let message = message.map_err(|error| unavailable(&error))?;
        let identity = message.headers.as_ref().and_then(|headers| headers.get(async_nats::header::NATS_MESSAGE_ID));
        stored.extend(identity.map(|identity| identity.as_str().to_owned()));
        if message.info().map_err(|error| unavailable(&error))?.pending == 0 {
            break;
        }
    }
    Ok(stored)
}

pub(super) fn unix_ms(time: DateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
