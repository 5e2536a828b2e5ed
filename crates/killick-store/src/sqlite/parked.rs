//! Parked calls in `SQLite`.

use killick_gate::ports::{Awaiting, StoreError};
use killick_model::request::{Pending, PendingState};
use killick_model::{CallDigest, PendingId, SessionId};
use rusqlite::{OptionalExtension as _, Row, Transaction};
use zeroize::Zeroizing;

use crate::database::{count, exists_or_failed, failed, from_text, rows, shut, to_column, to_text};
use crate::limits::{PENDINGS_DONE_MAX, check_canonical, check_room};
use crate::seal::{Place, SealKey};
use crate::states::{pending_may_move, pending_state, pending_word};

pub(super) fn add(
    tx: &Transaction<'_>,
    key: &SealKey,
    pending: &Pending,
    canonical: &[u8],
) -> Result<(), StoreError> {
    check_canonical(canonical)?;
    if pending.state != PendingState::Waiting {
        return Err(StoreError::Failed("a parked call begins waiting".into()));
    }
    let agent = &pending.principal.agent;
    let parked = count(
        tx,
        "SELECT count(*) FROM pendings WHERE state IN ('waiting', 'sending') AND agent = ?1",
        [agent.as_str()],
    )?;
    check_room(
        &format!("parked calls of agent `{agent}`"),
        parked,
        Pending::WAITING_PER_AGENT_MAX,
    )?;
    let sealed = key.seal(place(&pending.id), canonical).map_err(shut)?;
    tx.execute(
        "INSERT INTO pendings (id, session, agent, digest, state, parked, row, canonical)
         VALUES (?1, ?2, ?3, ?4, 'waiting', ?5, ?6, ?7)",
        rusqlite::params![
            pending.id.as_str(),
            pending.principal.session.as_str(),
            agent.as_str(),
            pending.digest.to_string(),
            to_column(pending.parked),
            to_text(pending)?,
            sealed,
        ],
    )
    .map_err(|error| exists_or_failed(error, format!("parked call `{}`", pending.id)))?;
    tx.execute(
        "DELETE FROM pendings WHERE state NOT IN ('waiting', 'sending') AND rowid NOT IN (
             SELECT rowid FROM pendings WHERE state NOT IN ('waiting', 'sending')
             ORDER BY parked DESC, rowid DESC LIMIT ?1)",
        [i64::try_from(PENDINGS_DONE_MAX).unwrap_or(i64::MAX)],
    )
    .map_err(failed)?;
    Ok(())
}

pub(super) fn one(tx: &Transaction<'_>, id: &PendingId) -> Result<Pending, StoreError> {
    let sql = "SELECT row, state FROM pendings WHERE id = ?1";
    let found = tx.query_row(sql, [id.as_str()], columns).optional().map_err(failed)?;
    into_pending(found.ok_or_else(|| missing(id))?)
}

pub(super) fn list(tx: &Transaction<'_>, rows_max: usize) -> Result<Vec<Pending>, StoreError> {
    let sql = "SELECT row, state FROM pendings ORDER BY parked DESC, rowid DESC LIMIT ?1";
    rows(tx, sql, [i64::try_from(rows_max).unwrap_or(i64::MAX)], columns)?
        .into_iter()
        .map(into_pending)
        .collect()
}

pub(super) fn find_waiting(
    tx: &Transaction<'_>,
    session: &SessionId,
    digest: &CallDigest,
) -> Result<Option<Pending>, StoreError> {
    let sql = "SELECT row, state FROM pendings
               WHERE session = ?1 AND digest = ?2 AND state = 'waiting'";
    tx.query_row(sql, (session.as_str(), digest.to_string()), columns)
        .optional()
        .map_err(failed)?
        .map(into_pending)
        .transpose()
}

pub(super) fn awaiting(tx: &Transaction<'_>, session: &SessionId) -> Result<Awaiting, StoreError> {
    let parked = "SELECT count(*) FROM pendings WHERE session = ?1 AND state = 'waiting'";
    let approved = "SELECT count(*) FROM requests WHERE session = ?1 AND state = 'approved'";
    Ok(Awaiting {
        parked: count(tx, parked, [session.as_str()])?,
        approved: count(tx, approved, [session.as_str()])?,
    })
}

pub(super) fn canonical(
    tx: &Transaction<'_>,
    key: &SealKey,
    id: &PendingId,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let sealed: Option<Vec<u8>> = tx
        .query_row("SELECT canonical FROM pendings WHERE id = ?1", [id.as_str()], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    key.open(place(id), &sealed.ok_or_else(|| missing(id))?).map_err(shut)
}

pub(super) fn set_state(
    tx: &Transaction<'_>,
    id: &PendingId,
    from: PendingState,
    to: PendingState,
) -> Result<bool, StoreError> {
    if !pending_may_move(from, to) {
        return Ok(false);
    }
    let moved = tx
        .execute(
            "UPDATE pendings SET state = ?3 WHERE id = ?1 AND state = ?2",
            (id.as_str(), pending_word(from), pending_word(to)),
        )
        .map_err(failed)?;
    if moved == 0 {
        one(tx, id)?;
    }
    Ok(moved == 1)
}

fn place(id: &PendingId) -> Place<'_> {
    Place { table: "pendings", id: id.as_str() }
}

fn missing(id: &PendingId) -> StoreError {
    StoreError::Missing(format!("parked call `{id}`"))
}

fn columns(row: &Row<'_>) -> rusqlite::Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn into_pending((text, state): (String, String)) -> Result<Pending, StoreError> {
    let mut pending: Pending = from_text("pendings", &text)?;
    pending.state = pending_state(&state)
        .ok_or_else(|| StoreError::Failed("a row of `pendings` cannot be read".into()))?;
    Ok(pending)
}
