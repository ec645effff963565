//! What expressions may name. It belongs to whoever loads a release.

use std::collections::BTreeMap;

use crate::scoring::{field::AttributeSchema, lists::Lists, money::Rates};

/// A name for an expression, from `[define]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Define {
    /// The expression's text.
    pub source: String,
}

/// What expressions may name.
#[derive(Clone, Copy)]
pub struct Environment<'e> {
    /// The declared attributes.
    pub schema: &'e AttributeSchema,
    /// The base currency, and what money literals are worth in it.
    pub rates: &'e Rates,
    /// Lists and tables.
    pub lists: &'e Lists,
    /// Names from `[define]`.
    pub defines: &'e BTreeMap<String, Define>,
}
