//! A provider to practise on: real requests, real deletions, throw-away everything.

mod access;
mod calendar;
mod change_set;
mod changes;
mod deletion;
mod disk;
mod environment_patch;
mod executor;
mod extras;
mod journal;
mod mutations;
mod queries;
mod relations;
mod request;
mod seed;
mod server;
mod state;
mod tls;
mod volumes;
mod world;

pub use journal::{ExecutedField, SeenRequest};
pub use seed::ids;
pub use world::{PracticeOptions, PracticeWorld};
