//! Databases that a human declared, and the recovery points that are taken of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{CallId, EnvironmentName, SessionId, UpstreamName};
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
    /// The role for sessions that may only read.
    pub read_role: Option<String>,
    /// `system_identifier/database oid` as the server said it when the database was added.
    pub identity: Option<String>,
    /// The infrastructure object that holds it, as `UPSTREAM:KIND:ID`.
    pub lives_on: Option<String>,
    /// What the gateway holds every session to.
    pub limits: DatabaseLimits,
    /// Whole-database snapshots.
    pub snapshots: SnapshotPlan,
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
    /// Write-ahead log that one statement may write, in megabytes.
    pub wal_mb_max: u64,
    /// Rows that a statement may be estimated to change before it is even started.
    pub start_rows_max: u64,
    /// Bytes that one capture may hold.
    pub capture_mb_max: u64,
}

impl Default for DatabaseLimits {
    fn default() -> Self {
        Self {
            statement_millis_max: 300_000,
            lock_millis_max: 5_000,
            idle_millis_max: 300_000,
            wal_mb_max: 4_096,
            start_rows_max: 5_000_000,
            capture_mb_max: 2_048,
        }
    }
}

/// When whole-database snapshots are taken, and how long they are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SnapshotPlan {
    /// How often, in milliseconds; `None` only on demand.
    pub every_millis: Option<u64>,
    /// How long a point is kept, in milliseconds.
    pub keep_millis: u64,
    /// The least time between two snapshots taken as obligations, in milliseconds: an earlier one counts.
    pub fresh_millis: u64,
    /// SQL files that a rehearsal runs; each must return no row or rows of `true`.
    pub assertions: Vec<String>,
}

impl Default for SnapshotPlan {
    fn default() -> Self {
        Self {
            every_millis: None,
            keep_millis: 30 * 86_400_000,
            fresh_millis: 15 * 60_000,
            assertions: Vec::new(),
        }
    }
}

/// The name of a recovery point: `p-` and 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PointId(String);

impl PointId {
    /// Returns the name made of 16 random bytes.
    #[must_use]
    pub fn of(random: [u8; 16]) -> Self {
        let mut id = String::with_capacity(34);
        id.push_str("p-");
        for byte in random {
            let _ = fmt::Write::write_fmt(&mut id, format_args!("{byte:02x}"));
        }
        Self(id)
    }

    /// Parses a name.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let hex = raw.strip_prefix("p-")?;
        let good = hex.len() == 32
            && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        good.then(|| Self(raw.to_owned()))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PointId {
    type Error = &'static str;

    fn try_from(raw: String) -> Result<Self, Self::Error> {
        Self::parse(&raw).ok_or("a recovery point is named p- and 32 hex digits")
    }
}

impl From<PointId> for String {
    fn from(id: PointId) -> Self {
        id.0
    }
}

/// What a recovery point holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointKind {
    /// Before-images of rows that a transaction changed or removed, and whole tables or columns that its
    /// DDL would have lost.
    Rows,
    /// The whole database.
    Snapshot,
}

/// A recovery point before it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointAbout {
    /// What it holds.
    pub kind: PointKind,
    /// Of which database.
    pub database: UpstreamName,
    /// The server's own identity of it.
    pub identity: Option<String>,
    /// Where that lives.
    pub environment: EnvironmentName,
    /// The call that it makes survivable.
    pub call: Option<CallId>,
    /// The session of that call.
    pub session: Option<SessionId>,
    /// When it was begun.
    pub taken: UnixMillis,
    /// When it may be removed.
    pub keep_until: UnixMillis,
}

/// A recovery point that is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointInfo {
    /// Its name.
    pub id: PointId,
    /// What was said of it when it was begun.
    pub about: PointAbout,
    /// Rows by table.
    pub tables: Vec<(String, u64)>,
    /// What it cannot bring back, in sentences.
    pub not_covered: Vec<String>,
    /// Bytes as stored.
    pub bytes: u64,
    /// The last successful rehearsal.
    pub rehearsed: Option<UnixMillis>,
}
