//! Agents in `SQLite`.

use killick_gate::ports::StoreError;
use killick_model::AgentName;
use killick_model::admin::{Agent, Standing};
use rusqlite::{OptionalExtension as _, Transaction};

use crate::database::{count, exists_or_failed, failed, from_text, rows, to_text};
use crate::limits::{AGENTS_MAX, check_room};

pub(super) fn add(tx: &Transaction<'_>, agent: &Agent) -> Result<(), StoreError> {
    check_room("agents", count(tx, "SELECT count(*) FROM agents", [])?, AGENTS_MAX)?;
    tx.execute(
        "INSERT INTO agents (name, row) VALUES (?1, ?2)",
        (agent.name.as_str(), to_text(agent)?),
    )
    .map_err(|error| exists_or_failed(error, format!("agent `{}`", agent.name)))?;
    Ok(())
}

pub(super) fn list(tx: &Transaction<'_>) -> Result<Vec<Agent>, StoreError> {
    rows(tx, "SELECT row FROM agents ORDER BY name", [], |row| row.get::<_, String>(0))?
        .iter()
        .map(|text| from_text("agents", text))
        .collect()
}

pub(super) fn set_standing(
    tx: &Transaction<'_>,
    name: &AgentName,
    standing: Standing,
) -> Result<(), StoreError> {
    let mut agent = find(tx, name)?.ok_or_else(|| missing(name))?;
    agent.standing = standing;
    tx.execute("UPDATE agents SET row = ?2 WHERE name = ?1", (name.as_str(), to_text(&agent)?))
        .map_err(failed)?;
    Ok(())
}

pub(super) fn remove(tx: &Transaction<'_>, name: &AgentName) -> Result<(), StoreError> {
    // An agent that is added again under the name must not find an open exception.
    tx.execute("DELETE FROM break_glasses WHERE agent = ?1", [name.as_str()]).map_err(failed)?;
    match tx.execute("DELETE FROM agents WHERE name = ?1", [name.as_str()]).map_err(failed)? {
        0 => Err(missing(name)),
        _ => Ok(()),
    }
}

pub(super) fn find(tx: &Transaction<'_>, name: &AgentName) -> Result<Option<Agent>, StoreError> {
    tx.query_row("SELECT row FROM agents WHERE name = ?1", [name.as_str()], |row| {
        row.get::<_, String>(0)
    })
    .optional()
    .map_err(failed)?
    .map(|text| from_text("agents", &text))
    .transpose()
}

pub(super) fn missing(name: &AgentName) -> StoreError {
    StoreError::Missing(format!("agent `{name}`"))
}
