//! What each module of a crate declares and uses, read from its source without compiling it.

use std::{collections::BTreeMap, fs, path::Path};

/// A module as its file shows it; code for tests is left out.
pub(crate) struct Module {
    pub(crate) path: Vec<String>,
    pub(crate) file: String,
    /// The modules it declares, in order.
    pub(crate) children: Vec<String>,
    /// What it uses of this crate, from the crate's root.
    pub(crate) imports: Vec<Vec<String>>,
    /// What it offers under its own name from elsewhere: the name, and the path from the crate's root.
    exports: BTreeMap<String, Vec<String>>,
}

/// The modules below `src/lib.rs`, by path.
pub(crate) fn modules_of(src: &Path) -> BTreeMap<Vec<String>, Module> {
    let mut modules = BTreeMap::new();
    read_below(src, &src.join("lib.rs"), Vec::new(), &mut modules);
    modules
}

fn read_below(folder: &Path, file: &Path, path: Vec<String>, modules: &mut BTreeMap<Vec<String>, Module>) {
    let source = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let module = read_module(path.clone(), file.display().to_string(), &source);
    for child in &module.children {
        let mut path = path.clone();
        path.push(child.clone());
        let below = folder.join(child);
        let plain = folder.join(format!("{child}.rs"));
        let file = if plain.exists() { plain } else { below.join("mod.rs") };
        read_below(&below, &file, path, modules);
    }
    modules.insert(path, module);
}

/// The module of a source text.
pub(crate) fn read_module(path: Vec<String>, file: String, source: &str) -> Module {
    let words = without_tests(&words(source));
    let mut module = Module { path, file, children: Vec::new(), imports: Vec::new(), exports: BTreeMap::new() };
    let mut at = 0;
    while at < words.len() {
        match words[at].as_str() {
            "mod" if words.get(at + 2).is_some_and(|word| word == ";") => {
                module.children.push(words[at + 1].clone());
                at += 3;
            }
            "use" => {
                let end = at + words[at..].iter().position(|word| word == ";").unwrap_or(words.len() - at);
                let exported = at > 0 && (words[at - 1] == "pub" || words[at - 1] == ")");
                let mut paths = Vec::new();
                expand(&words[at + 1..end], &mut Vec::new(), &mut paths);
                for (path, name) in paths {
                    let Some(path) = absolute(&path, &module) else { continue };
                    if exported {
                        module.exports.insert(name, path.clone());
                    }
                    module.imports.push(path);
                }
                at = end;
            }
            "crate" | "super" if words.get(at + 1).is_some_and(|word| word == "::") => {
                let mut path = vec![words[at].clone()];
                while words.get(at + 1).is_some_and(|word| word == "::") {
                    path.extend(words.get(at + 2).cloned());
                    at += 2;
                }
                module.imports.extend(absolute(&path, &module));
                at += 1;
            }
            _ => at += 1,
        }
    }
    module
}

/// The module that a path leads to, through the names that modules offer from elsewhere.
pub(crate) fn resolve(path: &[String], modules: &BTreeMap<Vec<String>, Module>) -> Option<Vec<String>> {
    let depth = (0..=path.len()).rev().find(|depth| modules.contains_key(&path[..*depth]))?;
    let module = &modules[&path[..depth]];
    match path.get(depth).and_then(|name| module.exports.get(name)) {
        Some(elsewhere) if elsewhere != path => resolve(elsewhere, modules),
        _ => Some(module.path.clone()),
    }
}

/// A path from the crate's root; `None` for what is not of this crate.
fn absolute(path: &[String], module: &Module) -> Option<Vec<String>> {
    let ups = path.iter().take_while(|word| *word == "super").count();
    let (base, rest): (&[String], &[String]) = match path.first()?.as_str() {
        "crate" => (&[], &path[1..]),
        "self" => (&module.path, &path[1..]),
        "super" => (&module.path[..module.path.len().checked_sub(ups)?], &path[ups..]),
        first if module.children.iter().any(|child| child == first) => (&module.path, path),
        _ => return None,
    };
    Some(base.iter().chain(rest).filter(|word| *word != "self" && *word != "*").cloned().collect())
}

