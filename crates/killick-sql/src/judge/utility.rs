//! Everything that is not about rows alone: definitions, rights, settings, transactions, files.

use std::sync::Arc;

use killick_model::{Effect, Facet};
use pg_raw_parse::raw::{
    AlterTableType as At, DiscardMode, ObjectType, TransactionStmtKind as Tx, VariableSetKind,
};
use pg_raw_parse::{Node, nodes};

use super::expression::text_constant;
use super::query::relation_object;
use super::{Judge, names, object};
use crate::catalogue::RelationKind;
use crate::judged::{Group, Judged, Kind, SqlObject, Wrapping};

impl Judge<'_> {
    /// Judges a statement that is not a query. A kind that is not named here is unrecognized.
    pub(crate) fn utility(&mut self, node: Node<'_>) {
        match node {
            Node::TransactionStmt(it) => self.transaction(it),
            Node::VariableSetStmt(it) => self.variable_set(it),
            Node::VariableShowStmt(_) => self.session_read("a setting is shown"),
            Node::DiscardStmt(it) => self.discard(it),
            Node::ConstraintsSetStmt(_) => self.session_read("when constraints are checked"),
            Node::PrepareStmt(it) => self.prepare(it),
            Node::ExecuteStmt(it) => self.execute(it),
            Node::DeallocateStmt(it) => {
                self.session_read("a prepared statement is forgotten");
                self.kind = Kind::Deallocate { name: it.name().map(str::to_owned) };
            }
            Node::DeclareCursorStmt(it) => {
                self.nested(it.query());
                self.kind = Kind::Declare { name: it.portalname().unwrap_or_default().to_owned() };
            }
            Node::FetchStmt(it) => self.fetch(it.portalname().unwrap_or_default()),
            Node::ClosePortalStmt(_) => self.session_read("a cursor is closed"),
            Node::ExplainStmt(it) => self.explain(it),
            Node::CopyStmt(it) => self.copy(it),
            Node::DoStmt(it) => self.do_statement(it),
            Node::CallStmt(it) => self.call_statement(it),
            Node::LockStmt(it) => {
                for rv in it.relations() {
                    if let Node::RangeVar(rv) = rv {
                        let object = self.object_of(rv);
                        self.writes(Group::Lock, object, "a whole table is locked");
                    }
                }
            }
            Node::NotifyStmt(_) => {
                let effect = Effect::WRITE.with(Facet::Outward);
                self.touch(
                    Group::Notify,
                    effect,
                    true,
                    object("channel", ""),
                    "others are notified",
                );
            }
            Node::ListenStmt(_) | Node::UnlistenStmt(_) => {
                self.session_read("notifications are heard")
            }
            Node::CheckPointStmt(_) => {
                self.writes(
                    Group::Maintain,
                    object("server", ""),
                    "the server writes its pages out",
                );
            }
            Node::VacuumStmt(it) => self.vacuum(it),
            Node::ReindexStmt(_) | Node::ClusterStmt(_) => {
                self.writes(
                    Group::Maintain,
                    object("database", ""),
                    "indexes or tables are built anew",
                );
                self.wrapping = Wrapping::Refuses;
            }
            Node::LoadStmt(_) => {
                self.administers(
                    Group::Code,
                    object("library", ""),
                    "code is loaded into the server",
                );
            }
            other => self.definition(other),
        }
    }

    fn session_read(&mut self, why: &str) {
        self.touch(Group::Setting, Effect::READ, false, object("session", ""), why);
    }

    fn transaction(&mut self, it: &nodes::TransactionStmt) {
        let name = || it.savepoint_name().unwrap_or_default().to_owned();
        self.wrapping = Wrapping::Control;
        self.touch(
            Group::Transaction,
            Effect::READ,
            false,
            object("transaction", ""),
            "transaction control",
        );
        match it.kind {
            Tx::TRANS_STMT_BEGIN | Tx::TRANS_STMT_START => {
                let read_only = it.options().iter().filter_map(|option| match option {
                    Node::DefElem(option) if option.defname() == Some("transaction_read_only") => {
                        Some(truth(option.arg()))
                    }
                    _ => None,
                });
                self.kind = Kind::Begin { read_only: read_only.last() };
            }
            Tx::TRANS_STMT_COMMIT => self.kind = Kind::Commit { chain: it.chain },
            Tx::TRANS_STMT_ROLLBACK => self.kind = Kind::Rollback { chain: it.chain },
            Tx::TRANS_STMT_SAVEPOINT => self.kind = Kind::Savepoint { name: name() },
            Tx::TRANS_STMT_RELEASE => self.kind = Kind::Release { name: name() },
            Tx::TRANS_STMT_ROLLBACK_TO => self.kind = Kind::RollbackTo { name: name() },
            Tx::TRANS_STMT_PREPARE => {
                self.kind = Kind::Plain;
                self.touch(
                    Group::Transaction,
                    Effect::WRITE.with(Facet::Deferred).with(Facet::Administers),
                    true,
                    object("transaction", ""),
                    "a transaction is left for somebody else to commit, past the gate at its end",
                );
            }
            Tx::TRANS_STMT_COMMIT_PREPARED | Tx::TRANS_STMT_ROLLBACK_PREPARED => {
                self.kind = Kind::Plain;
                self.wrapping = Wrapping::Refuses;
                self.destroys(
                    Group::Transaction,
                    object("transaction", ""),
                    "a transaction is ended whose statements were not seen here",
                );
            }
            _ => {
                self.kind = Kind::Plain;
                self.unrecognized("transaction control that is not known");
            }
        }
    }

    fn variable_set(&mut self, it: &nodes::VariableSetStmt) {
        let name = it.name().unwrap_or_default().to_owned();
        let value = it.args().iter().next().and_then(text_constant);
        match it.kind {
            VariableSetKind::VAR_SET_VALUE => self.set(&name, value.as_deref()),
            VariableSetKind::VAR_SET_DEFAULT | VariableSetKind::VAR_RESET => self.set(&name, None),
            VariableSetKind::VAR_SET_CURRENT => self.set(&name, None),
            VariableSetKind::VAR_RESET_ALL => {
                self.administers(
                    Group::Setting,
                    object("session", ""),
                    "every setting goes back, the gateway's too",
                );
                self.kind = Kind::Session { settings: Vec::new() };
            }
            VariableSetKind::VAR_SET_MULTI => self.set_transaction(it),
            _ => self.unrecognized("a setting in a form that is not known"),
        }
    }

    /// SET TRANSACTION and SET SESSION CHARACTERISTICS.
    fn set_transaction(&mut self, it: &nodes::VariableSetStmt) {
        let lifts = it.args().iter().any(|option| match option {
            Node::DefElem(option) => {
                option.defname() == Some("transaction_read_only") && !truth(option.arg())
            }
            _ => false,
        });
        let name = it.name().unwrap_or_default();
        let session = name.contains("SESSION");
        if name.contains("SNAPSHOT") || (session && lifts) {
            self.administers(
                Group::Setting,
                object("session", ""),
                "the session's own guard is lifted",
            );
        } else {
            self.session_read("how a transaction reads");
        }
        self.kind = Kind::Session { settings: vec!["transaction".into()] };
    }

    fn discard(&mut self, it: &nodes::DiscardStmt) {
        match it.target {
            DiscardMode::DISCARD_PLANS | DiscardMode::DISCARD_SEQUENCES => {
                self.session_read("what the session remembers is forgotten");
            }
            DiscardMode::DISCARD_TEMP => {
                self.writes(
                    Group::Drop,
                    object("table", "pg_temp"),
                    "the session's temporary tables go",
                );
            }
            _ => {
                self.administers(
                    Group::Setting,
                    object("session", ""),
                    "every setting goes back, the gateway's too",
                );
                self.kind = Kind::Session { settings: Vec::new() };
            }
        }
    }

    fn prepare(&mut self, it: &nodes::PrepareStmt) {
        let inner = super::judge_node(it.query(), self.catalogue, self.state);
        self.touches.extend(inner.touches.iter().cloned());
        self.plain &= inner.plainly_read;
        let name = it.name().unwrap_or_default().to_owned();
        self.kind = Kind::Prepare { name, inner: Arc::new(inner) };
    }

    fn execute(&mut self, it: &nodes::ExecuteStmt) {
        let name = it.name().unwrap_or_default().to_owned();
        for param in it.params() {
            self.query_of_expression(param);
        }
        match self.state.prepared.get(&name).cloned() {
            Some(inner) => self.of_inner(&inner),
            None => self.unrecognized("a prepared statement that is not known"),
        }
        self.kind = Kind::Execute { name };
    }

    fn of_inner(&mut self, inner: &Judged) {
        self.touches.extend(inner.touches.iter().cloned());
        self.plain &= inner.plainly_read;
        self.locks |= inner.locks;
    }

    fn fetch(&mut self, name: &str) {
        match self.state.cursors.get(name).cloned() {
            Some(inner) => self.of_inner(&inner),
            // The server says that there is none; a portal of the extended protocol is no cursor of ours.
            None => {
                self.plain = false;
                self.session_read("a cursor is read");
            }
        }
    }

    /// The last of several ANALYZE options counts; without it the statement is planned, and planning runs functions
    /// that claim to be immutable.
    fn explain(&mut self, it: &nodes::ExplainStmt) {
        let runs = it
            .options()
            .iter()
            .filter(|option| {
                option.defname().is_some_and(|name| name.eq_ignore_ascii_case("analyze"))
            })
            .map(|option| matches!(option.arg(), Node::None) || truth(option.arg()))
            .last()
            .unwrap_or(false);
        if runs {
            return self.nested(it.query());
        }
        let mut inner = Judge::new(self.catalogue, self.state);
        inner.statement(it.query());
        let inner = inner.finish();
        let planned: Vec<_> = inner
            .touches
            .into_iter()
            .filter(|touch| {
                matches!(
                    touch.group,
                    Group::Call
                        | Group::Remote
                        | Group::Unrecognized
                        | Group::LargeObject
                        | Group::Backend
                ) || touch.object.kind == "function"
            })
            .collect();
        if planned.is_empty() {
            self.reads(object("plan", ""));
            // A function of somebody's own that is judged to remove rows might claim to be immutable.
            let own = inner_calls(it.query(), self);
            if own {
                self.nested(it.query());
            }
        } else {
            self.touches.extend(planned);
            self.plain = false;
        }
    }

    fn copy(&mut self, it: &nodes::CopyStmt) {
        let file = it.filename().is_some() || it.is_program;
        if it.is_program {
            self.touch(
                Group::ServerFile,
                Effect::ADMINISTER.with(Facet::Unbounded).with(Facet::Outward),
                true,
                object("program", ""),
                "a program runs on the server",
            );
        } else if file {
            let why = "a file of the server is read or written";
            self.administers(Group::ServerFile, object("file", ""), why);
        }
        if !matches!(it.query(), Node::None) {
            self.nested(it.query());
        }
        if let Some(rv) = it.relation() {
            let target = self.object_of(rv);
            if it.is_from {
                self.writes(Group::CopyIn, target, "rows are added");
                if let Some(relation) = self.relation_of(rv).cloned() {
                    self.fires(&relation, "insert");
                }
            } else if let Some(relation) = self.relation_of(rv).cloned() {
                self.relation_is_read(&relation);
            } else {
                self.plain = false;
                self.reads(target);
            }
        }
        self.query_of_expression(it.where_clause());
        if !file {
            self.kind = if it.is_from { Kind::CopyIn } else { Kind::CopyOut };
        }
    }

    fn do_statement(&mut self, it: &nodes::DoStmt) {
        let (mut language, mut body) = ("plpgsql".to_owned(), String::new());
        for arg in it.args() {
            let text = arg.arg().as_str().unwrap_or_default().to_owned();
            match arg.defname() {
                Some("language") => language = text,
                Some("as") => body = text,
                _ => self.unrecognized("a DO with something unknown in it"),
            }
        }
        self.do_block(&language, &body);
    }

    fn call_statement(&mut self, it: &nodes::CallStmt) {
        self.plain = false;
        match it.funccall() {
            Some(call) => self.query(Node::FuncCall(call)),
            None => self.unrecognized("a CALL without a procedure"),
        }
        if self.touches.is_empty() {
            self.reads(object("procedure", ""));
        }
    }

    fn vacuum(&mut self, it: &nodes::VacuumStmt) {
        self.writes(
            Group::Maintain,
            object("database", ""),
            "dead rows are cleared or statistics taken",
        );
        if it.is_vacuumcmd {
            self.wrapping = Wrapping::Refuses;
        }
    }

    fn definition(&mut self, node: Node<'_>) {
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

    fn drop(&mut self, it: &nodes::DropStmt) {
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

    fn truncate(&mut self, it: &nodes::TruncateStmt) {
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

    fn alter_table(&mut self, it: &nodes::AlterTableStmt) {
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
                self.destroys(Group::Alter, target, "a column goes with its values")
            }
            At::AT_AlterColumnType => {
                self.destroys(Group::Alter, target, "every value of a column is rewritten");
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

    fn rename(&mut self, it: &nodes::RenameStmt) {
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

/// Returns whether a query calls a function that is not the server's own.
fn inner_calls(node: Node<'_>, judge: &Judge<'_>) -> bool {
    if !matches!(
        node,
        Node::SelectStmt(_)
            | Node::InsertStmt(_)
            | Node::UpdateStmt(_)
            | Node::DeleteStmt(_)
            | Node::MergeStmt(_)
    ) {
        return true;
    }
    let mut own = false;
    pg_raw_parse::walk::walk(node, |it| {
        if let Node::FuncCall(call) = it {
            let parts = names(call.funcname());
            let name = parts.last().map(String::as_str).unwrap_or_default();
            let called = judge.catalogue.functions_called(None, name, None);
            own |= called.is_empty() || called.iter().any(|function| function.oid >= 16_384);
        }
        if let Node::A_Expr(it) = it {
            let parts = names(it.name());
            let name = parts.last().map(String::as_str).unwrap_or_default();
            own |= judge
                .catalogue
                .operators_named(None, name)
                .iter()
                .any(|operator| operator.schema != "pg_catalog");
        }
    });
    own
}

/// Reads a truth value of an option; what cannot be read is the worst: for what is asked here, `false` lifts a guard
/// and `true` runs something, so each caller says which it asked for.
fn truth(node: Node<'_>) -> bool {
    match node {
        Node::Integer(it) => it.ival != 0,
        Node::Boolean(it) => it.boolval,
        Node::String(it) => {
            let text = it.sval().unwrap_or_default().to_ascii_lowercase();
            !matches!(text.as_str(), "off" | "false" | "0" | "no" | "f" | "n")
        }
        other => text_constant(other).is_none_or(|text| {
            !matches!(text.to_ascii_lowercase().as_str(), "0" | "false" | "off" | "no" | "f" | "n")
        }),
    }
}
