//! Verdict bodies made short: what they have in common is kept once. What comes back is the same to the byte.

use crate::scoring::{
    quoted::first_quote,
    stored::{Reader, Stored, Word, write_words},
};

use super::bytes::{push_number, take_number};

/// What every verdict repeats. A phrase is one byte below 0x20, which the text of a verdict never holds, for JSON
/// escapes those; its place is its byte less `FIRST_PHRASE`. Of phrases that could share their first quote, those that
/// begin earlier come first.
const PHRASES: &[&str] = &[
    "\",\"verdict\":\"approve\",\"score\":null,\"reasons\":[],\"fired\":[],\"tags\":[],\"tier\":\"rules_only\",\"flags\":[",
    "\",\"verdict\":\"approve\",\"score\":",
    "\",\"verdict\":\"deny\",\"score\":",
    "\",\"verdict\":\"review\",\"score\":",
    ",\"reasons\":[],\"fired\":[],\"tags\":[],\"tier\":\"full\",\"flags\":[",
    ",\"reasons\":[{\"kind\":\"model\",\"code\":\"",
    ",\"reasons\":[{\"kind\":\"rule\",\"code\":\"",
    ",\"reasons\":[",
    "},{\"kind\":\"model\",\"code\":\"",
    "\"},{\"kind\":\"model\",\"code\":\"",
    "\"},{\"kind\":\"rule\",\"code\":\"",
    "\",\"text\":\"",
    "\",\"weight\":",
    "}],\"fired\":[],\"tags\":[],\"tier\":\"full\",\"flags\":[",
    "}],\"fired\":[",
    "],\"fired\":[",
    "\"],\"tags\":[",
    "],\"tags\":[",
    "],\"tier\":\"full\",\"flags\":[",
    "],\"tier\":\"rules_only\",\"flags\":[",
    "],\"tier\":\"stand_in\",\"flags\":[",
];
const FIRST_PHRASE: u8 = 3;
/// By place behind a phrase's first quote and byte: a bit per phrase that has the byte there.
const BEHIND_QUOTE: [[u32; 256]; 3] = behind_quote();
/// How many bytes stand before each phrase's first quote.
const BEFORE_QUOTE: [usize; PHRASES.len()] = before_quote();
const _: () = assert!(FIRST_PHRASE as usize + PHRASES.len() < 0x20 && PHRASES.len() <= u32::BITS as usize);

/// The first byte of an answer: the body as it is.
const VERBATIM: u8 = 0;
/// The first byte of an answer: `{"id":"` with the transaction's id, which whoever asks again brings along.
const AFTER_ID: u8 = 1;
/// The versions and what follows them; the number of the ending comes next.
const ENDING: u8 = 2;

const BEFORE_ID: &[u8] = b"{\"id\":\"";
const VERSIONS: &[u8] = b"],\"versions\":{";
/// Endings change when a version does; beyond this many the bodies are kept as they are.
const ENDINGS_MAX: usize = 1 << 14;

/// What bodies end with.
#[derive(Default)]
pub(super) struct Endings {
    endings: Vec<Box<[u8]>>,
}

impl Endings {
    /// Appends them to stored state.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        (self.endings.len() as u64).write(out);
        self.endings.iter().for_each(|ending| write_words(ending, out));
    }

    /// Reads them back.
    pub(super) fn load(stored: &mut Reader<'_>) -> Stored<Self> {
        let mut endings = Vec::new();
        for _ in 0..stored.count(size_of::<u64>())? {
            let count = stored.count(1)?;
            endings.push(stored.bytes(count)?.into());
        }
        Ok(Self { endings })
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.endings.iter().map(|ending| ending.len() + size_of::<Box<[u8]>>()).sum()
    }

    /// Makes a body of a transaction short.
    pub(super) fn shorten(&mut self, body: &[u8], id: &str, out: &mut Vec<u8>) {
        out.clear();
        let after_id = body.strip_prefix(BEFORE_ID).and_then(|rest| rest.strip_prefix(id.as_bytes()));
        // Mostly a known ending, which spares the search.
        let known = self.endings.iter().rposition(|known| body.ends_with(known));
        let versions = match known {
            Some(number) => Some(body.len() - self.endings[number].len()),
            None => memchr::memmem::rfind(body, VERSIONS),
        };
        // The least of all runs over whole vectors; a search for the first that is too low would go byte by byte.
        let is_text = body.iter().fold(u8::MAX, |least, byte| least.min(*byte)) >= 0x20;
        let (Some(rest), Some(versions)) = (after_id.filter(|_| is_text), versions) else {
            out.push(VERBATIM);
            out.extend_from_slice(body);
            return;
        };
        let ending = &body[versions..];
        let number = match known {
            Some(number) => number,
            None if self.endings.len() < ENDINGS_MAX => {
                self.endings.push(ending.into());
                self.endings.len() - 1
            }
            None => {
                out.push(VERBATIM);
                out.extend_from_slice(body);
                return;
            }
        };
        out.push(AFTER_ID);
        let mut rest = &rest[..rest.len().saturating_sub(ending.len())];
        let mut sought = 0;
        while let Some(quote) = first_quote(&rest[sought..]) {
            let quote = sought + quote;
            sought = quote + 1;
            if let Some((start, phrase)) = phrase_around(quote, rest) {
                out.extend_from_slice(&rest[..start]);
                out.push(FIRST_PHRASE + phrase as u8);
                rest = &rest[start + PHRASES[phrase].len()..];
                sought = 0;
            }
        }
        out.extend_from_slice(rest);
        out.push(ENDING);
        push_number(out, number as u64);
    }

    /// Appends the body that was made short.
    pub(super) fn restore(&self, short: &[u8], id: &str, out: &mut Vec<u8>) {
        let Some((form, mut rest)) = short.split_first() else { return };
        if *form == VERBATIM {
            out.extend_from_slice(rest);
            return;
        }
        out.extend_from_slice(BEFORE_ID);
        out.extend_from_slice(id.as_bytes());
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            if *byte >= 0x20 {
                out.push(*byte);
            } else if *byte == ENDING {
                let ending = take_number(&mut rest).and_then(|number| self.endings.get(usize::try_from(number).ok()?));
                out.extend_from_slice(ending.map_or(&[], |ending| ending));
            } else if let Some(phrase) = PHRASES.get(usize::from(byte - FIRST_PHRASE)) {
                out.extend_from_slice(phrase.as_bytes());
            }
        }
    }
}

