//! What was found out about one statement before it runs.

use std::sync::Arc;

use killick_model::Effect;
use serde::{Deserialize, Serialize};

/// One statement, judged.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that the engine must know")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What it does, worst first; never empty.
    pub touches: Vec<Touch>,
    /// What the engine must know to carry it.
    pub kind: Kind,
    /// Whether a transaction of the gateway's can be put around it.
    pub wrapping: Wrapping,
    /// Whether a bind value could make it worse than judged; then it is judged again with the values.
    pub values_matter: bool,
    /// Whether an integer in the text was looked at: another one could be judged otherwise.
    pub literals_matter: bool,
    /// Whether nothing but relations without rules, triggers or row security and built-in functions that
    /// cannot write stands in it, so that the server need not be told to refuse writes once more.
    pub plainly_read: bool,
    /// Whether it locks rows (FOR UPDATE), which a read-only transaction refuses.
    pub locks: bool,
    /// The rows that it changes directly, when it is one INSERT, UPDATE, DELETE or MERGE at the top.
    pub change: Option<Change>,
}

/// One effect on one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    /// The kind of deed; policies name it `postgres.WORD`.
    pub group: Group,
    /// How bad.
    pub effect: Effect,
    /// Whether no inverse statement brings it back.
    pub irreversible: bool,
    /// What it is done to.
    pub object: SqlObject,
    /// The columns of it that lose their values, when it is not the whole of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnLoss>,
    /// Whether a table is emptied or altered in the body of a function or a DO block: what its name means by then, nobody
    /// has looked up. What is dropped there is missed by its number when the transaction ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_body: bool,
    /// Why it was judged so, in one sentence.
    pub why: String,
}

/// A column that loses its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnLoss {
    /// Its name.
    pub name: String,
    /// Whether the column itself goes; otherwise its values are rewritten.
    pub dropped: bool,
}

/// An object of a database.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SqlObject {
    /// `table`, `view`, `schema`, `database`, `role`, `function`, `setting`, `server`, `file`, …
    pub kind: String,
    /// The qualified name as the server knows it (`public.orders`); empty when it is not named.
    pub name: String,
    /// The catalogue's number for it, when it is there.
    pub oid: Option<u32>,
}

/// Kinds of deeds, as policies name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Rows are read.
    Select,
    /// Rows are added.
    Insert,
    /// Rows are changed.
    Update,
    /// Rows are removed.
    Delete,
    /// Rows are merged.
    Merge,
    /// A table is emptied.
    Truncate,
    /// COPY from the client into a table.
    CopyIn,
    /// COPY to the client.
    CopyOut,
    /// A file of the server or a program is read or written.
    ServerFile,
    /// An object is made.
    Create,
    /// An object is changed.
    Alter,
    /// An object is dropped.
    Drop,
    /// An object, a role or a database is renamed or moved.
    Rename,
    /// Code that runs later is made or changed: functions, triggers, rules, event triggers, policies.
    Code,
    /// Rights are given or taken.
    Privilege,
    /// Roles are made, changed, dropped, taken on.
    Role,
    /// The server's or a database's configuration.
    Configure,
    /// The session's own settings.
    Setting,
    /// Protection is switched off or on: row security, constraints, triggers, replication role.
    Protection,
    /// A function or procedure is called for its effect.
    Call,
    /// Large objects.
    LargeObject,
    /// Another server is reached: dblink, foreign tables, subscriptions.
    Remote,
    /// Locks are taken beyond those of the statement.
    Lock,
    /// VACUUM, ANALYZE, REINDEX, CLUSTER, CHECKPOINT, REFRESH.
    Maintain,
    /// LISTEN, NOTIFY, UNLISTEN.
    Notify,
    /// Other sessions are cancelled or ended, replication slots moved.
    Backend,
    /// Transaction control.
    Transaction,
    /// The gateway's own word for the end of a transaction with its measured rows.
    Commit,
    /// Nobody can say.
    Unrecognized,
}

impl Group {
    /// Returns whether it is a deed on rows of tables and nothing else, reading among them.
    #[must_use]
    pub const fn is_of_rows(self) -> bool {
        matches!(
            self,
            Self::Select
                | Self::Insert
                | Self::Update
                | Self::Delete
                | Self::Merge
                | Self::Truncate
        )
    }

