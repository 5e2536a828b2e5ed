//! Whom the gateway believes when it speaks TLS to an upstream.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::net::NetError;

/// The one cryptographic provider of the process.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Builds the client side of TLS. Verification has no switch.
///
/// HTTP/1.1 alone is offered: what is sent upstream is encoded for it.
pub(crate) fn client_config(
    system_roots: bool,
    extra_roots_pem: &[String],
) -> Result<Arc<ClientConfig>, NetError> {
    let roots = roots(system_roots, extra_roots_pem)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| NetError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

pub(crate) fn roots(
    system_roots: bool,
    extra_roots_pem: &[String],
) -> Result<RootCertStore, NetError> {
    let mut roots = RootCertStore::empty();
    if system_roots {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a system root certificate could not be read");
        }
        let (_, ignored) = roots.add_parsable_certificates(found.certs);
        if ignored > 0 {
            tracing::warn!(ignored, "system root certificates could not be used");
        }
    }
    for (position, pem) in extra_roots_pem.iter().enumerate() {
        let mut added = false;
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| NetError::ExtraRoot { position })?;
            roots.add(certificate).map_err(|_| NetError::ExtraRoot { position })?;
            added = true;
        }
        if !added {
            return Err(NetError::ExtraRoot { position });
        }
    }
    if roots.is_empty() {
        tracing::warn!("no root certificate is known, so no TLS upstream can be reached");
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extra_root_that_holds_no_certificate_is_refused() {
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for raw in ["", "hello", cut, "-----BEGIN CERTIFICATE-----\n"] {
            let got = client_config(false, &[raw.to_owned()]);
            assert!(matches!(got, Err(NetError::ExtraRoot { position: 0 })), "{raw:?}");
        }
    }
}
