//! The flags that commands share, and what they do with a configuration that is wrong. No command is defined here.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use crate::{
    config::{Config, ConfigErrors, Flags, ModelChoice},
    data::{Notes, Period, parse_moment},
    loading::{self, Loaded},
    scoring::release::Release,
    scoring::time::Timestamp,
};

/// Wrong usage or configuration.
pub const EXIT_USAGE: u8 = 2;

/// For every command that reads the configuration.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigFlag {
    /// Configuration file; without it `gavel.toml` here, if there is one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// For every command that reads rules.
#[derive(Args, Clone, Debug, Default)]
pub struct RulesFlag {
    /// Folder of the rule files [default: rules]
    #[arg(long, value_name = "DIR")]
    pub rules: Option<PathBuf>,
}

/// For every command that scores.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelFlag {
    /// Model file, or `none` for no model [default: the one in models/]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
}

/// For every command that scores with rules and a model.
#[derive(Args, Clone, Debug, Default)]
pub struct ScoringFlags {
    #[command(flatten)]
    config: ConfigFlag,
    #[command(flatten)]
    rules: RulesFlag,
    #[command(flatten)]
    model: ModelFlag,
}

/// For every command that talks to a broker.
#[derive(Args, Clone, Debug, Default)]
pub struct NatsFlag {
    /// Broker, or several with commas between [default: the local one]
    #[arg(long, value_name = "URL")]
    pub nats: Option<String>,
}

/// For every command that serves metrics.
#[derive(Args, Clone, Debug, Default)]
pub struct HttpFlag {
    /// Address of /metrics, /healthz and /readyz [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<String>,
}

/// For every command that writes or learns from a part of what it replays.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct PeriodFlags {
    /// The first day, or moment in RFC 3339, inside
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub from: Option<Timestamp>,
    /// The first day, or moment in RFC 3339, after
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub to: Option<Timestamp>,
}

impl From<&PeriodFlags> for Period {
    fn from(flags: &PeriodFlags) -> Self {
        Self { from: flags.from, to: flags.to }
    }
}

impl PeriodFlags {
    /// Nothing lies between an end and a beginning; the command ends with the code.
    pub fn check(&self) -> Result<(), ExitCode> {
        if self.from.zip(self.to).is_none_or(|(from, to)| from < to) {
            return Ok(());
        }
        anstream::eprintln!("error: --from is not before --to, so nothing lies between them");
        Err(ExitCode::from(EXIT_USAGE))
    }
}

/// For every command whose output is for people by default.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct JsonFlag {
    /// Print JSON instead of text for people
    #[arg(long)]
    pub json: bool,
}

impl From<&ConfigFlag> for Flags {
    fn from(flag: &ConfigFlag) -> Self {
        Self { config: flag.config.clone(), ..Self::default() }
    }
}

impl From<&ScoringFlags> for Flags {
    fn from(flags: &ScoringFlags) -> Self {
        Self { rules: flags.rules.rules.clone(), model: flags.model.model.clone(), ..Self::from(&flags.config) }
    }
}

impl Flags {
    /// The same flags with the broker's address.
    #[must_use]
    pub fn with_nats(self, flag: &NatsFlag) -> Self {
        Self { nats: flag.nats.clone(), ..self }
    }

    /// The same flags with the address of the metrics.
    #[must_use]
    pub fn with_http(self, flag: &HttpFlag) -> Self {
        Self { http: flag.http.clone(), ..self }
    }
}

/// Refuses an output that is one of the files that are read, for it would be lost; the command ends with the code.
pub fn refuse_read<'p>(out: &Path, read: impl IntoIterator<Item = &'p Path>) -> Result<(), ExitCode> {
    let whole = |path: &Path| path.canonicalize().ok();
    let Some(file) = whole(out).filter(|path| path.is_file()) else { return Ok(()) };
    if read.into_iter().any(|read| whole(read).as_ref() == Some(&file)) {
        let out = out.display();
        anstream::eprintln!("error: {out} is a file that is read, and would be replaced by what is made of it");
        return Err(ExitCode::from(EXIT_USAGE));
    }
    Ok(())
}

/// The name of a file, where standard output is taken.
pub fn file_name(text: &str) -> Result<PathBuf, String> {
    if text == "-" { Err("expected the name of a file".to_owned()) } else { Ok(text.into()) }
}

/// Says what a data file held that was ignored, and how many of its rows had no rate.
pub fn print_notes(notes: &Notes, without_rate: u64) {
    for note in notes.lines() {
        anstream::eprintln!("note: {note}");
    }
    if without_rate > 0 {
        anstream::eprintln!(
            "note: {without_rate} rows in a currency without a rate under [rates]: their amount is missing for rules and \
             features"
        );
    }
}

/// The configuration under the given flags; what is wrong with it is printed, and the command ends with the code.
pub fn load_config(flags: impl Into<Flags>) -> Result<Config, ExitCode> {
    Config::load(&flags.into()).map_err(|errors| report(&errors))
}

/// The release that the configuration names. Warnings are printed; without one, so is why, and the command ends with the
/// code.
pub fn load_release(config: &Config) -> Result<Release, ExitCode> {
    load_release_beside(config, None, &[])
}

/// The same for a command that writes a file: it may be none of those that are read.
pub fn load_release_beside(config: &Config, out: Option<&Path>, read: &[&Path]) -> Result<Release, ExitCode> {
    let loaded = loading::load_release(config).map_err(|error| {
        anstream::eprintln!("{}", error.render(true));
        ExitCode::from(EXIT_USAGE)
    })?;
    for warning in &loaded.warnings {
        anstream::eprintln!("{}\n", warning.render(true));
    }
    if let Some(note) = without_model(&loaded, config) {
        anstream::eprintln!("note: {note}");
    }
    if let Some(out) = out {
        let of_release = loaded.read.iter().chain(&config.file).map(PathBuf::as_path);
        refuse_read(out, of_release.chain(read.iter().copied()))?;
    }
    Ok(loaded.release)
}

/// The same for a service whose log is for programs: what there is to say are lines of it.
pub fn load_release_logging(config: &Config) -> Result<Release, ExitCode> {
    let loaded = loading::load_release(config).map_err(|error| {
        // Whatever the log leaves out, a service that does not start says why.
        let message = error.render(false);
        let line = serde_json::json!({
            "timestamp": jiff::Timestamp::now().to_string(), "level": "ERROR", "message": message, "target": "gavel",
        });
        anstream::eprintln!("{line}");
        ExitCode::from(EXIT_USAGE)
    })?;
    for warning in &loaded.warnings {
        tracing::warn!("{}", warning.render(false));
    }
    if let Some(note) = without_model(&loaded, config) {
        tracing::warn!("{note}");
    }
    Ok(loaded.release)
}

/// Why there is no model, where nobody asked for none.
fn without_model(loaded: &Loaded, config: &Config) -> Option<String> {
    match &loaded.left_out {
        Some(error) => Some(format!("{error}; it is left out, so rules alone decide")),
        None if loaded.release.model.is_none() && config.model != ModelChoice::None => {
            Some("there is no model in models/, so rules alone decide".to_owned())
        }
        None => None,
    }
}

fn report(errors: &ConfigErrors) -> ExitCode {
    // The stream drops the colours where there is no terminal.
    anstream::eprintln!("{}", errors.render(true));
    ExitCode::from(EXIT_USAGE)
}
