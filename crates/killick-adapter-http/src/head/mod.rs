//! The strict check of a request's head, on raw bytes and before any library sees them.

mod gate;
mod lines;
mod semantic;

pub use gate::{HEAD_BYTES_MAX, HEADERS_MAX, HeadGate, Leg, TARGET_BYTES_MAX};
pub use semantic::{Authority, check, forwarded_headers};

use killick_model::{Code, Refusal};

/// Why a head is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {because}")]
pub struct Violation {
    /// Which kind.
    pub code: Code,
    /// What was found; no value of a header.
    pub because: String,
}

impl Violation {
    pub(crate) fn new(code: Code, because: impl Into<String>) -> Self {
        Self { code, because: because.into() }
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self::new(violation.code, violation.because)
    }
}

/// Returns whether a byte may stand in the name of a header.
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`'
            | b'|' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z'
    )
}
