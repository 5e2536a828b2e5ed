//! What a call would do: a severity and facets, or no knowledge at all.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad the effect on data is, mildest first. The order is the meaning: keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// No durable change.
    Read,
    /// Adds or changes bounded state.
    Write,
    /// Removes or overwrites data, objects, their protection, or a service.
    Destroy,
}

/// One side of an effect that severity does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Facet {
    /// Permissions, credentials minted, protection or backups switched off, code that runs later.
    Administers,
    /// Secrets come back in the answer.
    Reveals,
    /// Mail, payment, message: leaves for people.
    Outward,
    /// Not limited to the named object.
    Unbounded,
    /// Happens later, by itself.
    Deferred,
}

impl Facet {
    /// Every facet.
    pub const ALL: [Self; 5] =
        [Self::Administers, Self::Reveals, Self::Outward, Self::Unbounded, Self::Deferred];

    const fn bit(self) -> u8 {
        match self {
            Self::Administers => 1,
            Self::Reveals => 2,
            Self::Outward => 4,
            Self::Unbounded => 8,
            Self::Deferred => 16,
        }
    }
}

/// A set of [`Facet`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Facet>", into = "Vec<Facet>")]
pub struct Facets(u8);

impl Facets {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Returns whether the facet is in the set.
    #[must_use]
    pub const fn has(self, facet: Facet) -> bool {
        self.0 & facet.bit() != 0
    }

    /// Returns the set with the facet added.
    #[must_use]
    pub const fn with(self, facet: Facet) -> Self {
        Self(self.0 | facet.bit())
    }

    /// Returns what is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the facets in the set, in their own order.
    pub fn iter(self) -> impl Iterator<Item = Facet> {
        Facet::ALL.into_iter().filter(move |facet| self.has(*facet))
    }
}

impl From<Vec<Facet>> for Facets {
    fn from(list: Vec<Facet>) -> Self {
        list.into_iter().fold(Self::NONE, Self::with)
    }
}

impl From<Facets> for Vec<Facet> {
    fn from(set: Facets) -> Self {
        set.iter().collect()
    }
}

/// What a call would do, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Judged by a pack, a schema or a grammar.
    Known {
        /// How bad.
        severity: Severity,
        /// What else.
        facets: Facets,
    },
    /// Nobody can say: treated as the worst it could be.
    Unrecognized,
}

impl Effect {
    /// A read without facets.
    pub const READ: Self = Self::Known { severity: Severity::Read, facets: Facets::NONE };
    /// A write without facets.
    pub const WRITE: Self = Self::Known { severity: Severity::Write, facets: Facets::NONE };
    /// A destruction without facets.
    pub const DESTROY: Self = Self::Known { severity: Severity::Destroy, facets: Facets::NONE };
    /// A write that administers.
    pub const ADMINISTER: Self =
        Self::Known { severity: Severity::Write, facets: Facets::NONE.with(Facet::Administers) };

    /// Returns the one word that `explain` prints and policies name as action.
    #[must_use]
    pub const fn word(self) -> EffectWord {
        match self {
            Self::Unrecognized => EffectWord::Unrecognized,
            Self::Known { severity: Severity::Destroy, .. } => EffectWord::Destroy,
            Self::Known { facets, .. } if facets.has(Facet::Administers) => EffectWord::Administer,
            Self::Known { severity: Severity::Write, .. } => EffectWord::Write,
            Self::Known { severity: Severity::Read, .. } => EffectWord::Read,
        }
    }

    /// Returns whether the effect has the facet; an unrecognized effect has every facet.
    #[must_use]
    pub const fn has(self, facet: Facet) -> bool {
        match self {
            Self::Unrecognized => true,
            Self::Known { facets, .. } => facets.has(facet),
        }
    }

    /// Returns the effect with one facet more.
    #[must_use]
    pub const fn with(self, facet: Facet) -> Self {
        match self {
            Self::Unrecognized => Self::Unrecognized,
            Self::Known { severity, facets } => {
                Self::Known { severity, facets: facets.with(facet) }
            }
        }
    }

    /// Returns what is as bad as both together.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unrecognized, _) | (_, Self::Unrecognized) => Self::Unrecognized,
            (Self::Known { severity: a, facets: f }, Self::Known { severity: b, facets: g }) => {
                Self::Known { severity: a.max(b), facets: f.union(g) }
            }
        }
    }

    /// Returns how bad a batch is: as its worst part; an empty batch is unrecognized, not harmless.
    #[must_use]
    pub fn of_batch(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().reduce(Self::join).unwrap_or(Self::Unrecognized)
    }

    /// Returns whether the call must be durable on the record before it is sent.
    #[must_use]
    pub const fn is_only_read(self) -> bool {
        matches!(self.word(), EffectWord::Read)
    }
}

/// The one word for an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectWord {
    /// See [`Severity::Read`].
    Read,
    /// See [`Severity::Write`].
    Write,
    /// See [`Severity::Destroy`].
    Destroy,
    /// See [`Facet::Administers`].
    Administer,
    /// See [`Effect::Unrecognized`].
    Unrecognized,
}

impl EffectWord {
    /// Every word.
    pub const ALL: [Self; 5] =
        [Self::Read, Self::Write, Self::Destroy, Self::Administer, Self::Unrecognized];

    /// Returns the word as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destroy => "destroy",
            Self::Administer => "administer",
            Self::Unrecognized => "unrecognized",
        }
    }

    /// Returns how bad the word is: read 0, write 1, destroy and administer 2, unrecognized 3.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::Read => 0,
            Self::Write => 1,
            Self::Destroy | Self::Administer => 2,
            Self::Unrecognized => 3,
        }
    }
}

impl fmt::Display for EffectWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_effect() -> Vec<Effect> {
        let mut all = vec![Effect::Unrecognized];
        for severity in [Severity::Read, Severity::Write, Severity::Destroy] {
            for bits in 0..32_u8 {
                all.push(Effect::Known { severity, facets: Facets(bits) });
            }
        }
        all
    }

    #[test]
    fn adding_a_part_never_makes_a_batch_milder() {
        for a in every_effect() {
            for b in every_effect() {
                let both = Effect::of_batch([a, b]);
                assert!(both.word().level() >= a.word().level(), "{a:?} {b:?}");
                assert!(both.word().level() >= b.word().level(), "{a:?} {b:?}");
                for facet in Facet::ALL {
                    assert!(both.has(facet) || !(a.has(facet) || b.has(facet)));
                }
            }
        }
    }

    #[test]
    fn an_empty_batch_is_unrecognized() {
        assert_eq!(Effect::of_batch([]), Effect::Unrecognized);
    }

    #[test]
    fn a_read_that_administers_is_not_called_a_read() {
        let effect = Effect::READ.with(Facet::Administers);
        assert_eq!(effect.word(), EffectWord::Administer);
        assert!(!effect.is_only_read());
    }
}
