//! What can be copied whole, off-site, before what it lives on goes: a port between two protocols that do not
//! know each other.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use killick_model::point::PointInfo;
use killick_model::rehearsal::{Rehearsal, Restored};
use killick_model::{
    CallId, EnvironmentName, ObjectFacts, ObjectRef, Part, SessionId, UpstreamName,
};

use crate::gate::Gate;
use crate::ports::BoxFuture;

/// How a snapshot's name begins where recovery points are named.
const SNAPSHOT_OF: &str = "snapshot of ";

/// Why a snapshot is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotAsk {
    /// The human who asked; none for a schedule or an obligation.
    pub by: Option<String>,
    /// The call that it makes survivable.
    pub call: Option<CallId>,
    /// The session of that call.
    pub session: Option<SessionId>,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Nothing yet.
    Begin = 0,
    /// It is copied.
    Copy = 1,
    /// What was copied is read back.
    Check = 2,
    /// It is restored into a scratch server.
    Restore = 3,
    /// What was restored is looked at.
    Look = 4,
}

impl Stage {
    const ALL: [Self; 5] = [Self::Begin, Self::Copy, Self::Check, Self::Restore, Self::Look];

    /// Returns the word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "beginning",
            Self::Copy => "copying",
            Self::Check => "reading back",
            Self::Restore => "restoring",
            Self::Look => "checking",
        }
    }
}

/// How far a piece of work is; written by whoever does it, read by whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    stage: AtomicU8,
    bytes: AtomicU64,
}

impl Progress {
    /// Begins a stage.
    pub fn begin(&self, stage: Stage) {
        self.bytes.store(0, Ordering::Relaxed);
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Adds bytes to the present stage.
    pub fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns the present stage and its bytes so far.
    #[must_use]
    pub fn now(&self) -> (Stage, u64) {
        let stage = self.stage.load(Ordering::Relaxed);
        let stage = Stage::ALL.into_iter().find(|it| *it as u8 == stage).unwrap_or(Stage::Begin);
        (stage, self.bytes.load(Ordering::Relaxed))
    }
}

/// Upstreams that can be copied whole and restored elsewhere.
///
/// The errors say in one sentence what failed, without payload.
pub trait Wholes: Send + Sync {
    /// Returns every upstream that can be copied whole.
    fn names(&self) -> Vec<UpstreamName>;

    /// Returns what lives on an object, by a human's declaration, with its environment.
    fn living_on(&self, object: &ObjectRef) -> Vec<(UpstreamName, EnvironmentName)>;

    /// Copies one whole. Returns once the copy is complete, durable, and was read back.
    fn snapshot<'a>(
        &'a self,
        name: &'a UpstreamName,
        ask: SnapshotAsk,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<PointInfo, String>>;

    /// Restores a snapshot into a scratch server, looks at it, and throws it away.
    fn rehearse<'a>(
        &'a self,
        point: &'a PointInfo,
        by: Option<String>,
        assertions: &'a str,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<Rehearsal, String>>;

    /// Restores a snapshot beside what it was taken of, into a database that is made for it. Never over one that is
    /// there.
    fn restore<'a>(
        &'a self,
        point: &'a PointInfo,
        into: &'a str,
        by: Option<String>,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<Restored, String>>;
}

impl Gate {
    /// Tells the gate what can be copied whole. The first word counts.
    pub fn know_wholes(&self, wholes: std::sync::Arc<dyn Wholes>) {
        // A second one would be a mistake of the wiring, and changes nothing.
        let _ = self.wholes.set(wholes);
    }

    pub(crate) fn lives_on(&self, name: &UpstreamName, object: &ObjectRef) -> bool {
        let living = self.wholes.get().map(|wholes| wholes.living_on(object));
        living.is_some_and(|all| all.iter().any(|(it, _)| it == name))
    }

