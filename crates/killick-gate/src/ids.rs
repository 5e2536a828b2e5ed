//! Fresh identifiers and tokens.

use std::cell::RefCell;

use killick_model::{CallId, PendingId, PointId, RequestId, SessionId};
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of randomness in a session token.
pub const TOKEN_BYTES: usize = 32;

/// The system gives no randomness; nothing can be issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no randomness")]
pub struct NoRandomness;

/// Bytes of randomness that each thread takes from the system at a time.
const STOCK_BYTES: usize = 2_048;

struct Stock {
    bytes: [u8; STOCK_BYTES],
    used: usize,
}

thread_local! {
    static STOCK: RefCell<Stock> =
        const { RefCell::new(Stock { bytes: [0; STOCK_BYTES], used: STOCK_BYTES }) };
}

/// Returns bytes of the system's randomness out of a stock that the thread took before: for ids, salts and nonces, of
/// which every call needs some. Keys and tokens are taken from the system when they are made.
///
/// # Errors
/// The system gives none.
pub fn stocked<const N: usize>() -> Result<[u8; N], NoRandomness> {
    const { assert!(N <= STOCK_BYTES) };
    STOCK.with_borrow_mut(|stock| {
        let Stock { bytes, used } = stock;
        if used.saturating_add(N) > STOCK_BYTES {
            // Until it is filled there is nothing to take.
            *used = STOCK_BYTES;
            getrandom::fill(bytes).map_err(|_| NoRandomness)?;
            *used = 0;
        }
        let end = used.saturating_add(N);
        let taken = bytes.get_mut(*used..end).ok_or(NoRandomness)?;
        let out = <[u8; N]>::try_from(&*taken).map_err(|_| NoRandomness)?;
        taken.zeroize();
        *used = end;
        Ok(out)
    })
}

fn hex<const N: usize>(prefix: &str) -> Result<Zeroizing<String>, NoRandomness> {
    let mut bytes = Zeroizing::new([0_u8; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| NoRandomness)?;
    Ok(in_hex(prefix, bytes.as_slice()))
}

fn in_hex(prefix: &str, bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(128));
    text.push_str(prefix);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
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
/// Returns a fresh call id.
///
/// # Errors
/// The system gives no randomness.
pub fn call_id() -> Result<CallId, NoRandomness> {
    CallId::parse(&in_hex("c-", &stocked::<10>()?)).map_err(|_| NoRandomness)
}

/// Returns the hash under which a session token is kept.
#[must_use]
pub fn token_hash(token: &[u8]) -> crate::ports::TokenHash {
    use sha2::Digest as _;
    sha2::Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_bytes_are_given_out_twice() {
        let mut seen = HashSet::new();
        for _ in 0..STOCK_BYTES {
            let bytes = stocked::<10>().unwrap();
            assert_ne!(bytes, [0; 10]);
            assert!(seen.insert(bytes));
        }
        assert_ne!(call_id().unwrap(), call_id().unwrap());
    }
}
