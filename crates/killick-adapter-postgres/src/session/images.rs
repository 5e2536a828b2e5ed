//! What a recovery point of rows says of itself: which tables, which rows before and after, what it does not hold.

use killick_sql::catalogue::{Catalogue, Relation, RelationKind};
use serde::{Deserialize, Serialize};

/// The version of the manifest that is written; older ones are read.
pub(crate) const IMAGES_VERSION: u32 = 2;

/// Rows as they were before one transaction, and as it left them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Images {
    /// [`IMAGES_VERSION`].
    pub(crate) version: u32,
    /// `server_version_num`.
    pub(crate) server_version: u32,
    /// The name of the database at its server.
    pub(crate) database: String,
    /// The transaction's number at the server.
    pub(crate) xid: String,
    /// Tables, in no order.
    pub(crate) tables: Vec<TableImages>,
    /// What an undo does not bring back, in sentences.
    pub(crate) not_covered: Vec<String>,
    /// The stream with all definitions as they were before, when some were dropped.
    #[serde(default)]
    pub(crate) definitions: Option<String>,
    /// Sequences that were dropped, where they stood.
    #[serde(default)]
    pub(crate) sequences: Vec<KeptSequence>,
    /// Columns that were dropped or rewritten.
    #[serde(default)]
    pub(crate) columns: Vec<ColumnImages>,
}

/// Columns of one table that lost their values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ColumnImages {
    /// The table's rows, of which only the key and the values that were lost are kept: before, and of those columns that
    /// are [`left`](Self::left) also after.
    pub(crate) rows: TableImages,
    /// The columns that lost their values.
    pub(crate) lost: Vec<LostColumn>,
    /// Those of them that were there when the transaction ended, behind the key in the rows that are kept of after.
    pub(crate) left: Vec<KeptColumn>,
    /// The numbers that the columns of the key have in the table, in the order of its names.
    pub(crate) key_numbers: Vec<i16>,
    /// CHECK constraints that went with a column.
    pub(crate) checks: Vec<KeptCheck>,
}

impl ColumnImages {
    /// Returns whether a column of the table by its name and number is one of the key.
    pub(crate) fn is_key(&self, name: &str, number: &str) -> bool {
        let mut key = self.rows.key.iter().zip(&self.key_numbers);
        key.any(|(key, at)| key == name && at.to_string() == number)
    }
}

/// A CHECK constraint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptCheck {
    /// Its name.
    pub(crate) name: String,
    /// What follows the name in DDL.
    pub(crate) definition: String,
}

/// How a column was defined that lost its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LostColumn {
    /// Its name.
    pub(crate) name: String,
    /// Its number in the table (`attnum`).
    pub(crate) number: i16,
    /// Whether it was dropped; otherwise its values were rewritten.
    pub(crate) dropped: bool,
    /// Its type and collation as DDL writes them.
    pub(crate) declared: String,
    /// NOT NULL.
    pub(crate) not_null: bool,
    /// Its default.
    pub(crate) default: Option<String>,
    /// What it was computed from; no values of it are kept then.
    pub(crate) generated: Option<String>,
    /// Statements that give it its comment, its rights, and how it is stored.
    pub(crate) besides: Vec<String>,
}

/// The type and collation of column `a` with type `t` as DDL writes them.
pub(crate) const DECLARED: &str = "pg_catalog.format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attcollation <> t.typcollation \
    THEN (SELECT pg_catalog.format(' COLLATE %I.%I', n.nspname, l.collname) FROM pg_catalog.pg_collation l \
    JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace WHERE l.oid = a.attcollation) ELSE '' END";

/// Where a sequence stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptSequence {
    /// Its schema.
    pub(crate) schema: String,
    /// Its name.
    pub(crate) name: String,
    /// `last_value`.
    pub(crate) last: i64,
    /// `is_called`.
    pub(crate) called: bool,
}

