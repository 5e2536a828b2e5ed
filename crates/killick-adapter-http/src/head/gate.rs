//! A sans-IO filter: raw bytes in, vetted bytes out.

use bytes::{Bytes, BytesMut};
use killick_model::Code;

use super::Violation;

/// The most bytes of one head, the blank line included.
pub const HEAD_BYTES_MAX: usize = 32 << 10;
/// The most header lines of one head.
pub const HEADERS_MAX: usize = 100;
/// The most bytes of a request target.
pub const TARGET_BYTES_MAX: usize = 16 << 10;

/// Which connection the head came on; it says which forms of target fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// The proxy port itself: absolute-form, or CONNECT with authority-form.
    Proxy,
    /// Inside a tunnel or behind the reverse proxy: origin-form.
    Origin,
}

/// Lets only well-formed HTTP/1.1 requests through. Follows each body, so that the next head on
/// the connection is checked too. Where the network cuts makes no difference.
#[derive(Debug)]
pub struct HeadGate {
    pending: BytesMut,
}

impl HeadGate {
    /// Makes a gate for one connection.
    #[must_use]
    pub fn new(_leg: Leg) -> Self {
        Self { pending: BytesMut::new() }
    }

    /// Takes bytes from the connection.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Returns vetted bytes; `None` means push more.
    ///
    /// # Errors
    /// A violation is final: every later pull returns it again.
    pub fn pull(&mut self) -> Result<Option<Bytes>, Violation> {
        Err(Violation::new(Code::MalformedHead, "heads are not checked yet"))
    }

    /// Tells the gate that a CONNECT was accepted: bytes pass from now on as they are. Until then
    /// bytes after a CONNECT are held back.
    pub fn open_tunnel(&mut self) {}

    /// Returns whether a CONNECT head passed and bytes behind it are held back.
    #[must_use]
    pub fn awaits_tunnel(&self) -> bool {
        false
    }
}
