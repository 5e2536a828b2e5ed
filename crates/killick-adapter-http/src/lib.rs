//! REST and GraphQL: strict heads, credentials by position, effects from packs.
//!
//! Everything but [`driver`] is sans-IO: no socket, no clock, no lock. A request's way leads through
//! [`head`] (is it one request, readable in one way only), [`credential`] (what stands where a
//! credential stands), [`judge`] (what it would do, and its one canonical form), and [`resolve`] (what
//! its objects are, asked at the provider).

pub mod body;
pub mod credential;
pub mod driver;
pub mod explain;
mod graphql;
pub mod head;
pub mod judge;
pub mod pack;
pub mod resolve;
mod rest;
