//! What a head must not say, whatever version of HTTP carried it.

use std::net::Ipv4Addr;

use killick_model::Code;

use super::Violation;
use super::gate::{HEADERS_MAX, TARGET_BYTES_MAX};
use crate::body::{self, ContentType, Json};
use crate::judge::RequestView;

/// The longest host name (RFC 1035).
const HOST_BYTES_MAX: usize = 253;
/// The longest label of a host name (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;
/// The port of TLS when none is written.
const PORT_TLS: u16 = 443;
/// The port of plain HTTP when none is written.
const PORT_PLAIN: u16 = 80;

/// The host and port that a connection was opened for: the CONNECT target and SNI, or the
/// declared upstream of a reverse-proxy path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The host, lower case.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Authority {
    /// Parses `host` or `host:port`; with a default port of 0 the port must be written.
    ///
    /// A host is an exact ASCII DNS name, or an IPv4 address in its one canonical spelling: who may be
    /// reached is decided by what is declared, and only one spelling can be compared.
    ///
    /// # Errors
    /// It is an address in any other spelling, or has user information, an escape, a trailing dot, or
    /// characters that no host name has.
    pub fn parse(raw: &str, default_port: u16) -> Result<Self, Violation> {
        let malformed = |because: &str| Violation::new(Code::MalformedHead, because);
        if raw.contains('@') {
            return Err(malformed("user information stands before the host"));
        }
        if raw.contains(['[', ']']) || raw.matches(':').count() > 1 {
            return Err(Violation::new(Code::ForbiddenAddress, "the host is an IPv6 address"));
        }
        let (host, port) = match raw.split_once(':') {
            Some((host, digits)) => (host, port(digits)),
            None => (raw, Some(default_port).filter(|port| *port != 0)),
        };
        let port = port.ok_or_else(|| malformed("there is no port, or it is not a port"))?;
        let host = host.to_ascii_lowercase();
        if !(1..=HOST_BYTES_MAX).contains(&host.len()) || !host.split('.').all(is_label) {
            return Err(malformed("the host is no plain DNS name"));
        }
        if ends_in_number(&host) && !is_canonical_ipv4(&host) {
            return Err(Violation::new(
                Code::ForbiddenAddress,
                "the host is an address in an unusual spelling",
            ));
        }
        Ok(Self { host, port })
    }
}

fn port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse::<u16>().ok().filter(|port| plain && *port != 0)
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && !label.starts_with(['-', '_'])
        && !label.ends_with('-')
}

/// Returns whether URL libraries would read the host as an IPv4 address (WHATWG URL, "ends in a number").
fn ends_in_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    last.bytes().all(|b| b.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_canonical_ipv4(host: &str) -> bool {
    host.parse::<Ipv4Addr>().is_ok_and(|address| address.to_string() == host)
}

/// Methods that are passed on. What they do is judged elsewhere.
const METHODS: [&str; 15] = [
    "GET",
    "HEAD",
    "OPTIONS",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "PROPFIND",
    "PROPPATCH",
    "REPORT",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
];

/// Headers that tell a server to take another method or path than the one that was judged.
const OVERRIDES: [&str; 14] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-method",
    "x-original-method",
    "x-forwarded-method",
    "x-original-url",
    "x-original-uri",
    "x-original-path",
    "x-rewrite-url",
    "x-rewrite-uri",
    "x-rewrite-path",
    "x-override-url",
    "x-override-uri",
];

/// Keys of a query or a body that tell a server to take another method.
const OVERRIDE_KEYS: [&str; 5] =
    ["_method", "_httpmethod", "_method_override", "x-http-method-override", "x-method-override"];

/// What a client may write into `Connection`. Anything else would take a header out of the request
/// behind the judgement's back.
const CONNECTION_OPTIONS: [&str; 6] =
    ["close", "keep-alive", "te", "upgrade", "http2-settings", "proxy-connection"];

/// Headers whose second line one server would drop and another would believe.
const ONCE: [&str; 6] =
    ["content-length", "content-type", "content-encoding", "transfer-encoding", "expect", "range"];

/// Checks what a request says against the connection it came on.
///
/// # Errors
/// Host and connection differ, the path is ambiguous, a header, query or form overrides the method or
/// the path, or the protocol is to be switched.
pub fn check(request: &RequestView, connection: &Authority) -> Result<(), Violation> {
    check_method(&request.method)?;
    let query_bytes = request.query.as_ref().map_or(0, String::len);
    if request.path.len().saturating_add(query_bytes) > TARGET_BYTES_MAX {
        return Err(malformed("the request target is too long"));
    }
    check_headers(request)?;
    check_host(request, connection)?;
    check_path(&request.path)?;
    if let Some(query) = &request.query {
        check_query(query)?;
    }
    check_body(request)
}

fn malformed(because: impl Into<String>) -> Violation {
    Violation::new(Code::MalformedHead, because)
}

