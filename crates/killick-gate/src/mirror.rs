//! What the store held when it was last read. It holds as long as the store's generation does, so that a decision for
//! which nothing waits, nothing was granted and nothing was destroyed asks no disk and no other thread.

use std::collections::HashMap;
use std::sync::Arc;

use killick_model::request::{AccessRequest, BreakGlass, Grant, Pending, RequestState};
use killick_model::{AgentName, CallDigest, EnvironmentName, Owner, SessionId, UnixMillis};
use parking_lot::Mutex;

use crate::gate::{Blocking, Gate};
use crate::ports::{Awaiting, Damage, StoreError};

/// Sessions, and owners in an environment, that are remembered; beyond, all are forgotten.
const REMEMBERED_MAX: usize = 4_096;

/// What was read under one generation of the store.
#[derive(Default)]
struct Held {
    generation: u64,
    awaiting: HashMap<SessionId, Awaiting>,
    grants: Option<Arc<[Grant]>>,
    /// Break-glasses with the moment for which they were asked: later there can only be fewer.
    glasses: Option<(UnixMillis, Arc<[BreakGlass]>)>,
    /// Who had destroyed nothing since a moment: since a later one neither.
    harmless: HashMap<(Owner, EnvironmentName), UnixMillis>,
}

/// The mirror of the store.
#[derive(Default)]
pub(crate) struct Mirror {
    held: Mutex<Held>,
}

impl Mirror {
    /// Returns what is remembered of this generation.
    fn recall<T>(&self, generation: Option<u64>, of: impl FnOnce(&Held) -> Option<T>) -> Option<T> {
        let held = self.held.lock();
        if generation == Some(held.generation) { of(&held) } else { None }
    }

    /// Remembers what was read after the generation was.
    fn keep(&self, generation: Option<u64>, put: impl FnOnce(&mut Held)) {
        let Some(generation) = generation else { return };
        let mut held = self.held.lock();
        if held.generation > generation {
            return;
        }
        if held.generation < generation {
            *held = Held { generation, ..Held::default() };
        }
        if held.awaiting.len() >= REMEMBERED_MAX {
            held.awaiting = HashMap::new();
        }
        if held.harmless.len() >= REMEMBERED_MAX {
            held.harmless = HashMap::new();
        }
        put(&mut held);
    }
}

impl Gate {
    async fn awaiting(&self, session: &SessionId) -> Result<Awaiting, StoreError> {
        let generation = self.store.generation();
        let known = self.mirror.recall(generation, |held| held.awaiting.get(session).copied());
        if let Some(known) = known {
            return Ok(known);
        }
        let of = session.clone();
        let found = self.on_store(move |store| store.awaiting(&of)).await?;
        self.mirror.keep(generation, |held| {
            held.awaiting.insert(session.clone(), found);
        });
        Ok(found)
    }

    /// Finds the session's parked call with a digest.
    pub(crate) async fn parked(
        &self,
        session: &SessionId,
        digest: CallDigest,
    ) -> Result<Option<Pending>, StoreError> {
        if self.awaiting(session).await?.parked == 0 {
            return Ok(None);
        }
        let session = session.clone();
        self.on_store(move |store| store.pending_find(&session, &digest)).await
    }

    /// Finds the session's approved request for a digest.
    pub(crate) async fn approved(
        &self,
        session: &SessionId,
        digest: CallDigest,
    ) -> Result<Option<AccessRequest>, StoreError> {
        if self.awaiting(session).await?.approved == 0 {
            return Ok(None);
        }
        let session = session.clone();
        self.on_store(move |store| store.request_find(&session, &digest, RequestState::Approved))
            .await
    }

