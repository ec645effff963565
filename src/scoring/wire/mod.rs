//! Messages from JSON and columns to checked values. It keeps nothing and never repeats a refused value.

mod raw;
mod plain;
mod lenient;
mod pan;
mod check;
mod notices;

pub use check::{Route, check_transaction, decode_transaction, is_token, not_json};
pub use lenient::{Written, read_entries};
pub use notices::{decode_label, decode_list_change, decode_outcome, decode_reload};
pub use pan::is_card_number;
pub use raw::{Raw, RawFields, RawObject, RawTransaction};

#[cfg(test)]
mod tests;
