//! The statements that make the roles at a server.

use killick_model::readiness::PrepareAsk;

/// The role that agents' sessions run as, where nobody names one.
pub const AGENT_ROLE: &str = "killick_agent";
/// The same for one that only reads.
pub const READER_ROLE: &str = "killick_reader";
/// The role that the gateway reads as where the login itself may not see every row.
pub const INSPECTOR_ROLE: &str = "killick_inspector";

/// The longest name that the server keeps whole.
const NAME_BYTES_MAX: usize = 63;
/// The most schemas that one script names.
const SCHEMAS_MAX: usize = 64;

/// Functions of the server's own that change what no row shows, or end what others do.
pub(crate) const SERVER_FUNCTIONS: &[&str] = &[
    "lo_creat",
    "lo_create",
    "lo_export",
    "lo_from_bytea",
    "lo_import",
    "lo_put",
    "lo_truncate",
    "lo_truncate64",
    "lo_unlink",
    "lowrite",
    "pg_cancel_backend",
    "pg_copy_logical_replication_slot",
    "pg_copy_physical_replication_slot",
    "pg_create_logical_replication_slot",
    "pg_create_physical_replication_slot",
    "pg_create_restore_point",
    "pg_drop_replication_slot",
    "pg_logical_emit_message",
    "pg_ls_dir",
    "pg_promote",
    "pg_read_binary_file",
    "pg_read_file",
    "pg_reload_conf",
    "pg_rotate_logfile",
    "pg_stat_file",
    "pg_switch_wal",
    "pg_terminate_backend",
];

/// Extensions whose functions act outside of the database, or beside its rights.
pub(crate) const REACHING_EXTENSIONS: &[&str] = &[
    "adminpack",
    "aws_lambda",
    "aws_s3",
    "dblink",
    "file_fdw",
    "http",
    "pageinspect",
    "pg_background",
    "pg_cron",
    "pg_net",
    "pg_surgery",
    "pgagent",
    "plsh",
    "postgres_fdw",
];

/// Whom the statements are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    /// The database at the server.
    pub database: String,
    /// The user that the gateway logs in as.
    pub login: String,
    /// The role that agents' sessions run as.
    pub agent: String,
    /// Whether it may change rows.
    pub may_write: bool,
    /// The schemas that it works in; all but the system's own when empty.
    pub schemas: Vec<String>,
}

impl Roles {
    /// Names the roles: as asked, as declared, or as the gateway calls them.
    ///
    /// # Errors
    /// Says which name the server could not keep.
    pub fn named(
        database: &str,
        login: &str,
        declared: Option<&str>,
        ask: &PrepareAsk,
    ) -> Result<Self, String> {
        let usual = if ask.read_only { READER_ROLE } else { AGENT_ROLE };
        let roles = Self {
            database: database.to_owned(),
            login: login.to_owned(),
            agent: ask.role.as_deref().or(declared).unwrap_or(usual).to_owned(),
            may_write: !ask.read_only,
            schemas: ask.schemas.clone(),
        };
        if roles.schemas.len() > SCHEMAS_MAX {
            return Err(format!("at most {SCHEMAS_MAX} schemas are named"));
        }
        let names =
            [("database", &roles.database), ("login", &roles.login), ("role", &roles.agent)];
        let schemas = roles.schemas.iter().map(|it| ("schema", it));
        for (what, name) in names.into_iter().chain(schemas) {
            if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control)
            {
                return Err(format!(
                    "the name of the {what} is empty, longer than {NAME_BYTES_MAX} bytes, or holds control characters"
                ));
            }
        }
        if ["public", "none"].contains(&roles.agent.as_str()) || roles.agent.starts_with("pg_") {
            return Err(format!("`{}` cannot be a role's name", roles.agent));
        }
        Ok(roles)
    }

    /// Writes the statements. They may be run any number of times, and print nothing but warnings.
    #[must_use]
    pub fn script(&self) -> String {
        let texts = |all: &[&str]| all.iter().map(|it| literal(it)).collect::<Vec<_>>().join(", ");
        // Names go in last and by one pass, so that no name can stand for a place.
        let places = [
            ("{server_functions}", texts(SERVER_FUNCTIONS)),
            ("{reaching_extensions}", texts(REACHING_EXTENSIONS)),
            ("{database}", literal(&self.database)),
            ("{agent}", literal(&self.agent)),
            ("{login}", literal(&self.login)),
            ("{inspector}", literal(INSPECTOR_ROLE)),
            ("{may_write}", literal(if self.may_write { "on" } else { "off" })),
            ("{schemas}", literal(&array(&self.schemas))),
        ];
        let mut out = format!(
            "-- Roles for agents' sessions at database {}: {} for them, {INSPECTOR_ROLE} and {} for the gateway.\n\
             -- A human runs this, as a superuser or as the owner of the database and its tables:\n\
             --   killick database prepare ... | psql \"$ADMIN_URL\"\n\
             \\set ON_ERROR_STOP on\nBEGIN;\nSET LOCAL standard_conforming_strings = on;\n\
             SET LOCAL search_path = pg_catalog;\nSET LOCAL lock_timeout = '5s';\n\
             SET LOCAL client_min_messages = warning;\n",
            self.database.escape_debug(),
            self.agent.escape_debug(),
            self.login.escape_debug(),
        );
        let mut rest = include_str!("roles.sql");
        while let Some((before, behind)) = rest.split_once('{') {
            out.push_str(before);
            let at = rest.strip_prefix(before).unwrap_or_default();
            if let Some((place, text)) = places.iter().find(|(place, _)| at.starts_with(place)) {
                out.push_str(text);
                rest = at.strip_prefix(place).unwrap_or_default();
            } else {
                out.push('{');
                rest = behind;
            }
        }
        out.push_str(rest);
        out
    }
}

