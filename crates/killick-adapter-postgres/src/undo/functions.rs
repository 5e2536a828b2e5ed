//! What an agent may have defined and an undo would run: checks, defaults, generated columns, domains and casts of a table
//! call functions, with the rights of whoever writes a row. An undo writes as the gateway's login.

use std::sync::Arc;

use killick_model::EffectWord;
use killick_model::database::Database;
use killick_model::point::UndoAsk;
use killick_sql::catalogue::{Catalogue, read};
use killick_sql::judge::{SessionState, judge};
use killick_sql::script;

use super::UndoError;
use crate::session::images::{TableImages, literal};
use crate::session::own::Own;

/// Functions that are named before the rest is only counted.
const NAMED_MAX: usize = 5;

/// Refuses to write to tables where that would run what an agent may have defined, as another role than its own: functions
/// that a role of agents' sessions owns, or what the tables' definitions do beside the row. `SET ROLE` would not hold it,
/// since what a role may become again is decided by the login. A human may let it run.
///
/// It is asked before rows are compared and again once that has locked the tables, so that nothing comes in between.
///
/// # Errors
/// Names what would run.
pub(super) async fn would_run(
    own: &mut Own,
    database: &Database,
    ask: &UndoAsk,
    tables: &[&TableImages],
) -> Result<(), UndoError> {
    let roles: Vec<String> =
        [&database.role, &database.read_role].into_iter().flatten().map(|it| literal(it)).collect();
    if ask.run_functions || roles.is_empty() {
        return Ok(());
    }
    owned_by(own, database, &roles).await?;
    if !tables.is_empty() {
        let catalogue = catalogue(own).await?;
        for table in tables {
            runs_nothing_else(&catalogue, table, database)?;
        }
    }
    Ok(())
}

async fn owned_by(own: &mut Own, database: &Database, roles: &[String]) -> Result<(), UndoError> {
    let sql = format!(
        "SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p \
         WHERE p.proowner <> (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user) \
         AND EXISTS (SELECT 1 FROM pg_catalog.pg_roles r WHERE r.rolname IN ({}) AND NOT r.rolsuper \
         AND pg_catalog.pg_has_role(r.oid, p.proowner, 'MEMBER')) ORDER BY 1",
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
    Err(UndoError::Runs(format!(
        "tables may call functions that an agent could have defined, and an undo would run them as login {}: {}{more}",
        database.user,
        named.join(", ")
    )))
}

async fn catalogue(own: &mut Own) -> Result<Catalogue, UndoError> {
    let first = |rows: Vec<Vec<Option<String>>>| {
        rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()).unwrap_or_default()
    };
    let locked = first(own.ask(read::LOCKED).await?);
    let mut answers = Vec::with_capacity(read::QUERIES.len());
    for query in read::QUERIES {
        answers.push(first(own.ask(&read::beside(query.sql, &locked)).await?));
    }
    let mut catalogue = read::build(&answers)
        .map_err(|error| UndoError::Impossible(format!("the catalogue cannot be read: {error}")))?;
    // They are held, or a human lets them fire.
    for relation in catalogue.relations.values_mut() {
        Arc::make_mut(relation).triggers.clear();
    }
    Ok(catalogue)
}

/// Judges a row that is written as the session's own would be.
fn runs_nothing_else(
    catalogue: &Catalogue,
    table: &TableImages,
    database: &Database,
) -> Result<(), UndoError> {
    let text = format!("INSERT INTO {} DEFAULT VALUES", table.quoted());
    let script = script::parse(&text).map_err(|error| UndoError::Impossible(error.to_string()))?;
    let judged = judge(&script, 0, catalogue, &SessionState::default());
    let beside =
        judged.touches.iter().find(|it| it.effect.word().level() > EffectWord::Write.level());
    match beside {
        None => Ok(()),
        Some(touch) => Err(UndoError::Runs(format!(
            "a row that is written to {} does more than that, as login {}: {}",
            table.quoted(),
            database.user,
            touch.why
        ))),
    }
}
