//! The door: every call goes through it, and its type says how far it has come.
//!
//! An adapter parses bytes into a [`Call`], wraps it as [`Undecided`], and hands it to the [`Gate`].
//! The gate gathers facts, asks the decision point, does what must be done first, writes the record,
//! and returns [`Recorded`]: the only thing from which bytes may reach an upstream.
//! Everything the gate needs from outside comes through the traits in [`ports`].

pub mod chain;
pub mod explain;
pub mod facts;
pub mod freeze;
pub mod ids;
pub mod points;
pub mod ports;
pub mod programs;
pub mod sessions;
pub mod wholes;

pub mod adapter;
mod decide;
mod details;
mod ending;
mod foresee;
mod gate;
mod mirror;
mod obligations;
mod open;
mod requests;

pub use chain::{Call, Departure, InFlight, Permitted, Recorded, Undecided};
pub use decide::{Asked, Due, Verdict};
pub use ending::{CarriedYes, Ending, ROWS};
pub use facts::Resolve;
pub use freeze::{Lifeline, Standings};
pub use gate::{Blocking, ErrandKind, Gate, GateConfig, GateParts, Sending};
pub use killick_policy::Pdp;
pub use obligations::{Hands, PointTaken};
pub use open::{Opened, SESSIONS_PER_AGENT_MAX};
pub use sessions::{LiveSession, Sessions};
