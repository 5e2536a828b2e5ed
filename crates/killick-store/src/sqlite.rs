//! The store in one `SQLite` file.

use std::path::Path;
use std::sync::Arc;

use killick_gate::ports::{Awaiting, Damage, Store, StoreError, TokenHash};
use killick_model::admin::{Agent, Session, Standing, Upstream};
use killick_model::database::Database;
use killick_model::request::{
    AccessRequest, Answer, BreakGlass, Grant, Pending, PendingState, RequestState,
};
use killick_model::{
    AgentName, CallDigest, EnvironmentName, ObjectRef, Owner, PendingId, RequestId, SessionId,
    UnixMillis, UpstreamName,
};
use zeroize::Zeroizing;

use crate::database::{self as engine, OpenError};
use crate::keys::KeyProvider;

mod agents;
mod databases;
mod parked;
mod requests;
mod sessions;
mod standing_yes;
mod upstreams;

/// The store in one `SQLite` file, one writer at a time, durable before it returns.
/// Clones share the file.
#[derive(Clone)]
pub struct SqliteStore {
    pub(crate) database: Arc<engine::Database>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteStore(..)")
    }
}

impl SqliteStore {
    /// Opens the store in a state directory, which is made when it is not there.
    /// The directory is set to 0700, the file to 0600.
    ///
    /// # Errors
    /// The directory cannot be used, the master key is missing or another one, or a later version
    /// wrote the file.
    pub fn open(directory: &Path, keys: Arc<dyn KeyProvider>) -> Result<Self, OpenError> {
        Ok(Self { database: Arc::new(engine::Database::open(directory, keys)?) })
    }
}

impl Store for SqliteStore {
    fn generation(&self) -> Option<u64> {
        Some(self.database.generation())
    }

    fn agent_add(&self, agent: &Agent) -> Result<(), StoreError> {
        self.database.write(|tx, _| agents::add(tx, agent))
    }

    fn agents(&self) -> Result<Vec<Agent>, StoreError> {
        self.database.read(|tx, _| agents::list(tx))
    }

    fn agent_standing(&self, name: &AgentName, standing: Standing) -> Result<(), StoreError> {
        self.database.write(|tx, _| agents::set_standing(tx, name, standing))
    }

    fn agent_remove(&self, name: &AgentName) -> Result<(), StoreError> {
        self.database.write(|tx, _| agents::remove(tx, name))
    }

    fn session_add(&self, session: &Session, token: &TokenHash) -> Result<(), StoreError> {
        let id = &session.principal.session;
        self.database
            .change(
                |tx, _| sessions::add(tx, session, token),
                |memory, gone| {
                    for session in gone.iter() {
                        memory.forget_session(session);
                    }
                    memory.add_token(token, id);
                },
            )
            .map(|_| ())
    }

    fn sessions(&self) -> Result<Vec<(Session, TokenHash)>, StoreError> {
        self.database.read(|tx, _| sessions::list(tx))
    }

    fn session_close(&self, id: &SessionId, at: UnixMillis) -> Result<(), StoreError> {
        self.database.write(|tx, _| sessions::close(tx, id, at))
    }

    fn upstream_put(&self, upstream: &Upstream) -> Result<(), StoreError> {
        self.database.write(|tx, _| upstreams::put(tx, upstream))
    }

    fn upstreams(&self) -> Result<Vec<Upstream>, StoreError> {
        self.database.read(|tx, _| upstreams::list(tx))
    }

    fn upstream_remove(&self, name: &UpstreamName) -> Result<(), StoreError> {
        self.database.write(|tx, _| upstreams::remove(tx, name))
    }

    fn request_open(
        &self,
        request: &AccessRequest,
        canonical: &[u8],
    ) -> Result<AccessRequest, StoreError> {
        self.database.write(|tx, key| requests::open(tx, key, request, canonical))
    }

    fn request(&self, id: &RequestId) -> Result<AccessRequest, StoreError> {
        self.database.read(|tx, _| requests::one(tx, id))
    }

    fn requests(&self, rows_max: usize) -> Result<Vec<AccessRequest>, StoreError> {
        self.database.read(|tx, _| requests::list(tx, rows_max))
    }

    fn request_find(
        &self,
        session: &SessionId,
        digest: &CallDigest,
        state: RequestState,
    ) -> Result<Option<AccessRequest>, StoreError> {
        self.database.read(|tx, _| requests::find(tx, session, digest, state))
    }

