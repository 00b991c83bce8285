//! TLS to MySQL, with rustls on ring: what each [`TlsMode`] verifies.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::options::{Options, TlsMode};
use crate::error::{Error, Kind, Result};

/// Makes ring the process's TLS provider, once; a provider that is installed already is left alone.
pub fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// The certificates of `tls_ca`.
pub fn root_certificates(options: &Options) -> Result<Vec<CertificateDer<'static>>> {
    let path = options.tls_ca.as_ref().ok_or_else(|| {
        Error::new(Kind::Usage, "[source] tls verifies the server's certificate, and tls_ca is not set")
            .with_remedy("set [source] tls_ca to the PEM file of the authority that signed MySQL's certificate (its `ca.pem`)")
    })?;
    let unreadable = |why: String| {
        Error::new(
            Kind::Usage,
            format!("[source] tls_ca: {}: {why}", path.display()),
        )
        .with_remedy("set [source] tls_ca to a PEM file of certificates that penstock may read")
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|e| unreadable(e.to_string()))?
        .collect();
    match certificates {
        Ok(list) if !list.is_empty() => Ok(list),
        Ok(_) => Err(unreadable("it holds no certificate".to_owned())),
        Err(e) => Err(unreadable(e.to_string())),
    }
}

/// The client configuration for `options.tls`.
pub fn client_config(options: &Options) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    if options.tls.verifies() {
        for certificate in root_certificates(options)? {
            roots.add(certificate).map_err(|e| {
                Error::new(
                    Kind::Usage,
                    "[source] tls_ca holds a certificate that cannot be an authority",
                )
                .with_source(e)
            })?;
        }
    }
    let verifier = Verifier {
        mode: options.tls,
        roots: Arc::new(roots),
        provider: Arc::clone(&provider),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(Kind::Internal, "TLS versions").with_source(e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

/// The name that the certificate must carry: the host.
pub fn server_name(host: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(|_| {
        Error::new(
            Kind::Usage,
            format!("[source] host: `{host}` is neither a host name nor an address"),
        )
    })
}

/// A TLS handshake that failed, in the operator's terms.
pub fn failed(options: &Options, error: impl std::fmt::Display) -> Error {
    let text = error.to_string();
    if is_broken_connection(&text) {
        return Error::new(
            Kind::SourceUnavailable,
            format!(
                "the connection to MySQL at {} broke in the TLS handshake: {text}",
                options.address()
            ),
        );
    }
    let remedy = if text.contains("not valid for") || text.contains("NotValidForName") {
        "use a certificate that names this host, set [source] host to a name it has, or use tls = \"verify-ca\""
    } else if text.contains("UnknownIssuer") {
        "set [source] tls_ca to the authority that signed MySQL's certificate"
    } else if text.contains("xpired") {
        "renew MySQL's certificate (`ALTER INSTANCE RELOAD TLS` takes it up)"
    } else {
        "check MySQL's certificate and the setting [source] tls"
    };
    Error::new(
        Kind::SourceSettings,
        format!("TLS with MySQL at {} failed: {text}", options.address()),
    )
    .with_remedy(remedy)
}

/// A connection that ends or is reset in the middle of a handshake says nothing of certificates. The client gives the
/// cause as text only.
fn is_broken_connection(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    [
        "handshake eof",
        "unexpected eof",
        "unexpected end of file",
        "close_notify",
        "connection reset",
        "connection aborted",
        "broken pipe",
        "timed out",
    ]
    .iter()
    .any(|broken| text.contains(broken))
}

/// Verifies as far as the mode asks for; signatures of the handshake always.
#[derive(Debug)]
struct Verifier {
    mode: TlsMode,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.mode.verifies() {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                &self.roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
            if self.mode == TlsMode::VerifyIdentity {
                verify_server_name(&certificate, name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_in_the_handshake_is_no_matter_of_certificates() {
        let options = Options::default();
        for text in [
            "tls handshake eof",
            "Connection reset by peer (os error 104)",
        ] {
            assert_eq!(failed(&options, text).kind(), Kind::SourceUnavailable);
        }
        let error = failed(&options, "invalid peer certificate: UnknownIssuer");
        assert_eq!(error.kind(), Kind::SourceSettings);
    }
}
