//! One request from arrival to answer.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use killick_gate::ports;
use killick_gate::{Asked, Due, LiveSession, Sending, Undecided, Verdict};
use killick_model::admin::Upstream;
use killick_model::record::{Draft, Kind};
use killick_model::{Code, Outcome, Refusal};

use super::answer::{ANSWER_READ_BYTES_MAX, AnswerBody, LeakWatch, Streamed};
use super::connection::{authenticate, session_token};
use super::errand::Errands;
use super::filter::Findings;
use super::upstream::{self, Sent};
use super::{ADAPTER_NAME, HttpAdapter, HttpCall, PARKED_VERSION, ParkedHttp, narrow, refusal};
use crate::body::BODY_JUDGED_BYTES_MAX;
use crate::head::{self, Authority};
use crate::judge::{self, CanonicalRequest, RequestView};

mod address;
mod credentials;

pub(super) use address::Leave;
pub(super) use address::nobodys;
use address::{Addressed, SESSION_HEADER, address, presented_session, undeclared};

/// How the request came to the gateway.
#[derive(Clone)]
pub(super) enum Way {
    /// Inside a tunnel whose session the CONNECT named.
    Tunnel { live: Arc<LiveSession>, authority: Authority, upstream: Arc<Upstream>, declared: bool },
    /// `GET http://host/path`.
    Absolute,
    /// `GET /u/UPSTREAM/path`.
    Reverse,
}

/// A request's circumstances.
pub(crate) struct Arrival {
    pub(super) way: Way,
    pub(super) findings: Option<Arc<Findings>>,
    pub(super) peer: SocketAddr,
    pub(super) leave: Arc<Leave>,
}

/// Answers one request, whatever comes.
pub(super) async fn answer(
    adapter: Arc<HttpAdapter>,
    arrival: Arrival,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let found = arrival.findings.as_ref().and_then(|f| f.at(request.uri().path()));
    if let Some(violation) = found {
        let live = match &arrival.way {
            Way::Tunnel { live, .. } => Some(Arc::clone(live)),
            Way::Absolute | Way::Reverse => None,
        };
        let refused = adapter
            .gate
            .refuse(live.as_deref(), None, violation.into(), serde_json::Value::Null)
            .await;
        return refusal::answer(&refused, false);
    }
    if matches!(arrival.way, Way::Reverse) && request.uri().path() == narrow::PATH {
        return match narrower(&adapter, &arrival, request).await {
            Ok(response) => response,
            Err((live, refused)) => {
                let nothing = serde_json::Value::Null;
                let refused = adapter.gate.refuse(live.as_deref(), None, refused, nothing).await;
                refusal::answer(&refused, false)
            }
        };
    }
    let addressed = match address(&adapter, &arrival, &request) {
        Ok(addressed) => addressed,
        Err((live, refused)) => {
            let refused =
                adapter.gate.refuse(live.as_deref(), None, refused, serde_json::Value::Null).await;
            return refusal::answer(&refused, false);
        }
    };
    let graphql = speaks_graphql(&adapter, &addressed.upstream, &addressed.path);
    match carry(&adapter, &arrival, &addressed, request).await {
        Ok(response) => response,
        Err(refused) => refusal::answer(&refused, graphql),
    }
}

type Refused = (Option<Arc<LiveSession>>, Refusal);

async fn narrower(
    adapter: &Arc<HttpAdapter>,
    arrival: &Arrival,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Refused> {
    let token = presented_session(&request, true);
    let live = authenticate(adapter, token.as_deref().map(Vec::as_slice)).map_err(|r| (None, r))?;
    arrival.leave.admit(&live).map_err(|refused| (Some(Arc::clone(&live)), refused))?;
    let post = request.method() == http::Method::POST;
    let body =
        http_body_util::Limited::new(request.into_body(), narrow::BODY_BYTES_MAX).collect().await;
    let opened = match body {
        Ok(body) if post => narrow::open(adapter, &live, &body.to_bytes()).await,
        Ok(_) | Err(_) => Err(Refusal::new(
            Code::AmbiguousBody,
            "a narrower session is asked for by POST with a small JSON body",
        )),
    };
    opened.map_err(|refused| (Some(live), refused))
}

fn speaks_graphql(adapter: &HttpAdapter, upstream: &Upstream, path: &str) -> bool {
    pack_of(adapter, upstream).is_some_and(|pack| pack.is_graphql_path(path))
}

pub(super) fn pack_of<'a>(
    adapter: &'a HttpAdapter,
    upstream: &Upstream,
) -> Option<&'a Arc<crate::pack::Pack>> {
    upstream.pack.as_deref().and_then(|name| adapter.packs.get(name))
}

