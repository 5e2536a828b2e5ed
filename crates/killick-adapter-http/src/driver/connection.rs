//! One client connection: which leg it is, tunnels, TLS, and the end when the agent is frozen.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use killick_gate::LiveSession;
use killick_gate::ports::Stream;
use killick_model::{Code, Refusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use zeroize::Zeroizing;

use super::exchange::{self, Leave};
use super::filter::{Begun, Filtered};
use super::{HttpAdapter, refusal};
use crate::head::{Authority, HEAD_BYTES_MAX, HeadGate, Leg};

/// Seconds in which a client must have sent the head of its first request.
const FIRST_HEAD_SECONDS_MAX: u64 = 30;

/// HTTP/2 streams of one connection that are open at a time.
const STREAMS_PER_CONNECTION_MAX: u32 = 100;

/// Serves a connection to its end.
pub(super) async fn serve(adapter: Arc<HttpAdapter>, mut stream: Stream, peer: SocketAddr) {
    let wait = std::time::Duration::from_secs(FIRST_HEAD_SECONDS_MAX);
    let Ok(Ok(Some(begun))) = tokio::time::timeout(wait, first_bytes(&mut stream)).await else {
        return;
    };
    if begun.starts_with(b"CONNECT ") {
        tunnel(adapter, stream, begun, peer).await;
    } else {
        let leg = if names_a_path(&begun) { Leg::Origin } else { Leg::Proxy };
        plain(adapter, stream, &begun, leg, peer).await;
    }
}

/// Reads until it is clear how the first request begins: its method and the first byte of its target.
async fn first_bytes(stream: &mut Stream) -> std::io::Result<Option<Vec<u8>>> {
    let mut begun = Vec::new();
    let mut part = [0_u8; 2048];
    loop {
        let count = stream.read(&mut part).await?;
        if count == 0 {
            return Ok((!begun.is_empty()).then_some(begun));
        }
        begun.extend_from_slice(part.get(..count).unwrap_or_default());
        let target =
            begun.iter().position(|byte| *byte == b' ').map(|space| space.saturating_add(1));
        if target.is_some_and(|at| at < begun.len()) || begun.len() > HEAD_BYTES_MAX {
            return Ok(Some(begun));
        }
    }
}

fn names_a_path(begun: &[u8]) -> bool {
    begun.splitn(2, |byte| *byte == b' ').nth(1).is_some_and(|target| target.starts_with(b"/"))
}

/// Requests without a tunnel: absolute-form on the proxy leg, `/u/UPSTREAM/...` on the origin leg.
async fn plain(
    adapter: Arc<HttpAdapter>,
    stream: Stream,
    begun: &[u8],
    leg: Leg,
    peer: SocketAddr,
) {
    let Ok(nonce) = killick_gate::ids::session_token() else { return };
    let (filtered, findings) = Filtered::new(stream, leg, begun, &nonce);
    let leave = Arc::new(Leave::default());
    let way = if leg == Leg::Origin { exchange::Way::Reverse } else { exchange::Way::Absolute };
    let left = Arc::clone(&leave);
    let service = service_fn(move |request| {
        let (adapter, findings) = (Arc::clone(&adapter), Arc::clone(&findings));
        let (way, leave) = (way.clone(), Arc::clone(&leave));
        async move {
            let seen = exchange::Arrival { way, findings: Some(findings), peer, leave };
            Ok::<_, std::convert::Infallible>(exchange::answer(adapter, seen, request).await)
        }
    });
    let served = http1().serve_connection(TokioIo::new(filtered), service);
    tokio::select! {
        result = served => if let Err(error) = result { tracing::debug!(%error, "connection ended") },
        () = left.cut() => {}
    }
}

/// A CONNECT: who asks, is the host declared, then TLS with a certificate of the gateway's own.
async fn tunnel(adapter: Arc<HttpAdapter>, mut stream: Stream, begun: Vec<u8>, peer: SocketAddr) {
    let (head, rest) = match connect_head(&mut stream, begun).await {
        Ok(read) => read,
        Err(Some(refused)) => return reject(&adapter, stream, None, *refused).await,
        Err(None) => return,
    };
    let live = match authenticate(&adapter, head.session.as_deref().map(Vec::as_slice)) {
        Ok(live) => live,
        Err(refused) => return reject(&adapter, stream, None, refused).await,
    };
    let authority = match Authority::parse(&head.target, 0) {
        Ok(authority) => authority,
        Err(violation) => return reject(&adapter, stream, Some(&live), violation.into()).await,
    };
    let known = adapter.by_host(&authority.host, authority.port).filter(|found| found.tls);
    let declared = known.is_some();
    let upstream = match known {
        Some(upstream) => Ok(upstream),
        // Looked at all the same: what the agent wanted to carry there is worth knowing.
        None if is_public_https(&authority) => exchange::nobodys(&authority, true),
        None => {
            let because =
                format!("`{}:{}` is not a declared upstream", authority.host, authority.port);
            Err(Refusal::new(Code::UndeclaredUpstream, because))
        }
    };
    let upstream = match upstream {
        Ok(upstream) => upstream,
        Err(refused) => return reject(&adapter, stream, Some(&live), refused).await,
    };
    if stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_err()
        || stream.flush().await.is_err()
    {
        return;
    }
    let stream: Stream =
        if rest.is_empty() { stream } else { Box::new(Begun { bytes: rest, inner: stream }) };
    let accepted = match adapter.streams.accept_tls(stream, &authority.host).await {
        Ok(accepted) => accepted,
        Err(error) => {
            // TLS is what failed, so no refusal can be told in it; the record keeps it.
            let refused = Refusal::new(Code::HostMismatch, format!("in the tunnel: {error}"));
            adapter.gate.refuse(Some(&live), None, refused, serde_json::Value::Null).await;
            return;
        }
    };
    let way = exchange::Way::Tunnel { live: Arc::clone(&live), authority, upstream, declared };
    if accepted.http2 {
        inside_http2(adapter, accepted.stream, way, peer, &live).await;
    } else {
        inside_http1(adapter, accepted.stream, way, peer, &live).await;
    }
}

/// Returns whether an undeclared target is a plain name on the port of HTTPS.
fn is_public_https(authority: &Authority) -> bool {
    authority.port == 443
        && authority.host.contains('.')
        && authority.host.bytes().any(|byte| byte.is_ascii_alphabetic())
}

async fn inside_http1(
    adapter: Arc<HttpAdapter>,
    stream: Stream,
    way: exchange::Way,
    peer: SocketAddr,
    live: &LiveSession,
) {
    let Ok(nonce) = killick_gate::ids::session_token() else { return };
    let (filtered, findings) = Filtered::new(stream, Leg::Origin, &[], &nonce);
    let leave = Arc::new(Leave::default());
    let service = service_fn(move |request| {
        let (adapter, findings) = (Arc::clone(&adapter), Arc::clone(&findings));
        let (way, leave) = (way.clone(), Arc::clone(&leave));
        async move {
            let seen = exchange::Arrival { way, findings: Some(findings), peer, leave };
            Ok::<_, std::convert::Infallible>(exchange::answer(adapter, seen, request).await)
        }
    });
    let served = http1().serve_connection(TokioIo::new(filtered), service);
    tokio::select! {
        result = served => if let Err(error) = result { tracing::debug!(%error, "connection ended") },
        code = live.lifeline.cut() => tracing::info!(%code, "connection cut"),
    }
}

async fn inside_http2(
    adapter: Arc<HttpAdapter>,
    stream: Stream,
    way: exchange::Way,
    peer: SocketAddr,
    live: &LiveSession,
) {
    let leave = Arc::new(Leave::default());
    let service = service_fn(move |request| {
        let adapter = Arc::clone(&adapter);
        let (way, leave) = (way.clone(), Arc::clone(&leave));
        async move {
            let seen = exchange::Arrival { way, findings: None, peer, leave };
            Ok::<_, std::convert::Infallible>(exchange::answer(adapter, seen, request).await)
        }
    });
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        result = served => if let Err(error) = result { tracing::debug!(%error, "connection ended") },
        code = live.lifeline.cut() => tracing::info!(%code, "connection cut"),
    }
}

