//! What is said over the administration socket: commands, replies, errors, all typed.

use std::collections::BTreeSet;

use killick_model::admin::{Agent, CredentialInfo, Session, Upstream};
use killick_model::database::Database;
use killick_model::explain::Explanation;
use killick_model::point::{PointInfo, UndoAsk, UndoReport};
use killick_model::readiness::{PrepareAsk, Prepared};
use killick_model::rehearsal::{Rehearsals, Work};
use killick_model::request::{AccessRequest, BreakGlass, Grant, Pending};
use killick_model::{
    AgentName, CallId, CredentialName, EffectWord, EnvironmentName, Owner, PendingId, PointId,
    RequestId, SessionId, UpstreamName,
};
use killick_policy::{PolicyProblem, PolicySource};
use serde::{Deserialize, Serialize};

use crate::ports::{CheckpointShown, PackInfo, RecordEntry};
use crate::secret::Secret;

mod asks;
mod errors;

pub use asks::{CredentialAsk, DatabaseAsk, SessionAsk, UpstreamAsk};
pub use errors::{AdminCode, AdminError};

/// Where commands are posted.
pub const COMMAND_PATH: &str = "/v1/command";
/// The most bytes of one command.
pub const COMMAND_BYTES_MAX: usize = 1 << 20;
/// The most entries of the record that one reply holds.
pub const ENTRIES_MAX: usize = 500;
/// Rows of requests and parked calls that one listing holds.
pub const ROWS_MAX: usize = 1_000;

/// One command with what proves that a human stands behind it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// What to do.
    pub command: Command,
    /// The approver's passphrase, where one is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Secret>,
    /// Whom the caller says to act for; recorded as a claim beside the user that the kernel names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_owner: Option<Owner>,
}

