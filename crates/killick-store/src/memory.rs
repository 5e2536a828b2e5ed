//! A store that forgets everything when it is dropped: a second engine for the contract, and for tests.

use std::collections::BTreeMap;

use killick_gate::ports::{Awaiting, Damage, Store, StoreError, TokenHash};
use killick_model::admin::{Agent, Session, Standing, Upstream};
use killick_model::database::Database;
use killick_model::request::{
    AccessRequest, Answer, BreakGlass, Grant, Pending, PendingState, RequestState,
};
use killick_model::{
    AgentName, CallDigest, EnvironmentName, ObjectRef, Owner, PendingId, RequestId, SessionId,
    UnixMillis, UpstreamName,
};
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::limits::{
    AGENTS_MAX, CREATED_PER_SESSION_MAX, DAMAGE_KEPT_MILLIS, DATABASES_MAX, GRANTS_MAX,
    PENDINGS_DONE_MAX, REQUESTS_DONE_MAX, SESSIONS_MAX, SETTING_BYTES_MAX, SETTINGS_MAX,
    UPSTREAMS_MAX, check_canonical, check_room,
};
use crate::states::{check_grant, pending_may_move, request_may_move};

/// A store in memory. One lock makes every change whole.
#[derive(Default)]
pub struct MemoryStore(Mutex<Tables>);

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryStore(..)")
    }
}

/// Requests and parked calls stand in the order in which they came.
#[derive(Default)]
struct Tables {
    agents: BTreeMap<AgentName, Agent>,
    sessions: Vec<(Session, TokenHash)>,
    upstreams: BTreeMap<UpstreamName, Upstream>,
    requests: Vec<(AccessRequest, Zeroizing<Vec<u8>>)>,
    pendings: Vec<(Pending, Zeroizing<Vec<u8>>)>,
    grants: Vec<Grant>,
    glasses: BTreeMap<AgentName, BreakGlass>,
    created: BTreeMap<SessionId, Vec<ObjectRef>>,
    settings: BTreeMap<String, String>,
    databases: BTreeMap<UpstreamName, Database>,
    damage: Vec<(Owner, EnvironmentName, UnixMillis, Damage)>,
}

fn missing<T>(what: &str, name: impl std::fmt::Display) -> Result<T, StoreError> {
    Err(StoreError::Missing(format!("{what} `{name}`")))
}

fn exists<T>(what: &str, name: impl std::fmt::Display) -> Result<T, StoreError> {
    Err(StoreError::Exists(format!("{what} `{name}`")))
}

const fn is_live(state: RequestState) -> bool {
    match state {
        RequestState::Open | RequestState::Approved => true,
        RequestState::Spent | RequestState::Denied | RequestState::Expired => false,
    }
}

const fn is_parked(state: PendingState) -> bool {
    match state {
        PendingState::Waiting | PendingState::Sending => true,
        PendingState::Sent
        | PendingState::Cancelled
        | PendingState::Refused
        | PendingState::Unknown => false,
    }
}

/// Drops the oldest rows that are done, past the number that is kept.
fn forget_done<T>(rows: &mut Vec<T>, done_max: usize, is_done: impl Fn(&T) -> bool) {
    let mut spare = rows.iter().filter(|row| is_done(row)).count().saturating_sub(done_max);
    rows.retain(|row| {
        let goes = spare > 0 && is_done(row);
        spare = spare.saturating_sub(usize::from(goes));
        !goes
    });
}

impl Tables {
    fn knows_session(&self, id: &SessionId) -> bool {
        self.sessions.iter().any(|(session, _)| session.principal.session == *id)
    }

    fn request(
        &mut self,
        id: &RequestId,
    ) -> Result<&mut (AccessRequest, Zeroizing<Vec<u8>>), StoreError> {
        let found = self.requests.iter_mut().find(|(request, _)| request.id == *id);
        found.map_or_else(|| missing("request", id), Ok)
    }

