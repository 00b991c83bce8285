//! Where MySQL is and how to reach it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// A password: never shown, overwritten when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into().into_bytes())
    }

    /// The secret itself; not for messages or logs.
    pub fn reveal(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&mut self.0);
    }
}

/// How much TLS is asked for, in the words of the mysql client's `--ssl-mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    Disabled,
    /// TLS where the server offers it, plain text otherwise; the certificate is not verified.
    #[default]
    Preferred,
    /// TLS or nothing; the certificate is not verified.
    Required,
    /// The certificate must come from `tls_ca`; the host name is not compared.
    VerifyCa,
    /// The certificate must come from `tls_ca` and name the host (as a subject alternative name).
    VerifyIdentity,
}

impl TlsMode {
    /// Whether the server's certificate is verified at all.
    pub fn verifies(self) -> bool {
        matches!(self, TlsMode::VerifyCa | TlsMode::VerifyIdentity)
    }
}

/// A MySQL server and an account on it.
#[derive(Debug, Clone)]
pub struct Options {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Secret,
    /// The default database of bare table names.
    pub database: Option<String>,
    pub tls: TlsMode,
    /// PEM file with the certificates that the server's must come from.
    pub tls_ca: Option<PathBuf>,
    /// What replicas call themselves; derived from host and user where it is absent.
    pub server_id: Option<u32>,
    /// How long to wait for a connection to be established and authenticated.
    pub connect_timeout: Duration,
    /// How long the binlog stream may be silent; heartbeats come three times as often.
    pub read_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 3306,
            user: "root".to_owned(),
            password: Secret::default(),
            database: None,
            tls: TlsMode::default(),
            tls_ca: None,
            server_id: None,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
        }
    }
}

impl Options {
    /// `host:port`, for messages.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The `server_id` to use: the configured one, or one derived from `seed` (this machine and these settings) in
    /// the upper half of the range, where people seldom choose theirs.
    pub fn effective_server_id(&self, seed: &str) -> u32 {
        self.server_id.unwrap_or_else(|| {
            use sha2::{Digest, Sha256};
            let text = format!("{seed}\0{}\0{}\0{}", self.host, self.port, self.user);
            let digest = Sha256::digest(text.as_bytes());
            let number = digest
                .iter()
                .take(4)
                .fold(0u32, |n, b| (n << 8) | u32::from(*b));
            number | 0x8000_0000
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let options = Options {
            password: Secret::new("hunter2"),
            ..Options::default()
        };
        assert!(!format!("{options:?}").contains("hunter2"));
        assert_eq!(options.password.reveal(), "hunter2");
    }

    #[test]
    fn the_server_id_is_stable_and_differs_by_seed() {
        let options = Options::default();
        let id = options.effective_server_id("a");
        assert_eq!(id, options.effective_server_id("a"));
        assert_ne!(id, options.effective_server_id("b"));
        assert!(id >= 0x8000_0000);
        let fixed = Options {
            server_id: Some(7),
            ..options
        };
        assert_eq!(fixed.effective_server_id("a"), 7);
    }
}
