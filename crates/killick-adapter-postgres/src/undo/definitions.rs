//! Definitions that are gone are made again: those among all that were written down whose numbers the catalogue does
//! not know any more. What went by CASCADE is among them, whatever it was.

use std::collections::{BTreeMap, HashSet};

use killick_gate::points::Points;
use killick_model::PointId;

use super::UndoError;
use crate::PostgresAdapter;
use crate::session::images::{Images, TableImages, literal, quoted};
use crate::session::keep_definitions::{DEFINITIONS_BYTES_MAX, written_by};
use crate::session::own::Own;

/// One line of the list of what was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    line: String,
    /// The catalogue that holds it, 0 for none.
    catalogue: u32,
    number: u32,
    /// `TABLE`, `FK CONSTRAINT`, `ACL`, … and what follows: schema, name, owner.
    rest: String,
}

/// Definitions to be made again.
pub(super) struct Definitions {
    types: String,
    before: String,
    after: String,
    /// Which, as people read them.
    pub(super) labels: Vec<String>,
    /// What stood in their places and was moved, in sentences.
    pub(super) moved: Vec<String>,
}

/// Finds the definitions that are gone; `None` when none were kept or none is gone.
pub(super) async fn gone(
    own: &mut Own,
    points: &dyn Points,
    adapter: &PostgresAdapter,
    point: &PointId,
    images: &Images,
) -> Result<Option<Definitions>, UndoError> {
    let Some(part) = &images.definitions else { return Ok(None) };
    let mut reader = points.read(point, part).await?;
    let mut dump = Vec::new();
    while let Some(block) = reader.next().await? {
        if dump.len().saturating_add(block.len()) > DEFINITIONS_BYTES_MAX {
            return Err(UndoError::Impossible("the definitions are larger than is read".into()));
        }
        dump.extend(block);
    }
    let said =
        |error: killick_gate::programs::ProgramError| UndoError::Impossible(error.to_string());
    let list = written_by(adapter, &own.departure, &["--list", "{file:0}"], vec![dump.clone()])
        .await
        .map_err(said)?;
    let entries: Vec<Entry> = list.lines().filter_map(entry).collect();
    let mut missing = missing(own, &entries).await?;
    for table in &images.columns {
        let there = names_on(own, table.rows.oid).await?;
        missing.retain(|it| !is_there(&it.rest, &table.rows, &there));
    }
    if missing.is_empty() {
        return Ok(None);
    }
    let chosen: Vec<&Entry> = entries.iter().filter(|it| is_chosen(it, &missing)).collect();
    // Columns need their types, and views need columns.
    let is_type =
        |it: &&&Entry| ["SCHEMA ", "TYPE ", "DOMAIN "].iter().any(|kind| it.rest.starts_with(kind));
    let (types, others): (Vec<&Entry>, Vec<&Entry>) = if images.columns.is_empty() {
        (Vec::new(), chosen)
    } else {
        chosen.iter().copied().partition(|it| is_type(&it))
    };
    let mut texts = Vec::new();
    for (some, section) in [
        (&types, "--section=pre-data"),
        (&others, "--section=pre-data"),
        (&others, "--section=post-data"),
    ] {
        if some.is_empty() {
            texts.push(String::new());
            continue;
        }
        let lines: Vec<&str> = some.iter().map(|it| it.line.as_str()).collect();
        let list = format!("{}\n", lines.join("\n")).into_bytes();
        let arguments = [section, "--use-list={file:1}", "--file=-", "{file:0}"];
        let files = vec![dump.clone(), list];
        let text = written_by(adapter, &own.departure, &arguments, files).await.map_err(said)?;
        texts.push(without_commands(&text));
    }
    let after = texts.pop().unwrap_or_default();
    let before = texts.pop().unwrap_or_default();
    let types = texts.pop().unwrap_or_default();
    let labels = missing.iter().map(|it| label(&it.rest)).collect();
    let moved = make_room(own, point, &missing).await?;
    Ok(Some(Definitions { types, before, after, labels, moved }))
}

