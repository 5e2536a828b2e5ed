//! The approver's passphrase: a proof that the agent's user id alone cannot give.

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};
use killick_gate::ports::{ApproverProof, ProofError, StoreError};
use killick_model::UnixMillis;
use killick_model::time::Clock;
use parking_lot::Mutex;
use rusqlite::{OptionalExtension as _, Transaction};
use zeroize::Zeroizing;

use crate::database::{Database, failed, from_column, shut, to_column};
use crate::seal::{Place, SealKey};
use crate::sqlite::SqliteStore;

/// The fewest bytes of a passphrase.
pub const PASSPHRASE_BYTES_MIN: usize = 8;
/// The most bytes of a passphrase.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;
/// Memory that one check costs, in KiB.
const MEMORY_KIB: u32 = 64 << 10;
/// Passes over that memory.
const PASSES: u32 = 3;
/// Wrong passphrases in a row that cost no wait.
pub const WRONG_FREE_MAX: u32 = 5;
/// The longest wait between two tries, in milliseconds.
pub const WAIT_MILLIS_MAX: u64 = 3_600_000;

const PLACE: Place<'static> = Place { table: "approver_proof", id: "passphrase" };

/// Why a passphrase was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// One is set; it is changed with the former one.
    #[error("a passphrase is set already; change it with the former one")]
    Exists,
    /// Too short or too long.
    #[error("a passphrase has {PASSPHRASE_BYTES_MIN} to {PASSPHRASE_BYTES_MAX} bytes")]
    Length,
    /// The former one was not accepted.
    #[error(transparent)]
    Former(#[from] ProofError),
    /// The store or the hash failed.
    #[error("the passphrase could not be stored: {0}")]
    Failed(String),
}

impl From<StoreError> for PassphraseError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Checks the approver's passphrase against a sealed argon2id hash.
///
/// Every try is on disk as a failure before the hash is computed, so that neither a crash nor many
/// tries at once are free. Tries queue: a second one never costs a second 64 MiB at the same time.
pub struct Passphrase {
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
    cost: Params,
    one_at_a_time: Mutex<()>,
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

struct Kept {
    hash: Zeroizing<String>,
    failures: u32,
    wait_until: UnixMillis,
}

impl Passphrase {
    /// Opens the proof in a store's file.
    #[must_use]
    pub fn of(store: &SqliteStore, clock: Arc<dyn Clock>) -> Self {
        let cost = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap_or(Params::DEFAULT);
        Self::with_cost(store, clock, cost)
    }

    fn with_cost(store: &SqliteStore, clock: Arc<dyn Clock>, cost: Params) -> Self {
        let database = Arc::clone(&store.database);
        Self { database, clock, cost, one_at_a_time: Mutex::new(()) }
    }

    /// Opens the proof at a cost that only tests may choose.
    #[cfg(any(test, feature = "contract"))]
    #[must_use]
    pub fn cheap(store: &SqliteStore, clock: Arc<dyn Clock>) -> Self {
        let cost = Params::new(8, 1, 1, None).unwrap_or(Params::DEFAULT);
        Self::with_cost(store, clock, cost)
    }

    /// Returns whether a passphrase is set.
    ///
    /// # Errors
    /// The store failed.
    pub fn is_set(&self) -> Result<bool, StoreError> {
        self.database.read(|tx, key| Ok(kept(tx, key)?.is_some()))
    }

    /// Sets the passphrase, once.
    ///
    /// # Errors
    /// One is set already, or this one is too short or too long.
    pub fn set(&self, passphrase: &Zeroizing<String>) -> Result<(), PassphraseError> {
        let hash = self.hash(passphrase)?;
        let added = self.database.write(|tx, key| {
            let sealed = key.seal(PLACE, hash.as_bytes()).map_err(shut)?;
            tx.execute(
                "INSERT INTO approver_proof (id, sealed, failures, wait_until)
                 VALUES (?1, ?2, 0, 0) ON CONFLICT (id) DO NOTHING",
                (PLACE.id, sealed),
            )
            .map_err(failed)
        })?;
        if added == 0 { Err(PassphraseError::Exists) } else { Ok(()) }
    }

    /// Changes the passphrase; the former one is checked like any other try.
    ///
    /// # Errors
    /// The former one is not accepted, or the next one is too short or too long.
    pub fn change(
        &self,
        former: &Zeroizing<String>,
        next: &Zeroizing<String>,
    ) -> Result<(), PassphraseError> {
        check_length(next)?;
        self.check(former)?;
        let hash = self.hash(next)?;
        self.database.write(|tx, key| {
            let sealed = key.seal(PLACE, hash.as_bytes()).map_err(shut)?;
            tx.execute("UPDATE approver_proof SET sealed = ?2 WHERE id = ?1", (PLACE.id, sealed))
                .map_err(failed)
        })?;
        Ok(())
    }

