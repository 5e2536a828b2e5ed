//! Definitions that are dropped, emptied, altered or renamed.

use killick_model::{Effect, Facet};
use pg_raw_parse::raw::{AlterTableType as At, ObjectType};
use pg_raw_parse::{Node, nodes};

use super::query::relation_object;
use super::{Judge, names, object};
use crate::catalogue::RelationKind;
use crate::judged::{ColumnLoss, Group, SqlObject, Wrapping};

impl Judge<'_> {
    pub(super) fn drop(&mut self, it: &nodes::DropStmt) {
        if it.concurrent {
            self.wrapping = Wrapping::Refuses;
        }
        let relation = matches!(
            it.remove_type,
            ObjectType::OBJECT_TABLE
                | ObjectType::OBJECT_VIEW
                | ObjectType::OBJECT_MATVIEW
                | ObjectType::OBJECT_FOREIGN_TABLE
                | ObjectType::OBJECT_SEQUENCE
                | ObjectType::OBJECT_INDEX
        );
        for item in it.objects() {
            let parts = match item {
                Node::NodeList(list) => names(list),
                Node::String(name) => name.sval().map(str::to_owned).into_iter().collect(),
                Node::TypeName(it) => {
                    it.names().iter().filter_map(|n| n.sval().map(str::to_owned)).collect()
                }
                Node::ObjectWithArgs(it) => names(it.objname()),
                _ => Vec::new(),
            };
            if relation {
                self.drop_relation(&parts, it);
            } else {
                self.drop_other(&parts, it);
            }
        }
    }

    fn drop_relation(&mut self, parts: &[String], it: &nodes::DropStmt) {
        let found = match parts {
            [name] => self.catalogue.relation(None, name).cloned(),
            [.., schema, name] => self.catalogue.relation(Some(schema), name).cloned(),
            [] => None,
        };
        let name = parts.join(".");
        let Some(relation) = found else {
            let made =
                self.state.made.iter().any(|it| *it == name || it.ends_with(&format!(".{name}")));
            let target = object("table", name);
            if made || (it.missing_ok && !self.state.uncertain) {
                self.writes(Group::Drop, target, "what the session made goes, or nothing");
            } else {
                self.destroys(Group::Drop, target, "a table goes with its rows");
            }
            return;
        };
        let target = relation_object(&relation);
        let data = matches!(
            relation.kind,
            RelationKind::Table
                | RelationKind::Partitioned
                | RelationKind::Materialised
                | RelationKind::Sequence
        );
        if relation.persistence == 't' {
            self.writes(Group::Drop, target, "a temporary table goes");
        } else if data {
            self.destroys(Group::Drop, target, "a table goes with its rows");
        } else {
            self.touch(Group::Drop, Effect::DESTROY, false, target, "a definition goes");
        }
        for child in relation.children.clone() {
            if let Some(child) = self.catalogue.relations.get(&child).cloned() {
                let target = relation_object(&child);
                self.destroys(Group::Drop, target, "a partition goes with its rows");
            }
        }
    }

    fn drop_other(&mut self, parts: &[String], it: &nodes::DropStmt) {
        let name = parts.join(".");
        match it.remove_type {
            ObjectType::OBJECT_SCHEMA => {
                self.destroys(
                    Group::Drop,
                    object("schema", name.clone()),
                    "a schema goes with all that is in it",
                );
                let inside: Vec<_> = self
                    .catalogue
                    .relations
                    .values()
                    .filter(|relation| {
                        relation.schema == name
                            && matches!(
                                relation.kind,
                                RelationKind::Table
                                    | RelationKind::Partitioned
                                    | RelationKind::Materialised
                            )
                    })
                    .map(|relation| relation_object(relation))
                    .collect();
                for target in inside {
                    self.destroys(Group::Drop, target, "a table goes with its rows");
                }
            }
            ObjectType::OBJECT_EXTENSION | ObjectType::OBJECT_TYPE | ObjectType::OBJECT_DOMAIN => {
                self.destroys(
                    Group::Drop,
                    object("type", name),
                    "a definition goes, and columns with it",
                );
            }
            ObjectType::OBJECT_POLICY
            | ObjectType::OBJECT_TRIGGER
            | ObjectType::OBJECT_RULE
            | ObjectType::OBJECT_EVENT_TRIGGER => {
                let target = object("protection", name);
                let effect = Effect::DESTROY.with(Facet::Administers);
                self.touch(Group::Protection, effect, false, target, "a guard goes");
            }
            _ => {
                self.touch(
                    Group::Drop,
                    Effect::DESTROY,
                    true,
                    object("object", name),
                    "a definition goes",
                );
            }
        }
    }

    pub(super) fn truncate(&mut self, it: &nodes::TruncateStmt) {
        let mut todo: Vec<SqlObject> = Vec::new();
        for rv in it.relations() {
            let Node::RangeVar(rv) = rv else { continue };
            todo.push(self.object_of(rv));
            let Some(relation) = self.relation_of(rv).cloned() else { continue };
            self.fires(&relation, "truncate");
            let mut pending = vec![relation.oid];
            let cascade = it.behavior == pg_raw_parse::raw::DropBehavior::DROP_CASCADE;
            while let Some(oid) = pending.pop() {
                let Some(relation) = self.catalogue.relations.get(&oid).cloned() else { continue };
                let next =
                    relation.children.iter().copied().chain(
                        relation.referenced_by.iter().filter(|_| cascade).map(|key| key.child),
                    );
                for child in next {
                    if let Some(child) = self.catalogue.relations.get(&child).cloned() {
                        let target = relation_object(&child);
                        if !todo.contains(&target) {
                            self.fires(&child, "truncate");
                            todo.push(target);
                            pending.push(child.oid);
                        }
                    }
                }
            }
        }
        for target in todo {
            self.destroys(Group::Truncate, target, "a table is emptied");
        }
    }

    pub(super) fn alter_table(&mut self, it: &nodes::AlterTableStmt) {
        let Some(rv) = it.relation() else {
            return self.unrecognized("an ALTER without a relation");
        };
        let target = self.object_of(rv);
        for command in it.cmds() {
            match command {
                Node::AlterTableCmd(command) => self.alter_command(&target, command),
                _ => self.unrecognized("an ALTER TABLE of an unknown kind"),
            }
        }
    }

    fn alter_command(&mut self, target: &SqlObject, command: &nodes::AlterTableCmd) {
        let target = target.clone();
        let column = |dropped: bool| ColumnLoss {
            name: command.name().unwrap_or_default().to_owned(),
            dropped,
        };
        match command.subtype {
            At::AT_AddColumn
            | At::AT_ColumnDefault
            | At::AT_SetNotNull
            | At::AT_SetStatistics
            | At::AT_SetOptions
            | At::AT_ResetOptions
            | At::AT_SetStorage
            | At::AT_SetCompression
            | At::AT_AddIndex
            | At::AT_AddConstraint
            | At::AT_ValidateConstraint
            | At::AT_AddIndexConstraint
            | At::AT_ClusterOn
            | At::AT_DropCluster
            | At::AT_SetRelOptions
            | At::AT_ResetRelOptions
            | At::AT_ReplaceRelOptions
            | At::AT_AttachPartition
            | At::AT_AddIdentity
            | At::AT_SetLogged
            | At::AT_AddInherit
            | At::AT_AddOf
            | At::AT_AlterConstraint => {
                self.writes(Group::Alter, target, "a definition is added to");
                if let Node::ColumnDef(column) = command.def() {
                    for constraint in column.constraints() {
                        if let Node::Constraint(constraint) = constraint {
                            self.query_of_expression(constraint.raw_expr());
                        }
                    }
                }
            }
            At::AT_DropColumn => {
                self.loses(target, column(true), "a column goes with its values");
            }
            At::AT_AlterColumnType => {
                self.loses(target, column(false), "every value of a column is rewritten");
                if let Node::ColumnDef(column) = command.def() {
                    self.query_of_expression(column.raw_default());
                }
            }
            At::AT_DropConstraint
            | At::AT_DropNotNull
            | At::AT_DropIdentity
            | At::AT_DropExpression
            | At::AT_SetIdentity
            | At::AT_DropOids
            | At::AT_DropInherit
            | At::AT_DropOf => {
                self.touch(
                    Group::Protection,
                    Effect::DESTROY,
                    false,
                    target,
                    "a guard of the data goes",
                );
            }
            At::AT_DetachPartition | At::AT_DetachPartitionFinalize => {
                if matches!(command.def(), Node::PartitionCmd(it) if it.concurrent) {
                    self.wrapping = Wrapping::Refuses;
                }
                let effect = Effect::DESTROY.with(Facet::Unbounded);
                self.touch(
                    Group::Alter,
                    effect,
                    false,
                    target,
                    "a partition's rows leave the table",
                );
            }
            _ => self.administers(
                Group::Protection,
                target,
                "who may do what, or what is guarded, is changed",
            ),
        }
    }

    pub(super) fn rename(&mut self, it: &nodes::RenameStmt) {
        let target = it.relation().map_or_else(
            || object("object", it.newname().unwrap_or_default()),
            |rv| self.object_of(rv),
        );
        match it.rename_type {
            ObjectType::OBJECT_DATABASE
            | ObjectType::OBJECT_ROLE
            | ObjectType::OBJECT_SCHEMA
            | ObjectType::OBJECT_FUNCTION
            | ObjectType::OBJECT_PROCEDURE
            | ObjectType::OBJECT_ROUTINE
            | ObjectType::OBJECT_POLICY
            | ObjectType::OBJECT_TRIGGER
            | ObjectType::OBJECT_RULE => {
                self.administers(Group::Rename, target, "a name that others go by is changed");
            }
            _ => self.writes(Group::Rename, target, "a name is changed"),
        }
    }
}