/// Makes the types that columns need.
pub(super) async fn make_types(own: &mut Own, definitions: &Definitions) -> Result<(), UndoError> {
    if definitions.types.is_empty() { Ok(()) } else { run(own, &definitions.types).await }
}

/// Makes tables and what they need.
pub(super) async fn make(own: &mut Own, definitions: &Definitions) -> Result<(), UndoError> {
    run(own, &definitions.before).await
}

/// Makes what hangs on rows: indexes, constraints, triggers.
pub(super) async fn finish(
    own: &mut Own,
    definitions: &Definitions,
    images: &Images,
) -> Result<(), UndoError> {
    for sequence in &images.sequences {
        let name = format!("{}.{}", quoted(&sequence.schema), quoted(&sequence.name));
        own.ask(&format!(
            "SELECT pg_catalog.setval({}, {}, {}) WHERE pg_catalog.to_regclass({0}) IS NOT NULL",
            literal(&name),
            sequence.last,
            sequence.called
        ))
        .await?;
    }
    run(own, &definitions.after).await
}

async fn run(own: &mut Own, text: &str) -> Result<(), UndoError> {
    own.server.own_text(&own.departure, text).await?;
    // Such a text sets the session's path and more for itself.
    own.ask("SET search_path TO pg_catalog").await?;
    Ok(())
}

/// Reads one line of the list: `ID; CATALOGUE NUMBER KIND SCHEMA NAME OWNER`.
fn entry(line: &str) -> Option<Entry> {
    if line.starts_with(';') {
        return None;
    }
    let (_, rest) = line.split_once("; ")?;
    let (catalogue, rest) = rest.split_once(' ')?;
    let (number, rest) = rest.split_once(' ')?;
    Some(Entry {
        line: line.to_owned(),
        catalogue: catalogue.parse().ok()?,
        number: number.parse().ok()?,
        rest: rest.to_owned(),
    })
}

/// Returns the entries whose objects are not in the catalogue any more.
async fn missing(own: &mut Own, entries: &[Entry]) -> Result<Vec<Entry>, UndoError> {
    let mut by_catalogue: BTreeMap<u32, Vec<&Entry>> = BTreeMap::new();
    for it in entries.iter().filter(|it| it.catalogue != 0) {
        by_catalogue.entry(it.catalogue).or_default().push(it);
    }
    let mut missing = Vec::new();
    for (catalogue, all) in by_catalogue {
        let name = format!("SELECT {catalogue}::oid::regclass::text");
        let name = own
            .ask(&name)
            .await?
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next().flatten());
        let Some(name) = name.filter(|it| it.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        else {
            return Err(UndoError::Impossible(format!(
                "catalogue number {catalogue} is not known"
            )));
        };
        let numbers: Vec<String> = all.iter().map(|it| it.number.to_string()).collect();
        let sql = format!(
            "SELECT oid FROM pg_catalog.{name} WHERE oid = ANY ('{{{}}}'::oid[])",
            numbers.join(",")
        );
        let there: HashSet<String> = own
            .ask(&sql)
            .await?
            .into_iter()
            .filter_map(|row| row.into_iter().next().flatten())
            .collect();
        missing
            .extend(all.into_iter().filter(|it| !there.contains(&it.number.to_string())).cloned());
    }
    Ok(missing)
}

/// What hangs on a table whose columns come back, by name.
struct Names {
    /// Indexes, constraints, statistics, triggers, policies, rules and columns of the table.
    own: HashSet<String>,
    /// Views and sequences, with their schemas.
    relations: HashSet<(String, String)>,
}

