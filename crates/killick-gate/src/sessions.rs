//! Live sessions: who holds a token, for how long, and on which lifeline.

use std::collections::HashMap;
use std::sync::Arc;

use killick_model::admin::{ScramVerifier, Session};
use killick_model::{Code, Principal, SessionId, UnixMillis};
use parking_lot::RwLock;

use crate::freeze::{Lifeline, Standings};
use crate::ids;
use crate::ports::TokenHash;

/// A session whose token was shown.
#[derive(Clone, Debug)]
pub struct LiveSession {
    /// Who it is.
    pub principal: Arc<Principal>,
    /// What its permits and streams hang on.
    pub lifeline: Lifeline,
}

/// Every open session, by the hash of its token.
#[derive(Debug, Default)]
pub struct Sessions {
    by_token: RwLock<HashMap<TokenHash, Arc<LiveSession>>>,
    verifiers: RwLock<HashMap<SessionId, ScramVerifier>>,
}

impl Sessions {
    /// Takes a session in.
    pub fn admit(&self, session: &Session, token: TokenHash, standings: &Standings) {
        if session.closed.is_some() {
            return;
        }
        let lifeline = standings.lifeline(&session.principal.agent, &session.principal.chain);
        let live =
            Arc::new(LiveSession { principal: Arc::new(session.principal.clone()), lifeline });
        if let Some(verifier) = &session.verifier {
            self.verifiers.write().insert(session.principal.session.clone(), verifier.clone());
        }
        self.by_token.write().insert(token, live);
    }

    /// Returns what checks the token of an open session in an exchange that does not show it.
    #[must_use]
    pub fn verifier(&self, id: &SessionId) -> Option<ScramVerifier> {
        self.verifiers.read().get(id).cloned()
    }

    /// Finds the open session whose token was proven by its verifier.
    ///
    /// # Errors
    /// There is no such session, it has ended, or its agent is frozen.
    pub fn proven(&self, id: &SessionId, now: UnixMillis) -> Result<Arc<LiveSession>, Code> {
        let live = self.by_id(id).ok_or(Code::NoSession)?;
        if live.principal.expires <= now {
            return Err(Code::SessionEnded);
        }
        live.lifeline.check()?;
        Ok(live)
    }

    /// Finds the session of a token.
    ///
    /// # Errors
    /// Nobody has the token, or the session has ended, or its agent is frozen.
    pub fn authenticate(&self, token: &[u8], now: UnixMillis) -> Result<Arc<LiveSession>, Code> {
        let hash = ids::token_hash(token);
        let Some(live) = self.by_token.read().get(&hash).cloned() else {
            return Err(Code::NoSession);
        };
        if live.principal.expires <= now {
            return Err(Code::SessionEnded);
        }
        // A thawed agent's session lives again; what was permitted before does not.
        let renewed = live.lifeline.renewed();
        renewed.check()?;
        Ok(Arc::new(LiveSession { principal: live.principal.clone(), lifeline: renewed }))
    }

    /// Finds an open session by its id, for calls that were parked.
    #[must_use]
    pub fn by_id(&self, id: &SessionId) -> Option<Arc<LiveSession>> {
        let map = self.by_token.read();
        let live = map.values().find(|live| live.principal.session == *id)?;
        Some(Arc::new(LiveSession {
            principal: live.principal.clone(),
            lifeline: live.lifeline.renewed(),
        }))
    }

    /// Forgets a session and every one below it; returns which.
    pub fn dismiss(&self, id: &SessionId) -> Vec<SessionId> {
        let mut gone = Vec::new();
        self.by_token.write().retain(|_, live| {
            let below = live.principal.chain.contains(id);
            if below {
                gone.push(live.principal.session.clone());
            }
            !below
        });
        self.verifiers.write().retain(|session, _| !gone.contains(session));
        gone
    }

    /// Returns how many sessions are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_token.read().len()
    }

    /// Returns whether no session is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
