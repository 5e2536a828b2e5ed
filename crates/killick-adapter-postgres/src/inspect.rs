//! The catalogue of each database, read over the session's own connection, kept as long as it holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use killick_gate::Departure;
use killick_model::{UnixMillis, UpstreamName};
use killick_sql::catalogue::{Catalogue, read};
use parking_lot::{Mutex, RwLock};

use crate::session::epoch::{Epochs, Seen};
use crate::session::server::{Server, ServerError};

/// How long a catalogue is believed without a look at its fingerprint, in milliseconds.
pub const CATALOGUE_MILLIS_MAX: u64 = 1_000;
/// Catalogues that are kept.
const KEPT_MAX: usize = 256;

/// Catalogues by database and fingerprint; the fingerprint names role and search path too.
#[derive(Default)]
pub struct Catalogues {
    kept: RwLock<HashMap<(UpstreamName, String), Numbered>>,
    /// How many were read: each has a number of its own.
    read: AtomicU64,
    /// They stay when the rest is forgotten.
    epochs: RwLock<HashMap<UpstreamName, Arc<Epochs>>>,
}

/// A catalogue with a number that no other one has.
#[derive(Clone)]
struct Numbered {
    catalogue: Arc<Catalogue>,
    number: u64,
    /// What names mean under it, and as whom statements run.
    settings: Arc<BTreeMap<String, String>>,
    /// The relations that were locked when it was read: what hangs on them was not read, and is unrecognized.
    unread: Arc<str>,
    /// What any session outside of a transaction saw last, when its fingerprint still held: it says role and search
    /// path too, so that what one session saw holds for all that know the same.
    seen: Arc<Mutex<Seen>>,
}

impl Numbered {
    /// Returns whether something that was locked when it was read is locked no more.
    fn lacks_what_is_free(&self, locked: &str) -> bool {
        let is_locked = |number: &str| locked.split(',').any(|it| it == number);
        !self.unread.is_empty() && !self.unread.split(',').all(is_locked)
    }

    fn saw(&self, now: Seen) {
        let mut seen = self.seen.lock();
        // The last look counts, also where the clock was set back since.
        if now.ended >= seen.ended {
            *seen = now;
        }
    }
}

impl Catalogues {
    /// Forgets everything.
    pub fn forget_all(&self) {
        self.kept.write().clear();
    }

    /// Returns the epochs of a database's definitions.
    pub(crate) fn epochs(&self, database: &UpstreamName) -> Arc<Epochs> {
        if let Some(epochs) = self.epochs.read().get(database) {
            return Arc::clone(epochs);
        }
        Arc::clone(self.epochs.write().entry(database.clone()).or_default())
    }
}

/// What a session knows of its database.
pub(crate) struct Known {
    numbered: Numbered,
    fingerprint: String,
    /// What this session saw last. Inside of a transaction it may see what was, so that it speaks for itself alone.
    seen: Seen,
    epochs: Arc<Epochs>,
    /// Whether something was done that changes it.
    pub(crate) stale: bool,
    /// Whether it was seen inside of a transaction: with its end, or a part of it taken back, it may be what never was.
    alone: bool,
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
        let epochs = catalogues.epochs(database);
        let seen = epochs.look(now);
        let print = fingerprint(server, on, true).await?;
        let numbered = load(catalogues, database, server, on, &print, true).await?;
        let fingerprint = print.text;
        numbered.saw(seen);
        Ok(Self { numbered, fingerprint, seen, epochs, stale: false, alone: false })
    }

    /// Returns the catalogue.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.numbered.catalogue)
    }

    /// Returns the catalogue's number: what was judged by it is remembered under that.
    pub(crate) fn number(&self) -> u64 {
        self.numbered.number
    }

    /// Returns what an approval is bound to beside the statements.
    pub(crate) fn settings(&self) -> Arc<BTreeMap<String, String>> {
        Arc::clone(&self.numbered.settings)
    }

    /// Returns whether it is time to look again.
    pub(crate) fn is_due(&self, now: UnixMillis) -> bool {
        let Seen { at, ended, .. } = self.last_seen();
        self.stale
            || ended != self.epochs.ended()
            || now < at
            || now.since_millis(at) >= CATALOGUE_MILLIS_MAX
    }

    fn last_seen(&self) -> Seen {
        let others = *self.numbered.seen.lock();
        if (others.ended, others.at) > (self.seen.ended, self.seen.at) { others } else { self.seen }
    }

    /// Returns the epoch of the definitions that the catalogue stands for.
    pub(crate) fn epoch(&self) -> u64 {
        self.last_seen().sure
    }

    /// Returns whether definitions are what they were in an epoch.
    pub(crate) fn holds(&self, epoch: u64) -> bool {
        self.epochs.holds(epoch)
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
        let seen = self.epochs.look(now);
        let found = fingerprint(server, on, shared).await?;
        if found.text != self.fingerprint || self.numbered.lacks_what_is_free(&found.locked) {
            self.numbered = load(catalogues, database, server, on, &found, shared).await?;
            self.fingerprint = found.text;
        }
        self.seen = seen;
        if shared {
            self.numbered.saw(seen);
        }
        self.stale = false;
        self.alone = !shared;
        Ok(())
    }

    /// Takes in that a transaction, or a part of it, is over.
    pub(crate) fn is_over(&mut self) {
        self.stale |= self.alone;
    }
}

