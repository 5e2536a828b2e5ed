//! Definitions that are gone are made again: those among all that were written down whose numbers the catalogue does
//! not know any more. What went by CASCADE is among them, whatever it was.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use killick_gate::points::Points;
use killick_gate::programs::Programs;
use killick_model::PointId;

use super::UndoError;
use crate::session::images::{Images, literal, quoted};
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
    before: String,
    after: String,
    /// Which, as people read them.
    pub(super) labels: Vec<String>,
}

/// Finds the definitions that are gone; `None` when none were kept or none is gone.
pub(super) async fn gone(
    own: &mut Own,
    points: &dyn Points,
    programs: &Arc<dyn Programs>,
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
    let list = written_by(programs, &own.departure, &["--list", "{file:0}"], vec![dump.clone()])
        .await
        .map_err(said)?;
    let entries: Vec<Entry> = list.lines().filter_map(entry).collect();
    let missing = missing(own, &entries).await?;
    if missing.is_empty() {
        return Ok(None);
    }
    let chosen: Vec<&Entry> = entries.iter().filter(|it| is_chosen(it, &missing)).collect();
    let lines: Vec<&str> = chosen.iter().map(|it| it.line.as_str()).collect();
    let list = format!("{}\n", lines.join("\n")).into_bytes();
    let mut texts = Vec::new();
    for section in ["--section=pre-data", "--section=post-data"] {
        let arguments = [section, "--use-list={file:1}", "--file=-", "{file:0}"];
        let files = vec![dump.clone(), list.clone()];
        let text = written_by(programs, &own.departure, &arguments, files).await.map_err(said)?;
        texts.push(without_commands(&text));
    }
    let after = texts.pop().unwrap_or_default();
    let before = texts.pop().unwrap_or_default();
    let labels = missing.iter().map(|it| label(&it.rest)).collect();
    make_room(own, point, &missing).await?;
    Ok(Some(Definitions { before, after, labels }))
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

/// Commands of a terminal program that stand in such texts are not SQL.
fn without_commands(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('\\')).collect();
    lines.join("\n")
}

/// Moves what has taken the name of something that is gone out of the way. Nothing of it is destroyed.
async fn make_room(own: &mut Own, point: &PointId, missing: &[Entry]) -> Result<(), UndoError> {
    let aside = quoted(&format!("killick_replaced_{}", point.as_str().trim_start_matches("k-")));
    let mut made = false;
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
            if !made {
                own.ask(&format!("CREATE SCHEMA {aside}")).await?;
                made = true;
            }
            let kind = if it.rest.starts_with("SEQUENCE ") { "SEQUENCE" } else { "TABLE" };
            own.ask(&format!("ALTER {kind} {there} SET SCHEMA {aside}")).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_is_taken_apart() {
        let it = entry("215; 1259 16391 TABLE public my orders app").unwrap();
        assert_eq!((it.catalogue, it.number), (1259, 16391));
        assert_eq!(name_of(&it.rest), Some(("public", "my orders")));
        assert_eq!(entry(";     TOC Entries: 12"), None);
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
