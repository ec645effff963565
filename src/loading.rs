//! A release from disk: rule directory, model file and settings compiled into one whole. It opens no connection, and what
//! it cannot load replaces nothing.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::{Config, ModelChoice},
    files::{RuleDirectoryError, SeenFiles, read_rules_knowing},
    scoring::{
        model::{Model, ModelError},
        release::{FeatureProblem, Models, Release, ReleaseProblems},
        rules::{Diagnostic, KnownLists, RuleSources, parse_knowing},
    },
};

/// Where the shipped model lies.
const MODELS: &str = "models";
/// How a model file's name ends.
pub const MODEL_EXTENSION: &str = "model";
/// The largest model file that is read.
const MODEL_MAX_BYTES: u64 = 1 << 30;

/// A release with what people should know about it.
pub struct Loaded {
    /// The release.
    pub release: Release,
    /// What was found in the rule files that does not keep them from serving.
    pub warnings: Vec<Diagnostic>,
    /// Where the model was read from; `None` without one.
    pub model: Option<PathBuf>,
    /// Every file that was read.
    pub read: BTreeSet<PathBuf>,
    /// Why the model in `models/` is left out, where it is.
    pub left_out: Option<LoadError>,
}

/// Why there is no release.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no rule directory to read.
    #[error(transparent)]
    Rules(#[from] RuleDirectoryError),
    /// The model file cannot be read.
    #[error("the model file `{}` cannot be read: {error}", path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The model file is not what it should be.
    #[error("the model file `{}` is refused: {error}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// Why.
        error: ModelError,
    },
    /// The model's features count money in a currency that is not the base currency.
    #[error(
        "the model `{}` counts money in {found}, and the base currency is {expected}: train another, or take `--model none`",
        path.display()
    )]
    ModelCurrency {
        /// The model file.
        path: PathBuf,
        /// What it was trained in.
        found: String,
        /// What amounts are converted to.
        expected: &'static str,
    },
    /// More than one model lies where one is expected.
    #[error("`{MODELS}/` holds {} models, expected one: name it with --model", .0.len())]
    SeveralModels(Vec<PathBuf>),
    /// Rules or features do not compile.
    #[error("the rules, the model's features or the policy's segments do not compile")]
    Compile(ReleaseProblems),
}

impl LoadError {
    /// The whole of it for people, with every diagnostic.
    pub fn render(&self, coloured: bool) -> String {
        let Self::Compile(problems) = self else { return format!("error: {self}") };
        let mut text = String::new();
        for diagnostic in &problems.diagnostics {
            text.push_str(&diagnostic.render(coloured));
            text.push_str("\n\n");
        }
        text.push_str(&render_features(&problems.features));
        text.trim_end().to_owned()
    }
}

/// What was found in features and segments, for people.
pub fn render_features(problems: &[FeatureProblem]) -> String {
    let mut text = String::new();
    for problem in problems {
        for finding in &problem.findings {
            let FeatureProblem { kind, name, expression, .. } = problem;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "error[{}]: {kind} `{name}`: {}", finding.code, finding.message);
            let _ = writeln!(text, "  {expression}");
            let column = expression.get(..finding.span.start).map_or(0, |before| before.chars().count());
            let _ = writeln!(text, "  {:column$}^ {}", "", finding.label);
            if let Some(hint) = &finding.hint {
                let _ = writeln!(text, "  hint: {hint}");
            }
        }
    }
    text
}

/// Everything a release is compiled from, as it lies on disk.
pub struct Sources {
    rules: RuleSources,
    model: Option<(PathBuf, Vec<u8>)>,
    challengers: Vec<(PathBuf, Vec<u8>)>,
}

impl Sources {
    /// Reads what the configuration names, but for lists that are known and whose files look as they did.
    pub fn read(config: &Config, known: &KnownLists, seen: &mut SeenFiles) -> Result<Self, LoadError> {
        let read = |path: PathBuf| match read_model(&path) {
            Ok(bytes) => Ok((path, bytes)),
            Err(error) => Err(LoadError::ModelFile { path, error }),
        };
        let model = model_path(&config.model, &config.challengers)?.map(read).transpose()?;
        let challengers = config.challengers.iter().cloned().map(read).collect::<Result<_, _>>()?;
        Ok(Self { rules: read_rules_knowing(&config.rules, known, seen)?, model, challengers })
    }

