//! SELECT, INSERT, UPDATE, DELETE, MERGE, wherever they stand.

use std::sync::Arc;

use killick_model::{Effect, Facet};
use pg_raw_parse::raw::{CmdType, OnConflictAction};
use pg_raw_parse::walk::walk;
use pg_raw_parse::{Node, nodes};

use super::predicate::{Hold, hold};
use super::{Judge, object};
use crate::catalogue::{OnChange, Relation, RelationKind};
use crate::judged::{Change, Group, SqlObject};

/// Parts of names of columns that hold credentials.
const CREDENTIAL_WORDS: &[&str] =
    &["password", "passwd", "secret", "token", "api_key", "apikey", "private_key", "mfa", "otp"];

impl Judge<'_> {
    /// Judges a statement that stands by itself.
    pub(crate) fn top_query(&mut self, node: Node<'_>) {
        self.query(node);
        let change = match node {
            Node::InsertStmt(it) => it.relation().map(|rv| {
                (rv, Group::Insert, Hold::Open, it.returning_clause().is_some(), Vec::new())
            }),
            Node::DeleteStmt(it) => it.relation().map(|rv| {
                let held = self.hold_of(rv, it.where_clause(), it.using_clause().is_empty());
                (rv, Group::Delete, held, it.returning_clause().is_some(), Vec::new())
            }),
            Node::UpdateStmt(it) => it.relation().map(|rv| {
                let held = self.hold_of(rv, it.where_clause(), it.from_clause().is_empty());
                let columns = targets(it.target_list());
                (rv, Group::Update, held, it.returning_clause().is_some(), columns)
            }),
            Node::MergeStmt(it) => it.relation().map(|rv| {
                (rv, Group::Merge, Hold::Open, it.returning_clause().is_some(), Vec::new())
            }),
            _ => None,
        };
        let Some((rv, group, held, returning, columns)) = change else { return };
        let Some(table) = self.relation_of(rv).map(|relation| relation.oid) else { return };
        self.change = Some(Change {
            group,
            table,
            alias: alias_of(rv).to_owned(),
            by_key: held == Hold::Key,
            returning,
            columns,
        });
    }

    /// Judges a query and everything in it.
    pub(crate) fn query(&mut self, node: Node<'_>) {
        let mut ctes: Vec<String> = Vec::new();
        walk(node, |it| {
            if let Node::CommonTableExpr(cte) = it
                && let Some(name) = cte.ctename()
            {
                ctes.push(name.to_owned());
            }
        });
        let mut found: Vec<Node<'_>> = Vec::new();
        walk(node, |it| found.push(it));
        for it in found {
            self.piece(it, &ctes);
        }
    }

    fn piece(&mut self, node: Node<'_>, ctes: &[String]) {
        match node {
            Node::RangeVar(rv) => self.relation_read(rv, ctes),
            Node::InsertStmt(it) => self.insert(it),
            Node::UpdateStmt(it) => self.update(it),
            Node::DeleteStmt(it) => self.delete(it),
            Node::MergeStmt(it) => self.merge(it),
            Node::SelectStmt(it) => self.select(it),
            other => self.expression_piece(other),
        }
    }

    fn select(&mut self, select: &nodes::SelectStmt) {
        if let Some(into) = select.into_clause() {
            let name = into.rel().and_then(nodes::RangeVar::relname).unwrap_or_default();
            self.writes(Group::Create, object("table", name), "a table is made from what is read");
        }
        if !select.locking_clause().is_empty() {
            self.locks = true;
        }
    }

    pub(crate) fn relation_of(&self, rv: &nodes::RangeVar) -> Option<&Arc<Relation>> {
        self.catalogue.relation(rv.schemaname(), rv.relname().unwrap_or_default())
    }

    pub(crate) fn object_of(&self, rv: &nodes::RangeVar) -> SqlObject {
        if let Some(relation) = self.relation_of(rv) {
            relation_object(relation)
        } else {
            let name = rv.relname().unwrap_or_default();
            let name = match rv.schemaname() {
                Some(schema) => format!("{schema}.{name}"),
                None => name.to_owned(),
            };
            object("table", name)
        }
    }

    fn relation_read(&mut self, rv: &nodes::RangeVar, ctes: &[String]) {
        let name = rv.relname().unwrap_or_default();
        let Some(relation) = self.relation_of(rv).cloned() else {
            if rv.schemaname().is_none() && ctes.iter().any(|it| it == name) {
                return;
            }
            // Not in the catalogue: the server says that it is not there, or it is younger than the snapshot.
            self.plain = false;
            let object = self.object_of(rv);
            return self.reads(object);
        };
        self.relation_is_read(&relation);
    }

    /// Judges reading a relation: what its definition, its row security and its server run.
    pub(crate) fn relation_is_read(&mut self, relation: &Arc<Relation>) {
        let object = relation_object(relation);
        if reveals(relation) {
            self.touch(
                Group::Select,
                Effect::READ.with(Facet::Reveals),
                false,
                object,
                "credentials of the server are read",
            );
        } else {
            self.reads(object);
        }
        if relation.oid < 16_384 {
            return;
        }
        if relation.kind == RelationKind::Foreign {
            self.plain = false;
            let object = relation_object(relation);
            self.touch(Group::Remote, Effect::READ, false, object, "another server is asked");
        }
        if let (RelationKind::View, Some(definition)) = (relation.kind, &relation.definition) {
            self.follow(('v', relation.oid), |it| it.text_query(definition));
        }
        if relation.row_security.0 {
            self.plain = false;
            let relation = Arc::clone(relation);
            self.follow(('p', relation.oid), |it| {
                for policy in &relation.policies {
                    for text in policy.using.iter().chain(&policy.check) {
                        it.text_expression(text);
                    }
                }
            });
        }
        for child in &relation.children {
            if let Some(child) = self.catalogue.relations.get(child).cloned() {
                self.follow(('c', child.oid), |it| it.relation_is_read(&child));
            }
        }
    }

    fn insert(&mut self, insert: &nodes::InsertStmt) {
        let Some(rv) = insert.relation() else {
            return self.unrecognized("an INSERT without a table");
        };
        let object = self.object_of(rv);
        self.writes(Group::Insert, object.clone(), "rows are added");
        let conflict = insert.on_conflict_clause();
        let updates = conflict.is_some_and(|it| it.action == OnConflictAction::ONCONFLICT_UPDATE);
        if let (true, Some(conflict)) = (updates, conflict) {
            let few = matches!(insert.select_stmt(), Node::SelectStmt(it) if !it.values_lists().is_empty());
            if few {
                self.touch(
                    Group::Update,
                    Effect::WRITE,
                    true,
                    object,
                    "rows that are there are changed",
                );
            } else {
                self.destroys(
                    Group::Update,
                    object,
                    "any number of rows that are there are overwritten",
                );
            }
            self.credential_columns(rv, &targets(conflict.target_list()));
        }
        self.target(rv, "insert");
        if updates {
            self.target(rv, "update");
        }
    }

    fn update(&mut self, update: &nodes::UpdateStmt) {
        let Some(rv) = update.relation() else {
            return self.unrecognized("an UPDATE without a table");
        };
        let object = self.object_of(rv);
        let held = self.hold_of(rv, update.where_clause(), update.from_clause().is_empty());
        let catalogue_row = object.name.starts_with("pg_catalog.");
        if catalogue_row || held == Hold::Open {
            self.destroys(Group::Update, object.clone(), "any number of rows are overwritten");
        } else {
            self.touch(Group::Update, Effect::WRITE, true, object.clone(), "few rows are changed");
        }
        let columns = targets(update.target_list());
        self.credential_columns(rv, &columns);
        if let Some(relation) = self.relation_of(rv).cloned() {
            for key in &relation.referenced_by {
                let moved = key.parent_columns.iter().any(|it| columns.contains(it));
                if moved && key.on_update != OnChange::Refuse {
                    self.cascade(key.child, key.on_update, Group::Update, 0);
                }
            }
        }
        self.target(rv, "update");
    }

    fn delete(&mut self, delete: &nodes::DeleteStmt) {
        let Some(rv) = delete.relation() else {
            return self.unrecognized("a DELETE without a table");
        };
        let object = self.object_of(rv);
        let held = self.hold_of(rv, delete.where_clause(), delete.using_clause().is_empty());
        self.removes(object, held);
        self.target(rv, "delete");
        if let Some(relation) = self.relation_of(rv).cloned() {
            self.cascades(&relation, 0);
        }
    }

    fn removes(&mut self, object: SqlObject, held: Hold) {
        let why = "rows are removed";
        match held {
            Hold::Open => self.destroys(Group::Delete, object, why),
            Hold::Key | Hold::Limit => {
                self.touch(Group::Delete, Effect::DESTROY, true, object, why);
            }
        }
    }

    fn merge(&mut self, merge: &nodes::MergeStmt) {
        let Some(rv) = merge.relation() else {
            return self.unrecognized("a MERGE without a table");
        };
        let object = self.object_of(rv);
        for when in merge.merge_when_clauses() {
            match when.command_type {
                CmdType::CMD_DELETE => {
                    self.destroys(Group::Delete, object.clone(), "rows are removed");
                    self.target(rv, "delete");
                    if let Some(relation) = self.relation_of(rv).cloned() {
                        self.cascades(&relation, 0);
                    }
                }
                CmdType::CMD_UPDATE => {
                    self.destroys(
                        Group::Update,
                        object.clone(),
                        "any number of rows are overwritten",
                    );
                    self.target(rv, "update");
                }
                CmdType::CMD_INSERT => {
                    self.writes(Group::Insert, object.clone(), "rows are added");
                    self.target(rv, "insert");
                }
                CmdType::CMD_NOTHING => {}
                _ => self.unrecognized("a MERGE that does something unknown"),
            }
        }
        self.writes(Group::Merge, object, "rows are merged");
    }

    /// Follows a deletion into the tables that point here.
    fn cascades(&mut self, relation: &Relation, deep: usize) {
        for key in &relation.referenced_by {
            if key.on_delete != OnChange::Refuse {
                self.cascade(key.child, key.on_delete, Group::Delete, deep);
            }
        }
        for child in &relation.children {
            if let Some(child) = self.catalogue.relations.get(child).cloned() {
                self.cascades(&child, deep.saturating_add(1));
            }
        }
    }

    fn cascade(&mut self, child: u32, how: OnChange, group: Group, deep: usize) {
        let Some(child) = self.catalogue.relations.get(&child).cloned() else {
            return self.unrecognized("a foreign key whose table is not known");
        };
        if deep > super::FOLLOWED_DEEP_MAX {
            return;
        }
        let object = relation_object(&child);
        match (how, group) {
            (OnChange::Refuse, _) => {}
            (OnChange::Cascade, Group::Delete) => {
                let first = !self.touches.iter().any(|it| {
                    it.group == Group::Delete
                        && it.object == object
                        && it.why.contains("foreign key")
                });
                self.touch(
                    Group::Delete,
                    Effect::DESTROY,
                    true,
                    object,
                    "rows that point here by a foreign key go too",
                );
                self.fires(&child, "delete");
                if first {
                    self.cascades(&child, deep.saturating_add(1));
                }
            }
            (OnChange::Cascade | OnChange::SetNull | OnChange::SetDefault, _) => {
                self.touch(
                    Group::Update,
                    Effect::DESTROY,
                    true,
                    object,
                    "foreign keys that point here are overwritten",
                );
                self.fires(&child, "update");
            }
        }
    }

    /// Judges what hangs on the table that is changed: views, rules, triggers, defaults, partitions.
    fn target(&mut self, rv: &nodes::RangeVar, event: &str) {
        let Some(relation) = self.relation_of(rv).cloned() else {
            let name = rv.relname().unwrap_or_default();
            if !self
                .state
                .made
                .iter()
                .any(|made| made == name || made.ends_with(&format!(".{name}")))
            {
                self.plain = false;
            }
            return;
        };
        if relation.schema == "pg_catalog" && event != "select" {
            let object = relation_object(&relation);
            self.destroys(Group::Configure, object, "the server's own catalogue is changed");
        }
        self.target_relation(&relation, event, 0);
    }

    fn target_relation(&mut self, relation: &Arc<Relation>, event: &str, deep: usize) {
        if deep > super::FOLLOWED_DEEP_MAX {
            return self.unrecognized("views stand deeper in each other than is followed");
        }
        for rule in relation.rules.iter().filter(|rule| rule.event == event) {
            let rule = rule.definition.clone();
            self.follow(('r', relation.oid), |it| it.rule(&rule));
        }
        self.fires(relation, event);
        self.attachments(relation);
        match relation.kind {
            RelationKind::View => {
                // A view that can be written through changes the table below it.
                let below = relation.definition.as_deref().map(|text| self.tables_in(text));
                for table in below.into_iter().flatten() {
                    self.target_relation(&table, event, deep.saturating_add(1));
                    if event == "delete" {
                        self.destroys(
                            Group::Delete,
                            relation_object(&table),
                            "rows below a view are removed",
                        );
                        self.cascades(&table, 0);
                    }
                }
            }
            RelationKind::Foreign => {
                let object = relation_object(relation);
                let effect = if event == "insert" {
                    Effect::WRITE
                } else {
                    Effect::DESTROY.with(Facet::Unbounded)
                };
                self.touch(
                    Group::Remote,
                    effect.with(Facet::Outward),
                    true,
                    object,
                    "rows at another server are changed",
                );
            }
            RelationKind::Table
            | RelationKind::Partitioned
            | RelationKind::Materialised
            | RelationKind::Sequence
            | RelationKind::Index
            | RelationKind::PartitionedIndex
            | RelationKind::Other => {}
        }
        for child in &relation.children {
            if let Some(child) = self.catalogue.relations.get(child).cloned() {
                self.fires(&child, event);
                self.attachments(&child);
            }
        }
    }

    /// Judges the triggers that an event fires.
    pub(crate) fn fires(&mut self, relation: &Arc<Relation>, event: &str) {
        for trigger in &relation.triggers {
            let hit = match event {
                "insert" => trigger.insert,
                "update" => trigger.update,
                "delete" => trigger.delete,
                "truncate" => trigger.truncate,
                _ => false,
            };
            if hit && trigger.enabled {
                self.function(trigger.function);
            }
        }
    }

    /// Judges what runs whenever a row is written: defaults, generated columns, checks, index expressions.
    fn attachments(&mut self, relation: &Arc<Relation>) {
        let relation = Arc::clone(relation);
        self.follow(('a', relation.oid), |it| {
            let texts = relation
                .columns
                .iter()
                .filter_map(|column| column.default.as_ref())
                .chain(&relation.checks)
                .chain(&relation.index_expressions);
            for text in texts {
                it.text_expression(text);
            }
            for column in &relation.columns {
                it.type_used(column.type_oid);
            }
        });
    }

    fn hold_of(&mut self, rv: &nodes::RangeVar, predicate: Node<'_>, alone: bool) -> Hold {
        let Some(relation) = self.relation_of(rv).cloned() else { return Hold::Open };
        // What a view holds is not what the table below it holds.
        if relation.kind == RelationKind::View {
            return Hold::Open;
        }
        let (held, limited) = hold(predicate, &relation, alias_of(rv), alone);
        self.literals_matter |= limited;
        held
    }

    fn credential_columns(&mut self, rv: &nodes::RangeVar, columns: &[String]) {
        let hit = columns.iter().any(|column| {
            let column = column.to_ascii_lowercase();
            CREDENTIAL_WORDS.iter().any(|word| column.contains(word))
        });
        if hit {
            let object = self.object_of(rv);
            self.touch(
                Group::Update,
                Effect::WRITE.with(Facet::Administers),
                true,
                object,
                "a column that holds credentials is changed",
            );
        }
    }
}

