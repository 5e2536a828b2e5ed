//! The queries of the inspector, and their rows turned into a snapshot.
//!
//! Each query returns one row with one JSON array, so that a driver of any kind can run it.

use std::collections::HashMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{
    Catalogue, Column, ForeignKey, Function, OnChange, Operator, Policy, Relation, RelationKind,
    Rule, SqlType, Trigger, Volatility,
};

mod locked;
mod rows;

pub use locked::{UNREAD, beside};
use rows::{
    About, AggregateRow, CastRow, CheckRow, ColumnRow, EventRow, FunctionRow, IndexRow, InheritRow,
    KeyRow, OperatorRow, PolicyRow, PublicationRow, RelationRow, RoleRow, RuleRow, SchemaRow,
    TriggerRow, TypeRow,
};

/// One query of the inspector.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// What it reads.
    pub name: &'static str,
    /// Its text.
    pub sql: &'static str,
}

macro_rules! queries {
    ($($name:literal: $sql:literal;)*) => {
        /// The queries, in the order in which [`build`] wants their answers. The first one names everything in full; run
        /// the others with `search_path` set to `pg_catalog`, so that no object of the session's stands for the server's.
        pub const QUERIES: &[Query] = &[$(Query {
            name: $name,
            sql: concat!("SELECT coalesce(pg_catalog.json_agg(t), '[]'::pg_catalog.json)::pg_catalog.text FROM (", $sql, ") t"),
        },)*];
    };
}

