//! Keeping columns before a statement drops them or rewrites their values: with the key of each row, under the lock
//! that the statement itself takes. What became of rewritten values is kept before COMMIT, so that newer edits show.

use std::sync::Arc;

use killick_sql::catalogue::{Catalogue, Relation, RelationKind};
use killick_sql::judged::{ColumnLoss, Touch};

use super::engine::Session;
use super::images::{
    ColumnImages, DECLARED, KeptCheck, KeptColumn, KeptRows, LostColumn, TableImages, key_of, list,
    literal,
};
use super::keep::{Keeping, NotKept, SEARCHED_BYTES_MAX};
use super::keep_whole::{keep_sequence, owned_sequences};

/// Columns of one table that lose their values.
pub(crate) struct Losing {
    pub(crate) relation: Arc<Relation>,
    pub(crate) columns: Vec<ColumnLoss>,
}

/// Returns whether a touch takes the values of some columns.
pub(crate) fn loses_columns(touch: &Touch) -> bool {
    !touch.columns.is_empty()
}

/// Returns why columns of a relation cannot be kept, if so.
pub(crate) fn why_columns_not_kept(relation: &Relation, lost: &[ColumnLoss]) -> Option<String> {
    let name = format!("{}.{}", relation.schema, relation.name);
    let key = key_of(relation);
    if relation.kind != RelationKind::Table || !relation.children.is_empty() {
        return Some(format!("{name} is not one table by itself"));
    }
    if relation.bytes > SEARCHED_BYTES_MAX {
        return Some(format!("{name} is larger than {} GB", SEARCHED_BYTES_MAX >> 30));
    }
    if key.is_empty() {
        return Some(format!("{name} has no key by which a row is found again"));
    }
    lost.iter().find_map(|loss| {
        let column = relation.columns.iter().find(|column| column.name == loss.name)?;
        let pointed_at =
            relation.referenced_by.iter().any(|it| it.parent_columns.contains(&column.name));
        let why = if key.contains(&column.name) {
            "belongs to the key by which a row is found again"
        } else if pointed_at {
            "is what other tables point to"
        } else if column.identity.is_some() {
            "is an identity"
        } else if column.generated && !loss.dropped {
            "is computed"
        } else {
            return None;
        };
        Some(format!("column {} of {name} {why}", column.name))
    })
}

/// Adds to `losing` what one touch takes.
pub(crate) fn add_losses(losing: &mut Vec<Losing>, catalogue: &Catalogue, touch: &Touch) {
    let relation = touch.object.oid.and_then(|oid| catalogue.relations.get(&oid));
    let Some(relation) = relation else { return };
    let columns = touch.columns.clone();
    if losing.iter().all(|it| it.relation.oid != relation.oid) {
        losing.push(Losing { relation: Arc::clone(relation), columns: Vec::new() });
    }
    let own = losing.iter_mut().find(|it| it.relation.oid == relation.oid);
    let Some(own) = own else { return };
    for column in columns {
        match own.columns.iter_mut().find(|it| it.name == column.name) {
            Some(it) => it.dropped |= column.dropped,
            None => own.columns.push(column),
        }
    }
}

impl Session {
    /// Keeps columns that a statement is about to take.
    pub(crate) async fn keep_columns(&mut self, losing: &[Losing]) -> Result<(), NotKept> {
        for one in losing {
            if let Some(why) = why_columns_not_kept(&one.relation, &one.columns) {
                return Err(NotKept::Incomplete(why));
            }
            self.begin_keeping().await?;
            if self.is_leant_on(one).await? {
                self.keep_definitions().await?;
            }
            // As the agent's own role, which may alter the table: the lock outlives the savepoint below.
            let on = Arc::clone(&self.departure);
            let table = TableImages::of(&one.relation).quoted();
            self.server
                .own(&on, &format!("LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE"))
                .await?;
            self.unchanged_so_far(&one.relation).await?;
            self.pin_for_keeping().await?;
            let copied = self.copy_if_the_same(one).await;
            self.unpin_after_keeping(copied).await?;
            if self.work.keeping.as_ref().is_some_and(|it| it.images.definitions.is_some()) {
                self.definitions_hold().await?;
            }
        }
        Ok(())
    }

