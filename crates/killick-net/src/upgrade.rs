//! TLS on a stream that spoke in clear first, to a server that a human declared.

use std::sync::Arc;
use std::time::Duration;

use killick_gate::ports::{ConnectError, Stream, Upgraded};
use killick_model::database::DatabaseTls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::intercept::HANDSHAKE_SECONDS_MAX;
use crate::net::NetError;
use crate::trust::{provider, roots};

/// Puts TLS on streams to declared servers.
pub(crate) struct Upgrades {
    roots: Arc<RootCertStore>,
}

impl Upgrades {
    pub(crate) fn new(system_roots: bool, extra_roots_pem: &[String]) -> Result<Self, NetError> {
        Ok(Self { roots: Arc::new(roots(system_roots, extra_roots_pem)?) })
    }

    /// Puts TLS on a stream; the server is the one that the human declared, or there is no stream.
    pub(crate) async fn upgrade(
        &self,
        stream: Stream,
        host: &str,
        trust: &DatabaseTls,
        alpn: Option<&str>,
    ) -> Result<Upgraded, ConnectError> {
        let failed = |why: String| ConnectError::Failed(why);
        let mut config = self.config(trust).map_err(failed)?;
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| failed(format!("`{host}` is no name that TLS could carry")))?;
        let limit = Duration::from_secs(HANDSHAKE_SECONDS_MAX);
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = timeout(limit, connecting)
            .await
            .map_err(|_| ConnectError::Timeout(limit.as_secs()))?
            .map_err(|error| failed(format!("TLS to `{host}` failed: {error}")))?;
        let certificate = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(<[_]>::first)
            .ok_or_else(|| failed("the server showed no certificate".into()))?;
        let end_point = end_point(certificate);
        let certificate_sha256 = Sha256::digest(certificate).into();
        Ok(Upgraded { stream: Box::new(stream), end_point, certificate_sha256 })
    }

    fn config(&self, trust: &DatabaseTls) -> Result<ClientConfig, String> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| error.to_string())?;
        match trust {
            DatabaseTls::Off => Err("the database is declared to be reached without TLS".into()),
            DatabaseTls::Verify => {
                Ok(builder.with_root_certificates(Arc::clone(&self.roots)).with_no_client_auth())
            }
            DatabaseTls::Pinned { sha256 } => {
                let pin = Pin { sha256: sha256.clone(), provider: provider() };
                Ok(builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(pin))
                    .with_no_client_auth())
            }
        }
    }
}

/// Believes one certificate, whoever signed it and whatever name it bears.
#[derive(Debug)]
struct Pin {
    sha256: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = Sha256::digest(end_entity);
        let seen = hex(&seen);
        if seen == self.sha256 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General(format!(
                "the server's certificate is not the one that was pinned; it is {seen}"
            )))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Returns bytes in hex digits.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns `tls-server-end-point` (RFC 5929, section 4.1): the certificate under the hash of its signature,
/// SHA-256 in the place of MD5 and SHA-1. `None` for signatures that name no hash.
fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        // RSA with MD5, SHA-1, SHA-256; ECDSA with SHA-1, SHA-256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => Some(Sha256::digest(certificate).to_vec()),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => {
            Some(Sha384::digest(certificate).to_vec())
        }
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => {
            Some(Sha512::digest(certificate).to_vec())
        }
        _ => None,
    }
}
