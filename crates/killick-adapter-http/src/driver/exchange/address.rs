//! Who asks for what: the session and the upstream of a request, and the end of a connection with its session.

use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use killick_gate::LiveSession;
use killick_model::admin::Upstream;
use killick_model::{Code, Refusal, UpstreamName};
use parking_lot::Mutex;
use tokio::sync::Notify;
use zeroize::Zeroizing;

use super::super::HttpAdapter;
use super::super::connection::{authenticate, session_token};
use super::{Arrival, Refused, Way};
use crate::head::Authority;

/// Cuts a connection that has no tunnel when the session seen on it dies.
#[derive(Default)]
pub(crate) struct Leave {
    seen: Mutex<Option<Arc<LiveSession>>>,
    came: Notify,
}

impl Leave {
    /// Takes a session in; a connection belongs to the first.
    pub(super) fn admit(&self, live: &Arc<LiveSession>) -> Result<(), Refusal> {
        let mut seen = self.seen.lock();
        match seen.as_ref() {
            Some(first) if first.principal.session != live.principal.session => Err(Refusal::new(
                Code::NoSession,
                "this connection belongs to another session; open one of your own",
            )),
            Some(_) => Ok(()),
            None => {
                *seen = Some(Arc::clone(live));
                self.came.notify_one();
                Ok(())
            }
        }
    }

    /// Waits until the session is frozen or ends.
    pub(crate) async fn cut(&self) {
        loop {
            let live = self.seen.lock().clone();
            if let Some(live) = live {
                live.lifeline.cut().await;
                return;
            }
            self.came.notified().await;
        }
    }
}

/// Who asks for what.
pub(super) struct Addressed {
    pub(super) live: Arc<LiveSession>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) authority: Authority,
    pub(super) path: String,
    /// Whether a human declared the upstream. One that is not declared is looked at, and refused.
    pub(super) declared: bool,
}

/// Finds session and upstream. Session first: nobody learns what is declared without one.
pub(super) fn address(
    adapter: &HttpAdapter,
    arrival: &Arrival,
    request: &Request<Incoming>,
) -> Result<Addressed, Refused> {
    if let Way::Tunnel { live, authority, upstream, declared } = &arrival.way {
        return Ok(Addressed {
            declared: *declared,
            live: Arc::clone(live),
            upstream: Arc::clone(upstream),
            authority: authority.clone(),
            path: request.uri().path().to_owned(),
        });
    }
    let reverse = matches!(arrival.way, Way::Reverse);
    let token = presented_session(request, reverse);
    let live = authenticate(adapter, token.as_deref().map(Vec::as_slice)).map_err(|r| (None, r))?;
    arrival.leave.admit(&live).map_err(|refused| (Some(Arc::clone(&live)), refused))?;
    let refuse = |refused: Refusal| (Some(Arc::clone(&live)), refused);
    if reverse {
        let (name, path) = reverse_path(request.uri().path()).ok_or_else(|| {
            refuse(Refusal::new(
                Code::UndeclaredUpstream,
                "paths of the reverse proxy are `/u/UPSTREAM/...`",
            ))
        })?;
        let upstream = adapter.by_name(&name).ok_or_else(|| {
            let because = format!("`{name}` is not a declared upstream");
            refuse(Refusal::new(Code::UndeclaredUpstream, because))
        })?;
        let host = upstream.hosts.first().cloned().unwrap_or_default();
        let authority = Authority { host, port: upstream.port };
        return Ok(Addressed { live, upstream, authority, path, declared: true });
    }
    let raw = request.uri().authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let authority = Authority::parse(raw, 80).map_err(|violation| refuse(violation.into()))?;
    let known = adapter.by_host(&authority.host, authority.port).filter(|upstream| !upstream.tls);
    let declared = known.is_some();
    let upstream = match known {
        Some(upstream) => upstream,
        None => nobodys(&authority, false).map_err(refuse)?,
    };
    Ok(Addressed { live, upstream, authority, path: request.uri().path().to_owned(), declared })
}

/// Returns an upstream that nobody declared, so that a request to it can be looked at before it is refused.
pub(crate) fn nobodys(authority: &Authority, tls: bool) -> Result<Arc<Upstream>, Refusal> {
    let name = UpstreamName::parse("undeclared")
        .map_err(|error| Refusal::new(Code::UndeclaredUpstream, error.to_string()))?;
    Ok(Arc::new(Upstream {
        name,
        hosts: vec![authority.host.clone()],
        port: authority.port,
        tls,
        pack: None,
        declared: None,
        model_provider: false,
        dial: None,
        writes_by_method: false,
        private_address: false,
    }))
}

/// Returns the refusal of an upstream that nobody declared.
pub(super) fn undeclared(addressed: &Addressed) -> Refusal {
    let Authority { host, port } = &addressed.authority;
    Refusal::new(Code::UndeclaredUpstream, format!("`{host}:{port}` is not a declared upstream"))
}

/// The header in which a request to the reverse proxy may name its session.
pub(super) const SESSION_HEADER: &str = "killick-session";

pub(super) fn presented_session(
    request: &Request<Incoming>,
    reverse: bool,
) -> Option<Zeroizing<Vec<u8>>> {
    let header = |name: &str| request.headers().get(name).map(http::HeaderValue::as_bytes);
    if let Some(token) = header("proxy-authorization").and_then(session_token) {
        return Some(token);
    }
    if !reverse {
        return None;
    }
    header(SESSION_HEADER)
        .map(|value| Zeroizing::new(value.to_vec()))
        .or_else(|| header("authorization").and_then(session_token))
}

fn reverse_path(path: &str) -> Option<(UpstreamName, String)> {
    let rest = path.strip_prefix("/u/")?;
    let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
    Some((UpstreamName::parse(name).ok()?, format!("/{path}")))
}
