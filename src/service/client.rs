//! An ordinary NATS client by the same configuration as the service, for whatever is not the hot path.

use async_nats::{Client, ConnectOptions};

use crate::config::{Authentication, NatsConfig};

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
    let mut options = options
        .name(name)
        .subscription_capacity(config.subscription_capacity)
        .client_capacity(config.client_capacity)
        // Every subject here is made of tokens that have been checked.
        .skip_subject_validation(true);
    if let Some(authorities) = &config.tls_ca {
        options = options.add_root_certificates(authorities.clone());
    }
    if let Some(files) = &config.tls_client {
        options = options.add_client_certificate(files.certificate.clone(), files.key.clone());
    }
    let connected = options.connect(config.servers.clone()).await;
    connected.map_err(|source| ClientError::Connect { servers: config.servers_text(), source })
}
