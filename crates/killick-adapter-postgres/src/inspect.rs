//! The catalogue of each database, read over the session's own connection, kept as long as it holds.

use std::collections::HashMap;
use std::sync::Arc;

use killick_gate::Departure;
use killick_model::{UnixMillis, UpstreamName};
use killick_sql::catalogue::{Catalogue, read};
use parking_lot::RwLock;

use crate::session::server::{Server, ServerError};

/// How long a catalogue is believed without a look at its fingerprint, in milliseconds.
pub const CATALOGUE_MILLIS_MAX: u64 = 1_000;
/// Catalogues that are kept.
const KEPT_MAX: usize = 256;

/// Catalogues by database and fingerprint; the fingerprint names role and search path too.
#[derive(Default)]
pub struct Catalogues {
    kept: RwLock<HashMap<(UpstreamName, String), Arc<Catalogue>>>,
}

impl Catalogues {
    /// Forgets everything.
    pub fn forget_all(&self) {
        self.kept.write().clear();
    }
}

/// What a session knows of its database.
pub(crate) struct Known {
    catalogue: Arc<Catalogue>,
    fingerprint: String,
    checked: UnixMillis,
    /// Whether something was done that changes it.
    pub(crate) stale: bool,
}

impl Known {
    /// Reads what a session has to know.
    pub(crate) async fn read(
        catalogues: &Catalogues,
        database: &UpstreamName,
        server: &mut Server,
        on: &Departure,
        now: UnixMillis,
    ) -> Result<Self, ServerError> {
        let fingerprint = fingerprint(server, on, true).await?;
        let catalogue = load(catalogues, database, server, on, &fingerprint, true).await?;
        Ok(Self { catalogue, fingerprint, checked: now, stale: false })
    }

    /// Returns the catalogue.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue)
    }

    /// Returns whether it is time to look again.
    pub(crate) fn is_due(&self, now: UnixMillis) -> bool {
        self.stale || now.since_millis(self.checked) >= CATALOGUE_MILLIS_MAX
    }

    /// Looks whether the catalogue still holds, and reads it anew if not. `shared` says whether what is seen holds
    /// for other sessions too: inside of a transaction it may never come true.
    pub(crate) async fn renew(
        &mut self,
        catalogues: &Catalogues,
        database: &UpstreamName,
        server: &mut Server,
        on: &Departure,
        now: UnixMillis,
        shared: bool,
    ) -> Result<(), ServerError> {
        let found = fingerprint(server, on, shared).await?;
        if found != self.fingerprint {
            self.catalogue = load(catalogues, database, server, on, &found, shared).await?;
            self.fingerprint = found;
        }
        self.checked = now;
        self.stale = false;
        Ok(())
    }
}

/// What a session's names mean and as whom it runs, with nothing in it that the session's own search path could
/// stand something else for.
const PLACE: &str = "SELECT pg_catalog.current_schemas(false)::text, current_user::text";
/// Every name in a query of the inspector is the server's own: objects of the session's search path could stand for
/// functions and operators of the catalogue, and hide what is there.
const PIN: &str = "SET LOCAL search_path TO pg_catalog";

/// Runs queries with the server's own names, in a transaction or a savepoint that leaves no trace.
async fn pinned(
    server: &mut Server,
    on: &Departure,
    queries: &[&str],
    idle: bool,
) -> Result<Vec<Vec<Vec<Option<String>>>>, ServerError> {
    let (before, after): (&[&str], &[&str]) = if idle {
        (&["BEGIN READ ONLY", PIN], &["COMMIT"])
    } else {
        (
            &["SAVEPOINT _killick_look", PIN],
            &["ROLLBACK TO SAVEPOINT _killick_look", "RELEASE SAVEPOINT _killick_look"],
        )
    };
    let all: Vec<&str> = before.iter().chain(queries).chain(after).copied().collect();
    let mut answers = server.own_all(on, &all).await?;
    answers.truncate(before.len().saturating_add(queries.len()));
    Ok(answers.split_off(before.len().min(answers.len())))
}

fn text_of(rows: Vec<Vec<Option<String>>>) -> Option<String> {
    rows.into_iter().next().and_then(|row| row.into_iter().next().flatten())
}

async fn fingerprint(
    server: &mut Server,
    on: &Departure,
    idle: bool,
) -> Result<String, ServerError> {
    let place = server.own(on, PLACE).await?;
    let answers = pinned(server, on, &[read::FINGERPRINT], idle).await?;
    let found = answers.into_iter().next().and_then(text_of);
    match (place.into_iter().next().as_deref(), found) {
        (Some([Some(path), Some(role)]), Some(found)) => Ok(format!("{found}|{path}|{role}")),
        (_, _) => Err(ServerError::Nonsense("no fingerprint of the catalogue".into())),
    }
}

async fn load(
    catalogues: &Catalogues,
    database: &UpstreamName,
    server: &mut Server,
    on: &Departure,
    fingerprint: &str,
    idle: bool,
) -> Result<Arc<Catalogue>, ServerError> {
    let key = (database.clone(), fingerprint.to_owned());
    if let Some(kept) = catalogues.kept.read().get(&key) {
        return Ok(Arc::clone(kept));
    }
    // The search path itself is read before it is pinned.
    let Some((about, others)) = read::QUERIES.split_first() else {
        return Err(ServerError::Nonsense("the inspector has no queries".into()));
    };
    let mut answers = vec![text_of(server.own(on, about.sql).await?).unwrap_or_default()];
    let others: Vec<&str> = others.iter().map(|query| query.sql).collect();
    for rows in pinned(server, on, &others, idle).await? {
        answers.push(text_of(rows).unwrap_or_default());
    }
    let built = read::build(&answers).map_err(|error| ServerError::Nonsense(error.to_string()))?;
    let catalogue = Arc::new(built);
    // Inside of a transaction what is seen may never come true for others.
    if idle {
        let mut kept = catalogues.kept.write();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&catalogue));
    }
    Ok(catalogue)
}
