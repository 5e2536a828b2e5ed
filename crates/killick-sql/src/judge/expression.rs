//! What runs inside of statements: functions, operators, casts, and the SQL that hides in their arguments.

use std::sync::Arc;

use pg_raw_parse::raw::{A_Expr_Kind, SubLinkType};
use pg_raw_parse::walk::walk;
use pg_raw_parse::{ConstValue, Node, nodes};

use super::builtins::{self, Does};
use super::{Judge, names, object};
use crate::catalogue::read::UNREAD;
use crate::catalogue::{Function, Relation, Volatility};
use crate::script;

/// Objects with a lower number came with the server.
const FIRST_OWN_OID: u32 = 16_384;
/// Ways to sample a table that came with the server or its own extensions.
const SAMPLES: &[&str] = &["bernoulli", "system", "system_rows", "system_time"];

impl Judge<'_> {
    /// Judges one node of an expression; its children come by themselves.
    pub(crate) fn expression_piece(&mut self, node: Node<'_>) {
        match node {
            Node::FuncCall(call) => self.call(call),
            // BETWEEN stands for comparisons that the server picks by itself.
            Node::A_Expr(it) if is_between(it.kind) => {
                for name in [">=", "<="] {
                    self.operator(&[name.to_owned()]);
                }
            }
            Node::A_Expr(it) => self.operator(&names(it.name())),
            Node::SubLink(it) => match it.oper_name().is_empty() {
                false => self.operator(&names(it.oper_name())),
                // `IN (SELECT …)` compares.
                true if it.sub_link_type == SubLinkType::ANY_SUBLINK => self.equality(),
                true => {}
            },
            // What is compared without an operator being written.
            Node::CaseExpr(it) if !matches!(it.arg(), Node::None) => self.equality(),
            Node::JoinExpr(it) if it.is_natural || !it.using_clause().is_empty() => self.equality(),
            Node::SortBy(it) if !it.use_op().is_empty() => self.operator(&names(it.use_op())),
            Node::TypeName(it) => {
                let parts: Vec<String> =
                    it.names().iter().filter_map(|name| name.sval().map(str::to_owned)).collect();
                self.type_named(&parts);
            }
            // `row.function` calls a function of one argument: a column's name is looked at as such too.
            Node::ColumnRef(it) if it.fields().len() > 1 => {
                if let Some(name) = names(it.fields()).last() {
                    self.as_function(name);
                }
            }
            Node::A_Indirection(it) => {
                for name in names(it.indirection()) {
                    self.as_function(&name);
                }
            }
            Node::RangeTableSample(it) => {
                let method = names(it.method()).pop().unwrap_or_default();
                if !SAMPLES.contains(&method.as_str()) {
                    self.unrecognized(&format!("`{method}` is a way to sample that is not known"));
                }
            }
            other if is_known_piece(&other) => {}
            _ => self.unrecognized("the statement holds a piece that is not known"),
        }
    }

    fn equality(&mut self) {
        self.operator(&["=".to_owned()]);
    }

    fn as_function(&mut self, name: &str) {
        let called: Vec<u32> = self
            .catalogue
            .functions_called(None, name, Some(1))
            .iter()
            .filter(|it| it.oid >= FIRST_OWN_OID)
            .map(|it| it.oid)
            .collect();
        for oid in called {
            self.function(oid);
        }
    }

    fn call(&mut self, call: &nodes::FuncCall) {
        let parts = names(call.funcname());
        let constants: Vec<Option<String>> = call.args().iter().map(text_constant).collect();
        // What the function does with them is not looked into here: a number among them may matter.
        let mut texts = constants.iter().flatten();
        self.literals_matter |= texts.any(|text| text.parse::<i64>().is_ok());
        let counted = if call.func_variadic || call.agg_within_group {
            None
        } else {
            Some(call.args().len())
        };
        self.named_function(&parts, counted, &constants);
    }

    /// Judges a call by name: the worst of all functions that it could mean.
    pub(crate) fn named_function(
        &mut self,
        parts: &[String],
        counted: Option<usize>,
        constants: &[Option<String>],
    ) {
        let (schema, name) = match parts {
            [name] => (None, name.as_str()),
            [schema, name] => (Some(schema.as_str()), name.as_str()),
            [_, schema, name] => (Some(schema.as_str()), name.as_str()),
            _ => return self.unrecognized("a function without a name"),
        };
        if schema.is_none_or(|it| it == "pg_catalog") && name == "set_config" {
            return self.set_config(constants);
        }
        let mut called: Vec<Arc<Function>> = self
            .catalogue
            .functions_called(schema, name, counted)
            .into_iter()
            .map(Arc::clone)
            .collect();
        if called.is_empty() {
            called = self
                .catalogue
                .functions_called(schema, name, None)
                .into_iter()
                .map(Arc::clone)
                .collect();
        }
        if called.is_empty() {
            // A table's own type can be called like a function, and is a cast.
            if self.catalogue.type_named(schema, name).is_some() {
                return;
            }
            return self.unrecognized(&format!("the function `{name}` is not in the catalogue"));
        }
        for function in called {
            if function.oid < FIRST_OWN_OID || function.extension.is_some() {
                self.known_function(&function, constants);
            } else {
                self.function(function.oid);
            }
        }
    }

    /// Judges a function by its number.
    pub(crate) fn function(&mut self, oid: u32) {
        let Some(function) = self.catalogue.functions.get(&oid).cloned() else {
            return self.unrecognized("a function that is not in the catalogue");
        };
        if function.oid < FIRST_OWN_OID || function.extension.is_some() {
            return self.known_function(&function, &[]);
        }
        for part in &function.parts {
            self.function(*part);
        }
        if !function.parts.is_empty() {
            return;
        }
        self.plain = false;
        self.follow(('f', oid), |it| match (function.language.as_str(), &function.body) {
            ("sql", Some(body)) => it.sql_body(body),
            ("plpgsql", Some(body)) => it.plpgsql_body(body),
            ("internal", _) => {
                // A name for a function of the server's own.
                it.unrecognized(&format!(
                    "`{}` is a second name for an internal function",
                    function.name
                ));
            }
            _ => it.unrecognized(&format!(
                "the function `{}` is written in {}, which cannot be judged",
                function.name, function.language
            )),
        });
    }

    /// Judges a function that came with the server or an extension, by tables of our own.
    fn known_function(&mut self, function: &Function, constants: &[Option<String>]) {
        let own = function.oid < FIRST_OWN_OID && function.schema == "pg_catalog";
        let does = if own {
            builtins::of_server(&function.name)
        } else {
            builtins::of_extension(
                function.extension.as_deref().unwrap_or_default(),
                &function.name,
            )
        };
        let reads = match (does, function.volatility) {
            (Some(does), _) => does,
            (None, Volatility::Immutable | Volatility::Stable) if own => Does::Read,
            // Information schema's helpers and the like.
            (None, _) if function.oid < FIRST_OWN_OID && function.language == "sql" => Does::Read,
            (None, Volatility::Immutable | Volatility::Stable)
                if builtins::is_pure_extension(function.extension.as_deref()) =>
            {
                Does::Read
            }
            (None, _) => Does::Unknown,
        };
        self.does(reads, &function.name, constants);
    }

    fn does(&mut self, does: Does, name: &str, constants: &[Option<String>]) {
        use crate::judged::Group;
        use killick_model::{Effect, Facet};
        let it = object("function", name);
        match does {
            Does::Read => {}
            Does::ReadGuarded => self.plain = false,
            Does::ReadFile => {
                let effect = Effect::READ.with(Facet::Reveals);
                self.touch(Group::ServerFile, effect, false, it, "a file of the server is read");
            }
            Does::Write => self.touch(Group::Call, Effect::WRITE, true, it, "the function writes"),
            Does::LargeWrite => {
                self.touch(
                    Group::LargeObject,
                    Effect::WRITE,
                    true,
                    it,
                    "a large object is written",
                );
            }
            Does::LargeDestroy => {
                let effect = Effect::DESTROY.with(Facet::Unbounded);
                self.touch(
                    Group::LargeObject,
                    effect,
                    true,
                    it,
                    "a large object is removed or cut",
                );
            }
            Does::Destroy => self.destroys(Group::Call, it, "the function removes or overwrites"),
            Does::Administer => {
                self.administers(Group::Backend, it, "the function changes the server's own state");
            }
            Does::Remote => {
                let effect = Effect::DESTROY.with(Facet::Unbounded).with(Facet::Outward);
                self.touch(
                    Group::Remote,
                    effect,
                    true,
                    it,
                    "another server is told to do something",
                );
            }
            Does::Notify => self.touch(
                Group::Notify,
                Effect::WRITE.with(Facet::Outward),
                true,
                it,
                "others are notified",
            ),
            Does::RunsSql => self.hidden_sql(name, constants),
            Does::Unknown => {
                self.unrecognized(&format!("what the function `{name}` does is not known"));
            }
        }
    }

    /// Judges functions whose arguments are SQL: every constant that could be is judged, anything else is not known.
    fn hidden_sql(&mut self, name: &str, constants: &[Option<String>]) {
        self.plain = false;
        let mut judged = false;
        for constant in constants {
            let Some(text) = constant else {
                return self
                    .unrecognized(&format!("`{name}` runs SQL that only shows when it runs"));
            };
            if let Ok(script) = script::parse(text)
                && !script.is_empty()
            {
                judged = true;
                for at in 0..script.len() {
                    self.nested(script.node(at));
                }
            }
        }
        if !judged {
            self.unrecognized(&format!("`{name}` runs SQL that was not found in its arguments"));
        }
    }

    /// Judges a statement inside of another one.
    pub(crate) fn nested(&mut self, node: Node<'_>) {
        let (kind, wrapping) = (self.kind.clone(), self.wrapping);
        let change = self.change.take();
        self.statement(node);
        self.kind = kind;
        self.wrapping = wrapping;
        self.change = change;
    }

    fn operator(&mut self, parts: &[String]) {
        let (schema, name) = match parts {
            [name] => (None, name.as_str()),
            [schema, name] => (Some(schema.as_str()), name.as_str()),
            _ => return,
        };
        let functions: Vec<u32> = self
            .catalogue
            .operators_named(schema, name)
            .iter()
            .filter(|it| it.schema != "pg_catalog")
            .map(|it| it.function)
            .collect();
        let known = !self.catalogue.operators_named(schema, name).is_empty();
        if !known && !matches!(name, "<>" | "!=" | "~~" | "!~~" | "~~*" | "!~~*") {
            return self.unrecognized(&format!("the operator `{name}` is not in the catalogue"));
        }
        for function in functions {
            self.function(function);
        }
    }

    fn type_named(&mut self, parts: &[String]) {
        let found = match parts {
            [name] => self.catalogue.type_named(None, name),
            [.., schema, name] => self.catalogue.type_named(Some(schema), name),
            [] => None,
        };
        if let Some(oid) = found.map(|it| it.oid) {
            self.type_used(oid);
        }
    }

    /// Judges what a type runs when a value of it is made: checks of domains, input functions of its own.
    pub(crate) fn type_used(&mut self, oid: u32) {
        if oid < FIRST_OWN_OID {
            return;
        }
        let Some(kind) = self.catalogue.types.get(&oid).cloned() else { return };
        self.follow(('t', oid), |it| {
            for check in &kind.checks {
                it.text_expression(check);
            }
            if kind.base != 0 {
                it.type_used(kind.base);
            }
            let casts: Vec<u32> = it
                .catalogue
                .casts
                .iter()
                .filter(|(from, to, _)| *from == oid || *to == oid)
                .map(|(_, _, function)| *function)
                .collect();
            for function in casts {
                it.function(function);
            }
            if kind.kind == 'b' && kind.extension.is_none() {
                let (input, output) = kind.input_output;
                for function in [input, output] {
                    it.function(function);
                }
            }
        });
    }

    /// Judges the text of a query that the server stored.
    pub(crate) fn text_query(&mut self, text: &str) {
        match script::parse(text) {
            Ok(script) => {
                for at in 0..script.len() {
                    self.query(script.node(at));
                }
            }
            Err(_) => {
                self.unrecognized(unread(text, "a definition in the catalogue cannot be read"));
            }
        }
    }

    /// Judges the text of an expression that the server stored.
    pub(crate) fn text_expression(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match script::parse(&format!("SELECT {text}")) {
            Ok(script) => self.query(script.node(0)),
            Err(_) => {
                self.unrecognized(unread(text, "an expression in the catalogue cannot be read"));
            }
        }
    }

    /// Judges a rewrite rule by its definition.
    pub(crate) fn rule(&mut self, definition: &str) {
        self.plain = false;
        let Ok(script) = script::parse(definition) else {
            return self.unrecognized(unread(definition, "a rule in the catalogue cannot be read"));
        };
        match script.node(0) {
            Node::RuleStmt(rule) => {
                for action in rule.actions() {
                    self.nested(action);
                }
            }
            _ => self.unrecognized("a rule in the catalogue cannot be read"),
        }
    }

    /// Returns the relations that a query names.
    pub(crate) fn tables_in(&self, text: &str) -> Vec<Arc<Relation>> {
        let Ok(script) = script::parse(text) else { return Vec::new() };
        let mut found = Vec::new();
        walk(script.node(0), |node| {
            if let Node::RangeVar(rv) = node
                && let Some(relation) = self.relation_of(rv)
            {
                found.push(Arc::clone(relation));
            }
        });
        found
    }
}

