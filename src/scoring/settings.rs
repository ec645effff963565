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

/// What decides where no rule does.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Enforce or monitor.
    pub mode: Mode,
    /// From this score on a transaction is put to review.
    pub review_at: f64,
    /// From this score on a transaction is denied.
    pub deny_at: f64,
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

impl Policy {
    /// What is decided: by the rules, else by the score, else by the amount.
    pub fn decide(
        &self,
        tier: Tier,
        ruled: Option<Decision>,
        score: Option<f64>,
        amount_base_minor: Option<i64>,
    ) -> Decision {
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
        let Policy { mode, review_at, deny_at, without_score, stand_in } = policy;
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
    /// nothing otherwise; without an amount it is the open band's, else `when_missing`.
    pub fn decide(bands: &[Self], amount_base_minor: Option<i64>, when_missing: Decision) -> Decision {
        let covers = |band: &&Self| match (band.up_to_minor, amount_base_minor) {
            (None, _) => true,
            (Some(bound), Some(amount)) => amount <= bound,
            (Some(_), None) => false,
        };
        let past_the_last = if amount_base_minor.is_some() { Decision::Review } else { when_missing };
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
        let changes: [fn(&mut Settings); 16] = [
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
