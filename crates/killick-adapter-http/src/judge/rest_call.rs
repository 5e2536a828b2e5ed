//! Judging a request that is not GraphQL.

use std::fmt::Write as _;

use bytes::Bytes;
use killick_model::admin::Upstream;
use killick_model::{Action, CallDigest, Code, Refusal};

use super::part::part;
use super::{AnswerSpot, CanonicalRequest, Creation, Judged, RequestView};
use super::{headers_to_pass_on, too_many};
use crate::body::{self, Json};
use crate::credential::{Positions, looks_random, without_credentials};
use crate::pack::Pack;
use crate::rest::{self, Content};

/// Headers that say nothing about what a call does; a re-sent call may differ in them.
const ADVISORY: [&str; 14] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "idempotency-key",
    "origin",
    "pragma",
    "priority",
    "referer",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-request-id",
];

/// Judges a request by the pack's REST operations, else by its method.
pub(super) fn judge(
    pack: Option<&Pack>,
    upstream: &Upstream,
    request: &RequestView,
) -> Result<Judged, Refusal> {
    let ambiguous = |because: &str| Refusal::new(Code::AmbiguousBody, because);
    let none = Positions::default();
    let positions = pack.map_or(&none, |pack| &pack.positions);
    let query = body::pairs(request.query.as_deref().unwrap_or_default())
        .ok_or_else(|| ambiguous("the query string is damaged"))?;
    let decoded = body::decode(request)?;
    let content = rest::content(request, &decoded)
        .ok_or_else(|| ambiguous("the body is not what its content type says"))?;
    if overrides_method(&query, &content) {
        return Err(Refusal::new(Code::OverrideHeader, "`_method` changes the method"));
    }
    let mut creates = Vec::new();
    let mut answer_secrets = Vec::new();
    let spot = |at: String| AnswerSpot { batch: None, response_key: None, at };
    let found =
        pack.and_then(|pack| Some((pack, rest::operation(pack, request, &query, &content)?)));
    let part = match found {
        Some((pack, (pattern, operation, arguments))) => {
            let name = format!("{}.{}", pack.name, pattern.text);
            let judged = part(operation, name.clone(), &upstream.name, &arguments);
            answer_secrets.extend(judged.answer_secrets.into_iter().map(spot));
            if let Some(rule) = &operation.creates {
                creates.push(Creation {
                    operation: name,
                    spot: spot(rule.at.clone()),
                    kind: rule.kind.clone(),
                });
            }
            judged.part
        }
        None => rest::by_method(upstream, request, &query, &content),
    };
    let body = match content {
        Content::Json(value) => Bytes::from(value.encode()),
        Content::Form(pairs) => Bytes::from(body::encode_pairs(&pairs)),
        Content::Empty | Content::Text(_) | Content::Opaque => decoded,
    };
    let headers = headers_to_pass_on(request, positions);
    let path_and_query = path_and_query(request, positions);
    let digest = CallDigest::of(&[
        b"rest",
        upstream.name.as_str().as_bytes(),
        request.method.as_bytes(),
        path_and_query.as_bytes(),
        meaningful(&headers).as_bytes(),
        &body,
    ]);
    Ok(Judged {
        action: Action::new(vec![part], excerpt(request, &query)).map_err(|e| too_many(&e))?,
        canonical: CanonicalRequest {
            method: request.method.clone(),
            path_and_query,
            headers,
            body,
        },
        digest,
        invalid: None,
        ambiguous: None,
        creates,
        answer_secrets,
        graphql: false,
    })
}

/// Returns path and query without credentials.
pub(super) fn path_and_query(request: &RequestView, positions: &Positions) -> String {
    match without_credentials(request, positions).query {
        Some(query) if !query.is_empty() => format!("{}?{query}", request.path),
        Some(_) | None => request.path.clone(),
    }
}

fn overrides_method(query: &[(String, String)], content: &Content) -> bool {
    let named = |key: &str| key.eq_ignore_ascii_case("_method");
    query.iter().any(|(key, _)| named(key))
        || match content {
            Content::Form(pairs) => pairs.iter().any(|(key, _)| named(key)),
            Content::Json(Json::Object(fields)) => fields.iter().any(|(key, _)| named(key)),
            Content::Json(_) | Content::Empty | Content::Text(_) | Content::Opaque => false,
        }
}

fn meaningful(headers: &[(String, String)]) -> String {
    let mut kept: Vec<_> = headers
        .iter()
        .filter(|(name, _)| !ADVISORY.contains(&name.as_str()) && !name.starts_with("sec-"))
        .collect();
    kept.sort();
    let mut out = String::new();
    for (name, value) in kept {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name}: {value}");
    }
    out
}

// Segments that look random may be secrets (webhook addresses); values of the query are masked.
fn excerpt(request: &RequestView, query: &[(String, String)]) -> String {
    let path: Vec<&str> = request
        .path
        .split('/')
        .map(|segment| if looks_random(segment) { "…" } else { segment })
        .collect();
    let mut out = format!("{} {}", request.method, path.join("/"));
    for (at, (key, _)) in query.iter().enumerate() {
        out.push(if at == 0 { '?' } else { '&' });
        out.push_str(key);
        out.push_str("=…");
    }
    crate::graphql::shorten(out)
}
