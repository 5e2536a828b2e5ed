//! What people see: text from elsewhere made harmless, tables, moments, colours on a terminal alone.

pub(crate) mod moment;
pub(crate) mod plain;
pub(crate) mod record;
pub(crate) mod request;
pub(crate) mod screen;

pub(crate) use plain::plain;
pub(crate) use screen::{Screen, Tone};
