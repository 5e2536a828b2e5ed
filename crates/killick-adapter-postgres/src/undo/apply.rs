//! Doing what was planned, and looking whether it came out so.

use super::UndoError;
use super::plan::{after, before, key_match, number, plan_name, row_text};
use crate::session::images::{TableImages, list, literal, quoted};
use crate::session::own::Own;

/// A trigger of a table's own that would fire for what is restored.
pub(super) struct Trigger {
    table: String,
    name: String,
    /// How it is switched on again.
    enable: &'static str,
}

impl Trigger {
    /// Returns the table and the trigger as people read them.
    pub(super) fn label(&self) -> String {
        format!("{} on {}", self.name, self.table)
    }
}

/// Finds the triggers that would fire.
pub(super) async fn triggers(
    own: &mut Own,
    tables: &[TableImages],
) -> Result<Vec<Trigger>, UndoError> {
    let mut all = Vec::new();
    for table in tables {
        let sql = format!(
            "SELECT tgname, tgenabled FROM pg_catalog.pg_trigger WHERE tgrelid = {}::regclass \
             AND NOT tgisinternal AND tgenabled IN ('O', 'A') ORDER BY tgname",
            literal(&table.quoted())
        );
        for row in own.ask(&sql).await? {
            if let [Some(name), Some(state)] = row.as_slice() {
                let enable = if state == "A" { "ENABLE ALWAYS" } else { "ENABLE" };
                all.push(Trigger { table: table.quoted(), name: name.clone(), enable });
            }
        }
        let rules = format!(
            "SELECT count(*) FROM pg_catalog.pg_rewrite WHERE ev_class = {}::regclass AND ev_type <> '1'",
            literal(&table.quoted())
        );
        if number(own, &rules).await? > 0 {
            return Err(UndoError::Impossible(format!(
                "rules of {} would turn what is restored into something else",
                table.quoted()
            )));
        }
    }
    Ok(all)
}

/// Keeps triggers from firing until the end of the transaction.
pub(super) async fn hold(own: &mut Own, triggers: &[Trigger]) -> Result<(), UndoError> {
    for Trigger { table, name, .. } in triggers {
        own.ask(&format!("ALTER TABLE {table} DISABLE TRIGGER {}", quoted(name))).await?;
    }
    Ok(())
}

/// Switches the triggers on again, as they were.
pub(super) async fn release(own: &mut Own, triggers: &[Trigger]) -> Result<(), UndoError> {
    if !triggers.is_empty() {
        // What a constraint still has to check is checked while nothing is pending for the tables.
        own.ask("SET CONSTRAINTS ALL IMMEDIATE").await?;
    }
    for Trigger { table, name, enable } in triggers {
        own.ask(&format!("ALTER TABLE {table} {enable} TRIGGER {}", quoted(name))).await?;
    }
    Ok(())
}

/// Restores in an order that foreign keys allow: what was removed comes back, tables that others point to first; then
/// former values, which may point to what came back; then what was added goes, in the other direction.
pub(super) async fn apply(own: &mut Own, tables: &[TableImages]) -> Result<(), UndoError> {
    own.ask("SET CONSTRAINTS ALL DEFERRED").await?;
    for (at, table) in tables.iter().enumerate() {
        own.ask(&insert(at, table)).await?;
    }
    for (at, table) in tables.iter().enumerate() {
        if let Some(sql) = update(at, table) {
            own.ask(&sql).await?;
        }
    }
    for (at, table) in tables.iter().enumerate().rev() {
        if !table.key.is_empty() {
            own.ask(&delete(at, table)).await?;
        }
    }
    for (at, table) in tables.iter().enumerate() {
        check(own, at, table).await?;
    }
    Ok(())
}

fn insert(at: usize, table: &TableImages) -> String {
    let columns = table.column_list();
    let from = list_of("b", table);
    format!(
        "INSERT INTO {} ({columns}) OVERRIDING SYSTEM VALUE SELECT {from} FROM {} b JOIN {} p ON p.row = b.ctid \
         WHERE p.what IN ('removed', 'changed') AND p.state = 'go' AND NOT p.here",
        table.quoted(),
        before(at),
        plan_name(at),
    )
}

fn update(at: usize, table: &TableImages) -> Option<String> {
    let set: Vec<String> = table
        .columns
        .iter()
        // The server does not let go of an identity that it always makes; a row keeps its own.
        .filter(|column| !table.key.contains(&column.name) && !column.identity_always)
        .map(|column| format!("{0} = b.{0}", quoted(&column.name)))
        .collect();
    if table.key.is_empty() || set.is_empty() {
        return None;
    }
    Some(format!(
        "UPDATE ONLY {} c SET {} FROM {} b JOIN {} p ON p.row = b.ctid \
         WHERE p.what IN ('removed', 'changed') AND p.state = 'go' AND p.here AND {}",
        table.quoted(),
        set.join(", "),
        before(at),
        plan_name(at),
        key_match("c", "b", table),
    ))
}

fn delete(at: usize, table: &TableImages) -> String {
    format!(
        "DELETE FROM ONLY {} c USING {} a JOIN {} p ON p.row = a.ctid \
         WHERE p.what = 'added' AND p.state = 'go' AND {}",
        table.quoted(),
        after(at),
        plan_name(at),
        key_match("c", "a", table),
    )
}

fn list_of(of: &str, table: &TableImages) -> String {
    let columns = table.columns.iter().map(|column| format!("{of}.{}", quoted(&column.name)));
    columns.collect::<Vec<_>>().join(", ")
}

/// Compares every restored row with what was kept.
async fn check(own: &mut Own, at: usize, table: &TableImages) -> Result<(), UndoError> {
    if table.key.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT (SELECT count(*) FROM {before} b JOIN {plan} p ON p.row = b.ctid AND p.what IN ('removed', 'changed') \
         LEFT JOIN ONLY {table} c ON {c_b} WHERE p.state = 'go' AND (c.ctid IS NULL OR {c} <> {b})) \
         + (SELECT count(*) FROM {after} a JOIN {plan} p ON p.row = a.ctid AND p.what = 'added' \
         JOIN ONLY {table} c ON {c_a} WHERE p.state = 'go')",
        before = before(at),
        after = after(at),
        plan = plan_name(at),
        table = table.quoted(),
        c_b = key_match("c", "b", table),
        c_a = key_match("c", "a", table),
        c = row_text("c", table),
        b = row_text("b", table),
    );
    match number(own, &sql).await? {
        0 => Ok(()),
        wrong => Err(UndoError::Impossible(format!(
            "{wrong} rows of {} ({}) did not come out as they were",
            table.quoted(),
            list(table.key.iter().map(String::as_str)),
        ))),
    }
}
