//! The world's memory: one table of rows for each object type of the schema.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::disk::Disk;

/// One object, its fields named as in the schema. A field that begins with `_` is the world's own
/// and in no answer.
pub(super) type Row = Map<String, Value>;

/// Everything that exists.
#[derive(Debug)]
pub(super) struct State {
    /// Where volumes keep their bytes.
    pub(super) disk: Disk,
    tables: BTreeMap<&'static str, IndexMap<String, Row>>,
    /// Documents that a client registered by their hash, as a permissive server lets it.
    documents: BTreeMap<String, String>,
}

impl State {
    /// Documents kept by hash. One more is answered but not kept.
    const DOCUMENTS_MAX: usize = 1_000;

    pub(super) fn new(disk: Disk) -> Self {
        Self { disk, tables: BTreeMap::new(), documents: BTreeMap::new() }
    }

    /// Returns one row.
    pub(super) fn row(&self, kind: &str, id: &str) -> Option<&Row> {
        self.tables.get(kind)?.get(id)
    }

    /// Returns one row for a change.
    pub(super) fn row_mut(&mut self, kind: &str, id: &str) -> Option<&mut Row> {
        self.tables.get_mut(kind)?.get_mut(id)
    }

    /// Returns one row, or the provider's words for a thing that is not there.
    pub(super) fn found(&self, kind: &str, id: &str) -> Result<&Row, String> {
        self.row(kind, id).ok_or_else(|| format!("{kind} not found"))
    }

    /// Returns one row for a change, or the provider's words for a thing that is not there.
    pub(super) fn found_mut(&mut self, kind: &str, id: &str) -> Result<&mut Row, String> {
        self.row_mut(kind, id).ok_or_else(|| format!("{kind} not found"))
    }

    /// Returns a type's rows in the order of their making.
    pub(super) fn rows<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Row> + use<'a> {
        self.tables.get(kind).into_iter().flat_map(IndexMap::values)
    }

    /// Returns the rows whose fields all have the wanted values.
    pub(super) fn rows_where<'a>(&'a self, kind: &str, wanted: &[(&str, &str)]) -> Vec<&'a Row> {
        self.rows(kind)
            .filter(|row| wanted.iter().all(|(field, value)| text(row, field) == *value))
            .collect()
    }

    /// Returns the ids of the rows whose fields all have the wanted values.
    pub(super) fn ids_where(&self, kind: &str, wanted: &[(&str, &str)]) -> Vec<String> {
        self.rows_where(kind, wanted).into_iter().map(|row| text(row, "id").to_owned()).collect()
    }

    /// Adds a row, or replaces the one with the same id.
    pub(super) fn put(&mut self, kind: &'static str, row: Value) {
        if let Value::Object(row) = row {
            self.tables.entry(kind).or_default().insert(text(&row, "id").to_owned(), row);
        }
    }

    /// Gives a field of every row of a type the same value.
    pub(super) fn set_all(&mut self, kind: &str, field: &str, value: &Value) {
        for row in self.tables.get_mut(kind).into_iter().flat_map(IndexMap::values_mut) {
            row.insert(field.to_owned(), value.clone());
        }
    }

    /// Removes a row; says whether it was there.
    pub(super) fn remove(&mut self, kind: &str, id: &str) -> bool {
        self.tables.get_mut(kind).and_then(|rows| rows.shift_remove(id)).is_some()
    }

    /// Removes every row whose fields all have the wanted values.
    pub(super) fn remove_where(&mut self, kind: &str, wanted: &[(&str, &str)]) {
        for id in self.ids_where(kind, wanted) {
            self.remove(kind, &id);
        }
    }

    /// Keeps a document under its hash.
    pub(super) fn register_document(&mut self, hash: &str, document: &str) {
        if self.documents.len() < Self::DOCUMENTS_MAX {
            self.documents.insert(hash.to_owned(), document.to_owned());
        }
    }

    /// Returns the document that was registered under a hash.
    pub(super) fn document(&self, hash: &str) -> Option<String> {
        self.documents.get(hash).cloned()
    }
}

/// Returns a text field, empty when it is absent, null or something else.
pub(super) fn text<'a>(row: &'a Row, field: &str) -> &'a str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Returns a text field that has a value.
pub(super) fn some_text<'a>(row: &'a Row, field: &str) -> Option<&'a str> {
    row.get(field).and_then(Value::as_str)
}

/// Makes an id in the provider's form.
pub(super) fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
