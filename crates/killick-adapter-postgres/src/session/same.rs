//! Whether a table that was waited for is still the one that was judged. While a lock is waited for, somebody may put
//! another table, or a view, in the place of its name, or change its columns and its key.

use std::sync::Arc;

use killick_sql::catalogue::Relation;

use super::engine::Session;
use super::images::{TableImages, key_of, literal};
use super::keep::NotKept;

impl Session {
    /// Makes sure that what is locked under a name is the table that was judged, as it was judged. To be asked while the
    /// session is pinned: under the agent's own names it could be answered by the agent.
    pub(crate) async fn still_the_same(&mut self, relation: &Relation) -> Result<(), NotKept> {
        let name = TableImages::of(relation).quoted();
        let rows = self.server.own(&Arc::clone(&self.departure), &question(&name)).await?;
        if rows.first().is_some_and(|row| is_same(relation, row)) {
            return Ok(());
        }
        Err(NotKept::Incomplete(format!("{name} was changed by somebody else meanwhile")))
    }
}

/// Returns the query for what has a name: its number, its columns, the columns of its unique keys, and whether it has
/// children; nothing when it is no table.
fn question(name: &str) -> String {
    format!(
        "SELECT c.oid::text, \
         (SELECT string_agg(concat_ws(' ', a.attnum, a.atttypid, a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a \
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), \
         (SELECT string_agg((SELECT string_agg(k::text, ' ' ORDER BY k) \
         FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) k), ',') FROM pg_index i \
         WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL), \
         EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhparent = c.oid)::text \
         FROM pg_class c WHERE c.oid = to_regclass({}) AND c.relkind = 'r'",
        literal(name)
    )
}

fn is_same(relation: &Relation, row: &[Option<String>]) -> bool {
    let [Some(oid), columns, keys, Some(parent)] = row else { return false };
    let each =
        relation.columns.iter().map(|it| format!("{} {} {}", it.number, it.type_oid, it.name));
    let expected = each.collect::<Vec<_>>().join(", ");
    let number = |name: &String| {
        let column = relation.columns.iter().find(|it| it.name == *name)?;
        Some(column.number)
    };
    let key: Option<Vec<i16>> = key_of(relation).iter().map(number).collect();
    let Some(mut key) = key else { return false };
    key.sort_unstable();
    let key = key.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let keyed = key.is_empty() || keys.iter().flat_map(|it| it.split(',')).any(|it| it == key);
    *oid == relation.oid.to_string()
        && columns.as_deref().unwrap_or_default() == expected
        && keyed
        && (parent == "true") != relation.children.is_empty()
}
