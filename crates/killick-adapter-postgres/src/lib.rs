//! PostgreSQL's wire protocol behind the door: one session of an agent, one connection to the server.
//!
//! [`wire`] is sans-IO: frames and messages of both sides, SCRAM. [`handshake`] brings a client in and
//! logs in at the server. [`inspect`] reads the catalogue. [`session`] is the engine: every statement judged,
//! wrapped, and committed through the gate. [`prepare`] makes a server ready, and says how it is.
//! [`explain`] judges statements without sending them.

pub mod address;
pub mod explain;
pub mod handshake;
pub mod inspect;
pub mod prepare;
mod session;
pub mod snapshot;
mod undo;
pub mod wire;

pub use session::adapter::{ADAPTER_NAME, PostgresAdapter, PostgresParts};

/// Every operation that policies may name, with the effects it may have.
pub fn operations() -> impl Iterator<Item = (String, Vec<killick_model::EffectWord>)> {
    let own = killick_sql::judged::Group::ALL.into_iter().map(killick_sql::judged::Group::as_str);
    own.chain(["login", "snapshot", "rehearse", "restore"])
        .map(|word| (format!("postgres.{word}"), killick_model::EffectWord::ALL.to_vec()))
}
