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
        let fingerprint = fingerprint(server, on).await?;
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
        let found = fingerprint(server, on).await?;
        if found != self.fingerprint {
            self.catalogue = load(catalogues, database, server, on, &found, shared).await?;
            self.fingerprint = found;
        }
        self.checked = now;
        self.stale = false;
        Ok(())
    }
}

async fn fingerprint(server: &mut Server, on: &Departure) -> Result<String, ServerError> {
    let sql = format!(
        "SELECT concat_ws('|', ({}), current_schemas(false)::text, current_user::text)",
        read::FINGERPRINT
    );
    let rows = server.own(on, &sql).await?;
    rows.into_iter()
        .next()
        .and_then(|row| row.into_iter().next().flatten())
        .ok_or_else(|| ServerError::Nonsense("no fingerprint of the catalogue".into()))
}

async fn load(
    catalogues: &Catalogues,
    database: &UpstreamName,
    server: &mut Server,
    on: &Departure,
    fingerprint: &str,
    shared: bool,
) -> Result<Arc<Catalogue>, ServerError> {
    let key = (database.clone(), fingerprint.to_owned());
    if let Some(kept) = catalogues.kept.read().get(&key) {
        return Ok(Arc::clone(kept));
    }
    let mut answers = Vec::with_capacity(read::QUERIES.len());
    for query in read::QUERIES {
        let rows = server.own(on, query.sql).await?;
        let text = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
        answers.push(text.unwrap_or_default());
    }
    let built = read::build(&answers).map_err(|error| ServerError::Nonsense(error.to_string()))?;
    let catalogue = Arc::new(built);
    if shared {
        let mut kept = catalogues.kept.write();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&catalogue));
    }
    Ok(catalogue)
}