/// Returns why a text of the catalogue cannot be judged.
pub(super) fn unread<'a>(text: &str, otherwise: &'a str) -> &'a str {
    if text.contains(UNREAD) {
        "it hangs on a table that another session has locked, so that its definitions could not be read; try again when \
         that is over"
    } else {
        otherwise
    }
}

/// Returns whether a piece does nothing by itself: what stands in it is judged piece by piece.
fn is_known_piece(node: &Node<'_>) -> bool {
    matches!(
        node,
        Node::None
            | Node::NodeList(_)
            | Node::Integer(_)
            | Node::Float(_)
            | Node::Boolean(_)
            | Node::String(_)
            | Node::BitString(_)
            | Node::A_Const(_)
            | Node::A_Star(_)
            | Node::A_Indices(_)
            | Node::A_ArrayExpr(_)
            | Node::Alias(_)
            | Node::BoolExpr(_)
            | Node::BooleanTest(_)
            | Node::CaseExpr(_)
            | Node::CaseWhen(_)
            | Node::CoalesceExpr(_)
            | Node::CollateClause(_)
            | Node::ColumnDef(_)
            | Node::ColumnRef(_)
            | Node::CommonTableExpr(_)
            | Node::CurrentOfExpr(_)
            | Node::GroupingFunc(_)
            | Node::GroupingSet(_)
            | Node::IndexElem(_)
            | Node::InferClause(_)
            | Node::IntoClause(_)
            | Node::JoinExpr(_)
            | Node::LockingClause(_)
            | Node::MergeSupportFunc(_)
            | Node::MergeWhenClause(_)
            | Node::MinMaxExpr(_)
            | Node::MultiAssignRef(_)
            | Node::NamedArgExpr(_)
            | Node::NullTest(_)
            | Node::OnConflictClause(_)
            | Node::ParamRef(_)
            | Node::RangeFunction(_)
            | Node::RangeSubselect(_)
            | Node::RangeTableFunc(_)
            | Node::RangeTableFuncCol(_)
            | Node::ResTarget(_)
            | Node::ReturningClause(_)
            | Node::ReturningOption(_)
            | Node::RowExpr(_)
            | Node::SetToDefault(_)
            | Node::SortBy(_)
            | Node::SQLValueFunction(_)
            | Node::TypeCast(_)
            | Node::WindowDef(_)
            | Node::WithClause(_)
            | Node::XmlExpr(_)
            | Node::XmlSerialize(_)
    ) || is_known_json(node)
}

