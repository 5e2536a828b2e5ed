//! The lines of one head, by RFC 9110 and RFC 9112, without any of their leniency.

use killick_model::Code;

use super::Violation;
use super::gate::{HEADERS_MAX, Leg, TARGET_BYTES_MAX};

/// How the body behind a head is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// What the gate needs to know of a head that is well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) framing: Framing,
    pub(super) connect: bool,
}

fn malformed(because: impl Into<String>) -> Violation {
    Violation::new(Code::MalformedHead, because)
}

/// Checks a whole head, blank line included.
pub(super) fn check_head(bytes: &[u8], leg: Leg) -> Result<Head, Violation> {
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.is_ascii())
        .ok_or_else(|| malformed("the head holds bytes that are not ASCII"))?;
    let text = text
        .strip_suffix("\r\n\r\n")
        .ok_or_else(|| malformed("a head begins with a blank line"))?;
    let mut lines = text.split("\r\n");
    let connect = check_request_line(lines.next().unwrap_or_default(), leg)?;
    let mut seen = Seen::default();
    for (count, line) in lines.enumerate() {
        if count >= HEADERS_MAX {
            return Err(malformed(format!("the head has more than {HEADERS_MAX} headers")));
        }
        let (name, value) = header(line)?;
        seen.take(name, value)?;
    }
    seen.head(connect)
}

/// Checks method, target and version; returns whether it is a CONNECT.
fn check_request_line(line: &str, leg: Leg) -> Result<bool, Violation> {
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed("the request line is not method, target and version"));
    };
    if method.is_empty() || method.len() > 20 || !method.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(malformed("the method is not an upper-case word"));
    }
    if version != "HTTP/1.1" {
        return Err(Violation::new(Code::UnsupportedProtocol, "the version is not HTTP/1.1"));
    }
    if target.is_empty() || target.len() > TARGET_BYTES_MAX {
        return Err(malformed(format!(
            "the target is empty or longer than {TARGET_BYTES_MAX} bytes"
        )));
    }
    if !target.bytes().all(|b| b.is_ascii_graphic()) || target.contains(['#', '\\', '"', '<', '>'])
    {
        return Err(malformed("the target holds characters that no URL may hold"));
    }
    let connect = method == "CONNECT";
    let fits = match leg {
        Leg::Origin => !connect && target.starts_with('/'),
        Leg::Proxy if connect => authority_form(target),
        Leg::Proxy => absolute_form(target),
    };
    if fits {
        Ok(connect)
    } else {
        Err(malformed("the form of the target does not fit the connection"))
    }
}

fn authority_form(target: &str) -> bool {
    target.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains(['@', '/', '?', ':'])
            && (1..=5).contains(&port.len())
            && port.bytes().all(|b| b.is_ascii_digit())
    })
}

fn absolute_form(target: &str) -> bool {
    // Inside TLS there is CONNECT; `https` in an absolute target would be an order to open TLS ourselves.
    target.strip_prefix("http://").is_some_and(|rest| {
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        !authority.is_empty() && !authority.contains('@')
    })
}

/// Splits a header line by RFC 9110 5.1: a token, a colon, a value of visible characters and blanks.
fn header(line: &str) -> Result<(&str, &str), Violation> {
    let (name, value) =
        line.split_once(':').ok_or_else(|| malformed("a header line has no colon"))?;
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(malformed("a header's name is not a token, or a line is folded"));
    }
    // An underscore is a hyphen to some servers behind the upstream.
    if name.contains('_') {
        return Err(malformed("a header's name holds an underscore"));
    }
    let value = value.trim_matches([' ', '\t']);
    if !value.bytes().all(|b| b == b' ' || b == b'\t' || b.is_ascii_graphic()) {
        return Err(malformed(format!("the value of header `{name}` holds control characters")));
    }
    Ok((name, value))
}

/// The headers that decide about framing and protocol.
#[derive(Default)]
struct Seen {
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
}

impl Seen {
    fn take(&mut self, name: &str, value: &str) -> Result<(), Violation> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("host") {
            self.hosts = self.hosts.saturating_add(1);
            if value.is_empty() {
                return Err(malformed("the Host header is empty"));
            }
        } else if is("content-length") {
            let plain =
                (1..=15).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
            let length = value.parse().ok().filter(|_| plain && self.length.is_none());
            self.length =
                Some(length.ok_or_else(|| malformed("Content-Length is not one number"))?);
        } else if is("transfer-encoding") {
            if self.chunked || value != "chunked" {
                return Err(malformed("Transfer-Encoding is not exactly `chunked`"));
            }
            self.chunked = true;
        } else if is("trailer") || is("te") && value != "trailers" {
            return Err(malformed("trailers are not taken"));
        } else if is("upgrade") || is("http2-settings") {
            return Err(Violation::new(
                Code::UnsupportedProtocol,
                "the connection is asked to switch to another protocol",
            ));
        } else if is("expect") && !value.eq_ignore_ascii_case("100-continue") {
            return Err(malformed("an expectation other than 100-continue"));
        }
        Ok(())
    }

    fn head(&self, connect: bool) -> Result<Head, Violation> {
        if self.hosts != 1 {
            return Err(malformed("there is not exactly one Host header"));
        }
        let framing = match (self.length, self.chunked) {
            (Some(_), true) => {
                return Err(malformed("both Content-Length and Transfer-Encoding are given"));
            }
            (Some(0) | None, false) => Framing::None,
            (Some(length), false) => Framing::Length(length),
            (None, true) => Framing::Chunked,
        };
        if connect && framing != Framing::None {
            return Err(malformed("a CONNECT has no body"));
        }
        Ok(Head { framing, connect })
    }
}
