//! PostgreSQL's SQL as the gateway understands it: text to statements, statements to effects and objects.
//!
//! Pure: no socket, no clock. [`script`] parses with PostgreSQL's own grammar under limits, [`catalogue`]
//! is what the server says exists, [`judge`] puts both together, and [`judged`] is what comes out.

pub mod catalogue;
pub mod class;
pub mod judge;
pub mod judged;
pub mod mask;
pub mod script;
