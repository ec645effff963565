//! Where log lines go and what they look like. Lines hold no card data: callers pass tokens and counts, never fields.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    layer::SubscriberExt as _,
    registry,
    util::SubscriberInitExt as _,
};

use crate::config::{LogConfig, LogFormat};

/// Sends log lines to standard error: for people on a terminal, one JSON object a line otherwise. A second call does
/// nothing. Whether they are for people.
pub fn start(config: &LogConfig) -> bool {
    let terminal = std::io::stderr().is_terminal();
    let for_people = match config.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => terminal,
    };
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // Below this level libraries log whole messages, and one may hold what is refused for being a card number.
    let is_discreet = |line: &Metadata<'_>| line.target().starts_with("gavel") || *line.level() <= Level::INFO;
    let filter = filter.and(filter_fn(is_discreet));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // Only the first call of a process can succeed, and one is enough.
    let _ = if for_people {
        registry().with(lines.with_ansi(terminal).with_target(false).with_filter(filter)).try_init()
    } else {
        registry().with(lines.json().flatten_event(true).with_filter(filter)).try_init()
    };
    for_people
}
