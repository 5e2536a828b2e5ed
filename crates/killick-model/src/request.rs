//! What waits for a human or for its time: access requests, parked calls, grants, break-glass.

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::decision::Obligation;
use crate::digest::CallDigest;
use crate::effect::EffectWord;
use crate::id::{AgentName, CallId, PendingId, RequestId, SessionId, UpstreamName};
use crate::object::ObjectFacts;
use crate::principal::{Owner, Principal};
use crate::time::UnixMillis;

/// Where an access request stands. Changes only by compare-and-set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// Waits for a human.
    Open,
    /// A human said yes; not used yet.
    Approved,
    /// The approval was used.
    Spent,
    /// A human said no.
    Denied,
    /// Nobody answered in time, or the approval was not used in time.
    Expired,
}

/// A denial that may be asked for. Holds what the gateway found, never what the agent claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRequest {
    /// Its id.
    pub id: RequestId,
    /// The call that was denied.
    pub call: CallId,
    /// Who asked.
    pub principal: Principal,
    /// What the call would do.
    pub action: Action,
    /// The digest that an approval is bound to.
    pub digest: CallDigest,
    /// The upstream.
    pub upstream: UpstreamName,
    /// What was found about every object, in the order of [`Action::objects`].
    pub facts: Vec<ObjectFacts>,
    /// What will be done first, once approved.
    pub obligations: Vec<Obligation>,
    /// Where it stands.
    pub state: RequestState,
    /// When it was asked.
    pub asked: UnixMillis,
    /// When it, or its approval, ends.
    pub expires: UnixMillis,
    /// Who answered, with which proof, when.
    pub answer: Option<Answer>,
    /// Whether the gateway sends the parked call itself once approved.
    pub send_when_approved: bool,
}

impl AccessRequest {
    /// How long a request waits for a human, in milliseconds.
    pub const OPEN_MILLIS_MAX: u64 = 24 * 3_600_000;
    /// How long an approval may be used, in milliseconds.
    pub const APPROVED_MILLIS_MAX: u64 = 30 * 60_000;
    /// Requests that one agent may have open. The next is refused, not queued.
    pub const OPEN_PER_AGENT_MAX: usize = 5;
    /// Requests that all agents of one owner may have open.
    pub const OPEN_PER_OWNER_MAX: usize = 20;
}

/// A human's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Who answered.
    pub by: Owner,
    /// By which proof (`passphrase`).
    pub proof: String,
    /// When.
    pub at: UnixMillis,
    /// In their words.
    pub note: Option<String>,
}

/// Where a parked call stands. Changes only by compare-and-set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PendingState {
    /// Waits for its time.
    Waiting,
    /// Its time has come; being sent.
    Sending,
    /// Sent.
    Sent,
    /// A human cancelled it.
    Cancelled,
    /// It was refused when its time came.
    Refused,
    /// The gateway stopped while it was being sent; nobody knows.
    Unknown,
}

/// A call that waits for the end of its grace period. Never a permit: when due, it re-enters undecided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Its id.
    pub id: PendingId,
    /// The call.
    pub call: CallId,
    /// Who asked.
    pub principal: Principal,
    /// What it would do.
    pub action: Action,
    /// The digest of its meaning.
    pub digest: CallDigest,
    /// The upstream.
    pub upstream: UpstreamName,
    /// The adapter that can revive it.
    pub adapter: String,
    /// What was found about every object when it was parked.
    pub facts: Vec<ObjectFacts>,
    /// The approval it was parked under, when one was needed.
    pub request: Option<RequestId>,
    /// Where it stands.
    pub state: PendingState,
    /// When it was parked.
    pub parked: UnixMillis,
    /// When it is due.
    pub due: UnixMillis,
}

impl Pending {
    /// Calls one agent may have parked. The next one is refused.
    pub const WAITING_PER_AGENT_MAX: usize = 32;
    /// The most bytes of a parked call's canonical form.
    pub const CANONICAL_BYTES_MAX: usize = 1 << 20;
}

// A parked call is kept whole, so the product is one agent's worst case on disk.
const _: () = assert!(Pending::WAITING_PER_AGENT_MAX * Pending::CANONICAL_BYTES_MAX <= 64 << 20);

/// A human's standing yes for one session. Never for destroy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its id (`g-` and hex digits).
    pub id: String,
    /// The session that may use it.
    pub session: SessionId,
    /// What it allows: write or administer.
    pub effect: EffectWord,
    /// Objects as `kind:id`, or any of the session's environment when empty.
    pub objects: Vec<String>,
    /// Uses left.
    pub left: u32,
    /// When it ends.
    pub expires: UnixMillis,
    /// Who gave it.
    pub by: Owner,
}

/// A time-boxed exception that a human opens with a reason, loud on every listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakGlass {
    /// The agent.
    pub agent: AgentName,
    /// Why.
    pub reason: String,
    /// Who opened it.
    pub by: Owner,
    /// When it ends.
    pub expires: UnixMillis,
}

impl BreakGlass {
    /// The longest a break-glass stays open, in milliseconds.
    pub const OPEN_MILLIS_MAX: u64 = 4 * 3_600_000;
}
