//! What went with definitions, whatever took it: each table and column that the connection beside still sees and the
//! session does not must have been kept. A type, a schema, a function takes columns by CASCADE; a name may have meant
//! something else when it was used.

use std::collections::{BTreeMap, BTreeSet};

use super::engine::Session;
use super::images::Images;
use super::keep::NotKept;
use super::own::Own;
use super::server::ServerError;

/// The columns of all tables that hold values.
const COLUMNS: &str = "SELECT a.attrelid::pg_catalog.text, a.attnum::pg_catalog.text FROM pg_catalog.pg_attribute a \
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped \
    AND c.relkind = 'r' AND c.relpersistence <> 't'";

/// The defaults and CHECK constraints of all tables, as people read them.
const HELD: &str = "SELECT d.adrelid::pg_catalog.text, 'the default of column ' || a.attname::pg_catalog.text FROM pg_catalog.pg_attrdef d \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid >= 16384 AND a.attgenerated = '' \
    UNION ALL SELECT k.conrelid::pg_catalog.text, 'constraint ' || k.conname::pg_catalog.text FROM pg_catalog.pg_constraint k \
    WHERE k.contype = 'c' AND k.conrelid >= 16384";

type Columns = BTreeMap<u32, BTreeSet<i16>>;

impl Session {
    /// Makes sure that no table and no column went that is not kept. To be asked while the session is pinned.
    pub(crate) async fn nothing_else_went(
        &mut self,
        images: &mut Images,
        own: &mut Own,
    ) -> Result<(), NotKept> {
        if !self.work.ddl {
            return Ok(());
        }
        let before = columns(own.ask(COLUMNS).await)?;
        let left =
            columns(self.server.own(&std::sync::Arc::clone(&self.departure), COLUMNS).await)?;
        for (oid, numbers) in &before {
            let there = left.get(oid);
            let whole = images.tables.iter().any(|it| it.oid == *oid);
            let went = |number: &&i16| there.is_none_or(|it| !it.contains(number));
            for number in numbers.iter().filter(went) {
                let own = images.columns.iter().filter(|it| it.rows.oid == *oid);
                let kept = own.flat_map(|it| &it.lost).any(|it| it.number == *number);
                // A table of which only some rows were kept has lost a column of the others.
                if !(kept || (whole && there.is_none())) {
                    let catalogue = self.known.catalogue();
                    let name = catalogue.name_of(*oid).unwrap_or_else(|| format!("number {oid}"));
                    return Err(NotKept::Incomplete(format!(
                        "something of table {name} went that was not kept: it went with something else, or was \
                         renamed before"
                    )));
                }
            }
        }
        let held = own.ask(HELD).await?;
        let still = self.server.own(&std::sync::Arc::clone(&self.departure), HELD).await?;
        let still: BTreeSet<Vec<Option<String>>> = still.into_iter().collect();
        for row in held.into_iter().filter(|row| !still.contains(row)) {
            let [Some(oid), Some(what)] = row.as_slice() else { continue };
            let own = images.columns.iter().filter(|it| it.rows.oid.to_string() == *oid);
            let mut back = own.flat_map(|it| {
                let lost = it.lost.iter().map(|it| format!("the default of column {}", it.name));
                lost.chain(it.checks.iter().map(|it| format!("constraint {}", it.name)))
            });
            let there = oid.parse().is_ok_and(|oid| left.contains_key(&oid));
            if there && !back.any(|it| it == *what) {
                let oid = oid.parse().unwrap_or_default();
                let name = self.known.catalogue().name_of(oid).unwrap_or_else(|| oid.to_string());
                images.not_covered.push(format!("{what} of {name} does not come back"));
            }
        }
        Ok(())
    }
}

fn columns(rows: Result<Vec<Vec<Option<String>>>, ServerError>) -> Result<Columns, NotKept> {
    let mut all = Columns::new();
    for row in rows? {
        if let [Some(oid), Some(number)] = row.as_slice()
            && let (Ok(oid), Ok(number)) = (oid.parse(), number.parse())
        {
            all.entry(oid).or_default().insert(number);
        }
    }
    Ok(all)
}
