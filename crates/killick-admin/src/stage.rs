//! What the tests of this crate play on: a gate over a store in memory, a record that can fail, fakes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use killick_gate::chain::Departure;
use killick_gate::ports::{
    ApproverProof, BoxFuture, Durability, Fingerprint, Lease, ProofError, Receipt, Recognised,
    Record, RecordError, Reservation, Store, Surrogate, Vault, VaultError,
};
use killick_gate::{Gate, GateConfig, GateParts};
use killick_model::admin::{Agent, CredentialInfo, Standing, Upstream};
use killick_model::explain::Explanation;
use killick_model::record::Draft;
use killick_model::request::{
    AccessRequest, BreakGlass, Grant, Pending, PendingState, RequestState,
};
use killick_model::time::Clock;
use killick_model::{
    Action, AgentName, BackupsFate, CallDigest, CallId, CredentialName, Effect, EffectWord,
    EnvironmentName, ObjectRef, Owner, Part, PendingId, Principal, RequestId, Scope, SessionId,
    UnixMillis, UpstreamName,
};
use killick_policy::{ActionCatalogue, Pdp, PolicySource};
use killick_store::memory::MemoryStore;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::administration::{Administration, AdministrationParts, Caller};
use crate::ports::{
    ChangeProof, CheckpointShown, PackInfo, ReadRecord, ReadRecordError, Reconfigure, RecordEntry,
    Recovery,
};
use crate::protocol::{Command, Envelope, Reply};
use crate::secret::Secret;

mod recovery;

use recovery::FakeRecovery;

pub(crate) const PASSPHRASE: &str = "the-right-passphrase";
pub(crate) const NOW: UnixMillis = UnixMillis(1_777_000_000_000);

pub(crate) fn name<T: std::str::FromStr>(raw: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    raw.parse().unwrap()
}

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> UnixMillis {
        NOW
    }
}

/// A record that keeps entries in memory, and fails when it is told to.
#[derive(Default)]
pub(crate) struct FakeRecord {
    pub(crate) entries: Mutex<Vec<Draft>>,
    pub(crate) fails: AtomicBool,
}

struct NoReservation;

impl Reservation for NoReservation {
    fn settle(self: Box<Self>, _: Draft) {}
}

impl Record for FakeRecord {
    fn append(&self, entry: Draft, _: Durability) -> BoxFuture<'_, Result<Receipt, RecordError>> {
        Box::pin(async move {
            if self.fails.load(Ordering::SeqCst) {
                return Err(RecordError::Full);
            }
            let mut entries = self.entries.lock();
            entries.push(entry);
            Ok(Receipt { index: u64::try_from(entries.len()).unwrap() })
        })
    }

    fn durable(&self, _: Receipt) -> BoxFuture<'static, Result<(), RecordError>> {
        Box::pin(async { Ok(()) })
    }

    fn reserve(&self) -> Result<Box<dyn Reservation>, RecordError> {
        Ok(Box::new(NoReservation))
    }
}

#[derive(Default)]
pub(crate) struct FakeVault {
    pub(crate) kept: Mutex<Vec<(CredentialInfo, Vec<u8>)>>,
    pub(crate) rotations: AtomicU64,
    pub(crate) mints_nothing: AtomicBool,
    pub(crate) removes_nothing: AtomicBool,
}

