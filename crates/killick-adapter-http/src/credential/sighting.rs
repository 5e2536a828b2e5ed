//! Finding what stands where a credential stands.

use std::fmt;

use zeroize::Zeroizing;

use crate::judge::RequestView;

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
    /// User information in the URL.
    UserInfo,
    /// A query parameter.
    Query(String),
    /// A named key in the body.
    BodyKey(String),
    /// A known shape of credential in the body.
    BodyShape(String),
    /// A word of the body that is only compared with known fingerprints.
    BodyWord(String),
}

impl Place {
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
            Self::UserInfo => f.write_str("user information in the URL"),
            Self::Query(key) => write!(f, "query {key}"),
            Self::BodyKey(path) | Self::BodyShape(path) | Self::BodyWord(path) => {
                write!(f, "body {path}")
            }
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

/// Returns everything in a request that stands where a credential stands.
#[must_use]
pub fn sightings(_request: &RequestView, _positions: &Positions) -> Vec<Sighting> {
    Vec::new()
}

/// Returns the request with every credential of its head taken out: headers, cookies, query.
#[must_use]
pub fn without_credentials(request: &RequestView, _positions: &Positions) -> RequestView {
    RequestView { headers: Vec::new(), query: None, ..request.clone() }
}