const fn before_quote() -> [usize; PHRASES.len()] {
    let mut before = [0; PHRASES.len()];
    let mut phrase = 0;
    while phrase < PHRASES.len() {
        while PHRASES[phrase].as_bytes()[before[phrase]] != b'"' {
            before[phrase] += 1;
        }
        phrase += 1;
    }
    before
}

const fn behind_quote() -> [[u32; 256]; 3] {
    let mut masks = [[0; 256]; 3];
    let mut phrase = 0;
    while phrase < PHRASES.len() {
        let mut place = 0;
        while place < masks.len() {
            let byte = PHRASES[phrase].as_bytes()[BEFORE_QUOTE[phrase] + 1 + place];
            masks[place][byte as usize] |= 1 << phrase;
            place += 1;
        }
        phrase += 1;
    }
    masks
}

/// The first phrase whose first quote is this one, and where it begins.
fn phrase_around(quote: usize, bytes: &[u8]) -> Option<(usize, usize)> {
    let [first, second, third] = *bytes[quote + 1..].first_chunk()?;
    let mut candidates = BEHIND_QUOTE[0][usize::from(first)]
        & BEHIND_QUOTE[1][usize::from(second)]
        & BEHIND_QUOTE[2][usize::from(third)];
    while candidates != 0 {
        let phrase = candidates.trailing_zeros() as usize;
        if let Some(start) = quote.checked_sub(BEFORE_QUOTE[phrase])
            && bytes[start..].starts_with(PHRASES[phrase].as_bytes())
        {
            return Some((start, phrase));
        }
        candidates &= candidates - 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Phrases put in the place of text, looking at every byte.
    fn phrased(mut rest: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(first) = rest.first() {
            let phrase = PHRASES.iter().position(|phrase| rest.starts_with(phrase.as_bytes()));
            out.push(phrase.map_or(*first, |phrase| FIRST_PHRASE + phrase as u8));
            rest = &rest[phrase.map_or(1, |phrase| PHRASES[phrase].len())..];
        }
        out
    }

    proptest! {
        #[test]
        fn quotes_lead_to_every_phrase(pieces in proptest::collection::vec((0..PHRASES.len() + 8, 0..12_usize), 0..12)) {
            const OTHERS: [&str; 8] = ["\"", "}", "]", ",", "],", "}],", "a, b", "limit 8"];
            let mut text = String::new();
            for (piece, cut) in pieces {
                let piece = PHRASES.get(piece).copied().unwrap_or_else(|| OTHERS[piece - PHRASES.len()]);
                text.push_str(&piece[..piece.len().saturating_sub(cut / 4 * cut).max(1)]);
            }
            let ending = "],\"versions\":{}}";
            let (mut short, mut endings) = (Vec::new(), Endings::default());
            endings.shorten(format!("{{\"id\":\"t{text}{ending}").as_bytes(), "t", &mut short);
            prop_assert_eq!(&short[1..short.len() - 2], phrased(text.as_bytes()), "{}", text);
        }
    }

    #[test]
    fn bodies_come_back_to_the_byte() {
        // (id, body, at most this many bytes)
        let versions =
            r#"],"versions":{"engine":"0.1.0","rules":"a1b2c3d4e5f6","model":null,"config":"77aa01c2d3e4"}}"#;
        let cases = [
            (
                "t-91",
                format!(
                    r#"{{"id":"t-91","verdict":"approve","score":null,"reasons":[],"fired":[],"tags":[],"tier":"rules_only","flags":[{versions}"#
                ),
                4,
            ),
            (
                "t-91",
                format!(
                    concat!(
                        r#"{{"id":"t-91","verdict":"deny","score":0.97,"reasons":[{{"kind":"rule","code":"card-testing","text":"9 authorisations"}},"#,
                        r#"{{"kind":"model","code":"night","text":"it is \"night\"","weight":0.41}}],"fired":["card-testing"],"tags":["3ds"],"#,
                        r#""tier":"full","flags":["late"{}"#
                    ),
                    versions
                ),
                92,
            ),
            ("t-\"91", format!(r#"{{"id":"t-\"91","verdict":"deny"{versions}"#), usize::MAX),
            ("t-91", format!(r#"{{"id":"t-9","verdict":"deny"{versions}"#), usize::MAX),
            ("t-91", "not a verdict \u{1}".to_owned(), usize::MAX),
            ("", String::new(), usize::MAX),
        ];
        let mut endings = Endings::default();
        for (id, body, bytes_max) in cases {
            let (mut short, mut restored) = (Vec::new(), Vec::new());
            endings.shorten(body.as_bytes(), id, &mut short);
            endings.restore(&short, id, &mut restored);
            assert_eq!(String::from_utf8_lossy(&restored), body);
            assert!(short.len() <= bytes_max, "{} bytes for {body}", short.len());
        }
    }
}