/// The rows of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableImages {
    /// Its number when they were kept.
    pub(crate) oid: u32,
    /// Its schema.
    pub(crate) schema: String,
    /// Its name.
    pub(crate) name: String,
    /// Its columns but for generated ones, in the order of the kept rows.
    pub(crate) columns: Vec<KeptColumn>,
    /// The columns by which a row is found again; empty where no key holds them apart.
    pub(crate) key: Vec<String>,
    /// Rows as they were: those that were removed and those that were changed.
    pub(crate) before: Option<KeptRows>,
    /// Rows as they were left: those that were changed and those that were added.
    pub(crate) after: Option<KeptRows>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptColumn {
    /// Its name.
    pub(crate) name: String,
    /// Its type as DDL writes it.
    pub(crate) kind: String,
    /// GENERATED ALWAYS AS IDENTITY.
    pub(crate) identity_always: bool,
}

/// One stream of rows in the text format of COPY.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptRows {
    /// The name of the stream in the recovery point.
    pub(crate) part: String,
    /// How many.
    pub(crate) rows: u64,
}

impl TableImages {
    /// Returns the images of a relation, still empty.
    pub(crate) fn of(relation: &Relation) -> Self {
        Self {
            oid: relation.oid,
            schema: relation.schema.clone(),
            name: relation.name.clone(),
            columns: relation
                .columns
                .iter()
                .filter(|column| !column.generated)
                .map(|column| KeptColumn {
                    name: column.name.clone(),
                    kind: column.type_text.clone(),
                    identity_always: column.identity == Some('a'),
                })
                .collect(),
            key: key_of(relation).to_vec(),
            before: None,
            after: None,
        }
    }

    /// Returns the table's name as SQL writes it.
    pub(crate) fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// Returns the columns as a list of SQL.
    pub(crate) fn column_list(&self) -> String {
        list(self.columns.iter().map(|column| column.name.as_str()))
    }
}

/// Returns the columns by which a row is found again: the primary key, else a unique key without NULLs.
pub(crate) fn key_of(relation: &Relation) -> &[String] {
    if relation.primary_key.is_empty() {
        relation.unique_keys.iter().min_by_key(|key| key.len()).map_or(&[], Vec::as_slice)
    } else {
        &relation.primary_key
    }
}

/// Returns why the rows of a relation cannot be kept, if so. `changed` are the columns that an UPDATE sets, none for
/// a DELETE.
pub(crate) fn why_not_kept(
    catalogue: &Catalogue,
    relation: &Relation,
    changed: Option<&[String]>,
    bytes_max: u64,
) -> Option<String> {
    let name = format!("{}.{}", relation.schema, relation.name);
    match relation.kind {
        RelationKind::Table | RelationKind::Partitioned => {}
        RelationKind::View
        | RelationKind::Materialised
        | RelationKind::Foreign
        | RelationKind::Sequence
        | RelationKind::Index
        | RelationKind::PartitionedIndex
        | RelationKind::Other => return Some(format!("{name} is no table of this server")),
    }
    if relation.schema == "pg_catalog" || relation.schema == "information_schema" {
        return Some(format!("{name} is the server's own"));
    }
    if relation.bytes > bytes_max {
        return Some(format!("{name} is larger than {} GB", bytes_max >> 30));
    }
    if let Some(changed) = changed {
        let key = key_of(relation);
        if key.is_empty() {
            return Some(format!("{name} has no key by which a changed row is found again"));
        }
        if changed.iter().any(|column| key.contains(column)) {
            return Some(format!("the key of {name} itself is changed"));
        }
    }
    relation
        .children
        .iter()
        .filter_map(|child| catalogue.relations.get(child))
        .find_map(|child| why_not_kept(catalogue, child, changed, bytes_max))
}

/// Returns a name as SQL writes it, whatever stands in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns names as a list of SQL.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quoted).collect::<Vec<_>>().join(", ")
}

/// Returns a text as a literal of SQL.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        // Whatever the session says that a backslash means.
        return format!("E'{}'", quoted.replace('\\', r"\\"));
    }
    format!("'{quoted}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_leave_their_quotes() {
        assert_eq!(quoted("a\"; DROP TABLE b; --"), "\"a\"\"; DROP TABLE b; --\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("it's \\"), r"E'it''s \\'");
        assert_eq!(list(["a", "b c"].into_iter()), "\"a\", \"b c\"");
    }
}