fn ambiguous(because: &str) -> Violation {
    Violation::new(Code::AmbiguousPath, because)
}

fn check_method(method: &str) -> Result<(), Violation> {
    if METHODS.contains(&method) {
        return Ok(());
    }
    match method {
        "TRACE" | "TRACK" | "CONNECT" => Err(Violation::new(
            Code::UnsupportedProtocol,
            format!("the method {method} is not passed on"),
        )),
        _ => Err(malformed("the method is not one of those that are passed on")),
    }
}

fn check_host(request: &RequestView, connection: &Authority) -> Result<(), Violation> {
    let mismatch =
        || Violation::new(Code::HostMismatch, "the request names another host than its connection");
    if request.host != connection.host || request.port != connection.port {
        return Err(mismatch());
    }
    let mut values = request.header("host");
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(malformed("there is not exactly one Host header"));
    };
    let text = std::str::from_utf8(value).map_err(|_| mismatch())?;
    let standard = if request.tls { PORT_TLS } else { PORT_PLAIN };
    if Authority::parse(text, standard)? == *connection { Ok(()) } else { Err(mismatch()) }
}

fn check_headers(request: &RequestView) -> Result<(), Violation> {
    if request.headers.len() > HEADERS_MAX {
        return Err(malformed(format!("the head has more than {HEADERS_MAX} headers")));
    }
    for (name, value) in &request.headers {
        // An underscore is a hyphen to some servers behind the upstream.
        if name.is_empty() || name.contains('_') || !name.bytes().all(super::is_token_byte) {
            return Err(malformed("a header's name is not a plain token"));
        }
        let text = std::str::from_utf8(value)
            .ok()
            .filter(|text| text.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')))
            .ok_or_else(|| malformed("a header's value holds control or non-ASCII bytes"))?;
        check_header(&name.to_ascii_lowercase(), text)?;
    }
    match ONCE.iter().find(|once| request.header(once).count() > 1) {
        Some(twice) => Err(malformed(format!("the header `{twice}` stands twice"))),
        None => Ok(()),
    }
}

fn check_header(name: &str, value: &str) -> Result<(), Violation> {
    if OVERRIDES.contains(&name) {
        return Err(Violation::new(
            Code::OverrideHeader,
            format!("the header `{name}` changes the method or the path"),
        ));
    }
    let value = value.trim_matches([' ', '\t']);
    match name {
        "upgrade" | "http2-settings" => Err(Violation::new(
            Code::UnsupportedProtocol,
            format!("the header `{name}` switches the protocol"),
        )),
        "trailer" => Err(malformed("trailers are not taken")),
        "te" if !value.eq_ignore_ascii_case("trailers") => Err(malformed("trailers are not taken")),
        "expect" if !value.eq_ignore_ascii_case("100-continue") => {
            Err(malformed("an expectation other than 100-continue"))
        }
        "transfer-encoding" if value != "chunked" => {
            Err(malformed("Transfer-Encoding is not exactly `chunked`"))
        }
        "content-length" if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) => {
            Err(malformed("Content-Length is not one number"))
        }
        "connection" if !value.split(',').all(is_connection_option) => {
            Err(malformed("Connection takes a header out that is not of this hop"))
        }
        _ => Ok(()),
    }
}

fn is_connection_option(option: &str) -> bool {
    let option = option.trim().to_ascii_lowercase();
    option.is_empty() || CONNECTION_OPTIONS.contains(&option.as_str())
}

fn check_path(path: &str) -> Result<(), Violation> {
    if !path.starts_with('/') {
        return Err(ambiguous("the path does not begin with a slash"));
    }
    if !path.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ambiguous("the path holds blanks, control or non-ASCII bytes"));
    }
    if path.contains(['\\', '#', ';', '?', '"', '<', '>', '^', '`', '{', '|', '}']) {
        return Err(ambiguous("the path holds a character that servers read in different ways"));
    }
    if path.contains("//") {
        return Err(ambiguous("the path holds an empty segment"));
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(ambiguous("the path holds a dot segment"));
    }
    let mut decoded = Vec::new();
    for (byte, behind) in
        escapes(path).ok_or_else(|| ambiguous("an escape in the path is broken"))?
    {
        let twice = byte == b'%' && behind.get(..2).is_some_and(is_hex);
        // Letters and digits are never escaped but to get past somebody who compares.
        if twice
            || byte.is_ascii_control()
            || byte.is_ascii_alphanumeric()
            || b"./\\;".contains(&byte)
        {
            return Err(ambiguous(
                "the path escapes a character that servers read in different ways",
            ));
        }
        decoded.push(byte);
    }
    let text = percent_encoding::percent_decode_str(path).decode_utf8();
    // An overlong or broken sequence may be a slash or a dot to a lenient decoder.
    if text.is_ok_and(|text| !text.chars().any(char::is_control)) {
        Ok(())
    } else {
        Err(ambiguous("the path escapes bytes that are not UTF-8, or control characters"))
    }
}

