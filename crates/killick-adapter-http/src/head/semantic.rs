//! What a head must not say, whatever version of HTTP carried it.

use killick_model::Code;

use super::Violation;
use crate::judge::RequestView;

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
    /// Parses `host` or `host:port`.
    ///
    /// # Errors
    /// It is no plain DNS name: an address in any spelling, punycode, user information, a trailing dot.
    pub fn parse(_raw: &str, _default_port: u16) -> Result<Self, Violation> {
        Err(Violation::new(Code::MalformedHead, "authorities are not parsed yet"))
    }
}

/// Checks what a request says against the connection it came on.
///
/// # Errors
/// Host and connection differ, the path is ambiguous, a header overrides the method or the path,
/// or the protocol is to be switched.
pub fn check(_request: &RequestView, _connection: &Authority) -> Result<(), Violation> {
    Err(Violation::new(Code::MalformedHead, "heads are not checked yet"))
}

/// Returns the headers that may be passed on: nothing hop-by-hop, nothing about forwarding, no host.
#[must_use]
pub fn forwarded_headers(_request: &RequestView) -> Vec<(String, Vec<u8>)> {
    Vec::new()
}
