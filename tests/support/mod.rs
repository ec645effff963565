//! A real broker and the real service for integration tests, each a process of its own on free ports. Both end with the
//! test.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

pub mod old;
pub mod purchases;
pub mod streams;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Nothing here takes long; a test that waits longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A nats-server.
pub struct Broker {
    process: Child,
    folder: TempDir,
    url: String,
    port: u16,
}

impl Broker {
    /// A server without any configuration.
    pub fn start() -> Self {
        Self::start_with("", 0)
    }

    /// A server with a configuration, on a port, or on a free one where that is 0.
    pub fn start_with(configuration: &str, port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("server.conf");
        fs::write(&file, configuration).expect("written");
        let port = if port == 0 { "-1".to_owned() } else { port.to_string() };
        let process = Command::new(server())
            .args(["-a", "127.0.0.1", "-p", &port, "-m", "-1", "--ports_file_dir"])
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server starts");
        let ports = folder.path().join(format!("nats-server_{}.ports", process.id()));
        let said = wait_for("the broker's ports", || {
            serde_json::from_str::<serde_json::Value>(&fs::read_to_string(&ports).ok()?).ok()
        });
        let first = |key: &str| said[key][0].as_str().expect("an address").to_owned();
        let url = first("nats");
        let monitoring = first("monitoring");
        wait_for("the broker's health", || http_get(&monitoring, "/healthz").filter(|(status, _)| *status == 200));
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        Self { process, folder, url, port }
    }

    /// A server that keeps streams in a folder.
    pub fn start_jetstream(store: &Path, configuration: &str, port: u16) -> Self {
        let store = format!("jetstream {{ store_dir: \"{}\" }}\n", store.display());
        Self::start_with(&format!("{store}{configuration}"), port)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it.
    pub fn kill(mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// An ordinary client.
    pub async fn client(&self) -> async_nats::Client {
        async_nats::connect(&self.url).await.expect("the broker is there")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The server's binary: from `NATS_SERVER`, else `.tools`, else the path. Without one the test fails and says why.
fn server() -> PathBuf {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/nats-server");
    let from_path = || {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).map(|folder| folder.join("nats-server")).find(|file| file.exists())
    };
    let given = std::env::var_os("NATS_SERVER").map(PathBuf::from);
    given
        .or_else(|| fetched.exists().then_some(fetched))
        .or_else(from_path)
        .expect("there is no nats-server: run `make broker`, or set NATS_SERVER to one of at least 2.12.1")
}

/// `gavel serve` as a process.
pub struct Gavel {
    process: Child,
    folder: TempDir,
    arguments: Vec<String>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Gavel {
    /// A service of a broker, ready to serve.
    pub fn start(broker: &Broker) -> Self {
        let gavel = Self::start_with(broker.url(), "", &[]);
        gavel.wait_ready();
        gavel
    }

    /// A service with a configuration and further arguments, without rules and model, not waited for.
    pub fn start_with(url: &str, configuration: &str, arguments: &[&str]) -> Self {
        Self::start_in(Self::prepare(configuration, &[]), url, arguments)
    }

    /// A service with a configuration and files, by their names, not waited for.
    pub fn prepared(url: &str, configuration: &str, files: &[(&str, &str)]) -> Self {
        Self::start_in(Self::prepare(configuration, files), url, &[])
    }

    /// A folder to run in, with a configuration, a rule folder and files.
    pub fn prepare(configuration: &str, files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("rules")).expect("a folder");
        fs::write(folder.path().join("gavel.toml"), configuration).expect("written");
        for (name, content) in files {
            fs::write(folder.path().join(name), content).expect("written");
        }
        folder
    }

    /// A service that runs in a folder, not waited for.
    pub fn start_in(folder: TempDir, url: &str, arguments: &[&str]) -> Self {
        Self::spawn_in(folder, url, &[&["--model", "none"], arguments].concat())
    }

    /// A service with a configuration and arguments, without rules, not waited for.
    pub fn start_as(url: &str, configuration: &str, arguments: &[&str]) -> Self {
        Self::spawn_in(Self::prepare(configuration, &[]), url, arguments)
    }

    /// A service that runs in a folder with arguments, not waited for.
    pub fn spawn_in(folder: TempDir, url: &str, arguments: &[&str]) -> Self {
        let arguments = [&["serve", "--nats", url, "--http", "127.0.0.1:0"], arguments].concat();
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let (process, lines) = spawn(folder.path(), &arguments);
        Self { process, folder, arguments, lines }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Kills it as a crash does.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it anew in the same folder, once it has ended.
    pub fn start_again(&mut self) {
        (self.process, self.lines) = spawn(self.folder.path(), &self.arguments);
    }

    /// The folder it runs in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.lines.lock().expect("no panic").join("\n")
    }

    /// Waits for a line of the log that holds a text.
    pub fn wait_log(&self, text: &str) -> String {
        wait_for(text, || self.log().lines().find(|line| line.contains(text)).map(str::to_owned))
    }

    /// Waits until it serves.
    pub fn wait_ready(&self) {
        wait_for("readiness", || self.get("/readyz").filter(|(status, _)| *status == 200));
    }

    /// Asks its HTTP port.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        http_get(&self.http()?, path)
    }

    /// The address of its HTTP port, from its log.
    pub fn http(&self) -> Option<String> {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("\"metrics\""))?;
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(line["metrics"].as_str()?.trim_end_matches("/metrics").to_owned())
    }

    /// The sum of a metric's series whose labels hold a text.
    pub fn metric(&self, name: &str, labels: &str) -> f64 {
        let (_, text) = self.get("/metrics").expect("it is there");
        let is_series = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(labels))
        };
        text.lines().filter(is_series).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until a metric's series add up to a number.
    pub fn wait_metric(&self, name: &str, labels: &str, expected: f64) {
        wait_for(&format!("{name}{{{labels}}} {expected}"), || {
            ((self.metric(name, labels) - expected).abs() < 0.5).then_some(())
        });
    }

    /// Asks it to stop, as an orchestrator does.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill runs").success());
    }

    /// Waits for its end.
    pub fn wait_exit(&mut self) -> ExitStatus {
        wait_for("the end of the service", || self.process.try_wait().expect("it was started"))
    }
}

fn spawn(folder: &Path, arguments: &[String]) -> (Child, Arc<Mutex<Vec<String>>>) {
    // A limit on the size of files is to be an error, as a full disk is, and not a signal.
    let mut process = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#, env!("CARGO_BIN_EXE_gavel")])
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("gavel starts");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let output = BufReader::new(process.stderr.take().expect("it is piped"));
    let shared = lines.clone();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            shared.lock().expect("no panic").push(line);
        }
    });
    (process, lines)
}

impl Drop for Gavel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Tries until there is something. A hang is a failure with a name.
pub fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Status and body of a GET; `None` where nobody answers.
pub fn http_get(address: &str, path: &str) -> Option<(u16, String)> {
    let host = address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
