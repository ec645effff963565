//! `gavel serve`: the service, until it is told to stop. It decides nothing about a transaction.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use clap::Args;

use super::common::{EXIT_USAGE, HttpFlag, NatsFlag, ScoringFlags, load_config, load_release, load_release_logging};
use crate::{
    config::{Config, Flags},
    scoring::release::Release,
    service::{
        logging,
        running::{Service, ServiceError},
        signals::{Asked, Signals},
    },
};

/// Arguments of `gavel serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArguments {
    #[command(flatten)]
    scoring: ScoringFlags,
    /// Model file that scores in shadow, beside the model; may be given several times
    #[arg(long = "challenger", value_name = "FILE")]
    challengers: Vec<PathBuf>,
    #[command(flatten)]
    nats: NatsFlag,
    #[command(flatten)]
    http: HttpFlag,
    /// Take over from the process that serves from the same folder, without leaving a request unanswered
    #[arg(long)]
    take_over: bool,
}

/// Serves until SIGTERM or Ctrl-C.
pub fn run(arguments: &ServeArguments) -> ExitCode {
    let flags = Flags::from(&arguments.scoring).with_nats(&arguments.nats).with_http(&arguments.http);
    let flags = Flags { challengers: arguments.challengers.clone(), ..flags };
    let config = match load_config(flags.clone()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    if arguments.take_over && config.durability.dir.is_none() {
        anstream::eprintln!("error: --take-over needs a folder that both processes have, and [durability] dir is none");
        return ExitCode::from(EXIT_USAGE);
    }
    let is_for_people = logging::start(&config.log);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
            return ExitCode::FAILURE;
        }
    };
    // Before anything is loaded, which may take a while.
    let signals = match runtime.block_on(async { Signals::listen() }) {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be listened to");
            return ExitCode::FAILURE;
        }
    };
    let release = match if is_for_people { load_release(&config) } else { load_release_logging(&config) } {
        Ok(release) => release,
        Err(code) => return code,
    };
    match runtime.block_on(serve(&config, release, flags, (arguments.take_over, signals))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

async fn serve(
    config: &Config,
    release: Release,
    flags: Flags,
    (takes_over, mut signals): (bool, Signals),
) -> Result<(), ServiceError> {
    let versions = release.versions.clone();
    let service = Service::start(config, release, Some(flags), takes_over).await?;
    tracing::info!(
        nats = config.nats.servers_text(),
        metrics = format!("http://{}/metrics", service.http_address()),
        rules = versions.rules,
        model = versions.model.as_deref().unwrap_or("none"),
        config = versions.config,
        "gavel {} starts",
        versions.engine,
    );
    loop {
        tokio::select! {
            ended = service.ended() => {
                ended?;
                tracing::info!("another process has taken over");
                break;
            }
            asked = signals.received() => match asked {
                // The terminal is gone, or somebody asks for it there.
                Asked::Reload if std::io::stdin().is_terminal() => break,
                Asked::Reload => service.reload(),
                Asked::Stop(signal) => {
                    tracing::info!(signal, "stopping: answering what was received");
                    break;
                }
            },
        }
    }
    // Whoever asks twice wants it now.
    tokio::select! {
        stopped = service.stop() => stopped?,
        () = signals.stop() => tracing::warn!("stopped without waiting for the broker"),
    }
    tracing::info!("stopped");
    Ok(())
}
