//! Cuts the text of an expression into tokens. It knows no names and no grammar.

use std::ops::Range;

use winnow::{
    LocatingSlice, Parser, Result,
    combinator::{alt, dispatch, fail, opt, peek, preceded, repeat},
    error::EmptyError,
    token::{any, take_while},
};

use super::{
    codes,
    finding::{Finding, Findings},
};

/// What a token is; its text is read through its span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A field, function, define, currency or verdict.
    Word,
    /// Digits, with decimals or without.
    Number,
    /// Digits and a unit of time, such as `10m`.
    Span,
    /// Text in double quotes.
    Text,
    And,
    Or,
    Not,
    In,
    StartsWith,
    Prior,
    Where,
    Delay,
    True,
    False,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Plus,
    Minus,
    Star,
    Slash,
    Dot,
    Comma,
    LeftParenthesis,
    RightParenthesis,
    LeftBracket,
    RightBracket,
    /// Something that has been reported; the parser reports it no further.
    Bad,
    /// Behind the last token.
    End,
}

/// A token and its bytes of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

/// What the cutter found: a good token, or a slip that it understands.
#[derive(Clone, Copy)]
enum Lexeme {
    Good(Kind),
    /// What people write who come from another language: what is meant, and how it is written here.
    Slip(Kind, &'static str),
    /// Text in single quotes, or in those of a word processor.
    OtherwiseQuoted,
    /// A quote that nothing closes.
    Unclosed,
    /// A unit of time that there is not.
    UnknownUnit,
    /// A letter that begins no token.
    Stray,
}

type Input<'s> = LocatingSlice<&'s str>;

/// The tokens of a source, closed by one `End`. What cannot be read is reported and left out.
pub(super) fn tokenize(source: &str, findings: &mut Findings) -> Vec<Token> {
    let mut input = LocatingSlice::new(source);
    let mut tokens = Vec::new();
    while let Ok((lexeme, span)) = preceded(blanks, lexeme).with_span().parse_next(&mut input) {
        // The span of a preceded parser begins before the blanks.
        let blank = source[span.clone()].len() - source[span.clone()].trim_start().len();
        let span = span.start + blank..span.end;
        let text = &source[span.clone()];
        // Behind a dot stands the key of an attribute, which may be spelt like anything.
        let is_key = tokens.last().is_some_and(|last: &Token| last.kind == Kind::Dot);
        let lexeme = match lexeme {
            Lexeme::Good(Kind::Word) if !is_key => slip_of(text).unwrap_or(lexeme),
            lexeme => lexeme,
        };
        let kind = judge(lexeme, text, &span, findings);
        tokens.push(Token { kind, span });
    }
    tokens.push(Token { kind: Kind::End, span: source.len()..source.len() });
    tokens
}

/// The token that a lexeme stands for; slips are reported.
fn judge(lexeme: Lexeme, text: &str, span: &Range<usize>, findings: &mut Findings) -> Kind {
    let (kind, finding) = match lexeme {
        Lexeme::Good(Kind::Word) => return keyword(text),
        Lexeme::Good(kind) => return kind,
        Lexeme::Slip(kind, instead) => {
            let finding = Finding::error(codes::UNREADABLE, span, format!("`{text}` is no operator of this language"));
            (kind, finding.hint(format!("write `{instead}`")))
        }
        Lexeme::OtherwiseQuoted => {
            let finding = Finding::error(codes::UNREADABLE, span, "text stands in straight double quotes");
            (Kind::Bad, finding.hint(format!("write `\"{}\"`", text.trim_matches(|letter| !is_inside(letter)))))
        }
        Lexeme::Unclosed => {
            (Kind::Bad, Finding::error(codes::UNREADABLE, span, "this text is never closed").hint("add a `\"`"))
        }
        Lexeme::UnknownUnit => {
            let unit = text.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
            let number = &text[..text.len() - unit.len()];
            if unit.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
                let finding = Finding::error(codes::UNREADABLE, span, "the digits of a number stand together");
                (Kind::Bad, finding.hint(format!("write `{}`", text.replace('_', ""))))
            } else {
                let message = format!("`{text}` ends in `{unit}`, which is no unit of time");
                let meant = meant_span(number, unit).map(|span| format!("did you mean `{span}`?"));
                let units = || "the units are `ms`, `s`, `m`, `h` and `d`, after whole numbers".to_owned();
                let finding = Finding::error(codes::UNREADABLE, span, message);
                (Kind::Bad, finding.hint(meant.unwrap_or_else(units)))
            }
        }
        Lexeme::Stray => {
            let message = format!("`{}` begins nothing that this language knows", text.escape_debug());
            let hint = (text == "%").then(|| "a share is a number: 90 % is `0.9`".to_owned());
            (Kind::Bad, Finding::error(codes::UNREADABLE, span, message).maybe_hint(hint))
        }
    };
    findings.push(finding);
    kind
}

