//! What the gate needs from outside: the record, the store, the vault, streams.

#![expect(
    clippy::missing_errors_doc,
    reason = "every method of a port fails in one way only: the engine behind it failed; its error type says how"
)]

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use killick_model::admin::{Agent, CredentialInfo, Session, Standing, Upstream};
use killick_model::database::{Database, DatabaseTls};
use killick_model::record::Draft;
use killick_model::request::{
    AccessRequest, Answer, BreakGlass, Grant, Pending, PendingState, RequestState,
};
use killick_model::{
    AgentName, CallDigest, CallId, CredentialName, EnvironmentName, ObjectRef, Owner, PendingId,
    RequestId, SessionId, UnixMillis, UpstreamName,
};
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

use crate::chain::Departure;

/// A future behind a pointer.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

// ---- record

/// When an append returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After the entry is on disk.
    Durable,
    /// Once the entry is in order; on disk within a bounded time.
    Bounded,
}

/// Where an entry stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its index in the log.
    pub index: u64,
}

/// The record cannot take an entry; nothing may be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The disk is full.
    #[error("the record's disk is full")]
    Full,
    /// Writing failed; the record takes nothing until it is opened anew.
    #[error("the record failed: {0}")]
    Failed(String),
    /// One agent fills the record faster than it may.
    #[error("this agent writes more entries a minute than its quota of {per_minute_max}")]
    Quota {
        /// The quota.
        per_minute_max: u32,
    },
}

/// The tamper-evident record.
pub trait Record: Send + Sync {
    /// Appends an entry.
    fn append(
        &self,
        entry: Draft,
        durability: Durability,
    ) -> BoxFuture<'_, Result<Receipt, RecordError>>;

    /// Returns once everything up to an entry is on disk. The sync begins when this is called, not when it
    /// is awaited.
    fn durable(&self, up_to: Receipt) -> BoxFuture<'static, Result<(), RecordError>>;

    /// Sets space aside for an outcome, so that settling cannot fail for want of disk.
    ///
    /// # Errors
    /// No space can be set aside; the call must not be sent.
    fn reserve(&self) -> Result<Box<dyn Reservation>, RecordError>;
}

/// Space set aside for one outcome.
pub trait Reservation: Send {
    /// Writes the outcome; never blocks for long, never fails.
    fn settle(self: Box<Self>, entry: Draft);
}

// ---- store

/// The store cannot answer; counts as a denial.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The engine failed.
    #[error("the store failed: {0}")]
    Failed(String),
    /// Something with that name or id is there already.
    #[error("{0} exists already")]
    Exists(String),
    /// Nothing with that name or id is there.
    #[error("there is no {0}")]
    Missing(String),
    /// A budget is used up.
    #[error("{what}: {open} open, at most {open_max}")]
    Budget {
        /// Whose budget.
        what: String,
        /// How many are open.
        open: usize,
        /// How many may be.
        open_max: usize,
    },
}

/// SHA-256 of a session token.
pub type TokenHash = [u8; 32];

/// A foreign credential as it is remembered: a keyed hash, never the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// What was destroyed: rows and whole objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Rows removed or overwritten.
    pub rows: u64,
    /// Tables and other objects dropped or emptied.
    pub objects: u64,
}

/// What waits in the store for calls of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Awaiting {
    /// Parked calls that wait.
    pub parked: usize,
    /// Requests that are approved and not spent.
    pub approved: usize,
}

/// State that several gateways will share one day. Changes of state are compare-and-set.
/// Calls block for the time of a disk write: async callers go through a blocking thread.
pub trait Store: Send + Sync {
    /// Returns a number that has grown when a write returns, whoever made it: what was read after the number was
    /// holds as long as the number does. `None` where others may write unseen; then nothing read is remembered.
    /// Never blocks.
    fn generation(&self) -> Option<u64> {
        None
    }

    /// Adds an agent.
    fn agent_add(&self, agent: &Agent) -> Result<(), StoreError>;
    /// Lists agents.
    fn agents(&self) -> Result<Vec<Agent>, StoreError>;
    /// Changes an agent's standing.
    fn agent_standing(&self, name: &AgentName, standing: Standing) -> Result<(), StoreError>;
    /// Removes an agent; its sessions are closed by the caller first.
    fn agent_remove(&self, name: &AgentName) -> Result<(), StoreError>;

