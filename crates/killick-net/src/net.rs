//! What the gate asks for streams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use killick_gate::Departure;
use killick_gate::ports::{Accepted, BoxFuture, ConnectError, Stream, Streams, Target, Upgraded};
use killick_model::database::DatabaseTls;
use killick_model::time::Clock;
use tokio_rustls::TlsConnector;

use crate::ca::{Ca, CaError};
use crate::dial::{CONNECT_SECONDS_MAX, Dialer};
use crate::intercept::{self, HANDSHAKE_SECONDS_MAX};
use crate::leaves::Leaves;
use crate::resolver::{Resolver, SystemResolver};
use crate::trust::client_config;
use crate::upgrade::Upgrades;

/// How the network is met.
pub struct NetOptions {
    /// Whether the machine's root certificates are trusted.
    pub system_roots: bool,
    /// Certificates (PEM) of further authorities to trust, for upstreams inside a company.
    pub extra_roots_pem: Vec<String>,
    /// Where the gateway listens; never dialled, whatever a human allowed.
    pub own_addresses: Vec<SocketAddr>,
    /// Who looks names up.
    pub resolver: Arc<dyn Resolver>,
}

impl Default for NetOptions {
    fn default() -> Self {
        Self {
            system_roots: true,
            extra_roots_pem: Vec::new(),
            own_addresses: Vec::new(),
            resolver: Arc::new(SystemResolver),
        }
    }
}

/// The network cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// The CA cannot sign.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// A configured root certificate is none.
    #[error("extra root certificate number {position} (from 0) is no PEM certificate")]
    ExtraRoot {
        /// Which one.
        position: usize,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// The network as the gate sees it.
///
/// A stream to an upstream is had for a recorded call and in no other way:
///
/// ```compile_fail,E0599
/// async fn around(net: &killick_net::Net, target: &killick_gate::ports::Target) { net.open(target).await; }
/// ```
/// ```compile_fail,E0616
/// async fn around(net: &killick_net::Net, target: &killick_gate::ports::Target) { net.dialer.open(target).await; }
/// ```
pub struct Net {
    dialer: Dialer,
    leaves: Leaves,
    upgrades: Upgrades,
}

impl Net {
    /// Sets the network up.
    ///
    /// # Errors
    /// A configured root certificate is none, or the cryptographic library failed.
    pub fn new(ca: Ca, options: NetOptions, clock: Arc<dyn Clock>) -> Result<Self, NetError> {
        let NetOptions { system_roots, extra_roots_pem, own_addresses, resolver } = options;
        let tls = TlsConnector::from(client_config(system_roots, &extra_roots_pem)?);
        let upgrades = Upgrades::new(system_roots, &extra_roots_pem)?;
        let limit = Duration::from_secs(CONNECT_SECONDS_MAX);
        let dialer = Dialer { resolver, tls, own_addresses, limit };
        Ok(Self { dialer, leaves: Leaves::new(ca, clock)?, upgrades })
    }

    /// Replaces the CA. Open connections stay; the next ones get certificates of the one given.
    pub fn rotate_ca(&self, ca: Ca) {
        self.leaves.rotate(ca);
    }

    /// Returns the CA that signs.
    #[must_use]
    pub fn ca(&self) -> Arc<Ca> {
        self.leaves.ca()
    }
}

impl Streams for Net {
    fn connect<'a>(
        &'a self,
        departure: &'a Departure,
        target: &'a Target,
    ) -> BoxFuture<'a, Result<Stream, ConnectError>> {
        Box::pin(async move {
            let opened = self.dialer.open(target).await;
            if let Err(error) = &opened {
                tracing::debug!(call = ?departure.call(), %error, "no stream to the upstream");
            }
            opened
        })
    }

    fn upgrade<'a>(
        &'a self,
        departure: &'a Departure,
        stream: Stream,
        host: &'a str,
        trust: &'a DatabaseTls,
        alpn: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Upgraded, ConnectError>> {
        Box::pin(async move {
            let upgraded = self.upgrades.upgrade(stream, host, trust, alpn).await;
            if let Err(error) = &upgraded {
                tracing::debug!(call = ?departure.call(), %error, "no TLS to the upstream");
            }
            upgraded
        })
    }

    fn accept_tls_as<'a>(
        &'a self,
        stream: Stream,
        host: &'a str,
        alpn: &'a str,
    ) -> BoxFuture<'a, Result<Accepted, ConnectError>> {
        let limit = Duration::from_secs(HANDSHAKE_SECONDS_MAX);
        Box::pin(intercept::accept_as(stream, host, alpn, &self.leaves, limit))
    }

    fn accept_tls<'a>(
        &'a self,
        stream: Stream,
        host: &'a str,
    ) -> BoxFuture<'a, Result<Accepted, ConnectError>> {
        let limit = Duration::from_secs(HANDSHAKE_SECONDS_MAX);
        Box::pin(intercept::accept(stream, host, &self.leaves, limit))
    }
}
