//! Credentials in headers.

use super::authorization;
use super::content;
use super::names::{self, HeaderName};
use super::shape;
use super::sighting::{Collector, Place, Scheme};
use super::target;

/// Looks at one header line.
pub(super) fn look(name: &str, value: &[u8], out: &mut Collector<'_>) {
    let name = name.to_ascii_lowercase();
    if let Some(found) = shape::known_shape(&name) {
        out.see(Place::UnknownHeader(names::shown(&name)), found.as_bytes());
    }
    match name.as_str() {
        "authorization" | "proxy-authorization" => {
            for (scheme, bytes) in authorization::parts(value) {
                out.see(Place::Authorization { header: name.clone(), scheme }, &bytes);
            }
        }
        "cookie" | "cookie2" => cookies(value, out),
        _ => other(&name, value, out),
    }
}

/// Returns whether the whole header is taken out.
pub(super) fn is_taken_out(name: &str, value: &[u8], out: &mut Collector<'_>) -> bool {
    let name = name.to_ascii_lowercase();
    if matches!(name.as_str(), "authorization" | "proxy-authorization" | "cookie" | "cookie2")
        || is_key(&name, out)
    {
        return true;
    }
    let before = out.positions_seen();
    look(&name, value, out);
    out.positions_seen() > before
}

fn is_key(name: &str, out: &Collector<'_>) -> bool {
    out.positions.headers.iter().any(|known| known.eq_ignore_ascii_case(name))
        || names::header_name(name) == HeaderName::Key
}

fn other(name: &str, value: &[u8], out: &mut Collector<'_>) {
    let likely = names::header_name(name) == HeaderName::Likely
        && !shape::is_wordlike(&String::from_utf8_lossy(value));
    if likely || is_key(name, out) {
        for (_, bytes) in key_parts(value) {
            out.see(Place::Header(names::shown(name)), &bytes);
        }
        return;
    }
    let text = String::from_utf8_lossy(value);
    let text = text.trim();
    let random = match names::header_name(name) {
        HeaderName::Free | HeaderName::Key | HeaderName::Likely => false,
        HeaderName::Identifier => !is_identifier(text) && shape::looks_random(text),
        HeaderName::Unknown => text.split_ascii_whitespace().any(shape::looks_random),
    };
    if random || looks_like_authorization(text) {
        for (_, bytes) in key_parts(value) {
            out.see(Place::UnknownHeader(names::shown(name)), &bytes);
        }
        return;
    }
    for found in shape::known_shapes(text) {
        out.see(Place::Header(names::shown(name)), found.as_bytes());
    }
    // Addresses of pages carry queries, and queries carry credentials.
    if matches!(name, "referer" | "origin" | "destination") {
        target::address(text, &|| Place::Header(name.to_owned()), out);
    }
    let shown = names::shown(name);
    out.words.take(text, &|| format!("header {shown}"));
}

fn is_identifier(text: &str) -> bool {
    shape::is_uuid(text) || (text.len() <= 32 && text.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A value with the word `Bearer` or the like before it says itself what it is.
fn looks_like_authorization(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let scheme = words.next().unwrap_or_default().trim_end_matches(':');
    let (Some(token), None) = (words.next(), words.next()) else { return false };
    ["bearer", "basic"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
        && content::is_plausible(token)
        && !token.contains(['/', ';'])
}

/// Takes `Bearer TOKEN` apart where a header carries the bare credential.
fn key_parts(value: &[u8]) -> Vec<(Scheme, zeroize::Zeroizing<Vec<u8>>)> {
    let whole = |value: &[u8]| vec![(Scheme::Other, zeroize::Zeroizing::new(value.to_vec()))];
    let value = value.trim_ascii();
    let has_scheme = value.contains(&b' ');
    match value {
        b"" => Vec::new(),
        _ if has_scheme => authorization::parts(value),
        _ => whole(value),
    }
}

fn cookies(value: &[u8], out: &mut Collector<'_>) {
    for pair in value.split(|byte| *byte == b';') {
        let pair = pair.trim_ascii();
        if pair.is_empty() {
            continue;
        }
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => {
                let (name, rest) = pair.split_at_checked(at).unwrap_or((pair, b""));
                (name.trim_ascii(), rest.get(1..).unwrap_or_default().trim_ascii())
            }
            // Without a name it is a value.
            None => (&b""[..], pair),
        };
        out.words.take(&String::from_utf8_lossy(name), &|| "header cookie".to_owned());
        let name = cookie_name(name, out);
        out.see(Place::Cookie(name), value);
    }
}

/// The most bytes of a cookie's name that is repeated.
const COOKIE_NAME_BYTES_MAX: usize = 256;

/// Returns the name as it is, for the cookie may be kept; a name that is itself a credential is seen too.
fn cookie_name(name: &[u8], out: &mut Collector<'_>) -> String {
    let token = name.len() <= COOKIE_NAME_BYTES_MAX
        && name.iter().all(|byte| crate::head::is_token_byte(*byte));
    let text = String::from_utf8_lossy(name).into_owned();
    match shape::known_shape(&text) {
        Some(found) => {
            out.see(Place::Cookie("(unnamed)".to_owned()), found.as_bytes());
            "(unnamed)".to_owned()
        }
        None if token => text,
        None => "(unnamed)".to_owned(),
    }
}
