//! What the server says exists: relations, functions, operators, casts, types, and what hangs on them.
//!
//! A [`Catalogue`] is a snapshot that the gateway's inspector role read; an agent's words never enter it.
//! [`read`] holds the queries and turns their rows into the snapshot.

use std::collections::HashMap;
use std::sync::Arc;

mod lookup;
pub mod read;

/// A snapshot of one database's catalogue.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// `server_version_num` (150018).
    pub server_version: u32,
    /// The database's name.
    pub database: String,
    /// The role that sessions of agents run as.
    pub role: String,
    /// Whether that role is a superuser.
    pub superuser: bool,
    /// The session's search path with `"$user"` resolved, `pg_catalog` first unless listed.
    pub search_path: Vec<String>,
    /// The schema of the session's own temporary objects, once it has one: tables and types in it stand before all
    /// others of their name, unless the path says where.
    pub temporary: Option<String>,
    /// Schemas by name: the owner's name.
    pub schemas: HashMap<String, String>,
    /// Relations by number.
    pub relations: HashMap<u32, Arc<Relation>>,
    /// Functions by number.
    pub functions: HashMap<u32, Arc<Function>>,
    /// Operators: every operator of a name, in any schema.
    pub operators: HashMap<String, Vec<Operator>>,
    /// Types by number.
    pub types: HashMap<u32, Arc<SqlType>>,
    /// Casts that run a function: (from, to) types and the function.
    pub casts: Vec<(u32, u32, u32)>,
    /// Event triggers that are enabled: their function's number and event.
    pub event_triggers: Vec<(u32, String)>,
    /// Roles: name, superuser.
    pub roles: HashMap<String, bool>,
    pub(crate) relation_names: HashMap<(String, String), u32>,
    pub(crate) function_names: HashMap<String, Vec<u32>>,
    pub(crate) type_names: HashMap<(String, String), u32>,
}

/// What kind of relation (`pg_class.relkind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelationKind {
    /// An ordinary table.
    Table,
    /// A partitioned table.
    Partitioned,
    /// A view.
    View,
    /// A materialised view.
    Materialised,
    /// A foreign table.
    Foreign,
    /// A sequence.
    Sequence,
    /// An index.
    Index,
    /// An index of a partitioned table.
    PartitionedIndex,
    /// Anything else.
    Other,
}

/// A relation and what hangs on it.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Its number.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// `p` permanent, `u` unlogged, `t` temporary.
    pub persistence: char,
    /// Its owner.
    pub owner: String,
    /// `reltuples`; `None` when never analysed.
    pub rows_estimate: Option<u64>,
    /// Bytes with indexes and TOAST.
    pub bytes: u64,
    /// Row security: enabled, forced.
    pub row_security: (bool, bool),
    /// Columns in order, dropped ones left out.
    pub columns: Vec<Column>,
    /// The columns of the primary key, in its order; empty without one.
    pub primary_key: Vec<String>,
    /// Columns of every unique, non-partial, non-expression index whose columns are NOT NULL.
    pub unique_keys: Vec<Vec<String>>,
    /// Columns of every usable unique index, nullable columns included.
    pub unique_nullable: Vec<Vec<String>>,
    /// Triggers, those of foreign keys left out.
    pub triggers: Vec<Trigger>,
    /// Rules, the SELECT rule of views left out.
    pub rules: Vec<Rule>,
    /// The definition of a view or materialised view.
    pub definition: Option<String>,
    /// Foreign keys of other (or the same) tables that point here.
    pub referenced_by: Vec<ForeignKey>,
    /// Its own foreign keys.
    pub references: Vec<ForeignKey>,
    /// Direct partitions or inheritance children.
    pub children: Vec<u32>,
    /// Direct parents.
    pub parents: Vec<u32>,
    /// Row security policies.
    pub policies: Vec<Policy>,
    /// Publications that carry it.
    pub publications: Vec<String>,
    /// CHECK constraints as expressions.
    pub checks: Vec<String>,
    /// Expressions in indexes and index predicates.
    pub index_expressions: Vec<String>,
    /// Whether an exclusion or a deferrable constraint, or a constraint trigger, hangs on it.
    pub deferrable: bool,
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// `attnum`.
    pub number: i16,
    /// Its type.
    pub type_oid: u32,
    /// The type as DDL writes it (`numeric(10,2)`).
    pub type_text: String,
    /// NOT NULL.
    pub not_null: bool,
    /// GENERATED ALWAYS AS … STORED (or virtual).
    pub generated: bool,
    /// `a` always, `d` by default, or none.
    pub identity: Option<char>,
    /// The default (or generation) expression.
    pub default: Option<String>,
}

