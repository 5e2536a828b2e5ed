//! Where credentials stand in a request, decided by position first.
//!
//! [`sightings`] finds, [`classify`] decides, [`without_credentials`] takes out. In a head the position
//! decides: whatever stands in `Authorization` is a credential, whatever it looks like. In a body it is
//! best effort: named keys, known shapes, and words that are compared with what the gateway knows. An
//! agent that encodes a credential into a body is not stopped here.

mod authorization;
mod classify;
mod content;
mod document;
mod header;
mod names;
mod shape;
mod sighting;
mod target;
mod words;

pub(crate) use shape::looks_random;

pub use classify::{CredentialVerdict, Recognise, Recognised, classify};
pub use sighting::{
    Place, Positions, SIGHTINGS_MAX, Scheme, Sighting, sightings, without_credentials,
};
pub use words::WORDS_MAX;

#[cfg(test)]
mod tests;
