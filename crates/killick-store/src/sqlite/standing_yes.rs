//! A human's standing yes in `SQLite`: grants and break-glasses.

use killick_gate::ports::StoreError;
use killick_model::request::{BreakGlass, Grant};
use killick_model::{AgentName, UnixMillis};
use rusqlite::Transaction;

use super::agents;
use crate::database::{count, exists_or_failed, failed, from_text, rows, to_column, to_text};
use crate::limits::{GRANTS_MAX, check_room};
use crate::states::check_grant;

pub(super) fn add_grant(tx: &Transaction<'_>, grant: &Grant) -> Result<(), StoreError> {
    check_grant(grant)?;
    check_room("grants", count(tx, "SELECT count(*) FROM grants", [])?, GRANTS_MAX)?;
    tx.execute(
        "INSERT INTO grants (id, uses_left, expires, row) VALUES (?1, ?2, ?3, ?4)",
        (&grant.id, grant.left, to_column(grant.expires), to_text(grant)?),
    )
    .map_err(|error| exists_or_failed(error, format!("grant `{}`", grant.id)))?;
    Ok(())
}

pub(super) fn grants(tx: &Transaction<'_>) -> Result<Vec<Grant>, StoreError> {
    let found = rows(tx, "SELECT row, uses_left FROM grants ORDER BY rowid", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?))
    })?;
    found
        .into_iter()
        .map(|(text, left)| Ok(Grant { left, ..from_text("grants", &text)? }))
        .collect()
}

pub(super) fn spend_grant(
    tx: &Transaction<'_>,
    id: &str,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let spent = tx
        .execute(
            "UPDATE grants SET uses_left = uses_left - 1
             WHERE id = ?1 AND uses_left > 0 AND expires > ?2",
            (id, to_column(now)),
        )
        .map_err(failed)?;
    Ok(spent == 1)
}

pub(super) fn remove_grant(tx: &Transaction<'_>, id: &str) -> Result<(), StoreError> {
    match tx.execute("DELETE FROM grants WHERE id = ?1", [id]).map_err(failed)? {
        0 => Err(StoreError::Missing(format!("grant `{id}`"))),
        _ => Ok(()),
    }
}

pub(super) fn open_break_glass(tx: &Transaction<'_>, glass: &BreakGlass) -> Result<(), StoreError> {
    if agents::find(tx, &glass.agent)?.is_none() {
        return Err(agents::missing(&glass.agent));
    }
    tx.execute(
        "INSERT INTO break_glasses (agent, expires, row) VALUES (?1, ?2, ?3)
         ON CONFLICT (agent) DO UPDATE SET expires = excluded.expires, row = excluded.row",
        (glass.agent.as_str(), to_column(glass.expires), to_text(glass)?),
    )
    .map_err(failed)?;
    Ok(())
}

pub(super) fn break_glasses(
    tx: &Transaction<'_>,
    now: UnixMillis,
) -> Result<Vec<BreakGlass>, StoreError> {
    rows(
        tx,
        "SELECT row FROM break_glasses WHERE expires > ?1 ORDER BY agent",
        [to_column(now)],
        |row| row.get::<_, String>(0),
    )?
    .iter()
    .map(|text| from_text("break_glasses", text))
    .collect()
}

pub(super) fn end_break_glass(tx: &Transaction<'_>, agent: &AgentName) -> Result<(), StoreError> {
    let ended = tx
        .execute("DELETE FROM break_glasses WHERE agent = ?1", [agent.as_str()])
        .map_err(failed)?;
    if ended == 0 {
        return Err(StoreError::Missing(format!("break-glass for agent `{agent}`")));
    }
    Ok(())
}
