//! Data files: rows in, rows out, labels in their order. It scores nothing.
