//! What happens to each row that was kept, by what is there.

use std::collections::{HashMap, HashSet};

use killick_gate::points::Points;
use killick_model::PointId;
use killick_model::point::{UndoAsk, UndoneTable, WhenEdited};

use super::UndoError;
use crate::session::images::{KeptRows, TableImages, literal, quoted};
use crate::session::own::Own;

/// Rows in the way that are named.
const EDITED_SHOWN_MAX: usize = 20;

/// Finds a table by its number, whatever its name is by now. One that was dropped goes by the name under which its
/// definition was made again.
async fn found(
    own: &mut Own,
    table: &TableImages,
    made_again: bool,
) -> Result<(String, TableImages), UndoError> {
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
         ON n.oid = c.relnamespace WHERE c.oid = {} AND c.relkind = 'r'",
        table.oid
    );
    if let Some([Some(schema), Some(name)]) = own.ask(&sql).await?.first().map(Vec::as_slice) {
        let (schema, name) = (schema.clone(), name.clone());
        return Ok((table.oid.to_string(), TableImages { schema, name, ..table.clone() }));
    }
    let sql = format!("SELECT pg_catalog.to_regclass({})::oid", literal(&table.quoted()));
    let oid =
        own.ask(&sql).await?.into_iter().next().and_then(|row| row.into_iter().next().flatten());
    match oid.filter(|_| made_again) {
        Some(oid) => Ok((oid, table.clone())),
        None => Err(UndoError::Impossible(format!(
            "table {} is not there any more, or was made anew",
            table.quoted()
        ))),
    }
}

/// Returns the tables so that one that others point to comes before them.
pub(super) async fn order(
    own: &mut Own,
    tables: &[TableImages],
    made_again: bool,
) -> Result<Vec<TableImages>, UndoError> {
    let mut oids = HashMap::new();
    for table in tables {
        let (oid, table) = found(own, table, made_again).await?;
        oids.insert(oid, table);
    }
    let all: Vec<&str> = oids.keys().map(String::as_str).collect();
    let sql = format!(
        "SELECT conrelid, confrelid FROM pg_catalog.pg_constraint WHERE contype = 'f' AND conrelid <> confrelid \
         AND conrelid = ANY ('{{{0}}}'::oid[]) AND confrelid = ANY ('{{{0}}}'::oid[])",
        all.join(",")
    );
    let mut needs: HashMap<String, HashSet<String>> = HashMap::new();
    for row in own.ask(&sql).await? {
        if let [Some(child), Some(parent)] = row.as_slice() {
            needs.entry(child.clone()).or_default().insert(parent.clone());
        }
    }
    let mut left: Vec<(String, TableImages)> = oids.into_iter().collect();
    left.sort_by_key(|(_, table)| (table.schema.clone(), table.name.clone()));
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waiting: HashSet<String> = left.iter().map(|(oid, _)| oid.clone()).collect();
        let free = |oid: &String| needs.get(oid).is_none_or(|all| all.is_disjoint(&waiting));
        // Tables that point at each other have no order; the server says whether it works out.
        let at = left.iter().position(|(oid, _)| free(oid)).unwrap_or(0);
        ordered.push(left.remove(at).1);
    }
    Ok(ordered)
}

/// Brings the kept rows of a table to the server, into temporary tables.
pub(super) async fn bring(
    own: &mut Own,
    points: &dyn Points,
    point: &PointId,
    at: usize,
    table: &TableImages,
) -> Result<(), UndoError> {
    let columns = table.column_list();
    for (name, kept) in [(before(at), &table.before), (after(at), &table.after)] {
        own.ask(&format!(
            "CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS SELECT {columns} FROM ONLY {} WITH NO DATA",
            table.quoted()
        ))
        .await?;
        bring_into(own, points, point, &name, &columns, table, kept.as_ref()).await?;
    }
    Ok(())
}

