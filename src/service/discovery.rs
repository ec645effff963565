//! How NATS tools find the service: answers to `$SRV.PING`, `INFO` and `STATS`, as every NATS micro service gives them.
//! It changes nothing.

use std::time::Duration;

use async_nats::{HeaderMap, Message};
use serde::Serialize;

use super::{
    outbox::Outbox,
    subjects::{Kind, Subjects},
};
use crate::scoring::refusal::Refusal;

/// The service's name in NATS.
pub const NAME: &str = "gavel";
const DESCRIPTION: &str = "Scores card transactions for fraud in real time";

/// What the service says about itself, and what it counts for that.
pub struct Discovery {
    id: String,
    started: String,
    endpoints: Vec<Counted>,
}

/// An endpoint and what it has done.
struct Counted {
    kind: Kind,
    subject: String,
    requests: u64,
    errors: u64,
    last_error: String,
    busy: Duration,
}

#[derive(Serialize)]
struct Identity<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    id: &'a str,
    version: &'static str,
    metadata: Empty,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Information<'a> {
    #[serde(flatten)]
    identity: Identity<'a>,
    description: &'static str,
    endpoints: Vec<Endpoint<'a>>,
}

#[derive(Serialize)]
struct Statistics<'a> {
    #[serde(flatten)]
    identity: Identity<'a>,
    started: &'a str,
    endpoints: Vec<EndpointStatistics<'a>>,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    name: &'static str,
    subject: &'a str,
    queue_group: &'static str,
    metadata: Empty,
}

#[derive(Serialize)]
struct EndpointStatistics<'a> {
    name: &'static str,
    subject: &'a str,
    queue_group: &'static str,
    num_requests: u64,
    num_errors: u64,
    last_error: &'a str,
    /// Nanoseconds, as the two below.
    processing_time: u64,
    average_processing_time: u64,
}

impl Discovery {
    /// A service of these subjects, under an id of its own, started at an RFC 3339 moment.
    pub fn new(id: String, started: String, subjects: &Subjects) -> Self {
        let counted = |(kind, subject)| Counted {
            kind,
            subject,
            requests: 0,
            errors: 0,
            last_error: String::new(),
            busy: Duration::ZERO,
        };
        Self { id, started, endpoints: subjects.listened().map(counted).into() }
    }

    /// The subject that asks for this one's statistics: the last of `subjects`.
    pub fn own_subject(&self) -> String {
        format!("$SRV.STATS.{NAME}.{}", self.id)
    }

    /// The subjects that ask for it: everybody, all services of the name, this one.
    pub fn subjects(&self) -> Vec<String> {
        let mut subjects = Vec::new();
        for verb in ["PING", "INFO", "STATS"] {
            subjects.push(format!("$SRV.{verb}"));
            subjects.push(format!("$SRV.{verb}.{NAME}"));
            subjects.push(format!("$SRV.{verb}.{NAME}.{}", self.id));
        }
        subjects
    }

    /// A request was answered.
    pub fn count(&mut self, kind: Kind, took: Duration) {
        if let Some(endpoint) = self.endpoint(kind) {
            endpoint.requests += 1;
            endpoint.busy += took;
        }
    }

    /// A request was refused.
    pub fn count_refusal(&mut self, kind: Kind, refusal: &Refusal) {
        if let Some(endpoint) = self.endpoint(kind) {
            endpoint.requests += 1;
            endpoint.errors += 1;
            endpoint.last_error = format!("{}:{}", refusal.class.status(), refusal.message);
        }
    }

    fn endpoint(&mut self, kind: Kind) -> Option<&mut Counted> {
        // `listened` gives the kinds in their order.
        self.endpoints.get_mut(kind as usize)
    }

    /// Answers a request.
    pub fn answer(&self, message: &Message, out: &mut Outbox) {
        let verb = message.subject.split('.').nth(1).unwrap_or_default();
        let body = match verb {
            "PING" => serde_json::to_vec(&self.identity("io.nats.micro.v1.ping_response")),
            "INFO" => serde_json::to_vec(&self.information()),
            "STATS" => serde_json::to_vec(&self.statistics()),
            _ => return,
        };
        if let Ok(body) = body
            && let Some(reply) = &message.reply
        {
            out.publish(reply.clone(), HeaderMap::new(), body.into());
        }
    }

    fn identity(&self, kind: &'static str) -> Identity<'_> {
        Identity { kind, name: NAME, id: &self.id, version: env!("CARGO_PKG_VERSION"), metadata: Empty {} }
    }

    fn information(&self) -> Information<'_> {
        Information {
            identity: self.identity("io.nats.micro.v1.info_response"),
            description: DESCRIPTION,
            endpoints: self
                .endpoints
                .iter()
                .map(|Counted { kind, subject, .. }| Endpoint {
                    name: kind.name(),
                    subject,
                    queue_group: "",
                    metadata: Empty {},
                })
                .collect(),
        }
    }

    fn statistics(&self) -> Statistics<'_> {
        let endpoints = self.endpoints.iter().map(|endpoint| {
            let processing_time = u64::try_from(endpoint.busy.as_nanos()).unwrap_or(u64::MAX);
            EndpointStatistics {
                name: endpoint.kind.name(),
                subject: &endpoint.subject,
                queue_group: "",
                num_requests: endpoint.requests,
                num_errors: endpoint.errors,
                last_error: &endpoint.last_error,
                processing_time,
                average_processing_time: processing_time.checked_div(endpoint.requests).unwrap_or(0),
            }
        });
        Statistics {
            identity: self.identity("io.nats.micro.v1.stats_response"),
            started: &self.started,
            endpoints: endpoints.collect(),
        }
    }
}
