//! What a call touches, as named by the call and as found out by the gateway.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::id::UpstreamName;

/// An object as a call names it: a kind from the pack and the provider's id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectRef {
    /// The upstream where it lives.
    pub upstream: UpstreamName,
    /// The pack's word for its kind (`volume`).
    pub kind: String,
    /// The provider's id; empty when the call does not name it.
    pub id: String,
    /// The object that says in which environment it is meant (`service` in `environment`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Box<ObjectRef>>,
}

impl ObjectRef {
    /// The most bytes of an id that are kept; a longer one is not an id.
    pub const ID_BYTES_MAX: usize = 512;

    /// Returns whether the call names the object.
    #[must_use]
    pub fn is_named(&self) -> bool {
        !self.id.is_empty()
    }

    /// Returns `kind:id`, with the narrowing object behind `@`.
    #[must_use]
    pub fn label(&self) -> String {
        let id = if self.is_named() { self.id.as_str() } else { "(not named)" };
        match &self.within {
            Some(within) => format!("{}:{id}@{}", self.kind, within.label()),
            None => format!("{}:{id}", self.kind),
        }
    }
}

/// Whether an object's own backups go when the call is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupsFate {
    /// They stay.
    Survive,
    /// Nobody can say; counts as gone.
    Unknown,
    /// They go with it.
    Die,
}

/// What the gateway found out about an object, from the server or the inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectFacts {
    /// The object.
    pub object: ObjectRef,
    /// Whether the provider (or a human's declaration) confirmed what it is.
    pub resolved: bool,
    /// Where it lives.
    pub environment: Environment,
    /// The provider's name for it.
    pub name: Option<String>,
    /// Megabytes, when known.
    pub size_mb: Option<u64>,
    /// What depends on it, by name.
    pub dependants: Vec<String>,
    /// Backups of it that the provider lists, by id.
    pub backups: Vec<String>,
    /// Whether this very session created it, by the gateway's own record.
    pub created_by_session: bool,
    /// Everything else that the resolver found, by fact name; shown and recorded as it is.
    pub extra: BTreeMap<String, Vec<String>>,
    /// Facts beside identity, environment and backups that an approval is bound to, with the
    /// tolerance in percent.
    pub material: BTreeMap<String, MaterialFact>,
    /// The rows of it that the call changes or removes, for objects that hold rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowsFact>,
}

/// How many rows of an object a call changes or removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RowsFact {
    /// How many.
    pub count: u64,
    /// Whether the server counted them; otherwise it is an estimate, and the worst when nobody could make one.
    pub measured: bool,
    /// How many rows the object holds, as far as known.
    pub of: Option<u64>,
    /// Whether nothing is lasting before a COMMIT that is judged by itself with measured rows.
    pub held_at_commit: bool,
}

/// A measured fact that an approval is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaterialFact {
    /// The value when it was measured.
    pub value: u64,
    /// How far it may move before the approval no longer fits, in percent of the value.
    pub tolerance_percent: u8,
    /// Whether less always fits: the value is the most that was approved.
    #[serde(default)]
    pub ceiling: bool,
}

impl MaterialFact {
    /// Returns whether a value measured later is within tolerance of this one.
    #[must_use]
    pub fn admits(self, later: u64) -> bool {
        if self.ceiling && later <= self.value {
            return true;
        }
        let slack = u128::from(self.value).saturating_mul(u128::from(self.tolerance_percent)) / 100;
        u128::from(self.value.abs_diff(later)) <= slack
    }
}

impl ObjectFacts {
    /// Returns the facts of an object that could not be looked up: environment unknown.
    #[must_use]
    pub fn unresolved(object: ObjectRef) -> Self {
        Self {
            object,
            resolved: false,
            environment: Environment::unknown(),
            name: None,
            size_mb: None,
            dependants: Vec::new(),
            backups: Vec::new(),
            created_by_session: false,
            extra: BTreeMap::new(),
            material: BTreeMap::new(),
            rows: None,
        }
    }

    /// Returns whether an approval given on `self` still fits what was found `later`: the same
    /// object, environment and resolution, no backup fewer or more, material facts within tolerance.
    #[must_use]
    pub fn still_fits(&self, later: &Self) -> bool {
        self.object == later.object
            && self.resolved == later.resolved
            && self.environment == later.environment
            && self.backups == later.backups
            && self.material.len() == later.material.len()
            && self.material.iter().all(|(name, fact)| {
                later.material.get(name).is_some_and(|found| fact.admits(found.value))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume() -> ObjectFacts {
        ObjectFacts::unresolved(ObjectRef {
            upstream: UpstreamName::parse("railway").unwrap(),
            kind: "volume".into(),
            id: "v1".into(),
            within: None,
        })
    }

    #[test]
    fn an_approval_does_not_fit_when_the_environment_or_a_backup_changed() {
        let approved = volume();
        let mut moved = volume();
        moved.environment = Environment::declared(crate::Tier::Shared);
        assert!(!approved.still_fits(&moved));
        let mut fewer = volume();
        fewer.backups = vec!["b1".into()];
        assert!(!approved.still_fits(&fewer));
        assert!(approved.still_fits(&volume()));
    }

    #[test]
    fn an_approval_for_the_most_rows_fits_fewer_and_not_one_more() {
        let most = MaterialFact { value: 71_128, tolerance_percent: 0, ceiling: true };
        assert!(most.admits(71_128) && most.admits(0));
        assert!(!most.admits(71_129));
    }

    #[test]
    fn a_size_may_move_within_its_tolerance_only() {
        let fact = MaterialFact { value: 1000, tolerance_percent: 20, ceiling: false };
        assert!(fact.admits(1200) && fact.admits(800));
        assert!(!fact.admits(1201) && !fact.admits(799));
        assert!(MaterialFact { value: u64::MAX, tolerance_percent: 255, ceiling: false }.admits(0));
    }
}
