//! Protocol 3.x, sans-IO: bytes in, messages out, and the other way (PostgreSQL 18, chapter 54).

pub mod backend;
pub mod frame;
pub mod frontend;
pub mod scram;
