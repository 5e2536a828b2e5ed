//! The vault: credentials sealed on disk, recognised and lent from memory.

use std::sync::Arc;

use killick_gate::chain::Departure;
use killick_gate::ids::token_hash;
use killick_gate::ports::{
    Fingerprint, Lease, Recognised, StoreError, Surrogate, Vault, VaultError,
};
use killick_model::admin::{CredentialInfo, Injection};
use killick_model::{CallId, CredentialName, SessionId, UnixMillis, UpstreamName};
use rusqlite::Transaction;
use zeroize::Zeroizing;

use crate::database::{Database, failed, rows, to_column};
use crate::keys::KeyProvider;
use crate::seal::Mark;
use crate::sqlite::SqliteStore;
use crate::vault::memory::{Held, Stored};
use crate::vault::surrogate::Shape;

mod credentials;
mod leak;
pub(crate) mod memory;
mod surrogate;

pub use credentials::{CREDENTIAL_BYTES_MAX, CREDENTIALS_MAX, SECRET_BYTES_MIN};

/// Values that upstreams handed one session. The oldest is forgotten and becomes foreign.
pub const DERIVED_PER_SESSION_MAX: usize = 256;
/// Values that upstreams handed all sessions together.
pub const DERIVED_MAX: usize = 65_536;
/// Foreign credentials that are remembered.
pub const FOREIGN_MAX: usize = 10_000;
/// Foreign credentials that one session can have remembered, so that it cannot flush the others'.
pub const FOREIGN_PER_SESSION_MAX: usize = 1_000;
/// Surrogates of one credential that a session may hold; minting more kills the oldest.
pub const SURROGATES_PER_CREDENTIAL_MAX: usize = 4;
/// Surrogates of all sessions together; the oldest die.
pub const SURROGATES_MAX: usize = 100_000;
/// The most bytes kept of the place where a foreign credential was seen.
const PLACE_BYTES_MAX: usize = 200;
/// The longest host name.
const HOST_BYTES_MAX: usize = 255;

/// The vault in the store's own file.
///
/// Values are sealed under a data key, that key under a master key. In memory the values are wiped
/// when they are replaced or the vault ends; nothing here can be cloned, printed or serialized with them.
///
/// Fingerprints and surrogates are kept as keyed hashes. Their key is sealed like the rest and sealed
/// anew at every rotation, but stays the same: what was only hashed could not be hashed again, and a
/// rotation would otherwise forget every foreign credential and cut off every agent.
pub struct SealedVault {
    database: Arc<Database>,
}

impl std::fmt::Debug for SealedVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedVault(..)")
    }
}

impl SealedVault {
    /// Opens the vault in a store's file.
    #[must_use]
    pub fn of(store: &SqliteStore) -> Self {
        Self { database: Arc::clone(&store.database) }
    }

    /// Seals the data key under another master key, which the next start must be given.
    ///
    /// # Errors
    /// The other key cannot be had, or the store failed; the former key stays good.
    pub fn rotate_master(&self, next: Arc<dyn KeyProvider>) -> Result<(), VaultError> {
        self.database.rotate_master(next).map_err(broken)
    }

    fn mark(&self, value: &[u8]) -> Mark {
        self.database.mark_key.mark(value)
    }

    fn lend_value(&self, upstream: &UpstreamName, path: &str) -> Result<Lease, VaultError> {
        let memory = self.database.memory();
        let held = credentials::bound(memory.held(), upstream, path)
            .ok_or_else(|| VaultError::NotBound(upstream.clone()))?;
        Ok(Lease { info: held.info.clone(), value: held.value.clone() })
    }
}

impl Vault for SealedVault {
    fn recognise(&self, session: &SessionId, presented: &[u8]) -> Recognised {
        let memory = self.database.memory();
        if let Some(owner) = memory.token(&Mark(token_hash(presented))) {
            return if owner == session {
                Recognised::SessionToken
            } else {
                Recognised::OtherSessionToken
            };
        }
        let mark = self.mark(presented);
        if let Some((owner, credential)) = memory.surrogate(&mark) {
            let held = memory.held().iter().find(|held| held.info.name == *credential);
            return match held {
                Some(Held { info, .. }) if owner == session => Recognised::Issued {
                    credential: credential.clone(),
                    upstream: info.upstream.clone(),
                },
                Some(_) | None => Recognised::IssuedElsewhere,
            };
        }
        match memory.stored(&mark) {
            Some(Stored::Own(upstream)) => return Recognised::Own { upstream: upstream.clone() },
            Some(Stored::Kept) => return Recognised::KnownForeign,
            None => {}
        }
        // Foreign before derived: an upstream that echoes a stray token must not launder it.
        if memory.is_foreign(&mark) {
            return Recognised::KnownForeign;
        }
        memory
            .derived(session, &mark)
            .map_or(Recognised::Unknown, |host| Recognised::Derived { host: host.to_owned() })
    }