/// Returns what is there under its name: when a column gets another type, the server makes what hangs on it anew under
/// other numbers, and so does an undo.
async fn names_on(own: &mut Own, table: u32) -> Result<Names, UndoError> {
    let sql = format!(
        "SELECT conname::text FROM pg_catalog.pg_constraint WHERE conrelid = {table} \
         UNION SELECT c.relname::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
         WHERE i.indrelid = {table} UNION SELECT stxname::text FROM pg_catalog.pg_statistic_ext WHERE stxrelid = {table} \
         UNION SELECT tgname::text FROM pg_catalog.pg_trigger WHERE tgrelid = {table} \
         UNION SELECT polname::text FROM pg_catalog.pg_policy WHERE polrelid = {table} \
         UNION SELECT rulename::text FROM pg_catalog.pg_rewrite WHERE ev_class = {table} \
         UNION SELECT attname::text FROM pg_catalog.pg_attribute WHERE attrelid = {table} AND NOT attisdropped"
    );
    let rows = own.ask(&sql).await?;
    let names = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    let sql = "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm', 'S')";
    let mut relations = HashSet::new();
    for row in own.ask(sql).await? {
        if let [Some(schema), Some(name)] = row.as_slice() {
            relations.insert((schema.clone(), name.clone()));
        }
    }
    Ok(Names { own: names, relations })
}

/// Returns whether an entry is one that is there under another number, or one that columns bring with them.
fn is_there(rest: &str, table: &TableImages, names: &Names) -> bool {
    let (schema, name) = (table.schema.as_str(), table.name.as_str());
    let views = ["VIEW ", "MATERIALIZED VIEW ", "SEQUENCE "];
    if views.iter().any(|kind| rest.starts_with(kind)) {
        let known = name_of(rest).map(|(schema, name)| (schema.to_owned(), name.to_owned()));
        return known.is_some_and(|it| names.relations.contains(&it));
    }
    let default = format!("DEFAULT {schema} {name} ");
    if rest.starts_with(&default) {
        return true;
    }
    let on_table = ["CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT", "TRIGGER", "POLICY", "RULE"]
        .map(|kind| format!("{kind} {schema} {name} "));
    let of_schema = ["INDEX", "STATISTICS"].map(|kind| format!("{kind} {schema} "));
    let own_name =
        on_table.iter().chain(&of_schema).find_map(|kind| rest.strip_prefix(kind.as_str()));
    // The owner stands last.
    own_name.and_then(|it| it.rsplit_once(' ')).is_some_and(|(it, _)| names.own.contains(it))
}

/// Returns whether an entry is gone, or belongs to one that is: its rights, its comment, how it is attached.
fn is_chosen(it: &Entry, missing: &[Entry]) -> bool {
    if it.catalogue != 0 {
        return missing.contains(it);
    }
    let schemas = it.rest.starts_with("ENCODING") || it.rest.starts_with("STDSTRINGS");
    schemas
        || it.rest.starts_with("SEARCHPATH")
        || missing.iter().any(|gone| match name_of(&gone.rest) {
            Some((schema, name)) => mentions(&it.rest, schema, name),
            None => false,
        })
}

/// Returns schema and name of a relation-like entry (`TABLE public orders app`).
fn name_of(rest: &str) -> Option<(&str, &str)> {
    let rest =
        ["TABLE ", "VIEW ", "MATERIALIZED VIEW ", "SEQUENCE ", "FUNCTION ", "TYPE ", "INDEX "]
            .iter()
            .find_map(|kind| rest.strip_prefix(kind))?;
    let (schema, rest) = rest.split_once(' ')?;
    // The owner stands last; a name may hold blanks.
    let (name, _) = rest.rsplit_once(' ')?;
    Some((schema, name))
}

fn mentions(rest: &str, schema: &str, name: &str) -> bool {
    let padded = format!("{rest} ");
    padded.contains(&format!(" {schema} ")) && padded.contains(&format!(" {name} "))
}

fn label(rest: &str) -> String {
    rest.rsplit_once(' ').map_or(rest, |(what, _)| what).to_owned()
}

