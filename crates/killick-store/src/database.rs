//! The one database file: one writer, its keys, and what is answered from memory.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use killick_gate::ports::StoreError;
use parking_lot::{Mutex, RwLock};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior};

use crate::keys::{KeyError, KeyProvider};
use crate::schema::{self, SchemaError};
use crate::seal::{MarkKey, Place, SealError, SealKey};
use crate::vault::memory::Memory;

/// How long a write waits for another process that holds the file.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);
/// The file's name in the state directory.
const FILE_NAME: &str = "killick.db";

/// Every column of sealed bytes, as (table, id, column). Rotation seals each of them anew.
const SEALED: &[(&str, &str, &str)] = &[
    ("credentials", "name", "value"),
    ("requests", "id", "canonical"),
    ("pendings", "id", "canonical"),
    ("approver_proof", "id", "sealed"),
];

const DATA_KEY: Place<'static> = Place { table: "keys", id: "data" };
const MARK_KEY: Place<'static> = Place { table: "keys", id: "mark" };

/// Why the store did not open. Nothing is served from a store that is not wholly understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The directory or file cannot be used.
    #[error("the state directory `{path}` cannot be used: {why}")]
    Directory {
        /// Which one.
        path: String,
        /// What the system said.
        why: String,
    },
    /// There is no master key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The master key is not the one that sealed this store, or the store was changed.
    #[error(
        "the master key does not open this store; nothing was changed; give the key it was made with"
    )]
    Sealed,
    /// The key row is gone, yet sealed rows are there.
    #[error("the store's own key is gone, what it sealed is lost; restore the file from a backup")]
    KeyLost,
    /// A program of a later version wrote it.
    #[error(
        "the store has schema {found}, this killick knows up to {known}; nothing was changed; run the newer killick"
    )]
    Newer {
        /// The file's version.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
    /// The engine failed.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl From<SchemaError> for OpenError {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Newer { found, known } => Self::Newer { found, known },
            SchemaError::Failed(why) => Self::Failed(why),
        }
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

struct Writer {
    connection: Connection,
    key: SealKey,
    provider: Arc<dyn KeyProvider>,
}

/// The database, shared by the store, the vault and the approver's proof.
pub(crate) struct Database {
    writer: Mutex<Writer>,
    /// INVARIANT: written only while `writer` is held, so that memory follows the file in its order.
    memory: RwLock<Memory>,
    /// Grows with every write, before the write returns.
    generation: AtomicU64,
    pub(crate) mark_key: MarkKey,
}

