//! PostgreSQL's wire protocol behind the door: one session of an agent, one connection to the server.
//!
//! [`wire`] is sans-IO: frames and messages of both sides, SCRAM. [`handshake`] brings a client in and
//! logs in at the server. [`inspect`] reads the
//! catalogue. [`session`] is the engine: every statement judged, wrapped, captured, and committed
//! through the gate. [`capture`] knows before-images and the way back.

pub mod capture;
pub mod handshake;
pub mod inspect;
pub mod session;
pub mod wire;
