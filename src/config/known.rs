//! The keys that were asked for, and what to say about the others. It reads no value.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    mask::Keys,
    problem::{Place, Problem},
    value::Entry,
};

/// The keys that were asked for.
#[derive(Default)]
pub(super) struct Known {
    /// Whether each is secret, by path.
    secret: BTreeMap<String, bool>,
    /// Sections whose keys are the user's.
    maps: BTreeSet<&'static str>,
}

/// The variable that overrides a key: `windows.lateness` is `GAVEL_WINDOWS_LATENESS`.
pub(super) fn variable_of(path: &str) -> String {
    format!("GAVEL_{}", path.replace('.', "_").to_ascii_uppercase())
}

impl Known {
    pub(super) fn add(&mut self, path: &str, secret: bool) {
        self.secret.insert(path.to_owned(), secret);
    }

    pub(super) fn add_map(&mut self, section: &'static str) {
        self.maps.insert(section);
    }

    /// Every key, and each map as `<section>.*`.
    pub(super) fn paths(&self) -> Vec<String> {
        let maps = self.maps.iter().map(|section| format!("{section}.*"));
        self.secret.keys().cloned().chain(maps).collect()
    }

    /// One problem for each key, section and variable that nothing asked for.
    pub(super) fn unknown<'a>(
        &self,
        keys: &BTreeMap<String, Entry>,
        tables: &[(String, Place)],
        variables: impl Iterator<Item = &'a String>,
    ) -> Vec<Problem> {
        let sections = self.sections();
        let mut problems = Vec::new();
        for (table, place) in tables {
            if self.secret.contains_key(table) {
                let message = format!("`{table}` is a section here, expected a value");
                problems.push(Problem::new(place.clone(), message));
            } else if !sections.contains(table.as_str()) {
                let problem = Problem::new(place.clone(), format!("unknown section `{table}`"));
                problems.push(problem.with_hint(suggestion(table, &sections)));
            }
        }
        for (path, entry) in keys {
            let place = entry.key_place.clone();
            match path.split_once('.') {
                // The section itself was named above.
                Some((section, _)) if !sections.contains(section) => {}
                Some((section, key)) => {
                    let problem = Problem::new(place, format!("unknown key `{key}` in `[{section}]`"));
                    problems.push(problem.with_hint(suggestion(key, &self.keys_of(Some(section)))));
                }
                None if sections.contains(path.as_str()) => {
                    let message = format!("`{path}` is a section, expected `[{path}]` with its keys below");
                    problems.push(Problem::new(place, message));
                }
                None => {
                    let problem = Problem::new(place, format!("unknown key `{path}`"));
                    problems.push(problem.with_hint(suggestion(path, &self.keys_of(None))));
                }
            }
        }
        let known_variables: Vec<String> = self.secret.keys().map(|path| variable_of(path)).collect();
        let known_variables: BTreeSet<&str> = known_variables.iter().map(String::as_str).collect();
        for name in variables {
            let problem = Problem::new(Place::Environment(name.clone()), format!("unknown variable {name}"));
            problems.push(problem.with_hint(suggestion(name, &known_variables)));
        }
        problems
    }

    fn sections(&self) -> BTreeSet<&str> {
        let of_keys = self.secret.keys().filter_map(|path| path.split_once('.').map(|(section, _)| section));
        of_keys.chain(self.maps.iter().copied()).collect()
    }

    fn keys_of(&self, section: Option<&str>) -> BTreeSet<&str> {
        let key_in_section = |path| match (str::split_once(path, '.'), section) {
            (Some((of, key)), Some(section)) if of == section => Some(key),
            (None, None) => Some(path),
            _ => None,
        };
        self.secret.keys().map(String::as_str).filter_map(key_in_section).collect()
    }
}

/// `did you mean …` where something is near, else what there is, if that is short.
pub(super) fn suggestion(found: &str, known: &BTreeSet<&str>) -> Option<String> {
    const LISTED_MAX: usize = 16;
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    // Of names equally near, one of the same letters first: swapped letters are the commonest slip.
    let measured = |name| (strsim::damerau_levenshtein(found, name), sorted(name) != sorted(found), name);
    let near = known.iter().copied().map(measured).min();
    // Half of the letters, and four of them, may differ at most: what is further off is no slip of the finger.
    if let Some((_, _, name)) = near.filter(|(distance, _, name)| *distance <= 4 && distance * 2 <= name.len()) {
        return Some(format!("did you mean `{name}`?"));
    }
    let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    (names.len() <= LISTED_MAX).then(|| format!("there are {}", names.join(", ")))
}

impl Keys for Known {
    fn is_open(&self, path: &str) -> bool {
        let in_map = path.split_once('.').is_some_and(|(section, _)| self.maps.contains(section));
        let is_shown = |path: &str| self.secret.get(path) == Some(&false);
        // The keys of a table in a list are shown where the list is, unless something beside it is secret: what stands
        // there may be meant for that.
        let in_list = |(list, _): (&str, &str)| {
            is_shown(list) && list.split_once('.').is_some_and(|(section, _)| self.is_open_section(section))
        };
        in_map || is_shown(path) || path.rsplit_once('.').is_some_and(in_list)
    }

    fn is_open_section(&self, section: &str) -> bool {
        let inside = |path: &str| path.split_once('.').is_some_and(|(of, _)| of == section);
        self.maps.contains(section) || !self.secret.iter().any(|(path, secret)| *secret && inside(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_shown_beside_a_secret() {
        let mut known = Known::default();
        for (path, secret) in
            [("policy.segments", false), ("policy.mode", false), ("nats.user", false), ("nats.password", true)]
        {
            known.add(path, secret);
        }
        let cases = [
            ("policy.segments", true),
            ("policy.segments.when", true),
            ("policy.other", false),
            ("nats.user", true),
            ("nats.user.password", false),
            ("nats.password", false),
        ];
        for (path, expected) in cases {
            assert_eq!(known.is_open(path), expected, "{path}");
        }
    }
}
