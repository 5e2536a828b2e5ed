//! Bodies: read in one way only, to be sent on; and in every way, to tell what could become of them.

mod encoding;
mod form;
pub mod json;
mod multipart;
mod ways;

pub use encoding::{BODY_JUDGED_BYTES_MAX, decode};
pub(crate) use encoding::{text, texts_by_charset, unpack};
pub use form::{PAIRS_MAX, encode_pairs, pairs};
pub use json::Json;
pub(crate) use multipart::{FormPart, multipart};
pub(crate) use ways::ways;

use crate::judge::RequestView;

/// What a content type says that a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// No content type, or several.
    Unsaid,
    /// JSON.
    Json,
    /// A form in the manner of a URL's query.
    Form,
    /// A GraphQL document.
    Graphql,
    /// Parts with a boundary.
    Multipart,
    /// Plain text.
    Text,
    /// Anything else; opaque.
    Other,
}

impl ContentType {
    /// Returns what the request says. Parameters but the charset do not matter.
    #[must_use]
    pub fn of(request: &RequestView) -> Self {
        let mut values = request.header("content-type");
        let (Some(value), None) = (values.next(), values.next()) else { return Self::Unsaid };
        let essence = String::from_utf8_lossy(value);
        let essence = essence.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "" => Self::Unsaid,
            "application/json" | "text/json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            "application/graphql" => Self::Graphql,
            "text/plain" => Self::Text,
            other if other.ends_with("+json") => Self::Json,
            other if other.starts_with("multipart/") => Self::Multipart,
            _ => Self::Other,
        }
    }
}
