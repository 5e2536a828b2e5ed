//! How much of the write-ahead log a transaction may fill.
//!
//! No server says what one session writes while it runs: what the whole server writes is counted, from shortly after the
//! first statement that changes something, so that a busy neighbour makes it stricter, never milder. A statement that
//! runs when it is over is cancelled, and nothing of the transaction lasts.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use killick_model::database::Database;
use killick_model::{Code, Refusal, UnixMillis};
use tokio::task::JoinHandle;

use super::adapter::PostgresAdapter;
use super::cancel::send_cancel;
use super::engine::{End, Session};
use super::server::{Server, ServerError};
use crate::wire::backend;

/// How often it is looked at; a transaction that is faster is not looked at at all.
const LOOK_MILLIS: u64 = 500;
/// How long an answer waits for a look, with all connections beside the session in use or a login that takes long.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// Where the log stands, in bytes; on a standby, which writes none, nothing.
const POSITION: &str = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL \
    ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0') END";

/// What a transaction has filled of the log.
#[derive(Default)]
pub(crate) struct Wal {
    /// Bytes that the server wrote while it was open.
    bytes: u64,
    /// Whether that is more than the database allows; nothing of the transaction lasts then.
    over: bool,
    /// Where the log stood when it was last looked at.
    stood: Option<u64>,
    /// When it is looked at next.
    due: Option<UnixMillis>,
    /// When what runs was last cancelled for it.
    cancelled: Option<UnixMillis>,
    /// The look under way. It goes on where nobody could wait for it, so that a slow login is not begun anew each time.
    under_way: Option<JoinHandle<Option<u64>>>,
}

impl Wal {
    /// Takes in where the log stands.
    fn stands(&mut self, to: u64, bytes_max: u64) {
        let from = self.stood.replace(to).unwrap_or(to);
        self.bytes = self.bytes.saturating_add(to.saturating_sub(from));
        self.over |= self.bytes > bytes_max;
    }

    /// Looks where the log stands, or goes on with the look under way. Cancel-safe.
    async fn look(
        &mut self,
        adapter: &Arc<PostgresAdapter>,
        database: &Arc<Database>,
    ) -> Option<u64> {
        let look = self.under_way.get_or_insert_with(|| {
            let (adapter, database) = (Arc::clone(adapter), Arc::clone(database));
            tokio::spawn(async move { position(&adapter, &database).await })
        });
        let found = look.await;
        self.under_way = None;
        found.ok().flatten()
    }

    /// Looks, for no longer than an answer may wait.
    async fn look_in_time(
        &mut self,
        adapter: &Arc<PostgresAdapter>,
        database: &Arc<Database>,
    ) -> Option<u64> {
        tokio::time::timeout(LOOK_MAX, self.look(adapter, database)).await.ok().flatten()
    }

    /// Takes in what a look found, if anything.
    fn looked(&mut self, stands: Option<u64>, bytes_max: u64) {
        self.due = None;
        if let Some(to) = stands {
            self.stands(to, bytes_max);
        }
    }

    /// Returns whether what runs is to be cancelled now: every so often as long as it runs, since one request may get
    /// lost.
    fn cancels(&mut self, now: UnixMillis) -> bool {
        let lately = self.cancelled.is_some_and(|at| now.since_millis(at) < LOOK_MILLIS);
        let due = self.over && !lately;
        if due {
            self.cancelled = Some(now);
        }
        due
    }

    fn is_due(&self, now: UnixMillis) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Returns when it is looked at next: from the first statement that changes something on, whatever answers come.
    fn next_look(&mut self, now: UnixMillis) -> UnixMillis {
        *self.due.get_or_insert_with(|| now.plus_millis(LOOK_MILLIS))
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
        loop {
            let now = self.adapter.gate.now();
            let wal = &mut self.work.wal;
            let left = wal.next_look(now).since_millis(now);
            let look = async {
                if bytes_max == 0 {
                    return std::future::pending().await;
                }
                tokio::time::sleep(Duration::from_millis(left)).await;
                if wal.over { None } else { wal.look(&self.adapter, &self.database).await }
            };
            let stands = tokio::select! {
                answer = &mut next => {
                    // Short statements would put it off for ever.
                    let wal = &mut self.work.wal;
                    if bytes_max > 0 && !wal.over && wal.is_due(self.adapter.gate.now()) {
                        let stands = wal.look_in_time(&self.adapter, &self.database).await;
                        wal.looked(stands, bytes_max);
                    }
                    return answer.map_err(End::from);
                }
                gone = self.client.gone() => return Err(gone.into()),
                stands = look => stands,
            };
            self.work.wal.looked(stands, bytes_max);
            if self.work.wal.cancels(self.adapter.gate.now()) {
                send_cancel(&self.adapter, &self.cancel).await;
            }
        }
    }

    /// Looks where the log stands, when it is time, while a statement that changes something goes on.
    pub(crate) async fn look_if_due(&mut self) {
        let bytes_max = self.database.limits.wal_bytes_max;
        let now = self.adapter.gate.now();
        let wal = &mut self.work.wal;
        if bytes_max == 0 {
            return;
        }
        if !wal.over && wal.next_look(now) <= now {
            let stands = wal.look_in_time(&self.adapter, &self.database).await;
            wal.looked(stands, bytes_max);
        }
        if wal.cancels(self.adapter.gate.now()) {
            send_cancel(&self.adapter, &self.cancel).await;
        }
    }

    /// Looks once more where the log stands, at the end of a transaction in which it was looked at before.
    pub(crate) async fn last_look(&mut self) {
        if self.work.wal.stood.is_some() && !self.work.wal.over {
            let bytes_max = self.database.limits.wal_bytes_max;
            // One that is under way may have looked long ago.
            let looks = if self.work.wal.under_way.is_some() { 2 } else { 1 };
            for _ in 0..looks {
                let stands = self.work.wal.look_in_time(&self.adapter, &self.database).await;
                self.work.wal.looked(stands, bytes_max);
            }
        }
    }

    /// Refuses what went over, if it did. A statement may have come to its end all the same.
    pub(crate) async fn over_wal(&mut self) -> Option<Refusal> {
        if !self.work.wal.over {
            return None;
        }
        let most = self.database.limits.wal_bytes_max >> 20;
        let why = format!(
            "the server wrote more than {most} MB of its log while the transaction was open"
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
        for (at, over) in [(9000, false), (9500, false), (9900, false), (10, false), (120, true)] {
            wal.stands(at, 1000);
            assert_eq!(wal.over, over, "{at}");
        }
    }

    #[test]
    fn what_goes_on_is_cancelled_again_and_again() {
        let at = |millis| UnixMillis::default().plus_millis(millis);
        let mut wal = Wal::default();
        assert!(!wal.cancels(at(1)), "it is not over");
        wal.over = true;
        let asked = [1, 2, 1 + LOOK_MILLIS, 2 + LOOK_MILLIS].map(|millis| wal.cancels(at(millis)));
        assert_eq!(asked, [true, false, true, false]);
    }
}