    /// Copies what was found before the lock, when it is still that. To be asked while the session is pinned.
    async fn copy_if_the_same(&mut self, losing: &Losing) -> Result<(), NotKept> {
        self.still_the_same(&losing.relation).await?;
        let defined = self.dependants(losing).await?;
        let kept = self.work.keeping.as_ref().is_some_and(|it| it.images.definitions.is_some());
        if defined && !kept {
            let why = "something began to hang on a column while it was kept";
            return Err(NotKept::Incomplete(why.into()));
        }
        self.copy_columns(losing).await
    }

    /// Returns whether a column is kept already, as it was before the transaction.
    fn is_kept_already(&self, oid: u32, column: &LostColumn) -> Result<bool, NotKept> {
        let images = self.work.keeping.iter().flat_map(|it| &it.images.columns);
        let mut own = images.filter(|it| it.rows.oid == oid).flat_map(|it| &it.lost);
        match own.find(|it| it.number == column.number || it.name == column.name) {
            None => Ok(false),
            // One that the transaction made in its place; whether others went, its end looks for by number.
            Some(kept) if kept.dropped && column.dropped => Ok(true),
            Some(kept) if !kept.dropped && !column.dropped && kept.number == column.number => {
                Ok(true)
            }
            Some(_) => Err(NotKept::Incomplete(
                "a column was changed more than once in the same transaction".into(),
            )),
        }
    }

    /// Returns whether something of the database's definitions hangs on the columns that are dropped: an index, a
    /// constraint, a view, a sequence.
    async fn is_leant_on(&mut self, losing: &Losing) -> Result<bool, NotKept> {
        self.pin_for_keeping().await?;
        let (leant_on, failed) = match self.dependants(losing).await {
            Ok(leant_on) => (leant_on, Ok(())),
            Err(error) => (false, Err(error)),
        };
        self.unpin_after_keeping(failed).await?;
        Ok(leant_on)
    }

    /// The same, while the session is pinned.
    async fn dependants(&mut self, losing: &Losing) -> Result<bool, NotKept> {
        let dropped = losing.columns.iter().filter(|it| it.dropped).map(|it| it.name.as_str());
        let names: Vec<String> = dropped.map(literal).collect();
        if names.is_empty() {
            return Ok(false);
        }
        let on = Arc::clone(&self.departure);
        let found = self.server.own(&on, &dependants(losing.relation.oid, &names)).await?;
        let is_column = |row: &Vec<Option<String>>| row.first() == Some(&Some("column".to_owned()));
        if found.iter().any(is_column) {
            let why = "another column is computed from, or made of, what is dropped";
            return Err(NotKept::Incomplete(why.into()));
        }
        Ok(!found.is_empty())
    }

