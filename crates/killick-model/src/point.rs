//! Recovery points: what is kept, off-site and sealed, of what a call destroys.

use serde::{Deserialize, Serialize};

use crate::id::{CallId, EnvironmentName, PointId, SessionId, UpstreamName};
use crate::time::UnixMillis;

/// What a recovery point holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointKind {
    /// Rows as they were before one transaction, and as it left them.
    Images,
    /// Whole objects, copied before they were dropped, emptied or altered.
    Copy,
    /// A whole database.
    Snapshot,
}

impl PointKind {
    /// Returns the word for listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Copy => "copy",
            Self::Snapshot => "snapshot",
        }
    }
}

/// What is known of a recovery point before anything is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointHead {
    /// Its id.
    pub id: PointId,
    /// What it holds.
    pub kind: PointKind,
    /// What it was taken of.
    pub upstream: UpstreamName,
    /// Where that lives.
    pub environment: EnvironmentName,
    /// When it was begun.
    pub taken: UnixMillis,
    /// The call that it was taken for; none for a snapshot on demand.
    pub call: Option<CallId>,
    /// The session of that call.
    pub session: Option<SessionId>,
}

/// One stream of bytes in a recovery point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointPart {
    /// Its name, given by whoever took the point.
    pub name: String,
    /// Bytes in clear.
    pub bytes: u64,
}

/// A recovery point that is complete and durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointInfo {
    /// What was known before.
    #[serde(flatten)]
    pub head: PointHead,
    /// Its streams, in order.
    pub parts: Vec<PointPart>,
    /// When it may be removed for age.
    pub expires: UnixMillis,
    /// What whoever took it needs to restore it. Holds names and numbers, no rows.
    pub manifest: serde_json::Value,
}

impl PointInfo {
    /// Returns how many bytes it holds, in clear.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.bytes))
    }
}

/// What an undo is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoAsk {
    /// The recovery point that holds what was destroyed.
    pub point: PointId,
    /// Whether only the plan is wanted.
    #[serde(default)]
    pub dry_run: bool,
    /// Rows that were edited since and are overwritten all the same, as the plan names them (`public.orders id=7`).
    #[serde(default)]
    pub overwrite: Vec<String>,
    /// What happens where other rows were edited since.
    #[serde(default)]
    pub edited: WhenEdited,
    /// Whether the tables' own triggers fire for what is restored.
    #[serde(default)]
    pub fire_triggers: bool,
    /// Whether functions that an agent could have defined may run, as the gateway's login.
    #[serde(default)]
    pub run_functions: bool,
}

/// What an undo does where a row was edited since it was kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenEdited {
    /// Nothing is restored at all.
    #[default]
    Refuse,
    /// The row is left as it is, and the others are restored.
    Skip,
    /// The row is overwritten.
    Overwrite,
}

/// What an undo did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoReport {
    /// Whether it was done; otherwise this is the plan.
    pub done: bool,
    /// Definitions that are made again, as the server's own programs name them.
    #[serde(default)]
    pub definitions: Vec<String>,
    /// Table by table.
    pub tables: Vec<UndoneTable>,
    /// Triggers that do not fire for it, by name.
    pub triggers_held: Vec<String>,
    /// What it does not bring back.
    pub not_covered: Vec<String>,
}

/// What an undo does to one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoneTable {
    /// Its qualified name.
    pub table: String,
    /// Removed rows that come back.
    pub restored: u64,
    /// Changed rows that get their former values.
    pub reverted: u64,
    /// Added rows that go.
    pub removed: u64,
    /// Rows that are as they were already.
    pub already: u64,
    /// Rows that were edited since.
    pub edited: u64,
    /// The first of them, as `--overwrite` names them, with what is in the way.
    pub edited_rows: Vec<String>,
}

impl UndoReport {
    /// Returns how many rows were edited since and are in the way.
    #[must_use]
    pub fn edited(&self) -> u64 {
        self.tables.iter().fold(0, |sum, table| sum.saturating_add(table.edited))
    }
}