    fn request_canonical(&self, id: &RequestId) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.database.read(|tx, key| requests::canonical(tx, key, id))
    }

    fn request_move(
        &self,
        id: &RequestId,
        from: RequestState,
        to: RequestState,
        answer: Option<&Answer>,
        expires: Option<UnixMillis>,
        send_when_approved: bool,
    ) -> Result<bool, StoreError> {
        let change = requests::Move { from, to, answer, expires, send_when_approved };
        self.database.write(|tx, _| requests::set_state(tx, id, &change))
    }

    fn request_claim_sending(&self, id: &RequestId) -> Result<bool, StoreError> {
        self.database.write(|tx, _| requests::claim_sending(tx, id))
    }

    fn pending_add(&self, pending: &Pending, canonical: &[u8]) -> Result<(), StoreError> {
        self.database.write(|tx, key| parked::add(tx, key, pending, canonical))
    }

    fn pending(&self, id: &PendingId) -> Result<Pending, StoreError> {
        self.database.read(|tx, _| parked::one(tx, id))
    }

    fn pendings(&self, rows_max: usize) -> Result<Vec<Pending>, StoreError> {
        self.database.read(|tx, _| parked::list(tx, rows_max))
    }

    fn pending_find(
        &self,
        session: &SessionId,
        digest: &CallDigest,
    ) -> Result<Option<Pending>, StoreError> {
        self.database.read(|tx, _| parked::find_waiting(tx, session, digest))
    }

    fn awaiting(&self, session: &SessionId) -> Result<Awaiting, StoreError> {
        self.database.read(|tx, _| parked::awaiting(tx, session))
    }

    fn pending_canonical(&self, id: &PendingId) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.database.read(|tx, key| parked::canonical(tx, key, id))
    }

    fn pending_move(
        &self,
        id: &PendingId,
        from: PendingState,
        to: PendingState,
    ) -> Result<bool, StoreError> {
        self.database.write(|tx, _| parked::set_state(tx, id, from, to))
    }

    fn grant_add(&self, grant: &Grant) -> Result<(), StoreError> {
        self.database.write(|tx, _| standing_yes::add_grant(tx, grant))
    }

    fn grants(&self) -> Result<Vec<Grant>, StoreError> {
        self.database.read(|tx, _| standing_yes::grants(tx))
    }

    fn grant_spend(&self, id: &str, now: UnixMillis) -> Result<bool, StoreError> {
        self.database.write(|tx, _| standing_yes::spend_grant(tx, id, now))
    }

    fn grant_remove(&self, id: &str) -> Result<(), StoreError> {
        self.database.write(|tx, _| standing_yes::remove_grant(tx, id))
    }

    fn break_glass_open(&self, glass: &BreakGlass) -> Result<(), StoreError> {
        self.database.write(|tx, _| standing_yes::open_break_glass(tx, glass))
    }

    fn break_glasses(&self, now: UnixMillis) -> Result<Vec<BreakGlass>, StoreError> {
        self.database.read(|tx, _| standing_yes::break_glasses(tx, now))
    }

    fn break_glass_end(&self, agent: &AgentName) -> Result<(), StoreError> {
        self.database.write(|tx, _| standing_yes::end_break_glass(tx, agent))
    }

    fn database_put(&self, database: &Database) -> Result<(), StoreError> {
        self.database.write(|tx, _| databases::put(tx, database))
    }

    fn databases(&self) -> Result<Vec<Database>, StoreError> {
        self.database.read(|tx, _| databases::list(tx))
    }

    fn database_remove(&self, name: &UpstreamName) -> Result<(), StoreError> {
        self.database.write(|tx, _| databases::remove(tx, name))
    }

    fn damage_add(
        &self,
        owner: &Owner,
        environment: &EnvironmentName,
        damage: Damage,
        at: UnixMillis,
    ) -> Result<(), StoreError> {
        self.database.write(|tx, _| databases::damage_add(tx, owner, environment, damage, at))
    }

    fn damage_since(
        &self,
        owner: &Owner,
        environment: &EnvironmentName,
        since: UnixMillis,
    ) -> Result<Damage, StoreError> {
        self.database.read(|tx, _| databases::damage_since(tx, owner, environment, since))
    }

    fn created_add(&self, session: &SessionId, object: &ObjectRef) -> Result<(), StoreError> {
        self.database.write(|tx, _| sessions::add_created(tx, session, object))
    }

    fn created_by(&self, session: &SessionId, object: &ObjectRef) -> Result<bool, StoreError> {
        self.database.read(|tx, _| sessions::is_created(tx, session, object))
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.database.read(|tx, _| upstreams::setting(tx, name))
    }

    fn setting_put(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.database.write(|tx, _| upstreams::put_setting(tx, name, value))
    }
}

#[cfg(test)]
mod tests;