impl Database {
    pub(crate) fn open(
        directory: &Path,
        provider: Arc<dyn KeyProvider>,
    ) -> Result<Self, OpenError> {
        let path = prepare(directory).map_err(|error| OpenError::Directory {
            path: directory.display().to_string(),
            why: error.to_string(),
        })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_WAIT_MAX)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // A deleted secret's bytes do not stay in the file's free pages.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        schema::lift(&mut connection)?;
        let (key, mark_key) = unlock(&mut connection, provider.as_ref())?;
        let transaction = connection.transaction()?;
        let memory = Memory::load(&transaction, &key, &mark_key)?;
        transaction.commit()?;
        let writer = Mutex::new(Writer { connection, key, provider });
        let generation = AtomicU64::new(0);
        Ok(Self { writer, memory: RwLock::new(memory), generation, mark_key })
    }

    /// Returns how often was written. Another process that writes the file is not seen, as it is not by `memory`.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Runs `act` over one consistent view; what it writes is dropped.
    pub(crate) fn read<T>(
        &self,
        act: impl FnOnce(&Transaction<'_>, &SealKey) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut writer = self.writer.lock();
        let Writer { connection, key, .. } = &mut *writer;
        let transaction = connection.transaction().map_err(failed)?;
        act(&transaction, key)
    }

    /// Runs `act` in one transaction that sees no other writer's half-done work.
    pub(crate) fn write<T>(
        &self,
        act: impl FnOnce(&Transaction<'_>, &SealKey) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.change(act, |_, _| ())
    }

    /// Runs `act` in one transaction and, once that is on disk, lets memory follow.
    pub(crate) fn change<T>(
        &self,
        act: impl FnOnce(&Transaction<'_>, &SealKey) -> Result<T, StoreError>,
        follow: impl FnOnce(&mut Memory, &mut T),
    ) -> Result<T, StoreError> {
        let mut writer = self.writer.lock();
        let Writer { connection, key, .. } = &mut *writer;
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let mut done = act(&transaction, key)?;
        let committed = transaction.commit();
        // A commit that failed may have happened all the same.
        self.generation.fetch_add(1, Ordering::Release);
        committed.map_err(failed)?;
        follow(&mut self.memory.write(), &mut done);
        Ok(done)
    }

    /// Runs `act` in one transaction, then fills memory anew from the file.
    pub(crate) fn change_and_reload<T>(
        &self,
        act: impl FnOnce(&Transaction<'_>, &SealKey) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (done, _) = self.change(
            |transaction, key| {
                let done = act(transaction, key)?;
                let memory = Memory::load(transaction, key, &self.mark_key)?;
                Ok((done, Some(memory)))
            },
            |memory, (_, fresh)| {
                if let Some(fresh) = fresh.take() {
                    *memory = fresh;
                }
            },
        )?;
        Ok(done)
    }

    /// Reads what is answered from memory.
    pub(crate) fn memory(&self) -> parking_lot::RwLockReadGuard<'_, Memory> {
        self.memory.read()
    }

    /// Seals everything under a fresh data key, in one transaction.
    pub(crate) fn rotate_key(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        let Writer { connection, key, provider } = &mut *writer;
        let master =
            provider.master_key().map_err(|error| StoreError::Failed(error.to_string()))?;
        let fresh = SealKey::fresh().map_err(shut)?;
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        for &(table, id, column) in SEALED {
            reseal(&transaction, (table, id, column), key, &fresh)?;
        }
        let mark_key = stored_key(&transaction, MARK_KEY)?.ok_or_else(|| shut(SealError::Shut))?;
        let mark_key = key.open(MARK_KEY, &mark_key).map_err(shut)?;
        put_key(&transaction, MARK_KEY, &fresh.seal(MARK_KEY, &mark_key).map_err(shut)?)?;
        // A master key that was swapped under us would seal what the next start cannot open.
        let current = stored_key(&transaction, DATA_KEY)?.ok_or_else(|| shut(SealError::Shut))?;
        let master = SealKey::of_master(&master);
        master.open(DATA_KEY, &current).map_err(shut)?;
        put_key(&transaction, DATA_KEY, &master.seal(DATA_KEY, fresh.as_bytes()).map_err(shut)?)?;
        transaction.commit().map_err(failed)?;
        *key = fresh;
        checkpoint(connection);
        Ok(())
    }

    /// Seals the data key under another master key.
    pub(crate) fn rotate_master(&self, next: Arc<dyn KeyProvider>) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        let Writer { connection, key, provider } = &mut *writer;
        let master = next.master_key().map_err(|error| StoreError::Failed(error.to_string()))?;
        let sealed = SealKey::of_master(&master).seal(DATA_KEY, key.as_bytes()).map_err(shut)?;
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        put_key(&transaction, DATA_KEY, &sealed)?;
        transaction.commit().map_err(failed)?;
        *provider = next;
        checkpoint(connection);
        Ok(())
    }
}

/// Makes the directory and the file, for their owner alone.
fn prepare(directory: &Path) -> std::io::Result<std::path::PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    std::fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    let path = directory.join(FILE_NAME);
    // SQLite gives its side files the mode of this one, so it is made before SQLite sees it.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match made {
        Ok(_) => File::open(directory)?.sync_all()?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            if !std::fs::symlink_metadata(&path)?.is_file() {
                return Err(std::io::Error::other("the database is not a plain file"));
            }
            std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        }
        Err(error) => return Err(error),
    }
    Ok(path)
}

/// Opens the data key and the key of marks, or makes both in a store that holds nothing sealed.
fn unlock(
    connection: &mut Connection,
    provider: &dyn KeyProvider,
) -> Result<(SealKey, MarkKey), OpenError> {
    let master = SealKey::of_master(&provider.master_key()?);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let data = stored_key(&transaction, DATA_KEY)?;
    let mark = stored_key(&transaction, MARK_KEY)?;
    let keys = match (data, mark) {
        (Some(data), Some(mark)) => {
            let opened = master.open(DATA_KEY, &data).map_err(|_| OpenError::Sealed)?;
            let key = SealKey::from_bytes(&opened).map_err(|_| OpenError::Sealed)?;
            let mark = key.open(MARK_KEY, &mark).map_err(|_| OpenError::Sealed)?;
            (key, MarkKey::from_bytes(&mark).map_err(|_| OpenError::Sealed)?)
        }
        (None, None) if holds_nothing_sealed(&transaction)? => {
            let (key, mark) = (SealKey::fresh().map_err(shut)?, SealKey::fresh().map_err(shut)?);
            let sealed = master.seal(DATA_KEY, key.as_bytes()).map_err(shut)?;
            put_key(&transaction, DATA_KEY, &sealed)?;
            let sealed = key.seal(MARK_KEY, mark.as_bytes()).map_err(shut)?;
            put_key(&transaction, MARK_KEY, &sealed)?;
            (key, MarkKey::from_bytes(mark.as_bytes()).map_err(shut)?)
        }
        (None | Some(_), None) | (None, Some(_)) => return Err(OpenError::KeyLost),
    };
    transaction.commit()?;
    Ok(keys)
}

