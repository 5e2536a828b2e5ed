//! Issued, own, derived or foreign.

use killick_model::CredentialName;

use super::sighting::{Place, Sighting};

/// What the gateway knows of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// A surrogate of this session for this upstream.
    IssuedHere {
        /// The credential it stands for.
        credential: CredentialName,
    },
    /// A surrogate of ours, but of another session, upstream or environment.
    IssuedElsewhere,
    /// The agent's registered login at this upstream.
    Own,
    /// What this upstream handed this session.
    Derived,
    /// A credential seen before that is none of these.
    KnownForeign,
    /// Never seen.
    Unknown,
}

/// Compares bytes with what the gateway knows; keyed hashes behind it, never plain values.
pub trait Recognise {
    /// Says what is known of the bytes.
    fn recognise(&self, bytes: &[u8]) -> Recognised;
}

/// What a request's credentials come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialVerdict {
    /// Nothing stands where a credential stands.
    Clean,
    /// Only credentials that may stand there.
    Good {
        /// Surrogates seen, each once; the driver injects what they stand for.
        issued: Vec<CredentialName>,
        /// Sightings, by index, that pass as they are: own and derived.
        keep: Vec<usize>,
    },
    /// Something else stands there.
    Foreign {
        /// Where, each once.
        places: Vec<Place>,
        /// The sightings, by index, to be fingerprinted.
        sightings: Vec<usize>,
    },
    /// A surrogate of ours stands where it must not.
    Misplaced {
        /// Where.
        places: Vec<Place>,
    },
}

/// Decides the class of every sighting; the worst one is the verdict.
#[must_use]
pub fn classify(sightings: &[Sighting], _known: &dyn Recognise) -> CredentialVerdict {
    CredentialVerdict::Foreign {
        places: sightings.iter().map(|seen| seen.place.clone()).collect(),
        sightings: (0..sightings.len()).collect(),
    }
}