queries! {
    "about": "SELECT pg_catalog.current_setting('server_version_num'::pg_catalog.text)::pg_catalog.int4 AS version,
        pg_catalog.current_database()::pg_catalog.text AS database, current_user::pg_catalog.text AS role,
        (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user) AS superuser,
        pg_catalog.current_schemas(false)::pg_catalog.text[] AS path,
        (SELECT nspname::pg_catalog.text FROM pg_catalog.pg_namespace
         WHERE oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) AS temporary";
    "relations": "SELECT c.oid::int8 AS oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
        c.relpersistence::text AS persistence, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
        c.reltuples::float8 AS tuples, greatest(c.relpages, 0)::int8 * 8192 AS bytes, c.relrowsecurity AS rls, c.relforcerowsecurity AS forced,
        CASE WHEN c.relkind IN ('v','m') AND c.oid >= 16384 THEN pg_catalog.pg_get_viewdef(c.oid) END AS definition
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r','p','v','m','f','S','i','I') AND n.nspname !~ '^pg_toast'
          AND (c.oid >= 16384 OR c.relkind IN ('r','v'))";
    "columns": "SELECT a.attrelid::int8 AS relation, a.attname::text AS name, a.attnum::int AS number, a.atttypid::int8 AS type,
        pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_text, a.attnotnull AS not_null,
        a.attgenerated::text AS generated, a.attidentity::text AS identity, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS \"default\"
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r','p','v','m','f') AND c.oid >= 16384
        ORDER BY a.attrelid, a.attnum";
    "indexes": "SELECT i.indrelid::int8 AS relation, i.indisprimary AS is_primary, i.indisunique AND i.indimmediate AS is_unique,
        (SELECT array_agg(a.attname::text ORDER BY k.ord) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(num, ord)
           JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num WHERE k.ord <= i.indnkeyatts) AS columns,
        i.indnkeyatts::int AS width, i.indpred IS NOT NULL AS partial, NOT i.indimmediate AS deferrable,
        concat_ws(', ', pg_catalog.pg_get_expr(i.indexprs, i.indrelid), pg_catalog.pg_get_expr(i.indpred, i.indrelid)) AS expressions
        FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
        WHERE i.indisvalid AND c.oid >= 16384";
    "triggers": "SELECT t.tgrelid::int8 AS relation, t.tgname::text AS name, t.tgfoid::int8 AS function, t.tgtype::int AS type,
        t.tgenabled::text AS enabled, t.tgdeferrable AS deferrable,
        (SELECT array_agg(a.attname::text) FROM unnest(t.tgattr::int2[]) k(num)
           JOIN pg_catalog.pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum = k.num) AS columns
        FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal";
    "rules": "SELECT r.ev_class::int8 AS relation, r.rulename::text AS name, r.ev_type::text AS event, r.is_instead AS instead,
        pg_catalog.pg_get_ruledef(r.oid) AS definition
        FROM pg_catalog.pg_rewrite r WHERE r.rulename <> '_RETURN' AND r.ev_class >= 16384";
    "keys": "SELECT c.conname::text AS name, c.conrelid::int8 AS child, c.confrelid::int8 AS parent,
        (SELECT array_agg(a.attname::text ORDER BY k.ord) FROM unnest(c.conkey) WITH ORDINALITY k(num, ord)
           JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num) AS child_columns,
        (SELECT array_agg(a.attname::text ORDER BY k.ord) FROM unnest(c.confkey) WITH ORDINALITY k(num, ord)
           JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num) AS parent_columns,
        c.confdeltype::text AS on_delete, c.confupdtype::text AS on_update, c.condeferrable AS deferrable
        FROM pg_catalog.pg_constraint c WHERE c.contype = 'f'";
    "checks": "SELECT c.conrelid::int8 AS relation, c.contypid::int8 AS type, pg_catalog.pg_get_expr(c.conbin, c.conrelid) AS expression
        FROM pg_catalog.pg_constraint c WHERE c.contype = 'c' AND c.oid >= 16384";
    "policies": "SELECT p.polrelid::int8 AS relation, p.polname::text AS name, pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS \"using\",
        pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) AS \"check\" FROM pg_catalog.pg_policy p";
    "inherits": "SELECT i.inhrelid::int8 AS child, i.inhparent::int8 AS parent FROM pg_catalog.pg_inherits i";
    "publications": "SELECT c.oid::int8 AS relation, p.pubname::text AS name FROM pg_catalog.pg_publication_tables p
        JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
        JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename";
    "functions": "SELECT p.oid::int8 AS oid, n.nspname::text AS schema, p.proname::text AS name, p.proargtypes::int8[] AS arguments,
        p.pronargdefaults::int AS defaults, p.provariadic <> 0 AS variadic, p.prorettype::int8 AS returns, p.prokind::text AS kind,
        p.provolatile::text AS volatility, l.lanname::text AS language, p.prosecdef AS definer,
        pg_catalog.pg_get_userbyid(p.proowner)::text AS owner,
        CASE WHEN p.oid >= 16384 THEN (SELECT e.extname::text FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
           WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' LIMIT 1) END AS extension,
        CASE WHEN l.lanname IN ('sql','plpgsql') AND p.oid >= 16384 THEN p.prosrc END AS body,
        CASE WHEN l.lanname = 'sql' AND p.oid >= 16384 AND p.prosrc = '' THEN pg_catalog.pg_get_functiondef(p.oid) END AS definition,
        p.proconfig AS settings, p.proargnames AS argument_names
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        JOIN pg_catalog.pg_language l ON l.oid = p.prolang";
    "aggregates": "SELECT a.aggfnoid::oid::int8 AS aggregate, ARRAY[a.aggtransfn::oid::int8, a.aggfinalfn::oid::int8, a.aggcombinefn::oid::int8,
        a.aggmtransfn::oid::int8, a.aggminvtransfn::oid::int8, a.aggmfinalfn::oid::int8] AS parts
        FROM pg_catalog.pg_aggregate a WHERE a.aggfnoid::oid >= 16384";
    "operators": "SELECT o.oprname::text AS name, n.nspname::text AS schema, o.oprleft::int8 AS left, o.oprright::int8 AS right,
        o.oprcode::oid::int8 AS function FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace";
    "types": "SELECT t.oid::int8 AS oid, n.nspname::text AS schema, t.typname::text AS name, t.typtype::text AS kind, t.typbasetype::int8 AS base,
        t.typinput::oid::int8 AS input, t.typoutput::oid::int8 AS output,
        CASE WHEN t.oid >= 16384 THEN (SELECT e.extname::text FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
           WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e' LIMIT 1) END AS extension
        FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace";
    "casts": "SELECT c.castsource::int8 AS \"from\", c.casttarget::int8 AS \"to\", c.castfunc::int8 AS function
        FROM pg_catalog.pg_cast c WHERE c.castfunc <> 0 AND c.oid >= 16384";
    "roles": "SELECT rolname::text AS name, rolsuper AS superuser FROM pg_catalog.pg_roles";
    "event_triggers": "SELECT evtfoid::int8 AS function, evtevent::text AS event FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D'";
    "schemas": "SELECT n.nspname::text AS name, pg_catalog.pg_get_userbyid(n.nspowner)::text AS owner FROM pg_catalog.pg_namespace n";
}

