//! Rehearsals: a snapshot was restored somewhere harmless, and looked at.

use serde::{Deserialize, Serialize};

use crate::id::{PointId, UpstreamName};
use crate::point::PointInfo;
use crate::time::UnixMillis;

/// What came of restoring a snapshot into a scratch server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// Of which database.
    pub database: UpstreamName,
    /// Which snapshot.
    pub point: PointId,
    /// When the snapshot was taken.
    pub taken: UnixMillis,
    /// When it was rehearsed.
    pub at: UnixMillis,
    /// How long that took, in milliseconds.
    pub millis: u64,
    /// Tables whose rows were counted and compared with the count when the snapshot was taken.
    pub tables: u64,
    /// Rows in them.
    pub rows: u64,
    /// The user's assertions that held.
    pub assertions: u64,
    /// What did not hold; empty when everything did.
    pub wrong: Vec<String>,
}

impl Rehearsal {
    /// The most things that are named in [`Rehearsal::wrong`].
    pub const WRONG_MAX: usize = 20;

    /// Returns whether everything held.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// The rehearsals of one database that are remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsals {
    /// The last one, however it ended.
    pub last: Option<Rehearsal>,
    /// The last one in which everything held.
    pub passed: Option<Rehearsal>,
}

/// What came of restoring a snapshot beside what it was taken of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// Which snapshot.
    pub point: PointId,
    /// The name of the database that was made for it, at the same server.
    pub into: String,
    /// Tables whose rows were counted and compared with the count when the snapshot was taken.
    pub tables: u64,
    /// Rows in them.
    pub rows: u64,
    /// What is not as it was; empty when everything is.
    pub wrong: Vec<String>,
}

/// How a snapshot or a rehearsal stands that the gateway was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Work {
    /// It goes on.
    Running {
        /// What is being done, for people.
        stage: String,
        /// Bytes of that so far.
        bytes: u64,
    },
    /// A snapshot was taken.
    Taken {
        /// The recovery point.
        point: Box<PointInfo>,
    },
    /// A snapshot was rehearsed.
    Rehearsed {
        /// What came of it.
        rehearsal: Box<Rehearsal>,
    },
    /// A snapshot was restored beside what it was taken of.
    Restored {
        /// What came of it.
        restored: Box<Restored>,
    },
    /// Nothing came of it.
    Failed {
        /// Why, in one sentence.
        why: String,
    },
}
