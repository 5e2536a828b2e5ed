//! How many rows each table holds, and how they are written in a manifest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{MANIFEST_VERSION, TABLES_MAX};

/// Tables whose rows a dump holds: not those of the server itself, of another session, or of an extension.
pub(super) const TABLES: &str = "SELECT n.nspname, c.relname FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' \
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
        AND d.objid = c.oid AND d.deptype = 'e') \
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass \
        AND d.objid = n.oid AND d.deptype = 'e') \
    ORDER BY 1, 2";

/// Extensions that a restored database needs, as the dump names them.
pub(super) const EXTENSIONS: &str = "SELECT e.extname, n.nspname FROM pg_extension e \
    JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql' ORDER BY 1";

/// What a snapshot's manifest says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) version: u32,
    /// The server's version.
    pub(super) server: String,
    /// The database's name at the server.
    pub(super) database: String,
    /// Its encoding.
    pub(super) encoding: String,
    /// Extensions with their schemas.
    pub(super) extensions: Vec<(String, String)>,
    /// Rows by schema and table, in the very snapshot that was dumped.
    pub(super) rows: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Manifest {
    /// Reads a point's manifest.
    pub(super) fn read(value: &serde_json::Value) -> Result<Self, String> {
        let manifest: Self = serde_json::from_value(value.clone())
            .map_err(|_| "the snapshot's manifest cannot be read".to_owned())?;
        if manifest.version == MANIFEST_VERSION {
            Ok(manifest)
        } else {
            Err("the snapshot's manifest is of another version".into())
        }
    }

    /// Returns the number of tables and of rows.
    pub(super) fn sums(&self) -> (u64, u64) {
        let tables = self.rows.values().map(|it| it.len() as u64).sum();
        let rows = self.rows.values().flat_map(BTreeMap::values).sum();
        (tables, rows)
    }
}

/// Returns the statement that counts the rows of one table by itself, without what inherits from it.
pub(super) fn count(schema: &str, table: &str) -> String {
    format!("SELECT count(*) FROM ONLY {}.{}", quoted(schema), quoted(table))
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Reads two columns of text.
pub(super) fn pairs(rows: Vec<Vec<Option<String>>>) -> Result<Vec<(String, String)>, String> {
    if rows.len() > TABLES_MAX {
        return Err(format!("the database has more than {TABLES_MAX} tables"));
    }
    rows.into_iter()
        .map(|row| {
            let mut columns = row.into_iter();
            match (columns.next().flatten(), columns.next().flatten()) {
                (Some(one), Some(two)) => Ok((one, two)),
                (_, _) => Err("the server listed something without a name".to_owned()),
            }
        })
        .collect()
}

/// Says which tables do not hold what they held when the snapshot was taken.
pub(super) fn compare(
    manifest: &Manifest,
    mut found: BTreeMap<(String, String), u64>,
    wrong: &mut Vec<String>,
) {
    for (schema, tables) in &manifest.rows {
        for (table, expected) in tables {
            match found.remove(&(schema.clone(), table.clone())) {
                Some(count) if count == *expected => {}
                Some(count) => {
                    wrong.push(format!("{schema}.{table} has {count} rows, not {expected}"));
                }
                None => wrong.push(format!("{schema}.{table} is not there")),
            }
        }
    }
    wrong.extend(found.keys().map(|(schema, table)| format!("{schema}.{table} was not there")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(
            count("a\"b", "c; DROP TABLE d"),
            "SELECT count(*) FROM ONLY \"a\"\"b\".\"c; DROP TABLE d\""
        );
    }
}