fn http1() -> hyper::server::conn::http1::Builder {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(std::time::Duration::from_secs(FIRST_HEAD_SECONDS_MAX * 4))
        .half_close(true);
    builder
}

struct ConnectHead {
    target: String,
    session: Option<Zeroizing<Vec<u8>>>,
}

/// Reads the head of a CONNECT through the strict check; bytes behind it belong to the tunnel.
async fn connect_head(
    stream: &mut Stream,
    begun: Vec<u8>,
) -> Result<(ConnectHead, Bytes), Option<Box<Refusal>>> {
    let mut gate = HeadGate::new(Leg::Proxy);
    gate.push(&begun);
    let mut head = Vec::new();
    let mut part = [0_u8; 2048];
    loop {
        match gate.pull() {
            Err(violation) => return Err(Some(Box::new(violation.into()))),
            Ok(Some(bytes)) => head.extend_from_slice(&bytes),
            Ok(None) if gate.awaits_tunnel() => break,
            Ok(None) => {
                let count = stream.read(&mut part).await.map_err(|_| None)?;
                if count == 0 {
                    return Err(None);
                }
                gate.push(part.get(..count).unwrap_or_default());
            }
        }
    }
    gate.open_tunnel();
    let mut rest = Vec::new();
    while let Ok(Some(bytes)) = gate.pull() {
        rest.extend_from_slice(&bytes);
    }
    let text = String::from_utf8_lossy(&head);
    let target = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let session = text.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-authorization")
            .then(|| session_token(value.trim().as_bytes()))
            .flatten()
    });
    Ok((ConnectHead { target, session }, Bytes::from(rest)))
}

