//! What the vault answers from memory, so that no call waits for a disk to be recognised.

use std::collections::{HashMap, HashSet};

use killick_gate::ports::{StoreError, TokenHash};
use killick_model::admin::{CredentialInfo, Injection};
use killick_model::{CredentialName, SessionId, UpstreamName};
use rusqlite::Transaction;
use zeroize::Zeroizing;

use crate::database::{from_text, rows, shut};
use crate::seal::{Mark, MarkKey, Place, SealKey};
use crate::vault::leak::LeakScan;

/// A stored credential with its value in the clear; the value is wiped on drop.
pub(crate) struct Held {
    pub(crate) info: CredentialInfo,
    pub(crate) value: Zeroizing<Vec<u8>>,
}

impl Held {
    /// Returns the part that is secret: for Basic the password, else all of it.
    pub(crate) fn secret(&self) -> &[u8] {
        secret_part(&self.info.injection, &self.value)
    }
}

/// Returns the part of a value that is secret: for Basic what follows the first colon, else all of it.
pub(crate) fn secret_part<'a>(injection: &Injection, value: &'a [u8]) -> &'a [u8] {
    match injection {
        Injection::Basic => {
            let colon = value.iter().position(|byte| *byte == b':');
            colon.and_then(|at| value.get(at.saturating_add(1)..)).unwrap_or(value)
        }
        Injection::Bearer
        | Injection::Header(_)
        | Injection::Query(_)
        | Injection::Cookie(_)
        | Injection::Password => value,
    }
}

/// What stands behind a mark of a stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// A human registered it as the agent's own.
    Own(UpstreamName),
    /// An agent must not hold it.
    Kept,
}

/// The maps.
pub(crate) struct Memory {
    tokens: HashMap<Mark, SessionId>,
    surrogates: HashMap<Mark, (SessionId, CredentialName)>,
    derived: HashMap<SessionId, HashMap<Mark, String>>,
    foreign: HashSet<Mark>,
    stored: HashMap<Mark, Stored>,
    held: Vec<Held>,
    leaks: LeakScan,
}

impl Memory {
    pub(crate) fn load(
        tx: &Transaction<'_>,
        key: &SealKey,
        marks: &MarkKey,
    ) -> Result<Self, StoreError> {
        let held = load_held(tx, key)?;
        let mut stored = HashMap::new();
        for one in &held {
            let what =
                if one.info.own { Stored::Own(one.info.upstream.clone()) } else { Stored::Kept };
            for value in [one.value.as_slice(), one.secret()] {
                let mark = marks.mark(value);
                // The same value stored twice, once as own: the stricter reading wins.
                if stored.get(&mark) != Some(&Stored::Kept) {
                    stored.insert(mark, what.clone());
                }
            }
        }
        let leaks = LeakScan::new(&held)?;
        let mut derived: HashMap<SessionId, HashMap<Mark, String>> = HashMap::new();
        for (session, host, mark) in load_derived(tx)? {
            derived.entry(session).or_default().insert(mark, host);
        }
        Ok(Self {
            tokens: load_tokens(tx)?,
            surrogates: load_surrogates(tx)?,
            derived,
            foreign: rows(tx, "SELECT mark FROM foreign_seen", [], |row| row.get(0).map(Mark))?
                .into_iter()
                .collect(),
            stored,
            held,
            leaks,
        })
    }

    pub(crate) fn token(&self, hash: &Mark) -> Option<&SessionId> {
        self.tokens.get(hash)
    }

    pub(crate) fn surrogate(&self, mark: &Mark) -> Option<&(SessionId, CredentialName)> {
        self.surrogates.get(mark)
    }

    pub(crate) fn stored(&self, mark: &Mark) -> Option<&Stored> {
        self.stored.get(mark)
    }

    pub(crate) fn is_foreign(&self, mark: &Mark) -> bool {
        self.foreign.contains(mark)
    }

    pub(crate) fn derived(&self, session: &SessionId, mark: &Mark) -> Option<&str> {
        self.derived.get(session)?.get(mark).map(String::as_str)
    }

    pub(crate) fn held(&self) -> &[Held] {
        &self.held
    }

    pub(crate) fn holds_leak(&self, bytes: &[u8]) -> bool {
        self.leaks.finds(bytes)
    }

    pub(crate) fn add_token(&mut self, token: &TokenHash, session: &SessionId) {
        self.tokens.insert(Mark(*token), session.clone());
    }

    pub(crate) fn add_foreign(&mut self, mark: Mark, forgotten: &[Mark]) {
        self.foreign.insert(mark);
        for mark in forgotten {
            self.foreign.remove(mark);
        }
    }

    pub(crate) fn add_derived(
        &mut self,
        session: &SessionId,
        host: &str,
        mark: Mark,
        forgotten: &[(SessionId, Mark)],
    ) {
        self.derived.entry(session.clone()).or_default().insert(mark, host.to_owned());
        for (session, mark) in forgotten {
            if let Some(marks) = self.derived.get_mut(session) {
                marks.remove(mark);
            }
        }
    }

    pub(crate) fn forget_session(&mut self, session: &SessionId) {
        self.tokens.retain(|_, of| of != session);
        self.surrogates.retain(|_, (of, _)| of != session);
        self.derived.remove(session);
    }
}

fn load_held(tx: &Transaction<'_>, key: &SealKey) -> Result<Vec<Held>, StoreError> {
    let found = rows(tx, "SELECT name, row, value FROM credentials ORDER BY name", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?))
    })?;
    found
        .into_iter()
        .map(|(name, text, sealed)| {
            let info: CredentialInfo = from_text("credentials", &text)?;
            // The name that the value is bound to is the one that the row claims, too.
            if info.name.as_str() != name {
                return Err(shut(crate::seal::SealError::Shut));
            }
            let place = Place { table: "credentials", id: &name };
            Ok(Held { info, value: key.open(place, &sealed).map_err(shut)? })
        })
        .collect()
}

fn load_tokens(tx: &Transaction<'_>) -> Result<HashMap<Mark, SessionId>, StoreError> {
    let found = rows(tx, "SELECT token, id FROM sessions", [], |row| {
        Ok((row.get::<_, TokenHash>(0)?, row.get::<_, String>(1)?))
    })?;
    found.into_iter().map(|(token, id)| Ok((Mark(token), session(&id)?))).collect()
}

fn load_surrogates(
    tx: &Transaction<'_>,
) -> Result<HashMap<Mark, (SessionId, CredentialName)>, StoreError> {
    let found = rows(tx, "SELECT mark, session, credential FROM surrogates", [], |row| {
        Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    })?;
    found
        .into_iter()
        .map(|(mark, of, credential)| {
            let credential = CredentialName::parse(&credential)
                .map_err(|_| StoreError::Failed("a row of `surrogates` cannot be read".into()))?;
            Ok((Mark(mark), (session(&of)?, credential)))
        })
        .collect()
}

fn load_derived(tx: &Transaction<'_>) -> Result<Vec<(SessionId, String, Mark)>, StoreError> {
    let found = rows(tx, "SELECT session, host, mark FROM derived", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, [u8; 32]>(2)?))
    })?;
    found.into_iter().map(|(of, host, mark)| Ok((session(&of)?, host, Mark(mark)))).collect()
}

pub(crate) fn session(id: &str) -> Result<SessionId, StoreError> {
    SessionId::parse(id).map_err(|_| StoreError::Failed("a session's id cannot be read".into()))
}