/// One text that changes whenever any of the catalogues read here changed: for each, how many rows it has and the
/// sum of their row versions.
pub const FINGERPRINT: &str = "SELECT md5(concat_ws('/',
  (SELECT concat(count(*), ',', sum(xmin::text::int8)) FROM pg_catalog.pg_class WHERE relkind <> 't' AND oid >= 16384),
  (SELECT concat(count(*), ',', sum(xmin::text::int8)) FROM pg_catalog.pg_proc WHERE oid >= 16384),
  (SELECT concat(count(*), ',', sum(xmin::text::int8)) FROM pg_catalog.pg_trigger),
  (SELECT concat(count(*), ',', sum(xmin::text::int8)) FROM pg_catalog.pg_rewrite WHERE ev_class >= 16384),
  (SELECT concat(count(*), ',', sum(xmin::text::int8)) FROM pg_catalog.pg_constraint),
  (SELECT concat(count(*), ',', sum(xmin::text::int8)) FROM pg_catalog.pg_attribute WHERE attrelid >= 16384 AND attnum > 0),
  (SELECT concat(count(*), ',', sum(xmin::text::int8)) FROM pg_catalog.pg_operator WHERE oid >= 16384),
  (SELECT concat(count(*), ',', sum(xmin::text::int8)) FROM pg_catalog.pg_policy),
  (SELECT concat(count(*), ',', sum(xmin::text::int8)) FROM pg_catalog.pg_cast WHERE oid >= 16384),
  (SELECT concat(count(*), ',', sum(xmin::text::int8)) FROM pg_catalog.pg_type WHERE oid >= 16384),
  (SELECT concat(count(*), ',', sum(xmin::text::int8)) FROM pg_catalog.pg_event_trigger),
  (SELECT concat(count(*), ',', sum(xmin::text::int8)) FROM pg_catalog.pg_attrdef)))";

/// The relations that another session has locked against every reader, or waits to lock: one text with their numbers,
/// parted by commas. The server's functions that write definitions down wait for such a lock.
pub const LOCKED: &str = "SELECT coalesce(string_agg(DISTINCT l.relation::text, ',' ORDER BY l.relation::text), '')
  FROM pg_catalog.pg_locks l WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.relation >= 16384
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
  AND l.pid IS DISTINCT FROM pg_backend_pid()";

/// An answer of the server that is not what its query asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the catalogue's {query} cannot be read: {why}")]
pub struct ReadError {
    /// Which query.
    pub query: &'static str,
    /// What is wrong.
    pub why: String,
}

struct Answers<'a>(&'a [String]);

impl Answers<'_> {
    fn rows<T: DeserializeOwned>(&self, name: &'static str) -> Result<Vec<T>, ReadError> {
        let wrong = |why: String| ReadError { query: name, why };
        let at = QUERIES
            .iter()
            .position(|query| query.name == name)
            .ok_or_else(|| wrong("there is no such query".into()))?;
        let text = self.0.get(at).ok_or_else(|| wrong("there is no answer".into()))?;
        serde_json::from_str(text).map_err(|error| wrong(error.to_string()))
    }
}

fn first(text: &str) -> char {
    text.chars().next().unwrap_or(' ')
}

/// Builds the snapshot from the answers to [`QUERIES`], in their order.
///
/// # Errors
/// An answer cannot be read.
pub fn build(answers: &[String]) -> Result<Catalogue, ReadError> {
    let answers = Answers(answers);
    let about: About = answers
        .rows("about")?
        .into_iter()
        .next()
        .ok_or(ReadError { query: "about", why: "no row".into() })?;
    let mut catalogue = Catalogue {
        server_version: about.version,
        database: about.database,
        role: about.role,
        superuser: about.superuser.unwrap_or(true),
        search_path: about.path,
        temporary: about.temporary,
        ..Catalogue::default()
    };
    let mut relations = relations(&answers)?;
    hang_on(&mut relations, &answers)?;
    catalogue.relations = relations.into_iter().map(|(oid, it)| (oid, Arc::new(it))).collect();
    catalogue.functions = functions(&answers)?;
    catalogue.types = types(&answers)?;
    for row in answers.rows::<OperatorRow>("operators")? {
        let OperatorRow { name, schema, left, right, function } = row;
        let operator = Operator { schema, left, right, function };
        catalogue.operators.entry(name).or_default().push(operator);
    }
    catalogue.casts = answers
        .rows::<CastRow>("casts")?
        .into_iter()
        .map(|row| (row.from, row.to, row.function))
        .collect();
    catalogue.roles = answers
        .rows::<RoleRow>("roles")?
        .into_iter()
        .map(|row| (row.name, row.superuser))
        .collect();
    catalogue.event_triggers = answers
        .rows::<EventRow>("event_triggers")?
        .into_iter()
        .map(|row| (row.function, row.event))
        .collect();
    catalogue.schemas = answers
        .rows::<SchemaRow>("schemas")?
        .into_iter()
        .map(|row| (row.name, row.owner))
        .collect();
    catalogue.index();
    Ok(catalogue)
}

