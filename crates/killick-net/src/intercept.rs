//! Accepting TLS in the place of an upstream.

use std::time::Duration;

use killick_gate::ports::{Accepted, ConnectError, Stream};
use tokio::io::BufReader;
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use crate::host::{HostKind, parse_host};
use crate::leaves::Leaves;

/// How long a client may take from its first byte of TLS to its last of the handshake.
pub const HANDSHAKE_SECONDS_MAX: u64 = 10;

/// One TLS record at its longest: a read takes it whole.
pub(crate) const TLS_READ_BYTES: usize = 18 * 1024;

/// Accepts TLS for `host` within `limit`.
///
/// An encrypted hello (ECH, ESNI) has no effect: the gateway holds no key for it, so the outer name
/// counts and must be the host.
pub(crate) async fn accept(
    stream: Stream,
    host: &str,
    leaves: &Leaves,
    limit: Duration,
) -> Result<Accepted, ConnectError> {
    timeout(limit, handshake(stream, host, leaves))
        .await
        .unwrap_or(Err(ConnectError::Timeout(limit.as_secs())))
}

/// Accepts TLS for `host` on behalf of a protocol with a name of its own. A client that offers names and not
/// this one is refused; one that names no host is believed, since old clients of databases do not.
pub(crate) async fn accept_as(
    stream: Stream,
    host: &str,
    alpn: &str,
    leaves: &Leaves,
    limit: Duration,
) -> Result<Accepted, ConnectError> {
    timeout(limit, handshake_as(stream, host, alpn, leaves))
        .await
        .unwrap_or(Err(ConnectError::Timeout(limit.as_secs())))
}

async fn handshake_as(
    stream: Stream,
    host: &str,
    alpn: &str,
    leaves: &Leaves,
) -> Result<Accepted, ConnectError> {
    let host = parse_host(host).map_err(|error| ConnectError::Failed(error.to_string()))?;
    let stream = BufReader::with_capacity(TLS_READ_BYTES, stream);
    let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream)
        .await
        .map_err(|_| failed("the client's first bytes are no TLS ClientHello"))?;
    let sni = start.client_hello().server_name().map(str::to_owned);
    let config = leaves.config(&host).map_err(|error| ConnectError::Failed(error.to_string()))?;
    let mut config = rustls::ServerConfig::clone(&config);
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let stream = start
        .into_stream(std::sync::Arc::new(config))
        .await
        .map_err(|_| failed("the client did not finish the TLS handshake; does it trust the CA"))?;
    Ok(Accepted { stream: Box::new(stream), sni, http2: false })
}

async fn handshake(stream: Stream, host: &str, leaves: &Leaves) -> Result<Accepted, ConnectError> {
    let host = parse_host(host).map_err(|error| ConnectError::Failed(error.to_string()))?;
    let stream = BufReader::with_capacity(TLS_READ_BYTES, stream);
    let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream)
        .await
        .map_err(|_| failed("the client's first bytes are no TLS ClientHello"))?;
    let sni = start.client_hello().server_name().map(str::to_owned);
    if let Err(why) = check_name(sni.as_deref(), &host) {
        refuse(start, leaves).await;
        return Err(failed(why));
    }
    let config = leaves.config(&host).map_err(|error| ConnectError::Failed(error.to_string()))?;
    let stream = start
        .into_stream(config)
        .await
        .map_err(|_| failed("the client did not finish the TLS handshake; does it trust the CA"))?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Accepted { stream: Box::new(stream), sni, http2 })
}

/// The name in TLS must be the name in CONNECT. An address has no name in TLS.
fn check_name(sni: Option<&str>, host: &HostKind) -> Result<(), &'static str> {
    match (sni, host) {
        (Some(sni), HostKind::Name(name)) if sni.eq_ignore_ascii_case(name) => Ok(()),
        (None, HostKind::Ip(_)) => Ok(()),
        (Some(_), HostKind::Name(_) | HostKind::Ip(_)) => {
            Err("the name in the client's TLS hello is not the host it asked for")
        }
        (None, HostKind::Name(_)) => Err("the client's TLS hello names no host"),
    }
}

/// Lets the client know by an alert; whether it listens does not matter.
async fn refuse(start: StartHandshake<BufReader<Stream>>, leaves: &Leaves) {
    drop(start.into_stream(leaves.refusing()).await);
}

fn failed(why: &str) -> ConnectError {
    ConnectError::Failed(why.to_owned())
}

#[cfg(test)]
mod tests;
