//! What the server answers to the gateway's questions about itself: one JSON object for each.

use serde::Deserialize;

use super::script::{REACHING_EXTENSIONS, SERVER_FUNCTIONS, literal};

/// Names that one answer lists.
const LISTED_MAX: usize = 5;

/// The server, and the login.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct SeenServer {
    pub(crate) version: u32,
    pub(crate) pid: u32,
    pub(crate) login: String,
    pub(crate) read_only_default: String,
    pub(crate) lock_timeout: String,
    pub(crate) track_counts: String,
    pub(crate) wal_level: String,
    /// Connections that anybody but a superuser may have.
    pub(crate) connections: i64,
    pub(crate) used: i64,
    /// Of this database; -1 for no limit of its own.
    pub(crate) database_limit: i64,
    pub(crate) database_used: i64,
    /// Of the login; -1 for no limit of its own.
    pub(crate) login_limit: i64,
    pub(crate) login_used: i64,
    pub(crate) login_attributes: Attributes,
    /// Objects of the login's own.
    pub(crate) login_owns: i64,
    /// Server roles that reach out of the database, and that the login is a member of.
    pub(crate) login_reaches: Vec<String>,
    /// Tables whose rows are hidden from the login.
    pub(crate) hidden: Vec<String>,
    /// Tables that the login may not read.
    pub(crate) unreadable: Vec<String>,
    /// Whether the login may become a role that sees every row.
    pub(crate) inspector: bool,
    /// Languages in which only a superuser may write functions, and the functions in them.
    pub(crate) languages: Vec<String>,
    /// Extensions that are there and reach out.
    pub(crate) extensions: Vec<String>,
}

/// The attributes of a role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the columns of the server's catalogue")]
pub(crate) struct Attributes {
    pub(crate) superuser: bool,
    pub(crate) createrole: bool,
    pub(crate) createdb: bool,
    pub(crate) replication: bool,
    pub(crate) bypassrls: bool,
    pub(crate) login: bool,
}

impl Attributes {
    /// Returns the words for what a role of least privilege has not.
    pub(crate) fn words(self) -> Vec<&'static str> {
        [
            (self.superuser, "SUPERUSER"),
            (self.createrole, "CREATEROLE"),
            (self.createdb, "CREATEDB"),
            (self.replication, "REPLICATION"),
            (self.bypassrls, "BYPASSRLS"),
        ]
        .into_iter()
        .filter_map(|(has, word)| has.then_some(word))
        .collect()
    }
}

/// The role that agents' sessions run as.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct SeenRole {
    pub(crate) attributes: Attributes,
    pub(crate) may_become: bool,
    /// Other roles that it is a member of.
    pub(crate) memberships: Vec<String>,
    pub(crate) owns: i64,
    /// Tables on which it has TRUNCATE, REFERENCES or TRIGGER.
    pub(crate) strong: Vec<String>,
    /// Tables that it may change, sequences included.
    pub(crate) changes: i64,
    /// Tables that it may read.
    pub(crate) reads: i64,
    /// Schemas, and the database, in which it may make objects.
    pub(crate) creates: Vec<String>,
    /// Functions of the server's own that it may run.
    pub(crate) server_functions: Vec<String>,
    /// Functions that reach out and that it may run.
    pub(crate) reaching: Vec<String>,
    /// Functions that run with their owner's rights and that it may run.
    pub(crate) definers: Vec<String>,
    /// Functions in languages without bounds that it may run.
    pub(crate) untrusted: Vec<String>,
    /// Foreign servers that it may use.
    pub(crate) foreign: Vec<String>,
}

fn list(names: &[&str]) -> String {
    names.iter().map(|it| literal(it)).collect::<Vec<_>>().join(", ")
}

/// A list of names from a query of one column `it`: as many as are listed, and how many more there are.
fn names(query: &str) -> String {
    format!(
        "(SELECT coalesce(jsonb_agg(it ORDER BY n) FILTER (WHERE n <= {LISTED_MAX}), '[]') \
           || CASE WHEN max(n) > {LISTED_MAX} THEN to_jsonb(ARRAY['and ' || max(n) - {LISTED_MAX} || ' more']) ELSE '[]' END \
         FROM (SELECT q.it, row_number() OVER (ORDER BY q.it) AS n FROM ({query}) q(it)) numbered)"
    )
}

const ATTRIBUTES: &str = "jsonb_build_object('superuser', r.rolsuper, 'createrole', r.rolcreaterole, \
    'createdb', r.rolcreatedb, 'replication', r.rolreplication, 'bypassrls', r.rolbypassrls, 'login', r.rolcanlogin)";

/// Tables with rows of their own, outside of the system's schemas.
const TABLES: &str = "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// Server roles that read and write files, run programs, or end what others do.
const REACHING_ROLES: &str = "'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program', \
    'pg_signal_backend', 'pg_write_all_data', 'pg_checkpoint', 'pg_create_subscription', 'pg_maintain', 'rds_superuser', \
    'cloudsqlsuperuser', 'azure_pg_admin'";

