//! Reads what lies on disk and compiles it, as often as it is asked to. It changes nothing that serves.

use std::{collections::BTreeSet, path::PathBuf};

use super::{
    Serving,
    watch::{Places, Stamp},
};
use crate::{
    config::{Config, FILE_NAME, Flags, ModelChoice},
    files::SeenFiles,
    loading::{LoadError, Loaded, Sources, model_folder},
    scoring::{release::Release, rules::KnownLists},
};

/// Readings of files that change meanwhile.
const READINGS_MAX: usize = 5;

/// What a reading needs to know.
pub(super) struct Reading {
    pub(super) flags: Flags,
    /// What serves.
    pub(super) config: Config,
    pub(super) has_model: bool,
    pub(super) lists: KnownLists,
    /// How the files of lists looked when they were read last.
    pub(super) seen: SeenFiles,
    /// Where it was looked last.
    pub(super) places: Places,
    /// What need not be compiled again.
    pub(super) tried: Option<[u8; 32]>,
}

/// What a reading found.
pub(super) struct Read {
    pub(super) places: Places,
    pub(super) seen: SeenFiles,
    pub(super) stamp: Stamp,
    /// The hash of all of it.
    pub(super) hash: [u8; 32],
    /// What came of it; `None` where it was tried before.
    pub(super) compiled: Option<Result<Compiled, Problem>>,
}

/// What lies on disk, ready to serve.
pub(super) struct Compiled {
    pub(super) release: Release,
    /// What would be known of it once it serves.
    pub(super) serving: Serving,
    /// Sections of the configuration that have changed and need a restart.
    pub(super) restart: Vec<&'static str>,
    /// Warnings, for people.
    pub(super) diagnostics: String,
}

/// Why it cannot serve.
pub(super) struct Problem {
    pub(super) restart: Vec<&'static str>,
    pub(super) message: &'static str,
    pub(super) diagnostics: String,
}

struct Found {
    config: Config,
    restart: Vec<&'static str>,
    sources: Sources,
    hash: [u8; 32],
}

impl Reading {
    /// Reads everything, again while it changes, and compiles what was not tried yet.
    pub(super) fn read(&self) -> Read {
        let (mut places, mut seen) = (self.places.clone(), self.seen.clone());
        let mut readings = 0;
        let (found, stamp) = loop {
            let (last_places, last_stamp) = (places.clone(), Stamp::of(&places));
            let found = self.find(&mut places, &mut seen);
            let stamp = Stamp::of(&places);
            readings += 1;
            if readings == READINGS_MAX || (places == last_places && stamp == last_stamp) {
                break (found, stamp);
            }
        };
        let hash = match &found {
            Ok(found) => found.hash,
            Err(problem) => *blake3::hash(problem.as_bytes()).as_bytes(),
        };
        let compiled = (self.tried != Some(hash)).then(|| match found {
            Ok(found) => self.compile(found),
            Err(diagnostics) => Err(Problem { restart: Vec::new(), message: "the edit cannot be loaded", diagnostics }),
        });
        Read { places, seen, stamp, hash, compiled }
    }

    fn find(&self, places: &mut Places, seen: &mut SeenFiles) -> Result<Found, String> {
        // What cannot be read has its place too: there it may be once it can.
        let file = self.flags.config.clone().unwrap_or_else(|| FILE_NAME.into());
        places.files.insert(file.clone());
        let config = Config::load(&self.flags).map_err(|errors| errors.render(false))?;
        let base = self.config.settings.rates.base();
        if config.settings.rates.base() != base {
            let base = base.code();
            return Err(format!("error: `base_currency` is no longer {base}, and that needs a restart"));
        }
        let (config, restart) = config.taken_over_by(&self.config);
        let folders = [Some(config.rules.clone()), model_folder(&config.model).map(Into::into)];
        let challengers = config.challengers.iter().filter_map(|path| path.parent().map(Into::into));
        let folders = folders.into_iter().flatten().chain(challengers);
        let folders = folders.filter(|folder: &PathBuf| !folder.as_os_str().is_empty()).collect();
        *places = Places { folders, files: BTreeSet::from([file]) };
        let sources = Sources::read(&config, &self.lists, seen).map_err(|error| error.render(false))?;
        places.files.extend(sources.paths(&config));
        let mut hasher = blake3::Hasher::new();
        hasher.update(&sources.hash());
        hasher.update(config.settings.version().as_bytes());
        hasher.update(format!("{restart:?} {:?} {}", config.guard, config.rules.display()).as_bytes());
        Ok(Found { config, restart, sources, hash: *hasher.finalize().as_bytes() })
    }

    fn compile(&self, found: Found) -> Result<Compiled, Problem> {
        let Found { config, restart, sources, .. } = found;
        let Loaded { release, warnings, left_out, .. } = match sources.compile(&config, &self.lists) {
            Ok(loaded) => loaded,
            Err(error) => {
                let is_diagnosed = matches!(error, LoadError::Compile(_));
                let message = if is_diagnosed { "the edit does not compile" } else { "the edit cannot be loaded" };
                return Err(Problem { restart, message, diagnostics: error.render(false) });
            }
        };
        // Whoever replaces the file takes it away first; who wants none says so.
        if self.has_model && release.model.is_none() && left_out.is_none() && config.model == ModelChoice::Shipped {
            let message = "the model is gone from models/";
            let diagnostics =
                "error: there is no model in models/; to serve without one, set `[model] file = \"none\"`";
            return Err(Problem { restart, message, diagnostics: diagnostics.to_owned() });
        }
        let notes = left_out.map(|error| format!("note: {error}; it is left out, so rules alone decide"));
        let diagnostics: Vec<String> = warnings.iter().map(|warning| warning.render(false)).chain(notes).collect();
        let serving = Serving::new(&config, &release);
        Ok(Compiled { release, serving, restart, diagnostics: diagnostics.join("\n\n") })
    }
}