    /// The content hash of all of it, names included.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut put = |part: &[u8]| {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        };
        let RuleSources { files, unreadable, data } = &self.rules;
        for file in files {
            put(file.name.as_bytes());
            put(file.text.as_bytes());
        }
        put(b"unreadable");
        for (name, problem) in unreadable {
            put(name.as_bytes());
            put(problem.as_bytes());
        }
        put(b"data");
        for (name, content) in data {
            put(name.as_bytes());
            match content {
                Ok(data) => put(data.hash()),
                Err(problem) => put(problem.as_bytes()),
            }
        }
        for (path, bytes) in self.model.iter().chain(&self.challengers) {
            put(path.as_os_str().as_encoded_bytes());
            put(bytes);
        }
        put(&self.challengers.len().to_le_bytes());
        *hasher.finalize().as_bytes()
    }

    /// Every file that was read.
    pub fn paths(&self, config: &Config) -> BTreeSet<PathBuf> {
        let model = self.model.iter().chain(&self.challengers).map(|(path, _)| path.clone());
        rule_paths(&self.rules, &config.rules).chain(model).collect()
    }

    /// Compiles it. Lists that are known already by their files' hashes are not made again.
    pub fn compile(self, config: &Config, known: &KnownLists) -> Result<Loaded, LoadError> {
        let read = self.paths(config);
        let parse = |(path, bytes): (PathBuf, Vec<u8>)| parse_model(path, &bytes, config);
        let mut left_out = None;
        let (model_path, champion) = match self.model.map(parse).transpose() {
            Ok(model) => model.unzip(),
            // Nobody has named it.
            Err(error @ LoadError::ModelCurrency { .. }) if config.model == ModelChoice::Shipped => {
                left_out = Some(error);
                (None, None)
            }
            Err(error) => return Err(error),
        };
        let challengers = self.challengers.into_iter().map(|file| parse(file).map(|(_, model)| model));
        let models = Models { champion, challengers: challengers.collect::<Result<_, _>>()? };
        let (files, found) = parse_knowing(self.rules, &config.settings, known);
        let (release, warnings) =
            Release::compile(config.settings.clone(), files, models, found).map_err(LoadError::Compile)?;
        Ok(Loaded { release, warnings, model: model_path, read, left_out })
    }
}

/// The files of a rule folder that were read, lists and tables with them.
pub fn rule_paths(rules: &RuleSources, folder: &Path) -> impl Iterator<Item = PathBuf> {
    let files = rules.files.iter().map(|file| PathBuf::from(&*file.name));
    let data = rules.data.keys().map(|name| folder.join(name));
    files.chain(rules.unreadable.keys().map(PathBuf::from)).chain(data)
}

/// Loads what the configuration names.
pub fn load_release(config: &Config) -> Result<Loaded, LoadError> {
    let known = KnownLists::default();
    Sources::read(config, &known, &mut SeenFiles::default())?.compile(config, &known)
}

/// Loads a model that is chosen, if one is.
pub fn load_model(choice: &ModelChoice, config: &Config) -> Result<Option<(PathBuf, Arc<Model>)>, LoadError> {
    let Some(path) = model_path(choice, &[])? else { return Ok(None) };
    let bytes = read_model(&path).map_err(|error| LoadError::ModelFile { path: path.clone(), error })?;
    parse_model(path, &bytes, config).map(Some)
}

fn parse_model(path: PathBuf, bytes: &[u8], config: &Config) -> Result<(PathBuf, Arc<Model>), LoadError> {
    let model = match Model::read(bytes) {
        Ok(model) => model,
        Err(error) => return Err(LoadError::Model { path, error }),
    };
    let (found, expected) = (&model.header().base_currency, config.settings.rates.base().code());
    if found != expected {
        return Err(LoadError::ModelCurrency { path, found: found.clone(), expected });
    }
    Ok((path, Arc::new(model)))
}

/// Where models lie that no configuration names, for watching it.
pub fn model_folder(choice: &ModelChoice) -> Option<&Path> {
    match choice {
        ModelChoice::None => None,
        ModelChoice::Shipped => Some(Path::new(MODELS)),
        ModelChoice::File(path) => path.parent(),
    }
}

fn model_path(choice: &ModelChoice, challengers: &[PathBuf]) -> Result<Option<PathBuf>, LoadError> {
    match choice {
        ModelChoice::None => Ok(None),
        ModelChoice::File(path) => Ok(Some(path.clone())),
        ModelChoice::Shipped => shipped_model(Path::new(MODELS), challengers),
    }
}

fn read_model(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::metadata(path)?.len();
    if bytes > MODEL_MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has {bytes} bytes, too many for a model")));
    }
    fs::read(path)
}

/// The one model of a directory that is no challenger; none where there is no directory or nothing in it.
fn shipped_model(directory: &Path, challengers: &[PathBuf]) -> Result<Option<PathBuf>, LoadError> {
    let unreadable = |error| LoadError::ModelFile { path: directory.to_owned(), error };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut models = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let is_challenger = || challengers.iter().any(|challenger| is_same_file(challenger, &path));
        if path.extension().is_some_and(|extension| extension == MODEL_EXTENSION) && !is_challenger() {
            models.push(path);
        }
    }
    if models.len() > 1 {
        models.sort();
        return Err(LoadError::SeveralModels(models));
    }
    Ok(models.pop())
}

/// Whether two paths lead to one file, however they are written.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| fs::canonicalize(path).ok();
    one == other || whole(one).is_some_and(|one| Some(one) == whole(other))
}
