//! The gate itself: what it is made of, the record's two mints, errands, refusals.

use std::sync::{Arc, OnceLock};

use killick_model::admin::Upstream;
use killick_model::record::{Draft, Kind};
use killick_model::time::Clock;
use killick_model::{
    Action, CallDigest, CallId, Code, CredentialName, Effect, EffectWord, ObjectFacts, ObjectRef,
    Refusal, SessionId, UnixMillis,
};
use killick_policy::Pdp;
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::chain::{Call, InFlight, Permitted, Recorded, Stamp};
use crate::decide::Due;
use crate::facts::{CreatedCache, FactsCache, Resolve, with_declaration};
use crate::freeze::{Lifeline, Standings};
use crate::ids;
use crate::mirror::Mirror;
use crate::ports::{
    BoxFuture, Damage, Durability, Receipt, Record, RecordError, Store, StoreError,
};
use crate::sessions::{LiveSession, Sessions};
use crate::wholes::Wholes;

/// What an owner may set about decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateConfig {
    /// The owner said that production may be written without a fence.
    pub production_waiver: bool,
    /// A grace period that stands in for the packs' own, in milliseconds.
    pub grace_millis: Option<u64>,
    /// How long an open connection may wait for a human, in milliseconds.
    pub wait_millis_max: u64,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self { production_waiver: false, grace_millis: None, wait_millis_max: 15 * 60_000 }
    }
}

/// What a gate is built from.
pub struct GateParts {
    /// The tamper-evident record.
    pub record: Arc<dyn Record>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The decision point.
    pub pdp: Pdp,
    /// Settings.
    pub config: GateConfig,
}

/// The door that every call goes through.
pub struct Gate {
    pub(crate) record: Arc<dyn Record>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pdp: RwLock<Arc<Pdp>>,
    pub(crate) config: GateConfig,
    pub(crate) facts: FactsCache,
    pub(crate) created: CreatedCache,
    pub(crate) mirror: Mirror,
    pub(crate) answers: watch::Sender<u64>,
    pub(crate) wholes: OnceLock<Arc<dyn Wholes>>,
    standings: Standings,
    sessions: Sessions,
}

/// Why the gateway makes a call of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrandKind {
    /// To find out what an object is; must be a read.
    Resolve,
    /// To make something survivable; may write, never destroy or administer.
    RecoveryPoint,
    /// To log in where an agent's session will go on; must be a read.
    Session,
    /// To look at what the gateway itself has to know of an upstream; must be a read.
    Inspect,
    /// To copy a whole upstream, or parts of it, to where recovery points are kept; must be a read.
    Snapshot,
    /// To put back what was destroyed, for a human whose proof was checked; may overwrite and remove.
    Undo,
}

impl ErrandKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::RecoveryPoint => "recovery_point",
            Self::Session => "session",
            Self::Inspect => "inspect",
            Self::Snapshot => "snapshot",
            Self::Undo => "undo",
        }
    }

    fn allows(self, effect: Effect) -> bool {
        match self {
            Self::Resolve | Self::Session | Self::Inspect | Self::Snapshot => {
                effect.word() == EffectWord::Read
            }
            Self::RecoveryPoint => matches!(effect.word(), EffectWord::Read | EffectWord::Write),
            Self::Undo => {
                matches!(effect.word(), EffectWord::Read | EffectWord::Write | EffectWord::Destroy)
            }
        }
    }
}

/// How a permitted call will be sent, for the record.
#[derive(Clone, Debug, Default)]
pub struct Sending {
    /// The credential that will be injected, by name.
    pub credential: Option<CredentialName>,
    /// The client program as it names itself; a claim.
    pub client: Option<String>,
    /// Whether nothing lasts before a COMMIT that is a call by itself. Then the entry is only in order when
    /// the call is sent; [`Gate::durable`] is awaited before COMMIT.
    pub held_at_commit: bool,
    /// Whether an answer without an error needs no entry of its own.
    pub quiet: bool,
    /// More for the entry's details.
    pub details: Vec<(&'static str, serde_json::Value)>,
}

/// A store call on a thread that may block.
pub trait Blocking {
    /// Runs `work` on the store, off the event loop.
    fn on_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;
}

impl Blocking for Gate {
    async fn on_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || work(store.as_ref()))
            .await
            .unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
    }
}

