//! Preparing a server: the statements that make roles of least privilege, and a look at what holds there.
//!
//! [`script`] writes the statements, for a human to run; the gateway never does. [`seen`] is what the server answers
//! to the gateway's own questions, [`findings`] what that means, layer by layer, and [`probe`] asks.
//! [`programs`] is about what has to be on the machine beside the gateway.

pub(crate) mod findings;
pub(crate) mod probe;
pub mod programs;
pub mod script;
pub(crate) mod seen;