    /// Returns the snapshots that make a part survivable which has no recovery point at its provider.
    pub(crate) fn snapshots_for(&self, part: &Part, facts: &[ObjectFacts]) -> Vec<UpstreamName> {
        self.wholes.get().map_or_else(Vec::new, |wholes| copies(wholes.as_ref(), part, facts))
    }
}

/// Returns what must be copied so that nothing is lost with the objects of a part: everything that lives on them.
/// Nothing when an object would lose something of which no copy can be had.
fn copies(wholes: &dyn Wholes, part: &Part, facts: &[ObjectFacts]) -> Vec<UpstreamName> {
    let mut all = Vec::new();
    for object in &part.objects {
        let Some(found) = facts.iter().find(|found| found.object == *object) else {
            return Vec::new();
        };
        let living = wholes.living_on(object);
        // An object may hold data in several environments; a copy from one is none of the others.
        let mut names = found.environment.names().peekable();
        let covered = found.resolved
            && names.peek().is_some()
            && names.all(|name| living.iter().any(|(_, environment)| environment == name));
        if !covered {
            return Vec::new();
        }
        for (name, _) in living {
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    all
}

/// Returns the name of the recovery point that a snapshot is.
pub(crate) fn point_name(of: &UpstreamName) -> String {
    format!("{SNAPSHOT_OF}{of}")
}

/// Returns what a recovery point is a snapshot of, when it is one.
#[must_use]
pub fn snapshot_of(point: &str) -> Option<UpstreamName> {
    point.strip_prefix(SNAPSHOT_OF).and_then(|name| UpstreamName::parse(name).ok())
}

#[cfg(test)]
mod tests {
    use killick_model::{BackupsFate, Effect, Environment, Recovery};

    use super::*;

    /// What lives on which volume, in which environment.
    struct Living(&'static [(&'static str, &'static str, &'static str)]);

    impl Wholes for Living {
        fn names(&self) -> Vec<UpstreamName> {
            Vec::new()
        }
        fn living_on(&self, object: &ObjectRef) -> Vec<(UpstreamName, EnvironmentName)> {
            let on = self.0.iter().filter(|(_, volume, _)| *volume == object.id);
            on.map(|(name, _, place)| (name.parse().unwrap(), place.parse().unwrap())).collect()
        }
        fn snapshot<'a>(
            &'a self,
            _: &'a UpstreamName,
            _: SnapshotAsk,
            _: &'a Progress,
        ) -> BoxFuture<'a, Result<PointInfo, String>> {
            Box::pin(async { Err("not here".into()) })
        }
        fn rehearse<'a>(
            &'a self,
            _: &'a PointInfo,
            _: Option<String>,
            _: &'a str,
            _: &'a Progress,
        ) -> BoxFuture<'a, Result<Rehearsal, String>> {
            Box::pin(async { Err("not here".into()) })
        }
        fn restore<'a>(
            &'a self,
            _: &'a PointInfo,
            _: &'a str,
            _: Option<String>,
            _: &'a Progress,
        ) -> BoxFuture<'a, Result<Restored, String>> {
            Box::pin(async { Err("not here".into()) })
        }
    }

    fn found(volume: &str, environments: &[&str]) -> ObjectFacts {
        let object = ObjectRef {
            upstream: "provider".parse().unwrap(),
            kind: "volume".into(),
            id: volume.into(),
            within: None,
        };
        let names = environments.iter().map(|name| name.parse().unwrap());
        ObjectFacts {
            resolved: true,
            environment: Environment::named(names, |_| false),
            ..ObjectFacts::unresolved(object)
        }
    }

    fn copied(living: &Living, facts: &[ObjectFacts]) -> Vec<String> {
        let part = Part {
            operation: "provider.volumeDelete".into(),
            effect: Effect::DESTROY,
            irreversible: true,
            backups: BackupsFate::Die,
            objects: facts.iter().map(|found| found.object.clone()).collect(),
            recovery: Recovery::default(),
            why: String::new(),
        };
        copies(living, &part, facts).into_iter().map(String::from).collect()
    }

    #[test]
    fn a_copy_counts_where_it_holds_all_that_the_object_does() {
        let living = Living(&[("main", "v1", "staging"), ("live", "v2", "production")]);
        assert_eq!(copied(&living, &[found("v1", &["staging"])]), ["main"]);
        let both = [found("v1", &["staging"]), found("v2", &["production"])];
        assert_eq!(copied(&living, &both), ["main", "live"]);
        let none: [&str; 0] = [];
        assert_eq!(copied(&living, &[found("v3", &["staging"])]), none, "nothing lives there");
        assert_eq!(copied(&living, &[found("v1", &["staging", "production"])]), none);
        assert_eq!(copied(&living, &[found("v1", &["production"])]), none, "another environment");
        assert_eq!(copied(&living, &[found("v1", &[])]), none, "nobody knows where it is");
        let one_bare = [found("v1", &["staging"]), found("v3", &["staging"])];
        assert_eq!(copied(&living, &one_bare), none, "all of them, or none counts");
        let mut unresolved = found("v1", &["staging"]);
        unresolved.resolved = false;
        assert_eq!(copied(&living, &[unresolved]), none);
    }

    #[test]
    fn a_snapshots_name_is_read_back_and_no_other_is_one() {
        let main: UpstreamName = "main".parse().unwrap();
        assert_eq!(snapshot_of(&point_name(&main)), Some(main));
        for other in ["volume_backup", "snapshot of ", "snapshot of A B", "snapshot"] {
            assert_eq!(snapshot_of(other), None, "{other}");
        }
    }
}
