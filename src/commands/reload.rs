//! `gavel reload`: asks a running service to take over what lies on disk, now, and prints what came of it. It reads no
//! rule itself.

use std::{io::Write as _, process::ExitCode, time::Duration};

use async_nats::{HeaderMap, Request, RequestErrorKind};
use clap::Args;
use serde_json::Value;

use super::common::{ConfigFlag, EXIT_USAGE, JsonFlag, NatsFlag, load_config};
use crate::{config::Config, config::Flags, service::client};

/// The edit failed or was refused.
const EXIT_REFUSED: u8 = 1;
/// Lists of ten million entries are read within it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whom to ask, and how firmly.
#[derive(Args, Clone, Debug)]
pub struct ReloadArguments {
    /// Let it serve whatever the guard says of its denials
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    config: ConfigFlag,
    #[command(flatten)]
    nats: NatsFlag,
    #[command(flatten)]
    json: JsonFlag,
}

/// Asks, and prints the answer.
pub fn run(arguments: &ReloadArguments) -> ExitCode {
    let config = match load_config(Flags::from(&arguments.config).with_nats(&arguments.nats)) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = match runtime.map_err(|error| error.to_string()) {
        Ok(runtime) => runtime.block_on(ask(&config, arguments.force)),
        Err(error) => Err(error),
    };
    match report {
        Ok(report) => print(&report, arguments.json.json),
        Err(message) => {
            anstream::eprintln!("error: {message}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

async fn ask(config: &Config, force: bool) -> Result<Value, String> {
    let client = client::connect(&config.nats, "gavel reload").await.map_err(|error| error.to_string())?;
    let subject = config.subjects.reload.clone();
    let request = Request::new().payload(format!(r#"{{"force":{force}}}"#).into()).timeout(Some(PATIENCE));
    let answer = match client.send_request(subject, request).await {
        Ok(answer) => answer,
        Err(error) if error.kind() == RequestErrorKind::NoResponders => {
            return Err(format!(
                "no service listens on `{}` at {}",
                config.subjects.reload,
                config.nats.servers_text()
            ));
        }
        Err(error) => return Err(error.to_string()),
    };
    let refusal = |headers: &HeaderMap| headers.get("Nats-Service-Error").map(|message| message.as_str().to_owned());
    if let Some(message) = answer.headers.as_ref().and_then(refusal) {
        return Err(message);
    }
    serde_json::from_slice(&answer.payload).map_err(|error| format!("the answer cannot be read: {error}"))
}

fn print(report: &Value, as_json: bool) -> ExitCode {
    let text = |key: &str| report[key].as_str().unwrap_or_default();
    let code = match text("result") {
        "applied" | "unchanged" => ExitCode::SUCCESS,
        _ => ExitCode::from(EXIT_REFUSED),
    };
    if as_json {
        say(&format!("{report}\n"));
        return code;
    }
    if !text("diagnostics").is_empty() {
        anstream::eprintln!("{}\n", text("diagnostics"));
    }
    for section in report["restart"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        anstream::eprintln!("note: what has changed in {section} needs a restart");
    }
    let versions = &report["versions"];
    let version = |key: &str| versions[key].as_str().unwrap_or("none").to_owned();
    say(&format!(
        "{}: {}\nserving: rules {}, model {}, config {}\n",
        text("result"),
        text("message"),
        version("rules"),
        version("model"),
        version("config"),
    ));
    code
}

/// Writes to standard output. A reader that has gone away is no failure.
fn say(text: &str) {
    let _ = anstream::stdout().lock().write_all(text.as_bytes());
}
