//! Builds the tree of an expression, and goes on behind a mistake to find the next one. It resolves no names.

use std::ops::Range;

use super::{
    codes,
    finding::{Finding, Findings, nearest},
    syntax::{Arithmetic, Choice, ChoiceKind, Comparison, DEPTH_MAX, Expression, Kind, SOURCE_MAX_BYTES},
    token::{self, Token, meant_span, tokenize, unquote},
};
use crate::scoring::{
    money::{Currency, Money, NotMoney},
    time::parse_span_ms,
};

/// The tree of a source. What is wrong with it is added to `findings`, and its place in the tree is `Bad`.
pub(super) fn parse(source: &str, findings: &mut Findings) -> Expression {
    let all = 0..source.len();
    if source.len() > SOURCE_MAX_BYTES {
        let message = format!("this expression has {} bytes, at most {SOURCE_MAX_BYTES} are allowed", source.len());
        findings
            .push(Finding::error(codes::TOO_LONG, &(0..0), message).hint("divide it, or name its parts in [define]"));
        return Expression::new(Kind::Bad, all);
    }
    let tokens = tokenize(source, findings);
    let mut parser = Parser { source, tokens: &tokens, at: 0, depth: 0, lost: false, over: false, findings };
    let expression = parser.expression();
    if parser.kind() != token::Kind::End {
        parser.unexpected("`and`, `or` or the end");
    }
    expression
}

/// How this language says what is a word in others.
fn elsewhere(word: &str) -> Option<&'static str> {
    match &*word.to_ascii_lowercase() {
        "is" => Some("compare with `==`; whether a value is there is asked with `has(…)`"),
        "equals" | "eq" => Some("write `==`"),
        "contains" | "like" | "matches" | "ilike" | "ends_with" => {
            Some("text is compared with `==`, `in [\"A\", \"B\"]` or `starts_with`")
        }
        "between" => Some("write `1 EUR <= amount and amount <= 5 EUR`"),
        "startswith" | "begins_with" => Some("write `starts_with`"),
        _ => None,
    }
}

struct Parser<'s> {
    source: &'s str,
    tokens: &'s [Token],
    at: usize,
    /// How many parentheses, brackets and prefix operators are open.
    depth: usize,
    /// A mistake has been reported, and the place to go on from is not reached yet.
    lost: bool,
    /// It nests too deep, and nothing more is said.
    over: bool,
    findings: &'s mut Findings,
}

impl<'s> Parser<'s> {
    /// `… or …`
    fn expression(&mut self) -> Expression {
        self.depth += 1;
        let expression = if self.depth > DEPTH_MAX {
            let span = self.token().span.clone();
            self.too_deep(&span);
            self.skip();
            Expression::new(Kind::Bad, span)
        } else {
            self.series(token::Kind::Or, Kind::Or, |parser| parser.series(token::Kind::And, Kind::And, Self::operand))
        };
        self.depth -= 1;
        expression
    }

    fn series(
        &mut self,
        between: token::Kind,
        kind: fn(Vec<Expression>) -> Kind,
        item: impl Fn(&mut Self) -> Expression,
    ) -> Expression {
        let first = item(self);
        if self.kind() != between {
            return first;
        }
        let start = first.span.start;
        let mut items = vec![first];
        while self.take(between) {
            items.push(item(self));
        }
        let end = items.last().map_or(start, |last| last.span.end);
        self.node(kind(items), start..end)
    }

    /// What `and` and `or` join. After a mistake inside it, what is left of it is skipped.
    fn operand(&mut self) -> Expression {
        let operand = self.negation();
        if self.lost {
            self.skip();
        }
        operand
    }

