//! Connecting to an upstream: one answer of the resolver, looked at, and dialled as it is.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use killick_gate::ports::{ConnectError, Stream, Target};
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::address::{Reach, reach};
use crate::host::{HostKind, parse_host};
use crate::intercept::TLS_READ_BYTES;
use crate::resolver::Resolver;

/// How long name, connection and TLS may take together.
pub const CONNECT_SECONDS_MAX: u64 = 10;

/// Addresses that a name may have; one with more is not dialled.
pub const ADDRESSES_MAX: usize = 64;

/// Addresses that are tried for one connection.
pub const ATTEMPTS_MAX: usize = 6;

/// How long one address is waited for before the next is tried beside it.
const ATTEMPT_HEAD_START: Duration = Duration::from_millis(300);

/// Opens streams to upstreams.
pub(crate) struct Dialer {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) tls: TlsConnector,
    /// Where the gateway itself listens: a call to itself is never a call to an upstream.
    pub(crate) own_addresses: Vec<SocketAddr>,
    /// How long name, connection and TLS may take together.
    pub(crate) limit: Duration,
}

impl Dialer {
    /// Opens a stream within the limit.
    pub(crate) async fn open(&self, target: &Target) -> Result<Stream, ConnectError> {
        timeout(self.limit, self.open_unbounded(target))
            .await
            .unwrap_or(Err(ConnectError::Timeout(self.limit.as_secs())))
    }

    async fn open_unbounded(&self, target: &Target) -> Result<Stream, ConnectError> {
        let host =
            parse_host(&target.host).map_err(|error| ConnectError::Failed(error.to_string()))?;
        let addresses = self.checked(&host, target).await?;
        let tcp = first_to_answer(addresses).await.map_err(|why| unreachable(target, &why))?;
        tcp.set_nodelay(true).map_err(|error| unreachable(target, &error.to_string()))?;
        if !target.tls {
            return Ok(Box::new(tcp));
        }
        let name = match host {
            HostKind::Name(name) => ServerName::try_from(name)
                .map_err(|_| ConnectError::Failed("the host fits no certificate".to_owned()))?,
            HostKind::Ip(ip) => ServerName::IpAddress(ip.into()),
        };
        let stream = BufReader::with_capacity(TLS_READ_BYTES, tcp);
        let stream = self.tls.connect(name, stream).await.map_err(|error| {
            let why = said(&error);
            ConnectError::Failed(format!("TLS with `{}` failed: {why}", target.host))
        })?;
        Ok(Box::new(stream))
    }

    /// Returns what to dial, looked at.
    ///
    /// Every address must be good, not one of them: a name with a mixed answer is not to be trusted.
    async fn checked(
        &self,
        host: &HostKind,
        target: &Target,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let addresses = self.addresses(host, target).await?;
        for address in &addresses {
            self.check(*address, target)?;
        }
        Ok(addresses)
    }

    /// Returns what there is to dial. The resolver is asked once: a second answer could be another.
    async fn addresses(
        &self,
        host: &HostKind,
        target: &Target,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        if let Some(declared) = target.dial {
            return Ok(vec![declared]);
        }
        let name = match host {
            HostKind::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, target.port)]),
            HostKind::Name(name) => name,
        };
        let unknown =
            |why: &str| ConnectError::Failed(format!("`{name}` cannot be resolved: {why}"));
        let found = self
            .resolver
            .resolve(name, target.port)
            .await
            .map_err(|_| unknown("the name is unknown or no name server answers"))?;
        if found.is_empty() {
            return Err(unknown("it has no address"));
        }
        if found.len() > ADDRESSES_MAX {
            return Err(unknown("it has more than 64 addresses"));
        }
        // A resolver is asked for a port only because its interface wants one.
        Ok(found.into_iter().map(|it| SocketAddr::new(it.ip(), target.port)).collect())
    }

    /// A declared address is looked at like a resolved one: what allows it is `private_address`.
    fn check(&self, address: SocketAddr, target: &Target) -> Result<(), ConnectError> {
        let allowed = match reach(address.ip()) {
            Reach::Public => true,
            Reach::Private(_) => target.private_address,
            Reach::Never(_) => false,
        };
        if allowed && !self.is_own(address) {
            return Ok(());
        }
        Err(ConnectError::Forbidden {
            host: target.host.clone(),
            address: address.ip().to_canonical().to_string(),
        })
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let same = |own: IpAddr| own == ip || (own.is_unspecified() && ip.is_loopback());
        self.own_addresses
            .iter()
            .any(|own| own.port() == address.port() && same(own.ip().to_canonical()))
    }
}

/// Tries the addresses in order, each with a head start on the next, and keeps the first connection.
async fn first_to_answer(addresses: Vec<SocketAddr>) -> Result<TcpStream, String> {
    let mut waiting = addresses.into_iter().take(ATTEMPTS_MAX);
    let mut attempts = JoinSet::new();
    let mut why = "no address was tried".to_owned();
    loop {
        let more = waiting.next().map(|address| attempts.spawn(TcpStream::connect(address)));
        let head_start = async {
            match &more {
                Some(_) => sleep(ATTEMPT_HEAD_START).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            joined = attempts.join_next() => match joined {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => why = error.to_string(),
                Some(Err(_)) => why = String::from("the attempt was cut off"),
                None => return Err(why),
            },
            () = head_start => {}
        }
    }
}

fn unreachable(target: &Target, why: &str) -> ConnectError {
    let Target { host, port, .. } = target;
    ConnectError::Failed(format!("`{host}` port {port} cannot be reached: {why}"))
}

/// Says why TLS failed in words of our own: the names in a stranger's certificate are not repeated.
fn said(error: &io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(bad)) = inner else {
        return "the handshake did not finish";
    };
    let is_expired = matches!(bad, CertificateError::Expired)
        || matches!(bad, CertificateError::ExpiredContext { .. });
    let is_early = matches!(bad, CertificateError::NotValidYet)
        || matches!(bad, CertificateError::NotValidYetContext { .. });
    let is_misnamed = matches!(bad, CertificateError::NotValidForName)
        || matches!(bad, CertificateError::NotValidForNameContext { .. });
    if *bad == CertificateError::UnknownIssuer {
        "its certificate is signed by nobody the gateway trusts"
    } else if is_expired {
        "its certificate has expired"
    } else if is_early {
        "its certificate is not valid yet"
    } else if is_misnamed {
        "its certificate is for another name"
    } else {
        "its certificate is not good"
    }
}

#[cfg(test)]
mod tests;
