//! A broker for the demo: a nats-server of its own on a free port, ended and cleared away with it.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

/// How long the broker may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub(super) enum BrokerError {
    #[error("there is no nats-server: run `make broker`, put one on the PATH, or name one in NATS_SERVER")]
    Missing,
    #[error("{} does not start: {source}", path.display())]
    Start { path: PathBuf, source: io::Error },
    #[error("{} does not listen: {why}", path.display())]
    Silent { path: PathBuf, why: String },
}

/// A running nats-server.
pub(super) struct Broker {
    process: Child,
    folder: PathBuf,
    url: String,
}

impl Broker {
    pub(super) async fn start() -> Result<Self, BrokerError> {
        let path = find().ok_or(BrokerError::Missing)?;
        let failed = |source| BrokerError::Start { path: path.clone(), source };
        let folder = env::temp_dir().join(format!("gavel-demo-{:016x}", rand::random::<u64>()));
        fs::create_dir(&folder).map_err(failed)?;
        let mut command = Command::new(&path);
        command
            .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        // Ctrl-C on a terminal reaches a whole group; the broker must outlive the service's last answers.
        #[cfg(unix)]
        command.process_group(0);
        let process = command.spawn().map_err(|source| {
            // Nothing is left behind, whatever became of the folder.
            let _ = fs::remove_dir_all(&folder);
            failed(source)
        })?;
        let mut broker = Self { process, folder, url: String::new() };
        broker.url = broker.listening().await.map_err(|why| BrokerError::Silent { path, why })?;
        Ok(broker)
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens, from the file that it writes once it does.
    async fn listening(&mut self) -> Result<String, String> {
        let ports = self.folder.join(format!("nats-server_{}.ports", self.process.id().unwrap_or_default()));
        let start = Instant::now();
        loop {
            let said = fs::read(&ports).ok().and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
            if let Some(url) = said.as_ref().and_then(|said| said["nats"][0].as_str()) {
                return Ok(url.to_owned());
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(format!("it ended with {status}"));
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("it said nothing for {} s", PATIENCE.as_secs()));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it.
    pub(super) async fn stop(mut self) {
        // It may have ended by itself.
        let _ = self.process.kill().await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.start_kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// From `NATS_SERVER`, else fetched into `.tools`, else installed.
fn find() -> Option<PathBuf> {
    if let Some(named) = env::var_os("NATS_SERVER") {
        return Some(named.into());
    }
    let fetched = Path::new(".tools/nats-server");
    if fetched.is_file() {
        return Some(fetched.into());
    }
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|folder| folder.join("nats-server")).find(|file| file.is_file())
}