    /// Adds a session under the hash of its token.
    fn session_add(&self, session: &Session, token: &TokenHash) -> Result<(), StoreError>;
    /// Lists sessions with their token hashes.
    fn sessions(&self) -> Result<Vec<(Session, TokenHash)>, StoreError>;
    /// Closes a session.
    fn session_close(&self, id: &SessionId, at: UnixMillis) -> Result<(), StoreError>;

    /// Adds or replaces a declared upstream.
    fn upstream_put(&self, upstream: &Upstream) -> Result<(), StoreError>;
    /// Lists declared upstreams.
    fn upstreams(&self) -> Result<Vec<Upstream>, StoreError>;
    /// Removes a declared upstream.
    fn upstream_remove(&self, name: &UpstreamName) -> Result<(), StoreError>;

    /// Opens a request with the parked canonical form of its call (sealed by the store), unless the same
    /// session has one open or approved for the same digest, which is returned instead. Checks budgets in
    /// the same transaction.
    fn request_open(
        &self,
        request: &AccessRequest,
        canonical: &[u8],
    ) -> Result<AccessRequest, StoreError>;
    /// Reads a request.
    fn request(&self, id: &RequestId) -> Result<AccessRequest, StoreError>;
    /// Lists requests, newest first.
    fn requests(&self, rows_max: usize) -> Result<Vec<AccessRequest>, StoreError>;
    /// Finds the session's request for a digest in a state.
    fn request_find(
        &self,
        session: &SessionId,
        digest: &CallDigest,
        state: RequestState,
    ) -> Result<Option<AccessRequest>, StoreError>;
    /// Reads the sealed canonical form of a request's call.
    fn request_canonical(&self, id: &RequestId) -> Result<Zeroizing<Vec<u8>>, StoreError>;
    /// Moves a request from one state to another; returns whether it was in the first.
    fn request_move(
        &self,
        id: &RequestId,
        from: RequestState,
        to: RequestState,
        answer: Option<&Answer>,
        expires: Option<UnixMillis>,
        send_when_approved: bool,
    ) -> Result<bool, StoreError>;

    /// Takes the sending of an approved request on, once; returns whether it was there to be taken.
    fn request_claim_sending(&self, id: &RequestId) -> Result<bool, StoreError>;

    /// Parks a call with its canonical form (sealed by the store). Checks the budget.
    fn pending_add(&self, pending: &Pending, canonical: &[u8]) -> Result<(), StoreError>;
    /// Reads a parked call.
    fn pending(&self, id: &PendingId) -> Result<Pending, StoreError>;
    /// Lists parked calls, newest first.
    fn pendings(&self, rows_max: usize) -> Result<Vec<Pending>, StoreError>;
    /// Finds the session's waiting call with a digest.
    fn pending_find(
        &self,
        session: &SessionId,
        digest: &CallDigest,
    ) -> Result<Option<Pending>, StoreError>;
    /// Counts what waits for calls of a session: where it is nothing, no digest needs to be looked for.
    fn awaiting(&self, session: &SessionId) -> Result<Awaiting, StoreError>;
    /// Reads the sealed canonical form of a parked call.
    fn pending_canonical(&self, id: &PendingId) -> Result<Zeroizing<Vec<u8>>, StoreError>;
    /// Moves a parked call from one state to another; returns whether it was in the first.
    fn pending_move(
        &self,
        id: &PendingId,
        from: PendingState,
        to: PendingState,
    ) -> Result<bool, StoreError>;

    /// Adds a grant.
    fn grant_add(&self, grant: &Grant) -> Result<(), StoreError>;
    /// Lists grants.
    fn grants(&self) -> Result<Vec<Grant>, StoreError>;
    /// Uses a grant once; returns whether there was a use left before `now` passed its end.
    fn grant_spend(&self, id: &str, now: UnixMillis) -> Result<bool, StoreError>;
    /// Removes a grant.
    fn grant_remove(&self, id: &str) -> Result<(), StoreError>;

    /// Opens a break-glass.
    fn break_glass_open(&self, glass: &BreakGlass) -> Result<(), StoreError>;
    /// Lists break-glasses that end after `now`.
    fn break_glasses(&self, now: UnixMillis) -> Result<Vec<BreakGlass>, StoreError>;
    /// Ends the break-glass of an agent.
    fn break_glass_end(&self, agent: &AgentName) -> Result<(), StoreError>;

