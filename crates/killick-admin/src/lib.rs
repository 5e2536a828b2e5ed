//! The administration point: what people tell the gateway, proved, put on the record, then done.
//!
//! A [`protocol::Command`] comes over the UNIX socket from a process whose user the kernel names
//! ([`serve`]). Whatever could widen what an agent may do needs a proof that the agent's user id alone
//! cannot give ([`proof`]); what only narrows it, and what only reads, does not. Every step is on the
//! record before it takes effect ([`Administration`]). No session token is good here.

pub mod administration;
pub mod policies;
pub mod ports;
pub mod proof;
pub mod protocol;
pub mod secret;
pub mod serve;

#[cfg(test)]
mod stage;

pub use administration::{Administration, AdministrationParts, Caller};
pub use serve::{ServeOptions, serve};
