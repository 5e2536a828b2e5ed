//! The gateway's own certificate authority, and the leaf certificates it signs.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use killick_model::UnixMillis;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use crate::host::HostKind;
use crate::trust::provider;

/// How long a CA lives.
pub const CA_DAYS_MAX: u64 = 730;

/// How long a leaf certificate lives.
pub const LEAF_DAYS_MAX: u64 = 7;

/// How far a client's clock may be behind the gateway's.
pub const CLOCK_SKEW_HOURS_MAX: u64 = 24;

const HOUR_MILLIS: u64 = 3_600_000;
const DAY_MILLIS: u64 = 24 * HOUR_MILLIS;
const SERIAL_BYTES: usize = 16;
const NAME_BYTES: usize = 6;

/// A CA as it was made, for the caller to keep.
pub struct FreshCa {
    /// The certificate, which clients are told to trust.
    pub certificate_pem: String,
    /// The private key; wiped when dropped.
    pub key_pem: Zeroizing<String>,
}

/// A CA that signs. Its key never leaves it, and shows in no `Debug`.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    not_after: UnixMillis,
}

/// The CA cannot be made, read or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaError {
    /// The cryptographic library failed.
    #[error("the CA failed: {0}")]
    Failed(&'static str),
    /// The certificate's text is not usable.
    #[error("the CA certificate is not usable: {0}")]
    Certificate(&'static str),
    /// The key's text is not usable.
    #[error("the CA key is not a usable ECDSA P-256 key")]
    Key,
    /// Key and certificate are not of one pair.
    #[error("the CA key does not belong to the CA certificate")]
    Mismatch,
    /// Its time is over.
    #[error("the CA certificate has expired; rotate the CA")]
    Expired,
}

/// A leaf certificate and the moment it ends.
pub(crate) struct Leaf {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) not_after: UnixMillis,
}

impl Ca {
    /// Makes a CA with a key and a name of its own. Rotation is making another.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn create(now: UnixMillis) -> Result<FreshCa, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(|_| CaError::Failed("no key could be generated"))?;
        let mut params = CertificateParams::default();
        params.not_before = moment(skewed(now));
        params.not_after = moment(now.plus_millis(CA_DAYS_MAX.saturating_mul(DAY_MILLIS)));
        params.serial_number = Some(serial()?);
        params.distinguished_name = named(&format!("Killick CA {}", random_name()?));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params
            .self_signed(&key)
            .map_err(|_| CaError::Failed("the certificate could not be signed"))?;
        Ok(FreshCa {
            certificate_pem: certificate.pem(),
            key_pem: Zeroizing::new(key.serialize_pem()),
        })
    }

    /// Loads a CA from its two texts.
    ///
    /// # Errors
    /// One of them is not usable, they are not of one pair, or the certificate's time is over.
    pub fn load(certificate_pem: &str, key_pem: &str, now: UnixMillis) -> Result<Self, CaError> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| CaError::Certificate("it is no PEM certificate"))?;
        let not_after = expiry_of_ca(&certificate)?;
        if not_after <= now {
            return Err(CaError::Expired);
        }
        let key = KeyPair::from_pem(key_pem).map_err(|_| CaError::Key)?;
        if key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(CaError::Key);
        }
        let private =
            PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| CaError::Key)?;
        let signer = provider().key_provider.load_private_key(private).map_err(|_| CaError::Key)?;
        CertifiedKey::new(vec![certificate.clone()], signer)
            .keys_match()
            .map_err(|_| CaError::Mismatch)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|_| CaError::Certificate("its fields cannot be read"))?;
        Ok(Self { issuer, certificate_pem: certificate_pem.to_owned(), not_after })
    }

    /// Returns the certificate that clients are told to trust.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Returns the end of its time.
    #[must_use]
    pub fn not_after(&self) -> UnixMillis {
        self.not_after
    }

    /// Signs a leaf certificate for one host and nothing else.
    pub(crate) fn sign(
        &self,
        host: &HostKind,
        key: &KeyPair,
        now: UnixMillis,
    ) -> Result<Leaf, CaError> {
        if self.not_after <= now {
            return Err(CaError::Expired);
        }
        let wanted = now.plus_millis(LEAF_DAYS_MAX.saturating_mul(DAY_MILLIS));
        let not_after = wanted.min(self.not_after);
        let mut params = CertificateParams::default();
        params.not_before = moment(skewed(now));
        params.not_after = moment(not_after);
        // Left alone, the serial number follows from the key, and all leaves share one key: clients
        // refuse two certificates of one issuer with one number.
        params.serial_number = Some(serial()?);
        params.distinguished_name = named("Killick");
        params.subject_alt_names = vec![alternative(host)?];
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params
            .signed_by(key, &self.issuer)
            .map_err(|_| CaError::Failed("a leaf certificate could not be signed"))?;
        Ok(Leaf { certificate: certificate.der().clone(), not_after })
    }
}

fn alternative(host: &HostKind) -> Result<SanType, CaError> {
    match host {
        HostKind::Name(name) => name
            .as_str()
            .try_into()
            .map(SanType::DnsName)
            .map_err(|_| CaError::Failed("the host fits no certificate")),
        HostKind::Ip(ip) => Ok(SanType::IpAddress(IpAddr::clone(ip))),
    }
}

fn expiry_of_ca(certificate: &CertificateDer<'_>) -> Result<UnixMillis, CaError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| CaError::Certificate("it is no X.509 certificate"))?;
    if !parsed.is_ca() {
        return Err(CaError::Certificate("it is not the certificate of a CA"));
    }
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    Ok(UnixMillis(seconds.saturating_mul(1_000)))
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn random_name() -> Result<String, CaError> {
    use std::fmt::Write as _;
    let mut name = String::new();
    for byte in random::<NAME_BYTES>()? {
        write!(name, "{byte:02x}").map_err(|_| CaError::Failed("no name could be written"))?;
    }
    Ok(name)
}

/// The top bits are set so that the number is positive and always of one length.
fn serial() -> Result<SerialNumber, CaError> {
    let mut bytes = random::<SERIAL_BYTES>()?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

fn random<const N: usize>() -> Result<[u8; N], CaError> {
    let mut bytes = [0; N];
    provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| CaError::Failed("there is no randomness"))?;
    Ok(bytes)
}

fn skewed(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0.saturating_sub(CLOCK_SKEW_HOURS_MAX.saturating_mul(HOUR_MILLIS)))
}

/// Certificates count whole seconds of four-digit years: the end of time is cut to what they hold.
fn moment<T: From<SystemTime>>(at: UnixMillis) -> T {
    const YEAR_9999_SECONDS: u64 = 253_402_300_799;
    let since = Duration::from_secs((at.0 / 1_000).min(YEAR_9999_SECONDS));
    T::from(UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH))
}

#[cfg(test)]
mod tests;
