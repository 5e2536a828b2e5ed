//! What a request means: its action, its one canonical form, its digest.
//!
//! [`judge`] takes a request that passed [`crate::head`] and [`crate::credential`] and a declared
//! upstream, and says what the request would do. What it returns as [`CanonicalRequest`] is what is
//! sent; judging that form again yields the same digest.

use std::fmt;

use bytes::Bytes;
use killick_model::action::ActionError;
use killick_model::admin::Upstream;
use killick_model::{Action, CallDigest, Code, ObjectRef, Refusal};
use serde::{Deserialize, Serialize};
use serde_json_path::JsonPath;

use crate::credential::{Positions, without_credentials};
use crate::head::forwarded_headers;
use crate::pack::PackSet;

pub(crate) mod argument;
mod graphql_call;
mod part;
mod rest_call;
mod schema;

pub(crate) use part::{ACCOUNT, account};

/// A request as it arrived, after the library took it apart and before anything was believed.
#[derive(Clone)]
pub struct RequestView {
    /// Whether it came in TLS.
    pub tls: bool,
    /// The method as written.
    pub method: String,
    /// The host, lower case, without port.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path as written, without query.
    pub path: String,
    /// The query as written, without `?`.
    pub query: Option<String>,
    /// Header names in lower case with their values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body as it came, content encoding not undone.
    pub body: Bytes,
    /// Whether the body is whole; a body past the limit is not.
    pub body_complete: bool,
}

impl RequestView {
    /// Returns the values of a header, in order.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }
}

// Headers, query and body may hold secrets.
impl fmt::Debug for RequestView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestView")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The one form in which a judged request is sent, without any credential. Parked calls are kept in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanonicalRequest {
    /// The method.
    pub method: String,
    /// Path and query, ready for the request line.
    pub path_and_query: String,
    /// Headers to pass on: lower case, no credential, nothing hop-by-hop, no host, no content length.
    pub headers: Vec<(String, String)>,
    /// The body, re-encoded when it was understood.
    #[serde(with = "base64_bytes")]
    pub body: Bytes,
}

impl CanonicalRequest {
    /// Returns the request as one that arrives for `upstream`, to be judged again.
    #[must_use]
    pub fn view(&self, upstream: &Upstream) -> RequestView {
        let (path, query) = match self.path_and_query.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (self.path_and_query.clone(), None),
        };
        RequestView {
            tls: upstream.tls,
            method: self.method.clone(),
            host: upstream.hosts.first().cloned().unwrap_or_default(),
            port: upstream.port,
            path,
            query,
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
                .collect(),
            body: self.body.clone(),
            body_complete: true,
        }
    }
}

// The body is payload.
impl fmt::Debug for CanonicalRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CanonicalRequest")
            .field("method", &self.method)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(body: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(body))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map(Bytes::from).map_err(serde::de::Error::custom)
    }
}

/// Something in the answer that the gateway reads: an id of a new object, or a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerSpot {
    /// The element of a batched answer, when the call is a batch.
    pub batch: Option<usize>,
    /// The key below `data`; `None` for an answer that is not GraphQL.
    pub response_key: Option<String>,
    /// JSONPath into the value at that key.
    pub at: String,
}

/// What a call makes, to be read from its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Creation {
    /// The operation that makes it.
    pub operation: String,
    /// Where its id stands.
    pub spot: AnswerSpot,
    /// The kind of the new object.
    pub kind: String,
}

/// A request that was understood as far as it can be.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What it would do.
    pub action: Action,
    /// What is sent if it may.
    pub canonical: CanonicalRequest,
    /// The digest of its meaning.
    pub digest: CallDigest,
    /// Why the document is not valid for the provider's schema, or the call has a shape that is not
    /// sent on; it is refused with [`Code::InvalidDocument`], and its effect is still told.
    pub invalid: Option<String>,
    /// Why it can be read in two ways; it is refused with [`Code::AmbiguousBody`], and the effect of
    /// every way is told together. Its canonical form is what came.
    pub ambiguous: Option<String>,
    /// What it makes.
    pub creates: Vec<Creation>,
    /// Where secrets stand in the answer.
    pub answer_secrets: Vec<AnswerSpot>,
    /// Whether it speaks GraphQL, so that a refusal has that shape too.
    pub graphql: bool,
}

impl Judged {
    /// Returns whether the call may be sent at all, whatever is decided on its effect.
    ///
    /// # Errors
    /// It can be read in two ways, or is not valid.
    pub fn sendable(&self) -> Result<(), Refusal> {
        match (&self.ambiguous, &self.invalid) {
            (Some(because), _) => Err(Refusal::new(Code::AmbiguousBody, because.clone())),
            (None, Some(because)) => Err(Refusal::new(Code::InvalidDocument, because.clone())),
            (None, None) => Ok(()),
        }
    }
}

/// Judges a request to a declared upstream. What it says may be sent only when
/// [`Judged::sendable`] agrees.
///
/// # Errors
/// The request can be read in two ways, or not at all.
pub fn judge(
    packs: &PackSet,
    upstream: &Upstream,
    request: &RequestView,
) -> Result<Judged, Refusal> {
    let pack = upstream.pack.as_deref().and_then(|name| packs.get(name));
    match pack {
        Some(pack) if pack.is_graphql_path(&request.path) => {
            graphql_call::judge(pack, upstream, request)
        }
        Some(_) | None => rest_call::judge(pack.map(AsRef::as_ref), upstream, request),
    }
}

/// Returns the headers that are passed on, without those that the judgement writes itself.
fn headers_to_pass_on(request: &RequestView, positions: &Positions) -> Vec<(String, String)> {
    let bare = without_credentials(request, positions);
    forwarded_headers(&bare)
        .into_iter()
        .filter(|(name, _)| name != "content-encoding")
        .filter_map(|(name, value)| Some((name, String::from_utf8(value).ok()?)))
        .collect()
}

fn too_many(error: &ActionError) -> Refusal {
    Refusal::new(Code::BodyTooLarge, error.to_string())
}

/// Objects that one answer is believed to have made.
const CREATIONS_MAX: usize = 64;

/// Returns the objects that a call made, read from its answer. A spot that is missing makes none.
#[must_use]
pub fn creations(
    judged: &Judged,
    upstream: &Upstream,
    answer: &serde_json::Value,
) -> Vec<ObjectRef> {
    let mut made = Vec::new();
    for creation in &judged.creates {
        let Some(value) = creation.spot.value(answer) else { continue };
        let Ok(path) = JsonPath::parse(&creation.spot.at) else { continue };
        for found in path.query(value).all() {
            let id = match found {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::Null
                | serde_json::Value::Bool(_)
                | serde_json::Value::Array(_)
                | serde_json::Value::Object(_) => continue,
            };
            let fits = (1..=ObjectRef::ID_BYTES_MAX).contains(&id.len());
            if fits && made.len() < CREATIONS_MAX {
                made.push(ObjectRef {
                    upstream: upstream.name.clone(),
                    kind: creation.kind.clone(),
                    id,
                    within: None,
                });
            }
        }
    }
    made
}

impl AnswerSpot {
    /// Returns the value of an answer that the spot's path looks into.
    #[must_use]
    pub fn value<'a>(&self, answer: &'a serde_json::Value) -> Option<&'a serde_json::Value> {
        let element = match self.batch {
            Some(at) => answer.as_array()?.get(at)?,
            None => answer,
        };
        match &self.response_key {
            Some(key) => element.get("data")?.get(key),
            None => Some(element),
        }
    }
}