    fn pending(
        &mut self,
        id: &PendingId,
    ) -> Result<&mut (Pending, Zeroizing<Vec<u8>>), StoreError> {
        let found = self.pendings.iter_mut().find(|(pending, _)| pending.id == *id);
        found.map_or_else(|| missing("parked call", id), Ok)
    }

    fn open_requests(&self, of: impl Fn(&AccessRequest) -> bool) -> usize {
        let open = self.requests.iter().filter(|(one, _)| one.state == RequestState::Open);
        open.filter(|(one, _)| of(one)).count()
    }

    fn make_room_for_session(&mut self, now: UnixMillis) -> Result<(), StoreError> {
        if self.sessions.len() >= SESSIONS_MAX {
            let ended = self.sessions.iter().position(|(session, _)| {
                session.closed.is_some() || session.principal.expires <= now
            });
            if let Some(at) = ended {
                let (gone, _) = self.sessions.remove(at);
                self.created.remove(&gone.principal.session);
            }
        }
        check_room("live sessions", self.sessions.len(), SESSIONS_MAX)
    }
}

impl Store for MemoryStore {
    fn agent_add(&self, agent: &Agent) -> Result<(), StoreError> {
        let mut tables = self.0.lock();
        check_room("agents", tables.agents.len(), AGENTS_MAX)?;
        if tables.agents.contains_key(&agent.name) {
            return exists("agent", &agent.name);
        }
        tables.agents.insert(agent.name.clone(), agent.clone());
        Ok(())
    }

    fn agents(&self) -> Result<Vec<Agent>, StoreError> {
        Ok(self.0.lock().agents.values().cloned().collect())
    }

    fn agent_standing(&self, name: &AgentName, standing: Standing) -> Result<(), StoreError> {
        match self.0.lock().agents.get_mut(name) {
            Some(agent) => agent.standing = standing,
            None => return missing("agent", name),
        }
        Ok(())
    }

    fn agent_remove(&self, name: &AgentName) -> Result<(), StoreError> {
        let mut tables = self.0.lock();
        tables.glasses.remove(name);
        tables.agents.remove(name).map_or_else(|| missing("agent", name), |_| Ok(()))
    }

    fn session_add(&self, session: &Session, token: &TokenHash) -> Result<(), StoreError> {
        let mut tables = self.0.lock();
        let principal = &session.principal;
        if !tables.agents.contains_key(&principal.agent) {
            return missing("agent", &principal.agent);
        }
        tables.make_room_for_session(session.opened)?;
        if tables.knows_session(&principal.session)
            || tables.sessions.iter().any(|(_, other)| other == token)
        {
            return exists("session", &principal.session);
        }
        tables.sessions.push((session.clone(), *token));
        Ok(())
    }

    fn sessions(&self) -> Result<Vec<(Session, TokenHash)>, StoreError> {
        Ok(self.0.lock().sessions.clone())
    }

    fn session_close(&self, id: &SessionId, at: UnixMillis) -> Result<(), StoreError> {
        let mut tables = self.0.lock();
        let mut sessions = tables.sessions.iter_mut();
        match sessions.find(|(session, _)| session.principal.session == *id) {
            Some((session, _)) => session.closed = session.closed.or(Some(at)),
            None => return missing("session", id),
        }
        Ok(())
    }

    fn upstream_put(&self, upstream: &Upstream) -> Result<(), StoreError> {
        let mut tables = self.0.lock();
        let others = tables.upstreams.keys().filter(|name| **name != upstream.name).count();
        check_room("upstreams", others, UPSTREAMS_MAX)?;
        tables.upstreams.insert(upstream.name.clone(), upstream.clone());
        Ok(())
    }

    fn upstreams(&self) -> Result<Vec<Upstream>, StoreError> {
        Ok(self.0.lock().upstreams.values().cloned().collect())
    }

    fn upstream_remove(&self, name: &UpstreamName) -> Result<(), StoreError> {
        let gone = self.0.lock().upstreams.remove(name);
        gone.map_or_else(|| missing("upstream", name), |_| Ok(()))
    }

