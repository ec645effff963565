//! The words of an expression, for comparing and searching conditions without compiling them. It checks nothing.

/// The words of an expression: texts with their quotes, names, numbers, and every other sign by itself.
pub(super) fn tokens(expression: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => text_length(rest),
            first if is_word(first) => rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()),
            first => first.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        words.push(word);
        rest = after.trim_start();
    }
    words
}

/// What a condition demands at once: the parts that its outermost `and`s join, each written the same way, sorted.
pub(super) fn conjuncts(expression: &str) -> Vec<String> {
    let words = unwrapped(tokens(expression));
    let mut depth = 0_usize;
    let mut parts: Vec<Vec<&str>> = vec![Vec::new()];
    for word in words {
        match word {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            // With an `or` outside, no part is demanded by itself.
            "or" if depth == 0 => return vec![self::tokens(expression).join(" ")],
            _ => {}
        }
        match parts.last_mut() {
            Some(part) if word != "and" || depth > 0 => part.push(word),
            _ => parts.push(Vec::new()),
        }
    }
    let mut conjuncts: Vec<String> = parts.into_iter().map(|part| unwrapped(part).join(" ")).collect();
    conjuncts.sort_unstable();
    conjuncts.dedup();
    conjuncts
}

/// Without the parentheses that hold all of it.
fn unwrapped(mut words: Vec<&str>) -> Vec<&str> {
    while words.len() >= 2 && words.first() == Some(&"(") && closing(&words) == Some(words.len() - 1) {
        words.pop();
        words.remove(0);
    }
    words
}

/// Where the parenthesis closes that the words begin with.
pub(super) fn closing(words: &[&str]) -> Option<usize> {
    let mut depth = 0_usize;
    words.iter().position(|word| {
        depth = match *word {
            "(" => depth + 1,
            ")" => depth.saturating_sub(1),
            _ => depth,
        };
        depth == 0
    })
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '.'
}

fn text_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_compared_by_their_parts() {
        // (one, other, whether they demand the same)
        let cases = [
            ("a > 1 and b", "b   and a>1", true),
            ("(a and b)", "b and (a)", true),
            ("a and a", "a", true),
            ("a and b", "a or b", false),
            ("a or b", "a or b", true),
            ("a and (b or c)", "(b or c) and a", true),
            (r#"mcc == "a and b""#, r#"mcc == "a  and b""#, false),
            ("not a and b", "b and not a", true),
            ("(a) and (b)", "a and b", true),
            ("count(card, 1h, where a and b) > 1", "count(card, 1h, where b and a) > 1", false),
        ];
        for (one, other, same) in cases {
            assert_eq!(conjuncts(one) == conjuncts(other), same, "{one} | {other}");
        }
        assert_eq!(tokens(r#"x in list("a\"b") and é"#), ["x", "in", "list", "(", r#""a\"b""#, ")", "and", "é"]);
    }
}