    /// Moves to the next place where an operand may end, over whole parentheses.
    fn skip(&mut self) {
        let mut open = 0_usize;
        loop {
            match self.kind() {
                token::Kind::End => break,
                token::Kind::LeftParenthesis | token::Kind::LeftBracket => open += 1,
                token::Kind::RightParenthesis | token::Kind::RightBracket if open > 0 => open -= 1,
                token::Kind::And
                | token::Kind::Or
                | token::Kind::Comma
                | token::Kind::RightParenthesis
                | token::Kind::RightBracket
                    if open == 0 =>
                {
                    break;
                }
                _ => {}
            }
            self.at += 1;
        }
        self.lost = false;
    }

    fn negation(&mut self) -> Expression {
        let start = self.token().span.start;
        if !self.take(token::Kind::Not) {
            return self.comparison();
        }
        let Some(inside) = self.deeper(Self::negation) else { return self.bad(start) };
        let end = inside.span.end;
        self.node(Kind::Not(Box::new(inside)), start..end)
    }

    fn comparison(&mut self) -> Expression {
        let left = self.sum();
        let start = left.span.start;
        let operator = self.token().clone();
        let comparison = match operator.kind {
            token::Kind::Equal => Comparison::Equal,
            token::Kind::NotEqual => Comparison::NotEqual,
            token::Kind::Less => Comparison::Less,
            token::Kind::LessEqual => Comparison::LessEqual,
            token::Kind::Greater => Comparison::Greater,
            token::Kind::GreaterEqual => Comparison::GreaterEqual,
            token::Kind::In => return self.membership(left, false),
            token::Kind::Not if self.next_kind() == token::Kind::In => {
                self.at += 1;
                return self.membership(left, true);
            }
            token::Kind::StartsWith => {
                self.at += 1;
                let right = self.sum();
                let span = start..right.span.end;
                return self.compared(Kind::StartsWith(Box::new(left), Box::new(right)), span);
            }
            _ => return left,
        };
        self.at += 1;
        let right = self.sum();
        let span = start..right.span.end;
        self.compared(Kind::Compare(comparison, Box::new(left), Box::new(right)), span)
    }

    fn membership(&mut self, value: Expression, negated: bool) -> Expression {
        self.at += 1;
        let set = self.sum();
        let span = value.span.start..set.span.end;
        self.compared(Kind::In { negated, value: Box::new(value), set: Box::new(set) }, span)
    }

    /// A comparison that no other may follow.
    fn compared(&mut self, kind: Kind, span: Range<usize>) -> Expression {
        let follows = matches!(
            self.kind(),
            token::Kind::Equal
                | token::Kind::NotEqual
                | token::Kind::Less
                | token::Kind::LessEqual
                | token::Kind::Greater
                | token::Kind::GreaterEqual
                | token::Kind::In
                | token::Kind::StartsWith
        );
        if follows && !self.lost {
            let finding = Finding::error(codes::CHAINED, &self.token().span, "comparisons do not follow one another")
                .label("a second comparison")
                .hint("join two comparisons with `and`: `a < b and b < c`");
            self.findings.push(finding);
            self.lost = true;
        }
        self.node(kind, span)
    }

    fn sum(&mut self) -> Expression {
        self.chain(
            |kind| match kind {
                token::Kind::Plus => Some(Arithmetic::Add),
                token::Kind::Minus => Some(Arithmetic::Subtract),
                _ => None,
            },
            Self::product,
        )
    }

    fn product(&mut self) -> Expression {
        self.chain(
            |kind| match kind {
                token::Kind::Star => Some(Arithmetic::Multiply),
                token::Kind::Slash => Some(Arithmetic::Divide),
                _ => None,
            },
            Self::prefix,
        )
    }

    fn chain(
        &mut self,
        operator: fn(token::Kind) -> Option<Arithmetic>,
        item: fn(&mut Self) -> Expression,
    ) -> Expression {
        let mut left = item(self);
        while let Some(operator) = operator(self.kind()) {
            self.at += 1;
            let right = item(self);
            let span = left.span.start..right.span.end;
            left = self.node(Kind::Arithmetic(operator, Box::new(left), Box::new(right)), span);
        }
        left
    }

