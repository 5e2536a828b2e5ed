//! How much of the write-ahead log statements that change something may fill.
//!
//! No server says what one session writes while its statement runs: what the whole server writes meanwhile is counted,
//! so that a busy neighbour makes it stricter, never milder. A statement that goes over is cancelled.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use killick_model::database::Database;
use killick_model::{Code, Refusal};

use super::adapter::PostgresAdapter;
use super::cancel::send_cancel;
use super::engine::{End, Session};
use super::server::{Server, ServerError};
use crate::wire::backend;

/// How often it is looked at; a statement that is faster is not looked at at all.
const LOOK: Duration = Duration::from_millis(500);
/// Where the log stands, in bytes; on a standby, which writes none, nothing.
const POSITION: &str = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL \
    ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0') END";

/// What a transaction has filled of the log.
#[derive(Default)]
pub(crate) struct Wal {
    /// Bytes that the server wrote while its statements ran.
    bytes: u64,
    /// Whether that is more than the database allows; nothing of the transaction lasts then.
    over: bool,
}

impl Wal {
    /// Takes in where the log stood and stands; returns whether it is over now.
    fn grew(&mut self, from: u64, to: u64, bytes_max: u64) -> bool {
        self.bytes = self.bytes.saturating_add(to.saturating_sub(from));
        self.over |= self.bytes > bytes_max;
        self.over
    }
}

impl Session {
    /// Awaits what the server says to a statement that changes something, and looks at the log while it runs.
    pub(crate) async fn watched<T>(
        &mut self,
        what: impl AsyncFnOnce(&mut Server) -> Result<T, ServerError>,
    ) -> Result<T, End> {
        let bytes_max = self.database.limits.wal_bytes_max;
        let mut next = pin!(what(&mut self.server));
        let mut stood = None;
        loop {
            let look = async {
                if bytes_max == 0 || self.work.wal.over {
                    return std::future::pending().await;
                }
                tokio::time::sleep(LOOK).await;
                position(&self.adapter, &self.database).await
            };
            let stands = tokio::select! {
                answer = &mut next => return answer.map_err(End::from),
                gone = self.client.gone() => return Err(gone.into()),
                stands = look => stands,
            };
            if let (Some(from), Some(to)) = (stood, stands)
                && self.work.wal.grew(from, to, bytes_max)
            {
                send_cancel(&self.adapter, &self.cancel).await;
            }
            stood = stands.or(stood);
        }
    }

    /// Refuses what went over, if it did. A statement may have come to its end all the same.
    pub(crate) async fn over_wal(&mut self) -> Option<Refusal> {
        if !self.work.wal.over {
            return None;
        }
        let most = self.database.limits.wal_bytes_max >> 20;
        let why = format!(
            "the server wrote more than {most} MB of its log while the transaction's statements ran"
        );
        let mut refusal = self.refuse(Code::TooMany, why).await;
        refusal.not_done = "the statement was stopped; nothing of the transaction lasts".into();
        refusal.next_step =
            "Do it in smaller transactions, or ask your operator for a larger `--wal-max`".into();
        Some(refusal)
    }

    /// Passes the error of a statement on, or says in its place why the gateway stopped it.
    pub(crate) async fn pass_failure(&mut self, error: &Bytes) -> Result<(), End> {
        let Some(refusal) = self.over_wal().await else {
            return Ok(self.client.pass(error).await?);
        };
        let said = super::refusal::fields(&refusal);
        let (detail, hint) = (Some(said.detail.as_str()), Some(said.hint.as_str()));
        let out = self.client.output();
        backend::encode_error(out, "ERROR", said.sqlstate, &said.message, detail, hint);
        Ok(())
    }
}

/// Asks where the log stands; nothing where nobody says.
async fn position(adapter: &Arc<PostgresAdapter>, database: &Database) -> Option<u64> {
    let mut own = adapter.lend_own(database).await.ok()?;
    let found = own.ask(POSITION).await;
    adapter.give_back(database, own, found.is_ok());
    found.ok()?.into_iter().next()?.into_iter().next()??.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_adds_up_over_statements_and_a_log_that_begins_anew_counts_nothing() {
        let mut wal = Wal::default();
        assert!(!wal.grew(100, 600, 1000));
        assert!(!wal.grew(9000, 9400, 1000));
        assert!(!wal.grew(9400, 10, 1000));
        assert!(wal.grew(10, 200, 1000));
        assert!(wal.over);
    }
}