    /// Every group.
    pub const ALL: [Self; 29] = [
        Self::Select,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Merge,
        Self::Truncate,
        Self::CopyIn,
        Self::CopyOut,
        Self::ServerFile,
        Self::Create,
        Self::Alter,
        Self::Drop,
        Self::Rename,
        Self::Code,
        Self::Privilege,
        Self::Role,
        Self::Configure,
        Self::Setting,
        Self::Protection,
        Self::Call,
        Self::LargeObject,
        Self::Remote,
        Self::Lock,
        Self::Maintain,
        Self::Notify,
        Self::Backend,
        Self::Transaction,
        Self::Commit,
        Self::Unrecognized,
    ];

    /// Returns the word behind `postgres.`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Merge => "merge",
            Self::Truncate => "truncate",
            Self::CopyIn => "copyIn",
            Self::CopyOut => "copyOut",
            Self::ServerFile => "serverFile",
            Self::Create => "create",
            Self::Alter => "alter",
            Self::Drop => "drop",
            Self::Rename => "rename",
            Self::Code => "code",
            Self::Privilege => "privilege",
            Self::Role => "role",
            Self::Configure => "configure",
            Self::Setting => "setting",
            Self::Protection => "protection",
            Self::Call => "call",
            Self::LargeObject => "largeObject",
            Self::Remote => "remote",
            Self::Lock => "lock",
            Self::Maintain => "maintain",
            Self::Notify => "notify",
            Self::Backend => "backend",
            Self::Transaction => "transaction",
            Self::Commit => "commit",
            Self::Unrecognized => "unrecognized",
        }
    }
}

/// What carries a statement must know of it beside its effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sent as it is.
    Plain,
    /// BEGIN or START TRANSACTION.
    Begin {
        /// `READ ONLY` or `READ WRITE` when said.
        read_only: Option<bool>,
    },
    /// COMMIT or END.
    Commit {
        /// `AND CHAIN`.
        chain: bool,
    },
    /// ROLLBACK or ABORT of the whole transaction.
    Rollback {
        /// `AND CHAIN`.
        chain: bool,
    },
    /// PREPARE TRANSACTION.
    PrepareTransaction,
    /// SAVEPOINT.
    Savepoint {
        /// Its name.
        name: String,
    },
    /// ROLLBACK TO.
    RollbackTo {
        /// Its name.
        name: String,
    },
    /// RELEASE.
    Release {
        /// Its name.
        name: String,
    },
    /// SQL-level PREPARE; the effects are those of running it.
    Prepare {
        /// Its name.
        name: String,
        /// What EXECUTE will do.
        inner: Arc<Judged>,
    },
    /// SQL-level EXECUTE of a statement that the session state knows.
    Execute {
        /// Its name.
        name: String,
    },
    /// DEALLOCATE; `None` means all.
    Deallocate {
        /// Its name.
        name: Option<String>,
    },
    /// DECLARE CURSOR; the effects are those of fetching everything.
    Declare {
        /// Its name.
        name: String,
    },
    /// COPY FROM STDIN: the client will send rows.
    CopyIn,
    /// COPY TO STDOUT.
    CopyOut,
    /// SET, RESET, DISCARD, `set_config` at the top: changes settings of the session.
    Session {
        /// The settings, lower case; empty for all.
        settings: Vec<String>,
        /// Whether transactions that do not say otherwise only read from here on, where the statement says that.
        reads_only: Option<bool>,
    },
}

/// Whether a transaction of the gateway's can stand around a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrapping {
    /// It runs in a transaction as it runs without.
    Fits,
    /// It refuses to run in a transaction (VACUUM, CREATE DATABASE, CONCURRENTLY): judged before, alone.
    Refuses,
    /// It may run its own COMMIT (CALL, DO): inside a transaction that fails, outside it cannot be held.
    MayCommit,
    /// It is transaction control itself.
    Control,
}

/// The direct change of rows by one top-level statement, for estimates and before-images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Insert, Update, Delete or Merge.
    pub group: Group,
    /// The catalogue's number of the table.
    pub table: u32,
    /// The alias under which the statement speaks of it, or its name.
    pub alias: String,
    /// Whether the predicate holds it to a few rows by a unique key.
    pub by_key: bool,
    /// Whether the statement has a RETURNING list of its own.
    pub returning: bool,
    /// Columns that an UPDATE sets.
    pub columns: Vec<String>,
}