    fn hash(&self, passphrase: &Zeroizing<String>) -> Result<Zeroizing<String>, PassphraseError> {
        check_length(passphrase)?;
        let unhashable = || PassphraseError::Failed("the passphrase cannot be hashed".into());
        let mut salt = [0_u8; 16];
        getrandom::fill(&mut salt).map_err(|_| unhashable())?;
        let salt = SaltString::encode_b64(&salt).map_err(|_| unhashable())?;
        self.argon2()
            .hash_password(passphrase.as_bytes(), &salt)
            .map(|hash| Zeroizing::new(hash.to_string()))
            .map_err(|_| unhashable())
    }

    fn argon2(&self) -> Argon2<'static> {
        Argon2::new(Algorithm::Argon2id, Version::V0x13, self.cost.clone())
    }

    /// Counts the try as a failure, unless there is still a wait; returns the hash to compare with.
    fn begin_try(&self) -> Result<Zeroizing<String>, ProofError> {
        let now = self.clock.now();
        self.database
            .write(|tx, key| {
                let Some(kept) = kept(tx, key)? else { return Ok(Err(ProofError::Unset)) };
                // A clock that was set back must not lock the approver out for longer than the rule.
                let wait_millis = kept.wait_until.since_millis(now).min(WAIT_MILLIS_MAX);
                if wait_millis > 0 {
                    put_try(tx, kept.failures, now.plus_millis(wait_millis))?;
                    let wait_seconds = wait_millis.div_ceil(1_000);
                    return Ok(Err(ProofError::Slow { wait_seconds }));
                }
                let failures = kept.failures.saturating_add(1);
                put_try(tx, failures, now.plus_millis(wait_after(failures)))?;
                Ok(Ok(kept.hash))
            })
            .map_err(store_failed)?
    }
}

impl ApproverProof for Passphrase {
    fn check(&self, presented: &Zeroizing<String>) -> Result<(), ProofError> {
        let _turn = self.one_at_a_time.lock();
        let hash = self.begin_try()?;
        if presented.len() > PASSPHRASE_BYTES_MAX {
            return Err(ProofError::Wrong);
        }
        let hash = PasswordHash::new(&hash)
            .map_err(|_| ProofError::Failed("the stored hash cannot be read".into()))?;
        self.argon2()
            .verify_password(presented.as_bytes(), &hash)
            .map_err(|_| ProofError::Wrong)?;
        self.database.write(|tx, _| put_try(tx, 0, UnixMillis(0))).map_err(store_failed)
    }
}

/// Returns the wait after so many wrong passphrases in a row: none, then 2 s, 4 s, 8 s ...
fn wait_after(failures: u32) -> u64 {
    match failures.checked_sub(WRONG_FREE_MAX) {
        None => 0,
        Some(over) => {
            let seconds = 1_u64.checked_shl(over.saturating_add(1)).unwrap_or(u64::MAX);
            seconds.saturating_mul(1_000).min(WAIT_MILLIS_MAX)
        }
    }
}

fn check_length(passphrase: &Zeroizing<String>) -> Result<(), PassphraseError> {
    if (PASSPHRASE_BYTES_MIN..=PASSPHRASE_BYTES_MAX).contains(&passphrase.len()) {
        Ok(())
    } else {
        Err(PassphraseError::Length)
    }
}

fn kept(tx: &Transaction<'_>, key: &SealKey) -> Result<Option<Kept>, StoreError> {
    let found = tx
        .query_row(
            "SELECT sealed, failures, wait_until FROM approver_proof WHERE id = ?1",
            [PLACE.id],
            |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, u32>(1)?, row.get::<_, i64>(2)?)),
        )
        .optional()
        .map_err(failed)?;
    let Some((sealed, failures, wait_until)) = found else { return Ok(None) };
    let clear = key.open(PLACE, &sealed).map_err(shut)?;
    let hash = std::str::from_utf8(&clear)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| StoreError::Failed("the stored hash cannot be read".into()))?;
    Ok(Some(Kept { hash, failures, wait_until: from_column(wait_until) }))
}

fn put_try(tx: &Transaction<'_>, failures: u32, wait_until: UnixMillis) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE approver_proof SET failures = ?2, wait_until = ?3 WHERE id = ?1",
        (PLACE.id, failures, to_column(wait_until)),
    )
    .map_err(failed)?;
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
fn store_failed(error: StoreError) -> ProofError {
    ProofError::Failed(error.to_string())
}

#[cfg(test)]
mod tests;