    /// Adds or replaces a declared database.
    fn database_put(&self, database: &Database) -> Result<(), StoreError>;
    /// Lists declared databases.
    fn databases(&self) -> Result<Vec<Database>, StoreError>;
    /// Removes a declared database.
    fn database_remove(&self, name: &UpstreamName) -> Result<(), StoreError>;

    /// Adds to what the agents of an owner, and all below them, have destroyed in an environment.
    fn damage_add(
        &self,
        owner: &Owner,
        environment: &EnvironmentName,
        damage: Damage,
        at: UnixMillis,
    ) -> Result<(), StoreError>;
    /// Returns what was destroyed since a moment.
    fn damage_since(
        &self,
        owner: &Owner,
        environment: &EnvironmentName,
        since: UnixMillis,
    ) -> Result<Damage, StoreError>;

    /// Remembers that a session created an object.
    fn created_add(&self, session: &SessionId, object: &ObjectRef) -> Result<(), StoreError>;
    /// Returns whether the session created the object.
    fn created_by(&self, session: &SessionId, object: &ObjectRef) -> Result<bool, StoreError>;

    /// Reads a named setting (`production_waiver`).
    fn setting(&self, name: &str) -> Result<Option<String>, StoreError>;
    /// Writes a named setting.
    fn setting_put(&self, name: &str, value: &str) -> Result<(), StoreError>;
}

// ---- vault

/// What a value is that stands where a credential stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// A surrogate of this session.
    Issued {
        /// For which credential.
        credential: CredentialName,
        /// Good at this upstream only.
        upstream: UpstreamName,
    },
    /// A surrogate of another session.
    IssuedElsewhere,
    /// The session's own token.
    SessionToken,
    /// The token of another session.
    OtherSessionToken,
    /// A login that a human registered as the agent's own.
    Own {
        /// Good at this upstream only.
        upstream: UpstreamName,
    },
    /// What an upstream handed this session.
    Derived {
        /// Good at this host only.
        host: String,
    },
    /// A stored credential's own value, or one seen and refused before.
    KnownForeign,
    /// Nothing of ours.
    Unknown,
}

/// The vault cannot lend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// No credential is bound there.
    #[error("no credential is bound to upstream `{0}` for this path")]
    NotBound(UpstreamName),
    /// It is sealed, lost or broken.
    #[error("the vault failed: {0}")]
    Failed(String),
}

/// A credential lent for one departure; wiped when dropped.
pub struct Lease {
    /// What it is, without its value.
    pub info: CredentialInfo,
    /// The value.
    pub value: Zeroizing<Vec<u8>>,
}

/// One surrogate as it is given to the agent, once.
pub struct Surrogate {
    /// For which credential.
    pub info: CredentialInfo,
    /// The placeholder.
    pub value: Zeroizing<String>,
}

/// Where credentials live. Values leave only as a [`Lease`] for a recorded call.
pub trait Vault: Send + Sync {
    /// Says what a presented value is, for a session.
    fn recognise(&self, session: &SessionId, presented: &[u8]) -> Recognised;
    /// Lends the credential bound to an upstream and path.
    fn lend(
        &self,
        departure: &Departure,
        upstream: &UpstreamName,
        path: &str,
    ) -> Result<Lease, VaultError>;
    /// Returns what is bound to an upstream and path, without its value.
    fn bound(&self, upstream: &UpstreamName, path: &str) -> Option<CredentialInfo>;
    /// Returns the keyed hash of a value.
    fn fingerprint(&self, value: &[u8]) -> Fingerprint;
    /// Returns whether a value was seen as foreign before, or is a stored credential.
    fn is_known(&self, value: &[u8]) -> bool;
    /// Remembers a foreign credential by its fingerprint.
    fn remember_foreign(
        &self,
        fingerprint: Fingerprint,
        session: &SessionId,
        place: &str,
        call: &CallId,
        at: UnixMillis,
    ) -> Result<(), VaultError>;
    /// Remembers what an upstream handed a session (a cookie), good at the issuing host only.
    fn remember_derived(
        &self,
        session: &SessionId,
        host: &str,
        value: &[u8],
    ) -> Result<(), VaultError>;
    /// Makes fresh surrogates for a session, one for each stored credential that is injected.
    fn mint_surrogates(&self, session: &SessionId) -> Result<Vec<Surrogate>, VaultError>;
    /// Returns whether any stored credential's value stands in these bytes.
    fn leaks(&self, bytes: &[u8]) -> bool;

