//! Asking the server: over connections of the gateway's own, in transactions that are rolled back.

use std::sync::Arc;

use killick_gate::ErrandKind;
use killick_model::database::Database;
use killick_model::readiness::{PrepareAsk, Prepared};
use killick_model::{Code, Effect, Refusal};
use killick_sql::catalogue::Catalogue;
use serde::de::DeserializeOwned;

use super::findings::{Probed, no_options};
use super::script::Roles;
use super::seen;
use crate::inspect::Known;
use crate::session::adapter::PostgresAdapter;
use crate::session::own::{Own, Purpose};
use crate::session::server::ServerError;

/// Objects with a lower number came with the server.
const FIRST_OWN_OID: u32 = 16_384;
/// What a pooler says that takes no start-up options.
const NO_OPTIONS: &str = "unsupported startup parameter";

impl PostgresAdapter {
    /// Writes the statements that prepare a declared database, and looks at what holds there. Returns the server's
    /// version too, if it let the gateway in.
    ///
    /// # Errors
    /// Says why not: a name cannot be one; the record cannot take it; the server cannot be reached, or does not answer.
    pub async fn prepare(
        self: &Arc<Self>,
        database: &Database,
        ask: &PrepareAsk,
        by: Option<String>,
    ) -> Result<(Prepared, Option<u32>), String> {
        let declared = declared(database, ask.read_only);
        let roles = Roles::named(&database.database, &database.user, declared, ask)?;
        let sql = roles.script();
        let probed = match self.probe(database, &roles, by).await {
            Ok(probed) => probed,
            // A pooler that takes no start-up options lets nobody in who sends some.
            Err(refusal) if refusal.because.contains(NO_OPTIONS) => {
                let findings = vec![no_options(&refusal.because)];
                return Ok((Prepared { role: roles.agent, sql, findings }, None));
            }
            Err(refusal) => return Err(refusal.because),
        };
        let prepared = Prepared { role: roles.agent, sql, findings: probed.findings() };
        Ok((prepared, Some(probed.server.version)))
    }

    async fn probe(
        self: &Arc<Self>,
        database: &Database,
        roles: &Roles,
        by: Option<String>,
    ) -> Result<Probed, Refusal> {
        let mut first = Own::open(self, database, purpose(by.clone())).await?;
        let asked = self.ask_all(&mut first, database, roles, by).await;
        let failed = asked.is_err();
        first.close(failed);
        asked.map_err(|error| match error {
            Asked::Refused(refusal) => *refusal,
            Asked::Failed(error) => Refusal::new(Code::UpstreamUnreachable, error.to_string()),
        })
    }

    async fn ask_all(
        self: &Arc<Self>,
        first: &mut Own,
        database: &Database,
        roles: &Roles,
        by: Option<String>,
    ) -> Result<Probed, Asked> {
        let Some(server) = object::<seen::SeenServer>(first, &seen::of_server()).await? else {
            return Err(Asked::nonsense("the server does not know the gateway's own login"));
        };
        let role: Option<seen::SeenRole> =
            object(first, &seen::of_role(&roles.agent, server.version)).await?;
        let mut second = Own::open(self, database, purpose(by)).await?;
        let shared_process = shares_a_process(first, &mut second, server.pid).await;
        second.close(shared_process.is_err());
        let shared_process = shared_process?;
        let write_refused = tried(first, &["CREATE TEMPORARY TABLE _killick_probe ()"]).await?;
        let limit_refused =
            tried(first, &["SET LOCAL statement_timeout = 1000", "SET LOCAL lock_timeout = 1000"])
                .await?;
        let role_refused = match &role {
            Some(role) if !role.may_become => Some("it is no member of it".to_owned()),
            Some(_) => {
                let name = roles.agent.replace('"', "\"\"");
                tried(first, &[&format!("SET LOCAL ROLE \"{name}\"")]).await?
            }
            None => None,
        };
        let now = self.gate.now();
        let known =
            Known::read(&self.catalogues, &database.name, &mut first.server, &first.departure, now)
                .await;
        let catalogue = match known {
            Ok(known) => Ok(counted(&known.catalogue())),
            Err(ServerError::Gone) => return Err(ServerError::Gone.into()),
            Err(error) => Err(error.to_string()),
        };
        Ok(Probed {
            role_name: roles.agent.clone(),
            declared: declared(database, !roles.may_write).map(str::to_owned),
            role,
            read_only: !roles.may_write,
            other_process: first.process != server.pid,
            shared_process,
            reported: first.server.parameters.contains_key("default_transaction_read_only"),
            write_refused,
            limit_refused,
            role_refused,
            catalogue,
            server,
        })
    }
}

/// Returns the role that sessions run as: those of its own environment, or those that come to read.
fn declared(database: &Database, read_only: bool) -> Option<&str> {
    let for_reading = database.read_role.as_deref().filter(|_| read_only);
    for_reading.or(database.role.as_deref())
}

fn purpose(by: Option<String>) -> Purpose<'static> {
    Purpose {
        kind: ErrandKind::Inspect,
        by,
        operation: "inspect",
        effect: Effect::READ,
        why: "look at what holds at the database's server",
    }
}

/// Why the questions ended.
enum Asked {
    Refused(Box<Refusal>),
    Failed(ServerError),
}

impl Asked {
    fn nonsense(why: &str) -> Self {
        Self::Failed(ServerError::Nonsense(why.to_owned()))
    }
}

impl From<Refusal> for Asked {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<ServerError> for Asked {
    fn from(error: ServerError) -> Self {
        Self::Failed(error)
    }
}

async fn text(own: &mut Own, sql: &str) -> Result<Option<String>, ServerError> {
    let rows = own.ask(sql).await?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
}

async fn object<T: DeserializeOwned>(own: &mut Own, sql: &str) -> Result<Option<T>, Asked> {
    match text(own, sql).await? {
        None => Ok(None),
        Some(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| Asked::nonsense(&format!("an answer that cannot be read: {error}"))),
    }
}

/// Returns whether one process serves two sessions, or two serve one: a pool that lends a process for a transaction.
async fn shares_a_process(
    first: &mut Own,
    second: &mut Own,
    pid: u32,
) -> Result<bool, ServerError> {
    const PID: &str = "SELECT pg_backend_pid()";
    second.ask("BEGIN").await?;
    let of_second = text(second, PID).await?;
    // The process of the second is busy: a pool hands the first another one, if it can.
    let again = text(first, PID).await?;
    second.ask("ROLLBACK").await?;
    let before = Some(pid.to_string());
    Ok(of_second == before || again != before)
}

/// Runs statements in a transaction that is rolled back, and returns what the server refused.
async fn tried(own: &mut Own, statements: &[&str]) -> Result<Option<String>, ServerError> {
    own.ask("BEGIN").await?;
    let mut refused = None;
    for sql in statements {
        match own.ask(sql).await {
            Ok(_) => {}
            Err(ServerError::Refused { message, .. }) => {
                refused = Some(message);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    own.ask("ROLLBACK").await?;
    Ok(refused)
}

/// Counts relations and functions that did not come with the server, and functions that nobody can judge.
fn counted(catalogue: &Catalogue) -> (usize, usize, usize) {
    let relations = catalogue.relations.keys().filter(|oid| **oid >= FIRST_OWN_OID).count();
    let own = || catalogue.functions.values().filter(|it| it.oid >= FIRST_OWN_OID);
    let dark = own().filter(|it| it.body.is_none() && it.kind != 'a').count();
    (relations, own().count(), dark)
}
