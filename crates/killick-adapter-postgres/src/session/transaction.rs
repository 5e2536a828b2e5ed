//! Where a connection stands between BEGIN and COMMIT, and what was done there.

use std::collections::{BTreeMap, HashSet};

use killick_gate::CarriedYes;
use killick_gate::ports::Damage;
use killick_model::PointId;
use killick_sql::judged::Judged;

use super::call::Said;
use super::epoch::UNSURE;
use super::keep::Keeping;
use super::meaning::Meaning;
use super::wal::Wal;

/// Who opened the transaction that the server is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// No transaction is open.
    Idle,
    /// The gateway opened one around statements that the agent sent without.
    Ours,
    /// The agent opened it.
    Agents,
    /// The agent opened it and it has failed.
    Failed,
}

/// What a transaction did so far.
#[derive(Default)]
pub(crate) struct Work {
    /// Statements that change something, in order.
    pub(crate) said: Vec<Said>,
    /// What was said of them.
    pub(crate) judged: Vec<std::sync::Arc<Judged>>,
    /// What they mean to the gate.
    pub(crate) meanings: Vec<std::sync::Arc<Meaning>>,
    /// Approvals that they ran on.
    pub(crate) carried: Vec<CarriedYes>,
    /// Rows by table and deed, where the server's command tags say all that happened.
    pub(crate) tags: BTreeMap<(u32, Deed), u64>,
    /// Rows that the server had counted before the first statement of which no command tag tells all: it counts on
    /// from transactions that it has not yet reported.
    pub(crate) baseline: Option<BTreeMap<u32, [u64; 3]>>,
    /// Whether constraints may wait for COMMIT.
    pub(crate) deferred: bool,
    /// Relations that were dropped or emptied, by number; 0 for what has none.
    pub(crate) gone: Vec<u32>,
    /// Tables that it is said to have made, by schema and name, not yet looked up.
    pub(crate) claims: HashSet<(String, String)>,
    /// Tables that it made, by number: nobody else sees them.
    pub(crate) made: HashSet<u32>,
    /// What it destroys, once it was counted.
    pub(crate) damage: Damage,
    /// Whether definitions changed.
    pub(crate) ddl: bool,
    /// Whether the agent set a savepoint, or something else numbered a part of the transaction by itself.
    pub(crate) savepoints: bool,
    /// Whether a part of it was rolled back: the server counts on.
    pub(crate) rolled_back: bool,
    /// The recovery point that permits of its statements hang on.
    pub(crate) owed: Option<PointId>,
    /// Why something that it destroyed was not kept.
    pub(crate) not_kept: Option<String>,
    /// What changes whenever a definition does, when they were kept.
    pub(crate) definitions_mark: Option<String>,
    /// What is kept of it so far.
    pub(crate) keeping: Option<Box<Keeping>>,
    /// The epoch of definitions in which command tags were taken for all that was done.
    pub(crate) epoch: Option<u64>,
    /// What it changed of definitions, while its COMMIT is on its way.
    pub(crate) change: Option<super::epoch::Change>,
    /// Whether something that was kept of it was given up.
    pub(crate) keeping_lost: bool,
    /// What it filled of the server's log.
    pub(crate) wal: Wal,
}

/// What is done to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Deed {
    /// Added.
    Insert,
    /// Changed.
    Update,
    /// Removed.
    Delete,
}

impl Work {
    /// Gives up what was kept so far.
    pub(crate) fn lose_keeping(&mut self) {
        self.keeping_lost |= self.keeping.take().is_some();
    }

    /// Returns whether nothing was changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// Adds the server's own count for a statement that touches one table and nothing else, in an epoch of definitions.
    pub(crate) fn count(&mut self, table: u32, deed: Deed, rows: u64, epoch: u64) {
        self.epoch = Some(match self.epoch {
            Some(other) if other != epoch => UNSURE,
            _ => epoch,
        });
        let slot = self.tags.entry((table, deed)).or_default();
        *slot = slot.saturating_add(rows);
    }
}
