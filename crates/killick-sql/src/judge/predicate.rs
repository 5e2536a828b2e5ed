//! What holds a change to a few rows: a unique key compared for equality, or a limit.

use std::cell::Cell;

use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType, SubLinkType};
use pg_raw_parse::{ConstValue, Node, nodes};

use crate::catalogue::Relation;

/// Values in a list that still count as few.
const LIST_MAX: usize = 100;
/// The most rows of a LIMIT that still count as few.
const LIMIT_ROWS_MAX: i64 = 1_000;
/// How deep a predicate is followed.
const DEEP_MAX: usize = 64;

/// How a predicate holds a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// To the rows of a few values of a unique key.
    Key,
    /// To a number of rows, by a LIMIT.
    Limit,
    /// Not at all, or nobody can say.
    Open,
}

/// Returns how a predicate holds the rows of a relation, and whether a number of rows in it was looked at. `alone`
/// says whether no other relation stands beside it, so that a bare column is its own.
pub(crate) fn hold(
    predicate: Node<'_>,
    relation: &Relation,
    alias: &str,
    alone: bool,
) -> (Hold, bool) {
    let of = Of { relation, alias, alone, limited: Cell::new(false) };
    (of.hold(predicate, 0), of.limited.get())
}

struct Of<'a> {
    relation: &'a Relation,
    alias: &'a str,
    alone: bool,
    /// Whether the number of a LIMIT was looked at.
    limited: Cell<bool>,
}

impl Of<'_> {
    fn hold(&self, node: Node<'_>, deep: usize) -> Hold {
        if deep > DEEP_MAX {
            return Hold::Open;
        }
        let deeper = deep.saturating_add(1);
        match node {
            Node::BoolExpr(it) if it.boolop == BoolExprType::AND_EXPR => {
                let mut columns = Vec::new();
                let mut best = Hold::Open;
                for arg in it.args() {
                    columns.extend(self.fixed(arg));
                    best = better(best, self.hold(arg, deeper));
                }
                if self.covers(&columns) { Hold::Key } else { best }
            }
            Node::BoolExpr(it) if it.boolop == BoolExprType::OR_EXPR => {
                if it.args().len() > LIST_MAX {
                    return Hold::Open;
                }
                it.args()
                    .iter()
                    .map(|arg| self.hold(arg, deeper))
                    .reduce(worse)
                    .unwrap_or(Hold::Open)
            }
            Node::CurrentOfExpr(_) => Hold::Key,
            Node::A_Const(it) if matches!(it.val(), Some(ConstValue::Boolean(false))) => Hold::Key,
            Node::SubLink(it) => self.limited(it),
            other => {
                let columns: Vec<String> = self.fixed(other).into_iter().collect();
                if self.covers(&columns) { Hold::Key } else { Hold::Open }
            }
        }
    }

    /// `column IN (SELECT … LIMIT n)` on a unique column.
    fn limited(&self, link: &nodes::SubLink) -> Hold {
        let Node::SelectStmt(select) = link.subselect() else { return Hold::Open };
        self.limited.set(true);
        let few = match select.limit_count() {
            Node::A_Const(it) => match it.val() {
                Some(ConstValue::Integer(rows)) => (0..=LIMIT_ROWS_MAX).contains(&i64::from(rows)),
                _ => false,
            },
            _ => false,
        };
        let column = self.column(link.testexpr());
        let any = link.sub_link_type == SubLinkType::ANY_SUBLINK && link.oper_name().is_empty();
        match column {
            Some(column) if few && any && self.covers(std::slice::from_ref(&column)) => Hold::Limit,
            _ => Hold::Open,
        }
    }

    /// Returns the column that a comparison fixes to a few values.
    fn fixed(&self, node: Node<'_>) -> Option<String> {
        let Node::A_Expr(it) = node else { return None };
        let equals = it.name().len() == 1
            && it.name().first().and_then(Node::as_str).is_some_and(|name| name == "=");
        if !equals {
            return None;
        }
        match it.kind {
            A_Expr_Kind::AEXPR_OP => {
                let (left, right) = (it.lexpr(), it.rexpr());
                self.column(left)
                    .filter(|_| is_fixed(right, 0))
                    .or_else(|| self.column(right).filter(|_| is_fixed(left, 0)))
            }
            A_Expr_Kind::AEXPR_IN => {
                let Node::NodeList(list) = it.rexpr() else { return None };
                let few = list.len() <= LIST_MAX && list.iter().all(|value| is_fixed(value, 0));
                self.column(it.lexpr()).filter(|_| few)
            }
            _ => None,
        }
    }

    /// Returns the relation's own column that an expression names.
    fn column(&self, node: Node<'_>) -> Option<String> {
        let Node::ColumnRef(it) = node else { return None };
        let names = super::names(it.fields());
        if names.len() != it.fields().len() {
            return None;
        }
        match names.as_slice() {
            [column] if self.alone => Some(column.clone()),
            [table, column] if table == self.alias => Some(column.clone()),
            _ => None,
        }
    }

    fn covers(&self, columns: &[String]) -> bool {
        let has = |name: &String| columns.contains(name);
        columns.iter().any(|name| name == "ctid")
            || self.relation.unique_nullable.iter().any(|key| key.iter().all(has))
    }
}