/// Returns a text as a literal, under `standard_conforming_strings`.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns names as the text of an array.
fn array(names: &[String]) -> String {
    let quoted = |name: &String| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    format!("{{{}}}", names.iter().map(quoted).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(database: &str, login: &str, role: &str) -> Result<Roles, String> {
        let ask = PrepareAsk { role: Some(role.into()), ..PrepareAsk::default() };
        Roles::named(database, login, None, &ask)
    }

    #[test]
    fn a_name_never_ends_its_quotes_and_never_stands_for_another() {
        let hostile = "a'; DROP TABLE t; --{login}$killick$\\";
        let sql = named("shop", hostile, "agents{schemas}").unwrap().script();
        assert!(
            sql.contains("SET LOCAL killick.login = 'a''; DROP TABLE t; --{login}$killick$\\';")
        );
        assert!(sql.contains("SET LOCAL killick.agent = 'agents{schemas}';"));
        assert!(sql.contains("SET LOCAL killick.schemas = '{}';"), "{sql}");
        // The header is a comment, and no name has a line of its own.
        assert_eq!(sql.lines().filter(|line| line.contains("DROP TABLE")).count(), 2);
    }

    #[test]
    fn a_name_that_the_server_could_not_keep_is_refused() {
        let long = "r".repeat(64);
        for role in ["", "a\nb", "public", "none", "pg_monitor", &long] {
            assert!(named("shop", "app", role).is_err(), "{role}");
        }
        assert!(named("shop\n\\! true", "app", "agents").is_err());
    }

    #[test]
    fn the_role_is_the_one_asked_for_then_the_declared_one_then_ours() {
        let named =
            |declared, ask: &PrepareAsk| Roles::named("d", "l", declared, ask).unwrap().agent;
        let reader = PrepareAsk { read_only: true, ..PrepareAsk::default() };
        assert_eq!(named(None, &PrepareAsk::default()), AGENT_ROLE);
        assert_eq!(named(None, &reader), READER_ROLE);
        assert_eq!(named(Some("app_agent"), &reader), "app_agent");
        let asked = PrepareAsk { role: Some("mine".into()), ..PrepareAsk::default() };
        assert_eq!(named(Some("app_agent"), &asked), "mine");
    }

    #[test]
    fn schemas_are_an_array_whatever_their_names() {
        let schemas = vec!["a,b".to_owned(), "c\"d\\".to_owned(), "e'f".to_owned()];
        let ask = PrepareAsk { schemas, ..PrepareAsk::default() };
        let sql = Roles::named("d", "l", None, &ask).unwrap().script();
        assert!(sql.contains(r#"killick.schemas = '{"a,b","c\"d\\","e''f"}';"#), "{sql}");
    }
}
