//! Test support: nothing in the product depends on this crate.
//!
//! [`practice`] is a provider's API to practise on: it answers the published schema over TLS, its
//! volumes hold real bytes on disk, and its deletions really delete. [`connect_router`] is a bare
//! CONNECT proxy that leads a real client to it. [`railway_cli`] lists what the provider's own
//! command-line client can do. [`gateway`] runs the real gateway between them, and
//! [`demo`] plays the incident on all of it. [`postgres`] starts a real database server.

pub mod connect_router;
pub mod demo;
pub mod gateway;
pub mod postgres;
pub mod practice;
pub mod railway_cli;