fn relations(answers: &Answers<'_>) -> Result<HashMap<u32, Relation>, ReadError> {
    let rows = answers.rows::<RelationRow>("relations")?;
    Ok(rows.into_iter().map(|row| (row.oid, relation(row))).collect())
}

fn relation(row: RelationRow) -> Relation {
    let kind = match first(&row.kind) {
        'r' => RelationKind::Table,
        'p' => RelationKind::Partitioned,
        'v' => RelationKind::View,
        'm' => RelationKind::Materialised,
        'f' => RelationKind::Foreign,
        'S' => RelationKind::Sequence,
        'i' => RelationKind::Index,
        'I' => RelationKind::PartitionedIndex,
        _ => RelationKind::Other,
    };
    // The planner's number; no table holds more rows than fit in 53 bits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be at least nought, and far below the limit"
    )]
    let rows_estimate = (row.tuples >= 0.0).then_some(row.tuples as u64);
    Relation {
        oid: row.oid,
        schema: row.schema,
        name: row.name,
        kind,
        persistence: first(&row.persistence),
        owner: row.owner,
        rows_estimate,
        bytes: row.bytes,
        row_security: (row.rls, row.forced),
        columns: Vec::new(),
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        unique_nullable: Vec::new(),
        triggers: Vec::new(),
        rules: Vec::new(),
        definition: row.definition,
        referenced_by: Vec::new(),
        references: Vec::new(),
        children: Vec::new(),
        parents: Vec::new(),
        policies: Vec::new(),
        publications: Vec::new(),
        checks: Vec::new(),
        index_expressions: Vec::new(),
        deferrable: false,
    }
}

/// Hangs columns, keys, triggers and all the rest on the relations.
fn hang_on(all: &mut HashMap<u32, Relation>, answers: &Answers<'_>) -> Result<(), ReadError> {
    for row in answers.rows::<ColumnRow>("columns")? {
        let Some(relation) = all.get_mut(&row.relation) else { continue };
        relation.columns.push(Column {
            name: row.name,
            number: row.number,
            type_oid: row.r#type,
            type_text: row.type_text,
            not_null: row.not_null,
            generated: !row.generated.is_empty(),
            identity: row.identity.chars().next(),
            default: row.default,
        });
    }
    for row in answers.rows::<IndexRow>("indexes")? {
        let Some(relation) = all.get_mut(&row.relation) else { continue };
        hang_index(relation, row);
    }
    for row in answers.rows::<TriggerRow>("triggers")? {
        let Some(relation) = all.get_mut(&row.relation) else { continue };
        hang_trigger(relation, row);
    }
    for row in answers.rows::<RuleRow>("rules")? {
        let Some(relation) = all.get_mut(&row.relation) else { continue };
        let event = match first(&row.event) {
            '2' => "update",
            '3' => "insert",
            '4' => "delete",
            _ => "select",
        };
        relation.rules.push(Rule {
            name: row.name,
            event: event.into(),
            instead: row.instead,
            definition: row.definition,
        });
    }
    for row in answers.rows::<KeyRow>("keys")? {
        hang_key(all, row);
    }
    for row in answers.rows::<CheckRow>("checks")? {
        if let (Some(relation), Some(check)) = (all.get_mut(&row.relation), row.expression) {
            relation.checks.push(check);
        }
    }
    for row in answers.rows::<PolicyRow>("policies")? {
        if let Some(relation) = all.get_mut(&row.relation) {
            relation.policies.push(Policy { name: row.name, using: row.using, check: row.check });
        }
    }
    for InheritRow { child, parent } in answers.rows("inherits")? {
        if let Some(relation) = all.get_mut(&parent) {
            relation.children.push(child);
        }
        if let Some(relation) = all.get_mut(&child) {
            relation.parents.push(parent);
        }
    }
    for PublicationRow { relation, name } in answers.rows("publications")? {
        if let Some(relation) = all.get_mut(&relation) {
            relation.publications.push(name);
        }
    }
    Ok(())
}

