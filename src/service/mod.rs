//! The service around the core: NATS, HTTP, threads, the clock. It decides nothing about a transaction.

pub mod link;
