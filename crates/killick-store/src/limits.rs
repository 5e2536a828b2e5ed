//! How much the store keeps, whichever engine keeps it.

use killick_gate::ports::StoreError;
use killick_model::request::Pending;

/// Agents that can be registered.
pub const AGENTS_MAX: usize = 1_000;
/// Sessions that are kept. The oldest that ended makes room; when none ended, the next is refused.
pub const SESSIONS_MAX: usize = 10_000;
/// Upstreams that can be declared.
pub const UPSTREAMS_MAX: usize = 1_000;
/// Answered and expired requests that are kept for listings; the record keeps them all.
pub const REQUESTS_DONE_MAX: usize = 1_000;
/// Parked calls that ended and are kept for listings.
pub const PENDINGS_DONE_MAX: usize = 1_000;
/// Grants at one time.
pub const GRANTS_MAX: usize = 1_000;
/// Objects of one session that are remembered as created by it. The oldest is forgotten, which can
/// only make a judgement harsher.
pub const CREATED_PER_SESSION_MAX: usize = 4_096;
/// Databases that can be declared.
pub const DATABASES_MAX: usize = 1_000;
/// How long damage is remembered, in milliseconds.
pub const DAMAGE_KEPT_MILLIS: u64 = 8 * 86_400_000;
/// Named settings.
pub const SETTINGS_MAX: usize = 256;
/// The most bytes of a setting.
pub const SETTING_BYTES_MAX: usize = 64 << 10;

pub(crate) fn check_canonical(canonical: &[u8]) -> Result<(), StoreError> {
    if canonical.len() > Pending::CANONICAL_BYTES_MAX {
        return Err(StoreError::Budget {
            what: "bytes of a parked call".into(),
            open: canonical.len(),
            open_max: Pending::CANONICAL_BYTES_MAX,
        });
    }
    Ok(())
}

pub(crate) fn check_room(what: &str, open: usize, open_max: usize) -> Result<(), StoreError> {
    if open >= open_max {
        return Err(StoreError::Budget { what: what.to_owned(), open, open_max });
    }
    Ok(())
}
