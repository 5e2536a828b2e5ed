//! A few of the rows that a refused transaction or statement would have destroyed, masked, for the human who is asked.
//!
//! Taken over the connection beside, which sees the rows as they were: of a transaction while it is still open, of a
//! statement that empties, drops or alters before it would be sent. Only numbers
//! and UUIDs of the key are shown as they are: of every other value no more leaves the server than how long it is. Types
//! that are not the server's own are not looked into: a cast that an agent made would run with the login's rights.

use std::collections::BTreeMap;

use killick_model::ObjectFacts;
use killick_sql::catalogue::{Column, Relation, RelationKind};

use super::commit::Rows;
use super::engine::Session;
use super::facts::relation_of;
use super::images::{key_of, literal, quoted};
use super::own::Own;
use super::unit::Unit;

/// The name under which the sample stands among the facts of a table.
const SAMPLE: &str = "sample";
/// Rows that are shown of a table.
const ROWS: usize = 3;
/// Tables of which rows are shown.
const TABLES_MAX: usize = 4;
/// Columns that are shown.
const COLUMNS_MAX: usize = 10;
/// How long the search for rows may take; without an answer there is no sample.
const SEARCH_TIMEOUT: &str = "SET LOCAL statement_timeout = '2s'";
/// The first number of what is not the server's own (`FirstNormalObjectId`).
const FIRST_OTHER_TYPE: u32 = 16_384;
/// `int2`, `int4`, `int8` and `uuid` by their numbers in the catalogue.
const SHOWN_TYPES: &[u32] = &[21, 23, 20, 2950];

impl Session {
    /// Adds to the facts of each table a few of the rows that go. What cannot be looked at has no sample.
    pub(crate) async fn add_samples(
        &mut self,
        counted: &BTreeMap<u32, Rows>,
        found: &mut [ObjectFacts],
    ) {
        let asked =
            "SELECT pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.xid::pg_catalog.text";
        let Ok(answer) = self.server.own(&self.departure, asked).await else { return };
        let Some(Some(xid)) = answer.into_iter().next().and_then(|row| row.into_iter().next())
        else {
            return;
        };
        let gone = Sought { condition: format!("xmax = {}", literal(&xid)), columns: None };
        let sought =
            |relation: &Relation| counted.contains_key(&relation.oid).then(|| gone.clone());
        self.sample(found, &sought).await;
    }

    /// Adds to the facts of each table a few of the rows that go whole with it, or that lose a column.
    pub(crate) async fn add_samples_of_doomed(&mut self, unit: &Unit, found: &mut [ObjectFacts]) {
        let touches = &unit.judged.touches;
        let sought = |relation: &Relation| {
            let mut own =
                touches.iter().filter(|it| it.object.oid == Some(relation.oid)).peekable();
            own.peek()?;
            let columns: Vec<String> =
                own.flat_map(|it| &it.columns).map(|column| column.name.clone()).collect();
            let columns = (!columns.is_empty()).then_some(columns);
            Some(Sought { condition: "true".into(), columns })
        };
        self.sample(found, &sought).await;
    }

    async fn sample(
        &mut self,
        found: &mut [ObjectFacts],
        sought: &(dyn Fn(&Relation) -> Option<Sought> + Sync),
    ) {
        let Ok(mut own) = self.adapter.lend_own(&self.database).await else { return };
        let catalogue = self.known.catalogue();
        let mut good = true;
        let lost = found.iter_mut().filter(|one| one.rows.is_some() && !one.created_by_session);
        for one in lost.take(TABLES_MAX) {
            let Some(relation) = relation_of(&catalogue, &one.object) else { continue };
            let Some(sought) = sought(relation).filter(|_| relation.kind == RelationKind::Table)
            else {
                continue;
            };
            match rows_of(&mut own, relation, &sought).await {
                Some(rows) if !rows.is_empty() => drop(one.extra.insert(SAMPLE.into(), rows)),
                Some(_) => {}
                // In what state the connection is, nobody knows.
                None => {
                    good = false;
                    break;
                }
            }
        }
        self.adapter.give_back(&self.database, own, good);
    }
}

/// Which rows are shown, and what of them.
#[derive(Clone)]
struct Sought {
    condition: String,
    /// Beside the key only these, where not the whole row goes.
    columns: Option<Vec<String>>,
}

async fn rows_of(own: &mut Own, relation: &Relation, sought: &Sought) -> Option<Vec<String>> {
    let table = format!("{}.{}", quoted(&relation.schema), quoted(&relation.name));
    let lock = format!("LOCK TABLE ONLY {table} IN ACCESS SHARE MODE");
    // What has the name by now may be a view that somebody put in its place, and would run as the login.
    let same = format!(
        "SELECT oid::text FROM pg_class WHERE oid = to_regclass({}) AND relkind = 'r'",
        literal(&table)
    );
    let sql = sample_text(relation, sought);
    let Own { server, departure, .. } = own;
    let begin = ["BEGIN READ ONLY", SEARCH_TIMEOUT, lock.as_str(), same.as_str()];
    let found = server.own_all(departure, &begin).await.ok()?.into_iter().nth(3)?;
    if found.first().and_then(|row| row.first().cloned().flatten())
        != Some(relation.oid.to_string())
    {
        server.own(departure, "ROLLBACK").await.ok()?;
        return Some(Vec::new());
    }
    let answers = server.own_all(departure, &[sql.as_str(), "COMMIT"]).await.ok()?;
    let rows = answers.into_iter().next()?;
    Some(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}

/// Returns the query for a few rows.
fn sample_text(relation: &Relation, sought: &Sought) -> String {
    let key = key_of(relation);
    let goes = |column: &&Column| match &sought.columns {
        None => true,
        Some(names) => names.contains(&column.name) || key.contains(&column.name),
    };
    let stored = relation.columns.iter().filter(|column| !column.generated).filter(goes);
    let shown: Vec<String> = stored.take(COLUMNS_MAX).map(|column| shown(column, key)).collect();
    format!(
        "SELECT {} FROM ONLY {}.{} WHERE {} LIMIT {ROWS}",
        if shown.is_empty() { "'(no columns)'".to_owned() } else { shown.join(" || ', ' || ") },
        quoted(&relation.schema),
        quoted(&relation.name),
        sought.condition,
    )
}

fn shown(column: &Column, key: &[String]) -> String {
    let (name, label) = (quoted(&column.name), literal(&format!("{} ", column.name)));
    if column.type_oid >= FIRST_OTHER_TYPE {
        return format!("{label} || '(not looked at)'");
    }
    let value = if key.contains(&column.name) && SHOWN_TYPES.contains(&column.type_oid) {
        format!("{name}::text")
    } else {
        format!("'(' || pg_catalog.length({name}::text)::text || ' characters)'")
    };
    format!("{label} || COALESCE({value}, 'null')")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, type_oid: u32) -> Column {
        Column {
            name: name.into(),
            number: 1,
            type_oid,
            type_text: String::new(),
            not_null: false,
            generated: false,
            identity: None,
            default: None,
        }
    }

    #[test]
    fn only_numbers_of_the_key_are_shown_as_they_are() {
        let key = ["id".to_owned(), "mail".to_owned()];
        assert!(shown(&column("id", 23), &key).contains("\"id\"::text"));
        for hidden in [column("mail", 25), column("age", 23)] {
            assert!(shown(&hidden, &key).contains("pg_catalog.length"), "{hidden:?}");
        }
        // Not even cast, whatever its cast is.
        let own = shown(&column("mood", FIRST_OTHER_TYPE), &key);
        assert!(!own.contains("::") && !own.contains("\"mood\""), "{own}");
    }
}
