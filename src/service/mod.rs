//! The shell around the core: NATS, HTTP, files and threads. It decides nothing about a transaction.
