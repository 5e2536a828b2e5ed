//! The door of the administration point: HTTP/1.1 over the UNIX socket, for people and not for agents.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use killick_gate::ports::Stream;
use killick_model::Owner;
use killick_net::{AdminPeer, UnixDoor};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::administration::{Administration, Caller};
use crate::protocol::{AdminCode, AdminError, COMMAND_BYTES_MAX, COMMAND_PATH, Envelope, Reply};

/// How long a caller may take to send the head of a command.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// How long commands under way may go on after a stop.
const DRAIN: Duration = Duration::from_secs(5);
/// The user that may do everything on the machine anyway.
const ROOT_UID: u32 = 0;
/// What every session token begins with.
const TOKEN_PREFIX: &[u8] = b"ksess_";
/// Hex digits of a session token.
const TOKEN_HEX_LEN: usize = 2 * killick_gate::ids::TOKEN_BYTES;
/// Headers in which an agent's clients present themselves. None is ever part of a command.
const AGENT_HEADERS: &[&str] =
    &["authorization", "cookie", "killick-session", "proxy-authorization"];

/// Who may administer.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The user id that the gateway runs under.
    pub own_uid: u32,
    /// Further user ids that may administer.
    pub admin_uids: Vec<u32>,
}

impl ServeOptions {
    fn admits(&self, peer: &AdminPeer) -> bool {
        peer.uid == self.own_uid || peer.uid == ROOT_UID || self.admin_uids.contains(&peer.uid)
    }
}

/// Answers commands that come in through the door until `stop`.
pub async fn serve(
    door: UnixDoor,
    administration: Arc<Administration>,
    options: ServeOptions,
    stop: impl Future<Output = ()> + Send,
) {
    let options = Arc::new(options);
    let handler = move |stream: Stream, peer: AdminPeer| {
        answer_stream(Arc::clone(&administration), Arc::clone(&options), stream, peer)
    };
    door.serve(handler, stop, DRAIN).await;
}

async fn answer_stream(
    administration: Arc<Administration>,
    options: Arc<ServeOptions>,
    stream: Stream,
    peer: AdminPeer,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let administration = Arc::clone(&administration);
        let admitted = options.admits(&peer);
        async move { Ok::<_, Infallible>(answer(&administration, admitted, &peer, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an administration connection ended early");
    }
}

async fn answer(
    administration: &Administration,
    admitted: bool,
    peer: &AdminPeer,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    match taken(administration, admitted, peer, request).await {
        Ok(reply) => json_response(StatusCode::OK, &reply),
        Err(error) => {
            let status = StatusCode::from_u16(error.code.http_status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            json_response(status, &error)
        }
    }
}

async fn taken(
    administration: &Administration,
    admitted: bool,
    peer: &AdminPeer,
    request: Request<Incoming>,
) -> Result<Reply, AdminError> {
    if !admitted {
        return Err(AdminError::new(
            AdminCode::NotAdmitted,
            format!("user id {} may not administer this gateway; nothing was changed", peer.uid),
            "run the command as the gateway's own user, or add the user id to [admin] uids",
        ));
    }
    let (head, body) = request.into_parts();
    if presents_agent(&head.headers) {
        return Err(agent_refused());
    }
    if head.uri.path() != COMMAND_PATH || head.method != Method::POST {
        return Err(AdminError::new(
            AdminCode::Missing,
            format!("commands are posted to {COMMAND_PATH}; nothing was changed"),
            "use the `killick` command of the gateway's own version",
        ));
    }
    let body = Limited::new(body, COMMAND_BYTES_MAX).collect().await.map_err(|_| {
        AdminError::invalid(
            format!("the command did not come whole, or has more than {COMMAND_BYTES_MAX} bytes"),
            "send it again",
        )
    })?;
    let bytes = Zeroizing::new(body.to_bytes().to_vec());
    if holds_session_token(&bytes) {
        return Err(agent_refused());
    }
    // What serde says of a body may hold a part of it, and a part of it is a passphrase.
    let envelope: Envelope = serde_json::from_slice(&bytes).map_err(|error| {
        AdminError::invalid(
            format!(
                "the command cannot be read (line {}, column {})",
                error.line(),
                error.column()
            ),
            "use the `killick` command of the gateway's own version",
        )
    })?;
    let caller = Caller { uid: peer.uid, owner: local_owner(peer.uid) };
    administration.execute(&caller, envelope).await
}

fn agent_refused() -> AdminError {
    AdminError::new(
        AdminCode::NotAdmitted,
        "this carries what agents carry; agents do not administer; nothing was changed",
        "run the command from a shell that has no session, as a human",
    )
}

fn presents_agent(headers: &HeaderMap) -> bool {
    AGENT_HEADERS.iter().any(|name| headers.contains_key(*name))
        || headers.values().any(|value| holds_session_token(value.as_bytes()))
}

/// Returns whether a session token stands anywhere in the bytes.
fn holds_session_token(bytes: &[u8]) -> bool {
    bytes.windows(TOKEN_PREFIX.len().saturating_add(TOKEN_HEX_LEN)).any(|window| {
        window.strip_prefix(TOKEN_PREFIX).is_some_and(|rest| rest.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Returns the user as an owner: by name where the machine's own list has one, else by number.
#[must_use]
pub fn local_owner(uid: u32) -> Owner {
    let list = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let subject = name_in(&list, uid).unwrap_or_else(|| format!("uid-{uid}"));
    Owner { issuer: "local".into(), subject }
}

fn name_in(list: &str, uid: u32) -> Option<String> {
    let line = list.lines().find(|line| {
        line.split(':').nth(2).and_then(|field| field.parse::<u32>().ok()) == Some(uid)
    })?;
    let name = line.split(':').next()?;
    // A name that no owner may have is not believed.
    Owner::parse(&format!("local:{name}")).ok().map(|owner| owner.subject)
}

fn json_response(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec());
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
