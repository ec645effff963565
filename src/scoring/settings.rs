//! The part of the configuration that can change an answer. Reading it from files belongs to the shells.

use super::{
    field::AttributeSchema,
    money::{Currency, Rates},
    time::{DAY_MS, HOUR_MS, MINUTE_MS},
    verdict::{Decision, Tier},
};

/// Whether verdicts are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The verdict is what the policy decided.
    Enforce,
    /// Every verdict is `approve`, and a flag says what it would have been.
    Monitor,
}

/// A decision for amounts up to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmountBand {
    /// The largest amount it covers, in minor units of the base currency; `None` covers the rest, and a missing amount.
    pub up_to_minor: Option<i64>,
    /// What it decides.
    pub decision: Decision,
}

/// How a score decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// By itself.
    Score {
        /// From this score on a transaction is put to review.
        review_at: f64,
        /// From this score on a transaction is denied.
        deny_at: f64,
    },
    /// By what each verdict is expected to cost, in minor units of the base currency (Bahnsen and others: the loss of a
    /// missed fraud is the transaction's own amount).
    Cost {
        /// What looking at a transaction costs.
        review_minor: i64,
        /// What denying a legitimate one costs.
        false_positive_minor: i64,
    },
}

/// Transactions that are decided about in a way of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Its name.
    pub name: String,
    /// A condition in the language of the rules; without one, every transaction.
    pub when: Option<String>,
    /// How the score decides there.
    pub measure: Measure,
}

/// What decides where no rule does.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Enforce or monitor.
    pub mode: Mode,
    /// From this score on a transaction is put to review.
    pub review_at: f64,
    /// From this score on a transaction is denied.
    pub deny_at: f64,
    /// The first that holds a transaction decides about it in place of the two thresholds.
    pub segments: Vec<Segment>,
    /// By amount band, where no rule decides and no model answers.
    pub without_score: Vec<AmountBand>,
    /// By amount band, where there is no time for rules.
    pub stand_in: Vec<AmountBand>,
}

/// How much of the past is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowSettings {
    /// Out-of-order arrivals within it land in their place.
    pub lateness_ms: i64,
    /// How long a repeated id gets its first answer again, in event time.
    pub duplicates_ms: i64,
    /// How long `last`, `since_last`, `age` and `speed_kmh` remember a key after its last event.
    pub horizon_ms: i64,
    /// Events of one key kept one by one; older ones are folded into panes.
    pub events_per_key_max: usize,
    /// Keys held in all; beyond it the least recently seen is evicted.
    pub keys_max: usize,
    /// Transactions remembered for duplicates, reversals, outcomes and labels; beyond it the oldest is forgotten.
    pub transactions_max: usize,
    /// Bytes of verdicts remembered for duplicates; beyond it the oldest is forgotten.
    pub answers_max_bytes: usize,
}

/// Everything of the configuration that can change an answer.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The base currency and the rate table.
    pub rates: Rates,
    /// The declared attributes.
    pub schema: AttributeSchema,
    /// How much of the past is kept.
    pub windows: WindowSettings,
    /// What decides where no rule does.
    pub policy: Policy,
}

impl Default for WindowSettings {
    fn default() -> Self {
        Self {
            lateness_ms: 5 * MINUTE_MS,
            duplicates_ms: 24 * HOUR_MS,
            horizon_ms: 90 * DAY_MS,
            events_per_key_max: 65_536,
            keys_max: 50_000_000,
            transactions_max: 20_000_000,
            answers_max_bytes: 2 << 30,
        }
    }
}

impl Measure {
    /// What a score decides; `None` by cost where the amount is missing.
    ///
    /// By cost the cheapest verdict is taken, of equal ones the mildest: approving costs the amount with the probability
    /// of fraud, denying the false positive's cost with the probability that it is none, reviewing always the same.
    pub fn decide(self, score: f64, amount_base_minor: Option<i64>) -> Option<Decision> {
        match self {
            Self::Score { deny_at, .. } if score >= deny_at => Some(Decision::Deny),
            Self::Score { review_at, .. } if score >= review_at => Some(Decision::Review),
            Self::Score { .. } => Some(Decision::Approve),
            Self::Cost { review_minor, false_positive_minor } => {
                let approve = score * amount_base_minor? as f64;
                let review = review_minor as f64;
                let deny = (1.0 - score) * false_positive_minor as f64;
                Some(match () {
                    () if approve <= review && approve <= deny => Decision::Approve,
                    () if review <= deny => Decision::Review,
                    () => Decision::Deny,
                })
            }
        }
    }
}

