//! The beginnings of both connections: a client is let in, a server is logged in to.

pub mod client;
pub mod server;
