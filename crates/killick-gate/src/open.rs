//! Opening, narrowing and closing sessions; freezing and thawing agents. On the record before the effect.

use killick_model::admin::{ScramVerifier, Session, Standing};
use killick_model::record::{Draft, Kind};
use killick_model::{AgentName, Code, Principal, Refusal, Scope, SessionId};
use zeroize::Zeroizing;

use crate::gate::{Blocking, Gate, record_refusal, store_refusal};
use crate::ids;
use crate::ports::StoreError;
use crate::sessions::LiveSession;

/// Sessions that one agent may have open. The next one is refused.
pub const SESSIONS_PER_AGENT_MAX: usize = 256;

/// A fresh session with its token, shown once.
pub struct Opened {
    /// The session.
    pub session: Session,
    /// Its token.
    pub token: Zeroizing<String>,
}

impl Gate {
    /// Opens a session for a principal whose facts were checked by the caller; its id is made here.
    ///
    /// # Errors
    /// The record or the store fails, or the agent has too many sessions.
    pub async fn open_session(
        &self,
        principal: Principal,
        by: Option<String>,
    ) -> Result<Opened, Refusal> {
        let token = ids::session_token()
            .map_err(|error| Refusal::new(Code::DecisionFailed, error.to_string()))?;
        let opened = self.now();
        let agent = principal.agent.clone();
        let open = self
            .on_store(|store| store.sessions())
            .await
            .map_err(|error| store_refusal(&error))?
            .iter()
            .filter(|(session, _)| {
                session.principal.agent == agent
                    && session.closed.is_none()
                    && session.principal.expires > opened
            })
            .count();
        if open >= SESSIONS_PER_AGENT_MAX {
            return Err(Refusal::new(
                Code::TooMany,
                format!("the agent has {open} sessions open, at most {SESSIONS_PER_AGENT_MAX}"),
            ));
        }
        let mut salt = [0_u8; 16];
        ids::fill(&mut salt)
            .map_err(|error| Refusal::new(Code::DecisionFailed, error.to_string()))?;
        let verifier = Some(ScramVerifier::of(token.as_bytes(), &salt));
        let session = Session { principal, opened, closed: None, verifier };
        let mut entry = Draft::new(Kind::Session).of_principal(&session.principal);
        entry.by = by;
        entry.verdict = Some("opened".into());
        entry.environment = Some(session.principal.environment.to_string());
        entry.details = serde_json::json!({
            "task": session.principal.task, "expires": session.principal.expires,
            "scope": session.principal.scope, "fence": session.principal.fence,
        });
        self.note(entry).await.map_err(|error| record_refusal(&error))?;
        let hash = ids::token_hash(token.as_bytes());
        let kept = session.clone();
        self.on_store(move |store| store.session_add(&kept, &hash))
            .await
            .map_err(|error| store_refusal(&error))?;
        self.sessions().admit(&session, hash, self.standings());
        Ok(Opened { session, token })
    }

    /// Opens a session below another: never wider, never longer.
    ///
    /// # Errors
    /// The chain is too deep, what is asked is not within the parent, or record or store fail.
    pub async fn open_narrower(
        &self,
        live: &LiveSession,
        asked: &Scope,
        ttl_millis: Option<u64>,
        task: Option<String>,
    ) -> Result<Opened, Refusal> {
        let parent = &live.principal;
        live.lifeline
            .check()
            .map_err(|code| Refusal::new(code, "the session may not open another one"))?;
        if parent.chain.len() >= Principal::CHAIN_LEN_MAX {
            return Err(Refusal::new(
                Code::TooMany,
                format!("sessions nest at most {} deep", Principal::CHAIN_LEN_MAX),
            ));
        }
        let scope = parent.scope.narrowed_by(asked);
        let wider = !asked.effects.is_subset(&parent.scope.effects)
            || wider(asked.upstreams.as_ref(), parent.scope.upstreams.as_ref())
            || wider(asked.objects.as_ref(), parent.scope.objects.as_ref());
        if wider {
            return Err(Refusal::new(
                Code::OutOfScope,
                "a session below this one cannot do more than this one",
            ));
        }
        let session = ids::session_id()
            .map_err(|error| Refusal::new(Code::DecisionFailed, error.to_string()))?;
        let mut chain = parent.chain.clone();
        chain.push(session.clone());
        let ends = ttl_millis.map_or(parent.expires, |ttl| self.now().plus_millis(ttl));
        let mut task = task.unwrap_or_else(|| parent.task.clone());
        let cut = task.floor_char_boundary(Principal::TASK_BYTES_MAX);
        task.truncate(cut);
        let principal = Principal {
            session,
            chain,
            scope,
            expires: ends.min(parent.expires),
            task,
            ..parent.as_ref().clone()
        };
        self.open_session(principal, Some(format!("session {}", parent.session))).await
    }

    /// Closes a session and every one below it, at once, on open connections too.
    ///
    /// # Errors
    /// The store fails; the session is dead in this process all the same.
    pub async fn close_session(
        &self,
        id: &SessionId,
        by: Option<String>,
    ) -> Result<Vec<SessionId>, StoreError> {
        // Safety first: the effect of closing does not wait for the record.
        self.standings().end_session(id);
        let gone = self.sessions().dismiss(id);
        let mut entry = Draft::new(Kind::Session);
        entry.by = by;
        entry.verdict = Some("closed".into());
        entry.details = serde_json::json!({ "session": id, "with": gone });
        self.note(entry).await.map_err(|error| StoreError::Failed(error.to_string()))?;
        let at = self.now();
        for session in gone.iter().chain(std::iter::once(id)) {
            self.standings().end_session(session);
            let session = session.clone();
            self.on_store(move |store| store.session_close(&session, at)).await?;
        }
        Ok(gone)
    }

    /// Freezes an agent in this process at once, then in the store and on the record.
    ///
    /// # Errors
    /// The store or the record fails; the agent is frozen in this process all the same.
    pub async fn freeze(&self, agent: &AgentName, by: Option<String>) -> Result<(), StoreError> {
        // Safety first: the effect of freezing does not wait for the record.
        self.standings().freeze(agent);
        self.note_standing(agent, Standing::Frozen, by).await
    }

    /// Lets a frozen agent go on. The proof was checked by the caller.
    ///
    /// # Errors
    /// The record or the store fails; then it stays frozen.
    pub async fn thaw(&self, agent: &AgentName, by: Option<String>) -> Result<(), StoreError> {
        self.note_standing(agent, Standing::Good, by).await?;
        self.standings().thaw(agent);
        Ok(())
    }

    async fn note_standing(
        &self,
        agent: &AgentName,
        standing: Standing,
        by: Option<String>,
    ) -> Result<(), StoreError> {
        let mut entry = Draft::new(Kind::Standing);
        entry.by = by;
        entry.verdict = Some(
            match standing {
                Standing::Good => "good",
                Standing::Watched => "watched",
                Standing::Frozen => "frozen",
            }
            .into(),
        );
        entry.details = serde_json::json!({ "agent": agent });
        self.note(entry).await.map_err(|error| StoreError::Failed(error.to_string()))?;
        let agent = agent.clone();
        self.on_store(move |store| store.agent_standing(&agent, standing)).await
    }
}

fn wider<T: Ord>(
    asked: Option<&std::collections::BTreeSet<T>>,
    parent: Option<&std::collections::BTreeSet<T>>,
) -> bool {
    match (asked, parent) {
        (Some(asked), Some(parent)) => !asked.is_subset(parent),
        (None | Some(_), None) | (None, Some(_)) => false,
    }
}
