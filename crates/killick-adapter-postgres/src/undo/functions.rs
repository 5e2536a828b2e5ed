//! What an agent may have defined and an undo would run: checks, defaults, generated columns, domains and casts of a table
//! call functions, with the rights of whoever writes a row. An undo writes as the gateway's login.

use killick_model::database::Database;
use killick_model::point::UndoAsk;

use super::UndoError;
use crate::session::images::literal;
use crate::session::own::Own;

/// Functions that are named before the rest is only counted.
const NAMED_MAX: usize = 5;

/// Refuses where a role that agents' sessions run as owns functions, and the login is another one: `SET ROLE` would not
/// hold them, since what a role may become again is decided by the login. A human may let them run.
///
/// # Errors
/// Names the functions.
pub(super) async fn owned_by_agents(
    own: &mut Own,
    database: &Database,
    ask: &UndoAsk,
) -> Result<(), UndoError> {
    let roles: Vec<String> =
        [&database.role, &database.read_role].into_iter().flatten().map(|it| literal(it)).collect();
    if ask.run_functions || roles.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p \
         WHERE p.proowner <> (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user) AND EXISTS (SELECT 1 FROM pg_catalog.pg_roles r \
         WHERE r.rolname IN ({}) AND NOT r.rolsuper AND pg_catalog.pg_has_role(r.oid, p.proowner, 'MEMBER')) ORDER BY 1",
        roles.join(", ")
    );
    let rows = own.ask(&sql).await?;
    let found: Vec<String> =
        rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    if found.is_empty() {
        return Ok(());
    }
    let named: Vec<&str> = found.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = found.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(UndoError::Impossible(format!(
        "tables may call functions that an agent could have defined, and an undo would run them as login {}: \
         {}{more}; look at them, and let them run with --run-functions",
        database.user,
        named.join(", ")
    )))
}