    async fn copy_columns(&mut self, losing: &Losing) -> Result<(), NotKept> {
        let on = Arc::clone(&self.departure);
        let oid = losing.relation.oid;
        let mut lost = Vec::new();
        for loss in &losing.columns {
            // One that is not there: the server complains, or was told not to.
            let rows = self.server.own(&on, &details(oid, &loss.name)).await?;
            let column = rows.first().and_then(|row| lost_column(loss, row));
            if let Some(column) = column {
                if self.is_kept_already(oid, &column)? {
                    continue;
                }
                let besides = self.server.own(&on, &besides(oid, &loss.name)).await?;
                let besides =
                    besides.into_iter().filter_map(|row| row.into_iter().next().flatten());
                lost.push(LostColumn { besides: besides.collect(), ..column });
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        let Some(keeping) = self.work.keeping.as_mut() else {
            return Err(NotKept::Incomplete("the recovery point is gone".into()));
        };
        let mut rows = TableImages::of(&losing.relation);
        let is_lost = |name: &String| lost.iter().any(|it: &LostColumn| it.name == *name);
        rows.columns.retain(|column| rows.key.contains(&column.name) || is_lost(&column.name));
        let part = keeping.next_part("columns").await?;
        let columns = rows.column_list();
        let sql = format!("COPY (SELECT {columns} FROM ONLY {}) TO STDOUT", rows.quoted());
        let count = self.server.own_copy_out(&on, &sql, keeping.writer.as_mut()).await?;
        rows.before = Some(KeptRows { part, rows: count });
        let dropped = losing.columns.iter().filter(|it| it.dropped).map(|it| it.name.clone());
        let dropped: Vec<String> = dropped.collect();
        let mut checks = Vec::new();
        for row in self.server.own(&on, &checks_of(oid, &dropped)).await? {
            if let [Some(name), Some(definition)] = row.as_slice() {
                let (name, definition) = (name.clone(), definition.clone());
                checks.push(KeptCheck { name, definition });
            }
        }
        let sequences = owned_sequences(oid, Some(&dropped));
        for row in self.server.own(&on, &sequences).await? {
            if let [Some(schema), Some(name)] = row.as_slice() {
                keep_sequence(&mut self.server, &on, keeping, schema, name).await?;
            }
        }
        let order = format!(
            "a column of {}.{} that comes back stands behind the others; columns that were added stay",
            rows.schema, rows.name
        );
        if !keeping.images.not_covered.contains(&order) {
            keeping.images.not_covered.push(order);
        }
        let number = |name: &String| losing.relation.columns.iter().find(|it| it.name == *name);
        let key_numbers = rows.key.iter().filter_map(number).map(|it| it.number).collect();
        let left = Vec::new();
        keeping.images.columns.push(ColumnImages { rows, lost, left, key_numbers, checks });
        Ok(())
    }

    /// Keeps what became of columns that were rewritten, at the end of the transaction.
    pub(crate) async fn keep_left(&mut self, keeping: &mut Keeping) -> Result<(), NotKept> {
        if !keeping.images.columns.is_empty() && self.work.rolled_back {
            return Err(NotKept::Incomplete(
                "a column was kept in a part of the transaction that may have been rolled back"
                    .into(),
            ));
        }
        let on = Arc::clone(&self.departure);
        for at in 0..keeping.images.columns.len() {
            let Some(images) = keeping.images.columns.get(at).cloned() else { break };
            let (mut left, mut keys) = (Vec::new(), 0_usize);
            for row in self.server.own(&on, &columns_of(images.rows.oid)).await? {
                let [Some(schema), Some(table), Some(number), Some(name), Some(kind)] =
                    row.as_slice()
                else {
                    continue;
                };
                if *schema != images.rows.schema || *table != images.rows.name {
                    let why = "a table was renamed of which columns were kept";
                    return Err(NotKept::Incomplete(why.into()));
                }
                keys = keys.saturating_add(usize::from(images.is_key(name, number)));
                if images.lost.iter().any(|it| it.name == *name && it.generated.is_none()) {
                    let (name, kind) = (name.clone(), kind.clone());
                    left.push(KeptColumn { name, kind, identity_always: false });
                }
            }
            if keys != images.rows.key.len() {
                let why = "the key of a table changed whose columns were kept by it";
                return Err(NotKept::Incomplete(why.into()));
            }
            if left.is_empty() {
                continue;
            }
            let part = keeping.next_part("left").await?;
            let names = images.rows.key.iter().chain(left.iter().map(|it| &it.name));
            let columns = list(names.map(String::as_str));
            let table = images.rows.quoted();
            let sql = format!("COPY (SELECT {columns} FROM ONLY {table}) TO STDOUT");
            let rows = self.server.own_copy_out(&on, &sql, keeping.writer.as_mut()).await?;
            if let Some(images) = keeping.images.columns.get_mut(at) {
                images.rows.after = Some(KeptRows { part, rows });
                images.left = left;
            }
        }
        Ok(())
    }
}

/// Returns the query for the names and types of all columns of a table, with its own name.
fn columns_of(oid: u32) -> String {
    format!(
        "SELECT n.nspname::text, c.relname::text, a.attnum::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod) \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    )
}

/// Returns the query for what hangs on columns: `column` for one that is computed from them or made of the row's type,
/// anything else for what the definitions have. A column's own default and the table's CHECK constraints are kept with it.
fn dependants(oid: u32, names: &[String]) -> String {
    format!(
        "SELECT CASE WHEN d.classid = 'pg_catalog.pg_attrdef'::regclass THEN 'column' ELSE 'object' END \
         FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
         WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = {oid} AND a.attname IN ({names}) \
         AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attrdef x WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass \
         AND x.oid = d.objid AND x.adrelid = a.attrelid AND x.adnum = a.attnum) \
         AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k WHERE d.classid = 'pg_catalog.pg_constraint'::regclass \
         AND k.oid = d.objid AND k.conrelid = a.attrelid AND k.contype = 'c') \
         UNION SELECT 'column' FROM pg_catalog.pg_class c JOIN pg_catalog.pg_type t ON t.oid = c.reltype \
         JOIN pg_catalog.pg_attribute u ON u.atttypid IN (t.oid, t.typarray) AND NOT u.attisdropped WHERE c.oid = {oid}",
        names = names.join(", ")
    )
}

/// Returns the query for the CHECK constraints of a table that name one of some columns.
fn checks_of(oid: u32, names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|it| literal(it)).chain([literal("")]).collect();
    format!(
        "SELECT k.conname::text, pg_catalog.pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint k \
         WHERE k.conrelid = {oid} AND k.contype = 'c' AND EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attname IN ({}))",
        names.join(", ")
    )
}

