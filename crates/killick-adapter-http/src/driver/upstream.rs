//! Sending a recorded call: the connection, the credential, the request line. Nothing else sends.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use killick_gate::ports::{ConnectError, Lease, Target};
use killick_gate::{Departure, InFlight, Recorded};
use killick_model::admin::{Injection, Upstream};
use killick_model::{Code, Outcome, Refusal};
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::{HttpAdapter, HttpCall};
use crate::judge::Judged;

/// Idle connections kept for one target.
const IDLE_PER_TARGET_MAX: usize = 64;

/// Seconds in which an upstream must begin its answer.
const ANSWER_SECONDS_MAX: u64 = 300;

type Sender = SendRequest<Full<Bytes>>;

/// Idle connections to upstreams.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<Target, Vec<Sender>>>,
}

impl Pool {
    fn take(&self, target: &Target) -> Option<Sender> {
        let mut idle = self.idle.lock();
        let senders = idle.get_mut(target)?;
        while let Some(sender) = senders.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    fn give_back(&self, target: Target, sender: Sender) {
        let mut idle = self.idle.lock();
        let senders = idle.entry(target).or_default();
        if senders.len() < IDLE_PER_TARGET_MAX && !sender.is_closed() {
            senders.push(sender);
        }
    }
}

/// What came back from the upstream, still unread.
pub(super) struct Sent {
    pub(super) response: Response<Incoming>,
    pub(super) in_flight: InFlight,
    pub(super) judged: Judged,
}

/// Sends a recorded call and waits for the head of the answer.
///
/// # Errors
/// It was frozen in between, no credential could be lent, or the upstream cannot be reached.
pub(super) async fn send(
    adapter: &Arc<HttpAdapter>,
    recorded: Recorded<HttpCall>,
) -> Result<Sent, Refusal> {
    let id = recorded.id().clone();
    let (call, departure, in_flight, lifeline) = recorded.depart()?;
    let request = match request(adapter, &call, &departure) {
        Ok(request) => request,
        Err(refusal) => return Err(in_flight.refuse(refusal.with_call(id))),
    };
    let target = target(&call.upstream, &call.host);
    let sent = tokio::select! {
        sent = exchange(adapter, &departure, &target, request) => sent,
        code = lifeline.cut() => {
            in_flight.settle(Outcome::Cut);
            return Err(Refusal::new(code, "the agent was frozen or its session ended").with_call(id));
        }
    };
    match sent {
        Ok(response) => Ok(Sent { response, in_flight, judged: call.judged }),
        Err(failure) => {
            let refusal = Refusal::new(failure.code, failure.because).with_call(id);
            if failure.left {
                // It may have been carried out; nobody knows.
                drop(in_flight);
                Err(Refusal {
                    not_done: "the call was sent and no answer came: it may have been carried out"
                        .into(),
                    ..refusal
                }
                .with_next_step(
                    "Look before you send it again: read what the call would have changed",
                ))
            } else {
                Err(in_flight.refuse(refusal))
            }
        }
    }
}

struct Failure {
    code: Code,
    because: String,
    /// Whether bytes of the request may have reached the upstream.
    left: bool,
}

impl Failure {
    fn unreachable(because: String, left: bool) -> Self {
        Self { code: Code::UpstreamUnreachable, because, left }
    }
}

async fn exchange(
    adapter: &Arc<HttpAdapter>,
    departure: &Departure,
    target: &Target,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Failure> {
    // A kept connection that closed meanwhile gives the request back unsent; then a fresh one is used.
    if let Some(mut sender) = adapter.pool.take(target) {
        match timed(sender.try_send_request(request)).await? {
            Ok(response) => {
                keep(adapter, target, sender);
                return Ok(response);
            }
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => {
                    return Err(Failure::unreachable(error.into_error().to_string(), true));
                }
            },
        }
    }
    let mut sender = connect(adapter, departure, target).await?;
    match timed(sender.try_send_request(request)).await? {
        Ok(response) => {
            keep(adapter, target, sender);
            Ok(response)
        }
        Err(mut error) => {
            let left = error.take_message().is_none();
            Err(Failure::unreachable(error.into_error().to_string(), left))
        }
    }
}

async fn timed<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let wait = std::time::Duration::from_secs(ANSWER_SECONDS_MAX);
    tokio::time::timeout(wait, work).await.map_err(|_| {
        let because =
            format!("the upstream did not begin its answer within {ANSWER_SECONDS_MAX} s");
        Failure::unreachable(because, true)
    })
}

async fn connect(
    adapter: &HttpAdapter,
    departure: &Departure,
    target: &Target,
) -> Result<Sender, Failure> {
    let unsent = |because: String| Failure::unreachable(because, false);
    let stream = adapter.streams.connect(departure, target).await.map_err(|error| {
        let code = match &error {
            ConnectError::Forbidden { .. } => Code::ForbiddenAddress,
            ConnectError::Failed(_) | ConnectError::Timeout(_) => Code::UpstreamUnreachable,
        };
        Failure { code, because: error.to_string(), left: false }
    })?;
    let (sender, connection) = hyper::client::conn::http1::Builder::new()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unsent(error.to_string()))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    Ok(sender)
}