/// Leaves out what is no SQL (the `\restrict` and `\unrestrict` that such a text stands between), and what a newer
/// program sets at its beginning that a server before 17 does not know. What the definitions say stays as it is.
fn without_commands(text: &str) -> String {
    // A line may end in `\r`: that is the definition's own.
    let lines = || text.split_terminator('\n');
    let is_header = |line: &&str| line.is_empty() || line.starts_with("--");
    let key = lines().find(|line| !is_header(line)).and_then(|it| it.strip_prefix("\\restrict "));
    let mut begins = true;
    let lines = lines().filter(|line| {
        begins &= line.is_empty()
            || ["--", "\\", "SET ", "SELECT pg_catalog.set_config("]
                .iter()
                .any(|it| line.starts_with(it));
        let command = begins && (line.starts_with('\\') || *line == "SET transaction_timeout = 0;");
        let ends = key.is_some() && line.strip_prefix("\\unrestrict ") == key;
        !command && !ends
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Moves what has taken the name of something that is gone out of the way, and says so. Nothing of it is destroyed.
async fn make_room(
    own: &mut Own,
    point: &PointId,
    missing: &[Entry],
) -> Result<Vec<String>, UndoError> {
    let aside = quoted(&format!("killick_replaced_{}", point.as_str().trim_start_matches("k-")));
    let mut moved = Vec::new();
    for it in missing {
        let kind = ["TABLE ", "VIEW ", "SEQUENCE ", "MATERIALIZED VIEW "];
        if let Some((schema, name)) =
            name_of(&it.rest).filter(|_| kind.iter().any(|k| it.rest.starts_with(k)))
        {
            own.ask(&format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(schema))).await?;
            let there = format!("{}.{}", quoted(schema), quoted(name));
            let sql = format!("SELECT pg_catalog.to_regclass({}) IS NOT NULL", literal(&there));
            let taken = own.ask(&sql).await?.first().and_then(|row| row.first().cloned().flatten());
            if taken.as_deref() != Some("t") {
                continue;
            }
            if moved.is_empty() {
                own.ask(&format!("CREATE SCHEMA {aside}")).await?;
            }
            let kind = if it.rest.starts_with("SEQUENCE ") { "SEQUENCE" } else { "TABLE" };
            own.ask(&format!("ALTER {kind} {there} SET SCHEMA {aside}")).await?;
            moved.push(format!("what had the name {there} is moved to schema {aside}, as it is"));
        }
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_around_a_text_go_and_bodies_stay_as_they_are() {
        let text = "--\n\\restrict k1\n\nSET lock_timeout = 0;\nSET transaction_timeout = 0;\n\n\
            CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$\n\\restrict me\nSET transaction_timeout = 0;\n\
            \\unrestrict k2\r\n$$;\n\n\\unrestrict k1\n";
        assert_eq!(
            without_commands(text),
            "--\n\nSET lock_timeout = 0;\n\nCREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$\n\
             \\restrict me\nSET transaction_timeout = 0;\n\\unrestrict k2\r\n$$;\n"
        );
    }

    #[test]
    fn a_line_of_the_list_is_taken_apart() {
        let it = entry("215; 1259 16391 TABLE public my orders app").unwrap();
        assert_eq!((it.catalogue, it.number), (1259, 16391));
        assert_eq!(name_of(&it.rest), Some(("public", "my orders")));
        assert_eq!(entry(";     TOC Entries: 12"), None);
        let table = TableImages {
            oid: 1,
            schema: "public".into(),
            name: "my orders".into(),
            columns: Vec::new(),
            key: Vec::new(),
            before: None,
            after: None,
        };
        let names = Names {
            own: ["by day".to_owned()].into(),
            relations: [("public".to_owned(), "days".to_owned())].into(),
        };
        for (rest, there) in [
            ("INDEX public by day app", true),
            ("INDEX public by year app", false),
            ("TRIGGER public my orders by day app", true),
            ("TRIGGER public orders by day app", false),
            ("VIEW public days app", true),
            ("VIEW other days app", false),
            ("DEFAULT public my orders n app", true),
            ("TABLE public by day app", false),
        ] {
            assert_eq!(is_there(rest, &table, &names), there, "{rest}");
        }
        let acl = entry("3400; 0 0 ACL public TABLE my orders app").unwrap();
        assert!(is_chosen(&acl, std::slice::from_ref(&it)));
        let other = entry("3401; 0 0 ACL public TABLE orders2 app").unwrap();
        assert!(!is_chosen(&other, std::slice::from_ref(&it)));
    }

    #[test]
    fn commands_of_a_terminal_program_are_left_out() {
        assert_eq!(without_commands("\\restrict x\nSELECT 1;\n\\unrestrict x"), "SELECT 1;");
    }
}