/// Returns the question about the server and the login.
pub(crate) fn of_server() -> String {
    let hidden = names(&format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM {TABLES} AND c.relrowsecurity \
           AND NOT (SELECT m.rolsuper OR m.rolbypassrls FROM pg_roles m WHERE m.rolname = session_user) \
           AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE'))"
    ));
    let unreadable = names(&format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM {TABLES} \
           AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))"
    ));
    let reaches = names(&format!(
        "SELECT m.rolname::text FROM pg_roles m WHERE m.rolname IN ({REACHING_ROLES}) AND NOT r.rolsuper \
           AND pg_has_role(session_user, m.oid, 'MEMBER')"
    ));
    let languages = names(
        "SELECT l.lanname::text FROM pg_language l WHERE NOT l.lanpltrusted AND l.lanname NOT IN ('internal', 'c', 'sql')",
    );
    let extensions = names(&format!(
        "SELECT e.extname::text FROM pg_extension e WHERE e.extname::text IN ({})",
        list(REACHING_EXTENSIONS)
    ));
    format!(
        "SELECT jsonb_build_object('version', current_setting('server_version_num')::int, 'pid', pg_backend_pid(), \
           'login', session_user, 'read_only_default', current_setting('default_transaction_read_only'), \
           'lock_timeout', current_setting('lock_timeout'), 'track_counts', current_setting('track_counts'), \
           'wal_level', current_setting('wal_level'), \
           'connections', current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int \
              - coalesce(current_setting('reserved_connections', true), '0')::int, \
           'used', (SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database), \
           'database_limit', d.datconnlimit, \
           'database_used', (SELECT coalesce(sum(s.numbackends), 0) FROM pg_stat_database s WHERE s.datid = d.oid), \
           'login_limit', r.rolconnlimit, \
           'login_used', (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid = r.oid), \
           'login_attributes', {ATTRIBUTES}, \
           'login_owns', (SELECT count(*) FROM {TABLES} AND pg_has_role(session_user, c.relowner, 'MEMBER')), \
           'login_reaches', {reaches}, 'hidden', {hidden}, 'unreadable', {unreadable}, \
           'inspector', EXISTS (SELECT 1 FROM pg_roles i WHERE i.rolname = {inspector} AND i.rolbypassrls \
              AND pg_has_role(session_user, i.oid, 'MEMBER')), \
           'languages', {languages}, 'extensions', {extensions})::text \
         FROM pg_roles r, pg_database d WHERE r.rolname = session_user AND d.datname = current_database()",
        inspector = literal(super::script::INSPECTOR_ROLE)
    )
}

/// Returns the question about a role; without an answer there is none of that name.
pub(crate) fn of_role(role: &str, version: u32) -> String {
    // A membership without the right to become the role is known from 16 on.
    let right = if version >= 160_000 { "SET" } else { "MEMBER" };
    let outside = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
    let memberships = names(
        "SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid",
    );
    let strong = names(&format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM {TABLES} AND has_table_privilege(r.oid, c.oid, 'TRUNCATE, REFERENCES, TRIGGER')"
    ));
    let creates = names(&format!(
        "SELECT 'schema ' || n.nspname FROM pg_namespace n WHERE {outside} AND has_schema_privilege(r.oid, n.oid, 'CREATE') \
         UNION ALL SELECT 'database ' || d.datname FROM pg_database d WHERE d.datname = current_database() \
           AND has_database_privilege(r.oid, d.oid, 'CREATE')"
    ));
    let runs = "has_function_privilege(r.oid, p.oid, 'EXECUTE')";
    let server_functions = names(&format!(
        "SELECT DISTINCT p.proname::text FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace \
           AND p.proname::text IN ({}) AND {runs}",
        list(SERVER_FUNCTIONS)
    ));
    let reaching = names(&format!(
        "SELECT DISTINCT p.proname::text FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid \
           AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid \
           WHERE e.extname::text IN ({}) AND {runs}",
        list(REACHING_EXTENSIONS)
    ));
    let definers = names(&format!(
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
           WHERE p.prosecdef AND {outside} AND {runs}"
    ));
    let untrusted = names(&format!(
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang \
           WHERE NOT l.lanpltrusted AND l.lanname NOT IN ('internal', 'c', 'sql') AND {runs}"
    ));
    let foreign = names(
        "SELECT f.srvname::text FROM pg_foreign_server f WHERE has_server_privilege(r.oid, f.oid, 'USAGE') \
         UNION ALL SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
           WHERE c.relkind = 'f' AND has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE')",
    );
    format!(
        "SELECT jsonb_build_object('attributes', {ATTRIBUTES}, 'may_become', pg_has_role(session_user, r.oid, '{right}'), \
           'memberships', {memberships}, \
           'owns', (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relowner = r.oid AND {outside}), \
           'strong', {strong}, \
           'changes', (SELECT count(*) FROM {TABLES} AND has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE')), \
           'reads', (SELECT count(*) FROM {TABLES} AND has_table_privilege(r.oid, c.oid, 'SELECT')), \
           'creates', {creates}, 'server_functions', {server_functions}, 'reaching', {reaching}, 'definers', {definers}, \
           'untrusted', {untrusted}, 'foreign', {foreign})::text \
         FROM pg_roles r WHERE r.rolname = {}",
        literal(role)
    )
}
