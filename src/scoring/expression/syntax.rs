//! The tree of an expression as it was written. Names are not resolved and types not known.

use std::ops::Range;

use crate::scoring::money::Currency;

/// How deep an expression may nest, its defines written out.
pub(super) const DEPTH_MAX: usize = 64;
/// How long the source of an expression may be, in bytes.
pub(super) const SOURCE_MAX_BYTES: usize = 8 * 1024;

/// A node and its bytes of the source.
pub(super) struct Expression {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
    /// 1 for a leaf; kept at most `DEPTH_MAX`, so that walking the tree fits any stack.
    pub(super) depth: usize,
}

/// What a node is.
pub(super) enum Kind {
    /// Something that has been reported.
    Bad,
    /// A field, a define, a verdict or an outcome.
    Name(String),
    /// `attributes.<key>`.
    Attribute(String),
    Integer(i64),
    Number(f64),
    /// An amount in minor units of its currency.
    Money {
        minor: i64,
        currency: Currency,
    },
    /// Milliseconds.
    Span(i64),
    Text(String),
    Boolean(bool),
    /// `[…]`.
    List(Vec<Expression>),
    /// `(…, …)`, as a key.
    Tuple(Vec<Expression>),
    Call {
        name: String,
        name_span: Range<usize>,
        arguments: Vec<Expression>,
        options: Vec<Choice>,
    },
    Not(Box<Expression>),
    Negate(Box<Expression>),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Compare(Comparison, Box<Expression>, Box<Expression>),
    In {
        negated: bool,
        value: Box<Expression>,
        set: Box<Expression>,
    },
    StartsWith(Box<Expression>, Box<Expression>),
    Arithmetic(Arithmetic, Box<Expression>, Box<Expression>),
}

/// An option of an aggregate, and its bytes.
pub(super) struct Choice {
    pub(super) kind: ChoiceKind,
    pub(super) span: Range<usize>,
}

/// Which option.
pub(super) enum ChoiceKind {
    Delay(Expression),
    Prior,
    Where(Expression),
}

/// A comparison of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// An operator on two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Comparison {
    /// How it is written.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        }
    }

    /// Whether it asks for equality, which every type has.
    pub(super) const fn is_equality(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual)
    }

    /// The comparison that says the same with its sides exchanged.
    pub(super) const fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            same => same,
        }
    }

    /// Whether it holds between two values.
    pub(super) fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterEqual => left >= right,
        }
    }
}

impl Arithmetic {
    /// How it is written.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
        }
    }
}

impl Expression {
    /// A node over its bytes.
    pub(super) fn new(kind: Kind, span: Range<usize>) -> Self {
        let depth = 1 + kind.children().map(|child| child.depth).max().unwrap_or_default();
        Self { kind, span, depth }
    }
}

impl Kind {
    fn children(&self) -> Box<dyn Iterator<Item = &Expression> + '_> {
        match self {
            Self::Bad
            | Self::Name(_)
            | Self::Attribute(_)
            | Self::Integer(_)
            | Self::Number(_)
            | Self::Money { .. }
            | Self::Span(_)
            | Self::Text(_)
            | Self::Boolean(_) => Box::new(std::iter::empty()),
            Self::List(items) | Self::Tuple(items) | Self::And(items) | Self::Or(items) => Box::new(items.iter()),
            Self::Call { arguments, options, .. } => {
                let chosen = options.iter().filter_map(|choice| match &choice.kind {
                    ChoiceKind::Delay(inside) | ChoiceKind::Where(inside) => Some(inside),
                    ChoiceKind::Prior => None,
                });
                Box::new(arguments.iter().chain(chosen))
            }
            Self::Not(inside) | Self::Negate(inside) => Box::new(std::iter::once(&**inside)),
            Self::Compare(_, left, right) | Self::StartsWith(left, right) | Self::Arithmetic(_, left, right) => {
                Box::new([&**left, &**right].into_iter())
            }
            Self::In { value, set, .. } => Box::new([&**value, &**set].into_iter()),
        }
    }
}
