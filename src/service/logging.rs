//! Where log lines go and what they look like. Lines hold no card data: callers pass tokens and counts, never fields.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Sends log lines to standard error: for people on a terminal, one JSON object a line otherwise. A second call does
/// nothing.
pub fn start(config: &LogConfig) {
    let terminal = std::io::stderr().is_terminal();
    let for_people = match config.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => terminal,
    };
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Only the first call of a process can succeed, and one is enough.
    let _ = if for_people {
        builder.with_ansi(terminal).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
