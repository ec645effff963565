//! What an expression sees of one transaction. It holds no value of its own.

use super::coded::CodedFields;
use crate::scoring::{lists::Lists, plan::AggregateValue, transaction::Transaction};

/// What an expression sees of one transaction.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The transaction.
    pub transaction: &'a Transaction<'a>,
    /// Which codes its coded fields have.
    pub codes: CodedFields,
    /// Its amount in minor units of the base currency; missing without a rate.
    pub amount_base_minor: Option<i64>,
    /// The answers of the plan's aggregates, in the plan's order.
    pub aggregates: &'a [AggregateValue],
    /// The model's probability; missing without a model.
    pub score: Option<f64>,
    /// The lists and tables the program was compiled with, with their changes since.
    pub lists: &'a Lists,
}
