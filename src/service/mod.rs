//! The service around the core: NATS, HTTP, threads. It decides nothing about a transaction.

pub mod link;
