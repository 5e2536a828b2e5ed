//! Finding what stands where a credential stands.

use std::fmt;

use zeroize::Zeroizing;

use super::words::Words;
use super::{content, header, target};
use crate::judge::RequestView;

/// The most positions of one request that are told apart. A request with more carries something that
/// nobody looked at, so it counts as a foreign credential of its own.
pub const SIGHTINGS_MAX: usize = 256;

/// A pack's own positions, beside the standard ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// Header names, lower case.
    pub headers: Vec<String>,
    /// Query parameters.
    pub query: Vec<String>,
    /// Body keys at any depth.
    pub body: Vec<String>,
}

/// How an authorization header carries its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Bearer TOKEN`, or a scheme with one token.
    Bearer,
    /// The user of `Basic`.
    BasicUser,
    /// The password of `Basic`.
    BasicPassword,
    /// A signature over the request; never issued by the gateway in this form.
    SigV4,
    /// Anything else, whole.
    Other,
}

/// Where it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `Authorization` or `Proxy-Authorization`.
    Authorization {
        /// The header.
        header: String,
        /// How it is carried.
        scheme: Scheme,
    },
    /// A header that carries a credential by the pack or by convention.
    Header(String),
    /// A header that nobody knows, with a value that looks random.
    UnknownHeader(String),
    /// A cookie, by name.
    Cookie(String),
    /// The URL outside its query: user information, or a known shape of credential in the path.
    UserInfo,
    /// A query parameter; behind a blank, where inside its value.
    Query(String),
    /// A named key in the body.
    BodyKey(String),
    /// A known shape of credential in the body.
    BodyShape(String),
    /// A word that is only compared with known fingerprints: of the body by its path (`$...`), or of a part
    /// of the head that is no position (`header x`, `query x`, `path`).
    BodyWord(String),
}

impl Place {
    /// Returns whether it stands in the body.
    #[must_use]
    pub fn is_in_body(&self) -> bool {
        match self {
            Self::BodyKey(_) | Self::BodyShape(_) => true,
            Self::BodyWord(path) => path.starts_with('$'),
            Self::Authorization { .. }
            | Self::Header(_)
            | Self::UnknownHeader(_)
            | Self::Cookie(_)
            | Self::UserInfo
            | Self::Query(_) => false,
        }
    }

    /// Returns whether whatever stands here is a credential, whatever it looks like.
    /// The opposite are words of a body that are only compared with what is known.
    #[must_use]
    pub const fn is_position(&self) -> bool {
        match self {
            Self::BodyWord(_) => false,
            Self::Authorization { .. }
            | Self::Header(_)
            | Self::UnknownHeader(_)
            | Self::Cookie(_)
            | Self::UserInfo
            | Self::Query(_)
            | Self::BodyKey(_)
            | Self::BodyShape(_) => true,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorization { header, .. } => write!(f, "header {header}"),
            Self::Header(name) | Self::UnknownHeader(name) => write!(f, "header {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::UserInfo => f.write_str("user information or path of the URL"),
            Self::Query(key) => write!(f, "query {key}"),
            Self::BodyKey(path) | Self::BodyShape(path) => write!(f, "body {path}"),
            Self::BodyWord(path) if self.is_in_body() => write!(f, "body {path}"),
            Self::BodyWord(path) => f.write_str(path),
        }
    }
}

/// Something that stands where a credential stands.
pub struct Sighting {
    /// Where.
    pub place: Place,
    /// What; wiped on drop.
    pub bytes: Zeroizing<Vec<u8>>,
}

// What was seen is a secret.
impl fmt::Debug for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sighting")
            .field("place", &self.place)
            .field("len_bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// What was found so far.
pub(super) struct Collector<'p> {
    pub(super) positions: &'p Positions,
    pub(super) words: Words,
    found: Vec<Sighting>,
    seen: usize,
}

impl<'p> Collector<'p> {
    fn new(positions: &'p Positions) -> Self {
        Self { positions, words: Words::default(), found: Vec::new(), seen: 0 }
    }

    /// Notes something at a position. Nothing is no credential.
    pub(super) fn see(&mut self, place: Place, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.seen = self.seen.saturating_add(1);
        if self.found.len() < SIGHTINGS_MAX {
            self.found.push(Sighting { place, bytes: Zeroizing::new(bytes.to_vec()) });
        }
    }

    /// Returns how often something was seen at a position.
    pub(super) const fn positions_seen(&self) -> usize {
        self.seen
    }

    /// Adds one more sighting when there were more than are told apart.
    fn close(&mut self, place: Place) {
        if self.seen > self.found.len() && self.found.len() == SIGHTINGS_MAX {
            let bytes = Zeroizing::new(TOO_MANY.as_bytes().to_vec());
            self.found.push(Sighting { place, bytes });
        }
    }
}

const TOO_MANY: &str = "more places than are looked through";

/// Returns everything in a request that stands where a credential stands, and the words that are compared
/// with known credentials.
#[must_use]
pub fn sightings(request: &RequestView, positions: &Positions) -> Vec<Sighting> {
    let mut out = Collector::new(positions);
    target::look(request, &mut out);
    for (name, value) in &request.headers {
        header::look(name, value, &mut out);
    }
    out.close(Place::Header(TOO_MANY.to_owned()));
    content::body(request, &mut out);
    out.close(Place::BodyShape(format!("$ ({TOO_MANY})")));
    let mut found = out.found;
    found.extend(out.words.into_sightings());
    found
}

/// Returns the request with every credential of its head taken out: headers, cookies, query. The query
/// and the headers that stay are as they were.
#[must_use]
pub fn without_credentials(request: &RequestView, positions: &Positions) -> RequestView {
    let mut out = Collector::new(positions);
    let headers = request
        .headers
        .iter()
        .filter(|(name, value)| !header::is_taken_out(name, value, &mut out))
        .cloned()
        .collect();
    let query = request.query.as_deref().and_then(|query| target::query_without(query, &mut out));
    RequestView { query, headers, ..request.clone() }
}
