//! One TLS server configuration for each intercepted host, made on demand and kept for a while.

use std::collections::HashMap;
use std::sync::Arc;

use killick_model::UnixMillis;
use killick_model::time::Clock;
use parking_lot::Mutex;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};

use crate::ca::Ca;
use crate::host::HostKind;
use crate::net::NetError;
use crate::trust::provider;

/// Hosts whose certificate is kept; the one not asked for the longest makes room.
pub const LEAF_CACHE_MAX: usize = 1024;

/// A certificate with less time left than this is made anew.
pub const LEAF_RENEW_HOURS_MIN: u64 = 24;

/// One ticket is enough: a client that wants another connection asks on the one it has.
const TICKETS_PER_HANDSHAKE: usize = 1;

const HOUR_MILLIS: u64 = 3_600_000;

/// The intercepted hosts and the CA behind them.
pub(crate) struct Leaves {
    state: Mutex<State>,
    /// All leaves share one key: making one costs as much as a handshake.
    pair: KeyPair,
    signer: Arc<dyn SigningKey>,
    tickets: Arc<dyn ProducesTickets>,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
    refusing: Arc<ServerConfig>,
}

struct State {
    ca: Arc<Ca>,
    kept: HashMap<HostKind, Kept>,
    /// Counts the questions, to know which host was asked for last.
    asked: u64,
}

struct Kept {
    config: Arc<ServerConfig>,
    not_after: UnixMillis,
    last_asked: u64,
}

impl Leaves {
    pub(crate) fn new(ca: Ca, clock: Arc<dyn Clock>) -> Result<Self, NetError> {
        let broken = |what: &str| NetError::Tls(what.to_owned());
        let provider = provider();
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(|_| broken("no leaf key could be generated"))?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let signer = provider
            .key_provider
            .load_private_key(der)
            .map_err(|_| broken("the leaf key could not be loaded"))?;
        let tickets = rustls::crypto::aws_lc_rs::Ticketer::new()
            .map_err(|_| broken("no ticket key could be generated"))?;
        let refusing = Arc::new(server_config(&provider, Arc::new(NoCertificate))?);
        let state = Mutex::new(State { ca: Arc::new(ca), kept: HashMap::new(), asked: 0 });
        Ok(Self { state, pair, signer, tickets, provider, clock, refusing })
    }

    /// Replaces the CA; hosts get certificates of the one given from their next connection on.
    pub(crate) fn rotate(&self, ca: Ca) {
        let mut state = self.state.lock();
        state.ca = Arc::new(ca);
        state.kept.clear();
    }

    /// Returns the CA that signs.
    pub(crate) fn ca(&self) -> Arc<Ca> {
        Arc::clone(&self.state.lock().ca)
    }

    /// Returns the configuration that tells a client in TLS that it is refused.
    pub(crate) fn refusing(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.refusing)
    }

    /// Returns the configuration for a host, signing a certificate when none is good.
    pub(crate) fn config(&self, host: &HostKind) -> Result<Arc<ServerConfig>, NetError> {
        let now = self.clock.now();
        let ca = {
            let mut state = self.state.lock();
            state.asked = state.asked.saturating_add(1);
            let asked = state.asked;
            match state.kept.get_mut(host) {
                Some(kept) if is_good(kept, now) => {
                    kept.last_asked = asked;
                    return Ok(Arc::clone(&kept.config));
                }
                Some(_) | None => Arc::clone(&state.ca),
            }
        };
        // Signed outside of the lock: the other hosts need not wait for it.
        let leaf = ca.sign(host, &self.pair, now)?;
        let certified = CertifiedKey::new(vec![leaf.certificate], Arc::clone(&self.signer));
        let mut config =
            server_config(&self.provider, Arc::new(SingleCertAndKey::from(certified)))?;
        config.ticketer = Arc::clone(&self.tickets);
        let config = Arc::new(config);
        let mut state = self.state.lock();
        // A certificate of a CA that was replaced meanwhile serves this connection and no other.
        if Arc::ptr_eq(&state.ca, &ca) {
            let last_asked = state.asked;
            let kept = Kept { config: Arc::clone(&config), not_after: leaf.not_after, last_asked };
            state.keep(host, kept);
        }
        Ok(config)
    }
}

