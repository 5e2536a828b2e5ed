//! GraphQL: the shapes in which a request comes, the operation that will run, its root fields with
//! their arguments, and the one document that is sent.

mod canonical;
mod document;
mod envelope;
mod reading;
mod reveal;
mod variables;

pub(crate) use canonical::{canonical, excerpt, shorten};
pub(crate) use document::{Chosen, DocumentError, RootField, choose};
pub(crate) use envelope::{Doubt, Envelope, envelope, looks_like_document};
pub(crate) use reading::{Element, distinct};
pub(crate) use reveal::revealing;
