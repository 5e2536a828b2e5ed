//! Databases that a human declared.

use serde::{Deserialize, Serialize};

use crate::id::{EnvironmentName, UpstreamName};
use crate::object::ObjectRef;
use crate::time::UnixMillis;

/// How the gateway makes sure that it speaks to the server it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum DatabaseTls {
    /// No TLS: only over loopback or a network that the owner vouches for.
    Off,
    /// The certificate must be good for the host name, by the system's roots and the configured ones.
    Verify,
    /// The certificate must be this one: SHA-256 of its DER form, in hex, seen when the database was added.
    Pinned {
        /// 64 hex digits.
        sha256: String,
    },
}

/// A database as a human declared it. Its name is that of its upstream; its password lies in the vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its name, also the name that agents connect to.
    pub name: UpstreamName,
    /// The server's host name or address.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// The database's name at the server.
    pub database: String,
    /// The user that the gateway logs in as.
    pub user: String,
    /// How the server is known.
    pub tls: DatabaseTls,
    /// Whether the server may lie on loopback or in a private network.
    pub private_address: bool,
    /// Where it lives, as the human said.
    pub environment: EnvironmentName,
    /// The role that agents' sessions run as; `None` runs them as the user itself.
    pub role: Option<String>,
    /// The role that a session of another environment reads as, where a human grants it; `None` lets none in.
    #[serde(default)]
    pub read_role: Option<String>,
    /// What the gateway holds every session to.
    pub limits: DatabaseLimits,
    /// The object of another upstream that its files lie on, as the human said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lives_on: Option<ObjectRef>,
    /// When it was added.
    pub added: UnixMillis,
}

/// What the gateway holds every session of a database to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseLimits {
    /// `statement_timeout`, in milliseconds.
    pub statement_millis_max: u64,
    /// `lock_timeout`, in milliseconds.
    pub lock_millis_max: u64,
    /// `idle_in_transaction_session_timeout`, in milliseconds.
    pub idle_millis_max: u64,
    /// Bytes of its write-ahead log that the server may write while a transaction that changes something is open; 0 for any.
    pub wal_bytes_max: u64,
}

impl Default for DatabaseLimits {
    fn default() -> Self {
        Self {
            statement_millis_max: 300_000,
            lock_millis_max: 5_000,
            idle_millis_max: 300_000,
            wal_bytes_max: 16 << 30,
        }
    }
}