fn hang_index(relation: &mut Relation, row: IndexRow) {
    if !row.expressions.is_empty() {
        relation.index_expressions.push(row.expressions);
    }
    relation.deferrable |= row.deferrable;
    let columns = row.columns.unwrap_or_default();
    // A key that is partial, or partly an expression, holds nothing to one row.
    if row.partial || columns.len() != row.width {
        return;
    }
    if row.is_primary {
        relation.primary_key.clone_from(&columns);
    }
    if row.is_unique {
        let not_null = columns.iter().all(|name| {
            relation.columns.iter().any(|column| column.name == *name && column.not_null)
        });
        if not_null {
            relation.unique_keys.push(columns.clone());
        }
        relation.unique_nullable.push(columns);
    }
}

fn hang_trigger(relation: &mut Relation, row: TriggerRow) {
    let has = |bit: i32| row.r#type & bit != 0;
    relation.deferrable |= row.deferrable;
    relation.triggers.push(Trigger {
        name: row.name,
        function: row.function,
        insert: has(4),
        delete: has(8),
        update: has(16),
        truncate: has(32),
        instead: has(64),
        columns: row.columns.unwrap_or_default(),
        enabled: matches!(first(&row.enabled), 'O' | 'A'),
        deferrable: row.deferrable,
    });
}

fn hang_key(all: &mut HashMap<u32, Relation>, row: KeyRow) {
    let change = |word: &str| match first(word) {
        'c' => OnChange::Cascade,
        'n' => OnChange::SetNull,
        'd' => OnChange::SetDefault,
        _ => OnChange::Refuse,
    };
    let key = ForeignKey {
        on_delete: change(&row.on_delete),
        on_update: change(&row.on_update),
        name: row.name,
        child: row.child,
        child_columns: row.child_columns,
        parent: row.parent,
        parent_columns: row.parent_columns,
        deferrable: row.deferrable,
    };
    if let Some(relation) = all.get_mut(&key.child) {
        relation.deferrable |= key.deferrable;
        relation.references.push(key.clone());
    }
    if let Some(relation) = all.get_mut(&key.parent) {
        relation.referenced_by.push(key);
    }
}

fn functions(answers: &Answers<'_>) -> Result<HashMap<u32, Arc<Function>>, ReadError> {
    let mut parts: HashMap<u32, Vec<u32>> = answers
        .rows::<AggregateRow>("aggregates")?
        .into_iter()
        .map(|row| (row.aggregate, row.parts.into_iter().filter(|oid| *oid != 0).collect()))
        .collect();
    let rows = answers.rows::<FunctionRow>("functions")?;
    let of = |row: FunctionRow, parts: Vec<u32>| Function {
        oid: row.oid,
        schema: row.schema,
        name: row.name,
        arguments: row.arguments,
        defaults: row.defaults,
        variadic: row.variadic,
        returns: row.returns,
        kind: first(&row.kind),
        volatility: match first(&row.volatility) {
            'i' => Volatility::Immutable,
            's' => Volatility::Stable,
            _ => Volatility::Volatile,
        },
        language: row.language,
        owner: row.owner,
        security_definer: row.definer,
        extension: row.extension,
        // BEGIN ATOMIC: the definition is judged as a whole, since there is no source.
        body: row.body.filter(|body| !body.is_empty()).or(row.definition),
        settings: row.settings.unwrap_or_default(),
        argument_names: row.argument_names.unwrap_or_default(),
        parts,
    };
    Ok(rows
        .into_iter()
        .map(|row| {
            let own = parts.remove(&row.oid).unwrap_or_default();
            (row.oid, Arc::new(of(row, own)))
        })
        .collect())
}

fn types(answers: &Answers<'_>) -> Result<HashMap<u32, Arc<SqlType>>, ReadError> {
    let mut checks: HashMap<u32, Vec<String>> = HashMap::new();
    for row in answers.rows::<CheckRow>("checks")? {
        if let (true, Some(check)) = (row.r#type != 0, row.expression) {
            checks.entry(row.r#type).or_default().push(check);
        }
    }
    let rows = answers.rows::<TypeRow>("types")?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let own = checks.remove(&row.oid).unwrap_or_default();
            let of = SqlType {
                oid: row.oid,
                schema: row.schema,
                name: row.name,
                kind: first(&row.kind),
                base: row.base,
                checks: own,
                input_output: (row.input, row.output),
                extension: row.extension,
            };
            (of.oid, Arc::new(of))
        })
        .collect())
}
