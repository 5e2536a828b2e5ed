//! The world's own certificate authority: made at start, gone at the end.

use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The names that the world's certificate covers, whatever the caller adds.
const HOSTS: [&str; 5] =
    ["backboard.railway.app", "backboard.railway.com", "localhost", "127.0.0.1", "::1"];

/// What a listener needs to speak TLS, and what a client needs to believe it.
pub(super) struct Identity {
    pub(super) config: Arc<ServerConfig>,
    pub(super) ca_pem: String,
}

/// Makes a certificate authority and a server certificate signed by it.
pub(super) fn identity(extra_hosts: &[String], http2: bool) -> anyhow::Result<Identity> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "Practice world root");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);

    let hosts = HOSTS.into_iter().map(str::to_owned).chain(extra_hosts.iter().cloned());
    let leaf_key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(hosts.collect::<Vec<_>>())?;
    leaf.distinguished_name.push(DnType::CommonName, "Practice world");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let leaf_certificate = leaf.signed_by(&leaf_key, &issuer)?;

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf_certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der())),
        )
        .context("the practice world's certificate is not usable")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if http2 {
        config.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok(Identity { config: Arc::new(config), ca_pem: ca_certificate.pem() })
}
