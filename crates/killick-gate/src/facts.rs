//! Facts about objects, found out by the gateway and kept for a short while.

use std::collections::HashMap;
use std::sync::Arc;

use killick_model::admin::Upstream;
use killick_model::{Environment, ObjectFacts, ObjectRef, SessionId, UnixMillis};
use parking_lot::Mutex;

use crate::ports::BoxFuture;
use crate::sessions::LiveSession;

/// How long a looked-up fact is believed, in milliseconds.
pub const FACT_MILLIS_MAX: u64 = 10_000;

/// Objects whose facts are kept at a time.
pub const FACTS_KEPT_MAX: usize = 4_096;

/// Finds out what an object is, by asking the provider. Implemented by adapters over errands.
pub trait Resolve: Send + Sync {
    /// Returns what was found; [`ObjectFacts::unresolved`] when nothing was.
    fn resolve<'a>(
        &'a self,
        live: &'a LiveSession,
        object: &'a ObjectRef,
    ) -> BoxFuture<'a, ObjectFacts>;
}

/// Facts kept for [`FACT_MILLIS_MAX`]. Unresolved objects are not kept: the next call asks again.
#[derive(Debug, Default)]
pub(crate) struct FactsCache {
    kept: Mutex<HashMap<ObjectRef, (UnixMillis, Arc<ObjectFacts>)>>,
}

impl FactsCache {
    pub(crate) fn recall(&self, object: &ObjectRef, now: UnixMillis) -> Option<Arc<ObjectFacts>> {
        let kept = self.kept.lock();
        let (found, facts) = kept.get(object)?;
        (now.since_millis(*found) < FACT_MILLIS_MAX && *found <= now).then(|| Arc::clone(facts))
    }

    pub(crate) fn keep(&self, facts: &ObjectFacts, now: UnixMillis) {
        if !facts.resolved {
            return;
        }
        let mut kept = self.kept.lock();
        if kept.len() >= FACTS_KEPT_MAX {
            kept.retain(|_, (found, _)| now.since_millis(*found) < FACT_MILLIS_MAX);
        }
        if kept.len() < FACTS_KEPT_MAX {
            kept.insert(facts.object.clone(), (now, Arc::new(facts.clone())));
        }
    }

    /// Forgets everything about an upstream: a call that changes something was sent there.
    pub(crate) fn forget(&self, upstream: &killick_model::UpstreamName) {
        self.kept.lock().retain(|object, _| object.upstream != *upstream);
    }
}

/// Lays a human's declaration over what was found. A declaration never makes a found production milder:
/// it speaks for upstreams whose objects have no environment of their own.
pub(crate) fn with_declaration(mut facts: ObjectFacts, upstream: &Upstream) -> ObjectFacts {
    if let Some(tier) = upstream.declared
        && facts.environment.tier() == killick_model::Tier::Unknown
    {
        facts.environment = Environment::declared(tier);
        facts.resolved = true;
    }
    facts
}

/// Which objects a session created, remembered between looks into the store.
#[derive(Debug, Default)]
pub(crate) struct CreatedCache {
    kept: Mutex<HashMap<(SessionId, ObjectRef), bool>>,
}

impl CreatedCache {
    pub(crate) fn recall(&self, key: &(SessionId, ObjectRef)) -> Option<bool> {
        self.kept.lock().get(key).copied()
    }

    pub(crate) fn keep(&self, key: (SessionId, ObjectRef), created: bool) {
        let mut kept = self.kept.lock();
        if kept.len() >= FACTS_KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, created);
    }
}

#[cfg(test)]
mod tests {
    use killick_model::UpstreamName;

    use super::*;

    fn facts(id: &str) -> ObjectFacts {
        ObjectFacts {
            resolved: true,
            ..ObjectFacts::unresolved(ObjectRef {
                upstream: UpstreamName::parse("railway").unwrap(),
                kind: "volume".into(),
                id: id.into(),
                within: None,
            })
        }
    }

    #[test]
    fn a_fact_is_believed_for_a_short_while_only_and_never_before_it_was_found() {
        let cache = FactsCache::default();
        let found = facts("v1");
        cache.keep(&found, UnixMillis(1_000));
        assert!(cache.recall(&found.object, UnixMillis(1_000 + FACT_MILLIS_MAX - 1)).is_some());
        assert!(cache.recall(&found.object, UnixMillis(1_000 + FACT_MILLIS_MAX)).is_none());
        assert!(cache.recall(&found.object, UnixMillis(999)).is_none());
    }

    #[test]
    fn the_cache_does_not_grow_past_its_limit() {
        let cache = FactsCache::default();
        for at in 0..FACTS_KEPT_MAX + 10 {
            cache.keep(&facts(&format!("v{at}")), UnixMillis(1));
        }
        assert_eq!(cache.kept.lock().len(), FACTS_KEPT_MAX);
    }

    #[test]
    fn a_declaration_does_not_hide_a_production_that_was_found() {
        let upstream = Upstream {
            name: UpstreamName::parse("railway").unwrap(),
            hosts: vec![],
            port: 443,
            tls: true,
            pack: None,
            declared: Some(killick_model::Tier::Development),
            model_provider: false,
            dial: None,
            writes_by_method: false,
            private_address: false,
        };
        let production = killick_model::EnvironmentName::parse("production").unwrap();
        let mut found = facts("v1");
        found.environment = Environment::named([production], |_| true);
        assert!(with_declaration(found, &upstream).environment.counts_as_production());
        assert!(!with_declaration(facts("v2"), &upstream).environment.counts_as_production());
    }
}
