//! Hands of the obligations: calls that wait for their grace period, those a human wants sent, and recovery
//! points off-site.
//!
//! A parked call is never a permit. When its time has come it re-enters undecided: its facts are looked up
//! anew, the decision point is asked anew, and a freeze in between wins.

mod deferral;
pub mod points;
mod works;

pub use deferral::{Cancelled, Deferrals, TICK_MILLIS};
pub use works::{RETRY_MILLIS, SCHEDULE_SECONDS, Works};