    fn request_open(
        &self,
        request: &AccessRequest,
        canonical: &[u8],
    ) -> Result<AccessRequest, StoreError> {
        check_canonical(canonical)?;
        if request.state != RequestState::Open || request.expires <= request.asked {
            return Err(StoreError::Failed(
                "a request begins open and ends after it was asked".into(),
            ));
        }
        let mut tables = self.0.lock();
        for (one, _) in &mut tables.requests {
            if is_live(one.state) && one.expires <= request.asked {
                one.state = RequestState::Expired;
            }
        }
        let principal = &request.principal;
        let there = tables.requests.iter().find(|(one, _)| {
            is_live(one.state)
                && one.principal.session == principal.session
                && one.digest == request.digest
        });
        if let Some((there, _)) = there {
            return Ok(there.clone());
        }
        let agent = tables.open_requests(|one| one.principal.agent == principal.agent);
        let what = format!("requests of agent `{}`", principal.agent);
        check_room(&what, agent, AccessRequest::OPEN_PER_AGENT_MAX)?;
        let owner = tables.open_requests(|one| one.principal.owner == principal.owner);
        let what = format!("requests of owner `{}`", principal.owner);
        check_room(&what, owner, AccessRequest::OPEN_PER_OWNER_MAX)?;
        if tables.request(&request.id).is_ok() {
            return exists("request", &request.id);
        }
        tables.requests.push((request.clone(), Zeroizing::new(canonical.to_vec())));
        forget_done(&mut tables.requests, REQUESTS_DONE_MAX, |(one, _)| !is_live(one.state));
        Ok(request.clone())
    }

    fn request(&self, id: &RequestId) -> Result<AccessRequest, StoreError> {
        self.0.lock().request(id).map(|(request, _)| request.clone())
    }

    fn requests(&self, rows_max: usize) -> Result<Vec<AccessRequest>, StoreError> {
        let tables = self.0.lock();
        Ok(tables.requests.iter().rev().take(rows_max).map(|(one, _)| one.clone()).collect())
    }

    fn request_find(
        &self,
        session: &SessionId,
        digest: &CallDigest,
        state: RequestState,
    ) -> Result<Option<AccessRequest>, StoreError> {
        let tables = self.0.lock();
        let found = tables.requests.iter().rev().find(|(one, _)| {
            one.principal.session == *session && one.digest == *digest && one.state == state
        });
        Ok(found.map(|(one, _)| one.clone()))
    }

