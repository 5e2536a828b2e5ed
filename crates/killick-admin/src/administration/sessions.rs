//! Sessions: opened for one task, listed, closed at once.

use std::sync::Arc;

use killick_gate::ports::{StoreError, Surrogate};
use killick_gate::{Blocking as _, ids};
use killick_model::admin::{Session, Standing};
use killick_model::database::Database;
use killick_model::principal::Principal;
use killick_model::record::{Draft, Kind};
use killick_model::{Code, Refusal, Scope, SessionId, UnixMillis};
use serde_json::json;

use super::{Acting, Administration, Answered, done, off_loop, plain_text};
use crate::protocol::{AdminCode, AdminError, Reply, SessionAsk, SessionOpened, SurrogateShown};
use crate::secret::Secret;

/// The most objects in a session's scope.
const SCOPE_OBJECTS_MAX: usize = 256;
/// The longest object in a session's scope.
const SCOPE_OBJECT_BYTES_MAX: usize = 600;

impl Administration {
    pub(super) async fn session_open(&self, by: &Acting<'_>, ask: SessionAsk) -> Answered {
        let principal = self.principal_asked(ask).await?;
        // The gate puts it on the record, keeps it, then lets it in.
        let opened = self
            .parts
            .gate
            .open_session(principal, Some(by.caller.owner.to_string()))
            .await
            .map_err(|refusal| not_opened(&refusal))?;
        let principal = &opened.session.principal;
        let vault = Arc::clone(&self.parts.vault);
        let id = principal.session.clone();
        let minted = off_loop(move || Ok(vault.mint_surrogates(&id)?)).await;
        let surrogates = match minted {
            Ok(surrogates) => surrogates,
            Err(error) => {
                // A session that cannot be used as it was asked for is not left behind.
                self.end_session(&principal.session).await?;
                return Err(error);
            }
        };
        let mut shown = Vec::new();
        for surrogate in surrogates {
            let upstreams = principal.scope.upstreams.as_ref();
            if upstreams.is_none_or(|set| set.contains(&surrogate.info.upstream)) {
                shown.push(self.shown(surrogate).await?);
            }
        }
        let declared = self.parts.gate.on_store(|store| store.databases()).await?;
        let addresses = |shown: &dyn Fn(&Database) -> bool| {
            let address = |it: &Database| {
                let address =
                    self.parts.rest.database_address(&principal.session, &opened.token, it);
                (it.name.clone(), Secret::from(address))
            };
            declared.iter().filter(|it| shown(it)).map(address).collect::<Vec<_>>()
        };
        let named = |it: &Database| {
            principal.scope.upstreams.as_ref().is_some_and(|set| set.contains(&it.name))
        };
        let here = |it: &Database| it.environment == principal.environment;
        let everywhere = principal.scope.upstreams.is_none();
        let databases = addresses(&|it| here(it) && (everywhere || named(it)));
        // One of another environment is there for who asks for it by name.
        let databases_elsewhere = addresses(&|it| !here(it) && named(it));
        Ok(Reply::SessionOpened(Box::new(SessionOpened {
            databases,
            databases_elsewhere,
            session: opened.session,
            token: Secret::from(opened.token),
            surrogates: shown,
            gateway: self.parts.gateway.clone(),
            ca_bundle: self.parts.ca_bundle.clone(),
        })))
    }

    /// Checks what was asked for and says who the session will be.
    async fn principal_asked(&self, ask: SessionAsk) -> Result<Principal, AdminError> {
        plain_text("the task", &ask.task, Principal::TASK_BYTES_MAX)?;
        let bounds = SessionAsk::TTL_MILLIS_MIN..=SessionAsk::TTL_MILLIS_MAX;
        if !bounds.contains(&ask.ttl_millis) {
            return Err(AdminError::invalid(
                "a session lives between one second and 24 hours",
                "choose another --ttl; a longer task takes a session a day",
            ));
        }
        self.check_scope(&ask.scope).await?;
        let agent = self.find_agent(&ask.agent).await?;
        match agent.standing {
            Standing::Good | Standing::Watched => {}
            Standing::Frozen => {
                return Err(AdminError::new(
                    AdminCode::Invalid,
                    format!("agent `{}` is frozen; no session was opened", agent.name),
                    format!("thaw it first: `killick agent thaw {}`", agent.name),
                ));
            }
        }
        let now = self.parts.gate.now();
        let id = ids::session_id().map_err(no_randomness)?;
        Ok(Principal {
            session: id.clone(),
            chain: vec![id],
            agent: agent.name,
            groups: agent.groups,
            owner: agent.owner,
            environment: ask.environment,
            task: ask.task,
            scope: ask.scope,
            expires: now.plus_millis(ask.ttl_millis),
            fence: ask.fence,
        })
    }

