//! A whole database: dumped off-site by the server's own tools, restored into a scratch server, looked at.
//!
//! `pg_dump` never holds the password: it speaks to the gateway at a socket that nobody else is let in at, and the
//! gateway, logged in at the server, passes the bytes on.

mod counts;
mod rehearse;
mod relay;
mod restore;
mod take;

use std::sync::Arc;

use killick_gate::ports::BoxFuture;
use killick_gate::wholes::{Progress, SnapshotAsk, Wholes};
use killick_model::point::PointInfo;
use killick_model::rehearsal::{Rehearsal, Restored};
use killick_model::{EnvironmentName, ObjectRef, UpstreamName};

use crate::PostgresAdapter;

/// The stream of a point that holds the dump.
const DUMP: &str = "dump";
/// The version of what a snapshot's manifest says.
const MANIFEST_VERSION: u32 = 1;
/// Tables whose rows are counted; a database with more is not taken.
pub const TABLES_MAX: usize = 20_000;
/// How long one snapshot or rehearsal may take.
pub const SNAPSHOT_HOURS_MAX: u64 = 12;

/// Databases that can be copied whole.
pub struct Snapshots(pub(crate) Arc<PostgresAdapter>);

impl Snapshots {
    /// Returns the databases of an adapter.
    #[must_use]
    pub fn of(adapter: &Arc<PostgresAdapter>) -> Arc<dyn Wholes> {
        Arc::new(Self(Arc::clone(adapter)))
    }
}

impl Wholes for Snapshots {
    fn names(&self) -> Vec<UpstreamName> {
        self.0.declared().iter().map(|database| database.name.clone()).collect()
    }

    fn living_on(&self, object: &ObjectRef) -> Vec<(UpstreamName, EnvironmentName)> {
        let same = |on: &ObjectRef| {
            on.upstream == object.upstream && on.kind == object.kind && on.id == object.id
        };
        let all = self.0.declared();
        let living = all.iter().filter(|it| it.lives_on.as_ref().is_some_and(same));
        living.map(|it| (it.name.clone(), it.environment.clone())).collect()
    }

    fn snapshot<'a>(
        &'a self,
        name: &'a UpstreamName,
        ask: SnapshotAsk,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<PointInfo, String>> {
        Box::pin(in_time(take::take(&self.0, name, ask, progress)))
    }

    fn rehearse<'a>(
        &'a self,
        point: &'a PointInfo,
        by: Option<String>,
        assertions: &'a str,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<Rehearsal, String>> {
        Box::pin(in_time(rehearse::rehearse(&self.0, point, by, assertions, progress)))
    }

    fn restore<'a>(
        &'a self,
        point: &'a PointInfo,
        into: &'a str,
        by: Option<String>,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<Restored, String>> {
        Box::pin(in_time(restore::restore(&self.0, point, into, by, progress)))
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let limit = std::time::Duration::from_secs(SNAPSHOT_HOURS_MAX * 3_600);
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(format!("it was not done within {SNAPSHOT_HOURS_MAX} hours")))
}

/// What `pg_restore` ends with where all that it complains of is what it sets since version 17 and an older server does
/// not know.
const TOO_OLD: &str = "pg_restore: error: could not execute query: ERROR: unrecognized configuration parameter \
    \"transaction_timeout\" Command was: SET transaction_timeout = 0; pg_restore: warning: errors ignored on restore: 1";

/// Takes a complaint of `pg_restore` for what it is: one that says nothing but that the server is too old for a setting
/// has restored everything.
fn restored(said: Result<String, String>) -> Result<String, String> {
    said.or_else(|why| {
        let only = why.ends_with(TOO_OLD) && why.matches("pg_restore: error:").count() == 1;
        if only { Ok(String::new()) } else { Err(why) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_the_server_is_too_old_for_is_no_failure_and_everything_else_is() {
        let old = "pg_restore: error: could not execute query: ERROR: unrecognized configuration parameter \
            \"transaction_timeout\" Command was: SET transaction_timeout = 0; pg_restore: warning: errors ignored on \
            restore: 1";
        assert_eq!(restored(Err(old.into())), Ok(String::new()));
        assert_eq!(restored(Ok("fine".into())), Ok("fine".into()));
        for other in [
            old.replace("restore: 1", "restore: 2"),
            old.replace("transaction_timeout", "lock_timeout"),
            format!("pg_restore: error: could not execute query: ERROR: no such table {old}"),
            old.replace("SET transaction_timeout = 0;", "COPY public.orders FROM stdin;"),
            "pg_restore: error: out of memory".to_owned(),
        ] {
            assert_eq!(restored(Err(other.clone())), Err(other));
        }
    }
}
