//! Who asks: a session, child of an agent, child of its owner; never a bare token.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::effect::EffectWord;
use crate::id::{AgentName, EnvironmentName, SessionId, UpstreamName};
use crate::object::ObjectRef;
use crate::time::UnixMillis;

/// The human who answers for an agent: who says so (issuer) and whom they mean (subject).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// `local` for a user of this machine, else an identity provider's issuer.
    pub issuer: String,
    /// The user at that issuer.
    pub subject: String,
}

impl Owner {
    const PART_BYTES_MAX: usize = 200;

    /// Parses `ISSUER:SUBJECT`; the last colon divides, since an issuer is often a URL.
    ///
    /// # Errors
    /// A part is missing, too long, or holds control characters.
    pub fn parse(raw: &str) -> Result<Self, OwnerError> {
        let (issuer, subject) = raw.rsplit_once(':').ok_or(OwnerError)?;
        let good = |part: &str| {
            (1..=Self::PART_BYTES_MAX).contains(&part.len())
                && part.chars().all(|c| c.is_ascii_graphic())
        };
        if good(issuer) && good(subject) {
            Ok(Self { issuer: issuer.into(), subject: subject.into() })
        } else {
            Err(OwnerError)
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.issuer, self.subject)
    }
}

/// The text is not an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an owner is written ISSUER:SUBJECT, printable ASCII, at most 200 bytes each (`local:alice`)"
)]
pub struct OwnerError;

/// What a session may at the most do, whatever policy says. A narrower session may do less, never more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Effects; unrecognized is never in scope.
    pub effects: BTreeSet<ScopedEffect>,
    /// Upstreams, or any when `None`.
    pub upstreams: Option<BTreeSet<UpstreamName>>,
    /// Objects as `kind:id`, or any when `None`.
    pub objects: Option<BTreeSet<String>>,
}

/// An effect that can be in scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScopedEffect {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Destroys.
    Destroy,
    /// Administers.
    Administer,
}

impl Scope {
    /// The scope of a session that is limited by policy alone.
    #[must_use]
    pub fn full() -> Self {
        Self {
            effects: [
                ScopedEffect::Read,
                ScopedEffect::Write,
                ScopedEffect::Destroy,
                ScopedEffect::Administer,
            ]
            .into(),
            upstreams: None,
            objects: None,
        }
    }

    /// Returns what both scopes allow; so a child's scope is never wider than its parent's.
    #[must_use]
    pub fn narrowed_by(&self, asked: &Self) -> Self {
        fn meet<T: Ord + Clone>(
            a: Option<&BTreeSet<T>>,
            b: Option<&BTreeSet<T>>,
        ) -> Option<BTreeSet<T>> {
            match (a, b) {
                (None, None) => None,
                (Some(one), None) | (None, Some(one)) => Some(one.clone()),
                (Some(a), Some(b)) => Some(a.intersection(b).cloned().collect()),
            }
        }
        Self {
            effects: self.effects.intersection(&asked.effects).copied().collect(),
            upstreams: meet(self.upstreams.as_ref(), asked.upstreams.as_ref()),
            objects: meet(self.objects.as_ref(), asked.objects.as_ref()),
        }
    }

    /// Returns whether everything in `self` is in `parent` too.
    #[must_use]
    pub fn is_within(&self, parent: &Self) -> bool {
        self.narrowed_by(parent) == *self
    }

    /// Returns whether an effect on an object is in scope.
    #[must_use]
    pub fn admits(&self, effect: EffectWord, object: &ObjectRef) -> bool {
        let effect = match effect {
            EffectWord::Read => ScopedEffect::Read,
            EffectWord::Write => ScopedEffect::Write,
            EffectWord::Destroy => ScopedEffect::Destroy,
            EffectWord::Administer => ScopedEffect::Administer,
            // Policy answers for what nobody recognizes; scope can only take away.
            EffectWord::Unrecognized => return true,
        };
        self.effects.contains(&effect)
            && self.upstreams.as_ref().is_none_or(|set| set.contains(&object.upstream))
            && self.objects.as_ref().is_none_or(|set| {
                set.contains(&format!("{}:{}", object.kind, object.id))
                    || object.within.as_ref().is_some_and(|within| {
                        set.contains(&format!("{}:{}", within.kind, within.id))
                    })
            })
    }
}

/// A session as it stands in every decision and entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The session.
    pub session: SessionId,
    /// Sessions from the root to this one, this one last.
    pub chain: Vec<SessionId>,
    /// The agent.
    pub agent: AgentName,
    /// The groups of the agent.
    pub groups: BTreeSet<String>,
    /// The human who answers for it.
    pub owner: Owner,
    /// The environment that the task is in.
    pub environment: EnvironmentName,
    /// The task, in the owner's words.
    pub task: String,
    /// What it may at the most do.
    pub scope: Scope,
    /// When it ends.
    pub expires: UnixMillis,
    /// Whether a fence leaves the agent no way but through the gateway.
    pub fence: bool,
}

impl Principal {
    /// Sessions from root to leaf; a deeper one is refused.
    pub const CHAIN_LEN_MAX: usize = 8;
    /// The longest task text.
    pub const TASK_BYTES_MAX: usize = 500;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> ObjectRef {
        ObjectRef {
            upstream: UpstreamName::parse("railway").unwrap(),
            kind: "volume".into(),
            id: "v1".into(),
            within: None,
        }
    }

    #[test]
    fn narrowing_never_widens() {
        let parent = Scope {
            effects: [ScopedEffect::Read].into(),
            upstreams: Some([UpstreamName::parse("railway").unwrap()].into()),
            objects: None,
        };
        let child = parent.narrowed_by(&Scope::full());
        assert!(child.is_within(&parent));
        assert!(!Scope::full().is_within(&parent));
        assert!(!child.admits(EffectWord::Destroy, &object()));
        assert!(child.admits(EffectWord::Read, &object()));
    }

    #[test]
    fn an_object_outside_the_list_is_out_of_scope() {
        let scope = Scope { objects: Some(["volume:v2".into()].into()), ..Scope::full() };
        assert!(!scope.admits(EffectWord::Read, &object()));
    }

    #[test]
    fn an_owner_needs_both_parts() {
        assert!(Owner::parse("local:alice").is_ok());
        assert_eq!(
            Owner::parse("https://id.example:alice").map(|o| o.issuer),
            Ok("https://id.example".into())
        );
        assert!(Owner::parse("alice").is_err());
        assert!(Owner::parse("local:").is_err());
        assert!(Owner::parse("local:a\u{202e}b").is_err());
    }
}
