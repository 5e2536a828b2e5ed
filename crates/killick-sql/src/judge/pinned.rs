//! Which values a statement compares the columns of its table with: a hint where its rows are, never a judgement.

use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType};
use pg_raw_parse::{ConstValue, Node, nodes};

use super::query::alias_of;
use crate::catalogue::{Catalogue, Relation};
use crate::script::Script;

/// Values of one column that are worth a hint.
const VALUES_MAX: usize = 1_000;

/// A column that equals one of a few values in every row that a statement changes, if the hint is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The column.
    pub column: String,
    /// The values.
    pub values: Vec<PinnedValue>,
}

/// A value as the statement names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinnedValue {
    /// A constant, as text.
    Text(String),
    /// A parameter, counted from 1.
    Parameter(usize),
}

/// Finds the columns that the predicate of an UPDATE or a DELETE pins down.
#[must_use]
pub fn pinned(script: &Script, at: usize, catalogue: &Catalogue) -> Vec<Pinned> {
    let (rv, predicate, alone) = match script.node(at) {
        Node::DeleteStmt(it) => (it.relation(), it.where_clause(), it.using_clause().is_empty()),
        Node::UpdateStmt(it) => (it.relation(), it.where_clause(), it.from_clause().is_empty()),
        _ => return Vec::new(),
    };
    let Some(rv) = rv else { return Vec::new() };
    let found = catalogue.relation(rv.schemaname(), rv.relname().unwrap_or_default());
    let Some(relation) = found else { return Vec::new() };
    let of = Of { relation, alias: alias_of(rv), alone };
    match predicate {
        Node::BoolExpr(it) if it.boolop == BoolExprType::AND_EXPR => {
            it.args().iter().filter_map(|arg| of.one(arg)).collect()
        }
        other => of.one(other).into_iter().collect(),
    }
}

struct Of<'a> {
    relation: &'a Relation,
    alias: &'a str,
    alone: bool,
}

impl Of<'_> {
    fn one(&self, node: Node<'_>) -> Option<Pinned> {
        let Node::A_Expr(it) = node else { return None };
        let equals = it.name().len() == 1
            && it.name().first().and_then(Node::as_str).is_some_and(|name| name == "=");
        if !equals {
            return None;
        }
        match it.kind {
            A_Expr_Kind::AEXPR_OP => {
                let (left, right) = (it.lexpr(), it.rexpr());
                let (column, other) = match self.column(left) {
                    Some(column) => (column, right),
                    None => (self.column(right)?, left),
                };
                Some(Pinned { column, values: vec![value(other)?] })
            }
            A_Expr_Kind::AEXPR_IN => {
                let Node::NodeList(list) = it.rexpr() else { return None };
                if list.len() > VALUES_MAX {
                    return None;
                }
                let values = list.iter().map(value).collect::<Option<Vec<_>>>()?;
                Some(Pinned { column: self.column(it.lexpr())?, values })
            }
            _ => None,
        }
    }

    fn column(&self, node: Node<'_>) -> Option<String> {
        let Node::ColumnRef(it) = node else { return None };
        let names = super::names(it.fields());
        let column = match names.as_slice() {
            [column] if self.alone => column,
            [table, column] if table == self.alias => column,
            _ => return None,
        };
        self.relation.columns.iter().any(|it| it.name == *column).then(|| column.clone())
    }
}

fn value(node: Node<'_>) -> Option<PinnedValue> {
    match node {
        Node::ParamRef(it) => usize::try_from(it.number).ok().map(PinnedValue::Parameter),
        Node::A_Const(it) => constant(it).map(PinnedValue::Text),
        Node::TypeCast(it) => value(it.arg()),
        _ => None,
    }
}

fn constant(it: &nodes::A_Const) -> Option<String> {
    match it.val()? {
        ConstValue::Integer(number) => Some(number.to_string()),
        ConstValue::Float(text) | ConstValue::String(text) => Some(text.to_owned()),
        _ => None,
    }
}