/// Returns the query for how a column is defined.
fn details(oid: u32, name: &str) -> String {
    format!(
        "SELECT {DECLARED}, a.attnotnull, pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attgenerated::text, a.attnum::text \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
         WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = {}",
        literal(name)
    )
}

fn lost_column(loss: &ColumnLoss, row: &[Option<String>]) -> Option<LostColumn> {
    let [Some(declared), not_null, expression, generated, Some(number)] = row else { return None };
    let computed = generated.as_deref().is_some_and(|it| !it.is_empty());
    let (default, generated) =
        if computed { (None, expression.clone()) } else { (expression.clone(), None) };
    Some(LostColumn {
        name: loss.name.clone(),
        number: number.parse().ok()?,
        dropped: loss.dropped,
        declared: declared.clone(),
        not_null: not_null.as_deref() == Some("t"),
        default,
        generated,
        besides: Vec::new(),
    })
}

/// Returns the query for the statements that give a column its comment, its rights, and how it is stored.
fn besides(oid: u32, name: &str) -> String {
    let of = "FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_type t ON t.oid = a.atttypid";
    let only =
        format!("a.attrelid = {oid} AND NOT a.attisdropped AND a.attname = {}", literal(name));
    format!(
        "SELECT pg_catalog.format('COMMENT ON COLUMN %I.%I.%I IS %L', n.nspname, c.relname, a.attname, \
         pg_catalog.col_description(a.attrelid, a.attnum)) {of} \
         WHERE {only} AND pg_catalog.col_description(a.attrelid, a.attnum) IS NOT NULL \
         UNION ALL SELECT pg_catalog.format('GRANT %s (%I) ON %I.%I TO %s%s', x.privilege_type, a.attname, n.nspname, c.relname, \
         CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END, \
         CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) {of}, \
         pg_catalog.aclexplode(a.attacl) x WHERE {only} \
         UNION ALL SELECT pg_catalog.format('ALTER TABLE ONLY %I.%I ALTER COLUMN %I SET STATISTICS %s', n.nspname, c.relname, \
         a.attname, a.attstattarget) {of} WHERE {only} AND a.attstattarget >= 0 \
         UNION ALL SELECT pg_catalog.format('ALTER TABLE ONLY %I.%I ALTER COLUMN %I SET STORAGE %s', n.nspname, c.relname, \
         a.attname, CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END) {of} \
         WHERE {only} AND a.attstorage <> t.typstorage"
    )
}