impl Policy {
    /// What is decided: by the rules, else by the score, else by the amount. `measure` is that of the segment that holds
    /// the transaction.
    pub fn decide(
        &self,
        tier: Tier,
        ruled: Option<Decision>,
        score: Option<f64>,
        amount_base_minor: Option<i64>,
        measure: Option<Measure>,
    ) -> Decision {
        let score = score.filter(|_| ruled.is_none() && tier != Tier::StandIn);
        if let Some((score, measure)) = score.zip(measure)
            && let Some(decision) = measure.decide(score, amount_base_minor)
        {
            return decision;
        }
        match (tier, ruled, score) {
            (Tier::StandIn, ..) => AmountBand::decide(&self.stand_in, amount_base_minor, Decision::Review),
            (_, Some(decision), _) => decision,
            (_, None, Some(score)) if score >= self.deny_at => Decision::Deny,
            (_, None, Some(score)) if score >= self.review_at => Decision::Review,
            (_, None, Some(_)) => Decision::Approve,
            (_, None, None) => AmountBand::decide(&self.without_score, amount_base_minor, Decision::Approve),
        }
    }

    /// The defaults, for a base currency whose minor unit has `exponent` digits.
    pub fn default_for(base: Currency) -> Self {
        let unit = 10_i64.pow(base.exponent());
        Self {
            mode: Mode::Enforce,
            review_at: 0.50,
            deny_at: 0.90,
            segments: Vec::new(),
            without_score: vec![AmountBand { up_to_minor: Some(1_000_000 * unit), decision: Decision::Approve }],
            stand_in: vec![
                AmountBand { up_to_minor: Some(100 * unit), decision: Decision::Approve },
                AmountBand { up_to_minor: None, decision: Decision::Review },
            ],
        }
    }
}

impl Settings {
    /// The defaults for a base currency.
    pub fn default_for(base: Currency) -> Self {
        Self {
            rates: Rates::new(base),
            schema: AttributeSchema::default(),
            windows: WindowSettings::default(),
            policy: Policy::default_for(base),
        }
    }
}

impl Settings {
    /// Twelve hexadecimal digits that change when anything here does, whatever the order it was written in.
    pub fn version(&self) -> String {
        let mut digits = blake3::hash(self.canonical_text().as_bytes()).to_hex().to_string();
        digits.truncate(12);
        digits
    }

    /// Every setting as a line, in one order. A setting that is added must be added here.
    fn canonical_text(&self) -> String {
        // Taken apart without `..`, so that a new setting does not compile until it has its line.
        let Self { rates, schema, windows, policy } = self;
        let WindowSettings {
            lateness_ms,
            duplicates_ms,
            horizon_ms,
            events_per_key_max,
            keys_max,
            transactions_max,
            answers_max_bytes,
        } = windows;
        let Policy { mode, review_at, deny_at, segments, without_score, stand_in } = policy;
        let mut lines = vec![format!("base {}", rates.base().code())];
        lines.extend(rates.known().map(|(currency, rate)| format!("rate {} {rate}", currency.code())));
        lines.extend(schema.fields().map(|field| format!("{} {:?}", field.name(schema), field.field_type(schema))));
        lines.extend([
            format!("lateness_ms {lateness_ms}"),
            format!("duplicates_ms {duplicates_ms}"),
            format!("horizon_ms {horizon_ms}"),
            format!("events_per_key_max {events_per_key_max}"),
            format!("keys_max {keys_max}"),
            format!("transactions_max {transactions_max}"),
            format!("answers_max_bytes {answers_max_bytes}"),
            format!("mode {mode:?}"),
            format!("review_at {review_at}"),
            format!("deny_at {deny_at}"),
        ]);
        // `{:?}` quotes texts, so that none can look like the end of a line.
        lines.extend(
            segments.iter().map(|Segment { name, when, measure }| format!("segment {name:?} {when:?} {measure:?}")),
        );
        for (name, bands) in [("without_score", without_score), ("stand_in", stand_in)] {
            lines.extend(bands.iter().map(|AmountBand { up_to_minor, decision }| {
                format!(
                    "{name} {} {}",
                    up_to_minor.map_or("rest".to_owned(), |bound| bound.to_string()),
                    decision.name()
                )
            }));
        }
        lines.join("\n")
    }
}