/// What a session's names mean and as whom it runs, with nothing in it that the session's own search path could
/// stand something else for.
const PLACE: &str = "SELECT pg_catalog.current_schemas(false)::pg_catalog.text, current_user::pg_catalog.text, \
    pg_catalog.pg_my_temp_schema()::pg_catalog.text";
/// Every name in a query of the inspector is the server's own: objects of the session's search path could stand for
/// functions and operators of the catalogue, and hide what is there. What is temporary stands first unless it is listed.
const PIN: &str = "SET LOCAL search_path TO pg_catalog, pg_temp";
/// A lock that somebody takes between two looks is not waited for long.
const IMPATIENT: &str = "SET LOCAL lock_timeout TO '500ms'";
/// How often a catalogue is read while others lock its tables.
const READS_MAX: u32 = 4;

/// Runs queries with the server's own names, in a transaction or a savepoint that leaves no trace.
async fn pinned(
    server: &mut Server,
    on: &Departure,
    queries: &[&str],
    idle: bool,
) -> Result<Vec<Vec<Vec<Option<String>>>>, ServerError> {
    let (before, after): (&[&str], &[&str]) = if idle {
        (&["BEGIN READ ONLY", PIN, IMPATIENT], &["COMMIT"])
    } else {
        (
            &["SAVEPOINT _killick_look", PIN, IMPATIENT],
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

/// What tells one catalogue from another, and what of it cannot be read now.
struct Print {
    text: String,
    locked: String,
}

async fn fingerprint(
    server: &mut Server,
    on: &Departure,
    idle: bool,
) -> Result<Print, ServerError> {
    let place = server.own(on, PLACE).await?;
    let mut answers = pinned(server, on, &[read::FINGERPRINT, read::LOCKED], idle).await?;
    let locked = answers.pop().and_then(text_of);
    let found = answers.pop().and_then(text_of);
    match (place.into_iter().next().as_deref(), found, locked) {
        (Some([Some(path), Some(role), Some(temporary)]), Some(found), Some(locked)) => {
            Ok(Print { text: format!("{found}|{path}|{role}|{temporary}"), locked })
        }
        (_, _, _) => Err(ServerError::Nonsense("no fingerprint of the catalogue".into())),
    }
}

async fn load(
    catalogues: &Catalogues,
    database: &UpstreamName,
    server: &mut Server,
    on: &Departure,
    print: &Print,
    idle: bool,
) -> Result<Numbered, ServerError> {
    let whole = (database.clone(), print.text.clone());
    let beside = (database.clone(), format!("{}|{}", print.text, print.locked));
    let kept = |key| catalogues.kept.read().get(key).cloned();
    if let Some(kept) = kept(&whole).or_else(|| kept(&beside)) {
        return Ok(kept);
    }
    let (answers, unread) = ask_all(server, on, &print.locked, idle).await?;
    let built = read::build(&answers).map_err(|error| ServerError::Nonsense(error.to_string()))?;
    let number = catalogues.read.fetch_add(1, Ordering::Relaxed);
    let settings = Arc::new(BTreeMap::from([
        ("role".to_owned(), built.role.clone()),
        ("search_path".to_owned(), built.search_path.join(",")),
    ]));
    let key =
        if unread.is_empty() { whole } else { (beside.0, format!("{}|{unread}", print.text)) };
    let (catalogue, unread) = (Arc::new(built), unread.into());
    let numbered = Numbered { catalogue, number, settings, unread, seen: Arc::default() };
    // Inside of a transaction what is seen may never come true for others.
    if idle {
        let mut kept = catalogues.kept.write();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, numbered.clone());
    }
    Ok(numbered)
}

/// Asks for all that a catalogue is built from, but for what hangs on relations that somebody has locked; returns the
/// answers and those relations.
async fn ask_all(
    server: &mut Server,
    on: &Departure,
    locked: &str,
    idle: bool,
) -> Result<(Vec<String>, String), ServerError> {
    // The search path itself is read before it is pinned.
    let Some((about, others)) = read::QUERIES.split_first() else {
        return Err(ServerError::Nonsense("the inspector has no queries".into()));
    };
    let first = text_of(server.own(on, about.sql).await?).unwrap_or_default();
    let mut locked = locked.to_owned();
    for left in (0..READS_MAX).rev() {
        let others: Vec<_> = others.iter().map(|it| read::beside(it.sql, &locked)).collect();
        let texts: Vec<&str> = others.iter().map(AsRef::as_ref).collect();
        match pinned(server, on, &texts, idle).await {
            Ok(answers) => {
                let others = answers.into_iter().map(|rows| text_of(rows).unwrap_or_default());
                return Ok((std::iter::once(first).chain(others).collect(), locked));
            }
            // Somebody locked a table meanwhile.
            Err(ServerError::Refused { sqlstate, .. }) if left > 0 && sqlstate == "55P03" => {
                let found = pinned(server, on, &[read::LOCKED], idle).await?;
                locked = found.into_iter().next().and_then(text_of).unwrap_or_default();
            }
            Err(error) => return Err(error),
        }
    }
    Err(ServerError::Nonsense("the catalogue cannot be read".into()))
}
