//! From bytes of a TOML string's value back to bytes of the file it stands in. It reads no values.

use std::ops::Range;

/// Where some bytes of a string's value stand in its token, which is the string as the file has it, quotes included.
///
/// A place behind an escape or a folded line is not where a plain count would put it.
pub(super) fn span_in_token(token: &str, value: Range<usize>) -> Range<usize> {
    let start = offset_in_token(token, value.start);
    // An end belongs to the character before it, so that a span never runs into a fold that follows it.
    let end = if value.is_empty() { start } else { end_in_token(token, value.end) };
    start..end.max(start)
}

/// A piece of a token and how many bytes of the value it stands for.
struct Piece {
    token: Range<usize>,
    value_bytes: usize,
}

fn offset_in_token(token: &str, value_offset: usize) -> usize {
    let mut seen = 0;
    let mut end = quotes(token).len();
    for piece in pieces(token) {
        if piece.value_bytes > 0 && seen + piece.value_bytes > value_offset {
            return piece.token.start;
        }
        seen += piece.value_bytes;
        end = piece.token.end;
    }
    end
}

fn end_in_token(token: &str, value_end: usize) -> usize {
    let mut seen = 0;
    let mut end = quotes(token).len();
    for piece in pieces(token) {
        if piece.value_bytes > 0 {
            if seen >= value_end {
                break;
            }
            seen += piece.value_bytes;
            end = piece.token.end;
        }
    }
    end
}

fn quotes(token: &str) -> &'static str {
    ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quotes| token.starts_with(quotes)).unwrap_or("")
}

fn pieces(token: &str) -> impl Iterator<Item = Piece> {
    let quotes = quotes(token);
    let body_end =
        token.len() - if token.len() >= 2 * quotes.len() && token.ends_with(quotes) { quotes.len() } else { 0 };
    let is_basic = quotes.starts_with('"');
    let mut at = quotes.len();
    // A newline right behind the opening quotes of a multi-line string is not part of it.
    if quotes.len() == 3 {
        let newline = ["\r\n", "\n"].into_iter().find(|newline| token[at..].starts_with(newline));
        at += newline.map_or(0, str::len);
    }
    std::iter::from_fn(move || {
        let rest = token.get(at..body_end)?;
        let first = rest.chars().next()?;
        let (token_bytes, value_bytes) =
            if is_basic && first == '\\' { escape(rest) } else { (first.len_utf8(), first.len_utf8()) };
        let piece = Piece { token: at..at + token_bytes, value_bytes };
        at += token_bytes;
        Some(piece)
    })
}

/// How many bytes an escape takes, and how many it stands for.
fn escape(text: &str) -> (usize, usize) {
    let Some(kind) = text[1..].chars().next() else { return (1, 1) };
    let digits = match kind {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        ' ' | '\t' | '\r' | '\n' => {
            // A backslash at the end of a line swallows it and the blanks before the next word.
            let folded = text[1..].find(|letter: char| !matches!(letter, ' ' | '\t' | '\r' | '\n'));
            return (folded.map_or(text.len(), |blanks| 1 + blanks), 0);
        }
        'b' | 't' | 'n' | 'f' | 'r' | 'e' | '"' | '\\' => return (2, 1),
        // No escape: the parser has told so, and kept the backslash.
        _ => return (1, 1),
    };
    let code = text.get(2..2 + digits).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match code.and_then(char::from_u32) {
        Some(letter) => (2 + digits, letter.len_utf8()),
        None => (1, 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value_of(token: &str) -> String {
        let document = format!("v = {token}\n");
        let table = toml::de::DeTable::parse(&document).unwrap_or_else(|error| panic!("{token}: {error}"));
        table.get_ref().get("v").and_then(|value| value.get_ref().as_str()).expect("a string").to_owned()
    }

    #[test]
    fn finds_a_word_behind_escapes_and_folds() {
        // In each token `amount` stands where the map must find it.
        let tokens = [
            "'amount > 5'",
            "\"amount > 5\"",
            r#""\"a\" \u00e9\t amount > 5""#,
            r#""\U0001F600\x41\e amount""#,
            "\"\"\"\n  first and\n  amount > 5\"\"\"",
            "\"\"\"\r\n  é first and \\\r\n\r\n     amount > 5\"\"\"",
            "'''\nfirst and\n\\ amount > 5'''",
            "'''amount'''",
            "\"\"\"amount\\\n  \"\"\"",
        ];
        for token in tokens {
            let value = value_of(token);
            let at = value.find("amount").expect(token);
            let span = span_in_token(token, at..at + "amount".len());
            assert_eq!(&token[span], "amount", "{token}");
            let end = span_in_token(token, value.len()..value.len());
            assert!(end.start <= token.len() && token.is_char_boundary(end.start), "{token}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_parser(pieces in prop::collection::vec(prop::sample::select(vec![
            "a", "é", " ", "\\n", "\\\"", "\\\\", "\\u00e9", "\\U0001F600", "\\x41", "\\e", "\\\n   ", "\n", "'", "\r\n",
        ]), 0..20)) {
            let token = format!("\"\"\"{}\"\"\"", pieces.concat());
            let value = value_of(&token);
            let decoded: usize = super::pieces(&token).map(|piece| piece.value_bytes).sum();
            prop_assert_eq!(decoded, value.len());
            for (at, letter) in value.char_indices() {
                let span = span_in_token(&token, at..at + letter.len_utf8());
                let piece = &token[span];
                prop_assert!(piece.starts_with('\\') || piece.starts_with(letter), "{:?} for {:?}", piece, letter);
            }
        }
    }
}
