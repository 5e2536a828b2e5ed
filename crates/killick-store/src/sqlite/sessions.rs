//! Sessions in `SQLite`, and what they created.

use killick_gate::ports::{StoreError, TokenHash};
use killick_model::admin::Session;
use killick_model::{ObjectRef, SessionId, UnixMillis};
use rusqlite::{OptionalExtension as _, Transaction};

use super::agents;
use crate::database::{
    count, exists_or_failed, failed, from_column, from_text, rows, to_column, to_text,
};
use crate::limits::{CREATED_PER_SESSION_MAX, SESSIONS_MAX, check_room};

/// Adds a session; returns those that were forgotten to make room.
pub(super) fn add(
    tx: &Transaction<'_>,
    session: &Session,
    token: &TokenHash,
) -> Result<Vec<SessionId>, StoreError> {
    let principal = &session.principal;
    if agents::find(tx, &principal.agent)?.is_none() {
        return Err(agents::missing(&principal.agent));
    }
    let gone = make_room(tx, session.opened)?;
    tx.execute(
        "INSERT INTO sessions (id, token, opened, expires, closed, row)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            principal.session.as_str(),
            token.as_slice(),
            to_column(session.opened),
            to_column(principal.expires),
            session.closed.map(to_column),
            to_text(session)?,
        ),
    )
    .map_err(|error| exists_or_failed(error, format!("session `{}`", principal.session)))?;
    Ok(gone)
}

fn make_room(tx: &Transaction<'_>, now: UnixMillis) -> Result<Vec<SessionId>, StoreError> {
    let kept = count(tx, "SELECT count(*) FROM sessions", [])?;
    if kept < SESSIONS_MAX {
        return Ok(Vec::new());
    }
    let gone = rows(
        tx,
        "DELETE FROM sessions WHERE id = (
             SELECT id FROM sessions WHERE closed IS NOT NULL OR expires <= ?1
             ORDER BY opened, rowid LIMIT 1)
         RETURNING id",
        [to_column(now)],
        |row| row.get::<_, String>(0),
    )?;
    check_room("live sessions", kept.saturating_sub(gone.len()), SESSIONS_MAX)?;
    gone.iter().map(|id| SessionId::parse(id).map_err(|_| unreadable())).collect()
}

pub(super) fn list(tx: &Transaction<'_>) -> Result<Vec<(Session, TokenHash)>, StoreError> {
    let found =
        rows(tx, "SELECT row, token, closed FROM sessions ORDER BY opened, rowid", [], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, TokenHash>(1)?,
                row.get::<_, Option<i64>>(2)?,
            ))
        })?;
    found
        .into_iter()
        .map(|(text, token, closed)| {
            let mut session: Session = from_text("sessions", &text)?;
            session.closed = closed.map(from_column);
            Ok((session, token))
        })
        .collect()
}

pub(super) fn close(
    tx: &Transaction<'_>,
    id: &SessionId,
    at: UnixMillis,
) -> Result<(), StoreError> {
    // The first closing counts: a session does not get longer by being closed again.
    let changed = tx
        .execute(
            "UPDATE sessions SET closed = coalesce(closed, ?2) WHERE id = ?1",
            (id.as_str(), to_column(at)),
        )
        .map_err(failed)?;
    if changed == 0 { Err(missing(id)) } else { Ok(()) }
}

pub(super) fn add_created(
    tx: &Transaction<'_>,
    session: &SessionId,
    object: &ObjectRef,
) -> Result<(), StoreError> {
    if !is_known(tx, session)? {
        return Err(missing(session));
    }
    if !object.is_named() {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO created (session, object) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        (session.as_str(), to_text(object)?),
    )
    .map_err(failed)?;
    tx.execute(
        "DELETE FROM created WHERE session = ?1 AND rowid NOT IN (
             SELECT rowid FROM created WHERE session = ?1 ORDER BY rowid DESC LIMIT ?2)",
        (session.as_str(), i64::try_from(CREATED_PER_SESSION_MAX).unwrap_or(i64::MAX)),
    )
    .map_err(failed)?;
    Ok(())
}

/// An object that was created is the session's own wherever it is meant; one that was created within
/// another is so there alone.
pub(super) fn is_created(
    tx: &Transaction<'_>,
    session: &SessionId,
    object: &ObjectRef,
) -> Result<bool, StoreError> {
    if !object.is_named() {
        return Ok(false);
    }
    let anywhere = ObjectRef { within: None, ..object.clone() };
    let found = count(
        tx,
        "SELECT count(*) FROM created WHERE session = ?1 AND object IN (?2, ?3)",
        (session.as_str(), to_text(object)?, to_text(&anywhere)?),
    )?;
    Ok(found > 0)
}

pub(crate) fn is_known(tx: &Transaction<'_>, id: &SessionId) -> Result<bool, StoreError> {
    tx.query_row("SELECT 1 FROM sessions WHERE id = ?1", [id.as_str()], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
        .map_err(failed)
}

fn missing(id: &SessionId) -> StoreError {
    StoreError::Missing(format!("session `{id}`"))
}

fn unreadable() -> StoreError {
    StoreError::Failed("a row of `sessions` cannot be read".into())
}
