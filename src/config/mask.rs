//! Hides what may be secret in the text of a configuration file. The length and the lines of the text stay as they are.

/// What the mask must know of the keys.
pub(super) trait Keys {
    /// Whether the key exists and its value may be shown.
    fn is_open(&self, path: &str) -> bool;
    /// Whether every key of the section may be shown; lines that continue a value are shown in such sections only.
    fn is_open_section(&self, section: &str) -> bool;
}

/// The text with every value replaced by `*` that does not belong to a known, open key.
///
/// It works by lines and not on parsed values, because it must hold for a text that cannot be parsed.
pub(super) fn masked(text: &str, keys: &impl Keys) -> String {
    let mut section = String::new();
    let mut shown = false;
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            // A table of a list has two brackets.
            let name = name.strip_prefix('[').unwrap_or(name).trim();
            // A line such as `["a", "b"]` continues a value and opens no section.
            if !name.is_empty() && name.bytes().all(is_key_byte) {
                name.clone_into(&mut section);
                shown = false;
                out.push_str(line);
                continue;
            }
        }
        let key = line.split_once('=').map(|(key, _)| key.trim()).filter(|key| is_key(key));
        // Of a line with a key, the key and its `=` always stay.
        let hidden_from = if let Some(key) = key {
            let path = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            shown = keys.is_open(&path);
            line.find('=').map_or(0, |equals| equals + 1)
        } else {
            shown = shown && keys.is_open_section(&section);
            0
        };
        if shown {
            out.push_str(line);
        } else {
            let (open, hidden) = line.split_at(hidden_from);
            out.push_str(open);
            out.extend(hidden.bytes().map(|byte| if byte.is_ascii_whitespace() { char::from(byte) } else { '*' }));
        }
    }
    out
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_key_byte)
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sample;

    impl Keys for Sample {
        fn is_open(&self, path: &str) -> bool {
            matches!(path, "base" | "windows.lateness" | "windows.bands" | "nats.root")
        }

        fn is_open_section(&self, section: &str) -> bool {
            section == "windows"
        }
    }

    #[test]
    fn shows_only_what_is_known_to_be_open() {
        // (text, masked)
        let cases = [
            ("base = \"EUR\"", "base = \"EUR\""),
            ("[windows]\nlateness = \"5m\" # why\n", "[windows]\nlateness = \"5m\" # why\n"),
            ("[windows]\nbands = [\n  { a = 1 },\n]\n", "[windows]\nbands = [\n  { a = 1 },\n]\n"),
            ("[nats]\npassword = \"é x\"\n", "[nats]\npassword = *** **\n"),
            ("[nats]\npasword = 'x'\nroot = \"a\"\n", "[nats]\npasword = ***\nroot = \"a\"\n"),
            ("nats = { password = \"x\" }\n", "nats = * ******** * *** *\n"),
            ("nats.password = \"x\"", "nats.password = ***"),
            ("[[windows]]\nlateness = 1\n", "[[windows]]\nlateness = 1\n"),
            ("[[nats]]\npassword = 1\n[[\"x\"]]\n", "[[nats]]\npassword = *\n*******\n"),
            ("password = \"\"\"\nx\n\"\"\"\nbase = 1", "password = ***\n*\n***\nbase = 1"),
            ("[nats]\nroot = \"\"\"\nx\n\"\"\"", "[nats]\nroot = \"\"\"\n*\n***"),
            ("# password = 1\n", "* ******** * *\n"),
            ("[ nats ]\npassword=1", "[ nats ]\npassword=*"),
            ("\"password\" = 1", "********** * *"),
        ];
        for (text, expected) in cases {
            let masked = masked(text, &Sample);
            assert_eq!(masked, expected);
            assert_eq!(masked.len(), text.len());
        }
    }
}