    /// Returns all grants.
    pub(crate) async fn grants(&self) -> Result<Arc<[Grant]>, StoreError> {
        let generation = self.store.generation();
        if let Some(known) = self.mirror.recall(generation, |held| held.grants.clone()) {
            return Ok(known);
        }
        let found: Arc<[Grant]> = self.on_store(|store| store.grants()).await?.into();
        self.mirror.keep(generation, |held| held.grants = Some(Arc::clone(&found)));
        Ok(found)
    }

    /// Returns whether a break-glass of an agent lasts.
    pub(crate) async fn has_broken_glass(&self, agent: &AgentName) -> Result<bool, StoreError> {
        let (generation, now) = (self.store.generation(), self.now());
        let lasts = |all: &[BreakGlass]| {
            all.iter().any(|glass| glass.agent == *agent && glass.expires > now)
        };
        let known = self.mirror.recall(generation, |held| held.glasses.clone());
        if let Some((_, known)) = known.filter(|(asked, _)| *asked <= now) {
            return Ok(lasts(&known));
        }
        let found: Arc<[BreakGlass]> =
            self.on_store(move |store| store.break_glasses(now)).await?.into();
        self.mirror.keep(generation, |held| held.glasses = Some((now, Arc::clone(&found))));
        Ok(lasts(&found))
    }

    /// Returns what an owner's agents destroyed in an environment since a moment.
    pub(crate) async fn destroyed_since(
        &self,
        owner: &Owner,
        environment: &EnvironmentName,
        since: UnixMillis,
    ) -> Result<Damage, StoreError> {
        let generation = self.store.generation();
        let key = (owner.clone(), environment.clone());
        let harmless = self.mirror.recall(generation, |held| held.harmless.get(&key).copied());
        if harmless.is_some_and(|moment| moment <= since) {
            return Ok(Damage::default());
        }
        let (owner, environment) = key.clone();
        let found =
            self.on_store(move |store| store.damage_since(&owner, &environment, since)).await?;
        if found == Damage::default() {
            self.mirror.keep(generation, |held| {
                held.harmless.insert(key, since);
            });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(mirror: &Mirror, generation: Option<u64>) -> Option<Awaiting> {
        let session = SessionId::parse("s-1").unwrap();
        mirror.recall(generation, |held| held.awaiting.get(&session).copied())
    }

    fn keep(mirror: &Mirror, generation: Option<u64>, parked: usize) {
        let session = SessionId::parse("s-1").unwrap();
        let found = Awaiting { parked, approved: 0 };
        mirror.keep(generation, |held| {
            held.awaiting.insert(session, found);
        });
    }

    #[test]
    fn what_was_read_holds_until_anything_is_written() {
        let mirror = Mirror::default();
        keep(&mirror, Some(3), 1);
        assert_eq!(held(&mirror, Some(3)).map(|it| it.parked), Some(1));
        assert_eq!(held(&mirror, Some(4)), None);
        assert_eq!(held(&mirror, Some(2)), None);
    }

    #[test]
    fn what_was_read_before_a_write_does_not_replace_what_was_read_after() {
        let mirror = Mirror::default();
        keep(&mirror, Some(4), 0);
        keep(&mirror, Some(3), 1);
        assert_eq!(held(&mirror, Some(4)).map(|it| it.parked), Some(0));
        assert_eq!(held(&mirror, Some(3)), None);
    }

    #[test]
    fn a_store_that_others_write_unseen_is_asked_every_time() {
        let mirror = Mirror::default();
        keep(&mirror, None, 1);
        assert_eq!(held(&mirror, None), None);
        assert_eq!(held(&mirror, Some(0)), None);
    }

    #[test]
    fn the_mirror_does_not_grow_past_its_limit() {
        let mirror = Mirror::default();
        for at in 0..REMEMBERED_MAX + 10 {
            let session = SessionId::parse(&format!("s-{at}")).unwrap();
            mirror.keep(Some(1), |held| {
                held.awaiting.insert(session, Awaiting::default());
            });
        }
        assert!(mirror.held.lock().awaiting.len() <= REMEMBERED_MAX);
    }
}