/// A trigger.
#[expect(clippy::struct_excessive_bools, reason = "the columns of the server's catalogue")]
#[derive(Clone, Debug)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// Its function.
    pub function: u32,
    /// Fires on INSERT.
    pub insert: bool,
    /// Fires on UPDATE.
    pub update: bool,
    /// Fires on DELETE.
    pub delete: bool,
    /// Fires on TRUNCATE.
    pub truncate: bool,
    /// `INSTEAD OF`.
    pub instead: bool,
    /// Only for these columns; empty for all.
    pub columns: Vec<String>,
    /// Whether it is enabled for ordinary sessions.
    pub enabled: bool,
    /// Whether it may wait for COMMIT.
    pub deferrable: bool,
}

/// A rewrite rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Group of statements: `insert`, `update`, `delete`.
    pub event: String,
    /// `INSTEAD`.
    pub instead: bool,
    /// `CREATE RULE …` as the server prints it.
    pub definition: String,
}

/// What a foreign key does to its rows when the row they point to goes or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnChange {
    /// NO ACTION or RESTRICT.
    Refuse,
    /// CASCADE.
    Cascade,
    /// SET NULL.
    SetNull,
    /// SET DEFAULT.
    SetDefault,
}

/// A foreign key.
#[derive(Clone, Debug)]
pub struct ForeignKey {
    /// Its name.
    pub name: String,
    /// The table that holds it.
    pub child: u32,
    /// Its columns there.
    pub child_columns: Vec<String>,
    /// The table that it points to.
    pub parent: u32,
    /// The columns there.
    pub parent_columns: Vec<String>,
    /// On DELETE.
    pub on_delete: OnChange,
    /// On UPDATE.
    pub on_update: OnChange,
    /// Whether it may wait for COMMIT.
    pub deferrable: bool,
}

/// A row security policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// USING expression.
    pub using: Option<String>,
    /// WITH CHECK expression.
    pub check: Option<String>,
}

/// How a function may behave (`pg_proc.provolatile`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Volatility {
    /// Promises to depend on nothing but its arguments.
    Immutable,
    /// Promises not to change the database.
    Stable,
    /// Promises nothing.
    Volatile,
}

/// A function, procedure, aggregate or window function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its number.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Types of its input arguments.
    pub arguments: Vec<u32>,
    /// How many of them have a default.
    pub defaults: usize,
    /// Whether the last one takes any number.
    pub variadic: bool,
    /// The type it returns.
    pub returns: u32,
    /// `f` function, `p` procedure, `a` aggregate, `w` window.
    pub kind: char,
    /// What it promises.
    pub volatility: Volatility,
    /// `sql`, `plpgsql`, `internal`, `c`, …
    pub language: String,
    /// Its owner.
    pub owner: String,
    /// SECURITY DEFINER.
    pub security_definer: bool,
    /// The extension that it belongs to.
    pub extension: Option<String>,
    /// Its source, for `sql` (also BEGIN ATOMIC, as the server prints it) and `plpgsql`.
    pub body: Option<String>,
    /// Its own settings (`SET search_path = …`), as `name=value`.
    pub settings: Vec<String>,
    /// Names of its arguments, for bodies.
    pub argument_names: Vec<String>,
    /// For an aggregate: the functions that it runs.
    pub parts: Vec<u32>,
}

/// An operator.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Its schema.
    pub schema: String,
    /// Its left type, 0 for none.
    pub left: u32,
    /// Its right type.
    pub right: u32,
    /// The function that it runs.
    pub function: u32,
}

/// A type.
#[derive(Clone, Debug)]
pub struct SqlType {
    /// Its number.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `b` base, `c` composite, `d` domain, `e` enum, `p` pseudo, `r` range, `m` multirange.
    pub kind: char,
    /// The base of a domain.
    pub base: u32,
    /// CHECK expressions of a domain.
    pub checks: Vec<String>,
    /// Input and output functions.
    pub input_output: (u32, u32),
    /// The extension that it belongs to.
    pub extension: Option<String>,
}
