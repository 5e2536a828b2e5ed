//! Where policies are kept: in the store, as one setting, so that they change as a whole.

use killick_gate::ports::{Store, StoreError};
use killick_policy::PolicySource;

use crate::protocol::PolicyText;

/// The setting that holds the policies.
pub const SETTING: &str = "policies";
/// The most bytes of all policy files together, as they are stored.
pub const POLICIES_BYTES_MAX: usize = 60 << 10;

/// Reads the policies in the store; those that Killick ships when none were set.
///
/// # Errors
/// The store failed, or what it holds cannot be read.
pub fn stored(store: &dyn Store) -> Result<Vec<PolicySource>, StoreError> {
    let Some(text) = store.setting(SETTING)? else {
        return Ok(vec![PolicySource::shipped()]);
    };
    let files: Vec<PolicyText> = serde_json::from_str(&text)
        .map_err(|_| StoreError::Failed("the stored policies cannot be read".into()))?;
    Ok(files.into_iter().map(PolicySource::from).collect())
}

/// Writes policies as the store keeps them.
///
/// # Errors
/// They are too long.
pub fn encode(sources: &[PolicyText]) -> Result<String, StoreError> {
    let text = serde_json::to_string(sources)
        .map_err(|_| StoreError::Failed("the policies cannot be written".into()))?;
    if text.len() > POLICIES_BYTES_MAX {
        return Err(StoreError::Budget {
            what: "bytes of all policy files".into(),
            open: text.len(),
            open_max: POLICIES_BYTES_MAX,
        });
    }
    Ok(text)
}
