//! An ordinary NATS client by the same configuration as the service, for whatever is not the hot path.

use std::sync::{Arc, Mutex, PoisonError};

use async_nats::{Client, ConnectOptions, Event};

use crate::{
    config::{Authentication, NatsConfig},
    scoring::wire::is_token,
};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A credentials file that cannot be used.
    #[error("the credentials file cannot be used: {0}")]
    Credentials(std::io::Error),
    /// No server lets it in.
    #[error("{servers}: {source}")]
    Connect {
        /// Where it tried.
        servers: String,
        /// Why.
        source: async_nats::ConnectError,
    },
}

/// Connects under a name that operators see.
pub async fn connect(config: &NatsConfig, name: &str) -> Result<Client, ClientError> {
    let options = match &config.authentication {
        Authentication::None => ConnectOptions::new(),
        Authentication::Password { user, password } => {
            ConnectOptions::with_user_and_password(user.clone(), password.expose().to_owned())
        }
        Authentication::Credentials(path) => {
            ConnectOptions::with_credentials_file(path).await.map_err(ClientError::Credentials)?
        }
        Authentication::Nkey(seed) => ConnectOptions::with_nkey(seed.expose().to_owned()),
    };
    let said = Arc::new(Mutex::new(String::new()));
    let mut options = options
        .name(name)
        .subscription_capacity(config.subscription_capacity)
        .client_capacity(config.client_capacity)
        // Every subject here is made of tokens that have been checked.
        .skip_subject_validation(true)
        // What is not permitted is silence otherwise.
        .event_callback(move |event| {
            let said = said.clone();
            async move {
                if let Event::ServerError(error) = event {
                    let complaint = error.to_string();
                    // One that comes with every message is told once.
                    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                    if *said != complaint {
                        anstream::eprintln!("the broker complains: {complaint}");
                        *said = complaint;
                    }
                }
            }
        });
    // Permissions can keep the inboxes of users apart.
    if let Authentication::Password { user, .. } = &config.authentication
        && is_token(user)
    {
        options = options.custom_inbox_prefix(format!("_INBOX.{user}"));
    }
    if let Some(authorities) = &config.tls_ca {
        options = options.add_root_certificates(authorities.clone());
    }
    if let Some(files) = &config.tls_client {
        options = options.add_client_certificate(files.certificate.clone(), files.key.clone());
    }
    let connected = options.connect(config.servers.clone()).await;
    connected.map_err(|source| ClientError::Connect { servers: config.servers_text(), source })
}
