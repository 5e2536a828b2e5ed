//! Everything that is not about rows alone: definitions, rights, settings, transactions, files.

use std::sync::Arc;

use killick_model::{Effect, Facet};
use pg_raw_parse::raw::{
    DiscardMode, ReindexObjectType, TransactionStmtKind as Tx, VariableSetKind,
};
use pg_raw_parse::{Node, nodes};

use super::expression::text_constant;
use super::settings::SetTo;
use super::{Judge, names, object};
use crate::catalogue::RelationKind;
use crate::judged::{Group, Judged, Kind, Wrapping};

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
                self.session_read("notifications are heard");
            }
            Node::CheckPointStmt(_) => {
                self.writes(
                    Group::Maintain,
                    object("server", ""),
                    "the server writes its pages out",
                );
            }
            Node::VacuumStmt(it) => self.vacuum(it),
            Node::ReindexStmt(it) => {
                let concurrently =
                    it.params().iter().any(|option| option.defname() == Some("concurrently"));
                let index = it.kind == ReindexObjectType::REINDEX_OBJECT_INDEX;
                self.builds_anew(it.relation().filter(|_| !concurrently), index);
            }
            Node::ClusterStmt(it) => self.builds_anew(it.relation(), false),
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
                let mut read_only = it.options().iter().filter_map(|option| match option {
                    Node::DefElem(option) if option.defname() == Some("transaction_read_only") => {
                        Some(truth(option.arg()))
                    }
                    _ => None,
                });
                self.kind = Kind::Begin { read_only: read_only.next_back() };
            }
            Tx::TRANS_STMT_COMMIT => self.kind = Kind::Commit { chain: it.chain },
            Tx::TRANS_STMT_ROLLBACK => self.kind = Kind::Rollback { chain: it.chain },
            Tx::TRANS_STMT_SAVEPOINT => self.kind = Kind::Savepoint { name: name() },
            Tx::TRANS_STMT_RELEASE => self.kind = Kind::Release { name: name() },
            Tx::TRANS_STMT_ROLLBACK_TO => self.kind = Kind::RollbackTo { name: name() },
            Tx::TRANS_STMT_PREPARE => {
                self.kind = Kind::PrepareTransaction;
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
            VariableSetKind::VAR_SET_VALUE => {
                self.set(&name, value.as_deref().map_or(SetTo::Unknown, SetTo::Text));
            }
            VariableSetKind::VAR_SET_DEFAULT | VariableSetKind::VAR_RESET => {
                self.set(&name, SetTo::Default);
            }
            VariableSetKind::VAR_SET_CURRENT => self.set(&name, SetTo::Unknown),
            VariableSetKind::VAR_RESET_ALL => {
                if self.state.defaults_are_ours {
                    self.session_read("every setting goes back to the gateway's own");
                } else {
                    self.administers(
                        Group::Setting,
                        object("session", ""),
                        "every setting goes back, the gateway's too",
                    );
                }
                self.kind = Kind::Session { settings: Vec::new(), reads_only: Some(false) };
            }
            VariableSetKind::VAR_SET_MULTI => self.set_transaction(it),
            _ => self.unrecognized("a setting in a form that is not known"),
        }
        if it.is_local
            && let Kind::Session { reads_only, .. } = &mut self.kind
        {
            // Its own transaction has begun already, and there it ends.
            *reads_only = None;
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
        let says = it.args().iter().any(|option| match option {
            Node::DefElem(option) => option.defname() == Some("transaction_read_only"),
            _ => false,
        });
        let reads_only = (session && says).then_some(!lifts);
        self.kind = Kind::Session { settings: vec!["transaction".into()], reads_only };
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
                self.kind = Kind::Session { settings: Vec::new(), reads_only: Some(false) };
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
        // By now the name may be a portal's that stands for something else: inside of a transaction it is guarded.
        self.plain = false;
        if let Some(inner) = self.state.cursors.get(name).cloned() {
            self.of_inner(&inner);
        } else {
            // The server says that there is none; a portal of the extended protocol is no cursor of ours.
            self.session_read("a cursor is read");
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
            .next_back()
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

    /// One table or index at a time fits into a transaction, when it has no partitions.
    fn builds_anew(&mut self, one: Option<&nodes::RangeVar>, index: bool) {
        let kind = one.and_then(|rv| self.relation_of(rv)).map(|it| it.kind);
        let fits = match kind {
            Some(RelationKind::Table | RelationKind::Materialised | RelationKind::Index) => true,
            // The server's own indexes are not in the catalogue that is read.
            None => index && one.is_some(),
            Some(_) => false,
        };
        let why = "indexes or tables are built anew";
        self.writes(Group::Maintain, object("database", ""), why);
        if !fits {
            self.wrapping = Wrapping::Refuses;
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
