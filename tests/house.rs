//! The rules of the house, read from the source: the order of modules, the length and opening of files, no paths of
//! one machine. It compiles nothing and knows no module by name.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

mod imports;

use imports::{Module, modules_of};

/// What nobody reads in one sitting.
const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder, but for what builds and tools leave behind.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.map(|entry| entry.expect("the folder stays readable")) {
        let name = entry.file_name().into_string().expect("names are UTF-8");
        let kind = entry.file_type().expect("the file stays there");
        if kind.is_dir() {
            let left_behind = name == "target" || (name.starts_with('.') && name != ".ci" && name != ".config");
            if !left_behind {
                found.extend(files_below(&entry.path()));
            }
        } else if kind.is_file() && name != ".git" {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(String, String)> {
    let rust = files_below(&root()).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    rust.map(|path| {
        let name = path.strip_prefix(root()).expect("below the root").display().to_string();
        let text = fs::read_to_string(&path).expect("sources are readable");
        (name, text)
    })
    .collect()
}

#[test]
fn a_module_uses_only_what_is_declared_above_it() {
    let modules = modules_of(&root().join("src"));
    let findings: Vec<String> = modules.values().flat_map(|module| reversed_imports(module, &modules)).collect();
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    assert!(modules.len() > 10, "the modules were found");
}

/// What a module imports from modules declared below it.
fn reversed_imports(module: &Module, modules: &BTreeMap<Vec<String>, Module>) -> Vec<String> {
    let mut findings = Vec::new();
    for import in &module.imports {
        let Some(target) = imports::resolve(import, modules) else { continue };
        let shared = target.iter().zip(&module.path).take_while(|(left, right)| left == right).count();
        // The parent's own items, a child, or the module itself.
        if shared == target.len() || shared == module.path.len() {
            continue;
        }
        let order = &modules[&module.path[..shared]].children;
        let place = |name: &String| order.iter().position(|child| child == name);
        if place(&target[shared]) > place(&module.path[shared]) {
            findings.push(format!(
                "{} uses `{}`, but `{}` is declared below `{}`",
                module.file,
                import.join("::"),
                target[shared],
                module.path[shared]
            ));
        }
    }
    findings
}

#[test]
fn a_reversed_import_is_found() {
    let module = |path: &[&str], source: &str| {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        (path.clone(), imports::read_module(path, "file.rs".into(), source))
    };
    let modules = BTreeMap::from([
        module(&[], "pub mod low; pub mod high;"),
        module(&["low"], "mod a; mod b; pub use b::Thing;"),
        module(&["low", "a"], "use super::{b::Thing, Own}; // crate::high\nfn f() { crate::high::g(\"crate::high\") }"),
        module(
            &["low", "b"],
            "use super::a; use crate::{low::a::{X, Y}, high as h};\n#[cfg(test)]\nmod tests { use crate::high; }",
        ),
        module(&["high"], "use crate::low::{self, Thing};"),
    ]);
    let found: Vec<String> = modules.values().flat_map(|module| reversed_imports(module, &modules)).collect();
    let expected = [
        "file.rs uses `low::b::Thing`, but `b` is declared below `a`",
        "file.rs uses `high::g`, but `high` is declared below `low`",
        "file.rs uses `high`, but `high` is declared below `low`",
    ];
    assert_eq!(found, expected);
}

#[test]
fn files_open_with_what_they_do() {
    let silent: Vec<String> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "no sentence on their first line: {silent:#?}");
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > LINES_MAX)
        .map(|(name, text)| format!("{name}: {} lines", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "longer than {LINES_MAX} lines: {long:#?}");
}

#[test]
fn no_file_names_a_place_of_one_machine() {
    // Taken apart, so that this file does not name them.
    let places = ["work", "root", "home", "Users"].map(|place| format!("/{place}/"));
    let mut found = Vec::new();
    for path in files_below(&root()) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            let begins_path =
                |at: usize| !line[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '.');
            if places.iter().any(|place| line.find(place.as_str()).is_some_and(begins_path)) {
                found.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}