/// Returns whether an expression has one value for the whole statement.
fn is_fixed(node: Node<'_>, deep: usize) -> bool {
    if deep > DEEP_MAX {
        return false;
    }
    let deeper = deep.saturating_add(1);
    match node {
        Node::A_Const(_) | Node::ParamRef(_) | Node::SQLValueFunction(_) => true,
        Node::TypeCast(it) => is_fixed(it.arg(), deeper),
        Node::A_Expr(it) if it.kind == A_Expr_Kind::AEXPR_OP => {
            let arithmetic = it
                .name()
                .first()
                .and_then(Node::as_str)
                .is_some_and(|name| matches!(name, "+" | "-" | "*" | "||"));
            let left = matches!(it.lexpr(), Node::None) || is_fixed(it.lexpr(), deeper);
            arithmetic && it.name().len() == 1 && left && is_fixed(it.rexpr(), deeper)
        }
        // A scalar subquery gives one value, unless it looks at the row: then it names a column of outside, which
        // cannot be told here. One without any column of ours is enough of a check by its own FROM.
        Node::SubLink(it) => {
            it.sub_link_type == SubLinkType::EXPR_SUBLINK
                && matches!(it.subselect(), Node::SelectStmt(select) if is_closed(select))
        }
        _ => false,
    }
}

/// Returns whether a subquery names only columns that it qualifies by its own relations.
fn is_closed(select: &nodes::SelectStmt) -> bool {
    let mut own: Vec<String> = Vec::new();
    pg_raw_parse::walk::walk(Node::SelectStmt(select), |node| {
        if let Node::RangeVar(rv) = node {
            own.push(super::query::alias_of(rv).to_owned());
        }
    });
    let mut closed = true;
    pg_raw_parse::walk::walk(Node::SelectStmt(select), |node| {
        if let Node::ColumnRef(column) = node {
            let names = super::names(column.fields());
            closed &= names.len() > 1 && names.first().is_some_and(|table| own.contains(table));
        }
        if let Node::FuncCall(_) = node {
            closed = false;
        }
    });
    closed
}

fn better(a: Hold, b: Hold) -> Hold {
    match (a, b) {
        (Hold::Key, _) | (_, Hold::Key) => Hold::Key,
        (Hold::Limit, _) | (_, Hold::Limit) => Hold::Limit,
        (Hold::Open, Hold::Open) => Hold::Open,
    }
}

fn worse(a: Hold, b: Hold) -> Hold {
    match (a, b) {
        (Hold::Open, _) | (_, Hold::Open) => Hold::Open,
        (Hold::Limit, _) | (_, Hold::Limit) => Hold::Limit,
        (Hold::Key, Hold::Key) => Hold::Key,
    }
}
