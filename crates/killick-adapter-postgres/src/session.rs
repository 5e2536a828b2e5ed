//! The engine: one agent's connection, one connection to the server, every statement through the gate.
//!
//! [`adapter`] stands behind the door. [`connect`] brings both sides together. [`engine`] is the loop that
//! reads the agent's messages; [`simple`] and [`extended`] carry them; [`unit`] is one statement on its way
//! through the gate as a [`call`]; [`transaction`] says where the connection stands, and [`commit`] is the
//! gate at the end. [`server`] and [`client`] are the two ends.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "kinds of statements that are not named are carried as they are; what they may do was judged before"
)]
#![expect(
    clippy::struct_excessive_bools,
    reason = "a session and its transaction stand in many places, each a yes or no of its own"
)]
#![expect(clippy::too_many_lines, reason = "a login is one story from top to bottom")]

pub(crate) mod adapter;
pub(crate) mod answers;
pub(crate) mod call;
pub(crate) mod cancel;
pub(crate) mod client;
pub(crate) mod commit;
pub(crate) mod connect;
pub(crate) mod control;
pub(crate) mod engine;
pub(crate) mod epoch;
pub(crate) mod extended;
pub(crate) mod facts;
mod guard;
pub(crate) mod hint;
pub(crate) mod images;
pub(crate) mod keep;
mod keep_columns;
pub(crate) mod keep_definitions;
mod keep_gone;
pub(crate) mod keep_whole;
pub(crate) mod made;
pub(crate) mod meaning;
pub(crate) mod own;
pub(crate) mod refusal;
mod same;
pub(crate) mod sample;
pub(crate) mod server;
pub(crate) mod simple;
pub(crate) mod texts;
pub(crate) mod transaction;
pub(crate) mod unit;
mod wal;
