//! The words of Killick as types: no I/O, no async.
//!
//! Every other crate speaks in these. A value of a type here *is* the check: private fields, one way in.
//! The path of a call reads [`principal`] (who), [`action`] (what), [`object`] (to what), [`decision`]
//! (may it, and on which conditions), [`refusal`] (what the agent is told), [`record`] (what is kept).

pub mod action;
pub mod admin;
pub mod database;
pub mod decision;
pub mod digest;
pub mod effect;
pub mod environment;
pub mod explain;
pub mod id;
pub mod object;
pub mod point;
pub mod principal;
pub mod readiness;
pub mod record;
pub mod refusal;
pub mod rehearsal;
pub mod request;
pub mod time;

pub use action::{Action, Part, Recovery};
pub use decision::{Means, Obligation, Outcome, Survivable};
pub use digest::CallDigest;
pub use effect::{Effect, EffectWord, Facet, Facets, Severity};
pub use environment::{Environment, Tier};
pub use id::{
    AgentName, CallId, CredentialName, EnvironmentName, IdError, PendingId, PointId, RequestId,
    SessionId, UpstreamName,
};
pub use object::{BackupsFate, ObjectFacts, ObjectRef, RowsFact};
pub use principal::{Owner, Principal, Scope};
pub use refusal::{Code, Refusal};
pub use time::UnixMillis;
