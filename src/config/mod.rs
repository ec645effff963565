//! Configuration from file, environment and flags over built-in defaults. It binds no port and opens no connection.

mod problem;
mod secret;
mod source;
mod mask;
mod value;
mod known;
mod reader;
mod policy;
mod segments;
mod stream;
mod models;
mod sections;
mod restart;

use std::path::PathBuf;

pub use problem::{ConfigErrors, Problem};
pub use secret::Secret;
pub use source::{FILE_NAME, Flags, Sources};

use crate::{quality::QualitySettings, scoring::settings::Settings};

/// Everything that can be configured, checked.
///
/// It has no `Debug`: it holds passwords.
#[derive(Clone)]
pub struct Config {
    /// The part that can change an answer; reloadable.
    pub settings: Settings,
    /// The service refuses a transaction whose time is further ahead of the wall clock than this.
    pub skew_ms: i64,
    /// The folder of the rule files.
    pub rules: PathBuf,
    /// Which model scores.
    pub model: ModelChoice,
    /// The model files that score in shadow beside it.
    pub challengers: Vec<PathBuf>,
    /// How live quality is kept.
    pub quality: QualitySettings,
    /// How the service reaches its broker.
    pub nats: NatsConfig,
    /// Where the service listens for messages and publishes verdicts.
    pub subjects: SubjectRoots,
    /// What JetStream keeps of what comes in and goes out.
    pub stream: StreamConfig,
    /// The thread that scores.
    pub scoring: ScoringConfig,
    /// The port of metrics and health.
    pub http: HttpConfig,
    /// What outlives the process, and where.
    pub durability: DurabilityConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// What keeps a fatal edit out.
    pub guard: GuardConfig,
    /// The file that was read, for watching it; `None` where there was none.
    pub file: Option<PathBuf>,
}

/// Which model scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelChoice {
    /// The one in `models/`.
    Shipped,
    /// No model: rules alone.
    None,
    /// This file.
    File(PathBuf),
}

/// How the service reaches its broker.
///
/// It has no `Debug`: it holds passwords, and a server's address may hold one too.
#[derive(Clone)]
pub struct NatsConfig {
    /// The servers, the first tried first.
    pub servers: Vec<async_nats::ServerAddr>,
    /// How it says who it is.
    pub authentication: Authentication,
    /// A file of certificate authorities to trust instead of the system's.
    pub tls_ca: Option<PathBuf>,
    /// The client's certificate and key, for mutual TLS.
    pub tls_client: Option<TlsClient>,
    /// Messages that wait in the client for each subscription; more are dropped by the client, which counts them.
    pub subscription_capacity: usize,
    /// Messages that wait in the client to be written to the broker; more make the publisher wait.
    pub client_capacity: usize,
    /// Messages that wait for the scoring thread.
    pub queue_max: usize,
}

/// How the service says who it is.
#[derive(Clone)]
pub enum Authentication {
    /// It does not, or the server's address does.
    None,
    /// By name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// By a credentials file of a JWT and its seed.
    Credentials(PathBuf),
    /// By the seed of an nkey.
    Nkey(Secret),
}

/// The files of a client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsClient {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// The leading tokens of each kind of subject, without a dot at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRoots {
    /// Requests for a verdict: `<score>.<processor>.<card>`.
    pub score: String,
    /// Requests for many verdicts: `<batch>.<processor>`.
    pub batch: String,
    /// Verdicts out: `<verdict>.<processor>.<verdict>`.
    pub verdict: String,
    /// Outcomes in: `<outcome>.<processor>.<card>`.
    pub outcome: String,
    /// Labels in: `<label>.<processor>.<card>`.
    pub label: String,
    /// List changes in: `<list>.<list id>`.
    pub list: String,
    /// Requests to reload: this subject itself.
    pub reload: String,
    /// The stream path in: `<txn>.<processor>.<card>`, and `.outcome` or `.label` behind that.
    pub txn: String,
    /// What of the stream path could not be scored: `<refused>.<processor>`.
    pub refused: String,
}

/// What JetStream keeps of what comes in and goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// Whether there is a stream path.
    pub path: StreamPath,
    /// Whether streams that are missing are made; those that are there are only compared.
    pub may_create: bool,
    /// The stream of transactions, outcomes and labels.
    pub name: String,
    /// The consumer that reads it.
    pub consumer: String,
    /// The stream of verdicts; `None` where nobody stores them.
    pub verdicts: Option<String>,
    /// Where the broker keeps both.
    pub storage: StreamStorage,
    /// How many brokers keep each.
    pub replicas: usize,
    /// How long what comes in is kept.
    pub max_age_ms: i64,
    /// How much of it; 0 for no bound.
    pub max_bytes: usize,
    /// How long verdicts are kept.
    pub verdicts_max_age_ms: i64,
    /// How much of them; 0 for no bound.
    pub verdicts_max_bytes: usize,
}

/// Whether there is a stream path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamPath {
    /// There is none.
    Off,
    /// There is one where the broker has JetStream.
    Sought,
    /// There has to be one.
    On,
}

/// Where a broker keeps a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamStorage {
    /// On its disk.
    File,
    /// In its memory.
    Memory,
}

/// What keeps a fatal edit out.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardConfig {
    /// How much larger the share of denials may become by a reload, from 0 to 1.
    pub max_deny_change: f64,
    /// How many of the latest transactions are kept to try a release on.
    pub transactions: usize,
}

/// The thread that scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoringConfig {
    /// The nice value that it asks for; 0 asks for nothing.
    pub nice: i32,
}

/// The port of metrics and health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// The address; port 0 asks the system for a free one.
    pub listen: std::net::SocketAddr,
}

/// What outlives the process, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurabilityConfig {
    /// The folder of the journal; `None` for no durability.
    pub dir: Option<PathBuf>,
    /// At most this long what was answered is not yet safe from a power cut; 0 makes it safe before it is answered.
    pub sync_interval_ms: i64,
    /// The length of one file of the journal.
    pub file_max_bytes: usize,
    /// The length of all of them.
    pub journal_max_bytes: usize,
    /// What to do while nothing can be written.
    pub on_failure: OnFailure,
    /// At most this long after a snapshot the next one is taken, if there is anything new; 0 takes none.
    pub snapshot_interval_ms: i64,
    /// The next one is taken earlier once the journal has grown by this much.
    pub snapshot_after_bytes: usize,
    /// How many snapshots are kept.
    pub snapshots_kept: usize,
}

/// What to do while the journal cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Refuse every message until it can be written again.
    Refuse,
    /// Go on answering; what is answered meanwhile is lost with the process.
    Continue,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A level or directives by module: `info`, `gavel=debug,async_nats=warn`.
    pub filter: String,
    /// For people or for programs.
    pub format: LogFormat,
}

/// For whom the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads `gavel.toml` (or the file that the flags name), the process's environment and the flags, in rising order
    /// of precedence. Called again it reads all of them again.
    pub fn load(flags: &Flags) -> Result<Self, ConfigErrors> {
        Self::read(Sources::of_process(flags))
    }

    /// The configuration of given sources.
    pub fn read(sources: Sources) -> Result<Self, ConfigErrors> {
        sections::read(sources)
    }

    /// Every key there is, except the entries of maps such as `rates`.
    pub fn keys() -> Vec<String> {
        sections::keys()
    }
}

impl NatsConfig {
    /// The servers for logs and messages: hosts and ports, never a name or a password.
    pub fn servers_text(&self) -> String {
        let texts: Vec<_> = self.servers.iter().map(|server| format!("{}:{}", server.host(), server.port())).collect();
        texts.join(",")
    }
}