    fn request_canonical(&self, id: &RequestId) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.0.lock().request(id).map(|(_, canonical)| canonical.clone())
    }

    fn request_move(
        &self,
        id: &RequestId,
        from: RequestState,
        to: RequestState,
        answer: Option<&Answer>,
        expires: Option<UnixMillis>,
        send_when_approved: bool,
    ) -> Result<bool, StoreError> {
        let mut tables = self.0.lock();
        let (request, _) = tables.request(id)?;
        if request.state != from || !request_may_move(from, to) {
            return Ok(false);
        }
        request.state = to;
        request.answer = answer.cloned().or_else(|| request.answer.take());
        request.expires = expires.unwrap_or(request.expires);
        request.send_when_approved |= send_when_approved;
        Ok(true)
    }

    fn request_claim_sending(&self, id: &RequestId) -> Result<bool, StoreError> {
        let mut tables = self.0.lock();
        let (request, _) = tables.request(id)?;
        let claimed = request.state == RequestState::Approved && request.send_when_approved;
        if claimed {
            request.send_when_approved = false;
        }
        Ok(claimed)
    }

    fn pending_add(&self, pending: &Pending, canonical: &[u8]) -> Result<(), StoreError> {
        check_canonical(canonical)?;
        if pending.state != PendingState::Waiting {
            return Err(StoreError::Failed("a parked call begins waiting".into()));
        }
        let mut tables = self.0.lock();
        let principal = &pending.principal;
        let parked = tables
            .pendings
            .iter()
            .filter(|(one, _)| is_parked(one.state) && one.principal.agent == principal.agent);
        let what = format!("parked calls of agent `{}`", principal.agent);
        check_room(&what, parked.count(), Pending::WAITING_PER_AGENT_MAX)?;
        let twin = tables.pendings.iter().any(|(one, _)| {
            one.id == pending.id
                || (one.state == PendingState::Waiting
                    && one.principal.session == principal.session
                    && one.digest == pending.digest)
        });
        if twin {
            return exists("parked call", &pending.id);
        }
        tables.pendings.push((pending.clone(), Zeroizing::new(canonical.to_vec())));
        forget_done(&mut tables.pendings, PENDINGS_DONE_MAX, |(one, _)| !is_parked(one.state));
        Ok(())
    }

    fn pending(&self, id: &PendingId) -> Result<Pending, StoreError> {
        self.0.lock().pending(id).map(|(pending, _)| pending.clone())
    }

    fn pendings(&self, rows_max: usize) -> Result<Vec<Pending>, StoreError> {
        let tables = self.0.lock();
        Ok(tables.pendings.iter().rev().take(rows_max).map(|(one, _)| one.clone()).collect())
    }

    fn pending_find(
        &self,
        session: &SessionId,
        digest: &CallDigest,
    ) -> Result<Option<Pending>, StoreError> {
        let tables = self.0.lock();
        let found = tables.pendings.iter().find(|(one, _)| {
            one.state == PendingState::Waiting
                && one.principal.session == *session
                && one.digest == *digest
        });
        Ok(found.map(|(one, _)| one.clone()))
    }

    fn awaiting(&self, session: &SessionId) -> Result<Awaiting, StoreError> {
        let tables = self.0.lock();
        let parked = tables.pendings.iter().filter(|(one, _)| {
            one.state == PendingState::Waiting && one.principal.session == *session
        });
        let approved = tables.requests.iter().filter(|(one, _)| {
            one.state == RequestState::Approved && one.principal.session == *session
        });
        Ok(Awaiting { parked: parked.count(), approved: approved.count() })
    }

    fn pending_canonical(&self, id: &PendingId) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.0.lock().pending(id).map(|(_, canonical)| canonical.clone())
    }

    fn pending_move(
        &self,
        id: &PendingId,
        from: PendingState,
        to: PendingState,
    ) -> Result<bool, StoreError> {
        let mut tables = self.0.lock();
        let (pending, _) = tables.pending(id)?;
        if pending.state != from || !pending_may_move(from, to) {
            return Ok(false);
        }
        pending.state = to;
        Ok(true)
    }

    fn grant_add(&self, grant: &Grant) -> Result<(), StoreError> {
        check_grant(grant)?;
        let mut tables = self.0.lock();
        check_room("grants", tables.grants.len(), GRANTS_MAX)?;
        if tables.grants.iter().any(|one| one.id == grant.id) {
            return exists("grant", &grant.id);
        }
        tables.grants.push(grant.clone());
        Ok(())
    }

    fn grants(&self) -> Result<Vec<Grant>, StoreError> {
        Ok(self.0.lock().grants.clone())
    }

    fn grant_spend(&self, id: &str, now: UnixMillis) -> Result<bool, StoreError> {
        let mut tables = self.0.lock();
        let grant = tables.grants.iter_mut().find(|one| one.id == id && one.expires > now);
        let Some((grant, left)) = grant.and_then(|one| one.left.checked_sub(1).map(|n| (one, n)))
        else {
            return Ok(false);
        };
        grant.left = left;
        Ok(true)
    }

    fn grant_remove(&self, id: &str) -> Result<(), StoreError> {
        let mut tables = self.0.lock();
        match tables.grants.iter().position(|one| one.id == id) {
            Some(at) => tables.grants.remove(at),
            None => return missing("grant", id),
        };
        Ok(())
    }

    fn break_glass_open(&self, glass: &BreakGlass) -> Result<(), StoreError> {
        let mut tables = self.0.lock();
        if !tables.agents.contains_key(&glass.agent) {
            return missing("agent", &glass.agent);
        }
        tables.glasses.insert(glass.agent.clone(), glass.clone());
        Ok(())
    }

    fn break_glasses(&self, now: UnixMillis) -> Result<Vec<BreakGlass>, StoreError> {
        let tables = self.0.lock();
        Ok(tables.glasses.values().filter(|glass| glass.expires > now).cloned().collect())
    }

    fn break_glass_end(&self, agent: &AgentName) -> Result<(), StoreError> {
        let gone = self.0.lock().glasses.remove(agent);
        gone.map_or_else(|| missing("break-glass for agent", agent), |_| Ok(()))
    }

    fn database_put(&self, database: &Database) -> Result<(), StoreError> {
        let mut tables = self.0.lock();
        let others = tables.databases.keys().filter(|name| **name != database.name).count();
        check_room("databases", others, DATABASES_MAX)?;
        tables.databases.insert(database.name.clone(), database.clone());
        Ok(())
    }

    fn databases(&self) -> Result<Vec<Database>, StoreError> {
        Ok(self.0.lock().databases.values().cloned().collect())
    }

    fn database_remove(&self, name: &UpstreamName) -> Result<(), StoreError> {
        let gone = self.0.lock().databases.remove(name);
        gone.map_or_else(|| missing("database", name), |_| Ok(()))
    }

    fn damage_add(
        &self,
        owner: &Owner,
        environment: &EnvironmentName,
        damage: Damage,
        at: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tables = self.0.lock();
        tables.damage.push((owner.clone(), environment.clone(), at, damage));
        let forgotten = at.0.saturating_sub(DAMAGE_KEPT_MILLIS);
        tables.damage.retain(|(_, _, at, _)| at.0 >= forgotten);
        Ok(())
    }

    fn damage_since(
        &self,
        owner: &Owner,
        environment: &EnvironmentName,
        since: UnixMillis,
    ) -> Result<Damage, StoreError> {
        let tables = self.0.lock();
        let of_it = tables
            .damage
            .iter()
            .filter(|(who, place, at, _)| who == owner && place == environment && *at >= since);
        Ok(of_it.fold(Damage::default(), |sum, (_, _, _, damage)| Damage {
            rows: sum.rows.saturating_add(damage.rows),
            objects: sum.objects.saturating_add(damage.objects),
        }))
    }

    fn created_add(&self, session: &SessionId, object: &ObjectRef) -> Result<(), StoreError> {
        let mut tables = self.0.lock();
        if !tables.knows_session(session) {
            return missing("session", session);
        }
        let created = tables.created.entry(session.clone()).or_default();
        if object.is_named() && !created.contains(object) {
            created.push(object.clone());
            let spare = created.len().saturating_sub(CREATED_PER_SESSION_MAX);
            created.drain(..spare);
        }
        Ok(())
    }

    fn created_by(&self, session: &SessionId, object: &ObjectRef) -> Result<bool, StoreError> {
        let anywhere = ObjectRef { within: None, ..object.clone() };
        let tables = self.0.lock();
        Ok(tables
            .created
            .get(session)
            .is_some_and(|created| created.contains(object) || created.contains(&anywhere)))
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self.0.lock().settings.get(name).cloned())
    }

    fn setting_put(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let mut tables = self.0.lock();
        let others = tables.settings.keys().filter(|other| *other != name).count();
        check_room("settings", others, SETTINGS_MAX)?;
        let bytes = name.len().saturating_add(value.len());
        check_room("bytes of a setting", bytes, SETTING_BYTES_MAX)?;
        tables.settings.insert(name.to_owned(), value.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryStore;

    #[test]
    fn it_keeps_the_contract_of_a_store() {
        crate::store_contract::run(|| Box::new(MemoryStore::default()));
    }
}