/// A word of the language in capitals.
fn slip_of(text: &str) -> Option<Lexeme> {
    const WORDS: [&str; 10] = ["and", "or", "not", "in", "starts_with", "prior", "where", "delay", "true", "false"];
    let word = WORDS.into_iter().find(|word| *word != text && text.eq_ignore_ascii_case(word))?;
    Some(Lexeme::Slip(keyword(word), word))
}

/// A time as this language writes it, from a number and what people call its unit.
pub(super) fn meant_span(number: &str, unit: &str) -> Option<String> {
    const UNITS: &[(&str, &[&str])] = &[
        ("ms", &["msec", "msecs", "millis", "millisecond", "milliseconds"]),
        ("s", &["sec", "secs", "second", "seconds"]),
        ("m", &["min", "mins", "minute", "minutes"]),
        ("h", &["hr", "hrs", "hour", "hours"]),
        ("d", &["day", "days"]),
    ];
    let whole: u64 = number.parse().ok()?;
    let unit = unit.to_ascii_lowercase();
    if matches!(&*unit, "w" | "wk" | "week" | "weeks") {
        return Some(format!("{}d", whole.checked_mul(7)?));
    }
    let is_it = |(known, others): &&(&str, &[&str])| *known == unit || others.contains(&&*unit);
    UNITS.iter().find(is_it).map(|(known, _)| format!("{whole}{known}"))
}

fn keyword(text: &str) -> Kind {
    match text {
        "and" => Kind::And,
        "or" => Kind::Or,
        "not" => Kind::Not,
        "in" => Kind::In,
        "starts_with" => Kind::StartsWith,
        "prior" => Kind::Prior,
        "where" => Kind::Where,
        "delay" => Kind::Delay,
        "true" => Kind::True,
        "false" => Kind::False,
        _ => Kind::Word,
    }
}

fn blanks(input: &mut Input<'_>) -> Result<(), EmptyError> {
    take_while(0.., char::is_whitespace).void().parse_next(input)
}

fn lexeme(input: &mut Input<'_>) -> Result<Lexeme, EmptyError> {
    dispatch! {peek(any);
        '0'..='9' => number,
        '"' => quoted,
        '\'' | '\u{2018}'..='\u{201f}' => otherwise_quoted,
        'a'..='z' | 'A'..='Z' | '_' => take_while(1.., is_word_letter).value(Lexeme::Good(Kind::Word)),
        _ => alt((symbol, any.value(Lexeme::Stray))),
    }
    .parse_next(input)
}

fn is_word_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// `10`, `4.99`, `10m`; `100EUR` is cut into a number and a word.
fn number(input: &mut Input<'_>) -> Result<Lexeme, EmptyError> {
    let digits = |input: &mut Input<'_>| -> Result<(), EmptyError> {
        take_while(1.., |letter: char| letter.is_ascii_digit()).void().parse_next(input)
    };
    let fraction = preceded('.', digits);
    let ((), fraction) = (digits, opt(fraction)).parse_next(input)?;
    let unit = opt(peek(take_while(1.., is_word_letter))).parse_next(input)?;
    match unit {
        Some(unit) if !unit.starts_with(|letter: char| letter.is_ascii_uppercase()) => {
            let known = fraction.is_none() && matches!(unit, "ms" | "s" | "m" | "h" | "d");
            take_while(1.., is_word_letter).void().parse_next(input)?;
            Ok(if known { Lexeme::Good(Kind::Span) } else { Lexeme::UnknownUnit })
        }
        _ => Ok(Lexeme::Good(Kind::Number)),
    }
}

