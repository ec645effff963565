//! What is wrong with a configuration, for the person who must mend it. It never repeats what a secret key holds.

use std::{fmt, ops::Range, path::PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Where a value came from, from the weakest to the strongest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A span of the configuration file, in bytes.
    File(usize, usize),
    /// The variable of this name.
    Environment(String),
    /// The flag of this name.
    Flag(&'static str),
    /// No place in particular: a file that cannot be read.
    Nowhere,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub(super) place: Place,
    /// What was found and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Place {
    pub(super) fn of_span(span: Range<usize>) -> Self {
        Self::File(span.start, span.end)
    }

    /// How messages call the key of a value from here: by its variable or flag, else by its path.
    pub(super) fn name_of(&self, path: &str) -> String {
        match self {
            Self::Environment(variable) => variable.clone(),
            Self::Flag(flag) => (*flag).to_owned(),
            Self::File(..) | Self::Nowhere => format!("`{path}`"),
        }
    }
}

impl Problem {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), hint: None }
    }

    pub(super) fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    fn span(&self) -> Option<Range<usize>> {
        match self.place {
            Place::File(start, end) => Some(start..end),
            _ => None,
        }
    }
}

/// Everything that is wrong with a configuration, in the order of the file, then of the environment, then of the flags.
#[derive(Debug)]
pub struct ConfigErrors {
    /// What is wrong; never empty.
    pub problems: Vec<Problem>,
    /// The file as people name it, and its text with every value hidden that might be secret.
    file: Option<(PathBuf, String)>,
}

impl ConfigErrors {
    pub(super) fn new(mut problems: Vec<Problem>, file: Option<(PathBuf, String)>) -> Self {
        problems.sort_by(|left, right| left.place.cmp(&right.place));
        Self { problems, file }
    }

    /// The problems with the lines they are about, coloured for a terminal or plain.
    pub fn render(&self, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let texts: Vec<String> = self.problems.iter().map(|problem| self.render_one(problem, &renderer)).collect();
        texts.join("\n\n")
    }

    fn render_one(&self, problem: &Problem, renderer: &Renderer) -> String {
        let title = Level::ERROR.primary_title(problem.message.as_str());
        let path = self.file.as_ref().map(|(path, _)| path.display().to_string());
        let mut report = match (&self.file, problem.span(), &path) {
            (Some((_, text)), Some(span), Some(path)) => title.element(
                Snippet::source(text.as_str()).path(path.as_str()).annotation(AnnotationKind::Primary.span(span)),
            ),
            _ => title.elements(Vec::<annotate_snippets::Element<'_>>::new()),
        };
        if let Some(hint) = &problem.hint {
            report = report.element(Level::HELP.message(hint.as_str()));
        }
        renderer.render(&[report])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigErrors {}