impl State {
    fn keep(&mut self, host: &HostKind, kept: Kept) {
        if self.kept.len() >= LEAF_CACHE_MAX && !self.kept.contains_key(host) {
            let oldest =
                self.kept.iter().min_by_key(|(_, kept)| kept.last_asked).map(|(host, _)| host);
            if let Some(oldest) = oldest.cloned() {
                self.kept.remove(&oldest);
            }
        }
        self.kept.insert(host.clone(), kept);
    }
}

fn is_good(kept: &Kept, now: UnixMillis) -> bool {
    kept.not_after.since_millis(now) > LEAF_RENEW_HOURS_MIN.saturating_mul(HOUR_MILLIS)
}

/// No client certificate is asked for, no early data taken, no session kept in memory.
fn server_config(
    provider: &Arc<CryptoProvider>,
    certificates: Arc<dyn ResolvesServerCert>,
) -> Result<ServerConfig, NetError> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| NetError::Tls(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = TICKETS_PER_HANDSHAKE;
    config.max_early_data_size = 0;
    Ok(config)
}

/// Has no certificate for anybody, so that the client gets an alert and not a dead line.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    use crate::fixture::{ca, leaves};

    const START: UnixMillis = UnixMillis(1_800_000_000_000);

    fn name(raw: &str) -> HostKind {
        HostKind::Name(raw.to_owned())
    }

    #[test]
    fn a_host_keeps_its_certificate_until_a_day_before_its_end() {
        let (leaves, clock) = leaves(START);
        let first = leaves.config(&name("a.example")).unwrap();
        assert!(Arc::ptr_eq(&first, &leaves.config(&name("a.example")).unwrap()));
        assert!(!Arc::ptr_eq(&first, &leaves.config(&name("b.example")).unwrap()));
        clock.0.fetch_add(6 * 24 * HOUR_MILLIS - 1, Ordering::SeqCst);
        assert!(Arc::ptr_eq(&first, &leaves.config(&name("a.example")).unwrap()));
        clock.0.fetch_add(1, Ordering::SeqCst);
        assert!(!Arc::ptr_eq(&first, &leaves.config(&name("a.example")).unwrap()));
    }

    #[test]
    fn another_ca_signs_anew() {
        let (leaves, _) = leaves(START);
        let first = leaves.config(&name("a.example")).unwrap();
        let before = leaves.ca().certificate_pem().to_owned();
        leaves.rotate(ca(START));
        assert_ne!(leaves.ca().certificate_pem(), before);
        assert!(!Arc::ptr_eq(&first, &leaves.config(&name("a.example")).unwrap()));
    }

    #[test]
    fn the_host_not_asked_for_the_longest_makes_room() {
        let (leaves, _) = leaves(START);
        let first = leaves.config(&name("h0")).unwrap();
        let second = leaves.config(&name("h1")).unwrap();
        for n in 2..LEAF_CACHE_MAX {
            leaves.config(&name(&format!("h{n}"))).unwrap();
        }
        assert!(Arc::ptr_eq(&first, &leaves.config(&name("h0")).unwrap()));
        leaves.config(&name("one-more")).unwrap();
        assert_eq!(leaves.state.lock().kept.len(), LEAF_CACHE_MAX);
        assert!(Arc::ptr_eq(&first, &leaves.config(&name("h0")).unwrap()));
        assert!(!Arc::ptr_eq(&second, &leaves.config(&name("h1")).unwrap()));
    }

    #[test]
    fn an_expired_ca_serves_nobody() {
        let (leaves, clock) = leaves(START);
        clock.0.fetch_add((crate::ca::CA_DAYS_MAX * 24 + 1) * HOUR_MILLIS, Ordering::SeqCst);
        assert!(leaves.config(&name("a.example")).is_err());
    }
}