/// What a human asks of the gateway.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Says how the gateway is.
    Status {},
    /// Adds an agent.
    AgentAdd {
        /// Its name.
        name: AgentName,
        /// Who answers for it; the caller when absent.
        owner: Option<Owner>,
        /// Its groups.
        groups: BTreeSet<String>,
    },
    /// Lists agents.
    AgentList {},
    /// Freezes an agent at once.
    AgentFreeze {
        /// Which.
        name: AgentName,
        /// Why, in the caller's words.
        reason: Option<String>,
    },
    /// Lets a frozen agent go on.
    AgentThaw {
        /// Which.
        name: AgentName,
    },
    /// Removes an agent and ends its sessions.
    AgentRemove {
        /// Which.
        name: AgentName,
    },
    /// Opens a session.
    SessionOpen(SessionAsk),
    /// Lists sessions.
    SessionList {
        /// Ended ones too.
        all: bool,
    },
    /// Ends a session and every one below it.
    SessionClose {
        /// Which.
        session: SessionId,
    },
    /// Declares a database.
    DatabaseAdd(Box<DatabaseAsk>),
    /// Lists databases.
    DatabaseList {},
    /// Says what makes a database's server ready, and what holds there.
    DatabasePrepare {
        /// Which.
        name: UpstreamName,
        /// What its roles are to be.
        ask: PrepareAsk,
    },
    /// Reads what a database's server says exists, so that statements can be explained by it.
    DatabaseCatalogue {
        /// Which.
        name: UpstreamName,
    },
    /// Takes a database back, with its password.
    DatabaseRemove {
        /// Which.
        name: UpstreamName,
    },
    /// Puts back what a transaction destroyed, or plans it.
    Undo(Box<UndoAsk>),
    /// Lists recovery points.
    PointList {
        /// Of this upstream; of all when absent.
        database: Option<UpstreamName>,
    },
    /// Shows one recovery point.
    PointShow {
        /// Which.
        id: PointId,
    },
    /// Removes a recovery point; what it holds is gone for good.
    PointRemove {
        /// Which.
        id: PointId,
    },
    /// Begins to copy a database whole, off-site.
    SnapshotBegin {
        /// Which.
        database: UpstreamName,
    },
    /// Begins to rehearse a database's latest snapshot.
    RehearseBegin {
        /// Of which.
        database: UpstreamName,
        /// Queries that must each return true, in place of the configured ones.
        assertions: Option<String>,
    },
    /// Begins to restore a snapshot beside its database. Never over one that is there.
    RestoreBegin {
        /// Which database it was taken of.
        database: UpstreamName,
        /// Which snapshot.
        point: PointId,
        /// The name of the database that is made for it.
        into: String,
    },
    /// Says how the snapshot or rehearsal stands that was begun last.
    WorkShow {
        /// Of which database.
        database: UpstreamName,
    },
    /// Lists what is remembered of rehearsals.
    RehearsalList {},
    /// Declares an upstream.
    UpstreamAdd(UpstreamAsk),
    /// Lists upstreams.
    UpstreamList {},
    /// Takes an upstream back.
    UpstreamRemove {
        /// Which.
        name: UpstreamName,
    },
    /// Stores a credential.
    CredentialAdd(CredentialAsk),
    /// Lists credentials, without values.
    CredentialList {},
    /// Replaces a credential's value.
    CredentialRotate {
        /// Which.
        name: CredentialName,
        /// The value that takes the place of the former one.
        value: Secret,
    },
    /// Removes a credential.
    CredentialRemove {
        /// Which.
        name: CredentialName,
    },
    /// Lists access requests.
    RequestList {
        /// Answered and expired ones too.
        all: bool,
    },
    /// Shows one access request.
    RequestShow {
        /// Which.
        id: RequestId,
    },
    /// Says yes to an access request.
    RequestApprove {
        /// Which.
        id: RequestId,
        /// The gateway sends the parked call itself.
        send: bool,
        /// In the approver's words.
        note: Option<String>,
    },
    /// Says no to an access request.
    RequestDeny {
        /// Which.
        id: RequestId,
        /// In the approver's words.
        note: Option<String>,
    },
    /// Gives a standing yes.
    GrantAdd {
        /// To which session.
        session: SessionId,
        /// For which effect; never destroy.
        effect: EffectWord,
        /// For which objects (`kind:id`); any of the session's environment when empty.
        objects: Vec<String>,
        /// How many times.
        count: u32,
        /// For how long.
        ttl_millis: u64,
    },
    /// Lists grants.
    GrantList {},
    /// Takes a grant back.
    GrantRemove {
        /// Which.
        id: String,
    },
    /// Opens a time-boxed exception.
    BreakGlassOpen {
        /// For which agent.
        agent: AgentName,
        /// Why.
        reason: String,
        /// For how long.
        ttl_millis: u64,
    },
    /// Lists open exceptions.
    BreakGlassList {},
    /// Ends an exception.
    BreakGlassEnd {
        /// Of which agent.
        agent: AgentName,
    },
    /// Lists parked calls.
    PendingList {
        /// Those no longer waiting too.
        all: bool,
    },
    /// Cancels a parked call.
    PendingCancel {
        /// Which.
        id: PendingId,
    },
    /// Shows the policies in force.
    PolicyShow {},
    /// Checks policies without setting them.
    PolicyCheck {
        /// The files.
        sources: Vec<PolicyText>,
    },
    /// Replaces the policies as a whole.
    PolicySet {
        /// The files.
        sources: Vec<PolicyText>,
    },
    /// Reads entries of the record from an index on.
    RecordRead {
        /// The first.
        from: u64,
        /// How many at the most; capped at [`ENTRIES_MAX`].
        max: usize,
    },
    /// Reads the newest entries of the record.
    RecordTail {
        /// How many at the most; capped at [`ENTRIES_MAX`].
        max: usize,
    },
    /// Finds the entries of a call.
    RecordFind {
        /// Which call.
        call: CallId,
    },
    /// Signs a checkpoint and sends it where checkpoints are published.
    CheckpointPublish {},
    /// Replaces a key.
    KeyRotate {
        /// Which.
        key: KeyKind,
    },
    /// Replaces the approver's passphrase; the proof is the former one.
    PassphraseChange {
        /// The passphrase that takes its place.
        next: Secret,
    },
    /// Lists packs.
    PackList {},
    /// Asks the live provider what its pack does not know.
    PackDrift {
        /// Which pack.
        name: String,
    },
    /// Judges one call without sending it.
    Explain {
        /// The call, in the form of `killick explain --jsonl`.
        line: serde_json::Value,
        /// As whom; a plain session when absent.
        session: Option<SessionId>,
    },
}

/// One file of policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// The file's name, without folders.
    pub name: String,
    /// What it holds.
    pub text: String,
}

impl From<PolicyText> for PolicySource {
    fn from(file: PolicyText) -> Self {
        Self { name: file.name, text: file.text }
    }
}

impl From<PolicySource> for PolicyText {
    fn from(file: PolicySource) -> Self {
        Self { name: file.name, text: file.text }
    }
}

/// A key that can be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// The key under which the store seals credentials and parked calls.
    Store,
    /// The key that signs checkpoints of the record.
    Record,
    /// The key that wraps the keys of recovery points.
    Recovery,
}

