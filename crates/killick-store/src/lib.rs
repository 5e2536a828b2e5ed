//! Journal, sessions, approvals, secrets: the embedded store.

pub mod journal;
pub mod keys;
pub mod limits;
#[cfg(any(test, feature = "contract"))]
pub mod memory;
pub mod passphrase;
pub mod sqlite;
#[cfg(any(test, feature = "contract"))]
pub mod store_contract;
pub mod vault;

mod database;
mod schema;
mod seal;
mod states;

pub use database::OpenError;
pub use keys::{EnvironmentKey, FileKey, KeyProvider};
pub use passphrase::Passphrase;
pub use sqlite::SqliteStore;
pub use vault::SealedVault;