/// Fills a temporary table with kept rows of a table.
pub(super) async fn bring_into(
    own: &mut Own,
    points: &dyn Points,
    point: &PointId,
    name: &str,
    columns: &str,
    table: &TableImages,
    kept: Option<&KeptRows>,
) -> Result<(), UndoError> {
    let Some(kept) = kept else { return Ok(()) };
    let mut reader = points.read(point, &kept.part).await?;
    let sql = format!("COPY {name} ({columns}) FROM STDIN");
    own.server.own_copy_in(&own.departure, &sql, reader.as_mut()).await?;
    let brought = number(own, &format!("SELECT count(*) FROM {name}")).await?;
    if brought != kept.rows {
        return Err(UndoError::Impossible(format!(
            "{} rows of {} were kept and {brought} came back",
            kept.rows,
            table.quoted()
        )));
    }
    if !table.key.is_empty() && brought > 0 {
        let key = crate::session::images::list(table.key.iter().map(String::as_str));
        own.ask(&format!("CREATE UNIQUE INDEX ON {name} ({key})")).await?;
        own.ask(&format!("ANALYZE {name}")).await?;
    }
    Ok(())
}

/// Plans what happens to each row of a table, into a temporary table, and returns it in numbers.
pub(super) async fn plan(
    own: &mut Own,
    at: usize,
    table: &TableImages,
    ask: &UndoAsk,
) -> Result<UndoneTable, UndoError> {
    decide(own, at, table, ask, &planned(at, table)).await
}

/// Runs the statement that says what happens to each row, follows what was asked about those that were edited since,
/// and returns it in numbers.
pub(super) async fn decide(
    own: &mut Own,
    at: usize,
    table: &TableImages,
    ask: &UndoAsk,
    planned: &str,
) -> Result<UndoneTable, UndoError> {
    own.ask(planned).await?;
    let name = plan_name(at);
    if ask.edited == WhenEdited::Overwrite {
        own.ask(&format!("UPDATE {name} SET state = 'go' WHERE state = 'edited'")).await?;
    } else if !ask.overwrite.is_empty() {
        let rows: Vec<String> = ask.overwrite.iter().map(|row| literal(row)).collect();
        own.ask(&format!(
            "UPDATE {name} SET state = 'go' WHERE state = 'edited' AND label = ANY (ARRAY[{}])",
            rows.join(", ")
        ))
        .await?;
    }
    let mut planned =
        UndoneTable { table: format!("{}.{}", table.schema, table.name), ..UndoneTable::default() };
    let sql = format!("SELECT what, state, count(*) FROM {name} GROUP BY 1, 2");
    for row in own.ask(&sql).await? {
        let [Some(what), Some(state), Some(count)] = row.as_slice() else { continue };
        let count = count.parse().unwrap_or(0);
        match (what.as_str(), state.as_str()) {
            (_, "already") => planned.already = planned.already.saturating_add(count),
            (_, "edited") => planned.edited = planned.edited.saturating_add(count),
            ("removed", _) => planned.restored = count,
            ("changed", _) => planned.reverted = count,
            ("added", _) => planned.removed = count,
            (_, _) => {}
        }
    }
    let sql = format!(
        "SELECT label, found FROM {name} WHERE state = 'edited' ORDER BY label LIMIT {EDITED_SHOWN_MAX}"
    );
    for row in own.ask(&sql).await? {
        if let [Some(label), found] = row.as_slice() {
            let found = found.as_deref().unwrap_or_default();
            planned.edited_rows.push(format!("{label} ({found})"));
        }
    }
    Ok(planned)
}