    /// Stores a credential, replacing the value when the name exists.
    fn credential_put(
        &self,
        info: &CredentialInfo,
        value: Zeroizing<Vec<u8>>,
    ) -> Result<(), VaultError>;
    /// Lists credentials without values.
    fn credentials(&self) -> Result<Vec<CredentialInfo>, VaultError>;
    /// Removes a credential.
    fn credential_remove(&self, name: &CredentialName) -> Result<(), VaultError>;
    /// Seals everything under a fresh key.
    fn rotate_key(&self) -> Result<(), VaultError>;
}

/// Proof of a human that the agent's user id alone cannot give.
pub trait ApproverProof: Send + Sync {
    /// Checks a passphrase; the implementation slows guessing down.
    ///
    /// # Errors
    /// Says why it is not accepted.
    fn check(&self, presented: &Zeroizing<String>) -> Result<(), ProofError>;
}

/// The proof was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It is wrong.
    #[error("the passphrase is wrong")]
    Wrong,
    /// Too many wrong ones; wait.
    #[error("too many wrong passphrases; try again in {wait_seconds} s")]
    Slow {
        /// How long to wait.
        wait_seconds: u64,
    },
    /// None was set.
    #[error("no passphrase is set; run `killick init`")]
    Unset,
    /// The store failed.
    #[error("the store failed: {0}")]
    Failed(String),
}

// ---- streams

/// A byte stream in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A byte stream behind a pointer.
pub type Stream = Box<dyn ByteStream>;

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The name that TLS and Host carry.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// A declared address to dial instead of what the name resolves to.
    pub dial: Option<SocketAddr>,
    /// Whether a human allowed a loopback or private address.
    pub private_address: bool,
}

/// No stream to the upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The name resolves to an address that may not be reached.
    #[error(
        "`{host}` resolves to {address}, which is loopback, private, link-local or a metadata address"
    )]
    Forbidden {
        /// The name.
        host: String,
        /// The address.
        address: String,
    },
    /// It cannot be reached or its certificate is not good.
    #[error("{0}")]
    Failed(String),
    /// It took too long.
    #[error("no connection within {0} s")]
    Timeout(u64),
}

/// An intercepted TLS stream.
pub struct Accepted {
    /// The clear side.
    pub stream: Stream,
    /// The name that the client asked for.
    pub sni: Option<String>,
    /// Whether the client chose HTTP/2.
    pub http2: bool,
}

/// A stream to an upstream that TLS was put on.
pub struct Upgraded {
    /// The clear side.
    pub stream: Stream,
    /// `tls-server-end-point` (RFC 5929): the hash of the server's certificate, for channel binding.
    pub end_point: Option<Vec<u8>>,
    /// SHA-256 of the server's certificate.
    pub certificate_sha256: [u8; 32],
}

/// Lends streams. The only implementation that opens sockets is in `killick-net`.
pub trait Streams: Send + Sync {
    /// Opens a stream to an upstream, for a recorded call.
    fn connect<'a>(
        &'a self,
        departure: &'a Departure,
        target: &'a Target,
    ) -> BoxFuture<'a, Result<Stream, ConnectError>>;

    /// Puts TLS on a stream to an upstream that spoke in clear first (RFC 2595's manner: STARTTLS).
    fn upgrade<'a>(
        &'a self,
        departure: &'a Departure,
        stream: Stream,
        host: &'a str,
        trust: &'a DatabaseTls,
        alpn: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Upgraded, ConnectError>>;

    /// Accepts TLS on a client's stream for a protocol named by `alpn`, with a leaf certificate for `host`.
    fn accept_tls_as<'a>(
        &'a self,
        stream: Stream,
        host: &'a str,
        alpn: &'a str,
    ) -> BoxFuture<'a, Result<Accepted, ConnectError>>;

    /// Accepts TLS on a client's stream with a leaf certificate for `host`, from the gateway's own CA.
    fn accept_tls<'a>(
        &'a self,
        stream: Stream,
        host: &'a str,
    ) -> BoxFuture<'a, Result<Accepted, ConnectError>>;
}