impl AmountBand {
    /// The decision of the first band that covers an amount. Past the last band it is `review`, for a bound would mean
    /// nothing otherwise; without an amount it is the open band's, else `when_missing`, as without any band.
    pub fn decide(bands: &[Self], amount_base_minor: Option<i64>, when_missing: Decision) -> Decision {
        let covers = |band: &&Self| match (band.up_to_minor, amount_base_minor) {
            (None, _) => true,
            (Some(bound), Some(amount)) => amount <= bound,
            (Some(_), None) => false,
        };
        let is_bounded = !bands.is_empty() && amount_base_minor.is_some();
        let past_the_last = if is_bounded { Decision::Review } else { when_missing };
        bands.iter().find(covers).map_or(past_the_last, |band| band.decision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::{field::FieldType, money::Decimal};

    fn settings() -> Settings {
        Settings::default_for(Currency::from_code("EUR").expect("EUR is a currency"))
    }

    #[test]
    fn every_setting_changes_the_version() {
        const SEGMENT: fn(Option<&str>, Measure) -> Segment =
            |when, measure| Segment { name: "a".into(), when: when.map(str::to_owned), measure };
        let changes: [fn(&mut Settings); 19] = [
            |settings| settings.rates = Rates::new(Currency::from_code("USD").expect("USD is a currency")),
            |settings| settings.rates.set(Currency::from_code("USD").expect("known"), Decimal::ONE),
            |settings| settings.schema = AttributeSchema::new([("a".to_owned(), FieldType::Text)]),
            |settings| settings.schema = AttributeSchema::new([("a".to_owned(), FieldType::Number)]),
            |settings| settings.windows.lateness_ms += 1,
            |settings| settings.windows.duplicates_ms += 1,
            |settings| settings.windows.horizon_ms += 1,
            |settings| settings.windows.events_per_key_max += 1,
            |settings| settings.windows.keys_max += 1,
            |settings| settings.windows.transactions_max += 1,
            |settings| settings.windows.answers_max_bytes += 1,
            |settings| settings.policy.mode = Mode::Monitor,
            |settings| settings.policy.review_at = 0.51,
            |settings| settings.policy.deny_at = 0.91,
            |settings| settings.policy.segments = vec![SEGMENT(None, Measure::Score { review_at: 0.5, deny_at: 0.9 })],
            |settings| {
                let measure = Measure::Cost { review_minor: 1, false_positive_minor: 2 };
                settings.policy.segments = vec![SEGMENT(None, measure)];
            },
            |settings| {
                let measure = Measure::Cost { review_minor: 1, false_positive_minor: 2 };
                settings.policy.segments = vec![SEGMENT(Some("has(device)"), measure)];
            },
            |settings| settings.policy.without_score.clear(),
            |settings| settings.policy.stand_in[0].decision = Decision::Review,
        ];
        let mut seen = vec![settings().version()];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = settings();
            change(&mut changed);
            let version = changed.version();
            assert_eq!(version.len(), 12);
            assert!(!seen.contains(&version), "change {index} is not seen");
            seen.push(version);
        }
    }

    #[test]
    fn the_cheapest_verdict_is_given() {
        let cost = Measure::Cost { review_minor: 500, false_positive_minor: 2_000 };
        let score = Measure::Score { review_at: 0.2, deny_at: 0.6 };
        let cases = [
            (score, 0.19, None, Some(Decision::Approve)),
            (score, 0.2, None, Some(Decision::Review)),
            (score, 0.6, None, Some(Decision::Deny)),
            // Approving costs 4.99, reviewing 5, denying 18; then 5.01, 5 and 18.
            (cost, 0.1, Some(4_990), Some(Decision::Approve)),
            (cost, 0.1, Some(5_000), Some(Decision::Approve)),
            (cost, 0.1, Some(5_010), Some(Decision::Review)),
            // Denying costs 4 and nothing else is as cheap, unless the amount is.
            (cost, 0.8, Some(100_000), Some(Decision::Deny)),
            (cost, 0.8, Some(400), Some(Decision::Approve)),
            (cost, 0.75, Some(100_000), Some(Decision::Review)),
            (cost, 0.8, None, None),
        ];
        for (measure, score, amount, expected) in cases {
            assert_eq!(measure.decide(score, amount), expected, "{measure:?} {score} {amount:?}");
        }
        let policy = settings().policy;
        let decide = |ruled, amount| policy.decide(Tier::Full, ruled, Some(0.8), amount, Some(cost));
        assert_eq!(decide(None, Some(400)), Decision::Approve);
        // Without an amount the thresholds decide, and a rule always does.
        assert_eq!(decide(None, None), Decision::Review);
        assert_eq!(decide(Some(Decision::Deny), Some(400)), Decision::Deny);
        assert_eq!(policy.decide(Tier::StandIn, None, Some(0.8), Some(400), Some(cost)), Decision::Approve);
    }

    #[test]
    fn amount_bands_cover_upwards() {
        let band = |up_to_minor, decision| AmountBand { up_to_minor, decision };
        let bounded = [band(Some(100), Decision::Approve), band(Some(500), Decision::Deny)];
        let open = [band(Some(100), Decision::Approve), band(None, Decision::Deny)];
        let cases = [
            (&bounded, Some(100), Decision::Approve),
            (&bounded, Some(101), Decision::Deny),
            (&bounded, Some(501), Decision::Review),
            (&bounded, None, Decision::Approve),
            (&open, Some(501), Decision::Deny),
            (&open, None, Decision::Deny),
        ];
        for (bands, amount, expected) in cases {
            assert_eq!(AmountBand::decide(bands, amount, Decision::Approve), expected, "{amount:?}");
        }
    }
}
