//! What the service tells Prometheus about the stream path: every metric's name beside its help.

use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The metrics of the stream path. Without one they stay at zero.
pub struct StreamMetrics {
    /// Messages taken, by what they are.
    pub messages: IntCounterVec,
    /// Whether the stream is read.
    pub reading: IntGauge,
    /// What has not been read yet.
    pub pending: IntGauge,
    /// What was taken and is not done with.
    pub in_flight: IntGauge,
    /// The last message taken.
    pub sequence: IntGauge,
    /// Times that reading began anew.
    pub restarts: IntCounter,
    /// Messages that were gone before they were read.
    pub lost: IntCounter,
    /// Times that the stream lacked what had been taken from it.
    pub forgotten: IntCounter,
    /// Times that the stream of verdicts lacked what it had stored.
    pub verdicts_forgotten: IntCounter,
    /// Verdicts published from the journal because that stream lacked them.
    pub recalled: IntCounter,
    /// Attempts to publish a verdict that failed.
    pub publish_failures: IntCounter,
    /// Verdicts published again after a restart.
    pub republished: IntCounter,
    /// Whether a stream captures requests.
    pub captures_requests: IntGauge,
    awaited: AtomicBool,
}

impl StreamMetrics {
    /// All of them at zero.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let messages = Opts::new("gavel_stream_messages_total", "Messages taken off the stream, by what they are.");
        let messages = IntCounterVec::new(messages, &["kind"])?;
        registry.register(Box::new(messages.clone()))?;
        Ok(Self {
            messages,
            reading: gauge("gavel_stream_reading", "Whether the stream is read.")?,
            pending: gauge("gavel_stream_pending_messages", "Messages on the stream that have not been read.")?,
            in_flight: gauge(
                "gavel_stream_in_flight_messages",
                "Messages taken off the stream whose verdict is not known to be published.",
            )?,
            sequence: gauge("gavel_stream_sequence", "Number of the last message taken off the stream.")?,
            restarts: counter("gavel_stream_restarts_total", "Times that reading the stream began anew.")?,
            lost: counter("gavel_stream_lost_total", "Messages that had left the stream before they were read.")?,
            forgotten: counter(
                "gavel_stream_forgotten_total",
                "Times that the stream was found without messages that had been taken from it.",
            )?,
            verdicts_forgotten: counter(
                "gavel_stream_verdicts_forgotten_total",
                "Times that the stream of verdicts was found without verdicts that it had stored.",
            )?,
            recalled: counter(
                "gavel_stream_recalled_total",
                "Verdicts published from the journal because the stream of verdicts lacked them.",
            )?,
            publish_failures: counter(
                "gavel_stream_publish_failures_total",
                "Attempts to publish a verdict of the stream path that were not confirmed.",
            )?,
            republished: counter(
                "gavel_stream_republished_total",
                "Verdicts of the stream path published at a start because a crash may have kept them back.",
            )?,
            captures_requests: gauge(
                "gavel_stream_captures_requests",
                "Whether a stream of the account captures subjects that requests are sent to.",
            )?,
            awaited: AtomicBool::new(false),
        })
    }

    /// Whether there is a stream is not known yet.
    pub fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Relaxed)
    }

    /// Says whether that is so.
    pub fn set_awaited(&self, is_awaited: bool) {
        self.awaited.store(is_awaited, Ordering::Relaxed);
    }
}