    fn prefix(&mut self) -> Expression {
        let start = self.token().span.start;
        if !self.take(token::Kind::Minus) {
            return self.primary();
        }
        let Some(inside) = self.deeper(Self::prefix) else { return self.bad(start) };
        let end = inside.span.end;
        self.node(Kind::Negate(Box::new(inside)), start..end)
    }

    fn primary(&mut self) -> Expression {
        let Token { kind, span } = self.token().clone();
        let text = &self.source[span.clone()];
        let leaf = match kind {
            token::Kind::Word => return self.word(text, span),
            token::Kind::Number => return self.number(text, span),
            token::Kind::LeftParenthesis => return self.parenthesis(span.start),
            token::Kind::LeftBracket => return self.list(span.start),
            token::Kind::Span => {
                if let Some(ms) = parse_span_ms(text) {
                    Kind::Span(ms)
                } else {
                    self.findings.push(Finding::error(codes::NUMBER, &span, format!("`{text}` is too long a time")));
                    Kind::Bad
                }
            }
            token::Kind::Text => Kind::Text(unquote(text)),
            token::Kind::True => Kind::Boolean(true),
            token::Kind::False => Kind::Boolean(false),
            token::Kind::Bad => {
                // What cannot be read may have been an amount.
                self.at += usize::from(self.next_kind() == token::Kind::Word);
                Kind::Bad
            }
            _ => {
                self.unexpected("a value");
                return self.bad(span.start);
            }
        };
        self.at += 1;
        Expression::new(leaf, span)
    }

    /// A name, `attributes.<key>` or a call.
    fn word(&mut self, text: &str, span: Range<usize>) -> Expression {
        self.at += 1;
        if text == "attributes" && self.take(token::Kind::Dot) {
            return self.attribute(span.start);
        }
        if self.kind() != token::Kind::LeftParenthesis {
            return Expression::new(Kind::Name(text.to_owned()), span);
        }
        self.at += 1;
        self.deeper(|parser| parser.call(text, span.clone())).unwrap_or_else(|| self.bad(span.start))
    }

    fn attribute(&mut self, start: usize) -> Expression {
        let Token { kind, span } = self.token().clone();
        let text = &self.source[span.clone()];
        let key = match kind {
            token::Kind::Text => unquote(text),
            // A key may be spelt like a keyword.
            _ if text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_') => text.to_owned(),
            _ => {
                self.unexpected("the key of an attribute");
                return self.bad(start);
            }
        };
        self.at += 1;
        Expression::new(Kind::Attribute(key), start..span.end)
    }

    fn call(&mut self, name: &str, name_span: Range<usize>) -> Expression {
        let (mut arguments, mut options) = (Vec::new(), Vec::<Choice>::new());
        while self.kind() != token::Kind::RightParenthesis {
            let start = self.token().span.start;
            let kind = match self.kind() {
                token::Kind::Prior => {
                    self.at += 1;
                    Some(ChoiceKind::Prior)
                }
                token::Kind::Where => {
                    self.at += 1;
                    Some(ChoiceKind::Where(self.expression()))
                }
                token::Kind::Delay => {
                    self.at += 1;
                    Some(ChoiceKind::Delay(self.expression()))
                }
                _ => None,
            };
            if let Some(kind) = kind {
                options.push(Choice { kind, span: start..self.end() });
            } else {
                let argument = self.expression();
                if !options.is_empty() && !matches!(argument.kind, Kind::Bad) {
                    let finding = Finding::error(codes::OPTION, &argument.span, "options come last")
                        .hint("write `delay`, `prior` and `where` behind the other arguments");
                    self.findings.push(finding);
                }
                arguments.push(argument);
            }
            if !self.take(token::Kind::Comma) {
                break;
            }
        }
        if self.kind() != token::Kind::RightParenthesis {
            // What is missing here is not missing arguments.
            arguments.push(self.bad(name_span.start));
        }
        self.close(token::Kind::RightParenthesis, "`,` or `)`");
        let span = name_span.start..self.end();
        self.node(Kind::Call { name: name.to_owned(), name_span, arguments, options }, span)
    }

