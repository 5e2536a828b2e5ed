//! The tables, and how a store of an earlier version becomes one of this.

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

/// Each step lifts the schema by one version. A step that was released is never changed.
const STEPS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// Why the tables are not as this program needs them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error(
        "the store has schema {found}, this killick knows up to {known}; nothing was changed; run the newer killick"
    )]
    Newer { found: i64, known: i64 },
    #[error("the store's schema cannot be read or lifted: {0}")]
    Failed(String),
}

impl From<rusqlite::Error> for SchemaError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Brings the tables to the version of this program, all or nothing.
pub(crate) fn lift(connection: &mut Connection) -> Result<(), SchemaError> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    if found > known || found < 0 {
        return Err(SchemaError::Newer { found, known });
    }
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        transaction.execute_batch(step)?;
    }
    transaction.execute("UPDATE schema_version SET version = ?1", [known])?;
    Ok(transaction.commit()?)
}

fn version(transaction: &Transaction<'_>) -> Result<i64, SchemaError> {
    let table: Option<String> = transaction
        .query_row(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    if table.is_none() {
        return Ok(0);
    }
    // A version table without its one row is damage, not a fresh store.
    Ok(transaction.query_row("SELECT version FROM schema_version", [], |row| row.get(0))?)
}