fn is_known_json(node: &Node<'_>) -> bool {
    matches!(
        node,
        Node::JsonAggConstructor(_)
            | Node::JsonArgument(_)
            | Node::JsonArrayAgg(_)
            | Node::JsonArrayConstructor(_)
            | Node::JsonArrayQueryConstructor(_)
            | Node::JsonBehavior(_)
            | Node::JsonFormat(_)
            | Node::JsonFuncExpr(_)
            | Node::JsonIsPredicate(_)
            | Node::JsonKeyValue(_)
            | Node::JsonObjectAgg(_)
            | Node::JsonObjectConstructor(_)
            | Node::JsonOutput(_)
            | Node::JsonParseExpr(_)
            | Node::JsonReturning(_)
            | Node::JsonScalarExpr(_)
            | Node::JsonSerializeExpr(_)
            | Node::JsonTable(_)
            | Node::JsonTableColumn(_)
            | Node::JsonTablePathSpec(_)
            | Node::JsonValueExpr(_)
    )
}

fn is_between(kind: A_Expr_Kind::Type) -> bool {
    matches!(
        kind,
        A_Expr_Kind::AEXPR_BETWEEN
            | A_Expr_Kind::AEXPR_NOT_BETWEEN
            | A_Expr_Kind::AEXPR_BETWEEN_SYM
            | A_Expr_Kind::AEXPR_NOT_BETWEEN_SYM
    )
}

/// Returns the text of a constant.
pub(crate) fn text_constant(node: Node<'_>) -> Option<String> {
    match node {
        Node::A_Const(it) => match it.val() {
            Some(ConstValue::String(text)) => Some(text.to_owned()),
            Some(ConstValue::Integer(number)) => Some(number.to_string()),
            Some(ConstValue::Float(text)) => Some(text.to_owned()),
            Some(ConstValue::Boolean(truth)) => Some(truth.to_string()),
            _ => it.isnull.then(String::new),
        },
        Node::TypeCast(it) => text_constant(it.arg()),
        Node::NamedArgExpr(_) => None,
        _ => None,
    }
}