    /// A number, or an amount where a currency follows.
    fn number(&mut self, text: &str, span: Range<usize>) -> Expression {
        self.at += 1;
        if let Some(whole) = self.grouped(&span) {
            self.at += 3;
            let digits = self.source[whole.clone()].replace(',', "");
            let finding = Finding::error(codes::NUMBER, &whole, "the digits of a number stand together");
            self.findings.push(finding.hint(format!("write `{digits}`")));
            return Expression::new(Kind::Bad, whole);
        }
        if self.kind() == token::Kind::Word {
            let word = self.token().span.clone();
            self.at += 1;
            let kind = self.money(text, &span, &word).unwrap_or(Kind::Bad);
            return Expression::new(kind, span.start..word.end);
        }
        let kind = if text.contains('.') {
            text.parse().ok().filter(|number: &f64| number.is_finite()).map(Kind::Number)
        } else {
            text.parse().ok().map(Kind::Integer)
        };
        let kind = kind.unwrap_or_else(|| {
            self.findings.push(Finding::error(codes::NUMBER, &span, format!("`{text}` is too large a number")));
            Kind::Bad
        });
        Expression::new(kind, span)
    }

    /// `1,000 EUR` from its first digits on, without a blank at the comma: nothing else looks like that.
    fn grouped(&self, digits: &Range<usize>) -> Option<Range<usize>> {
        let [comma, thousands, word] = self.tokens.get(self.at..self.at + 3)? else { return None };
        let are_so = (comma.kind, thousands.kind, word.kind)
            == (token::Kind::Comma, token::Kind::Number, token::Kind::Word)
            && (digits.end, comma.span.end) == (comma.span.start, thousands.span.start);
        let whole = self.source[thousands.span.clone()].split('.').next()?;
        (are_so && whole.len() == 3).then_some(digits.start..word.span.end)
    }

    fn money(&mut self, number: &str, digits: &Range<usize>, word: &Range<usize>) -> Option<Kind> {
        let code = &self.source[word.clone()];
        let whole = digits.start..word.end;
        let Some(currency) = Currency::from_code(code) else {
            let finding = Finding::error(codes::CURRENCY, word, format!("`{code}` is no currency of ISO 4217"));
            let hint = if let Some(span) = meant_span(number, code) {
                Some(format!("a time is written without a blank: `{span}`"))
            } else {
                // What is not in capitals is hardly a code that is misspelt.
                let near = || nearest(code, Currency::all().map(Currency::code));
                let is_code = code.bytes().any(|byte| byte.is_ascii_uppercase());
                let known = Currency::meant_by(code).or_else(|| if is_code { near() } else { None });
                let hint = known.map(|known| format!("did you mean `{number} {known}`?"));
                Some(hint.unwrap_or_else(|| format!("only money and times have a unit; else write `{number}`")))
            };
            self.findings.push(finding.maybe_hint(hint));
            return None;
        };
        let message = match Money::minor_of(number, currency) {
            Ok(minor) => return Some(Kind::Money { minor, currency }),
            Err(NotMoney::Decimals { found, .. }) => {
                let plural = if found == 1 { "" } else { "s" };
                format!("`{number} {code}` has {found} decimal{plural}, {code} has {}", currency.exponent())
            }
            // The token is a number and the currency is known, so it can only be too large.
            Err(_) => format!("`{number} {code}` is more than any transaction can hold"),
        };
        self.findings.push(Finding::error(codes::MONEY, &whole, message));
        None
    }

    /// `(…)`, or a tuple.
    fn parenthesis(&mut self, start: usize) -> Expression {
        self.at += 1;
        let first = self.expression();
        if self.kind() != token::Kind::Comma {
            self.close(token::Kind::RightParenthesis, "`)`");
            return Expression { span: start..self.end(), ..first };
        }
        let mut parts = vec![first];
        while self.take(token::Kind::Comma) && self.kind() != token::Kind::RightParenthesis {
            parts.push(self.expression());
        }
        self.close(token::Kind::RightParenthesis, "`,` or `)`");
        let span = start..self.end();
        self.node(Kind::Tuple(parts), span)
    }