/// Carries an addressed request through the gate.
async fn carry(
    adapter: &Arc<HttpAdapter>,
    arrival: &Arrival,
    addressed: &Addressed,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Refusal> {
    let wait_millis = preferred_wait_millis(&request);
    let view = match view(adapter, arrival, addressed, request).await {
        Ok(view) => view,
        Err(refused) => return Err(refuse(adapter, addressed, refused).await),
    };
    let client = view
        .header("user-agent")
        .next()
        .map(|value| String::from_utf8_lossy(value).chars().take(120).collect::<String>())
        .map(|program| format!("{program} (from {})", arrival.peer));
    let call = match understand(adapter, addressed, &view).await {
        Ok(call) => call,
        Err(refused) => return Err(refuse(adapter, addressed, refused).await),
    };
    let recorded = loop {
        let call = call.again();
        let asked_until =
            match through_gate(adapter, &addressed.live, call, None, client.clone()).await {
                Ok(recorded) => break recorded,
                Err(refused) => refused,
            };
        let Some(request) = asked_until.request.clone() else { return Err(asked_until) };
        let Some(wait_millis) = wait_millis else { return Err(asked_until) };
        let state = adapter.gate.wait_for_answer(&addressed.live, &request, wait_millis).await;
        match state {
            killick_model::request::RequestState::Approved => {}
            killick_model::request::RequestState::Denied => {
                let refused =
                    Refusal::new(Code::ApprovalDenied, format!("a human denied request {request}"));
                return Err(refuse(adapter, addressed, refused).await);
            }
            killick_model::request::RequestState::Open
            | killick_model::request::RequestState::Spent
            | killick_model::request::RequestState::Expired => return Err(asked_until),
        }
    };
    let host = call.host.clone();
    let sent = upstream::send(adapter, recorded).await?;
    pass_on(adapter, &addressed.live, &call.upstream, &host, sent).await
}

async fn refuse(adapter: &HttpAdapter, addressed: &Addressed, refused: Refusal) -> Refusal {
    let found = serde_json::json!({ "upstream": addressed.upstream.name, "host": addressed.authority.host });
    adapter.gate.refuse(Some(&addressed.live), None, refused, found).await
}

/// Reads how long the client is willing to wait for a human (`Prefer: wait=SECONDS`, RFC 7240).
fn preferred_wait_millis(request: &Request<Incoming>) -> Option<u64> {
    request.headers().get_all("prefer").iter().find_map(|value| {
        value.to_str().ok()?.split([',', ';']).find_map(|preference| {
            let seconds = preference.trim().strip_prefix("wait=")?;
            seconds.parse::<u64>().ok()?.checked_mul(1_000)
        })
    })
}

async fn view(
    adapter: &HttpAdapter,
    arrival: &Arrival,
    addressed: &Addressed,
    request: Request<Incoming>,
) -> Result<RequestView, Refusal> {
    let (parts, body) = request.into_parts();
    let declared = http_body::Body::size_hint(&body).lower();
    if declared > BODY_JUDGED_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let body = read(body).await.map_err(|error| {
        let found = arrival.findings.as_ref().and_then(|findings| findings.so_far());
        match (found, error) {
            (Some(violation), _) => violation.into(),
            (None, ReadError::TooLarge) => too_large(),
            (None, ReadError::Broken) => {
                Refusal::new(Code::AmbiguousBody, "the body ended before it was whole")
            }
        }
    })?;
    let mut headers: Vec<(String, Vec<u8>)> = Vec::with_capacity(parts.headers.len());
    for (name, value) in &parts.headers {
        // The hop's own: it was read when the request was addressed. What is not this session's token
        // stays, and is seen as what it is: a credential that the gateway did not issue.
        let names_session = match (&arrival.way, name.as_str()) {
            (_, "proxy-authorization") | (Way::Reverse, SESSION_HEADER | "authorization") => true,
            (Way::Tunnel { .. } | Way::Absolute | Way::Reverse, _) => false,
        };
        let own = name == "prefer"
            || (names_session && is_own_token(adapter, addressed, value.as_bytes()));
        if own {
            continue;
        }
        headers.push((name.as_str().to_owned(), value.as_bytes().to_vec()));
    }
    match arrival.way {
        Way::Reverse => {
            // Host names the gateway here; the upstream's own name takes its place.
            headers.retain(|(name, _)| name != "host");
            headers.push(("host".into(), authority_text(&addressed.authority).into_bytes()));
        }
        Way::Tunnel { .. } | Way::Absolute => {
            // HTTP/2 may say it twice; two that differ are two hosts, which no request may have.
            if let Some(authority) = parts.uri.authority() {
                let authority = authority.as_str().as_bytes();
                let said = headers.iter().any(|(name, host)| name == "host" && host == authority);
                if !said {
                    headers.push(("host".into(), authority.to_vec()));
                }
            }
        }
    }
    Ok(RequestView {
        tls: addressed.upstream.tls,
        method: parts.method.as_str().to_owned(),
        host: addressed.authority.host.clone(),
        port: addressed.authority.port,
        path: addressed.path.clone(),
        query: parts.uri.query().map(str::to_owned),
        headers,
        body,
        body_complete: true,
    })
}

fn authority_text(authority: &Authority) -> String {
    format!("{}:{}", authority.host, authority.port)
}

fn is_own_token(adapter: &HttpAdapter, addressed: &Addressed, value: &[u8]) -> bool {
    let session = &addressed.live.principal.session;
    let own = |token: &[u8]| {
        matches!(adapter.vault.recognise(session, token), ports::Recognised::SessionToken)
    };
    own(value) || session_token(value).is_some_and(|token| own(&token))
}

fn too_large() -> Refusal {
    Refusal::new(
        Code::BodyTooLarge,
        format!("the body is larger than the {BODY_JUDGED_BYTES_MAX} bytes that are judged"),
    )
}

enum ReadError {
    TooLarge,
    Broken,
}

async fn read(mut body: Incoming) -> Result<Bytes, ReadError> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ReadError::Broken)?;
        // Trailers could say anything; a request with some is refused with its head.
        let Ok(piece) = frame.into_data() else { return Err(ReadError::Broken) };
        if all.len().saturating_add(piece.len()) > BODY_JUDGED_BYTES_MAX {
            return Err(ReadError::TooLarge);
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// Checks head and credentials, and judges.
async fn understand(
    adapter: &Arc<HttpAdapter>,
    addressed: &Addressed,
    view: &RequestView,
) -> Result<HttpCall, Refusal> {
    head::check(view, &addressed.authority).map_err(Refusal::from)?;
    // Credentials first: a stray one is noticed wherever it was to be taken.
    let cleared = credentials::clear(adapter, addressed, view).await?;
    if !addressed.declared {
        return Err(undeclared(addressed));
    }
    let judged = judge::judge(&adapter.packs, &addressed.upstream, &cleared.view)?;
    judged.sendable()?;
    Ok(HttpCall {
        judged,
        upstream: Arc::clone(&addressed.upstream),
        host: addressed.authority.host.clone(),
        kept: cleared.kept,
        inject: cleared.inject,
    })
}

impl HttpCall {
    /// Returns the same call for another try at the gate, after a human answered.
    fn again(&self) -> Self {
        Self {
            judged: self.judged.clone(),
            upstream: Arc::clone(&self.upstream),
            host: self.host.clone(),
            kept: self.kept.clone(),
            inject: self.inject,
        }
    }
}

async fn through_gate(
    adapter: &Arc<HttpAdapter>,
    live: &LiveSession,
    call: HttpCall,
    due: Option<&Due>,
    client: Option<String>,
) -> Result<killick_gate::Recorded<HttpCall>, Refusal> {
    let errands = Errands::new(Arc::clone(adapter), Arc::clone(&call.upstream), call.host.clone());
    let facts = adapter.gate.gather(live, &call, &call.upstream, &errands, due).await;
    let session_in_production = pack_of(adapter, &call.upstream)
        .is_some_and(|pack| pack.is_production(&live.principal.environment));
    let bare = call.judged.canonical.path_and_query.split('?').next().unwrap_or_default();
    let credential = call
        .inject
        .then(|| adapter.vault.bound(&call.upstream.name, bare).map(|info| info.name))
        .flatten();
    let asked = Asked {
        live,
        facts,
        adapter: ADAPTER_NAME,
        hands: &errands,
        due,
        session_in_production,
        damage: ports::Damage::default(),
        ending: None,
    };
    match adapter.gate.decide(asked, Undecided(call)).await {
        Verdict::Refuse(refused) => Err(*refused),
        Verdict::Permit(permitted) => {
            let recorded = adapter
                .gate
                .record(*permitted, Sending { credential, client, ..Sending::default() })
                .await;
            match recorded {
                Ok(recorded) => Ok(recorded),
                Err(refused) => Err(adapter
                    .gate
                    .refuse(Some(live), None, refused, serde_json::Value::Null)
                    .await),
            }
        }
    }
}

/// Passes the answer on: streamed, or read first when it tells what was created.
async fn pass_on(
    adapter: &Arc<HttpAdapter>,
    live: &LiveSession,
    upstream: &Arc<Upstream>,
    host: &str,
    sent: Sent,
) -> Result<Response<AnswerBody>, Refusal> {
    let Sent { response, in_flight, judged } = sent;
    let (mut parts, body) = response.into_parts();
    credentials::clear_answer(adapter, live, host, &mut parts)?;
    let status = parts.status.as_u16();
    if judged.creates.is_empty() {
        let watch = LeakWatch::new(Arc::clone(&adapter.vault));
        let streamed = Streamed {
            inner: body,
            in_flight: Some(in_flight),
            status,
            bytes: 0,
            watch: Some(watch),
        };
        return Ok(Response::from_parts(parts, streamed.boxed_unsync()));
    }
    let limited = http_body_util::Limited::new(body, ANSWER_READ_BYTES_MAX);
    let Ok(collected) = limited.collect().await else {
        drop(in_flight);
        return Err(Refusal {
            not_done: "the call was sent; its answer could not be read".into(),
            ..Refusal::new(
                Code::UpstreamUnreachable,
                "the upstream's answer broke off or is too large",
            )
        });
    };
    let bytes = collected.to_bytes();
    let parsed: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    let failed = status >= 400
        || parsed.as_ref().is_some_and(|value| value.get("errors").is_some_and(|e| !e.is_null()));
    if let (Some(value), false) = (&parsed, status >= 400) {
        let made = judge::creations(&judged, upstream, value);
        adapter.gate.note_created(&live.principal.session, made).await;
    }
    in_flight.settle(Outcome::Answered { status, failed, bytes: bytes.len() as u64 });
    if adapter.vault.leaks(&bytes) {
        return Err(Refusal {
            not_done: "the call was sent; its answer is withheld".into(),
            ..Refusal::new(Code::Forbidden, "the answer carries a credential of the gateway")
        });
    }
    Ok(Response::from_parts(parts, refusal::whole(bytes)))
}

/// Sends a parked call: judged anew from its canonical form, decided anew.
pub(super) async fn revive(
    adapter: &HttpAdapter,
    live: &LiveSession,
    canonical: &[u8],
    due: Option<&Due>,
) -> Result<Outcome, Refusal> {
    let adapter = adapter.shared()?;
    let parked: ParkedHttp = serde_json::from_slice(canonical)
        .ok()
        .filter(|parked: &ParkedHttp| parked.version == PARKED_VERSION)
        .ok_or_else(|| Refusal::new(Code::StoreUnavailable, "the parked call cannot be read"))?;
    let upstream = adapter.by_name(&parked.upstream).ok_or_else(|| {
        let because = format!("`{}` is not a declared upstream any more", parked.upstream);
        Refusal::new(Code::UndeclaredUpstream, because)
    })?;
    let request: &CanonicalRequest = &parked.request;
    let judged = judge::judge(&adapter.packs, &upstream, &request.view(&upstream))?;
    judged.sendable()?;
    let bare = request.path_and_query.split('?').next().unwrap_or_default();
    let inject = adapter.vault.bound(&upstream.name, bare).is_some_and(|info| !info.own);
    let call = HttpCall {
        judged,
        upstream: Arc::clone(&upstream),
        host: parked.host.clone(),
        kept: Vec::new(),
        inject,
    };
    let recorded = through_gate(&adapter, live, call, due, None).await?;
    let sent = upstream::send(&adapter, recorded).await?;
    let status = sent.response.status().as_u16();
    let limited = http_body_util::Limited::new(sent.response.into_body(), ANSWER_READ_BYTES_MAX);
    let bytes = limited
        .collect()
        .await
        .map_err(|_| Refusal::new(Code::UpstreamUnreachable, "the answer broke off"))?
        .to_bytes();
    let says_failed = serde_json::from_slice::<serde_json::Value>(&bytes)
        .is_ok_and(|value| value.get("errors").is_some_and(|errors| !errors.is_null()));
    let outcome = Outcome::Answered {
        status,
        failed: status >= 400 || says_failed,
        bytes: bytes.len() as u64,
    };
    sent.in_flight.settle(outcome.clone());
    Ok(outcome)
}

/// Writes on the record that known credentials were taken out of a body.
async fn note_redaction(
    adapter: &HttpAdapter,
    addressed: &Addressed,
    places: Vec<String>,
) -> Result<(), Refusal> {
    let mut entry = Draft::new(Kind::Redaction).of_shared(&addressed.live.principal);
    entry.upstream = Some(addressed.upstream.name.clone());
    entry.details = serde_json::json!({ "places": places });
    adapter
        .gate
        .note(entry)
        .await
        .map_err(|error| Refusal::new(Code::RecordUnavailable, error.to_string()))
}