impl Vault for FakeVault {
    fn recognise(&self, _: &SessionId, _: &[u8]) -> Recognised {
        Recognised::Unknown
    }
    fn lend(&self, _: &Departure, upstream: &UpstreamName, _: &str) -> Result<Lease, VaultError> {
        Err(VaultError::NotBound(upstream.clone()))
    }
    fn bound(&self, _: &UpstreamName, _: &str) -> Option<CredentialInfo> {
        None
    }
    fn fingerprint(&self, _: &[u8]) -> Fingerprint {
        Fingerprint([0; 32])
    }
    fn is_known(&self, _: &[u8]) -> bool {
        false
    }
    fn remember_foreign(
        &self,
        _: Fingerprint,
        _: &SessionId,
        _: &str,
        _: &CallId,
        _: UnixMillis,
    ) -> Result<(), VaultError> {
        Ok(())
    }
    fn remember_derived(&self, _: &SessionId, _: &str, _: &[u8]) -> Result<(), VaultError> {
        Ok(())
    }
    fn mint_surrogates(&self, _: &SessionId) -> Result<Vec<Surrogate>, VaultError> {
        if self.mints_nothing.load(Ordering::SeqCst) {
            return Err(VaultError::Failed("sealed".into()));
        }
        let kept = self.kept.lock();
        Ok(kept
            .iter()
            .map(|(info, _)| Surrogate {
                info: info.clone(),
                value: Zeroizing::new(format!("surrogate-for-{}", info.name)),
            })
            .collect())
    }
    fn leaks(&self, _: &[u8]) -> bool {
        false
    }
    fn credential_put(
        &self,
        info: &CredentialInfo,
        value: Zeroizing<Vec<u8>>,
    ) -> Result<(), VaultError> {
        let mut kept = self.kept.lock();
        kept.retain(|(other, _)| other.name != info.name);
        kept.push((info.clone(), value.to_vec()));
        Ok(())
    }
    fn credentials(&self) -> Result<Vec<CredentialInfo>, VaultError> {
        Ok(self.kept.lock().iter().map(|(info, _)| info.clone()).collect())
    }
    fn credential_remove(&self, name: &CredentialName) -> Result<(), VaultError> {
        if self.removes_nothing.load(Ordering::SeqCst) {
            return Err(VaultError::Failed("sealed".into()));
        }
        self.kept.lock().retain(|(info, _)| info.name != *name);
        Ok(())
    }
    fn rotate_key(&self) -> Result<(), VaultError> {
        self.rotations.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

pub(crate) struct FakeProof(pub(crate) Mutex<String>);

impl ApproverProof for FakeProof {
    fn check(&self, presented: &Zeroizing<String>) -> Result<(), ProofError> {
        if **presented == *self.0.lock() { Ok(()) } else { Err(ProofError::Wrong) }
    }
}

impl ChangeProof for FakeProof {
    fn change(&self, former: &Zeroizing<String>, next: &Zeroizing<String>) -> Result<(), String> {
        self.check(former).map_err(|error| error.to_string())?;
        next.as_str().clone_into(&mut self.0.lock());
        Ok(())
    }
}

/// The rest of the gateway: remembers what it was told.
#[derive(Default)]
pub(crate) struct FakeRest {
    pub(crate) upstreams: Mutex<Vec<Upstream>>,
}

impl Reconfigure for FakeRest {
    fn upstreams_changed(&self, upstreams: Vec<Upstream>) {
        *self.upstreams.lock() = upstreams;
    }
    fn databases_changed(&self, _: Vec<killick_model::database::Database>) {}
    fn database_address(
        &self,
        session: &SessionId,
        token: &str,
        database: &killick_model::database::Database,
    ) -> Zeroizing<String> {
        Zeroizing::new(format!("{session}:{token}@{}", database.name))
    }
    fn database_prepare<'a>(
        &'a self,
        database: &'a killick_model::database::Database,
        ask: &'a killick_model::readiness::PrepareAsk,
        by: String,
    ) -> BoxFuture<'a, Result<killick_model::readiness::Prepared, String>> {
        Box::pin(async move {
            Ok(killick_model::readiness::Prepared {
                role: ask.role.clone().unwrap_or_default(),
                sql: format!("-- for {} of {by}", database.name),
                findings: Vec::new(),
            })
        })
    }
    fn database_catalogue<'a>(
        &'a self,
        database: &'a killick_model::database::Database,
        _: String,
    ) -> BoxFuture<'a, Result<Vec<String>, String>> {
        Box::pin(async move { Ok(vec![database.name.to_string()]) })
    }
    fn action_catalogue(&self) -> ActionCatalogue {
        ActionCatalogue::new()
    }
    fn packs(&self) -> Vec<PackInfo> {
        vec![PackInfo {
            name: "harbour".into(),
            title: "Harbour".into(),
            hosts: vec!["api.harbour.example".into()],
            port: 443,
            inject: "header:x-harbour-key".into(),
            surrogate: "uuid".into(),
            variables: vec!["HARBOUR_TOKEN".into()],
            operations: 3,
        }]
    }
    fn pack_drift<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<String>, String>> {
        Box::pin(async { Ok(vec!["mutation sink".into()]) })
    }
    fn undo<'a>(
        &'a self,
        ask: &'a killick_model::point::UndoAsk,
        _: String,
    ) -> BoxFuture<'a, Result<killick_model::point::UndoReport, killick_model::Refusal>> {
        let done = !ask.dry_run;
        Box::pin(async move { Ok(killick_model::point::UndoReport { done, ..Default::default() }) })
    }
    fn explain(&self, _: &serde_json::Value, _: Option<&Principal>) -> Option<Explanation> {
        None
    }
}

#[derive(Default)]
pub(crate) struct FakeLog {
    pub(crate) published: AtomicU64,
    pub(crate) rotated: AtomicU64,
}

fn checkpoint() -> CheckpointShown {
    CheckpointShown {
        origin: "test".into(),
        size: 3,
        root: "AAAA".into(),
        note: "note".into(),
        published: Vec::new(),
    }
}

