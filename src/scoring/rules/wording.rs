//! How messages put words: lists of what was expected, what was likely meant, what a name should look like.

use std::sync::Arc;

/// A word of at least this likeness to what was written is offered as what was meant.
const LIKENESS_MIN: f64 = 0.7;

/// The known word that is most like what was written, as a hint.
pub(super) fn did_you_mean<'w>(written: &str, known: impl Iterator<Item = &'w str>) -> Option<String> {
    let likeness = |word: &str| strsim::normalized_damerau_levenshtein(&written.to_lowercase(), &word.to_lowercase());
    let best = known.map(|word| (likeness(word), word)).max_by(|left, right| left.0.total_cmp(&right.0))?;
    (best.0 >= LIKENESS_MIN).then(|| format!("did you mean `{}`?", best.1))
}

/// Some words as people list them: `a`, `b` or `c`.
pub(super) fn words<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let mut words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    match words.pop() {
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} or {last}", words.join(", ")),
        None => String::new(),
    }
}

/// At most the first words of a text, on one line.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN_MAX: usize = 40;
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if line.chars().count() <= SHOWN_MAX { line } else { line.chars().take(SHOWN_MAX).chain(['…']).collect() }
}

/// A name for people and metrics: letters and digits in lower case, joined by hyphens.
pub(super) fn is_kebab_case(text: &str) -> bool {
    const LENGTH_MAX: usize = 64;
    let part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.len() <= LENGTH_MAX && text.split('-').all(part)
}

/// What a text would be in kebab-case, as a hint; empty if nothing of it can be kept.
pub(super) fn to_kebab_case(text: &str) -> String {
    let mut kebab = String::new();
    let mut previous_lower = false;
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() {
            if letter.is_ascii_uppercase() && previous_lower && !kebab.ends_with('-') {
                kebab.push('-');
            }
            previous_lower = !letter.is_ascii_uppercase();
            kebab.push(letter.to_ascii_lowercase());
        } else if !kebab.is_empty() && !kebab.ends_with('-') {
            kebab.push('-');
            previous_lower = false;
        }
    }
    kebab.trim_end_matches('-').to_owned()
}

/// A shared copy of a text.
pub(super) fn shared(text: &str) -> Arc<str> {
    text.into()
}