/// Returns the statement that compares every kept row with the one that is there.
fn planned(at: usize, table: &TableImages) -> String {
    let (name, before, after, there) = (plan_name(at), before(at), after(at), table.quoted());
    let text = |of: &str| row_text(of, table);
    if table.key.is_empty() {
        // Nothing holds such rows apart: an equal one that is there may be the very one.
        return format!(
            "CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS \
             SELECT 'removed'::text AS what, b.ctid AS row, false AS here, {table} || ' (a row without a key)' AS label, \
             'an equal row is there'::text AS found, \
             CASE WHEN EXISTS (SELECT 1 FROM ONLY {there} c WHERE {c} = {b}) THEN 'edited' ELSE 'go' END AS state \
             FROM {before} b",
            table = literal(&format!("{}.{}", table.schema, table.name)),
            c = text("c"),
            b = text("b"),
        );
    }
    let on = |left: &str, right: &str| key_match(left, right, table);
    let label = |of: &str| key_label(of, table);
    format!(
        "CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS \
         SELECT 'removed'::text AS what, b.ctid AS row, c.ctid IS NOT NULL AS here, {label_b} AS label, \
         'a row with this key is there'::text AS found, \
         CASE WHEN c.ctid IS NULL THEN 'go' WHEN {c} = {b} THEN 'already' ELSE 'edited' END AS state \
         FROM {before} b LEFT JOIN ONLY {there} c ON {c_b} WHERE NOT EXISTS (SELECT 1 FROM {after} a WHERE {a_b}) \
         UNION ALL \
         SELECT 'changed', b.ctid, c.ctid IS NOT NULL, {label_b}, \
         CASE WHEN c.ctid IS NULL THEN 'the row is gone' ELSE 'the row was changed since' END, \
         CASE WHEN {c} = {a} THEN 'go' WHEN {c} = {b} THEN 'already' ELSE 'edited' END \
         FROM {before} b JOIN {after} a ON {a_b} LEFT JOIN ONLY {there} c ON {c_b} \
         UNION ALL \
         SELECT 'added', a.ctid, c.ctid IS NOT NULL, {label_a}, 'the row was changed since', \
         CASE WHEN c.ctid IS NULL THEN 'already' WHEN {c} = {a} THEN 'go' ELSE 'edited' END \
         FROM {after} a LEFT JOIN ONLY {there} c ON {c_a} WHERE NOT EXISTS (SELECT 1 FROM {before} b WHERE {a_b})",
        label_b = label("b"),
        label_a = label("a"),
        c = text("c"),
        b = text("b"),
        a = text("a"),
        c_b = on("c", "b"),
        a_b = on("a", "b"),
        c_a = on("c", "a"),
    )
}

/// Returns the condition under which two rows have the same key.
pub(super) fn key_match(left: &str, right: &str, table: &TableImages) -> String {
    let pair = |column: &String| format!("{left}.{0} = {right}.{0}", quoted(column));
    table.key.iter().map(pair).collect::<Vec<_>>().join(" AND ")
}

/// Returns a whole row as text, as the types themselves write it.
pub(super) fn row_text(of: &str, table: &TableImages) -> String {
    let columns = table.columns.iter().map(|column| format!("{of}.{}", quoted(&column.name)));
    format!("ROW({})::text", columns.collect::<Vec<_>>().join(", "))
}

pub(super) fn key_label(of: &str, table: &TableImages) -> String {
    let named = table.key.iter().enumerate().map(|(at, column)| {
        let before =
            if at == 0 { format!("{}.{} ", table.schema, table.name) } else { ", ".to_owned() };
        format!("{} || {of}.{}::text", literal(&format!("{before}{column}=")), quoted(column))
    });
    named.collect::<Vec<_>>().join(" || ")
}

pub(super) async fn number(own: &mut Own, sql: &str) -> Result<u64, UndoError> {
    let rows = own.ask(sql).await?;
    let first = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
    first
        .and_then(|raw| raw.parse().ok())
        .ok_or_else(|| UndoError::Impossible("the server did not answer with a number".into()))
}

pub(super) fn before(at: usize) -> String {
    format!("pg_temp._killick_before_{at}")
}

pub(super) fn after(at: usize) -> String {
    format!("pg_temp._killick_after_{at}")
}

pub(super) fn plan_name(at: usize) -> String {
    format!("pg_temp._killick_plan_{at}")
}
