//! Declared databases and the damage budget in `SQLite`.

use killick_gate::ports::{Damage, StoreError};
use killick_model::database::Database;
use killick_model::{EnvironmentName, Owner, UnixMillis, UpstreamName};
use rusqlite::Transaction;

use crate::database::{count, failed, from_text, rows, to_column, to_text};
use crate::limits::{DAMAGE_KEPT_MILLIS, DATABASES_MAX, check_room};

pub(super) fn put(tx: &Transaction<'_>, database: &Database) -> Result<(), StoreError> {
    let others =
        count(tx, "SELECT count(*) FROM databases WHERE name <> ?1", [database.name.as_str()])?;
    check_room("databases", others, DATABASES_MAX)?;
    tx.execute(
        "INSERT INTO databases (name, row) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET row = excluded.row",
        (database.name.as_str(), to_text(database)?),
    )
    .map_err(failed)?;
    Ok(())
}

pub(super) fn list(tx: &Transaction<'_>) -> Result<Vec<Database>, StoreError> {
    rows(tx, "SELECT row FROM databases ORDER BY name", [], |row| row.get::<_, String>(0))?
        .iter()
        .map(|text| from_text("databases", text))
        .collect()
}

pub(super) fn remove(tx: &Transaction<'_>, name: &UpstreamName) -> Result<(), StoreError> {
    match tx.execute("DELETE FROM databases WHERE name = ?1", [name.as_str()]).map_err(failed)? {
        0 => Err(StoreError::Missing(format!("database `{name}`"))),
        _ => Ok(()),
    }
}

pub(super) fn damage_add(
    tx: &Transaction<'_>,
    owner: &Owner,
    environment: &EnvironmentName,
    damage: Damage,
    at: UnixMillis,
) -> Result<(), StoreError> {
    let column = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    tx.execute(
        "INSERT INTO damage (owner, environment, at, destroyed_rows, destroyed_objects)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            owner.to_string(),
            environment.as_str(),
            to_column(at),
            column(damage.rows),
            column(damage.objects),
        ),
    )
    .map_err(failed)?;
    let forgotten = UnixMillis(at.0.saturating_sub(DAMAGE_KEPT_MILLIS));
    tx.execute("DELETE FROM damage WHERE at < ?1", [to_column(forgotten)]).map_err(failed)?;
    Ok(())
}

pub(super) fn damage_since(
    tx: &Transaction<'_>,
    owner: &Owner,
    environment: &EnvironmentName,
    since: UnixMillis,
) -> Result<Damage, StoreError> {
    let found = rows(
        tx,
        "SELECT destroyed_rows, destroyed_objects FROM damage
         WHERE owner = ?1 AND environment = ?2 AND at >= ?3",
        (owner.to_string(), environment.as_str(), to_column(since)),
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
    )?;
    // Summed here, since a sum that overflows in the engine is an error, not the most there is.
    Ok(found.into_iter().fold(Damage::default(), |sum, (rows, objects)| Damage {
        rows: sum.rows.saturating_add(rows.unsigned_abs()),
        objects: sum.objects.saturating_add(objects.unsigned_abs()),
    }))
}
