//! Where credentials stand in a request, decided by position first.

mod classify;
mod sighting;

pub use classify::{CredentialVerdict, Recognise, Recognised, classify};
pub use sighting::{Place, Positions, Scheme, Sighting, sightings, without_credentials};