    async fn check_scope(&self, scope: &Scope) -> Result<(), AdminError> {
        if scope.effects.is_empty() {
            return Err(AdminError::invalid(
                "a session without any effect can do nothing",
                "name at least `--effects read`",
            ));
        }
        for object in scope.objects.iter().flatten() {
            plain_text("an object", object, SCOPE_OBJECT_BYTES_MAX)?;
            if !object.split_once(':').is_some_and(|(kind, id)| !kind.is_empty() && !id.is_empty())
            {
                return Err(AdminError::invalid(
                    format!("`{object}` is not written KIND:ID"),
                    "write objects as the record shows them (`volume:3d2c...`)",
                ));
            }
        }
        if scope.objects.as_ref().is_some_and(|set| set.len() > SCOPE_OBJECTS_MAX) {
            return Err(AdminError::invalid(
                format!("a session names at most {SCOPE_OBJECTS_MAX} objects"),
                "name fewer",
            ));
        }
        let (declared, databases) =
            self.parts.gate.on_store(|store| Ok((store.upstreams()?, store.databases()?))).await?;
        for name in scope.upstreams.iter().flatten() {
            let known = declared.iter().any(|upstream| upstream.name == *name)
                || databases.iter().any(|database| database.name == *name);
            if !known {
                return Err(AdminError::missing(
                    format!("upstream `{name}`"),
                    format!("declare it with `killick upstream add {name}`"),
                ));
            }
        }
        Ok(())
    }

    async fn shown(&self, surrogate: Surrogate) -> Result<SurrogateShown, AdminError> {
        let Surrogate { info, value } = surrogate;
        let upstreams = self.parts.gate.on_store(|store| store.upstreams()).await?;
        let pack = upstreams
            .into_iter()
            .find(|upstream| upstream.name == info.upstream)
            .and_then(|upstream| upstream.pack);
        let variables = pack
            .and_then(|pack| self.parts.rest.pack_info(&pack))
            .map_or_else(Vec::new, |pack| pack.variables);
        Ok(SurrogateShown {
            credential: info.name,
            upstream: info.upstream,
            variables,
            value: Secret::from(value),
        })
    }

    pub(super) async fn session_list(&self, all: bool) -> Answered {
        let now = self.parts.gate.now();
        let mut sessions: Vec<Session> = self
            .parts
            .gate
            .on_store(|store| store.sessions())
            .await?
            .into_iter()
            .map(|(session, _)| session)
            .filter(|session| all || is_open(session, now))
            .collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.opened));
        Ok(Reply::Sessions(sessions))
    }

    /// A close that the record cannot take still closes: it is the safe direction.
    pub(super) async fn session_close(&self, by: &Acting<'_>, id: SessionId) -> Answered {
        let sessions = self.parts.gate.on_store(|store| store.sessions()).await?;
        let found = sessions.iter().find(|(session, _)| session.principal.session == id);
        let Some((session, _)) = found else {
            return Err(AdminError::missing(
                format!("session `{id}`"),
                "look at `killick session list`",
            ));
        };
        if session.closed.is_some() {
            return Ok(done(format!("session `{id}` was closed already")));
        }
        let entry = Draft::new(Kind::Session).of_principal(&session.principal);
        let details = json!({ "closed": id });
        let recorded = self.on_record_as(by, entry, "session close", details).await;
        let ended = self.end_session(&id).await;
        if let Err(error) = recorded {
            return Err(AdminError::new(
                error.code,
                format!("session `{id}` IS closed, but the record could not take it"),
                error.next_step,
            ));
        }
        match ended?.saturating_sub(1) {
            0 => Ok(done(format!("session `{id}` is closed; open connections are cut"))),
            below => Ok(done(format!("session `{id}` and {below} below it are closed"))),
        }
    }

    /// Ends a session and every one below it, in memory first: that is what cuts connections.
    pub(super) async fn end_session(&self, id: &SessionId) -> Result<usize, AdminError> {
        let gate = &self.parts.gate;
        gate.standings().end_session(id);
        gate.sessions().dismiss(id);
        let now = gate.now();
        let root = id.clone();
        let closed = gate
            .on_store(move |store| {
                let mut closed = 0_usize;
                for (session, _) in store.sessions()? {
                    if session.closed.is_none() && session.principal.chain.contains(&root) {
                        match store.session_close(&session.principal.session, now) {
                            // Closed by somebody else meanwhile.
                            Ok(()) | Err(StoreError::Missing(_)) => {}
                            Err(error) => return Err(error),
                        }
                        closed = closed.saturating_add(1);
                    }
                }
                Ok(closed)
            })
            .await?;
        Ok(closed)
    }
}

pub(super) fn is_open(session: &Session, now: UnixMillis) -> bool {
    session.closed.is_none() && session.principal.expires > now
}

/// Says why the gate opened no session; whatever the reason, nothing was opened.
fn not_opened(refusal: &Refusal) -> AdminError {
    let (code, next) = if refusal.code == Code::TooMany {
        (AdminCode::Limit, "close what is no longer needed: `killick session list`")
    } else if refusal.code == Code::RecordUnavailable {
        (AdminCode::RecordUnavailable, "make room on the disk, then run `killick doctor`")
    } else {
        (AdminCode::StoreUnavailable, "run `killick doctor`")
    };
    AdminError::new(code, format!("{}; no session was opened", refusal.because), next)
}

pub(super) fn no_randomness(error: ids::NoRandomness) -> AdminError {
    AdminError::new(
        AdminCode::Unavailable,
        format!("{error}; nothing was issued"),
        "run `killick doctor`",
    )
}