/// Reads a session token from the value of an authorization header: `Basic` with the token as password
/// (or as user name), or `Bearer`.
pub(super) fn session_token(value: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(value).ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Zeroizing::new(rest.as_bytes().to_vec()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair =
        Zeroizing::new(base64::engine::general_purpose::STANDARD.decode(rest.as_bytes()).ok()?);
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let (user, password) = pair.split_at_checked(colon)?;
    let password = password.get(1..).unwrap_or_default();
    let token = if password.is_empty() { user } else { password };
    Some(Zeroizing::new(token.to_vec()))
}

/// Finds the session of a presented token.
pub(super) fn authenticate(
    adapter: &HttpAdapter,
    token: Option<&[u8]>,
) -> Result<Arc<LiveSession>, Refusal> {
    let Some(token) = token else {
        return Err(Refusal::new(Code::NoSession, "the request names no session"));
    };
    adapter.gate.sessions().authenticate(token, adapter.gate.now()).map_err(|code| {
        let because = if code == Code::SessionEnded {
            "the session has ended"
        } else if code == Code::Frozen {
            "the agent is frozen"
        } else {
            "the session is not known"
        };
        Refusal::new(code, because)
    })
}

async fn reject(
    adapter: &HttpAdapter,
    mut stream: Stream,
    live: Option<&LiveSession>,
    refused: Refusal,
) {
    let refused = adapter.gate.refuse(live, None, refused, serde_json::Value::Null).await;
    // The client may be gone already; there is nobody else to tell.
    let _ = stream.write_all(&refusal::raw(&refused)).await;
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_basic_and_bearer_and_nothing_else() {
        let basic = |text: &str| {
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text)).into_bytes()
        };
        let read = |value: &[u8]| session_token(value).map(|token| token.to_vec());
        assert_eq!(read(&basic("session:ksess_1")), Some(b"ksess_1".to_vec()));
        assert_eq!(read(&basic("ksess_1:")), Some(b"ksess_1".to_vec()));
        assert_eq!(read(b"Bearer ksess_1"), Some(b"ksess_1".to_vec()));
        assert_eq!(read(b"Digest ksess_1"), None);
        assert_eq!(read(b"Basic !!!"), None);
    }

    #[test]
    fn the_leg_is_told_by_the_target() {
        assert!(names_a_path(b"GET /u/railway/x HTTP/1.1"));
        assert!(!names_a_path(b"GET http://a.test/ HTTP/1.1"));
    }
}
