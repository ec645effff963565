//! Where a configuration comes from: a file's text, variables, flags. It interprets none of them.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use super::problem::{Place, Problem};

/// The file that is read where it stands in the working directory; it may be absent.
pub const FILE_NAME: &str = "gavel.toml";

/// What the command line sets over file and environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config`: this file instead of `gavel.toml`; it must exist.
    pub config: Option<PathBuf>,
    /// `--rules`
    pub rules: Option<PathBuf>,
    /// `--model`: a file, or `none`.
    pub model: Option<PathBuf>,
    /// `--challenger`, as often as it is given.
    pub challengers: Vec<PathBuf>,
    /// `--nats`
    pub nats: Option<String>,
    /// `--http`
    pub http: Option<String>,
}

/// The sources of one configuration, read but not interpreted.
#[derive(Default)]
pub struct Sources {
    /// The file, as people name it, and its text.
    pub(super) file: Option<(PathBuf, String)>,
    /// The variables whose names begin with `GAVEL_`.
    pub(super) environment: Vec<(String, String)>,
    pub(super) flags: Flags,
    /// What could not be read.
    pub(super) problems: Vec<Problem>,
}

impl Sources {
    /// Sources that the caller holds: a file by its name and text, variables, flags.
    pub fn new(
        file: Option<(PathBuf, String)>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: Flags,
    ) -> Self {
        let environment = environment.into_iter().filter(|(name, _)| is_ours(name)).collect();
        Self { file, environment, flags, problems: Vec::new() }
    }

    /// The sources of this process: the file on disk, its environment, and the given flags.
    pub(super) fn of_process(flags: &Flags) -> Self {
        let mut problems = Vec::new();
        let file = read_file(flags.config.as_deref()).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let mut environment = Vec::new();
        for (name, value) in env::vars_os() {
            let Some(name) = name.to_str().filter(|name| is_ours(name)) else {
                continue;
            };
            match value.into_string() {
                Ok(value) => environment.push((name.to_owned(), value)),
                Err(_) => {
                    problems
                        .push(Problem::new(Place::Environment(name.to_owned()), format!("{name} is not UTF-8 text")));
                }
            }
        }
        Self { file, environment, flags: flags.clone(), problems }
    }
}

fn read_file(named: Option<&Path>) -> Result<Option<(PathBuf, String)>, Problem> {
    let path = named.unwrap_or(Path::new(FILE_NAME));
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(error) => {
            let message = format!("cannot read the configuration file `{}`: {error}", path.display());
            Err(Problem::new(Place::Nowhere, message))
        }
    }
}

/// Whether a variable is meant for this program.
fn is_ours(name: &str) -> bool {
    // Kubernetes sets these in every container beside a Service that is named `gavel`.
    let of_kubernetes = name == "GAVEL_PORT"
        || name.starts_with("GAVEL_PORT_")
        || name == "GAVEL_SERVICE_HOST"
        || name.starts_with("GAVEL_SERVICE_PORT");
    name.starts_with("GAVEL_") && !of_kubernetes
}
