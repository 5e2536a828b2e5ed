//! Declared upstreams and named settings in `SQLite`.

use killick_gate::ports::StoreError;
use killick_model::UpstreamName;
use killick_model::admin::Upstream;
use rusqlite::{OptionalExtension as _, Transaction};

use crate::database::{count, failed, from_text, rows, to_text};
use crate::limits::{SETTING_BYTES_MAX, SETTINGS_MAX, UPSTREAMS_MAX, check_room};

pub(super) fn put(tx: &Transaction<'_>, upstream: &Upstream) -> Result<(), StoreError> {
    let others =
        count(tx, "SELECT count(*) FROM upstreams WHERE name <> ?1", [upstream.name.as_str()])?;
    check_room("upstreams", others, UPSTREAMS_MAX)?;
    tx.execute(
        "INSERT INTO upstreams (name, row) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET row = excluded.row",
        (upstream.name.as_str(), to_text(upstream)?),
    )
    .map_err(failed)?;
    Ok(())
}

pub(super) fn list(tx: &Transaction<'_>) -> Result<Vec<Upstream>, StoreError> {
    rows(tx, "SELECT row FROM upstreams ORDER BY name", [], |row| row.get::<_, String>(0))?
        .iter()
        .map(|text| from_text("upstreams", text))
        .collect()
}

pub(super) fn remove(tx: &Transaction<'_>, name: &UpstreamName) -> Result<(), StoreError> {
    match tx.execute("DELETE FROM upstreams WHERE name = ?1", [name.as_str()]).map_err(failed)? {
        0 => Err(StoreError::Missing(format!("upstream `{name}`"))),
        _ => Ok(()),
    }
}

pub(super) fn setting(tx: &Transaction<'_>, name: &str) -> Result<Option<String>, StoreError> {
    tx.query_row("SELECT value FROM settings WHERE name = ?1", [name], |row| row.get(0))
        .optional()
        .map_err(failed)
}

pub(super) fn put_setting(tx: &Transaction<'_>, name: &str, value: &str) -> Result<(), StoreError> {
    let others = count(tx, "SELECT count(*) FROM settings WHERE name <> ?1", [name])?;
    check_room("settings", others, SETTINGS_MAX)?;
    check_room("bytes of a setting", name.len().saturating_add(value.len()), SETTING_BYTES_MAX)?;
    tx.execute(
        "INSERT INTO settings (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )
    .map_err(failed)?;
    Ok(())
}
