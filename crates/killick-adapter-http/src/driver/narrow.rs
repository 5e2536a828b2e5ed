//! A session opens a narrower one for a sub-agent: fewer effects, upstreams, objects, less time.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{Response, StatusCode};
use killick_gate::LiveSession;
use killick_model::principal::ScopedEffect;
use killick_model::{Code, Refusal, Scope, UpstreamName};
use serde::Deserialize;

use super::answer::AnswerBody;
use super::{HttpAdapter, refusal};

/// The path at which a session asks for a narrower one.
pub(super) const PATH: &str = "/killick/v1/session";

/// The most bytes of the request's body.
pub(super) const BODY_BYTES_MAX: usize = 64 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Narrower {
    #[serde(default)]
    effects: Option<BTreeSet<ScopedEffect>>,
    #[serde(default)]
    upstreams: Option<BTreeSet<UpstreamName>>,
    #[serde(default)]
    objects: Option<BTreeSet<String>>,
    #[serde(default)]
    ttl_millis: Option<u64>,
    #[serde(default)]
    task: Option<String>,
}

/// Opens the narrower session and answers with its token.
pub(super) async fn open(
    adapter: &Arc<HttpAdapter>,
    live: &LiveSession,
    body: &[u8],
) -> Result<Response<AnswerBody>, Refusal> {
    let asked: Narrower = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(Code::AmbiguousBody, format!("the body: {error}")))?;
    let scope = Scope {
        effects: asked.effects.unwrap_or_else(|| live.principal.scope.effects.clone()),
        upstreams: asked.upstreams,
        objects: asked.objects,
    };
    let opened = adapter.gate.open_narrower(live, &scope, asked.ttl_millis, asked.task).await?;
    let surrogates = adapter
        .vault
        .mint_surrogates(&opened.session.principal.session)
        .map_err(|error| Refusal::new(Code::StoreUnavailable, error.to_string()))?;
    let body = serde_json::json!({
        "session": opened.session.principal.session,
        "token": opened.token.as_str(),
        "expires": opened.session.principal.expires,
        "scope": opened.session.principal.scope,
        "placeholders": surrogates
            .iter()
            .map(|one| serde_json::json!({
                "credential": one.info.name, "upstream": one.info.upstream, "value": one.value.as_str(),
                "variables": variables_of(adapter, &one.info.upstream),
            }))
            .collect::<Vec<_>>(),
    });
    let mut response = Response::new(refusal::whole(body.to_string()));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Returns the environment variables in which clients of an upstream look for a credential.
fn variables_of(adapter: &HttpAdapter, upstream: &UpstreamName) -> Vec<String> {
    adapter
        .by_name(upstream)
        .and_then(|found| {
            super::exchange::pack_of(adapter, &found).map(|pack| pack.variables.clone())
        })
        .unwrap_or_default()
}