fn holds_nothing_sealed(transaction: &Transaction<'_>) -> Result<bool, StoreError> {
    for (table, _, _) in SEALED {
        if count(transaction, &format!("SELECT count(*) FROM {table}"), [])? > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn stored_key(
    transaction: &Transaction<'_>,
    place: Place<'_>,
) -> Result<Option<Vec<u8>>, StoreError> {
    transaction
        .query_row("SELECT sealed FROM keys WHERE name = ?1", [place.id], |row| row.get(0))
        .optional()
        .map_err(failed)
}

fn put_key(
    transaction: &Transaction<'_>,
    place: Place<'_>,
    sealed: &[u8],
) -> Result<(), StoreError> {
    transaction
        .execute(
            "INSERT INTO keys (name, sealed) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed",
            (place.id, sealed),
        )
        .map_err(failed)?;
    Ok(())
}

fn reseal(
    transaction: &Transaction<'_>,
    (table, id, column): (&str, &str, &str),
    from: &SealKey,
    to: &SealKey,
) -> Result<(), StoreError> {
    let ids: Vec<String> =
        rows(transaction, &format!("SELECT {id} FROM {table}"), [], |row| row.get(0))?;
    for name in ids {
        let place = Place { table, id: &name };
        let sealed: Vec<u8> = transaction
            .query_row(&format!("SELECT {column} FROM {table} WHERE {id} = ?1"), [&name], |row| {
                row.get(0)
            })
            .map_err(failed)?;
        let clear = from.open(place, &sealed).map_err(shut)?;
        let sealed = to.seal(place, &clear).map_err(shut)?;
        let sql = format!("UPDATE {table} SET {column} = ?2 WHERE {id} = ?1");
        transaction.execute(&sql, (&name, sealed)).map_err(failed)?;
    }
    Ok(())
}

/// Moves the write-ahead log into the file, so that no page sealed under the former key stays behind.
fn checkpoint(connection: &Connection) {
    let done =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    if !matches!(done, Ok(0)) {
        tracing::warn!("the store's write-ahead log could not be emptied after a key rotation");
    }
}

/// Says that the engine failed, in words that hold no value of a row.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
pub(crate) fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

/// Says that sealed bytes do not open.
pub(crate) fn shut(error: SealError) -> StoreError {
    StoreError::Failed(error.to_string())
}

/// Turns a broken uniqueness into `Exists`, anything else into `Failed`.
pub(crate) fn exists_or_failed(error: rusqlite::Error, what: impl Into<String>) -> StoreError {
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) {
        StoreError::Exists(what.into())
    } else {
        failed(error)
    }
}

/// Counts.
pub(crate) fn count(
    transaction: &Transaction<'_>,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<usize, StoreError> {
    let found: i64 = transaction.query_row(sql, params, |row| row.get(0)).map_err(failed)?;
    Ok(usize::try_from(found).unwrap_or(usize::MAX))
}

/// Collects rows.
pub(crate) fn rows<T>(
    transaction: &Transaction<'_>,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = transaction.prepare_cached(sql).map_err(failed)?;
    let found = statement.query_map(params, read).map_err(failed)?;
    found.collect::<rusqlite::Result<Vec<T>>>().map_err(failed)
}

/// Writes a model type as JSON text.
pub(crate) fn to_text<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|_| StoreError::Failed("a row cannot be written as JSON".into()))
}

/// Reads a model type from JSON text; the error names the table, never the text.
pub(crate) fn from_text<T: serde::de::DeserializeOwned>(
    table: &str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|_| StoreError::Failed(format!("a row of `{table}` cannot be read")))
}

/// Writes a moment as a column; the end of time stays the end of time.
pub(crate) fn to_column(at: killick_model::UnixMillis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// Reads a moment from a column.
pub(crate) fn from_column(at: i64) -> killick_model::UnixMillis {
    killick_model::UnixMillis(u64::try_from(at).unwrap_or(0))
}
