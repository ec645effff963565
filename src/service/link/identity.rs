//! How a client says who it is: password, nkey, credentials file, certificates. Nothing of it is ever printed.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_nats::rustls::{
    ClientConfig, RootCertStore, crypto,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use tokio_rustls::TlsConnector;

use crate::config::{Authentication, NatsConfig};

/// An identity that cannot be used: somebody has to change the configuration or a file.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {expected}", path.display())]
    Content {
        /// Which one.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
    },
    /// The seed of the configuration is none.
    #[error("the nkey seed is not a seed (it begins with SU)")]
    Seed,
    /// The certificate and its key do not go together, or TLS cannot use them.
    #[error("the client certificate cannot be used: {0}")]
    Certificate(String),
}

/// What a client adds to `CONNECT` to say who it is.
#[derive(Default, serde::Serialize)]
pub(super) struct Proof {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

/// What to tell a server, given its nonce and the name and password of its address. Files are read at every
/// connection, so that a renewed one is picked up.
pub(super) fn proof(
    authentication: &Authentication,
    address: (Option<&str>, Option<&str>),
    nonce: &str,
) -> Result<Proof, IdentityError> {
    match authentication {
        Authentication::None => Ok(match address {
            // A name alone in the address is a token.
            (Some(token), None) => Proof { auth_token: Some(token.into()), ..Proof::default() },
            (user, pass) => Proof { user: user.map(Into::into), pass: pass.map(Into::into), ..Proof::default() },
        }),
        Authentication::Password { user, password } => {
            Ok(Proof { user: Some(user.clone()), pass: Some(password.expose().into()), ..Proof::default() })
        }
        Authentication::Nkey(seed) => {
            let key = KeyPair::from_seed(seed.expose().trim()).map_err(|_| IdentityError::Seed)?;
            Ok(Proof { nkey: Some(key.public_key()), sig: Some(sign(&key, nonce)?), ..Proof::default() })
        }
        Authentication::Credentials(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|source| IdentityError::File { path: path.clone(), source })?;
            let holds_no = |expected| IdentityError::Content { path: path.clone(), expected };
            let jwt = decorated(&text, "NATS USER JWT").ok_or_else(|| holds_no("user JWT"))?;
            let seed = decorated(&text, "USER NKEY SEED").ok_or_else(|| holds_no("user nkey seed"))?;
            let key = KeyPair::from_seed(seed).map_err(|_| holds_no("valid nkey seed"))?;
            Ok(Proof { jwt: Some(jwt.into()), sig: Some(sign(&key, nonce)?), ..Proof::default() })
        }
    }
}

fn sign(key: &KeyPair, nonce: &str) -> Result<String, IdentityError> {
    let signature = key.sign(nonce.as_bytes()).map_err(|_| IdentityError::Seed)?;
    Ok(URL_SAFE_NO_PAD.encode(signature))
}

/// What stands between `-----BEGIN <title>-----` and the next line of dashes.
fn decorated<'t>(text: &'t str, title: &str) -> Option<&'t str> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.starts_with("---") && line.contains("BEGIN") && line.contains(title))?;
    lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with('-'))
}

/// Whether the configuration asks for TLS by itself.
pub(super) fn wants_tls(config: &NatsConfig) -> bool {
    config.tls_ca.is_some() || config.tls_client.is_some()
}

/// A TLS client that trusts the system's authorities and the configured ones.
pub(super) fn tls_connector(config: &NatsConfig) -> Result<TlsConnector, IdentityError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &config.tls_ca {
        let expected = "certificate of an authority";
        for certificate in certificates(path, expected)? {
            roots.add(certificate).map_err(|_| IdentityError::Content { path: path.clone(), expected })?;
        }
    }
    let unusable = |error: async_nats::rustls::Error| IdentityError::Certificate(error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_root_certificates(roots);
    let client = match &config.tls_client {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let chain = certificates(&files.certificate, "client certificate")?;
            let key = PrivateKeyDer::from_pem_file(&files.key)
                .map_err(|error| pem_error(&files.key, "private key", error))?;
            builder.with_client_auth_cert(chain, key).map_err(unusable)?
        }
    };
    Ok(TlsConnector::from(Arc::new(client)))
}

fn certificates(path: &Path, expected: &'static str) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match found {
        Ok(certificates) if certificates.is_empty() => Err(IdentityError::Content { path: path.into(), expected }),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(pem_error(path, expected, error)),
    }
}

fn pem_error(path: &Path, expected: &'static str, error: async_nats::rustls::pki_types::pem::Error) -> IdentityError {
    match error {
        async_nats::rustls::pki_types::pem::Error::Io(source) => IdentityError::File { path: path.into(), source },
        _ => IdentityError::Content { path: path.into(), expected },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    const CREDENTIALS: &str = "-----BEGIN NATS USER JWT-----\neyJ0.abc\n------END NATS USER JWT------\n\n\
        *** IMPORTANT ***\n\n-----BEGIN USER NKEY SEED-----\nSEED\n------END USER NKEY SEED------\n";

    fn json(identity: &Authentication, address: (Option<&str>, Option<&str>)) -> String {
        match proof(identity, address, "nonce") {
            Ok(proof) => serde_json::to_string(&proof).expect("plain strings"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn proofs_say_who_it_is() {
        let password = Authentication::Password { user: "a".into(), password: Secret::new("b".into()) };
        assert_eq!(json(&Authentication::None, (None, None)), "{}");
        assert_eq!(json(&Authentication::None, (Some("u"), Some("p"))), r#"{"user":"u","pass":"p"}"#);
        assert_eq!(json(&Authentication::None, (Some("t"), None)), r#"{"auth_token":"t"}"#);
        assert_eq!(json(&password, (Some("u"), Some("p"))), r#"{"user":"a","pass":"b"}"#);
        assert_eq!(
            json(&Authentication::Nkey(Secret::new("x".into())), (None, None)),
            "error: the nkey seed is not a seed (it begins with SU)"
        );

        let key = KeyPair::new_user();
        let seed = key.seed().expect("a new key has a seed");
        let proof =
            super::proof(&Authentication::Nkey(Secret::new(seed.clone())), (None, None), "nonce").expect("a good seed");
        assert_eq!(proof.nkey, Some(key.public_key()));
        let signature = URL_SAFE_NO_PAD.decode(proof.sig.expect("signed")).expect("base64");
        assert!(key.verify(b"nonce", &signature).is_ok());

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("user.creds");
        std::fs::write(&path, CREDENTIALS.replace("SEED\n", &format!("{seed}\n"))).expect("written");
        let proof =
            super::proof(&Authentication::Credentials(path.clone()), (None, None), "nonce").expect("good credentials");
        assert_eq!(proof.jwt.as_deref(), Some("eyJ0.abc"));
        assert!(proof.nkey.is_none() && proof.sig.is_some());
        std::fs::write(&path, "nothing").expect("written");
        assert!(json(&Authentication::Credentials(path), (None, None)).ends_with("user.creds holds no user JWT"));
        assert!(json(&Authentication::Credentials("no-such.creds".into()), (None, None)).contains("cannot be read"));
    }
}
