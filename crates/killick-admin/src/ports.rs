//! What the administration point needs from the wiring: the record to read, packs, proofs to change.

use std::sync::Arc;

use killick_gate::points::Points;
use killick_gate::ports::{ApproverProof, BoxFuture};
use killick_model::admin::Upstream;
use killick_model::database::Database;
use killick_model::explain::Explanation;
use killick_model::point::{UndoAsk, UndoReport};
use killick_model::readiness::{PrepareAsk, Prepared};
use killick_model::rehearsal::{Rehearsals, Work};
use killick_model::{CallId, PointId, Principal, Refusal, SessionId, UpstreamName};
use killick_policy::ActionCatalogue;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// One entry of the record, as people read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordEntry {
    /// Its index.
    pub index: u64,
    /// When it was written, in Unix milliseconds.
    pub time: u64,
    /// Its plain header, as canonical JSON.
    pub entry: serde_json::Value,
    /// Its details, decrypted; absent when there are none or they were erased.
    pub details: Option<serde_json::Value>,
}

/// A signed checkpoint, as people read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointShown {
    /// Which log.
    pub origin: String,
    /// How many entries it covers.
    pub size: u64,
    /// The root of the tree, in base64.
    pub root: String,
    /// The signed note.
    pub note: String,
    /// Where it was published to.
    #[serde(default)]
    pub published: Vec<String>,
}

/// The record could not be read, signed or published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record failed: {0}")]
pub struct ReadRecordError(pub String);

/// The record as the administration point sees it. Calls block for the time of a disk read.
pub trait ReadRecord: Send + Sync {
    /// Returns how many entries there are.
    ///
    /// # Errors
    /// The record failed.
    fn size(&self) -> Result<u64, ReadRecordError>;

    /// Reads entries from an index on, oldest first.
    ///
    /// # Errors
    /// The record failed.
    fn read(&self, from: u64, max: usize) -> Result<Vec<RecordEntry>, ReadRecordError>;

    /// Finds the entries of a call, oldest first.
    ///
    /// # Errors
    /// The record failed.
    fn of_call(&self, call: &CallId, max: usize) -> Result<Vec<RecordEntry>, ReadRecordError>;

    /// Returns the newest signed checkpoint.
    ///
    /// # Errors
    /// The record failed.
    fn checkpoint(&self) -> Result<Option<CheckpointShown>, ReadRecordError>;

    /// Signs a checkpoint over everything and publishes it.
    ///
    /// # Errors
    /// The record failed, or no place took it.
    fn publish(&self) -> Result<CheckpointShown, ReadRecordError>;

    /// Replaces the signing key. Returns the public key to hand to those who verify.
    ///
    /// # Errors
    /// The record failed.
    fn rotate_signing_key(&self) -> Result<String, ReadRecordError>;
}

/// What a pack says of itself, as far as administration needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackInfo {
    /// Its name.
    pub name: String,
    /// The provider's name.
    pub title: String,
    /// The provider's hosts.
    pub hosts: Vec<String>,
    /// The provider's port.
    pub port: u16,
    /// How its credential is put into a call.
    pub inject: String,
    /// The shape of its surrogates.
    pub surrogate: String,
    /// Environment variables in which the provider's clients look for a credential.
    pub variables: Vec<String>,
    /// How many operations it knows.
    pub operations: usize,
}

/// What changes in the rest of the gateway when its configuration does, and what only adapters know.
pub trait Reconfigure: Send + Sync {
    /// Takes in the declared upstreams.
    fn upstreams_changed(&self, upstreams: Vec<Upstream>);

    /// Takes in the declared databases.
    fn databases_changed(&self, databases: Vec<Database>);

    /// Returns the address under which an agent reaches a database; it holds the session's token.
    fn database_address(
        &self,
        session: &SessionId,
        token: &str,
        database: &Database,
    ) -> Zeroizing<String>;

    /// Writes the statements that prepare a declared database's server, and looks at what holds there. `by` is the
    /// human who asks.
    fn database_prepare<'a>(
        &'a self,
        database: &'a Database,
        ask: &'a PrepareAsk,
        by: String,
    ) -> BoxFuture<'a, Result<Prepared, String>>;

    /// Reads what a database's server says exists, for [`Command::DatabaseCatalogue`](crate::protocol::Command).
    fn database_catalogue<'a>(
        &'a self,
        database: &'a Database,
        by: String,
    ) -> BoxFuture<'a, Result<Vec<String>, String>>;

    /// Returns every operation that policies may name.
    fn action_catalogue(&self) -> ActionCatalogue;

    /// Lists the packs.
    fn packs(&self) -> Vec<PackInfo>;

    /// Finds a pack.
    fn pack_info(&self, name: &str) -> Option<PackInfo> {
        self.packs().into_iter().find(|pack| pack.name == name)
    }

    /// Asks the live provider what its pack does not know.
    fn pack_drift<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, String>>;

    /// Puts back what a recovery point holds, or plans it, for a human whose proof was checked.
    fn undo<'a>(
        &'a self,
        ask: &'a UndoAsk,
        by: String,
    ) -> BoxFuture<'a, Result<UndoReport, Refusal>>;

    /// Judges one call without sending it; `None` when the line is no call.
    fn explain(
        &self,
        line: &serde_json::Value,
        principal: Option<&Principal>,
    ) -> Option<Explanation>;
}

/// Recovery points, and what is done with them.
pub trait Recovery: Send + Sync {
    /// Returns where they are kept.
    fn points(&self) -> Arc<dyn Points>;

    /// Replaces the recovery key and wraps the key of every point anew. Returns how many it was.
    fn rotate_key(&self) -> BoxFuture<'_, Result<usize, String>>;

    /// Begins to copy a database whole.
    ///
    /// # Errors
    /// Says why not.
    fn snapshot(&self, database: &UpstreamName, by: String) -> Result<(), String>;

    /// Begins to rehearse a database's latest snapshot; with the configured assertions when none are given.
    fn rehearse<'a>(
        &'a self,
        database: &'a UpstreamName,
        by: String,
        assertions: Option<String>,
    ) -> BoxFuture<'a, Result<(), String>>;

    /// Begins to restore a snapshot beside its database, into one that is made for it.
    fn restore<'a>(
        &'a self,
        database: &'a UpstreamName,
        point: &'a PointId,
        into: String,
        by: String,
    ) -> BoxFuture<'a, Result<(), String>>;

    /// Says how the last of these stands.
    fn work(&self, database: &UpstreamName) -> Option<Work>;

    /// Returns what is remembered of rehearsals.
    fn rehearsals(&self) -> BoxFuture<'_, Result<Vec<Rehearsals>, String>>;
}

/// The approver's proof as far as it can be replaced.
pub trait ChangeProof: ApproverProof {
    /// Replaces the passphrase; the former one is checked like any other try.
    ///
    /// # Errors
    /// Says why it was not replaced.
    fn change(&self, former: &Zeroizing<String>, next: &Zeroizing<String>) -> Result<(), String>;
}

impl ChangeProof for killick_store::Passphrase {
    fn change(&self, former: &Zeroizing<String>, next: &Zeroizing<String>) -> Result<(), String> {
        Self::change(self, former, next).map_err(|error| error.to_string())
    }
}