impl ReadRecord for FakeLog {
    fn size(&self) -> Result<u64, ReadRecordError> {
        Ok(3)
    }
    fn read(&self, from: u64, max: usize) -> Result<Vec<RecordEntry>, ReadRecordError> {
        let entry = |index| RecordEntry {
            index,
            time: NOW.0,
            entry: serde_json::json!({ "kind": "call" }),
            details: None,
        };
        Ok((from..3).take(max).map(entry).collect())
    }
    fn of_call(&self, _: &CallId, _: usize) -> Result<Vec<RecordEntry>, ReadRecordError> {
        Ok(Vec::new())
    }
    fn checkpoint(&self) -> Result<Option<CheckpointShown>, ReadRecordError> {
        Ok(Some(checkpoint()))
    }
    fn publish(&self) -> Result<CheckpointShown, ReadRecordError> {
        self.published.fetch_add(1, Ordering::SeqCst);
        Ok(checkpoint())
    }
    fn rotate_signing_key(&self) -> Result<String, ReadRecordError> {
        self.rotated.fetch_add(1, Ordering::SeqCst);
        Ok("public".into())
    }
}

/// Everything together, with one of each thing in it.
pub(crate) struct Stage {
    pub(crate) administration: Administration,
    pub(crate) gate: Arc<Gate>,
    pub(crate) record: Arc<FakeRecord>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) vault: Arc<FakeVault>,
    pub(crate) proof: Arc<FakeProof>,
    pub(crate) rest: Arc<FakeRest>,
    pub(crate) recovery: Arc<FakeRecovery>,
    pub(crate) log: Arc<FakeLog>,
    pub(crate) session: SessionId,
}

impl Stage {
    pub(crate) async fn open() -> Self {
        let record = Arc::new(FakeRecord::default());
        let store = Arc::new(MemoryStore::default());
        furnish(store.as_ref());
        let gate = Arc::new(
            Gate::open(GateParts {
                record: Arc::clone(&record) as Arc<dyn Record>,
                store: Arc::clone(&store) as Arc<dyn Store>,
                clock: Arc::new(FixedClock),
                pdp: Pdp::load(&[PolicySource::shipped()], &ActionCatalogue::new()).unwrap(),
                config: GateConfig::default(),
            })
            .unwrap(),
        );
        let vault = Arc::new(FakeVault::default());
        vault.credential_put(&credential(), Zeroizing::new(b"first-value".to_vec())).unwrap();
        let proof = Arc::new(FakeProof(Mutex::new(PASSPHRASE.into())));
        let (rest, log) = (Arc::new(FakeRest::default()), Arc::new(FakeLog::default()));
        let recovery = Arc::new(FakeRecovery::with_one_point());
        let administration = Administration::new(AdministrationParts {
            gate: Arc::clone(&gate),
            vault: Arc::clone(&vault) as Arc<dyn Vault>,
            proof: Arc::clone(&proof) as Arc<dyn ChangeProof>,
            record: Arc::clone(&log) as Arc<dyn ReadRecord>,
            rest: Arc::clone(&rest) as Arc<dyn Reconfigure>,
            recovery: Arc::clone(&recovery) as Arc<dyn Recovery>,
            gateway: "http://127.0.0.1:7070".into(),
            ca_bundle: "/ca-bundle.pem".into(),
            version: "0".into(),
            uid: 1000,
        });
        let session = gate.open_session(principal(), None).await.unwrap();
        let session = session.session.principal.session;
        store.request_open(&request(&session), b"canonical").unwrap();
        store.pending_add(&pending(&session), b"canonical").unwrap();
        store.grant_add(&grant(&session)).unwrap();
        record.entries.lock().clear();
        Self { administration, gate, record, store, vault, proof, rest, recovery, log, session }
    }

    pub(crate) async fn ask(
        &self,
        command: Command,
        proof: Option<&str>,
    ) -> Result<Reply, crate::protocol::AdminError> {
        let proof = proof.map(|text| Secret::new(text.to_owned()));
        let envelope = Envelope { command, proof, as_owner: None };
        self.administration.execute(&caller(), envelope).await
    }

    /// Everything that a command could change, as one text.
    pub(crate) fn state(&self) -> String {
        let sessions: Vec<_> =
            self.store.sessions().unwrap().into_iter().map(|(session, _)| session).collect();
        let live: Vec<bool> = sessions
            .iter()
            .map(|it| self.gate.sessions().by_id(&it.principal.session).is_some())
            .collect();
        let credentials: Vec<String> =
            self.vault.kept.lock().iter().map(|kept| format!("{kept:?}")).collect();
        format!(
            "{:?} {:?} {sessions:?} {live:?} {:?} {:?} {:?} {:?} {:?} {credentials:?} {:?} {} {:?} {:?} {} {} {} {}",
            self.store.agents().unwrap(),
            self.store.databases().unwrap(),
            self.store.upstreams().unwrap(),
            self.store.requests(100).unwrap(),
            self.store.pendings(100).unwrap(),
            self.store.grants().unwrap(),
            self.store.break_glasses(NOW).unwrap(),
            self.store.setting(crate::policies::SETTING).unwrap(),
            self.gate.policies().version(),
            self.rest.upstreams.lock(),
            self.proof.0.lock(),
            self.vault.rotations.load(Ordering::SeqCst),
            self.log.published.load(Ordering::SeqCst),
            self.log.rotated.load(Ordering::SeqCst),
            self.recovery.state(),
        )
    }
}

