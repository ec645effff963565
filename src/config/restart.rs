//! What of a configuration a running service cannot take over. It reads no file.

use super::{Authentication, Config, GuardConfig, NatsConfig};
use crate::scoring::settings::Settings;

impl Config {
    /// This configuration as a service can take it over that runs with another: what needs a restart stays as it is,
    /// and the names of what differs there come beside it.
    #[must_use]
    pub fn taken_over_by(self, running: &Self) -> (Self, Vec<&'static str>) {
        // Taken apart without `..`, so that a new section does not compile until it is thought of here.
        let Self {
            settings,
            skew_ms,
            rules: _,
            model: _,
            challengers: _,
            quality,
            nats,
            subjects,
            stream,
            scoring,
            http,
            durability,
            log,
            guard,
            file: _,
        } = &self;
        let parts = [
            ("[windows]", settings.windows == running.settings.windows && *skew_ms == running.skew_ms),
            ("[quality]", *quality == running.quality),
            ("[nats]", nats.is_same(&running.nats)),
            ("[subjects]", *subjects == running.subjects),
            ("[stream]", *stream == running.stream),
            ("[scoring]", *scoring == running.scoring),
            ("[http]", *http == running.http),
            ("[durability]", *durability == running.durability),
            ("[log]", *log == running.log),
            ("[guard] transactions", guard.transactions == running.guard.transactions),
        ];
        let differing = parts.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect();
        let Self { settings, rules, model, challengers, guard, file, .. } = self;
        let taken_over = Self {
            settings: Settings { windows: running.settings.windows.clone(), ..settings },
            rules,
            model,
            challengers,
            guard: GuardConfig { transactions: running.guard.transactions, ..guard },
            file,
            // What runs goes on, so the next one is compared with that as well.
            ..running.clone()
        };
        (taken_over, differing)
    }
}

impl NatsConfig {
    fn is_same(&self, other: &Self) -> bool {
        // Taken apart without `..`, so that a new key does not compile until it is compared.
        let Self { servers, authentication, tls_ca, tls_client, subscription_capacity, client_capacity, queue_max } =
            self;
        *servers == other.servers
            && authentication.is_same(&other.authentication)
            && *tls_ca == other.tls_ca
            && *tls_client == other.tls_client
            && *subscription_capacity == other.subscription_capacity
            && *client_capacity == other.client_capacity
            && *queue_max == other.queue_max
    }
}

impl Authentication {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Password { user, password }, Self::Password { user: other, password: theirs }) => {
                user == other && password == theirs
            }
            (Self::Credentials(path), Self::Credentials(other)) => path == other,
            (Self::Nkey(seed), Self::Nkey(other)) => seed == other,
            _ => false,
        }
    }
}
