//! `gavel check`: types, examples and lint of a rule set. It scores no real transaction and changes nothing.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::common::{ConfigFlag, EXIT_USAGE, JsonFlag, RulesFlag, load_config};
use crate::{
    config::{FILE_NAME, Flags},
    files::read_rules,
    loading::render_features,
    scoring::{
        examples::run_examples,
        expression::Compiler,
        release::{FeatureProblem, compile_segments},
        rules::{Diagnostic, Place, RuleMode, RuleSet, RuleSources, find_code, parse, schema, to_json},
        settings::Settings,
    },
};

/// The check failed.
const EXIT_FAILED: u8 = 1;

/// Check the types, examples and lint of a rule set
#[derive(Args)]
pub struct CheckArguments {
    /// Folder of the rule files [default: rules]
    #[arg(value_name = "DIR", conflicts_with = "rules")]
    directory: Option<PathBuf>,
    #[command(flatten)]
    rules: RulesFlag,
    #[command(flatten)]
    config: ConfigFlag,
    #[command(flatten)]
    json: JsonFlag,
    /// Explain a code, such as E103, and check nothing
    #[arg(long, value_name = "CODE", conflicts_with_all = ["schema", "directory"])]
    explain: Option<String>,
    /// Print the JSON Schema of rule files, and check nothing
    #[arg(long, conflicts_with = "directory")]
    schema: bool,
}

/// What was found in a rule set.
pub struct CheckReport {
    /// Errors and warnings, by place.
    pub diagnostics: Vec<Diagnostic>,
    /// What is wrong with the conditions of the policy's segments, looked at once the rules are right.
    pub segments: Vec<FeatureProblem>,
    /// What there is, in one line.
    pub summary: String,
}

impl CheckReport {
    /// Whether anything keeps the rule set from loading, or an example failed.
    pub fn failed(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Runs the command.
pub fn run(arguments: &CheckArguments) -> ExitCode {
    if let Some(code) = &arguments.explain {
        return run_explain(code);
    }
    if arguments.schema {
        print(&format!("{:#}\n", schema()));
        return ExitCode::SUCCESS;
    }
    let rules = arguments.directory.clone().or_else(|| arguments.rules.rules.clone());
    let config = match load_config(Flags { rules, ..Flags::from(&arguments.config) }) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let sources = match read_rules(&config.rules) {
        Ok(sources) => sources,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let report = check(sources, &config.settings);
    if arguments.json.json {
        let file = config.file.as_deref().unwrap_or(Path::new(FILE_NAME)).display().to_string();
        let of_segments = report.segments.iter().flat_map(|problem| of_segment(problem, &file));
        let all: Vec<_> = report.diagnostics.iter().cloned().chain(of_segments).collect();
        print(&format!("{}\n", to_json(&all)));
    } else {
        for diagnostic in &report.diagnostics {
            // The stream drops the colours where there is no terminal.
            anstream::eprintln!("{}\n", diagnostic.render(true));
        }
        print(&format!("{}\n", report.summary));
    }
    if !report.segments.is_empty() {
        // They stand in the configuration.
        anstream::eprintln!("{}", render_features(&report.segments).trim_end());
        return ExitCode::from(EXIT_USAGE);
    }
    if report.failed() { ExitCode::from(EXIT_FAILED) } else { ExitCode::SUCCESS }
}

/// What is wrong with a segment's condition, in the file that it stands in.
fn of_segment<'p>(problem: &'p FeatureProblem, file: &'p str) -> impl Iterator<Item = Diagnostic> + use<'p> {
    problem.findings.iter().map(move |finding| {
        let message = format!("segment `{}`: {}", problem.name, finding.message);
        let diagnostic = Diagnostic::error(finding.code, Place::of_line(file, 1), message);
        match &finding.hint {
            Some(hint) => diagnostic.hint(hint.clone()),
            None => diagnostic,
        }
    })
}

fn run_explain(code: &str) -> ExitCode {
    let code = code.to_ascii_uppercase();
    let Some(code) = find_code(&code) else {
        anstream::eprintln!("error: `{code}` is no code, expected one such as E103 that a check has shown");
        return ExitCode::from(EXIT_USAGE);
    };
    print(&format!("{}: {}\n\n{}\n", code.code, code.title, code.explanation));
    ExitCode::SUCCESS
}

/// Checks a rule set and runs its examples.
pub fn check(sources: RuleSources, settings: &Settings) -> CheckReport {
    let (files, mut diagnostics) = parse(sources, settings);
    let mut compiler = Compiler::new(files.environment(settings));
    let rules = RuleSet::compile(&files, settings, &mut compiler, &mut diagnostics);
    let found = compile_segments(&settings.policy.segments, &mut compiler);
    // What is wrong with a rule file may be all that is wrong with them.
    let segments = found.err().filter(|_| rules.is_some()).unwrap_or_default();
    let (_, plan) = compiler.finish();
    let examples = run_examples(&files, settings);
    diagnostics.extend(examples.failures);
    diagnostics.sort_by(Diagnostic::order);

    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let warnings = diagnostics.len() - errors;
    let modes = [RuleMode::Shadow, RuleMode::Off].map(|mode| {
        let of_mode = files.rules().iter().filter(|rule| rule.mode == mode).count();
        if of_mode == 0 { String::new() } else { format!(", {of_mode} {}", mode.name()) }
    });
    let keys: BTreeSet<_> = plan.aggregates.iter().map(|aggregate| aggregate.key).collect();
    let version = rules.map_or_else(String::new, |rules| format!("version {}, ", rules.version()));
    let summary = format!(
        "{}{}{}, {}, {}, {}, {} over {} kept; {version}{}, {}",
        counted(files.rules().len(), "rule"),
        modes[0],
        modes[1],
        counted(files.lists().names().count(), "list"),
        counted(files.lists().table_names().count(), "table"),
        counted(examples.run, "example"),
        counted(plan.aggregates.len(), "aggregate"),
        counted(keys.len(), "key"),
        counted(errors, "error"),
        counted(warnings, "warning"),
    );
    CheckReport { diagnostics, segments, summary }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Writes to standard output. A reader that has gone away is no failure of the check.
fn print(text: &str) {
    let _ = anstream::stdout().lock().write_all(text.as_bytes());
}