pub(crate) fn caller() -> Caller {
    Caller { uid: 1000, owner: Owner::parse("local:alice").unwrap() }
}

fn furnish(store: &dyn Store) {
    for (agent, standing) in [("coder", Standing::Good), ("stopped", Standing::Frozen)] {
        store
            .agent_add(&Agent {
                name: name(agent),
                owner: Owner::parse("local:alice").unwrap(),
                groups: BTreeSet::new(),
                standing,
                added: NOW,
            })
            .unwrap();
    }
    store
        .upstream_put(&Upstream {
            name: name("api"),
            hosts: vec!["api.harbour.example".into()],
            port: 443,
            tls: true,
            pack: Some("harbour".into()),
            declared: None,
            model_provider: false,
            dial: None,
            writes_by_method: false,
            private_address: false,
        })
        .unwrap();
    let database = serde_json::json!({
        "name": "main", "host": "db.example", "port": 5432, "database": "shop", "user": "app",
        "tls": { "mode": "verify" }, "private_address": false, "environment": "staging",
        "role": null, "limits": {}, "added": NOW.0,
    });
    store.database_put(&serde_json::from_value(database).unwrap()).unwrap();
    store
        .break_glass_open(&BreakGlass {
            agent: name("stopped"),
            reason: "the night of the outage".into(),
            by: Owner::parse("local:alice").unwrap(),
            expires: NOW.plus_millis(60_000),
        })
        .unwrap();
}

pub(crate) fn principal() -> Principal {
    let session: SessionId = killick_gate::ids::session_id().unwrap();
    Principal {
        session: session.clone(),
        chain: vec![session],
        agent: AgentName::parse("coder").unwrap(),
        groups: BTreeSet::new(),
        owner: Owner::parse("local:alice").unwrap(),
        environment: EnvironmentName::parse("staging").unwrap(),
        task: "fix the login".into(),
        scope: Scope::full(),
        expires: NOW.plus_millis(3_600_000),
        fence: false,
    }
}

fn of_session(session: &SessionId) -> Principal {
    Principal { session: session.clone(), chain: vec![session.clone()], ..principal() }
}

fn action() -> Action {
    let part = Part {
        operation: "harbour.volumeDelete".into(),
        effect: Effect::DESTROY,
        irreversible: true,
        backups: BackupsFate::Die,
        objects: vec![ObjectRef {
            upstream: name("api"),
            kind: "volume".into(),
            id: "v1".into(),
            within: None,
        }],
        recovery: killick_model::Recovery::default(),
        why: "deletes".into(),
    };
    Action::new(vec![part], String::new()).unwrap()
}

fn credential() -> CredentialInfo {
    CredentialInfo {
        name: name("deploy"),
        upstream: name("api"),
        path_prefix: "/".into(),
        injection: killick_model::admin::Injection::Bearer,
        surrogate: "uuid".into(),
        own: false,
        added: NOW,
        rotated: None,
    }
}

fn request(session: &SessionId) -> AccessRequest {
    AccessRequest {
        id: RequestId::parse("r-1").unwrap(),
        call: CallId::parse("c-1").unwrap(),
        principal: of_session(session),
        action: action(),
        digest: CallDigest::of(&[b"call"]),
        upstream: name("api"),
        facts: Vec::new(),
        obligations: Vec::new(),
        state: RequestState::Open,
        asked: NOW,
        expires: NOW.plus_millis(3_600_000),
        answer: None,
        send_when_approved: false,
    }
}

fn pending(session: &SessionId) -> Pending {
    Pending {
        id: PendingId::parse("p-1").unwrap(),
        call: CallId::parse("c-2").unwrap(),
        principal: of_session(session),
        action: action(),
        digest: CallDigest::of(&[b"other call"]),
        upstream: name("api"),
        adapter: "http".into(),
        facts: Vec::new(),
        request: None,
        state: PendingState::Waiting,
        parked: NOW,
        due: NOW.plus_millis(3_600_000),
    }
}

fn grant(session: &SessionId) -> Grant {
    Grant {
        id: "g-1".into(),
        session: session.clone(),
        effect: EffectWord::Write,
        objects: Vec::new(),
        left: 3,
        expires: NOW.plus_millis(3_600_000),
        by: Owner::parse("local:alice").unwrap(),
    }
}