    fn lend(
        &self,
        _departure: &Departure,
        upstream: &UpstreamName,
        path: &str,
    ) -> Result<Lease, VaultError> {
        self.lend_value(upstream, path)
    }

    fn bound(&self, upstream: &UpstreamName, path: &str) -> Option<CredentialInfo> {
        let memory = self.database.memory();
        credentials::bound(memory.held(), upstream, path).map(|held| held.info.clone())
    }

    fn fingerprint(&self, value: &[u8]) -> Fingerprint {
        Fingerprint(self.mark(value).0)
    }

    fn is_known(&self, value: &[u8]) -> bool {
        let mark = self.mark(value);
        let memory = self.database.memory();
        memory.is_foreign(&mark) || memory.stored(&mark) == Some(&Stored::Kept)
    }

    fn remember_foreign(
        &self,
        fingerprint: Fingerprint,
        session: &SessionId,
        place: &str,
        call: &CallId,
        at: UnixMillis,
    ) -> Result<(), VaultError> {
        let mark = Mark(fingerprint.0);
        if self.database.memory().is_foreign(&mark) {
            return Ok(());
        }
        let place = place.get(..place.floor_char_boundary(PLACE_BYTES_MAX)).unwrap_or_default();
        let seen = Seen { mark, session, place, call, at };
        self.database
            .change(
                |tx, _| add_foreign(tx, &seen),
                |memory, forgotten| memory.add_foreign(mark, forgotten),
            )
            .map(|_| ())
            .map_err(broken)
    }

    fn remember_derived(
        &self,
        session: &SessionId,
        host: &str,
        value: &[u8],
    ) -> Result<(), VaultError> {
        let mark = self.mark(value);
        if self.database.memory().derived(session, &mark) == Some(host) {
            return Ok(());
        }
        self.database
            .change(
                |tx, _| add_derived(tx, session, host, mark),
                |memory, forgotten| memory.add_derived(session, host, mark, forgotten),
            )
            .map(|_| ())
            .map_err(broken)
    }

    fn mint_surrogates(&self, session: &SessionId) -> Result<Vec<Surrogate>, VaultError> {
        self.database
            .change_and_reload(|tx, _| {
                let infos = credentials::list(tx)?;
                // A database takes the session's own token as its password: a placeholder would be good nowhere.
                let injected = infos
                    .into_iter()
                    .filter(|info| !info.own && info.injection != Injection::Password);
                injected.map(|info| self.mint(tx, session, info)).collect()
            })
            .map_err(broken)
    }

    fn leaks(&self, bytes: &[u8]) -> bool {
        self.database.memory().holds_leak(bytes)
    }

    fn credential_put(
        &self,
        info: &CredentialInfo,
        value: Zeroizing<Vec<u8>>,
    ) -> Result<(), VaultError> {
        self.database
            .change_and_reload(|tx, key| credentials::put(tx, key, info, &value))
            .map_err(broken)
    }

    fn credentials(&self) -> Result<Vec<CredentialInfo>, VaultError> {
        Ok(self.database.memory().held().iter().map(|held| held.info.clone()).collect())
    }

    fn credential_remove(&self, name: &CredentialName) -> Result<(), VaultError> {
        self.database.change_and_reload(|tx, _| credentials::remove(tx, name)).map_err(broken)
    }

    fn rotate_key(&self) -> Result<(), VaultError> {
        self.database.rotate_key().map_err(broken)
    }
}

