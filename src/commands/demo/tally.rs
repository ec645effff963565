//! What the demo prints: a line a verdict, and at the end how fast it was and what it caught. It decides nothing.

use std::{fmt::Write as _, time::Duration};

use anstyle::{AnsiColor, Style};
use hdrhistogram::Histogram;
use serde::Deserialize;

use super::stream::Purchase;
use crate::scoring::verdict::Decision;

/// Latencies are recorded in nanoseconds up to a minute, to three digits.
const LATENCY_MAX_NS: u64 = 60_000_000_000;
/// The longest reason that is printed, in characters.
const REASON_MAX_CHARACTERS: usize = 70;

/// What is read of a verdict; text that JSON escapes is owned.
#[derive(Deserialize)]
struct Answer {
    verdict: String,
    score: Option<f64>,
    reasons: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    code: String,
    text: String,
}

/// What came of the purchases so far.
pub(super) struct Tally {
    pub(super) sent: u64,
    given: [u64; Decision::ALL.len()],
    refused: u64,
    frauds_caught: u64,
    frauds_missed: u64,
    false_positives: u64,
    latency_ns: Histogram<u64>,
}

/// What one answer says: its decision, and its line.
pub(super) struct Told {
    pub(super) decision: Option<Decision>,
    pub(super) line: String,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            sent: 0,
            given: [0; Decision::ALL.len()],
            refused: 0,
            frauds_caught: 0,
            frauds_missed: 0,
            false_positives: 0,
            // The bounds are constants that the histogram takes.
            latency_ns: Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).expect("good bounds"),
        }
    }

    /// How many answers came.
    pub(super) fn answered(&self) -> u64 {
        self.given.iter().sum::<u64>() + self.refused
    }

    /// Counts an answer, and tells it as a line.
    pub(super) fn take(&mut self, purchase: &Purchase, answer: &[u8], took: Duration) -> Told {
        let read = serde_json::from_slice::<Answer>(answer).ok();
        let decision = read.as_ref().and_then(|answer| Decision::from_name(&answer.verdict));
        let (Some(answer), Some(decision)) = (read, decision) else {
            self.refused += 1;
            return Told { decision: None, line: format!("refused   {}", String::from_utf8_lossy(answer)) };
        };
        self.given[decision as usize] += 1;
        self.latency_ns.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1));
        match (purchase.is_fraud, decision) {
            (true, Decision::Approve) => self.frauds_missed += 1,
            (true, _) => self.frauds_caught += 1,
            (false, Decision::Approve) => {}
            (false, _) => self.false_positives += 1,
        }
        Told { decision: Some(decision), line: line(purchase, decision, &answer, took) }
    }

    /// Everything, for programs.
    pub(super) fn json(&self) -> serde_json::Value {
        let given = |decision: Decision| (decision.name().to_owned(), self.given[decision as usize].into());
        let verdicts: serde_json::Map<_, _> = Decision::ALL.into_iter().map(given).collect();
        let at = |quantile| self.latency_ns.value_at_quantile(quantile) as f64 / 1e3;
        serde_json::json!({
            "sent": self.sent,
            "answered": self.answered() - self.refused,
            "refused": self.refused,
            "unanswered": self.sent.saturating_sub(self.answered()),
            "verdicts": verdicts,
            "latency_us": {
                "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999),
                "max": self.latency_ns.max() as f64 / 1e3,
            },
            "frauds": { "caught": self.frauds_caught, "missed": self.frauds_missed },
            "false_positives": self.false_positives,
        })
    }

    /// Everything, for people.
    pub(super) fn summary(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for decision in Decision::ALL {
            let _ = write!(text, "{} {}  ", decision.name(), self.given[decision as usize]);
        }
        let unanswered = self.sent.saturating_sub(self.answered());
        let _ = writeln!(text, "refused {}  unanswered {unanswered}  of {} sent", self.refused, self.sent);
        let at = |quantile| self.latency_ns.value_at_quantile(quantile) as f64 / 1e3;
        let _ = writeln!(
            text,
            "latency from the intended send time, in microseconds: p50 {:.0}  p90 {:.0}  p99 {:.0}  p99.9 {:.0}  max {:.0}",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            self.latency_ns.max() as f64 / 1e3,
        );
        let _ = writeln!(
            text,
            "frauds: {} caught (denied or put to review), {} missed; false positives: {}",
            self.frauds_caught, self.frauds_missed, self.false_positives
        );
        text
    }
}

fn line(purchase: &Purchase, decision: Decision, answer: &Answer, took: Duration) -> String {
    let style = match decision {
        Decision::Approve => Style::new().fg_color(Some(AnsiColor::Green.into())),
        Decision::Deny => Style::new().fg_color(Some(AnsiColor::Red.into())).bold(),
        Decision::Review => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
    };
    let score = answer.score.map_or("   -".to_owned(), |score| format!("{score:.2}"));
    let reason = answer.reasons.first().filter(|_| decision != Decision::Approve);
    let reason = reason.map_or(String::new(), |reason| format!("{}: {}", reason.code, reason.text));
    let reason: String = reason.chars().take(REASON_MAX_CHARACTERS).collect();
    let Purchase { time, amount, card, merchant, is_fraud, .. } = purchase;
    let truth = if *is_fraud { "FRAUD" } else { "" };
    let took_us = took.as_micros();
    let line = format!(
        "{time}  {style}{:<7}{style:#} {score}  {amount:>14}  {card:<12} {merchant:<14} {took_us:>6} us  {truth:<5} {reason}",
        decision.name()
    );
    line.trim_end().to_owned()
}