    fn list(&mut self, start: usize) -> Expression {
        self.at += 1;
        let mut items = Vec::new();
        while self.kind() != token::Kind::RightBracket {
            items.push(self.expression());
            if !self.take(token::Kind::Comma) {
                break;
            }
        }
        self.close(token::Kind::RightBracket, "`,` or `]`");
        let span = start..self.end();
        self.node(Kind::List(items), span)
    }

    /// Takes what closes a parenthesis or a bracket; whatever stands before it is skipped with an error.
    fn close(&mut self, kind: token::Kind, expected: &str) {
        if self.take(kind) {
            return;
        }
        self.unexpected(expected);
        loop {
            self.skip();
            match self.kind() {
                token::Kind::And | token::Kind::Or | token::Kind::Comma => self.at += 1,
                token::Kind::End => break,
                _ => {
                    self.at += 1;
                    break;
                }
            }
        }
    }

    /// Parses one level deeper; `None`, and an error, where that is too deep.
    fn deeper(&mut self, parse: impl FnOnce(&mut Self) -> Expression) -> Option<Expression> {
        self.depth += 1;
        let parsed = if self.depth > DEPTH_MAX {
            let span = self.token().span.clone();
            self.too_deep(&span);
            None
        } else {
            Some(parse(self))
        };
        self.depth -= 1;
        parsed
    }

    /// A node, unless it is too deep for the walks that follow.
    fn node(&mut self, kind: Kind, span: Range<usize>) -> Expression {
        let node = Expression::new(kind, span.clone());
        if node.depth <= DEPTH_MAX {
            return node;
        }
        self.too_deep(&span);
        Expression::new(Kind::Bad, span)
    }

    fn too_deep(&mut self, span: &Range<usize>) {
        // Whatever is around it is as deep, and what follows cannot be told apart from it.
        self.at = self.tokens.len() - 1;
        self.over = true;
        if self.findings.iter().all(|finding| finding.code != codes::TOO_DEEP) {
            let message = format!("this nests deeper than {DEPTH_MAX} levels");
            self.findings.push(Finding::error(codes::TOO_DEEP, span, message).hint("name its parts in [define]"));
        }
    }

    fn unexpected(&mut self, expected: &str) {
        if self.lost || self.over {
            return;
        }
        self.lost = true;
        let Token { kind, span } = self.token().clone();
        let found = match kind {
            token::Kind::End if self.tokens.len() == 1 => "nothing".to_owned(),
            token::Kind::End => "the end".to_owned(),
            // It has been reported where it was cut.
            token::Kind::Bad => return,
            _ => format!("`{}`", &self.source[span.clone()]),
        };
        let finding = Finding::error(codes::SYNTAX, &span, format!("expected {expected}, found {found}"));
        let hint = if kind == token::Kind::Word { elsewhere(&self.source[span]) } else { None };
        self.findings.push(finding.label(format!("expected {expected}")).maybe_hint(hint.map(str::to_owned)));
    }

    fn bad(&self, start: usize) -> Expression {
        Expression::new(Kind::Bad, start..self.end().max(start))
    }

    fn token(&self) -> &'s Token {
        // Invariant: the last token is `End`, and nothing moves past it.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn kind(&self) -> token::Kind {
        self.token().kind
    }

    fn next_kind(&self) -> token::Kind {
        self.tokens.get(self.at + 1).map_or(token::Kind::End, |token| token.kind)
    }

    fn take(&mut self, kind: token::Kind) -> bool {
        let taken = self.kind() == kind && kind != token::Kind::End;
        self.at += usize::from(taken);
        taken
    }

    /// Where the last token taken ends.
    fn end(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.span.end)
    }
}