/// The paths of a use tree, each with the name it is known by.
fn expand(words: &[String], before: &mut Vec<String>, paths: &mut Vec<(Vec<String>, String)>) {
    let depth = before.len();
    let mut at = 0;
    while at < words.len() {
        match words[at].as_str() {
            "::" => at += 1,
            "{" => {
                let end = closing(words, at);
                let mut start = at + 1;
                let mut nested = 0;
                for place in at + 1..=end {
                    match words[place].as_str() {
                        "{" => nested += 1,
                        "}" if place < end => nested -= 1,
                        "," if nested == 0 => {
                            expand(&words[start..place], before, paths);
                            start = place + 1;
                        }
                        _ => {}
                    }
                }
                expand(&words[start..end], before, paths);
                before.truncate(depth);
                return;
            }
            "as" => {
                let name = words.get(at + 1).cloned().unwrap_or_default();
                paths.push((before.clone(), name));
                before.truncate(depth);
                return;
            }
            word => {
                before.push(word.to_owned());
                at += 1;
            }
        }
    }
    if before.len() > depth {
        paths.push((before.clone(), before.last().cloned().unwrap_or_default()));
    }
    before.truncate(depth);
}

fn closing(words: &[String], open: usize) -> usize {
    let mut depth = 0;
    for (at, word) in words.iter().enumerate().skip(open) {
        depth += i32::from(word == "{") - i32::from(word == "}");
        if depth == 0 {
            return at;
        }
    }
    words.len() - 1
}

/// Leaves out each item behind `#[cfg(test)]`: up to its `;`, or its closing brace.
fn without_tests(words: &[String]) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if words[at..].iter().map(String::as_str).take(MARK.len()).eq(MARK) {
            let item = at + MARK.len();
            let end =
                words[item..].iter().position(|word| word == ";" || word == "{").map_or(words.len(), |end| item + end);
            at = if words.get(end).is_some_and(|word| word == "{") { closing(words, end) + 1 } else { end + 1 };
        } else {
            kept.push(words[at].clone());
            at += 1;
        }
    }
    kept
}

/// Names, `::` and single signs, without comments, texts and letters in quotes.
fn words(source: &str) -> Vec<String> {
    let bytes = source.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let next = match rest {
            [b'/', b'/', ..] => at + length_until(rest, b"\n"),
            [b'/', b'*', ..] => at + length_until(rest, b"*/"),
            [b'r', b'"' | b'#', ..] if is_raw_text(rest) => {
                let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
                let end = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
                at + hashes + 2 + length_until(&rest[hashes + 2..], &end)
            }
            [b'"', ..] => at + text_length(rest),
            [b'\'', b'\\', ..] => at + 2 + length_until(&rest[3..], b"'") + 1,
            [b'\'', ..] if quoted_letter(&source[at..]).is_some() => at + quoted_letter(&source[at..]).unwrap_or(1),
            [b':', b':', ..] => {
                words.push("::".to_owned());
                at + 2
            }
            [first, ..] if first.is_ascii_alphanumeric() || *first == b'_' => {
                let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
                words.push(source[at..at + length].to_owned());
                at + length
            }
            [first, ..] => {
                if first.is_ascii_punctuation() {
                    words.push(char::from(*first).to_string());
                }
                at + 1
            }
            [] => break,
        };
        at = next;
    }
    words
}

fn is_raw_text(rest: &[u8]) -> bool {
    rest[1..].iter().find(|byte| **byte != b'#') == Some(&b'"')
}

fn length_until(bytes: &[u8], end: &[u8]) -> usize {
    bytes.windows(end.len()).position(|window| window == end).map_or(bytes.len(), |at| at + end.len())
}

fn text_length(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of `'x'`; `None` for a lifetime.
fn quoted_letter(rest: &str) -> Option<usize> {
    let letter = rest[1..].chars().next()?;
    rest[1 + letter.len_utf8()..].starts_with('\'').then_some(letter.len_utf8() + 2)
}