impl SealedVault {
    fn mint(
        &self,
        tx: &Transaction<'_>,
        session: &SessionId,
        info: CredentialInfo,
    ) -> Result<Surrogate, StoreError> {
        let shape =
            Shape::parse(&info.surrogate).map_err(|error| StoreError::Failed(error.to_string()))?;
        let value = shape.mint().map_err(|error| StoreError::Failed(error.to_string()))?;
        let name = info.name.as_str();
        let added = tx
            .execute(
                "INSERT INTO surrogates (mark, session, credential)
                 SELECT ?1, id, ?3 FROM sessions WHERE id = ?2 AND closed IS NULL",
                (self.mark(value.as_bytes()).0, session.as_str(), name),
            )
            .map_err(failed)?;
        if added == 0 {
            return Err(StoreError::Missing(format!("open session `{session}`")));
        }
        tx.execute(
            "DELETE FROM surrogates WHERE session = ?1 AND credential = ?2 AND rowid NOT IN (
                 SELECT rowid FROM surrogates WHERE session = ?1 AND credential = ?2
                 ORDER BY rowid DESC LIMIT ?3)",
            (session.as_str(), name, limit(SURROGATES_PER_CREDENTIAL_MAX)),
        )
        .map_err(failed)?;
        tx.execute(
            "DELETE FROM surrogates WHERE rowid IN (
                 SELECT rowid FROM surrogates ORDER BY rowid DESC LIMIT -1 OFFSET ?1)",
            [limit(SURROGATES_MAX)],
        )
        .map_err(failed)?;
        Ok(Surrogate { info, value })
    }
}

struct Seen<'a> {
    mark: Mark,
    session: &'a SessionId,
    place: &'a str,
    call: &'a CallId,
    at: UnixMillis,
}

/// Adds a fingerprint; returns those that were forgotten for it.
fn add_foreign(tx: &Transaction<'_>, seen: &Seen<'_>) -> Result<Vec<Mark>, StoreError> {
    tx.execute(
        "INSERT INTO foreign_seen (mark, session, place, call, seen) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (mark) DO NOTHING",
        (seen.mark.0, seen.session.as_str(), seen.place, seen.call.as_str(), to_column(seen.at)),
    )
    .map_err(failed)?;
    let read = |row: &rusqlite::Row<'_>| row.get(0).map(Mark);
    let mut forgotten = rows(
        tx,
        "DELETE FROM foreign_seen WHERE rowid IN (
             SELECT rowid FROM foreign_seen WHERE session = ?1
             ORDER BY rowid DESC LIMIT -1 OFFSET ?2)
         RETURNING mark",
        (seen.session.as_str(), limit(FOREIGN_PER_SESSION_MAX)),
        read,
    )?;
    forgotten.extend(rows(
        tx,
        "DELETE FROM foreign_seen WHERE rowid IN (
             SELECT rowid FROM foreign_seen ORDER BY rowid DESC LIMIT -1 OFFSET ?1)
         RETURNING mark",
        [limit(FOREIGN_MAX)],
        read,
    )?);
    Ok(forgotten)
}

/// Adds a value that an upstream handed a session; returns those that were forgotten for it.
fn add_derived(
    tx: &Transaction<'_>,
    session: &SessionId,
    host: &str,
    mark: Mark,
) -> Result<Vec<(SessionId, Mark)>, StoreError> {
    if host.is_empty() || host.len() > HOST_BYTES_MAX {
        return Err(StoreError::Failed("a host name has 1 to 255 bytes".into()));
    }
    let added = tx
        .execute(
            "INSERT INTO derived (session, host, mark)
             SELECT id, ?2, ?3 FROM sessions WHERE id = ?1 AND closed IS NULL
             ON CONFLICT (session, mark) DO UPDATE SET host = excluded.host",
            (session.as_str(), host, mark.0),
        )
        .map_err(failed)?;
    if added == 0 {
        return Err(StoreError::Missing(format!("open session `{session}`")));
    }
    let read = |row: &rusqlite::Row<'_>| {
        Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 32]>(1).map(Mark)?))
    };
    let mut forgotten = rows(
        tx,
        "DELETE FROM derived WHERE rowid IN (
             SELECT rowid FROM derived WHERE session = ?1
             ORDER BY rowid DESC LIMIT -1 OFFSET ?2)
         RETURNING session, mark",
        (session.as_str(), limit(DERIVED_PER_SESSION_MAX)),
        read,
    )?;
    forgotten.extend(rows(
        tx,
        "DELETE FROM derived WHERE rowid IN (
             SELECT rowid FROM derived ORDER BY rowid DESC LIMIT -1 OFFSET ?1)
         RETURNING session, mark",
        [limit(DERIVED_MAX)],
        read,
    )?);
    forgotten.into_iter().map(|(of, mark)| Ok((memory::session(&of)?, mark))).collect()
}

fn limit(rows_max: usize) -> i64 {
    i64::try_from(rows_max).unwrap_or(i64::MAX)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
fn broken(error: StoreError) -> VaultError {
    VaultError::Failed(error.to_string())
}

#[cfg(test)]
mod tests;