/// What the gateway answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is done.
    Done {
        /// What was done, in one sentence.
        message: String,
    },
    /// How the gateway is.
    Status(Box<Status>),
    /// Agents.
    Agents(Vec<Agent>),
    /// A session was opened.
    SessionOpened(Box<SessionOpened>),
    /// Sessions.
    Sessions(Vec<Session>),
    /// Databases.
    Databases(Vec<Database>),
    /// What an undo did, or would do.
    Undone(Box<UndoReport>),
    /// Recovery points, newest first.
    Points {
        /// Where they are kept.
        place: String,
        /// The points.
        points: Vec<PointInfo>,
    },
    /// One recovery point.
    Point(Box<PointInfo>),
    /// What makes a database's server ready, and what holds there.
    DatabasePrepared(Box<Prepared>),
    /// What a database's server says exists, in the words of its adapter.
    DatabaseCatalogue {
        /// Where it lives.
        environment: EnvironmentName,
        /// One answer for each of the adapter's questions.
        answers: Vec<String>,
    },
    /// How a snapshot or rehearsal stands.
    Work(Work),
    /// What is remembered of rehearsals.
    Rehearsals(Vec<Rehearsals>),
    /// Upstreams.
    Upstreams(Vec<Upstream>),
    /// Credentials without values.
    Credentials(Vec<CredentialInfo>),
    /// Access requests, newest first.
    Requests(Vec<AccessRequest>),
    /// One access request.
    Request(Box<AccessRequest>),
    /// Grants.
    Grants(Vec<Grant>),
    /// Open exceptions.
    BreakGlasses(Vec<BreakGlass>),
    /// Parked calls, newest first.
    Pendings(Vec<Pending>),
    /// The policies in force.
    Policies {
        /// The digest over them.
        version: String,
        /// How many policies.
        policies: usize,
        /// The files.
        sources: Vec<PolicyText>,
    },
    /// What is wrong with policies; empty when nothing is.
    PolicyProblems(Vec<PolicyProblemShown>),
    /// Entries of the record.
    Entries {
        /// How many entries the record has.
        size: u64,
        /// The entries, oldest first.
        entries: Vec<RecordEntry>,
    },
    /// A checkpoint was signed.
    Checkpoint(CheckpointShown),
    /// Packs.
    Packs(Vec<PackInfo>),
    /// What the provider has and the pack does not know.
    Drift(Vec<String>),
    /// A judgement.
    Explained(Box<Explanation>),
}

/// How the gateway is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// How long it runs.
    pub uptime_millis: u64,
    /// Where agents reach it.
    pub gateway: String,
    /// How many agents there are.
    pub agents: usize,
    /// Which of them are frozen.
    pub frozen: Vec<AgentName>,
    /// How many sessions are open.
    pub sessions: usize,
    /// How many access requests wait for a human.
    pub requests_open: usize,
    /// How many calls are parked.
    pub pending: usize,
    /// How many upstreams are declared.
    pub upstreams: usize,
    /// How many entries the record has.
    pub record_size: u64,
    /// The newest signed checkpoint.
    pub checkpoint: Option<CheckpointShown>,
    /// Why the record cannot be read, when it cannot.
    pub record_problem: Option<String>,
    /// The digest over the policies in force.
    pub policies_version: String,
    /// How many policies are in force.
    pub policies: usize,
    /// Open exceptions.
    pub break_glasses: Vec<BreakGlass>,
    /// The owner said that production may be written without a fence.
    pub production_waiver: bool,
    /// The user id that the gateway runs under.
    pub uid: u32,
    /// Where recovery points are kept.
    #[serde(default)]
    pub recovery_place: String,
    /// What is remembered of rehearsals.
    #[serde(default)]
    pub rehearsals: Vec<Rehearsals>,
}

/// A session as it is handed out, once.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionOpened {
    /// The session.
    pub session: Session,
    /// Its token.
    pub token: Secret,
    /// Its surrogates.
    pub surrogates: Vec<SurrogateShown>,
    /// Where agents reach the gateway (`http://127.0.0.1:7070`).
    pub gateway: String,
    /// A file with the roots that clients must trust.
    pub ca_bundle: String,
    /// Databases of the session's environment with the addresses under which the agent reaches them; each holds the
    /// session's token.
    #[serde(default)]
    pub databases: Vec<(UpstreamName, Secret)>,
    /// The same of other environments, where the session's scope names them: for reading, where a human grants it.
    #[serde(default)]
    pub databases_elsewhere: Vec<(UpstreamName, Secret)>,
}

/// One placeholder for a credential.
#[derive(Debug, Serialize, Deserialize)]
pub struct SurrogateShown {
    /// For which credential.
    pub credential: CredentialName,
    /// Good at this upstream only.
    pub upstream: UpstreamName,
    /// Environment variables in which the provider's clients look for it.
    pub variables: Vec<String>,
    /// The placeholder.
    pub value: Secret,
}

/// What is wrong with a policy file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyProblemShown {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The character, from 1; 0 for the file as a whole.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

impl From<PolicyProblem> for PolicyProblemShown {
    fn from(problem: PolicyProblem) -> Self {
        let PolicyProblem { file, line, column, message, help } = problem;
        Self { file, line, column, message, help }
    }
}