fn check_query(query: &str) -> Result<(), Violation> {
    if !query.bytes().all(|b| b.is_ascii_graphic()) || query.contains(['#', '\\']) {
        return Err(ambiguous("the query holds blanks, control bytes, a backslash or a fragment"));
    }
    let escapes = escapes(query).ok_or_else(|| ambiguous("an escape in the query is broken"))?;
    if escapes.iter().any(|(byte, _)| *byte == 0) {
        return Err(ambiguous("the query holds an escaped zero byte"));
    }
    for pair in query.split(['&', ';']) {
        let key = pair.split('=').next().unwrap_or_default().replace('+', " ");
        if is_override_key(&percent_encoding::percent_decode_str(&key).decode_utf8_lossy()) {
            return Err(overridden("the query"));
        }
    }
    Ok(())
}

/// Looks for an override among the pairs of a form and the outermost keys of a JSON object. A body
/// that cannot be read is left to the judgement, which takes it for the worst.
fn check_body(request: &RequestView) -> Result<(), Violation> {
    let Ok(decoded) = body::decode(request) else { return Ok(()) };
    let Some(text) = body::text(&decoded) else { return Ok(()) };
    let found = match ContentType::of(request) {
        ContentType::Form => form_overrides(text),
        ContentType::Json => json_overrides(text),
        ContentType::Multipart => text.lines().any(is_override_part),
        ContentType::Unsaid | ContentType::Text | ContentType::Other => {
            form_overrides(text) || json_overrides(text)
        }
        ContentType::Graphql => false,
    };
    if found { Err(overridden("the body")) } else { Ok(()) }
}

fn overridden(place: &str) -> Violation {
    Violation::new(Code::OverrideHeader, format!("{place} changes the method"))
}

fn is_override_key(key: &str) -> bool {
    OVERRIDE_KEYS.iter().any(|known| key.trim().eq_ignore_ascii_case(known))
}

fn form_overrides(text: &str) -> bool {
    text.split(['&', ';']).any(|pair| {
        let key = pair.split('=').next().unwrap_or_default().replace('+', " ");
        is_override_key(&percent_encoding::percent_decode_str(&key).decode_utf8_lossy())
    })
}

fn json_overrides(text: &str) -> bool {
    match Json::parse(text) {
        Ok(Json::Object(fields)) => fields.iter().any(|(key, _)| is_override_key(key)),
        Ok(_) | Err(_) => false,
    }
}

fn is_override_part(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    line.starts_with("content-disposition")
        && line.split(';').any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            name.trim() == "name" && is_override_key(value.trim().trim_matches('"'))
        })
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Returns each escaped byte with the text behind it; `None` when an escape is broken.
fn escapes(text: &str) -> Option<Vec<(u8, &str)>> {
    let mut pieces = text.split('%');
    pieces.next();
    let mut found = Vec::new();
    let mut at = text.find('%').unwrap_or_default();
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| is_hex(digits))?;
        let behind = text.get(at.saturating_add(3)..).unwrap_or_default();
        found.push((u8::from_str_radix(digits, 16).ok()?, behind));
        at = at.saturating_add(piece.len()).saturating_add(1);
    }
    Some(found)
}

/// Headers of one hop, beside `proxy-*`, and those that the gateway writes itself.
const NOT_FORWARDED: [&str; 20] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
    "host",
    "content-length",
    "accept-encoding",
    "max-forwards",
    // Who forwarded what: the gateway speaks for itself.
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "x-host",
    "x-original-host",
    "x-cluster-client-ip",
];

/// Headers in which edge networks name the client's address.
const CLIENT_ADDRESSES: [&str; 5] = [
    "true-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "fastly-client-ip",
    "x-azure-clientip",
];

/// Returns the headers that may be passed on: nothing hop-by-hop, nothing about forwarding, no host,
/// no length, nothing that was meant for the gateway.
#[must_use]
pub fn forwarded_headers(request: &RequestView) -> Vec<(String, Vec<u8>)> {
    let named: Vec<String> = request
        .header("connection")
        .flat_map(|value| {
            let text = String::from_utf8_lossy(value).to_ascii_lowercase();
            text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()
        })
        .collect();
    request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| is_end_to_end(name) && !named.contains(name))
        .map(|(name, value)| (name, value.clone()))
        .collect()
}

fn is_end_to_end(name: &str) -> bool {
    !NOT_FORWARDED.contains(&name)
        && !CLIENT_ADDRESSES.contains(&name)
        && !["proxy-", "x-forwarded-", "killick-"].iter().any(|prefix| name.starts_with(prefix))
        && name != "x-forwarded"
}

#[cfg(test)]
#[path = "semantic_tests.rs"]
mod tests;
