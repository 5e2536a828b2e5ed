//! A connection of the gateway's own to a declared database: to look, to keep, to put back. Never an agent's.

use std::collections::BTreeMap;
use std::sync::Arc;

use killick_gate::{Departure, ErrandKind, InFlight};
use killick_model::database::Database;
use killick_model::{BackupsFate, Effect, Part, Recovery, Refusal};

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
    in_flight: Option<InFlight>,
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
        let writes = if effect.is_only_read() { "on" } else { "off" };
        let parameters = vec![
            ("application_name".to_owned(), "killick".to_owned()),
            (
                "options".to_owned(),
                format!("{OWN_OPTIONS} -c default_transaction_read_only={writes}"),
            ),
        ];
        match log_in_at(adapter, database, &departure, &parameters).await {
            Ok(LoggedIn { stream, leftover, parameters, .. }) => {
                let server = Server::new(stream, leftover, parameters);
                Ok(Self { server, departure, in_flight: Some(in_flight) })
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