/// Returns whether a relation shows the server's credentials.
fn reveals(relation: &Relation) -> bool {
    relation.schema == "pg_catalog"
        && matches!(
            relation.name.as_str(),
            "pg_authid"
                | "pg_shadow"
                | "pg_user_mapping"
                | "pg_user_mappings"
                | "pg_largeobject"
                | "pg_subscription"
        )
}

/// Returns a relation as an object.
pub(crate) fn relation_object(relation: &Relation) -> SqlObject {
    let kind = match relation.kind {
        RelationKind::Table | RelationKind::Partitioned | RelationKind::Foreign => "table",
        RelationKind::View | RelationKind::Materialised => "view",
        RelationKind::Sequence => "sequence",
        RelationKind::Index | RelationKind::PartitionedIndex => "index",
        RelationKind::Other => "relation",
    };
    SqlObject {
        kind: kind.into(),
        name: format!("{}.{}", relation.schema, relation.name),
        oid: Some(relation.oid),
    }
}

pub(crate) fn alias_of(rv: &nodes::RangeVar) -> &str {
    rv.alias().and_then(nodes::Alias::aliasname).or(rv.relname()).unwrap_or_default()
}

fn targets(list: &pg_raw_parse::list::CastNodeList<nodes::ResTarget>) -> Vec<String> {
    list.iter().filter_map(|it| it.name().map(str::to_owned)).collect()
}
