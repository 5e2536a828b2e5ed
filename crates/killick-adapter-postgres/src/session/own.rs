//! A connection of the gateway's own to a declared database: to look, to keep, to put back. Never an agent's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use killick_gate::{Departure, ErrandKind, InFlight};
use killick_model::database::Database;
use killick_model::{BackupsFate, Code, Effect, Part, Recovery, Refusal, UpstreamName};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::adapter::PostgresAdapter;
use super::call::{SqlCall, database_ref};
use super::connect::log_in_at;
use super::server::{Server, ServerError};
use super::unit::Settle as _;
use crate::handshake::server::LoggedIn;

/// How values are written and read, so that every one comes back as it was (as `pg_dump` sets it), and what makes
/// a table whose rows are hidden from the login an error in place of a part.
const OWN_OPTIONS: &str = "-c row_security=off -c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC \
    -c extra_float_digits=3 -c bytea_output=hex -c xmloption=content -c standard_conforming_strings=on \
    -c search_path=pg_catalog -c lock_timeout=5000";

/// A connection of the gateway's own, as the login itself. Its errand is settled when it is dropped or closed.
pub(crate) struct Own {
    pub(crate) server: Server,
    pub(crate) departure: Departure,
    /// The process that answered the login, as it said.
    pub(crate) process: u32,
    in_flight: Option<InFlight>,
    place: Option<tokio::sync::OwnedSemaphorePermit>,
}

/// Connections of the gateway's own to one database that may be lent at a time.
const LENT_MAX: usize = 2;
/// How long a session waits for one.
const LEND_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// Connections of the gateway's own that wait to be lent, by database.
#[derive(Default)]
pub(crate) struct OwnConnections {
    idle: Mutex<HashMap<UpstreamName, Vec<Own>>>,
    places: Mutex<HashMap<UpstreamName, Arc<Semaphore>>>,
}

impl OwnConnections {
    pub(crate) async fn lend(
        &self,
        adapter: &Arc<PostgresAdapter>,
        database: &Database,
    ) -> Result<Own, Refusal> {
        let places = Arc::clone(
            self.places
                .lock()
                .entry(database.name.clone())
                .or_insert_with(|| Arc::new(Semaphore::new(LENT_MAX))),
        );
        let busy = || Refusal::new(Code::TooMany, "every connection of the gateway's own is busy");
        let place = tokio::time::timeout(LEND_WAIT_MAX, places.acquire_owned())
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())?;
        let waiting = self.idle.lock().get_mut(&database.name).and_then(Vec::pop);
        if let Some(mut own) = waiting
            && own.ask("SELECT 1").await.is_ok()
        {
            own.place = Some(place);
            return Ok(own);
        }
        let purpose = Purpose {
            kind: ErrandKind::Snapshot,
            by: None,
            operation: "select",
            effect: Effect::READ,
            why: "the database is looked at beside a session's open transaction",
        };
        let mut own = Own::open(adapter, database, purpose).await?;
        own.place = Some(place);
        Ok(own)
    }

    pub(crate) fn give_back(&self, database: &Database, mut own: Own, good: bool) {
        own.place = None;
        if good {
            let mut idle = self.idle.lock();
            let waiting = idle.entry(database.name.clone()).or_default();
            if waiting.len() < LENT_MAX {
                waiting.push(own);
                return;
            }
        }
        own.close(!good);
    }

    pub(crate) fn forget_all(&self) {
        self.idle.lock().clear();
    }
}

/// Why the gateway connects, for the record.
pub(crate) struct Purpose<'a> {
    pub(crate) kind: ErrandKind,
    /// The human whose proof was checked, or none for the gateway itself.
    pub(crate) by: Option<String>,
    /// The operation behind `postgres.`.
    pub(crate) operation: &'a str,
    pub(crate) effect: Effect,
    /// One sentence.
    pub(crate) why: &'a str,
}

impl Own {
    /// Connects as the database's login, on the record.
    ///
    /// # Errors
    /// The record cannot take it, or the server cannot be reached or refuses the login.
    pub(crate) async fn open(
        adapter: &Arc<PostgresAdapter>,
        database: &Database,
        purpose: Purpose<'_>,
    ) -> Result<Self, Refusal> {
        let upstream = &database.name;
        let Purpose { kind, by, operation, effect, why } = purpose;
        let part = Part {
            operation: format!("postgres.{operation}"),
            effect,
            irreversible: false,
            backups: BackupsFate::Survive,
            objects: vec![database_ref(upstream)],
            recovery: Recovery::default(),
            why: why.to_owned(),
        };
        let call = SqlCall::new(
            upstream.clone(),
            vec![part],
            why.to_owned(),
            Vec::new(),
            BTreeMap::new(),
        )?;
        let credential = adapter.vault.bound(upstream, "/").map(|info| info.name);
        let recorded = adapter.gate.own_errand(by, kind, call, credential).await?;
        let (_, departure, in_flight, _) = recorded.depart()?;
        let read_only = if effect.is_only_read() { "on" } else { "off" };
        let parameters = vec![
            ("application_name".to_owned(), "killick".to_owned()),
            (
                "options".to_owned(),
                format!("{OWN_OPTIONS} -c default_transaction_read_only={read_only}"),
            ),
        ];
        match log_in_at(adapter, database, &departure, &parameters).await {
            Ok(LoggedIn { stream, leftover, parameters, process, .. }) => {
                let server = Server::new(stream, leftover, parameters);
                Ok(Self { server, departure, process, in_flight: Some(in_flight), place: None })
            }
            Err(why) => {
                Err(in_flight.refuse(Refusal::new(killick_model::Code::UpstreamUnreachable, why)))
            }
        }
    }

    /// Runs one statement and returns its rows as text.
    pub(crate) async fn ask(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, ServerError> {
        self.server.own(&self.departure, sql).await
    }

    /// Ends the errand with its outcome.
    pub(crate) fn close(mut self, failed: bool) {
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.answered(failed);
        }
    }
}
