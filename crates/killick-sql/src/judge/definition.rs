//! Definitions that are made, and who administers what.

use killick_model::{Effect, Facet};
use pg_raw_parse::raw::ObjectType;
use pg_raw_parse::{Node, nodes};

use super::{Judge, object};
use crate::judged::{Group, Wrapping};

impl Judge<'_> {
    pub(super) fn definition(&mut self, node: Node<'_>) {
        match node {
            Node::CreateStmt(it) => self.create_table(it.relation(), "a table is made"),
            Node::CreateTableAsStmt(it) => {
                self.nested(it.query());
                let rv = it.into().and_then(nodes::IntoClause::rel);
                self.create_table(rv, "a table is made from what is read");
            }
            Node::ViewStmt(it) => {
                self.nested(it.query());
                let name = it.view().map(|rv| self.object_of(rv));
                let there = it.replace && name.as_ref().is_some_and(|it| it.oid.is_some());
                let target = name.unwrap_or_else(|| object("view", ""));
                if there {
                    self.touch(Group::Alter, Effect::WRITE, true, target, "a view is replaced");
                } else {
                    self.writes(Group::Create, target, "a view is made");
                }
            }
            Node::IndexStmt(it) => self.index(it),
            Node::CreateSchemaStmt(it) => {
                self.writes(
                    Group::Create,
                    object("schema", it.schemaname().unwrap_or_default()),
                    "a schema is made",
                );
                for element in it.schema_elts() {
                    self.nested(element);
                }
            }
            Node::CreateSeqStmt(it) => self.create_table(it.sequence(), "a sequence is made"),
            Node::CreateDomainStmt(_)
            | Node::CreateEnumStmt(_)
            | Node::CompositeTypeStmt(_)
            | Node::CreateRangeStmt(_)
            | Node::CreateStatsStmt(_)
            | Node::DefineStmt(_) => self.define(node),
            Node::AlterEnumStmt(_) | Node::AlterStatsStmt(_) | Node::AlterCollationStmt(_) => {
                self.touch(
                    Group::Alter,
                    Effect::WRITE,
                    true,
                    object("type", ""),
                    "a type is changed",
                );
            }
            Node::CommentStmt(_) => {
                self.touch(
                    Group::Alter,
                    Effect::WRITE,
                    true,
                    object("comment", ""),
                    "a comment is replaced",
                );
            }
            Node::RefreshMatViewStmt(it) => self.refresh(it),
            Node::DropStmt(it) => self.drop(it),
            Node::TruncateStmt(it) => self.truncate(it),
            Node::AlterTableStmt(it) => self.alter_table(it),
            Node::RenameStmt(it) => self.rename(it),
            Node::AlterSeqStmt(it) => {
                let target =
                    it.sequence().map_or_else(|| object("sequence", ""), |rv| self.object_of(rv));
                self.touch(
                    Group::Alter,
                    Effect::DESTROY,
                    true,
                    target,
                    "a sequence goes on elsewhere",
                );
            }
            Node::AlterDomainStmt(_) | Node::AlterTypeStmt(_) => {
                let target = object("type", "");
                self.touch(
                    Group::Alter,
                    Effect::DESTROY,
                    false,
                    target,
                    "what values may be is changed",
                );
            }
            Node::CreatedbStmt(it) => {
                self.writes(
                    Group::Create,
                    object("database", it.dbname().unwrap_or_default()),
                    "a database is made",
                );
                self.wrapping = Wrapping::Refuses;
            }
            Node::DropdbStmt(it) => {
                self.destroys(
                    Group::Drop,
                    object("database", it.dbname().unwrap_or_default()),
                    "a whole database goes",
                );
                self.wrapping = Wrapping::Refuses;
            }
            Node::DropOwnedStmt(_) => {
                self.destroys(
                    Group::Drop,
                    object("database", ""),
                    "everything that a role owns goes",
                );
            }
            other => self.administration(other),
        }
    }

    fn create_table(&mut self, rv: Option<&nodes::RangeVar>, why: &str) {
        let target = rv.map_or_else(|| object("table", ""), |rv| self.object_of(rv));
        self.writes(Group::Create, target, why);
    }

    fn define(&mut self, node: Node<'_>) {
        if let Node::DefineStmt(it) = node
            && matches!(
                it.kind,
                ObjectType::OBJECT_OPERATOR
                    | ObjectType::OBJECT_AGGREGATE
                    | ObjectType::OBJECT_TYPE
            )
        {
            return self.administers(
                Group::Code,
                object("operator", ""),
                "code that runs later is bound to a name",
            );
        }
        self.writes(Group::Create, object("type", ""), "a definition is made");
    }

    fn index(&mut self, it: &nodes::IndexStmt) {
        let target = it.relation().map_or_else(|| object("index", ""), |rv| self.object_of(rv));
        self.writes(Group::Create, target, "an index is made");
        for param in it.index_params() {
            self.query_of_expression(param.expr());
        }
        self.query_of_expression(it.where_clause());
        if it.concurrent {
            self.wrapping = Wrapping::Refuses;
        }
    }

    fn refresh(&mut self, it: &nodes::RefreshMatViewStmt) {
        let Some(rv) = it.relation() else { return self.unrecognized("a REFRESH without a view") };
        let target = self.object_of(rv);
        if it.skip_data {
            let effect = Effect::DESTROY.with(Facet::Unbounded);
            self.touch(Group::Maintain, effect, false, target, "a materialised view is emptied");
        } else {
            self.writes(Group::Maintain, target, "a materialised view is filled anew");
        }
        if let Some(text) = self.relation_of(rv).and_then(|it| it.definition.clone()) {
            self.text_query(&text);
        }
        // CONCURRENTLY fits into a transaction here, unlike for indexes.
    }

    fn administration(&mut self, node: Node<'_>) {
        let (group, kind, why) = match node {
            Node::CreateFunctionStmt(_) | Node::AlterFunctionStmt(_) => {
                (Group::Code, "function", "code that runs later is made or changed")
            }
            Node::CreateTrigStmt(_)
            | Node::CreateEventTrigStmt(_)
            | Node::AlterEventTrigStmt(_) => {
                (Group::Code, "trigger", "code that runs later is made or changed")
            }
            Node::RuleStmt(_) => {
                (Group::Code, "rule", "statements of others are rewritten from here on")
            }
            Node::CreatePLangStmt(_)
            | Node::CreateExtensionStmt(_)
            | Node::AlterExtensionStmt(_)
            | Node::AlterExtensionContentsStmt(_)
            | Node::CreateTransformStmt(_)
            | Node::CreateCastStmt(_)
            | Node::CreateConversionStmt(_)
            | Node::CreateAmStmt(_)
            | Node::CreateOpClassStmt(_)
            | Node::CreateOpFamilyStmt(_)
            | Node::AlterOpFamilyStmt(_)
            | Node::AlterOperatorStmt(_)
            | Node::AlterTSConfigurationStmt(_)
            | Node::AlterTSDictionaryStmt(_) => {
                (Group::Code, "extension", "code that runs later is made or changed")
            }
            Node::GrantStmt(_) | Node::GrantRoleStmt(_) | Node::AlterDefaultPrivilegesStmt(_) => {
                (Group::Privilege, "privilege", "rights are given or taken")
            }
            Node::CreateRoleStmt(_)
            | Node::AlterRoleStmt(_)
            | Node::AlterRoleSetStmt(_)
            | Node::DropRoleStmt(_)
            | Node::ReassignOwnedStmt(_) => {
                (Group::Role, "role", "roles, or what they own, are changed")
            }
            Node::AlterOwnerStmt(_) => {
                (Group::Privilege, "owner", "somebody else becomes the owner")
            }
            Node::AlterObjectSchemaStmt(_) | Node::AlterObjectDependsStmt(_) => {
                (Group::Rename, "object", "an object goes to another schema")
            }
            Node::AlterSystemStmt(_) => {
                (Group::Configure, "server", "the server's configuration is changed")
            }
            Node::AlterDatabaseStmt(_)
            | Node::AlterDatabaseSetStmt(_)
            | Node::AlterDatabaseRefreshCollStmt(_)
            | Node::CreateTableSpaceStmt(_)
            | Node::AlterTableSpaceOptionsStmt(_)
            | Node::AlterTableMoveAllStmt(_) => {
                (Group::Configure, "database", "a database's configuration is changed")
            }
            Node::CreatePolicyStmt(_) | Node::AlterPolicyStmt(_) | Node::SecLabelStmt(_) => {
                (Group::Protection, "policy", "who sees which rows is changed")
            }
            Node::CreatePublicationStmt(_)
            | Node::AlterPublicationStmt(_)
            | Node::CreateSubscriptionStmt(_)
            | Node::AlterSubscriptionStmt(_) => (
                Group::Remote,
                "publication",
                "what leaves for or comes from other servers is changed",
            ),
            Node::CreateFdwStmt(_)
            | Node::AlterFdwStmt(_)
            | Node::CreateForeignServerStmt(_)
            | Node::AlterForeignServerStmt(_)
            | Node::CreateUserMappingStmt(_)
            | Node::AlterUserMappingStmt(_)
            | Node::DropUserMappingStmt(_)
            | Node::ImportForeignSchemaStmt(_) => {
                (Group::Remote, "server", "the way to another server is changed")
            }
            Node::DropTableSpaceStmt(_) | Node::DropSubscriptionStmt(_) => {
                self.destroys(Group::Drop, object("object", ""), "what it holds goes with it");
                self.wrapping = Wrapping::Refuses;
                return;
            }
            _ => return self.unrecognized("a kind of statement that is not known"),
        };
        self.administers(group, object(kind, ""), why);
        if matches!(
            node,
            Node::AlterSystemStmt(_)
                | Node::CreateTableSpaceStmt(_)
                | Node::CreateSubscriptionStmt(_)
        ) {
            self.wrapping = Wrapping::Refuses;
        }
    }
}
