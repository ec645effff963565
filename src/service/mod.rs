//! The service around the core: NATS, HTTP, threads, the clock. It decides nothing about a transaction.

pub mod broker;
pub mod subjects;
pub mod ledger;
pub mod link;
pub mod outbox;
pub mod queue;
pub mod stream_metrics;
pub mod quality;
pub mod metrics;
mod timetext;
mod batch;
pub mod pace;
pub mod handing;
pub mod keeper;
pub mod discovery;
pub mod handover;
pub mod answering;
pub mod session;
pub mod upkeep;
pub mod worker;
pub mod stream;
pub mod reload;
pub mod http;
pub mod client;
pub mod logging;
pub mod signals;
pub mod running;