/// Gives the connection back once the answer on it was read: one request at a time.
fn keep(adapter: &Arc<HttpAdapter>, target: &Target, mut sender: Sender) {
    if sender.is_ready() {
        adapter.pool.give_back(target.clone(), sender);
        return;
    }
    let (adapter, target) = (Arc::clone(adapter), target.clone());
    tokio::spawn(async move {
        if sender.ready().await.is_ok() {
            adapter.pool.give_back(target, sender);
        }
    });
}

fn target(upstream: &Upstream, host: &str) -> Target {
    Target {
        host: host.to_owned(),
        port: upstream.port,
        tls: upstream.tls,
        dial: upstream.dial.as_deref().and_then(|address| address.parse().ok()),
        private_address: upstream.private_address,
    }
}

fn request(
    adapter: &HttpAdapter,
    call: &HttpCall,
    departure: &Departure,
) -> Result<Request<Full<Bytes>>, Refusal> {
    let canonical = &call.judged.canonical;
    let broken = |what: &str| {
        Refusal::new(Code::MalformedHead, format!("the {what} cannot be written as a request"))
    };
    let mut path = Zeroizing::new(canonical.path_and_query.clone());
    let mut builder = Request::builder().method(canonical.method.as_str());
    let headers = builder.headers_mut().ok_or_else(|| broken("method"))?;
    for (name, value) in &canonical.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| broken("header"))?;
        headers.append(name, HeaderValue::from_str(value).map_err(|_| broken("header"))?);
    }
    // The gateway reads answers, so they come unpacked.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::HOST, host_header(call)?);
    for (name, value) in &call.kept {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| broken("header"))?;
        headers.append(name, secret(value)?);
    }
    if call.inject {
        let bare = canonical.path_and_query.split('?').next().unwrap_or_default();
        let lease = adapter
            .vault
            .lend(departure, &call.upstream.name, bare)
            .map_err(|error| Refusal::new(Code::NoCredential, error.to_string()))?;
        inject(headers, &mut path, &lease)?;
    }
    builder.uri(path.as_str()).body(Full::new(canonical.body.clone())).map_err(|_| broken("target"))
}

fn host_header(call: &HttpCall) -> Result<HeaderValue, Refusal> {
    let standard = if call.upstream.tls { 443 } else { 80 };
    let text = if call.upstream.port == standard {
        call.host.clone()
    } else {
        format!("{}:{}", call.host, call.upstream.port)
    };
    HeaderValue::from_str(&text)
        .map_err(|_| Refusal::new(Code::MalformedHead, "the host cannot be written as a header"))
}

fn secret(value: &[u8]) -> Result<HeaderValue, Refusal> {
    let mut value = HeaderValue::from_bytes(value).map_err(|_| {
        Refusal::new(Code::NoCredential, "the credential has bytes that no header may carry")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn inject(
    headers: &mut http::HeaderMap,
    path: &mut Zeroizing<String>,
    lease: &Lease,
) -> Result<(), Refusal> {
    let prefixed = |prefix: &[u8], value: &[u8]| {
        let mut all = Zeroizing::new(Vec::with_capacity(prefix.len().saturating_add(value.len())));
        all.extend_from_slice(prefix);
        all.extend_from_slice(value);
        all
    };
    match &lease.info.injection {
        Injection::Bearer => {
            headers.insert(header::AUTHORIZATION, secret(&prefixed(b"Bearer ", &lease.value))?);
        }
        Injection::Basic => {
            let pair =
                Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(&*lease.value));
            headers.insert(header::AUTHORIZATION, secret(&prefixed(b"Basic ", pair.as_bytes()))?);
        }
        Injection::Header(name) => {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                Refusal::new(Code::NoCredential, "the credential names a header that cannot be")
            })?;
            headers.insert(name, secret(&lease.value)?);
        }
        Injection::Query(name) => {
            let join = if path.contains('?') { '&' } else { '?' };
            path.push(join);
            path.push_str(name);
            path.push('=');
            let value =
                percent_encoding::percent_encode(&lease.value, percent_encoding::NON_ALPHANUMERIC);
            value.for_each(|piece| path.push_str(piece));
        }
        Injection::Cookie(name) => {
            let pair = prefixed(format!("{name}=").as_bytes(), &lease.value);
            let all = match headers.get(header::COOKIE) {
                Some(other) => prefixed(&prefixed(other.as_bytes(), b"; "), &pair),
                None => pair,
            };
            headers.insert(header::COOKIE, secret(&all)?);
        }
        Injection::Password => {
            return Err(Refusal::new(
                Code::NoCredential,
                "the credential bound to this upstream is a database's password",
            ));
        }
    }
    Ok(())
}