/// Text in double quotes; `\"` and `\\` stand for a quote and a backslash.
fn quoted(input: &mut Input<'_>) -> Result<Lexeme, EmptyError> {
    let plain = take_while(1.., |letter: char| letter != '"' && letter != '\\').void();
    let escaped = ('\\', any).void();
    let inside = repeat::<_, _, (), _, _>(0.., alt((plain, escaped)));
    let (_, (), close) = ('"', inside, opt(alt(('"', '\\')))).parse_next(input)?;
    Ok(if close == Some('"') { Lexeme::Good(Kind::Text) } else { Lexeme::Unclosed })
}

fn otherwise_quoted(input: &mut Input<'_>) -> Result<Lexeme, EmptyError> {
    let inside = take_while(0.., |letter: char| is_inside(letter) && letter != '\n');
    let close = take_while(1, |letter: char| !is_inside(letter) && letter != '\n');
    let (_, _, close) = (any, inside, opt(close)).parse_next(input)?;
    Ok(if close.is_some() { Lexeme::OtherwiseQuoted } else { Lexeme::Unclosed })
}

/// Whether a letter is none of the quotes that people take for the straight double one.
fn is_inside(letter: char) -> bool {
    !matches!(letter, '\'' | '"' | '\u{2018}'..='\u{201f}')
}

fn symbol(input: &mut Input<'_>) -> Result<Lexeme, EmptyError> {
    dispatch! {peek(any);
        '=' => alt((
            "==".value(Lexeme::Good(Kind::Equal)),
            "=>".value(Lexeme::Slip(Kind::GreaterEqual, ">=")),
            "=<".value(Lexeme::Slip(Kind::LessEqual, "<=")),
            '='.value(Lexeme::Slip(Kind::Equal, "==")),
        )),
        '!' => alt(("!=".value(Lexeme::Good(Kind::NotEqual)), '!'.value(Lexeme::Slip(Kind::Not, "not")))),
        '<' => alt((
            "<=".value(Lexeme::Good(Kind::LessEqual)),
            "<>".value(Lexeme::Slip(Kind::NotEqual, "!=")),
            '<'.value(Lexeme::Good(Kind::Less)),
        )),
        '>' => alt((">=".value(Lexeme::Good(Kind::GreaterEqual)), '>'.value(Lexeme::Good(Kind::Greater)))),
        '&' => alt(("&&", "&")).value(Lexeme::Slip(Kind::And, "and")),
        '|' => alt(("||", "|")).value(Lexeme::Slip(Kind::Or, "or")),
        '+' => any.value(Lexeme::Good(Kind::Plus)),
        '-' => any.value(Lexeme::Good(Kind::Minus)),
        '*' => any.value(Lexeme::Good(Kind::Star)),
        '/' => any.value(Lexeme::Good(Kind::Slash)),
        '.' => any.value(Lexeme::Good(Kind::Dot)),
        ',' => any.value(Lexeme::Good(Kind::Comma)),
        '(' => any.value(Lexeme::Good(Kind::LeftParenthesis)),
        ')' => any.value(Lexeme::Good(Kind::RightParenthesis)),
        '[' => any.value(Lexeme::Good(Kind::LeftBracket)),
        ']' => any.value(Lexeme::Good(Kind::RightBracket)),
        _ => fail,
    }
    .parse_next(input)
}

/// The text inside a `Text` token.
pub(super) fn unquote(token: &str) -> String {
    let inside = token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(token);
    let mut text = String::with_capacity(inside.len());
    let mut letters = inside.chars();
    while let Some(letter) = letters.next() {
        text.push(if letter == '\\' { letters.next().unwrap_or('\\') } else { letter });
    }
    text
}

/// A text as the language writes it.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
