//! Fresh identifiers and tokens.

use killick_model::{CallId, PendingId, PointId, RequestId, SessionId};
use zeroize::Zeroizing;

/// Bytes of randomness in a session token.
pub const TOKEN_BYTES: usize = 32;

/// The system gives no randomness; nothing can be issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no randomness")]
pub struct NoRandomness;

fn hex<const N: usize>(prefix: &str) -> Result<Zeroizing<String>, NoRandomness> {
    let mut bytes = Zeroizing::new([0_u8; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| NoRandomness)?;
    let mut text = Zeroizing::new(String::with_capacity(128));
    text.push_str(prefix);
    for byte in bytes.iter() {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    Ok(text)
}

/// Fills bytes with randomness.
///
/// # Errors
/// The system gives none.
pub fn fill(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    getrandom::fill(bytes).map_err(|_| NoRandomness)
}

/// Returns a fresh session token: `ksess_` and 64 hex digits.
///
/// # Errors
/// The system gives no randomness.
pub fn session_token() -> Result<Zeroizing<String>, NoRandomness> {
    hex::<TOKEN_BYTES>("ksess_")
}

/// Returns a fresh grant id.
///
/// # Errors
/// The system gives no randomness.
pub fn grant_id() -> Result<String, NoRandomness> {
    Ok(hex::<6>("g-")?.to_string())
}

macro_rules! fresh {
    ($(#[$doc:meta])* $name:ident, $type:ident, $prefix:literal, $bytes:literal) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// The system gives no randomness.
        pub fn $name() -> Result<$type, NoRandomness> {
            $type::parse(&hex::<$bytes>($prefix)?).map_err(|_| NoRandomness)
        }
    };
}

fresh!(
    /// Returns a fresh session id.
    session_id, SessionId, "s-", 8
);
fresh!(
    /// Returns a fresh request id.
    request_id, RequestId, "r-", 5
);
fresh!(
    /// Returns a fresh id for a parked call.
    pending_id, PendingId, "p-", 5
);
fresh!(
    /// Returns a fresh id for a recovery point.
    point_id, PointId, "k-", 10
);
fresh!(
    /// Returns a fresh call id.
    call_id, CallId, "c-", 10
);

/// Returns the hash under which a session token is kept.
#[must_use]
pub fn token_hash(token: &[u8]) -> crate::ports::TokenHash {
    use sha2::Digest as _;
    sha2::Sha256::digest(token).into()
}