impl Gate {
    /// Builds the gate and takes in the sessions and standings of the store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open(parts: GateParts) -> Result<Self, StoreError> {
        let gate = Self {
            record: parts.record,
            store: parts.store,
            clock: parts.clock,
            pdp: RwLock::new(Arc::new(parts.pdp)),
            config: parts.config,
            facts: FactsCache::default(),
            created: CreatedCache::default(),
            mirror: Mirror::default(),
            answers: watch::Sender::new(0),
            wholes: OnceLock::new(),
            standings: Standings::default(),
            sessions: Sessions::default(),
        };
        for agent in gate.store.agents()? {
            if agent.standing == killick_model::admin::Standing::Frozen {
                gate.standings.freeze(&agent.name);
            }
        }
        for (session, token) in gate.store.sessions()? {
            if session.closed.is_some() {
                gate.standings.end_session(&session.principal.session);
            } else {
                gate.sessions.admit(&session, token, &gate.standings);
            }
        }
        Ok(gate)
    }

    /// Returns the open sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Returns the freeze epochs.
    pub fn standings(&self) -> &Standings {
        &self.standings
    }

    /// Returns the record.
    pub fn record_port(&self) -> &dyn Record {
        self.record.as_ref()
    }

    /// Returns the present moment.
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Returns the settings.
    pub fn config(&self) -> &GateConfig {
        &self.config
    }

    /// Replaces the decision point as a whole.
    pub fn replace_policies(&self, pdp: Pdp) {
        *self.pdp.write() = Arc::new(pdp);
    }

    /// Returns the decision point in force.
    pub fn policies(&self) -> Arc<Pdp> {
        Arc::clone(&self.pdp.read())
    }

    /// Gathers what is known about every object of a call. A plain read is not looked up; where a human's
    /// yes or a grace period is about to be used, nothing remembered counts.
    pub async fn gather<C: Call>(
        &self,
        live: &LiveSession,
        call: &C,
        upstream: &Upstream,
        resolver: &dyn Resolve,
        due: Option<&Due>,
    ) -> Vec<ObjectFacts> {
        let mut all = Vec::new();
        let plain_read = call.action().effect() == Effect::READ;
        if !plain_read && (due.is_some() || self.is_approved(live, call.digest()).await) {
            self.facts.forget(call.upstream());
        }
        for object in call.action().objects() {
            let mut found = if plain_read || !object.is_named() {
                ObjectFacts::unresolved(object.clone())
            } else {
                self.look_up(live, object, resolver).await
            };
            found.created_by_session = !plain_read && self.was_created(live, object).await;
            all.push(with_declaration(found, upstream));
        }
        all
    }

    async fn is_approved(&self, live: &LiveSession, digest: CallDigest) -> bool {
        // A store that cannot answer fails the decision later; until then nothing remembered counts.
        let found = self.approved(&live.principal.session, digest).await;
        found.map_or(true, |found| found.is_some())
    }

    async fn look_up(
        &self,
        live: &LiveSession,
        object: &ObjectRef,
        resolver: &dyn Resolve,
    ) -> ObjectFacts {
        let now = self.now();
        if let Some(kept) = self.facts.recall(object, now) {
            return ObjectFacts::clone(&kept);
        }
        let found = resolver.resolve(live, object).await;
        self.facts.keep(&found, now);
        found
    }

    async fn was_created(&self, live: &LiveSession, object: &ObjectRef) -> bool {
        let bare = ObjectRef { within: None, ..object.clone() };
        let key = (live.principal.session.clone(), bare);
        if let Some(created) = self.created.recall(&key) {
            return created;
        }
        let (session, bare) = key.clone();
        // A store that cannot answer has not said yes.
        let created =
            self.on_store(move |store| store.created_by(&session, &bare)).await.unwrap_or(false);
        self.created.keep(key, created);
        created
    }

    /// Remembers what the provider's answer says that the session created.
    pub async fn note_created(&self, session: &SessionId, objects: Vec<ObjectRef>) {
        for object in objects {
            let bare = ObjectRef { within: None, ..object };
            let (owner, kept) = (session.clone(), bare.clone());
            match self.on_store(move |store| store.created_add(&owner, &kept)).await {
                Ok(()) => self.created.keep((session.clone(), bare), true),
                Err(error) => tracing::warn!(%error, "a created object could not be remembered"),
            }
        }
    }

    /// Writes a permitted call on the record: durable unless it is a plain read.
    ///
    /// # Errors
    /// The record cannot take it, or the agent was frozen meanwhile; nothing may be sent.
    pub async fn record<C: Call>(
        &self,
        permitted: Permitted<C>,
        sending: Sending,
    ) -> Result<Recorded<C>, Refusal> {
        let (call, stamp) = permitted.open();
        let Stamp { call: id, lifeline, mut entry, yes, points } = stamp;
        lifeline.check().map_err(|code| stopped(code, &id))?;
        entry.credential = sending.credential;
        if let Some(client) = sending.client {
            entry.add_detail("client", client.into());
        }
        for (name, value) in sending.details {
            entry.add_detail(name, value);
        }
        let effect = call.action().effect();
        if !effect.is_only_read() {
            self.facts.forget(call.upstream());
        }
        let durability = if effect.is_only_read() || sending.held_at_commit {
            Durability::Bounded
        } else {
            Durability::Durable
        };
        let (in_flight, receipt) = self.write_call(&id, entry, durability, sending.quiet).await?;
        let stamp = Stamp { call: id, lifeline, entry: Draft::new(Kind::Call), yes, points };
        Ok(Recorded::mint(call, stamp, in_flight, receipt))
    }

    /// Writes an errand on the record: the second and last way to [`Recorded`].
    ///
    /// # Errors
    /// The errand would do more than its kind allows, or the record cannot take it.
    pub async fn errand<C: Call>(
        &self,
        live: &LiveSession,
        kind: ErrandKind,
        call: C,
        credential: Option<CredentialName>,
    ) -> Result<Recorded<C>, Refusal> {
        let entry = Draft::new(Kind::Errand).of_shared(&live.principal);
        self.write_errand(kind, call, credential, entry, live.lifeline.renewed()).await
    }

    /// Writes an errand that is made for no session on the record: `by` a human whose proof was checked by the
    /// caller, or the gateway itself.
    ///
    /// # Errors
    /// The errand would do more than its kind allows, or the record cannot take it.
    pub async fn own_errand<C: Call>(
        &self,
        by: Option<String>,
        kind: ErrandKind,
        call: C,
        credential: Option<CredentialName>,
    ) -> Result<Recorded<C>, Refusal> {
        let mut entry = Draft::new(Kind::Errand);
        entry.by = by;
        self.write_errand(kind, call, credential, entry, Lifeline::own()).await
    }

    async fn write_errand<C: Call>(
        &self,
        kind: ErrandKind,
        call: C,
        credential: Option<CredentialName>,
        entry: Draft,
        lifeline: Lifeline,
    ) -> Result<Recorded<C>, Refusal> {
        let id = fresh_call()?;
        let effect = call.action().effect();
        if !kind.allows(effect) {
            return Err(Refusal::new(
                Code::ObligationFailed,
                format!("an errand of the gateway would {}, which its kind may not", effect.word()),
            )
            .with_call(id));
        }
        let mut entry = entry.of_action(call.action());
        entry.call = Some(id.clone());
        entry.upstream = Some(call.upstream().clone());
        entry.credential = credential;
        entry.verdict = Some(kind.as_str().into());
        let durability =
            if effect.is_only_read() { Durability::Bounded } else { Durability::Durable };
        let (in_flight, receipt) = self.write_call(&id, entry, durability, false).await?;
        let stamp = Stamp {
            call: id,
            lifeline,
            entry: Draft::new(Kind::Errand),
            yes: None,
            points: Vec::new(),
        };
        Ok(Recorded::mint(call, stamp, in_flight, receipt))
    }

    /// Returns once everything up to an entry is on disk; the sync begins with the call.
    ///
    /// # Errors
    /// The record failed; nothing that hangs on the entry may be made lasting.
    pub fn durable(&self, up_to: Receipt) -> BoxFuture<'static, Result<(), Refusal>> {
        let synced = self.record.durable(up_to);
        Box::pin(async move { synced.await.map_err(|error| record_refusal(&error)) })
    }

    /// Adds to the damage budget of the owner of a session, in its environment.
    ///
    /// # Errors
    /// The store fails.
    pub async fn note_damage(&self, live: &LiveSession, damage: Damage) -> Result<(), Refusal> {
        if damage == Damage::default() {
            return Ok(());
        }
        let principal = &live.principal;
        let (owner, environment) = (principal.owner.clone(), principal.environment.clone());
        let now = self.now();
        self.on_store(move |store| store.damage_add(&owner, &environment, damage, now))
            .await
            .map_err(|error| store_refusal(&error))
    }

    /// Returns whether the session made the object, by the gateway's own record.
    pub async fn created_by(&self, live: &LiveSession, object: &ObjectRef) -> bool {
        self.was_created(live, object).await
    }

    async fn write_call(
        &self,
        id: &CallId,
        entry: Draft,
        durability: Durability,
        quiet: bool,
    ) -> Result<(InFlight, Receipt), Refusal> {
        let unavailable = |error: RecordError| record_refusal(&error).with_call(id.clone());
        let reservation = self.record.reserve().map_err(unavailable)?;
        let in_flight = InFlight::new(reservation, id, &entry, quiet);
        match self.record.append(entry, durability).await {
            Ok(receipt) => Ok((in_flight, receipt)),
            Err(error) => {
                let refusal = unavailable(error);
                Err(in_flight.refuse(refusal))
            }
        }
    }

    /// Writes a refusal on the record and gives it its call id. A record that fails makes it no milder.
    pub async fn refuse(
        &self,
        live: Option<&LiveSession>,
        action: Option<&Action>,
        mut refusal: Refusal,
        details: serde_json::Value,
    ) -> Refusal {
        if refusal.call.is_none() {
            refusal.call = fresh_call().ok();
        }
        let foreign = matches!(refusal.code, Code::ForeignCredential | Code::MisplacedSurrogate);
        let mut entry = Draft::new(if foreign {
            Kind::Foreign
        } else if refusal.code == Code::Pending {
            Kind::Pending
        } else {
            Kind::Refusal
        });
        if let Some(live) = live {
            entry = entry.of_shared(&live.principal);
        }
        if let Some(action) = action {
            entry = entry.of_action(action);
        }
        entry.call.clone_from(&refusal.call);
        entry.code = Some(refusal.code);
        let verdict = if refusal.code == Code::ApprovalNeeded {
            "requestable"
        } else if refusal.code == Code::Pending {
            "pending"
        } else {
            "deny"
        };
        entry.verdict = Some(verdict.into());
        entry.details = serde_json::json!({ "refusal": refusal, "found": details });
        if let Err(error) = self.record.append(entry, Durability::Bounded).await {
            tracing::warn!(%error, code = %refusal.code, "a refusal could not be recorded");
        }
        refusal
    }

    /// Writes an entry that is neither a call nor a refusal (administration, redaction, start).
    ///
    /// # Errors
    /// The record cannot take it.
    pub async fn note(&self, entry: Draft) -> Result<(), RecordError> {
        self.record.append(entry, Durability::Durable).await.map(drop)
    }
}

pub(crate) fn fresh_call() -> Result<CallId, Refusal> {
    ids::call_id().map_err(|error| Refusal::new(Code::DecisionFailed, error.to_string()))
}

pub(crate) fn stopped(code: Code, call: &CallId) -> Refusal {
    let ended = code == Code::SessionEnded;
    let because = if ended { "the session has ended" } else { "the agent is frozen" };
    Refusal::new(code, because).with_call(call.clone())
}

pub(crate) fn record_refusal(error: &RecordError) -> Refusal {
    match error {
        RecordError::Quota { .. } => Refusal::new(Code::TooMany, error.to_string()),
        RecordError::Full | RecordError::Failed(_) => {
            Refusal::new(Code::RecordUnavailable, error.to_string())
        }
    }
}

pub(crate) fn store_refusal(error: &StoreError) -> Refusal {
    match error {
        StoreError::Budget { .. } => Refusal::new(Code::RequestBudget, error.to_string()),
        StoreError::Failed(_) | StoreError::Exists(_) | StoreError::Missing(_) => {
            Refusal::new(Code::StoreUnavailable, error.to_string())
        }
    }
}
